//! Why something was refused: one error kind for programs, one sentence for people.
//!
//! Messages name what was refused, why, what is in the way and what would help. They go back to the
//! caller, who may know its own data, and never into a log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kinds of refusal; each is a D-Bus error of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Error {
    NotAuthorized,
    AccessDenied,
    InvalidArgument,
    UnknownCall,
    UnknownProvider,
    UnknownAction,
    AlreadyRegistered,
    UuidInUse,
    AlreadyEnded,
    InvalidState,
    StaleState,
    CannotHold,
    NotSupported,
    Busy,
    Background,
    CallProtected,
    MaximumCallGroupsReached,
    MaximumCallsPerGroupReached,
    FilteredByBlockList,
    FilteredByDoNotDisturb,
    FilteredByScreening,
    LimitExceeded,
    ActionFailed,
    TimedOut,
    ProviderGone,
    EmptyTransaction,
    Cancelled,
}

/// An error kind with its message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub error: Error,
    /// For people; may hold what the caller itself said.
    pub message: String,
}

impl Refusal {
    /// A refusal with its sentence.
    pub fn new(error: Error, message: impl Into<String>) -> Self {
        Refusal { error, message: message.into() }
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusal({:?})", self.error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// The result of anything that may be refused.
pub type Result<T, E = Refusal> = std::result::Result<T, E>;
