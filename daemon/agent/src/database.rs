//! The files in which the agent keeps what is the user's own: SQLite's, in the user's data directory, nobody else's to read.
//!
//! Owns what survives what. The journal is SQLite's rollback journal with `synchronous=EXTRA`: what is written is little,
//! so what matters is that what was acknowledged survives a loss of power and that no second file with people in it stays
//! beside the first, not how many a second can be written. What is erased is overwritten. A damaged file is set aside,
//! never thrown away. Nothing is open, and nothing is in memory, while nobody asks.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, named_params};
use thiserror::Error;
use tracing::warn;

/// What a file is for, and how it came to be what it is.
#[derive(Debug)]
pub struct Form {
    /// Its name.
    pub file: &'static str,
    /// What is in it, for the log and for errors: `the history`.
    pub what: &'static str,
    /// Each step brings a file of one version to the next; the first makes it. What a later version of this program
    /// writes, this one does not touch. One of them makes the table `notes (at INTEGER, what TEXT)`.
    pub steps: &'static [&'static str],
}

/// Why something could not be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("the disk is full")]
    Full,
    #[error("its file is damaged")]
    Damaged,
    #[error("there would be more in it than it may have")]
    TooMany,
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

/// Where one is.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    form: &'static Form,
}

impl Store {
    /// In this folder, which needs not be there.
    pub fn at(folder: &Path, form: &'static Form) -> Store {
        Store { folder: folder.to_owned(), form }
    }

    /// Whether anything was ever written.
    pub fn is_there(&self) -> bool {
        self.folder.join(self.form.file).exists()
    }

    /// Does something with the file, all of it or nothing. One that is damaged is set aside, and an empty one is begun.
    pub fn change<T>(
        &self,
        work: impl Fn(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.try_change(|file| Ok(work(file)?))
    }

    /// The same with work that may find that it must not be done.
    pub fn try_change<T>(
        &self,
        work: impl Fn(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.attempt(&work) {
            Err(StoreError::Damaged) => {
                // Whoever finds it at the same time has the new file, and does not put it in the place of the old one.
                static ONE: Mutex<()> = Mutex::new(());
                let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
                match self.attempt(&work) {
                    Err(StoreError::Damaged) => {
                        self.set_aside()?;
                        self.attempt(&work)
                    }
                    done => done,
                }
            }
            done => done,
        }
    }

    fn attempt<T>(
        &self,
        work: impl Fn(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut file = self.open()?;
        let transaction = file.transaction()?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Erases files that were damaged, too.
    pub fn forget_damaged(&self) -> Result<(), StoreError> {
        for entry in fs::read_dir(&self.folder)?.flatten() {
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with(&format!("{}.damaged", self.form.file))
            {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn open(&self) -> Result<Connection, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        make_private(&self.folder, 0o700)?;
        let path = self.folder.join(self.form.file);
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
        let version_of = |file: &Connection| {
            file.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0))
        };
        let version = version_of(&file)?;
        let known = u32::try_from(self.form.steps.len()).unwrap_or(u32::MAX);
        if version > known {
            return Err(StoreError::Newer(version));
        }
        if version < known {
            let step = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // Somebody else may have taken the steps meanwhile.
            let version = version_of(&step)?;
            for statements in self.form.steps.iter().skip(version as usize) {
                step.execute_batch(statements)?;
            }
            step.pragma_update(None, "user_version", known)?;
            step.commit()?;
        }
        Ok(file)
    }

    fn set_aside(&self) -> Result<(), StoreError> {
        let Form { file, what, .. } = self.form;
        let aside = self.folder.join(format!("{file}.damaged-{}", now() / 1_000_000));
        fs::rename(self.folder.join(file), &aside)?;
        let journal = self.folder.join(format!("{file}-journal"));
        if journal.exists() {
            let mut name = aside.clone().into_os_string();
            name.push("-journal");
            fs::rename(journal, name)?;
        }
        warn!(file = %aside.display(), "{what}: the file is damaged; it is set aside, and a new one begins");
        self.attempt(|file| Ok(note(file, "damaged")?))
    }
}

/// Also where somebody made it otherwise before.
fn make_private(path: &Path, mode: u32) -> io::Result<()> {
    match fs::metadata(path)?.permissions().mode() & 0o077 {
        0 => Ok(()),
        _ => fs::set_permissions(path, Permissions::from_mode(mode)),
    }
}

/// What the user should know about the file itself.
fn note(file: &Transaction<'_>, what: &str) -> rusqlite::Result<()> {
    let note = named_params! { ":at": number(now()), ":what": what };
    file.execute("INSERT INTO notes VALUES (:at, :what)", note).map(drop)
}

/// When one was found damaged last.
pub fn damaged_at(file: &Transaction<'_>) -> rusqlite::Result<Option<u64>> {
    let at: Option<i64> =
        file.query_row("SELECT max(at) FROM notes WHERE what = 'damaged'", [], |row| row.get(0))?;
    Ok(at.map(time))
}

/// SQLite has signed numbers only.
pub fn number(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

/// The other way round.
pub fn time(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// µs since the epoch.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
