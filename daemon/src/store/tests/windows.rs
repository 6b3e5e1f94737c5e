//! Frames that are copied into the end of the file: what is left of them, wherever it is killed.

use super::*;
use crate::store::frame::{FRAME_HEAD, LENGTH};

/// A store in which a few turns were written through a window.
struct Mapped {
    scene: Scene,
    store: Store<u32>,
    model: Model,
}

impl Mapped {
    fn new() -> Mapped {
        let scene = Scene::new();
        let (store, _) = scene.open();
        let mut mapped = Mapped { scene, store, model: Model::default() };
        for n in 0..4 {
            mapped.put(n, 20);
        }
        assert!(mapped.log().window.is_some(), "/dev/shm is a tmpfs");
        mapped
    }

    fn put(&mut self, key: u32, length: usize) {
        let value = vec![key as u8 + 1; length];
        self.scene.turn(&mut self.store, &mut self.model, &[(key, Some(&value))]);
    }

    fn log(&self) -> &Log {
        self.store.log.as_ref().unwrap()
    }

    fn file(&self) -> PathBuf {
        let [file] = self.scene.files().try_into().unwrap();
        file
    }

    /// What a file holds after a kill: nothing is closed, unmapped or cut before it is read.
    fn bytes(&self) -> Vec<u8> {
        fs::read(self.file()).unwrap()
    }

    /// Of another store that finds these bytes; it goes on, and what it appends is found as well.
    fn found(&self, bytes: &[u8]) -> (State, bool) {
        let other = Scene::new();
        fs::write(other.directory.path().join("state.1"), bytes).unwrap();
        let (mut store, found) = other.open();
        let mut model = Model(state(&found));
        let read = (model.0.clone(), found.intact);
        for n in 100..110 {
            model.0.insert(n, vec![9; 40]);
            store.append(&[n], &model).unwrap();
        }
        drop(store);
        assert_eq!(other.read(), (model.0, true));
        read
    }
}

#[test]
fn what_was_written_is_in_the_file_at_once_and_the_rest_is_zeros() {
    let mut mapped = Mapped::new();
    let first = mapped.log().length as usize;
    mapped.put(7, 33);
    let (bytes, end) = (mapped.bytes(), mapped.log().length as usize);
    assert!(end > first && end.is_multiple_of(16) && bytes.len() > end);
    assert!(bytes[end..].iter().all(|byte| *byte == 0));
    assert_eq!(mapped.found(&bytes), (mapped.model.0.clone(), true));
    // A clean end gives back what was reserved, and it can go on even so.
    mapped.store.rest();
    assert_eq!(mapped.bytes().len(), end);
    mapped.put(8, 33);
    assert!(mapped.log().window.is_some());
    assert_eq!(mapped.found(&mapped.bytes()), (mapped.model.0.clone(), true));
}

#[test]
fn without_its_length_a_frame_is_not_there() {
    let mut mapped = Mapped::new();
    let (start, before) = (mapped.log().length as usize, mapped.model.0.clone());
    mapped.put(7, 300);
    let bytes = mapped.bytes();
    let end = mapped.log().length as usize;
    // Payload and sums in any order and as far as ever: all that a kill may leave.
    for from in start + LENGTH..end {
        for (zeros, what) in [(from..end, "the beginning"), (start..from, "the end")] {
            let mut torn = bytes.clone();
            torn[start..start + LENGTH].fill(0);
            torn[zeros].fill(0);
            assert_eq!(mapped.found(&torn), (before.clone(), true), "{what} to {from}");
        }
    }
    // With its length everything else has to be there.
    for gone in [start + LENGTH..start + FRAME_HEAD, start + FRAME_HEAD..end] {
        let mut damaged = bytes.clone();
        damaged[gone].fill(0);
        assert_eq!(mapped.found(&damaged), (before.clone(), false));
    }
    // A frame behind one without a length: that one was there once.
    mapped.put(8, 20);
    let mut damaged = mapped.bytes();
    damaged[start..start + LENGTH].fill(0);
    assert_eq!(mapped.found(&damaged), (before.clone(), false));
    damaged[start..end].fill(0);
    assert_eq!(mapped.found(&damaged), (before, false));
}

