//! What rings for an app's calls.
//!
//! Owns the three ways in which the contract says it. What such a file must be, the arbiter checks.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use zbus::{Fd, Variant};

use crate::{Error, ErrorKind, Fields, fields::Writer, provider::theme_name};

/// A ringtone; its default is the desktop's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ringtone {
    /// The name of a sound of the theme; the desktop's, if it is empty.
    Theme(String),
    /// A sound of the app's own, on its way to the arbiter.
    File(SoundFile),
    /// A sound of the app's own that the arbiter has: `Manager.OpenRingtone`.
    Own,
}

/// A sound as a sealed memfd, which nobody can change any more.
#[derive(Clone, Debug)]
pub struct SoundFile(Arc<OwnedFd>);

impl From<OwnedFd> for SoundFile {
    fn from(file: OwnedFd) -> Self {
        SoundFile(Arc::new(file))
    }
}

impl AsFd for SoundFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Equal is the same file only: what is in it nobody reads here.
impl PartialEq for SoundFile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SoundFile {}

impl Ringtone {
    pub(crate) fn write(ringtone: Option<&Ringtone>, dict: Writer) -> Writer {
        match ringtone {
            None => dict,
            Some(Ringtone::Theme(name)) => dict.text("ringtone", Some(name)),
            // One more descriptor may be one too many: then it is the desktop's.
            Some(Ringtone::File(SoundFile(file))) => {
                dict.put("ringtone", file.try_clone().ok().map(Fd::Owned))
            }
            Some(Ringtone::Own) => dict.flag("own-ringtone", true),
        }
    }

    pub(crate) fn read(fields: Fields<'_>) -> Result<Option<Ringtone>, Error> {
        let given = fields.read("ringtone", "s or h", |value| match value {
            Variant::Str(_) => Some(None),
            Variant::Fd(file) => Some(Some(file)),
            _ => None,
        })?;
        Ok(match given {
            Some(Some(file)) => {
                let file = file.as_fd().try_clone_to_owned();
                Some(Ringtone::File(SoundFile::from(file.map_err(|_| no_room())?)))
            }
            None if fields.flag("own-ringtone")? == Some(true) => Some(Ringtone::Own),
            None | Some(None) => theme_name(fields, "ringtone")?.map(Ringtone::Theme),
        })
    }
}

fn no_room() -> Error {
    Error::new(ErrorKind::LimitExceeded, "the arbiter can open no more files")
}
