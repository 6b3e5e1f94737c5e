//! The arbiter: all domains, and what is shared between them: seats, sleep, the next deadline.
//!
//! Owns the way of an input to its domain. Rules about calls are the domain's.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Authorization, CallId, Caller, Decider, Domain, Due, Effect, Input, Now, Peer, Phase,
    PlannedStep, ProviderId, Refusal, RequestId, Requested, Result, Settings, Time, TransactionId,
    Uid, kept::Whole,
};

/// What an accepted input gives back to its sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Nothing to say.
    Done,
    /// The provider that was registered.
    Provider(ProviderId),
    /// The call that was reported.
    Call(CallId),
    /// The transaction that was accepted, and the call of its first `Start`, if there is one.
    Transaction(TransactionId, Option<(CallId, Uuid)>),
    /// An agent was asked, and [`Effect::AgentAnswered`] says what came of it.
    Asked(RequestId),
    /// The call that was reported is over already: its provider is refused, and whoever shows calls was told.
    Filtered(CallId, Refusal),
    /// The call that was reported is being looked at, and [`Effect::Screened`] says what came of it.
    Screening(CallId),
}

/// What users share.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shared {
    /// Who has each seat.
    pub seats: BTreeMap<Arc<str>, Option<Uid>>,
    pub suspended: bool,
}

/// The whole state.
#[derive(Debug, Default)]
pub struct Arbiter {
    pub(crate) domains: BTreeMap<Uid, Domain>,
    pub(crate) settings: Arc<Settings>,
    /// Whose domain a registered connection is in.
    pub(crate) peers: HashMap<Peer, Uid>,
    pub(crate) shared: Whole<Shared>,
    /// The first deadline of each domain.
    pub(crate) deadlines: BTreeSet<(Time, Uid)>,
    /// How many inputs there were.
    inputs: u64,
    /// This input is about all domains, so each looks again at who has the audio of its seats.
    about_all: bool,
    /// Not every domain has taken up its requests again, and none is given the audio of another before it has.
    taking_up: bool,
    /// Somebody writes the state down: changes are remembered until they are taken.
    pub(crate) saving: bool,
    /// Domains that may have changed since then.
    pub(crate) unsaved: Vec<Uid>,
    /// The arbiter's own record as it was written last.
    pub(crate) written: Vec<u8>,
    pub(crate) scratch: Vec<u8>,
}

impl Arbiter {
    /// An arbiter without calls.
    pub fn new(settings: Settings) -> Self {
        Arbiter { settings: Arc::new(settings), ..Arbiter::default() }
    }

