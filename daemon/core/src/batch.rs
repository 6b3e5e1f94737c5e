//! Holding and resuming several calls as one: all of a group, or none.
//!
//! Owns the count of what is open and what to undo. Every batch ends, because every request does.

use serde::{Deserialize, Serialize};

use crate::{
    Ask, CallId, CallState, Cause, Domain, Error, GroupId, HeldBy, Origin, Outcome, Refusal,
    TransactionId,
    request::{Verdict, Waiter},
};

/// Calls that are being held, or resumed, together.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Batch {
    held: bool,
    by: HeldBy,
    /// It is still being put together.
    #[serde(skip)]
    filling: bool,
    open: usize,
    done: Vec<CallId>,
    failed: Option<Outcome>,
    pub waiter: Option<BatchWaiter>,
    pub group: Option<GroupId>,
}

impl Batch {
    /// Whether it counts this many requests.
    pub(crate) fn is_open_for(&self, requests: usize) -> bool {
        self.open == requests
    }
}

/// Who waits for a batch.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum BatchWaiter {
    /// An action that is about this very call.
    Target(TransactionId, usize, CallId),
    /// An action that needs the room.
    Room(TransactionId, usize),
    /// The resume that the focus rule began.
    Resume(GroupId),
}

/// It will not be active again.
fn is_over(state: CallState) -> bool {
    matches!(state, CallState::Ending | CallState::Ended)
}

impl Domain {
    /// Holds these calls; whoever waits is told when all are held, or that one could not be.
    pub(crate) fn hold(
        &mut self,
        calls: &[CallId],
        by: HeldBy,
        waiter: Option<BatchWaiter>,
        origin: Origin,
    ) {
        let batch = self.open_batch(true, by, calls, waiter);
        for id in calls {
            let Some(call) = self.calls.get(id) else { continue };
            let (uuid, state) = (call.uuid, call.state);
            match state {
                CallState::Held => self.hold_again(*id, by),
                CallState::Active => {
                    self.count_open(batch);
                    let same = |ask: &Ask| matches!(ask, Ask::SetHeld { held: true, .. });
                    if let Some(request) = self.asked(*id, same) {
                        if let Some(request) = self.requests.get_mut(&request) {
                            request.by = request.by.with(by);
                            request.waiters.push(Waiter::Batch(batch));
                        }
                    } else {
                        let ask = Ask::SetHeld { uuid, held: true };
                        self.ask(*id, ask, by, Some(Waiter::Batch(batch)), origin);
                    }
                }
                _ => {}
            }
        }
        self.filled(batch);
    }

    /// Resumes these calls; whoever waits is told when all have answered.
    pub(crate) fn resume(&mut self, calls: &[CallId], waiter: Option<BatchWaiter>, origin: Origin) {
        let batch = self.open_batch(false, HeldBy::NONE, calls, waiter);
        for id in calls {
            let Some(call) = self.calls.get(id) else { continue };
            let (uuid, state) = (call.uuid, call.state);
            let orphaned = call.orphaned;
            let open =
                |held| move |a: &Ask| matches!(a, Ask::SetHeld { held: h, .. } if *h == held);
            let holding = self.asked(*id, open(true)).is_some();
            if !orphaned && (state == CallState::Held || state == CallState::Active && holding) {
                self.count_open(batch);
                let waiter = Waiter::Batch(batch);
                let resuming = self.asked(*id, open(false)).filter(|_| !holding);
                match resuming.and_then(|r| self.requests.get_mut(&r)) {
                    Some(request) => request.waiters.push(waiter),
                    None => {
                        let ask = Ask::SetHeld { uuid, held: false };
                        self.ask(*id, ask, HeldBy::NONE, Some(waiter), origin);
                    }
                }
            } else if state == CallState::Active
                && let Some(batch) = self.batches.get_mut(&batch)
            {
                batch.done.push(*id);
            }
        }
        self.filled(batch);
    }

    /// A call that is held is to be held by `by` too: what would resume it is called off.
    pub(crate) fn hold_again(&mut self, id: CallId, by: HeldBy) {
        if let Some(call) = self.call_mut(id) {
            call.held_by = call.held_by.with(by);
        }
        self.note_call(id);
        self.because(id, Cause::Held { by });
        if by.contains(HeldBy::USER) {
            self.user_held(id);
        }
        while let Some(resume) = self.asked(id, |a| matches!(a, Ask::SetHeld { held: false, .. })) {
            let why = Refusal::new(Error::Cancelled, "the call is to stay on hold");
            self.conclude(resume, Verdict::Dropped(why));
        }
    }

