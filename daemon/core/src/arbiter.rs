//! The arbiter: all domains, and what is shared between them (seats, the next deadline).

use std::collections::BTreeMap;

use crate::{CallId, ProviderId, TransactionId};
use crate::{
    Caller, Domain, Due, Effect, Input, Now, PlannedStep, Requested, Result, Settings, Time, Uid,
};

/// What an accepted input gives back to its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing to say.
    Done,
    /// The provider that was registered.
    Provider(ProviderId),
    /// The call that was reported.
    Call(CallId),
    /// The transaction that was accepted, and the call of its first `Start`, if there is one.
    Transaction(TransactionId, Option<CallId>),
}

/// The whole state.
#[derive(Debug, Default)]
pub struct Arbiter {
    domains: BTreeMap<Uid, Domain>,
    settings: Settings,
}

impl Arbiter {
    /// An arbiter without calls.
    pub fn new(settings: Settings) -> Self {
        Arbiter { settings, ..Arbiter::default() }
    }

    /// One input; its effects are added to `effects` in the order in which they must be carried out.
    /// A refusal means that nothing changed (what a report records about itself excepted).
    pub fn handle(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) -> Result<Reply> {
        let _ = (now, input, effects);
        Ok(Reply::Done)
    }

    /// The same validation and plan as a request, nothing done.
    pub fn plan(&self, caller: Caller, actions: &[Requested]) -> Result<Vec<PlannedStep>> {
        let _ = (caller, actions);
        Ok(Vec::new())
    }

    /// When to come back with [`Input::Tick`], and why.
    pub fn next_deadline(&self) -> Option<(Time, Due)> {
        None
    }

    /// What a domain looks like; none if it never had anything.
    pub fn domain(&self, uid: Uid) -> Option<&Domain> {
        self.domains.get(&uid)
    }

    /// The rules in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
