//! From records back to the arbiter that wrote them, or a word about the one that is wrong.
//!
//! Owns what is not written: indexes, counts, who is in which domain. Bytes may be anything; what comes out is
//! sound or nothing.

use std::{collections::BTreeSet, fmt};

use callarbiter_records::{Fault, read};

use super::{
    Key, Kind,
    shapes::{
        CallRecord, Course, EnforcementRecord, ErrandRecord, ProviderRecord, RecordingRecord,
        RequestRecord, TransactionRecord,
    },
};
use crate::{
    Arbiter, Call, CallId, Contact, Domain, Group, GroupId, Provider, ProviderId, Record,
    RequestId, Settings, Time, Transaction, TransactionId, Uid,
    batch::Batch,
    consent::Decision,
    gathered,
    index::Index,
    memory::{Answered, Tombstone},
    quiet::Suppressed,
    request::Past,
    timers::Due,
    why::{Chunk, Over},
};

/// Why a saved state cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    uid: Uid,
    record: Option<(&'static str, u64)>,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// These bytes are no such record.
    Damaged(&'static str),
    /// A later version wrote it.
    Newer,
    /// Records contradict each other.
    Unsound(&'static str),
}

impl Unreadable {
    /// A later version of the arbiter wrote it: it is whole, and useless to this one.
    pub fn is_newer(&self) -> bool {
        self.why == Why::Newer
    }
}

impl From<Fault> for Why {
    fn from(fault: Fault) -> Why {
        match fault {
            Fault::Damaged(why) => Why::Damaged(why),
            Fault::Newer => Why::Newer,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record {
            Some((kind, number)) => write!(f, "{kind} {number} of user {}: ", self.uid)?,
            None => write!(f, "the state of user {}: ", self.uid)?,
        }
        match self.why {
            Why::Damaged(why) | Why::Unsound(why) => f.write_str(why),
            Why::Newer => write!(f, "{}", Fault::Newer),
        }
    }
}

impl std::error::Error for Unreadable {}

impl Arbiter {
    /// The arbiter that wrote these records, each key once, in any order.
    pub fn restore(
        settings: Settings,
        records: impl IntoIterator<Item = (Key, Vec<u8>)>,
    ) -> Result<Arbiter, Unreadable> {
        let mut arbiter = Arbiter::new(settings);
        let mut found = BTreeSet::new();
        for (key, value) in records {
            arbiter.place(key, &value).map_err(|why| {
                let kind = key.kind().map_or("a record of an unknown kind,", Kind::name);
                Unreadable { uid: key.uid(), record: Some((kind, key.number())), why }
            })?;
            found.insert(key);
        }
        arbiter.rebuild(&found)?;
        arbiter.saving = !found.is_empty();
        Ok(arbiter)
    }

    fn place(&mut self, key: Key, value: &[u8]) -> Result<(), Why> {
        if key == Key::ARBITER {
            *self.shared.get_mut() = read(value)?;
            self.written = value.to_vec();
            return Ok(());
        }
        let kind = key.kind().filter(|kind| *kind != Kind::Arbiter);
        let kind = kind.ok_or(Why::Newer)?;
        let settings = &self.settings;
        let uid = key.uid();
        let domain = self.domains.entry(uid).or_insert_with(|| Domain::new(uid, settings.clone()));
        domain.place(kind, key.number(), value)
    }

    /// What is not written.
    fn rebuild(&mut self, found: &BTreeSet<Key>) -> Result<(), Unreadable> {
        if !found.is_empty() && !found.contains(&Key::ARBITER) {
            let why = Why::Unsound("what users share is missing");
            return Err(Unreadable { uid: Uid(0), record: None, why });
        }
        for (uid, domain) in &mut self.domains {
            let bad = |why| Unreadable { uid: *uid, record: None, why: Why::Unsound(why) };
            for kind in [Kind::Course, Kind::Desktop] {
                if !found.contains(&Key::new(*uid, kind, 0)) {
                    return Err(bad("a part of it is missing"));
                }
            }
            domain.rebuild().map_err(bad)?;
            domain.sound().map_err(bad)?;
            domain.countable().map_err(bad)?;
            domain.forget_unsaved();
            self.unsaved.push(*uid);
            let peers = domain.providers.values().filter_map(|p| p.peer);
            for peer in peers.chain(domain.desktop.roles.values().flatten().copied()) {
                if self.peers.insert(peer, *uid).is_some_and(|other| other != *uid) {
                    return Err(bad("it has a connection of another user"));
                }
            }
            self.deadlines.extend(domain.next_deadline().map(|(at, _)| (at, *uid)));
        }
        Ok(())
    }
}

impl Domain {
    fn place(&mut self, kind: Kind, number: u64, value: &[u8]) -> Result<(), Why> {
        let small = || u32::try_from(number).map_err(|_| Why::Damaged("its number is too high"));
        let fresh = match kind {
            Kind::Arbiter => false,
            Kind::Course => {
                let course: Course = read(value)?;
                (self.revision, self.next) = (course.revision, course.next);
                (self.focus, self.vacated) = (course.focus, course.vacated);
                (self.lane, self.audio) = (course.lane, course.audio);
                (self.audio_told, self.audio_request) = (course.audio_told, course.audio_request);
                self.written.course = value.to_vec();
                number == 0
            }
            Kind::Desktop => {
                *self.desktop.get_mut() = read(value)?;
                self.written.desktop = value.to_vec();
                number == 0
            }
            Kind::Provider => {
                let id = ProviderId(small()?);
                let ProviderRecord { provider, grace } = read(value)?;
                self.rearm(Due::Grace(id), grace);
                self.providers.insert(id, Provider { id, ..provider }).is_none()
            }
            Kind::Call => {
                let id = CallId(small()?);
                let CallRecord { call, ring, progress, answer } = read(value)?;
                self.rearm(Due::Ring(id), ring);
                self.rearm(Due::Progress(id), progress);
                self.rearm(Due::AutoAnswer(id), answer);
                self.calls.insert(id, Call { id, ..call }).is_none()
            }
            Kind::Group => {
                let id = GroupId(small()?);
                let group: Group = read(value)?;
                self.groups.insert(id, Group { id, ..group }).is_none()
            }
            Kind::Transaction => {
                let id = TransactionId(small()?);
                let TransactionRecord { transaction, forget } = read(value)?;
                self.rearm(Due::Forget(id), forget);
                self.transactions.insert(id, Transaction { id, ..transaction }).is_none()
            }
            Kind::Request => {
                let id = RequestId(number);
                let RequestRecord { request, until } = read(value)?;
                self.rearm(Due::Request(id), until);
                self.requests.insert(id, request).is_none()
            }
            Kind::Past => self.past.insert(number, read::<Past>(value)?).is_none(),
            Kind::Batch => self.batches.insert(small()?, read::<Batch>(value)?).is_none(),
            Kind::Tombstone => self.tombstones.restore(number, read::<Tombstone>(value)?),
            Kind::Token => self.tokens.restore(number, read::<Answered>(value)?),
            Kind::Allowed => {
                let fresh = self.allowed.get().some().is_none();
                *self.allowed.get_mut() = read(value)?;
                fresh && number == 0 && self.allowed.get().some().is_some()
            }
            Kind::Decision => self.decisions.insert(number, read::<Decision>(value)?).is_none(),
            Kind::Errand => {
                let id = RequestId(number);
                let ErrandRecord { errand, until } = read(value)?;
                self.rearm(Due::Errand(id), until);
                self.errands.insert(id, errand).is_none()
            }
            Kind::Enforcement => {
                let fresh = self.enforcement.get().is_fresh();
                let EnforcementRecord { enforcement, endpoints, endpoint } = read(value)?;
                *self.enforcement.get_mut() = enforcement;
                (self.audio.endpoints, self.audio.endpoint) = (endpoints, endpoint);
                fresh && number == 0
            }
            Kind::Record => self.records.insert(number, read::<Record>(value)?).is_none(),
            Kind::Recording => {
                let fresh = self.recording.get().some().is_none();
                let RecordingRecord { recording, until } = read(value)?;
                self.rearm(Due::Records, until);
                *self.recording.get_mut() = recording;
                fresh && number == 0 && self.recording.get().some().is_some()
            }
            Kind::Contact => {
                self.written.contacts.insert(CallId(small()?), read::<Contact>(value)?).is_none()
            }
            Kind::Why => self.whys.restore(number, read::<Chunk>(value)?),
            Kind::Over => self.whys.over.insert(CallId(small()?), read::<Over>(value)?).is_none(),
            Kind::Preferences => {
                let fresh = self.preferences.get().some().is_none();
                *self.preferences.get_mut() = read(value)?;
                fresh && number == 0 && self.preferences.get().some().is_some()
            }
            Kind::Suppressed => {
                self.suppressed.insert(number, read::<Suppressed>(value)?).is_none()
            }
        };
        if fresh { Ok(()) } else { Err(Why::Damaged("it is there twice")) }
    }

    fn rearm(&mut self, due: Due, at: Option<Time>) {
        if let Some(at) = at {
            self.timers.arm(due, at);
        }
    }

    fn rebuild(&mut self) -> Result<(), &'static str> {
        for (id, contact) in std::mem::take(&mut self.written.contacts) {
            let call = self.calls.get_mut(&id).ok_or("a contact of no call")?;
            call.known = Some(contact.into());
        }
        self.restore_whys()?;
        self.restore_silence();
        self.by_uuid = gathered(self.calls.values().map(|c| (c.uuid, c.id)));
        self.index = Index::of(self);
        let open = self.transactions.values().filter(|t| !t.finished).count();
        self.unfinished = u32::try_from(open).unwrap_or(u32::MAX);
        let groups: Vec<GroupId> = self.groups.keys().copied().collect();
        for id in groups {
            let shown = self.shown(id);
            if let Some(group) = self.groups.get_mut(&id) {
                group.shown = shown;
            }
        }
        Ok(())
    }
}
