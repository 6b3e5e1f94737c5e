//! A transaction: actions that were accepted as a whole, each with its outcome.

use serde::{Deserialize, Serialize};

use crate::{Action, CallId, CallState, Origin, Refusal, TransactionId};

/// One transaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Transaction {
    /// Its name in this domain.
    #[serde(skip)]
    pub id: TransactionId,
    /// Whose wish it is.
    pub origin: Origin,
    /// Its actions, in order.
    pub actions: Vec<Step>,
    /// All outcomes are known.
    pub finished: bool,
    /// When it was accepted, µs since the epoch.
    pub created_at: u64,
    /// The number of its last change.
    pub revision: u64,
    /// It moves the focus, so it takes its turn in the lane.
    pub(crate) focus: bool,
}

/// An accepted action.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// What was asked for.
    pub action: Action,
    /// The call it is about.
    pub call: CallId,
    /// What the call must be, still, at its turn.
    pub expected: Option<CallState>,
    /// How it ended; none while it has not.
    pub outcome: Option<Outcome>,
    /// How far it came while it has none.
    pub(crate) stage: Stage,
}

/// How far an action came.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// It was not begun.
    #[default]
    Waiting,
    /// Other calls are being held or ended first; so many of them, for so many rounds.
    MakingRoom { open: usize, failed: Option<Outcome>, rounds: u8 },
    /// The provider is being asked.
    Asked,
    /// The provider does it in one step with a later action.
    Bundled,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// The provider did it, or it was so already.
    Fulfilled,
    /// The provider could not, or room could not be made.
    Failed(Refusal),
    /// The provider did not say in time.
    TimedOut(Refusal),
    /// It was not begun, or it no longer made sense.
    Cancelled(Refusal),
}

impl Outcome {
    /// Its name on the bus.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Fulfilled => "fulfilled",
            Outcome::Failed(_) => "failed",
            Outcome::TimedOut(_) => "timed-out",
            Outcome::Cancelled(_) => "cancelled",
        }
    }

    /// Why it was not fulfilled.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Outcome::Fulfilled => None,
            Outcome::Failed(r) | Outcome::TimedOut(r) | Outcome::Cancelled(r) => Some(r),
        }
    }
}
