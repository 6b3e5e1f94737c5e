//! Requests to providers: one at a time for each call, in order, each with a deadline.
//!
//! Owns the queue of a call, and what an answer (or none) does to the call; which word is an answer
//! is [`crate::words`]' business, why a request was made is its waiters': actions ([`crate::steps`])
//! and batches ([`crate::batch`]).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Ask, CallId, CallState, Cause, Domain, Effect, EndReason, Error, Happening, HeldBy, Millis,
    Origin, Outcome, Private, ProviderId, Refusal, RequestId, TransactionId, Verb, memory::next_of,
    restart::LEAST, timers::Due,
};

/// Late words are understood for this many requests.
pub(crate) const PAST: usize = 256;

/// One request, queued or sent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub provider: ProviderId,
    /// The call whose queue it is in; none for audio, reconciliation and last words about a call.
    pub call: Option<CallId>,
    pub ask: Ask,
    /// For a hold: who holds.
    pub by: HeldBy,
    /// Calls that the same step holds (a network that holds by itself).
    pub bundled: Vec<CallId>,
    pub waiters: Vec<Waiter>,
    pub origin: Origin,
    pub length: Millis,
    pub extensions: u8,
    pub sent: bool,
}

/// Who waits for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Waiter {
    /// An action is being performed.
    Step(TransactionId, usize),
    /// An action needs the room that this makes.
    Room(TransactionId, usize),
    Batch(u32),
}

/// A request that is over; a word about it may still come.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Past {
    pub id: RequestId,
    pub provider: ProviderId,
    pub call: Option<CallId>,
    pub ask: Ask,
    pub by: HeldBy,
    /// It was not answered: a late word is news.
    pub open: bool,
    /// Its deadline passed; else it was called off.
    pub timed_out: bool,
}

/// How a request ended.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Fulfilled,
    Failed(Refusal),
    TimedOut,
    /// It no longer mattered.
    Dropped(Refusal),
}

impl Domain {
    /// Queues a request for a call, behind what it is being asked already.
    pub(crate) fn ask(
        &mut self,
        call: CallId,
        ask: Ask,
        by: HeldBy,
        waiter: Option<Waiter>,
        origin: Origin,
    ) {
        self.ask_bundled(call, ask, by, waiter, origin, Vec::new());
    }

    /// The same for a step that holds other calls too.
    pub(crate) fn ask_bundled(
        &mut self,
        call: CallId,
        ask: Ask,
        by: HeldBy,
        waiter: Option<Waiter>,
        origin: Origin,
        bundled: Vec<CallId>,
    ) {
        let Some(provider) = self.calls.get(&call).map(|c| c.provider) else { return };
        self.replace_queued(call, &ask);
        let tones = match &ask {
            Ask::PlayDtmf { tones, .. } => {
                crate::tones::playing_time(tones.reveal()).unwrap_or_default()
            }
            _ => Millis(0),
        };
        let mut length = self.allowed(&ask, tones);
        if by.contains(HeldBy::SUSPEND) {
            length = length.min(self.settings.deadlines.suspend);
        }
        let id = self.next.request();
        let waiters = waiter.into_iter().collect();
        let request = Request {
            provider,
            call: Some(call),
            ask,
            by,
            bundled,
            waiters,
            origin,
            length,
            extensions: 0,
            sent: false,
        };
        self.requests.insert(id, request);
        let target = call;
        for held in self.requests.get(&id).map(|r| r.bundled.clone()).unwrap_or_default() {
            self.because(held, Cause::RoomFor { call: target });
        }
        if let Some(call) = self.calls.get_mut(&call) {
            call.requests.push(id);
            if call.requests.len() == 1 {
                self.send(id);
            }
        }
    }

