//! A provider's words about a request: `Fulfil`, `Fail`, `Progress`, in time or late.
//!
//! Owns which word counts. What it does is [`crate::request`]'s.

use crate::{
    Ask, CallId, CallRef, CallState, Claim, Domain, Error, Millis, Origin, Private, ProviderId,
    Refusal, RequestId, Result,
    request::{Past, Verdict},
    timers::Due,
};

/// How often a provider may ask for more time.
const EXTENSIONS: u8 = 3;

impl Domain {
    /// `Fulfil`.
    pub(crate) fn fulfil(
        &mut self,
        provider: ProviderId,
        id: RequestId,
        claims: Option<Vec<Claim>>,
    ) -> Result<()> {
        if !self.is_open(provider, id)? {
            return self.late(provider, id);
        }
        if self.providers.get(&provider).is_some_and(|p| p.reconciling == Some(id)) {
            let claims = claims.ok_or_else(|| {
                Refusal::new(
                    Error::InvalidArgument,
                    "a reconciliation is fulfilled with the key `calls`: the calls that you still \
                     have, each with its `state`; an empty dictionary if there are none",
                )
            })?;
            let asked = match self.forget_request(id).map(|r| r.ask) {
                Some(Ask::Reconcile { calls }) => calls,
                _ => Vec::new(),
            };
            self.reconciled(provider, &asked, &claims);
            return Ok(());
        }
        self.conclude(id, Verdict::Fulfilled);
        Ok(())
    }

    /// `Fail`.
    pub(crate) fn fail(
        &mut self,
        provider: ProviderId,
        id: RequestId,
        error: Error,
        message: &Private,
    ) -> Result<()> {
        if !self.is_open(provider, id)? {
            // Repeated is fine; news that come late are not, though they change nothing.
            let late = self.past.values().find(|p| p.id == id).is_none_or(|p| p.open);
            return if late { Err(too_late(id)) } else { Ok(()) };
        }
        let said = if message.is_empty() { "it gave no reason" } else { message.reveal() };
        let refusal = Refusal::new(error, format!("the provider said: {said}"));
        self.conclude(id, Verdict::Failed(refusal));
        Ok(())
    }

    /// `Progress`.
    pub(crate) fn progress(
        &mut self,
        provider: ProviderId,
        id: RequestId,
        extend: Millis,
    ) -> Result<()> {
        if !self.is_open(provider, id)? {
            return Err(too_late(id));
        }
        let Some(request) = self.requests.get_mut(&id) else { return Ok(()) };
        if request.extensions >= EXTENSIONS {
            return Err(Refusal::new(
                Error::LimitExceeded,
                format!("a request can be extended {EXTENSIONS} times, this one was"),
            ));
        }
        request.extensions += 1;
        let more = Millis(extend.0.min(request.length.0));
        if let Some(at) = self.timers.at(Due::Request(id)) {
            self.timers.arm(Due::Request(id), at + more);
        }
        Ok(())
    }

    /// Whether this provider was asked this and has not answered yet.
    fn is_open(&self, provider: ProviderId, id: RequestId) -> Result<bool> {
        let unknown = || {
            Refusal::new(
                Error::InvalidArgument,
                "this provider was never sent a request of that id; use the id of the Perform call",
            )
        };
        if let Some(request) = self.requests.get(&id) {
            return if request.provider == provider && request.sent {
                Ok(true)
            } else {
                Err(unknown())
            };
        }
        match self.past.values().find(|p| p.id == id) {
            Some(past) if past.provider != provider => Err(unknown()),
            _ if self.next.knows(id) => Ok(false),
            _ => Err(unknown()),
        }
    }

    /// A word about a request that is over: repeated, or a fact that comes late.
    fn late(&mut self, provider: ProviderId, id: RequestId) -> Result<()> {
        let known = self.past.find_mut(|p| p.id == id && p.provider == provider);
        let Some(past) = known else { return Err(too_late(id)) };
        if !std::mem::replace(&mut past.open, false) {
            return Ok(());
        }
        let (call, ask, by, timed_out) = (past.call, past.ask.clone(), past.by, past.timed_out);
        let Some(call) = call.filter(|id| self.calls.get(id).is_some_and(|c| !c.orphaned)) else {
            return Err(too_late(id));
        };
        let state = self.calls.get(&call).map(|c| c.state);
        match (ask, state) {
            (Ask::SetHeld { held: true, .. }, Some(CallState::Active)) => {
                self.became_held(call, by, "held late");
            }
            (Ask::SetHeld { held: false, .. }, Some(CallState::Held)) => {
                if timed_out {
                    self.active_unasked(call, "resumed late");
                } else {
                    self.resumed_all_the_same(call);
                }
            }
            (Ask::SetGroup { with, .. }, Some(CallState::Active | CallState::Held)) => {
                let with = with.map(|u| CallRef::Of(provider, u)).map(|w| self.find(w));
                match with.map(|w| w.map(|c| c.id)) {
                    Some(None) => {}
                    with => self.regroup(call, with.flatten()),
                }
            }
            (Ask::SetMuted { muted, .. }, _) => {
                if let Some(call) = self.call_mut(call) {
                    call.muted = muted;
                }
            }
            (Ask::SetVideo { video, .. }, _) => {
                if let Some(call) = self.call_mut(call) {
                    call.video = video;
                }
            }
            _ => {}
        }
        Err(too_late(id))
    }

    /// A resume that was called off happened: the call is to stay on hold, so it is asked again.
    pub(crate) fn resumed_all_the_same(&mut self, call: CallId) {
        let by = self.calls.get(&call).map(|c| c.held_by).unwrap_or_default();
        self.transition(call, CallState::Active, "resumed all the same");
        self.hold(&[call], by, None, Origin::Policy);
    }

    /// A resume of this call was called off, and the provider has not said what became of it.
    pub(crate) fn takes_back_a_resume(&mut self, call: CallId) -> bool {
        let called_off = |p: &Past| {
            let resume = matches!(p.ask, Ask::SetHeld { held: false, .. });
            p.open && !p.timed_out && resume && p.call == Some(call)
        };
        let found = self.past.find_mut(called_off);
        found.is_some_and(|past| std::mem::replace(&mut past.open, false))
    }
}

fn too_late(id: RequestId) -> Refusal {
    Refusal::new(
        Error::TimedOut,
        format!(
            "request {id} was decided without this word; what it says of a live call was noted"
        ),
    )
}
