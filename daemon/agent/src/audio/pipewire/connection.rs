//! The connection to PipeWire: a thread of its own, because its library has a loop of its own.
//!
//! Owns the library's objects. It says what the server says and does what [`super::graph`] wants; it decides
//! nothing. When the thread ends, for whatever reason, the server drops all that is ours.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io::Cursor,
    rc::Rc,
    sync::mpsc,
    thread,
};

use pipewire::{
    self as pw,
    channel::{Receiver, Sender, channel},
    client::{Client, ClientChangeMask, ClientListener},
    context::ContextRc,
    core::CoreRc,
    device::{Device, DeviceChangeMask, DeviceListener},
    keys,
    link::Link as PwLink,
    main_loop::MainLoopRc,
    metadata::{Metadata, MetadataListener},
    node::{Node as PwNode, NodeChangeMask, NodeListener},
    properties::{PropertiesBox, properties},
    proxy::{ProxyListener, ProxyT},
    registry::{GlobalObject, RegistryRc},
    spa::{
        param::ParamType,
        pod::{Object, Pod, Property, PropertyFlags, Value, ValueArray, serialize::PodSerializer},
        sys::SPA_PROP_channelVolumes,
        utils::{SpaTypes, dict::DictRef, result::AsyncSeq},
    },
    types::ObjectType,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{debug, warn};

use super::graph::{Command, Event, Hints, Link, Node, Own, Port, TARGET};
use crate::audio::{
    QUIET, SPECIAL_ROLES,
    whose::{Origin, Process},
};

/// What a stranger's stream is left alone for.
const SPECIAL: &[(&str, &[&str])] = &[
    ("media.role", SPECIAL_ROLES),
    ("media.category", &["Monitor", "Manager", "Filter"]),
    ("node.dont-move", &["true"]),
    ("stream.monitor", &["true"]),
];

/// What tells of a node or a device what kind of thing it is.
const HINTS: &[&str] = &["device.bus", "device.api", "device.form-factor", "device.profile.name"];

/// Halves of a filter or a loopback have one: what goes through them is somebody else's.
const LINK_GROUP: &str = "node.link-group";

/// The metadata in which the session manager is told where streams go.
const DEFAULT_METADATA: &str = "default";

/// The server has closed the connection.
const BROKEN_PIPE: i32 = -32;

/// What the server was asked about has gone: there is none, or another.
const GONE: [i32; 2] = [-2, -116];

/// A connection; dropped, it ends at once.
pub struct Connection {
    commands: Sender<Command>,
    pub events: UnboundedReceiver<Event>,
}

impl Connection {
    /// Connects; an error says why there is no server.
    pub fn open() -> Result<Connection, String> {
        let (commands, receiver) = channel();
        let (sender, events) = unbounded_channel();
        let (connected, outcome) = mpsc::sync_channel(1);
        let serve = move || match Session::open(sender) {
            Ok((main, session)) => {
                let _ = connected.send(Ok(()));
                session.run(main, receiver);
            }
            Err(error) => drop(connected.send(Err(error.to_string()))),
        };
        thread::Builder::new()
            .name("pipewire".into())
            .spawn(serve)
            .map_err(|error| error.to_string())?;
        outcome.recv().map_err(|error| error.to_string())??;
        Ok(Connection { commands, events })
    }

    pub fn send(&self, command: Command) {
        // A thread that has ended is noticed by its events.
        let _ = self.commands.send(command);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.send(Command::Leave);
    }
}

struct Session {
    /// Goes before the connection does.
    held: RefCell<Held>,
    registry: RegistryRc,
    core: CoreRc,
    events: UnboundedSender<Event>,
}

/// What lives as long as it is held; who listens goes before what is listened to.
#[derive(Default)]
struct Held {
    nodes: BTreeMap<u32, (NodeListener, PwNode)>,
    clients: BTreeMap<u32, (ClientListener, Client)>,
    devices: BTreeMap<u32, (DeviceListener, Device)>,
    metadata: Option<(GlobalObject<PropertiesBox>, MetadataListener, Metadata)>,
    own: BTreeMap<Own, (ProxyListener, PwNode)>,
    links: BTreeMap<(u32, u32), PwLink>,
    /// The sync after which the connection may go.
    leaving: Option<i32>,
}

impl Session {
    fn open(events: UnboundedSender<Event>) -> Result<(MainLoopRc, Rc<Session>), pw::Error> {
        pw::init();
        let main = MainLoopRc::new(None)?;
        let context = ContextRc::new(&main, None)?;
        let name = properties! { *keys::APP_NAME => "callarbiter-agent" };
        let core = context.connect_rc(Some(name))?;
        let registry = core.get_registry_rc()?;
        let held = RefCell::default();
        Ok((main, Rc::new(Session { held, registry, core, events })))
    }

    fn run(self: Rc<Self>, main: MainLoopRc, commands: Receiver<Command>) {
        let (session, leave) = (Rc::downgrade(&self), main.clone());
        let answers = Cell::new(0);
        let done = move |id, seq: AsyncSeq| {
            let Some(session) = session.upgrade().filter(|_| id == pw::core::PW_ID_CORE) else {
                return;
            };
            if session.held.borrow().leaving == Some(seq.raw()) {
                return leave.quit();
            }
            // The first answer comes after what there is, the second after what that says of itself.
            answers.set(answers.get() + 1);
            match answers.get() {
                1 => drop(session.core.sync(0)),
                2 => session.say(Event::Ready),
                _ => {}
            }
        };
        let gone = main.clone();
        let _core = self
            .core
            .add_listener_local()
            .done(done)
            .error(move |id, _, code, message| {
                if !GONE.contains(&code) {
                    debug!(id, code, message, "PipeWire refuses");
                }
                // The connection itself.
                if id == pw::core::PW_ID_CORE && code == BROKEN_PIPE {
                    gone.quit();
                }
            })
            .register();
        let (found, lost) = (Rc::downgrade(&self), Rc::downgrade(&self));
        let _registry = self
            .registry
            .add_listener_local()
            .global(move |global| {
                if let Some(session) = found.upgrade() {
                    session.found(global);
                }
            })
            .global_remove(move |id| {
                if let Some(session) = lost.upgrade() {
                    session.lost(id);
                }
            })
            .register();
        let session = Rc::downgrade(&self);
        let _commands = commands.attach(main.loop_(), move |command| {
            if let Some(session) = session.upgrade() {
                session.perform(command);
            }
        });
        if let Err(error) = self.core.sync(0) {
            return warn!(%error, "PipeWire does not answer");
        }
        main.run();
    }

    fn say(&self, event: Event) {
        // Nobody listens any more: the thread is about to be told.
        let _ = self.events.send(event);
    }

    fn found(self: &Rc<Self>, global: &GlobalObject<&DictRef>) {
        let Some(props) = global.props else { return };
        let text = |key| props.get(key).map(str::to_owned);
        let number = |key| props.get(key).and_then(|value| value.parse::<u32>().ok());
        let id = global.id;
        match global.type_ {
            ObjectType::Client => self.watch_client(global),
            ObjectType::Node if props.get("media.class").is_some_and(is_audio) => {
                self.watch_node(global);
            }
            ObjectType::Device if props.get("media.class").is_some_and(is_audio) => {
                self.watch_device(global);
            }
            ObjectType::Metadata if props.get("metadata.name") == Some(DEFAULT_METADATA) => {
                self.watch_metadata(global.to_owned());
            }
            ObjectType::Port => {
                let Some(node) = number("node.id") else { return };
                let input = props.get("port.direction") == Some("in");
                let channel = text("audio.channel").unwrap_or_default();
                self.say(Event::Port { id, port: Port { node, input, channel } });
            }
            ObjectType::Link => {
                let ends = (number("link.output.node"), number("link.input.node"));
                let ports = (number("link.output.port"), number("link.input.port"));
                if let ((Some(output), Some(input)), (Some(from), Some(to))) = (ends, ports) {
                    self.say(Event::Link { id, link: Link { output, input, ports: (from, to) } });
                }
            }
            _ => {}
        }
    }

    fn lost(&self, id: u32) {
        let mut held = self.held.borrow_mut();
        held.nodes.remove(&id);
        held.clients.remove(&id);
        held.devices.remove(&id);
        let metadata = held.metadata.take_if(|(metadata, ..)| metadata.id == id).is_some();
        drop(held);
        if metadata {
            self.say(Event::Metadata(false));
        }
        self.say(Event::Removed { id });
    }

    fn watch_client(&self, global: &GlobalObject<&DictRef>) {
        let Ok(client) = self.registry.bind::<Client, _>(global) else { return };
        let (id, events) = (global.id, self.events.clone());
        let listener = client.add_listener_local().info(move |info| {
            if !info.change_mask().contains(ClientChangeMask::PROPS) {
                return;
            }
            if let Some(origin) = info.props().map(origin) {
                let _ = events.send(Event::Client { id, origin });
            }
        });
        let listener = listener.register();
        self.held.borrow_mut().clients.insert(id, (listener, client));
    }

    fn watch_node(&self, global: &GlobalObject<&DictRef>) {
        let Ok(node) = self.registry.bind::<PwNode, _>(global) else { return };
        let (id, events) = (global.id, self.events.clone());
        let listener = node.add_listener_local().info(move |info| {
            // Not by `state()`: a node in the state `error` need not have a text, and that reads it all the same.
            let running = info.as_raw().state == pw::sys::pw_node_state_PW_NODE_STATE_RUNNING;
            let props = info.props().filter(|_| info.change_mask().contains(NodeChangeMask::PROPS));
            let event = match props {
                Some(props) => Event::Node { id, node: node_in(props, running) },
                None => Event::Running { id, running },
            };
            let _ = events.send(event);
        });
        let listener = listener.register();
        self.held.borrow_mut().nodes.insert(id, (listener, node));
    }

    fn watch_device(&self, global: &GlobalObject<&DictRef>) {
        let Ok(device) = self.registry.bind::<Device, _>(global) else { return };
        let (id, events) = (global.id, self.events.clone());
        let listener = device.add_listener_local().info(move |info| {
            if let Some(props) =
                info.props().filter(|_| info.change_mask().contains(DeviceChangeMask::PROPS))
            {
                let _ = events.send(Event::Device { id, hints: hints(props) });
            }
        });
        let listener = listener.register();
        self.held.borrow_mut().devices.insert(id, (listener, device));
    }

    fn watch_metadata(&self, global: GlobalObject<PropertiesBox>) {
        let Ok(metadata) = self.registry.bind::<Metadata, _>(&global) else { return };
        let events = self.events.clone();
        self.say(Event::Metadata(true));
        let listener = metadata.add_listener_local().property(move |subject, key, _, value| {
            let (key, value) = (key.map(str::to_owned), value.map(str::to_owned));
            let _ = events.send(Event::Property { subject, key, value });
            0
        });
        let listener = listener.register();
        self.held.borrow_mut().metadata = Some((global, listener, metadata));
    }

    fn perform(&self, command: Command) {
        debug!(?command, "to PipeWire");
        let mut held = self.held.borrow_mut();
        match command {
            // All of it is said to who comes new.
            Command::Repeat => {
                if let Some((global, ..)) = held.metadata.take() {
                    drop(held);
                    self.watch_metadata(global);
                }
            }
            Command::Make(own) => match self.make(own) {
                Ok(made) => drop(held.own.insert(own, made)),
                Err(error) => warn!(%error, ?own, "PipeWire makes no node for us"),
            },
            Command::Drop(own) => drop(held.own.remove(&own)),
            Command::Join { from, to } => match self.join(from, to) {
                Ok(link) => drop(held.links.insert((from, to), link)),
                Err(error) => warn!(%error, "PipeWire makes no link for us"),
            },
            Command::Part { from, to } => drop(held.links.remove(&(from, to))),
            Command::Target { stream, value } => {
                if let Some((_, _, metadata)) = &held.metadata {
                    metadata.set_property(stream, TARGET, Some("Spa:Id"), value.as_deref());
                }
            }
            Command::Leave => held.leaving = self.core.sync(0).ok().map(|seq| seq.raw()),
        }
    }

    fn make(&self, own: Own) -> Result<(ProxyListener, PwNode), pw::Error> {
        let (class, description) = match own {
            Own::Others => ("Audio/Sink", "Everything else during a call"),
            Own::Calls => ("Audio/Sink", "Calls"),
            Own::Silence => ("Audio/Source/Virtual", "No microphone during a call"),
            Own::Nothing => ("Audio/Sink", "No sound during a call"),
        };
        let mut props = properties! {
            "factory.name" => "support.null-audio-sink",
            "media.class" => class,
            "node.description" => description,
            "node.virtual" => "true",
            "audio.position" => "[ FL FR ]",
            // Its volume is heard in what it hands on.
            "monitor.channel-volumes" => "true",
            "state.restore-props" => "false",
            // Never chosen in place of a real one, nor the clock of one.
            "priority.session" => "-1",
            "priority.driver" => "1",
        };
        props.insert("node.name", own.name());
        let node: PwNode = self.core.create_object("adapter", &props)?;
        if own == Own::Others {
            set_volume(&node);
        }
        let events = self.events.clone();
        let bound = move |id| drop(events.send(Event::Made { own, id }));
        let listener = node.upcast_ref().add_listener_local().bound(bound).register();
        Ok((listener, node))
    }

    fn join(&self, from: u32, to: u32) -> Result<PwLink, pw::Error> {
        let mut props = PropertiesBox::new();
        props.insert("link.output.port", from.to_string());
        props.insert("link.input.port", to.to_string());
        self.core.create_object("link-factory", &props)
    }
}

fn set_volume(node: &PwNode) {
    let volumes = Value::ValueArray(ValueArray::Float(vec![QUIET, QUIET]));
    let volumes =
        Property { key: SPA_PROP_channelVolumes, flags: PropertyFlags::empty(), value: volumes };
    let props = Value::Object(Object {
        type_: SpaTypes::ObjectParamProps.as_raw(),
        id: ParamType::Props.as_raw(),
        properties: vec![volumes],
    });
    let bytes = PodSerializer::serialize(Cursor::new(Vec::new()), &props);
    let bytes = bytes.map(|(cursor, _)| cursor.into_inner()).unwrap_or_default();
    if let Some(pod) = Pod::from_bytes(&bytes) {
        node.set_param(ParamType::Props, 0, pod);
    }
}

fn is_audio(class: &str) -> bool {
    class.contains("Audio")
}

fn node_in(props: &DictRef, running: bool) -> Node {
    let text = |key| props.get(key).unwrap_or_default().to_owned();
    let special = |(key, values): &(&str, &[&str])| {
        props.get(key).is_some_and(|value| values.contains(&value))
    };
    Node {
        serial: text("object.serial"),
        name: text("node.name"),
        class: text("media.class"),
        client: props.get("client.id").and_then(|id| id.parse().ok()),
        hears_sink: props.get("stream.capture.sink") == Some("true"),
        // The session manager moves none that links itself.
        special: props.get("node.autoconnect") != Some("true")
            || props.get(LINK_GROUP).is_some()
            || SPECIAL.iter().any(special),
        running,
        description: text("node.description"),
        device: props.get("device.id").and_then(|id| id.parse().ok()),
        hints: hints(props),
    }
}

fn hints(props: &DictRef) -> Hints {
    HINTS.iter().filter_map(|key| Some((*key, props.get(key)?.to_owned()))).collect()
}

fn origin(props: &DictRef) -> Origin {
    let app_id = props.get("pipewire.access.portal.app_id").filter(|id| !id.is_empty());
    let pid = match props.get("client.api") {
        // The process that is connected is the one that speaks PulseAudio's protocol for all.
        Some("pipewire-pulse") => props.get("application.process.id"),
        _ => props.get("pipewire.sec.pid"),
    };
    let process = pid.and_then(|pid| pid.parse().ok()).map(Process::of);
    Origin { app_id: app_id.map(str::to_owned), process }
}
