//! What is remembered for a while: ended UUIDs, and the tokens of requests.
//!
//! Owns two bounded memories. Nothing here wakes anybody: what has expired is simply not found.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use uuid::Uuid;

use crate::{Reply, Time};

/// A UUID as one app (and instance) chose it.
type Chosen = (Uuid, Arc<str>, Arc<str>);

/// UUIDs whose calls are over: they never ring again.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    until: BTreeMap<Chosen, Time>,
    oldest: VecDeque<Chosen>,
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
        match self.until.get_mut(&chosen) {
            Some(known) => *known = (*known).max(until),
            None => {
                self.until.insert(chosen.clone(), until);
                self.oldest.push_back(chosen);
            }
        }
        while self.oldest.len() > limit as usize {
            if let Some(oldest) = self.oldest.pop_front() {
                self.until.remove(&oldest);
            }
        }
    }

    /// Whether this app's call of that UUID is over.
    pub fn has(&self, uuid: Uuid, app: &Arc<str>, instance: &Arc<str>, now: Time) -> bool {
        self.until.get(&(uuid, app.clone(), instance.clone())).is_some_and(|until| *until > now)
    }

    /// Whether any app's call of that UUID is over.
    pub fn any(&self, uuid: Uuid, now: Time) -> bool {
        let from: Chosen = (uuid, "".into(), "".into());
        self.until.range(from..).take_while(|(c, _)| c.0 == uuid).any(|(_, until)| *until > now)
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.until.len()
    }
}

/// Answers to requests that carried a token: the same token gets the same answer.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    answers: BTreeMap<Uuid, (Time, Reply)>,
    oldest: VecDeque<Uuid>,
}

impl Tokens {
    /// Remembers an answer; beyond `limit` the oldest is forgotten.
    pub fn add(&mut self, token: Uuid, reply: Reply, until: Time, limit: u32) {
        if self.answers.insert(token, (until, reply)).is_none() {
            self.oldest.push_back(token);
        }
        while self.oldest.len() > limit as usize {
            if let Some(oldest) = self.oldest.pop_front() {
                self.answers.remove(&oldest);
            }
        }
    }

    /// What was answered.
    pub fn answer(&self, token: Uuid, now: Time) -> Option<Reply> {
        self.answers.get(&token).filter(|(until, _)| *until > now).map(|(_, reply)| reply.clone())
    }

    /// How many are kept.
    #[cfg(debug_assertions)]
    pub fn len(&self) -> usize {
        self.answers.len()
    }
}
