//! The steps of a transaction: what each action does when its turn comes.
//!
//! Owns the order within one action: look again, make room, ask, and what hanging up means. Whose turn
//! it is, and what an outcome does to the rest, is [`crate::lane`]'s.

use crate::{
    Action, Ask, Call, CallId, CallState, Cause, Domain, EndReason, Error, HeldBy, HoldModel,
    Origin, Outcome, Private, ProviderId, Refusal, Step, TransactionId,
    batch::BatchWaiter,
    gathered,
    plan::{Room, takes_focus},
    request::{Verdict, Waiter},
    transaction::Stage,
    treatment::{class, insists},
};

/// How often a plan makes room again because something else became active meanwhile.
const ROUNDS: u8 = 4;

impl Domain {
    pub(crate) fn begin_step(&mut self, id: TransactionId, at: usize) {
        let Some(step) = self.step(id, at).cloned() else { return };
        let Some(call) = self.calls.get(&step.call) else {
            let why = Refusal::new(Error::AlreadyEnded, "the call has ended meanwhile");
            return self.set_outcome(id, at, Outcome::Cancelled(why));
        };
        let origin = self.transactions.get(&id).map_or(Origin::Controller, |t| t.origin);
        let (uuid, state) = (call.uuid, call.state);
        let first = !self
            .transactions
            .get(&id)
            .is_some_and(|t| t.actions.iter().take(at).any(|earlier| earlier.call == step.call));
        let stale = step.expected.filter(|e| first && state != CallState::Answering && *e != state);
        if let Some(expected) = stale {
            return self.set_outcome(
                id,
                at,
                Outcome::Cancelled(crate::rights::stale(expected, state)),
            );
        }
        if let Err(why) = self.fits(call, &step.action) {
            return self.set_outcome(id, at, Outcome::Cancelled(why));
        }
        let waiter = Some(Waiter::Step(id, at));
        let ask = match step.action {
            Action::Start { .. } | Action::Answer { .. } | Action::SetHeld { held: false, .. } => {
                return self.begin_target(id, at, step.call, &step.action, origin);
            }
            Action::SetGroup { with, .. } => {
                return self.begin_regroup(id, at, step.call, with, origin);
            }
            Action::SetHeld { held: true, .. } => {
                return self.begin_hold(id, at, step.call, origin);
            }
            Action::End { reason, message, .. } => {
                self.set_stage(id, at, Stage::Asked);
                if !self.end_by_request(step.call, reason, message, waiter, origin) {
                    self.set_outcome(id, at, Outcome::Fulfilled);
                }
                return;
            }
            Action::Silence { .. } => {
                if let Some(call) = self.call_mut(step.call) {
                    call.silenced = crate::Silenced::User;
                }
                return self.set_outcome(id, at, Outcome::Fulfilled);
            }
            Action::SetMuted { muted, .. } => {
                let open = self.asked(step.call, |a| matches!(a, Ask::SetMuted { .. })).is_some();
                if !open && self.calls.get(&step.call).is_some_and(|c| c.muted == muted) {
                    return self.set_outcome(id, at, Outcome::Fulfilled);
                }
                Ask::SetMuted { uuid, muted }
            }
            Action::PlayDtmf { tones, .. } => Ask::PlayDtmf { uuid, tones },
            Action::SetVideo { video, .. } => Ask::SetVideo { uuid, video },
        };
        self.set_stage(id, at, Stage::Asked);
        self.ask(step.call, ask, HeldBy::NONE, waiter, origin);
    }

