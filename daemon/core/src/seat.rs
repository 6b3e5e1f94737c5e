//! The seat and sleep: what holds the focus when the user or the machine goes away.
//!
//! Owns `seat` and `suspend` in `HeldBy`. The focus itself stays where it is.

use std::sync::Arc;

use crate::{
    Ask, CallId, CallState, Cause, Domain, GroupId, HeldBy, Origin, Uid, request::Request,
};

impl Domain {
    /// Whose it is.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// Where its user has sessions.
    pub fn seats(&self) -> &[Arc<str>] {
        &self.desktop.seats
    }

    /// No plan runs and no hold is on its way.
    pub(crate) fn is_ready_to_sleep(&self) -> bool {
        let holds = |request: &Request| matches!(request.ask, Ask::SetHeld { held: true, .. });
        self.lane.running.is_none() && !self.requests.values().any(holds)
    }

    /// The user's session came to, or left, the foreground of its seats.
    pub(crate) fn set_background(&mut self, background: bool) {
        let before = std::mem::replace(&mut self.desktop.get_mut().background, background);
        if before == background || background {
            return;
        }
        self.not_held_by(HeldBy::SEAT);
    }

    /// The machine is about to sleep, or is awake.
    pub(crate) fn set_suspended(&mut self, suspended: bool) {
        if std::mem::replace(&mut self.desktop.get_mut().suspended, suspended) == suspended {
            return;
        }
        if !suspended {
            return self.not_held_by(HeldBy::SUSPEND);
        }
        let active: Vec<GroupId> = self
            .groups
            .keys()
            .copied()
            .filter(|g| self.members(*g).any(|c| c.state == CallState::Active))
            .collect();
        for group in active {
            self.hold_group(group, HeldBy::SUSPEND);
        }
    }

    /// In the background and in sleep the focus is held, once; what cannot be held is silent, or
    /// sleeps, all the same.
    pub(crate) fn hold_focus(&mut self, group: GroupId, by: HeldBy) -> bool {
        let open = self.members(group).any(|c| c.state == CallState::Active && !c.left_active);
        open && self.hold_group(group, by)
    }

    fn hold_group(&mut self, group: GroupId, by: HeldBy) -> bool {
        let stays = |c: &crate::Call| {
            c.orphaned || c.emergency || c.state == CallState::Active && !c.can.hold
        };
        if self.members(group).any(stays) {
            return false;
        }
        let members: Vec<CallId> = self.members(group).map(|c| c.id).collect();
        for call in &members {
            self.because(*call, Cause::Away { by });
        }
        self.hold(&members, by, None, Origin::Policy);
        true
    }

    /// What held the focus is taken away; whether it is resumed, the focus rule decides.
    fn not_held_by(&mut self, by: HeldBy) {
        let held: Vec<CallId> =
            self.calls.values().filter(|c| c.held_by.contains(by)).map(|c| c.id).collect();
        let still = match (self.desktop.background, self.desktop.suspended, self.focus) {
            (true, _, _) => HeldBy::SEAT,
            (_, true, _) => HeldBy::SUSPEND,
            (_, _, Some(_)) => HeldBy::ARBITER,
            (_, _, None) => HeldBy::USER,
        };
        for id in held {
            let Some(call) = self.call_mut(id) else { continue };
            call.held_by = call.held_by.without(by);
            if call.held_by.is_empty() {
                call.held_by = still;
            }
            self.note_call(id);
            self.because(id, Cause::Back { by });
        }
    }
}
