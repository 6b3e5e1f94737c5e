//! D-Bus values from bytes: of the right types mostly, with words that mean something now and then.
//!
//! Owns the dictionary. A word of the contract that is missing here is found by nobody.

use uuid::Uuid;
use zbus::{Array, Dict, ObjectPath, Signature, Structure, Variant, wire::StructureBuilder};

use crate::bytes::Bytes;

/// What there is to name: the arbiter's objects and its requests to providers.
#[derive(Default)]
pub struct Known {
    pub paths: Vec<String>,
    pub requests: Vec<String>,
}

/// Deep enough for every type of the contract, and one more.
const DEPTH: usize = 6;

/// The body of a message, or as many values as its signature has.
pub fn body(types: &Signature, bytes: &mut Bytes<'_>, known: &Known) -> Option<Structure<'static>> {
    let mut builder = StructureBuilder::new();
    match types {
        Signature::Unit => return None,
        Signature::Structure(fields) => {
            for field in fields.iter() {
                builder = builder.append_field(value(field, bytes, known, 0));
            }
        }
        one => builder = builder.append_field(value(one, bytes, known, 0)),
    }
    builder.build().ok()
}

/// One value of this type.
pub fn value(
    types: &Signature,
    bytes: &mut Bytes<'_>,
    known: &Known,
    depth: usize,
) -> Variant<'static> {
    let deeper = depth + 1;
    match types {
        Signature::U8 => bytes.byte().into(),
        Signature::Bool => bytes.one_in(2).into(),
        Signature::I16 => (bytes.number() as i16).into(),
        Signature::U16 => (bytes.number() as u16).into(),
        Signature::I32 => (bytes.number() as i32).into(),
        Signature::U32 => number(bytes).into(),
        Signature::I64 => (bytes.number() as i64).into(),
        Signature::U64 => bytes.number().into(),
        Signature::F64 => f64::from_bits(bytes.number()).into(),
        Signature::Signature => Signature::U8.into(),
        Signature::ObjectPath => path(bytes, known).into(),
        Signature::Array(element) => {
            let mut array = Array::new(element.signature());
            for _ in 0..count(bytes, deeper) {
                let _ = array.append(value(element.signature(), bytes, known, deeper));
            }
            array.into()
        }
        Signature::Dict { key, value: of } => {
            let mut dict = Dict::new(key.signature(), of.signature());
            for _ in 0..count(bytes, deeper) {
                let (key, value) = if *key.signature() == Signature::Str
                    && *of.signature() == Signature::Variant
                {
                    entry(bytes, known, deeper)
                } else {
                    let key = value(key.signature(), bytes, known, deeper);
                    (key, value(of.signature(), bytes, known, deeper))
                };
                let _ = dict.append(key, value);
            }
            dict.into()
        }
        Signature::Structure(fields) => {
            let mut builder = StructureBuilder::new();
            for field in fields.iter() {
                builder = builder.append_field(value(field, bytes, known, deeper));
            }
            builder.build().map_or(0u8.into(), Variant::from)
        }
        Signature::Variant => Variant::Variant(Box::new(any(bytes, known, deeper))),
        _ => text(bytes, known).into(),
    }
}