    /// A start, an answer, a resume: makes room, then asks.
    fn begin_target(
        &mut self,
        id: TransactionId,
        at: usize,
        call: CallId,
        action: &Action,
        origin: Origin,
    ) {
        let Some(target) = self.calls.get(&call) else { return };
        let (uuid, state, group, emergency) =
            (target.uuid, target.state, target.group, target.emergency);
        let provider = target.provider;
        let focused = group.is_some() && self.focus == group;
        let held_soon =
            self.asked(call, |a| matches!(a, Ask::SetHeld { held: true, .. })).is_some();
        let met = match action {
            Action::Start { .. } => state != CallState::Starting,
            Action::Answer { .. } => {
                state == CallState::Held || state == CallState::Active && focused
            }
            _ => state == CallState::Active && focused && !held_soon,
        };
        if met {
            return self.set_outcome(id, at, Outcome::Fulfilled);
        }
        // A plan that has begun finishes; the audio waits for the foreground.
        let begun = at > 0 || self.step(id, at).is_some_and(|s| !matches!(s.stage, Stage::Waiting));
        if let Some(why) = self.background_refusal(emergency || begun) {
            return self.set_outcome(id, at, Outcome::Cancelled(why));
        }
        let room = match self.room(call, group, emergency, &Default::default()) {
            Ok(room) => room,
            Err(why) => return self.set_outcome(id, at, Outcome::Cancelled(why)),
        };
        if group.is_none() {
            let ahead = gathered(room.ends.iter().map(|id| (*id, CallState::Ended)));
            let ruled = self.calls.get(&call).and_then(Call::treatment);
            if let Err(why) = self.group_room(provider, call, emergency, ruled, &ahead) {
                return self.set_outcome(id, at, Outcome::Cancelled(why));
            }
        }
        let (bundled, room) = self.split_bundled(call, room);
        if !room.is_empty() {
            return self.make_room(id, at, room, origin);
        }
        self.set_stage(id, at, Stage::Asked);
        let waiter = Some(Waiter::Step(id, at));
        let ask = match action {
            Action::Start { handle, video, .. } => {
                Ask::Start { uuid, handle: handle.clone(), video: *video }
            }
            Action::Answer { .. } if state == CallState::Active => {
                self.focus_on_call(call);
                return self.set_outcome(id, at, Outcome::Fulfilled);
            }
            Action::Answer { .. } => {
                // An earlier answer may have failed to make room.
                self.transition(call, CallState::Answering, "answered here");
                Ask::Answer { uuid }
            }
            _ if state == CallState::Active && !held_soon => {
                self.focus_on_call(call);
                return self.set_outcome(id, at, Outcome::Fulfilled);
            }
            _ if bundled.is_empty() => {
                let members = group.map(|g| self.members(g).map(|c| c.id).collect::<Vec<_>>());
                let waiter = Some(BatchWaiter::Target(id, at, call));
                return self.resume(&members.unwrap_or_default(), waiter, origin);
            }
            _ => Ask::SetHeld { uuid, held: false },
        };
        let ask = self.bundle(call, &bundled, ask);
        self.ask_bundled(call, ask, HeldBy::NONE, waiter, origin, bundled);
    }

    /// Calls that the target's own network holds in the same step.
    fn split_bundled(&self, target: CallId, mut room: Room) -> (Vec<CallId>, Room) {
        let Some(provider) = self.calls.get(&target).map(|c| c.provider) else {
            return (Vec::new(), room);
        };
        if !self.holds_by_network(provider) {
            return (Vec::new(), room);
        }
        let own = |id: &CallId| self.calls.get(id).is_some_and(|c| c.provider == provider);
        let (bundled, holds) = room.holds.into_iter().partition(own);
        room.holds = holds;
        (bundled, room)
    }

    fn holds_by_network(&self, provider: ProviderId) -> bool {
        let configuration = self.providers.get(&provider).map(|p| &p.configuration);
        configuration.is_some_and(|c| c.hold_model == HoldModel::ProviderWide)
    }

    /// The steps of a plan whole, for providers that take them so.
    fn bundle(&self, target: CallId, bundled: &[CallId], ask: Ask) -> Ask {
        let provider = self.calls.get(&target).and_then(|c| self.providers.get(&c.provider));
        if bundled.is_empty() || !provider.is_some_and(|p| p.configuration.transactions) {
            return ask;
        }
        let holds = bundled.iter().filter_map(|id| self.calls.get(id));
        let mut steps: Vec<Ask> =
            holds.map(|c| Ask::SetHeld { uuid: c.uuid, held: true }).collect();
        steps.push(ask);
        Ask::Transaction(steps)
    }

    fn make_room(&mut self, id: TransactionId, at: usize, room: Room, origin: Origin) {
        let rounds = match self.step(id, at).map(|s| &s.stage) {
            Some(Stage::MakingRoom { rounds, .. }) => *rounds,
            _ => 0,
        };
        if rounds >= ROUNDS {
            let why = Refusal::new(Error::ActionFailed, "other calls keep becoming active");
            return self.set_outcome(id, at, Outcome::Failed(why));
        }
        if let Some(call) = self.step(id, at).map(|s| s.call) {
            for other in room.holds.iter().chain(&room.ends) {
                self.because(*other, Cause::RoomFor { call });
            }
        }
        let open = usize::from(!room.holds.is_empty()) + room.ends.len();
        self.set_stage(id, at, Stage::MakingRoom { open, failed: None, rounds: rounds + 1 });
        if !room.holds.is_empty() {
            self.hold(&room.holds, HeldBy::ARBITER, Some(BatchWaiter::Room(id, at)), origin);
        }
        for call in room.ends {
            let waiter = Some(Waiter::Room(id, at));
            if !self.end_by_request(call, None, Private::default(), waiter, origin) {
                self.room_answered(id, at, Outcome::Fulfilled);
            }
        }
    }

