//! Edges of a plan: verified steps, facts in the middle, targets that end or are lost, turns.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

#[test]
fn no_other_call_is_active_when_the_target_is_asked() {
    let mut w = World::default();
    let (a, b, c) = (w.app(ALICE, "a"), w.app(ALICE, "b"), w.app(ALICE, "c"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    w.incoming(c, 3).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.report(c, 3, CallState::Active).unwrap();
    w.fulfil(a, "SetHeld");
    assert!(w.asks(ALICE).contains(&("SetHeld", 3)), "{:?}", w.asks(ALICE));
    assert!(!w.asks(ALICE).contains(&("Answer", 2)));
    w.fulfil_all(&[a, b, c]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
    assert_eq!(w.held_by(ALICE, 3), HeldBy::ARBITER);
}

#[test]
fn one_call_rings_and_the_others_wait() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.incoming(a, 1).unwrap();
    w.incoming(b, 2).unwrap();
    assert!(!w.find(ALICE, 1).unwrap().waiting);
    assert!(w.find(ALICE, 2).unwrap().waiting);
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    assert!(!w.find(ALICE, 2).unwrap().waiting, "its turn to ring");
}

#[test]
fn a_step_whose_purpose_is_met_counts_as_done() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    w.report(b, 2, CallState::Active).unwrap();
    w.report(a, 1, CallState::Held).unwrap();
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER, "the fact completes the hold in flight");
    assert!(!w.asks(ALICE).contains(&("Answer", 2)), "never asked to answer what is active");
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    w.fulfil(a, "AudioDeactivated");
    w.fulfil(b, "AudioActivated");
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn ending_the_call_that_is_being_answered_compensates_the_plan() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    w.request(ALICE, vec![end(2)]).unwrap();
    assert!(w.asks(ALICE).contains(&("End", 2)), "it does not wait for the other app");
    w.fulfil(b, "End");
    assert_eq!(w.outcomes(ALICE, t), ["cancelled"]);
    assert_eq!(w.end_of(2), Some(EndReason::Declined));
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn the_far_end_hanging_up_during_the_plan_compensates_it() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    w.ended(b, 2, EndReason::RemoteEnded).unwrap();
    assert_eq!(w.outcomes(ALICE, t), ["cancelled"]);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn the_app_of_the_answered_call_vanishes_and_the_plan_is_compensated_at_once() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    w.lose(b);
    assert_eq!(w.outcomes(ALICE, t), ["cancelled"]);
    assert_eq!(w.error(ALICE, t, 0), Some(Error::ProviderGone));
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
    w.fulfil_all(&[a]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn two_lost_calls_of_one_app_are_lost_together() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.incoming(a, 2).unwrap();
    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    w.lose(a);
    assert_eq!(w.outcomes(ALICE, t), ["cancelled"]);
    assert_eq!(w.asks(ALICE), []);
    assert_eq!(w.state_of(ALICE, 1), CallState::Active);
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
}

#[test]
fn two_answers_take_turns() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.incoming(a, 1).unwrap();
    w.incoming(b, 2).unwrap();
    let first = w.request(ALICE, vec![answer(1)]).unwrap();
    let second = w.request(ALICE, vec![answer(2)]).unwrap();
    assert_eq!(w.asks(ALICE), [("Answer", 1)]);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.outcomes(ALICE, first), ["fulfilled"]);
    assert_eq!(w.outcomes(ALICE, second), ["fulfilled"]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn a_second_answer_of_the_same_call_works_where_the_first_could_not() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let first = w.request(ALICE, vec![answer(2)]).unwrap();
    let second = w.request(ALICE, vec![answer(2)]).unwrap();
    w.fail(a, "SetHeld");
    assert_eq!(w.outcomes(ALICE, first), ["failed"]);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.outcomes(ALICE, second), ["fulfilled"]);
    assert_eq!(w.state_of(ALICE, 2), CallState::Active);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn a_swap_whose_first_call_loses_its_app_is_cancelled_and_the_other_stays_held() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    let t = w.request(ALICE, vec![hold(2), unhold(1)]).unwrap();
    w.lose(b);
    assert_eq!(w.outcomes(ALICE, t), ["cancelled", "cancelled"]);
    w.pass(Millis::secs(10));
    w.fulfil_all(&[a]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::USER, "its focus ended as provider-lost");
    assert!(w.notices().contains(&Notice::StaysHeld));
}

#[test]
fn ending_a_call_that_waits_for_its_turn_to_be_placed_is_over_at_once() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    let t = w.request(ALICE, vec![start_on(2, "b")]).unwrap();
    let ended = w.request(ALICE, vec![end(2)]).unwrap();
    assert_eq!(w.outcomes(ALICE, ended), ["fulfilled"]);
    assert_eq!(w.end_of(2), Some(EndReason::LocalEnded));
    assert_eq!(w.outcomes(ALICE, t), ["cancelled"]);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn declining_a_call_that_waits_in_the_lane_does_not_wait() {
    let mut w = World::default();
    let (a, b, c) = (w.app(ALICE, "a"), w.app(ALICE, "b"), w.app(ALICE, "c"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    w.incoming(c, 3).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    let t = w.request(ALICE, vec![answer(3)]).unwrap();
    w.request(ALICE, vec![end(3)]).unwrap();
    assert!(w.asks(ALICE).contains(&("End", 3)));
    w.fulfil_all(&[a, b, c]);
    assert_eq!(w.outcomes(ALICE, t), ["cancelled"]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn the_users_hold_of_the_focus_during_a_plan_is_kept_when_the_plan_fails() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.request(ALICE, vec![hold(1)]).unwrap();
    w.fulfil(a, "SetHeld");
    w.fail(b, "Answer");
    w.fulfil_all(&[a, b]);
    assert!(w.held_by(ALICE, 1).contains(HeldBy::USER));
    assert_eq!(w.domain(ALICE).focus(), None);
    assert_eq!(w.domain(ALICE).audio().phase, Phase::Idle);
}
