//! A saved record in a recording: bytes on its way, and where people read it, everything that is in it by its name.
//!
//! Owns which type each kind of record is read as. What the daemon keeps never passes here.

use callarbiter_records::{Words, Writer, read, write};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{
    Key, Kind,
    restore::Why,
    shapes::{
        CallRecord, Course, EnforcementRecord, ErrandRecord, ProviderRecord, RecordingRecord,
        RequestRecord, TransactionRecord,
    },
};
use crate::{
    Arbiter, Contact, Group, Preferences, Record, Uid,
    arbiter::Shared,
    batch::Batch,
    consent::Decision,
    domain::Desktop,
    memory::{Answered, Tombstone},
    quiet::{Allowed, Suppressed},
    request::Past,
    why::{Chunk, Over},
};

/// A record with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedRecord {
    /// Which.
    pub key: Key,
    /// What is saved under it.
    pub value: Vec<u8>,
}

impl Arbiter {
    /// The state of one user, each record written with these words. Of others it says nothing.
    pub fn state_of(&self, user: Uid, words: &mut dyn Words) -> Vec<SavedRecord> {
        let only = |uid: &Uid| if *uid == user { user } else { Uid::OTHER };
        let mut shared = self.shared.get().clone();
        shared.seats.values_mut().flatten().for_each(|uid| *uid = only(uid));
        let mut value = Vec::new();
        Writer::with(&mut value, words).record(&shared);
        let mut records = vec![SavedRecord { key: Key::ARBITER, value }];
        let Some(domain) = self.domains.get(&user) else { return records };
        let mut keys = Vec::new();
        domain.keys_after(None, usize::MAX, &mut keys);
        for key in keys {
            let mut value = Vec::new();
            if self.save_to(key, &mut Writer::with(&mut value, words)) {
                records.push(SavedRecord { key, value });
            }
        }
        records
    }
}

/// As it travels: nobody reads it on the way.
#[derive(Serialize, Deserialize)]
struct Plain<K, V> {
    key: K,
    value: V,
}

macro_rules! kinds {
    ($($kind:ident: $type:ty,)*) => {
        #[derive(Serialize, Deserialize)]
        enum Told {
            $($kind(Box<$type>),)*
        }

        impl Told {
            fn read(kind: Kind, value: &[u8]) -> Result<Told, Why> {
                match kind {
                    $(Kind::$kind => Ok(Told::$kind(Box::new(read::<$type>(value)?))),)*
                }
            }

            fn kind(&self) -> Kind {
                match self {
                    $(Told::$kind(_) => Kind::$kind,)*
                }
            }

            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Told::$kind(record) => write(&**record, out),)*
                }
            }
        }
    };
}

kinds! {
    Arbiter: Shared,
    Course: Course,
    Desktop: Desktop,
    Provider: ProviderRecord,
    Call: CallRecord,
    Group: Group,
    Transaction: TransactionRecord,
    Request: RequestRecord,
    Past: Past,
    Batch: Batch,
    Tombstone: Tombstone,
    Token: Answered,
    Allowed: Allowed,
    Suppressed: Suppressed,
    Decision: Decision,
    Errand: ErrandRecord,
    Contact: Contact,
    Enforcement: EnforcementRecord,
    Record: Record,
    Recording: RecordingRecord,
    Why: Chunk,
    Over: Over,
    Preferences: Preferences,
}

impl Serialize for SavedRecord {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if !to.is_human_readable() {
            return Plain { key: self.key, value: &self.value }.serialize(to);
        }
        let kind = self.key.kind().ok_or_else(|| ser::Error::custom("a later version wrote it"))?;
        let value = Told::read(kind, &self.value)
            .map_err(|_| ser::Error::custom("a record is damaged, or a later version wrote it"))?;
        Plain { key: self.key, value }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for SavedRecord {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if !from.is_human_readable() {
            let Plain { key, value } = Plain::<Key, Vec<u8>>::deserialize(from)?;
            return Ok(SavedRecord { key, value });
        }
        let Plain { key, value: told } = Plain::<Key, Told>::deserialize(from)?;
        if key.kind() != Some(told.kind()) {
            return Err(de::Error::custom("its key is of another kind than its value"));
        }
        let mut value = Vec::new();
        told.write(&mut value);
        Ok(SavedRecord { key, value })
    }
}