    /// Part of the room was made, or could not be.
    pub(crate) fn room_answered(&mut self, id: TransactionId, at: usize, outcome: Outcome) {
        let step = self.transactions.get_mut(&id).and_then(|t| t.actions.get_mut(at));
        let Some(Step { stage: Stage::MakingRoom { open, failed, .. }, .. }) = step else { return };
        *open = open.saturating_sub(1);
        if !matches!(outcome, Outcome::Fulfilled) {
            failed.get_or_insert(outcome);
        }
        self.turn.ready.push_back(id);
    }

    /// The other call stays as it is, so this one cannot be; an emergency call ends it instead, and one for
    /// which a rule says so.
    pub(crate) fn no_room(&mut self, id: TransactionId, at: usize, call: CallId, why: Outcome) {
        let target = self.calls.get(&call);
        let ruled = target.and_then(Call::treatment);
        let emergency = target.is_some_and(|c| c.emergency);
        let insists = insists(ruled);
        let own_class = class(ruled);
        let group = self.calls.get(&call).and_then(|c| c.group);
        let said = why.refusal().map(|r| r.message.clone()).unwrap_or_default();
        let others: Vec<CallId> = self
            .calls_in(&self.index.busy)
            .filter(|c| c.state == CallState::Active && (c.group.is_none() || c.group != group))
            .map(|c| c.id)
            .collect();
        if let Some(other) = others.first() {
            let text = Private::from(said.as_str());
            self.because_of(call, Cause::NoRoom { call: *other }, text);
        }
        let lower = |id: &CallId| {
            self.calls.get(id).is_some_and(|c| !c.emergency && class(c.treatment()) <= own_class)
        };
        if emergency || insists && others.iter().all(lower) {
            for other in others {
                if let Some(call) = self.calls.get_mut(&other) {
                    call.left_active = true;
                }
                self.note_call(other);
            }
            return self.begin_step(id, at);
        }
        if let Some(other) = others.first() {
            self.notice(crate::Notice::HoldFailed, *other);
        }
        let why = Refusal::new(
            Error::ActionFailed,
            format!("the active call could not be put on hold ({said}); end it to go on"),
        );
        self.set_outcome(id, at, Outcome::Failed(why));
    }

    fn begin_hold(&mut self, id: TransactionId, at: usize, call: CallId, origin: Origin) {
        let Some(transaction) = self.transactions.get(&id) else { return };
        let gives_way = transaction.actions.iter().any(|s| takes_focus(&s.action));
        let by = if gives_way { HeldBy::ARBITER } else { HeldBy::USER };
        let Some(target) = self.calls.get(&call) else { return };
        let provider = target.provider;
        let later = transaction.actions.iter().skip(at + 1).any(|s| {
            matches!(s.action, Action::Answer { .. } | Action::SetHeld { held: false, .. })
                && self.calls.get(&s.call).is_some_and(|c| c.provider == provider)
        });
        if transaction.focus && later && self.holds_by_network(provider) {
            return self.set_stage(id, at, Stage::Bundled);
        }
        let members = target.group.map(|g| self.members(g).map(|c| c.id).collect::<Vec<_>>());
        let members = members.unwrap_or_else(|| vec![call]);
        if !gives_way {
            self.call_off_resumes(id, &members);
        }
        self.set_stage(id, at, Stage::Asked);
        let waiter = Some(BatchWaiter::Target(id, at, call));
        self.hold(&members, by, waiter, origin);
    }

