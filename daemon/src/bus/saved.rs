//! What of the shell outlives the process, beside the core: which connection each number is, where
//! providers and agents are asked, who subscribed, who requested what, and by which words request ids are told from
//! those of a lost state.
//!
//! Owns these records and the way back from them. A number of a connection means the same after a restart as
//! before it; a connection that left meanwhile is lost for the core like any other. Whoever subscribed is
//! told to resynchronise, because the last signals may not have left the process.
//!
//! They change by the rule of [`callarbiter_records`].

use std::{
    collections::{BTreeMap, HashSet},
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use callarbiter_core::{
    Arbiter, Change, Input, Millis, Now, Peer, ProviderId, Time, TransactionId, Uid,
};
use callarbiter_records::{Fault, read, read_key, write, write_key};
use callarbiter_wire::Outgoing;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing::info;
use uuid::Uuid;
use zbus::OwnedObjectPath;

use super::{
    delegate::Requests,
    kept::Kept,
    peers::{Client, SavedPeer},
    router::Router,
    turn::{Turn, built},
};
use crate::{log::ids, store::Records};

/// A daemon that lived no longer than this gave everybody time that nobody had: the next gives none.
const SOON: Millis = Millis::secs(10);

/// The name of a record. New kinds come last: their order is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Key {
    /// The state as a whole.
    Life,
    /// A connection.
    Peer(Peer),
    /// It wants to hear of changes.
    Subscriber(Uid, Peer),
    /// Where a provider is asked.
    Delegate(Uid, ProviderId),
    /// Who hears of the end of a transaction.
    Requester(Uid, TransactionId),
    /// The core's own.
    Core(callarbiter_core::Key),
    /// Where an agent is asked.
    Agent(Peer),
    /// What a user said of apps behind walls.
    Permits(Uid),
}

/// From the beginning of a state to its loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The bus on which its connections are; elsewhere the same names are others.
    pub bus: String,
    /// Tells clients whether the state is still the same.
    pub epoch: String,
    /// What request ids begin with.
    pub requests: String,
    /// The clocks at the start of the daemon that wrote it.
    pub since: (Time, u64),
}

