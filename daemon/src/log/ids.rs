//! The journal's message ids: `journalctl MESSAGE_ID=…` finds all events of one kind.
//!
//! Owns the numbers. One that was released never changes its meaning, and none is used twice.

/// The daemon serves: it owns its name.
pub const STARTED: &str = "5c1e64a5c5b44fd5b5a0a8bfb0f4d3f6";
/// The daemon ends because it was asked to.
pub const STOPPED: &str = "e0b8a2d7f3d14d0d9c5c64d1a4cf3b92";
/// The daemon ends because something broke: the bus, the name, the configuration at the start.
pub const FAILED: &str = "a87b1f0c6a2e4be39d5cf74a83ce9d10";
/// The configuration was read again and is in force.
pub const RELOADED: &str = "3f9d1c52e7b84e6fa0c4b2d86a915e7d";
/// The configuration was read again and refused; the old one stays in force.
pub const RELOAD_REFUSED: &str = "94c2d05b8f6a4f719e3ab7d1c05e28f4";
/// There is a call that was not there before: CALL_ID, PROVIDER, UID, DIRECTION, NEW.
pub const CALL_BEGAN: &str = "a6c1f07e5b3d4d28b94c7e20d58f6a13";
/// After a restart an app says that a call is not where it was: CALL_ID, PROVIDER, UID, OURS, THEIRS.
pub const CALL_DIFFERS: &str = "f25d8b47c09e4e6da1307c9b4e68d2f5";
/// A call went from one state to another: CALL_ID, PROVIDER, UID, OLD, NEW, REASON.
pub const CALL_TRANSITION: &str = "7be4b6fd36fb4b5c9d2f3ac5a8a1f0d1";
/// An app registered to provide calls.
pub const PROVIDER_REGISTERED: &str = "0d4d2a1f6d4f4f0bb4b5f3b7f3a5b1c2";
/// A provider unregistered or left the bus.
pub const PROVIDER_LOST: &str = "c2f3d4e5a6b74c8d9e0f1a2b3c4d5e6f";
/// A provider let a deadline pass: ACTION says for what.
pub const PROVIDER_UNRESPONSIVE: &str = "5a0c8b6e1d2f4e3a9b7c6d5e4f3a2b1c";
/// The machine is about to sleep, or awake again.
pub const SLEEP: &str = "6d2b7f0e94c34c1b8a5de3f1707b9c46";
/// Another user came to the front of a seat, or nobody is there any more: SEAT, UID.
pub const SEAT: &str = "b83e5a1c47d94f60a2f9c8d06e1b3574";
/// The audio was granted to a call's app, or released by it: CALL_ID, PROVIDER, UID.
pub const AUDIO: &str = "e1f2a3b4c5d64e7f8a9b0c1d2e3f4a5b";
/// The state of before a restart is back.
pub const RESTORED: &str = "1f7c93a05d264be8b0e4a86f2c9d5317";
/// A state file could not be used and was set aside.
pub const STATE_UNUSABLE: &str = "d40b6e8fa1574c3c9e52b7f80a63c1d9";
/// The state cannot be written: calls go on, and a crash would lose them.
pub const STATE_NOT_KEPT: &str = "8ae5f1c27b0349d6a4c8d93e6f7b2051";
/// The state is written again.
pub const STATE_KEPT: &str = "63c0d7b9e84f4a1285f6ba1d0c37e94e";
