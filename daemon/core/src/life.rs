//! A call's life: its birth, its transitions, its end, and the deadlines of its states.
//!
//! Owns what is true of every transition, whoever caused it. Of itself it decides only that a deadline ends
//! a call.

use uuid::Uuid;

use crate::{
    AfterRemoteEnd, AnswerPlan, Ask, Call, CallId, CallState, Cause, Change, Deadline, Direction,
    End, EndReason, Error, GroupId, Happening, HeldBy, Millis, Missed, Object, Private, ProviderId,
    Refusal, Silenced, Time, Update, domain::Domain, focus::Vacated, group::Group,
    request::Verdict, timers::Due,
};

/// What a new call is made of.
pub(crate) struct Birth {
    pub uuid: Uuid,
    pub provider: ProviderId,
    pub direction: Direction,
    pub state: CallState,
    pub reason: &'static str,
}

impl Domain {
    /// A call that was not there before.
    pub(crate) fn new_call(&mut self, birth: Birth, update: &Update) -> CallId {
        let Birth { uuid, provider, direction, state, reason } = birth;
        let id = self.next.call();
        let rings = update.ring_timeout.unwrap_or(self.settings.deadlines.ringing);
        let call = Call {
            id,
            uuid,
            qualified: self.of_uuid(uuid).next().is_some(),
            provider,
            direction,
            state,
            reason,
            handle: update.handle.clone().unwrap_or_default(),
            name: update.name.clone().unwrap_or_default(),
            video: update.video.unwrap_or(false),
            muted: false,
            held_by: HeldBy::NONE,
            remote_held: false,
            group: None,
            can: update.capabilities(Default::default()),
            waiting: false,
            silenced: Silenced::No,
            orphaned: false,
            emergency: false,
            encrypted: update.encrypted.unwrap_or(false),
            created_at: self.now.wall,
            connected_at: 0,
            ended_at: 0,
            end: None,
            ring_deadline: None,
            ring_deadline_wall: 0,
            answer_plan: AnswerPlan::default(),
            correlation: update.correlation.clone().filter(|c| !c.is_empty()),
            contact: update.contact.clone().unwrap_or_default(),
            revision: 0,
            known: None,
            mute_enforced: false,
            requests: Vec::new(),
            ring_until: self.now.mono + rings,
            ending: None,
            left_active: false,
            held_at: 0,
            treatment: None,
            screening: None,
            urgent: false,
        };
        self.by_uuid.insert((uuid, id));
        self.calls.insert(id, call);
        self.begin_why(id);
        self.note_call(id);
        self.turn.added(Object::Call(id));
        self.entered(id, None, state);
        self.log(provider, Some(id), Happening::Began { direction, state });
        if state != CallState::Screening {
            self.look_up(id);
        }
        id
    }

    /// One state after another, with everything that goes with it.
    pub(crate) fn transition(&mut self, id: CallId, new: CallState, reason: &'static str) {
        let Some(call) = self.call_mut(id) else { return };
        let (old, provider) = (call.state, call.provider);
        if old == new {
            return;
        }
        let screened = call.screening.is_some();
        call.state = new;
        call.reason = reason;
        if old == CallState::Held {
            call.held_by = HeldBy::NONE;
        }
        if screened {
            self.screening_is_over(id, new);
        }
        self.entered(id, Some(old), new);
        self.note_call(id);
        if new != CallState::Ended {
            self.because(id, Cause::Became { state: new });
        }
        self.moment(Change::Transition { call: id, old, new, reason });
        self.log(provider, Some(id), Happening::Transition { old, new, reason });
    }

