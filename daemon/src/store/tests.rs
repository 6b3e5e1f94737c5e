//! The store against a model: whatever happens to the file, what is read is a state that once was.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod format;
mod windows;

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::PathBuf};

use tempfile::TempDir;

use super::*;
use crate::crash::surviving;

type State = BTreeMap<u32, Vec<u8>>;

/// Numbers and what belongs to them.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model(State);

impl Records for Model {
    type Key = u32;

    fn write_key(&self, key: u32, out: &mut Vec<u8>) {
        out.extend(key.to_be_bytes());
    }

    fn write_value(&self, key: u32, out: &mut Vec<u8>) -> bool {
        self.0.get(&key).inspect(|value| out.extend(*value)).is_some()
    }

    fn keys_after(&self, after: Option<u32>, limit: usize, keys: &mut Vec<u32>) {
        let from = after.map_or(0, |key| key + 1);
        keys.extend(self.0.range(from..).map(|(key, _)| *key).take(limit));
    }
}

/// A directory with a store that is closed and opened again.
struct Scene {
    directory: TempDir,
    /// After each append that was begun.
    history: Vec<State>,
}

impl Scene {
    /// In memory, as the daemon's own directory is.
    fn new() -> Scene {
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        Scene { directory, history: vec![State::new()] }
    }

    fn open(&self) -> (Store<u32>, Found) {
        Store::open(self.directory.path()).unwrap()
    }

    fn read(&self) -> (State, bool) {
        let (_, found) = self.open();
        (state(&found), found.intact)
    }

    fn turn(
        &mut self,
        store: &mut Store<u32>,
        model: &mut Model,
        changes: &[(u32, Option<&[u8]>)],
    ) {
        for (key, value) in changes {
            match value {
                Some(value) => model.0.insert(*key, value.to_vec()),
                None => model.0.remove(key),
            };
        }
        self.history.push(model.0.clone());
        let keys: Vec<u32> = changes.iter().map(|(key, _)| *key).collect();
        store.append(&keys, model).unwrap();
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| !file.ends_with("lock"));
        files.sort();
        files
    }

    fn names(&self) -> Vec<String> {
        let name = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().to_owned();
        self.files().iter().map(name).collect()
    }

    /// A few turns of all kinds in one file, which ends with them.
    fn short(&mut self) -> PathBuf {
        let (mut store, _) = self.open();
        let mut model = Model::default();
        self.turn(&mut store, &mut model, &[(1, Some(b"one")), (2, Some(b""))]);
        self.turn(&mut store, &mut model, &[(1, Some(b"ONE")), (3, Some(b"three"))]);
        self.turn(&mut store, &mut model, &[(2, None)]);
        self.turn(&mut store, &mut model, &[(4, Some(b"four")), (1, None)]);
        store.rest();
        let [file] = self.files().try_into().unwrap();
        file
    }
}

fn state(found: &Found) -> State {
    let key = |key: &Vec<u8>| u32::from_be_bytes(key.as_slice().try_into().unwrap());
    found.records.iter().map(|(k, value)| (key(k), value.clone())).collect()
}

#[test]
fn what_was_appended_is_there_and_goes_on() {
    let mut scene = Scene::new();
    let file = scene.short();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(scene.read(), (scene.history.last().unwrap().clone(), true));
    let (mut store, found) = scene.open();
    let mut model = Model(state(&found));
    scene.turn(&mut store, &mut model, &[(9, Some(b"nine"))]);
    drop(store);
    assert_eq!(scene.read(), (model.0, true));
    assert_eq!(scene.files(), [file]);
}

