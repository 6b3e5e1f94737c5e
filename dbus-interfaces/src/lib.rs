//! The contract of Callarbiter on the bus, for both sides of it.
//!
//! Owns the interface files and what follows from them: names and paths, limits, errors, words of
//! closed sets, the dictionaries that travel, typed proxies. Must not decide anything about calls,
//! open a connection, or need a runtime; what a client should *do* is in the crate `callarbiter`.
//!
//! Everything read from the bus tolerates what a later version may add: unknown keys are skipped,
//! unknown words are kept as `Other`. Everything read from a *caller* is strict about what it knows:
//! see [`fields`].

#![warn(missing_docs)]

pub mod actions;
pub mod agent;
pub mod apps;
pub mod cause;
pub mod endpoint;
pub mod errors;
pub mod fields;
pub mod limits;
pub mod names;
pub mod options;
pub mod outcomes;
pub mod provider;
pub mod proxies;
pub mod record;
pub mod ringtone;
pub mod words;
pub mod xml;

pub use actions::{Action, CallRef, Verb};
pub use agent::{AgentAnswer, AudioApp};
pub use apps::{App, AppWord};
pub use cause::Cause;
pub use endpoint::Endpoint;
pub use errors::{Error, ErrorKind, ErrorName};
pub use fields::{Dict, Entries, Fields};
pub use options::{
    DoNotDisturbOptions, EndOptions, RegistrationState, RoleOptions, RoleState, StartOptions,
    TransactionOptions,
};
pub use outcomes::{ActionResult, AnswerPlan, PlanStep};
pub use provider::{
    CallUpdate, Configuration, EndDetails, PerformOptions, ReconciledCalls, StateDetails,
};
pub use record::Record;
pub use ringtone::{Ringtone, SoundFile};
