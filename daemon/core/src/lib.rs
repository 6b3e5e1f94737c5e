//! The call arbiter itself: one pure state machine for all users' calls.
//!
//! [`Arbiter::handle`] takes one [`Input`] and the time, and appends ordered [`Effect`]s. It does no
//! I/O, reads no clock and logs nothing; a recorded history replays exactly. One module owns one
//! subject; the words are those of the field (provider, controller, action, fulfil, hold, group).

mod agents;
mod arbiter;
mod attach;
mod audio;
mod batch;
mod call;
mod choice;
mod consent;
mod contacts;
mod domain;
mod effect;
mod endpoints;
mod enforce;
mod errand;
mod focus;
mod gathered;
mod group;
mod handle;
mod ids;
mod incoming;
mod index;
mod input;
mod invariants;
mod kept;
mod lane;
mod launch;
mod life;
mod memory;
mod names;
mod plan;
mod policy;
mod preferences;
mod private;
mod provider;
mod quiet;
mod record;
mod refusal;
mod report;
mod request;
mod restart;
mod rights;
mod row;
mod saved;
mod screening;
mod seat;
mod session;
mod settings;
mod shown;
mod steps;
mod tape;
mod time;
mod timers;
pub mod tones;
mod transaction;
mod treatment;
mod turn;
mod why;
mod words;

pub use arbiter::{Arbiter, Reply};
pub use audio::{AudioSession, Endpoint, Phase};
pub use call::{
    AnswerPlan, Call, CallState, Capabilities, Direction, End, EndReason, HeldBy, Silenced,
};
pub use contacts::Contact;
pub use domain::Domain;
pub use effect::{Ask, Authorization, Change, Effect, Event, Happening, Notice, Object, Origin};
pub use enforce::{AudioApp, AudioPicture};
pub use errand::{AgentAnswer, AgentAsk};
pub use gathered::gathered;
pub use group::Group;
pub use handle::{is_anonymous, key as handle_key};
pub use ids::{CallId, GroupId, Peer, ProviderId, RequestId, TransactionId, Uid};
pub use input::{
    Action, AppIdSource, CallRef, Caller, Claim, Configuration, DoNotDisturb, HoldModel, Input,
    Records, Registration, Requested, Ringer, Role, Update, Word,
};
pub use names::Names;
pub use plan::PlannedStep;
pub use policy::{
    AutoAnswer, Busy, Contacts, Days, Handles, HoldFailed, Hours, Moment, Pattern, Ring, Rule,
    Then, Treatment, USUAL, When, Zone,
};
pub use preferences::{Allowance, EVERY_CALL, Preferences};
pub use private::Private;
pub use provider::Provider;
pub use record::{Missed, Record, RecordId};
pub use refusal::{Error, Refusal, Result};
pub use saved::{Key, SavedRecord, Unreadable, reasons::WORDS as REASONS};
pub use screening::Ground;
pub use settings::{
    AfterRemoteEnd, AuthorizationPolicy, Deadlines, Emergency, Limits, Policy, Settings, WhenBusy,
};
pub use tape::{Line, TAPE_VERSION, Use, know_alike};
pub use time::{Millis, Now, Time};
pub use timers::Due;
pub use transaction::{Outcome, Step, Transaction};
pub use why::{
    AgentSaid, Cause, Deadline, Decider, Exception, Fact, Over, STEPS, Verb, Verdict, Why, WhyStep,
};
