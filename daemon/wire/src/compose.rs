//! Messages from ready bodies: the header, and the two put together.
//!
//! Owns the header as the specification has it. A body is written once, however many receivers it has, and a header
//! costs a tenth of what serialising it field by field does.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
};

use zbus::{message::Type, wire::Endian};

use crate::{
    encode::{Body, in_order, length},
    outgoing::Outgoing,
};

/// What stands before a body. What is empty is not written.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Signal, call, reply or error.
    pub kind: Type,
    /// It wants no reply.
    pub no_reply: bool,
    /// The object.
    pub path: &'a str,
    /// The interface.
    pub interface: &'a str,
    /// The method or signal.
    pub member: &'a str,
    /// The name of an error.
    pub error: &'a str,
    /// The call that this replies to.
    pub reply_to: Option<NonZeroU32>,
    /// The receiver.
    pub to: &'a str,
    /// The types of the body.
    pub signature: &'a str,
}

impl Default for Head<'_> {
    fn default() -> Self {
        Head {
            kind: Type::Signal,
            no_reply: false,
            path: "",
            interface: "",
            member: "",
            error: "",
            reply_to: None,
            to: "",
            signature: "",
        }
    }
}

/// Codes of header fields.
mod field {
    pub const PATH: u8 = 1;
    pub const INTERFACE: u8 = 2;
    pub const MEMBER: u8 = 3;
    pub const ERROR_NAME: u8 = 4;
    pub const REPLY_SERIAL: u8 = 5;
    pub const DESTINATION: u8 = 6;
    pub const SIGNATURE: u8 = 8;
}

/// zbus numbers its own messages from 1; ours begin far above, so that no two that wait for a reply have
/// the same number.
static SERIAL: AtomicU32 = AtomicU32::new(FIRST.get());
const FIRST: NonZeroU32 = NonZeroU32::new(1 << 30).unwrap();

fn serial() -> NonZeroU32 {
    loop {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        if let Some(serial) = NonZeroU32::new(serial).filter(|serial| *serial >= FIRST) {
            return serial;
        }
        // Once around: above zbus' own again.
        SERIAL.fetch_max(FIRST.get(), Ordering::Relaxed);
    }
}

/// A message of this head and body.
pub fn compose(head: &Head<'_>, body: &Body) -> zbus::Result<Outgoing> {
    let (order, serial) = (body.order(), serial());
    let arguments = body.bytes()?;
    let mut header = Header { bytes: Vec::with_capacity(256 + arguments.len()), order };
    header.bytes.push(if order == Endian::Little { b'l' } else { b'B' });
    header.bytes.push(head.kind as u8);
    header.bytes.push(u8::from(head.no_reply));
    header.bytes.push(1);
    header.u32(length(arguments.len()));
    header.u32(serial.get());
    header.u32(0);
    header.text(field::PATH, b'o', head.path);
    header.text(field::INTERFACE, b's', head.interface);
    header.text(field::MEMBER, b's', head.member);
    header.text(field::ERROR_NAME, b's', head.error);
    if let Some(serial) = head.reply_to {
        header.begin(field::REPLY_SERIAL, b'u');
        header.u32(serial.get());
    }
    header.text(field::DESTINATION, b's', head.to);
    if !head.signature.is_empty() {
        header.begin(field::SIGNATURE, b'g');
        header.bytes.push(u8::try_from(head.signature.len()).unwrap_or_default());
        header.bytes.extend_from_slice(head.signature.as_bytes());
        header.bytes.push(0);
    }
    let fields = length(header.bytes.len() - FIELDS);
    if let Some(place) = header.bytes.get_mut(FIELDS - 4..FIELDS) {
        place.copy_from_slice(&in_order(order, fields));
    }
    header.align();
    header.bytes.extend_from_slice(arguments);
    Ok(Outgoing::new(header.bytes, serial))
}

/// Where the header's fields begin, behind their length.
const FIELDS: usize = 16;

struct Header {
    bytes: Vec<u8>,
    order: Endian,
}

impl Header {
    fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&in_order(self.order, value));
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
    }

    /// A field of this type; its value follows, which these types let begin right here.
    fn begin(&mut self, code: u8, kind: u8) {
        self.align();
        self.bytes.extend_from_slice(&[code, 1, kind, 0]);
    }

    fn text(&mut self, code: u8, kind: u8, text: &str) {
        if text.is_empty() {
            return;
        }
        self.begin(code, kind);
        self.u32(length(text.len()));
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use zbus::{Message, message::Flags, names::UniqueName};

    use super::*;

    /// All but the serial number.
    fn bytes(message: &Message) -> Vec<u8> {
        let mut bytes = message.data().bytes().to_vec();
        bytes.splice(8..12, [0; 4]);
        bytes
    }

    #[test]
    fn a_signal_is_what_zbus_builds() {
        let receiver = UniqueName::try_from(":1.7").unwrap();
        for order in [Endian::Little, Endian::Big] {
            let mut body = Body::in_order(order);
            body.str("text");
            body.u64(7);
            let head = Head {
                path: "/a/b",
                interface: "a.b",
                member: "C",
                to: ":1.7",
                signature: "st",
                ..Head::default()
            };
            let ours = compose(&head, &body).unwrap().read().unwrap();
            let theirs = Message::signal("/a/b", "a.b", "C")
                .destination(&receiver)
                .endian(order)
                .build(&("text", 7u64))
                .unwrap();
            assert_eq!(bytes(&ours), bytes(&theirs));
        }
    }

    #[test]
    fn calls_replies_and_errors_too() {
        let call = Message::method_call("/a", "Do")
            .interface("a.b")
            .sender(":1.7")
            .destination(":1.8")
            .with_flags(Flags::NO_REPLY_EXPECTED)
            .build(&true)
            .unwrap();
        let mut body = Body::default();
        body.bool(true);
        let head = Head {
            kind: Type::MethodCall,
            no_reply: true,
            path: "/a",
            interface: "a.b",
            member: "Do",
            to: ":1.8",
            signature: "b",
            ..Head::default()
        };
        let ours = compose(&head, &body).unwrap().read().unwrap();
        assert_eq!(ours.header().member().unwrap(), "Do");
        assert_eq!(ours.primary_header().flags(), Flags::NO_REPLY_EXPECTED);
        assert!(ours.body().deserialize::<bool>().unwrap());

        let reply_to = Some(call.primary_header().serial_num());
        let reply = Head { kind: Type::MethodReturn, reply_to, to: ":1.7", ..Head::default() };
        let theirs = Message::method_return(&call.header()).build(&()).unwrap();
        assert_eq!(
            bytes(&compose(&reply, &Body::default()).unwrap().read().unwrap()),
            bytes(&theirs)
        );

        let mut body = Body::default();
        body.str("why");
        let error = Head { kind: Type::Error, error: "a.b.No", signature: "s", ..reply };
        let theirs = Message::error(&call.header(), "a.b.No").build(&"why").unwrap();
        assert_eq!(bytes(&compose(&error, &body).unwrap().read().unwrap()), bytes(&theirs));
    }
}
