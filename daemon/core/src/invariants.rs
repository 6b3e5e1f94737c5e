//! What must be true after every input: debug builds look after every turn, and a state that was saved is
//! not taken back without it.
//!
//! Owns the invariants of one domain that can be seen in its state. Those about time and restarts are
//! shown by the tests' random histories.

use std::collections::BTreeSet;

use crate::{
    AgentAsk, Ask, Call, CallState, Domain, HeldBy, Phase, Record, RequestId, Role, Step,
    Transaction,
    batch::BatchWaiter,
    errand::Errand,
    gathered,
    lane::Job,
    request::{Request, Waiter},
    timers::Due,
    transaction::Stage,
};

/// What is wrong, if anything is.
pub(crate) type Sound = Result<(), &'static str>;

fn must(holds: bool, else_: &'static str) -> Sound {
    if holds { Ok(()) } else { Err(else_) }
}

impl Domain {
    /// Panics where the state contradicts itself.
    #[cfg(debug_assertions)]
    pub(crate) fn verify(&self) {
        let sound = self.sound().and_then(|()| self.countable()).and_then(|()| self.bounded());
        if let Err(why) = sound {
            panic!("{why}");
        }
        let index = crate::index::Index::of(self);
        assert_eq!(self.index, index, "the index is not what the maps say");
        assert!(self.is_told(), "the agent was not told what is to be enforced");
    }

    /// Where the state contradicts itself.
    pub(crate) fn sound(&self) -> Sound {
        for call in self.calls.values() {
            self.sound_call(call)?;
        }
        must(self.by_uuid.len() == self.calls.len(), "an index of calls that are gone")?;
        self.sound_groups()?;
        self.sound_audio()?;
        for (id, request) in &self.requests {
            self.sound_request(*id, request)?;
        }
        self.sound_batches()?;
        self.sound_lane()?;
        for transaction in self.transactions.values() {
            self.sound_transaction(transaction)?;
        }
        self.sound_errands()?;
        self.sound_enforcement()?;
        self.sound_timers()?;
        self.sound_records()?;
        self.sound_whys()?;
        self.sound_rest()
    }

    fn sound_call(&self, call: &Call) -> Sound {
        must(call.state != CallState::Ended, "an ended call lives")?;
        must(self.by_uuid.contains(&(call.uuid, call.id)), "a call without its UUID")?;
        let same = self.of_uuid(call.uuid).filter(|c| c.provider == call.provider).count();
        must(same == 1, "two calls of one app with one UUID")?;
        let provider = self.providers.get(&call.provider);
        let gone = provider.ok_or("a call without its provider")?.peer.is_none();
        let launching = call.state == CallState::Launching;
        must(!launching || gone, "a call waits for an app that is there")?;
        must(!gone || call.orphaned != launching, "a call of a lost provider is not orphaned")?;
        must(call.held_by.is_known(), "held by nobody that is known")?;
        let nameless = call.known.as_ref().is_some_and(|known| known.name.is_empty());
        must(!nameless, "a contact without a name")?;
        let held = call.state == CallState::Held;
        must(held != call.held_by.is_empty(), "held by nobody, or not held at all")?;
        let grouped = call.state.is_eligible() || call.state == CallState::Held;
        must(!grouped || call.group.is_some(), "a call without its group")?;
        let alone = matches!(
            call.state,
            CallState::Screening
                | CallState::Ringing
                | CallState::Answering
                | CallState::Launching
                | CallState::Starting
        );
        must(!alone || call.group.is_none(), "a group before it is connected")?;
        let group = call.group.map(|g| self.groups.get(&g));
        let member = group.is_none_or(|g| g.is_some_and(|g| g.calls.contains(&call.id)));
        must(member, "a call in a group that does not have it")?;
        let asked = || !call.requests.is_empty() || self.is_target(call);
        let waits = match call.state {
            CallState::Ringing => self.timers.at(Due::Ring(call.id)).is_some(),
            s if s.is_dialing() || launching => self.timers.at(Due::Progress(call.id)).is_some(),
            CallState::Ending => !call.requests.is_empty(),
            CallState::Starting | CallState::Answering => call.orphaned || asked(),
            CallState::Screening => self.is_asked_of_agents(|ask| ask.screens() == Some(call.id)),
            _ => true,
        };
        must(waits, "a call waits for ever")?;
        let screened = call.state == CallState::Screening;
        must(screened == call.screening.is_some(), "screened, or not")?;
        let grace = self.timers.at(Due::Grace(call.provider)).is_some();
        must(!call.orphaned || grace, "an orphan for ever")?;
        for (at, id) in call.requests.iter().enumerate() {
            let request = self.requests.get(id).ok_or("a call waits for a request that is gone")?;
            must(request.call == Some(call.id), "a request in the queue of another call")?;
            let waits = provider.is_some_and(|p| p.restarted) && at == 0;
            let in_order = request.sent == (at == 0) || waits;
            must(in_order, "requests of a call go one at a time, in order")?;
            let again = call.requests.iter().skip(at + 1).any(|other| other == id);
            must(!again, "a request is queued twice")?;
        }
        Ok(())
    }

