//! Ringtones that apps bring themselves: sealed memfds, kept as long as their app is registered.
//!
//! Owns what such a file must be, and how many there are. What is in it nobody here reads: whoever rings does, and
//! gets the file itself. Nothing of it is written down; an app that registers again brings it again.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd},
};

use callarbiter_core::{ProviderId, Uid};
use callarbiter_dbus::{Configuration, Error, Ringtone, SoundFile, limits};
use rustix::fs::{SealFlags, fcntl_get_seals, fstat};

use super::fault;

/// Of one user, and of all: each is a file that the daemon has open.
const MOST: usize = 16;
const MOST_OF_ALL: usize = 256;

/// Nobody can change it any more, nor make it shorter under its reader.
const SEALS: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW);

#[derive(Debug, Default)]
pub struct Ringtones(BTreeMap<(Uid, ProviderId), SoundFile>);

impl Ringtones {
    /// The ringtone of a configuration, if it may be kept; in place of that of `known`, which is one of these already.
    pub fn offered(
        &self,
        uid: Uid,
        known: Option<ProviderId>,
        given: &Configuration,
    ) -> Result<Option<SoundFile>, Error> {
        let Some(Ringtone::File(file)) = &given.ringtone else { return Ok(None) };
        check(file.as_fd())?;
        let of_user = self.0.range((uid, ProviderId(0))..).take_while(|((of, _), _)| *of == uid);
        let replaces = known.is_some_and(|id| self.0.contains_key(&(uid, id)));
        if !replaces && (of_user.count() >= MOST || self.0.len() >= MOST_OF_ALL) {
            return Err(fault::limit(format!(
                "at most {MOST} ringtones of a user's apps are kept, and {MOST_OF_ALL} of all users'; name a \
                 sound of the theme"
            )));
        }
        Ok(Some(file.clone()))
    }

    /// What rings for a provider now, by its configuration: `new`, what was kept before, or nothing of its own.
    pub fn keep(&mut self, of: (Uid, ProviderId), own: bool, new: Option<SoundFile>) {
        match (own, new) {
            (false, _) => self.forget(of),
            (true, Some(new)) => drop(self.0.insert(of, new)),
            (true, None) => {}
        }
    }

    pub fn get(&self, of: (Uid, ProviderId)) -> Option<&SoundFile> {
        self.0.get(&of)
    }

    pub fn forget(&mut self, of: (Uid, ProviderId)) {
        self.0.remove(&of);
    }
}

/// Whether a call of this method may have a file with it.
pub fn travel_with(member: &str) -> bool {
    ["RegisterProvider", "UpdateConfiguration"].contains(&member)
}

/// Asks the kernel only what it knows at once: no file can hold the daemon up.
fn check(file: BorrowedFd<'_>) -> Result<(), Error> {
    // Only memfds have seals.
    if !fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SEALS)) {
        return Err(Error::invalid_argument(
            "`ringtone` must be a memfd that is sealed: write the sound, then F_ADD_SEALS with F_SEAL_WRITE, \
             F_SEAL_SHRINK and F_SEAL_GROW",
        ));
    }
    let size = fstat(file).map_or(0, |stat| u64::try_from(stat.st_size).unwrap_or_default());
    match size {
        0 => Err(Error::invalid_argument("`ringtone` is an empty file")),
        size if size > limits::RINGTONE_BYTES => Err(Error::invalid_argument(format!(
            "`ringtone` has {size} bytes; it may have {}: Ogg Vorbis is smaller",
            limits::RINGTONE_BYTES
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        fs::File,
        io::{PipeReader, Write, pipe},
        os::fd::OwnedFd,
    };

    use rustix::fs::{MemfdFlags, fcntl_add_seals, memfd_create};

    use super::*;

    fn memfd(size: u64, seals: SealFlags) -> OwnedFd {
        let file = memfd_create("ringtone", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC);
        let file = File::from(file.unwrap());
        file.set_len(size).unwrap();
        fcntl_add_seals(&file, seals).unwrap();
        file.into()
    }

    fn given(file: OwnedFd) -> Configuration {
        Configuration { ringtone: Some(Ringtone::File(file.into())), ..Configuration::default() }
    }

    #[test]
    fn only_a_sealed_memfd_of_a_size_that_fits() {
        let kept = Ringtones::default();
        let said = |file: OwnedFd| match kept.offered(Uid(1), None, &given(file)) {
            Ok(_) => String::new(),
            Err(error) => error.message,
        };
        assert_eq!(said(memfd(limits::RINGTONE_BYTES, SEALS)), "");
        assert!(said(memfd(limits::RINGTONE_BYTES + 1, SEALS)).contains("it may have"));
        assert!(said(memfd(1 << 30, SEALS)).contains("has 1073741824 bytes"));
        assert!(said(memfd(0, SEALS)).contains("empty"));
        for missing in [SealFlags::WRITE, SealFlags::SHRINK, SealFlags::GROW] {
            assert!(said(memfd(9, SEALS.difference(missing))).contains("sealed"), "{missing:?}");
        }
        assert!(said(memfd(9, SealFlags::FUTURE_WRITE)).contains("sealed"));
        let (end, mut other): (PipeReader, _) = pipe().unwrap();
        other.write_all(b"RIFF").unwrap();
        assert!(said(end.into()).contains("sealed"));
        for path in ["/", "/dev/zero", "/proc/self/exe"] {
            assert!(said(File::open(path).unwrap().into()).contains("sealed"), "{path}");
        }
        let here = rustix::fs::OFlags::PATH;
        let path = rustix::fs::open("/", here, rustix::fs::Mode::empty()).unwrap();
        assert!(said(path).contains("sealed"));
    }

    #[test]
    fn so_many_of_one_user_and_of_all() {
        let mut kept = Ringtones::default();
        let file = || given(memfd(9, SEALS));
        for user in 0..16 {
            for app in 0..16 {
                let new = kept.offered(Uid(user), None, &file()).unwrap();
                kept.keep((Uid(user), ProviderId(app)), true, new);
            }
        }
        assert!(kept.offered(Uid(3), None, &file()).is_err(), "one too many of a user");
        assert!(kept.offered(Uid(3), Some(ProviderId(7)), &file()).is_ok(), "in place of its own");
        assert!(kept.offered(Uid(3), Some(ProviderId(99)), &file()).is_err(), "it has none");
        assert!(kept.offered(Uid(99), None, &file()).is_err(), "one too many of all");
        kept.keep((Uid(3), ProviderId(7)), true, None);
        assert!(kept.get((Uid(3), ProviderId(7))).is_some(), "an update that says nothing of it");
        kept.keep((Uid(3), ProviderId(7)), false, None);
        assert!(kept.get((Uid(3), ProviderId(7))).is_none());
        assert!(
            kept.offered(Uid(3), None, &file()).is_ok()
                && kept.offered(Uid(99), None, &file()).is_ok()
        );
    }
}
