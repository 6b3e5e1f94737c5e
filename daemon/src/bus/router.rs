//! The router: one message in, the messages that follow from it out, in wire order.
//!
//! Owns the core and everything that ties it to connections: who is heard, and what each kind of message is.
//! What follows from one is in [`super::turn`]. Never waits for anything.

use callarbiter_core::{
    Arbiter, Caller, Input, Millis, Now, Peer, ProviderId, Settings, Time, TransactionId, Uid,
};
use callarbiter_dbus::{limits, names};
use callarbiter_wire::{Kind, Outgoing, Received};
use thiserror::Error as ThisError;
use tracing::debug;
use uuid::Uuid;
use zbus::{OwnedObjectPath, message::Type, names::OwnedUniqueName};

use super::{
    admission,
    debts::{Credit, Debts},
    delegate::Requests,
    fault,
    identities::Identities,
    journal::Journal,
    kept::Kept,
    later::{Later, Order},
    peers::{Access, Admission, Client, Identified, Parked, Peers},
    permission::{Answered, Permissions},
    permits::{Granted, Permits},
    presets::Presets,
    rates::Rates,
    request::{Request, error_reply},
    ringtones::{self, Ringtones},
    saved::Continuity,
    subscribers::Subscribers,
    tape::Tape,
    turn::Turn,
    waits::Waits,
};
use crate::logind::{self, Logind};

const BUS: &str = "org.freedesktop.DBus";

/// How long a subscriber that does not read is left alone before it is told that it missed something.
const TELL_AGAIN: Millis = Millis::secs(1);

/// Why the daemon cannot go on.
#[derive(Debug, ThisError)]
pub enum Fatal {
    /// Somebody else answers under our name now, or nobody.
    #[error("the bus took the name {} away", names::BUS_NAME)]
    NameLost,
}

/// The arbiter between its connections.
pub struct Router {
    pub(super) arbiter: Arbiter,
    pub(super) peers: Peers,
    pub(super) subscribers: Subscribers,
    pub(super) debts: Debts,
    pub(super) rates: Rates,
    pub(super) waits: Waits,
    pub(super) requests: Requests,
    /// The state, from its beginning to its loss.
    pub(super) epoch: String,
    /// Where each provider is asked.
    pub(super) delegates: Kept<(Uid, ProviderId), OwnedObjectPath>,
    pub(super) ringtones: Ringtones,
    /// Where each agent is asked.
    pub(super) agents: Kept<Peer, OwnedObjectPath>,
    pub(super) identities: Identities,
    pub(super) presets: Presets,
    pub(super) later: Later,
    /// Who asked for a transaction: it hears of its end without a subscription.
    pub(super) requesters: Kept<(Uid, TransactionId), Peer>,
    pub(super) continuity: Continuity,
    pub(super) machine_id: Option<String>,
    pub(super) permits: Permits,
    /// Where polkit says what those behind a wall may; nobody does on a bus of one user.
    permissions: Option<Permissions>,
    /// Who is in front of the machine; nobody says so on a bus of one user.
    pub(super) logind: Option<Logind>,
    /// Subscribers to be told to resynchronise, and when.
    resyncs: Vec<(Time, Uid, Peer)>,
    /// Whoever writes down what happens to a user's calls.
    pub(super) tapes: Vec<Tape>,
    pub(super) journal: Journal,
}

impl Router {
    /// An arbiter without calls.
    pub fn new(
        settings: Settings,
        access: Access,
        permissions: Option<Permissions>,
        machine_id: Option<String>,
    ) -> Self {
        Router {
            arbiter: Arbiter::new(settings),
            peers: Peers::default(),
            subscribers: Subscribers::default(),
            debts: Debts::default(),
            rates: Rates::default(),
            waits: Waits::default(),
            requests: Requests::new(),
            epoch: Uuid::new_v4().to_string(),
            delegates: Kept::default(),
            ringtones: Ringtones::default(),
            agents: Kept::default(),
            identities: Identities::default(),
            presets: Presets::default(),
            later: Later::default(),
            requesters: Kept::default(),
            continuity: Continuity::default(),
            machine_id,
            permits: Permits::new(access),
            permissions,
            logind: None,
            resyncs: Vec::new(),
            tapes: Vec::new(),
            journal: Journal::default(),
        }
    }

