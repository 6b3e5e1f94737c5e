//! Sleep: the lock that delays it, and until when.
//!
//! Owns that the lock is released once, as soon as may be, and that the core hears each change once.

use callarbiter_core::{Input, Millis, Time};
use zbus::OwnedFd;

/// Whether the machine is about to sleep, and what keeps it.
#[derive(Default)]
pub struct Sleep {
    lock: Option<OwnedFd>,
    /// What the core was told; nothing yet.
    told: Option<bool>,
    /// It waits for us until then.
    until: Option<Time>,
}

impl Sleep {
    /// The next sleep will wait for us.
    pub fn lock(&mut self, lock: OwnedFd) {
        self.lock = Some(lock);
    }

    /// The machine is about to sleep; calls have this long to be held.
    pub fn begins(&mut self, now: Time, allowed: Millis) -> Option<Input> {
        if self.told == Some(true) {
            return None;
        }
        self.told = Some(true);
        self.until = self.lock.is_some().then_some(now + allowed);
        Some(Input::Suspend(true))
    }

    /// It is awake, or was not about to sleep.
    pub fn ends(&mut self) -> Option<Input> {
        self.until = None;
        (self.told.replace(false) != Some(false)).then_some(Input::Suspend(false))
    }

    /// Nothing keeps it any longer: closing the lock is the word for it.
    pub fn release(&mut self) {
        if self.until.take().is_some() {
            self.lock = None;
        }
    }

    /// There is a lock for the next time.
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// How long it waits.
    pub fn until(&self) -> Option<Time> {
        self.until
    }

    /// It has waited long enough.
    pub fn is_late(&self, now: Time) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}
