//! What others hear and say while a call has the audio: the agent in the user's session is told, and believed.
//!
//! Owns the picture that the agent is given, when it is given another one, and what its word is worth. Who has the
//! audio is [`crate::session`]'s, and no grant waits for the agent longer than its deadline: it then goes out, and
//! says that nothing is enforced.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    AgentAnswer, AgentAsk, AgentSaid, Call, CallId, Caller, Cause, Domain, Error, GroupId, Notice,
    Phase, Private, ProviderId, Refusal, Reply, RequestId, Result, Role, Time, gathered,
    timers::Due,
};

/// One app that has calls, as the agent is to treat its streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioApp {
    /// Whose calls they are.
    pub provider: ProviderId,
    /// Its calls have the audio: its streams are left alone.
    pub audio: bool,
    /// Its microphone is to carry silence: its only call is muted.
    pub silence: bool,
}

/// All that is to be enforced: nothing where nobody has the audio.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioPicture {
    /// The grant that it is about.
    pub generation: u64,
    /// While an app has the audio: that one, and all others that have calls.
    pub apps: Vec<AudioApp>,
}

/// What the agent was told, and what it made of it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Enforcement {
    told: Option<(AudioPicture, RequestId)>,
    /// Others are quiet, by its last word.
    enforced: bool,
    /// Apps whose microphones carry silence, by its last word.
    silent: BTreeSet<ProviderId>,
    /// Apps that streamed without the audio in this generation, as far as the user was told.
    reported: (u64, BTreeSet<ProviderId>),
}

impl Enforcement {
    /// Nobody was ever told anything.
    pub fn is_fresh(&self) -> bool {
        *self == Enforcement::default()
    }

    fn is_told_to_silence(&self, provider: ProviderId) -> bool {
        let silenced = |app: &AudioApp| app.provider == provider && app.silence;
        self.told.as_ref().is_some_and(|(told, _)| told.apps.iter().any(silenced))
    }

    /// The microphone of this call carries silence, by what the agent was told and said.
    fn silences(&self, call: &Call) -> bool {
        let wanted = |app: &AudioApp| app.provider == call.provider && (app.silence || !app.audio);
        let told = || self.told.as_ref().is_some_and(|(told, _)| told.apps.iter().any(wanted));
        call.muted && self.silent.contains(&call.provider) && told()
    }
}

impl Domain {
    /// Others are quiet for this group, or nobody can make them, or not in time.
    pub(crate) fn may_grant(&mut self, group: GroupId) -> bool {
        if self.holder(Role::Audio).is_none() {
            return true;
        }
        let provider = self.groups.get(&group).map(|g| g.provider);
        self.tell_agent(self.picture(provider, self.audio.generation + 1));
        !self.is_enforcing()
    }

    /// The agent is told what is to be enforced now, where that is something else than before.
    pub(crate) fn keep_enforcing(&mut self) {
        if self.holder(Role::Audio).is_none() {
            return;
        }
        self.tell_agent(self.due_picture());
        self.show_enforcement();
    }

    /// The agent has not said yet what it made of the last picture, and still has time.
    pub(crate) fn is_enforcing(&self) -> bool {
        let told = self.enforcement.get().told.as_ref();
        told.is_some_and(|(_, request)| self.errands.contains_key(request))
    }

    /// The holder of the role was told this last: its word counts for as long as that is so.
    pub(crate) fn is_enforced_by(&self, caller: Caller, request: RequestId) -> bool {
        let told = self.enforcement.get().told.as_ref();
        told.is_some_and(|(_, told)| *told == request) && self.holds(caller, Role::Audio)
    }

    /// A picture that changes before the grant that waits for it puts that grant off no longer.
    pub(crate) fn enforcing_until(&self, ask: &AgentAsk) -> Option<Time> {
        let AgentAsk::Audio(picture) = ask else { return None };
        let (told, request) = self.enforcement.get().told.as_ref()?;
        let until = self.timers.at(Due::Errand(*request))?;
        (told.generation == picture.generation).then_some(until)
    }

    /// What the agent made of it, among the causes of the calls that wait for the audio.
    pub(crate) fn because_of_audio(&mut self, said: AgentSaid, text: &Private) {
        let waits = self.audio_wanted().filter(|_| self.audio.phase == Phase::Idle);
        let Some(group) = waits else { return };
        for call in self.members(group).map(|c| c.id).collect::<Vec<_>>() {
            self.because_of(call, Cause::Agent { role: Role::Audio, said }, text.clone());
        }
    }

    /// The agent did as it was told, or could not.
    pub(crate) fn enforced(&mut self, answer: &AgentAnswer) {
        let could = answer.error.is_none();
        let enforcement = self.enforcement.get_mut();
        enforcement.enforced = could && answer.enforced;
        enforcement.silent.clear();
        if could {
            enforcement.silent.extend(&answer.silent);
        }
        self.show_enforcement();
    }

    /// The agent is gone, or another one takes its place: nothing is enforced, and nobody says where the sound goes.
    pub(crate) fn nobody_enforces(&mut self) {
        *self.enforcement.get_mut() = Enforcement::default();
        (self.audio.endpoints, self.audio.endpoint) = Default::default();
        self.show_enforcement();
    }

    /// What the audio session and the calls show of it.
    pub(crate) fn show_enforcement(&mut self) {
        self.show_enforced();
        let enforcement = self.enforcement.get();
        let differs = |c: &&Call| c.mute_enforced != enforcement.silences(c);
        let differing: Vec<CallId> = self.calls.values().filter(differs).map(|c| c.id).collect();
        for id in differing {
            if let Some(call) = self.call_mut(id) {
                call.mute_enforced = !call.mute_enforced;
            }
        }
    }