    /// Deadlines and marks of the state that a call is in now.
    fn entered(&mut self, id: CallId, old: Option<CallState>, state: CallState) {
        let now = self.now;
        if old == Some(CallState::Ringing) {
            self.timers.disarm(Due::Ring(id));
            self.timers.disarm(Due::AutoAnswer(id));
        }
        if old.is_some_and(|old| old.is_dialing() || old == CallState::Launching) {
            self.timers.disarm(Due::Progress(id));
        }
        if state == CallState::Launching {
            self.timers.arm(Due::Progress(id), now.mono + self.settings.deadlines.launching);
        }
        if state.is_dialing() {
            self.timers.arm(Due::Progress(id), now.mono + self.settings.deadlines.dialing);
        }
        let again = now.mono + self.settings.deadlines.ringing_again;
        let held = if state == CallState::Held { self.next.held() } else { 0 };
        let Some(call) = self.calls.get_mut(&id) else { return };
        match state {
            CallState::Ringing => {
                let until = match old {
                    Some(CallState::Answering) => call.ring_until.max(again),
                    _ => call.ring_until,
                };
                call.ring_deadline = Some(until);
                call.ring_deadline_wall = now.wall_at(until);
                self.timers.arm(Due::Ring(id), until);
                return;
            }
            CallState::Active => {
                call.left_active = false;
                if call.connected_at == 0 {
                    call.connected_at = now.wall;
                }
            }
            CallState::Held => {
                call.held_at = held;
                // A call that is held was connected, also when nobody saw it happen.
                if call.connected_at == 0 {
                    call.connected_at = now.wall;
                }
            }
            CallState::Ended => call.ended_at = now.wall,
            _ => {}
        }
        call.waiting = false;
        call.silenced = Silenced::No;
        call.ring_deadline = None;
        call.ring_deadline_wall = 0;
        self.replace_answer_plan(id, AnswerPlan::default());
        if state.is_dialing() || matches!(state, CallState::Active | CallState::Held) {
            self.give_group(id);
        }
    }

    /// A call is on hold now: its provider said so, or it is taken as such.
    pub(crate) fn became_held(&mut self, id: CallId, by: HeldBy, reason: &'static str) {
        self.transition(id, CallState::Held, reason);
        let by = if by.is_empty() { HeldBy::USER } else { by };
        let mut still = by;
        // What asked for it may be over by the time the provider did it.
        if !self.desktop.suspended {
            still = still.without(HeldBy::SUSPEND);
        }
        if !self.desktop.background {
            still = still.without(HeldBy::SEAT);
        }
        if still.is_empty() {
            still = HeldBy::ARBITER;
        }
        if let Some(call) = self.call_mut(id) {
            call.held_by = call.held_by.with(still);
        }
        self.note_call(id);
        self.because(id, Cause::Held { by: still });
        if by.contains(HeldBy::USER) {
            self.user_held(id);
        }
    }

    /// The user does not want this call now: if that was the focus, the focus is free.
    pub(crate) fn user_held(&mut self, id: CallId) {
        let group = self.calls.get(&id).and_then(|c| c.group);
        let engaged = group.is_some_and(|g| self.members(g).any(|c| c.state.is_eligible()));
        if group.is_some() && group == self.focus && !engaged {
            self.vacate(Vacated::Keep);
        }
    }

