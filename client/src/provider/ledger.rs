//! The calls that this provider carries, as far as it reported or confirmed them.
//!
//! Owns what is said when the arbiter asks after a restart, and what is told again because the arbiter
//! was away when it happened, or has forgotten it.

use std::collections::BTreeMap;

use callarbiter_dbus::{
    Action, CallUpdate, Verb,
    words::{CallState, Direction},
};
use uuid::Uuid;

use super::unsent::Unsent;
use crate::call::id_of;

/// A call that lives.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LiveCall {
    pub direction: Direction,
    pub state: CallState,
    /// Everything that was reported of it.
    pub update: CallUpdate,
    pub remote_held: bool,
    /// Whether the arbiter that is there has it.
    pub known: bool,
}

impl LiveCall {
    /// A call that the arbiter has not heard of.
    pub fn new(direction: Direction, state: CallState, update: CallUpdate) -> Self {
        LiveCall { direction, state, update, remote_held: false, known: false }
    }

    fn known(self) -> Self {
        LiveCall { known: true, ..self }
    }
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    calls: BTreeMap<Uuid, LiveCall>,
    pub unsent: Unsent,
}

impl Ledger {
    pub fn live(&self) -> Vec<(Uuid, CallState)> {
        self.calls.iter().map(|(call, live)| (*call, live.state.clone())).collect()
    }

    pub fn call(&self, call: Uuid) -> Option<&LiveCall> {
        self.calls.get(&call)
    }

    /// The calls that the arbiter must be told of. One that it was asking to place is told when it is
    /// placed, and one of which only the state is known cannot be told.
    pub fn unknown(&self) -> Vec<Uuid> {
        let is_told = |live: &LiveCall| {
            !live.known
                && live.state != CallState::Starting
                && !matches!(live.direction, Direction::Other(_))
        };
        self.calls.iter().filter(|(_, live)| is_told(live)).map(|(call, _)| *call).collect()
    }

    /// A call that is being reported; whether it was not known before.
    pub fn reported(&mut self, call: Uuid, live: LiveCall) -> bool {
        let known = self.calls.get(&call);
        let new = known.is_none();
        if known.is_none_or(|known| matches!(known.direction, Direction::Other(_))) {
            self.calls.insert(call, live);
        }
        new
    }

    /// The arbiter has this call.
    pub fn told(&mut self, call: Uuid) {
        if let Some(live) = self.calls.get_mut(&call) {
            live.known = true;
        }
    }

    /// Whether the arbiter still has the calls is open; but for these it is not.
    pub fn doubt_all_but(&mut self, known: &[Uuid]) {
        for (call, live) in &mut self.calls {
            live.known = known.contains(call);
        }
    }

    /// The arbiter that is there knows nothing.
    pub fn forgotten(&mut self) {
        self.doubt_all_but(&[]);
        self.unsent.keep_ends();
    }

    /// Makes the app's answer to the question what it still has its ledger. What happened while it
    /// thought about it counts more than the answer; `asked` is what the ledger said before.
    pub fn reconciled(
        &mut self,
        asked: &[(Uuid, CallState)],
        answer: Vec<(Uuid, CallState)>,
    ) -> Vec<(Uuid, CallState)> {
        let before = |call: Uuid| asked.iter().find(|(of, _)| *of == call).map(|(_, state)| state);
        self.calls.retain(|call, _| {
            before(*call).is_none() || answer.iter().any(|(kept, _)| kept == call)
        });
        let mut claims = Vec::new();
        for (call, stated) in answer {
            let state = match (before(call), self.calls.get(&call)) {
                (Some(_), None) => continue,
                (Some(was), Some(now)) if now.state != *was => now.state.clone(),
                _ => stated,
            };
            let found = || {
                let direction = Direction::Other(String::new());
                LiveCall::new(direction, state.clone(), CallUpdate::default()).known()
            };
            self.calls.entry(call).or_insert_with(found).state = state.clone();
            claims.push((call, state));
        }
        claims
    }

    pub fn updated(&mut self, call: Uuid, update: &CallUpdate) {
        if let Some(live) = self.calls.get_mut(&call) {
            merge(&mut live.update, update);
        }
    }

