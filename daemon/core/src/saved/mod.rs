//! What makes calls survive the arbiter: its state as records, key and value, each written when it changed.
//!
//! Owns the format of a record and which records there are. Where they are kept, and when, is the shell's
//! work; what is derived (indexes, the order of deadlines) is not written but rebuilt, and the
//! configuration is read anew.
//!
//! **A value** is one byte, the version of the format, and the entity in postcard's encoding, in which
//! fields and variants are told by their order alone. So whoever adds, removes or moves a field or variant of
//! a type that derives `Serialize` makes version 2: count up [`VERSION`], keep the old shape of that type in a file
//! `saved/v1.rs` with a `From` to the new one, and decode by the version in [`decode`]'s callers. The golden file
//! of version 1 (`tests/golden/`) must restore for ever; add one of version 2 beside it. A new kind of record, and a new
//! variant behind all others, needs no version: what an older arbiter wrote means what it meant.

mod key;
pub(crate) mod reasons;
mod records;
mod restore;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

pub use key::Key;
pub(crate) use records::Written;
pub use restore::Unreadable;

use crate::{Arbiter, Ask, EndReason, Private, Uid};
use key::Kind;

/// The format that this version writes.
const VERSION: u8 = 1;

impl Arbiter {
    /// What changed since the last time, each key once; at first everything.
    pub fn take_unsaved(&mut self, keys: &mut Vec<Key>) {
        let from = keys.len();
        if !std::mem::replace(&mut self.saving, true) {
            for domain in self.domains.values_mut() {
                domain.forget_unsaved();
            }
            self.unsaved.extend(self.domains.keys());
            self.keys_after(None, usize::MAX, keys);
            self.written.clear();
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        self.encode_own(&mut scratch);
        if note(&mut self.written, &mut scratch) {
            keys.push(Key::ARBITER);
        }
        for uid in std::mem::take(&mut self.unsaved) {
            if let Some(domain) = self.domains.get_mut(&uid) {
                domain.take_unsaved(&mut scratch, keys);
            }
        }
        self.scratch = scratch;
        if let Some(new) = keys.get_mut(from..) {
            new.sort_unstable();
        }
        let mut last = None;
        let mut at = 0;
        keys.retain(|key| {
            let again = at >= from && last.replace(*key) == Some(*key);
            at += 1;
            !again
        });
    }

    /// Appends its present value; false: it is gone.
    pub fn save(&self, key: Key, value: &mut Vec<u8>) -> bool {
        if key == Key::ARBITER {
            self.encode_own(value);
            return true;
        }
        let (Some(kind), Some(domain)) = (key.kind(), self.domains.get(&key.uid())) else {
            return false;
        };
        domain.encode(kind, key.number(), value)
    }

    /// The next keys, in order, of everything that there is: the whole state in slices.
    pub fn keys_after(&self, after: Option<Key>, limit: usize, keys: &mut Vec<Key>) {
        let end = keys.len().saturating_add(limit);
        if after.is_none() && limit > 0 {
            keys.push(Key::ARBITER);
        }
        let from = after.map_or(Uid(0), Key::uid);
        for (uid, domain) in self.domains.range(from..) {
            let after = after.filter(|key| key.uid() == *uid && *key != Key::ARBITER);
            domain.keys_after(after, end, keys);
            if keys.len() >= end {
                return;
            }
        }
    }

    fn encode_own(&self, value: &mut Vec<u8>) {
        encode(&(&self.seats, self.suspended), value);
    }
}

/// Whether it differs from what was written last; then it is what was written last.
fn note(written: &mut Vec<u8>, scratch: &mut Vec<u8>) -> bool {
    let differs = written != scratch;
    if differs {
        std::mem::swap(written, scratch);
    }
    scratch.clear();
    differs
}

fn encode<T: Serialize>(record: &T, value: &mut Vec<u8>) {
    value.push(VERSION);
    let done = postcard::serialize_with_flavor(record, Append(value));
    debug_assert!(done.is_ok(), "{done:?}");
}

/// Reads a record of any version.
fn decode<'de, T: Deserialize<'de>>(value: &'de [u8]) -> Result<T, restore::Why> {
    let (version, body) = value.split_first().ok_or(restore::Why::Damaged("it is empty"))?;
    if *version != VERSION {
        return Err(restore::Why::Newer(*version));
    }
    match postcard::take_from_bytes(body) {
        Ok((record, [])) => Ok(record),
        Ok(_) => Err(restore::Why::Damaged("it is too long")),
        Err(_) => Err(restore::Why::Damaged("its fields make no sense")),
    }
}

/// Writes behind what is there.
struct Append<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// The steps of [`Ask::Transaction`]: one level deep, whatever the bytes say.
pub(crate) fn steps<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Ask>, D::Error> {
    /// The first kinds of [`Ask`], in its order.
    #[derive(Deserialize)]
    enum Single {
        Start {
            uuid: Uuid,
            #[serde(with = "crate::private::stored")]
            handle: Private,
            video: bool,
        },
        Answer {
            uuid: Uuid,
        },
        End {
            uuid: Uuid,
            reason: EndReason,
            #[serde(with = "crate::private::stored")]
            message: Private,
        },
        SetHeld {
            uuid: Uuid,
            held: bool,
        },
    }
    let single = |single| match single {
        Single::Start { uuid, handle, video } => Ask::Start { uuid, handle, video },
        Single::Answer { uuid } => Ask::Answer { uuid },
        Single::End { uuid, reason, message } => Ask::End { uuid, reason, message },
        Single::SetHeld { uuid, held } => Ask::SetHeld { uuid, held },
    };
    Ok(Vec::<Single>::deserialize(from)?.into_iter().map(single).collect())
}
