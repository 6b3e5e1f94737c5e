//! Messages of the pretended bus: made from bytes, and what can be read in the router's.
//!
//! Owns which methods there are and which errors count as typed. Knows no state.

use std::collections::HashMap;

use callarbiter_dbus::xml;
use callarbiter_wire::Received;
use zbus::{Message, Signature};

use crate::bytes::Bytes;

/// A body of any bytes. A socket brings the same: the daemon's connection does not look into bodies.
#[allow(unsafe_code)]
pub fn raw(
    call: zbus::message::Builder<'_>,
    bytes: &mut Bytes<'_>,
    types: &Signature,
) -> zbus::Result<Message> {
    let length = bytes.below(64);
    // SAFETY: what is built may be invalid, as what a socket brings may be; zbus checks it where it is read.
    unsafe { call.build_raw_body(bytes.take(length), types.clone(), Vec::new()) }
}

#[allow(unsafe_code)]
pub fn parsed(data: zbus::wire::serialized::Data<'static, 'static>) -> Option<Message> {
    // A line cuts messages to the length that they say.
    Received::new(data.bytes().to_vec(), &mut Vec::new()).ok()?;
    // SAFETY: as above; what zbus does not take for a message is none.
    unsafe { Message::from_bytes(data) }.ok()
}

/// The number that a signal carries, if it does.
pub fn revision(signal: &Message, member: &str) -> Option<u64> {
    let body = signal.body();
    match member {
        "Transition" => body.deserialize::<(String, String, String, u64)>().ok().map(|b| b.3),
        "Notice" => {
            let (_, _, _, revision): (String, zbus::OwnedObjectPath, String, u64) =
                body.deserialize().ok()?;
            Some(revision)
        }
        "PropertiesChanged" => {
            let (_, changed, _): (String, HashMap<String, zbus::OwnedVariant>, Vec<String>) =
                body.deserialize().ok()?;
            u64::try_from(changed.get("Revision")?.try_clone().ok()?).ok()
        }
        _ => None,
    }
}

/// An error that a program can act on: a name of the contract or of D-Bus itself, and a sentence.
pub fn typed(name: &str, error: &Message, broken: bool) {
    let ours = name.starts_with("org.callarbiter.Calls1.Error.");
    let standard = [
        "UnknownMethod",
        "UnknownInterface",
        "UnknownObject",
        "UnknownProperty",
        "PropertyReadOnly",
        "InvalidArgs",
        "LimitsExceeded",
    ];
    let standard = standard.iter().any(|s| name == format!("org.freedesktop.DBus.Error.{s}"));
    let said = name == "org.example.Error.No";
    assert!(ours || standard || said, "{error:?}");
    let sentence: String = error.body().deserialize().unwrap();
    // What an app says when it fails is its own.
    assert!(!sentence.is_empty() || !standard, "{name} without a word");
    assert!(broken || !sentence.contains(char::is_control), "{sentence:?} is no sentence");
    assert!(sentence.len() < 4096, "a sentence of {} bytes", sentence.len());
}

pub fn signature(types: &str) -> Signature {
    Signature::try_from(types).unwrap()
}

/// Every method of the contract and of the standard interfaces, with what it takes.
pub fn methods() -> &'static [(String, String, Signature)] {
    static METHODS: std::sync::OnceLock<Vec<(String, String, Signature)>> =
        std::sync::OnceLock::new();
    METHODS.get_or_init(|| {
        let standard = [
            ("org.freedesktop.DBus.Properties", "Get", "(ss)"),
            ("org.freedesktop.DBus.Properties", "Set", "(ssv)"),
            ("org.freedesktop.DBus.Properties", "GetAll", "s"),
            ("org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""),
            ("org.freedesktop.DBus.Introspectable", "Introspect", ""),
            ("org.freedesktop.DBus.Peer", "Ping", ""),
        ];
        let standard = standard.map(|(of, name, types)| (of.into(), name.into(), signature(types)));
        let mut methods = standard.to_vec();
        for (interface, file) in xml::SERVED {
            for method in file.split("<method ").skip(1) {
                let method = method.split("<method ").next().unwrap();
                let method = method.split("</method>").next().unwrap();
                let (head, arguments) = method.split_once('>').unwrap();
                let arguments = if head.ends_with('/') { "" } else { arguments };
                let types: String = arguments
                    .split("<arg ")
                    .filter(|arg| arg.contains("direction=\"in\""))
                    .filter_map(|arg| attribute(arg, "type"))
                    .collect();
                let types =
                    if Signature::try_from(&*types).is_ok() { types } else { String::new() };
                let name = attribute(head, "name").unwrap();
                methods.push((interface.to_string(), name.to_owned(), signature(&types)));
            }
        }
        methods
    })
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    tag.split_once(&format!("{name}=\""))?.1.split('"').next()
}
