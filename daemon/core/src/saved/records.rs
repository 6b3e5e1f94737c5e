//! The records of one domain: what each holds, and which of them changed.
//!
//! Owns their contents. A deadline is written with what waits for it. The course, which nearly every turn changes, is
//! compared with what was written last, so that nobody needs to mark it.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use callarbiter_records::Writer;
use serde::Serialize;

use super::{
    Key, Kind, note,
    shapes::{
        WriteCall, WriteCourse, WriteEnforcement, WriteErrand, WriteProvider, WriteRecording,
        WriteRequest, WriteTransaction,
    },
};
use crate::{
    AudioSession, CallId, Contact, Domain, GroupId, ProviderId, RequestId, Role, TransactionId,
    Uid, kept::Kept, timers::Due,
};

/// What of a domain was written last, where that is compared.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(super) course: Vec<u8>,
    pub(super) desktop: Vec<u8>,
    /// Contacts that were read and have not met their calls yet.
    pub(super) contacts: BTreeMap<CallId, Contact>,
}

impl Domain {
    /// The keys of what may have changed since the last time, in order and each once.
    pub(super) fn take_unsaved(&mut self, scratch: &mut Vec<u8>, keys: &mut Vec<Key>) {
        self.mark_deadlines();
        let mut changes = Changes { uid: self.uid, keys };
        self.encode_course(&mut Writer::new(scratch));
        changes.one(Kind::Course, note(&mut self.written.course, scratch));
        if self.desktop.take_changed() || self.written.desktop.is_empty() {
            Writer::new(scratch).record(self.desktop.get());
            changes.one(Kind::Desktop, note(&mut self.written.desktop, scratch));
        }
        changes.of(Kind::Provider, self.providers.changed(), |id| id.0.into());
        changes.of(Kind::Call, self.calls.changed(), |id| id.0.into());
        changes.of(Kind::Group, self.groups.changed(), |id| id.0.into());
        changes.of(Kind::Transaction, self.transactions.changed(), |id| id.0.into());
        changes.of(Kind::Request, self.requests.changed(), |id| id.0);
        changes.of(Kind::Past, self.past.changed(), |number| number);
        changes.of(Kind::Batch, self.batches.changed(), u64::from);
        changes.of(Kind::Tombstone, self.tombstones.kept.changed(), |number| number);
        changes.of(Kind::Token, self.tokens.kept.changed(), |number| number);
        changes.one(Kind::Allowed, self.allowed.take_changed());
        changes.of(Kind::Suppressed, self.suppressed.changed(), |number| number);
        changes.of(Kind::Decision, self.decisions.changed(), |number| number);
        changes.of(Kind::Errand, self.errands.changed(), |id| id.0);
        changes.of(Kind::Contact, &mut self.contacts_changed, |id| id.0.into());
        changes.one(Kind::Enforcement, self.enforcement.take_changed());
        changes.of(Kind::Record, self.records.changed(), |number| number);
        changes.one(Kind::Recording, self.recording.take_changed());
        changes.of(Kind::Why, self.whys.changed(), |number| number);
        changes.of(Kind::Over, self.whys.over.changed(), |id| id.0.into());
        changes.one(Kind::Preferences, self.preferences.take_changed());
    }

    /// A deadline is written with what waits for it.
    fn mark_deadlines(&mut self) {
        for due in self.timers.changed().drain(..) {
            match due {
                Due::Request(id) => self.requests.mark(id),
                Due::Ring(id) | Due::Progress(id) | Due::AutoAnswer(id) => self.calls.mark(id),
                Due::Grace(id) => self.providers.mark(id),
                Due::Forget(id) => self.transactions.mark(id),
                Due::Errand(id) => self.errands.mark(id),
                Due::Records => self.recording.mark(),
            }
        }
    }

    /// Nobody saves, or everything is written anyway. What is compared needs no mark to be forgotten.
    pub(crate) fn forget_unsaved(&mut self) {
        self.providers.changed().clear();
        self.calls.changed().clear();
        self.groups.changed().clear();
        self.transactions.changed().clear();
        self.requests.changed().clear();
        self.past.changed().clear();
        self.batches.changed().clear();
        self.tombstones.kept.changed().clear();
        self.tokens.kept.changed().clear();
        self.allowed.take_changed();
        self.suppressed.changed().clear();
        self.decisions.changed().clear();
        self.errands.changed().clear();
        self.enforcement.take_changed();
        self.records.changed().clear();
        self.recording.take_changed();
        self.preferences.take_changed();
        self.contacts_changed.clear();
        self.whys.changed().clear();
        self.whys.over.changed().clear();
        self.timers.changed().clear();
    }

