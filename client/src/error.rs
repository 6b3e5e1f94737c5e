//! What can go wrong between an app and the arbiter, and what an app may answer to it.

use std::fmt;

use callarbiter_dbus::{ErrorKind, ErrorName};

/// Why a request to the arbiter did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The arbiter, or the bus, said no: a name for programs, a sentence for people.
    #[error("{0}")]
    Refused(callarbiter_dbus::Error),
    /// No arbiter is on this bus, or it left and did not come back in time, or it came back without its
    /// state and nobody knows what it did before.
    #[error("the call arbiter is not running on this bus; start callarbiterd, or wait for it")]
    ArbiterGone,
    /// It did not answer in time.
    #[error("the call arbiter did not answer in time")]
    NoAnswer,
    /// The connection to the bus is closed for good; nothing comes back on it.
    #[error("the connection to the bus is closed")]
    Closed,
    /// This provider is not registered any more.
    #[error("the provider is not registered: {0}")]
    Unregistered(String),
    /// The answer is not what the contract says.
    #[error("the call arbiter gave an answer that this version cannot read: {0}")]
    Unreadable(String),
    /// Anything else between this program and the bus.
    #[error("the bus could not be used: {0}")]
    Bus(zbus::Error),
}

/// The result of a request to the arbiter.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The kind of refusal, if it is one of the contract's.
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Error::Refused(error) => error.kind(),
            _ => None,
        }
    }
}

impl From<zbus::Error> for Error {
    fn from(error: zbus::Error) -> Self {
        use zbus::fdo::Error as Standard;
        match &error {
            zbus::Error::FDO(standard) => match **standard {
                Standard::ServiceUnknown(_)
                | Standard::NameHasNoOwner(_)
                | Standard::NoReply(_)
                | Standard::Disconnected(_) => return Error::ArbiterGone,
                Standard::Timeout(_) | Standard::TimedOut(_) => return Error::NoAnswer,
                _ => {}
            },
            zbus::Error::InputOutput(io) if io.kind() == std::io::ErrorKind::TimedOut => {
                return Error::NoAnswer;
            }
            zbus::Error::InputOutput(_) => return Error::Closed,
            _ => {}
        }
        match callarbiter_dbus::Error::from_zbus(&error) {
            Some(refusal) => Error::Refused(refusal),
            None => Error::Bus(error),
        }
    }
}

impl From<callarbiter_dbus::Error> for Error {
    fn from(error: callarbiter_dbus::Error) -> Self {
        Error::Refused(error)
    }
}

/// Why a provider could not do what it was asked: becomes `Fail` at the arbiter.
#[derive(Clone, PartialEq, Eq)]
pub struct ActionError {
    /// For programs: usually [`ErrorKind::ActionFailed`] or [`ErrorKind::NotSupported`].
    pub code: ErrorName,
    /// For people, who get to see it.
    pub message: String,
}

impl ActionError {
    /// A failure with its name.
    pub fn new(code: impl Into<ErrorName>, message: impl Into<String>) -> Self {
        ActionError { code: code.into(), message: message.into() }
    }

    /// It did not work.
    pub fn failed(message: impl Into<String>) -> Self {
        ActionError::new(ErrorKind::ActionFailed, message)
    }

    /// This app does not do such things.
    pub fn not_supported(message: impl Into<String>) -> Self {
        ActionError::new(ErrorKind::NotSupported, message)
    }
}

impl fmt::Debug for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActionError({})", self.code)
    }
}

impl fmt::Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ActionError {}

impl From<std::io::Error> for ActionError {
    fn from(error: std::io::Error) -> Self {
        ActionError::failed(error.to_string())
    }
}
