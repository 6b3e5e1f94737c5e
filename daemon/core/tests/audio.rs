//! The audio session: one holder, release before grant, deadlines, generations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn phase(w: &World) -> Phase {
    w.domain(ALICE).audio().phase
}

#[test]
fn ringback_is_heard_and_a_ringing_call_has_no_audio() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    assert_eq!(phase(&w), Phase::Idle);
    w.request(ALICE, vec![start(2, "tel:1")]).unwrap();
    assert_eq!(phase(&w), Phase::Idle);
    w.fulfil(a, "Start");
    assert_eq!(phase(&w), Phase::Granting);
    w.fulfil(a, "AudioActivated");
    assert_eq!(phase(&w), Phase::Granted);
}

#[test]
fn a_grant_counts_as_done_after_two_seconds() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    w.request(ALICE, vec![answer(1)]).unwrap();
    w.fulfil(a, "Answer");
    w.pass(Millis(1_999));
    assert_eq!(phase(&w), Phase::Granting);
    w.pass(Millis(1));
    assert_eq!(phase(&w), Phase::Granted);
    assert!(!w.domain(ALICE).provider(a.id).unwrap().responsive);
}

#[test]
fn a_grant_that_fails_counts_as_done_too() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    w.request(ALICE, vec![answer(1)]).unwrap();
    w.fulfil(a, "Answer");
    w.fail(a, "AudioActivated");
    assert_eq!(phase(&w), Phase::Granted);
}

#[test]
fn no_grant_before_the_release_is_acknowledged_or_over_time() {
    for acknowledged in [false, true] {
        let mut w = World::default();
        let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
        w.talking(a, 1);
        w.incoming(b, 2).unwrap();
        w.request(ALICE, vec![answer(2)]).unwrap();
        w.fulfil(a, "SetHeld");
        w.fulfil(b, "Answer");
        assert_eq!(phase(&w), Phase::Releasing);
        assert_eq!(w.domain(ALICE).audio().holder, w.group_of(ALICE, 1));
        assert!(!w.asks(ALICE).iter().any(|a| a.0 == "AudioActivated"));
        if acknowledged {
            w.fulfil(a, "AudioDeactivated");
        } else {
            w.pass(Millis(1_999));
            assert_eq!(phase(&w), Phase::Releasing);
            w.pass(Millis(1));
        }
        assert_eq!(phase(&w), Phase::Granting);
        w.fulfil(b, "AudioActivated");
        assert_eq!(w.audio(ALICE), Some(uuid(2)));
    }
}

#[test]
fn a_plan_does_not_wait_for_the_grant() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.incoming(a, 1).unwrap();
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(1)]).unwrap();
    w.fulfil(a, "Answer");
    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    assert!(w.asks(ALICE).contains(&("SetHeld", 1)));
    w.fulfil_all(&[a, b]);
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn words_of_an_older_generation_are_ignored() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    w.request(ALICE, vec![answer(1)]).unwrap();
    w.fulfil(a, "Answer");
    let first = w.ignore(a, "AudioActivated");
    w.request(ALICE, vec![hold(1)]).unwrap();
    w.fulfil(a, "SetHeld");
    w.request(ALICE, vec![unhold(1)]).unwrap();
    w.fulfil(a, "SetHeld");
    w.fulfil(a, "AudioDeactivated");
    assert_eq!(phase(&w), Phase::Granting);
    let _ = w.late(a, &first);
    assert_eq!(phase(&w), Phase::Granting);
    w.fulfil(a, "AudioActivated");
    assert_eq!(phase(&w), Phase::Granted);
    assert_eq!(w.domain(ALICE).audio().generation, 2);
}

#[test]
fn a_holder_that_is_gone_needs_no_release() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.lose(a);
    w.fulfil(b, "Answer");
    assert_eq!(phase(&w), Phase::Granting);
    w.fulfil(b, "AudioActivated");
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn a_holder_that_goes_while_releasing_makes_way() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.fulfil(a, "SetHeld");
    w.fulfil(b, "Answer");
    w.lose(a);
    assert_eq!(phase(&w), Phase::Granting);
    assert_eq!(w.domain(ALICE).audio().holder, w.group_of(ALICE, 2));
}

#[test]
fn a_call_that_joins_the_holder_is_told_in_the_same_generation() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.pair(a, a);
    let generation = w.domain(ALICE).audio().generation;
    w.request(ALICE, vec![join(1, 2)]).unwrap();
    w.fulfil(a, "SetGroup");
    w.fulfil(a, "SetHeld");
    let told = w.ignore(a, "AudioActivated").ask;
    assert_eq!(told, Ask::AudioActivated { uuids: vec![uuid(2), uuid(1)], generation });
    assert_eq!(phase(&w), Phase::Granted);
}

#[test]
fn the_audio_is_idle_after_the_last_call() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    assert_eq!(phase(&w), Phase::Releasing);
    w.fulfil(a, "AudioDeactivated");
    assert_eq!(phase(&w), Phase::Idle);
    assert_eq!(w.domain(ALICE).groups().count(), 0);
}
