//! The router with a pretended bus: what is served equals the interface files, for each caller its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::{BTreeMap, HashMap};

use callarbiter_core::{AuthorizationPolicy, Now, Settings, Time};
use callarbiter_dbus::{Dict, names};
use serde::Serialize;
use zbus::{DynamicType, Message, OwnedObjectPath, OwnedVariant, Variant, message::Type};

use super::*;

const UUID: &str = "11111111-2222-4333-8444-555555555555";

/// A bus that knows three users and hands every message straight to the router.
struct Bus {
    router: Router,
    now: Now,
    /// What went to whom since it was last asked.
    delivered: Vec<Message>,
}

impl Bus {
    fn new() -> Bus {
        let mut settings = Settings::default();
        settings.policy.authorization = AuthorizationPolicy::Allow;
        let access = Access { agents_anywhere: true, ..Access::default() };
        let router = Router::new(settings, access, Some("0".repeat(32)));
        Bus { router, now: Now { mono: Time(1_000_000), wall: 1_000_000 }, delivered: Vec::new() }
    }

    /// Connections `:1.1xx` are this process's user, `:1.2xx` somebody else's.
    fn uid(name: &str) -> u32 {
        let own = rustix::process::getuid().as_raw();
        if name.starts_with(":1.1") { own } else { own + 1 }
    }

    fn deliver(&mut self, message: &Message) {
        let mut out = Vec::new();
        self.router.receive(self.now, message, &mut out).unwrap();
        for message in out {
            let header = message.header();
            if header.member().is_some_and(|member| member == "GetConnectionCredentials") {
                let name: String = message.body().deserialize().unwrap();
                let mut credentials =
                    HashMap::from([("UnixUserID", Variant::from(Self::uid(&name)))]);
                if name.starts_with(":1.1") && !name.starts_with(":1.19") {
                    credentials.insert("ProcessID", std::process::id().into());
                }
                let answer = Message::method_return(&header)
                    .sender("org.freedesktop.DBus")
                    .build(&credentials)
                    .unwrap();
                self.deliver(&answer);
            } else {
                self.delivered.push(message.clone());
            }
        }
    }

