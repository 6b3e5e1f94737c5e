//! The parts of callarbiterd, for its program and for those who try them without a bus.
//!
//! Owns the list of parts and nothing else; how they are put together is in `main`. No interface for other
//! programs: those talk to the daemon by D-Bus.

pub mod bus;
pub mod cli;
mod crash;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod keeper;
pub mod line;
pub mod log;
pub mod logind;
pub mod platform;
pub mod run;
pub mod store;

pub use callarbiter_config as config;
