//! A call comes in: what it must pass before it rings, in which order, and what is left of one that does not pass.
//!
//! Owns that order, which is the same for a call that screeners look at and for one at which nobody looks: limits,
//! consent and UUID; the administrator's rules; screeners, if there are any; do-not-disturb; and after screeners
//! the limits once more. What each of them thinks is their own business: [`crate::treatment`], [`crate::screening`],
//! [`crate::quiet`]. Nothing vanishes: a call that is turned away appears and ends, and its app hears why.

use uuid::Uuid;

use crate::{
    Call, CallId, CallState, Cause, Direction, DoNotDisturb, Domain, EndReason, Error, Exception,
    Missed, Private, Provider, ProviderId, Refusal, Reply, Result, Ring, Silenced, Treatment,
    Update, life::Birth, screening::Looked,
};

/// A call is not to reach the user.
pub(crate) struct TurnedAway {
    /// As what it is missed.
    pub missed: Missed,
    /// Who says so, and in which words.
    pub cause: (Cause, Private),
    /// The same in a few words, for the history.
    pub detail: String,
    /// What its app hears.
    pub why: Refusal,
}

/// How a call rings that has passed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rings {
    /// Do-not-disturb shows it without sound.
    quiet: bool,
    /// Why do-not-disturb lets it through.
    exception: Option<Exception>,
    /// What screeners want.
    looked: Looked,
}

impl Domain {
    /// `ReportIncomingCall`.
    pub(crate) fn incoming(&mut self, id: ProviderId, uuid: Uuid, update: Update) -> Result<Reply> {
        let known = self.of_uuid(uuid).find(|c| c.provider == id);
        if let Some(call) = known {
            if call.direction == Direction::Outgoing {
                let why = format!("call {uuid} is live and outgoing; choose a new UUID");
                return Err(Refusal::new(Error::UuidInUse, why));
            }
            let id = call.id;
            // Of a call that was answered it is the push of long ago: `Reconcile` asks where it stands.
            if call.orphaned && call.may_be_back_as(CallState::Ringing) {
                self.reclaim(id, CallState::Ringing);
            }
            let screened = self.calls.get(&id).is_some_and(|c| c.state == CallState::Screening);
            return Ok(if screened { Reply::Screening(id) } else { Reply::Call(id) });
        }
        if let Err(why) = self.may_report(id, uuid, true) {
            return self.no_room_for(id, uuid, &update, why);
        }
        let handle = update.handle.clone().unwrap_or_default();
        // Rules look at it once, as everything is when it comes in: how long screeners take changes nothing of that.
        let treatment = self.treatment_by(id, &handle, Direction::Incoming);
        // An administrator's no needs no screener: nobody waits, and nobody else hears who called.
        if self.is_screened(id, &handle) && self.ruled_out(id, treatment.as_deref(), 0).is_none() {
            let call = self.begins(id, uuid, &update, CallState::Screening, treatment);
            self.screen(call);
            return Ok(Reply::Screening(call));
        }
        match self.may_ring(id, &handle, treatment.as_deref(), Looked::default(), 0) {
            Ok(rings) => {
                let call = self.begins(id, uuid, &update, CallState::Ringing, treatment);
                self.rings(call, rings);
                Ok(Reply::Call(call))
            }
            Err(no) => {
                let call = self.appear(id, uuid, &update);
                Ok(self.turn_away(call, *no))
            }
        }
    }

    /// Screeners have looked: the rest of its way. Their time may have brought other calls, and a tighter
    /// configuration.
    pub(crate) fn passed_screeners(&mut self, id: CallId, looked: Looked) {
        let Some(call) = self.calls.get(&id) else { return };
        let (provider, handle, treatment) =
            (call.provider, call.handle.clone(), call.treatment.clone());
        let rings = self.may_ring(provider, &handle, treatment.as_deref(), looked, 1);
        let room = self.has_room(provider, true, 1).map_err(|why| Box::new(no_room(why)));
        match rings.and_then(|rings| room.map(|()| rings)) {
            Ok(rings) => {
                self.transition(id, CallState::Ringing, "reported");
                self.rings(id, rings);
                if self.calls.get(&id).is_some_and(|c| c.known.is_some()) {
                    self.treat_again(id);
                }
            }
            Err(no) => {
                self.turn_away(id, *no);
            }
        }
    }

    /// Rules and do-not-disturb. `own`: how many of the calls that are counted are this one.
    fn may_ring(
        &mut self,
        provider: ProviderId,
        handle: &Private,
        treatment: Option<&Treatment>,
        looked: Looked,
        own: usize,
    ) -> std::result::Result<Rings, Box<TurnedAway>> {
        if let Some(no) = self.ruled_out(provider, treatment, own) {
            return Err(Box::new(no));
        }
        let (mode, exception) = match treatment.and_then(|t| t.then.ring) {
            Some(Ring::Aloud) => (DoNotDisturb::Off, None),
            _ if looked.urgent => self.urgently(),
            _ => self.disturbance(provider, handle),
        };
        if mode == DoNotDisturb::Refuse {
            return Err(Box::new(TurnedAway {
                missed: Missed::DoNotDisturb,
                cause: (Cause::DoNotDisturb { mode }, Private::NONE),
                detail: "do-not-disturb is on".into(),
                why: Refusal::new(
                    Error::FilteredByDoNotDisturb,
                    "the user does not want to be disturbed; decline the call",
                ),
            }));
        }
        Ok(Rings { quiet: mode == DoNotDisturb::Quiet, exception, looked })
    }

