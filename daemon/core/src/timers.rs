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
    at: Row<Due, Time>,
    changed: Vec<Due>,
}

impl Timers {
    /// Sets or moves the deadline.
    pub fn arm(&mut self, due: Due, at: Time) {
        self.disarm(due);
        self.order.insert((at, due), ());
        self.at.insert(due, at);
        self.changed.push(due);
    }

    /// No deadline any more.
    pub fn disarm(&mut self, due: Due) {
        if let Some(at) = self.at.remove(&due) {
            self.order.remove(&(at, due));
            self.changed.push(due);
        }
    }

    /// Its deadline.
    pub fn at(&self, due: Due) -> Option<Time> {
        self.at.get(&due).copied()
    }

    /// The first deadline.
    pub fn next(&self) -> Option<(Time, Due)> {
        self.order.first_key().copied()
    }

    /// Everything that waits.
    pub fn all(&self) -> impl Iterator<Item = (Due, Time)> + '_ {
        self.at.iter().map(|(due, at)| (*due, *at))
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

    /// What was set or moved since this was last asked.
    pub fn drain_changed(&mut self) -> impl Iterator<Item = Due> + '_ {
        self.changed.drain(..)
    }

    /// Nobody will ask.
    pub fn forget_changed(&mut self) {
        self.changed.clear();
    }
}
