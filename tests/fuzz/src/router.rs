//! Messages from bytes, through the router, over a bus that is pretended: whatever connections send, each
//! call gets one reply, every error is typed, nobody who has left is written to, and numbers only grow.
//!
//! Owns that bus. Bodies are of the types that the contract says, of others, and of none that can be read.

mod messages;
mod restart;

use std::collections::{BTreeSet, HashMap};

use callarbiter_core::{AuthorizationPolicy, Emergency, Millis, Now, Settings, Time};
use callarbiter_dbus::names;
use callarbiter_wire::{Outgoing, Received};
use callarbiterd::bus::{Access, Permissions, Router};
use zbus::{Message, Signature, Variant, message::Flags, message::Type};

use messages::{methods, parsed, raw, revision, signature, typed};
use restart::Records;

use crate::{
    bytes::Bytes,
    values::{self, Known},
};

const BUS: &str = "org.freedesktop.DBus";
/// Messages of one input at most.
const MESSAGES: usize = 64;

/// Connections, the user of each, and whether it is known to be outside of a sandbox.
const PEOPLE: &[(&str, u32, bool)] =
    &[(":1.10", 1000, true), (":1.11", 1000, true), (":1.12", 1000, false), (":1.20", 1001, true)];
/// Reads nothing, so it need not be answered.
const DEAF: &str = ":1.12";

/// One history of messages.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut bus = Bus::new(bytes.byte());
    bus.store();
    for _ in 0..MESSAGES {
        if bytes.is_empty() {
            break;
        }
        bus.step(&mut bytes);
    }
    bus.rest();
}

/// How an administrator may have set it up.
struct Rules(u8);

impl Rules {
    fn router(&self, now: Now) -> Router {
        let mut settings = Settings::default();
        if !self.0.is_multiple_of(8) {
            settings.policy.authorization = AuthorizationPolicy::Allow;
        }
        settings.policy.emergency =
            Emergency { handles: vec!["112".into()], providers: vec!["org.example.Phone".into()] };
        let access = Access { agents_anywhere: !self.0.is_multiple_of(4), ..Access::default() };
        let permissions = self.0.is_multiple_of(3).then(Permissions::default);
        let mut router = Router::new(settings, access, permissions, Some("0".repeat(32)));
        router.begin_on("a bus".to_owned(), now);
        router
    }

    /// Polkit says something.
    fn answers(&self) -> bool {
        self.0.is_multiple_of(2)
    }
}

struct Bus {
    router: Router,
    rules: Rules,
    /// What outlives it.
    stored: Records,
    now: Now,
    known: Known,
    /// Calls that want a reply and have none: their serials and senders.
    open: Vec<(u32, &'static str)>,
    here: BTreeSet<&'static str>,
    revisions: HashMap<&'static str, u64>,
    last: Option<Message>,
    serial: u32,
    /// Something came that a bus would not have let through; errors may quote it.
    broken: bool,
}

impl Bus {
    fn new(rules: u8) -> Bus {
        let rules = Rules(rules);
        let now = Now { mono: Time(1_000_000), wall: 1_700_000_000_000_000 };
        Bus {
            router: rules.router(now),
            stored: Records::new(),
            rules,
            now,
            known: Known::default(),
            open: Vec::new(),
            here: PEOPLE.iter().map(|(name, ..)| *name).collect(),
            revisions: HashMap::new(),
            last: None,
            serial: 1_000_000,
            broken: false,
        }
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() {
            0..144 => self.call(bytes),
            144..184 => self.word(bytes),
            184..208 => {
                let ms = bytes.pick(&[0, 1, 50, 1000, 2500, 5000, 10_000, 20_000, 60_000, 600_000]);
                self.pass(ms);
            }
            208..215 => self.leave(bytes),
            215..232 => self.damaged(bytes),
            232..240 => self.forged(bytes),
            240..248 => self.restart(bytes),
            _ => {
                let sender = bytes.pick(PEOPLE).0;
                let of = names::MANAGER;
                self.send(sender, bytes, names::ROOT_PATH, of, "Subscribe", &signature("a{sv}"));
            }
        }
    }

