//! The focus: the group that has, or by right would have, the audio.
//!
//! Owns how it is taken, how it becomes free, and what happens to held calls then. It acts only when
//! the lane is idle and empty, so that a plan never meets it half-way.

use serde::{Deserialize, Serialize};

use crate::{
    CallId, CallState, Cause, Domain, GroupId, HeldBy, Notice, Origin, Outcome, batch::BatchWaiter,
    lane::Job,
};

/// Why nobody has the focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Vacated {
    /// What arbitration held last is wanted again.
    Resume,
    /// What arbitration held stays on hold, now for the user to decide.
    Keep,
}

impl Domain {
    pub(crate) fn focus_on_call(&mut self, id: CallId) {
        if let Some(group) = self.calls.get(&id).and_then(|c| c.group) {
            self.focus_on(group);
        }
    }

    pub(crate) fn focus_on(&mut self, group: GroupId) {
        self.vacated = None;
        if self.focus == Some(group) {
            return;
        }
        self.focus = Some(group);
        // A new focus is a new reason to ask them.
        while let Some(id) = self.index.left_active.get(0) {
            if let Some(call) = self.calls.get_mut(&id) {
                call.left_active = false;
            }
            self.note_call(id);
        }
    }

    pub(crate) fn vacate(&mut self, why: Vacated) {
        self.focus = None;
        self.vacated = Some(why);
    }

    /// A call became active and nobody here asked for it: it never takes the focus from a living one.
    pub(crate) fn active_unasked(&mut self, id: CallId, reason: &'static str) {
        self.transition(id, CallState::Active, reason);
        let Some(group) = self.calls.get(&id).and_then(|c| c.group) else { return };
        if self.focus == Some(group) || self.is_wanted(id) {
            return;
        }
        match self.focus.filter(|focus| self.is_engaged(*focus)) {
            None => self.focus_on(group),
            Some(_) => self.notice(Notice::ActiveWithoutAudio, id),
        }
    }

    /// An accepted action is about to make this call active.
    fn is_wanted(&self, id: CallId) -> bool {
        let running = match self.lane.running {
            Some(Job::Transaction(running)) => Some(running),
            _ => None,
        };
        running.iter().chain(&self.lane.queue).any(|t| {
            let steps = self.transactions.get(t).map(|t| t.actions.as_slice()).unwrap_or_default();
            steps.iter().any(|s| s.call == id && s.outcome.is_none())
        })
    }

    /// The group has, or could at once have, the audio.
    fn is_engaged(&self, group: GroupId) -> bool {
        self.members(group).any(|c| c.state.is_eligible() && !c.orphaned)
    }

    /// What the rules do by themselves. True if something happened.
    pub(crate) fn settle(&mut self) -> bool {
        if self.lane.running.is_none() && self.lane.queue.is_empty() {
            let moved = match self.focus {
                Some(group) => self.settle_focus(group),
                None => self.settle_vacancy(),
            };
            if moved {
                return true;
            }
        }
        self.quiet_others() || self.audio_step()
    }