    /// One input; its effects are added to `effects` in the order in which they must be carried out.
    /// What was due by `now` happens first, and a refusal means that the input itself changed nothing but
    /// what any word of a provider tells: that its app responds again, and, of one that is refused as too
    /// late (`TimedOut`), what became of a call that still lives.
    pub fn handle(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) -> Result<Reply> {
        self.inputs += 1;
        self.about_all = false;
        // What is due comes first, so that an answer after its deadline is late by any order of wake-ups.
        // Nobody could answer while the arbiter itself was away.
        if !matches!(input, Input::Restarted { .. }) {
            self.tick(now, effects);
        }
        match input {
            Input::Register { caller, registration } => {
                let reply =
                    self.turn(now, caller.uid, effects, |d| d.register(caller, registration));
                if reply.is_ok() {
                    self.peers.insert(caller.peer, caller.uid);
                }
                reply
            }
            Input::Provider { caller, provider, word } => {
                self.turn(now, caller.uid, effects, |d| d.word(caller, provider, word))
            }
            Input::Request { caller, actions, token } => {
                self.turn(now, caller.uid, effects, |d| d.accept(caller, actions, token))
            }
            Input::Cancel { caller, transaction } => self.turn(now, caller.uid, effects, |d| {
                d.cancel(caller, transaction).map(|()| Reply::Done)
            }),
            Input::TakeRoles { caller, roles } => {
                let reply = self.turn(now, caller.uid, effects, |d| d.take_roles(caller, &roles));
                if reply.is_ok() {
                    self.peers.insert(caller.peer, caller.uid);
                }
                reply
            }
            Input::SetDoNotDisturb { caller, mode, allow } => {
                self.turn(now, caller.uid, effects, |d| d.set_do_not_disturb(caller, mode, &allow))
            }
            Input::SetPreferences { caller, preferences } => {
                self.turn(now, caller.uid, effects, |d| d.set_preferences(caller, preferences))
            }
            Input::AgentReply { caller, request, answer } => {
                self.turn(now, caller.uid, effects, |d| d.agent_reply(caller, request, answer))
            }
            Input::SetEndpoints { caller, endpoints, current } => {
                self.turn(now, caller.uid, effects, |d| d.set_endpoints(caller, endpoints, current))
            }
            Input::SelectEndpoint { caller, endpoint } => {
                self.turn(now, caller.uid, effects, |d| d.select_endpoint(caller, endpoint))
            }
            Input::ReportViolation { caller, provider } => {
                self.turn(now, caller.uid, effects, |d| d.violation(caller, provider))
            }
            Input::SetAuthorization { caller, app, authorization } => {
                self.turn(now, caller.uid, effects, |d| {
                    d.set_authorization(caller, &app, authorization)
                })
            }
            Input::Restarted { lost, again } => {
                self.peers.retain(|peer, _| !lost.contains(peer));
                self.taking_up = true;
                self.everywhere(now, effects, |d| d.restarted(&lost, again));
                self.taking_up = false;
                self.open_gates(now, None, effects);
                Ok(Reply::Done)
            }
            Input::PeerLost { peer } => {
                if let Some(uid) = self.peers.remove(&peer) {
                    self.quietly(now, uid, effects, |d| d.lose(&[peer]));
                }
                Ok(Reply::Done)
            }
            Input::Seats { uid, seats } => {
                self.domain_mut(uid).desktop.get_mut().seats = seats;
                self.look_at_seats(now, effects);
                Ok(Reply::Done)
            }
            Input::Foreground { seat, uid } => {
                self.shared.get_mut().seats.insert(seat, uid);
                self.look_at_seats(now, effects);
                Ok(Reply::Done)
            }
            Input::Locked { uid, locked } => {
                self.quietly(now, uid, effects, |d| d.desktop.get_mut().locked = locked);
                Ok(Reply::Done)
            }
            Input::Suspend(suspended) => {
                self.shared.get_mut().suspended = suspended;
                self.everywhere(now, effects, |d| d.set_suspended(suspended));
                Ok(Reply::Done)
            }
            Input::Settings(settings) => {
                self.settings = Arc::from(settings);
                let settings = self.settings.clone();
                self.everywhere(now, effects, |d| {
                    d.settings = settings.clone();
                    d.authorize_again();
                });
                Ok(Reply::Done)
            }
            Input::Tick => Ok(Reply::Done),
            Input::ForgetCalls { caller, records } => {
                self.turn(now, caller.uid, effects, |d| d.forget_calls(caller, &records))
            }
        }
    }

    /// The same validation and plan as a request, nothing done.
    pub fn plan(&self, caller: Caller, actions: &[Requested]) -> Result<Vec<PlannedStep>> {
        let nothing;
        let domain = match self.domains.get(&caller.uid) {
            Some(domain) => domain,
            None => {
                nothing = Domain::new(caller.uid, self.settings.clone());
                &nothing
            }
        };
        domain.validate(caller, actions, true).map(|accepted| accepted.steps)
    }

    /// When to come back with [`Input::Tick`], and why.
    pub fn next_deadline(&self) -> Option<(Time, Due)> {
        let (_, uid) = self.deadlines.first()?;
        self.domains.get(uid)?.next_deadline()
    }

    /// What a domain looks like; none if it never had anything.
    pub fn domain(&self, uid: Uid) -> Option<&Domain> {
        self.domains.get(&uid)
    }

    /// Whether an app of a user may provide calls, and whose word that is; none: nobody has decided.
    pub fn authorized_by(&self, uid: Uid, app: &str) -> Option<(Authorization, Decider)> {
        match self.domains.get(&uid) {
            Some(domain) => domain.authorized_by(app),
            None => Domain::new(uid, self.settings.clone()).authorized_by(app),
        }
    }

    /// Every domain that ever had anything.
    pub fn domains(&self) -> impl Iterator<Item = &Domain> {
        self.domains.values()
    }

    /// Whether no call is being held any more, so that the machine may sleep.
    pub fn is_ready_to_sleep(&self) -> bool {
        self.domains().all(Domain::is_ready_to_sleep)
    }

    /// The connections that are registered, and whose domain each is in.
    pub fn connections(&self) -> impl Iterator<Item = (Peer, Uid)> {
        self.peers.iter().map(|(peer, uid)| (*peer, *uid))
    }

