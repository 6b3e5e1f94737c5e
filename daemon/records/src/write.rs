//! A record to bytes. Owns nothing but that: what the bytes mean, [`crate`] says; what stands for a text that is not to be
//! told, whoever wants it untold.

use std::fmt;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use crate::VERSION;

/// Writes records behind what is there.
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    words: Option<&'a mut dyn Words>,
}

/// What is written in place of texts.
pub trait Words {
    /// Instead of this one.
    fn instead_of(&mut self, text: &str) -> String;
}

/// A record has what is never written. It is one bit, because every number and every text is asked whether it went well.
#[derive(Debug)]
pub struct Unwritable;

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers of this kind, or lists without a length, are not written")
    }
}

impl std::error::Error for Unwritable {}

impl serde::ser::Error for Unwritable {
    fn custom<T: fmt::Display>(_: T) -> Unwritable {
        Unwritable
    }
}

type Done = Result<(), Unwritable>;

impl<'a> Writer<'a> {
    /// Every text as it is.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Writer { out, words: None }
    }

    /// In place of every text, wherever it stands, another.
    pub fn with(out: &'a mut Vec<u8>, words: &'a mut dyn Words) -> Self {
        Writer { out, words: Some(words) }
    }

    /// Appends a record with its version.
    pub fn record<T: Serialize + ?Sized>(&mut self, record: &T) {
        self.out.push(VERSION);
        self.key(record);
    }

    pub(crate) fn key<T: Serialize + ?Sized>(&mut self, key: &T) {
        let done = key.serialize(self);
        debug_assert!(done.is_ok(), "{done:?}");
    }
}

impl Writer<'_> {
    /// Most are small.
    #[inline(always)]
    fn number(&mut self, number: u64) {
        if number < 0x80 {
            self.out.push(number as u8);
        } else {
            self.long_number(number);
        }
    }

    /// Ids are two bytes, times eight; of eight at once, those behind the last are taken back.
    #[inline(never)]
    fn long_number(&mut self, number: u64) {
        if number >> 56 != 0 {
            return self.longest_number(number);
        }
        if self.out.capacity() - self.out.len() < 8 {
            return self.long_number_in_more_room(number);
        }
        if number < 0x4000 {
            let bytes = number as u16 & 0x7f | 0x80 | (number as u16 & 0x3f80) << 1;
            return self.out.extend_from_slice(&bytes.to_le_bytes());
        }
        // Halves of 28 bits move apart, then of 14, then of 7: one to a byte.
        let apart = number & 0x0fff_ffff | (number & 0xff_ffff_f000_0000) << 4;
        let apart = apart & 0x3fff_0000_3fff | (apart & 0x0fff_c000_0fff_c000) << 2;
        let apart = apart & 0x007f_007f_007f_007f | (apart & 0x3f80_3f80_3f80_3f80) << 1;
        let unused = apart.leading_zeros() / 8;
        let bytes = apart | 0x80_8080_8080_8080 >> (8 * unused);
        let length = self.out.len() + 8 - unused as usize;
        self.out.extend_from_slice(&bytes.to_le_bytes());
        self.out.truncate(length);
    }

    #[cold]
    fn long_number_in_more_room(&mut self, number: u64) {
        self.out.reserve(64);
        self.long_number(number);
    }

    #[cold]
    fn longest_number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }

    fn length(&mut self, length: usize) {
        self.number(length as u64);
    }

    #[cold]
    #[inline(never)]
    fn other(&mut self, text: &str) {
        if let Some(words) = &mut self.words {
            let other = words.instead_of(text);
            self.bytes(other.as_bytes());
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.out.extend_from_slice(bytes);
    }
}

/// What no record has.
macro_rules! never {
    ($($name:ident: $kind:ty),*) => {$(
        fn $name(self, _: $kind) -> Done {
            Err(Unwritable)
        }
    )*};
}

impl<'w, 'a> Serializer for &'w mut Writer<'a> {
    type Ok = ();
    type Error = Unwritable;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    never!(serialize_i8: i8, serialize_i16: i16);
    never!(serialize_f32: f32, serialize_f64: f64, serialize_char: char);

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Done {
        self.out.push(value.into());
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Done {
        self.out.push(value);
        Ok(())
    }

    fn serialize_u16(self, value: u16) -> Done {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Done {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Done {
        self.number(value);
        Ok(())
    }

    fn serialize_i32(self, value: i32) -> Done {
        self.serialize_i64(value.into())
    }

    /// Small ones below zero are short, too.
    fn serialize_i64(self, value: i64) -> Done {
        self.number((value << 1 ^ value >> 63) as u64);
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Done {
        match self.words {
            None => self.bytes(value.as_bytes()),
            Some(_) => self.other(value),
        }
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Done {
        self.bytes(value);
        Ok(())
    }

    fn serialize_none(self) -> Done {
        self.serialize_bool(false)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        self.out.push(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Done {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Done {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Done {
        self.serialize_u32(index)
    }

    fn serialize_newtype_struct<T>(self, _: &'static str, value: &T) -> Done
    where
        T: Serialize + ?Sized,
    {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Done
    where
        T: Serialize + ?Sized,
    {
        self.number(index.into());
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self, Unwritable> {
        self.length(length.ok_or(Unwritable)?);
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Unwritable> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, fields: usize) -> Result<Self, Unwritable> {
        self.length(fields);
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        fields: usize,
    ) -> Result<Self, Unwritable> {
        self.number(index.into());
        self.length(fields);
        Ok(self)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self, Unwritable> {
        self.serialize_seq(length)
    }

    fn serialize_struct(self, _: &'static str, fields: usize) -> Result<Self, Unwritable> {
        self.length(fields);
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        fields: usize,
    ) -> Result<Self, Unwritable> {
        self.serialize_tuple_variant(name, index, variant, fields)
    }
}

/// One after another, whatever holds them.
macro_rules! in_order {
    ($($what:ident: $name:ident),*) => {$(
        impl $what for &mut Writer<'_> {
            type Ok = ();
            type Error = Unwritable;

            fn $name<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
                value.serialize(&mut **self)
            }

            fn end(self) -> Done {
                Ok(())
            }
        }
    )*};
}

in_order!(SerializeSeq: serialize_element, SerializeTuple: serialize_element);
in_order!(SerializeTupleStruct: serialize_field, SerializeTupleVariant: serialize_field);

/// The same with names, which are not written.
macro_rules! named {
    ($($what:ident),*) => {$(
        impl $what for &mut Writer<'_> {
            type Ok = ();
            type Error = Unwritable;

            fn serialize_field<T>(&mut self, _: &'static str, value: &T) -> Done
            where
                T: Serialize + ?Sized,
            {
                value.serialize(&mut **self)
            }

            fn end(self) -> Done {
                Ok(())
            }
        }
    )*};
}

named!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for &mut Writer<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        value.serialize(&mut **self)
    }

    fn end(self) -> Done {
        Ok(())
    }
}