    /// A request outside any call's queue: nobody waits for it but the provider's own state.
    pub(crate) fn ask_aside(&mut self, provider: ProviderId, ask: Ask) -> RequestId {
        let length = self.allowed(&ask, Millis(0));
        let id = self.next.request();
        let request = Request {
            provider,
            call: None,
            ask,
            by: HeldBy::NONE,
            bundled: Vec::new(),
            waiters: Vec::new(),
            origin: Origin::Policy,
            length,
            extensions: 0,
            sent: false,
        };
        self.requests.insert(id, request);
        self.send(id);
        id
    }

    /// Tells the provider that a call is over for the arbiter: it may not know.
    pub(crate) fn ask_to_end(&mut self, provider: ProviderId, uuid: Uuid, reason: EndReason) {
        if self.providers.get(&provider).is_some_and(|p| p.peer.is_some()) {
            self.ask_aside(provider, Ask::End { uuid, reason, message: Private::default() });
        }
    }

    /// A newer hold or mute replaces a queued one.
    fn replace_queued(&mut self, call: CallId, ask: &Ask) {
        let same = |other: &Ask| {
            matches!(
                (ask, other),
                (Ask::SetHeld { .. }, Ask::SetHeld { .. })
                    | (Ask::SetMuted { .. }, Ask::SetMuted { .. })
            )
        };
        let queued = self.calls.get(&call).map(|c| c.requests.clone()).unwrap_or_default();
        for id in queued {
            if self.requests.get(&id).is_some_and(|r| !r.sent && same(&r.ask)) {
                let newer = Refusal::new(Error::Cancelled, "a newer request replaced this one");
                self.conclude(id, Verdict::Dropped(newer));
            }
        }
    }

    pub(crate) fn send(&mut self, id: RequestId) {
        let now = self.now.mono;
        let Some(request) = self.requests.get_mut(&id) else { return };
        let Some(provider) = self.providers.get(&request.provider) else { return };
        let Some(peer) = provider.peer else { return };
        if provider.restarted && !matches!(request.ask, Ask::Reconcile { .. }) {
            return;
        }
        request.sent = true;
        let asked = Cause::Asked { action: Verb::of_ask(&request.ask), origin: request.origin };
        let call = request.call;
        let emergency = request.call.and_then(|c| self.calls.get(&c)).is_some_and(|c| c.emergency);
        let endless = emergency && matches!(request.ask, Ask::Start { .. });
        // A deadline that is there already is that of a request which is sent again.
        let until = match self.timers.at(Due::Request(id)) {
            Some(at) => at.max(now + LEAST),
            None => now + request.length,
        };
        let deadline_ms = if endless { 0 } else { until.since(now).0 };
        self.turn.effects.push(Effect::Ask {
            uid: self.uid,
            peer,
            provider: request.provider,
            request: id,
            ask: request.ask.clone(),
            deadline_ms,
            origin: request.origin,
        });
        if !endless {
            self.timers.arm(Due::Request(id), until);
        }
        if let Some(call) = call {
            self.because(call, asked);
        }
    }

    /// A deadline passed.
    pub(crate) fn request_timed_out(&mut self, id: RequestId) {
        if let Some(until) = self.waits_for_its_word(id) {
            return self.timers.arm(Due::Request(id), until);
        }
        let Some(request) = self.requests.get(&id) else { return };
        let (provider, action, call) = (request.provider, request.ask.action(), request.call);
        self.tell_timed_out(id);
        if let Some(provider) = self.provider_mut(provider) {
            provider.responsive = false;
        }
        self.log(provider, call, Happening::Unresponsive { action });
        self.conclude(id, Verdict::TimedOut);
    }

    /// `ActionTimedOut`: the provider need not go on.
    pub(crate) fn tell_timed_out(&mut self, id: RequestId) {
        let Some(request) = self.requests.get(&id) else { return };
        let (provider, action) = (request.provider, request.ask.action());
        let uuid = match &request.ask {
            Ask::End { uuid, .. } => Some(*uuid),
            _ => request.call.and_then(|c| self.calls.get(&c)).map(|c| c.uuid),
        };
        if let Some(peer) = self.providers.get(&provider).and_then(|p| p.peer) {
            let told =
                Effect::TimedOut { uid: self.uid, peer, provider, request: id, uuid, action };
            self.turn.effects.push(told);
        }
    }

