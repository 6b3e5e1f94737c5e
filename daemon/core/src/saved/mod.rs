//! What makes calls survive the arbiter: its state as records, key and value, each written when it changed.
//!
//! Owns the format of a record and which records there are. Where they are kept, and when, is the shell's
//! work; what is derived (indexes, the order of deadlines) is not written but rebuilt, and the
//! configuration is read anew.
//!
//! How a record is written, and the one rule by which its types may change so that a later arbiter reads what an
//! earlier one wrote, [`callarbiter_records`] says; [`tests`] sees to it.

mod key;
pub(crate) mod reasons;
mod records;
mod restore;
mod shapes;
#[cfg(test)]
mod tests;
mod told;

use callarbiter_records::Writer;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

pub use key::Key;
pub(crate) use records::Written;
pub use restore::Unreadable;
pub use told::SavedRecord;

use crate::{Arbiter, Ask, Domain, EndReason, Private, Uid};
use key::Kind;

impl Arbiter {
    /// What changed since the last time, in order, each key once; at first everything.
    pub fn take_unsaved(&mut self, keys: &mut Vec<Key>) {
        if std::mem::replace(&mut self.saving, true) {
            return self.take_changed(keys);
        }
        self.domains.values_mut().for_each(Domain::forget_unsaved);
        self.unsaved.extend(self.domains.keys());
        // What is compared has to be known.
        self.take_changed(&mut Vec::new());
        self.keys_after(None, usize::MAX, keys);
    }

    fn take_changed(&mut self, keys: &mut Vec<Key>) {
        let scratch = &mut self.scratch;
        if self.shared.take_changed() || self.written.is_empty() {
            Writer::new(scratch).record(self.shared.get());
            if note(&mut self.written, scratch) {
                keys.push(Key::ARBITER);
            }
        }
        if self.unsaved.len() > 1 {
            self.unsaved.sort_unstable();
            self.unsaved.dedup();
        }
        for uid in self.unsaved.drain(..) {
            if let Some(domain) = self.domains.get_mut(&uid) {
                domain.take_unsaved(scratch, keys);
            }
        }
    }

    /// Appends its present value; false: it is gone.
    pub fn save(&self, key: Key, value: &mut Vec<u8>) -> bool {
        match self.encoded(key) {
            Some(encoded) => {
                debug_assert!(self.is_encoded(key, encoded), "{key:?} changed and nobody said so");
                value.extend_from_slice(encoded);
                true
            }
            None => self.save_to(key, &mut Writer::new(value)),
        }
    }

    /// What was encoded to be compared, while no domain has changed since then.
    fn encoded(&self, key: Key) -> Option<&[u8]> {
        let course = key.kind() == Some(Kind::Course) && self.unsaved.is_empty();
        let domain = course.then(|| self.domains.get(&key.uid()))??;
        Some(domain.written.course.as_slice()).filter(|encoded| !encoded.is_empty())
    }

    fn is_encoded(&self, key: Key, encoded: &[u8]) -> bool {
        let mut anew = Vec::new();
        self.save_to(key, &mut Writer::new(&mut anew)) && anew == encoded
    }

    pub(crate) fn save_to(&self, key: Key, value: &mut Writer<'_>) -> bool {
        if key == Key::ARBITER {
            value.record(self.shared.get());
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

/// The steps of [`Ask::Transaction`]: one level deep, whatever the bytes say.
pub(crate) fn steps<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Ask>, D::Error> {
    /// The first kinds of [`Ask`], in its order and with its fields.
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
