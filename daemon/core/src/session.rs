//! The audio session's hand-over: release, then grant, each acknowledged, over time, or moot.
//!
//! Owns phases and generations. Who should have the audio follows from the focus alone; that others are quiet
//! before it is granted is [`crate::enforce`]'s.

use crate::{
    Ask, Call, CallId, Cause, Domain, GroupId, Happening, HeldBy, Object, Origin, Phase,
    ProviderId, RequestId,
};

impl Domain {
    /// One step towards the right holder. True if something happened.
    pub(crate) fn audio_step(&mut self) -> bool {
        let wanted = self.audio_wanted();
        match self.audio.phase {
            Phase::Idle => match wanted {
                Some(group) if !self.desktop.audio_gate && self.may_grant(group) => {
                    self.grant(group);
                    true
                }
                _ => false,
            },
            Phase::Releasing => false,
            Phase::Granting | Phase::Granted if wanted != self.audio.holder => {
                self.release();
                true
            }
            Phase::Granting | Phase::Granted => self.refresh_grant(),
        }
    }

    /// Who was held begins to give the audio back before the next step is performed.
    pub(crate) fn release_first(&mut self) {
        let has = matches!(self.audio.phase, Phase::Granting | Phase::Granted);
        if has && self.audio_wanted() != self.audio.holder {
            self.release();
        }
    }

    /// The group that should have the audio now.
    pub(crate) fn audio_wanted(&self) -> Option<GroupId> {
        let group = self.focus?;
        let may = |c: &Call| {
            c.state.is_eligible() && !c.orphaned && (!self.desktop.background || c.emergency)
        };
        self.members(group).any(may).then_some(group)
    }

    fn eligible(&self, group: GroupId) -> Vec<uuid::Uuid> {
        self.members(group).filter(|c| c.state.is_eligible()).map(|c| c.uuid).collect()
    }

    fn grant(&mut self, group: GroupId) {
        let Some(provider) = self.groups.get(&group).map(|g| g.provider) else { return };
        self.audio.holder = Some(group);
        self.audio.generation += 1;
        self.enter(Phase::Granting);
        let uuids = self.eligible(group);
        self.mark(group, true);
        self.log_audio(group, provider, Happening::AudioGranted);
        self.activate(provider, uuids);
        self.assert_mute(group);
    }

    /// Of each of its calls, so that it is in the story of each.
    fn log_audio(&mut self, group: GroupId, provider: ProviderId, what: Happening) {
        for at in 0.. {
            let Some(id) = self.groups.get(&group).and_then(|g| g.calls.get(at).copied()) else {
                break;
            };
            self.log(provider, Some(id), what);
            let enforced = self.audio.enforced;
            let cause = match what {
                Happening::AudioGranted => Cause::AudioGranted { enforced },
                _ => Cause::AudioReleased,
            };
            self.because(id, cause);
        }
    }

    /// The app that has the audio is told so again, after the arbiter was away: the same grant.
    pub(crate) fn assert_audio(&mut self, provider: ProviderId) {
        let holder = self.audio.holder.filter(|_| self.audio.phase != Phase::Releasing);
        let Some(group) = holder.filter(|_| self.audio_wanted() == holder) else { return };
        if self.groups.get(&group).is_none_or(|g| g.provider != provider) {
            return;
        }
        if self.audio_request.is_none() {
            self.activate(provider, self.eligible(group));
        }
        self.assert_mute(group);
    }

    /// The microphone is as the user left it, whatever the app did meanwhile.
    fn assert_mute(&mut self, group: GroupId) {
        let muted: Vec<(CallId, uuid::Uuid)> = self
            .members(group)
            .filter(|c| c.muted && c.state.is_eligible())
            // What the user asks for just now wins.
            .filter(|c| self.asked(c.id, |a| matches!(a, Ask::SetMuted { .. })).is_none())
            .map(|c| (c.id, c.uuid))
            .collect();
        for (id, uuid) in muted {
            let ask = Ask::SetMuted { uuid, muted: true };
            self.ask(id, ask, HeldBy::NONE, None, Origin::Policy);
        }
    }

    /// A call joined or left the holder: its app is told anew, in the same generation.
    fn refresh_grant(&mut self) -> bool {
        // One word at a time: what changed meanwhile is told once the last one was answered.
        let Some(group) = self.audio.holder.filter(|_| self.audio_request.is_none()) else {
            return false;
        };
        let uuids = self.eligible(group);
        let Some((provider, told)) = &self.audio_told else { return false };
        if *told == uuids {
            return false;
        }
        let provider = *provider;
        self.activate(provider, uuids);
        true
    }

    fn activate(&mut self, provider: ProviderId, uuids: Vec<uuid::Uuid>) {
        self.drop_audio_request();
        self.audio_told = Some((provider, uuids.clone()));
        let generation = self.audio.generation;
        self.audio_request =
            Some(self.ask_aside(provider, Ask::AudioActivated { uuids, generation }));
    }

    fn release(&mut self) {
        let sent = |r| self.requests.get(&r).is_some_and(|r| r.sent);
        let unheard = self.audio.phase == Phase::Granting && !self.audio_request.is_some_and(sent);
        self.drop_audio_request();
        if unheard {
            return self.released();
        }
        let Some((provider, uuids)) = self.audio_told.take() else { return self.released() };
        if self.providers.get(&provider).is_none_or(|p| p.peer.is_none()) {
            return self.released();
        }
        self.enter(Phase::Releasing);
        let generation = self.audio.generation;
        self.audio_request =
            Some(self.ask_aside(provider, Ask::AudioDeactivated { uuids, generation }));
        if let Some(group) = self.audio.holder {
            self.mark(group, false);
        }
    }

    /// The holder stopped, took too long, or is gone.
    fn released(&mut self) {
        if let Some(group) = self.audio.holder.take() {
            self.mark(group, false);
            if let Some(provider) = self.groups.get(&group).map(|g| g.provider) {
                self.log_audio(group, provider, Happening::AudioReleased);
            }
        }
        self.audio_told = None;
        self.audio_request = None;
        self.enter(Phase::Idle);
    }

    /// A word, or silence, about the request that the hand-over waits for.
    pub(crate) fn audio_answered(&mut self, request: RequestId) {
        if self.audio_request != Some(request) {
            return;
        }
        self.audio_request = None;
        match self.audio.phase {
            Phase::Granting => self.enter(Phase::Granted),
            Phase::Releasing => self.released(),
            Phase::Idle | Phase::Granted => {}
        }
    }

    /// The holder's connection is gone: nothing to wait for.
    pub(crate) fn audio_lost(&mut self, provider: ProviderId) {
        let holder = self.audio.holder.and_then(|g| self.groups.get(&g));
        if holder.is_some_and(|g| g.provider == provider) {
            self.drop_audio_request();
            self.released();
        }
    }

    /// The holder's last call joined another group.
    pub(crate) fn move_audio(&mut self, to: GroupId) {
        if let Some(from) = self.audio.holder.replace(to) {
            self.mark(from, false);
        }
        self.mark(to, self.audio.phase != Phase::Releasing);
    }

    fn drop_audio_request(&mut self) {
        if let Some(request) = self.audio_request.take() {
            self.drop_request(request);
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.audio.phase = phase;
        self.audio.since = self.now.wall;
        self.show_enforced();
    }

    fn mark(&mut self, group: GroupId, audio: bool) {
        self.turn.touch(Object::Group(group));
        if let Some(group) = self.groups.get_mut(&group) {
            group.audio = audio;
        }
    }
}
