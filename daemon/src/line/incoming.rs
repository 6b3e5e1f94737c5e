//! What has been read and is no message yet.
//!
//! Owns where one message ends and the next begins, and the files that came before their message was whole. What a
//! message is, [`callarbiter_wire`] says.

use std::{io, os::fd::OwnedFd};

use callarbiter_wire::Received;
use tracing::debug;

/// As much as a read brings in one go.
const ROOM: usize = 16 * 1024;
/// Files that wait for the message that counts them. A write brings no more than 253, and a read is made only when no
/// whole message is left.
const FILES: usize = 1024;

/// Bytes and files in the order in which they came.
#[derive(Debug, Default)]
pub struct Incoming {
    bytes: Vec<u8>,
    /// What is in `bytes`.
    start: usize,
    end: usize,
    files: Vec<OwnedFd>,
}

impl Incoming {
    /// What somebody else has read already comes before all that is here.
    pub fn begins_with(&mut self, mut bytes: Vec<u8>, mut files: Vec<OwnedFd>) {
        if !bytes.is_empty() {
            bytes.extend_from_slice(self.held());
            (self.start, self.end) = (0, bytes.len());
            self.bytes = bytes;
        }
        if !files.is_empty() {
            files.append(&mut self.files);
            self.files = files;
        }
    }

    /// Where the next bytes go.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.bytes.len() < ROOM {
            self.bytes.resize(ROOM, 0);
        } else if self.end == self.bytes.len() {
            // A long message: room for as much again as has come of it.
            self.bytes.resize(self.end * 2, 0);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes came to where there was room, and these files.
    pub fn came(&mut self, bytes: usize, files: Vec<OwnedFd>) -> io::Result<()> {
        self.end += bytes;
        self.files.extend(files);
        if self.files.len() > FILES {
            return Err(invalid("more files than any message counts"));
        }
        Ok(())
    }

    /// The first message, if it is whole.
    pub fn take(&mut self) -> io::Result<Option<Received>> {
        while let Some(bytes) = self.cut()? {
            match Received::new(bytes, &mut self.files) {
                Ok(message) => return Ok(Some(message)),
                // A bus has checked it, so the two of us disagree: that must not end the daemon for everybody. Whose
                // the files are that came so far, nobody knows now.
                Err(error) => {
                    debug!(%error, "a message is passed over");
                    self.files.clear();
                }
            }
        }
        Ok(None)
    }

    fn cut(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(length) = Received::measure(self.held())? else { return Ok(None) };
        let Some(message) = self.held().get(..length) else { return Ok(None) };
        let bytes = message.to_vec();
        self.start += length;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > ROOM {
                // It was for a long one.
                self.bytes = Vec::new();
            }
        }
        Ok(Some(bytes))
    }

    /// Those that no message counted yet.
    #[cfg(test)]
    pub fn files(&self) -> &[OwnedFd] {
        &self.files
    }

    fn held(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
