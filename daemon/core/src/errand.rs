//! What agents are asked: errands that need the session, each answered once, by whom it was given to.
//!
//! Owns who is asked, until when, and which answer counts. An errand ends with its answer, its deadline, or its
//! agent's loss of the role; whoever takes the role next is given what is still wanted. What an answer means is
//! the business of [`crate::consent`], [`crate::launch`], [`crate::contacts`], [`crate::enforce`],
//! [`crate::endpoints`], [`crate::record`] and [`crate::screening`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    AgentSaid, AudioPicture, Authorization, CallId, CallState, Caller, Cause, Domain, Effect,
    Error, Ground, Millis, Peer, Private, ProviderId, Refusal, Reply, RequestId, Result, Role,
    Time, Verdict, restart::LEAST, timers::Due,
};

/// What an agent is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AgentAsk {
    /// Whether this app may provide calls.
    Consent { app: Arc<str>, provider: ProviderId },
    /// To start this app, so that it registers.
    Launch {
        app: Arc<str>,
        call: CallId,
        #[serde(with = "crate::private::stored")]
        handle: Private,
    },
    /// Whose handle this is.
    LookUp {
        call: CallId,
        #[serde(with = "crate::private::stored")]
        handle: Private,
    },
    /// To make all others keep quiet for whoever has the audio.
    Audio(AudioPicture),
    /// To let the sound go there.
    SelectEndpoint { endpoint: Arc<str> },
    /// To write down the record of this number.
    Record { number: u64 },
    /// Whether this call may reach the user.
    Screen {
        call: CallId,
        #[serde(with = "crate::private::stored")]
        handle: Private,
    },
}

impl AgentAsk {
    /// Whose business it is.
    pub fn role(&self) -> Role {
        match self {
            AgentAsk::Consent { .. } => Role::Consent,
            AgentAsk::Launch { .. } => Role::Launch,
            AgentAsk::LookUp { .. } => Role::Contacts,
            AgentAsk::Audio(_) | AgentAsk::SelectEndpoint { .. } => Role::Audio,
            AgentAsk::Record { .. } => Role::History,
            AgentAsk::Screen { .. } => Role::Screening,
        }
    }

    /// The call without which it is not wanted.
    pub(crate) fn call(&self) -> Option<CallId> {
        match self {
            AgentAsk::Consent { .. }
            | AgentAsk::Audio(_)
            | AgentAsk::SelectEndpoint { .. }
            | AgentAsk::Record { .. } => None,
            AgentAsk::Launch { call, .. }
            | AgentAsk::LookUp { call, .. }
            | AgentAsk::Screen { call, .. } => Some(*call),
        }
    }

    /// The call that waits for what a screener says of it.
    pub(crate) fn screens(&self) -> Option<CallId> {
        match self {
            AgentAsk::Screen { call, .. } => Some(*call),
            _ => None,
        }
    }
}

/// What an agent answers; each question has its own words, others mean nothing to it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AgentAnswer {
    /// It could not, with a sentence for people.
    #[serde(default, with = "crate::private::stored_option")]
    pub error: Option<Private>,
    /// Of [`AgentAsk::Consent`].
    pub authorization: Option<Authorization>,
    /// Of [`AgentAsk::LookUp`]: whose handle it is; none for nobody's.
    #[serde(default, with = "crate::private::stored_option")]
    pub name: Option<Private>,
    /// The name of the entry in the user's address book.
    #[serde(default, with = "crate::private::stored_option")]
    pub contact: Option<Private>,
    /// Of [`AgentAsk::Audio`]: all others are quiet.
    pub enforced: bool,
    /// Of [`AgentAsk::Audio`]: whose microphones carry silence.
    pub silent: Vec<ProviderId>,
    /// Of [`AgentAsk::Screen`]; none lets it pass.
    pub verdict: Option<Verdict>,
    /// Of [`AgentAsk::Screen`]: it rings through do-not-disturb.
    pub urgent: bool,
    /// Of [`AgentAsk::Screen`]: what the verdict is about.
    pub ground: Ground,
    /// Of [`AgentAsk::Screen`]: why, for the user.
    #[serde(default, with = "crate::private::stored")]
    pub detail: Private,
}

