//! A turn: what one input changed, published once it is over.
//!
//! Owns the comparison of what readers saw before with what they see now. Changes go out in the order
//! in which they happened, new objects first, removed ones last, each with the next revision.

use crate::{
    AnswerPlan, AudioSession, Call, CallId, CallState, Change, Domain, Effect, Event, Group,
    GroupId, Happening, Notice, Now, Object, Provider, ProviderId, Silenced, Transaction,
    TransactionId,
};

/// What this turn did so far.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Wire order: requests to providers, then what is published.
    pub effects: Vec<Effect>,
    /// Objects that may differ, with what they were.
    touched: Vec<(Object, Before)>,
    /// Transitions, notices, finished transactions.
    moments: Vec<Change>,
    /// Transactions that can go on.
    pub ready: std::collections::VecDeque<TransactionId>,
    pub gone_calls: Vec<Call>,
    pub gone_groups: Vec<Group>,
    pub gone_providers: Vec<Provider>,
    pub gone_transactions: Vec<Transaction>,
    /// Of those that are gone: their removal was published.
    removed: Vec<Object>,
    /// The input that this turn belongs to; it may cause several turns of one domain.
    input: u64,
    audio_before: Option<AudioSession>,
}

#[derive(Debug)]
enum Before {
    New,
    Call(Box<Call>),
    Provider(Box<Provider>),
    /// Groups remember themselves what they showed; transactions only ever gain outcomes.
    Elsewhere,
}

impl Turn {
    pub fn touch_call(&mut self, call: &Call) {
        if !self.touched.iter().any(|(o, _)| *o == Object::Call(call.id)) {
            self.touched.push((Object::Call(call.id), Before::Call(Box::new(call.clone()))));
        }
        if let Some(group) = call.group {
            self.touch(Object::Group(group));
        }
    }

    pub fn touch_provider(&mut self, provider: &Provider) {
        if !self.touched.iter().any(|(o, _)| *o == Object::Provider(provider.id)) {
            let before = Before::Provider(Box::new(provider.clone()));
            self.touched.push((Object::Provider(provider.id), before));
        }
    }

    pub fn touch(&mut self, object: Object) {
        if !self.touched.iter().any(|(o, _)| *o == object) {
            self.touched.push((object, Before::Elsewhere));
        }
    }

    pub fn added(&mut self, object: Object) {
        self.touched.push((object, Before::New));
    }
}

impl Domain {
    pub(crate) fn begin(&mut self, now: Now, input: u64) {
        self.now = now;
        if std::mem::replace(&mut self.turn.input, input) != input {
            self.turn.gone_calls.clear();
            self.turn.gone_groups.clear();
            self.turn.gone_providers.clear();
            self.turn.gone_transactions.clear();
            self.turn.removed.clear();
        }
        self.turn.audio_before = Some(self.audio.clone());
    }

    /// Publishes the turn.
    pub(crate) fn flush(&mut self, effects: &mut Vec<Effect>) {
        self.refresh_ringing();
        self.retire_groups();
        effects.append(&mut self.turn.effects);
        let touched = std::mem::take(&mut self.turn.touched);
        for (object, before) in &touched {
            if matches!(before, Before::New) {
                self.publish(effects, Change::Added(*object));
                self.stamp(*object);
            }
        }
        for (object, before) in touched {
            let names = self.differences(object, before);
            if !names.is_empty() {
                self.publish_changed(effects, object, names);
            }
        }
        let before = self.turn.audio_before.take().unwrap_or_default();
        let names = audio_differences(&before, &self.audio);
        if !names.is_empty() {
            self.publish_changed(effects, Object::Audio, names);
        }
        for change in std::mem::take(&mut self.turn.moments) {
            let finished = match change {
                Change::Finished(transaction) => Some(transaction),
                _ => None,
            };
            self.publish(effects, change);
            if let Some(transaction) = finished {
                effects.push(Effect::Finished { uid: self.uid, transaction });
            }
        }
        let gone = self.turn.gone_calls.iter().map(|c| Object::Call(c.id));
        let gone = gone.chain(self.turn.gone_groups.iter().map(|g| Object::Group(g.id)));
        let gone = gone.chain(self.turn.gone_providers.iter().map(|p| Object::Provider(p.id)));
        let gone =
            gone.chain(self.turn.gone_transactions.iter().map(|t| Object::Transaction(t.id)));
        let new = gone.filter(|o| !self.turn.removed.contains(o)).collect::<Vec<_>>();
        for object in new {
            self.turn.removed.push(object);
            self.publish(effects, Change::Removed(object));
        }
    }

