//! The arbiter on the bus: messages in, messages out, nothing in between that waits.
//!
//! Owns everything that knows D-Bus: who the callers are, what they may see, how their words become
//! inputs of the core and its effects become messages. Decides nothing about calls, and does no I/O:
//! [`Router`] is given messages and the time, and [`crate::run`] reads and writes the socket.

mod admission;
mod agents;
mod contract;
mod debts;
mod delegate;
mod described;
mod dispatch;
mod explain;
mod fault;
mod identities;
mod introspect;
mod journal;
mod kept;
mod later;
mod methods;
mod numbers;
mod parked;
mod parse;
mod peers;
mod permission;
mod permits;
mod presets;
mod properties;
mod publish;
mod rates;
mod request;
mod ringtones;
mod router;
mod saved;
mod session;
mod subscribers;
mod tape;
mod turn;
mod views;
mod waits;

#[cfg(test)]
mod tests;

pub use journal::Journal;
pub use peers::Access;
pub use permission::Permissions;
pub use router::{Fatal, Router};
pub use saved::{Key, Unusable};
