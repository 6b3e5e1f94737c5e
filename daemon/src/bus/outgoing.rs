//! A message that is to be sent.
//!
//! Owns its bytes. What we put together is not read again before it leaves; zbus would, each time.
#![allow(unsafe_code)]

use std::num::NonZeroU32;

use zbus::{
    Message,
    wire::{
        Endian,
        serialized::{Context, Data},
    },
};

/// A message with its number. It never has files with it.
#[derive(Clone, Debug)]
pub struct Outgoing {
    bytes: Vec<u8>,
    serial: NonZeroU32,
}

impl Outgoing {
    pub(super) fn new(bytes: Vec<u8>, serial: NonZeroU32) -> Self {
        Outgoing { bytes, serial }
    }

    /// By which its reply names it.
    pub fn serial(&self) -> NonZeroU32 {
        self.serial
    }

    /// How long it is.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// As its receiver reads it.
    pub fn read(&self) -> zbus::Result<Message> {
        let order = if self.bytes.first() == Some(&b'B') { Endian::Big } else { Endian::Little };
        let data = Data::new(self.bytes.clone(), Context::new(order, 0));
        // SAFETY: the bytes need not be a message: zbus reads and checks the header here, and a body when it is read.
        unsafe { Message::from_bytes(data) }
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
        Outgoing { bytes: message.data().bytes().to_vec(), serial }
    }
}
