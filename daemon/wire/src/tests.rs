//! What is read, beside what zbus reads of the same bytes: whole, damaged, and of later versions of the protocol.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashMap;

use proptest::prelude::*;
use zbus::{
    Message, ObjectPath, OwnedObjectPath, OwnedVariant, Variant,
    message::Flags,
    wire::{Endian, serialized::Context, to_bytes},
};

use crate::{Arguments, Kind, Reader, Received};

type Dict = HashMap<String, OwnedVariant>;

fn received(bytes: &[u8]) -> Option<Received> {
    Received::new(bytes.to_vec(), &mut Vec::new()).ok()
}

fn read<A: Arguments>(order: Endian, body: &[u8]) -> Option<A> {
    let mut from = Reader::new(body, order, &[]);
    A::read(&mut from).filter(|_| from.is_at_end())
}

/// A call with everything that a header can have, in both byte orders.
fn calls() -> [Message; 2] {
    [Endian::Little, Endian::Big].map(|order| {
        let call = Message::method_call("/org/a/b", "Do").endian(order);
        let call = call.interface("org.a.B").sender(":1.7").destination("org.a");
        let options = HashMap::from([("key", Variant::from("value")), ("n", Variant::from(7u32))]);
        let call = call.with_flags(Flags::NO_REPLY_EXPECTED);
        call.build(&("text", options)).unwrap()
    })
}

fn agrees_with_zbus(ours: &Received, theirs: &Message) {
    let header = theirs.header();
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    assert_eq!(ours.serial(), theirs.primary_header().serial_num());
    assert_eq!(ours.reply_to(), header.reply_serial());
    assert_eq!(ours.sender(), text(header.sender().map(|name| name.as_str())));
    assert_eq!(ours.path(), text(header.path().map(|path| path.as_str())));
    assert_eq!(ours.interface(), text(header.interface().map(|name| name.as_str())));
    assert_eq!(ours.member(), text(header.member().map(|name| name.as_str())));
    assert_eq!(ours.signature(), theirs.body().signature().to_string_no_parens());
    assert_eq!(ours.files_counted(), header.unix_fds().unwrap_or_default());
    assert_eq!(ours.arguments_length(), theirs.body().len());
    assert_eq!(ours.kind() as u8 + 1, theirs.message_type() as u8);
}

#[test]
fn a_header_is_what_zbus_reads() {
    for call in calls() {
        let ours = received(call.data()).unwrap();
        agrees_with_zbus(&ours, &call);
        assert!(!ours.wants_reply());
        agrees_with_zbus(&ours, &ours.whole().unwrap());
        let (text, options): (String, Dict) = ours.arguments().unwrap();
        assert_eq!((text.as_str(), options.len()), ("text", 2));
        let error = Message::error(&call.header(), "a.b.C").build(&"why").unwrap();
        let error = received(error.data()).unwrap();
        assert_eq!((error.kind(), error.reply_to()), (Kind::Error, Some(ours.serial())));
    }
}

#[test]
fn every_length_but_the_right_one_is_none() {
    for call in calls() {
        let bytes = call.data().bytes();
        assert_eq!(Received::measure(bytes).unwrap(), Some(bytes.len()));
        assert_eq!(Received::measure(&bytes[..15]).unwrap(), None);
        for end in 0..bytes.len() {
            assert!(received(&bytes[..end]).is_none(), "{end}");
        }
        assert!(received(&[bytes, &[0]].concat()).is_none());
    }
    assert!(Received::measure(&[b'x'; 16]).is_err());
    let long = [b'l', 1, 0, 1, 255, 255, 255, 255, 0, 0, 0, 1, 0, 0, 0, 0];
    assert!(Received::measure(&long).is_err());
}

/// A message of this kind with a member and one more field.
fn with_field(kind: u8, field: &[u8]) -> Vec<u8> {
    let mut fields = [&[3, 1, b's', 0, 2, 0, 0, 0][..], b"Do\0"].concat();
    if !field.is_empty() {
        fields.resize(16, 0);
        fields.extend_from_slice(field);
    }
    let mut message = vec![b'l', kind, 0, 1, 0, 0, 0, 0, 9, 0, 0, 0];
    message.extend_from_slice(&u32::try_from(fields.len()).unwrap().to_le_bytes());
    message.extend_from_slice(&fields);
    message.resize(message.len().next_multiple_of(8), 0);
    message
}