    /// A method of the contract, on some object.
    fn call(&mut self, bytes: &mut Bytes<'_>) {
        let sender = bytes.pick(PEOPLE).0;
        let methods = methods();
        let (interface, member, types) = &methods[bytes.below(methods.len())];
        let fitting: Vec<String> = {
            let part = match interface.rsplit('.').next() {
                Some("Provider") => "/provider/",
                Some("Call") => "/call/",
                Some("Group") => "/group/",
                Some("Transaction") => "/transaction/",
                _ => "",
            };
            self.known.paths.iter().filter(|p| p.contains(part)).cloned().collect()
        };
        let root = !matches!(&**interface, names::PROVIDER | names::CALL | names::TRANSACTION);
        let path = match fitting.get(bytes.below(fitting.len().max(1))) {
            Some(path) if !root => path.clone(),
            _ if bytes.one_in(10) => values::text(bytes, &self.known),
            _ => names::ROOT_PATH.to_owned(),
        };
        let odd = bytes.one_in(24);
        let types = if odd { &methods[bytes.below(methods.len())].2 } else { types };
        self.send(sender, bytes, &path, interface, member, types);
    }

    fn send(
        &mut self,
        sender: &'static str,
        bytes: &mut Bytes<'_>,
        path: &str,
        interface: &str,
        member: &str,
        types: &Signature,
    ) {
        if !self.here.contains(sender) {
            return;
        }
        let Ok(_) = zbus::ObjectPath::try_from(path) else { return };
        self.serial += 1;
        let quiet = bytes.one_in(16);
        let call = Message::method_call(path, member).sender(sender).destination(names::BUS_NAME);
        let call = if bytes.one_in(32) { call } else { call.interface(interface) };
        let call = if quiet { call.with_flags(Flags::NO_REPLY_EXPECTED) } else { call };
        let call = call.serial(self.serial.try_into().unwrap());
        let built = if bytes.one_in(24) {
            raw(call, bytes, types)
        } else {
            match values::body(types, bytes, &self.known) {
                Some(body) => call.build(&body),
                None => call.build(&()),
            }
        };
        if let Ok(call) = built {
            if !quiet {
                self.open.push((self.serial, sender));
            }
            self.deliver(&call);
            self.last = Some(call);
        }
    }

    /// An app answers, or says something that fits.
    fn word(&mut self, bytes: &mut Bytes<'_>) {
        let providers: Vec<String> =
            self.known.paths.iter().filter(|p| p.contains("/provider/")).cloned().collect();
        let Some(path) = providers.get(bytes.below(providers.len().max(1))) else {
            let sender = bytes.pick(PEOPLE).0;
            let of = names::MANAGER;
            let types = signature("(soa{sv})");
            return self.send(sender, bytes, names::ROOT_PATH, of, "RegisterProvider", &types);
        };
        let sender = bytes.pick(PEOPLE).0;
        let request = self.known.requests.get(bytes.below(self.known.requests.len().max(1)));
        let request = request.cloned().unwrap_or_default();
        let none = HashMap::<&str, Variant<'_>>::new();
        let handle = HashMap::from([("remote-handle", Variant::from("sip:rabbit@example.org"))]);
        let call = |member: &'static str| {
            Message::method_call(&**path, member)
                .sender(sender)
                .destination(names::BUS_NAME)
                .interface(names::PROVIDER)
        };
        self.serial += 1;
        let serial = self.serial.try_into().unwrap();
        let uuid = values::uuid(bytes);
        let built = match bytes.below(7) {
            0..3 => call("Fulfil").serial(serial).build(&(request, none)),
            3 => call("Fail").serial(serial).build(&(request, "org.example.Error.No", "no")),
            4 => call("ReportIncomingCall").serial(serial).build(&(uuid, handle)),
            5 => {
                let state = bytes.pick(&["alerting", "active", "held"]);
                call("ReportState").serial(serial).build(&(uuid, state, none))
            }
            _ => call("ReportEnded").serial(serial).build(&(uuid, "remote-ended", none)),
        };
        if !self.here.contains(sender) {
            return;
        }
        let call = built.unwrap();
        self.open.push((self.serial, sender));
        self.deliver(&call);
        self.last = Some(call);
    }

