//! The causes of a call as they lie in the file: the bytes in which the bus carries them, so that what a later arbiter
//! tells comes back as it was told.
//!
//! Owns that form and its bound. What a cause means, nobody here knows.

use callarbiter_dbus::Dict;
use zbus::wire::{
    Endian,
    serialized::{Context, Data},
    to_bytes,
};

/// Half as much again as the longest chain of the arbiter: 64 causes, each with a message as long as it may be.
const MOST: usize = 64 * 1024;

/// None: there is nothing to keep, or it is none of the arbiter's.
pub fn packed(why: &[Dict]) -> Option<Vec<u8>> {
    let bytes = to_bytes(form(), why).ok().filter(|_| !why.is_empty())?;
    Some(bytes.to_vec()).filter(|bytes| bytes.len() <= MOST)
}

/// As they were packed.
pub fn unpacked(bytes: Vec<u8>) -> zbus::Result<Vec<Dict>> {
    Ok(Data::new(bytes, form()).deserialize()?.0)
}

/// The same on every machine that may read the file.
fn form() -> Context {
    Context::new(Endian::Little, 0)
}
