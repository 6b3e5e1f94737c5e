//! Calls through an app that is not there yet: it is started, and the call goes on when it registers.
//!
//! Owns the wait for the app. While it lasts the call is nobody's turn: its transaction enters the lane only when
//! the app is there, so that answering and hanging up never wait for a program to start.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    Action, AgentAnswer, AgentAsk, AgentSaid, AppIdSource, Call, CallId, CallState, Cause,
    Configuration, Domain, EndReason, Error, Object, Outcome, Provider, ProviderId, Refusal,
    Result, Role, Step, TransactionId, choice,
};

impl Domain {
    /// Whether a call may wait for this app.
    pub(crate) fn may_wait_for(&self, app: &Arc<str>, uuid: Uuid) -> Result<()> {
        if let Some(provider) = self.expected(app) {
            return self.is_fresh(provider, uuid);
        }
        if self.tombstones.has(uuid, app, &"".into(), self.now.mono) {
            let why = format!("call {uuid} has ended; choose a new UUID for a new call");
            return Err(Refusal::new(Error::AlreadyEnded, why));
        }
        self.room_for_provider()
    }

    /// Whoever holds role `launch` is to start its app.
    pub(crate) fn ask_to_launch(&mut self, call: CallId) {
        let Some(handle) = self.calls.get(&call).map(|c| c.handle.clone()) else { return };
        let app = self.app_of(call);
        let asked = self.ask_agent(AgentAsk::Launch { app, call, handle }).is_some();
        let said = if asked { AgentSaid::Asked } else { AgentSaid::Nobody };
        self.because(call, Cause::Agent { role: Role::Launch, said });
    }

    /// It was started, and will register; or it could not be.
    pub(crate) fn launch_answered(&mut self, app: &str, call: CallId, answer: &AgentAnswer) {
        let role = Role::Launch;
        if answer.error.is_none() {
            self.because(call, Cause::Agent { role, said: AgentSaid::Done });
        }
        if let Some(why) = &answer.error {
            self.because_of(call, Cause::Agent { role, said: AgentSaid::Failed }, why.clone());
            let said = if why.is_empty() { "no reason was given" } else { why.reveal() };
            let why = format!("{app} could not be started: {said}");
            let why = Refusal::new(Error::ActionFailed, why);
            self.launch_failed(call, Outcome::Failed(why));
        }
    }

    /// The object under which the app is expected; it is there from now on.
    pub(crate) fn expect_app(&mut self, app: Arc<str>) -> ProviderId {
        if let Some(provider) = self.expected(&app) {
            return provider.id;
        }
        let provider = Provider {
            authorization: self.authorization_of(&app),
            app,
            source: AppIdSource::Declared,
            configuration: Configuration::default(),
            ..self.new_provider()
        };
        let id = provider.id;
        self.providers.insert(id, provider);
        self.turn.added(Object::Provider(id));
        id
    }

    /// An object of this app that has no connection: it has not come yet, or will be back for its calls.
    fn expected(&self, app: &Arc<str>) -> Option<&Provider> {
        self.providers.values().find(|p| p.app == *app && p.peer.is_none())
    }

    /// Nothing but calls that wait for their app made this object.
    pub(crate) fn is_awaited(&self, provider: &Provider) -> bool {
        let launching = |c: &Call| c.state == CallState::Launching;
        provider.peer.is_none()
            && self.calls_of(provider.id).all(launching)
            && self.calls_of(provider.id).next().is_some()
    }

    /// The app is there: what waited for it takes its turn.
    pub(crate) fn app_arrived(&mut self, id: ProviderId) {
        let waits = |c: &&Call| c.provider == id && c.state == CallState::Launching;
        let waiting: Vec<CallId> =
            self.calls_in(&self.index.busy).filter(waits).map(|c| c.id).collect();
        for call in waiting {
            match self.can_go_on(id, call) {
                Ok(()) => self.go_on(call),
                Err(why) => self.launch_failed(call, Outcome::Failed(why)),
            }
        }
    }

    /// Only now it is known what the app can do.
    fn can_go_on(&self, id: ProviderId, call: CallId) -> Result<()> {
        let Some((provider, call)) = self.providers.get(&id).zip(self.calls.get(&call)) else {
            return Ok(());
        };
        self.may_place(provider, call.emergency)?;
        choice::can_video(provider, call.video)?;
        if !choice::takes(provider, &call.handle) {
            return Err(choice::not_taken(provider, &call.handle));
        }
        Ok(())
    }

    fn go_on(&mut self, call: CallId) {
        let step = self.waiting_step(call);
        self.drop_errands(|e| {
            e.ask.call() == Some(call) && matches!(e.ask, AgentAsk::Launch { .. })
        });
        self.transition(call, CallState::Starting, "its app is there");
        let Some((transaction, _)) = step else { return };
        if self.calls.get(&call).is_some_and(|c| c.emergency) {
            self.give_way();
            self.lane.queue.push_front(transaction);
        } else {
            self.lane.queue.push_back(transaction);
        }
    }

    /// The app did not come in time.
    pub(crate) fn launch_timed_out(&mut self, call: CallId) {
        let app = self.app_of(call);
        let why = format!(
            "{app} was started and did not register in {}; start it by hand and try again",
            self.settings.deadlines.launching
        );
        self.launch_failed(call, Outcome::TimedOut(Refusal::new(Error::TimedOut, why)));
    }

    /// The call cannot be placed.
    pub(crate) fn launch_failed(&mut self, call: CallId, outcome: Outcome) {
        let why = outcome.refusal().map(|r| r.message.clone()).unwrap_or_default();
        self.launch_over(call, outcome, EndReason::Failed, &why);
    }

    /// The call does not wait for its app any more.
    pub(crate) fn launch_over(
        &mut self,
        call: CallId,
        outcome: Outcome,
        reason: EndReason,
        detail: &str,
    ) {
        let step = self.waiting_step(call);
        self.end_call(call, reason, detail);
        if let Some((transaction, at)) = step {
            self.set_outcome(transaction, at, outcome);
            self.turn.ready.push_back(transaction);
        }
    }

    pub(crate) fn app_of(&self, call: CallId) -> Arc<str> {
        let provider = self.calls.get(&call).and_then(|c| self.providers.get(&c.provider));
        provider.map_or_else(|| "".into(), |p| p.app.clone())
    }

    /// The action that waits with this call.
    fn waiting_step(&self, call: CallId) -> Option<(TransactionId, usize)> {
        self.index.unfinished.iter().find_map(|id| {
            let steps = &self.transactions.get(&id)?.actions;
            let at = steps.iter().position(|s| s.call == call && is_open_start(s))?;
            Some((id, at))
        })
    }

    /// The call that it starts waits for its app, so it has no place in the lane yet.
    pub(crate) fn waits_for_app(&self, id: TransactionId) -> bool {
        let launching = |step: &Step| {
            let call = self.calls.get(&step.call);
            call.is_some_and(|c| c.state == CallState::Launching)
        };
        let steps = self.transactions.get(&id).map(|t| t.actions.as_slice()).unwrap_or_default();
        steps.iter().any(|s| is_open_start(s) && launching(s))
    }
}

fn is_open_start(step: &Step) -> bool {
    step.outcome.is_none() && matches!(step.action, Action::Start { .. })
}
