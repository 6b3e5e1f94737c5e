//! A message that is to be sent.
//!
//! Owns its bytes, and the files that go with it. What we put together is not read again before it leaves; zbus would,
//! each time.

use std::num::NonZeroU32;

use zbus::{Fd, Message, wire::Endian};

use crate::received::by_zbus;

/// A message with its number.
#[derive(Clone, Debug)]
pub struct Outgoing {
    bytes: Vec<u8>,
    serial: NonZeroU32,
    /// The message that has files, which few have.
    with_files: Option<Message>,
}

impl Outgoing {
    pub(crate) fn new(bytes: Vec<u8>, serial: NonZeroU32) -> Self {
        Outgoing { bytes, serial, with_files: None }
    }

    /// By which its reply names it.
    pub fn serial(&self) -> NonZeroU32 {
        self.serial
    }

    /// How long it is.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// What goes with it.
    pub fn files(&self) -> &[Fd<'_>] {
        self.with_files.as_ref().map(|message| message.data().fds()).unwrap_or_default()
    }

    /// As its receiver reads it.
    pub fn read(&self) -> zbus::Result<Message> {
        let order = if self.bytes.first() == Some(&b'B') { Endian::Big } else { Endian::Little };
        by_zbus(self.bytes.clone(), order, Vec::new())
    }
}

impl AsRef<[u8]> for Outgoing {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What is rare is put together by zbus.
impl From<Message> for Outgoing {
    fn from(message: Message) -> Self {
        let serial = message.primary_header().serial_num();
        let bytes = message.data().bytes().to_vec();
        let with_files = (!message.data().fds().is_empty()).then_some(message);
        Outgoing { bytes, serial, with_files }
    }
}
