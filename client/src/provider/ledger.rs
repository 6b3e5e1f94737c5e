//! The calls that this provider carries, as far as it reported or confirmed them.
//!
//! Owns what is said when the arbiter asks after a restart, and what is told again because the arbiter
//! was away when it happened.

use std::collections::{BTreeMap, VecDeque};

use callarbiter_dbus::{
    Action, CallUpdate, EndDetails, Verb,
    words::{CallState, Direction, EndReason},
};
use uuid::Uuid;

use crate::call::id_of;

/// Ends that are kept for an arbiter that is away; older ones it settles as `provider-lost`.
const OWED: usize = 64;

/// A call that lives.
#[derive(Clone, Debug)]
pub(super) struct LiveCall {
    pub direction: Direction,
    pub state: CallState,
    /// Everything that was reported of it.
    pub update: CallUpdate,
}

/// An end that the arbiter has not heard of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OwedEnd {
    pub call: Uuid,
    pub reason: EndReason,
    pub details: EndDetails,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    calls: BTreeMap<Uuid, LiveCall>,
    owed: VecDeque<OwedEnd>,
}

impl Ledger {
    pub fn live(&self) -> Vec<(Uuid, CallState)> {
        self.calls.iter().map(|(call, live)| (*call, live.state.clone())).collect()
    }

    pub fn calls(&self) -> Vec<(Uuid, LiveCall)> {
        self.calls.iter().map(|(call, live)| (*call, live.clone())).collect()
    }

    /// A call that is being reported; whether it was not known before.
    pub fn reported(&mut self, call: Uuid, live: LiveCall) -> bool {
        let new = !self.calls.contains_key(&call);
        if new {
            self.calls.insert(call, live);
        }
        new
    }

    /// What the app says that it still has.
    pub fn reconciled(&mut self, live: &[(Uuid, CallState)]) {
        self.calls.retain(|call, _| live.iter().any(|(kept, _)| kept == call));
        for (call, state) in live {
            let unknown = LiveCall {
                direction: Direction::Other(String::new()),
                state: state.clone(),
                update: CallUpdate::default(),
            };
            self.calls.entry(*call).or_insert(unknown).state = state.clone();
        }
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

    pub fn ended(&mut self, call: Uuid) {
        self.calls.remove(&call);
    }

    /// An end that could not be told.
    pub fn owe(&mut self, end: OwedEnd) {
        if self.owed.len() == OWED {
            self.owed.pop_front();
        }
        self.owed.push_back(end);
    }

    pub fn take_owed(&mut self) -> VecDeque<OwedEnd> {
        std::mem::take(&mut self.owed)
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
            self.calls.entry(*call).or_insert(LiveCall { direction, state, update });
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
fn merge(known: &mut CallUpdate, update: &CallUpdate) {
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
