//! The arbiter was away, and is back with all that it had.
//!
//! Owns what is asked first: apps that are still there say where their calls stand before anything else is asked
//! of them. Their word about the media wins; what the user wanted, and what is still open after that word, is
//! asked again under its old number.

use uuid::Uuid;

use crate::{
    Ask, Call, CallId, CallState, Cause, Claim, Direction, Domain, EndReason, Happening, HeldBy,
    Millis, Peer, ProviderId, RequestId, Time, timers::Due,
};

/// Whatever was open while the arbiter was away has at least this long from then on.
pub(crate) const LEAST: Millis = Millis::secs(5);
/// Further away than any deadline is: what was saved may be damaged.
const MOST: Millis = Millis::secs(3600);

impl Domain {
    /// These connections are gone; all others are still there.
    pub(crate) fn restarted(&mut self, lost: &[Peer], again: bool) {
        let there = |p: &crate::Provider| p.peer.is_some_and(|peer| !lost.contains(&peer));
        let there: Vec<ProviderId> =
            self.providers.values().filter(|p| there(p)).map(|p| p.id).collect();
        for id in &there {
            if let Some(provider) = self.providers.get_mut(id) {
                provider.restarted = true;
            }
        }
        for call in self.calls.keys().copied().collect::<Vec<_>>() {
            self.because(call, Cause::Restarted);
        }
        // A configuration that allows less meets what an older one let in.
        self.tombstones.shrink(self.settings.limits.tombstones);
        self.tokens.shrink(self.settings.limits.tokens);
        self.give_time(again);
        let open = self.errands.last_key_value().map(|(id, _)| *id);
        self.lose(lost);
        self.authorize_again();
        self.give_again(open);
        for id in there {
            self.ask_where_it_stands(id);
        }
    }

    /// What passed while nobody looked is not over before the apps had their chance. `again`: they had it.
    fn give_time(&mut self, again: bool) {
        let least = self.now.mono + LEAST.max(self.settings.deadlines.other);
        let most = self.now.mono + MOST;
        let moved = |(due, at): (Due, Time)| match due {
            // No rule makes such a one.
            _ if at > most => Some((due, most)),
            // Those wait for the app's word, or for nothing.
            Due::Request(_)
            | Due::Forget(_)
            | Due::Errand(_)
            | Due::Records
            | Due::AutoAnswer(_) => None,
            _ if at < least && !again => Some((due, least)),
            _ => None,
        };
        let moved: Vec<(Due, Time)> = self.timers.all().filter_map(moved).collect();
        for (due, at) in moved {
            if let Due::Ring(id) = due {
                let wall = self.now.wall_at(at);
                if let Some(call) = self.call_mut(id) {
                    call.ring_deadline = Some(at);
                    call.ring_deadline_wall = wall;
                }
            }
            self.timers.arm(due, at);
        }
    }

    fn ask_where_it_stands(&mut self, id: ProviderId) {
        let calls: Vec<_> = self.calls_of(id).map(|c| (c.uuid, c.state)).collect();
        let asked = self.providers.get(&id).and_then(|p| p.reconciling);
        let asked = asked.filter(|request| self.requests.contains_key(request));
        if let Some(request) = asked {
            if let Some(request) = self.requests.get_mut(&request) {
                request.ask = Ask::Reconcile { calls };
            }
            return self.send(request);
        }
        if calls.is_empty() {
            return self.ask_what_is_open(id);
        }
        let request = self.ask_aside(id, Ask::Reconcile { calls });
        if let Some(provider) = self.providers.get_mut(&id) {
            provider.reconciling = Some(request);
        }
    }

    /// The app has not said where its calls stand: what it is asked waits until then, and a little longer.
    pub(crate) fn waits_for_its_word(&self, id: RequestId) -> Option<Time> {
        let request = self.requests.get(&id)?;
        let provider = self.providers.get(&request.provider).filter(|p| p.restarted)?;
        let first = provider.reconciling.filter(|first| *first != id)?;
        self.timers.at(Due::Request(first)).map(|at| at + LEAST)
    }

