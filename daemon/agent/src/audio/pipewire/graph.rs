//! PipeWire's graph as far as it matters here, and what is to be done to it next.
//!
//! Owns the way streams become quiet: two sinks or sources of our own, which the server drops with our
//! connection, and the metadata key that tells the session manager where a stream goes. Never the volume of
//! a stream: that would be saved and outlive a crash. It is pure; [`super::connection`] talks to the server.

mod leaving;
mod outputs;

use std::collections::{BTreeMap, BTreeSet};

use zbus::OwnedObjectPath;

use self::{
    leaving::{Leaving, place},
    outputs::is_sink,
};
use crate::audio::{
    Late,
    wanted::{App, Treatment, Wanted, Way},
    whose::Origin,
};

/// What our nodes are called; a number follows, so that nothing that an earlier agent left behind fits. Streams
/// are told the name, not the number in the graph: that the session manager would keep for the app's next stream.
pub const PREFIX: &str = "callarbiter.";

/// The session manager looks here first.
pub const TARGET: &str = "target.object";
const OLD_TARGET: &str = "target.node";
const DEFAULT_SINK: &str = "default.audio.sink";

/// A node that lives as long as it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Own {
    /// A sink that plays quietly into the default sink.
    Others,
    /// A source that is silent.
    Silence,
    /// A sink that plays into the one where the sound of calls goes.
    Calls,
    /// A sink into which nobody plays, for streams that hear what a sink plays.
    Nothing,
}

impl Own {
    pub fn name(self) -> String {
        let word = match self {
            Own::Others => "others",
            Own::Silence => "silence",
            Own::Calls => "calls",
            Own::Nothing => "nothing",
        };
        format!("{PREFIX}{word}.{}", std::process::id())
    }
}

/// What the server says.
#[derive(Debug)]
pub enum Event {
    Client {
        id: u32,
        origin: Origin,
    },
    Node {
        id: u32,
        node: Node,
    },
    /// What a device says of itself.
    Device {
        id: u32,
        hints: Hints,
    },
    Running {
        id: u32,
        running: bool,
    },
    Port {
        id: u32,
        port: Port,
    },
    Link {
        id: u32,
        link: Link,
    },
    /// One of ours is there.
    Made {
        own: Own,
        id: u32,
    },
    /// A session manager is there, or gone with everything that streams were told.
    Metadata(bool),
    Property {
        subject: u32,
        key: Option<String>,
        value: Option<String>,
    },
    Removed {
        id: u32,
    },
    /// Everything that was there has been said.
    Ready,
}

/// What the server is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Make(Own),
    Drop(Own),
    /// A link of ours between two ports.
    Join {
        from: u32,
        to: u32,
    },
    Part {
        from: u32,
        to: u32,
    },
    /// Where the stream goes; nowhere in particular without a value.
    Target {
        stream: u32,
        value: Option<String>,
    },
    /// What streams were told, and the default output, is to be said again.
    Repeat,
    /// Everything before is done: the connection may go.
    Leave,
}

/// Properties that tell what kind of thing an output is.
pub type Hints = Vec<(&'static str, String)>;

#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Unlike its id, never used again.
    pub serial: String,
    pub name: String,
    pub class: String,
    pub client: Option<u32>,
    /// It hears what a sink plays.
    pub hears_sink: bool,
    /// What a stranger's stream is left alone for.
    pub special: bool,
    pub running: bool,
    /// For people.
    pub description: String,
    /// The device that it belongs to.
    pub device: Option<u32>,
    pub hints: Hints,
}

#[derive(Clone, Debug)]
pub struct Port {
    pub node: u32,
    pub input: bool,
    pub channel: String,
}

#[derive(Clone, Debug)]
pub struct Link {
    pub output: u32,
    pub input: u32,
    pub ports: (u32, u32),
}

/// What is to be done, and how far it is.
#[derive(Debug, Default)]
pub struct Plan {
    pub commands: Vec<Command>,
    /// Something is not so, or not heard, that a session manager may do when it is asked again.
    pub astray: bool,
    /// Everything is as wanted, seen in the links.
    pub settled: bool,
    /// So is what calls play.
    pub routed: bool,
    /// Providers whose muted microphone carries silence.
    pub muted: Vec<OwnedObjectPath>,
    /// No stream is on its way back.
    pub left: bool,
}