    /// An action that is not decided yet is about it.
    fn is_target(&self, call: &Call) -> bool {
        let open = |s: &Step| s.call == call.id && s.outcome.is_none();
        self.transactions.values().any(|t| t.actions.iter().any(open))
    }

    fn sound_groups(&self) -> Sound {
        for group in self.groups.values() {
            must(self.providers.contains_key(&group.provider), "a group without its provider")?;
            for (at, id) in group.calls.iter().enumerate() {
                let call = self.calls.get(id).ok_or("a member that is gone")?;
                must(call.group == Some(group.id), "a member is elsewhere")?;
                must(call.provider == group.provider, "a mixed group")?;
                let again = group.calls.iter().skip(at + 1).any(|other| other == id);
                must(!again, "a member is there twice")?;
            }
            let holds = self.audio.holder == Some(group.id);
            must(!group.audio || holds, "audio without holding it")?;
            must(holds || !group.calls.is_empty(), "a group without calls")?;
        }
        let focus = self.focus.map(|g| self.groups.get(&g));
        let kept = focus.is_none_or(|g| g.is_some_and(|g| !g.calls.is_empty()));
        must(kept, "the focus is empty")
    }

    fn sound_audio(&self) -> Sound {
        let audio = &self.audio;
        must(audio.holder.is_none() == (audio.phase == Phase::Idle), "held while idle, or not")?;
        let pending = audio.phase == Phase::Releasing || audio.phase == Phase::Granting;
        must(!pending || self.audio_request.is_some(), "a hand-over that nobody answers")?;
        let request = self.audio_request.map(|r| self.requests.get(&r).map(|r| &r.ask));
        let about = |ask: &Ask| match ask {
            Ask::AudioActivated { .. } => audio.phase != Phase::Releasing,
            Ask::AudioDeactivated { .. } => audio.phase == Phase::Releasing,
            _ => false,
        };
        let open = request.is_none_or(|ask| ask.is_some_and(about));
        must(
            open && (self.audio_request.is_none() || audio.holder.is_some()),
            "no such hand-over",
        )?;
        must(audio.holder.is_none_or(|g| self.groups.contains_key(&g)), "the holder is gone")?;
        let told = self.audio_told.as_ref().map(|(provider, _)| provider);
        let holds = audio.holder.and_then(|g| self.groups.get(&g)).map(|g| &g.provider);
        must(told.is_none() || told == holds, "another one was told than has the audio")?;
        if let (Some(holder), Phase::Granted | Phase::Granting) = (audio.holder, audio.phase) {
            must(self.focus == Some(holder), "the holder is not the focus")?;
            let eligible = self.members(holder).any(|c| c.state.is_eligible() && !c.orphaned);
            must(eligible, "a holder that may not have it")?;
            must(told.is_some(), "a holder that was not told")?;
        }
        let enforcing = audio.phase == Phase::Idle && self.is_enforcing();
        let open = self.lane.running.is_some()
            || self.desktop.audio_gate
            || self.desktop.background
            || enforcing;
        let focus = self.focus.filter(|_| !open && audio.phase != Phase::Releasing);
        if let Some(focus) = focus
            && self.members(focus).any(|c| c.state == CallState::Active && !c.orphaned)
        {
            must(audio.holder == Some(focus), "an active focus without audio")?;
        }
        Ok(())
    }