#[test]
fn what_later_versions_say_is_left_out() {
    let fields: [&[u8]; 7] = [
        &[77, 1, b'y', 0, 5],
        &[77, 1, b't', 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
        &[77, 1, b'v', 0, 1, b'u', 0, 0, 9, 0, 0, 0],
        &[77, 2, b'a', b'y', 0, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3],
        &[77, 4, b'(', b'y', b's', b')', 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, b'a', b'b', 0],
        &[77, 5, b'a', b'{', b's', b'v', b'}', 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[77, 1, b'g', 0, 1, b's', 0],
    ];
    for field in fields {
        let ours = received(&with_field(1, field)).unwrap();
        assert_eq!(ours.member(), "Do", "{field:?}");
    }
    assert_eq!(received(&with_field(9, &[])).unwrap().kind(), Kind::Unknown);
    // As deep as may be, which dbus-broker passes on: an empty array of arrays of structures in variants.
    for variants in [0, 1, 16, 61] {
        let types = [&[97; 32][..], &[b'('; 32], b"y", &[b')'; 32]].concat();
        let mut field = [&[77][..], &b"\x01v\0".repeat(variants), &[97], &types, &[0]].concat();
        field.resize(field.len().next_multiple_of(4) + 4, 0);
        assert_eq!(received(&with_field(1, &field)).unwrap().member(), "Do", "{variants}");
    }
    // Of the wrong type, cut short, without an end, and too deep.
    let deep = [&[77][..], &b"\x01v\0".repeat(70), b"\x01y\0\x05"].concat();
    let none: [&[u8]; 4] = [
        &[2, 1, b'u', 0, 1, 0, 0, 0],
        &[77, 1, b's', 0, 9, 0, 0, 0, 1],
        &[77, 1, b'(', 0, 1],
        &deep,
    ];
    for field in none {
        assert!(received(&with_field(1, field)).is_none(), "{field:?}");
    }
}

#[test]
fn arguments_are_what_zbus_writes() {
    let dict = || {
        let nested = HashMap::from([("in", Variant::from(true))]);
        HashMap::from([
            ("s", Variant::from("text")),
            ("b", Variant::from(true)),
            ("u", Variant::from(5u32)),
            ("t", Variant::from(u64::MAX)),
            ("as", Variant::from(vec!["one", "two"])),
            ("o", Variant::from(ObjectPath::try_from("/a").unwrap())),
            ("a{sv}", Variant::from(nested)),
            ("(st)", Variant::from(("x", 7u64))),
        ])
    };
    for order in [Endian::Little, Endian::Big] {
        let context = Context::new(order, 0);
        let path = ObjectPath::try_from("/a/b").unwrap();
        let body = to_bytes(context, &(&path, true, dict())).unwrap();
        let (read_path, flag, options): (OwnedObjectPath, bool, Dict) = read(order, &body).unwrap();
        assert_eq!((read_path.as_str(), flag), ("/a/b", true));
        let expected: Dict = dict()
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap()))
            .collect();
        assert_eq!(options, expected);
        let body = to_bytes(context, &(vec![("one", dict()), ("two", dict())], dict())).unwrap();
        let (entries, last): (Vec<(String, Dict)>, Dict) = read(order, &body).unwrap();
        assert_eq!(entries, [("one".to_owned(), expected.clone()), ("two".to_owned(), expected)]);
        assert_eq!(last, entries[0].1);
        let body = to_bytes(context, &(vec!["", "x"], 7u32)).unwrap();
        let (texts, number): (Vec<String>, u32) = read(order, &body).unwrap();
        assert_eq!((texts.as_slice(), number), (&["".to_owned(), "x".to_owned()][..], 7));
    }
}

#[test]
fn what_is_malformed_is_none() {
    let text = |bytes: &[u8]| read::<(String,)>(Endian::Little, bytes);
    assert_eq!(text(b"\x01\0\0\0a\0").unwrap().0, "a");
    let bad: [&[u8]; 6] = [
        b"\x01\0\0\0a",         // no end
        b"\x01\0\0\0ab",        // no zero
        b"\x02\0\0\0a\0\0",     // a zero in it
        b"\x01\0\0\0\xff\0",    // no UTF-8
        b"\xff\xff\xff\xffa\0", // too long
        b"\x01\0\0\0a\0\0",     // something behind it
    ];
    for bytes in bad {
        assert!(text(bytes).is_none(), "{bytes:?}");
    }
    assert!(read::<(bool,)>(Endian::Little, &[2, 0, 0, 0]).is_none());
    assert!(read::<(OwnedObjectPath,)>(Endian::Little, b"\x02\0\0\0a/\0").is_none());
    // An element reaches beyond its array, and padding that is not zero.
    assert!(read::<(Vec<String>,)>(Endian::Little, b"\x05\0\0\0\x01\0\0\0a\0").is_none());
    assert!(read::<(bool, Dict)>(Endian::Little, b"\x01\0\0\0\0\0\0\0\x01\0\0\0").is_none());
    let dict = b"\x14\0\0\0\x01\0\0\0\x01\0\0\0k\0\x01u\0\0\0\0\x07\0\0\0";
    assert!(read::<(Dict,)>(Endian::Little, dict).is_none());
}

proptest! {
    /// Nothing that comes makes it panic, and what zbus also takes for a message says the same.
    #[test]
    fn damage_is_noticed_or_means_the_same(
        which in 0..2usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let message = &calls()[which];
        let mut bytes = message.data().bytes().to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(ours) = received(&bytes) {
            let _: Option<(String, Dict)> = ours.arguments();
            if let Ok(theirs) = ours.whole() {
                agrees_with_zbus(&ours, &theirs);
            }
        }
    }

    #[test]
    fn a_body_of_anything_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read::<(String, Dict)>(Endian::Little, &bytes);
        let _ = read::<(Vec<(String, Dict)>, Dict)>(Endian::Big, &bytes);
        let _ = read::<(Vec<String>, OwnedObjectPath, OwnedVariant)>(Endian::Little, &bytes);
        let mut message = b"l\x01\0\x01\0\0\0\0\x01\0\0\0".to_vec();
        message.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
        message.extend(&bytes);
        message.resize(message.len().next_multiple_of(8), 0);
        let _ = received(&message);
    }
}
