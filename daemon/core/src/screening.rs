//! Whether a call may reach the user at all: screeners look at it first, all at once, and not for long.
//!
//! Owns which calls are screened, what the answers come to, and who waits for it. The first that turns the call
//! away decides; a screener that says nothing, fails or goes away lets it pass, so that a broken one never costs
//! a call. Nobody waits, and there is no such state, where nobody holds the role.

use serde::{Deserialize, Serialize};

use crate::{
    AgentAnswer, AgentAsk, AgentSaid, Call, CallId, CallState, Cause, Deadline, Domain, Due,
    Effect, Error, Millis, Missed, Private, ProviderId, Refusal, Role, Time, Verdict,
    incoming::TurnedAway,
};

/// What a screener's verdict is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ground {
    /// Its caller is on a list of the user's.
    List,
    /// Its caller does not say who it is.
    Anonymous,
    /// What the screener itself thinks.
    #[default]
    Screening,
}

/// A call that is screened does not know yet when it will ring, only for how long: that is counted from here.
const NOT_YET: Time = Time(0);

/// What those who answered say of a call, while others are still looking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Looked {
    /// It rings through do-not-disturb.
    pub urgent: bool,
    /// It makes no sound.
    pub silent: bool,
}

impl Call {
    /// Its app says for how long it will ring when they have looked.
    pub(crate) fn will_ring(&mut self, length: Millis) {
        self.ring_until = NOT_YET + length;
    }
}

impl Domain {
    /// Whether somebody looks at a call before the user is told. The emergency services are not kept waiting
    /// when they call back, though anybody can pretend to have their number.
    pub(crate) fn is_screened(&self, provider: ProviderId, handle: &Private) -> bool {
        let screeners =
            self.desktop.roles.get(&Role::Screening).is_some_and(|holders| !holders.is_empty());
        let app = || self.providers.get(&provider).map(|p| &p.app);
        screeners && !app().is_some_and(|app| self.is_emergency(app, handle))
    }

    /// A new call: everybody who screens is asked at once.
    pub(crate) fn screen(&mut self, id: CallId) {
        let now = self.now.mono;
        if let Some(call) = self.calls.get_mut(&id) {
            call.screening = Some(Looked::default());
            call.will_ring(call.ring_until.since(now));
        }
        // Its name is there when it rings.
        self.look_up(id);
        let until = self.now.mono + self.settings.deadlines.screening;
        self.ask_screeners(id, until);
    }

    fn ask_screeners(&mut self, id: CallId, until: Time) {
        let Some(call) = self.calls.get(&id) else { return };
        let (provider, handle) = (call.provider, call.handle.clone());
        if self.is_screened(provider, &handle) {
            self.because(id, said(AgentSaid::Asked));
            for peer in self.desktop.roles.get(&Role::Screening).cloned().unwrap_or_default() {
                let ask = AgentAsk::Screen { call: id, handle: handle.clone() };
                self.ask_agent_of(peer, ask, until);
            }
        }
        self.pass_if_nobody_looks(id);
    }

    /// What was thought of its old handle does not count; the time does.
    pub(crate) fn screen_again(&mut self, id: CallId) {
        let mine = self.errands.iter().filter(|(_, errand)| errand.ask.screens() == Some(id));
        let until = mine.filter_map(|(errand, _)| self.timers.at(Due::Errand(*errand))).min();
        let looked = self.calls.get_mut(&id).and_then(|call| call.screening.as_mut());
        let Some((until, looked)) = until.zip(looked) else { return };
        *looked = Looked::default();
        self.drop_errands(|errand| errand.ask.screens() == Some(id));
        self.ask_screeners(id, until);
    }

    /// A screener answered.
    pub(crate) fn screened(&mut self, id: CallId, handle: &Private, answer: &AgentAnswer) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(looked) = call.screening.as_mut().filter(|_| call.handle == *handle) else {
            return;
        };
        let verdict = answer.verdict.filter(|_| answer.error.is_none());
        looked.urgent |= verdict == Some(Verdict::Allow) && answer.urgent;
        looked.silent |= verdict == Some(Verdict::Silence);
        let (cause, text) = match (verdict, answer.ground, &answer.error) {
            (Some(verdict), Ground::List | Ground::Anonymous, _) => {
                (Cause::Listed { verdict }, answer.detail.clone())
            }
            (Some(verdict), Ground::Screening, _) => {
                (Cause::Screened { verdict }, answer.detail.clone())
            }
            (None, _, Some(error)) => (said(AgentSaid::Failed), error.clone()),
            (None, _, None) => (said(AgentSaid::Done), Private::NONE),
        };
        if verdict == Some(Verdict::Reject) {
            self.turn_away(id, rejected((cause, text), answer.ground));
            return;
        }
        self.because_of(id, cause, text);
        self.pass_if_nobody_looks(id);
    }

    /// A screener did not answer in time.
    pub(crate) fn screening_timed_out(&mut self, id: CallId) {
        if !self.is_asked_of_agents(|ask| ask.screens() == Some(id)) {
            self.because(id, Cause::Deadline { which: Deadline::Screening });
        }
        self.pass_if_nobody_looks(id);
    }

    /// A screener went away: whoever waited for it alone waits no longer.
    pub(crate) fn screener_lost(&mut self) {
        let busy = self.calls_in(&self.index.busy).filter(|c| c.screening.is_some());
        for id in busy.map(|c| c.id).collect::<Vec<_>>() {
            self.pass_if_nobody_looks(id);
        }
    }

    /// The rest of its way, which is that of every call.
    fn pass_if_nobody_looks(&mut self, id: CallId) {
        if self.is_asked_of_agents(|ask| ask.screens() == Some(id)) {
            return;
        }
        let now = self.now.mono;
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(looked) = call.screening else { return };
        call.ring_until = now + call.ring_until.since(NOT_YET);
        self.passed_screeners(id, looked);
    }

    /// It is not screened any more, whatever became of it: whoever reported it is told.
    pub(crate) fn screening_is_over(&mut self, id: CallId, new: CallState) {
        let outcome = match new {
            CallState::Ended => Err(Refusal::new(Error::AlreadyEnded, "the call has ended")),
            _ => Ok(()),
        };
        self.verdict(id, outcome);
    }

    /// The same in other words, if anybody waits for them.
    pub(crate) fn verdict(&mut self, id: CallId, outcome: Result<(), Refusal>) {
        let call = self.calls.get_mut(&id);
        if call.and_then(|call| call.screening.take()).is_none() {
            return;
        }
        self.drop_errands(|errand| errand.ask.screens() == Some(id));
        self.turn.effects.push(Effect::Screened { uid: self.uid, call: id, outcome });
    }
}

fn said(said: AgentSaid) -> Cause {
    Cause::Agent { role: Role::Screening, said }
}

fn rejected(cause: (Cause, Private), ground: Ground) -> TurnedAway {
    let (missed, error, detail) = match ground {
        Ground::List => {
            (Missed::Blocked, Error::FilteredByBlockList, "on a block list of the user's")
        }
        Ground::Anonymous => {
            (Missed::Blocked, Error::FilteredByBlockList, "the caller is anonymous")
        }
        Ground::Screening => {
            (Missed::Screened, Error::FilteredByScreening, "turned away by a screening agent")
        }
    };
    let why = "the user does not take calls from this caller; decline it";
    TurnedAway { missed, cause, detail: detail.into(), why: Refusal::new(error, why) }
}