/// One that waits for its answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Errand {
    pub peer: Peer,
    pub ask: AgentAsk,
}

impl Domain {
    /// Asks the holder of the role whose business it is. None: nobody holds it.
    pub(crate) fn ask_agent(&mut self, ask: AgentAsk) -> Option<RequestId> {
        let peer = self.holder(ask.role())?;
        let until = self.enforcing_until(&ask);
        let until = until.unwrap_or_else(|| self.now.mono + self.patience(&ask));
        Some(self.ask_agent_of(peer, ask, until))
    }

    /// Asks one agent of perhaps several.
    pub(crate) fn ask_agent_of(&mut self, peer: Peer, ask: AgentAsk, until: Time) -> RequestId {
        let id = self.next.request();
        self.errands.insert(id, Errand { peer, ask });
        self.timers.arm(Due::Errand(id), until);
        self.give(id);
        id
    }

    fn patience(&self, ask: &AgentAsk) -> Millis {
        let d = &self.settings.deadlines;
        match ask {
            AgentAsk::Consent { .. } => d.consent,
            AgentAsk::Launch { call, .. } => {
                let until = self.timers.at(Due::Progress(*call));
                until.map_or(d.launching, |until| until.since(self.now.mono))
            }
            AgentAsk::LookUp { .. } => d.look_up,
            AgentAsk::Audio(_) => d.enforcement,
            AgentAsk::SelectEndpoint { .. } => d.other,
            AgentAsk::Record { .. } => d.record,
            AgentAsk::Screen { .. } => d.screening,
        }
    }

    /// Sends it, with what is left of its time.
    fn give(&mut self, id: RequestId) {
        let Some(errand) = self.errands.get(&id) else { return };
        let until = self.timers.at(Due::Errand(id)).unwrap_or(self.now.mono);
        self.turn.effects.push(Effect::AskAgent {
            uid: self.uid,
            peer: errand.peer,
            request: id,
            ask: errand.ask.clone(),
            deadline_ms: until.since(self.now.mono).0,
        });
    }

    /// `AgentReply`.
    pub(crate) fn agent_reply(
        &mut self,
        caller: Caller,
        id: RequestId,
        answer: AgentAnswer,
    ) -> Result<Reply> {
        match self.errands.get(&id) {
            Some(errand) if errand.peer == caller.peer => {}
            // What it enforces may come late, and change.
            None if self.is_enforced_by(caller, id) => {
                self.enforced(&answer);
                return Ok(Reply::Done);
            }
            // Another's, or a provider's, is nobody's to this caller.
            None if self.next.knows(id) && caller.agent => {
                let why =
                    format!("request {id} is over: answered already, too late, or not wanted");
                return Err(Refusal::new(Error::TimedOut, why));
            }
            _ => {
                let why = "this connection was never asked that; use the id of the request";
                return Err(Refusal::new(Error::InvalidArgument, why));
            }
        }
        match self.end_errand(id) {
            Some(AgentAsk::Consent { app, .. }) => self.consent_answered(&app, &answer),
            Some(AgentAsk::Launch { app, call, .. }) => self.launch_answered(&app, call, &answer),
            Some(AgentAsk::LookUp { call, handle }) => self.looked_up(call, &handle, answer),
            Some(AgentAsk::Audio(_)) => {
                let could = answer.error.is_none() && answer.enforced;
                let said = if could { AgentSaid::Done } else { AgentSaid::Failed };
                self.because_of_audio(said, answer.error.as_ref().unwrap_or(&Private::NONE));
                self.enforced(&answer);
            }
            Some(AgentAsk::SelectEndpoint { .. }) => self.endpoint_selected(id, &answer),
            Some(AgentAsk::Record { number }) => self.recorded(number, &answer),
            Some(AgentAsk::Screen { call, handle }) => self.screened(call, &handle, &answer),
            None => {}
        }
        Ok(Reply::Done)
    }

    pub(crate) fn end_errand(&mut self, id: RequestId) -> Option<AgentAsk> {
        let errand = self.errands.remove(&id)?;
        self.timers.disarm(Due::Errand(id));
        Some(errand.ask)
    }

