//! The proxies speak the interface files: a peer that knows nothing but the XML answers them.
//!
//! Every method call's body must have the XML's signature, and every reply, property and signal made
//! from the XML's types must be understood. No proxy may ask for all properties, which would subscribe.

use std::{
    collections::BTreeSet,
    fs::File,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::files::{Interface, Member, interfaces};
use callarbiter_dbus::{Dict, Entries, names, proxies};
use futures_util::StreamExt;
use zbus::{
    Array, Connection, Fd, Message, MessageStream, ObjectPath, Signature, Structure, Variant,
    connection::Builder, message::Type, wire::StructureBuilder,
};

/// Who owns the arbiter's name: proxies take signals from it only.
const OWNER: &str = ":1.1";

const DEADLINE: Duration = Duration::from_secs(20);

/// The emptiest value of a type.
fn empty(signature: &Signature) -> Variant<'static> {
    match signature {
        Signature::Bool => false.into(),
        Signature::U32 => 0u32.into(),
        Signature::U64 => 0u64.into(),
        Signature::Str => "".into(),
        Signature::ObjectPath => ObjectPath::from_static_str("/").unwrap().into(),
        Signature::Fd => Fd::from(OwnedFd::from(nothing())).into(),
        Signature::Variant => Variant::Variant(Box::new(false.into())),
        Signature::Array(element) => Array::new(element).into(),
        Signature::Dict { key, value } => zbus::Dict::new(key, value).into(),
        other => panic!("the contract uses no {other}"),
    }
}

/// A file in which nothing is.
fn nothing() -> File {
    File::open("/dev/null").unwrap()
}

/// A message body of these types.
fn empty_body(signature: &str) -> Option<Structure<'static>> {
    let fields = match Signature::try_from(format!("({signature})").as_str()) {
        Ok(Signature::Structure(fields)) if !signature.is_empty() => fields,
        _ => return None,
    };
    let mut body = StructureBuilder::new();
    for field in fields.iter() {
        body.push_value(empty(field));
    }
    Some(body.build().unwrap())
}

/// The side that knows the XML.
struct Peer {
    interfaces: Vec<Interface>,
    seen: Mutex<BTreeSet<String>>,
}

impl Peer {
    fn member(&self, interface: &str, member: &str, kind: &str) -> &Member {
        let known = self.interfaces.iter().find(|i| i.name == interface);
        let interface = known.unwrap_or_else(|| panic!("{interface}.{member} is not in the XML"));
        let found = interface.members.iter().find(|m| m.name == member && m.kind == kind);
        found.unwrap_or_else(|| panic!("{}.{member} is not in the XML", interface.name))
    }

    fn reply(&self, message: &Message) -> Message {
        let header = message.header();
        let interface = header.interface().unwrap().as_str();
        let member = header.member().unwrap().as_str();
        let reply = Message::method_return(&header);
        if interface == "org.freedesktop.DBus" {
            assert_eq!(member, "GetNameOwner");
            return reply.build(&OWNER).unwrap();
        }
        if interface == "org.freedesktop.DBus.Properties" {
            assert_eq!(member, "Get", "reading a property must not subscribe");
            let body = message.body();
            let (interface, property): (&str, &str) = body.deserialize().unwrap();
            let property = self.member(interface, property, "property");
            self.saw(interface, &property.name);
            let signature = Signature::try_from(property.signature.as_str()).unwrap();
            return reply.build(&empty(&signature)).unwrap();
        }
        let method = self.member(interface, member, "method");
        self.saw(interface, member);
        let sent = message.body().signature().to_string_no_parens();
        assert_eq!(sent, method.signature_of(false), "{interface}.{member}");
        match empty_body(&method.signature_of(true)) {
            Some(body) => reply.build(&body).unwrap(),
            None => reply.build(&()).unwrap(),
        }
    }

    fn saw(&self, interface: &str, member: &str) {
        self.seen.lock().unwrap().insert(format!("{interface}.{member}"));
    }

    fn signal(&self, path: &str, interface: &str, name: &str) -> Message {
        let signal = self.member(interface, name, "signal");
        self.saw(interface, name);
        let body = empty_body(&signal.signature_of(false)).unwrap();
        Message::signal(path, interface, name).sender(OWNER).build(&body).unwrap()
    }
}

