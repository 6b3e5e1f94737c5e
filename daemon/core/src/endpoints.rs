//! Where the sound goes: loudspeakers, headphones, Bluetooth.
//!
//! Owns the list that the holder of role `audio` tells, and who may choose from it: the user, never a provider.
//! Choosing is that agent's work; what it did shows in the list that it tells next.

use std::sync::Arc;

use crate::{
    AgentAnswer, AgentAsk, Caller, Domain, Effect, Endpoint, Error, Origin, Private, Refusal,
    Reply, RequestId, Result, Role,
};

impl Domain {
    /// `SetEndpoints`.
    pub(crate) fn set_endpoints(
        &mut self,
        caller: Caller,
        endpoints: Vec<Endpoint>,
        current: Arc<str>,
    ) -> Result<Reply> {
        if !self.holds(caller, Role::Audio) {
            let why = "only the holder of role `audio` says where the sound can go";
            return Err(Refusal::new(Error::AccessDenied, why));
        }
        let listed = |id: &Arc<str>| endpoints.iter().filter(|e| e.id == *id).count();
        if endpoints.iter().any(|e| listed(&e.id) > 1) {
            let why = "an endpoint is listed twice; each needs an id of its own";
            return Err(Refusal::new(Error::InvalidArgument, why));
        }
        if !current.is_empty() && listed(&current) == 0 {
            let why = "the endpoint in use is not in the list; leave it empty if there is none";
            return Err(Refusal::new(Error::InvalidArgument, why));
        }
        self.audio.endpoints = endpoints.into();
        self.audio.endpoint = current;
        // They are written together.
        self.enforcement.get_mut();
        Ok(Reply::Done)
    }

    /// `SelectEndpoint`: the reply is the agent's.
    pub(crate) fn select_endpoint(&mut self, caller: Caller, endpoint: Arc<str>) -> Result<Reply> {
        if !caller.control || self.origin(caller) == Origin::App {
            let why = "where the sound goes is the user's choice, not an app's";
            return Err(Refusal::new(Error::AccessDenied, why));
        }
        if self.holder(Role::Audio).is_none() {
            let why = "nothing in this session can choose where the sound goes; its agent is not \
                       running, or has no audio server";
            return Err(Refusal::new(Error::NotSupported, why));
        }
        if !self.audio.endpoints.iter().any(|known| known.id == endpoint) {
            let why =
                "there is no such endpoint; AudioSession.Endpoints lists those that there are";
            return Err(Refusal::new(Error::InvalidArgument, why));
        }
        // The user's last word counts.
        self.drop_errands(|errand| matches!(errand.ask, AgentAsk::SelectEndpoint { .. }));
        match self.ask_agent(AgentAsk::SelectEndpoint { endpoint }) {
            Some(request) => Ok(Reply::Asked(request)),
            None => Err(Refusal::new(Error::NotSupported, "its agent has just left")),
        }
    }

    /// The agent did, or could not.
    pub(crate) fn endpoint_selected(&mut self, request: RequestId, answer: &AgentAnswer) {
        match &answer.error {
            None => self.agent_answered(request, Ok(())),
            Some(said) => {
                let said = Some(said).filter(|said| !said.is_empty()).map(Private::reveal);
                let why = said.unwrap_or("the agent of the session could not choose it");
                self.endpoint_not_selected(request, Error::ActionFailed, why);
            }
        }
    }

    pub(crate) fn endpoint_not_selected(&mut self, request: RequestId, error: Error, why: &str) {
        self.agent_answered(request, Err(Refusal::new(error, why)));
    }

    fn agent_answered(&mut self, request: RequestId, outcome: Result<()>) {
        self.turn.effects.push(Effect::AgentAnswered { uid: self.uid, request, outcome });
    }
}
