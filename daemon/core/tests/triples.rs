//! All orders of any three operations, from situations that matter: short enough to be exhaustive.
//!
//! Owns the situations and the operations. The laws are the model's; after each triple the history is
//! ended, in one of the ways in which apps may behave, and nothing may be left pending.
//!
//! A debug build takes every 199th of them; all of them (`CALLARBITER_TRIPLES=1`) want a release build
//! with `CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true`, as the random histories.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod model;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use callarbiter_core::{Authorization, CallState::*, DoNotDisturb, EndReason, Role};
use model::{
    apps::{BOBS, PLAIN, SOS, STIFF, WIDE},
    harness::Harness,
    op::{Act::*, By, Errand, Handle, How, Kind, Op, Op::*, Rules, Said},
    rest::ENDINGS,
};

fn act(act: model::op::Act) -> Op {
    Request { by: By::Program, acts: vec![act], expected: None, token: None }
}

fn both(a: model::op::Act, b: model::op::Act) -> Op {
    Request { by: By::Shell, acts: vec![a, b], expected: None, token: None }
}

fn say(app: u8, said: Said) -> Op {
    Say { app, said }
}

fn ok(nth: u8) -> Op {
    Reply { nth, how: How::Fulfil }
}

/// Everything that can happen to calls 1 (plain), 2 (wide) and 3 (stiff), each once.
fn operations() -> Vec<Op> {
    let usual = Handle::Usual;
    vec![
        act(Start { n: 4, app: Some(PLAIN), handle: usual }),
        act(Start { n: 5, app: Some(SOS), handle: Handle::Emergency }),
        act(Answer { n: 1 }),
        act(Answer { n: 2 }),
        act(End { n: 1, reason: None }),
        act(End { n: 2, reason: None }),
        act(Hold { n: 1, held: true }),
        act(Hold { n: 1, held: false }),
        act(Hold { n: 2, held: false }),
        act(Mute { n: 1, muted: true }),
        act(Join { n: 1, with: 4 }),
        act(Leave { n: 1 }),
        act(Tones { n: 1 }),
        act(Video { n: 1, video: true }),
        act(Silence { n: 2 }),
        both(Hold { n: 1, held: true }, Hold { n: 2, held: false }),
        both(End { n: 1, reason: None }, Answer { n: 2 }),
        Cancel { by: By::Program, nth: 0 },
        say(PLAIN, Said::Incoming { n: 1, kind: Kind::Linked }),
        say(WIDE, Said::Incoming { n: 2, kind: Kind::Plain }),
        say(STIFF, Said::Live { n: 3, out: false, state: Active }),
        say(PLAIN, Said::State { n: 1, state: Active }),
        say(PLAIN, Said::State { n: 1, state: Held }),
        say(WIDE, Said::State { n: 2, state: Active }),
        say(PLAIN, Said::Ended { n: 1, reason: EndReason::RemoteEnded }),
        say(PLAIN, Said::CanHold { n: 1, can: false }),
        say(PLAIN, Said::Unregister),
        ok(0),
        ok(1),
        Reply { nth: 0, how: How::Fail },
        Reply { nth: 0, how: How::More { ms: 1000 } },
        Reply { nth: 0, how: How::Without },
        ReplyLate { nth: 0, how: How::Fulfil },
        PassDeadline,
        Restart { lost: None, heard: false },
        Pass { ms: 130_000 },
        Lose { app: PLAIN },
        Lose { app: WIDE },
        Register { app: PLAIN },
        Foreground { user: Some(0) },
        Foreground { user: Some(1) },
        Suspend { asleep: true },
        Suspend { asleep: false },
        Disturb { by: By::Shell, mode: DoNotDisturb::Refuse, allow: false },
        Op::AgentReply { nth: 0, by: None, how: Errand::Done },
        Op::AgentReply { nth: 0, by: None, how: Errand::Fail },
        SetEndpoints { by: By::Shell, count: 2 },
        SelectEndpoint { by: By::Shell, nth: 1 },
        ReportViolation { by: By::Shell, app: PLAIN },
        Authorize { by: By::Shell, app: PLAIN, word: Authorization::Denied },
        Op::Rules { rules: Rules::Asking },
        Op::Rules { rules: Rules::Eager },
        Op::Rules { rules: Rules::Tight },
    ]
}

