//! What must outlive the process: records by key, appended to a file before anything is told to anybody.
//!
//! Owns the files of the state directory. One turn is one frame with what changed in it; nothing that counts
//! is ever written over, so a kill at any moment leaves a file whose beginning is a state that once was. What
//! is in the records, [`Records`] says. No `fsync`: written bytes survive the process, and with the machine
//! all calls are gone anyway.
//!
//! Where the file is in memory, as /run is, its end is mapped and frames are copied there, which costs no
//! system call; elsewhere each is one write.
//!
//! A file that has grown far beyond what lives is followed by a new one, into which each turn carries some
//! of what is unchanged, so that no turn writes everything; then the old one goes. Only where writing failed
//! is everything written at once. Until that succeeds there is no state: one that has fallen behind what was
//! told to others would be worse than none.

mod directory;
mod frame;
mod opening;
#[cfg(test)]
mod tests;
mod window;

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use crate::crash;

use directory::Directory;
use frame::{Draft, Header, VERSION};
use opening::Tail;
use window::Window;

pub use directory::DirectoryError;
pub use opening::Found;

/// What lives, for the one who writes it down.
pub trait Records {
    /// Names a record; new ones come after old ones mostly.
    type Key: Copy + Ord;

    /// The key as bytes.
    fn write_key(&self, key: Self::Key, out: &mut Vec<u8>);

    /// Its value as it is now; false if it is gone.
    fn write_value(&self, key: Self::Key, out: &mut Vec<u8>) -> bool;

    /// The next keys in order, at most `limit`; fewer only at the end.
    fn keys_after(&self, after: Option<Self::Key>, limit: usize, keys: &mut Vec<Self::Key>);
}

/// Below this, a file is not worth compacting.
const SMALL: u64 = 256 * 1024;
/// A file that has grown to so many times what lived when it began is compacted: the more, the less often all
/// that lives is written again.
const GROWTH: u64 = 8;
/// Both no further than this part of the room that there is: two files and what is reserved must fit in.
const SHARE: u64 = 4;
/// Unchanged records that a turn carries along at least: little beside what a turn costs anyway.
const CARRIED: usize = 16;
/// All files together. Far more than the limits of what lives allow to some hundred users, far less than
/// what would hurt the machine.
const MOST: u64 = 64 * 1024 * 1024;

/// The state on its way to the disk.
#[derive(Debug)]
pub struct Store<K> {
    directory: Directory,
    /// The newest file; none: everything must be written anew.
    log: Option<Log>,
    /// The highest number that any file had.
    generation: u64,
    /// Files that are still needed beside the newest.
    older: Vec<u64>,
    older_bytes: u64,
    /// What a file may grow by at most.
    share: u64,
    /// How far what did not change has been carried into the newest.
    carried: Option<K>,
    /// The length of the newest file when it needed no older one any more.
    compact: u64,
    draft: Draft,
    keys: Vec<K>,
}

#[derive(Debug)]
struct Log {
    generation: u64,
    file: File,
    /// Where its frames end.
    length: u64,
    /// What is reserved behind them; some of the last as well.
    window: Option<Window>,
    /// There is none to be had for this file.
    plain: bool,
}

impl<K: Copy + Ord> Store<K> {
    /// Opens a directory and reads what is in it.
    pub fn open(path: &Path) -> Result<(Store<K>, Found), DirectoryError> {
        let directory = Directory::open(path)?;
        let (found, tail) = opening::load(&directory)?;
        let Tail { newest, generation, older, older_bytes } = tail;
        let share = directory.capacity().map_or(MOST, |bytes| MOST.min(bytes)) / SHARE;
        let log = newest.map(|(generation, file, length)| Log::new(generation, file, length));
        let store = Store {
            directory,
            log,
            generation,
            older,
            older_bytes,
            share,
            carried: None,
            compact: 0,
            draft: Draft::default(),
            keys: Vec::new(),
        };
        Ok((store, found))
    }

    /// Where the state is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Whether everything has to be written at the next occasion.
    pub fn is_behind(&self) -> bool {
        self.log.is_none()
    }

    /// What was read makes no sense to its reader: it is kept apart like a damaged file.
    pub fn reject(&mut self, kind: &str, why: &str) {
        self.older.extend(self.log.take().map(|log| log.generation));
        for generation in self.older.drain(..) {
            let file = self.directory.file(generation);
            let name = self.directory.set_aside(generation, kind);
            opening::tell(&file, why, &[opening::named(name)], opening::FORGOTTEN);
        }
    }

    /// What was read is of no use to anybody.
    pub fn forget(&mut self) {
        self.older.extend(self.log.take().map(|log| log.generation));
    }

    /// Nothing comes for a long time: what is reserved is given back. If that fails, it does no harm.
    pub fn rest(&mut self) {
        let _ = self.log.as_mut().map(Log::cut);
    }