#[test]
fn garbage_behind_the_end_is_gone_before_anything_is_appended() {
    let mut mapped = Mapped::new();
    let end = mapped.log().length as usize;
    let mut bytes = mapped.bytes();
    bytes[end + FRAME_HEAD..].fill(0xa5);
    let (file, model) = (mapped.file(), mapped.model.0.clone());
    drop(mapped.store);
    fs::write(&file, bytes).unwrap();
    let (store, found) = mapped.scene.open();
    assert!(found.intact && state(&found) == model);
    assert_eq!(fs::metadata(&file).unwrap().len(), end as u64);
    mapped.store = store;
    mapped.put(5, 10);
    let bytes = fs::read(&file).unwrap();
    assert!(bytes[mapped.log().length as usize..].iter().all(|byte| *byte == 0));
    assert_eq!(mapped.found(&bytes), (mapped.model.0.clone(), true));
}

#[test]
fn frames_of_every_length_go_on_from_one_window_to_the_next() {
    let mut mapped = Mapped::new();
    // Some end exactly with a window, some are larger than one.
    let lengths = [1000, 30_000, 40_000, 3, 65_000, 70_000, 200_000, 16, 64 * 1024, 5];
    for (round, length) in lengths.into_iter().cycle().take(25).enumerate() {
        mapped.put(round as u32 % 3, length);
        let log = mapped.log();
        assert!(log.window.is_some() || log.length < 300_000);
        let file = mapped.scene.files().pop().unwrap();
        let reserved = fs::metadata(file).unwrap().len().saturating_sub(log.length);
        assert!(reserved <= 64 * 1024, "{reserved}");
    }
    drop(mapped.store);
    assert_eq!(mapped.scene.read(), (mapped.model.0, true));

    // To the byte: what is left of a window is filled, and the next frame begins the next one.
    let mut mapped = Mapped::new();
    let whole = fs::metadata(mapped.file()).unwrap().len();
    let head = FRAME_HEAD + 1 + 2 + 4 + 4;
    let room = (whole - mapped.log().length) as usize;
    mapped.put(1, room - head);
    assert_eq!((mapped.log().length, mapped.bytes().len() as u64), (whole, whole));
    assert_eq!(mapped.found(&mapped.bytes()), (mapped.model.0.clone(), true));
    mapped.put(2, 1);
    assert!(mapped.bytes().len() as u64 > whole);
    assert_eq!(mapped.found(&mapped.bytes()), (mapped.model.0.clone(), true));
}

#[test]
fn killed_between_any_two_steps_of_a_window_it_is_as_before_or_after() {
    let mut both = [0, 0];
    for kill in 0.. {
        let mut mapped = Mapped::new();
        let before = mapped.scene.history.len() - 1;
        // Within a window, to the next one, and larger than any.
        let survived = surviving(kill, || {
            [30, 65_000, 90_000].into_iter().for_each(|length| mapped.put(1, length));
        });
        let (read, intact) = mapped.found(&mapped.bytes());
        assert!(intact, "killed at point {kill}");
        let history = &mapped.scene.history[before..];
        let at = history.iter().rposition(|state| *state == read);
        let at = at.unwrap_or_else(|| panic!("killed at point {kill}: a state that never was"));
        // The last one that began, or the one before it.
        both[history.len() - 1 - at] += 1;
        if survived.is_some() {
            break;
        }
    }
    assert!(both[0] > 3 && both[1] > 10, "{both:?}");
}

#[test]
fn without_a_window_it_is_written_all_the_same() {
    let mut mapped = Mapped::new();
    let end = mapped.log().length;
    // As where nothing can be reserved: a file that was not opened for reading is not mapped either.
    let file = fs::OpenOptions::new().append(true).open(mapped.file()).unwrap();
    mapped.store.log = Some(Log::new(1, file, end));
    for n in 0..3 {
        mapped.put(n, 50);
        assert!(mapped.log().window.is_none() && mapped.log().plain);
        assert_eq!(mapped.bytes().len() as u64, mapped.log().length);
        assert_eq!(mapped.found(&mapped.bytes()), (mapped.model.0.clone(), true));
    }
    assert_eq!(mapped.scene.names(), ["state.1"]);

    // Only files in memory are mapped.
    let elsewhere = File::open("/proc/self/status").unwrap();
    let refused = Window::reserve(&elsewhere, 100, 100).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
}
