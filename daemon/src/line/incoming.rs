//! What has been read and is no message yet.
//!
//! Owns where one message ends and the next begins, and which files belong to which. What a message means, and
//! whether its header is one, others say.
#![allow(unsafe_code)]

use std::{io, os::fd::OwnedFd};

use zbus::{
    Message,
    wire::{
        Endian,
        serialized::{Context, Data},
    },
};

/// As much as a read brings in one go.
const ROOM: usize = 16 * 1024;
/// The longest message that the specification allows.
const LONGEST: usize = 128 * 1024 * 1024;
/// A header before its fields.
const HEAD: usize = 16;
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
    pub fn take(&mut self) -> zbus::Result<Option<Message>> {
        let Some((order, length)) = measure(self.held())? else { return Ok(None) };
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
        let files = std::mem::take(&mut self.files);
        let waiting = files.len();
        let data = Data::new_fds(bytes, Context::new(order, 0), files);
        // SAFETY: the bytes need not be a message: zbus reads and checks the header here as it does with what it
        // receives itself, and a body when it is read.
        let message = unsafe { Message::from_bytes(data) }?;
        if waiting > 0 {
            let counted = message.header().unix_fds().map_or(0, |count| count as usize);
            for file in message.data().fds().iter().skip(counted) {
                self.files.push(std::os::fd::AsFd::as_fd(file).try_clone_to_owned()?);
            }
        }
        Ok(Some(message))
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

/// Byte order and length of the message that begins here; none while that is not known.
fn measure(bytes: &[u8]) -> io::Result<Option<(Endian, usize)>> {
    let Some(head) = bytes.first_chunk::<HEAD>() else { return Ok(None) };
    let [first, _, _, _, a, b, c, d, _, _, _, _, e, f, g, h] = *head;
    let (order, number): (_, fn([u8; 4]) -> u32) = match first {
        b'l' => (Endian::Little, u32::from_le_bytes),
        b'B' => (Endian::Big, u32::from_be_bytes),
        _ => return Err(invalid("no byte order")),
    };
    let (body, fields) = (number([a, b, c, d]) as usize, number([e, f, g, h]) as usize);
    let length = (HEAD + fields).next_multiple_of(8) + body;
    if length > LONGEST {
        return Err(invalid("a message longer than any may be"));
    }
    Ok(Some((order, length)))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