    pub(crate) fn moment(&mut self, change: Change) {
        self.turn.moments.push(change);
    }

    pub(crate) fn notice(&mut self, kind: Notice, call: CallId) {
        self.moment(Change::Notice { kind, call });
    }

    pub(crate) fn log(&mut self, provider: ProviderId, call: Option<CallId>, what: Happening) {
        let Some(app) = self.provider(provider).map(|p| p.app.clone()) else { return };
        let call = call.and_then(|id| self.call(id)).map(|c| c.uuid);
        let event = Event { uid: self.uid, provider, app, call, what };
        self.turn.effects.push(Effect::Logged(event));
    }

    fn publish(&mut self, effects: &mut Vec<Effect>, change: Change) {
        self.revision += 1;
        effects.push(Effect::Publish { uid: self.uid, revision: self.revision, change });
    }

    fn publish_changed(
        &mut self,
        effects: &mut Vec<Effect>,
        object: Object,
        mut names: Vec<&'static str>,
    ) {
        names.push("Revision");
        self.publish(effects, Change::Changed(object, names));
        self.stamp(object);
    }

    /// The object remembers the number of its last change.
    fn stamp(&mut self, object: Object) {
        let revision = self.revision;
        match object {
            Object::Audio => self.audio.revision = revision,
            Object::Provider(id) => {
                let gone = self.turn.gone_providers.iter_mut().find(|p| p.id == id);
                if let Some(p) = self.providers.get_mut(&id).or(gone) {
                    p.revision = revision;
                }
            }
            Object::Call(id) => {
                let gone = self.turn.gone_calls.iter_mut().find(|c| c.id == id);
                if let Some(c) = self.calls.get_mut(&id).or(gone) {
                    c.revision = revision;
                }
            }
            Object::Group(id) => {
                let shown = self.shown(id);
                let gone = self.turn.gone_groups.iter_mut().find(|g| g.id == id);
                if let Some(g) = self.groups.get_mut(&id).or(gone) {
                    g.revision = revision;
                    g.shown = shown;
                }
            }
            Object::Transaction(id) => {
                if let Some(t) = self.transactions.get_mut(&id) {
                    t.revision = revision;
                }
            }
        }
    }

    pub(crate) fn shown(&self, id: GroupId) -> (u64, &'static str, bool) {
        let Some(group) = self.groups.get(&id) else { return (0, "ending", false) };
        (group.membership, self.group_state(id), group.audio)
    }

