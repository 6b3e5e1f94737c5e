//! What the arbiter says about actions: outcomes, plans, what answering would do.
//!
//! Owns their form. Readers here are tolerant: what is not understood is absent.

use std::fmt;

use zbus::OwnedObjectPath;

use crate::{Action, Dict, Entries, Error, Fields, fields::Writer, words::Outcome};

/// One action of a transaction with how it ended: an element of `Transaction.Actions` and of
/// `Finished`.
#[derive(Clone, PartialEq)]
pub struct ActionResult {
    /// The action's name.
    pub action: String,
    /// The action's parameters, as accepted.
    pub parameters: Dict,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was not fulfilled.
    pub error: Option<Error>,
}

impl ActionResult {
    /// The result of an action; `Outcome::Pending` while there is none.
    pub fn new(action: &Action, outcome: Outcome, error: Option<Error>) -> Self {
        let (action, parameters) = action.to_wire();
        ActionResult { action, parameters, outcome, error }
    }

    /// It was done.
    pub fn is_fulfilled(&self) -> bool {
        self.outcome == Outcome::Fulfilled
    }

    /// `(sa{sv})`.
    pub fn to_wire(&self) -> (String, Dict) {
        let outcome =
            Writer::from(self.parameters.clone()).text("outcome", Some(self.outcome.as_str()));
        (self.action.clone(), write_error(outcome, self.error.as_ref()).done())
    }

    /// All of a transaction.
    pub fn list(entries: &Entries) -> Vec<ActionResult> {
        entries.iter().map(|(action, dict)| ActionResult::from_wire(action, dict)).collect()
    }

    /// From the arbiter.
    pub fn from_wire(action: &str, dict: &Dict) -> Self {
        let outcome = Fields::trusted(dict).any_text("outcome").ok().flatten().unwrap_or_default();
        ActionResult {
            action: action.to_owned(),
            parameters: parameters(dict),
            outcome: Outcome::from(outcome),
            error: read_error(dict),
        }
    }
}

impl fmt::Debug for ActionResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}, {:?})", self.action, self.outcome, self.error)
    }
}

/// One step of `PlanTransaction`.
#[derive(Clone, PartialEq)]
pub struct PlanStep {
    /// The action's name.
    pub action: String,
    /// The action's parameters.
    pub parameters: Dict,
    /// Not asked for: the arbiter would do it to make room.
    pub implicit: bool,
    /// Why it would be refused.
    pub error: Option<Error>,
}

impl PlanStep {
    /// A step that would be tried.
    pub fn new(action: &Action, implicit: bool) -> Self {
        let (action, parameters) = action.to_wire();
        PlanStep { action, parameters, implicit, error: None }
    }

    /// `(sa{sv})`.
    pub fn to_wire(&self) -> (String, Dict) {
        let step = Writer::from(self.parameters.clone()).put("implicit", Some(self.implicit));
        (self.action.clone(), write_error(step, self.error.as_ref()).done())
    }

    /// A whole plan.
    pub fn list(entries: &Entries) -> Vec<PlanStep> {
        entries.iter().map(|(action, dict)| PlanStep::from_wire(action, dict)).collect()
    }

    /// From the arbiter.
    pub fn from_wire(action: &str, dict: &Dict) -> Self {
        PlanStep {
            action: action.to_owned(),
            parameters: parameters(dict),
            implicit: Fields::trusted(dict).flag("implicit").ok().flatten().unwrap_or(false),
            error: read_error(dict),
        }
    }
}

impl fmt::Debug for PlanStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.implicit { "implicit" } else { "asked for" };
        write!(f, "{}({how}, {:?})", self.action, self.error)
    }
}

/// What answering a ringing call now would do: `Call.AnswerPlan`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerPlan {
    /// Calls that would be held first.
    pub holds: Vec<OwnedObjectPath>,
    /// Calls that would be ended first.
    pub ends: Vec<OwnedObjectPath>,
    /// Why it would be refused.
    pub error: Option<Error>,
}

impl AnswerPlan {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        let plan = Writer::default().paths("holds", &self.holds).paths("ends", &self.ends);
        write_error(plan, self.error.as_ref()).done()
    }

    /// From the arbiter.
    pub fn from_dict(dict: &Dict) -> Self {
        let paths = |key: &str| Fields::trusted(dict).paths(key).ok().flatten().unwrap_or_default();
        AnswerPlan { holds: paths("holds"), ends: paths("ends"), error: read_error(dict) }
    }
}

// `error-message`, not `message`: an End carries a `message` of its own to the far end.
const OUTCOME_KEYS: [&str; 4] = ["outcome", "error", "error-message", "implicit"];

/// Absent where there is no error.
fn write_error(dict: Writer, error: Option<&Error>) -> Writer {
    dict.text("error", error.map(|error| error.name.as_str()))
        .text("error-message", error.map(|error| error.message.as_str()))
}

fn read_error(dict: &Dict) -> Option<Error> {
    let text = |key: &str| Fields::trusted(dict).any_text(key).ok().flatten();
    let name = text("error").filter(|name| !name.is_empty())?;
    Some(Error::new(name, text("error-message").unwrap_or_default()))
}

fn parameters(dict: &Dict) -> Dict {
    let is_parameter = |key: &str| !OUTCOME_KEYS.contains(&key);
    let kept = dict.iter().filter(|(key, _)| is_parameter(key));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}
