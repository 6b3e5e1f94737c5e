#![doc = include_str!("../README.md")]
//!
//! # Control
//!
//! ```no_run
//! # use callarbiter::{Connection, Controller, TransactionOptions, Verb, Uuid};
//! # async fn run(active: Uuid, ringing: Uuid) -> callarbiter::Result<()> {
//! let controller = Controller::new(&Connection::system().await?);
//! controller.answer(ringing).await?;
//!
//! // Both or neither, in this order.
//! let end = Verb::End { call: active.into(), reason: None, message: None };
//! let answer = Verb::Answer { call: ringing.into() };
//! let transaction = controller
//!     .transaction([end.into(), answer.into()], TransactionOptions::default())
//!     .await?;
//! for result in transaction.finished().await? {
//!     println!("{}: {}", result.action, result.outcome);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Watch
//!
//! ```no_run
//! # use callarbiter::{Change, Connection, Events};
//! # async fn run() -> callarbiter::Result<()> {
//! let mut events = Events::subscribe(&Connection::system().await?).await?;
//! while let Some(change) = events.next().await {
//!     if let Change::CallAdded(call) = change {
//!         println!("{} {}", call.state, call.remote_handle.reveal());
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod agent;
mod call;
mod connection;
mod controller;
mod error;
mod events;
mod link;
mod objects;
mod presence;
mod private;
mod properties;
mod provider;
mod pursuit;
mod router;
mod signals;
mod snapshot;

pub use agent::{Agent, AgentEvent, Asked, Errand, Screened};
pub use call::Call;
pub use callarbiter_dbus::{
    Action, ActionResult, AgentAnswer, AnswerPlan, AudioApp, CallRef, CallUpdate, Cause,
    Configuration, Dict, DoNotDisturbOptions, Endpoint, ErrorKind, ErrorName, PlanStep, Record,
    Ringtone, StartOptions, TransactionOptions, Verb,
    names::{CallPath, Object},
    words,
};
pub use connection::Connection;
pub use controller::Controller;
pub use error::{ActionError, Error, Result};
pub use events::{Change, Events};
pub use objects::{AudioSession, Group, ManagerInfo, ProviderInfo, Transaction};
pub use private::Private;
pub use provider::{Delegate, Performed, Provider, ProviderBuilder, Request};
pub use pursuit::TransactionHandle;
pub use snapshot::Snapshot;
pub use uuid::Uuid;
#[doc(no_inline)]
pub use words::{Authorization, CallState, Direction, EndReason, NoticeKind, Origin, Outcome};
