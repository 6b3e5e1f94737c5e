//! Sessions into seats: who has each seat, and where each user sits.
//!
//! Owns that only what changed is told, and in which order: nobody is in the background for a moment who
//! need not be. A greeter, a lock screen and an empty console leave the seat to whom it belonged.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use callarbiter_core::{Input, Uid, gathered};
use tracing::info;

use super::words::Session;
use crate::log::ids;

/// What is known of sessions, and what the core was told.
#[derive(Default)]
pub struct Seats {
    sessions: BTreeMap<String, Session>,
    seated: BTreeMap<Uid, BTreeSet<Arc<str>>>,
    foreground: BTreeMap<Arc<str>, Option<Uid>>,
    locked: BTreeSet<Uid>,
}

impl Seats {
    /// What the core knows already.
    pub fn known_before(
        seated: impl IntoIterator<Item = (Uid, Vec<Arc<str>>)>,
        locked: impl IntoIterator<Item = Uid>,
    ) -> Self {
        let seated = seated.into_iter().filter(|(_, seats)| !seats.is_empty());
        let seated = gathered(seated.map(|(uid, seats)| (uid, gathered(seats))));
        Seats { seated, locked: gathered(locked), ..Seats::default() }
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Whether it was read before.
    pub fn knows(&self, path: &str) -> bool {
        self.sessions.contains_key(path)
    }

    /// A session is like this. A seat shows one: what another was read to be is no longer so.
    pub fn read(&mut self, path: String, session: Session) {
        for other in self.sessions.values_mut().filter(|other| other.seat == session.seat) {
            other.active &= !session.active;
        }
        self.sessions.insert(path, session);
    }

    /// A session is gone.
    pub fn ended(&mut self, path: &str) {
        self.sessions.remove(path);
    }

    /// There are no other sessions than these.
    pub fn only(&mut self, paths: &[String]) {
        let paths: BTreeSet<&str> = gathered(paths.iter().map(String::as_str));
        self.sessions.retain(|path, _| paths.contains(&**path));
    }

    /// What the core has to hear.
    pub fn tell(&mut self, inputs: &mut Vec<Input>) {
        let seated = self.seated_now();
        // Who has left every seat is in the foreground before anybody else has it.
        let (left, moved): (Vec<Uid>, Vec<Uid>) = {
            let all: BTreeSet<Uid> = gathered(self.seated.keys().chain(seated.keys()).copied());
            let changed = all.into_iter().filter(|uid| self.seated.get(uid) != seated.get(uid));
            changed.partition(|uid| !seated.contains_key(uid))
        };
        inputs.extend(left.into_iter().map(|uid| Input::Seats { uid, seats: Vec::new() }));
        self.tell_foreground(&seated, inputs);
        inputs.extend(moved.into_iter().map(|uid| {
            let seats = seated.get(&uid).into_iter().flatten().cloned().collect();
            Input::Seats { uid, seats }
        }));
        self.seated = seated;
        self.tell_locked(inputs);
    }

    /// A user's screen is locked where all of the user's sessions are.
    fn tell_locked(&mut self, inputs: &mut Vec<Input>) {
        let people = || self.sessions.values().filter(|session| session.of_a_person);
        let open: BTreeSet<Uid> = gathered(people().filter(|s| !s.locked).map(|s| s.uid));
        let locked: BTreeSet<Uid> =
            gathered(people().map(|s| s.uid).filter(|uid| !open.contains(uid)));
        let told = |uid: &Uid, locked| Input::Locked { uid: *uid, locked };
        inputs.extend(self.locked.difference(&locked).map(|uid| told(uid, false)));
        inputs.extend(locked.difference(&self.locked).map(|uid| told(uid, true)));
        self.locked = locked;
    }

    fn tell_foreground(
        &mut self,
        seated: &BTreeMap<Uid, BTreeSet<Arc<str>>>,
        inputs: &mut Vec<Input>,
    ) {
        let seats: BTreeSet<Arc<str>> =
            gathered(self.foreground.keys().chain(seated.values().flatten()).cloned());
        for seat in seats {
            let sits = |uid: &Uid| seated.get(uid).is_some_and(|seats| seats.contains(&seat));
            let before = self.foreground.get(&seat).copied();
            let now = match (self.active_on(&seat), before) {
                (Some(active), _) => Some(active),
                (None, Some(before)) => before.filter(sits),
                // Behind a greeter since before we looked.
                (None, None) => {
                    let mut sitting = seated.keys().filter(|uid| sits(uid));
                    let (first, second) = (sitting.next(), sitting.next());
                    match (first, second) {
                        (Some(only), None) => Some(*only),
                        // The core may know from before a restart.
                        _ => continue,
                    }
                }
            };
            if before != Some(now) {
                let uid = now.map(|uid| uid.0);
                info!(message_id = ids::SEAT, seat = &*seat, uid, "the seat changed hands");
                inputs.push(Input::Foreground { seat: seat.clone(), uid: now });
                self.foreground.insert(seat, now);
            }
        }
    }

    fn active_on(&self, seat: &Arc<str>) -> Option<Uid> {
        let mut people = self.sessions.values().filter(|session| session.of_a_person);
        people.find(|s| s.active && s.seat.as_ref() == Some(seat)).map(|s| s.uid)
    }

    fn seated_now(&self) -> BTreeMap<Uid, BTreeSet<Arc<str>>> {
        let mut seated: BTreeMap<Uid, BTreeSet<Arc<str>>> = BTreeMap::new();
        for session in self.sessions.values().filter(|session| session.of_a_person) {
            if let Some(seat) = &session.seat {
                seated.entry(session.uid).or_default().insert(seat.clone());
            }
        }
        seated
    }
}