async fn connect(peer: Arc<Peer>) -> (Connection, Connection, tokio::task::JoinHandle<()>) {
    let (here, there) = UnixStream::pair().unwrap();
    let guid = zbus::Guid::generate();
    let server = Builder::unix_stream(there).server(guid).p2p().build();
    let client = Builder::unix_stream(here).p2p().build();
    let (server, client) = tokio::try_join!(server, client).unwrap();
    let mut messages = MessageStream::from(&server);
    let answering = server.clone();
    let task = tokio::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            if message.message_type() == Type::MethodCall {
                answering.send(&peer.reply(&message)).await.unwrap();
            }
        }
    });
    (client, server, task)
}

async fn call_every_member(client: &Connection) -> zbus::Result<()> {
    let (options, actions) = (Dict::new(), Entries::new());
    let path = ObjectPath::from_static_str("/org/callarbiter/Calls1/call/x")?;

    let manager = proxies::manager(client).await?;
    manager.subscribe(&options).await?;
    manager.unsubscribe().await?;
    manager.register_provider("a", &path, &options).await?;
    manager.register_agent(&path, &["ui"], &options).await?;
    manager.request_transaction(&actions, &options).await?;
    manager.plan_transaction(&actions, &options).await?;
    manager.explain("", &options).await?;
    manager.open_ringtone(&names::provider_path(1), &options).await?;
    manager.record(&options).await?;
    manager.start_call("tel:1", &options).await?;
    manager.set_do_not_disturb(true, &options).await?;
    manager.set_preferences(&options, &[], &options).await?;
    manager.set_authorization("a", "denied").await?;
    manager.list_apps(&options).await?;
    manager.set_apps(&[], &options).await?;
    manager.agent_reply("r", &options).await?;
    manager.set_endpoints(&[], "").await?;
    manager.report_violation(&path, "playback").await?;
    manager.forget_calls(&[], &options).await?;
    let _ = (manager.version().await?, manager.epoch().await?, manager.features().await?);
    let _ = (manager.limits().await?, manager.usage().await?, manager.revision().await?);

    let audio = proxies::audio_session(client).await?;
    audio.select_endpoint("e").await?;
    let _ = (audio.holder().await?, audio.phase().await?, audio.generation().await?);
    let _ = (audio.since().await?, audio.enforced().await?, audio.endpoints().await?);
    let _ = (audio.endpoint().await?, audio.revision().await?);

    let provider = proxies::provider(client, path.clone()).await?;
    provider.report_incoming_call("u", &options).await?;
    provider.report_call("u", "outgoing", "active", &options).await?;
    provider.update_call("u", &options).await?;
    provider.report_state("u", "held", &options).await?;
    provider.report_ended("u", "failed", &options).await?;
    provider.fulfil("r", &options).await?;
    provider.fail("r", "e", "m").await?;
    provider.progress("r", 1).await?;
    provider.update_configuration(&options).await?;
    provider.request_authorization().await?;
    provider.unregister().await?;
    let _ = (provider.app_id().await?, provider.app_id_source().await?, provider.instance().await?);
    let _ = (provider.display_name().await?, provider.authorization().await?);
    let _ = (provider.configuration().await?, provider.attached().await?);
    let _ = (provider.responsive().await?, provider.revision().await?);

    let call = proxies::call(client, path.clone()).await?;
    call.answer(&options).await?;
    call.end(&options).await?;
    call.hold().await?;
    call.unhold().await?;
    call.set_muted(true).await?;
    call.send_dtmf("1").await?;
    call.set_video(true).await?;
    call.join(&path).await?;
    call.leave().await?;
    call.silence().await?;
    let _ =
        (call.id().await?, call.provider().await?, call.app_id().await?, call.direction().await?);
    let _ = (call.state().await?, call.reason().await?, call.remote_handle().await?);
    let _ = (call.display_name().await?, call.has_video().await?, call.muted().await?);
    let _ = (call.name_source().await?, call.contact_id().await?);
    let _ = (call.mute_enforced().await?, call.held_by().await?, call.remote_held().await?);
    let _ = (call.group().await?, call.capabilities().await?, call.waiting().await?);
    let _ = (call.silenced().await?, call.orphaned().await?, call.emergency().await?);
    let _ = (call.encrypted().await?, call.created_at().await?, call.connected_at().await?);
    let _ = (call.ended_at().await?, call.end_reason().await?, call.end_detail().await?);
    let _ = (call.ring_deadline().await?, call.answer_plan().await?, call.revision().await?);

    let apps = proxies::agent_apps(client).await?;
    apps.list().await?;
    apps.set_authorization("a", "denied").await?;
    apps.set_permission("a", "control", "denied").await?;

    let group = proxies::group(client, path.clone()).await?;
    let _ = (group.calls().await?, group.provider().await?, group.state().await?);
    let _ = (group.audio().await?, group.revision().await?);

    let history = proxies::history(client).await?;
    let _ = (history.query(&options).await?, history.erase(&options).await?);
    let _ = (history.favourites().await?, history.last_provider("tel:1").await?);
    let _ = history.explain("1").await?;
    history.add_favourite("tel:1", &options).await?;
    history.remove_favourite("tel:1").await?;

    let lists = proxies::lists(client).await?;
    let _ = (lists.entries(&options).await?, lists.add("block", "tel:1", &options).await?);
    lists.remove("block", "tel:1", &options).await?;
    let _ = (lists.clear("block").await?, lists.look_up("tel:1", &options).await?);
    lists.import(nothing().as_fd().into(), &options).await?;
    lists.export(&options).await?;

    let preferences = proxies::agent_preferences(client).await?;
    let _ = preferences.read().await?;
    preferences.set("ringing", &1u32.into()).await?;
    preferences.unset("ringing").await?;

    let transaction = proxies::transaction(client, path).await?;
    transaction.cancel().await?;
    let _ = (transaction.state().await?, transaction.origin().await?, transaction.actions().await?);
    let _ = (transaction.created_at().await?, transaction.revision().await?);
    Ok(())
}

