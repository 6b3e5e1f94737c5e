//! Errors on the wire: their names, and an error as a client receives it.
//!
//! Owns the names. Which refusal a situation deserves, the arbiter's core decides; it maps its own
//! list onto [`ErrorKind`] exhaustively.

use std::fmt;

use zbus::DBusError as _;

/// What every error name of the contract begins with.
pub const PREFIX: &str = "org.callarbiter.Calls1.Error.";

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident,)+) => {
        /// The kinds of refusal; each is the D-Bus error of the same name under [`PREFIX`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl ErrorKind {
            /// All of them.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$kind,)+];

            /// The name under [`PREFIX`].
            pub const fn short_name(self) -> &'static str {
                match self { $(ErrorKind::$kind => stringify!($kind),)+ }
            }

            /// The full name of the D-Bus error.
            pub const fn name(self) -> &'static str {
                match self {
                    $(ErrorKind::$kind => {
                        concat!("org.callarbiter.Calls1.Error.", stringify!($kind))
                    })+
                }
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(ErrorKind::$kind => concat!($($doc),+).trim(),)+ }
            }
        }
    };
}

kinds! {
    /// The user has not allowed this app to provide calls.
    NotAuthorized,
    /// This caller may not do this.
    AccessDenied,
    /// A value is malformed, of the wrong type, or out of its bounds.
    InvalidArgument,
    /// There is no such call.
    UnknownCall,
    /// There is no such provider, or none for this handle.
    UnknownProvider,
    /// This version has no such action.
    UnknownAction,
    /// The same app and instance is registered from another connection.
    AlreadyRegistered,
    /// A live call of this provider has that UUID.
    UuidInUse,
    /// The call has ended; it is remembered for an hour.
    AlreadyEnded,
    /// The call is in a state in which this makes no sense.
    InvalidState,
    /// The call is no longer in the state that the caller expected.
    StaleState,
    /// The call in the way cannot be held.
    CannotHold,
    /// The call, its provider, or this version cannot do this.
    NotSupported,
    /// There is no room for another ringing call.
    Busy,
    /// Another user has the seat.
    Background,
    /// An emergency call is in the way; nothing takes the audio from it.
    CallProtected,
    /// The provider can carry no further group of calls.
    MaximumCallGroupsReached,
    /// The group can take no further call.
    MaximumCallsPerGroupReached,
    /// The user's block list stopped the call.
    FilteredByBlockList,
    /// Do-not-disturb stopped the call.
    FilteredByDoNotDisturb,
    /// A screener stopped the call.
    FilteredByScreening,
    /// A bound of this user is reached.
    LimitExceeded,
    /// The provider could not do it.
    ActionFailed,
    /// The provider did not say in time.
    TimedOut,
    /// The provider left the bus.
    ProviderGone,
    /// The transaction has no actions.
    EmptyTransaction,
    /// It was not begun, because something before it failed, ended or was cancelled.
    Cancelled,
}

impl ErrorKind {
    /// The kind with this full name; none for names of other services and of later versions.
    pub fn from_name(name: &str) -> Option<ErrorKind> {
        let short = name.strip_prefix(PREFIX)?;
        Self::ALL.iter().copied().find(|kind| kind.short_name() == short)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short_name())
    }
}

/// The name of an error reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ErrorName {
    /// One of the contract.
    Known(ErrorKind),
    /// Any other: of the bus, of D-Bus itself, of an app, of a later version. The full name.
    Other(String),
}

impl ErrorName {
    /// The full name.
    pub fn as_str(&self) -> &str {
        match self {
            ErrorName::Known(kind) => kind.name(),
            ErrorName::Other(name) => name,
        }
    }
}

impl From<&str> for ErrorName {
    fn from(name: &str) -> Self {
        ErrorKind::from_name(name)
            .map_or_else(|| ErrorName::Other(name.to_owned()), ErrorName::Known)
    }
}

impl From<ErrorKind> for ErrorName {
    fn from(kind: ErrorKind) -> Self {
        ErrorName::Known(kind)
    }
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error as it travels: a name for programs, a sentence for people.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    /// For programs.
    pub name: ErrorName,
    /// For people: what was refused, why, what is in the way, what would help. May hold what the
    /// caller itself said, so it is shown to the caller and never logged; [`fmt::Debug`] leaves it
    /// out.
    pub message: String,
}

impl Error {
    /// An error with its sentence.
    pub fn new(name: impl Into<ErrorName>, message: impl Into<String>) -> Self {
        Error { name: name.into(), message: message.into() }
    }

    /// A value that the contract does not allow.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::InvalidArgument, message)
    }

    /// Its kind, if it is one of the contract.
    pub fn kind(&self) -> Option<ErrorKind> {
        match self.name {
            ErrorName::Known(kind) => Some(kind),
            ErrorName::Other(_) => None,
        }
    }

    /// The error reply in a zbus error; none where there was no reply at all (the connection broke,
    /// the reply could not be read).
    pub fn from_zbus(error: &zbus::Error) -> Option<Error> {
        match error {
            zbus::Error::MethodError(name, message, _) => {
                Some(Error::new(name.as_str(), message.clone().unwrap_or_default()))
            }
            zbus::Error::FDO(error) => {
                let message = error.description().unwrap_or_default();
                Some(Error::new(error.name().as_str(), message))
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({})", self.name)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() { self.name.fmt(f) } else { f.write_str(&self.message) }
    }
}

impl std::error::Error for Error {}
