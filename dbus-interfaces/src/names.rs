//! Names on the bus: the service, its interfaces, its object paths.
//!
//! Owns the spelling only. Which objects exist, and for whom, the arbiter knows.

use std::fmt;

use uuid::Uuid;
use zbus::{ObjectPath, OwnedObjectPath};

/// The name that the arbiter owns. Signals and delegate calls count only when their sender owns it.
pub const BUS_NAME: &str = "org.callarbiter.Calls1";

/// The root object: [`MANAGER`], [`AUDIO_SESSION`], `org.freedesktop.DBus.ObjectManager`.
pub const ROOT_PATH: &str = "/org/callarbiter/Calls1";

/// The path that stands for "no object", for example the group of a ringing call.
pub const NO_OBJECT: &str = "/";

/// On the root object: registration, transactions, subscription.
pub const MANAGER: &str = "org.callarbiter.Calls1.Manager";
/// On the root object: who has the microphone and the loudspeaker.
pub const AUDIO_SESSION: &str = "org.callarbiter.Calls1.AudioSession";
/// On a provider object.
pub const PROVIDER: &str = "org.callarbiter.Calls1.Provider";
/// On a call object.
pub const CALL: &str = "org.callarbiter.Calls1.Call";
/// On a group object.
pub const GROUP: &str = "org.callarbiter.Calls1.Group";
/// On a transaction object.
pub const TRANSACTION: &str = "org.callarbiter.Calls1.Transaction";
/// On an object of the *app*: the arbiter calls it.
pub const PROVIDER_DELEGATE: &str = "org.callarbiter.Calls1.ProviderDelegate";

/// On an object of an *agent*: the arbiter calls it.
pub const AGENT: &str = "org.callarbiter.Calls1.Agent";

/// The name that the session's agent owns on the *session* bus.
pub const AGENT_BUS_NAME: &str = "org.callarbiter.Agent1";
/// The object of the agent there.
pub const AGENT_PATH: &str = "/org/callarbiter/Agent1";
/// On the agent's object: the calls that are over, and favourites.
pub const AGENT_HISTORY: &str = "org.callarbiter.Agent1.History";
/// On it: which apps may provide calls.
pub const AGENT_APPS: &str = "org.callarbiter.Agent1.Apps";
/// On it: whose calls the user takes.
pub const AGENT_LISTS: &str = "org.callarbiter.Agent1.Lists";
/// On it: what the user wants of calls.
pub const AGENT_PREFERENCES: &str = "org.callarbiter.Agent1.Preferences";

/// The interfaces that the arbiter serves.
pub const SERVED: &[&str] = &[MANAGER, AUDIO_SESSION, PROVIDER, CALL, GROUP, TRANSACTION];

/// An object of the arbiter, named by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Object {
    /// [`ROOT_PATH`].
    Root,
    /// `…/provider/<n>`.
    Provider(u32),
    /// `…/call/<uuid>`.
    Call(CallPath),
    /// `…/group/<n>`.
    Group(u32),
    /// `…/transaction/<n>`.
    Transaction(u32),
}

/// What the path of a call says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallPath {
    /// The id that its provider chose.
    pub uuid: Uuid,
    /// Its provider's number; only where another live call of the user has the same UUID.
    pub provider: Option<u32>,
}

impl Object {
    /// The object with this path; none for paths that the arbiter does not use. Each object has
    /// exactly one spelling: no leading zeros, no capital letters.
    pub fn parse(path: &str) -> Option<Object> {
        let object = match path.strip_prefix(ROOT_PATH)? {
            "" => Object::Root,
            rest => {
                let (kind, name) = rest.strip_prefix('/')?.split_once('/')?;
                match kind {
                    "provider" => Object::Provider(number(name)?),
                    "call" => Object::Call(call_path(name)?),
                    "group" => Object::Group(number(name)?),
                    "transaction" => Object::Transaction(number(name)?),
                    _ => return None,
                }
            }
        };
        Some(object)
    }

    /// Its path.
    pub fn path(&self) -> ObjectPath<'static> {
        // Built from digits, letters, `_` and `/` only: always valid.
        ObjectPath::from_string_unchecked(self.to_string())
    }

    /// Its path, as zbus returns paths.
    pub fn owned_path(&self) -> OwnedObjectPath {
        self.path().into()
    }

    /// The interfaces on it that are the arbiter's own.
    pub fn interfaces(&self) -> &'static [&'static str] {
        match self {
            Object::Root => &[MANAGER, AUDIO_SESSION],
            Object::Provider(_) => &[PROVIDER],
            Object::Call(_) => &[CALL],
            Object::Group(_) => &[GROUP],
            Object::Transaction(_) => &[TRANSACTION],
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Root => f.write_str(ROOT_PATH),
            Object::Provider(n) => write!(f, "{ROOT_PATH}/provider/{n}"),
            Object::Call(call) => call.fmt(f),
            Object::Group(n) => write!(f, "{ROOT_PATH}/group/{n}"),
            Object::Transaction(n) => write!(f, "{ROOT_PATH}/transaction/{n}"),
        }
    }
}

impl fmt::Display for CallPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ROOT_PATH)?;
        f.write_str("/call/")?;
        if let Some(n) = self.provider {
            write!(f, "p{n}_")?;
        }
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        self.uuid.hyphenated().encode_lower(&mut text);
        f.write_str(swapped(&mut text, b'-', b'_'))
    }
}

/// `uuid_with_underscores` or `p<n>_uuid_with_underscores`.
fn call_path(name: &str) -> Option<CallPath> {
    let (provider, text) = match name.strip_prefix('p') {
        None => (None, name),
        Some(rest) => {
            let (n, text) = rest.split_once('_')?;
            (Some(number(n)?), text)
        }
    };
    if text.bytes().any(|byte| byte == b'-' || byte.is_ascii_uppercase()) {
        return None;
    }
    let mut text: [u8; uuid::fmt::Hyphenated::LENGTH] = text.as_bytes().try_into().ok()?;
    Some(CallPath { uuid: uuid(swapped(&mut text, b'_', b'-'))?, provider })
}

/// A number in its one spelling.
fn number(text: &str) -> Option<u32> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| canonical)
}

/// One separator for another; empty for what is no text.
fn swapped(text: &mut [u8], from: u8, to: u8) -> &str {
    text.iter_mut().filter(|byte| **byte == from).for_each(|byte| *byte = to);
    std::str::from_utf8(text).unwrap_or_default()
}

/// The path of a provider.
pub fn provider_path(number: u32) -> ObjectPath<'static> {
    Object::Provider(number).path()
}

/// The path of a call; `provider` only where the UUID alone is ambiguous.
pub fn call_object_path(uuid: Uuid, provider: Option<u32>) -> ObjectPath<'static> {
    Object::Call(CallPath { uuid, provider }).path()
}

/// The path of a group.
pub fn group_path(number: u32) -> ObjectPath<'static> {
    Object::Group(number).path()
}

/// The path of a transaction.
pub fn transaction_path(number: u32) -> ObjectPath<'static> {
    Object::Transaction(number).path()
}

/// A UUID as the contract writes it: 36 characters with hyphens, no braces, no `urn:`.
pub fn uuid(text: &str) -> Option<Uuid> {
    if text.len() != crate::limits::UUID_BYTES { None } else { Uuid::try_parse(text).ok() }
}
