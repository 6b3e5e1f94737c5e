//! The names of things: newtypes, so that a call is never mistaken for a group.
//!
//! Owns nothing. Every id but [`Uid`] and [`Peer`] counts within one domain, so that a number tells
//! its reader nothing about other users.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A user, and so a domain: nothing crosses from one to another.
    Uid(u32)
);
impl Uid {
    /// In a recording, anybody but the user whose it is.
    pub const OTHER: Uid = Uid(u32::MAX);
}

id!(
    /// A connection to the bus, numbered by the shell and never used for another one.
    Peer(u64)
);
id!(
    /// A registered provider.
    ProviderId(u32)
);
id!(
    /// A call; its public name is its UUID.
    CallId(u32)
);
id!(
    /// A group of calls of one provider.
    GroupId(u32)
);
id!(
    /// A transaction.
    TransactionId(u32)
);
id!(
    /// A request to a provider; answered by `Fulfil` or `Fail`.
    RequestId(u64)
);
