//! Provide, control and watch calls on the Linux desktop through the call arbiter.

#![warn(missing_docs)]

mod call;
mod connection;
mod controller;
mod error;
mod events;
mod objects;
mod private;
mod properties;
mod provider;
mod pursuit;
mod router;
mod signals;
mod snapshot;

pub use call::Call;
pub use callarbiter_dbus::{
    Action, ActionResult, AnswerPlan, CallRef, CallUpdate, Configuration, Dict, ErrorKind,
    ErrorName, PlanStep, StartOptions, TransactionOptions, Verb,
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
