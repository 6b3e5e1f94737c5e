//! Transactions under way: accepted, begun in order, each action with exactly one outcome.
//!
//! Owns the lane, in which transactions that move the focus take turns, and the steps of each. What a
//! plan needs is decided in [`crate::plan`], what becomes of the focus in [`crate::focus`].

use std::collections::VecDeque;

use uuid::Uuid;

use crate::{
    Action, Ask, CallId, CallState, Caller, Change, Direction, Domain, EndReason, Error, GroupId,
    HeldBy, HoldModel, Object, Origin, Outcome, Private, Refusal, Reply, Requested, Result, Step,
    Transaction, TransactionId, Update,
    batch::BatchWaiter,
    life::Birth,
    plan::{Room, Target},
    request::{Verdict, Waiter},
    timers::Due,
    transaction::Stage,
};

/// How often a plan makes room again because something else became active meanwhile.
const ROUNDS: u8 = 4;

/// Whose turn it is to move the focus.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub running: Option<Job>,
    pub queue: VecDeque<TransactionId>,
}

/// What has the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Transaction(TransactionId),
    Resume(GroupId),
}

impl Domain {
    /// Accepts a transaction as a whole, or refuses it with nothing changed.
    pub(crate) fn accept(
        &mut self,
        caller: Caller,
        requested: Vec<Requested>,
        token: Option<Uuid>,
    ) -> Result<Reply> {
        let known = token.and_then(|t| self.tokens.answer(t, self.now.mono));
        if let Some(reply) = known {
            return Ok(reply);
        }
        let accepted = self.validate(caller, &requested)?;
        let limit = self.settings.limits.transactions;
        if self.unfinished >= limit && !accepted.emergency {
            return Err(Refusal::new(
                Error::LimitExceeded,
                format!("{limit} transactions are unfinished (limit `transactions`); wait for one"),
            ));
        }
        let mut actions = Vec::new();
        let mut started = None;
        for (Requested { action, expected }, target) in requested.into_iter().zip(accepted.targets)
        {
            let call = match target {
                Target::Call(call) => call,
                Target::New(provider) => {
                    let call = self.new_outgoing(provider, &action, accepted.emergency);
                    started = started.or(Some(call));
                    call
                }
            };
            if matches!(action, Action::Answer { .. })
                && self.calls.get(&call).is_some_and(|c| c.state == CallState::Ringing)
            {
                self.transition(call, CallState::Answering, "answered here");
            }
            let stage = Stage::default();
            actions.push(Step { action, call, expected, outcome: None, stage });
        }
        let id = self.next.transaction();
        let transaction = Transaction {
            id,
            origin: self.origin(caller),
            actions,
            finished: false,
            created_at: self.now.wall,
            revision: 0,
            focus: accepted.focus,
        };
        self.transactions.insert(id, transaction);
        self.unfinished += 1;
        self.turn.added(Object::Transaction(id));
        if accepted.emergency {
            self.give_way();
            self.lane.queue.push_front(id);
        } else if accepted.focus {
            self.lane.queue.push_back(id);
        } else {
            self.turn.ready.push_back(id);
        }
        let reply = Reply::Transaction(id, started);
        if let Some(token) = token {
            let until = self.now.mono + self.settings.deadlines.memory;
            self.tokens.add(token, reply.clone(), until, self.settings.limits.tokens);
        }
        Ok(reply)
    }

    fn new_outgoing(
        &mut self,
        provider: crate::ProviderId,
        action: &Action,
        emergency: bool,
    ) -> CallId {
        let Action::Start { uuid, handle, video, .. } = action else { return CallId(0) };
        let birth = Birth {
            uuid: *uuid,
            provider,
            direction: Direction::Outgoing,
            state: CallState::Starting,
            reason: "requested",
        };
        let update =
            Update { handle: Some(handle.clone()), video: Some(*video), ..Update::default() };
        let id = self.new_call(birth, &update);
        if let Some(call) = self.calls.get_mut(&id) {
            call.emergency = emergency;
        }
        id
    }