    /// Nobody answered in time. What waits for it has a deadline of its own, or goes on without.
    pub(crate) fn errand_timed_out(&mut self, id: RequestId) {
        match self.end_errand(id) {
            Some(AgentAsk::Audio(_)) => {
                self.because_of_audio(AgentSaid::TimedOut, &Private::NONE);
                self.enforced(&AgentAnswer::default());
            }
            Some(AgentAsk::Launch { call, .. }) => {
                let said = AgentSaid::TimedOut;
                self.because(call, Cause::Agent { role: Role::Launch, said });
            }
            Some(AgentAsk::SelectEndpoint { .. }) => {
                let why = "the agent of the session did not choose it in time";
                self.endpoint_not_selected(id, Error::TimedOut, why);
            }
            Some(AgentAsk::Record { .. }) => self.not_recorded(),
            Some(AgentAsk::Screen { call, .. }) => self.screening_timed_out(call),
            _ => {}
        }
    }

    /// These are not wanted any more.
    pub(crate) fn drop_errands(&mut self, which: impl Fn(&Errand) -> bool) {
        let over: Vec<RequestId> =
            self.errands.iter().filter(|(_, e)| which(e)).map(|(id, _)| *id).collect();
        for id in over {
            if let Some(AgentAsk::SelectEndpoint { .. }) = self.end_errand(id) {
                let why = "another endpoint was chosen, or the agent that was asked has gone";
                self.endpoint_not_selected(id, Error::Cancelled, why);
            }
        }
    }

    pub(crate) fn is_asked_of_agents(&self, which: impl Fn(&AgentAsk) -> bool) -> bool {
        self.errands.values().any(|errand| which(&errand.ask))
    }

    /// A connection does not hold this role any more.
    pub(crate) fn role_is_lost(&mut self, peer: Peer, role: Role) {
        self.drop_errands(|errand| errand.peer == peer && errand.ask.role() == role);
        match role {
            Role::Audio => self.nobody_enforces(),
            Role::History => self.nobody_records(),
            Role::Screening => self.screener_lost(),
            _ => {}
        }
    }

    /// Somebody new holds this role: what is still wanted is asked.
    pub(crate) fn role_is_taken(&mut self, role: Role) {
        match role {
            Role::Consent => self.ask_about_the_undecided(),
            Role::Launch => {
                let launching = |c: &&crate::Call| c.state == CallState::Launching;
                let busy = self.calls_in(&self.index.busy);
                let waiting: Vec<CallId> = busy.filter(launching).map(|c| c.id).collect();
                waiting.into_iter().for_each(|call| self.ask_to_launch(call));
            }
            Role::Contacts => self.look_up_strangers(),
            // It is told the whole picture at the end of the turn.
            Role::Audio => {}
            Role::History => self.recording_starts(),
            // Calls that ring already have passed.
            Role::Screening => {}
            Role::Ui | Role::Dnd | Role::Headset | Role::Identity | Role::Preferences => {}
        }
    }

    /// The arbiter was away: what an agent was asked may not have reached it. `last`: what it was asked last.
    pub(crate) fn give_again(&mut self, last: Option<RequestId>) {
        // Whoever chose it has lost their reply with the arbiter.
        self.drop_errands(|errand| matches!(errand.ask, AgentAsk::SelectEndpoint { .. }));
        let least = self.now.mono + LEAST;
        let before = self.errands.keys().copied().filter(|id| Some(*id) <= last);
        for id in before.collect::<Vec<_>>() {
            let until = self.timers.at(Due::Errand(id)).unwrap_or(least);
            let until = match self.errands.get(&id).map(|errand| &errand.ask) {
                // Whoever waits for the audio waits no longer than before.
                Some(AgentAsk::Audio(_)) => self.now.mono + self.settings.deadlines.enforcement,
                _ => until.max(least),
            };
            self.timers.arm(Due::Errand(id), until);
            self.give(id);
        }
    }

    /// Who holds a role; of several, the latest.
    pub fn holder(&self, role: Role) -> Option<Peer> {
        self.desktop.roles.get(&role).and_then(|holders| holders.last().copied())
    }
}