    /// A request about the audio that no longer matters.
    pub(crate) fn drop_request(&mut self, id: RequestId) {
        self.conclude(id, Verdict::Dropped(Refusal::new(Error::Cancelled, "no longer wanted")));
    }

    /// Takes a request out of everything that waits for it in time.
    pub(crate) fn forget_request(&mut self, id: RequestId) -> Option<Request> {
        let request = self.requests.remove(&id)?;
        self.timers.disarm(Due::Request(id));
        if let Some(call) = request.call.and_then(|c| self.calls.get_mut(&c)) {
            call.requests.retain(|r| *r != id);
        }
        Some(request)
    }

    /// Ends a request: the call changes, those who wait are told, the next one is sent.
    pub(crate) fn conclude(&mut self, id: RequestId, verdict: Verdict) {
        let Some(request) = self.forget_request(id) else { return };
        if request.sent {
            let open = !matches!(verdict, Verdict::Fulfilled | Verdict::Failed(_));
            let Request { provider, call, by, .. } = request;
            let timed_out = matches!(verdict, Verdict::TimedOut);
            let ask = request.ask.clone();
            let past = Past { id, provider, call, ask, by, open, timed_out };
            self.past.insert(next_of(&self.past), past);
            if self.past.len() > PAST {
                self.past.pop_first();
            }
        }
        self.audio_answered(id);
        self.because_answered(&request, &verdict);
        self.apply(&request, &verdict);
        if matches!(request.ask, Ask::Reconcile { .. }) {
            self.stands_unsaid(request.provider);
        }
        for waiter in &request.waiters {
            match waiter {
                Waiter::Step(transaction, step) => {
                    self.step_answered(*transaction, *step, outcome(&request, &verdict));
                }
                Waiter::Room(transaction, step) => {
                    self.room_answered(*transaction, *step, outcome(&request, &verdict));
                }
                Waiter::Batch(batch) => {
                    if let Some(call) = request.call {
                        self.batch_answered(*batch, call, outcome(&request, &verdict));
                    }
                }
            }
        }
        let next = request.call.and_then(|c| self.calls.get(&c));
        if let Some(next) = next.and_then(|c| c.requests.first().copied())
            && self.requests.get(&next).is_some_and(|r| !r.sent)
        {
            self.send(next);
        }
    }

    /// What came of it, among the causes of its call.
    fn because_answered(&mut self, request: &Request, verdict: &Verdict) {
        let Some(call) = request.call else { return };
        let action = Verb::of_ask(&request.ask);
        match verdict {
            Verdict::Fulfilled => self.because(call, Cause::Fulfilled { action }),
            Verdict::Failed(why) => {
                let text = Private::from(why.message.as_str());
                self.because_of(call, Cause::Failed { action, error: why.error }, text);
            }
            Verdict::TimedOut => {
                self.because(call, Cause::TimedOut { action, after: request.length.0 });
            }
            Verdict::Dropped(why) => {
                self.because(call, Cause::CalledOff { action, error: why.error });
            }
        }
    }

