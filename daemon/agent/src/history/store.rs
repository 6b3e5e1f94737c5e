//! The file in which the history is: `history.sqlite` in the user's data directory, nobody else's to read.
//!
//! Owns the schema and what survives what. Each call is one row by its id, so that a record which comes again is
//! kept once. The journal is SQLite's rollback journal with `synchronous=EXTRA`: calls are few, so what matters is
//! that an acknowledged one survives a loss of power and that no second file with people in it stays beside the
//! first, not how many a second can be written. What is erased is overwritten. A damaged file is set aside, never
//! thrown away. Nothing is open, and nothing is in memory, while nobody asks.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, named_params};
use thiserror::Error;
use tracing::warn;

use super::calls;

/// What a later version of this program writes, this one does not touch.
const VERSION: u32 = 2;

const FILE: &str = "history.sqlite";

/// Ids that are known although their calls were erased: more than the arbiter ever offers again.
const SEEN: u32 = 1024;

/// Each step brings a file of one version to the next; the first makes it.
pub(super) const STEPS: [&str; VERSION as usize] = ["
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
"];

/// Why something could not be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("the disk is full")]
    Full,
    #[error("its file is damaged")]
    Damaged,
    #[error("a later version of the agent wrote it (version {0}); this one leaves it as it is")]
    Newer(u32),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged,
            _ => StoreError::Sqlite(error),
        }
    }
}

/// Where the history is.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// In this folder, which needs not be there.
    pub fn at(folder: &Path) -> Store {
        Store { folder: folder.to_owned() }
    }

    /// Does something with the file, all of it or nothing. One that is damaged is set aside, and an empty one is begun.
    pub fn change<T>(
        &self,
        work: impl Fn(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let attempt = || {
            let mut file = self.open()?;
            let transaction = file.transaction()?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        match attempt() {
            Err(StoreError::Damaged) => {
                self.set_aside()?;
                attempt()
            }
            done => done,
        }
    }

    /// Files that were damaged are erased with the history.
    pub fn forget_damaged(&self) -> Result<(), StoreError> {
        for entry in fs::read_dir(&self.folder)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&format!("{FILE}.damaged")) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn open(&self) -> Result<Connection, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        make_private(&self.folder, 0o700)?;
        let path = self.folder.join(FILE);
        // SQLite gives its journal the rights of the file.
        OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        make_private(&path, 0o600)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut file = Connection::open_with_flags(&path, flags)?;
        file.execute_batch(
            "PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA; PRAGMA secure_delete = ON;
             PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;
             PRAGMA busy_timeout = 2000;",
        )?;
        let version: u32 = file.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version > VERSION {
            return Err(StoreError::Newer(version));
        }
        if version < VERSION {
            let step = file.transaction()?;
            for statements in STEPS.iter().skip(version as usize) {
                step.execute_batch(statements)?;
            }
            step.pragma_update(None, "user_version", VERSION)?;
            step.commit()?;
        }
        Ok(file)
    }

    fn set_aside(&self) -> Result<(), StoreError> {
        let aside = self.folder.join(format!("{FILE}.damaged-{}", now() / 1_000_000));
        fs::rename(self.folder.join(FILE), &aside)?;
        let journal = self.folder.join(format!("{FILE}-journal"));
        if journal.exists() {
            let mut name = aside.clone().into_os_string();
            name.push("-journal");
            fs::rename(journal, name)?;
        }
        warn!(file = %aside.display(), "the history is damaged; it is set aside, and a new one begins");
        self.change(|file| note(file, "damaged"))
    }
}

/// Also where somebody made it otherwise before.
fn make_private(path: &Path, mode: u32) -> io::Result<()> {
    match fs::metadata(path)?.permissions().mode() & 0o077 {
        0 => Ok(()),
        _ => fs::set_permissions(path, Permissions::from_mode(mode)),
    }
}

/// What the user should know about the history itself.
pub fn note(file: &Transaction<'_>, what: &str) -> rusqlite::Result<()> {
    let note = named_params! { ":at": calls::number(now()), ":what": what };
    file.execute("INSERT INTO notes VALUES (:at, :what)", note).map(drop)
}

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

/// µs since the epoch.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
