//! A turn: what one input changed, published once it is over.
//!
//! Owns the comparison of what readers saw before with what they see now. Changes go out in the order
//! in which they happened, new objects first, removed ones last, each with the next revision.

use std::collections::VecDeque;

use crate::{
    AnswerPlan, AudioSession, Call, CallId, CallState, Change, Domain, Effect, Event, Group,
    GroupId, Happening, Names, Notice, Now, Object, Provider, ProviderId, Silenced, Transaction,
    TransactionId,
    shown::{
        ShownCall, ShownGroup, audio_differences, group_differences, provider_differences,
        transaction_differences,
    },
};

/// What this turn did so far. What it is made of is emptied, not given back, at its end: the next turn
/// needs as much.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Wire order: requests to providers, then what is published.
    pub effects: Vec<Effect>,
    /// Objects that may differ, with what they were.
    touched: Vec<(Object, Before)>,
    /// Transitions, notices, finished transactions.
    moments: Vec<Change>,
    /// Transactions that can go on.
    pub ready: VecDeque<TransactionId>,
    pub gone_calls: Gone<Call>,
    pub gone_groups: Gone<Group>,
    pub gone_providers: Gone<Provider>,
    pub gone_transactions: Gone<Transaction>,
    /// The input that this turn belongs to; it may cause several turns of one domain.
    input: u64,
    audio_before: Option<AudioSession>,
}

#[derive(Debug)]
enum Before {
    New,
    Call(ShownCall),
    Provider(Box<Provider>),
    /// Groups remember themselves what they showed; transactions only ever gain outcomes.
    Elsewhere,
}

/// What this input removed; it can be read until the next one.
#[derive(Debug)]
pub(crate) struct Gone<T> {
    all: Vec<T>,
    /// So many removals were published.
    told: usize,
}

impl<T> Gone<T> {
    pub fn push(&mut self, gone: T) {
        self.all.push(gone);
    }

    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.all.iter()
    }

    fn find_mut(&mut self, is: impl Fn(&T) -> bool) -> Option<&mut T> {
        self.all.iter_mut().find(|gone| is(gone))
    }

    fn clear(&mut self) {
        self.all.clear();
        self.told = 0;
    }

    /// The next one whose removal was not published.
    fn tell(&mut self) -> Option<&T> {
        let next = self.all.get(self.told)?;
        self.told += 1;
        Some(next)
    }
}

impl<T> Default for Gone<T> {
    fn default() -> Self {
        Gone { all: Vec::new(), told: 0 }
    }
}

impl Turn {
    pub fn touch_call(&mut self, call: &Call) {
        if !self.has_touched(Object::Call(call.id)) {
            self.touched.push((Object::Call(call.id), Before::Call(ShownCall::of(call))));
        }
        if let Some(group) = call.group {
            self.touch(Object::Group(group));
        }
    }

    pub fn touch_provider(&mut self, provider: &Provider) {
        if !self.has_touched(Object::Provider(provider.id)) {
            let before = Before::Provider(Box::new(provider.clone()));
            self.touched.push((Object::Provider(provider.id), before));
        }
    }

    pub fn touch(&mut self, object: Object) {
        if !self.has_touched(object) {
            self.touched.push((object, Before::Elsewhere));
        }
    }

    pub fn added(&mut self, object: Object) {
        self.touched.push((object, Before::New));
    }

    /// What readers saw of a call that is being changed; none of a new one.
    pub fn shown_before(&mut self, id: CallId) -> Option<&mut ShownCall> {
        self.touched.iter_mut().find_map(|(object, before)| match before {
            Before::Call(shown) if *object == Object::Call(id) => Some(shown),
            _ => None,
        })
    }

