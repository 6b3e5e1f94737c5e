//! The words of logind, and of the bus about it: what is asked, and what an answer says.
//!
//! Owns their spelling and their types. Whatever has other types, or is larger than it can be, says
//! nothing: `None`.

use std::{collections::HashMap, sync::Arc};

use callarbiter_core::Uid;
use zbus::{
    Message, ObjectPath, OwnedFd, OwnedObjectPath, OwnedVariant, Variant,
    message::{Flags, Type},
};

/// Its name on the bus.
pub const NAME: &str = "org.freedesktop.login1";

/// Who runs it.
pub const ROOT_USER: u32 = 0;

const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";
const SESSIONS: &str = "/org/freedesktop/login1/session/";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const BUS: &str = "org.freedesktop.DBus";

/// A list of a thousand sessions has half of it.
const BYTES: usize = 256 * 1024;

/// logind's own bound for the id of a seat is far below.
const SEAT_BYTES: usize = 255;

/// A session, as far as it matters.
#[derive(Debug, PartialEq)]
pub struct Session {
    /// Whose.
    pub uid: Uid,
    /// Where; remote ones have no seat.
    pub seat: Option<Arc<str>>,
    /// It is what its seat shows.
    pub active: bool,
    /// Somebody works in it: no greeter, no lock screen, no service.
    pub of_a_person: bool,
    /// Nobody sees what is on its screen.
    pub locked: bool,
}

/// What it says by itself.
#[derive(Debug, PartialEq)]
pub enum Signal {
    /// There is a new session here, or this one is different.
    SessionChanged(String),
    /// It is gone.
    SessionRemoved(String),
    /// The machine is about to sleep, or awake.
    PrepareForSleep(bool),
}

/// The rules by which the bus passes its signals on.
pub fn rules() -> Vec<Message> {
    let manager = format!("type='signal',sender='{NAME}',interface='{MANAGER}'");
    let sessions =
        format!("type='signal',sender='{NAME}',interface='{PROPERTIES}',arg0='{SESSION}'");
    let rule = |rule: &String| {
        let add = bus("AddMatch").map(|call| call.with_flags(Flags::NO_REPLY_EXPECTED));
        add?.build(rule)
    };
    [manager, sessions].iter().filter_map(|text| rule(text).ok()).collect()
}

/// Who is it?
pub fn owner() -> zbus::Result<Message> {
    bus("GetNameOwner")?.build(&NAME)
}

/// Who runs this connection?
pub fn user(owner: &str) -> zbus::Result<Message> {
    bus("GetConnectionUnixUser")?.build(&owner)
}

/// Which sessions are there?
pub fn list_sessions(owner: &str) -> zbus::Result<Message> {
    call(owner, PATH, MANAGER, "ListSessions")?.build(&())
}

/// What is this session like? None: it is not where sessions are.
pub fn read_session(owner: &str, path: &str) -> Option<Message> {
    call(owner, path, PROPERTIES, "GetAll").ok()?.build(&SESSION).ok()
}

/// Is the machine about to sleep?
pub fn is_preparing(owner: &str) -> zbus::Result<Message> {
    call(owner, PATH, PROPERTIES, "Get")?.build(&(MANAGER, "PreparingForSleep"))
}

/// May sleep wait for us?
pub fn inhibit(owner: &str) -> zbus::Result<Message> {
    let (what, who, why, mode) =
        ("sleep", "Callarbiter", "Calls are held before the machine sleeps", "delay");
    call(owner, PATH, MANAGER, "Inhibit")?.build(&(what, who, why, mode))
}

