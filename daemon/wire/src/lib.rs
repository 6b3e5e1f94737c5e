//! Messages as bytes: what came is read where it stands, what is sent is written once.
//!
//! Owns D-Bus marshalling of what travels with every call. zbus reads each message into values of its own, which was
//! a seventh of what the daemon did for an answer, and asks each value for its signature while it writes, which was
//! most of a snapshot of hundreds of calls. What is rare goes through it ([`Received::whole`], [`Body::any`],
//! `Outgoing::from`), and the tests compare the bytes with its. Knows no connection, no method and no call.

mod arguments;
mod compose;
mod encode;
mod head;
mod outgoing;
mod received;
#[cfg(test)]
mod tests;

pub use arguments::{Argument, Arguments, Reader};
pub use compose::{Head, compose};
pub use encode::Body;
pub use outgoing::Outgoing;
pub use received::{Kind, Received};