    /// The last message again, with wrong bytes in it: what zbus still takes for a message.
    fn damaged(&mut self, bytes: &mut Bytes<'_>) {
        let Some(last) = &self.last else { return };
        let mut copy = last.data().bytes().to_vec();
        for _ in 0..1 + bytes.below(4) {
            let at = bytes.below(copy.len());
            copy[at] = bytes.byte();
        }
        let context = last.data().context();
        let data = zbus::wire::serialized::Data::new(copy, context);
        let Some(message) = parsed(data) else { return };
        let header = message.header();
        let Some(sender) = header.sender().and_then(|sender| known(sender.as_str())) else {
            return;
        };
        // The bus says who sends; only the living do.
        if !self.here.contains(sender) {
            return;
        }
        let serial = message.primary_header().serial_num().get();
        let wanted = !message.primary_header().flags().contains(Flags::NO_REPLY_EXPECTED);
        if message.message_type() == Type::MethodCall && wanted {
            self.open.push((serial, sender));
        }
        self.broken = true;
        self.deliver(&message);
    }

    /// Replies to what nobody asked, and signals in the bus's name.
    fn forged(&mut self, bytes: &mut Bytes<'_>) {
        let Some(last) = &self.last else { return };
        let sender = bytes.pick(PEOPLE).0;
        let serial = (1 + bytes.number() as u32 % 64).try_into().ok();
        let header = last.header();
        let message = match bytes.below(4) {
            0 => Message::method_return(&header).sender(sender).reply_serial(serial).build(&()),
            1 => Message::error(&header, "org.example.Error.No").sender(sender).build(&"no"),
            2 => Message::signal("/org/freedesktop/DBus", BUS, "NameOwnerChanged")
                .sender(sender)
                .build(&(":1.10", ":1.10", "")),
            _ => Message::signal("/org/freedesktop/DBus", BUS, "NameLost")
                .sender(sender)
                .build(&names::BUS_NAME),
        };
        let message = message.unwrap();
        if self.here.contains(sender) {
            self.deliver(&message);
        }
    }

    fn leave(&mut self, bytes: &mut Bytes<'_>) {
        // The first stays, so that something always goes on.
        let (name, ..) = PEOPLE[1 + bytes.below(PEOPLE.len() - 1)];
        if !self.here.remove(name) {
            return;
        }
        self.open.retain(|(_, sender)| *sender != name);
        let gone = Message::signal("/org/freedesktop/DBus", BUS, "NameOwnerChanged")
            .sender(BUS)
            .build(&(name, name, ""))
            .unwrap();
        self.deliver(&gone);
    }

    fn pass(&mut self, ms: u32) {
        let end = self.now.mono + Millis(ms);
        for _ in 0..10_000 {
            let Some(at) = self.router.next_deadline().filter(|at| *at <= end) else { break };
            self.move_to(at.max(self.now.mono));
            self.tick();
            let next = self.router.next_deadline();
            assert!(next.is_none_or(|next| next > at), "a deadline that stays: {at:?} {next:?}");
        }
        self.move_to(end);
        self.tick();
    }

    fn move_to(&mut self, at: Time) {
        self.now.wall += at.0 - self.now.mono.0;
        self.now.mono = at;
    }

    fn tick(&mut self) {
        let mut out = Vec::new();
        self.router.tick(self.now, &mut out);
        self.sent_and_later(out);
    }

    fn deliver(&mut self, message: &Message) {
        let mut out = Vec::new();
        let bytes = message.data().bytes().to_vec();
        let came = Received::new(bytes, &mut Vec::new()).expect("it is a message");
        self.router.receive(self.now, &came, &mut out).expect("the name is still ours");
        self.sent_and_later(out);
    }

    /// Nothing else is there to be heard.
    fn sent_and_later(&mut self, mut out: Vec<Outgoing>) {
        while self.router.hears_later() {
            self.router.hear_later(self.now, &mut out);
        }
        self.sent(out);
    }

    /// What the router sends reaches whom it is for.
    fn sent(&mut self, out: Vec<Outgoing>) {
        self.store();
        for message in out {
            let message = message.read().expect("what is sent is a message");
            if let Some(answer) = self.taken(&message) {
                self.deliver(&answer);
            }
        }
    }