    /// Every call beyond ringing is in a group.
    fn give_group(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id).filter(|c| c.group.is_none()) else { return };
        let provider = call.provider;
        self.remember_use(id);
        let group = self.new_group(provider, vec![id]);
        if let Some(call) = self.calls.get_mut(&id) {
            call.group = Some(group);
        }
    }

    fn new_group(&mut self, provider: ProviderId, calls: Vec<CallId>) -> GroupId {
        let id = self.next.group();
        let shown = (0, "", false);
        let group = Group { id, provider, calls, audio: false, revision: 0, membership: 0, shown };
        self.groups.insert(id, group);
        self.note_group(id);
        self.turn.added(Object::Group(id));
        id
    }

    /// A call joined another's group, or left its own.
    pub(crate) fn regroup(&mut self, id: CallId, with: Option<CallId>) {
        let Some(call) = self.calls.get(&id) else { return };
        let (provider, from) = (call.provider, call.group);
        let to = match with {
            Some(with) => match self.calls.get(&with).and_then(|c| c.group) {
                Some(group) => group,
                None => return,
            },
            None => self.new_group(provider, Vec::new()),
        };
        if from == Some(to) {
            return;
        }
        if let Some(group) = from.and_then(|g| self.group_mut(g)) {
            group.calls.retain(|c| *c != id);
            group.membership += 1;
        }
        if let Some(group) = self.group_mut(to) {
            group.calls.push(id);
            group.membership += 1;
        }
        from.into_iter().chain([to]).for_each(|group| self.note_group(group));
        if let Some(call) = self.call_mut(id) {
            call.group = Some(to);
        }
        let empty = from.is_some_and(|g| self.members(g).next().is_none());
        // The last one takes the audio along: nobody hears a gap.
        if empty && self.audio.holder == from {
            self.move_audio(to);
        }
        let engaged = |d: &Domain, g| d.members(g).any(|c| c.state.is_eligible());
        if from.is_some() && from == self.focus && (empty || engaged(self, to)) {
            self.focus_on(to);
        }
        if self.focus == Some(to) && engaged(self, to) {
            let held = self.members(to).filter(|c| c.state == CallState::Held);
            let held: Vec<CallId> = held.map(|c| c.id).collect();
            self.resume(&held, None, crate::Origin::Policy);
        }
    }

    /// The end, for ever. Requests for the call are dropped; its provider is not asked here.
    pub(crate) fn end_call(&mut self, id: CallId, reason: EndReason, detail: &str) {
        self.end_as(id, reason, detail, None);
    }

    /// The end of a call that was not to reach the user.
    pub(crate) fn filter_call(&mut self, id: CallId, missed: Missed, detail: &str) {
        self.end_as(id, EndReason::Filtered, detail, Some(missed));
    }

    fn end_as(&mut self, id: CallId, reason: EndReason, detail: &str, missed: Option<Missed>) {
        let Some(call) = self.calls.get(&id).filter(|c| c.state != CallState::Ended) else {
            return;
        };
        let (provider, connected) = (call.provider, call.connected_at != 0);
        let after = call.treatment().and_then(|t| t.then.after_end);
        let silenced = call.silenced;
        let open = call.requests.clone();
        self.transition(id, CallState::Ended, reason.name());
        for request in open.into_iter().rev() {
            // Whoever wanted it to end has what they wanted.
            let ends =
                self.requests.get(&request).is_some_and(|r| matches!(r.ask, Ask::End { .. }));
            let why = Refusal::new(Error::AlreadyEnded, "the call has ended");
            let verdict = if ends { Verdict::Fulfilled } else { Verdict::Dropped(why) };
            self.conclude(request, verdict);
        }
        let Some(call) = self.call_mut(id) else { return };
        let detail = Private::from(detail);
        call.end = Some(End { reason, detail: detail.clone() });
        call.orphaned = false;
        let group = call.group;
        if call.known.is_some() {
            self.contacts_changed.push(id);
        }
        self.because_of(id, Cause::Ended { reason }, detail);
        self.remember_why(id, reason);
        self.drop_errands(|errand| errand.ask.call() == Some(id));
        self.remember(id, self.settings.deadlines.memory);
        if let Some(group) = group.and_then(|g| self.group_mut(g)) {
            group.calls.retain(|c| *c != id);
            group.membership += 1;
        }
        group.into_iter().for_each(|group| self.note_group(group));
        let Some(call) = self.calls.remove(&id) else { return };
        self.note_call(id);
        self.by_uuid.remove(&(call.uuid, id));
        self.take_down(&call, silenced, missed);
        self.turn.gone_calls.push(call);
        if let Some(group) = group
            && self.focus == Some(group)
            && self.members(group).next().is_none()
        {
            self.vacate(self.vacated_by(reason, connected, after));
        }
        self.target_lost(id);
        self.forget_provider_if_done(provider);
    }

    /// An end of which the app does not know: it hears of it now, or when it is back.
    pub(crate) fn end_and_tell(&mut self, id: CallId, reason: EndReason, detail: &str) {
        let Some(call) = self.calls.get(&id) else { return };
        let (provider, uuid) = (call.provider, call.uuid);
        if self.providers.get(&provider).is_some_and(|p| p.peer.is_some()) {
            self.end_call(id, reason, detail);
            self.ask_to_end(provider, uuid, reason);
        } else {
            // First, or the provider would be forgotten with its last call.
            self.owe_end(provider, uuid);
            self.end_call(id, reason, detail);
        }
    }

    fn vacated_by(
        &self,
        reason: EndReason,
        connected: bool,
        ruled: Option<AfterRemoteEnd>,
    ) -> Vacated {
        let local = matches!(reason, EndReason::LocalEnded | EndReason::Declined);
        let after = ruled.unwrap_or(self.settings.policy.after_remote_end);
        let resume = after == AfterRemoteEnd::Resume;
        if local || !connected || resume { Vacated::Resume } else { Vacated::Keep }
    }

    /// The same call, carried by another provider too: one answer serves all.
    pub(crate) fn end_siblings(&mut self, id: CallId, reason: EndReason) {
        for sibling in self.siblings(id) {
            self.end_and_tell(sibling, reason, "the same call through another app");
        }
    }

    /// Ringing calls that policy believes to be the same as this one.
    fn siblings(&self, id: CallId) -> Vec<CallId> {
        let Some(call) = self.calls.get(&id) else { return Vec::new() };
        let Some(correlation) = &call.correlation else { return Vec::new() };
        let same = |other: &&Call| {
            other.id != id
                && other.provider != call.provider
                && other.state.is_incoming_pending()
                && other.correlation.as_ref() == Some(correlation)
                && self.may_correlate(call.provider, other.provider)
        };
        self.calls.values().filter(same).map(|c| c.id).collect()
    }

    /// Whether a new call is one that the user already answered through another app.
    pub(crate) fn answered_sibling(&self, id: CallId) -> bool {
        let Some(call) = self.calls.get(&id) else { return false };
        call.correlation.is_some()
            && self.calls.values().any(|other| {
                other.provider != call.provider
                    && other.direction == Direction::Incoming
                    && matches!(other.state, CallState::Active | CallState::Held)
                    && other.correlation == call.correlation
                    && self.may_correlate(call.provider, other.provider)
            })
    }

    fn may_correlate(&self, a: ProviderId, b: ProviderId) -> bool {
        let app = |id| self.providers.get(&id).map(|p| &p.app);
        let (Some(a), Some(b)) = (app(a), app(b)) else { return false };
        self.settings.policy.correlated.iter().any(|set| set.contains(a) && set.contains(b))
    }

    fn remember(&mut self, id: CallId, length: Millis) {
        let Some(call) = self.calls.get(&id) else { return };
        let Some(provider) = self.providers.get(&call.provider) else { return };
        let until = self.now.mono + length;
        let limit = self.settings.limits.tombstones;
        self.tombstones.add(call.uuid, &provider.app, &provider.instance, until, limit);
    }

    /// A call that rings does so until then, if nobody answers.
    pub(crate) fn ring_until(&mut self, id: CallId, until: Time) {
        let now = self.now;
        let Some(call) = self.call_mut(id) else { return };
        call.ring_until = until;
        call.ring_deadline = Some(until);
        call.ring_deadline_wall = now.wall_at(until);
        self.timers.arm(Due::Ring(id), until);
    }

    /// A call stopped ringing by itself.
    pub(crate) fn ring_timed_out(&mut self, id: CallId) {
        self.because(id, Cause::Deadline { which: Deadline::Ringing });
        self.end_and_tell(id, EndReason::Unanswered, "nobody answered in time");
    }

    /// A call that was being set up made no progress.
    pub(crate) fn no_progress(&mut self, id: CallId) {
        let launching = self.calls.get(&id).is_some_and(|c| c.state == CallState::Launching);
        let which = if launching { Deadline::Launching } else { Deadline::Dialing };
        self.because(id, Cause::Deadline { which });
        let reason = match self.calls.get(&id).map(|c| c.state) {
            Some(CallState::Launching) => return self.launch_timed_out(id),
            Some(CallState::Alerting) => EndReason::Unanswered,
            _ => EndReason::Failed,
        };
        self.end_and_tell(id, reason, "no progress in time");
    }
}