    /// Appends one record. False: there is no such thing, or none any more.
    pub(super) fn encode(&self, kind: Kind, number: u64, value: &mut Writer<'_>) -> bool {
        let at = |due| self.timers.at(due);
        match kind {
            Kind::Arbiter => false,
            Kind::Course => {
                self.encode_course(value);
                true
            }
            Kind::Desktop => put(Some(self.desktop.get()), value),
            Kind::Provider => {
                let id = ProviderId(small(number));
                let grace = &at(Due::Grace(id));
                let provider = self.providers.get(&id);
                put(provider.map(|provider| WriteProvider { provider, grace }), value)
            }
            Kind::Call => {
                let id = CallId(small(number));
                let (ring, progress) = (&at(Due::Ring(id)), &at(Due::Progress(id)));
                let answer = &at(Due::AutoAnswer(id));
                let call = self.calls.get(&id);
                put(call.map(|call| WriteCall { call, ring, progress, answer }), value)
            }
            Kind::Group => put(self.groups.get(&GroupId(small(number))), value),
            Kind::Transaction => {
                let id = TransactionId(small(number));
                let forget = &at(Due::Forget(id));
                let transaction = self.transactions.get(&id);
                put(transaction.map(|transaction| WriteTransaction { transaction, forget }), value)
            }
            Kind::Request => {
                let id = RequestId(number);
                let until = &at(Due::Request(id));
                put(self.requests.get(&id).map(|request| WriteRequest { request, until }), value)
            }
            Kind::Past => put(self.past.get(&number), value),
            Kind::Batch => put(self.batches.get(&small(number)), value),
            Kind::Tombstone => put(self.tombstones.kept.get(&number), value),
            Kind::Token => put(self.tokens.kept.get(&number), value),
            Kind::Allowed => put(self.allowed.get().some(), value),
            Kind::Preferences => put(self.preferences.get().some(), value),
            Kind::Suppressed => put(self.suppressed.get(&number), value),
            Kind::Decision => put(self.decisions.get(&number), value),
            Kind::Errand => {
                let id = RequestId(number);
                let until = &at(Due::Errand(id));
                put(self.errands.get(&id).map(|errand| WriteErrand { errand, until }), value)
            }
            Kind::Enforcement => put(self.kept_enforcement(), value),
            Kind::Record => put(self.records.get(&number), value),
            Kind::Recording => {
                let recording = self.recording.get().some();
                let until = &at(Due::Records);
                put(recording.map(|recording| WriteRecording { recording, until }), value)
            }
            Kind::Why => put(self.whys.piece(number), value),
            Kind::Over => put(self.whys.over.get(&CallId(small(number))), value),
            Kind::Contact => {
                let call = self.calls.get(&CallId(small(number)));
                put(call.and_then(|call| call.known.as_ref()), value)
            }
        }
    }

