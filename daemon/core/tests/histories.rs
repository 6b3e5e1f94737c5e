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
    random::{Rng, op, opening},
    rest::{ENDINGS, Ending},
};

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

/// A random history, written down while it happens.
fn run_random(rng: &mut Rng, thorough: bool, ops: &mut Vec<Op>) -> Harness {
    let mut harness = Harness::default();
    harness.thorough = thorough;
    let (theme, first) = opening(rng);
    let mut first = first.into_iter();
    for _ in 0..10 + rng.below(60) {
        let op = first.next().unwrap_or_else(|| op(rng, theme, &harness.view()));
        ops.push(op.clone());
        harness.apply(&op);
    }
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
        let mut ops = Vec::new();
        let mut rng = Rng(seed);
        let (ending, thorough) = (rng.pick(&ENDINGS), rng.one_in(16));
        let whole = || {
            let mut harness = run_random(&mut rng, thorough, &mut ops);
            harness.finish(ending);
            harness
        };
        match catch_unwind(AssertUnwindSafe(whole)) {
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

/// The shortest histories that once broke a law, by what they showed.
mod regressions {
    use callarbiter_core::{CallState::*, EndReason, Role};

    use super::{
        model::{
            apps::{BOBS, PLAIN, SOS, STIFF, WIDE},
            op::{Act::*, By, Handle, How, Kind, Op::*, Said::*, *},
        },
        *,
    };

    fn all_endings(ops: &[Op]) {
        for ending in ENDINGS {
            run(ops, ending, true);
        }
    }

    fn ask(acts: &[Act]) -> Op {
        Request { by: By::Program, acts: acts.to_vec(), expected: None, token: None }
    }

    #[test]
    fn an_older_hold_does_not_call_off_a_newer_resume() {
        all_endings(&[
            Register { app: WIDE },
            Say { app: WIDE, said: Incoming { n: 4, kind: Kind::Linked } },
            Say { app: WIDE, said: State { n: 4, state: Active } },
            ask(&[Tones { n: 4 }, Leave { n: 4 }, Tones { n: 4 }, Hold { n: 4, held: true }]),
            ask(&[Hold { n: 4, held: false }]),
        ]);
    }

    #[test]
    fn what_two_deadlines_at_once_removed_can_be_read() {
        all_endings(&[
            Register { app: PLAIN },
            Register { app: WIDE },
            Say { app: PLAIN, said: Incoming { n: 4, kind: Kind::Plain } },
            Say { app: WIDE, said: Incoming { n: 1, kind: Kind::Plain } },
        ]);
    }

    #[test]
    fn a_live_call_is_not_reported_as_ended() {
        for state in STATES {
            all_endings(&[
                Register { app: PLAIN },
                Say { app: PLAIN, said: Live { n: 4, out: true, state } },
                Say { app: PLAIN, said: Live { n: 1, out: false, state } },
            ]);
        }
    }

    #[test]
    fn asleep_in_the_background_somebody_still_holds_it() {
        all_endings(&[
            Register { app: PLAIN },
            Seats { user: 0, seated: true },
            Suspend { asleep: true },
            Say { app: PLAIN, said: Live { n: 4, out: false, state: Active } },
            Reply { nth: 1, how: How::Fulfil },
            Foreground { user: Some(0) },
        ]);
    }
    // NEXT
}