    fn differences(&self, object: Object, before: Before) -> Vec<&'static str> {
        match (object, before) {
            (Object::Call(id), Before::Call(before)) => {
                self.call(id).map(|now| call_differences(&before, now)).unwrap_or_default()
            }
            (Object::Provider(id), Before::Provider(before)) => {
                self.provider(id).map(|now| provider_differences(&before, now)).unwrap_or_default()
            }
            (Object::Group(id), Before::Elsewhere) => {
                let Some(group) = self.groups.get(&id) else { return Vec::new() };
                let (now, was) = (self.shown(id), group.shown);
                let mut names = Vec::new();
                if now.0 != was.0 {
                    names.push("Calls");
                }
                if now.1 != was.1 {
                    names.push("State");
                }
                if now.2 != was.2 {
                    names.push("Audio");
                }
                names
            }
            (Object::Transaction(id), Before::Elsewhere) => {
                match self.transactions.get(&id).map(|t| t.finished) {
                    Some(true) => vec!["State", "Actions"],
                    Some(false) => vec!["Actions"],
                    None => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }

    /// Whether each ringing call waits, makes a sound, and what answering it would do.
    fn refresh_ringing(&mut self) {
        if self.index.ringing.is_empty() {
            return;
        }
        let engaged =
            |c: &Call| !c.orphaned && (c.state.is_eligible() || c.state == CallState::Answering);
        let engaged = self.calls_in(&self.index.busy).any(engaged);
        let mut at = 0;
        while let Some(id) = self.index.ringing.get(at) {
            let waiting = engaged || at > 0;
            at += 1;
            let plan = self.answer_plan(id);
            let background = self.background;
            let Some(call) = self.calls.get(&id) else { continue };
            let silenced = match (call.silenced, background) {
                (Silenced::No, true) => Silenced::Background,
                (Silenced::Background, false) => Silenced::No,
                (other, _) => other,
            };
            if (call.waiting, call.silenced) == (waiting, silenced) && call.answer_plan == plan {
                continue;
            }
            if let Some(call) = self.call_mut(id) {
                call.waiting = waiting;
                call.silenced = silenced;
                call.answer_plan = plan;
            }
        }
    }

    /// A group without calls goes, but not before it gave the audio back.
    fn retire_groups(&mut self) {
        let audio = self.audio.holder;
        let retired = |d: &Domain| d.index.empty.iter().find(|id| Some(*id) != audio);
        while let Some(id) = retired(self) {
            self.group_mut(id);
            let Some(group) = self.groups.remove(&id) else { return };
            self.index.forget_group(&group);
            self.turn.gone_groups.push(group);
        }
    }
}

/// What is shown only of a ringing call.
pub(crate) fn stop_ringing(call: &mut Call) {
    call.waiting = false;
    call.silenced = Silenced::No;
    call.answer_plan = AnswerPlan::default();
    call.ring_deadline = None;
    call.ring_deadline_wall = 0;
}

fn call_differences(was: &Call, now: &Call) -> Vec<&'static str> {
    let pairs = [
        ("State", was.state != now.state),
        ("Reason", was.reason != now.reason),
        ("RemoteHandle", was.handle != now.handle),
        ("DisplayName", was.name != now.name),
        ("HasVideo", was.video != now.video),
        ("Muted", was.muted != now.muted),
        ("HeldBy", was.held_by != now.held_by),
        ("RemoteHeld", was.remote_held != now.remote_held),
        ("Group", was.group != now.group),
        ("Capabilities", was.can != now.can),
        ("Waiting", was.waiting != now.waiting),
        ("Silenced", was.silenced != now.silenced),
        ("Orphaned", was.orphaned != now.orphaned),
        ("Encrypted", was.encrypted != now.encrypted),
        ("ConnectedAt", was.connected_at != now.connected_at),
        ("EndedAt", was.ended_at != now.ended_at),
        ("EndReason", was.end.as_ref().map(|e| e.reason) != now.end.as_ref().map(|e| e.reason)),
        ("EndDetail", was.end.as_ref().map(|e| &e.detail) != now.end.as_ref().map(|e| &e.detail)),
        ("RingDeadline", was.ring_deadline_wall != now.ring_deadline_wall),
        ("AnswerPlan", was.answer_plan != now.answer_plan),
    ];
    pairs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

fn provider_differences(was: &Provider, now: &Provider) -> Vec<&'static str> {
    let (a, b) = (&was.configuration, &now.configuration);
    let pairs = [
        ("DisplayName", a.display_name != b.display_name),
        ("Configuration", a != b),
        ("AppIdSource", was.source != now.source),
        ("Authorization", was.authorization != now.authorization),
        ("Attached", was.peer.is_some() != now.peer.is_some()),
        ("Responsive", was.responsive != now.responsive),
    ];
    pairs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

fn audio_differences(was: &AudioSession, now: &AudioSession) -> Vec<&'static str> {
    let pairs = [
        ("Holder", was.holder != now.holder),
        ("Phase", was.phase != now.phase),
        ("Generation", was.generation != now.generation),
        ("Since", was.since != now.since),
        ("Enforced", was.enforced != now.enforced),
    ];
    pairs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}