    fn kept_enforcement(&self) -> Option<WriteEnforcement<'_>> {
        self.holder(Role::Audio)?;
        let AudioSession { endpoints, endpoint, .. } = &self.audio;
        Some(WriteEnforcement { enforcement: self.enforcement.get(), endpoints, endpoint })
    }

    fn encode_course(&self, value: &mut Writer<'_>) {
        let Domain { revision, next, focus, vacated, lane, .. } = self;
        let Domain { audio, audio_told, audio_request, .. } = self;
        let course =
            WriteCourse { revision, next, focus, vacated, lane, audio, audio_told, audio_request };
        value.record(&course);
    }

    /// Keys behind `after` until there are `end`.
    pub(super) fn keys_after(&self, after: Option<Key>, end: usize, keys: &mut Vec<Key>) {
        for kind in Kind::ALL {
            let same = after.filter(|key| key.kind() == Some(kind)).map(Key::number);
            let before = after.is_some_and(|key| key.is_behind(kind));
            if keys.len() >= end {
                return;
            }
            if !before {
                self.keys_of(kind, same, end, keys);
            }
        }
    }

    fn keys_of(&self, kind: Kind, after: Option<u64>, end: usize, keys: &mut Vec<Key>) {
        let after_small = after.map(small);
        let mut list = Listing { uid: self.uid, kind, end, keys };
        match kind {
            Kind::Arbiter => {}
            Kind::Course | Kind::Desktop => list.add(after.is_none().then_some(0).into_iter()),
            Kind::Provider => {
                list.of(&self.providers, after_small.map(ProviderId), |id| id.0.into())
            }
            Kind::Call => list.of(&self.calls, after_small.map(CallId), |id| id.0.into()),
            Kind::Group => list.of(&self.groups, after_small.map(GroupId), |id| id.0.into()),
            Kind::Transaction => {
                list.of(&self.transactions, after_small.map(TransactionId), |id| id.0.into());
            }
            Kind::Request => list.of(&self.requests, after.map(RequestId), |id| id.0),
            Kind::Past => list.of(&self.past, after, |number| number),
            Kind::Batch => list.of(&self.batches, after_small, u64::from),
            Kind::Tombstone => list.of(&self.tombstones.kept, after, |number| number),
            Kind::Token => list.of(&self.tokens.kept, after, |number| number),
            Kind::Allowed => {
                let some = self.allowed.get().some().filter(|_| after.is_none());
                list.add(some.map(|_| 0).into_iter());
            }
            Kind::Suppressed => list.of(&self.suppressed, after, |number| number),
            Kind::Decision => list.of(&self.decisions, after, |number| number),
            Kind::Enforcement => {
                let some = self.kept_enforcement().filter(|_| after.is_none());
                list.add(some.map(|_| 0).into_iter());
            }
            Kind::Errand => list.of(&self.errands, after.map(RequestId), |id| id.0),
            Kind::Record => list.of(&self.records, after, |number| number),
            Kind::Recording => {
                let some = self.recording.get().some().filter(|_| after.is_none());
                list.add(some.map(|_| 0).into_iter());
            }
            Kind::Preferences => {
                let some = self.preferences.get().some().filter(|_| after.is_none());
                list.add(some.map(|_| 0).into_iter());
            }
            Kind::Why => list.add(self.whys.pieces_after(after)),
            Kind::Over => list.of(&self.whys.over, after_small.map(CallId), |id| id.0.into()),
            Kind::Contact => {
                let range = (after_small.map(CallId).map_or(Unbounded, Excluded), Unbounded);
                let known = self.calls.range(range).filter(|(_, call)| call.known.is_some());
                list.add(known.map(|(id, _)| id.0.into()));
            }
        }
    }
}

/// The keys of what changed, one kind after another.
struct Changes<'a> {
    uid: Uid,
    keys: &'a mut Vec<Key>,
}

impl Changes<'_> {
    fn one(&mut self, kind: Kind, changed: bool) {
        if changed {
            self.keys.push(Key::new(self.uid, kind, 0));
        }
    }

    fn of<K>(&mut self, kind: Kind, changed: &mut Vec<K>, number: impl Fn(K) -> u64) {
        if changed.is_empty() {
            return;
        }
        let from = self.keys.len();
        for id in changed.drain(..) {
            self.add(from, Key::new(self.uid, kind, number(id)));
        }
    }

    /// Where it belongs among those of its kind, which begin there. Most come in order.
    fn add(&mut self, from: usize, key: Key) {
        let same = self.keys.get(from..).unwrap_or_default();
        match same.last() {
            Some(last) if *last >= key => {
                if let Err(at) = same.binary_search(&key) {
                    self.keys.insert(from + at, key);
                }
            }
            _ => self.keys.push(key),
        }
    }
}

fn put<T: Serialize>(record: Option<T>, value: &mut Writer<'_>) -> bool {
    if let Some(record) = &record {
        value.record(record);
    }
    record.is_some()
}

/// No entity with such a number is beyond the last.
fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Keys of one kind, up to a number of keys.
struct Listing<'a> {
    uid: Uid,
    kind: Kind,
    end: usize,
    keys: &'a mut Vec<Key>,
}

impl Listing<'_> {
    fn of<K: Ord + Copy, V>(
        &mut self,
        kept: &Kept<K, V>,
        after: Option<K>,
        number: impl Fn(K) -> u64,
    ) {
        let range = kept.range((after.map_or(Unbounded, Excluded), Unbounded));
        self.add(range.map(|(key, _)| number(*key)));
    }

    fn add(&mut self, numbers: impl Iterator<Item = u64>) {
        let room = self.end.saturating_sub(self.keys.len());
        let (uid, kind) = (self.uid, self.kind);
        self.keys.extend(numbers.take(room).map(|number| Key::new(uid, kind, number)));
    }
}