async fn receive_every_signal(
    client: &Connection,
    server: &Connection,
    peer: &Peer,
) -> zbus::Result<()> {
    let root = names::ROOT_PATH;
    let manager = proxies::manager(client).await?;
    let mut resync = manager.receive_resync_needed().await?;
    let mut role = manager.receive_role_lost().await?;
    let mut free = manager.receive_role_free().await?;
    let mut recorded = manager.receive_recorded().await?;
    let mut notice = manager.receive_notice().await?;
    let path = names::group_path(1);
    let call = proxies::call(client, path.clone()).await?;
    let mut transition = call.receive_transition().await?;
    let transaction = proxies::transaction(client, path.clone()).await?;
    let mut finished = transaction.receive_finished().await?;

    for (at, interface, name) in [
        (root, names::MANAGER, "ResyncNeeded"),
        (root, names::MANAGER, "RoleLost"),
        (root, names::MANAGER, "RoleFree"),
        (root, names::MANAGER, "Recorded"),
        (root, names::MANAGER, "Notice"),
        (path.as_str(), names::CALL, "Transition"),
        (path.as_str(), names::TRANSACTION, "Finished"),
    ] {
        server.send(&peer.signal(at, interface, name)).await?;
    }
    resync.next().await.unwrap().args()?;
    role.next().await.unwrap().args()?;
    free.next().await.unwrap().args()?;
    recorded.next().await.unwrap().args()?;
    notice.next().await.unwrap().args()?;
    transition.next().await.unwrap().args()?;
    finished.next().await.unwrap().args()?;
    Ok(())
}

#[tokio::test]
async fn proxies_and_interface_files_agree() {
    let peer = Arc::new(Peer { interfaces: interfaces(), seen: Mutex::default() });
    let (client, server, task) = connect(peer.clone()).await;
    let talk = async {
        call_every_member(&client).await?;
        receive_every_signal(&client, &server, &peer).await
    };
    tokio::select! {
        result = tokio::time::timeout(DEADLINE, talk) => {
            result.expect("an answer in time").expect("the proxies understand the interface files");
        }
        peer = task => peer.expect("the interface files describe every call"),
    }

    let asked_of_others = [names::PROVIDER_DELEGATE, names::AGENT];
    let served = peer.interfaces.iter().filter(|i| !asked_of_others.contains(&i.name.as_str()));
    let wanted: BTreeSet<String> = served
        .flat_map(|i| i.members.iter().map(|member| format!("{}.{}", i.name, member.name)))
        .collect();
    assert_eq!(*peer.seen.lock().unwrap(), wanted, "every member has its place in a proxy");
}
