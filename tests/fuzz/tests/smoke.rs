//! Every fuzz target over its corpus, and over some thousand changes of it: a minute of fuzzing's worth in
//! seconds, without libFuzzer.
//!
//! `CALLARBITER_FUZZ=100000` says how many changes; `CALLARBITER_SEED` repeats a run. A failure writes its
//! input to `target/tmp` and says where; in the corpus it becomes a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use fuzz::{TARGETS, Target};

/// What a debug build does in a few seconds.
const CHANGES: u64 = 3000;

#[test]
fn core() {
    over("core", CHANGES / 10);
}

#[test]
fn router() {
    over("router", CHANGES / 6);
}

#[test]
fn configuration() {
    over("configuration", CHANGES);
}

#[test]
fn state() {
    over("state", CHANGES / 10);
}

#[test]
fn headset() {
    over("headset", CHANGES);
}

#[test]
fn every_target_is_tried() {
    let mut tried = vec!["configuration", "core", "headset", "router", "state"];
    let mut all: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    tried.sort_unstable();
    all.sort_unstable();
    assert_eq!(tried, all);
    for name in all {
        assert!(!corpus(name).is_empty(), "{name} has no corpus");
    }
}

fn over(name: &str, changes: u64) {
    let target = TARGETS.iter().find(|(known, _)| *known == name).expect("a target").1;
    let corpus = corpus(name);
    for (file, data) in &corpus {
        attempt(target, name, data).unwrap_or_else(|kept| {
            panic!("{} fails; a copy is {}", file.display(), kept.display())
        });
    }
    let seed = number("CALLARBITER_SEED").unwrap_or(1);
    let changes = number("CALLARBITER_FUZZ").unwrap_or(changes);
    let mut dice = Dice(seed);
    for n in 0..changes {
        let data = dice.changed(&corpus);
        attempt(target, name, &data).unwrap_or_else(|kept| {
            panic!("change {n} of seed {seed} fails; it is {}", kept.display())
        });
    }
    println!("{name}: {} of the corpus, {changes} changes of seed {seed}", corpus.len());
}

fn attempt(target: Target, name: &str, data: &[u8]) -> Result<(), PathBuf> {
    catch_unwind(AssertUnwindSafe(|| target(data))).map_err(|_| {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("finding-{name}"));
        fs::write(&kept, data).unwrap();
        kept
    })
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let files = fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read(&file).unwrap())).collect()
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % sides.max(1)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.throw(256) as u8).collect()
    }

    /// An input of the corpus with some of it replaced, left out, doubled, or another's after it.
    fn changed(&mut self, corpus: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
        if self.throw(8) == 0 {
            let length = self.throw(400);
            return self.bytes(length);
        }
        let mut data = corpus[self.throw(corpus.len())].1.clone();
        for _ in 0..=self.throw(6) {
            let (at, length) = (self.throw(data.len() + 1), self.throw(12));
            let end = (at + length).min(data.len());
            match self.throw(5) {
                0 => {
                    let new = self.bytes(length);
                    data.splice(at..end, new);
                }
                1 => drop(data.drain(at..end)),
                2 => {
                    let again = data[at..end].to_vec();
                    data.splice(at..at, again);
                }
                3 => {
                    let other = &corpus[self.throw(corpus.len())].1;
                    let from = self.throw(other.len() + 1);
                    data.truncate(at);
                    data.extend_from_slice(&other[from..]);
                }
                _ => {
                    if let Some(byte) = data.get_mut(at) {
                        *byte ^= 1 << self.throw(8);
                    }
                }
            }
        }
        data
    }
}
