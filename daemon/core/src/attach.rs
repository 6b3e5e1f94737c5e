//! Providers come, go, and come back for their calls.
//!
//! Owns registration, loss with its grace, and reconciliation: what the app says about its media wins,
//! what the user wanted wins about intent.

use crate::{
    AppIdSource, Ask, Authorization, Call, CallId, CallState, Caller, Cause, Claim, Configuration,
    Deadline, Direction, Domain, Effect, EndReason, Error, Happening, HeldBy, Object, Peer,
    Provider, ProviderId, Refusal, Registration, Reply, RequestId, Result, request::Verdict,
    timers::Due,
};

impl Domain {
    /// `RegisterProvider`.
    pub(crate) fn register(&mut self, caller: Caller, wanted: Registration) -> Result<Reply> {
        let same = |p: &&Provider| p.app == wanted.app && p.instance == wanted.instance;
        // One that was started for a call is known by its app alone.
        let awaited = |p: &&Provider| p.app == wanted.app && self.is_awaited(p);
        let known = self.providers.values().find(same);
        let known = known.or_else(|| self.providers.values().find(awaited));
        let known = known.map(|p| (p.id, p.peer));
        match known {
            Some((id, Some(peer))) if peer == caller.peer => {
                self.configure(id, wanted.configuration);
                self.preset(id, wanted.preset);
                return Ok(Reply::Provider(id));
            }
            Some((_, Some(_))) => {
                return Err(Refusal::new(
                    Error::AlreadyRegistered,
                    format!(
                        "another connection is registered as {}; use the key `instance` to tell \
                         several of one app apart",
                        wanted.app
                    ),
                ));
            }
            Some((id, None)) => {
                let preset = wanted.preset;
                self.attach_again(id, caller.peer, wanted);
                self.preset(id, preset);
                self.app_arrived(id);
                self.ask_consent(id);
                return Ok(Reply::Provider(id));
            }
            None => {}
        }
        self.room_for_provider()?;
        let app = wanted.app.clone();
        let provider = Provider {
            app: wanted.app,
            source: wanted.source,
            instance: wanted.instance,
            configuration: wanted.configuration,
            preset: wanted.preset,
            peer: Some(caller.peer),
            ..self.new_provider()
        };
        let id = provider.id;
        self.providers.insert(id, provider);
        let authorization = self.authorization_of(&app);
        if let Some(provider) = self.providers.get_mut(&id) {
            provider.authorization = authorization;
        }
        self.turn.added(Object::Provider(id));
        self.log(id, None, Happening::Registered);
        // What polkit says of this connection counts for the app's others, too.
        self.authorize_again();
        self.ask_consent(id);
        Ok(Reply::Provider(id))
    }

    pub(crate) fn room_for_provider(&self) -> Result<()> {
        let limit = self.settings.limits.providers;
        if self.providers.len() < limit as usize {
            return Ok(());
        }
        let why = format!("{limit} providers are registered (limit `providers`)");
        Err(Refusal::new(Error::LimitExceeded, why))
    }

    /// One of which nothing is known but its number.
    pub(crate) fn new_provider(&mut self) -> Provider {
        Provider {
            id: self.next.provider(),
            authorization: Authorization::default(),
            app: "".into(),
            source: AppIdSource::Declared,
            instance: "".into(),
            configuration: Configuration::default(),
            peer: None,
            responsive: true,
            revision: 0,
            reconciling: None,
            restarted: false,
            owed_ends: Vec::new(),
            preset: None,
        }
    }

    fn attach_again(&mut self, id: ProviderId, peer: Peer, wanted: Registration) {
        // Of a call that waited for it, it never heard.
        let heard = |c: &&Call| c.state != CallState::Launching;
        let calls: Vec<_> = self.calls_of(id).filter(heard).map(|c| (c.uuid, c.state)).collect();
        let Some(provider) = self.provider_mut(id) else { return };
        provider.peer = Some(peer);
        provider.instance = wanted.instance;
        provider.source = wanted.source;
        provider.configuration = wanted.configuration;
        provider.responsive = true;
        let owed = std::mem::take(&mut provider.owed_ends);
        self.log(id, None, Happening::Registered);
        for call in self.call_ids_of(id) {
            self.because(call, Cause::ProviderBack);
        }
        if calls.is_empty() {
            self.timers.disarm(Due::Grace(id));
        } else {
            let request = self.ask_aside(id, Ask::Reconcile { calls });
            if let Some(provider) = self.providers.get_mut(&id) {
                provider.reconciling = Some(request);
            }
        }
        for uuid in owed {
            self.ask_to_end(id, uuid, EndReason::LocalEnded);
        }
    }