    fn begins(
        &mut self,
        provider: ProviderId,
        uuid: Uuid,
        update: &Update,
        state: CallState,
        treatment: Option<Box<Treatment>>,
    ) -> CallId {
        let birth =
            Birth { uuid, provider, direction: Direction::Incoming, state, reason: "reported" };
        let call = self.new_call(birth, update);
        self.was_reported(call, CallState::Ringing);
        self.take_treatment(call, treatment);
        call
    }

    /// It has passed everything: it rings, unless it was answered elsewhere.
    fn rings(&mut self, id: CallId, rings: Rings) {
        if let Some(exception) = rings.exception {
            self.because(id, Cause::LetThrough { exception });
        }
        if rings.quiet {
            self.because(id, Cause::DoNotDisturb { mode: DoNotDisturb::Quiet });
        }
        if let Some(call) = self.calls.get_mut(&id) {
            call.urgent = rings.looked.urgent;
            // A rule about who it is may say aloud to do-not-disturb, and not to a screener.
            call.silenced = match (rings.looked.silent, rings.quiet) {
                (true, _) => Silenced::Screening,
                (false, true) => Silenced::DoNotDisturb,
                (false, false) => Silenced::No,
            };
        }
        self.ring_as_treated(id);
        if self.answered_sibling(id) {
            let reason = EndReason::AnsweredElsewhere;
            self.end_and_tell(id, reason, "the same call through another app");
        }
    }

    /// A call for which there is no room was missed all the same, unless it would have been refused anyway.
    fn no_room_for(
        &mut self,
        id: ProviderId,
        uuid: Uuid,
        update: &Update,
        why: Refusal,
    ) -> Result<Reply> {
        let provider = self.providers.get(&id).filter(|_| why.error == Error::Busy);
        let allowed =
            |p: &Provider| self.is_authorized(p).is_ok() && self.is_fresh(p, uuid).is_ok();
        if !provider.is_some_and(allowed) {
            return Err(why);
        }
        let call = self.appear(id, uuid, update);
        Ok(self.turn_away(call, no_room(why)))
    }

    /// A call that is there only to be over: whoever shows calls can say that it was missed.
    fn appear(&mut self, provider: ProviderId, uuid: Uuid, update: &Update) -> CallId {
        self.begins(provider, uuid, update, CallState::Screening, None)
    }

    /// It is over before it rang.
    pub(crate) fn turn_away(&mut self, id: CallId, no: TurnedAway) -> Reply {
        let TurnedAway { missed, cause: (cause, text), detail, why } = no;
        self.because_of(id, cause, text);
        self.verdict(id, Err(why.clone()));
        self.filter_call(id, missed, &detail);
        Reply::Filtered(id, why)
    }

    /// How its chain of causes begins.
    pub(crate) fn was_reported(&mut self, call: CallId, state: CallState) {
        self.because(call, Cause::Reported { state });
        if let Some((authorization, decider)) = self.authorized_by(&self.app_of(call)) {
            self.because(call, Cause::Authorization { authorization, decider });
        }
    }

    /// Limits, consent, UUID: what a new call must pass.
    pub(crate) fn may_report(&self, id: ProviderId, uuid: Uuid, rings: bool) -> Result<()> {
        let Some(provider) = self.providers.get(&id) else {
            return Err(Refusal::new(Error::UnknownProvider, "there is no such provider"));
        };
        self.has_room(id, rings, 0)?;
        self.is_authorized(provider)?;
        self.is_fresh(provider, uuid)
    }

    /// What an emergency call must pass that its app has dialled already: it is never refused for room or consent.
    pub(crate) fn may_call_for_help(&self, id: ProviderId, uuid: Uuid) -> Result<()> {
        let Some(provider) = self.providers.get(&id) else { return Ok(()) };
        self.may_place(provider, true)?;
        self.is_fresh(provider, uuid)
    }

    /// `own`: how many of the calls that are counted are this one.
    fn has_room(&self, id: ProviderId, rings: bool, own: usize) -> Result<()> {
        let limits = &self.settings.limits;
        if self.calls.len() >= limits.calls as usize + own {
            let why =
                format!("{} calls are live (limit `calls`); tell the far end `busy`", limits.calls);
            return Err(Refusal::new(Error::Busy, why));
        }
        let most = limits.ringing_per_provider;
        if rings && self.pending_of(id) >= most as usize + own {
            let app = self.providers.get(&id).map(|p| &*p.app).unwrap_or_default();
            let why = format!(
                "{most} calls of {app} ring already (limit `ringing-per-provider`); tell the far \
                 end `busy`",
            );
            return Err(Refusal::new(Error::Busy, why));
        }
        Ok(())
    }

    /// How many calls of a provider wait for the user, or for screeners.
    pub(crate) fn pending_of(&self, id: ProviderId) -> usize {
        let (ringing, busy) = (self.calls_in(&self.index.ringing), self.calls_in(&self.index.busy));
        let pending = |c: &&Call| c.provider == id && c.state.is_incoming_pending();
        ringing.chain(busy).filter(pending).count()
    }
}

fn no_room(why: Refusal) -> TurnedAway {
    let detail = "too many calls at once";
    TurnedAway {
        missed: Missed::Busy,
        cause: (Cause::Limit, detail.into()),
        detail: detail.into(),
        why,
    }
}
