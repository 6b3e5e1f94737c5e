//! The task that answers the arbiter for one provider.
//!
//! Owns the order: one call's requests one after the other and answered in that order, different calls'
//! at once, an end before everything else of its call. A request is performed once, however often it
//! is sent; whatever an app does, even panic, it is answered.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Weak},
};

use callarbiter_dbus::{Action, Dict, ErrorKind, ReconciledCalls, words::CallState};
use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
};
use uuid::Uuid;
use zbus::Message;

use super::{
    Delegate, Inner, Performed, Provider, Request,
    answers::{Answer, Answers},
    ask::{Ask, Incoming, Lane, What},
    delegate::perform_step,
    lanes::Lanes,
    request::Clock,
};
use crate::{ActionError, router::Calls};

/// Serves one delegate.
pub(super) struct Server<D> {
    provider: Weak<Inner>,
    delegate: Arc<D>,
    lanes: Lanes<Lane, Ask>,
    running: HashMap<Id, Running>,
    jobs: JoinSet<Option<Answer>>,
    answers: Answers<Answer>,
}

struct Running {
    ask: Ask,
    lanes: Vec<Lane>,
    cancel: watch::Sender<bool>,
    clock: Arc<Clock>,
    /// The answer that is being given may have gone to an arbiter that is no more.
    asked_again: bool,
}

impl<D: Delegate> Server<D> {
    pub fn new(provider: Weak<Inner>, delegate: Arc<D>) -> Self {
        Server {
            provider,
            delegate,
            lanes: Lanes::new(),
            running: HashMap::new(),
            jobs: JoinSet::new(),
            answers: Answers::default(),
        }
    }

    pub async fn run(mut self, mut calls: Calls) {
        loop {
            tokio::select! {
                message = calls.next() => match message {
                    Some(message) => self.receive(&message),
                    None => return,
                },
                Some(job) = self.jobs.join_next_with_id() => self.finish(job),
            }
            while let Some((lanes, ask)) = self.lanes.next() {
                self.start(lanes, ask);
            }
        }
    }

    fn receive(&mut self, message: &Message) {
        match Incoming::read(message) {
            Ok(Incoming::Ask(ask)) => self.ask(ask),
            Ok(Incoming::TimedOut { request, call, action }) => {
                self.give_up(&request);
                let delegate = self.delegate.clone();
                self.tell(async move { delegate.timed_out(call, &action).await });
            }
            Ok(Incoming::Authorization(authorization)) => {
                let Some(provider) = self.provider() else { return };
                if provider.set_authorization(authorization.clone()) {
                    let delegate = self.delegate.clone();
                    self.tell(async move { delegate.authorization_changed(authorization).await });
                }
            }
            Ok(Incoming::Reset) => {
                let Some(provider) = self.provider() else { return };
                provider.ledger().clear();
                let delegate = self.delegate.clone();
                self.tell(async move { delegate.reset().await });
            }
            // Not answered: the arbiter's deadline covers what this version does not understand.
            Err(why) => tracing::warn!(why, "a request of the call arbiter could not be read"),
        }
    }

    fn ask(&mut self, ask: Ask) {
        if let What::Reconcile(ReconciledCalls(theirs)) = ask.what {
            // Asked again it is another question: calls have moved on since.
            return self.reconcile(ask.request, theirs);
        }
        let same = |other: &Ask| other.request == ask.request;
        if let Some(job) = self.running.values_mut().find(|job| same(&job.ask)) {
            job.asked_again = true;
            job.clock.restart(ask.options.deadline_ms);
            return;
        }
        if self.lanes.any(same) {
            return;
        }
        if let Some(answer) = self.answers.to(&ask.request).cloned() {
            self.send_again(ask.request, answer, Vec::new());
            return;
        }
        let lanes = ask.what.lanes();
        match ask.what.ends() {
            Some(call) => {
                self.drop_all_about(call);
                self.lanes.occupy(&lanes);
                self.start(lanes, ask);
            }
            None => self.lanes.push(lanes, ask),
        }
    }

    fn reconcile(&mut self, request: String, theirs: Vec<(Uuid, CallState)>) {
        let Some(provider) = self.provider() else { return };
        let delegate = self.delegate.clone();
        self.tell(async move { provider.reconcile(&*delegate, &request, theirs).await });
    }