    fn has_touched(&self, object: Object) -> bool {
        self.touched.iter().any(|(o, _)| *o == object)
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
        }
        self.turn.audio_before = Some(self.audio.clone());
    }

    /// Publishes the turn.
    pub(crate) fn flush(&mut self, effects: &mut Vec<Effect>) {
        self.refresh_ringing();
        self.retire_groups();
        effects.append(&mut self.turn.effects);
        let mut touched = std::mem::take(&mut self.turn.touched);
        for (object, before) in &touched {
            if matches!(before, Before::New) {
                self.publish(effects, Change::Added(*object));
                self.stamp(*object);
            }
        }
        for (object, before) in touched.drain(..) {
            let names = self.differences(object, &before);
            if let Some(names) = names.filter(|names| !names.is_empty()) {
                self.publish(effects, Change::Changed(object, names));
                self.stamp(object);
            }
        }
        self.turn.touched = touched;
        let before = self.turn.audio_before.take().unwrap_or_default();
        let names = audio_differences(&before, &self.audio);
        if !names.is_empty() {
            self.publish(effects, Change::Changed(Object::Audio, names));
            self.stamp(Object::Audio);
        }
        let mut moments = std::mem::take(&mut self.turn.moments);
        for change in moments.drain(..) {
            let finished = match change {
                Change::Finished(transaction) => Some(transaction),
                _ => None,
            };
            self.publish(effects, change);
            if let Some(transaction) = finished {
                effects.push(Effect::Finished { uid: self.uid, transaction });
            }
        }
        self.turn.moments = moments;
        while let Some(object) = self.next_gone() {
            self.publish(effects, Change::Removed(object));
        }
    }

    fn next_gone(&mut self) -> Option<Object> {
        let Turn { gone_calls, gone_groups, gone_providers, gone_transactions, .. } =
            &mut self.turn;
        let call = gone_calls.tell().map(|c| Object::Call(c.id));
        let group = || gone_groups.tell().map(|g| Object::Group(g.id));
        let provider = || gone_providers.tell().map(|p| Object::Provider(p.id));
        let transaction = || gone_transactions.tell().map(|t| Object::Transaction(t.id));
        call.or_else(group).or_else(provider).or_else(transaction)
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

    /// The object remembers the number of its last change.
    fn stamp(&mut self, object: Object) {
        let revision = self.revision;
        match object {
            Object::Audio => self.audio.revision = revision,
            Object::Provider(id) => {
                let gone = self.turn.gone_providers.find_mut(|p| p.id == id);
                if let Some(p) = self.providers.get_mut(&id).or(gone) {
                    p.revision = revision;
                }
            }
            Object::Call(id) => {
                let gone = self.turn.gone_calls.find_mut(|c| c.id == id);
                if let Some(c) = self.calls.get_mut(&id).or(gone) {
                    c.revision = revision;
                }
            }
            Object::Group(id) => {
                let shown = self.shown(id);
                let gone = self.turn.gone_groups.find_mut(|g| g.id == id);
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

    pub(crate) fn shown(&self, id: GroupId) -> ShownGroup {
        let Some(group) = self.groups.get(&id) else { return (0, "ending", false) };
        (group.membership, self.group_state(id), group.audio)
    }

    fn differences(&self, object: Object, before: &Before) -> Option<Names> {
        match (object, before) {
            (Object::Call(id), Before::Call(was)) => Some(was.differences(self.call(id)?)),
            (Object::Provider(id), Before::Provider(was)) => {
                Some(provider_differences(was, self.provider(id)?))
            }
            (Object::Group(id), Before::Elsewhere) => {
                Some(group_differences(self.groups.get(&id)?.shown, self.shown(id)))
            }
            (Object::Transaction(id), Before::Elsewhere) => {
                Some(transaction_differences(self.transactions.get(&id)?.finished))
            }
            _ => None,
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
            let background = self.desktop.background;
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
            }
            self.replace_answer_plan(id, plan);
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

    /// A touched call shows another plan.
    pub(crate) fn replace_answer_plan(&mut self, id: CallId, plan: AnswerPlan) {
        let Some(call) = self.calls.get_mut(&id).filter(|c| c.answer_plan != plan) else { return };
        let was = std::mem::replace(&mut call.answer_plan, plan);
        if let Some(shown) = self.turn.shown_before(id) {
            shown.answer_plan.get_or_insert(was);
        }
    }
}
