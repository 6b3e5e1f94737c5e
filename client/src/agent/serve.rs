//! The task that keeps an agent's roles and hands it its errands.
//!
//! Owns that an errand is handed out once, however often it is asked: an arbiter that was restarted asks again what is
//! open, and one that did not hear the answer gets it again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use callarbiter_dbus::{Dict, RoleOptions, RoleState, words::Role};
use tokio::{sync::mpsc, task::AbortHandle};
use zbus::{Message, ObjectPath, OwnedObjectPath, message::Type};

use super::{
    AgentEvent,
    errand::{Call, Errand},
};
use crate::{
    Connection, Error, Result,
    connection::Repeat,
    presence::{Arbiter, Presence},
    provider::Answers,
    router::Calls,
};

/// How long to wait after the arbiter refused the roles, at first and at most.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);
const AFTER_REFUSALS: Duration = Duration::from_secs(30);

type Roles = Arc<Mutex<Vec<Role>>>;
type Answer = (String, Dict);

struct Server {
    connection: Connection,
    path: OwnedObjectPath,
    roles: Roles,
    /// Those that other agents took.
    lost: Vec<Role>,
    /// Errands that were handed out and not answered, and until when they matter.
    open: HashMap<String, Instant>,
    answered: Answers<Dict>,
    events: mpsc::UnboundedSender<AgentEvent>,
    answers: mpsc::UnboundedSender<Answer>,
}

/// Takes the roles and begins to serve.
pub(super) async fn begin(
    connection: &Connection,
    roles: &Roles,
) -> Result<(AbortHandle, mpsc::UnboundedReceiver<AgentEvent>)> {
    let calls = connection.routes().agent();
    let (events, heard) = mpsc::unbounded_channel();
    let (answers, said) = mpsc::unbounded_channel();
    let server = Server {
        connection: connection.clone(),
        path: ObjectPath::try_from(calls.path().to_owned())?.into(),
        roles: roles.clone(),
        lost: Vec::new(),
        open: HashMap::new(),
        answered: Answers::default(),
        events,
        answers,
    };
    let arbiter = server.take_roles().await?;
    Ok((tokio::spawn(server.run(arbiter, calls, said)).abort_handle(), heard))
}

impl Server {
    async fn run(
        mut self,
        mut arbiter: Arbiter,
        mut calls: Calls,
        mut said: mpsc::UnboundedReceiver<Answer>,
    ) {
        loop {
            tokio::select! {
                message = calls.next() => match message {
                    Some(message) => self.receive(&arbiter, &message).await,
                    None => return,
                },
                Some((request, answer)) = said.recv() => {
                    self.open.remove(&request);
                    reply(&arbiter, &request, &answer).await;
                    self.answered.remember(request, answer);
                }
                () = self.connection.left(&arbiter.owner) => {
                    let Some(next) = self.take_roles_again().await else { return };
                    if !arbiter.carries_on_as(&next) {
                        self.open.clear();
                    }
                    arbiter = next;
                    // One that lost its state does not say when those are free.
                    self.take_back(&arbiter).await;
                }
            }
        }
    }

    async fn receive(&mut self, arbiter: &Arbiter, message: &Message) {
        if message.message_type() == Type::Signal {
            if let Ok(role) = message.body().deserialize::<&str>() {
                let role = Role::from(role);
                match message.header().member().map(|member| member.as_str()) {
                    Some("RoleLost") => self.lose(role),
                    _ if self.lost.contains(&role) => self.take_back(arbiter).await,
                    _ => {}
                }
            }
            return;
        }
        match Call::read(message) {
            Ok(Some(call)) => self.hand_out(arbiter, call).await,
            Ok(None) => tracing::debug!("the call arbiter asks what this version does not know"),
            // Not answered: the arbiter's deadline covers it.
            Err(error) => tracing::warn!(%error, "an errand of the call arbiter could not be read"),
        }
    }

    async fn hand_out(&mut self, arbiter: &Arbiter, call: Call) {
        if let Some(answer) = self.answered.to(&call.request) {
            return reply(arbiter, &call.request, answer).await;
        }
        let now = Instant::now();
        self.open.retain(|request, until| *until > now || *request == call.request);
        if self.open.insert(call.request.clone(), call.until).is_none() {
            self.tell(AgentEvent::Asked(Errand::new(call, self.answers.clone())));
        }
    }

    fn lose(&mut self, role: Role) {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner).retain(|kept| *kept != role);
        if !self.lost.contains(&role) {
            self.lost.push(role.clone());
        }
        self.tell(AgentEvent::RoleLost(role));
    }

    /// Those that were this one's before, and that nobody has.
    async fn take_back(&mut self, arbiter: &Arbiter) {
        if self.lost.is_empty() {
            return;
        }
        let lost: Vec<&str> = self.lost.iter().map(Role::as_str).collect();
        let free = RoleOptions { only_free: true }.to_dict();
        let given = async {
            let manager = arbiter.owner.manager().await?;
            manager.register_agent(&self.path, &lost, &free).await
        };
        let given = match given.await {
            Ok(state) => RoleState::from_dict(&state).roles,
            Err(error) => {
                return tracing::warn!(%error, "the call arbiter did not give a role back");
            }
        };
        self.lost.retain(|lost| !given.contains(lost));
        for role in given {
            self.roles.lock().unwrap_or_else(PoisonError::into_inner).push(role.clone());
            self.tell(AgentEvent::RoleBack(role));
        }
    }

    fn tell(&self, event: AgentEvent) {
        // Fails while the agent is being dropped, and this task with it.
        let _ = self.events.send(event);
    }

    async fn take_roles(&self) -> Result<Arbiter> {
        let mut attempts = self.connection.attempts(Repeat::Freely);
        loop {
            let arbiter = attempts.next().await?;
            let roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if roles.is_empty() {
                return Ok(arbiter);
            }
            let words: Vec<&str> = roles.iter().map(Role::as_str).collect();
            let manager = arbiter.owner.manager().await?;
            let given = manager.register_agent(&self.path, &words, &Dict::new()).await;
            if attempts.answered(given).await?.is_some() {
                return Ok(arbiter);
            }
        }
    }

    /// From whoever comes next. None: the connection is closed.
    async fn take_roles_again(&self) -> Option<Arbiter> {
        let mut pause = AFTER_REFUSAL;
        loop {
            self.connection.owner().await.ok()?;
            match self.take_roles().await {
                Ok(arbiter) => return Some(arbiter),
                Err(Error::Closed) => return None,
                Err(Error::ArbiterGone) => {
                    let present = self.connection.presence().borrow().clone();
                    if let Presence::Here(owner) = present {
                        // Not at once again while the bus still names an owner that does not answer.
                        let _ = tokio::time::timeout(pause, self.connection.left(&owner)).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(kind = ?error.kind(), "the call arbiter gave no role back");
                    tokio::time::sleep(pause).await;
                    pause = AFTER_REFUSALS.min(pause * 2);
                }
            }
        }
    }
}

/// Nobody waits to hear whether it was in time: the next arbiter asks again what this one did not hear.
async fn reply(arbiter: &Arbiter, request: &str, answer: &Dict) {
    let sent = async {
        let manager = arbiter.owner.manager().await?;
        manager.inner().call_noreply("AgentReply", &(request, answer)).await
    };
    if let Err(error) = sent.await {
        tracing::debug!(%error, "an answer to the call arbiter was not sent");
    }
}
