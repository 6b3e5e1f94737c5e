//! What the operating system and its service manager give to the daemon, each behind a small face.
//!
//! Owns every contact with them except the bus. Knows nothing about calls.

pub mod clock;
pub mod notify;
pub mod signals;
