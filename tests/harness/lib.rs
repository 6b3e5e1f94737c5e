//! Everything a test needs to meet the arbiter on a real bus, in one line each.
//!
//! ```ignore
//! #[tokio::test]
//! async fn a_call_is_answered() -> anyhow::Result<()> {
//!     let arbiter = Arbiter::on_session_bus().await?;
//!     let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
//!     let call = phone.report_incoming("sip:rabbit@example.org").await?;
//!     arbiter.bus.connect().await?.answer(&call.path).await?;
//!     assert_eq!(phone.peer.state(&call.path).await?, "active");
//!     Ok(())
//! }
//! ```
//!
//! Owns the private buses, the daemon's process, connections as several users and a scripted
//! provider. It speaks raw D-Bus on purpose: it must not use the client crate, or a mistake there
//! would hide one in the daemon. All it starts is stopped when dropped, also when a test panics;
//! hold what you start in the test that started it. Nothing here sleeps: it waits, with a deadline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod agent;
mod app;
mod arbiter;
mod bus;
mod cgroup;
mod known;
mod peer;
mod process;
mod provider;
pub mod sip;
mod user;
mod wait;
mod witness;

pub use agent::{Errand, FakeAgent};
pub use app::{App, Memory, Mood};
pub use arbiter::{ALLOW, Arbiter, Daemon};
pub use bus::Bus;
pub use cgroup::Cgroup;
pub use known::{Dice, Interfaces, Known, seed};
pub use peer::{Action, Options, Peer, Refused, View, action, error, is, options};
pub use process::{Launch, Process, built, source};
pub use provider::{Asked, FakeProvider, Reply, Reported};
pub use user::User;
pub use wait::{PATIENCE, eventually};
pub use witness::Witness;

/// The arbiter's name on the bus.
pub const NAME: &str = "org.callarbiter.Calls1";
/// The path of its root object.
pub const ROOT: &str = "/org/callarbiter/Calls1";
/// What its errors start with.
pub const ERROR: &str = "org.callarbiter.Calls1.Error.";

/// The full name of one of its interfaces.
pub fn interface(short: &str) -> String {
    format!("{NAME}.{short}")
}