    pub fn is_in(&mut self, call: Uuid, state: CallState) {
        if let Some(live) = self.calls.get_mut(&call) {
            live.state = state;
        }
    }

    pub fn remote_held(&mut self, call: Uuid, held: bool) {
        if let Some(live) = self.calls.get_mut(&call) {
            live.remote_held = held;
        }
    }

    pub fn ended(&mut self, call: Uuid) {
        self.calls.remove(&call);
    }

    pub fn clear(&mut self) {
        *self = Ledger::default();
    }

    /// The arbiter asked for this; it has not been done yet.
    pub fn begun(&mut self, action: &Action) {
        if let Verb::Start { handle, call: Some(call), has_video, .. } = &action.verb {
            let update = CallUpdate {
                remote_handle: Some(handle.clone()),
                has_video: Some(*has_video),
                ..CallUpdate::default()
            };
            let (direction, state) = (Direction::Outgoing, CallState::Starting);
            let placed = || LiveCall::new(direction, state, update).known();
            self.calls.entry(*call).or_insert_with(placed);
        }
    }

    /// This was done, or could not be done.
    pub fn performed(&mut self, action: &Action, done: bool) {
        match (&action.verb, done) {
            (Verb::Start { call: Some(call), .. }, true) => {
                // The app may have reported more while it was performing.
                if let Some(live) = self.calls.get_mut(call)
                    && live.state == CallState::Starting
                {
                    live.state = CallState::Dialing;
                }
            }
            (Verb::Start { call: Some(call), .. }, false) => self.ended(*call),
            (Verb::Answer { call }, true) => self.is_in(id_of(call), CallState::Active),
            // An answer that failed ends the call, and so does an end that failed.
            (Verb::Answer { call }, false) | (Verb::End { call, .. }, _) => self.ended(id_of(call)),
            (Verb::SetHeld { call, held }, true) => {
                let state = if *held { CallState::Held } else { CallState::Active };
                self.is_in(id_of(call), state);
            }
            (Verb::SetVideo { call, video }, true) => {
                let update = CallUpdate { has_video: Some(*video), ..CallUpdate::default() };
                self.updated(id_of(call), &update);
            }
            _ => {}
        }
    }
}

/// Only the keys given change.
pub(super) fn merge(known: &mut CallUpdate, update: &CallUpdate) {
    fn take<T: Clone>(known: &mut Option<T>, new: &Option<T>) {
        if new.is_some() {
            known.clone_from(new);
        }
    }
    let CallUpdate {
        remote_handle,
        display_name,
        has_video,
        can_hold,
        can_group,
        can_dtmf,
        ring_timeout_ms,
        correlation_id,
        contact_id,
        encrypted,
    } = update;
    take(&mut known.remote_handle, remote_handle);
    take(&mut known.display_name, display_name);
    take(&mut known.has_video, has_video);
    take(&mut known.can_hold, can_hold);
    take(&mut known.can_group, can_group);
    take(&mut known.can_dtmf, can_dtmf);
    take(&mut known.ring_timeout_ms, ring_timeout_ms);
    take(&mut known.correlation_id, correlation_id);
    take(&mut known.contact_id, contact_id);
    take(&mut known.encrypted, encrypted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_while_the_app_thinks_counts_more_than_its_answer() {
        use CallState::{Active, Held, Ringing};
        let [stays, ends, moves, comes, returns] = [1, 2, 3, 4, 5].map(Uuid::from_u128);
        let mut ledger = Ledger::default();
        let live = |state| LiveCall::new(Direction::Incoming, state, CallUpdate::default());
        for call in [stays, ends, moves] {
            ledger.reported(call, live(Active));
        }
        let asked = ledger.live();
        ledger.ended(ends);
        ledger.is_in(moves, Held);
        ledger.reported(comes, live(Ringing));
        let answer = [stays, ends, moves, returns].map(|call| (call, Active)).to_vec();
        let claims = ledger.reconciled(&asked, answer);
        assert_eq!(claims, [(stays, Active), (moves, Held), (returns, Active)]);
        let kept = [(stays, Active), (moves, Held), (comes, Ringing), (returns, Active)].to_vec();
        assert_eq!(ledger.live(), kept);
    }
}
