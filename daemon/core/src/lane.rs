//! Transactions under way: accepted, begun in order, each action with exactly one outcome.
//!
//! Owns the lane, in which transactions that move the focus take turns, and outcomes. What one action
//! does is in [`crate::steps`], what a plan needs in [`crate::plan`], what becomes of the focus in
//! [`crate::focus`].

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Action, Ask, CallId, CallState, Caller, Cause, Change, Direction, Domain, EndReason, Error,
    GroupId, HeldBy, Object, Origin, Outcome, Private, Refusal, Reply, Requested, Result, Step,
    Transaction, TransactionId, Update, Verb,
    batch::BatchWaiter,
    choice::Through,
    life::Birth,
    plan::Target,
    request::{Verdict, Waiter},
    timers::Due,
    transaction::Stage,
};

/// Finished transactions that can be read: more than anybody reads in the minute that they are kept, and
/// a bound to what a script in a loop leaves in every snapshot.
const READABLE: usize = 256;

/// Whose turn it is to move the focus.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Lane {
    pub running: Option<Job>,
    pub queue: VecDeque<TransactionId>,
}

/// What has the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        self.accept_as(caller, self.origin(caller), requested, token)
    }

    /// The same for whom the origin is known.
    pub(crate) fn accept_as(
        &mut self,
        caller: Caller,
        origin: Origin,
        requested: Vec<Requested>,
        token: Option<Uuid>,
    ) -> Result<Reply> {
        let known = token.and_then(|t| self.tokens.answer(t, self.now.mono));
        if let Some(reply) = known {
            return Ok(reply);
        }
        let accepted = self.validate(caller, &requested, false)?;
        let limit = self.settings.limits.transactions;
        // Hanging up has as many again to itself: whatever else waits, the user gets out of a call.
        let hangs_up = requested.iter().all(|r| matches!(r.action, Action::End { .. }));
        let most = if hangs_up { limit.saturating_mul(2) } else { limit };
        if self.unfinished >= most && !accepted.emergency {
            return Err(Refusal::new(
                Error::LimitExceeded,
                format!("{limit} transactions are unfinished (limit `transactions`); wait for one"),
            ));
        }
        let id = self.next.transaction();
        let mut actions = Vec::new();
        let mut started = None;
        for (Requested { action, expected }, target) in requested.into_iter().zip(accepted.targets)
        {
            let call = match target {
                Target::Call(call) => call,
                Target::New(way) => {
                    let call = self.new_outgoing(way, &action, accepted.emergency);
                    started = started.or(self.calls.get(&call).map(|c| (call, c.uuid)));
                    call
                }
            };
            let cause =
                Cause::Requested { origin, action: Verb::of_action(&action), transaction: id };
            self.because(call, cause);
            if matches!(action, Action::Start { .. }) {
                self.treat_start(call);
            }
            if self.calls.get(&call).is_some_and(|c| c.state == CallState::Launching)
                && matches!(action, Action::Start { .. })
            {
                self.ask_to_launch(call);
            }
            if matches!(action, Action::Answer { .. })
                && self.calls.get(&call).is_some_and(|c| c.state == CallState::Ringing)
            {
                self.transition(call, CallState::Answering, "answered here");
            }
            let stage = Stage::default();
            actions.push(Step { action, call, expected, outcome: None, stage });
        }
        let transaction = Transaction {
            id,
            origin,
            actions,
            finished: false,
            created_at: self.now.wall,
            revision: 0,
            focus: accepted.focus,
        };
        self.transactions.insert(id, transaction);
        self.unfinished += 1;
        self.note_transaction(id);
        self.turn.added(Object::Transaction(id));
        if self.waits_for_app(id) {
            // It has its turn when the app is there.
        } else if accepted.emergency {
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

    fn new_outgoing(&mut self, way: Through, action: &Action, emergency: bool) -> CallId {
        let Action::Start { uuid, handle, video, .. } = action else { return CallId(0) };
        let (provider, state) = match way {
            Through::Here(provider) => (provider, CallState::Starting),
            Through::Launched(app) => (self.expect_app(app), CallState::Launching),
        };
        let birth = Birth {
            uuid: *uuid,
            provider,
            direction: Direction::Outgoing,
            state,
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
    pub(crate) fn give_way(&mut self) {
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
                self.release_first();
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
                if transaction.actions.iter().all(|s| s.outcome.is_some()) {
                    self.lane.queue.retain(|queued| *queued != id);
                    self.finish(id);
                }
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

    pub(crate) fn step(&self, id: TransactionId, at: usize) -> Option<&Step> {
        self.transactions.get(&id)?.actions.get(at)
    }

    pub(crate) fn set_stage(&mut self, id: TransactionId, at: usize, stage: Stage) {
        let step = self.transactions.get_mut(&id).and_then(|t| t.actions.get_mut(at));
        if let Some(step) = step {
            step.stage = stage;
        }
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
    pub(crate) fn set_outcome(&mut self, id: TransactionId, at: usize, outcome: Outcome) {
        self.turn.touch(Object::Transaction(id));
        let failed = !matches!(outcome, Outcome::Fulfilled);
        let Some(transaction) = self.transactions.get_mut(&id) else { return };
        let Some(step) = transaction.actions.get_mut(at) else { return };
        let undo = std::mem::replace(&mut step.stage, Stage::Waiting);
        let asked = matches!(undo, Stage::Asked);
        step.outcome.get_or_insert(outcome.clone());
        let target = (step.call, matches!(step.action, Action::Start { .. }));
        let begins = begins_a_call(&step.action);
        let action = Verb::of_action(&step.action);
        if let Some(why) = outcome.refusal().filter(|_| !asked) {
            let text = Private::from(why.message.as_str());
            self.because_of(target.0, Cause::NotDone { action, error: why.error }, text);
        }
        self.settle_bundled(id, at);
        if !failed {
            return;
        }
        if begins {
            self.undo(target.0, asked && target.1);
        }
        let Some(transaction) = self.transactions.get_mut(&id) else { return };
        let mut dropped = Vec::new();
        for step in transaction.actions.iter_mut().filter(|s| s.outcome.is_none()) {
            let why = Refusal::new(Error::Cancelled, "an earlier action was not fulfilled");
            step.outcome = Some(Outcome::Cancelled(why));
            dropped.push((step.call, Verb::of_action(&step.action), begins_a_call(&step.action)));
        }
        for (call, action, begins) in dropped {
            self.because(call, Cause::NotDone { action, error: Error::Cancelled });
            if begins {
                self.undo(call, false);
            }
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
            Some(CallState::Launching) => {
                self.end_call(call, EndReason::Failed, "it could not be placed now");
            }
            Some(CallState::Starting) if !asked => {
                self.end_call(call, EndReason::Failed, "it could not be placed now");
            }
            _ => {}
        }
    }

    /// The plan that runs cannot reach its end: one of its calls has lost its app.
    pub(crate) fn cancel_lost_plan(&mut self) {
        let Some(Job::Transaction(id)) = self.lane.running else { return };
        let Some(transaction) = self.transactions.get(&id) else { return };
        let lost = |s: &Step| {
            s.outcome.is_none()
                && self.calls.get(&s.call).is_some_and(|c| c.orphaned)
                && !matches!(s.action, Action::End { .. } | Action::Silence { .. })
        };
        if let Some(at) = transaction.actions.iter().position(lost) {
            self.set_outcome(id, at, Outcome::Cancelled(crate::rights::gone()));
            self.turn.ready.push_back(id);
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
        self.note_transaction(id);
        self.turn.touch(Object::Transaction(id));
        let until = self.now.mono + self.settings.deadlines.transaction;
        self.timers.arm(Due::Forget(id), until);
        self.moment(Change::Finished(id));
        if self.transactions.len() - self.unfinished as usize > READABLE {
            let oldest = self.transactions.values().find(|t| t.finished).map(|t| t.id);
            if let Some(oldest) = oldest {
                self.timers.disarm(Due::Forget(oldest));
                self.forget_transaction(oldest);
            }
        }
        if self.lane.running == Some(Job::Transaction(id)) {
            self.lane.running = None;
        }
    }

    pub(crate) fn forget_transaction(&mut self, id: TransactionId) {
        if let Some(gone) = self.transactions.remove(&id) {
            self.turn.gone_transactions.push(gone);
        }
    }

    /// `Cancel`: stops before the next step; a target that was asked counts as having timed out.
    pub(crate) fn cancel(&mut self, caller: Caller, id: TransactionId) -> Result<()> {
        let Some(transaction) = self.transactions.get(&id) else {
            let why = "there is no such transaction, or none any more";
            return Err(Refusal::new(Error::InvalidArgument, why));
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
        let open = |s: &Step| s.outcome.is_none() && !matches!(s.stage, Stage::Bundled);
        let Some(at) = transaction.actions.iter().position(open) else { return };
        let waits = |waiter: &Waiter| match waiter {
            Waiter::Step(transaction, step) => (*transaction, *step) == (id, at),
            Waiter::Batch(batch) => matches!(
                self.batches.get(batch).and_then(|b| b.waiter),
                Some(BatchWaiter::Target(transaction, step, _)) if (transaction, step) == (id, at)
            ),
            Waiter::Room(..) => false,
        };
        // What others wait for too goes on for them.
        let own = self
            .requests
            .iter()
            .filter(|(_, r)| r.waiters.iter().any(waits) && r.waiters.iter().all(waits))
            // An end that its app has yet to hear is not taken back either.
            .filter(|(_, r)| r.sent || !matches!(r.ask, Ask::End { .. }));
        let requests: Vec<_> = own.map(|(request, r)| (*request, r.sent, r.call)).collect();
        let why = Refusal::new(Error::Cancelled, why);
        for (request, sent, call) in requests {
            if sent {
                self.tell_timed_out(request);
                self.conclude(request, Verdict::TimedOut);
            } else {
                self.conclude(request, Verdict::Dropped(why.clone()));
                call.into_iter().for_each(|call| self.undo(call, false));
            }
        }
        let open =
            |d: &Domain| d.transactions.get(&id)?.actions.iter().position(|s| s.outcome.is_none());
        if let Some(at) = open(self) {
            self.set_outcome(id, at, Outcome::Cancelled(why));
        }
        self.lane.queue.retain(|queued| *queued != id);
        self.finish(id);
    }
}

/// Whether the call is as it is because this action is to be done; others leave it to the one that began.
fn begins_a_call(action: &Action) -> bool {
    matches!(action, Action::Start { .. } | Action::Answer { .. })
}