#[derive(Debug, Default)]
pub struct Graph {
    ready: bool,
    metadata: bool,
    clients: BTreeMap<u32, Origin>,
    nodes: BTreeMap<u32, Node>,
    devices: BTreeMap<u32, Hints>,
    ports: BTreeMap<u32, Port>,
    links: BTreeMap<u32, Link>,
    /// Where streams were told to go, by anybody.
    targets: BTreeMap<u32, String>,
    /// Where those went that we told to go elsewhere.
    former: BTreeMap<u32, String>,
    /// The same, of an agent before this one: by node, with its serial.
    recalled: BTreeMap<u32, (String, String)>,
    default_sink: Option<String>,
    leaving: Leaving,
    /// Ours: asked for, and there.
    own: BTreeMap<Own, Option<u32>>,
    joined: BTreeSet<(u32, u32)>,
}

impl Graph {
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Client { id, origin } => drop(self.clients.insert(id, origin)),
            Event::Node { id, node } => {
                if let Some((_, value)) =
                    self.recalled.remove(&id).filter(|(s, _)| *s == node.serial)
                {
                    self.former.insert(id, value);
                }
                self.nodes.insert(id, node);
            }
            Event::Running { id, running } => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.running = running;
                }
            }
            Event::Device { id, hints } => drop(self.devices.insert(id, hints)),
            Event::Port { id, port } => drop(self.ports.insert(id, port)),
            Event::Link { id, link } => drop(self.links.insert(id, link)),
            Event::Made { own, id } => {
                if let Some(made) = self.own.get_mut(&own) {
                    *made = Some(id);
                }
            }
            Event::Metadata(there) => {
                self.metadata = there;
                self.targets.clear();
                self.leaving = Leaving::default();
            }
            Event::Property { subject: 0, key, value } => {
                if key.as_deref() == Some(DEFAULT_SINK) {
                    self.default_sink = value.as_deref().and_then(name_in);
                }
            }
            Event::Property { subject, key, value } => self.property(subject, key, value),
            Event::Removed { id } => self.remove(id),
            Event::Ready => self.ready = true,
        }
    }

    fn property(&mut self, subject: u32, key: Option<String>, value: Option<String>) {
        match (key.as_deref(), value.filter(|value| value != "-1")) {
            (Some(TARGET | OLD_TARGET), Some(value)) => drop(self.targets.insert(subject, value)),
            (None | Some(TARGET | OLD_TARGET), _) => drop(self.targets.remove(&subject)),
            _ => {}
        }
    }

    fn remove(&mut self, id: u32) {
        if self.nodes.remove(&id).is_some() {
            self.targets.remove(&id);
            self.former.remove(&id);
            self.leaving.forget(id);
            self.own.retain(|_, made| *made != Some(id));
        }
        if self.ports.remove(&id).is_some() {
            self.joined.retain(|(from, to)| *from != id && *to != id);
        }
        if let Some(link) = self.links.remove(&id) {
            self.joined.remove(&link.ports);
        }
        self.clients.remove(&id);
        self.devices.remove(&id);
    }

    /// Where streams were told to go before we told them: to be written down, a line each.
    pub fn former(&self) -> Vec<String> {
        let line = |(id, value): (&u32, &String)| {
            Some(format!("{id} {} {value}", self.nodes.get(id)?.serial))
        };
        self.former.iter().filter_map(line).collect()
    }

    /// Takes over such lines from an agent before this one.
    pub fn recall(&mut self, lines: &[String]) {
        let parse = |line: &String| {
            let mut words = line.splitn(3, ' ');
            let id = words.next()?.parse().ok()?;
            Some((id, (words.next()?.to_owned(), words.next()?.to_owned())))
        };
        self.recalled = lines.iter().filter_map(parse).collect();
    }

    /// Whether everything that was there has been said.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// What was told to streams is told again where it is not so: a session manager that has just come may have
    /// missed it, and one that was busy with a stream may have lost it.
    pub fn insist(&mut self, wanted: &Wanted, route: Option<&str>) -> Vec<Command> {
        // Who listens to a session manager while that is just coming may never hear anything: some default there is.
        if self.metadata && self.default_sink.is_none() && self.has_sink() {
            return vec![Command::Repeat];
        }
        let astray = |(stream, way, own): (u32, Way, Option<Own>)| {
            let told = self.targets.get(&stream) == Some(&own?.name());
            let elsewhere = !self.is_only_linked(stream, way, own?) || self.is_nowhere(stream);
            (told && elsewhere).then_some(stream)
        };
        let astray: Vec<u32> = self.treated(wanted, route).filter_map(astray).collect();
        self.targets.retain(|stream, _| !astray.contains(stream));
        let again = astray.into_iter().map(|stream| Command::Target { stream, value: None });
        again.chain(self.leaving.insist(&self.ours(), &self.links)).collect()
    }

    /// What is to be done next; it counts as done. `route`: the output for the sound of calls, where it is not the
    /// default one.
    pub fn plan(&mut self, wanted: &Wanted, route: Option<&str>) -> Plan {
        // Without a session manager nothing is on its way.
        let mut plan = Plan { left: !self.metadata, ..Plan::default() };
        if !self.ready || !self.metadata {
            return plan;
        }
        let treated: Vec<(u32, Way, Option<Own>)> = self.treated(wanted, route).collect();
        let mut needed: BTreeSet<Own> = treated.iter().filter_map(|(_, _, own)| *own).collect();
        // There before the first stream that needs it.
        needed.extend(wanted.held().then_some(Own::Others));
        needed.extend((wanted.held() && route.is_some()).then_some(Own::Calls));
        needed.extend(silences(wanted).then_some(Own::Silence));
        for own in needed.iter().filter(|own| !self.own.contains_key(own)) {
            plan.commands.push(Command::Make(*own));
        }
        self.own.extend(
            needed
                .iter()
                .filter(|own| !self.own.contains_key(own))
                .map(|own| (*own, None))
                .collect::<Vec<_>>(),
        );
        self.join(route, &mut plan);
        for (stream, _, own) in &treated {
            self.send(*stream, *own, &mut plan);
        }
        let is_so = |(stream, way, own): &(u32, Way, Option<Own>)| match own {
            None => !self.targets.get(stream).is_some_and(|value| is_ours(value)),
            Some(own) => self.is_only_linked(*stream, *way, *own),
        };
        let (calls, others): (Vec<_>, Vec<_>) =
            treated.iter().partition(|(_, _, own)| *own == Some(Own::Calls));
        plan.routed = calls.into_iter().all(is_so);
        needed.remove(&Own::Calls);
        plan.settled = self.are_made(&needed) && others.into_iter().all(is_so);
        plan.left = self.leaving.are_gone(&self.ours(), &self.links);
        let is_lost =
            |(stream, _, own): &(u32, Way, Option<Own>)| own.is_some() && self.is_nowhere(*stream);
        plan.astray = !(plan.settled && plan.routed && plan.left) || treated.iter().any(is_lost);
        if needed.is_empty() && plan.left {
            plan.commands.extend(self.own.keys().map(|own| Command::Drop(*own)));
            self.own.clear();
            self.joined.clear();
        }
        plan.muted = self.muted(wanted);
        plan
    }

    /// Providers and the way in which they use sound while another has the session.
    pub fn without_session(&self, wanted: &Wanted) -> Vec<Late> {
        let running = self.streams().filter(|(_, node, _, _)| node.running);
        let late = running.flat_map(|(_, _, way, origin)| {
            wanted.without_session(origin).map(move |app| (app.provider.clone(), way))
        });
        late.collect()
    }

    fn muted(&self, wanted: &Wanted) -> Vec<OwnedObjectPath> {
        let silent = |app: &&App| {
            let mut streams = self.streams().filter(|(_, _, _, origin)| app.owns(origin));
            app.silence
                && self.made(Own::Silence)
                && streams.all(|(id, node, way, _)| {
                    way == Way::Playback || self.is_only_linked(id, way, silence(node))
                })
        };
        wanted.apps.iter().filter(silent).map(|app| app.provider.clone()).collect()
    }

    fn streams(&self) -> impl Iterator<Item = (u32, &Node, Way, &Origin)> {
        self.nodes.iter().filter_map(|(id, node)| {
            let way = match node.class.as_str() {
                "Stream/Output/Audio" => Way::Playback,
                "Stream/Input/Audio" => Way::Capture,
                _ => return None,
            };
            Some((*id, node, way, self.clients.get(&node.client?)?))
        })
    }

    /// Streams, and which of ours they belong to.
    fn treated(
        &self,
        wanted: &Wanted,
        route: Option<&str>,
    ) -> impl Iterator<Item = (u32, Way, Option<Own>)> {
        self.streams().map(move |(id, node, way, origin)| {
            let caller = wanted.apps.iter().any(|app| app.owns(origin));
            let by_others = self.targets.get(&id).is_some_and(|value| !is_ours(value));
            // Only an app that calls is followed wherever it goes.
            let alone = !caller && (node.special || by_others);
            let own = match wanted.treatment(way, origin) {
                Treatment::Duck if !alone => Some(Own::Others),
                Treatment::Silence => Some(silence(node)),
                Treatment::Leave if way == Way::Playback && wanted.has_audio(origin) => {
                    route.map(|_| Own::Calls)
                }
                Treatment::Duck | Treatment::Leave => None,
            };
            (id, way, own)
        })
    }

    /// Tells a stream where to go, once there is somewhere to go.
    fn send(&mut self, stream: u32, own: Option<Own>, plan: &mut Plan) {
        let now = self.targets.get(&stream).cloned();
        let value = match own.filter(|own| self.made(*own) && self.leads_on(*own)) {
            Some(own) => Some(own.name()),
            None if !now.as_deref().is_some_and(is_ours) => return,
            None => self.former.remove(&stream),
        };
        if value == now {
            return;
        }
        if let Some(now) = now.filter(|now| !is_ours(now)) {
            self.former.insert(stream, now);
        }
        match &value {
            Some(value) if is_ours(value) => self.leaving.forget(stream),
            _ => self.leaving.begin(stream),
        }
        match &value {
            Some(value) => drop(self.targets.insert(stream, value.clone())),
            None => drop(self.targets.remove(&stream)),
        }
        plan.commands.push(Command::Target { stream, value });
    }

    fn made(&self, own: Own) -> bool {
        matches!(self.own.get(&own), Some(Some(_)))
    }

    /// Our nodes that are there.
    fn ours(&self) -> Vec<u32> {
        self.own.values().flatten().copied().collect()
    }

    fn are_made(&self, needed: &BTreeSet<Own>) -> bool {
        let no_sink = !self.has_sink();
        needed
            .iter()
            .all(|own| self.made(*own) && (*own != Own::Others || no_sink || self.leads_on(*own)))
    }

    /// Whether there is an output besides ours.
    fn has_sink(&self) -> bool {
        let own = self.ours();
        self.nodes.iter().any(|(id, node)| is_sink(node) && !own.contains(id))
    }

    /// A session manager was to link it, and has not.
    fn is_nowhere(&self, stream: u32) -> bool {
        self.nodes.get(&stream).is_some_and(|node| !node.special)
            && self.ports.values().any(|port| port.node == stream)
            && place(stream, &[], &self.links) == (false, false)
    }

    fn is_only_linked(&self, stream: u32, way: Way, to: Own) -> bool {
        let Some(Some(own)) = self.own.get(&to) else { return false };
        self.links.values().all(|link| match way {
            Way::Playback => link.output != stream || link.input == *own,
            Way::Capture => link.input != stream || link.output == *own,
        })
    }
}

/// Whether some microphone is to carry silence.
fn silences(wanted: &Wanted) -> bool {
    wanted.apps.iter().any(|app| app.silence || (wanted.held() && !app.audio))
}

fn silence(node: &Node) -> Own {
    if node.hears_sink { Own::Nothing } else { Own::Silence }
}

fn is_ours(value: &str) -> bool {
    value.starts_with(PREFIX)
}

/// The name in `{"name": …}`.
fn name_in(value: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(value).ok()?;
    value.get("name")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;