/// A value of some type.
fn any(bytes: &mut Bytes<'_>, known: &Known, depth: usize) -> Variant<'static> {
    const TYPES: &[&str] = &[
        "s",
        "b",
        "u",
        "o",
        "as",
        "a{sv}",
        "a(sa{sv})",
        "a{sa{sv}}",
        "y",
        "n",
        "q",
        "i",
        "x",
        "t",
        "d",
        "g",
        "v",
        "(sv)",
        "a{us}",
        "aav",
        "ay",
        "ao",
    ];
    let types = if depth < DEPTH { bytes.pick(TYPES) } else { "s" };
    value(&Signature::try_from(types).unwrap(), bytes, known, depth)
}

/// An entry of a dictionary of options.
fn entry(
    bytes: &mut Bytes<'_>,
    known: &Known,
    depth: usize,
) -> (Variant<'static>, Variant<'static>) {
    if bytes.one_in(12) {
        let value = any(bytes, known, depth);
        return (text(bytes, known).into(), Variant::Variant(Box::new(value)));
    }
    let (key, types) = bytes.pick(KEYS);
    let inner = if bytes.one_in(12) {
        any(bytes, known, depth)
    } else {
        match (key, types) {
            ("call" | "with", _) => call(bytes, known).into(),
            (_, "s") => text(bytes, known).into(),
            (_, types) => value(&Signature::try_from(types).unwrap(), bytes, known, depth),
        }
    };
    (key.into(), Variant::Variant(Box::new(inner)))
}

fn count(bytes: &mut Bytes<'_>, depth: usize) -> usize {
    if depth >= DEPTH {
        return 0;
    }
    match bytes.byte() {
        n @ 0..250 => usize::from(n) % 5,
        // Beyond the bounds: of the keys of a dictionary, of the actions of a transaction.
        n => usize::from(n - 249) * 20,
    }
}

fn number(bytes: &mut Bytes<'_>) -> u32 {
    match bytes.below(6) {
        0 => 0,
        1 => 1000,
        2 => 600_000,
        3 => u32::MAX,
        _ => bytes.number() as u32,
    }
}

fn path(bytes: &mut Bytes<'_>, known: &Known) -> ObjectPath<'static> {
    let some = known.paths.get(bytes.below(known.paths.len().max(1)));
    let text = match some {
        Some(path) if !bytes.one_in(8) => path.clone(),
        _ => bytes.pick(PATHS).to_owned(),
    };
    ObjectPath::try_from(text).unwrap()
}

/// How actions name a call.
fn call(bytes: &mut Bytes<'_>, known: &Known) -> String {
    match bytes.below(8) {
        0 => text(bytes, known),
        1 => path(bytes, known).to_string(),
        _ => uuid(bytes),
    }
}

pub fn uuid(bytes: &mut Bytes<'_>) -> String {
    Uuid::from_u128(1 + bytes.below(4) as u128).to_string()
}

pub fn text(bytes: &mut Bytes<'_>, known: &Known) -> String {
    match bytes.below(16) {
        0..8 => bytes.pick(WORDS).to_owned(),
        8..11 => uuid(bytes),
        11 => known
            .requests
            .get(bytes.below(known.requests.len().max(1)))
            .cloned()
            .unwrap_or_default(),
        12 => path(bytes, known).to_string(),
        13 => "x".repeat(bytes.below(2048)),
        _ => {
            let length = bytes.below(24);
            String::from_utf8_lossy(bytes.take(length)).replace('\0', "\u{1}")
        }
    }
}

const PATHS: &[&str] = &[
    "/",
    "/delegate",
    "/org/callarbiter/Calls1",
    "/org/callarbiter",
    "/org/callarbiter/Calls1/provider/1",
    "/org/callarbiter/Calls1/provider/99999999999999999999",
    "/org/callarbiter/Calls1/group/1",
    "/org/callarbiter/Calls1/transaction/1",
    "/org/callarbiter/Calls1/call/p1_00000000_0000_0000_0000_000000000001",
    "/org/callarbiter/Calls1/call/00000000_0000_0000_0000_000000000001",
];

/// Keys of all options, with their types.
const KEYS: &[(&str, &str)] = &[
    ("call", "s"),
    ("with", "s"),
    ("handle", "s"),
    ("provider", "s"),
    ("has-video", "b"),
    ("reason", "s"),
    ("message", "s"),
    ("held", "b"),
    ("muted", "b"),
    ("digits", "s"),
    ("video", "b"),
    ("expected-state", "s"),
    ("wait", "b"),
    ("token", "s"),
    ("quiet", "b"),
    ("remote-held", "b"),
    ("remote-handle", "s"),
    ("display-name", "s"),
    ("can-hold", "b"),
    ("can-group", "b"),
    ("can-dtmf", "b"),
    ("ring-timeout", "u"),
    ("correlation-id", "s"),
    ("contact-id", "s"),
    ("encrypted", "b"),
    ("instance", "s"),
    ("icon", "s"),
    ("ringtone", "s"),
    ("usage-description", "s"),
    ("supports-video", "b"),
    ("supported-schemes", "as"),
    ("maximum-call-groups", "u"),
    ("maximum-calls-per-group", "u"),
    ("hold-model", "s"),
    ("transactions", "b"),
    ("records", "s"),
    ("ringer", "s"),
    ("calls", "a{sa{sv}}"),
    ("state", "s"),
];

const WORDS: &[&str] = &[
    "",
    "org.example.Phone",
    "org.example.Other",
    "org.example.Third",
    "sip:rabbit@example.org",
    "tel:112",
    "tel:+4930123456",
    "org.callarbiter.Calls1.Call",
    "org.callarbiter.Calls1.Manager",
    "org.callarbiter.Calls1.Provider",
    "org.callarbiter.Calls1.AudioSession",
    "org.freedesktop.DBus.Properties",
    "State",
    "Usage",
    "Limits",
    "DisplayName",
    "Start",
    "Answer",
    "End",
    "SetHeld",
    "SetMuted",
    "SetGroup",
    "PlayDtmf",
    "SetVideo",
    "Silence",
    "screening",
    "ringing",
    "dialing",
    "alerting",
    "connecting",
    "active",
    "held",
    "ending",
    "ended",
    "incoming",
    "outgoing",
    "local-ended",
    "declined",
    "remote-ended",
    "busy",
    "failed",
    "answered-elsewhere",
    "filtered",
    "per-call",
    "provider-wide",
    "ui",
    "dnd",
    "headset",
    "12#,;w*ABCD",
    "opaque",
    "full",
    "itself",
    "org.callarbiter.Calls1.Error.ActionFailed",
    "org.example.Error.No",
];
