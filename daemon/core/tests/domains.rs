//! Domains, seats and sleep: users apart, one seat at a time, nothing lost on the way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn seated() -> World {
    let mut w = World::default();
    for uid in [ALICE, BOB] {
        w.handle(Input::Seats { uid, seats: vec!["seat0".into()] }).unwrap();
    }
    foreground(&mut w, ALICE);
    w
}

fn foreground(w: &mut World, uid: Uid) {
    w.handle(Input::Foreground { seat: "seat0".into(), uid: Some(uid) }).unwrap();
}

#[test]
fn nothing_of_a_domain_is_visible_to_another() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.handle(Input::Seats { uid: BOB, seats: vec![] }).unwrap();
    let caller = w.caller(BOB);
    let actions = vec![Requested { action: end(1), expected: None }];
    w.refused(Input::Request { caller, actions, token: None }, Error::UnknownCall, "no call");
    let b = App { id: a.id, caller };
    let ended =
        Word::Ended { uuid: uuid(1), reason: EndReason::Failed, detail: Private::default() };
    w.refused_word(b, ended, Error::UnknownProvider, "no such provider");
    assert_eq!(w.domain(BOB).revision(), 0);
    let b = w.app(BOB, "a");
    w.talking(b, 1);
    assert_eq!(w.audio(ALICE), Some(uuid(1)), "without a seat both are in the foreground");
    assert_eq!(b.id, a.id, "numbers count per domain");
}

#[test]
fn leaving_the_foreground_holds_the_focus_and_coming_back_resumes_it() {
    let mut w = seated();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let focus = w.domain(ALICE).focus();
    foreground(&mut w, BOB);
    w.fulfil_all(&[a]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::SEAT);
    assert_eq!(w.domain(ALICE).focus(), focus);
    assert_eq!(w.domain(ALICE).audio().phase, Phase::Idle);
    foreground(&mut w, ALICE);
    w.fulfil_all(&[a]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn what_cannot_be_held_is_silenced() {
    let mut w = seated();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let update = Update { can_hold: Some(false), ..Update::default() };
    w.say(a, Word::Update { uuid: uuid(1), update }).unwrap();
    foreground(&mut w, BOB);
    assert_eq!(w.asks(ALICE), [("AudioDeactivated", 0)]);
    w.fulfil_all(&[a]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Active);
    foreground(&mut w, ALICE);
    w.fulfil_all(&[a]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn a_call_that_the_user_held_in_the_background_is_not_restored() {
    let mut w = seated();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    foreground(&mut w, BOB);
    w.fulfil_all(&[a]);
    w.request(ALICE, vec![hold(1)]).unwrap();
    foreground(&mut w, ALICE);
    w.fulfil_all(&[a]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::USER);
}

#[test]
fn the_grant_waits_for_the_other_users_release() {
    let mut w = seated();
    let (a, b) = (w.app(ALICE, "a"), w.app(BOB, "b"));
    w.talking(a, 1);
    foreground(&mut w, BOB);
    w.incoming(b, 2).unwrap();
    w.request(BOB, vec![answer(2)]).unwrap();
    w.fulfil(b, "Answer");
    assert_eq!(w.asks(BOB), [], "no grant before the release");
    w.fulfil(a, "AudioDeactivated");
    assert_eq!(w.asks(BOB), [("AudioActivated", 0)]);
    w.fulfil_all(&[b]);
    assert_eq!(w.audio(BOB), Some(uuid(2)));
}

#[test]
fn another_seat_waits_for_nobody() {
    let mut w = seated();
    w.handle(Input::Seats { uid: BOB, seats: vec!["seat1".into()] }).unwrap();
    w.handle(Input::Foreground { seat: "seat1".into(), uid: Some(BOB) }).unwrap();
    let (a, b) = (w.app(ALICE, "a"), w.app(BOB, "b"));
    w.talking(a, 1);
    w.talking(b, 2);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn a_user_with_several_seats_is_in_the_foreground_of_any() {
    let mut w = seated();
    w.handle(Input::Seats { uid: ALICE, seats: vec!["seat0".into(), "seat1".into()] }).unwrap();
    w.handle(Input::Foreground { seat: "seat1".into(), uid: Some(ALICE) }).unwrap();
    foreground(&mut w, BOB);
    assert!(w.domain(ALICE).is_foreground());
    w.handle(Input::Seats { uid: ALICE, seats: vec![] }).unwrap();
    w.handle(Input::Foreground { seat: "seat1".into(), uid: None }).unwrap();
    assert!(w.domain(ALICE).is_foreground(), "without a seat always");
}

#[test]
fn in_the_background_calls_ring_without_sound_and_are_not_answered() {
    let mut w = seated();
    let a = w.app(ALICE, "a");
    foreground(&mut w, BOB);
    w.incoming(a, 1).unwrap();
    assert_eq!(w.find(ALICE, 1).unwrap().silenced, Silenced::Background);
    w.refused_request(vec![answer(1)], Error::Background, "seat");
    w.refused_request(vec![start(2, "tel:1")], Error::Background, "seat");
    assert_eq!(
        w.find(ALICE, 1).unwrap().answer_plan.refused.clone().unwrap().error,
        Error::Background
    );
    w.request(ALICE, vec![end(1)]).unwrap();
    w.fulfil_all(&[a]);
    w.incoming(a, 3).unwrap();
    foreground(&mut w, ALICE);
    assert_eq!(w.find(ALICE, 3).unwrap().silenced, Silenced::No);
}

#[test]
fn a_running_plan_finishes_and_its_call_is_held_too() {
    let mut w = seated();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    foreground(&mut w, BOB);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert_eq!(w.held_by(ALICE, 2), HeldBy::SEAT);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
    foreground(&mut w, ALICE);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn an_answer_that_waited_for_its_turn_is_refused_in_the_background() {
    let mut w = seated();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.incoming(a, 1).unwrap();
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(1)]).unwrap();
    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    foreground(&mut w, BOB);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.error(ALICE, t, 0), Some(Error::Background));
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
}

#[test]
fn sleep_holds_everything_at_once_and_waking_resumes_the_focus() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(BOB, "b"));
    w.talking(a, 1);
    w.talking(b, 2);
    w.handle(Input::Suspend(true)).unwrap();
    for (uid, app, n) in [(ALICE, a, 1), (BOB, b, 2)] {
        let asked = w.fulfil(app, "SetHeld");
        assert_eq!(asked.deadline_ms, 2_500);
        assert_eq!(w.held_by(uid, n), HeldBy::SUSPEND);
    }
    w.fulfil_all(&[a, b]);
    w.handle(Input::Suspend(false)).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!((w.audio(ALICE), w.audio(BOB)), (Some(uuid(1)), Some(uuid(2))));
}

#[test]
fn a_hold_for_sleep_that_comes_after_waking_is_resumed() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.handle(Input::Suspend(true)).unwrap();
    w.handle(Input::Suspend(false)).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn sleep_and_seat_both_must_be_taken_away() {
    let mut w = seated();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.handle(Input::Suspend(true)).unwrap();
    w.fulfil_all(&[a]);
    foreground(&mut w, BOB);
    w.handle(Input::Suspend(false)).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Held);
    foreground(&mut w, ALICE);
    w.fulfil_all(&[a]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn sleep_in_the_middle_of_a_plan_leaves_nobody_active() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.handle(Input::Suspend(true)).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Held);
    assert_ne!(w.state_of(ALICE, 2), CallState::Active);
    w.handle(Input::Suspend(false)).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}
