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
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use callarbiter_core::{CallState::*, EndReason, HeldBy};
use model::{
    apps::{PLAIN, SOS},
    harness::Harness,
    op::{Act, By, Handle, Kind, NAMES, Op, Said},
    random::{Rng, op, opening, restart},
    reference::{Reference, Simple},
    rest::{ENDINGS, Ending},
};
use proptest::prelude::*;

const HISTORIES: u64 = 2000;

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
    let restless = rng.one_in(4);
    for _ in 0..10 + rng.below(60) {
        let op = first.next().unwrap_or_else(|| op(rng, theme, &harness.view()));
        ops.push(op.clone());
        harness.apply(&op);
        if restless && rng.one_in(3) {
            let op = restart(rng);
            ops.push(op.clone());
            harness.apply(&op);
        }
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
    println!("{count} histories, {inputs} inputs");
    if count >= HISTORIES {
        for name in NAMES {
            let [accepted, refused] = counts.get(name).copied().unwrap_or_default();
            println!("{name:16} accepted {accepted:9} refused {refused:9}");
            assert!(accepted > 0, "no history has {name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    /// The same, drawn and shortened by proptest: each number is one operation.
    #[test]
    fn drawn_histories(
        start in any::<u64>().no_shrink(),
        numbers in prop::collection::vec(any::<u64>().no_shrink(), 0..80),
    ) {
        let mut rng = Rng(start);
        let (ending, mut harness) = (rng.pick(&ENDINGS), Harness::default());
        let (theme, first) = opening(&mut rng);
        first.iter().for_each(|op| harness.apply(op));
        for number in numbers {
            let next = op(&mut Rng(number), theme, &harness.view());
            harness.apply(&next);
        }
        harness.finish(ending);
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

/// Apps that hold each call by itself and obey at once: the reference model, which knows of no restart, says the
/// same.
#[test]
fn the_reference_model_agrees() {
    let number = std::env::var("CALLARBITER_HISTORIES").map(|n| n.parse().expect("a number"));
    for seed in 0..number.unwrap_or(HISTORIES) / 4 {
        let mut rng = Rng(seed);
        let (mut model, mut ops) = (Reference::default(), Vec::new());
        let mut harness = Harness::after(&[PLAIN, SOS].map(|app| Op::Register { app }));
        for _ in 0..40 {
            let Some(simple) = simple(&mut rng, &model) else { continue };
            ops.push(simple);
            let said = model.apply(simple);
            harness.apply(&carried_out(simple));
            assert_eq!(said.err(), harness.refused, "seed {seed}: {ops:#?}");
            // In the middle of things and at rest, a restart changes nothing.
            for _ in 0..2 {
                if rng.one_in(10) {
                    harness.apply(&Op::Restart { lost: None, heard: rng.one_in(2) });
                }
                harness.obey();
            }
            compare(&model, &harness).unwrap_or_else(|why| panic!("{why}; seed {seed}: {ops:#?}"));
        }
    }
}

/// An operation that the model understands in its state.
fn simple(rng: &mut Rng, model: &Reference) -> Option<Simple> {
    let mut n = || 1 + rng.below(6) as u8;
    let (n, other) = (n(), n());
    let app = if n % 2 == 0 { SOS } else { PLAIN };
    let state = model.calls.get(&n).map(|c| c.state);
    let dials = model.calls.values().any(|c| c.state == Dialing);
    Some(match rng.below(14) {
        0..3 => Simple::Incoming { app, n },
        3..5 if !matches!(state, Some(Active | Held)) => Simple::Answer { n },
        5 => Simple::Start { app, n },
        6..8 if state == Some(Dialing) => Simple::Connects { n },
        8 => Simple::End { n },
        9 if state.is_some() => Simple::RemoteEnd { n },
        10 => Simple::Hold { n },
        11 => Simple::Unhold { n },
        12 if n != other => Simple::Swap { hold: n, unhold: other },
        13 if rng.one_in(4) && !dials => Simple::RingOut,
        13 => Simple::Mute { n, muted: rng.one_in(2) },
        _ => return None,
    })
}

fn carried_out(simple: Simple) -> Op {
    let app = |n: u8| if n.is_multiple_of(2) { SOS } else { PLAIN };
    let ask = |acts: &[Act]| Op::Request {
        by: By::Program,
        acts: acts.to_vec(),
        expected: None,
        token: None,
    };
    match simple {
        Simple::Incoming { app, n } => {
            Op::Say { app, said: Said::Incoming { n, kind: Kind::Plain } }
        }
        Simple::Answer { n } => ask(&[Act::Answer { n }]),
        Simple::Start { app, n } => ask(&[Act::Start { n, app: Some(app), handle: Handle::Usual }]),
        Simple::Connects { n } => Op::Say { app: app(n), said: Said::State { n, state: Active } },
        Simple::End { n } => ask(&[Act::End { n, reason: None }]),
        Simple::RemoteEnd { n } => {
            Op::Say { app: app(n), said: Said::Ended { n, reason: EndReason::RemoteEnded } }
        }
        Simple::Hold { n } => ask(&[Act::Hold { n, held: true }]),
        Simple::Unhold { n } => ask(&[Act::Hold { n, held: false }]),
        Simple::Swap { hold, unhold } => {
            ask(&[Act::Hold { n: hold, held: true }, Act::Hold { n: unhold, held: false }])
        }
        Simple::Mute { n, muted } => ask(&[Act::Mute { n, muted }]),
        Simple::RingOut => Op::Pass { ms: 60_000 },
    }
}

fn compare(model: &Reference, harness: &Harness) -> Result<(), String> {
    let Some(domain) = harness.world.arbiter.domain(world::ALICE) else { return Ok(()) };
    let live: Vec<u8> = domain.calls().map(|c| c.uuid.as_u128() as u8).collect();
    if live.len() != model.calls.len() {
        return Err(format!("live: {live:?}, not {:?}", model.calls.keys()));
    }
    for call in domain.calls() {
        let n = call.uuid.as_u128() as u8;
        let told = model.calls.get(&n).ok_or(format!("call {n} lives"))?;
        let by = [(told.by_user, HeldBy::USER), (told.by_arbiter, HeldBy::ARBITER)];
        let by =
            by.iter().filter(|(held, _)| *held).fold(HeldBy::NONE, |set, (_, by)| set.with(*by));
        if (call.state, call.held_by, call.muted) != (told.state, by, told.muted) {
            return Err(format!(
                "{:?} {:?} {}, not {told:?}",
                call.state, call.held_by, call.muted
            ));
        }
    }
    let of_group = |group| domain.calls().find(|c| c.group == Some(group));
    let number = |group| of_group(group).map(|c| c.uuid.as_u128() as u8);
    let (focus, holder) = (domain.focus().and_then(number), domain.audio().holder.and_then(number));
    if (focus, holder) != (model.focus, model.focus) {
        return Err(format!("focus {focus:?}, audio {holder:?}, not {:?}", model.focus));
    }
    let ends: BTreeSet<_> =
        model.ends.iter().map(|(n, why)| (u128::from(*n), why.name())).collect();
    let real: BTreeSet<_> = harness.ends.iter().copied().collect();
    if harness.ends.len() != model.ends.len() || real != ends {
        return Err(format!("ended {real:?}, not {ends:?}"));
    }
    Ok(())
}

/// The shortest histories that once broke a law, by what they showed.
mod regressions {
    use callarbiter_core::CallState::*;

    use super::{
        model::{
            apps::{BOBS, PLAIN, SOS, WIDE},
            op::{Act::*, How, Op::*, STATES, Said::*},
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

    #[test]
    fn after_a_restart_the_audio_goes_to_another_user_once_both_are_back() {
        let call = |by, n, app, handle| Request {
            by,
            acts: vec![Start { n, app, handle }],
            expected: None,
            token: None,
        };
        all_endings(&[
            Register { app: SOS },
            Register { app: BOBS },
            Seats { user: 0, seated: true },
            Seats { user: 1, seated: true },
            Foreground { user: Some(1) },
            call(By::Bob, 5, None, Handle::Usual),
            call(By::Shell, 1, None, Handle::Emergency),
            Say { app: SOS, said: State { n: 1, state: Connecting } },
            Reply { nth: 3, how: How::Fulfil },
            Reply { nth: 1, how: How::Fulfil },
            Restart { lost: Some(SOS), heard: false },
        ]);
    }
}
