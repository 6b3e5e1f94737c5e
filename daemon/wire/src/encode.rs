//! Bodies as bytes: the daemon's own values, written straight into the message that carries them.
//!
//! Owns D-Bus marshalling of the few types that travel with every call: texts, numbers, flags, arrays,
//! variants of those. zbus' serialiser asks each value for its signature while it writes, which is most
//! of the time of a snapshot of hundreds of calls; what is rare goes through it ([`Body::any`]). What
//! the bytes mean is said where they are written; the tests compare them with zbus' own.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
};

use serde::Serialize;
use uuid::Uuid;
use zbus::{
    DynamicType, OwnedVariant, Variant,
    wire::{Endian, NATIVE_ENDIAN, serialized::Context, to_bytes},
};

/// Arguments of a message, or the part of them that has been written.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    order: Endian,
    failure: Option<zbus::Error>,
}

impl Default for Body {
    /// In this machine's byte order.
    fn default() -> Self {
        Body::in_order(NATIVE_ENDIAN)
    }
}

impl Body {
    /// In a byte order: a reply has its caller's.
    pub fn in_order(order: Endian) -> Self {
        Body { bytes: Vec::with_capacity(256), order, failure: None }
    }

    /// Its byte order.
    pub fn order(&self) -> Endian {
        self.order
    }

    /// Everything that was written, or why something could not be.
    pub fn bytes(&self) -> zbus::Result<&[u8]> {
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(&self.bytes),
        }
    }

    /// So many more bytes will come: they are not moved while they are written.
    pub fn expect(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// `b`
    pub fn bool(&mut self, value: bool) {
        self.u32(value.into());
    }

    /// `u`
    pub fn u32(&mut self, value: u32) {
        self.put(b"", 4, in_order(self.order, value));
    }

    /// `t`
    pub fn u64(&mut self, value: u64) {
        self.put(b"", 8, self.eight(value));
    }

    /// `s`, and `o` where the text is a path.
    pub fn str(&mut self, text: &str) {
        self.text(b"", 4, text);
    }

    /// `ay`
    pub fn bytes_of(&mut self, bytes: &[u8]) {
        self.u32(length(bytes.len()));
        self.bytes.extend_from_slice(bytes);
    }

    /// `s`: a UUID.
    pub fn id(&mut self, uuid: Uuid) {
        self.str(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    }

    /// `s` or `o`, as it shows itself.
    pub fn shown(&mut self, value: impl fmt::Display) {
        self.u32(0);
        let first = self.bytes.len();
        // Writing into memory does not fail.
        let _ = write!(Text(&mut self.bytes), "{value}");
        self.fill_in(first - 4, self.bytes.len() - first);
        self.bytes.push(0);
    }

    /// An array of elements of this alignment: 4 for texts and paths, 8 for structs and dict entries.
    pub fn array(&mut self, alignment: usize, fill: impl FnOnce(&mut Body)) {
        self.u32(0);
        let at = self.bytes.len();
        self.align(alignment);
        let first = self.bytes.len();
        fill(self);
        self.fill_in(at - 4, self.bytes.len() - first);
    }

    /// The length that was not known before.
    fn fill_in(&mut self, at: usize, bytes: usize) {
        let bytes = in_order(self.order, length(bytes));
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&bytes);
        }
    }

    /// A struct or a dict entry: what follows is its fields.
    pub fn fields(&mut self) {
        self.align(8);
    }

    /// Any value, by zbus.
    pub fn any<T: Serialize + DynamicType>(&mut self, value: &T) {
        match to_bytes(Context::new(self.order, self.bytes.len()), value) {
            Ok(data) => self.bytes.extend_from_slice(data.bytes()),
            Err(failure) => self.failure = self.failure.take().or(Some(failure)),
        }
    }

    fn align(&mut self, to: usize) {
        let length = self.bytes.len().next_multiple_of(to);
        self.bytes.resize(length, 0);
    }

    /// A number behind what stands before it, in one piece: there are thousands in a snapshot.
    fn put<const N: usize>(&mut self, before: &[u8], alignment: usize, value: [u8; N]) {
        let mut piece = [0; 24];
        let start = self.bytes.len() + before.len();
        let at = before.len() + start.next_multiple_of(alignment) - start;
        if let Some(place) = piece.get_mut(..before.len()) {
            place.copy_from_slice(before);
        }
        if let Some(place) = piece.get_mut(at..at + N) {
            place.copy_from_slice(&value);
        }
        self.bytes.extend_from_slice(piece.get(..at + N).unwrap_or_default());
    }

    fn text(&mut self, before: &[u8], alignment: usize, text: &str) {
        self.put(before, alignment, in_order(self.order, length(text.len())));
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    fn eight(&self, value: u64) -> [u8; 8] {
        match self.order {
            Endian::Little => value.to_le_bytes(),
            Endian::Big => value.to_be_bytes(),
        }
    }
}

/// Variants. A signature is its length, itself and a zero.
impl Body {
    /// `v` of `s`
    pub fn a_str(&mut self, text: &str) {
        self.text(b"\x01s\0", 4, text);
    }

    /// `v` of `s`: a UUID.
    pub fn an_id(&mut self, uuid: Uuid) {
        self.a_str(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    }

    /// `v` of `s`, as it shows itself.
    pub fn a_shown(&mut self, value: impl fmt::Display) {
        self.bytes.extend_from_slice(b"\x01s\0");
        self.shown(value);
    }

    /// `v` of `o`
    pub fn a_path(&mut self, path: &str) {
        self.text(b"\x01o\0", 4, path);
    }

    /// `v` of `b`
    pub fn a_bool(&mut self, value: bool) {
        self.put(b"\x01b\0", 4, in_order(self.order, value.into()));
    }

    /// `v` of `u`
    pub fn a_u32(&mut self, value: u32) {
        self.put(b"\x01u\0", 4, in_order(self.order, value));
    }

    /// `v` of `t`
    pub fn a_u64(&mut self, value: u64) {
        self.put(b"\x01t\0", 8, self.eight(value));
    }

    /// `v` of `as`
    pub fn strs<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        self.bytes.extend_from_slice(b"\x02as\0");
        self.array(4, |body| texts.into_iter().for_each(|text| body.str(text)));
    }