    fn settle_focus(&mut self, group: GroupId) -> bool {
        if self.is_moving(group) {
            return false;
        }
        if self.desktop.background {
            return self.hold_focus(group, HeldBy::SEAT);
        }
        if self.desktop.suspended {
            return self.hold_focus(group, HeldBy::SUSPEND);
        }
        let engaged = self.members(group).any(|c| c.state.is_eligible());
        let held: Vec<&crate::Call> =
            self.members(group).filter(|c| c.state == CallState::Held).collect();
        if held.iter().any(|c| c.orphaned) {
            return false;
        }
        let (held, kept): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|c| c.held_by.without(HeldBy::ARBITER).is_empty());
        let held: Vec<CallId> = held.iter().map(|c| c.id).collect();
        if !engaged && !kept.is_empty() {
            let by_user = kept.iter().any(|c| c.held_by.contains(HeldBy::USER));
            if by_user {
                self.vacate(Vacated::Keep);
            }
            return by_user;
        }
        if held.is_empty() {
            return false;
        }
        self.begin_resume(group, &held);
        true
    }

    fn begin_resume(&mut self, group: GroupId, calls: &[CallId]) {
        self.lane.running = Some(Job::Resume(group));
        for call in calls {
            self.because(*call, Cause::FocusBack);
        }
        self.resume(calls, Some(BatchWaiter::Resume(group)), Origin::Policy);
    }

    /// The resume that the focus rule began is over.
    pub(crate) fn resume_answered(
        &mut self,
        group: GroupId,
        resumed: bool,
        failed: Option<Outcome>,
    ) {
        if self.lane.running == Some(Job::Resume(group)) {
            self.lane.running = None;
        }
        let refused = matches!(failed, Some(Outcome::Failed(_) | Outcome::TimedOut(_)));
        if !resumed && refused && self.focus.is_none_or(|focus| focus == group) {
            self.vacate(Vacated::Keep);
        }
    }

    /// Nobody has the focus: what is active takes it, else what arbitration held is decided.
    fn settle_vacancy(&mut self) -> bool {
        let attached = |c: &&crate::Call| !c.orphaned && c.group.is_some();
        let free = |c: &crate::Call| !c.group.is_some_and(|g| self.is_moving(g));
        let live = || self.calls_in(&self.index.busy).filter(attached).filter(|c| free(c));
        let active = live().find(|c| c.state == CallState::Active);
        let active = active.or_else(|| live().find(|c| c.state.is_eligible()));
        if let Some(group) = active.and_then(|c| c.group) {
            self.focus_on(group);
            return true;
        }
        let both = HeldBy::USER.with(HeldBy::ARBITER);
        let set_aside = self.calls_in(&self.index.set_aside);
        let decided = set_aside.filter(|c| c.held_by.contains(both)).map(|c| c.id);
        for id in decided.collect::<Vec<_>>() {
            if let Some(call) = self.call_mut(id) {
                call.held_by = call.held_by.without(HeldBy::ARBITER);
            }
            self.note_call(id);
        }
        let held = |c: &&crate::Call| {
            c.state == CallState::Held && c.held_by.without(HeldBy::ARBITER).is_empty()
        };
        let waiting = || self.calls_in(&self.index.set_aside).filter(held);
        let newest = waiting().filter(attached).max_by_key(|c| c.held_at).and_then(|c| c.group);
        let waiting: Vec<CallId> = waiting().map(|c| c.id).collect();
        if waiting.is_empty() {
            self.vacated = None;
            return false;
        }
        let resume = self.vacated.unwrap_or(Vacated::Resume) == Vacated::Resume;
        match newest.filter(|_| resume) {
            Some(group) if self.is_moving(group) => false,
            // It is the focus from now on; it is resumed by the rule for a living one.
            Some(group) => {
                self.focus_on(group);
                true
            }
            None => {
                for id in waiting {
                    if let Some(call) = self.call_mut(id) {
                        call.held_by = HeldBy::USER;
                    }
                    self.note_call(id);
                    self.because(id, Cause::StaysHeld);
                    self.notice(Notice::StaysHeld, id);
                }
                self.vacated = None;
                true
            }
        }
    }

    /// Calls that are active beside the focus are asked to hold, once.
    fn quiet_others(&mut self) -> bool {
        let Some(focus) = self.focus.filter(|focus| self.is_engaged(*focus)) else { return false };
        let beside = self.calls_in(&self.index.busy).find(|c| {
            c.state == CallState::Active
                && c.group != Some(focus)
                && !(c.left_active || c.orphaned || c.emergency)
                && c.group.is_some_and(|g| !self.is_moving(g))
                && !self.is_wanted(c.id)
        });
        let Some(group) = beside.and_then(|c| c.group) else { return false };
        let members: Vec<CallId> = self.members(group).map(|c| c.id).collect();
        if self.members(group).any(|c| c.state == CallState::Active && !c.can.hold) {
            self.left_active(Some(group));
        } else {
            let focused = self.members(focus).map(|c| c.id).next();
            if let Some(call) = focused {
                for other in &members {
                    self.because(*other, Cause::RoomFor { call });
                }
            }
            self.hold(&members, HeldBy::ARBITER, None, Origin::Policy);
        }
        true
    }

    /// These would not hold: they stay active without the audio.
    pub(crate) fn left_active(&mut self, group: Option<GroupId>) {
        let members: Vec<CallId> =
            group.into_iter().flat_map(|g| self.members(g)).map(|c| c.id).collect();
        for id in members {
            if let Some(call) = self.calls.get_mut(&id) {
                call.left_active = true;
            }
            self.note_call(id);
        }
    }
}