    fn call<B: Serialize + DynamicType>(
        &mut self,
        sender: &str,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> Message {
        let call = Message::method_call(path, member)
            .interface(interface)
            .sender(sender)
            .destination(names::BUS_NAME)
            .build(body)
            .unwrap();
        self.deliver(&call);
        self.reply_to(&call).expect("there is one reply")
    }

    fn reply_to(&mut self, call: &Message) -> Option<Message> {
        let serial = call.primary_header().serial_num();
        let is_reply = |message: &Message| message.header().reply_serial() == Some(serial);
        let at = self.delivered.iter().position(is_reply)?;
        Some(self.delivered.remove(at))
    }

    fn signals_to(&mut self, name: &str) -> Vec<Message> {
        let mine = |message: &Message| {
            message.message_type() == Type::Signal
                && message.header().destination().is_some_and(|to| to.as_str() == name)
        };
        let (signals, rest) = std::mem::take(&mut self.delivered).into_iter().partition(mine);
        self.delivered = rest;
        signals
    }

    fn asks(&mut self) -> Vec<Message> {
        let is_call = |message: &Message| message.message_type() == Type::MethodCall;
        let (asks, rest) = std::mem::take(&mut self.delivered).into_iter().partition(is_call);
        self.delivered = rest;
        asks
    }

    fn register(&mut self, sender: &str) -> OwnedObjectPath {
        let configuration = HashMap::from([("display-name", Variant::from("Phone"))]);
        let reply = self.call(
            sender,
            names::ROOT_PATH,
            names::MANAGER,
            "RegisterProvider",
            &("org.example.Phone", zbus::ObjectPath::try_from("/app").unwrap(), configuration),
        );
        assert_eq!(error_of(&reply), None);
        reply.body().deserialize::<(OwnedObjectPath, Dict)>().unwrap().0
    }

    fn incoming(&mut self, sender: &str, provider: &str) -> OwnedObjectPath {
        let update = HashMap::from([
            ("remote-handle", Variant::from("tel:+123")),
            ("display-name", Variant::from("Mum")),
        ]);
        let report = (UUID, update);
        let reply = self.call(sender, provider, names::PROVIDER, "ReportIncomingCall", &report);
        assert_eq!(error_of(&reply), None);
        reply.body().deserialize().unwrap()
    }

    fn end(&mut self, sender: &str, provider: &str) {
        let ended = (UUID, "remote-ended", HashMap::<&str, Variant<'_>>::new());
        let reply = self.call(sender, provider, names::PROVIDER, "ReportEnded", &ended);
        assert_eq!(error_of(&reply), None);
    }

    fn get(&mut self, sender: &str, path: &str, interface: &str, name: &str) -> OwnedVariant {
        let reply = self.call(sender, path, publish::PROPERTIES, "Get", &(interface, name));
        assert_eq!(error_of(&reply), None);
        reply.body().deserialize().unwrap()
    }

    fn get_all(&mut self, sender: &str, path: &str, interface: &str) -> Dict {
        let reply = self.call(sender, path, publish::PROPERTIES, "GetAll", &interface);
        assert_eq!(error_of(&reply), None);
        reply.body().deserialize().unwrap()
    }

    fn leave(&mut self, name: &str) {
        let gone =
            Message::signal("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged")
                .sender("org.freedesktop.DBus")
                .build(&(name, name, ""))
                .unwrap();
        self.deliver(&gone);
    }
}

fn error_of(message: &Message) -> Option<String> {
    message.header().error_name().map(|name| name.to_string())
}

fn member(message: &Message) -> String {
    message.header().member().unwrap().to_string()
}

/// Of every interface one object: with a call, its group and a transaction under way.
fn populated(bus: &mut Bus) -> Vec<(String, &'static str)> {
    let provider = bus.register(":1.100");
    let call = bus.incoming(":1.100", provider.as_str());
    let answer = (vec![("Answer", HashMap::from([("call", Variant::from(UUID))]))], no_options());
    let reply = bus.call(":1.101", names::ROOT_PATH, names::MANAGER, "RequestTransaction", &answer);
    assert_eq!(error_of(&reply), None);
    let transaction: OwnedObjectPath = reply.body().deserialize().unwrap();
    let OwnedGroup(group) = OwnedGroup::of(bus, call.as_str());
    vec![
        (names::ROOT_PATH.to_owned(), names::MANAGER),
        (names::ROOT_PATH.to_owned(), names::AUDIO_SESSION),
        (provider.to_string(), names::PROVIDER),
        (call.to_string(), names::CALL),
        (group, names::GROUP),
        (transaction.to_string(), names::TRANSACTION),
    ]
}

/// The group of a call that was answered: the provider says that it is active.
struct OwnedGroup(String);

impl OwnedGroup {
    fn of(bus: &mut Bus, call: &str) -> OwnedGroup {
        let ask = bus.asks().into_iter().find(|ask| member(ask) == "PerformAnswer").unwrap();
        let (request, ..): (String, String, Dict) = ask.body().deserialize().unwrap();
        let provider = bus.get(":1.100", call, names::CALL, "Provider");
        let provider = OwnedObjectPath::try_from(Variant::from(provider)).unwrap();
        let fulfil = (request, no_options());
        bus.call(":1.100", provider.as_str(), names::PROVIDER, "Fulfil", &fulfil);
        let group = bus.get(":1.101", call, names::CALL, "Group");
        OwnedGroup(OwnedObjectPath::try_from(Variant::from(group)).unwrap().to_string())
    }
}

fn no_options() -> HashMap<&'static str, Variant<'static>> {
    HashMap::new()
}

#[test]
fn properties_are_those_of_the_files_with_their_types() {
    let mut bus = Bus::new();
    for (path, interface) in populated(&mut bus) {
        let all = bus.get_all(":1.101", &path, interface);
        let table = &contract::interface(interface).unwrap().properties;
        let served: BTreeMap<&str, String> = all
            .iter()
            .map(|(name, value)| (name.as_str(), value.value_signature().to_string()))
            .collect();
        let expected: BTreeMap<&str, String> =
            table.iter().map(|(name, types)| (*name, types.to_string())).collect();
        assert_eq!(served, expected, "{interface}");
        for (name, types) in table {
            let one = bus.get(":1.101", &path, interface, name);
            assert_eq!(one.value_signature(), types, "{interface}.{name}");
        }
        let unknown =
            bus.call(":1.101", &path, publish::PROPERTIES, "Get", &(interface, "NoSuchThing"));
        assert_eq!(error_of(&unknown).unwrap(), "org.freedesktop.DBus.Error.UnknownProperty");
        let set = (interface, "Revision", Variant::from(7u64));
        let set = bus.call(":1.101", &path, publish::PROPERTIES, "Set", &set);
        assert_eq!(error_of(&set).unwrap(), "org.freedesktop.DBus.Error.PropertyReadOnly");
    }
}

#[test]
fn every_method_of_the_files_is_served_and_no_other() {
    let mut bus = Bus::new();
    for (path, interface) in populated(&mut bus) {
        let methods = &contract::interface(interface).unwrap().methods;
        for (name, types) in methods {
            // Ends what the other methods need.
            if *name == "Unregister" {
                continue;
            }
            let call = |body: &Message| {
                Message::method_call(path.as_str(), *name)
                    .interface(interface)
                    .sender(":1.102")
                    .destination(names::BUS_NAME)
                    .build(&body.body().deserialize::<zbus::Structure<'_>>().unwrap())
            };
            let arguments = empty_body(&types.to_string_no_parens());
            let message = match arguments {
                Some(body) => call(&body).unwrap(),
                None => Message::method_call(path.as_str(), *name)
                    .interface(interface)
                    .sender(":1.102")
                    .build(&())
                    .unwrap(),
            };
            bus.deliver(&message);
            if let Some(error) = bus.reply_to(&message).as_ref().and_then(error_of) {
                assert!(
                    error.starts_with(callarbiter_dbus::errors::PREFIX),
                    "{interface}.{name}: {error}"
                );
            }
            let wrong = bus.call(":1.102", &path, interface, name, &(1u8, 2u8));
            assert_eq!(error_of(&wrong).unwrap(), "org.freedesktop.DBus.Error.InvalidArgs");
        }
        let other = bus.call(":1.101", &path, interface, "NoSuchThing", &());
        assert_eq!(error_of(&other).unwrap(), "org.freedesktop.DBus.Error.UnknownMethod");
    }
}

/// Arguments of these types, all empty; none for a method without.
fn empty_body(types: &str) -> Option<Message> {
    let path = zbus::ObjectPath::default();
    let dict = no_options();
    let entries: Vec<(&str, HashMap<&str, Variant<'_>>)> = Vec::new();
    let call = Message::method_call("/", "X");
    let texts: Vec<&str> = Vec::new();
    Some(
        match types {
            "" => return None,
            "a{sv}" => call.build(&(dict,)),
            "s" => call.build(&("",)),
            "b" => call.build(&(false,)),
            "o" => call.build(&(path,)),
            "soa{sv}" => call.build(&("", path, dict)),
            "oasa{sv}" => call.build(&(path, texts, dict)),
            "a(sa{sv})a{sv}" => call.build(&(entries, dict)),
            "sa{sv}" => call.build(&("", dict)),
            "ba{sv}" => call.build(&(false, dict)),
            "sssa{sv}" => call.build(&("", "", "", dict)),
            "ssa{sv}" => call.build(&("", "", dict)),
            "sss" => call.build(&("", "", "")),
            "su" => call.build(&("", 0u32)),
            other => panic!("a new signature: {other}"),
        }
        .unwrap(),
    )
}

#[test]
fn another_user_sees_nothing() {
    let mut bus = Bus::new();
    for (path, interface) in populated(&mut bus) {
        if path == names::ROOT_PATH {
            continue;
        }
        for (standard, name) in
            [(publish::PROPERTIES, "GetAll"), ("org.freedesktop.DBus.Introspectable", "Introspect")]
        {
            let reply = match name {
                "GetAll" => bus.call(":1.200", &path, standard, name, &interface),
                _ => bus.call(":1.200", &path, standard, name, &()),
            };
            assert_eq!(error_of(&reply).unwrap(), "org.freedesktop.DBus.Error.UnknownObject");
        }
    }
    let reply = bus.call(":1.200", names::ROOT_PATH, names::MANAGER, "Subscribe", &no_options());
    let (revision, objects): (u64, HashMap<OwnedObjectPath, HashMap<String, Dict>>) =
        reply.body().deserialize().unwrap();
    assert_eq!((revision, objects.len()), (0, 1));
    assert!(bus.signals_to(":1.200").is_empty());
}

#[test]
fn a_subscriber_counts_every_change() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    let reply = bus.call(":1.101", names::ROOT_PATH, names::MANAGER, "Subscribe", &no_options());
    let (mut revision, _): (u64, HashMap<OwnedObjectPath, HashMap<String, Dict>>) =
        reply.body().deserialize().unwrap();
    let call = bus.incoming(":1.100", provider.as_str());
    bus.end(":1.100", provider.as_str());
    let signals = bus.signals_to(":1.101");
    let mut seen = Vec::new();
    for signal in &signals {
        revision += 1;
        let member = member(signal);
        let body = signal.body();
        match member.as_str() {
            "PropertiesChanged" => {
                let (_, changed, _): (String, Dict, Vec<String>) = body.deserialize().unwrap();
                assert_eq!(changed["Revision"], Variant::from(revision).try_into().unwrap());
            }
            "Transition" => {
                let (.., number): (String, String, String, u64) = body.deserialize().unwrap();
                assert_eq!(number, revision);
            }
            _ => {}
        }
        seen.push(member);
    }
    assert_eq!(seen.first().unwrap(), "InterfacesAdded");
    assert_eq!(seen.last().unwrap(), "InterfacesRemoved");
    let reply = bus.call(":1.101", names::ROOT_PATH, names::MANAGER, "Subscribe", &no_options());
    let (now, objects): (u64, HashMap<OwnedObjectPath, HashMap<String, Dict>>) =
        reply.body().deserialize().unwrap();
    assert_eq!(now, revision);
    assert!(!objects.contains_key(&call));
    let late = bus.call(":1.101", call.as_str(), names::CALL, "Hold", &());
    assert_eq!(error_of(&late).unwrap(), "org.callarbiter.Calls1.Error.AlreadyEnded");
}

#[test]
fn an_app_behind_a_wall_sees_that_there_is_a_call_and_not_with_whom() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    // Without a pid nothing proves that it is not sandboxed.
    let reply = bus.call(":1.190", names::ROOT_PATH, names::MANAGER, "Subscribe", &no_options());
    assert_eq!(error_of(&reply), None);
    bus.call(":1.101", names::ROOT_PATH, names::MANAGER, "Subscribe", &no_options());
    let call = bus.incoming(":1.100", provider.as_str());
    for (reader, name) in [(":1.101", "Mum"), (":1.190", "")] {
        let added = bus.signals_to(reader).into_iter().next().unwrap();
        let (_, interfaces): (OwnedObjectPath, HashMap<String, Dict>) =
            added.body().deserialize().unwrap();
        let shown = &interfaces[names::CALL];
        assert_eq!(shown["DisplayName"], Variant::from(name).try_into().unwrap());
        assert_eq!(
            bus.get_all(reader, call.as_str(), names::CALL)["DisplayName"],
            shown["DisplayName"]
        );
    }
}

#[test]
fn a_verb_replies_when_it_is_performed() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    let call = bus.incoming(":1.100", provider.as_str());
    let answer = Message::method_call(call.as_str(), "Answer")
        .sender(":1.101")
        .build(&(no_options(),))
        .unwrap();
    bus.deliver(&answer);
    assert!(bus.reply_to(&answer).is_none(), "the provider has not said it yet");
    let ask = bus.asks().remove(0);
    assert_eq!(member(&ask), "PerformAnswer");
    let (request, ..): (String, String, Dict) = ask.body().deserialize().unwrap();
    let fulfil = (request, no_options());
    bus.call(":1.100", provider.as_str(), names::PROVIDER, "Fulfil", &fulfil);
    assert_eq!(error_of(&bus.reply_to(&answer).unwrap()), None);
}

#[test]
fn a_tree_can_be_walked_and_a_caller_who_leaves_is_forgotten() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    bus.incoming(":1.100", provider.as_str());
    let introspectable = "org.freedesktop.DBus.Introspectable";
    for (path, child) in [("/", "org"), ("/org/callarbiter", "Calls1"), (names::ROOT_PATH, "call")]
    {
        let reply = bus.call(":1.101", path, introspectable, "Introspect", &());
        let xml: String = reply.body().deserialize().unwrap();
        assert!(xml.contains(&format!("<node name=\"{child}\"/>")), "{xml}");
    }
    bus.leave(":1.101");
    bus.leave(":1.100");
    let attached = bus.get(":1.102", provider.as_str(), names::PROVIDER, "Attached");
    assert_eq!(attached, Variant::from(false).try_into().unwrap());
}

#[test]
fn too_large_and_unwanted_replies() {
    let mut bus = Bus::new();
    let large = vec![0u8; callarbiter_dbus::limits::BODY_BYTES + 1];
    let reply = bus.call(":1.101", "/", publish::PEER, "Ping", &large);
    assert_eq!(error_of(&reply).unwrap(), "org.callarbiter.Calls1.Error.LimitExceeded");
    let silent = Message::method_call("/", "Ping")
        .interface(publish::PEER)
        .sender(":1.101")
        .with_flags(zbus::message::Flags::NO_REPLY_EXPECTED)
        .build(&())
        .unwrap();
    bus.deliver(&silent);
    assert!(bus.reply_to(&silent).is_none());
}
