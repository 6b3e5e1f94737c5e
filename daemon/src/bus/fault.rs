//! Errors on their way out: the core's refusals and the bus's own standard errors.
//!
//! Owns the mapping to names. A message tells its caller what was refused, why, and what would help;
//! it is never logged.

use callarbiter_core::{Error as Kind, Refusal};
use callarbiter_dbus::{Error, ErrorKind, ErrorName};

const UNKNOWN_OBJECT: &str = "org.freedesktop.DBus.Error.UnknownObject";
const UNKNOWN_INTERFACE: &str = "org.freedesktop.DBus.Error.UnknownInterface";
const UNKNOWN_METHOD: &str = "org.freedesktop.DBus.Error.UnknownMethod";
const UNKNOWN_PROPERTY: &str = "org.freedesktop.DBus.Error.UnknownProperty";
const PROPERTY_READ_ONLY: &str = "org.freedesktop.DBus.Error.PropertyReadOnly";
const INVALID_ARGS: &str = "org.freedesktop.DBus.Error.InvalidArgs";
const FAILED: &str = "org.freedesktop.DBus.Error.Failed";

/// The longest name that a bus knows.
const QUOTED: usize = 255;

/// What a caller wrote, as far as a sentence can carry it: arguments may be anything.
fn quoted(text: &str) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().take(QUOTED).map(shown).collect()
}

fn standard(name: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorName::Other(name.to_owned()), message)
}

/// No such object in this caller's view; says nothing about other users' objects.
pub fn unknown_object(path: &str) -> Error {
    standard(UNKNOWN_OBJECT, format!("there is no object {path}; it may have been removed"))
}

/// The object has no such interface.
pub fn unknown_interface(path: &str, interface: &str) -> Error {
    let interface = quoted(interface);
    standard(UNKNOWN_INTERFACE, format!("the object {path} has no interface {interface}"))
}

/// The interface has no such method.
pub fn unknown_method(interface: &str, member: &str) -> Error {
    let interface = quoted(interface);
    let on = if interface.is_empty() { "this object" } else { &interface };
    standard(UNKNOWN_METHOD, format!("{on} has no method {member}; Introspect lists them"))
}

/// The interface has no such property.
pub fn unknown_property(interface: &str, property: &str) -> Error {
    let property = quoted(property);
    standard(UNKNOWN_PROPERTY, format!("{interface} has no property {property}"))
}

/// Nothing here is set by properties.
pub fn read_only(property: &str) -> Error {
    let property = quoted(property);
    standard(
        PROPERTY_READ_ONLY,
        format!("{property} cannot be set; the methods of the interface change things"),
    )
}

/// The body has not the types that the interface file says.
pub fn invalid_args(member: &str, expected: &str, found: &str) -> Error {
    standard(
        INVALID_ARGS,
        format!("{member} takes arguments of the types `{expected}`, these are `{found}`"),
    )
}

/// The body has the right types and still cannot be read.
pub fn malformed(member: &str) -> Error {
    standard(INVALID_ARGS, format!("the arguments of {member} are malformed"))
}

/// Nothing here takes files; one that waited would keep them open.
pub fn file_descriptors() -> Error {
    standard(INVALID_ARGS, "only a configuration takes a file descriptor: one, its ringtone")
}

/// A reply that could not be built: a bug.
pub fn internal() -> Error {
    standard(FAILED, "the arbiter could not put its reply into a message")
}

/// A bound of the shell is reached.
pub fn limit(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::LimitExceeded, message)
}

/// Its caller does not read what it is sent.
pub fn unread() -> Error {
    limit(
        "too much that was sent to this user's programs has not been read; read it, answer the \
         `Ping` that asks for it, or connect anew",
    )
}

/// A refusal of the core as an error of the contract.
pub fn refused(refusal: &Refusal) -> Error {
    Error::new(kind(refusal.error), refusal.message.clone())
}

/// What a provider's own error means to whoever asked: the contract's words for what an app can and
/// cannot do are passed on, anything else is a failure.
pub fn said_by_provider(name: &str) -> Kind {
    const PASSED_ON: [Kind; 6] = [
        Kind::NotSupported,
        Kind::Busy,
        Kind::CannotHold,
        Kind::InvalidState,
        Kind::NotAuthorized,
        Kind::TimedOut,
    ];
    let same = |said: &Kind| kind(*said).name() == name;
    PASSED_ON.into_iter().find(same).unwrap_or(Kind::ActionFailed)
}

/// The name of a kind of refusal.
pub fn kind(error: Kind) -> ErrorKind {
    match error {
        Kind::NotAuthorized => ErrorKind::NotAuthorized,
        Kind::AccessDenied => ErrorKind::AccessDenied,
        Kind::InvalidArgument => ErrorKind::InvalidArgument,
        Kind::UnknownCall => ErrorKind::UnknownCall,
        Kind::UnknownProvider => ErrorKind::UnknownProvider,
        Kind::UnknownAction => ErrorKind::UnknownAction,
        Kind::AlreadyRegistered => ErrorKind::AlreadyRegistered,
        Kind::UuidInUse => ErrorKind::UuidInUse,
        Kind::AlreadyEnded => ErrorKind::AlreadyEnded,
        Kind::InvalidState => ErrorKind::InvalidState,
        Kind::StaleState => ErrorKind::StaleState,
        Kind::CannotHold => ErrorKind::CannotHold,
        Kind::NotSupported => ErrorKind::NotSupported,
        Kind::Busy => ErrorKind::Busy,
        Kind::Background => ErrorKind::Background,
        Kind::CallProtected => ErrorKind::CallProtected,
        Kind::MaximumCallGroupsReached => ErrorKind::MaximumCallGroupsReached,
        Kind::MaximumCallsPerGroupReached => ErrorKind::MaximumCallsPerGroupReached,
        Kind::FilteredByBlockList => ErrorKind::FilteredByBlockList,
        Kind::FilteredByDoNotDisturb => ErrorKind::FilteredByDoNotDisturb,
        Kind::FilteredByScreening => ErrorKind::FilteredByScreening,
        Kind::LimitExceeded => ErrorKind::LimitExceeded,
        Kind::ActionFailed => ErrorKind::ActionFailed,
        Kind::TimedOut => ErrorKind::TimedOut,
        Kind::ProviderGone => ErrorKind::ProviderGone,
        Kind::EmptyTransaction => ErrorKind::EmptyTransaction,
        Kind::Cancelled => ErrorKind::Cancelled,
    }
}