    /// Writes these records as they are now. After an error there is no state on the disk, and each later
    /// call tries to write all of it.
    pub fn append(&mut self, changed: &[K], records: &impl Records<Key = K>) -> io::Result<()> {
        let appended = match self.log {
            Some(_) if changed.is_empty() => return Ok(()),
            Some(_) => self.append_frame(changed, records),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        appended.or_else(|_| self.write_all(records))
    }

    fn append_frame(&mut self, changed: &[K], records: &impl Records<Key = K>) -> io::Result<()> {
        let length = self.log.as_ref().map_or(0, |log| log.length);
        let begins = self.older.is_empty() && length > self.most();
        let next = self.generation + 1;
        let header = Header { version: VERSION, generation: next, whole: false };
        self.draft.begin(begins.then_some(header));
        for key in changed {
            self.draft.record(*key, records);
        }
        let compacting = begins || !self.older.is_empty();
        let done = compacting && {
            if begins {
                self.carried = None;
            }
            self.carry(changed.len().max(CARRIED), records)
        };
        if self.older_bytes + length + self.draft.len() as u64 > MOST {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        if begins {
            if let Some(log) = &mut self.log {
                log.cut()?;
            }
            let file = self.directory.create(next)?;
            self.generation = next;
            let begun = Log::new(next, file, 0);
            self.older.extend(self.log.replace(begun).map(|log| log.generation));
            self.older_bytes = length;
        }
        let Some(log) = &mut self.log else { return Err(io::ErrorKind::NotFound.into()) };
        log.write(self.draft.seal(done))?;
        if done {
            self.compact = log.length;
            self.remove_older();
        }
        Ok(())
    }

    /// The length at which the newest file is followed by another.
    fn most(&self) -> u64 {
        let grown = (self.compact * GROWTH).min(self.compact + self.share);
        SMALL.min(self.share).max(grown)
    }

    /// Carries the next records into the frame; true if those were the last.
    fn carry(&mut self, most: usize, records: &impl Records<Key = K>) -> bool {
        self.keys.clear();
        records.keys_after(self.carried, most, &mut self.keys);
        for key in &self.keys {
            self.draft.record(*key, records);
        }
        self.carried = self.keys.last().copied().or(self.carried);
        self.keys.len() < most
    }

    /// Writes everything into a new file that needs no other. Where the old ones take the room, they go
    /// first.
    fn write_all(&mut self, records: &impl Records<Key = K>) -> io::Result<()> {
        self.older.extend(self.log.take().map(|log| log.generation));
        if let Err(error) = self.write_whole_file(records) {
            self.remove_older();
            if !matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                return Err(error);
            }
            let written = self.write_whole_file(records);
            self.remove_older();
            return written;
        }
        self.remove_older();
        Ok(())
    }

    fn write_whole_file(&mut self, records: &impl Records<Key = K>) -> io::Result<()> {
        const SLICE: usize = 256;
        let generation = self.generation + 1;
        self.draft.begin(Some(Header { version: VERSION, generation, whole: true }));
        self.carried = None;
        while !self.carry(SLICE, records) {
            if self.draft.len() as u64 > MOST {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
        }
        // Also if it fails: a name that is taken is not tried again.
        self.generation = generation;
        let file = self.directory.create(generation)?;
        let mut log = Log::new(generation, file, 0);
        if let Err(error) = log.write(self.draft.seal(true)) {
            self.older.push(generation);
            return Err(error);
        }
        self.compact = log.length;
        self.log = Some(log);
        // Frames of a turn need far less room.
        self.draft = Draft::default();
        Ok(())
    }

    /// What cannot be removed is looked at again at the next start, where a newer file wins.
    fn remove_older(&mut self) {
        for generation in self.older.drain(..) {
            if let Err(error) = self.directory.remove(generation) {
                tracing::debug!(%error, generation, "a state file stays behind");
            }
        }
        self.older_bytes = 0;
    }
}

impl Log {
    fn new(generation: u64, file: File, length: u64) -> Log {
        Log { generation, file, length, window: None, plain: false }
    }

    /// One frame, or the file as it was.
    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        crash::point();
        if !self.write_into_window(frame)? {
            self.write_at_once(frame)?;
        }
        self.length += frame.len() as u64;
        crash::point();
        Ok(())
    }

    /// False where there is no window; then the file ends with its frames.
    fn write_into_window(&mut self, frame: &[u8]) -> io::Result<bool> {
        if self.window.as_ref().is_some_and(|window| window.write(self.length, frame)) {
            return Ok(true);
        }
        // A file that has no header yet is empty: so a kill leaves none that only has zeros.
        if self.plain || self.length == 0 {
            return Ok(false);
        }
        // Before the next one is mapped, so that there is never more than one.
        self.window = None;
        let window = Window::reserve(&self.file, self.length, frame.len());
        if window.is_ok_and(|window| self.window.insert(window).write(self.length, frame)) {
            return Ok(true);
        }
        self.plain = true;
        self.cut()?;
        Ok(false)
    }

    fn write_at_once(&mut self, frame: &[u8]) -> io::Result<()> {
        let written = if crash::is_fine() {
            let (first, second) = frame.split_at(frame.len() / 2);
            self.file.write_all(first).and_then(|()| {
                crash::point();
                self.file.write_all(second)
            })
        } else {
            self.file.write_all(frame)
        };
        if written.is_err() {
            // If this fails as well, the file ends in a torn frame, which is dropped when it is read.
            let _ = self.file.set_len(self.length);
        }
        written
    }

    /// Ends the file where its frames end.
    fn cut(&mut self) -> io::Result<()> {
        // What is mapped must be there.
        self.window = None;
        crash::point();
        self.file.set_len(self.length)
    }
}

impl Draft {
    fn record<K: Copy>(&mut self, key: K, records: &impl Records<Key = K>) {
        self.put(|out| records.write_key(key, out), |out| records.write_value(key, out));
    }
}
