//! State of any bytes is read, set aside, or refused with a sentence; what is taken is sound: whatever comes
//! then, the arbiter's own checks hold and nothing is pending for ever.
//!
//! Owns two ways in: the file as a whole, whose checksums few bytes get past, and the records behind them.

use std::{cell::RefCell, collections::BTreeMap, fs};

use callarbiter_core::{Arbiter, Caller, Input, Key, Now, Peer, Role, Settings, Uid};
use callarbiterd::store::{Records, Store};
use tempfile::TempDir;

use crate::{
    bytes::Bytes,
    model::{
        harness::Harness,
        random::{self, Rng},
    },
};

/// Operations of the history whose records are changed.
const OPERATIONS: u64 = 40;
/// Deadlines until nothing is pending; each ends something.
const WAKES: usize = 2000;

/// One state.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    if bytes.byte() < 64 { file(&mut bytes) } else { records(&mut bytes) }
}

/// Records of a history, some of them changed.
fn records(bytes: &mut Bytes<'_>) {
    let (settings, now, mut records) = history(bytes.byte().into());
    let keys: Vec<Key> = records.keys().copied().collect();
    while !bytes.is_empty() {
        change(bytes, &keys, &mut records);
    }
    let mut arbiter = match Arbiter::restore(settings, records) {
        Ok(arbiter) => arbiter,
        Err(why) => {
            let why = why.to_string();
            assert!(!why.is_empty() && !why.contains(char::is_control), "{why:?}");
            return;
        }
    };
    // It can be written again, and read.
    let written = whole(&arbiter);
    Arbiter::restore(arbiter.settings().clone(), written).expect("what it wrote itself");
    let mut now = now;
    arbiter
        .handle(now, Input::Restarted { lost: Vec::new(), again: false }, &mut Vec::new())
        .expect("accepted");
    without_history(&mut arbiter, now);
    for _ in 0..WAKES {
        let Some((at, _)) = arbiter.next_deadline() else { return };
        let passed = at.0.saturating_sub(now.mono.0);
        now.mono = at.max(now.mono);
        now.wall = now.wall.saturating_add(passed);
        arbiter.handle(now, Input::Tick, &mut Vec::new()).expect("accepted");
    }
    panic!("it never comes to rest: {:?}", arbiter.next_deadline());
}

/// Nobody has the role any more: one who never answers is offered what is over again for as long as it is there.
fn without_history(arbiter: &mut Arbiter, now: Now) {
    let uids: Vec<Uid> = arbiter.domains().map(|domain| domain.uid()).collect();
    let peer = Peer(u64::MAX);
    for uid in uids {
        let caller =
            Caller { uid, peer, sandboxed: false, control: true, place_call: true, agent: true };
        let takes = Input::TakeRoles { caller, roles: vec![Role::History] };
        arbiter.handle(now, takes, &mut Vec::new()).expect("an agent");
        arbiter.handle(now, Input::PeerLost { peer }, &mut Vec::new()).expect("accepted");
    }
}

type State = (Settings, Now, BTreeMap<Key, Vec<u8>>);

fn history(seed: u64) -> State {
    let mut rng = Rng(seed);
    let mut harness = Harness::default();
    let (theme, first) = random::opening(&mut rng);
    first.iter().for_each(|op| harness.apply(op));
    for _ in 0..OPERATIONS {
        let op = random::op(&mut rng, theme, &harness.view());
        harness.apply(&op);
    }
    let settings = harness.world.arbiter.settings().clone();
    (settings, harness.world.now, whole(&harness.world.arbiter))
}

fn whole(arbiter: &Arbiter) -> BTreeMap<Key, Vec<u8>> {
    let mut keys = Vec::new();
    arbiter.keys_after(None, usize::MAX, &mut keys);
    let value = |key: Key| {
        let mut value = Vec::new();
        assert!(arbiter.save(key, &mut value), "{key:?} is there and has no value");
        (key, value)
    };
    keys.into_iter().map(value).collect()
}