    /// An emergency call waits for nobody: what runs in the lane stops here.
    fn give_way(&mut self) {
        match self.lane.running {
            Some(Job::Transaction(id)) => self.stop(id, "an emergency call goes first"),
            Some(Job::Resume(group)) => {
                let calls: Vec<CallId> = self.members(group).map(|c| c.id).collect();
                for call in calls {
                    self.hold_again(call, HeldBy::ARBITER);
                }
                self.lane.running = None;
            }
            None => {}
        }
    }

    /// Everything that can go on by itself goes on.
    pub(crate) fn drive(&mut self) {
        loop {
            if let Some(id) = self.turn.ready.pop_front() {
                self.advance(id);
            } else if self.lane.running.is_none()
                && let Some(id) = self.lane.queue.pop_front()
            {
                self.lane.running = Some(Job::Transaction(id));
                self.turn.ready.push_back(id);
            } else if !self.settle() {
                return;
            }
        }
    }

    fn advance(&mut self, id: TransactionId) {
        loop {
            let Some(transaction) = self.transactions.get(&id).filter(|t| !t.finished) else {
                return;
            };
            if transaction.focus && self.lane.running != Some(Job::Transaction(id)) {
                return;
            }
            let open = |s: &Step| s.outcome.is_none() && !matches!(s.stage, Stage::Bundled);
            let Some(at) = transaction.actions.iter().position(open) else {
                return self.finish(id);
            };
            let Some(step) = transaction.actions.get(at) else { return };
            let here = self.calls.contains_key(&step.call);
            match &step.stage {
                Stage::Asked | Stage::MakingRoom { open: 1.., .. } if here => return,
                Stage::MakingRoom { open: 0, failed: Some(why), .. } if here => {
                    let (why, call) = (why.clone(), step.call);
                    self.no_room(id, at, call, why);
                }
                _ => self.begin_step(id, at),
            }
            let stage = self.step(id, at).map(|s| (&s.outcome, &s.stage));
            if let Some((None, Stage::Asked | Stage::MakingRoom { open: 1.., .. })) = stage {
                return;
            }
        }
    }

    fn step(&self, id: TransactionId, at: usize) -> Option<&Step> {
        self.transactions.get(&id)?.actions.get(at)
    }

    fn set_stage(&mut self, id: TransactionId, at: usize, stage: Stage) {
        let step = self.transactions.get_mut(&id).and_then(|t| t.actions.get_mut(at));
        if let Some(step) = step {
            step.stage = stage;
        }
    }

