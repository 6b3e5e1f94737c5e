//! What is remembered for a while: ended UUIDs, and the tokens of requests.
//!
//! Owns two bounded memories. Nothing here wakes anybody: what has expired is simply not found.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Reply, Time, kept::Kept};

/// A UUID as one app (and instance) chose it.
type Chosen = (Uuid, Arc<str>, Arc<str>);

/// One UUID whose call is over.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tombstone {
    chosen: Chosen,
    until: Time,
}

/// UUIDs whose calls are over: they never ring again.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    /// The oldest first.
    pub kept: Kept<u64, Tombstone>,
    by_uuid: BTreeMap<Chosen, u64>,
}

impl Tombstones {
    /// Remembers one; beyond `limit` the oldest is forgotten.
    pub fn add(
        &mut self,
        uuid: Uuid,
        app: &Arc<str>,
        instance: &Arc<str>,
        until: Time,
        limit: u32,
    ) {
        let chosen = (uuid, app.clone(), instance.clone());
        match self.by_uuid.get(&chosen).and_then(|n| self.kept.get_mut(n)) {
            Some(known) => known.until = known.until.max(until),
            None => self.append(Tombstone { chosen, until }),
        }
        self.shrink(limit);
    }

    fn append(&mut self, tombstone: Tombstone) {
        let number = next_of(&self.kept);
        self.by_uuid.insert(tombstone.chosen.clone(), number);
        self.kept.insert(number, tombstone);
    }

    /// Forgets the oldest beyond `limit`.
    pub fn shrink(&mut self, limit: u32) {
        while self.kept.len() > limit as usize {
            if let Some((_, oldest)) = self.kept.pop_first() {
                self.by_uuid.remove(&oldest.chosen);
            }
        }
    }

    /// One that was saved. False if it is there twice.
    pub fn restore(&mut self, number: u64, tombstone: Tombstone) -> bool {
        let fresh = self.by_uuid.insert(tombstone.chosen.clone(), number).is_none();
        fresh && self.kept.insert(number, tombstone).is_none()
    }

    /// The apps whose calls these were.
    pub fn apps(&self) -> impl Iterator<Item = &Arc<str>> {
        self.kept.values().map(|tombstone| &tombstone.chosen.1)
    }

    /// Whether this app's call of that UUID is over.
    pub fn has(&self, uuid: Uuid, app: &Arc<str>, instance: &Arc<str>, now: Time) -> bool {
        let number = self.by_uuid.get(&(uuid, app.clone(), instance.clone()));
        number.is_some_and(|n| self.holds(*n, now))
    }

    /// Whether any app's call of that UUID is over.
    pub fn any(&self, uuid: Uuid, now: Time) -> bool {
        let from: Chosen = (uuid, "".into(), "".into());
        let of_it = self.by_uuid.range(from..).take_while(|(c, _)| c.0 == uuid);
        of_it.into_iter().any(|(_, n)| self.holds(*n, now))
    }

    fn holds(&self, number: u64, now: Time) -> bool {
        self.kept.get(&number).is_some_and(|t| t.until > now)
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }
}

/// The answer to a request that carried a token.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answered {
    token: Uuid,
    until: Time,
    reply: Reply,
}

/// Answers to requests that carried a token: the same token gets the same answer.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// The oldest first.
    pub kept: Kept<u64, Answered>,
    by_token: BTreeMap<Uuid, u64>,
}

impl Tokens {
    /// Remembers an answer; beyond `limit` the oldest is forgotten.
    pub fn add(&mut self, token: Uuid, reply: Reply, until: Time, limit: u32) {
        let answered = Answered { token, until, reply };
        match self.by_token.get(&token).and_then(|n| self.kept.get_mut(n)) {
            Some(known) => *known = answered,
            None => {
                let number = next_of(&self.kept);
                self.by_token.insert(token, number);
                self.kept.insert(number, answered);
            }
        }
        self.shrink(limit);
    }

    /// Forgets the oldest beyond `limit`.
    pub fn shrink(&mut self, limit: u32) {
        while self.kept.len() > limit as usize {
            if let Some((_, oldest)) = self.kept.pop_first() {
                self.by_token.remove(&oldest.token);
            }
        }
    }

    /// One that was saved. False if it is there twice.
    pub fn restore(&mut self, number: u64, answered: Answered) -> bool {
        let fresh = self.by_token.insert(answered.token, number).is_none();
        fresh && self.kept.insert(number, answered).is_none()
    }

    /// What was answered.
    pub fn answer(&self, token: Uuid, now: Time) -> Option<Reply> {
        let answered = self.by_token.get(&token).and_then(|n| self.kept.get(n))?;
        (answered.until > now).then(|| answered.reply.clone())
    }

    /// How many are kept.
    #[cfg(debug_assertions)]
    pub fn len(&self) -> usize {
        self.kept.len()
    }
}

/// The number behind all others: order is age.
pub(crate) fn next_of<V>(kept: &Kept<u64, V>) -> u64 {
    kept.last_key_value().map_or(0, |(last, _)| last.saturating_add(1))
}