    /// The same, which notes what happens here.
    pub fn noting_in(self, journal: Journal) -> Self {
        Router { journal, ..self }
    }

    /// One message from the bus.
    pub fn receive(
        &mut self,
        now: Now,
        message: &Received,
        out: &mut Vec<Outgoing>,
    ) -> Result<(), Fatal> {
        match message.kind() {
            Kind::Call => self.called(now, message, out),
            Kind::Signal => return self.signalled(now, message, out),
            Kind::Return | Kind::Error => self.answered(now, message, out),
            Kind::Unknown => {}
        }
        Ok(())
    }

    /// A deadline may have passed.
    pub fn tick(&mut self, now: Now, out: &mut Vec<Outgoing>) {
        let late = self.permissions.as_mut().map(|permissions| permissions.expired(now.mono));
        for name in late.unwrap_or_default() {
            self.let_in(now, &name, Granted::default(), out);
        }
        self.stop_waiting_for_identities(now, out);
        self.stop_waiting_for_presets(now, out);
        self.hear_logind(now, out, |logind| logind.expired(now.mono));
        let mut turn = Turn::new(now);
        for (to, reply) in self.waits.expired(now.mono) {
            self.send(now, to.uid, to.peer, reply, &mut turn.replies);
        }
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.resyncs).into_iter().partition(|(at, ..)| *at <= now.mono);
        self.resyncs = later;
        for (_, uid, peer) in due {
            if self.subscribers.is_suspended(uid, peer) {
                self.resync(now, uid, peer, &mut turn.rest);
            }
        }
        if self.arbiter.next_deadline().is_some_and(|(at, _)| at <= now.mono) {
            self.tell(&mut turn, Input::Tick);
        }
        self.finish(turn, out);
    }

    /// The next time at which [`Router::tick`] has something to do.
    pub fn next_deadline(&self) -> Option<Time> {
        let core = self.arbiter.next_deadline().map(|(at, _)| at);
        let resyncs = self.resyncs.iter().map(|(at, ..)| *at).min();
        let permissions = self.permissions.as_ref().and_then(Permissions::next_deadline);
        let logind = self.logind.as_ref().and_then(Logind::next_deadline);
        let identities = self.identities.next_deadline();
        let presets = self.presets.next_deadline();
        let waits = self.waits.next_deadline();
        let own = [core, waits, resyncs];
        own.into_iter().chain([permissions, logind, identities, presets]).flatten().min()
    }

    /// New rules; calls are not touched. What apps behind walls may do counts at once, which units act for the session
    /// for connections from now on.
    pub fn configure(
        &mut self,
        now: Now,
        settings: Settings,
        access: Access,
        out: &mut Vec<Outgoing>,
    ) {
        self.permits.access = access;
        let mut turn = Turn::new(now);
        self.tell(&mut turn, Input::Settings(Box::new(settings)));
        self.judge_again(&mut turn);
        self.finish(turn, out);
    }

    fn called(&mut self, now: Now, message: &Received, out: &mut Vec<Outgoing>) {
        let sender = message.sender();
        // Nobody whom a bus knows: no reply would find them.
        if sender.is_empty() || sender == BUS {
            return;
        }
        let arguments = message.arguments_length();
        let before = message.length() - arguments;
        if arguments > limits::BODY_BYTES || before > admission::HEADER_BYTES {
            let error = fault::limit(format!(
                "a message has at most {} bytes of arguments and {} before them, this one has \
                 {arguments} and {before}",
                limits::BODY_BYTES,
                admission::HEADER_BYTES,
            ));
            self.refuse(now, sender, error_reply(message, &error), out);
            return;
        }
        let files = message.files_counted();
        if files > 0 && !(files == 1 && ringtones::travel_with(message.member())) {
            self.refuse(now, sender, error_reply(message, &fault::file_descriptors()), out);
            return;
        }
        let parked = Parked::Call(message.clone());
        match self.peers.admit(sender, parked) {
            Admission::Known(client) => {
                self.asked(now, Request { message: message.clone(), client }, out);
            }
            Admission::Parked(question) => out.extend(question.map(Outgoing::from)),
            Admission::Refused => {
                let error = fault::limit(
                    "too many calls wait for the bus to say whose they are; wait for replies",
                );
                out.extend(error_reply(message, &error));
            }
        }
    }

    /// A refusal waits like a call until its receiver, who pays for it, is identified.
    fn refuse(
        &mut self,
        now: Now,
        sender: &str,
        refusal: Option<Outgoing>,
        out: &mut Vec<Outgoing>,
    ) {
        let Some(refusal) = refusal else { return };
        match self.peers.admit(sender, Parked::Refusal(refusal.clone())) {
            Admission::Known(client) => self.send_refusal(now, &client, refusal, out),
            Admission::Parked(question) => out.extend(question.map(Outgoing::from)),
            Admission::Refused => debug!("a connection floods before it is identified"),
        }
    }

    fn send_refusal(
        &mut self,
        now: Now,
        client: &Client,
        refusal: Outgoing,
        out: &mut Vec<Outgoing>,
    ) {
        let Caller { uid, peer, .. } = client.caller;
        if self.debts.credit(now.mono, uid, peer, 0) != Credit::None {
            self.send(now, uid, peer, refusal, out);
        }
    }

    /// An identified connection is heard: first what it sent while it was not.
    fn let_in(
        &mut self,
        now: Now,
        name: &OwnedUniqueName,
        granted: Granted,
        out: &mut Vec<Outgoing>,
    ) {
        let Some((client, parked)) = self.peers.let_in(name, granted, &self.permits) else {
            return;
        };
        for parked in parked {
            match parked {
                Parked::Call(message) => {
                    self.asked(now, Request { message, client: client.clone() }, out);
                }
                Parked::Refusal(refusal) => self.send_refusal(now, &client, refusal, out),
            }
        }
    }

    /// Puts one large view together, and hears what waited behind it. For when nobody waits for anything smaller, and
    /// now and then all the same.
    pub fn hear_later(&mut self, now: Now, out: &mut Vec<Outgoing>) {
        let mut next = self.later.next();
        while let Some(request) = next {
            self.heard(now, request, out);
            next = self.later.next_small();
        }
    }

    /// Whether [`Router::hear_later`] has something to do.
    pub fn hears_later(&self) -> bool {
        self.later.waits()
    }

    /// A call of an identified connection, which may have to wait for a moment at which nobody else does.
    fn asked(&mut self, now: Now, request: Request, out: &mut Vec<Outgoing>) {
        match self.later.order(request) {
            Order::Now(request) => self.heard(now, request, out),
            Order::Later => {}
            Order::Refused(request) => {
                let error = fault::limit(
                    "too many calls of this user wait for snapshots; wait for one before the next",
                );
                if let Some(refusal) = error_reply(&request.message, &error) {
                    self.send_refusal(now, &request.client, refusal, out);
                }
            }
        }
    }

    /// A call of an identified connection.
    pub(super) fn heard(&mut self, now: Now, request: Request, out: &mut Vec<Outgoing>) {
        let mut turn = Turn::new(now);
        let Caller { uid, peer, .. } = request.client.caller;
        let reply = match self.debts.credit(now.mono, uid, peer, 0) {
            Credit::Good => {
                let answer = self.dispatch(&mut turn, &request);
                let reply = answer.unwrap_or_else(|error| request.error(&error));
                let large = |reply: &Outgoing| reply.length() > admission::SMALL_REPLY_BYTES;
                match reply {
                    Some(view) if large(&view) && !self.affords(now, uid, peer, &view) => {
                        request.error(&fault::unread())
                    }
                    reply => reply,
                }
            }
            Credit::Spent => request.error(&fault::unread()),
            Credit::None => {
                debug!(uid = uid.0, "a connection that does not read gets no more replies");
                return;
            }
        };
        if let Some(reply) = reply {
            self.send(now, uid, peer, reply, &mut turn.replies);
        }
        self.finish(turn, out);
        self.hear_identified(now, out);
    }

    /// Whether there is a polkit to be asked.
    pub(super) fn has_polkit(&self) -> bool {
        self.permissions.is_some()
    }

    pub(super) fn resync_later(&mut self, now: Now, uid: Uid, peer: Peer) {
        self.resyncs.push((now.mono + TELL_AGAIN, uid, peer));
    }

    fn signalled(
        &mut self,
        now: Now,
        message: &Received,
        out: &mut Vec<Outgoing>,
    ) -> Result<(), Fatal> {
        if message.sender() != BUS {
            if let Ok(message) = message.whole() {
                let allowed = self.arbiter.settings().deadlines.suspend;
                self.hear_logind(now, out, |logind| logind.signalled(now.mono, &message, allowed));
            }
            return Ok(());
        }
        match (message.member(), message.signature()) {
            ("NameOwnerChanged", "sss") => {
                let change: Option<(String, String, String)> = message.arguments();
                let Some((name, _, owner)) = change else { return Ok(()) };
                if name.starts_with(':') && owner.is_empty() {
                    self.left(now, &name, out);
                } else if name == logind::NAME {
                    self.hear_logind(now, out, |logind| logind.owned_by(now.mono, &owner));
                }
            }
            ("NameLost", "s") => {
                let lost: Option<(String,)> = message.arguments();
                if lost.is_some_and(|(name,)| name == names::BUS_NAME) {
                    return Err(Fatal::NameLost);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn left(&mut self, now: Now, name: &str, out: &mut Vec<Outgoing>) {
        if let Some(permissions) = &mut self.permissions {
            permissions.left(name);
        }
        let Some(peer) = self.forget(name) else { return };
        let mut turn = Turn::new(now);
        self.tell(&mut turn, Input::PeerLost { peer });
        self.finish(turn, out);
    }

    /// A connection is gone; the core still has to hear of it.
    pub(super) fn forget(&mut self, name: &str) -> Option<Peer> {
        let client = self.peers.left(name)?;
        let (uid, peer) = (client.caller.uid, client.caller.peer);
        self.subscribers.left(uid, peer);
        self.waits.left(peer);
        self.requesters.remove_where(|requester| *requester == peer);
        self.agents.remove(&peer);
        self.identities.left(peer);
        self.presets.left(peer);
        self.debts.left(uid, peer);
        self.later.left(uid, peer);
        self.tapes.retain(|tape| !tape.is_of(peer));
        self.resyncs.retain(|(_, _, asked)| *asked != peer);
        Some(peer)
    }

    /// A reply or an error to something that we sent: an identity, polkit's decision, a subscriber's word
    /// that it has read everything, or the bus's that it could not deliver a signal.
    fn answered(&mut self, now: Now, message: &Received, out: &mut Vec<Outgoing>) {
        let Some(serial) = message.reply_to() else { return };
        let sender = message.sender();
        let from_bus = sender == BUS;
        if let Some((uid, peer)) = self.debts.question(serial) {
            let from_it = self.peers.name(peer).is_some_and(|name| name.as_str() == sender);
            if from_it {
                let rest = self.debts.answered(serial);
                self.subscribers.read(uid, peer, rest);
            } else if from_bus {
                // Its queue is full: the question was lost as well.
                self.debts.question_lost(serial);
            }
            return;
        }
        let Ok(message) = &message.whole() else { return };
        if let Some(permissions) = &mut self.permissions
            && let Some(answered) = permissions.answered(serial, message)
        {
            match answered {
                Answered::More(question) => out.push(question.into()),
                Answered::Decided(decision) => {
                    out.extend(permissions.next_question().map(Outgoing::from));
                    self.let_in(now, &decision.name, decision.granted, out);
                }
            }
            return;
        }
        if self.preset_answered(now, serial, message, out) {
            return;
        }
        let mut to_logind = false;
        self.hear_logind(now, out, |logind| {
            to_logind = logind.answered(now.mono, serial, message);
        });
        if to_logind || !from_bus {
            return;
        }
        if let Some(identified) = self.peers.answered(serial, message, &self.permits) {
            match (identified, &mut self.permissions) {
                (Identified::Walled(name, app), Some(permissions)) => {
                    permissions.ask(now.mono, name, app);
                    out.extend(permissions.next_question().map(Outgoing::from));
                }
                (Identified::Walled(name, _) | Identified::Known(name), _) => {
                    self.let_in(now, &name, Granted::default(), out);
                }
                (Identified::Nobody, _) => {
                    debug!("a connection is gone, or the bus knows no user behind it");
                }
            }
        } else if message.message_type() == Type::Error
            && let Some((uid, peer)) = self.subscribers.undelivered(serial)
        {
            debug!(uid = uid.0, "the bus dropped a signal to a subscriber that does not read");
            self.resync_later(now, uid, peer);
        }
    }
}
