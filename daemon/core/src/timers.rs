//! What waits for a time. Owns the order of deadlines; what happens then is decided elsewhere.

use crate::{CallId, ProviderId, RequestId, Time, TransactionId, row::Row};

/// One thing that waits for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Due {
    /// A provider must have answered.
    Request(RequestId),
    /// A call stops ringing.
    Ring(CallId),
    /// A call that is being set up must have made progress.
    Progress(CallId),
    /// A provider that went away must be back.
    Grace(ProviderId),
    /// A finished transaction is forgotten.
    Forget(TransactionId),
    /// An agent must have answered.
    Errand(RequestId),
    /// A call answers itself.
    AutoAnswer(CallId),
    /// The history is offered again what its agent could not keep.
    Records,
}

/// At most one deadline for each thing.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    order: Row<(Time, Due), ()>,
    /// By kind, in the order of [`Due`]: of most kinds nothing waits.
    at: [Row<u64, Time>; KINDS],
    changed: Vec<Due>,
}

const KINDS: usize = 8;

impl Due {
    fn parts(self) -> (usize, u64) {
        match self {
            Due::Request(id) => (0, id.0),
            Due::Ring(id) => (1, id.0.into()),
            Due::Progress(id) => (2, id.0.into()),
            Due::Grace(id) => (3, id.0.into()),
            Due::Forget(id) => (4, id.0.into()),
            Due::Errand(id) => (5, id.0),
            Due::AutoAnswer(id) => (6, id.0.into()),
            Due::Records => (7, 0),
        }
    }
}

impl Timers {
    /// Sets or moves the deadline.
    pub fn arm(&mut self, due: Due, at: Time) {
        self.disarm(due);
        self.order.insert((at, due), ());
        let (kind, number) = due.parts();
        if let Some(all) = self.at.get_mut(kind) {
            all.insert(number, at);
        }
        self.changed.push(due);
    }

    /// No deadline any more.
    pub fn disarm(&mut self, due: Due) {
        let (kind, number) = due.parts();
        if let Some(at) = self.at.get_mut(kind).and_then(|all| all.remove(&number)) {
            self.order.remove(&(at, due));
            self.changed.push(due);
        }
    }

    /// Its deadline.
    pub fn at(&self, due: Due) -> Option<Time> {
        let (kind, number) = due.parts();
        self.at.get(kind)?.get(&number).copied()
    }

    /// The first deadline.
    pub fn next(&self) -> Option<(Time, Due)> {
        self.order.first_key().copied()
    }

    /// Everything that waits.
    pub fn all(&self) -> impl Iterator<Item = (Due, Time)> + '_ {
        self.order.keys().map(|(at, due)| (*due, *at))
    }

    /// Takes one that has passed.
    pub fn pop(&mut self, now: Time) -> Option<Due> {
        let (at, due) = self.next()?;
        if at > now {
            return None;
        }
        self.disarm(due);
        Some(due)
    }

    /// What was set or moved since this was last emptied.
    pub fn changed(&mut self) -> &mut Vec<Due> {
        &mut self.changed
    }
}
