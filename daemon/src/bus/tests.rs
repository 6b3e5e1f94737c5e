//! The router with a pretended bus. Owns the bus; what is tried on it is in the files below.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::{
    collections::{BTreeMap, HashMap},
    os::fd::AsFd,
};

use callarbiter_core::{AuthorizationPolicy, Now, Settings, Time};
use callarbiter_dbus::{Dict, names};
use callarbiter_wire::{Outgoing, Received};
use serde::Serialize;
use zbus::{DynamicType, Message, OwnedObjectPath, OwnedVariant, Variant, message::Type};

use super::*;

mod identities;
mod later;
mod permissions;
mod presets;
mod records;
mod replies;
mod restarts;
mod served;

const UUID: &str = "11111111-2222-4333-8444-555555555555";

/// A message as it comes over the line.
pub(super) fn received(message: &Message) -> Received {
    let files = message.data().fds().iter().map(|file| file.as_fd().try_clone_to_owned().unwrap());
    Received::new(message.data().bytes().to_vec(), &mut files.collect()).unwrap()
}

/// A bus that knows three users and hands every message straight to the router.
struct Bus {
    router: Router,
    now: Now,
    /// What went to whom since it was last asked.
    delivered: Vec<Message>,
}

impl Bus {
    fn new() -> Bus {
        let router = Bus::router(None);
        Bus { router, now: Now { mono: Time(1_000_000), wall: 1_000_000 }, delivered: Vec::new() }
    }

    fn router(permissions: Option<Permissions>) -> Router {
        let mut settings = Settings::default();
        settings.policy.authorization = AuthorizationPolicy::Allow;
        // Higher than the bounds of the shell, which are tested here.
        settings.limits.requests_per_call = 1000;
        settings.limits.transactions = 1000;
        let access = Access { agents_anywhere: true, ..Access::default() };
        Router::new(settings, access, permissions, Some("0".repeat(32)))
    }

    /// Connections `:1.1…` are this process's user, `:1.2…` somebody else's; of `:1.19…` and `:1.2…` no
    /// process is known, so they are behind a wall.
    fn uid(name: &str) -> u32 {
        let own = rustix::process::getuid().as_raw();
        if name.starts_with(":1.1") { own } else { own + 1 }
    }

    fn deliver(&mut self, message: &Message) {
        let mut out = Vec::new();
        self.router.receive(self.now, &received(message), &mut out).unwrap();
        self.hear_later(&mut out);
        self.deliver_all(out);
    }

    fn hear_later(&mut self, out: &mut Vec<Outgoing>) {
        while self.router.hears_later() {
            self.router.hear_later(self.now, out);
        }
    }

    fn deliver_all(&mut self, out: Vec<Outgoing>) {
        for message in out {
            let message = message.read().unwrap();
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

    /// `:1.100` does what it was asked last under this name.
    fn fulfil(&mut self, provider: &str, ask: &str) {
        let ask = self.asks().into_iter().find(|message| member(message) == ask).unwrap();
        let (request, ..): (String, String, Dict) = ask.body().deserialize().unwrap();
        let fulfil = (request, no_options());
        let reply = self.call(":1.100", provider, names::PROVIDER, "Fulfil", &fulfil);
        assert_eq!(error_of(&reply), None);
    }

    fn wait(&mut self, seconds: u32) {
        self.now.mono = self.now.mono + callarbiter_core::Millis::secs(seconds);
        let mut out = Vec::new();
        self.router.tick(self.now, &mut out);
        self.hear_later(&mut out);
        self.delivered.extend(out.iter().map(|message| message.read().unwrap()));
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
    let group = answered(bus, provider.as_str(), call.as_str());
    vec![
        (names::ROOT_PATH.to_owned(), names::MANAGER),
        (names::ROOT_PATH.to_owned(), names::AUDIO_SESSION),
        (provider.to_string(), names::PROVIDER),
        (call.to_string(), names::CALL),
        (group, names::GROUP),
        (transaction.to_string(), names::TRANSACTION),
    ]
}

/// The provider answers as it is asked to; the group in which the call is then.
fn answered(bus: &mut Bus, provider: &str, call: &str) -> String {
    bus.fulfil(provider, "PerformAnswer");
    let group = bus.get(":1.101", call, names::CALL, "Group");
    OwnedObjectPath::try_from(Variant::from(group)).unwrap().to_string()
}

fn no_options() -> HashMap<&'static str, Variant<'static>> {
    HashMap::new()
}
