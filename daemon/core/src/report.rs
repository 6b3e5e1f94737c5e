//! Words of providers: what happened at their end. A fact is never refused.
//!
//! Owns what each report means in each state; what a new call must pass is [`crate::incoming`]'s. Nonsense (a
//! dialing call that was active) is refused and changes nothing; what an app did by itself is adopted.

use uuid::Uuid;

use crate::{
    Ask, Call, CallId, CallState, Caller, Cause, Direction, Domain, EndReason, Error, HeldBy,
    Private, ProviderId, Refusal, Reply, Result, Update, Word, life::Birth, request::Verdict,
};

impl Domain {
    /// A registered provider speaks.
    pub(crate) fn word(&mut self, caller: Caller, id: ProviderId, word: Word) -> Result<Reply> {
        let Some(provider) = self.providers.get(&id) else {
            let why = "there is no such provider, or none any more; register first";
            return Err(Refusal::new(Error::UnknownProvider, why));
        };
        if provider.peer != Some(caller.peer) {
            let why = "only the connection that registered this provider may speak for it";
            return Err(Refusal::new(Error::AccessDenied, why));
        }
        let silent = !provider.responsive;
        let reply = match word {
            Word::Incoming { uuid, update } => self.incoming(id, uuid, update),
            Word::Live { uuid, direction, state, update } => {
                self.live(id, uuid, direction, state, update)
            }
            Word::Update { uuid, update } => self.update(id, uuid, &update),
            Word::State { uuid, state, remote_held } => self.state(id, uuid, state, remote_held),
            Word::Ended { uuid, reason, detail } => self.ended(id, uuid, reason, &detail),
            Word::Fulfil { request, calls } => {
                self.fulfil(id, request, calls).map(|()| Reply::Done)
            }
            Word::Fail { request, error, message } => {
                self.fail(id, request, error, &message).map(|()| Reply::Done)
            }
            Word::Progress { request, extend } => {
                self.progress(id, request, extend).map(|()| Reply::Done)
            }
            Word::Configure(configuration) => {
                self.configure(id, configuration);
                Ok(Reply::Done)
            }
            Word::Authorize => {
                self.ask_consent(id);
                Ok(Reply::Done)
            }
            Word::Unregister => {
                self.unregister(id);
                Ok(Reply::Done)
            }
        };
        if silent && let Some(provider) = self.provider_mut(id) {
            provider.responsive = true;
        }
        reply
    }

    /// `ReportCall`: outgoing, or live before the arbiter knew of it.
    fn live(
        &mut self,
        id: ProviderId,
        uuid: Uuid,
        direction: Direction,
        state: CallState,
        update: Update,
    ) -> Result<Reply> {
        use CallState::*;
        if direction == Direction::Incoming && state == Ringing {
            return self.incoming(id, uuid, update);
        }
        if !direction.takes(state) {
            let (kind, first) = match direction {
                Direction::Incoming => ("an incoming", "ringing"),
                Direction::Outgoing => ("an outgoing", "dialing, alerting"),
            };
            let why = format!(
                "{kind} call cannot be reported as {}, only as {first}, connecting, active or held",
                state.name()
            );
            return Err(Refusal::new(Error::InvalidState, why));
        }
        let known = self.of_uuid(uuid).find(|c| c.provider == id).map(|c| (c.id, c.direction));
        if let Some((call, theirs)) = known {
            if theirs != direction {
                let why = format!("call {uuid} is live in the other direction; choose a new UUID");
                return Err(Refusal::new(Error::UuidInUse, why));
            }
            self.state(id, uuid, Some(state), None)?;
            return Ok(Reply::Call(call));
        }
        let handle = update.handle.clone().unwrap_or_default();
        let calls_for_help = direction == Direction::Outgoing
            && self.providers.get(&id).is_some_and(|p| self.is_emergency(&p.app, &handle));
        if calls_for_help {
            self.may_call_for_help(id, uuid)?;
        } else {
            self.may_report(id, uuid, false)?;
        }
        let first = if matches!(state, Active | Held) { Connecting } else { state };
        let birth = Birth { uuid, provider: id, direction, state: first, reason: "reported" };
        let treatment = self.treatment_by(id, &handle, direction);
        let call = self.new_call(birth, &update);
        self.was_reported(call, state);
        if calls_for_help {
            self.is_called_for_help(call, state);
        }
        self.take_treatment(call, treatment);
        match state {
            Active => self.active_unasked(call, "reported active"),
            Held => self.became_held(call, HeldBy::USER, "reported held"),
            _ if self.focus.is_none() => self.focus_on_call(call),
            _ => {}
        }
        Ok(Reply::Call(call))
    }

