//! A domain: one user's calls, providers, groups, transactions and audio. Nothing crosses.

use crate::{
    AudioSession, Call, CallId, DoNotDisturb, Group, GroupId, Provider, ProviderId, Transaction,
    TransactionId,
};

/// One user's state, as readers see it: what was removed can be read until the next input.
#[derive(Debug, Default)]
pub struct Domain {
    revision: u64,
}

/// One thing that waits for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Due {}

/// A step of a plan, asked for or implied.
#[derive(Clone, Debug)]
pub struct PlannedStep {
    /// What would be done.
    pub action: crate::Action,
    /// Nobody asked for it: it makes room.
    pub implicit: bool,
}

impl Domain {
    /// The number of the last change.
    pub fn revision(&self) -> u64 {
        self.revision
    }
    /// Live calls, in the order of their numbers.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        std::iter::empty()
    }
    /// One call.
    pub fn call(&self, _id: CallId) -> Option<&Call> {
        None
    }
    /// A live call by what the bus calls it.
    pub fn find(&self, _call: crate::CallRef) -> Option<&Call> {
        None
    }
    /// Providers, those in their grace included.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        std::iter::empty()
    }
    /// One provider.
    pub fn provider(&self, _id: ProviderId) -> Option<&Provider> {
        None
    }
    /// Groups.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        std::iter::empty()
    }
    /// One group.
    pub fn group(&self, _id: GroupId) -> Option<&Group> {
        None
    }
    /// Transactions that can be read.
    pub fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        std::iter::empty()
    }
    /// One transaction.
    pub fn transaction(&self, _id: TransactionId) -> Option<&Transaction> {
        None
    }
    /// Who has the audio.
    pub fn audio(&self) -> &AudioSession {
        unimplemented!()
    }
    /// The group that has, or by right would have, the audio.
    pub fn focus(&self) -> Option<GroupId> {
        None
    }
    /// What the desktop's do-not-disturb says.
    pub fn do_not_disturb(&self) -> DoNotDisturb {
        DoNotDisturb::Off
    }
    /// The state of a group in one word: `dialing`, `active`, `held` or `ending`.
    pub fn group_state(&self, _id: GroupId) -> &'static str {
        ""
    }
    /// Live and allowed numbers of what is bounded.
    pub fn usage(&self) -> [(&'static str, u32); 4] {
        [("calls", 0), ("providers", 0), ("transactions", 0), ("tombstones", 0)]
    }
}