    /// A resume that has not been asked for yet is replaced by a newer hold.
    fn call_off_resumes(&mut self, newer: TransactionId, calls: &[CallId]) {
        let mut found = Vec::new();
        for id in self.index.unfinished.iter().take_while(|id| *id < newer) {
            let Some(transaction) = self.transactions.get(&id) else { continue };
            for (at, step) in transaction.actions.iter().enumerate() {
                let resumes = matches!(step.action, Action::SetHeld { held: false, .. })
                    && calls.contains(&step.call);
                if resumes && step.outcome.is_none() && !matches!(step.stage, Stage::Asked) {
                    found.push((id, at));
                }
            }
        }
        for (id, at) in found {
            let newer = Refusal::new(Error::Cancelled, "a newer request replaced this one");
            self.set_outcome(id, at, Outcome::Cancelled(newer));
            self.turn.ready.push_back(id);
        }
    }

    fn begin_regroup(
        &mut self,
        id: TransactionId,
        at: usize,
        call: CallId,
        with: Option<crate::CallRef>,
        origin: Origin,
    ) {
        let other = with.and_then(|w| self.find(w)).map(|c| (c.id, c.uuid, c.group));
        let Some(target) = self.calls.get(&call) else { return };
        let (uuid, group, active) = (target.uuid, target.group, target.state == CallState::Active);
        let already = match (with, other) {
            (Some(_), Some((_, _, theirs))) => theirs == group,
            (Some(_), None) => {
                let why = Refusal::new(Error::AlreadyEnded, "the other call has ended meanwhile");
                return self.set_outcome(id, at, Outcome::Cancelled(why));
            }
            (None, _) => group.is_some_and(|g| self.members(g).count() < 2),
        };
        if already {
            return self.set_outcome(id, at, Outcome::Fulfilled);
        }
        let other_call = other.and_then(|(other, ..)| self.calls.get(&other));
        if let Some(Err(why)) = other_call.map(|other| self.can_join(target, other)) {
            return self.set_outcome(id, at, Outcome::Cancelled(why));
        }
        if with.is_none() && active {
            match self.leave_room(call) {
                Ok(rest) if rest.is_empty() => {}
                Ok(rest) => {
                    return self.make_room(id, at, Room { holds: rest, ends: vec![] }, origin);
                }
                Err(why) => return self.set_outcome(id, at, Outcome::Cancelled(why)),
            }
        }
        self.set_stage(id, at, Stage::Asked);
        let ask = Ask::SetGroup { uuid, with: other.map(|(_, uuid, _)| uuid) };
        self.ask(call, ask, HeldBy::NONE, Some(Waiter::Step(id, at)), origin);
    }

    /// Hangs up because somebody asked for it. False if it is over at once.
    pub(crate) fn end_by_request(
        &mut self,
        id: CallId,
        reason: Option<EndReason>,
        message: Private,
        waiter: Option<Waiter>,
        origin: Origin,
    ) -> bool {
        let Some(call) = self.calls.get(&id) else { return false };
        let (uuid, state) = (call.uuid, call.state);
        let declined = state.is_incoming_pending();
        let usual = if declined { EndReason::Declined } else { EndReason::LocalEnded };
        let reason = reason.unwrap_or(usual);
        if call.orphaned {
            if declined {
                self.end_siblings(id, EndReason::Declined);
            }
            self.end_and_tell(id, EndReason::LocalEnded, "ended while its app was away");
            return false;
        }
        if state == CallState::Launching {
            let why = Refusal::new(Error::AlreadyEnded, "the call has ended meanwhile");
            let outcome = Outcome::Cancelled(why);
            self.launch_over(id, outcome, reason, "cancelled before its app was there");
            return false;
        }
        let unasked = self.asked(id, |a| matches!(a, Ask::Start { .. })).is_none();
        if state == CallState::Starting && unasked {
            self.end_call(id, reason, "cancelled before it was placed");
            return false;
        }
        if let Some(end) = self.asked(id, |a| matches!(a, Ask::End { .. })) {
            if let Some(request) = self.requests.get_mut(&end) {
                request.waiters.extend(waiter);
            }
            return true;
        }
        if let Some(call) = self.call_mut(id) {
            call.ending = Some(reason);
        }
        let open = self.calls.get(&id).map(|c| c.requests.clone()).unwrap_or_default();
        self.transition(id, CallState::Ending, "ended here");
        for request in open.into_iter().rev() {
            let why = Refusal::new(Error::Cancelled, "the call is being ended");
            self.conclude(request, Verdict::Dropped(why));
        }
        self.ask(id, Ask::End { uuid, reason, message }, HeldBy::NONE, waiter, origin);
        if declined {
            self.end_siblings(id, EndReason::Declined);
        }
        true
    }
}