    /// An emergency call that was dialled at its app is what one dialled here is: it has the focus at once, and what
    /// runs makes way. Beside another one it only has its own protection.
    fn is_called_for_help(&mut self, id: CallId, state: CallState) {
        let first = !self.calls.values().any(|c| c.emergency);
        if let Some(call) = self.calls.get_mut(&id) {
            call.emergency = true;
        }
        if first && state.is_eligible() {
            self.give_way();
            self.focus_on_call(id);
        }
    }

    /// `UpdateCall`.
    fn update(&mut self, id: ProviderId, uuid: Uuid, update: &Update) -> Result<Reply> {
        let known = self.own(id, uuid)?;
        let call = known.id;
        let other = update.handle.as_ref().is_some_and(|handle| *handle != known.handle);
        let now = self.now.mono;
        self.call_mut(call);
        let shown = self.turn.shown_before(call);
        let Some((call, shown)) = self.calls.get_mut(&call).zip(shown) else {
            return Ok(Reply::Done);
        };
        call.can = update.capabilities(call.can);
        if let Some(handle) = &update.handle {
            shown.handle = Some(std::mem::replace(&mut call.handle, handle.clone()));
        }
        if let Some(name) = &update.name {
            shown.name = Some(std::mem::replace(&mut call.name, name.clone()));
        }
        if let Some(video) = update.video {
            call.video = video;
        }
        if let Some(correlation) = &update.correlation {
            call.correlation = Some(correlation.clone()).filter(|c| !c.is_empty());
        }
        if let Some(contact) = &update.contact {
            call.contact = contact.clone();
        }
        if let Some(encrypted) = update.encrypted {
            call.encrypted = encrypted;
        }
        let (id, state) = (call.id, call.state);
        match (update.ring_timeout, state) {
            (Some(rings), CallState::Screening) => call.will_ring(rings),
            (Some(rings), CallState::Ringing) => self.ring_as_told(id, now + rings),
            _ => {}
        }
        if other {
            self.handle_changed(id);
        }
        Ok(Reply::Done)
    }

    /// `ReportState`.
    fn state(
        &mut self,
        id: ProviderId,
        uuid: Uuid,
        state: Option<CallState>,
        remote_held: Option<bool>,
    ) -> Result<Reply> {
        let call = self.own(id, uuid)?;
        if let Some(state) = state.filter(|s| call.orphaned && !call.may_be_back_as(*s)) {
            return Err(out_of_order(call, state));
        }
        let (call, orphaned) = (call.id, call.orphaned);
        match state {
            Some(state) if orphaned => self.reclaim(call, state),
            Some(state) => self.fact(call, state)?,
            None => {}
        }
        if let Some(held) = remote_held
            && let Some(call) = self.call_mut(call)
        {
            call.remote_held = held;
        }
        Ok(Reply::Done)
    }