fn change(bytes: &mut Bytes<'_>, keys: &[Key], records: &mut BTreeMap<Key, Vec<u8>>) {
    let Some(key) = keys.get(bytes.below(keys.len().max(1))) else {
        bytes.take(usize::MAX);
        return;
    };
    let kind = bytes.below(8);
    if kind == 0 {
        records.remove(key);
        return;
    }
    let other = keys[bytes.below(keys.len())];
    let Some(mut value) = records.get(key).cloned() else { return };
    let at = bytes.below(value.len().max(1)).min(value.len());
    match kind {
        1 => value.truncate(at),
        2 => value.insert(at, bytes.byte()),
        // Somebody else's record.
        3 => value = records.get(&other).cloned().unwrap_or_default(),
        4 => {
            records.insert(other, value);
            return;
        }
        _ => {
            if let Some(changed) = value.get_mut(at) {
                *changed = bytes.byte();
            }
        }
    }
    records.insert(*key, value);
}

/// A file that a store wrote, some of its bytes changed; or one of any bytes.
fn file(bytes: &mut Bytes<'_>) {
    DIRECTORY.with_borrow_mut(|directory| {
        let top = directory.get_or_insert_with(|| {
            tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
        });
        let directory = top.path().join("state");
        let _ = fs::remove_dir_all(&directory);
        let (mut store, _) = Store::open(&directory).expect("an empty directory");
        let written = Written((0..bytes.below(8)).map(|n| (n as u8, vec![n as u8; n])).collect());
        for key in written.0.keys() {
            store.append(&[*key], &written).expect("written");
        }
        // As after a clean end, or with what was reserved, as after a kill.
        if bytes.byte() < 192 {
            store.rest();
        }
        drop(store);
        let mut files: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.to_string_lossy().contains("state."));
        files.sort();
        let name = files.last().cloned().unwrap_or_else(|| directory.join("state.1"));
        let mut file = fs::read(&name).unwrap_or_default();
        while !bytes.is_empty() {
            let at = bytes.below(file.len() + 1);
            match bytes.below(4) {
                0 => file.truncate(at),
                1 => file.splice(at..at, bytes.take(16).iter().copied()).for_each(drop),
                _ => {
                    let new = bytes.take(1 + at % 4);
                    let end = (at + new.len()).min(file.len());
                    file.splice(at..end, new.iter().copied()).for_each(drop);
                }
            }
        }
        fs::write(&name, &file).unwrap();
        let (mut store, found) =
            Store::<u8>::open(&directory).expect("nothing keeps it from opening");
        for (key, value) in &found.records {
            let [key] = key[..] else { panic!("a key that was never written") };
            assert_eq!(written.0.get(&key), Some(value), "another value than was written");
        }
        // And it goes on from there.
        let left: Vec<u8> = found.records.keys().map(|key| key[0]).collect();
        let left = Written(left.into_iter().map(|key| (key, vec![key; 3])).collect());
        let keys: Vec<u8> = left.0.keys().copied().collect();
        store.append(&keys, &left).expect("written");
        drop(store);
        let (_, again) = Store::<u8>::open(&directory).expect("opened again");
        let again: BTreeMap<u8, Vec<u8>> =
            again.records.into_iter().map(|(key, value)| (key[0], value)).collect();
        assert_eq!(again, left.0, "what was written is what is read");
    });
}

thread_local! {
    static DIRECTORY: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

/// Records for a store, made up.
struct Written(BTreeMap<u8, Vec<u8>>);

impl Records for Written {
    type Key = u8;

    fn write_key(&self, key: u8, out: &mut Vec<u8>) {
        out.push(key);
    }

    fn write_value(&self, key: u8, out: &mut Vec<u8>) -> bool {
        let value = self.0.get(&key);
        out.extend(value.into_iter().flatten());
        value.is_some()
    }

    fn keys_after(&self, after: Option<u8>, limit: usize, keys: &mut Vec<u8>) {
        let later = self.0.keys().filter(|key| after.is_none_or(|after| **key > after));
        keys.extend(later.take(limit));
    }
}