/// How histories begin; the apps obey until then.
fn situations() -> Vec<(&'static str, Vec<Op>)> {
    let ring = |app, n| say(app, Said::Incoming { n, kind: Kind::Plain });
    let dial = act(Start { n: 1, app: Some(PLAIN), handle: Handle::Usual });
    let active = vec![ring(PLAIN, 1), act(Answer { n: 1 })];
    let with = |more: Vec<Op>| active.iter().cloned().chain(more).collect::<Vec<_>>();
    let on_seat = [0, 1].map(|user| Seats { user, seated: true }).into_iter();
    let on_seat = on_seat.chain([Foreground { user: Some(0) }, ring(BOBS, 1)]);
    vec![
        ("empty", vec![]),
        ("active", active.clone()),
        ("active and ringing", with(vec![ring(WIDE, 2)])),
        ("active and held", with(vec![ring(WIDE, 2), act(Answer { n: 2 })])),
        (
            "two in a group",
            with(vec![ring(PLAIN, 4), act(Answer { n: 4 }), act(Join { n: 1, with: 4 })]),
        ),
        ("dialing", vec![dial, ring(WIDE, 2)]),
        ("two of one network", {
            let second = [ring(WIDE, 1), act(Answer { n: 1 }), ring(WIDE, 2), act(Answer { n: 2 })];
            second.to_vec()
        }),
        ("one that cannot hold", vec![ring(STIFF, 1), act(Answer { n: 1 }), ring(WIDE, 2)]),
        (
            "active, and others made quiet",
            std::iter::once(TakeRole { by: By::Shell, role: Role::Audio })
                .chain(active.clone())
                .chain([ring(WIDE, 2)])
                .collect(),
        ),
        ("on a seat", on_seat.chain(active.clone()).collect()),
    ]
}

fn begin(situation: &[Op]) -> Harness {
    let mut harness = Harness::default();
    for app in [PLAIN, WIDE, STIFF, SOS, BOBS] {
        harness.apply(&Register { app });
    }
    for role in [Role::Dnd, Role::Launch, Role::Consent, Role::Contacts] {
        harness.apply(&TakeRole { by: By::Shell, role });
    }
    for op in situation {
        harness.apply(op);
        harness.obey();
    }
    harness
}

#[test]
fn all_triples() {
    let every = std::env::var("CALLARBITER_TRIPLES").map_or(199, |n| n.parse().expect("a number"));
    let ops = operations();
    let mut inputs = 0;
    let mut failures = Vec::new();
    for (name, situation) in situations() {
        for (at, triple) in triples(&ops).enumerate().step_by(every) {
            let ending = ENDINGS[at % ENDINGS.len()];
            let run = || {
                let mut harness = begin(&situation);
                harness.thorough = at % 8 == 0;
                triple.iter().for_each(|op| harness.apply(op));
                harness.finish(ending);
                harness.inputs
            };
            match catch_unwind(AssertUnwindSafe(run)) {
                Ok(count) => inputs += count,
                Err(_) => failures.push(format!("{name}: {triple:?}, then {ending:?}")),
            }
            assert!(failures.len() < 3, "{failures:#?}");
        }
    }
    println!("{inputs} inputs");
    assert!(failures.is_empty(), "{failures:#?}");
}

fn triples(ops: &[Op]) -> impl Iterator<Item = [&Op; 3]> {
    ops.iter().flat_map(move |a| ops.iter().flat_map(move |b| ops.iter().map(move |c| [a, b, c])))
}
