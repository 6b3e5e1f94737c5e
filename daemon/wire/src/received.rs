//! A message that came.
//!
//! Owns its bytes and the files that came with it. Its header is read once, where it stands; its arguments when a
//! method wants them ([`crate::Arguments`]).

use std::{io, num::NonZeroU32, ops::Range, os::fd::OwnedFd, sync::Arc};

use zbus::{
    Message,
    wire::{
        Endian,
        serialized::{Context, Data},
    },
};

use crate::{
    arguments::{Arguments, Reader},
    head::{self, FIXED, Fields},
};

/// The longest message that the specification allows.
const LONGEST: usize = 128 * 1024 * 1024;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody calls a method.
    Call,
    /// What a method returned.
    Return,
    /// That it failed.
    Error,
    /// Something happened.
    Signal,
    /// Of a later version of the protocol, which wants it to be ignored.
    Unknown,
}

/// A message that came. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Received(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bytes: Vec<u8>,
    files: Vec<OwnedFd>,
    fields: Fields,
}

impl Received {
    /// How long the message is that begins so; none while that is not known.
    pub fn measure(bytes: &[u8]) -> io::Result<Option<usize>> {
        let Some(fixed) = bytes.first_chunk::<FIXED>() else { return Ok(None) };
        let (_, _, length) = head::measure(fixed).ok_or_else(|| invalid("no byte order"))?;
        if length > LONGEST {
            return Err(invalid("a message longer than any may be"));
        }
        Ok(Some(length))
    }

    /// A whole message, and the files that came so far: it takes those that it counts.
    pub fn new(bytes: Vec<u8>, came: &mut Vec<OwnedFd>) -> io::Result<Received> {
        let fields = Fields::of(&bytes).ok_or_else(|| invalid("no header"))?;
        let counted = came.len().min(fields.files as usize);
        let files = came.drain(..counted).collect();
        Ok(Received(Arc::new(Inner { bytes, files, fields })))
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self.0.fields.kind {
            1 => Kind::Call,
            2 => Kind::Return,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => Kind::Unknown,
        }
    }

    /// By which a reply names it.
    pub fn serial(&self) -> NonZeroU32 {
        self.0.fields.serial
    }

    /// What it replies to.
    pub fn reply_to(&self) -> Option<NonZeroU32> {
        self.0.fields.reply_to
    }

    /// Its sender wants a reply.
    pub fn wants_reply(&self) -> bool {
        self.kind() == Kind::Call && !self.0.fields.no_reply
    }

    /// In which its numbers are.
    pub fn order(&self) -> Endian {
        self.0.fields.order
    }

    /// The connection that sent it, or the bus; empty like any field that it does not have.
    pub fn sender(&self) -> &str {
        self.text(&self.0.fields.sender)
    }

    /// The object.
    pub fn path(&self) -> &str {
        self.text(&self.0.fields.path)
    }

    /// The interface.
    pub fn interface(&self) -> &str {
        self.text(&self.0.fields.interface)
    }

    /// The method or signal.
    pub fn member(&self) -> &str {
        self.text(&self.0.fields.member)
    }

    /// The types of its arguments.
    pub fn signature(&self) -> &str {
        self.text(&self.0.fields.signature)
    }

    /// How many files it says that it has.
    pub fn files_counted(&self) -> u32 {
        self.0.fields.files
    }

    /// Files came with it.
    pub fn has_files(&self) -> bool {
        !self.0.files.is_empty()
    }

    /// How long it is.
    pub fn length(&self) -> usize {
        self.0.bytes.len()
    }

    /// How long its arguments are.
    pub fn arguments_length(&self) -> usize {
        self.length() - self.0.fields.body
    }

    /// Its arguments, whose types the caller has compared with its signature; none if they are malformed.
    pub fn arguments<A: Arguments>(&self) -> Option<A> {
        let body = self.0.bytes.get(self.0.fields.body..)?;
        let mut from = Reader::new(body, self.order(), &self.0.files);
        A::read(&mut from).filter(|_| from.is_at_end())
    }

    /// As zbus has it: for what is rare.
    pub fn whole(&self) -> zbus::Result<Message> {
        let files: io::Result<Vec<OwnedFd>> = self.0.files.iter().map(OwnedFd::try_clone).collect();
        by_zbus(self.0.bytes.clone(), self.order(), files?)
    }

    fn text(&self, range: &Range<usize>) -> &str {
        let bytes = self.0.bytes.get(range.clone()).unwrap_or_default();
        // A bus has checked it.
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// A message as zbus reads it.
#[allow(unsafe_code)]
pub fn by_zbus(bytes: Vec<u8>, order: Endian, files: Vec<OwnedFd>) -> zbus::Result<Message> {
    let data = Data::new_fds(bytes, Context::new(order, 0), files);
    // SAFETY: the bytes need not be a message: zbus reads and checks the header here, and a body when it is read.
    unsafe { Message::from_bytes(data) }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