#[test]
fn a_file_cut_short_anywhere_is_a_prefix_and_goes_on() {
    let mut scene = Scene::new();
    let file = scene.short();
    let bytes = fs::read(&file).unwrap();
    let mut seen = 0;
    for length in 0..=bytes.len() {
        fs::write(&file, &bytes[..length]).unwrap();
        let (mut store, found) = scene.open();
        let read = state(&found);
        let at = scene.history.iter().position(|state| *state == read).expect("it once was");
        assert!(at >= seen && found.intact, "{length}");
        seen = at;
        // And what is appended now is found behind it.
        let mut model = Model(read);
        model.0.insert(7, b"seven".to_vec());
        store.append(&[7], &model).unwrap();
        drop(store);
        assert_eq!(scene.read(), (model.0, true), "{length}");
        scene.files().iter().for_each(|file| fs::remove_file(file).unwrap());
    }
    assert_eq!(seen, scene.history.len() - 1);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let mut scene = Scene::new();
    let file = scene.short();
    let bytes = fs::read(&file).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, &damaged).unwrap();
        let (read, intact) = scene.read();
        assert!(!intact, "bit {bit}");
        assert!(scene.history.contains(&read), "bit {bit}: {read:?}");
        assert_ne!(Some(&read), scene.history.last(), "bit {bit}");
        // Kept for whoever wants to know, and never in the way again.
        assert!(!file.exists());
        assert!(scene.names().iter().all(|name| name.starts_with("state.damaged-")), "{bit}");
        assert!(scene.files().len() <= 4);
        assert_eq!(scene.read(), (State::new(), true));
    }
}

#[test]
fn what_was_set_aside_last_is_kept() {
    let mut scene = Scene::new();
    scene.short();
    scene.files().iter().for_each(|file| fs::remove_file(file).unwrap());
    for n in 0u8..9 {
        fs::write(scene.directory.path().join("state.1"), [n; 40]).unwrap();
        assert!(!scene.read().1);
        let kept = scene.files().iter().any(|file| fs::read(file).unwrap() == [n; 40]);
        assert!(kept, "{n}");
    }
    assert_eq!(scene.files().len(), 4);
}

#[test]
fn a_newer_file_is_kept_apart() {
    let mut scene = Scene::new();
    let file = scene.short();
    let mut bytes = fs::read(&file).unwrap();
    bytes[8..12].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let sum = crc32fast::hash(&bytes[..24]);
    bytes[24..28].copy_from_slice(&sum.to_le_bytes());
    fs::write(&file, &bytes).unwrap();
    let (mut store, found) = scene.open();
    assert_eq!((state(&found), found.intact), (State::new(), false));
    store.append(&[], &Model::default()).unwrap();
    assert_eq!(scene.names(), ["state.2", "state.newer-1"]);
}

#[test]
fn what_is_no_file_or_another_one_is_kept_apart() {
    let mut scene = Scene::new();
    let file = scene.short();
    let moved = file.with_file_name("state.77");
    fs::rename(&file, &moved).unwrap();
    assert_eq!(scene.read(), (State::new(), false));
    fs::create_dir(&moved).unwrap();
    assert_eq!(scene.read(), (State::new(), false));
    let (mut store, _) = scene.open();
    store.append(&[], &Model::default()).unwrap();
}

/// Opening a pipe to read waits for whoever writes: the daemon would never serve.
#[test]
fn a_pipe_for_a_file_is_kept_apart_and_not_waited_for() {
    let scene = Scene::new();
    let pipe = scene.directory.path().join("state.1");
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, 0o600.into(), 0).unwrap();
    let (done, waited) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| done.send((scene.read(), scene.names())).unwrap());
        let read = waited.recv_timeout(std::time::Duration::from_secs(10));
        // Whoever waits after all is let go, so that the test ends.
        drop(std::fs::OpenOptions::new().read(true).write(true).open(&pipe));
        let ((state, intact), names) = read.unwrap();
        assert!(state.is_empty() && !intact);
        assert!(names.iter().any(|name| name.starts_with("state.damaged")), "{names:?}");
    });
}