    /// The first request of this kind that is open for a call.
    pub(crate) fn asked(
        &self,
        call: CallId,
        kind: impl Fn(&Ask) -> bool,
    ) -> Option<crate::RequestId> {
        let call = self.calls.get(&call)?;
        let is = |id: &&crate::RequestId| self.requests.get(id).is_some_and(|r| kind(&r.ask));
        call.requests.iter().find(is).copied()
    }

    /// Whether calls of this group are being held or resumed.
    pub(crate) fn is_moving(&self, group: GroupId) -> bool {
        self.batches.values().any(|b| b.group == Some(group))
    }

    pub(crate) fn batch_answered(&mut self, id: u32, call: CallId, outcome: Outcome) {
        let gone = self.calls.get(&call).is_none_or(|c| c.orphaned || is_over(c.state));
        let Some(batch) = self.batches.get_mut(&id) else { return };
        batch.open = batch.open.saturating_sub(1);
        match outcome {
            Outcome::Fulfilled => batch.done.push(call),
            // A call that is gone is in nobody's way.
            Outcome::Cancelled(_) if gone && batch.held => {}
            other => {
                batch.failed.get_or_insert(other);
            }
        }
        self.close_if_done(id);
    }

    fn open_batch(
        &mut self,
        held: bool,
        by: HeldBy,
        calls: &[CallId],
        waiter: Option<BatchWaiter>,
    ) -> u32 {
        let group = calls.iter().find_map(|c| self.calls.get(c)).and_then(|c| c.group);
        let id = self.next.batch();
        let done = Vec::new();
        let batch = Batch { held, by, filling: true, open: 0, done, failed: None, waiter, group };
        self.batches.insert(id, batch);
        id
    }

    fn count_open(&mut self, id: u32) {
        if let Some(batch) = self.batches.get_mut(&id) {
            batch.open += 1;
        }
    }

    fn filled(&mut self, id: u32) {
        if let Some(batch) = self.batches.get_mut(&id) {
            batch.filling = false;
        }
        self.close_if_done(id);
    }

    fn close_if_done(&mut self, id: u32) {
        if self.batches.get(&id).is_none_or(|b| b.filling || b.open > 0) {
            return;
        }
        let Some(batch) = self.batches.remove(&id) else { return };
        if batch.held { self.all_held(batch) } else { self.all_resumed(batch) }
    }

    fn all_held(&mut self, batch: Batch) {
        let outcome = match batch.failed {
            None => Outcome::Fulfilled,
            Some(outcome) => {
                // Half a group on hold is no hold: the rest is resumed.
                for id in batch.done {
                    let Some(call) = self.calls.get(&id) else { continue };
                    let alone = call.held_by == batch.by && !call.orphaned;
                    if call.state == CallState::Held && alone {
                        let ask = Ask::SetHeld { uuid: call.uuid, held: false };
                        self.ask(id, ask, HeldBy::NONE, None, Origin::Policy);
                    }
                }
                outcome
            }
        };
        match batch.waiter {
            Some(BatchWaiter::Target(transaction, step, call)) => {
                let here = self.calls.get(&call).is_some_and(|c| !c.orphaned && !is_over(c.state));
                let gone = || Refusal::new(Error::AlreadyEnded, "the call is gone meanwhile");
                let outcome = if here { outcome } else { Outcome::Cancelled(gone()) };
                self.step_answered(transaction, step, outcome);
            }
            Some(BatchWaiter::Room(transaction, step)) => {
                self.room_answered(transaction, step, outcome);
            }
            Some(BatchWaiter::Resume(_)) | None => {
                if !matches!(outcome, Outcome::Fulfilled) {
                    self.left_active(batch.group);
                }
            }
        }
    }

    fn all_resumed(&mut self, batch: Batch) {
        let resumed = batch.done.iter().find_map(|c| self.calls.get(c));
        let group = resumed.filter(|c| c.state == CallState::Active).and_then(|c| c.group);
        if let Some(group) = group {
            self.focus_on(group);
        }
        let failed = batch.failed.clone();
        match batch.waiter {
            Some(BatchWaiter::Target(transaction, step, call)) => {
                let outcome = match failed {
                    Some(outcome) if !batch.done.contains(&call) => outcome,
                    _ => Outcome::Fulfilled,
                };
                self.step_answered(transaction, step, outcome);
            }
            Some(BatchWaiter::Resume(wanted)) => {
                self.resume_answered(wanted, group.is_some(), failed);
            }
            Some(BatchWaiter::Room(..)) | None => {}
        }
    }
}
