//! What rules do to calls: how one rings, that it answers itself, what gives way to it.
//!
//! Owns the effects of [`crate::policy`]. A call is treated when it begins, and once more when the address book
//! says who it is; until then nobody is known. Emergency calls are not treated at all.

use std::sync::Arc;

use crate::{
    Action, Call, CallId, CallRef, CallState, Caller, Cause, Decider, Direction, DoNotDisturb,
    Domain, Error, Missed, Notice, Origin, Peer, Private, ProviderId, Refusal, Requested, Silenced,
    Time, handle,
    incoming::TurnedAway,
    policy::{AutoAnswer, Busy, Facts, HoldFailed, Ring, Rule, Treatment, USUAL, decide},
    timers::Due,
};

/// Of no connection: the arbiter's own.
const NOBODY: Peer = Peer(u64::MAX);

impl Call {
    /// What rules decided of it.
    pub fn treatment(&self) -> Option<&Treatment> {
        self.treatment.as_deref()
    }

    /// It rings through do-not-disturb, says a rule or a screener.
    pub(crate) fn rings_aloud(&self) -> bool {
        self.urgent || self.treatment().is_some_and(Treatment::is_aloud)
    }
}

impl Treatment {
    pub(crate) fn class(&self) -> u8 {
        self.then.priority.unwrap_or(USUAL)
    }

    fn is_aloud(&self) -> bool {
        self.then.ring == Some(Ring::Aloud)
    }
}

/// The class of a call of which rules decided this.
pub(crate) fn class(treatment: Option<&Treatment>) -> u8 {
    treatment.map_or(USUAL, Treatment::class)
}

/// Whether what will not be held for such a call is ended.
pub(crate) fn insists(treatment: Option<&Treatment>) -> bool {
    treatment.and_then(|t| t.then.hold_failed) == Some(HoldFailed::End)
}

impl Domain {
    /// Whether the user's session is locked.
    pub fn is_locked(&self) -> bool {
        self.desktop.locked
    }

    /// What the rules decide of a call that begins now.
    pub(crate) fn treatment_of(
        &self,
        app: &Arc<str>,
        handle: &Private,
        direction: Direction,
        known: bool,
    ) -> Option<Box<Treatment>> {
        let (rules, own) = (&self.settings.policy.rules, &self.preferences.get().rules);
        if rules.is_empty() && own.is_empty() || self.is_emergency(app, handle) {
            return None;
        }
        let facts = Facts {
            app,
            handle,
            known,
            direction,
            moment: self.settings.zone.moment(self.now.wall),
            locked: self.desktop.locked,
            do_not_disturb: self.desktop.do_not_disturb != DoNotDisturb::Off,
            foreground: self.is_foreground(),
        };
        decide(rules, own, &self.settings.allowance, &facts)
    }

    /// The same by what a provider reports, or is asked to call.
    pub(crate) fn treatment_by(
        &self,
        provider: ProviderId,
        handle: &Private,
        direction: Direction,
    ) -> Option<Box<Treatment>> {
        let app = &self.providers.get(&provider)?.app;
        self.treatment_of(app, handle, direction, false)
    }

    /// A rule does not let an incoming call through. `own`: how many of the calls that ring already are this one.
    pub(crate) fn ruled_out(
        &self,
        provider: ProviderId,
        treatment: Option<&Treatment>,
        own: usize,
    ) -> Option<TurnedAway> {
        let treatment = treatment?;
        let full = |most: u32| self.pending_of(provider) >= most as usize + own;
        let has = |most: u32| {
            let app = self.providers.get(&provider).map(|provider| self.calls_by(&provider.app));
            app.unwrap_or_default() >= most as usize + own
        };
        let then = &treatment.then;
        let (error, missed, effect) = if then.ring == Some(Ring::Reject) {
            (Error::FilteredByScreening, Missed::Screened, "ring")
        } else if then.when_busy == Some(Busy::Reject) && self.is_busy_for(treatment.class()) {
            (Error::Busy, Missed::Busy, "when-busy")
        } else if then.ringing.is_some_and(full) {
            (Error::Busy, Missed::Busy, "ringing")
        } else if then.calls.is_some_and(has) {
            (Error::Busy, Missed::Busy, "calls")
        } else {
            return None;
        };
        let (rule, by) = treatment.rule(effect);
        let rule: Arc<str> = rule.into();
        let why = match error {
            Error::Busy => "is busy; tell the far end `busy`",
            _ => "does not take this call; decline it",
        };
        let why = match by {
            Decider::Administrator | Decider::Packaged | Decider::Polkit => {
                format!("by the administrator's rule {rule:?} the user {why}")
            }
            // How a user calls their own rules is not an app's business.
            Decider::User => format!("by a rule of their own the user {why}"),
        };
        let detail = format!("rule {rule}");
        let cause = (Cause::rule_of(by), rule.into());
        Some(TurnedAway { missed, cause, detail, why: Refusal::new(error, why) })
    }

    /// Whether rules let an app place one call more.
    pub(crate) fn may_have_more(
        &self,
        app: &str,
        treatment: Option<&Treatment>,
    ) -> crate::Result<()> {
        match treatment.and_then(|t| t.then.calls) {
            Some(most) if self.calls_by(app) >= most as usize => {
                let why = format!("{most} calls of {app} are there (`calls` of a rule); end one");
                Err(Refusal::new(Error::LimitExceeded, why))
            }
            _ => Ok(()),
        }
    }

    /// Of all its instances.
    fn calls_by(&self, app: &str) -> usize {
        let its = self.providers.values().filter(|provider| &*provider.app == app);
        its.map(|provider| self.calls_of(provider.id).count()).sum()
    }

