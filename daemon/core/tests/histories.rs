//! Random histories: everything that can happen, in any order, and the laws hold in all of them.
//!
//! `CALLARBITER_HISTORIES` says how many; the default suits a debug build in CI. A million:
//! `CALLARBITER_HISTORIES=1000000 CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true cargo test --release
//! -p callarbiter-core --test histories random -- --nocapture`. A failure prints its seed and the
//! shortest history that fails; it becomes a named test in `regressions`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod model;
mod world;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use model::{
    harness::Harness,
    op::{NAMES, Op},
    random::{Rng, Theme, history, op},
    rest::{ENDINGS, Ending},
};
use proptest::prelude::*;

const HISTORIES: u64 = 6000;

fn run(ops: &[Op], ending: Ending, thorough: bool) -> Harness {
    let mut harness = Harness::default();
    harness.thorough = thorough;
    for op in ops {
        harness.apply(op);
    }
    harness.finish(ending);
    harness
}

#[test]
fn random_histories() {
    let number = |name: &str, default| {
        std::env::var(name).map_or(default, |n| n.parse::<u64>().expect("a number"))
    };
    let from = number("CALLARBITER_SEED", 1);
    let count = number("CALLARBITER_HISTORIES", HISTORIES);
    let mut counts: BTreeMap<&str, [u32; 2]> = BTreeMap::new();
    let mut inputs = 0;
    let began = std::time::Instant::now();
    for seed in from..from + count {
        let ops = history(seed);
        let ending = ENDINGS[seed as usize % ENDINGS.len()];
        let thorough = seed % 16 == 0;
        match catch_unwind(AssertUnwindSafe(|| run(&ops, ending, thorough))) {
            Ok(harness) => {
                inputs += harness.inputs;
                for (name, [ok, refused]) in harness.counts {
                    let count = counts.entry(name).or_default();
                    count[0] = count[0].saturating_add(ok);
                    count[1] = count[1].saturating_add(refused);
                }
            }
            Err(_) => {
                let least = shrink(ops, ending, thorough);
                panic!("seed {seed}, {ending:?}, thorough: {thorough}; the shortest: {least:#?}");
            }
        }
    }
    println!("{count} histories, {inputs} inputs in {:?}", began.elapsed());
    if count >= HISTORIES {
        for name in NAMES {
            let [accepted, refused] = counts.get(name).copied().unwrap_or_default();
            println!("{name:16} accepted {accepted:9} refused {refused:9}");
            assert!(accepted > 0, "no history has {name}");
        }
    }
}

/// Leaves out what is not needed for the failure.
fn shrink(mut ops: Vec<Op>, ending: Ending, thorough: bool) -> Vec<Op> {
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let fails = |ops: &[Op]| catch_unwind(AssertUnwindSafe(|| run(ops, ending, thorough))).is_err();
    let mut size = ops.len();
    while size > 0 {
        let mut at = 0;
        while at < ops.len() {
            let mut fewer = ops.clone();
            fewer.drain(at..(at + size).min(fewer.len()));
            if fails(&fewer) { ops = fewer } else { at += size }
        }
        size /= 2;
    }
    std::panic::set_hook(quiet);
    // Once more, to be seen.
    let _ = catch_unwind(AssertUnwindSafe(|| run(&ops, ending, thorough)));
    ops
}