#[test]
fn a_second_daemon_is_refused_and_so_is_an_open_directory() {
    let scene = Scene::new();
    let (store, _) = scene.open();
    let refused = Store::<u32>::open(scene.directory.path());
    assert!(matches!(refused, Err(DirectoryError::InUse(_))));
    drop(store);
    fs::set_permissions(scene.directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let refused = Store::<u32>::open(scene.directory.path());
    assert!(matches!(refused, Err(DirectoryError::Open(_))));
    let made = scene.directory.path().join("new");
    drop(Store::<u32>::open(&made).unwrap());
    assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
}

/// Many turns over many records, so that files are compacted again and again.
struct Busy {
    scene: Scene,
    store: Store<u32>,
    model: Model,
    seed: u64,
}

impl Busy {
    fn new(seed: u64) -> Busy {
        let scene = Scene::new();
        let (store, _) = scene.open();
        Busy { scene, store, model: Model::default(), seed }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.seed >> 33) % below
    }

    /// Without what is reserved.
    fn written(&self) -> u64 {
        self.store.older_bytes + self.store.log.as_ref().map_or(0, |log| log.length)
    }

    fn turn(&mut self) {
        let value = vec![self.random(256) as u8; 100 + self.random(400) as usize];
        let changes: Vec<(u32, Option<&[u8]>)> = (0..=self.random(4))
            .map(|_| {
                let key = self.random(60) as u32;
                (key, (self.random(4) > 0).then_some(value.as_slice()))
            })
            .collect();
        self.scene.history.clear();
        self.scene.history.push(self.model.0.clone());
        self.scene.turn(&mut self.store, &mut self.model, &changes);
    }
}

#[test]
fn files_are_compacted_without_a_turn_that_writes_everything() {
    let mut busy = Busy::new(1);
    let (mut generations, mut two, mut longest) = (0, 0, 0);
    for _ in 0..4000 {
        let before = busy.written();
        let generation = busy.store.generation;
        busy.turn();
        let files = busy.scene.files();
        let after: u64 = files.iter().map(|f| fs::metadata(f).unwrap().len()).sum();
        generations += u64::from(busy.store.generation != generation);
        two += usize::from(files.len() == 2);
        assert!(files.len() <= 2);
        longest = longest.max(busy.written().saturating_sub(before));
        assert!(after < 2 * (SMALL + 8 * 60 * 600), "{after}");
    }
    let live: usize = busy.model.0.values().map(Vec::len).sum();
    assert!(generations > 5 && two > 5, "{generations} {two}");
    assert!((longest as usize) < live + 5 * 600, "{longest} at once, {live} live");
}

#[test]
fn killed_between_any_two_steps_it_is_as_before_or_after_the_turn() {
    let mut points = 0;
    let mut both = [0, 0];
    for kill in 0.. {
        let mut busy = Busy::new(2);
        // The first compaction, from its first turn to its last.
        while busy.store.log.as_ref().is_none_or(|log| log.length <= SMALL) {
            busy.turn();
        }
        let survived = surviving(kill, || {
            for _ in 0..6 {
                busy.turn();
            }
        });
        let Busy { scene, store, model, .. } = busy;
        drop(store);
        let (mut store, found) = scene.open();
        let read = state(&found);
        assert!(found.intact);
        let at = scene.history.iter().position(|state| *state == read);
        both[at.unwrap_or_else(|| panic!("killed at point {kill}: a state that never was"))] += 1;
        // It goes on, whatever there was, and the rest of the compaction too.
        let mut model_now = Model(read);
        for n in 0..10 {
            model_now.0.insert(1000 + n, vec![1; 50]);
            store.append(&[1000 + n], &model_now).unwrap();
        }
        assert_eq!(scene.files().len(), 1, "killed at point {kill}");
        drop(store);
        assert_eq!(scene.read(), (model_now.0, true), "killed at point {kill}");
        if survived.is_some() {
            assert_eq!(*scene.history.last().unwrap(), model.0);
            break;
        }
        points += 1;
    }
    assert!(points >= 20 && both[0] > 5 && both[1] > 5, "{points} points, {both:?}");
}