    fn sound_request(&self, id: RequestId, request: &Request) -> Sound {
        let provider = self.providers.get(&request.provider);
        let provider = provider.ok_or("a request to nobody")?;
        must(provider.peer.is_some(), "a request to an app that is gone")?;
        must(request.by.is_known(), "held by nobody that is known")?;
        let call = match request.call {
            Some(call) => Some(self.calls.get(&call).ok_or("a request about no call")?),
            None => None,
        };
        must(call.is_none_or(|c| c.requests.contains(&id)), "a request in no queue")?;
        must(call.is_none_or(|c| c.provider == request.provider), "a request to another app")?;
        let sent = call.is_some() || request.sent || provider.restarted;
        must(sent, "a request that is never sent")?;
        let last = match &request.ask {
            Ask::Transaction(steps) => steps.last(),
            ask => Some(ask),
        };
        let endless = matches!(last, Some(Ask::Start { .. })) && call.is_some_and(|c| c.emergency);
        let armed = self.timers.at(Due::Request(id)).is_some();
        must(!request.sent || armed || endless, "a request waits for ever")?;
        for waiter in &request.waiters {
            match waiter {
                Waiter::Batch(batch) => {
                    must(self.batches.contains_key(batch), "a request for a batch that is over")?;
                    must(call.is_some(), "a batch of no calls")?;
                }
                Waiter::Step(..) | Waiter::Room(..) => {}
            }
        }
        Ok(())
    }

    fn sound_batches(&self) -> Sound {
        for (id, batch) in &self.batches {
            let waits =
                |r: &Request| r.waiters.iter().filter(|w| **w == Waiter::Batch(*id)).count();
            let open: usize = self.requests.values().map(waits).sum();
            must(open > 0, "a batch for which nobody waits")?;
            must(batch.is_open_for(open), "a batch that miscounts")?;
            if let Some(BatchWaiter::Resume(group)) = batch.waiter {
                let known = self.groups.contains_key(&group);
                must(known || self.lane.running != Some(Job::Resume(group)), "resumes no group")?;
            }
        }
        Ok(())
    }

    fn sound_lane(&self) -> Sound {
        let open = |id| self.transactions.get(id).is_some_and(|t| !t.finished && t.focus);
        must(self.lane.queue.iter().all(open), "queued, and over")?;
        must(self.turn.ready.is_empty(), "ready, and not run")?;
        match self.lane.running {
            Some(Job::Transaction(id)) => {
                must(open(&id), "running, and over")?;
                must(!self.lane.queue.contains(&id), "running and queued")
            }
            Some(Job::Resume(group)) => {
                let resumes = |w| matches!(w, BatchWaiter::Resume(g) if g == group);
                let going = self.batches.values().any(|b| b.waiter.is_some_and(resumes));
                must(going, "a resume that never ends")
            }
            None => must(self.lane.queue.is_empty(), "a queue that nobody runs"),
        }
    }

    fn sound_transaction(&self, transaction: &Transaction) -> Sound {
        let id = transaction.id;
        let decided = transaction.actions.iter().all(|s| s.outcome.is_some());
        if transaction.finished {
            must(decided, "finished, and not decided")?;
            return must(self.timers.at(Due::Forget(id)).is_some(), "finished, and kept for ever");
        }
        must(!decided, "decided, and not finished")?;
        let queued = transaction.focus && self.lane.running != Some(Job::Transaction(id));
        let waits = self.waits_for_app(id);
        must(!waits || queued, "it has a turn and waits for an app")?;
        let in_lane = self.lane.queue.contains(&id);
        must(!queued || in_lane != waits, "a transaction that nobody continues")?;
        let mut first = true;
        for (at, step) in transaction.actions.iter().enumerate() {
            let undecided = step.outcome.is_none() && !matches!(step.stage, Stage::Bundled);
            if !undecided {
                continue;
            }
            let going = match step.stage {
                Stage::Asked => self.waiters(id, at) > 0,
                Stage::MakingRoom { open, .. } => open > 0 && self.waiters(id, at) == open,
                Stage::Waiting | Stage::Bundled => queued || !first,
            };
            must(going, "an action that nobody continues")?;
            first = false;
        }
        must(!first, "nothing left but what goes with it")
    }

    /// How many requests and batches wait on behalf of an action.
    fn waiters(&self, id: crate::TransactionId, at: usize) -> usize {
        let own = |w: &&Waiter| match w {
            Waiter::Step(t, s) | Waiter::Room(t, s) => (*t, *s) == (id, at),
            Waiter::Batch(_) => false,
        };
        let requests = self.requests.values().flat_map(|r| &r.waiters).filter(own).count();
        let own = |w| match w {
            BatchWaiter::Target(t, s, _) | BatchWaiter::Room(t, s) => (t, s) == (id, at),
            BatchWaiter::Resume(_) => false,
        };
        requests + self.batches.values().filter(|b| b.waiter.is_some_and(own)).count()
    }