/// What a signal says.
pub fn signal(message: &Message) -> Option<Signal> {
    let header = message.header();
    let (of, member) = (header.interface()?.as_str(), header.member()?.as_str());
    let path = header.path()?.as_str();
    let body = body(message)?;
    match (of, member) {
        (MANAGER, "SessionNew" | "SessionRemoved") if path == PATH => {
            let (_, session): (&str, ObjectPath<'_>) = body.deserialize().ok()?;
            let session = Some(session.to_string()).filter(|path| path.starts_with(SESSIONS))?;
            Some(match member {
                "SessionNew" => Signal::SessionChanged(session),
                _ => Signal::SessionRemoved(session),
            })
        }
        (MANAGER, "PrepareForSleep") if path == PATH => {
            body.deserialize().ok().map(Signal::PrepareForSleep)
        }
        (PROPERTIES, "PropertiesChanged") if path.starts_with(SESSIONS) => {
            Some(Signal::SessionChanged(path.to_owned()))
        }
        _ => None,
    }
}

/// A reply that is a text.
pub fn text(answer: &Message) -> Option<String> {
    reply(answer)?.deserialize().ok()
}

/// A reply that is a number.
pub fn number(answer: &Message) -> Option<u32> {
    reply(answer)?.deserialize().ok()
}

/// A property that is true or false.
pub fn truth(answer: &Message) -> Option<bool> {
    match &*reply(answer)?.deserialize::<OwnedVariant>().ok()? {
        Variant::Bool(truth) => Some(*truth),
        _ => None,
    }
}

/// The paths of all sessions.
pub fn sessions(answer: &Message) -> Option<Vec<String>> {
    let body = reply(answer)?;
    let sessions: Vec<(String, u32, String, String, OwnedObjectPath)> = body.deserialize().ok()?;
    let paths = sessions.into_iter().map(|(.., path)| path.to_string());
    Some(paths.filter(|path| path.starts_with(SESSIONS)).collect())
}

/// One session. None as well if it is about to be gone: what is left of it has nobody in front.
pub fn session(answer: &Message) -> Option<Session> {
    let properties: HashMap<String, OwnedVariant> = reply(answer)?.deserialize().ok()?;
    let property = |name: &str| properties.get(name).map(|value| &**value);
    let text = |name: &str| match property(name) {
        Some(Variant::Str(text)) => Some(text.as_str()),
        _ => None,
    };
    let first = |name: &str| match property(name) {
        Some(Variant::Structure(fields)) => fields.fields().first(),
        _ => None,
    };
    let uid = match first("User")? {
        Variant::U32(uid) => Uid(*uid),
        _ => return None,
    };
    let seat = match first("Seat")? {
        Variant::Str(seat) if seat.len() <= SEAT_BYTES => seat.as_str(),
        _ => return None,
    };
    let active = matches!(property("Active")?, Variant::Bool(true));
    let class = text("Class")?;
    let of_a_person = class == "user" || class.starts_with("user-");
    let locked = matches!(property("LockedHint"), Some(Variant::Bool(true)));
    if text("State")? == "closing" {
        return None;
    }
    let seat = Some(seat).filter(|seat| !seat.is_empty()).map(Arc::from);
    Some(Session { uid, seat, active, of_a_person, locked })
}

/// The lock: it lasts until it is closed.
pub fn lock(answer: &Message) -> Option<OwnedFd> {
    reply(answer)?.deserialize().ok()
}

fn reply(answer: &Message) -> Option<zbus::message::Body> {
    (answer.message_type() == Type::MethodReturn).then(|| body(answer)).flatten()
}

fn body(message: &Message) -> Option<zbus::message::Body> {
    Some(message.body()).filter(|body| body.len() <= BYTES)
}

fn bus(member: &'static str) -> zbus::Result<zbus::message::Builder<'static>> {
    call(BUS, "/org/freedesktop/DBus", BUS, member)
}

fn call<'m>(
    destination: &'m str,
    path: &'m str,
    interface: &'m str,
    member: &'m str,
) -> zbus::Result<zbus::message::Builder<'m>> {
    let path = ObjectPath::try_from(path)?;
    let destination = zbus::names::BusName::try_from(destination)?;
    Ok(Message::method_call(path, member).destination(destination).interface(interface))
}