    /// `v` of `o`
    pub fn a_shown_path(&mut self, path: impl fmt::Display) {
        self.bytes.extend_from_slice(b"\x01o\0");
        self.shown(path);
    }

    /// `v` of `ao`
    pub fn paths<P: fmt::Display>(&mut self, paths: impl IntoIterator<Item = P>) {
        self.bytes.extend_from_slice(b"\x02ao\0");
        self.array(4, |body| paths.into_iter().for_each(|path| body.shown(path)));
    }

    /// `v` of `a{sv}`
    pub fn dict(&mut self, fill: impl FnOnce(&mut Body)) {
        self.bytes.extend_from_slice(b"\x05a{sv}\0");
        self.array(8, fill);
    }

    /// `v` of `aa{sv}`, written whole by `fill`.
    pub fn dicts(&mut self, fill: impl FnOnce(&mut Body)) {
        self.bytes.extend_from_slice(b"\x06aa{sv}\0");
        fill(self);
    }

    /// `v`: what is no text, path, flag or number goes by zbus.
    pub fn variant(&mut self, value: &Variant<'_>) {
        match value {
            Variant::Str(text) => self.a_str(text),
            Variant::ObjectPath(path) => self.a_path(path),
            Variant::Bool(value) => self.a_bool(*value),
            Variant::U32(value) => self.a_u32(*value),
            Variant::U64(value) => self.a_u64(*value),
            other => self.any(other),
        }
    }

    /// `a(sa{sv})`
    pub fn entries(&mut self, entries: &[(String, HashMap<String, OwnedVariant>)]) {
        self.array(8, |body| {
            for (name, options) in entries {
                body.fields();
                body.str(name);
                body.array(8, |body| {
                    for (key, value) in options {
                        body.key(key);
                        body.variant(value);
                    }
                });
            }
        });
    }

    /// `v` of `a(sa{sv})`
    pub fn an_entries(&mut self, entries: &[(String, HashMap<String, OwnedVariant>)]) {
        self.bytes.extend_from_slice(b"\x09a(sa{sv})\0");
        self.entries(entries);
    }

    /// The key of an entry of `a{sv}`; its variant follows.
    pub fn key(&mut self, key: &str) {
        self.text(b"", 8, key);
    }
}

/// Everything that is sent is far below 4 GiB: texts and lists have bounds.
pub fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// A number as this byte order has it.
pub fn in_order(order: Endian, value: u32) -> [u8; 4] {
    match order {
        Endian::Little => value.to_le_bytes(),
        Endian::Big => value.to_be_bytes(),
    }
}

struct Text<'a>(&'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use zbus::ObjectPath;

    use super::*;

    fn zbus_says<T: Serialize + DynamicType>(order: Endian, value: &T) -> Vec<u8> {
        to_bytes(Context::new(order, 0), value).unwrap().bytes().to_vec()
    }

    #[test]
    fn its_bytes_are_those_of_zbus_in_both_orders() {
        for order in [Endian::Little, Endian::Big] {
            let paths = vec![ObjectPath::try_from("/a/b").unwrap(); 2];
            let inner = BTreeMap::from([("x", Variant::from(7u32))]);
            let dict: BTreeMap<&str, Variant<'_>> = BTreeMap::from([
                ("a", "text".into()),
                ("b", ObjectPath::try_from("/a").unwrap().into()),
                ("c", true.into()),
                ("d", 5u32.into()),
                ("e", u64::MAX.into()),
                ("f", vec!["one", "", "three"].into()),
                ("g", paths.into()),
                ("h", Vec::<&str>::new().into()),
                ("i", inner.clone().into()),
            ]);
            let mut body = Body::in_order(order);
            body.str("before");
            body.array(8, |body| {
                body.key("a");
                body.a_str("text");
                body.key("b");
                body.a_path("/a");
                body.key("c");
                body.a_bool(true);
                body.key("d");
                body.a_u32(5);
                body.key("e");
                body.a_u64(u64::MAX);
                body.key("f");
                body.strs(["one", "", "three"]);
                body.key("g");
                body.paths(["/a/b", "/a/b"]);
                body.key("h");
                body.strs([]);
                body.key("i");
                body.dict(|body| {
                    body.key("x");
                    body.a_u32(7);
                });
            });
            body.bool(false);
            body.any(&inner);
            body.u64(3);
            let one = |key: &str, value: Variant<'_>| {
                HashMap::from([(key.to_owned(), value.try_into_owned().unwrap())])
            };
            let path = ObjectPath::try_from("/a").unwrap();
            let entries = vec![
                ("s".to_owned(), one("key", "text".into())),
                ("o".to_owned(), one("path", path.into())),
                ("as".to_owned(), one("list", vec!["x", "y"].into())),
                ("none".to_owned(), HashMap::new()),
                ("t".to_owned(), one("time", 7u64.into())),
            ];
            body.entries(&entries);
            body.an_entries(&entries);
            let variant = Variant::from(entries.clone());
            let expected =
                zbus_says(order, &("before", dict, false, inner, 3u64, entries, variant));
            assert_eq!(body.bytes().unwrap(), expected);
        }
    }
}