    fn sound_errands(&self) -> Sound {
        for (id, errand) in &self.errands {
            let holders = self.desktop.roles.get(&errand.ask.role());
            let holds = holders.is_some_and(|holders| holders.contains(&errand.peer));
            must(holds, "an errand of nobody")?;
            must(self.timers.at(Due::Errand(*id)).is_some(), "an errand for ever")?;
            must(!self.requests.contains_key(id), "a request and an errand")?;
            let call = errand.ask.call().map(|call| self.calls.get(&call));
            let call = call.map(|call| call.ok_or("an errand about no call")).transpose()?;
            let launches = matches!(errand.ask, AgentAsk::Launch { .. });
            let waits = call.is_some_and(|c| c.state == CallState::Launching);
            must(!launches || waits, "an app is started for nobody")?;
            let screens = errand.ask.screens().is_some();
            let waits = call.is_some_and(|c| c.screening.is_some());
            must(!screens || waits, "screened for nobody")?;
            let kept = match errand.ask {
                AgentAsk::Record { number } => self.records.contains_key(&number),
                _ => true,
            };
            must(kept, "what is written down is not there")?;
            let same = |other: &Errand| match (&other.ask, &errand.ask) {
                (AgentAsk::Consent { app: a, .. }, AgentAsk::Consent { app: b, .. }) => a == b,
                (AgentAsk::Record { number: a }, AgentAsk::Record { number: b }) => a == b,
                (AgentAsk::Audio(_), AgentAsk::SelectEndpoint { .. })
                | (AgentAsk::SelectEndpoint { .. }, AgentAsk::Audio(_)) => false,
                (AgentAsk::Screen { call: a, .. }, AgentAsk::Screen { call: b, .. }) => {
                    a == b && other.peer == errand.peer
                }
                (a, b) => a.call() == b.call() && a.role() == b.role(),
            };
            let again = self.errands.values().filter(|other| same(other)).count();
            must(again == 1, "asked twice at once")?;
        }
        Ok(())
    }

    fn sound_timers(&self) -> Sound {
        for (due, _) in self.timers.all() {
            let known = match due {
                Due::Request(id) => self.requests.get(&id).is_some_and(|r| r.sent),
                Due::Ring(id) => self.calls.get(&id).is_some_and(|c| c.state == CallState::Ringing),
                Due::Progress(id) => {
                    let waits = |s: CallState| s.is_dialing() || s == CallState::Launching;
                    self.calls.get(&id).is_some_and(|c| waits(c.state))
                }
                Due::Grace(id) => self.providers.contains_key(&id),
                Due::Forget(id) => self.transactions.get(&id).is_some_and(|t| t.finished),
                Due::Errand(id) => self.errands.contains_key(&id),
                Due::AutoAnswer(id) => {
                    self.calls.get(&id).is_some_and(|c| c.state == CallState::Ringing)
                }
                Due::Records => {
                    let kept = self.holder(Role::History).is_some();
                    kept && !self.records.is_empty() && self.recording.get().some().is_some()
                }
            };
            must(known, "a deadline of nothing")?;
        }
        for provider in self.providers.values() {
            let first = provider.reconciling.and_then(|r| Some((r, self.requests.get(&r)?)));
            let of_it = |r: &Request| {
                r.provider == provider.id && matches!(r.ask, Ask::Reconcile { .. }) && r.sent
            };
            must(first.is_none_or(|(_, r)| of_it(r)), "a reconciliation that is none")?;
            let asked = first.is_some_and(|(r, _)| self.timers.at(Due::Request(r)).is_some());
            must(!provider.restarted || asked, "an app is waited for that was not asked")?;
            let grace = self.timers.at(Due::Grace(provider.id)).is_some();
            let awaited = || self.calls_of(provider.id).any(|c| c.state == CallState::Launching);
            let kept = provider.peer.is_some() || grace || awaited();
            must(kept, "a lost provider is kept for ever")?;
        }
        Ok(())
    }