    /// The call is being ended: what waits is not begun, what runs is told.
    fn drop_all_about(&mut self, call: Uuid) {
        for ask in self.lanes.remove(|ask| ask.what.is_about(call)) {
            let error = ActionError::new(ErrorKind::Cancelled, "the call was ended before");
            self.send_again(ask.request, Answer::Failed(error), Vec::new());
        }
        for job in self.running.values() {
            if job.ask.what.is_about(call) {
                job.cancel.send_replace(true);
            }
        }
    }

    /// The arbiter no longer waits for this one.
    fn give_up(&mut self, request: &str) {
        self.lanes.remove(|ask| ask.request == request);
        for job in self.running.values() {
            if job.ask.request == request {
                job.cancel.send_replace(true);
            }
        }
    }

    fn start(&mut self, lanes: Vec<Lane>, ask: Ask) {
        let Some(provider) = self.provider() else { return };
        let (cancel, cancelled) = watch::channel(false);
        let delegate = self.delegate.clone();
        let clock = Arc::new(Clock::new(ask.options.deadline_ms));
        let job = perform(delegate, provider, ask.clone(), clock.clone(), cancelled);
        let id = self.jobs.spawn(async move { Some(job.await) }).id();
        self.running.insert(id, Running { ask, lanes, cancel, clock, asked_again: false });
    }

    fn send_again(&mut self, request: String, answer: Answer, actions: Vec<Action>) {
        let Some(provider) = self.provider() else { return };
        self.jobs.spawn(async move {
            provider.answer(&request, &answer, &actions).await;
            None
        });
    }

    /// Runs what the arbiter does not wait for.
    fn tell(&mut self, told: impl Future<Output = ()> + Send + 'static) {
        self.jobs.spawn(async move {
            told.await;
            None
        });
    }

    fn finish(&mut self, job: Result<(Id, Option<Answer>), JoinError>) {
        let (id, answer) = match job {
            Ok((id, answer)) => (id, answer),
            Err(error) => (error.id(), None),
        };
        // What the arbiter does not wait for is not among these.
        let Some(Running { ask, lanes, asked_again, .. }) = self.running.remove(&id) else {
            return;
        };
        self.lanes.release(&lanes);
        let Ask { request, what, .. } = ask;
        match answer {
            Some(answer) => {
                if asked_again {
                    self.send_again(request.clone(), answer.clone(), Vec::new());
                }
                self.answers.remember(request, answer);
            }
            None => {
                let answer = Answer::Failed(ActionError::failed("the app failed while performing"));
                if let Some(provider) = self.provider() {
                    settle(&provider, &what, false);
                }
                self.answers.remember(request.clone(), answer.clone());
                self.send_again(request, answer, what.actions().to_vec());
            }
        }
    }

    fn provider(&self) -> Option<Provider> {
        self.provider.upgrade().map(Provider::from)
    }
}

/// Does it and answers.
async fn perform<D: Delegate>(
    delegate: Arc<D>,
    provider: Provider,
    ask: Ask,
    clock: Arc<Clock>,
    cancelled: watch::Receiver<bool>,
) -> Answer {
    let Ask { request: id, what, options } = ask;
    let request = Request::new(id.clone(), options, provider.clone(), clock, cancelled);
    begin(&provider, &what);
    let done = match &what {
        What::AudioActivated(calls) => delegate.audio_activated(&request, calls).await,
        What::AudioDeactivated(calls) => delegate.audio_deactivated(&request, calls).await,
        what => tokio::select! {
            done = act(&*delegate, &request, what) => done,
            never = request.keep_alive() => match never {},
        },
    };
    settle(&provider, &what, done.is_ok());
    let answer = done.map_or_else(Answer::Failed, |()| Answer::Fulfilled(Dict::new()));
    provider.answer(&id, &answer, what.actions()).await;
    answer
}

async fn act<D: Delegate>(delegate: &D, request: &Request, what: &What) -> Performed {
    match what {
        What::Action(_, action) => perform_step(delegate, request, action).await,
        What::Transaction(steps) => delegate.perform_transaction(request, steps).await,
        What::AudioActivated(_) | What::AudioDeactivated(_) | What::Reconcile(_) => Ok(()),
    }
}

fn begin(provider: &Provider, what: &What) {
    for action in what.actions() {
        provider.ledger().begun(action);
    }
}

fn settle(provider: &Provider, what: &What, done: bool) {
    for action in what.actions() {
        provider.ledger().performed(action, done);
    }
}