    /// It would not say, or not in time: it is taken to be where it was.
    pub(crate) fn stands_unsaid(&mut self, id: ProviderId) {
        if self.providers.get(&id).is_some_and(|p| p.restarted) {
            self.ask_what_is_open(id);
        }
    }

    /// Everything that this app was asked, or would have been, and what it has.
    pub(crate) fn ask_what_is_open(&mut self, id: ProviderId) {
        let Some(provider) = self.providers.get_mut(&id) else { return };
        provider.restarted = false;
        let first = |call: &Call, request| call.requests.first() == Some(request);
        let open = self.requests.iter().filter(|(request, r)| {
            let call = r.call.and_then(|c| self.calls.get(&c));
            r.provider == id && call.is_none_or(|c| first(c, request))
        });
        for request in open.map(|(request, _)| *request).collect::<Vec<_>>() {
            self.send(request);
        }
        self.assert_audio(id);
    }

    /// The app said where its calls stand now: of those that it was asked about, what that means. Calls with the
    /// microphone come last, because those on hold may make room for them.
    pub(crate) fn stands(&mut self, id: ProviderId, asked: &[(Uuid, CallState)], claims: &[Claim]) {
        let known = |d: &Domain, call: &CallId| {
            let call = d.calls.get(call).filter(|c| !c.orphaned)?;
            asked.iter().any(|(uuid, _)| *uuid == call.uuid).then_some(call.uuid)
        };
        let mut active = Vec::new();
        for call in self.call_ids_of(id) {
            let Some(uuid) = known(self, &call) else { continue };
            let has = |c: &&Claim| c.uuid == uuid && c.state != CallState::Ended;
            match claims.iter().find(has).map(|claim| claim.state) {
                Some(CallState::Active) => active.push(call),
                Some(stated) => self.stands_as(call, stated),
                None => self.is_not_there(call),
            }
        }
        for call in active {
            self.stands_as(call, CallState::Active);
        }
    }

    /// Its app does not have this call.
    fn is_not_there(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        // It may never have heard of it: it is asked again.
        if matches!(call.state, CallState::Launching | CallState::Starting) {
            return;
        }
        let reason = call.ending.unwrap_or(EndReason::ProviderLost);
        self.end_call(id, reason, "its app does not have it any more");
    }

    /// Its app says that this call is so now, which it may have become unheard.
    fn stands_as(&mut self, id: CallId, stated: CallState) {
        use CallState::*;
        let Some(call) = self.calls.get(&id) else { return };
        let (was, provider) = (call.state, call.provider);
        let stated = match (stated, call.direction) {
            (Screening, _) => Ringing,
            (Launching | Starting, Direction::Outgoing) if was == Starting => Starting,
            (Launching | Starting, Direction::Outgoing) => Dialing,
            (Answering | Launching | Starting | Dialing | Alerting, Direction::Incoming) => {
                Connecting
            }
            (Answering, Direction::Outgoing) => Connecting,
            (stated, _) => stated,
        };
        match (was, stated) {
            // What was asked of it is still open, and asked again.
            (Ending, _) | (Answering, Ringing | Connecting) | (Screening, Ringing) => return,
            _ if was == stated => return,
            _ => {}
        }
        self.log(provider, Some(id), Happening::Differs { ours: was, theirs: stated });
        match (was, stated) {
            (_, Ringing | Ending) => {
                self.end_and_tell(id, EndReason::Failed, "its app lost track of it");
            }
            (Starting, Held) => {
                // Placed, answered and put on hold, all of it unheard.
                if self.fact(id, Connecting).is_ok() {
                    self.became_held(id, HeldBy::USER, "held at its app");
                }
            }
            (Dialing | Alerting | Connecting | Active | Held, Dialing | Alerting | Connecting) => {
                self.transition(id, stated, "its app says so");
                if self.focus.is_none() {
                    self.focus_on_call(id);
                }
            }
            _ => {
                // What makes no sense as a report makes none here.
                let _ = self.fact(id, stated);
            }
        }
    }
}