    /// Each call is in the history once, in the end: what is not is offered, or will be.
    fn sound_records(&self) -> Sound {
        let ids = |record: &Record| (record.call, record.created_at);
        let all: BTreeSet<_> = gathered(self.records.values().map(ids));
        must(all.len() == self.records.len(), "a call is recorded twice")?;
        let live = self.records.values().any(|record| self.calls.contains_key(&record.call));
        must(!live, "a live call is recorded")?;
        let writes = self.is_asked_of_agents(|ask| matches!(ask, AgentAsk::Record { .. }));
        let rests = self.timers.at(Due::Records).is_some();
        let nobody = self.records.is_empty() || self.holder(Role::History).is_none();
        must(nobody || writes || rests, "a record that nobody is offered")
    }

    /// A call held by the arbiter is resumed, ended, or turned into held by the user.
    fn sound_rest(&self) -> Sound {
        let at_rest = self.lane.running.is_none()
            && self.lane.queue.is_empty()
            && self.batches.is_empty()
            && self.focus.is_none();
        let forgotten = self.calls.values().any(|c| c.held_by == HeldBy::ARBITER);
        must(!at_rest || !forgotten, "held by the arbiter and forgotten")
    }

    /// Every number that is in use was given out, and there are enough left.
    pub(crate) fn countable(&self) -> Sound {
        let next = &self.next;
        let small = [next.provider, next.call, next.group, next.transaction, next.batch];
        must(small.iter().all(|n| *n < u32::MAX / 2), "no numbers are left")?;
        let counts = [self.revision, self.audio.generation, next.request, next.held];
        must(counts.iter().all(|n| *n < u64::MAX / 2), "no numbers are left")?;
        let given = |id: u32, last: u32| id > 0 && id <= last;
        let known = self.providers.keys().all(|id| given(id.0, next.provider))
            && self.calls.values().all(|c| given(c.id.0, next.call) && c.held_at <= next.held)
            && self.groups.keys().all(|id| given(id.0, next.group))
            && self.transactions.keys().all(|id| given(id.0, next.transaction))
            && self.batches.keys().all(|id| given(*id, next.batch))
            && self.requests.keys().chain(self.errands.keys()).all(|id| next.knows(*id));
        must(known, "a number that was never given out")?;
        must(self.groups.values().all(|g| g.membership < u64::MAX / 2), "no numbers are left")?;
        let last = |last: Option<u64>| last.is_none_or(|last| last < u64::MAX / 2);
        let ages = last(self.past.last_key_value().map(|(n, _)| *n))
            && last(self.tombstones.kept.last_key_value().map(|(n, _)| *n))
            && last(self.tokens.kept.last_key_value().map(|(n, _)| *n))
            && last(self.suppressed.last_key_value().map(|(n, _)| *n))
            && last(self.decisions.last_key_value().map(|(n, _)| *n))
            && last(self.records.last_key_value().map(|(n, _)| *n));
        must(ages, "no numbers are left")
    }

    /// Nothing grows for ever. A call may have, beside what its users asked, the arbiter's own wishes.
    #[cfg(debug_assertions)]
    fn bounded(&self) -> Sound {
        // A configuration that was read again may allow less than is there already.
        let (own, usual) = (&self.settings.limits, crate::Limits::default());
        let most = |own: u32, usual: u32| own.max(usual) as usize;
        must(self.past.len() <= crate::request::PAST, "too much past")?;
        let tombstones = self.tombstones.len() <= most(own.tombstones, usual.tombstones);
        must(tombstones, "too many tombstones")?;
        must(self.tokens.len() <= most(own.tokens, usual.tokens), "too many tokens")?;
        must(self.suppressed.len() <= crate::quiet::SUPPRESSED, "too many suppressed")?;
        must(self.decisions.len() <= crate::consent::DECISIONS, "too many decisions")?;
        must(self.records.len() <= crate::record::WAITING, "too many records")?;
        let texts = self.preferences.get().texts() <= crate::preferences::TEXTS;
        must(texts, "too many texts of preferences")?;
        must(self.uses.len() <= crate::choice::USES, "too many uses")?;
        let queue = 2 * most(own.requests_per_call, usual.requests_per_call);
        must(self.calls.values().all(|c| c.requests.len() <= queue), "too many requests")?;
        let shells = self.desktop.roles.values().all(|peers| peers.len() <= crate::agents::HOLDERS);
        must(shells, "agents without bound")?;
        let ends = most(own.calls, usual.calls);
        must(self.providers.values().all(|p| p.owed_ends.len() <= ends), "too many ends to tell")
    }
}