    /// The rules in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn domain_mut(&mut self, uid: Uid) -> &mut Domain {
        let (settings, suspended) = (&self.settings, self.shared.suspended);
        if self.saving && self.unsaved.last() != Some(&uid) {
            self.unsaved.push(uid);
        }
        self.domains.entry(uid).or_insert_with(|| {
            let mut domain = Domain::new(uid, settings.clone());
            domain.desktop.get_mut().suspended = suspended;
            domain
        })
    }

    /// One input of one domain.
    fn turn(
        &mut self,
        now: Now,
        uid: Uid,
        effects: &mut Vec<Effect>,
        input: impl FnOnce(&mut Domain) -> Result<Reply>,
    ) -> Result<Reply> {
        let (inputs, saving) = (self.inputs, self.saving);
        let domain = self.domain_mut(uid);
        let (before, silent) = (domain.next_deadline(), domain.audio.phase == Phase::Idle);
        domain.begin(now, inputs);
        let reply = input(domain);
        domain.drive();
        domain.keep_enforcing();
        domain.flush(effects);
        #[cfg(debug_assertions)]
        domain.verify();
        if !saving {
            domain.forget_unsaved();
        }
        let after = domain.next_deadline();
        let handed_over = silent != (domain.audio.phase == Phase::Idle);
        let seated = !domain.desktop.seats.is_empty();
        if before != after {
            if let Some((at, _)) = before {
                self.deadlines.remove(&(at, uid));
            }
            if let Some((at, _)) = after {
                self.deadlines.insert((at, uid));
            }
        }
        if seated && (handed_over || self.about_all) {
            self.open_gates(now, Some(uid), effects);
        }
        reply
    }

    fn quietly(
        &mut self,
        now: Now,
        uid: Uid,
        effects: &mut Vec<Effect>,
        input: impl FnOnce(&mut Domain),
    ) {
        let done = self.turn(now, uid, effects, |d| {
            input(d);
            Ok(Reply::Done)
        });
        debug_assert!(done.is_ok());
    }

    fn everywhere(
        &mut self,
        now: Now,
        effects: &mut Vec<Effect>,
        mut input: impl FnMut(&mut Domain),
    ) {
        self.about_all = true;
        for uid in self.domains.keys().copied().collect::<Vec<_>>() {
            self.quietly(now, uid, effects, &mut input);
        }
    }

    /// Everything whose time has come.
    fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some((at, uid)) =
            self.deadlines.first().copied().filter(|(at, _)| *at <= now.mono)
        {
            let mut due = None;
            self.quietly(now, uid, effects, |d| {
                due = d.timers.pop(now.mono);
                if let Some(due) = due {
                    d.passed(due);
                }
            });
            if due.is_none() {
                self.deadlines.remove(&(at, uid));
            }
        }
    }

    fn look_at_seats(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let has =
            |uid: Uid, seat: &Arc<str>| self.shared.seats.get(seat).copied().flatten() == Some(uid);
        let away = |d: &Domain| {
            !d.desktop.seats.is_empty() && !d.desktop.seats.iter().any(|s| has(d.uid, s))
        };
        let (leaving, coming): (Vec<&Domain>, Vec<&Domain>) =
            self.domains.values().partition(|d| away(d));
        let uids = |domains: Vec<&Domain>| domains.iter().map(|d| d.uid).collect::<Vec<_>>();
        let (leaving, coming) = (uids(leaving), uids(coming));
        self.about_all = true;
        // Who leaves releases before who comes is granted.
        for uid in leaving {
            self.quietly(now, uid, effects, |d| d.set_background(true));
        }
        for uid in coming {
            let gate = self.is_gated(uid);
            self.quietly(now, uid, effects, |d| {
                d.desktop.get_mut().audio_gate = gate;
                d.set_background(false);
            });
        }
    }

    /// Another domain of one of its seats has, or is giving back, the audio.
    fn is_gated(&self, uid: Uid) -> bool {
        let Some(domain) = self.domains.get(&uid) else { return false };
        self.domains.values().any(|other| {
            other.uid != uid
                && other.audio.phase != Phase::Idle
                && other.desktop.seats.iter().any(|s| domain.desktop.seats.contains(s))
        })
    }

    /// One domain of a seat moved, or all may have: others may be waiting for its audio.
    fn open_gates(&mut self, now: Now, moved: Option<Uid>, effects: &mut Vec<Effect>) {
        let others: Vec<Uid> = self
            .domains
            .values()
            .filter(|d| Some(d.uid) != moved && !d.desktop.seats.is_empty())
            .map(|d| d.uid)
            .collect();
        for uid in others {
            let gate = self.is_gated(uid);
            let waits = self.taking_up && !gate;
            if waits || self.domains.get(&uid).is_none_or(|d| d.desktop.audio_gate == gate) {
                continue;
            }
            self.domain_mut(uid).desktop.get_mut().audio_gate = gate;
            if !gate {
                self.quietly(now, uid, effects, |_| {});
            }
        }
    }
}

impl Domain {
    fn passed(&mut self, due: Due) {
        match due {
            Due::Request(id) => self.request_timed_out(id),
            Due::Ring(id) => self.ring_timed_out(id),
            Due::Progress(id) => self.no_progress(id),
            Due::Grace(id) => self.grace_over(id),
            Due::Forget(id) => self.forget_transaction(id),
            Due::Errand(id) => self.errand_timed_out(id),
            Due::AutoAnswer(id) => self.answer_itself(id),
            Due::Records => self.offer_records(),
        }
    }
}
