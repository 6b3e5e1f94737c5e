//! What happened to calls, for the administrator's journal: identifiers and closed words only.
//!
//! Owns the wording, and when it is written: nobody waits for a line, so that several are written together, a
//! little after the messages. A kill takes the lines of the last 10 ms along; a stop and a panic do not. Never
//! sees a handle, a name or a message, because the core's events have none.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use callarbiter_core::{Event, Happening, Millis, Now, Time};
use tracing::{info, warn};

use crate::log::{ids, lines, time};

/// So many events wait at most.
const MOST: usize = 16;

/// So long an event waits for others at most.
const PATIENCE: Millis = Millis(10);

/// Events to be written; a copy has the same ones.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Vec<(Now, Event)>>>);

impl Journal {
    pub(super) fn note(&self, now: Now, event: Event) {
        self.waiting().push((now, event));
    }

    /// When to call [`Journal::write_due`], whatever happens.
    pub fn deadline(&self) -> Option<Time> {
        self.waiting().first().map(|(at, _)| at.mono + PATIENCE)
    }

    /// Writes what waits, if that is enough or has waited enough.
    pub fn write_due(&self, now: Now) {
        let late = self.deadline().is_some_and(|deadline| deadline <= now.mono);
        if late || self.waiting().len() >= MOST {
            self.write();
        }
    }

    /// Writes what waits.
    pub fn write(&self) {
        let waiting = mem::take(&mut *self.waiting());
        if waiting.is_empty() {
            return;
        }
        lines::together(|| {
            for (at, event) in &waiting {
                time::at(at.wall, || write(event));
            }
        });
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(Now, Event)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes one event.
fn write(event: &Event) {
    let uid = event.uid.0;
    let provider = event.app.as_ref();
    let call_id = event.call.map(tracing::field::display);
    match event.what {
        Happening::Began { direction, state } => {
            let (direction, new) = (direction.name(), state.name());
            info!(
                message_id = ids::CALL_BEGAN,
                uid, provider, call_id, direction, new, "call begins"
            );
        }
        Happening::Transition { old, new, reason } => {
            let (old, new) = (old.name(), new.name());
            info!(
                message_id = ids::CALL_TRANSITION,
                uid, provider, call_id, old, new, reason, "call"
            );
        }
        Happening::Registered => {
            info!(message_id = ids::PROVIDER_REGISTERED, uid, provider, "provider registered");
        }
        Happening::Lost => {
            info!(message_id = ids::PROVIDER_LOST, uid, provider, "provider is gone");
        }
        Happening::Unresponsive { action } => {
            warn!(
                message_id = ids::PROVIDER_UNRESPONSIVE,
                uid, provider, call_id, action, "provider did not answer in time"
            );
        }
        Happening::Differs { ours, theirs } => {
            let (ours, theirs) = (ours.name(), theirs.name());
            warn!(
                message_id = ids::CALL_DIFFERS,
                uid, provider, call_id, ours, theirs, "the app says otherwise after a restart"
            );
        }
        Happening::AudioGranted => {
            info!(message_id = ids::AUDIO, uid, provider, call_id, "audio granted");
        }
        Happening::AudioReleased => {
            info!(message_id = ids::AUDIO, uid, provider, call_id, "audio released");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use callarbiter_core::{ProviderId, Uid};

    use super::*;
    use crate::log::lines::pretended::{logged, written};

    const START: Now = Now { mono: Time(5_000_000), wall: 1_795_959_190_999_998 };

    fn after(micros: u64) -> Now {
        Now { mono: Time(START.mono.0 + micros), wall: START.wall + micros }
    }

    fn event(n: u32) -> Event {
        let what = Happening::Registered;
        Event {
            uid: Uid(n),
            provider: ProviderId(1),
            app: "org.example.A".into(),
            call: None,
            what,
        }
    }

    #[test]
    fn enough_of_them_leave_together_in_order_and_each_with_its_time() {
        let journal = Journal::default();
        for n in 0..15 {
            journal.note(after(n.into()), event(n));
            logged(|| journal.write_due(after(n.into())));
        }
        assert!(written().is_empty());
        journal.note(after(15), event(15));
        logged(|| journal.write_due(after(15)));
        let writes = written();
        let [write] = writes.as_slice() else { panic!("{writes:?}") };
        let lines: Vec<&str> = write.lines().collect();
        assert_eq!(lines.len(), 16);
        for (n, line) in lines.iter().enumerate() {
            let time = match n {
                0 | 1 => format!("2026-11-29T13:33:10.99999{}Z  INFO ", 8 + n),
                n => format!("2026-11-29T13:33:11.{:06}Z  INFO ", n - 2),
            };
            let told = format!(": provider registered uid={n} provider=\"org.example.A\"");
            assert!(line.starts_with(&time) && line.ends_with(&told), "{line}");
        }
        assert_eq!(journal.deadline(), None);
        logged(|| journal.write());
        assert!(written().is_empty());
    }

    #[test]
    fn one_alone_waits_until_its_deadline_and_after_it_there_is_none() {
        let journal = Journal::default();
        assert_eq!(journal.deadline(), None);
        journal.note(START, event(1));
        journal.note(after(9_000), event(2));
        let deadline = START.mono + PATIENCE;
        assert_eq!(journal.deadline(), Some(deadline));
        logged(|| journal.write_due(after(9_999)));
        assert!(written().is_empty());
        logged(|| journal.write_due(Now { mono: deadline, ..START }));
        assert_eq!(written().concat().lines().count(), 2);
        assert_eq!(journal.deadline(), None);
    }

    #[test]
    fn whoever_has_a_copy_writes_the_same_ones() {
        let journal = Journal::default();
        journal.note(START, event(1));
        logged(|| journal.clone().write());
        assert_eq!(written().len(), 1);
        assert_eq!(journal.deadline(), None);
    }
}
