//! The directory of the state: private, locked, with a few files whose names count up.
//!
//! Owns their names, their permissions and the operations on them. What is in the files is not known here.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use thiserror::Error;

use crate::crash;

/// Why a directory cannot be used.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// Two daemons would overwrite each other.
    #[error("another callarbiterd keeps its state in {}; if it serves another bus, give this one a directory of its own (--state)", .0.display())]
    InUse(PathBuf),
    /// Whoever can write there could put calls into somebody's mouth.
    #[error("{} belongs to another user, or others may write there; it must be the daemon's own (mode 0700)", .0.display())]
    Open(PathBuf),
    /// The system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// What could not be used.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Files that were set aside, of each kind: enough to look at, and bounded whatever happens.
const SET_ASIDE: u32 = 4;

/// Longer than any state may be; such a file is not read.
const LONGEST: u64 = 2 * super::MOST;

/// Never through a link, and never waiting: a pipe has nobody at its other end.
const FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);

/// A directory that only this process uses.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Opens it, or makes it, and locks it until the end of the process.
    pub fn open(path: &Path) -> Result<Directory, DirectoryError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| DirectoryError::Io { path, source }
        };
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io(path)(error));
            }
            _ => {}
        }
        let found = fs::metadata(path).map_err(io(path))?;
        if found.mode() & 0o022 != 0 {
            return Err(DirectoryError::Open(path.to_owned()));
        }
        let name = path.join("lock");
        let lock = private().create(true).truncate(false).open(&name).map_err(io(&name))?;
        let me = lock.metadata().map_err(io(&name))?.uid();
        if found.uid() != me && found.uid() != 0 {
            return Err(DirectoryError::Open(path.to_owned()));
        }
        match lock.try_lock() {
            Ok(()) => Ok(Directory { path: path.to_owned(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(DirectoryError::InUse(path.to_owned())),
            Err(fs::TryLockError::Error(error)) => Err(io(&name)(error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its file system holds when it is full; none if it does not say.
    pub fn capacity(&self) -> Option<u64> {
        let system = rustix::fs::statvfs(&self.path).ok()?;
        system.f_blocks.checked_mul(system.f_frsize).filter(|bytes| *bytes > 0)
    }

    /// The numbers of its state files, the oldest first.
    pub fn generations(&self) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("state."));
            found.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// All of a file.
    pub fn read(&self, generation: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(FLAGS.bits().cast_signed())
            .open(self.file(generation))?;
        let found = file.metadata()?;
        if found.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        if found.len() > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        file.take(LONGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A new file, to be written from its beginning.
    pub fn create(&self, generation: u64) -> io::Result<File> {
        crash::point();
        private().read(true).append(true).create_new(true).open(self.file(generation))
    }

    /// A file that goes on after this many good bytes.
    pub fn resume(&self, generation: u64, good: u64) -> io::Result<File> {
        let file = private().read(true).append(true).open(self.file(generation))?;
        if file.metadata()?.len() != good {
            crash::point();
            file.set_len(good)?;
        }
        Ok(file)
    }

    /// A file is not needed any more.
    pub fn remove(&self, generation: u64) -> io::Result<()> {
        crash::point();
        fs::remove_file(self.file(generation))
    }

    /// Keeps a file that cannot be used, for whoever wants to know why, and returns its new name. The
    /// oldest of its kind goes when there are enough.
    pub fn set_aside(&self, generation: u64, kind: &str) -> io::Result<PathBuf> {
        let names = (1..=SET_ASIDE).map(|n| self.path.join(format!("state.{kind}-{n}")));
        let age = |name: &PathBuf| fs::symlink_metadata(name).and_then(|found| found.modified());
        let mut oldest = None;
        for name in names {
            match age(&name) {
                Ok(time) if oldest.as_ref().is_none_or(|(_, since)| time < *since) => {
                    oldest = Some((name, time));
                }
                Ok(_) => {}
                Err(_) => {
                    oldest = Some((name, std::time::SystemTime::UNIX_EPOCH));
                    break;
                }
            }
        }
        let Some((name, _)) = oldest else { return Err(io::ErrorKind::NotFound.into()) };
        crash::point();
        fs::rename(self.file(generation), &name)?;
        Ok(name)
    }

    /// The path of a file.
    pub fn file(&self, generation: u64) -> PathBuf {
        self.path.join(format!("state.{generation}"))
    }
}

/// For the daemon's user alone, and never through somebody's link.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).custom_flags(FLAGS.bits().cast_signed());
    options
}