    /// Checks one message; the answer, if its receiver has one at once.
    fn taken(&mut self, message: &Message) -> Option<Message> {
        message.body().validate().unwrap_or_else(|e| panic!("{message:?} cannot be read: {e}"));
        let header = message.header();
        let to = header.destination().expect("nothing is broadcast").to_string();
        let of = header.member().map(|member| member.to_string()).unwrap_or_default();
        match message.message_type() {
            Type::MethodCall if to == BUS => Some(self.credentials(message)),
            Type::MethodCall if !to.starts_with(':') => self.rules.answers().then(|| {
                let details = HashMap::<&str, &str>::new();
                let granted = ((true, false, details),);
                Message::method_return(&header).sender(":1.5").build(&granted).unwrap()
            }),
            Type::MethodCall => {
                let to = self.living(&to, message);
                if of == "Ping" {
                    let answers = to != DEAF;
                    return answers
                        .then(|| Message::method_return(&header).sender(to).build(&()).unwrap());
                }
                let body = message.body();
                let arguments = body.deserialize::<zbus::Structure<'_>>().ok()?;
                if let Some(Variant::Str(request)) = arguments.fields().first()
                    && of != "AuthorizationSet"
                {
                    self.known.requests.push(request.to_string());
                }
                None
            }
            Type::Signal => {
                let to = self.living(&to, message);
                if let Some(revision) = revision(message, &of) {
                    let last = self.revisions.entry(to).or_default();
                    assert!(*last < revision, "{of} is {revision} after {last}");
                    *last = revision;
                }
                None
            }
            Type::MethodReturn | Type::Error => {
                let to = self.living(&to, message);
                let serial = header.reply_serial().expect("a reply to something").get();
                let asked = self.open.iter().position(|open| *open == (serial, to));
                let asked = asked.unwrap_or_else(|| panic!("nobody waits for {message:?}"));
                self.open.remove(asked);
                if let Some(error) = header.error_name() {
                    typed(error.as_str(), message, self.broken);
                } else {
                    self.learn(message);
                }
                None
            }
        }
    }

    fn living(&self, name: &str, message: &Message) -> &'static str {
        let found = self.here.get(name);
        found.unwrap_or_else(|| panic!("{message:?} for somebody who has left"))
    }

    /// Objects that can be named from now on.
    fn learn(&mut self, reply: &Message) {
        let body = reply.body();
        let types = body.signature().to_string_no_parens();
        let path = if types == "o" {
            body.deserialize::<zbus::OwnedObjectPath>().ok()
        } else if types.starts_with("oa") {
            let registered = body.deserialize::<zbus::Structure<'_>>().ok();
            registered.and_then(|all| match all.fields().first() {
                Some(Variant::ObjectPath(path)) => Some(path.to_owned().into()),
                _ => None,
            })
        } else {
            None
        };
        if let Some(path) = path.map(|path| path.to_string())
            && !self.known.paths.contains(&path)
        {
            self.known.paths.push(path);
        }
    }

    fn credentials(&self, question: &Message) -> Message {
        let name: String = question.body().deserialize().unwrap();
        let (_, uid, plain) = PEOPLE.iter().find(|(known, ..)| *known == name).unwrap();
        let mut credentials = HashMap::from([("UnixUserID", Variant::from(*uid))]);
        if *plain {
            credentials.insert("ProcessID", std::process::id().into());
        }
        let answer = Message::method_return(&question.header()).sender(BUS);
        answer.build(&credentials).unwrap()
    }

    /// In time every call has its reply and nothing is left to wait for.
    fn rest(&mut self) {
        self.pass(4 * 3_600_000);
        assert_eq!(self.router.next_deadline(), None, "it waits for ever");
        self.open.retain(|(_, sender)| *sender != DEAF);
        assert!(self.open.is_empty(), "calls without a reply: {:?}", self.open);
    }
}

fn known(name: &str) -> Option<&'static str> {
    PEOPLE.iter().map(|(known, ..)| *known).find(|known| *known == name)
}
