//! How the arbiter's state is written: small, quick, and so that a later version reads what an earlier one wrote.
//!
//! Owns the bytes of a record and the one rule by which its types may change. What is in a record, and where records are
//! kept, is not known here.
//!
//! **The bytes.** A value is one byte, [`VERSION`], and the record. Numbers are as short as they are small (seven bits a
//! byte), texts and lists begin with their length, options with 0 or 1. Fields are told by their place and variants by
//! their number; each struct, tuple struct and variant with fields begins with *how many fields* it has. So a struct with
//! fewer fields than this version knows was written by an earlier version, at any depth, and the missing ones get their
//! defaults.
//!
//! **The rule**, for every type of a record:
//! * a new field comes last in its struct, or in its variant, and has `#[serde(default)]`;
//! * a new variant comes last in its enum, a new kind of record last among the kinds;
//! * nothing that was written once is moved, removed or given another type; a plain tuple never changes its length.
//!
//! `layout` is the test of it: it names the type and what to do. What the rule does not allow needs a new [`VERSION`],
//! whose reader must still know the old one.
//!
//! A record with more fields or variants than are known is of a later version, and is told apart from damage.

#[cfg(feature = "layout")]
pub mod layout;
mod read;
mod write;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use write::{Words, Writer};

/// The format that is written. 1 was another encoding, which no release has written.
pub const VERSION: u8 = 2;

/// Appends a record with its version.
pub fn write<T: Serialize + ?Sized>(record: &T, out: &mut Vec<u8>) {
    Writer::new(out).record(record);
}

/// Appends what names a record: nothing of it tells a version, since names are compared as bytes.
pub fn write_key<T: Serialize + ?Sized>(key: &T, out: &mut Vec<u8>) {
    Writer::new(out).key(key);
}

/// Reads a record; all of these bytes are its.
pub fn read<'de, T: Deserialize<'de>>(value: &'de [u8]) -> Result<T, Fault> {
    match value.split_first() {
        None => Err(Fault::Damaged("it is empty")),
        Some((&VERSION, record)) => read_key(record),
        Some((version, _)) if *version > VERSION => Err(Fault::Newer),
        Some(_) => Err(Fault::Damaged("it is of a format that no release has written")),
    }
}

/// Reads what [`write_key`] wrote.
pub fn read_key<'de, T: Deserialize<'de>>(key: &'de [u8]) -> Result<T, Fault> {
    let mut reader = read::Reader(key);
    let record = T::deserialize(&mut reader)?;
    if reader.0.is_empty() { Ok(record) } else { Err(Fault::Damaged("it is too long")) }
}

/// Why bytes are no such record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody wrote it so.
    Damaged(&'static str),
    /// A later version wrote it.
    Newer,
}

/// Of its fields only the reader knows which, and what is in them is nobody's business.
const NONSENSE: Fault = Fault::Damaged("its fields make no sense");

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Damaged(why) => why,
            Fault::Newer => "a later version of the arbiter wrote it",
        })
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(_: T) -> Fault {
        NONSENSE
    }
}

#[cfg(test)]
mod tests;
