//! What is in the file of the history, and which ids it has seen.
//!
//! Owns the schema. Each call is one row by its id, so that a record which comes again is kept once.

use rusqlite::{Transaction, named_params};

use crate::database::Form;

/// Ids that are known although their calls were erased: more than the arbiter ever offers again.
const SEEN: u32 = 1024;

/// `history.sqlite`.
pub static FORM: Form = Form {
    file: "history.sqlite",
    what: "the history",
    steps: &["
    CREATE TABLE calls (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE, call TEXT NOT NULL, app TEXT NOT NULL, provider TEXT NOT NULL,
        direction TEXT NOT NULL, handle TEXT NOT NULL, person TEXT NOT NULL, name TEXT NOT NULL,
        contact TEXT NOT NULL, created INTEGER NOT NULL, connected INTEGER NOT NULL,
        ended INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, missed TEXT,
        silenced TEXT NOT NULL, emergency INTEGER NOT NULL, video INTEGER NOT NULL,
        records TEXT NOT NULL, lost INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX calls_by_time ON calls (created, number);
    CREATE INDEX calls_by_person ON calls (person, created) WHERE person <> '';
    CREATE TABLE seen (number INTEGER PRIMARY KEY AUTOINCREMENT, hash INTEGER NOT NULL UNIQUE) STRICT;
    CREATE TABLE favourites (
        person TEXT PRIMARY KEY, handle TEXT NOT NULL, name TEXT NOT NULL, app TEXT NOT NULL
    ) STRICT;
    CREATE TABLE notes (at INTEGER NOT NULL, what TEXT NOT NULL) STRICT;
", "
    ALTER TABLE calls ADD COLUMN why BLOB;
    CREATE INDEX calls_by_call ON calls (call);
"],
};

/// Whether an id was never seen before; from now on it was. Only a hash of it is kept, which tells nothing of a call
/// that is erased.
pub fn is_new(file: &Transaction<'_>, id: &str) -> rusqlite::Result<bool> {
    let hash = named_params! { ":hash": hash(id) };
    let new = file.execute("INSERT OR IGNORE INTO seen (hash) VALUES (:hash)", hash)? > 0;
    let old = "DELETE FROM seen WHERE number <= (SELECT max(number) FROM seen) - :most";
    file.execute(old, named_params! { ":most": SEEN })?;
    Ok(new)
}

/// FNV-1a, since it must be the same in every version: a collision among a thousand random ids is one in 10¹³.
fn hash(id: &str) -> i64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    id.bytes().fold(0xcbf2_9ce4_8422_2325, step).cast_signed()
}
