//! A turn: what one message or deadline causes, carried out as the core ordered it.
//!
//! Owns the order on the wire: the reply, then what is asked of providers and told to subscribers, then the
//! replies of those who waited for the outcome: they know the new state when they hear of it. Which effects
//! there are, the core decides.

use callarbiter_core::{Effect, Input, Millis, Now, Object, Peer, ProviderId, Reply, Role, Uid};
use callarbiter_dbus::{Error, names};
use callarbiter_wire::Outgoing;
use tracing::error;
use zbus::Message;

use super::{delegate::Delegate, fault, router::Router};

/// What one message or deadline causes.
pub struct Turn {
    pub(super) now: Now,
    pub(super) effects: Vec<Effect>,
    pub(super) replies: Vec<Outgoing>,
    pub(super) rest: Vec<Outgoing>,
    freed: Vec<Outgoing>,
}

impl Turn {
    pub(super) fn new(now: Now) -> Self {
        let (replies, rest, freed) = (Vec::new(), Vec::new(), Vec::new());
        Turn { now, effects: Vec::new(), replies, rest, freed }
    }
}

impl Router {
    /// One input of the core.
    pub(super) fn input(&mut self, turn: &mut Turn, input: Input) -> Result<Reply, Error> {
        let reply = match self.tapes.is_empty() {
            true => self.arbiter.handle(turn.now, input, &mut turn.effects),
            false => self.recorded(turn, input),
        };
        reply.map_err(|refusal| fault::refused(&refusal))
    }

    /// One input to which nobody waits for an answer.
    pub(super) fn tell(&mut self, turn: &mut Turn, input: Input) {
        if let Err(refusal) = self.input(turn, input) {
            error!(?refusal, "the core refused a fact");
        }
    }

    /// Carries out what the core decided, before its next input: it still knows what it removed.
    pub(super) fn finish(&mut self, mut turn: Turn, out: &mut Vec<Outgoing>) {
        for effect in std::mem::take(&mut turn.effects) {
            self.carry_out(&mut turn, effect);
        }
        out.append(&mut turn.replies);
        out.append(&mut turn.rest);
        out.append(&mut turn.freed);
        self.let_sleep();
    }

    fn carry_out(&mut self, turn: &mut Turn, effect: Effect) {
        match effect {
            Effect::Publish { uid, revision, change } => {
                self.publish(turn.now, uid, revision, &change, &mut turn.rest);
                if let callarbiter_core::Change::Removed(Object::Provider(id)) = change {
                    self.delegates.remove(&(uid, id));
                    self.ringtones.forget((uid, id));
                }
            }
            Effect::Finished { uid, transaction: id } => {
                let transaction = self.arbiter.domain(uid).and_then(|d| d.transaction(id));
                for (to, reply) in self.waits.finished(uid, id, transaction) {
                    self.send(turn.now, to.uid, to.peer, reply, &mut turn.freed);
                }
            }
            Effect::Ask { uid, peer, provider, request, ask, deadline_ms, origin } => {
                let request = self.requests.text(request);
                if let Some(delegate) = self.delegate(uid, provider, peer) {
                    let asked = delegate.ask(&request, &ask, Millis(deadline_ms), origin);
                    self.tell_provider(turn, uid, peer, asked);
                }
            }
            Effect::AskAgent { uid, peer, request, ask, deadline_ms } => {
                let request = self.requests.text(request);
                self.ask_agent(turn, uid, peer, &request, &ask, Millis(deadline_ms));
            }
            Effect::AgentAnswered { uid, request, outcome } => {
                for (to, reply) in self.waits.agent_answered(uid, request, &outcome) {
                    self.send(turn.now, to.uid, to.peer, reply, &mut turn.freed);
                }
            }
            Effect::Screened { uid, call, outcome } => {
                for (to, reply) in self.waits.screened(uid, call, &outcome) {
                    self.send(turn.now, to.uid, to.peer, reply, &mut turn.freed);
                }
            }
            Effect::TimedOut { uid, peer, provider, request, uuid, action } => {
                let request = self.requests.text(request);
                if let Some(delegate) = self.delegate(uid, provider, peer) {
                    let told = delegate.timed_out(&request, uuid, action);
                    self.tell_provider(turn, uid, peer, told);
                }
            }
            Effect::AuthorizationSet { uid, peer, provider, authorization } => {
                if let Some(delegate) = self.delegate(uid, provider, peer) {
                    let told = delegate.authorization(authorization);
                    self.tell_provider(turn, uid, peer, told);
                }
            }
            Effect::RoleLost { peer, role, .. } => {
                let signal = self.about_role(peer, "RoleLost", role);
                turn.rest.extend(signal.and_then(built));
            }
            Effect::RoleFree { uid, role } => {
                // Of those without a role the core knows nothing after a restart.
                let user = |peer| self.peers.client(peer).map(|client| client.caller.uid);
                let is_its = |peer: &Peer| user(*peer) == Some(uid);
                let agents: Vec<Peer> = self.agents.keys().copied().filter(is_its).collect();
                for peer in agents {
                    if let Some(signal) = self.about_role(peer, "RoleFree", role) {
                        self.tell_agent(turn, uid, peer, signal);
                    }
                }
            }
            Effect::Logged(event) => self.journal.note(turn.now, event),
        }
    }

    fn about_role(&self, peer: Peer, word: &str, role: Role) -> Option<zbus::Result<Outgoing>> {
        let name = self.peers.name(peer)?;
        let signal = Message::signal(names::ROOT_PATH, names::MANAGER, word);
        Some(signal.destination(name.as_ref()).build(&role.name()).map(Outgoing::from))
    }

    /// Where a provider is asked; none if it has left, which the core hears of in its order.
    pub(super) fn delegate(
        &self,
        uid: Uid,
        provider: ProviderId,
        peer: Peer,
    ) -> Option<Delegate<'_>> {
        let name = self.peers.name(peer)?;
        let path = self.delegates.get(&(uid, provider))?;
        Some(Delegate { name, path })
    }

    /// One that does not read is not asked: it would not answer either, and its deadline says so.
    fn tell_provider(
        &mut self,
        turn: &mut Turn,
        uid: Uid,
        peer: Peer,
        message: zbus::Result<Outgoing>,
    ) {
        if let Some(message) = built(message)
            && self.affords(turn.now, uid, peer, &message)
        {
            self.send(turn.now, uid, peer, message, &mut turn.rest);
        }
    }
}

/// What cannot be built is a bug, and no reason to stop.
pub(super) fn built<M>(message: zbus::Result<M>) -> Option<M> {
    message.inspect_err(|reason| error!(%reason, "a message could not be built")).ok()
}
