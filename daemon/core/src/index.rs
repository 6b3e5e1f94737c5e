//! What rules look for among all calls, groups and transactions, so that no turn looks through all of them.
//!
//! Owns nothing that is true by itself: all of it follows from the domain's maps, and [`Index::of`] makes it
//! anew. Whoever changes what it is made of says so ([`Domain::note_call`] and its neighbours); debug builds
//! compare after every input.

use crate::{Call, CallId, CallState, Domain, Group, GroupId, HeldBy, ProviderId, TransactionId};

/// Calls, groups and transactions about which a rule may have something to say.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Index {
    pub ringing: Ids<CallId>,
    /// Neither ringing nor on hold: they talk, or are on their way.
    pub busy: Ids<CallId>,
    /// Held by the arbiter, perhaps by others too.
    pub set_aside: Ids<CallId>,
    /// Would not hold, and are not asked again until the focus changes.
    pub left_active: Ids<CallId>,
    /// Groups by provider.
    groups: Ids<(ProviderId, GroupId)>,
    /// Groups whose last call has left.
    pub empty: Ids<GroupId>,
    /// Transactions with an action that has no outcome yet.
    pub unfinished: Ids<TransactionId>,
}

impl Index {
    /// The index of these maps.
    pub fn of(domain: &Domain) -> Index {
        let mut index = Index::default();
        domain.calls.values().for_each(|call| index.note_call(call));
        domain.groups.values().for_each(|group| index.note_group(group));
        for transaction in domain.transactions.values() {
            index.unfinished.set(transaction.id, !transaction.finished);
        }
        index
    }

    fn note_call(&mut self, call: &Call) {
        let (ringing, held) = (call.state == CallState::Ringing, call.state == CallState::Held);
        self.ringing.set(call.id, ringing);
        self.busy.set(call.id, !ringing && !held);
        self.set_aside.set(call.id, call.held_by.contains(HeldBy::ARBITER));
        self.left_active.set(call.id, call.left_active);
    }

    fn forget_call(&mut self, id: CallId) {
        self.ringing.set(id, false);
        self.busy.set(id, false);
        self.set_aside.set(id, false);
        self.left_active.set(id, false);
    }

    fn note_group(&mut self, group: &Group) {
        self.groups.set((group.provider, group.id), true);
        self.empty.set(group.id, group.calls.is_empty());
    }

    pub fn forget_group(&mut self, group: &Group) {
        self.groups.set((group.provider, group.id), false);
        self.empty.set(group.id, false);
    }

    /// The groups of a provider, in their order.
    pub fn groups_of(&self, provider: ProviderId) -> &[(ProviderId, GroupId)] {
        let all = self.groups.0.as_slice();
        let from = all.partition_point(|(p, _)| *p < provider);
        let to = all.partition_point(|(p, _)| *p <= provider);
        all.get(from..to).unwrap_or_default()
    }
}

/// Ids in their order; few at any time, so they are moved rather than linked.
#[derive(Debug, PartialEq)]
pub(crate) struct Ids<T>(Vec<T>);

impl<T: Ord + Copy> Ids<T> {
    /// Whether it is one of them from now on.
    fn set(&mut self, id: T, is: bool) {
        match (self.0.binary_search(&id), is) {
            (Err(at), true) => self.0.insert(at, id),
            (Ok(at), false) => drop(self.0.remove(at)),
            (Ok(_), true) | (Err(_), false) => {}
        }
    }

    pub fn get(&self, at: usize) -> Option<T> {
        self.0.get(at).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.0.iter().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for Ids<T> {
    fn default() -> Self {
        Ids(Vec::new())
    }
}

impl Domain {
    /// A call came or went, or its state changed, who holds it, or whether it was left active.
    pub(crate) fn note_call(&mut self, id: CallId) {
        match self.calls.get(&id) {
            Some(call) => self.index.note_call(call),
            None => self.index.forget_call(id),
        }
    }

    /// A group came, or one of its calls came or went.
    pub(crate) fn note_group(&mut self, id: GroupId) {
        if let Some(group) = self.groups.get(&id) {
            self.index.note_group(group);
        }
    }

    /// A transaction came, or finished.
    pub(crate) fn note_transaction(&mut self, id: TransactionId) {
        let open = self.transactions.get(&id).is_some_and(|t| !t.finished);
        self.index.unfinished.set(id, open);
    }

    pub(crate) fn calls_in<'a>(&'a self, ids: &'a Ids<CallId>) -> impl Iterator<Item = &'a Call> {
        ids.iter().filter_map(|id| self.calls.get(&id))
    }
}
