//! The state of the domain as the arbiter tells it, kept current signal by signal.
//!
//! Owns the rule that makes it gap-free: every change is one signal and raises the revision by one. A
//! signal with the next number is applied; one with an older number was in the snapshot already; any
//! other number means that something was missed, and only a new snapshot helps.

mod difference;

use std::collections::BTreeMap;

use callarbiter_dbus::{
    Dict,
    names::{AUDIO_SESSION, CALL, CallPath, GROUP, MANAGER, Object, PROVIDER, TRANSACTION},
    words::{CallState, NoticeKind},
};
use uuid::Uuid;

use crate::{
    AudioSession, Call, Change, Group, ManagerInfo, Private, ProviderInfo, Transaction,
    signals::{Interfaces, Signal},
};

/// Everything this client may see, at one revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Counts the changes.
    pub revision: u64,
    /// The arbiter itself.
    pub manager: ManagerInfo,
    /// The calls that live.
    pub calls: BTreeMap<CallPath, Call>,
    /// The apps that provide calls, by number.
    pub providers: BTreeMap<u32, ProviderInfo>,
    /// The groups, by number.
    pub groups: BTreeMap<u32, Group>,
    /// The transactions that run or finished within the last minute, by number.
    pub transactions: BTreeMap<u32, Transaction>,
    /// Who has the audio.
    pub audio: AudioSession,
}

/// What became of a signal.
#[derive(Debug, PartialEq)]
pub(crate) enum Applied {
    Change(Change),
    /// The snapshot had it already, or it is about something that this version does not show.
    Nothing,
    /// Something before it is missing.
    Gap,
}

impl Snapshot {
    /// The calls with this UUID: more than one only if two providers chose the same.
    pub fn calls_with_id(&self, id: Uuid) -> impl Iterator<Item = &Call> {
        self.calls.values().filter(move |call| call.id == id)
    }

    /// The provider of a call.
    pub fn provider_of(&self, call: &Call) -> Option<&ProviderInfo> {
        self.providers.get(&call.provider?)
    }

    /// The group that holds the audio session.
    pub fn audio_group(&self) -> Option<&Group> {
        self.groups.get(&self.audio.holder?)
    }

    pub(crate) fn new(
        revision: u64,
        objects: impl IntoIterator<Item = (Option<Object>, Interfaces)>,
    ) -> Self {
        let mut snapshot = Snapshot { revision, ..Snapshot::default() };
        for (object, interfaces) in objects {
            snapshot.add(object, &interfaces);
        }
        snapshot
    }

    pub(crate) fn apply(&mut self, signal: Signal) -> Applied {
        if matches!(signal, Signal::ResyncNeeded) {
            return Applied::Gap;
        }
        let next = self.revision + 1;
        match signal.revision() {
            Some(revision) if revision < next => return Applied::Nothing,
            Some(revision) if revision > next => return Applied::Gap,
            _ => self.revision = next,
        }
        self.change(signal).map_or(Applied::Nothing, Applied::Change)
    }

    fn change(&mut self, signal: Signal) -> Option<Change> {
        match signal {
            Signal::Added { object, interfaces } => self.add(object, &interfaces),
            Signal::Removed { object } => self.remove(object?),
            Signal::Changed { object, interface, properties } => {
                self.update(object?, &interface, &properties)
            }
            Signal::Transition { object: Some(Object::Call(call)), old, new, reason, .. } => {
                Some(Change::Transition {
                    call,
                    old: CallState::from(&*old),
                    new: CallState::from(&*new),
                    reason,
                })
            }
            Signal::Finished { object: Some(Object::Transaction(number)), outcomes, .. } => {
                Some(Change::TransactionFinished { number, results: outcomes })
            }
            Signal::Notice { kind, call, message, .. } => Some(Change::Notice {
                kind: NoticeKind::from(&*kind),
                call: match call {
                    Some(Object::Call(call)) => Some(call),
                    _ => None,
                },
                message: Private::from(message),
            }),
            Signal::Transition { .. } | Signal::Finished { .. } | Signal::ResyncNeeded => None,
        }
    }

    fn add(&mut self, object: Option<Object>, interfaces: &Interfaces) -> Option<Change> {
        let properties = |interface| interfaces.get(interface);
        match object? {
            Object::Root => {
                if let Some(known) = properties(MANAGER) {
                    self.manager.apply(known);
                }
                if let Some(known) = properties(AUDIO_SESSION) {
                    self.audio.apply(known);
                }
                None
            }
            Object::Call(path) => {
                let call = Call::new(path, properties(CALL)?);
                self.calls.insert(path, call.clone());
                Some(Change::CallAdded(Box::new(call)))
            }
            Object::Provider(number) => {
                let provider = ProviderInfo::new(number, properties(PROVIDER)?);
                self.providers.insert(number, provider.clone());
                Some(Change::ProviderAdded(Box::new(provider)))
            }
            Object::Group(number) => {
                let group = Group::new(number, properties(GROUP)?);
                self.groups.insert(number, group.clone());
                Some(Change::GroupAdded(group))
            }
            Object::Transaction(number) => {
                let transaction = Transaction::new(number, properties(TRANSACTION)?);
                self.transactions.insert(number, transaction.clone());
                Some(Change::TransactionAdded(transaction))
            }
        }
    }

    fn remove(&mut self, object: Object) -> Option<Change> {
        match object {
            Object::Root => None,
            Object::Call(path) => {
                self.calls.remove(&path).map(|call| Change::CallRemoved(Box::new(call)))
            }
            Object::Provider(number) => self
                .providers
                .remove(&number)
                .map(|provider| Change::ProviderRemoved(Box::new(provider))),
            Object::Group(number) => self.groups.remove(&number).map(Change::GroupRemoved),
            Object::Transaction(number) => {
                self.transactions.remove(&number).map(Change::TransactionRemoved)
            }
        }
    }

    fn update(&mut self, object: Object, interface: &str, properties: &Dict) -> Option<Change> {
        match (object, interface) {
            (Object::Root, MANAGER) => {
                self.manager.apply(properties);
                None
            }
            (Object::Root, AUDIO_SESSION) => {
                self.audio.apply(properties);
                Some(Change::AudioChanged(self.audio.clone()))
            }
            (Object::Call(path), CALL) => {
                let call = self.calls.get_mut(&path)?;
                call.apply(properties);
                let mut changed: Vec<String> = properties.keys().cloned().collect();
                changed.sort_unstable();
                Some(Change::CallChanged { call: Box::new(call.clone()), changed })
            }
            (Object::Provider(number), PROVIDER) => {
                let provider = self.providers.get_mut(&number)?;
                provider.apply(properties);
                Some(Change::ProviderChanged(Box::new(provider.clone())))
            }
            (Object::Group(number), GROUP) => {
                let group = self.groups.get_mut(&number)?;
                group.apply(properties);
                Some(Change::GroupChanged(group.clone()))
            }
            (Object::Transaction(number), TRANSACTION) => {
                let transaction = self.transactions.get_mut(&number)?;
                transaction.apply(properties);
                Some(Change::TransactionChanged(transaction.clone()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