    pub(crate) fn configure(&mut self, id: ProviderId, configuration: Configuration) {
        if let Some(provider) = self.provider_mut(id) {
            provider.configuration = configuration;
        }
    }

    /// Connections are gone: everything they had is orphaned before anything is judged.
    pub(crate) fn lose(&mut self, peers: &[Peer]) {
        peers.iter().for_each(|peer| self.lose_roles(*peer));
        let gone = |p: &&Provider| p.peer.is_some_and(|peer| peers.contains(&peer));
        let lost: Vec<ProviderId> = self.providers.values().filter(gone).map(|p| p.id).collect();
        for id in &lost {
            if let Some(provider) = self.provider_mut(*id) {
                provider.peer = None;
                provider.reconciling = None;
                provider.restarted = false;
            }
            for call in self.call_ids_of(*id) {
                if let Some(call) = self.call_mut(call) {
                    call.orphaned = true;
                }
                self.because(call, Cause::ProviderLost);
            }
            self.log(*id, None, Happening::Lost);
        }
        if !lost.is_empty() {
            self.cancel_lost_plan();
        }
        for id in lost {
            self.after_loss(id);
        }
    }

    fn after_loss(&mut self, id: ProviderId) {
        for call in self.call_ids_of(id) {
            if self.calls.get(&call).is_some_and(|c| c.state == CallState::Ending) {
                self.end_and_tell(call, EndReason::LocalEnded, "its app went away while it ended");
            }
        }
        let open: Vec<RequestId> =
            self.requests.iter().filter(|(_, r)| r.provider == id).map(|(r, _)| *r).collect();
        for request in open.into_iter().rev() {
            // Last words about a call that is over here: the app must still hear them.
            if let Some(Ask::End { uuid, .. }) = self.requests.get(&request).map(|r| &r.ask) {
                self.owe_end(id, *uuid);
            }
            let why = Refusal::new(Error::ProviderGone, "the call's app is gone");
            self.conclude(request, Verdict::Dropped(why));
        }
        self.audio_lost(id);
        let grace = self.now.mono + self.settings.deadlines.grace;
        if self.providers.contains_key(&id) {
            self.timers.arm(Due::Grace(id), grace);
        }
        self.forget_provider_if_done(id);
    }

    /// The app must hear of this end when it is back.
    pub(crate) fn owe_end(&mut self, provider: ProviderId, uuid: uuid::Uuid) {
        if let Some(provider) = self.providers.get_mut(&provider) {
            provider.owed_ends.push(uuid);
        }
    }

    /// A provider without connection is kept for its calls and for what it must still hear.
    pub(crate) fn forget_provider_if_done(&mut self, id: ProviderId) {
        let done = self.providers.get(&id).is_some_and(|p| {
            p.peer.is_none() && p.owed_ends.is_empty() && self.calls_of(id).next().is_none()
        });
        if done {
            self.forget_provider(id);
        }
    }

    fn forget_provider(&mut self, id: ProviderId) {
        self.timers.disarm(Due::Grace(id));
        if let Some(gone) = self.providers.remove(&id) {
            self.turn.gone_providers.push(gone);
        }
    }

    /// The app did not come back, or did not say which calls it still has.
    pub(crate) fn grace_over(&mut self, id: ProviderId) {
        // It is back and is being asked: its answer has a deadline of its own.
        let reconciling = self.providers.get(&id).and_then(|p| p.reconciling);
        if let Some(until) = reconciling.and_then(|r| self.timers.at(Due::Request(r))) {
            return self.timers.arm(Due::Grace(id), until);
        }
        if let Some(provider) = self.providers.get_mut(&id) {
            provider.owed_ends.clear();
            provider.reconciling = None;
        }
        let lost: Vec<CallId> = self.calls_of(id).filter(|c| c.orphaned).map(|c| c.id).collect();
        for call in lost {
            self.because(call, Cause::Deadline { which: Deadline::Grace });
            self.end_call(call, EndReason::ProviderLost, "its app did not come back for it");
        }
        self.forget_provider_if_done(id);
    }

