//! Apps that the daemon cannot name: the agent of the session is asked, and their registration waits for it.
//!
//! Owns those registrations and how long they wait. A connection is asked about once, whatever comes of it; without
//! an answer in time it is as if there was no agent. The daemon's own knowledge always comes first.

use std::sync::Arc;

use callarbiter_core::{AppIdSource, Millis, Now, Peer, Role, Time, Uid};
use callarbiter_dbus::{self as wire, Error, ErrorKind, limits, words};
use callarbiter_wire::Outgoing;

use super::{agents::Agent, fault, request::Request, router::Router, turn::Turn};

/// How long a registration may wait: an agent reads a file for it.
const PATIENCE: Millis = Millis(500);

/// Connections of one user that wait at once; more than that is a flood, and nobody is asked about the rest.
const WAITING_PER_USER: usize = 16;

/// Registrations of one connection that wait at once: it is the same question.
const PARKED: usize = 8;

/// What the agent may be asked about a connection of which the daemon knows no app.
#[derive(Clone, Debug)]
pub struct Stranger {
    /// The process behind it.
    pub pid: u32,
    /// A word for the wall around it; empty for none.
    pub sandbox: &'static str,
}

/// One connection about which an agent is asked.
struct Waiting {
    number: u64,
    agent: Peer,
    uid: Uid,
    peer: Peer,
    until: Time,
    parked: Vec<Request>,
}

/// The questions that are open, the oldest first, and what can go on.
#[derive(Default)]
pub struct Identities {
    open: Vec<Waiting>,
    asked: u64,
    ready: Vec<Request>,
}

impl Identities {
    /// Until then the first waits.
    pub fn next_deadline(&self) -> Option<Time> {
        self.open.first().map(|waiting| waiting.until)
    }

    /// Registrations whose wait is over.
    pub fn take_ready(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.ready)
    }

    /// A connection left, and what it sent with it.
    pub fn left(&mut self, peer: Peer) {
        self.open.retain(|waiting| waiting.peer != peer);
        self.ready.retain(|request| request.client.caller.peer != peer);
    }

    /// Those who have waited long enough.
    fn expired(&mut self, now: Time) -> Vec<Waiting> {
        let over = self.open.iter().take_while(|waiting| waiting.until <= now).count();
        self.open.drain(..over).collect()
    }
}

impl Router {
    /// Whether a registration waits until an agent has said whose it is.
    pub(super) fn waits_for_identity(
        &mut self,
        turn: &mut Turn,
        request: &Request,
        declared: &str,
    ) -> Result<bool, Error> {
        let client = &request.client;
        let Some(stranger) = client.stranger.clone() else { return Ok(false) };
        let caller = client.caller;
        let waits = |waiting: &&mut Waiting| waiting.peer == caller.peer;
        if let Some(waiting) = self.identities.open.iter_mut().find(waits) {
            if waiting.parked.len() >= PARKED {
                return Err(fault::limit("too many registrations wait; wait for their replies"));
            }
            waiting.parked.push(request.clone());
            return Ok(true);
        }
        let domain = self.arbiter.domain(caller.uid);
        let Some(agent) = domain.and_then(|domain| domain.holder(Role::Identity)) else {
            return Ok(false);
        };
        let open = self.identities.open.iter().filter(|waiting| waiting.uid == caller.uid).count();
        let number = self.identities.asked;
        let question = format!("{}-i{number}", self.requests.prefix());
        let unit = client.unit().unwrap_or_default();
        let asked = match (self.peers.name(agent), self.agents.get(&agent)) {
            (Some(name), Some(path)) if open < WAITING_PER_USER => {
                Agent { name, path }.identify(&question, &stranger, declared, unit, PATIENCE)
            }
            _ => return Ok(false),
        };
        if !self.tell_agent(turn, caller.uid, agent, asked) {
            return Ok(false);
        }
        self.identities.asked += 1;
        self.identities.open.push(Waiting {
            number,
            agent,
            uid: caller.uid,
            peer: caller.peer,
            until: turn.now.mono + PATIENCE,
            parked: vec![request.clone()],
        });
        Ok(true)
    }

    /// An agent said who a process is; none if the request is none of these.
    pub(super) fn identity_answered(
        &mut self,
        request: &Request,
        text: &str,
        answer: &wire::AgentAnswer,
    ) -> Option<Result<(), Error>> {
        let number = text.strip_prefix(self.requests.prefix())?.strip_prefix("-i")?;
        let number: u64 = number.parse().ok()?;
        let agent = request.client.caller.peer;
        let at = self.identities.open.iter().position(|waiting| waiting.number == number);
        let own = |at: &usize| self.identities.open.get(*at).is_some_and(|w| w.agent == agent);
        let Some(at) = at.filter(own) else {
            let known = number < self.identities.asked && request.client.caller.agent;
            let over = known && at.is_none();
            let (kind, why) = if over {
                (ErrorKind::TimedOut, "that is over: answered already, or too late")
            } else {
                (ErrorKind::InvalidArgument, "this connection was never asked that")
            };
            return Some(Err(Error::new(kind, why)));
        };
        let app = match known_app(answer) {
            Ok(app) => app,
            Err(error) => return Some(Err(error)),
        };
        let waiting = self.identities.open.remove(at);
        self.identified(waiting, app);
        Some(Ok(()))
    }

    /// Goes on with registrations that have waited long enough.
    pub(super) fn stop_waiting_for_identities(&mut self, now: Now, out: &mut Vec<Outgoing>) {
        for waiting in self.identities.expired(now.mono) {
            self.identified(waiting, None);
        }
        self.hear_identified(now, out);
    }

    /// What an agent's answer, or its silence, lets go on.
    pub(super) fn hear_identified(&mut self, now: Now, out: &mut Vec<Outgoing>) {
        for request in self.identities.take_ready() {
            self.heard(now, request, out);
        }
    }

    fn identified(&mut self, waiting: Waiting, app: Option<(Arc<str>, AppIdSource)>) {
        let Some(client) = self.peers.learn(waiting.peer, app, &self.permits) else { return };
        self.later.learn(&client);
        let parked = waiting.parked.into_iter();
        self.identities.ready.extend(parked.map(|r| Request { client: client.clone(), ..r }));
    }
}

/// The app that an agent named, if it knows more than what the app says itself.
fn known_app(answer: &wire::AgentAnswer) -> Result<Option<(Arc<str>, AppIdSource)>, Error> {
    let source = match &answer.source {
        Some(words::AppIdSource::Sandbox) => AppIdSource::Sandbox,
        Some(words::AppIdSource::Unit) => AppIdSource::Unit,
        Some(words::AppIdSource::Declared | words::AppIdSource::Other(_)) | None => {
            return Ok(None);
        }
    };
    match answer.app_id.as_deref().filter(|_| answer.error.is_none()) {
        None => Ok(None),
        Some(app) if limits::is_app_id(app) => Ok(Some((app.into(), source))),
        Some(_) => Err(Error::invalid_argument("`app-id` is no app id")),
    }
}