    /// It is not written with the calls.
    pub(crate) fn restore_silence(&mut self) {
        for id in self.calls.keys().copied().collect::<Vec<_>>() {
            if let Some(call) = self.calls.get_mut(&id) {
                call.mute_enforced = self.enforcement.get().silences(call);
            }
        }
    }

    /// What the audio session shows of it.
    pub(crate) fn show_enforced(&mut self) {
        self.audio.enforced = self.audio.phase != Phase::Idle && self.enforcement.get().enforced;
    }

    /// `ReportViolation`: an app streams without the audio. The user is told once for each grant.
    pub(crate) fn violation(&mut self, caller: Caller, provider: ProviderId) -> Result<Reply> {
        if !self.holds(caller, Role::Audio) {
            let why = "only the holder of role `audio` says which apps stream without the audio";
            return Err(Refusal::new(Error::AccessDenied, why));
        }
        if !self.providers.contains_key(&provider) {
            let why = "there is no such provider any more; take its path from ApplyAudio";
            return Err(Refusal::new(Error::UnknownProvider, why));
        }
        let holder = self.audio.holder.and_then(|g| self.groups.get(&g));
        let newest = self.calls_of(provider).map(|c| c.id).max();
        // The grant may have moved on while the agent looked.
        let Some(call) = newest.filter(|_| holder.is_none_or(|g| g.provider != provider)) else {
            return Ok(Reply::Done);
        };
        let generation = self.audio.generation;
        let (of, reported) = &mut self.enforcement.get_mut().reported;
        if *of != generation {
            (*of, *reported) = (generation, BTreeSet::new());
        }
        if reported.insert(provider) {
            self.notice(Notice::StreamingWithoutAudio, call);
        }
        Ok(Reply::Done)
    }

    /// The records agree with each other, and with what is shown.
    pub(crate) fn sound_enforcement(&self) -> std::result::Result<(), &'static str> {
        let enforcement = self.enforcement.get();
        let must = |holds: bool, what| if holds { Ok(()) } else { Err(what) };
        let agent = self.holder(Role::Audio).is_some();
        must(agent || enforcement.is_fresh(), "something is enforced by nobody")?;
        must(agent || self.audio.endpoints.is_empty(), "endpoints that nobody told")?;
        let enforced = self.audio.phase != Phase::Idle && enforcement.enforced;
        must(self.audio.enforced == enforced, "the audio shows another enforcement")?;
        let mut asked = self.errands.iter().filter(|(_, e)| matches!(e.ask, AgentAsk::Audio(_)));
        let told = enforcement.told.as_ref();
        let newest = asked.all(|(id, errand)| {
            told.is_some_and(|(told, request)| {
                request == id && matches!(&errand.ask, AgentAsk::Audio(asked) if asked == told)
            })
        });
        must(newest, "the agent is asked to enforce what is over")?;
        let known = told.is_none_or(|(_, request)| self.next.knows(*request));
        must(known, "the agent was told by a request that was never made")?;
        let shown = self.calls.values().all(|c| c.mute_enforced == enforcement.silences(c));
        must(shown, "a call shows another silence")
    }

    /// What the agent must have been told at the end of a turn.
    #[cfg(debug_assertions)]
    pub(crate) fn is_told(&self) -> bool {
        let told = self.enforcement.get().told.as_ref();
        self.holder(Role::Audio).is_none()
            || told.is_some_and(|(told, _)| *told == self.due_picture())
    }

    /// Of who has the audio, or is to have it as soon as others are quiet.
    fn due_picture(&self) -> AudioPicture {
        let provider = |group: GroupId| self.groups.get(&group).map(|g| g.provider);
        let next = self.audio_wanted().filter(|_| !self.desktop.audio_gate);
        match (self.audio.phase, next) {
            (Phase::Idle, Some(group)) => self.picture(provider(group), self.audio.generation + 1),
            _ => self.picture(self.audio.holder.and_then(provider), self.audio.generation),
        }
    }

    fn picture(&self, holder: Option<ProviderId>, generation: u64) -> AudioPicture {
        let Some(holder) = holder else {
            return AudioPicture { generation, apps: Vec::new() };
        };
        let mut providers: BTreeSet<ProviderId> = gathered(self.calls.values().map(|c| c.provider));
        // Until it has given the audio back, also without a call.
        providers.insert(holder);
        let app = |provider| {
            let audio = holder == provider;
            let mut calls = self.calls_of(provider);
            let muted = match calls.next() {
                Some(call) => call.muted && calls.next().is_none(),
                // Its last call is over: a microphone that was silent stays so until it lets go of it.
                None => self.enforcement.get().is_told_to_silence(provider),
            };
            AudioApp { provider, audio, silence: audio && muted }
        };
        AudioPicture { generation, apps: providers.into_iter().map(app).collect() }
    }

    fn tell_agent(&mut self, picture: AudioPicture) {
        let before = self.enforcement.get().told.as_ref().map(|(told, _)| told);
        if before == Some(&picture) {
            return;
        }
        let same_grant = before.is_some_and(|told| told.generation == picture.generation);
        let Some(request) = self.ask_agent(AgentAsk::Audio(picture.clone())) else { return };
        let enforcement = self.enforcement.get_mut();
        // A change within a grant makes nobody louder; of another one nothing is known yet.
        enforcement.enforced &= same_grant;
        if let Some((_, older)) = enforcement.told.replace((picture, request)) {
            self.end_errand(older);
        }
    }
}
