//! What the user erased: it does not come again, and the arbiter does not tell of it any more.
//!
//! Owns what is remembered of it, in memory only since it names people: what calls that still wait in the arbiter's
//! queue are held against, and which calls the arbiter has not heard of yet.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use callarbiter_dbus::{Record, limits::FORGOTTEN_CALLS};
use rusqlite::Transaction;
use tokio::time::timeout;
use zbus::fdo;

use super::calls::{self, Filter};
use crate::{
    arbiter::{Desk, not_told},
    database::{now, number},
};

/// Erasures that are remembered: what waits in the arbiter is here in moments, unless the disk is full.
const ERASURES: usize = 64;

/// Calls of which the arbiter may be told later; it remembers fewer.
const OWED: usize = 4 * FORGOTTEN_CALLS;

/// An arbiter that does not answer hears it when it is back.
const WITHIN: Duration = Duration::from_secs(5);

/// What was erased while this part works.
#[derive(Debug, Default)]
pub struct Erased {
    filters: Mutex<Vec<Filter>>,
    owed: Mutex<Vec<String>>,
}

impl Erased {
    /// From now on no call of these is kept that is over already.
    pub fn begin(&self, filter: &Filter) {
        let mut filters = lock(&self.filters);
        if filters.len() == ERASURES {
            filters.remove(0);
        }
        filters.push(Filter { ended: Some(number(now())), ..filter.clone() });
    }

    /// Takes a call out again that was written down after it was erased. False: it is not one of those.
    pub fn meets(&self, file: &Transaction<'_>, record: &Record) -> rusqlite::Result<bool> {
        for filter in lock(&self.filters).iter() {
            if filter.id.as_ref().is_none_or(|id| *id == record.id) {
                let this = Filter { id: Some(record.id.clone()), ..filter.clone() };
                if calls::erase(file, &this)? > 0 {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Lets the arbiter forget these calls, by their ids, and those of which it did not hear when it was away.
    pub async fn tell(&self, desk: &Desk, ids: Vec<String>) {
        let mut owed = std::mem::take(&mut *lock(&self.owed));
        owed.extend(ids);
        for some in owed.chunks(FORGOTTEN_CALLS) {
            let late = |_| Err(zbus::Error::from(fdo::Error::TimedOut("no answer".to_owned())));
            if let Err(error) = timeout(WITHIN, desk.forget_calls(some)).await.unwrap_or_else(late)
            {
                not_told("which calls were erased", error);
                let mut owed = lock(&self.owed);
                owed.extend_from_slice(some);
                let beyond = owed.len().saturating_sub(OWED);
                owed.drain(..beyond);
            }
        }
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
