//! The arbiter's signals, read.
//!
//! Owns their form. What they do to a snapshot, and in what order they must come, is [`crate::snapshot`].

use std::collections::HashMap;

use callarbiter_dbus::{
    ActionResult, Dict, Entries, Fields,
    names::{CALL, MANAGER, Object, TRANSACTION},
};
use zbus::{Message, ObjectPath, OwnedObjectPath};

/// Objects of the arbiter with their interfaces.
pub(crate) type Interfaces = HashMap<String, Dict>;

/// A signal of the arbiter.
#[derive(Debug)]
pub(crate) enum Signal {
    Added { object: Option<Object>, interfaces: Interfaces },
    Removed { object: Option<Object> },
    Changed { object: Option<Object>, interface: String, properties: Dict },
    Transition { object: Option<Object>, old: String, new: String, reason: String, revision: u64 },
    Finished { object: Option<Object>, outcomes: Vec<ActionResult>, revision: u64 },
    Notice { kind: String, call: Option<Object>, message: String, revision: u64 },
    ResyncNeeded,
}

impl Signal {
    /// The signal in a message; none for signals that are not about the domain's state.
    pub fn read(message: &Message) -> zbus::Result<Option<Signal>> {
        let header = message.header();
        let (Some(interface), Some(member)) = (header.interface(), header.member()) else {
            return Ok(None);
        };
        let object = header.path().and_then(|path| Object::parse(path.as_str()));
        let body = message.body();
        Ok(Some(match (interface.as_str(), member.as_str()) {
            ("org.freedesktop.DBus.ObjectManager", "InterfacesAdded") => {
                let (path, interfaces): (ObjectPath<'_>, Interfaces) = body.deserialize()?;
                Signal::Added { object: Object::parse(path.as_str()), interfaces }
            }
            ("org.freedesktop.DBus.ObjectManager", "InterfacesRemoved") => {
                let (path, _): (ObjectPath<'_>, Vec<String>) = body.deserialize()?;
                Signal::Removed { object: Object::parse(path.as_str()) }
            }
            ("org.freedesktop.DBus.Properties", "PropertiesChanged") => {
                let (interface, properties, _): (String, Dict, Vec<String>) = body.deserialize()?;
                Signal::Changed { object, interface, properties }
            }
            (CALL, "Transition") => {
                let (old, new, reason, revision) = body.deserialize()?;
                Signal::Transition { object, old, new, reason, revision }
            }
            (TRANSACTION, "Finished") => {
                let (outcomes, revision): (Entries, u64) = body.deserialize()?;
                Signal::Finished { object, outcomes: ActionResult::list(&outcomes), revision }
            }
            (MANAGER, "Notice") => {
                let (kind, call, message, revision): (_, OwnedObjectPath, _, _) =
                    body.deserialize()?;
                Signal::Notice { kind, call: Object::parse(call.as_str()), message, revision }
            }
            (MANAGER, "ResyncNeeded") => Signal::ResyncNeeded,
            _ => return Ok(None),
        }))
    }

    /// The number it carries: all but the removal of an object have one.
    pub fn revision(&self) -> Option<u64> {
        let carried =
            |properties: &Dict| Fields::trusted(properties).time("Revision").ok().flatten();
        match self {
            Signal::Added { interfaces, .. } => interfaces.values().find_map(carried),
            Signal::Changed { properties, .. } => carried(properties),
            Signal::Transition { revision, .. }
            | Signal::Finished { revision, .. }
            | Signal::Notice { revision, .. } => Some(*revision),
            Signal::Removed { .. } | Signal::ResyncNeeded => None,
        }
    }
}