/// Why saved records cannot be used.
#[derive(Debug, Error)]
pub enum Unusable {
    /// The core says why.
    #[error("{0}")]
    Core(#[from] callarbiter_core::Unreadable),
    /// Something else than this program wrote it.
    #[error("{0}")]
    Damaged(&'static str),
    /// A later version wrote it.
    #[error("a later version of callarbiterd wrote it")]
    Newer,
    /// The machine was started since; nothing of it lives.
    #[error("it is of before the machine was started")]
    OtherBoot,
}

impl From<Fault> for Unusable {
    fn from(fault: Fault) -> Unusable {
        match fault {
            Fault::Newer => Unusable::Newer,
            Fault::Damaged(_) => Unusable::Damaged("a record makes no sense"),
        }
    }
}

impl Unusable {
    /// It is whole, and useless to this version.
    pub fn is_newer(&self) -> bool {
        match self {
            Unusable::Newer => true,
            Unusable::Core(why) => why.is_newer(),
            Unusable::Damaged(_) | Unusable::OtherBoot => false,
        }
    }
}

/// How this run of the daemon continues an earlier one.
#[derive(Debug, Default)]
pub struct Continuity {
    bus: String,
    since: (Time, u64),
    /// What is said of the state as a whole was written, and is still so.
    written: bool,
    /// Of the earlier run, until [`Router::restarted`].
    before: Option<Life>,
    core_keys: Vec<callarbiter_core::Key>,
}

impl Router {
    /// Which bus this is, and since when.
    pub fn begin_on(&mut self, bus: String, now: Now) {
        self.continuity = Continuity { bus, since: (now.mono, now.wall), ..Continuity::default() };
    }

    /// What changed since the last time, each key once.
    pub fn take_unsaved(&mut self, now: Now, keys: &mut Vec<Key>) {
        self.continuity.look_at_clocks(now);
        if !std::mem::replace(&mut self.continuity.written, true) {
            keys.push(Key::Life);
        }
        take(self.peers.changed(), keys, Key::Peer);
        take(self.subscribers.changed(), keys, |(uid, peer)| Key::Subscriber(uid, peer));
        take(self.delegates.changed(), keys, |(uid, id)| Key::Delegate(uid, id));
        take(self.requesters.changed(), keys, |(uid, id)| Key::Requester(uid, id));
        take(self.agents.changed(), keys, Key::Agent);
        take(self.permits.changed(), keys, Key::Permits);
        if keys.len() > 1 {
            keys.sort_unstable();
            keys.dedup();
        }
        self.arbiter.take_unsaved(&mut self.continuity.core_keys);
        take(&mut self.continuity.core_keys, keys, Key::Core);
    }

    /// Nobody keeps anything.
    pub fn forget_unsaved(&mut self) {
        self.peers.changed().clear();
        self.subscribers.changed().clear();
        self.delegates.changed().clear();
        self.requesters.changed().clear();
        self.agents.changed().clear();
        self.permits.changed().clear();
    }

    /// Makes a new router the one that wrote these records; of who is still there, it hears by
    /// [`Router::restarted`]. After an error it is of no use.
    pub fn restore(
        &mut self,
        records: BTreeMap<Vec<u8>, Vec<u8>>,
        now: Now,
    ) -> Result<(), Unusable> {
        let mut life: Option<Life> = None;
        let mut core = Vec::new();
        for (key, value) in records {
            match read_key(&key) {
                Ok(Key::Core(key)) => core.push((key, value)),
                Ok(Key::Life) => life = Some(read(&value)?),
                Ok(key) => self.place(key, &value)?,
                Err(Fault::Newer) => return Err(Unusable::Newer),
                Err(_) => return Err(Unusable::Damaged("a record has no name")),
            }
        }
        let life = life.ok_or(Unusable::Damaged("it does not say whose state it is"))?;
        if life.bus != self.continuity.bus && life.is_of_another_boot(now) {
            return Err(Unusable::OtherBoot);
        }
        self.peers.judge_again(&self.permits);
        self.arbiter = Arbiter::restore(self.arbiter.settings().clone(), core)?;
        let is_of = |uid| move |client: &Arc<Client>| client.caller.uid == uid;
        if !self
            .arbiter
            .connections()
            .all(|(at, uid)| self.peers.client(at).is_some_and(is_of(uid)))
        {
            return Err(Unusable::Damaged("a user has a connection of another"));
        }
        self.epoch.clone_from(&life.epoch);
        self.requests = Requests::with(life.requests.clone());
        self.continuity.before = Some(life);
        Ok(())
    }

    fn place(&mut self, key: Key, value: &[u8]) -> Result<(), Unusable> {
        match key {
            Key::Life | Key::Core(_) => {}
            Key::Peer(peer) => {
                let saved: SavedPeer = read(value)?;
                let restored = self.peers.restore(peer, saved, &self.permits.access);
                restored.ok_or(Unusable::Damaged("a connection has no name"))?;
            }
            Key::Subscriber(uid, peer) => {
                read::<()>(value)?;
                self.subscribers.restore(uid, peer);
            }
            Key::Delegate(uid, id) => self.delegates.restore((uid, id), path(value)?),
            Key::Agent(peer) => self.agents.restore(peer, path(value)?),
            Key::Permits(uid) => self.permits.restore(uid, read(value)?),
            Key::Requester(uid, id) => self.requesters.restore((uid, id), read(value)?),
        }
        Ok(())
    }

    /// The last part of the state is lost: numbers from here on must not be taken for those that it had.
    pub fn begin_anew(&mut self) {
        self.requests = Requests::new();
        self.epoch = Uuid::new_v4().to_string();
        self.continuity.written = false;
    }

    /// The first input after [`Router::restore`]: who is still on the bus. Everybody else has left.
    pub fn restarted(&mut self, now: Now, present: &HashSet<String>, out: &mut Vec<Outgoing>) {
        let Some(before) = self.continuity.before.take() else { return };
        let same_bus = before.bus == self.continuity.bus;
        let absent = self.peers.absent(|name| same_bus && present.contains(name));
        let lost: Vec<Peer> = absent.iter().filter_map(|name| self.forget(name)).collect();
        info!(
            message_id = ids::RESTORED,
            calls = self.arbiter.domains().map(|domain| domain.calls().count()).sum::<usize>(),
            connections = self.peers.known(),
            lost = lost.len(),
            "the state of before the restart is back"
        );
        let mut turn = Turn::new(now);
        let again = now.mono < before.since.0 + SOON;
        self.tell(&mut turn, Input::Restarted { lost, again });
        self.finish(turn, out);
        self.tell_again(now, out);
    }

    /// The daemon leaves, and its state with it: every provider drops what it knows from it.
    pub fn farewell(&self, out: &mut Vec<Outgoing>) {
        for (uid, id) in self.delegates.keys() {
            let provider = self.arbiter.domain(*uid).and_then(|domain| domain.provider(*id));
            let peer = provider.and_then(|provider| provider.peer);
            if let Some(reset) = peer.and_then(|peer| self.delegate(*uid, *id, peer)) {
                out.extend(built(reset.reset()));
            }
        }
    }

    /// What may have been decided and not told.
    fn tell_again(&mut self, now: Now, out: &mut Vec<Outgoing>) {
        for (uid, peer) in self.subscribers.all_after(None).collect::<Vec<_>>() {
            self.resync(now, uid, peer, out);
        }
        let finished: Vec<_> = self
            .requesters
            .iter()
            .filter(|((uid, _), peer)| !self.subscribers.is_suspended(*uid, **peer))
            .filter_map(|((uid, id), _)| {
                let transaction = self.arbiter.domain(*uid)?.transaction(*id)?;
                transaction.finished.then_some((*uid, *id, transaction.revision))
            })
            .collect();
        for (uid, id, revision) in finished {
            self.publish(now, uid, revision, &Change::Finished(id), out);
        }
    }

    fn life(&self) -> Life {
        Life {
            bus: self.continuity.bus.clone(),
            epoch: self.epoch.clone(),
            requests: self.requests.prefix().to_owned(),
            since: self.continuity.since,
        }
    }
}

impl Records for Router {
    type Key = Key;

    fn write_key(&self, key: Key, out: &mut Vec<u8>) {
        write_key(&key, out);
    }

    fn write_value(&self, key: Key, out: &mut Vec<u8>) -> bool {
        match key {
            Key::Core(key) => self.arbiter.save(key, out),
            Key::Life => put(&self.life(), out),
            Key::Peer(peer) => self.peers.saved(peer).is_some_and(|saved| put(&saved, out)),
            Key::Subscriber(uid, peer) => self.subscribers.subscribes(uid, peer) && put(&(), out),
            Key::Delegate(uid, id) => {
                self.delegates.get(&(uid, id)).is_some_and(|path| put(&path.as_str(), out))
            }
            Key::Agent(peer) => self.agents.get(&peer).is_some_and(|path| put(&path.as_str(), out)),
            Key::Permits(uid) => self.permits.saved(uid).is_some_and(|said| put(&said, out)),
            Key::Requester(uid, id) => {
                self.requesters.get(&(uid, id)).is_some_and(|peer| put(peer, out))
            }
        }
    }

    fn keys_after(&self, after: Option<Key>, limit: usize, keys: &mut Vec<Key>) {
        let end = keys.len() + limit;
        if after.is_none() {
            keys.push(Key::Life);
        }
        // Each kind either is not begun yet, is being listed, or is done.
        let from = after.unwrap_or(Key::Life);
        let mut room = Room { keys, end };
        if from < Key::Peer(Peer(u64::MAX)) {
            let after = match from {
                Key::Peer(peer) => Some(peer),
                _ => None,
            };
            room.fill(self.peers.known_after(after).map(Key::Peer));
        }
        if from < Key::Subscriber(Uid(u32::MAX), Peer(u64::MAX)) {
            let after = match from {
                Key::Subscriber(uid, peer) => Some((uid, peer)),
                _ => None,
            };
            let all = self.subscribers.all_after(after);
            room.fill(all.map(|(uid, peer)| Key::Subscriber(uid, peer)));
        }
        if from < Key::Delegate(Uid(u32::MAX), ProviderId(u32::MAX)) {
            let after = match from {
                Key::Delegate(uid, id) => Some((uid, id)),
                _ => None,
            };
            room.fill(behind(&self.delegates, after).map(|(uid, id)| Key::Delegate(uid, id)));
        }
        if from < Key::Requester(Uid(u32::MAX), TransactionId(u32::MAX)) {
            let after = match from {
                Key::Requester(uid, id) => Some((uid, id)),
                _ => None,
            };
            room.fill(behind(&self.requesters, after).map(|(uid, id)| Key::Requester(uid, id)));
        }
        let after = match from {
            Key::Core(key) => Some(key),
            _ => None,
        };
        let left = room.end.saturating_sub(room.keys.len());
        if left > 0 && !matches!(from, Key::Agent(_) | Key::Permits(_)) {
            let mut core = Vec::new();
            self.arbiter.keys_after(after, left, &mut core);
            room.keys.extend(core.into_iter().map(Key::Core));
        }
        if from < Key::Agent(Peer(u64::MAX)) {
            let after = match from {
                Key::Agent(peer) => Some(peer),
                _ => None,
            };
            room.fill(behind(&self.agents, after).map(Key::Agent));
        }
        let after = match from {
            Key::Permits(uid) => Some(uid),
            _ => None,
        };
        room.fill(behind(self.permits.said(), after).map(Key::Permits));
    }
}

impl Life {
    /// Whether the machine was started since. Only asked where the bus is another one: a clock that was set
    /// while nobody looked shows as well.
    fn is_of_another_boot(&self, now: Now) -> bool {
        let (mono, wall) = self.since;
        now.mono < mono || started(now.wall, now.mono).abs_diff(started(wall, mono)) > STEP
    }
}

impl Continuity {
    /// A clock that is set moves the time at which the machine seems to have been started.
    fn look_at_clocks(&mut self, now: Now) {
        let (mono, wall) = self.since;
        if started(now.wall, now.mono).abs_diff(started(wall, mono)) > STEP / 2 {
            self.since = (now.mono, now.wall);
            self.written = false;
        }
    }
}

/// Less than any machine needs to be started, in µs.
const STEP: u64 = 4_000_000;

/// When the machine was started, by the wall clock of the moment.
fn started(wall: u64, mono: Time) -> u64 {
    wall.saturating_sub(mono.0)
}

struct Room<'a> {
    keys: &'a mut Vec<Key>,
    end: usize,
}

impl Room<'_> {
    fn fill(&mut self, keys: impl Iterator<Item = Key>) {
        let room = self.end.saturating_sub(self.keys.len());
        self.keys.extend(keys.take(room));
    }
}

fn behind<K: Ord + Copy, V>(kept: &Kept<K, V>, after: Option<K>) -> impl Iterator<Item = K> {
    kept.range((after.map_or(Unbounded, Excluded), Unbounded)).map(|(key, _)| *key)
}

fn path(value: &[u8]) -> Result<OwnedObjectPath, Unusable> {
    let path: String = read(value)?;
    OwnedObjectPath::try_from(path)
        .map_err(|_| Unusable::Damaged("a provider or an agent has no path"))
}

/// Of most kinds nothing changed in a turn.
#[inline(always)]
fn take<K>(changed: &mut Vec<K>, keys: &mut Vec<Key>, key: impl Fn(K) -> Key) {
    if !changed.is_empty() {
        keys.extend(changed.drain(..).map(key));
    }
}

/// True, as there is a value.
fn put<T: Serialize + ?Sized>(record: &T, out: &mut Vec<u8>) -> bool {
    write(record, out);
    true
}