    /// A call is there that is at least of this class.
    fn is_busy_for(&self, own: u8) -> bool {
        self.calls_in(&self.index.busy).any(|c| {
            let on = c.state.is_eligible() || c.state == CallState::Answering;
            on && (c.emergency || class(c.treatment()) >= own)
        })
    }

    /// The rules look at a call that was asked for.
    pub(crate) fn treat_start(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let treatment = self.treatment_by(call.provider, &call.handle, call.direction);
        self.take_treatment(id, treatment);
    }

    /// It is the call's own from now on.
    pub(crate) fn take_treatment(&mut self, id: CallId, treatment: Option<Box<Treatment>>) {
        let Some(treatment) = treatment else { return };
        let Some(call) = self.call_mut(id) else { return };
        let rules: Vec<(Arc<str>, Decider)> =
            treatment.names().map(|(name, by)| (name.clone(), by)).collect();
        call.treatment = Some(treatment);
        for (rule, by) in rules {
            self.because_of(id, Cause::rule_of(by), rule.into());
        }
    }

    /// What was decided of its ringing, if it rings now.
    pub(crate) fn ring_as_treated(&mut self, id: CallId) {
        let now = self.now.mono;
        let Some(call) = self.call_mut(id).filter(|c| c.state == CallState::Ringing) else {
            return;
        };
        let usual = call.ring_until;
        let Some(treatment) = call.treatment.as_mut() else { return };
        let rings = treatment.then.ring_time.map(|length| now + length);
        treatment.usual = rings.map(|_| usual);
        let silent = treatment.then.ring == Some(Ring::Silence);
        if silent && matches!(call.silenced, Silenced::No | Silenced::Background) {
            call.silenced = Silenced::Rule;
        }
        if let Some(until) = rings {
            self.ring_until(id, until);
        }
        self.expect_answer(id);
    }

    /// The address book says who it is, or takes it back: rules about that look again.
    pub(crate) fn treat_again(&mut self, id: CallId) {
        let depends = |rule: &Rule| rule.when.depends_on_contacts();
        let own = &self.preferences.get().rules;
        if !self.settings.policy.rules.iter().chain(&**own).any(depends) {
            return;
        }
        let Some(call) = self.calls.get(&id).filter(|c| c.state == CallState::Ringing) else {
            return;
        };
        let Some(app) = self.providers.get(&call.provider).map(|p| &p.app) else { return };
        let known = call.known.is_some();
        let treatment = self.treatment_of(app, &call.handle, call.direction, known);
        let same = match (&call.treatment, &treatment) {
            (Some(before), Some(now)) => before.is_like(now),
            (before, now) => before.is_none() && now.is_none(),
        };
        if same {
            return;
        }
        let was_aloud = call.rings_aloud();
        let aloud = call.urgent || treatment.as_deref().is_some_and(Treatment::is_aloud);
        let quiet = self.disturbs() != DoNotDisturb::Off
            && !aloud
            && !self.is_allowed(&handle::key(&call.handle));
        self.timers.disarm(Due::AutoAnswer(id));
        let mut usual = None;
        if let Some(call) = self.call_mut(id) {
            usual = call.treatment.take().and_then(|before| before.usual);
            call.silenced = match call.silenced {
                // Do-not-disturb let it through by itself, or a rule would not have been what silenced it.
                Silenced::Rule => Silenced::No,
                Silenced::DoNotDisturb if !quiet => Silenced::No,
                Silenced::No | Silenced::Background if quiet && was_aloud => Silenced::DoNotDisturb,
                other => other,
            };
        }
        if let Some(until) = usual {
            self.ring_until(id, until);
        }
        self.take_treatment(id, treatment);
        self.ring_as_treated(id);
    }

    /// Its app says until when it rings. A rule about that stands before it.
    pub(crate) fn ring_as_told(&mut self, id: CallId, until: Time) {
        let call = self.calls.get_mut(&id);
        match call.and_then(|c| c.treatment.as_mut()).and_then(|t| t.usual.as_mut()) {
            Some(usual) => *usual = until,
            None => self.ring_until(id, until),
        }
    }

    /// A call that answers itself says so before.
    fn expect_answer(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id).filter(|c| c.state == CallState::Ringing) else {
            return;
        };
        let Some(answer) = call.treatment().and_then(|t| t.then.answer) else { return };
        let at = self.now.mono + answer.after;
        self.timers.arm(Due::AutoAnswer(id), at);
        self.notice(Notice::AnswersItself, id);
    }

    /// Its time has come: nobody is surprised who cannot see or hear it, and no other call is disturbed unless the
    /// rule says so.
    pub(crate) fn answer_itself(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id).filter(|c| c.state == CallState::Ringing) else {
            return;
        };
        let Some(AutoAnswer { beside, .. }) = call.treatment().and_then(|t| t.then.answer) else {
            return;
        };
        let heard = call.silenced == Silenced::No && !call.orphaned && !self.desktop.background;
        let authorized =
            self.providers.get(&call.provider).is_some_and(|p| self.is_authorized(p).is_ok());
        // One that is still looked at is nobody's yet.
        let there = |c: &Call| c.id != id && c.state != CallState::Screening;
        let others = self.calls_in(&self.index.busy).any(there)
            || self.lane.running.is_some()
            || !self.lane.queue.is_empty();
        if !heard || !authorized || (others && !beside) {
            return;
        }
        let caller = Caller {
            uid: self.uid,
            peer: NOBODY,
            sandboxed: false,
            control: true,
            place_call: true,
            agent: false,
        };
        let action = Action::Answer { call: CallRef::Id(id) };
        let requested = vec![Requested { action, expected: Some(CallState::Ringing) }];
        // It may be refused, for want of room: then it rings on for the user to decide.
        let _refused = self.accept_as(caller, Origin::Policy, requested, None).is_err();
    }
}