    /// A call is in this state now, says its provider.
    pub(crate) fn fact(&mut self, id: CallId, stated: CallState) -> Result<()> {
        use CallState::*;
        let Some(call) = self.calls.get(&id) else { return Ok(()) };
        let was = call.state;
        match (was, stated) {
            _ if was == stated => {}
            // It is on its way out, or being answered: the next word is the one that counts. That screeners look at
            // it before it rings, its app need not know.
            (Ending, _) | (Answering, Connecting) | (Screening, Ringing) => {}
            (Screening | Ringing, Connecting) => {
                self.because(id, Cause::Told { state: stated });
                self.transition(id, Connecting, "answered at its app");
                if self.focus.is_none() {
                    self.focus_on_call(id);
                }
            }
            (Screening | Ringing | Answering, Active | Held) => {
                let answered = |a: &Ask| matches!(a, Ask::Answer { .. } | Ask::Transaction(_));
                match self.asked(id, answered) {
                    Some(request) => self.conclude(request, Verdict::Fulfilled),
                    None => {
                        self.because(id, Cause::Told { state: stated });
                        if stated == Active {
                            self.active_unasked(id, "answered at its app");
                        }
                    }
                }
                if stated == Held {
                    self.became_held(id, HeldBy::USER, "held at its app");
                }
                self.end_siblings(id, EndReason::AnsweredElsewhere);
            }
            (Dialing | Alerting | Connecting, Held) => {
                self.because(id, Cause::Told { state: stated });
                self.became_held(id, HeldBy::USER, "held at its app");
            }
            (Launching | Starting, Dialing | Alerting | Connecting | Active) => {
                let starts = |a: &Ask| matches!(a, Ask::Start { .. } | Ask::Transaction(_));
                let Some(request) = self.asked(id, starts) else {
                    return Err(out_of_order(call, stated));
                };
                self.conclude(request, Verdict::Fulfilled);
                self.transition(id, stated, "reported by its app");
            }
            (Dialing, Alerting | Connecting | Active)
            | (Alerting, Connecting | Active)
            | (Connecting, Active) => self.connects(id, stated),
            (Active, Held) => {
                match self.asked(id, |a| matches!(a, Ask::SetHeld { held: true, .. })) {
                    Some(request) => self.conclude(request, Verdict::Fulfilled),
                    None => {
                        self.because(id, Cause::Told { state: stated });
                        // A hold that timed out is being taken back: this is what became of it.
                        let late = self.asked(id, |a| matches!(a, Ask::SetHeld { .. })).is_some();
                        let ours = late || self.is_bundled(id);
                        let by = if ours { HeldBy::ARBITER } else { HeldBy::USER };
                        self.became_held(id, by, "held at its app");
                    }
                }
            }
            (Held, Active) => {
                let resumes =
                    |a: &Ask| matches!(a, Ask::SetHeld { held: false, .. } | Ask::Transaction(_));
                match self.asked(id, resumes) {
                    Some(request) => self.conclude(request, Verdict::Fulfilled),
                    None => {
                        self.because(id, Cause::Told { state: stated });
                        if self.takes_back_a_resume(id) {
                            self.resumed_all_the_same(id);
                        } else {
                            self.active_unasked(id, "resumed at its app");
                        }
                    }
                }
            }
            _ => return Err(out_of_order(call, stated)),
        }
        Ok(())
    }

    /// An outgoing call comes nearer to its far end.
    fn connects(&mut self, id: CallId, stated: CallState) {
        self.because(id, Cause::Told { state: stated });
        let group = self.calls.get(&id).and_then(|c| c.group);
        if stated == CallState::Active && group != self.focus {
            self.active_unasked(id, "reported by its app");
        } else {
            self.transition(id, stated, "reported by its app");
        }
        let call = self.calls.get(&id).filter(|c| c.direction == Direction::Incoming);
        if call.is_some_and(|c| c.state == CallState::Active) {
            self.end_siblings(id, EndReason::AnsweredElsewhere);
        }
    }

    /// Its network holds it in the step that answers, or resumes, another call.
    fn is_bundled(&self, id: CallId) -> bool {
        self.requests.values().any(|r| r.bundled.contains(&id))
    }

    /// `ReportEnded`.
    fn ended(
        &mut self,
        id: ProviderId,
        uuid: Uuid,
        reason: EndReason,
        detail: &Private,
    ) -> Result<Reply> {
        let call = self.of_uuid(uuid).find(|c| c.provider == id);
        let Some((call, ending)) = call.map(|c| (c.id, c.ending)) else {
            if let Some(provider) = self.providers.get(&id) {
                let until = self.now.mono + self.settings.deadlines.late_push;
                let limit = self.settings.limits.tombstones;
                self.tombstones.add(uuid, &provider.app, &provider.instance, until, limit);
            }
            return Ok(Reply::Done);
        };
        self.because(call, Cause::Told { state: CallState::Ended });
        if reason == EndReason::Declined {
            self.end_siblings(call, reason);
        }
        // The user hung up first, whatever the far end did in the same moment.
        self.end_call(call, ending.unwrap_or(reason), detail.reveal());
        Ok(Reply::Done)
    }

    fn own(&self, id: ProviderId, uuid: Uuid) -> Result<&Call> {
        if let Some(call) = self.of_uuid(uuid).find(|c| c.provider == id) {
            return Ok(call);
        }
        let provider = self.providers.get(&id);
        let over =
            provider.is_some_and(|p| self.tombstones.has(uuid, &p.app, &p.instance, self.now.mono));
        Err(match over {
            true => Refusal::new(Error::AlreadyEnded, format!("call {uuid} has ended already")),
            false => Refusal::new(
                Error::UnknownCall,
                format!("this provider has no call {uuid}; report it first"),
            ),
        })
    }
}

fn out_of_order(call: &Call, stated: CallState) -> Refusal {
    Refusal::new(
        Error::InvalidState,
        format!("call {} is {}; it cannot become {}", call.uuid, call.state.name(), stated.name()),
    )
}