    fn begin_step(&mut self, id: TransactionId, at: usize) {
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
                Outcome::Cancelled(crate::plan::stale(expected, state)),
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
        let focused = group.is_some() && self.focus == group;
        let met = match action {
            Action::Start { .. } => state != CallState::Starting,
            Action::Answer { .. } => {
                state == CallState::Held || state == CallState::Active && focused
            }
            _ => state == CallState::Active && focused,
        };
        if met {
            return self.set_outcome(id, at, Outcome::Fulfilled);
        }
        if let Some(why) = self.background_refusal(emergency) {
            return self.set_outcome(id, at, Outcome::Cancelled(why));
        }
        let room = match self.room(call, group, emergency, &Default::default()) {
            Ok(room) => room,
            Err(why) => return self.set_outcome(id, at, Outcome::Cancelled(why)),
        };
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
            Action::Answer { .. } => Ask::Answer { uuid },
            _ if state == CallState::Active => {
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
        let provider = self.calls.get(&target).map(|c| c.provider);
        let wide = provider
            .and_then(|p| self.providers.get(&p))
            .is_some_and(|p| p.configuration.hold_model == HoldModel::ProviderWide);
        if !wide {
            return (Vec::new(), room);
        }
        let own = |id: &CallId| self.calls.get(id).map(|c| c.provider) == provider;
        let (bundled, holds) = room.holds.into_iter().partition(own);
        room.holds = holds;
        (bundled, room)
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

    /// The other call stays as it is, so this one cannot be; an emergency call ends it instead.
    fn no_room(&mut self, id: TransactionId, at: usize, call: CallId, why: Outcome) {
        let emergency = self.calls.get(&call).is_some_and(|c| c.emergency);
        let group = self.calls.get(&call).and_then(|c| c.group);
        let others: Vec<CallId> = self
            .calls
            .values()
            .filter(|c| c.state == CallState::Active && (c.group.is_none() || c.group != group))
            .map(|c| c.id)
            .collect();
        if emergency {
            for other in others {
                if let Some(other) = self.calls.get_mut(&other) {
                    other.left_active = true;
                }
            }
            return self.begin_step(id, at);
        }
        if let Some(other) = others.first() {
            self.notice(crate::Notice::HoldFailed, *other);
        }
        let said = why.refusal().map(|r| r.message.clone()).unwrap_or_default();
        let why = Refusal::new(
            Error::ActionFailed,
            format!("the active call could not be put on hold ({said}); end it to go on"),
        );
        self.set_outcome(id, at, Outcome::Failed(why));
    }

    fn begin_hold(&mut self, id: TransactionId, at: usize, call: CallId, origin: Origin) {
        let Some(transaction) = self.transactions.get(&id) else { return };
        let by = if transaction.focus { HeldBy::ARBITER } else { HeldBy::USER };
        let Some(target) = self.calls.get(&call) else { return };
        let provider = target.provider;
        if target.state == CallState::Held {
            self.hold_again(call, by);
            return self.set_outcome(id, at, Outcome::Fulfilled);
        }
        let wide = self
            .providers
            .get(&provider)
            .is_some_and(|p| p.configuration.hold_model == HoldModel::ProviderWide);
        let later = transaction.actions.iter().skip(at + 1).any(|s| {
            matches!(s.action, Action::Answer { .. } | Action::SetHeld { held: false, .. })
                && self.calls.get(&s.call).is_some_and(|c| c.provider == provider)
        });
        if transaction.focus && wide && later {
            return self.set_stage(id, at, Stage::Bundled);
        }
        let members = target.group.map(|g| self.members(g).map(|c| c.id).collect::<Vec<_>>());
        self.set_stage(id, at, Stage::Asked);
        let waiter = Some(BatchWaiter::Target(id, at, call));
        self.hold(&members.unwrap_or_else(|| vec![call]), by, waiter, origin);
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
        let (uuid, provider, state) = (call.uuid, call.provider, call.state);
        let default = match state.is_incoming_pending() {
            true => EndReason::Declined,
            false => EndReason::LocalEnded,
        };
        let reason = reason.unwrap_or(default);
        if call.orphaned {
            self.end_call(id, EndReason::LocalEnded, "ended while its app was away");
            self.owe_end(provider, uuid);
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
        if reason == EndReason::Declined {
            self.end_siblings(id, EndReason::Declined);
        }
        true
    }

    /// An action was performed, or not.
    pub(crate) fn step_answered(&mut self, id: TransactionId, at: usize, outcome: Outcome) {
        let Some(step) = self.step(id, at).filter(|s| s.outcome.is_none()) else { return };
        let resumed = matches!(step.action, Action::SetHeld { held: false, .. });
        let call = step.call;
        if resumed && outcome == Outcome::Fulfilled {
            self.focus_on_call(call);
        }
        self.set_outcome(id, at, outcome);
        self.turn.ready.push_back(id);
    }

    /// Writes an outcome, once; the first that is not fulfilled cancels the rest.
    fn set_outcome(&mut self, id: TransactionId, at: usize, outcome: Outcome) {
        self.turn.touch(Object::Transaction(id));
        let failed = !matches!(outcome, Outcome::Fulfilled);
        let Some(transaction) = self.transactions.get_mut(&id) else { return };
        let Some(step) = transaction.actions.get_mut(at) else { return };
        let undo = std::mem::replace(&mut step.stage, Stage::Waiting);
        let asked = matches!(undo, Stage::Asked);
        step.outcome.get_or_insert(outcome.clone());
        let target = (step.call, matches!(step.action, Action::Start { .. }));
        self.settle_bundled(id, at);
        if !failed {
            return;
        }
        self.undo(target.0, asked && target.1);
        let Some(transaction) = self.transactions.get_mut(&id) else { return };
        let mut dropped = Vec::new();
        for step in transaction.actions.iter_mut().filter(|s| s.outcome.is_none()) {
            let why = Refusal::new(Error::Cancelled, "an earlier action was not fulfilled");
            step.outcome = Some(Outcome::Cancelled(why));
            dropped.push(step.call);
        }
        for call in dropped {
            self.undo(call, false);
        }
    }

    /// Holds that the target's network did, or did not do, together with step `at`.
    fn settle_bundled(&mut self, id: TransactionId, at: usize) {
        let calls = &self.calls;
        let Some(transaction) = self.transactions.get_mut(&id) else { return };
        for step in transaction.actions.iter_mut().take(at) {
            if matches!(step.stage, Stage::Bundled) && step.outcome.is_none() {
                let active = calls.get(&step.call).is_some_and(|c| c.state == CallState::Active);
                let why = || Refusal::new(Error::ActionFailed, "its network did not hold it");
                step.outcome =
                    Some(if active { Outcome::Failed(why()) } else { Outcome::Fulfilled });
            }
        }
    }

    /// A call whose answer or start was not even begun is what it was before.
    fn undo(&mut self, call: CallId, asked: bool) {
        match self.calls.get(&call).map(|c| c.state) {
            Some(CallState::Answering) => {
                self.transition(call, CallState::Ringing, "could not be answered yet");
            }
            Some(CallState::Starting) if !asked => {
                self.end_call(call, EndReason::Failed, "it could not be placed now");
            }
            _ => {}
        }
    }

    /// The lane may wait for a call that is gone.
    pub(crate) fn target_lost(&mut self, call: CallId) {
        if let Some(Job::Transaction(id)) = self.lane.running
            && self.transactions.get(&id).is_some_and(|t| t.actions.iter().any(|s| s.call == call))
        {
            self.turn.ready.push_back(id);
        }
    }

    fn finish(&mut self, id: TransactionId) {
        let Some(transaction) = self.transactions.get_mut(&id) else { return };
        if std::mem::replace(&mut transaction.finished, true) {
            return;
        }
        self.unfinished = self.unfinished.saturating_sub(1);
        self.turn.touch(Object::Transaction(id));
        let until = self.now.mono + self.settings.deadlines.transaction;
        self.timers.arm(Due::Forget(id), until);
        self.moment(Change::Finished(id));
        if self.lane.running == Some(Job::Transaction(id)) {
            self.lane.running = None;
        }
    }

    pub(crate) fn forget_transaction(&mut self, id: TransactionId) {
        self.turn.gone_transactions.extend(self.transactions.remove(&id));
    }

    /// `Cancel`: stops before the next step; a target that was asked counts as having timed out.
    pub(crate) fn cancel(&mut self, caller: Caller, id: TransactionId) -> Result<()> {
        let Some(transaction) = self.transactions.get(&id) else {
            return Err(Refusal::new(Error::InvalidArgument, "there is no such transaction"));
        };
        for step in &transaction.actions {
            if let Some(call) = self.calls.get(&step.call) {
                self.may_control(caller, call)?;
            }
        }
        if transaction.finished {
            return Err(Refusal::new(Error::InvalidState, "this transaction is finished already"));
        }
        self.stop(id, "cancelled by its requester");
        Ok(())
    }

    fn stop(&mut self, id: TransactionId, why: &str) {
        let Some(transaction) = self.transactions.get(&id) else { return };
        let open = transaction.actions.iter().position(|s| s.outcome.is_none());
        let Some(at) = open else { return };
        let asked = self.step(id, at).is_some_and(|s| matches!(s.stage, Stage::Asked));
        let waits = |waiter: &Waiter| match waiter {
            Waiter::Step(transaction, step) => (*transaction, *step) == (id, at),
            Waiter::Batch(batch) => matches!(
                self.batches.get(batch).and_then(|b| b.waiter),
                Some(BatchWaiter::Target(transaction, step, _)) if (transaction, step) == (id, at)
            ),
            Waiter::Room(..) => false,
        };
        let sent = self.requests.iter().filter(|(_, r)| r.sent && r.waiters.iter().any(waits));
        let requests: Vec<_> = sent.map(|(request, _)| *request).collect();
        if asked {
            for request in requests {
                self.conclude(request, Verdict::TimedOut);
            }
        }
        let why = Refusal::new(Error::Cancelled, why);
        if self.step(id, at).is_some_and(|s| s.outcome.is_none()) {
            self.set_outcome(id, at, Outcome::Cancelled(why));
        }
        self.lane.queue.retain(|queued| *queued != id);
        self.finish(id);
    }
}