    /// What an answer does to the call itself.
    fn apply(&mut self, request: &Request, verdict: &Verdict) {
        let Some(id) = request.call else { return };
        let Some(call) = self.calls.get(&id) else { return };
        let (state, provider, uuid) = (call.state, call.provider, call.uuid);
        let target = match &request.ask {
            Ask::Transaction(steps) => steps.last(),
            ask => Some(ask),
        };
        if matches!(verdict, Verdict::Fulfilled) {
            for held in &request.bundled {
                if self.calls.get(held).is_some_and(|c| c.state == CallState::Active) {
                    self.became_held(*held, HeldBy::ARBITER, "held by its network");
                }
            }
        }
        match (target, verdict) {
            (_, Verdict::Dropped(_)) | (None, _) => {}
            (Some(Ask::Start { .. }), Verdict::Fulfilled) => {
                if state == CallState::Starting {
                    self.transition(id, CallState::Dialing, "placed");
                    self.focus_on_call(id);
                }
            }
            (Some(Ask::Answer { .. }), Verdict::Fulfilled) => {
                if state == CallState::Answering {
                    self.transition(id, CallState::Active, "answered");
                }
                self.focus_on_call(id);
                self.end_siblings(id, EndReason::AnsweredElsewhere);
            }
            (Some(Ask::Start { .. } | Ask::Answer { .. }), Verdict::Failed(why)) => {
                self.end_call(id, EndReason::Failed, why.message.as_str());
            }
            (Some(Ask::Start { .. } | Ask::Answer { .. }), Verdict::TimedOut) => {
                // It may have gone through after all: no open microphone without a call.
                self.end_and_tell(id, EndReason::TimedOut, "the provider did not say in time");
            }
            (Some(Ask::End { .. }), _) => {
                if matches!(verdict, Verdict::Failed(_))
                    && let Some(provider) = self.provider_mut(provider)
                {
                    provider.responsive = false;
                }
                let reason = self.calls.get(&id).and_then(|c| c.ending);
                self.end_call(id, reason.unwrap_or(EndReason::LocalEnded), "");
            }
            (Some(Ask::SetHeld { held: true, .. }), Verdict::Fulfilled) => {
                if state == CallState::Active {
                    self.became_held(id, request.by, "held");
                }
            }
            (Some(Ask::SetHeld { held: true, .. }), Verdict::TimedOut) => {
                if state == CallState::Active {
                    let ask = Ask::SetHeld { uuid, held: false };
                    self.ask(id, ask, HeldBy::NONE, None, Origin::Policy);
                }
            }
            (Some(Ask::SetHeld { held: true, .. }), Verdict::Failed(_)) => {}
            (Some(Ask::SetHeld { held: false, .. }), Verdict::Fulfilled) => {
                if state == CallState::Held {
                    self.transition(id, CallState::Active, "resumed");
                }
            }
            (Some(Ask::SetHeld { held: false, .. }), _) => {
                // Not retried: the user is told and decides.
                self.became_held(id, HeldBy::USER, "could not be resumed");
                if let Some(call) = self.call_mut(id) {
                    call.held_by = call.held_by.without(HeldBy::ARBITER);
                }
                self.note_call(id);
                self.notice(crate::Notice::ResumeFailed, id);
            }
            (Some(Ask::SetMuted { muted, .. }), Verdict::Fulfilled) => {
                if let Some(call) = self.call_mut(id) {
                    call.muted = *muted;
                }
            }
            (Some(Ask::SetVideo { video, .. }), Verdict::Fulfilled) => {
                if let Some(call) = self.call_mut(id) {
                    call.video = *video;
                }
            }
            (Some(Ask::SetGroup { with, .. }), Verdict::Fulfilled) => {
                let with = with.and_then(|u| self.of_uuid(u).find(|c| c.provider == provider));
                let with = with.map(|c| c.id);
                self.regroup(id, with);
            }
            (Some(_), _) => {}
        }
    }
}

/// What the provider's answer means for whoever waits.
fn outcome(request: &Request, verdict: &Verdict) -> Outcome {
    match verdict {
        Verdict::Fulfilled => Outcome::Fulfilled,
        // The user's word is final: it has ended, whatever the provider said.
        Verdict::Failed(_) | Verdict::TimedOut if matches!(request.ask, Ask::End { .. }) => {
            Outcome::Fulfilled
        }
        Verdict::Failed(why) => Outcome::Failed(why.clone()),
        Verdict::TimedOut => Outcome::TimedOut(Refusal::new(
            Error::TimedOut,
            format!("the provider did not answer {} in {}", request.ask.action(), request.length),
        )),
        Verdict::Dropped(why) => Outcome::Cancelled(why.clone()),
    }
}