    /// The app said which calls it still has, and in which state.
    pub(crate) fn reconciled(
        &mut self,
        id: ProviderId,
        asked: &[(uuid::Uuid, CallState)],
        claims: &[Claim],
    ) {
        self.timers.disarm(Due::Grace(id));
        let restarted = self.providers.get(&id).is_some_and(|p| p.restarted);
        if restarted {
            self.stands(id, asked, claims);
        }
        if let Some(provider) = self.providers.get_mut(&id) {
            provider.reconciling = None;
        }
        let mut active = Vec::new();
        for call in self.call_ids_of(id) {
            let Some((uuid, true)) = self.calls.get(&call).map(|c| (c.uuid, c.orphaned)) else {
                continue;
            };
            let has = |c: &&Claim| c.uuid == uuid && c.state != CallState::Ended;
            match claims.iter().find(has).map(|claim| claim.state) {
                Some(CallState::Active) => active.push(call),
                Some(state) => self.reclaim(call, state),
                None => {
                    self.end_call(call, EndReason::ProviderLost, "its app came back without it");
                }
            }
        }
        // Those with the microphone come last: what was the focus may have been held meanwhile.
        for call in active {
            self.reclaim(call, CallState::Active);
        }
        if restarted {
            self.ask_what_is_open(id);
        }
    }

    /// A call has its app again, in the state that the app states.
    pub(crate) fn reclaim(&mut self, id: CallId, stated: CallState) {
        use CallState::*;
        let taken = self.is_taken(id);
        self.because(id, Cause::Claimed { state: stated });
        let Some(call) = self.call_mut(id) else { return };
        call.orphaned = false;
        let (was, can_hold, emergency) = (call.state, call.can.hold, call.emergency);
        // Words for what the arbiter waits for say how far the app has come.
        let stated = match (stated, call.direction) {
            (Screening, _) => Ringing,
            (Answering | Dialing | Alerting, Direction::Incoming) => Connecting,
            (Launching | Starting, _) => Dialing,
            (stated, _) => stated,
        };
        match (was, stated) {
            (Screening | Ringing | Answering, Ringing) | (Held, Held) => return,
            (_, Ringing | Answering | Ending | Ended) => {
                return self.end_and_tell(id, EndReason::Failed, "its app lost track of it");
            }
            (_, Held) => return self.became_held(id, HeldBy::USER, "held by its app"),
            _ => self.transition(id, stated, "its app is back"),
        }
        if emergency && stated.is_eligible() {
            self.focus_on_call(id);
        } else if stated == Active && taken && can_hold {
            self.hold(&[id], HeldBy::ARBITER, None, crate::Origin::Policy);
        } else if stated == Active && taken {
            let (reason, message) = (Some(EndReason::LocalEnded), crate::Private::default());
            self.end_by_request(id, reason, message, None, crate::Origin::Policy);
        } else if stated.is_eligible() && self.focus.is_none() {
            self.focus_on_call(id);
        }
    }

    /// Another call took the focus meanwhile, or is about to.
    fn is_taken(&self, id: CallId) -> bool {
        let group = self.calls.get(&id).and_then(|c| c.group);
        let other = self.focus.is_some_and(|f| Some(f) != group);
        other || self.lane.running.is_some()
    }

    /// `Unregister`: its live calls end.
    pub(crate) fn unregister(&mut self, id: ProviderId) {
        for call in self.call_ids_of(id) {
            self.end_call(call, EndReason::Failed, "its app unregistered");
        }
        if let Some(provider) = self.provider_mut(id) {
            provider.peer = None;
            provider.restarted = false;
            provider.owed_ends.clear();
        }
        let open: Vec<RequestId> =
            self.requests.iter().filter(|(_, r)| r.provider == id).map(|(r, _)| *r).collect();
        for request in open {
            self.drop_request(request);
        }
        self.audio_lost(id);
        self.forget_provider_if_done(id);
    }

    /// What polkit says of an app that registers, or does not say any more.
    fn preset(&mut self, id: ProviderId, word: Option<bool>) {
        let changed = |provider: &&mut Provider| provider.preset != word;
        if let Some(provider) = self.providers.get_mut(&id).filter(changed) {
            provider.preset = word;
            self.authorize_again();
        }
    }

    /// The rules may have changed for apps that are registered; live calls go on.
    pub(crate) fn authorize_again(&mut self) {
        let ids: Vec<ProviderId> = self.providers.keys().copied().collect();
        for id in ids {
            let Some(provider) = self.providers.get(&id) else { continue };
            let authorization: Authorization = self.authorization_of(&provider.app);
            if authorization == provider.authorization {
                continue;
            }
            let Some(provider) = self.provider_mut(id) else { continue };
            provider.authorization = authorization;
            if let Some(peer) = provider.peer {
                let uid = self.uid;
                let told = Effect::AuthorizationSet { uid, peer, provider: id, authorization };
                self.turn.effects.push(told);
            }
        }
    }
}
