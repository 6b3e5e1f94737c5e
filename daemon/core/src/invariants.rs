//! What must be true after every input. Compiled into debug builds and tests; a failure is a bug.
//!
//! Owns the invariants of one domain that can be seen in its state. Those about time and restarts are
//! shown by the tests' random histories.

use crate::{CallState, Domain, HeldBy, Limits, Phase, index::Index, lane::Job, request::Waiter};

impl Domain {
    /// Panics where the state contradicts itself.
    pub(crate) fn verify(&self) {
        self.verify_calls();
        self.verify_groups();
        self.verify_audio();
        self.verify_requests();
        self.verify_transactions();
        self.verify_rest();
        self.verify_bounds();
        assert_eq!(self.index, Index::of(self), "the index is not what the maps say");
    }

    fn verify_calls(&self) {
        for call in self.calls.values() {
            assert!(call.state != CallState::Ended, "an ended call lives");
            assert!(self.by_uuid.contains(&(call.uuid, call.id)), "a call without its UUID");
            let provider = self.providers.get(&call.provider);
            assert!(provider.is_some(), "a call without its provider");
            let gone = provider.is_some_and(|p| p.peer.is_none());
            assert!(!gone || call.orphaned, "a call of a lost provider is not orphaned");
            let held = call.state == CallState::Held;
            assert_eq!(held, !call.held_by.is_empty(), "held by nobody, or not held at all");
            let grouped = call.state.is_eligible() || call.state == CallState::Held;
            assert!(!grouped || call.group.is_some(), "a call without its group");
            let alone = matches!(
                call.state,
                CallState::Screening
                    | CallState::Ringing
                    | CallState::Answering
                    | CallState::Launching
                    | CallState::Starting
            );
            assert!(!alone || call.group.is_none(), "a group before it is connected");
            let waits = match call.state {
                CallState::Ringing => self.timers.at(crate::Due::Ring(call.id)).is_some(),
                s if s.is_dialing() => self.timers.at(crate::Due::Progress(call.id)).is_some(),
                CallState::Ending => !call.requests.is_empty(),
                _ => true,
            };
            assert!(waits, "a call waits for ever in {:?}", call.state);
            assert!(
                !call.orphaned || self.timers.at(crate::Due::Grace(call.provider)).is_some(),
                "an orphan for ever"
            );
        }
        assert_eq!(self.by_uuid.len(), self.calls.len());
    }

    fn verify_groups(&self) {
        for group in self.groups.values() {
            for id in &group.calls {
                let call = self.calls.get(id);
                assert!(call.is_some_and(|c| c.group == Some(group.id)), "a member is elsewhere");
                assert!(call.is_some_and(|c| c.provider == group.provider), "a mixed group");
            }
            assert!(
                !group.audio || self.audio.holder == Some(group.id),
                "audio without holding it"
            );
        }
        let focus = self.focus.and_then(|g| self.groups.get(&g));
        assert!(self.focus.is_none() || focus.is_some_and(|g| !g.calls.is_empty()), "empty focus");
    }

    fn verify_audio(&self) {
        let audio = &self.audio;
        assert_eq!(audio.holder.is_none(), audio.phase == Phase::Idle);
        assert!(audio.phase != Phase::Releasing || self.audio_request.is_some());
        if let (Some(holder), Phase::Granted | Phase::Granting) = (audio.holder, audio.phase) {
            assert_eq!(self.focus, Some(holder), "the holder is not the focus");
            let eligible = self.members(holder).any(|c| c.state.is_eligible() && !c.orphaned);
            assert!(eligible, "a holder that may not have it");
        }
        let open = self.lane.running.is_some() || self.audio_gate || self.background;
        let focus = self.focus.filter(|_| !open && audio.phase != Phase::Releasing);
        if let Some(focus) = focus
            && self.members(focus).any(|c| c.state == CallState::Active && !c.orphaned)
        {
            assert_eq!(audio.holder, Some(focus), "an active focus without audio");
        }
    }

    fn verify_requests(&self) {
        for (id, request) in &self.requests {
            let call = request.call.map(|c| self.calls.get(&c));
            assert!(call.is_none_or(|c| c.is_some_and(|c| c.requests.contains(id))));
            let endless = matches!(request.ask, crate::Ask::Start { .. })
                && call.flatten().is_some_and(|c| c.emergency);
            let armed = self.timers.at(crate::Due::Request(*id)).is_some();
            assert!(!request.sent || armed || endless, "a request waits for ever");
            for waiter in &request.waiters {
                if let Waiter::Batch(batch) = waiter {
                    assert!(self.batches.contains_key(batch), "a request for a batch that is over");
                }
            }
        }
        for call in self.calls.values() {
            for (at, id) in call.requests.iter().enumerate() {
                let sent = self.requests.get(id).is_some_and(|r| r.sent);
                assert_eq!(sent, at == 0, "requests of a call go one at a time, in order");
            }
        }
    }

    fn verify_transactions(&self) {
        let open = self.transactions.values().filter(|t| !t.finished);
        assert_eq!(open.clone().count(), self.unfinished as usize);
        for transaction in open {
            let id = transaction.id;
            let waits = !transaction.focus
                || self.lane.queue.contains(&id)
                || self.lane.running == Some(Job::Transaction(id));
            assert!(waits, "a transaction that nobody will continue");
        }
        for transaction in self.transactions.values().filter(|t| t.finished) {
            assert!(transaction.actions.iter().all(|s| s.outcome.is_some()));
            assert!(!self.lane.queue.contains(&transaction.id));
        }
        assert!(self.turn.ready.is_empty());
    }

    /// A call held by the arbiter is resumed, ended, or turned into held by the user.
    fn verify_rest(&self) {
        let at_rest = self.lane.running.is_none()
            && self.lane.queue.is_empty()
            && self.batches.is_empty()
            && self.focus.is_none();
        if !at_rest {
            return;
        }
        for call in self.calls.values() {
            assert!(call.held_by != HeldBy::ARBITER, "held by the arbiter and forgotten");
        }
    }

    /// Nothing grows for ever. A call may have, beside what its users asked, the arbiter's own wishes.
    fn verify_bounds(&self) {
        // A configuration that was read again may allow less than is there already.
        let (own, usual) = (&self.settings.limits, Limits::default());
        let most = |own: u32, usual: u32| own.max(usual) as usize;
        assert!(self.past.len() <= crate::request::PAST);
        assert!(self.tombstones.len() <= most(own.tombstones, usual.tombstones));
        assert!(self.tokens.len() <= most(own.tokens, usual.tokens));
        for call in self.calls.values() {
            assert!(
                call.requests.len() <= 2 * most(own.requests_per_call, usual.requests_per_call)
            );
        }
        for peers in self.roles.values() {
            assert!(peers.len() <= crate::agents::SHELLS, "agents without bound");
        }
        let batches = self.requests.values().flat_map(|r| &r.waiters);
        let waited = batches.filter(|w| matches!(w, Waiter::Batch(_))).count();
        assert!(self.batches.len() <= waited, "a batch for which nobody waits");
        for provider in self.providers.values() {
            assert!(provider.owed_ends.len() <= most(own.calls, usual.calls));
        }
    }
}