#[test]
fn killed_at_its_first_write_or_while_it_opens_it_starts_all_the_same() {
    let mut points = 0;
    for kill in 0.. {
        let mut scene = Scene::new();
        let survived = surviving(kill, || scene.short()).is_some();
        let (read, intact) = scene.read();
        assert!(intact && scene.history.contains(&read), "killed at point {kill}");
        points += 1;
        if survived {
            break;
        }
    }
    for kill in 0.. {
        let mut scene = Scene::new();
        let file = scene.short();
        // A leftover, a file cut short, and one that was only just made.
        let bytes = fs::read(&file).unwrap();
        let renumbered = {
            let mut draft = Draft::default();
            draft.begin(Some(Header { version: VERSION, generation: 2, whole: true }));
            let header = draft.seal(true)[..Header::BYTES].to_vec();
            [&header, &bytes[Header::BYTES..bytes.len() - 1]].concat()
        };
        fs::write(file.with_file_name("state.2"), renumbered).unwrap();
        fs::write(file.with_file_name("state.3"), "").unwrap();
        let expected = scene.history[scene.history.len() - 2].clone();
        let survived = surviving(kill, || scene.read()).is_some();
        assert_eq!(scene.read(), (expected, true), "killed at point {kill}");
        assert_eq!(scene.names(), ["state.2"]);
        points += 1;
        if survived {
            break;
        }
    }
    assert!(points > 15, "{points}");
}

#[test]
fn two_files_are_read_in_their_order_and_damage_in_the_first_ends_both() {
    let mut busy = Busy::new(3);
    while busy.scene.files().len() < 2 {
        busy.turn();
    }
    let [old, new] = busy.scene.files().try_into().unwrap();
    assert_eq!(busy.scene.names(), ["state.1", "state.2"]);
    drop(busy.store);
    let scene = busy.scene;
    assert_eq!(scene.read(), (busy.model.0.clone(), true));
    let bytes = (fs::read(&old).unwrap(), fs::read(&new).unwrap());

    // The new one alone is not enough.
    fs::remove_file(&old).unwrap();
    assert_eq!(scene.read(), (State::new(), false));

    // Behind damage in the old one nothing counts, least of all the new one.
    let mut damaged = bytes.0.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 4;
    fs::write(&old, &damaged).unwrap();
    fs::write(&new, &bytes.1).unwrap();
    let (read, intact) = scene.read();
    assert!(!intact && !read.is_empty() && read != busy.model.0);

    // The new one cut short: the turn that began it did not happen.
    fs::write(&old, &bytes.0).unwrap();
    for length in [0, 10, Header::BYTES, Header::BYTES + 5, bytes.1.len() - 1] {
        fs::write(&new, &bytes.1[..length]).unwrap();
        assert_eq!(scene.read(), (scene.history[0].clone(), true), "{length}");
    }
}

#[test]
fn leftovers_of_a_finished_compaction_do_not_count() {
    let mut busy = Busy::new(4);
    while busy.scene.files().len() < 2 {
        busy.turn();
    }
    let [old, _] = busy.scene.files().try_into().unwrap();
    let bytes = fs::read(&old).unwrap();
    while old.exists() {
        busy.turn();
    }
    drop(busy.store);
    fs::write(&old, bytes).unwrap();
    assert_eq!(busy.scene.read(), (busy.model.0, true));
    assert!(!old.exists());
}

#[test]
fn what_cannot_be_written_is_written_as_soon_as_it_can() {
    let mut scene = Scene::new();
    let file = scene.short();
    let (mut store, found) = scene.open();
    let mut model = Model(state(&found));
    // The file takes no more: everything goes to another.
    store.log = Some(Log::new(store.generation, File::open(&file).unwrap(), 1));
    scene.turn(&mut store, &mut model, &[(5, Some(b"five"))]);
    assert!(!file.exists() && !store.is_behind());

    // Nothing can be written at all: what is there would be of another time, so nothing stays.
    let [file] = scene.files().try_into().unwrap();
    store.log = Some(Log::new(store.generation, File::open(&file).unwrap(), 1));
    let next = file.with_file_name(format!("state.{}", store.generation + 1));
    fs::create_dir(&next).unwrap();
    model.0.insert(6, b"six".to_vec());
    store.append(&[6], &model).unwrap_err();
    assert!(store.is_behind() && !file.exists());
    store.append(&[], &model).unwrap();
    drop(store);
    fs::remove_dir(&next).unwrap();
    assert_eq!(scene.read(), (model.0, true));
}
