//! Groups: holding together, joining, leaving, limits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn of_call(n: u128) -> impl Fn(&Asked) -> bool {
    move |a| matches!(a.ask, Ask::SetHeld { uuid: u, .. } if u == uuid(n))
}

#[test]
fn joining_makes_one_group_with_the_audio() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.conference(a);
    assert_eq!(w.domain(ALICE).groups().count(), 1);
    let group = w.group_of(ALICE, 1);
    assert_eq!(w.domain(ALICE).audio().holder, group);
    assert_eq!(w.domain(ALICE).focus(), group);
}

#[test]
fn the_active_call_joins_a_held_one_and_takes_the_audio_along() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.pair(a, a);
    w.request(ALICE, vec![join(2, 1)]).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.group_of(ALICE, 1), w.group_of(ALICE, 2));
    assert_eq!(w.state_of(ALICE, 1), CallState::Active);
    assert_eq!(w.domain(ALICE).audio().holder, w.group_of(ALICE, 1));
}

#[test]
fn holding_a_member_holds_the_group() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.conference(a);
    let t = w.request(ALICE, vec![hold(1)]).unwrap();
    assert_eq!(w.asks(ALICE).len(), 2);
    w.fulfil(a, "SetHeld");
    assert_eq!(w.outcomes(ALICE, t), [""], "only once all members are held");
    w.fulfil_all(&[a]);
    assert_eq!((w.held_by(ALICE, 1), w.held_by(ALICE, 2)), (HeldBy::USER, HeldBy::USER));
    assert_eq!(w.domain(ALICE).focus(), None);
    w.request(ALICE, vec![unhold(2)]).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Active);
}

#[test]
fn a_member_that_will_not_be_held_brings_the_others_back() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.conference(a);
    w.incoming(b, 3).unwrap();
    let t = w.request(ALICE, vec![answer(3)]).unwrap();
    let first = w.take(ALICE, of_call(1)).unwrap();
    w.late(a, &first).unwrap();
    w.fail(a, "SetHeld");
    assert_eq!(w.outcomes(ALICE, t), ["failed"]);
    assert!(w.asked(ALICE).contains(&Ask::SetHeld { uuid: uuid(1), held: false }));
    w.fulfil_all(&[a, b]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Active);
    assert_eq!(w.domain(ALICE).audio().holder, w.group_of(ALICE, 1));
    assert_eq!(w.state_of(ALICE, 3), CallState::Ringing);
}

#[test]
fn a_member_that_cannot_be_held_is_named_before_anybody_is_asked() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.conference(a);
    let update = Update { can_hold: Some(false), ..Update::default() };
    w.say(a, Word::Update { uuid: uuid(2), update }).unwrap();
    w.refused_request(vec![hold(1)], Error::CannotHold, &uuid(2).to_string());
}

#[test]
fn the_users_hold_of_a_held_group_is_for_all_of_it() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.conference(a);
    w.incoming(b, 3).unwrap();
    w.request(ALICE, vec![answer(3)]).unwrap();
    w.fulfil_all(&[a, b]);
    w.request(ALICE, vec![hold(1)]).unwrap();
    assert!(w.held_by(ALICE, 2).contains(HeldBy::USER));
    w.request(ALICE, vec![end(3)]).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Held);
    assert_eq!(w.state_of(ALICE, 2), CallState::Held);
}

#[test]
fn leaving_holds_the_rest_first() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.conference(a);
    let t = w.request(ALICE, vec![leave(1)]).unwrap();
    assert_eq!(w.asks(ALICE), [("SetHeld", 2)]);
    w.fulfil_all(&[a]);
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert_ne!(w.group_of(ALICE, 1), w.group_of(ALICE, 2));
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
    assert_eq!(w.held_by(ALICE, 2), HeldBy::ARBITER);
}

#[test]
fn a_leave_that_fails_brings_the_rest_back() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.conference(a);
    w.request(ALICE, vec![leave(1)]).unwrap();
    w.fulfil(a, "SetHeld");
    w.fail(a, "SetGroup");
    w.fulfil_all(&[a]);
    assert_eq!(w.group_of(ALICE, 1), w.group_of(ALICE, 2));
    assert_eq!(w.state_of(ALICE, 2), CallState::Active);
}

#[test]
fn leaving_is_refused_where_the_rest_cannot_be_held() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.conference(a);
    let update = Update { can_hold: Some(false), ..Update::default() };
    w.say(a, Word::Update { uuid: uuid(2), update }).unwrap();
    w.refused_request(vec![leave(1)], Error::CannotHold, &uuid(2).to_string());
}

#[test]
fn a_users_hold_beside_a_leave_is_the_users() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.conference(a);
    w.request(ALICE, vec![leave(1), hold(1)]).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::USER);
}

#[test]
fn a_group_lives_as_long_as_one_of_its_calls() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.conference(a);
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
    w.ended(a, 2, EndReason::RemoteEnded).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.domain(ALICE).groups().count(), 0);
}

#[test]
fn a_rest_that_is_all_held_by_the_user_has_no_focus() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(b, 9);
    w.incoming(a, 1).unwrap();
    w.request(ALICE, vec![answer(1)]).unwrap();
    w.fulfil_all(&[a, b]);
    w.incoming(a, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.fulfil_all(&[a, b]);
    w.request(ALICE, vec![join(1, 2)]).unwrap();
    w.fulfil_all(&[a, b]);
    w.report(a, 1, CallState::Held).unwrap();
    w.ended(a, 2, EndReason::RemoteEnded).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.domain(ALICE).focus(), None);
    assert_eq!(w.held_by(ALICE, 9), HeldBy::USER, "not forgotten");
}

#[test]
fn a_join_in_the_background_keeps_a_focus_that_exists() {
    let mut w = World::default();
    w.handle(Input::Seats { uid: ALICE, seats: vec!["seat0".into()] }).unwrap();
    w.handle(Input::Foreground { seat: "seat0".into(), uid: Some(ALICE) }).unwrap();
    let a = w.app(ALICE, "a");
    w.pair(a, a);
    w.handle(Input::Foreground { seat: "seat0".into(), uid: Some(BOB) }).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.held_by(ALICE, 2), HeldBy::SEAT);
    w.request(ALICE, vec![join(2, 1)]).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.domain(ALICE).focus(), w.group_of(ALICE, 1));
}

#[test]
fn groups_are_bounded_also_when_answers_wait_for_their_turn() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    for n in 1..=3 {
        w.incoming(a, n).unwrap();
    }
    let done: Vec<_> = (1..=3).map(|n| w.request(ALICE, vec![answer(n)]).unwrap()).collect();
    w.fulfil_all(&[a]);
    assert_eq!(w.outcomes(ALICE, done[0]), ["fulfilled"]);
    assert_eq!(w.outcomes(ALICE, done[1]), ["fulfilled"]);
    assert_eq!(w.outcomes(ALICE, done[2]), ["cancelled"]);
    assert_eq!(w.error(ALICE, done[2], 0), Some(Error::MaximumCallGroupsReached));
    assert_eq!(w.state_of(ALICE, 3), CallState::Ringing);
    let plan = w.find(ALICE, 3).unwrap().answer_plan.refused.clone().unwrap();
    assert_eq!(plan.error, Error::MaximumCallGroupsReached);
    w.refused_request(vec![answer(3)], Error::MaximumCallGroupsReached, "2 call groups");
    w.request(ALICE, vec![end(1), answer(3)]).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.audio(ALICE), Some(uuid(3)));
}

#[test]
fn calls_of_a_group_are_bounded_also_when_joins_wait_for_their_turn() {
    let mut w = World::default();
    let configuration = Configuration { maximum_calls_per_group: Some(2), ..Default::default() };
    let a = w.app_with(ALICE, "a", configuration);
    let mut settings = settings();
    settings.limits.groups_per_provider = 3;
    w.handle(Input::Settings(Box::new(settings))).unwrap();
    w.pair(a, a);
    w.incoming(a, 3).unwrap();
    w.request(ALICE, vec![answer(3)]).unwrap();
    w.fulfil_all(&[a]);
    w.request(ALICE, vec![join(1, 3)]).unwrap();
    let t = w.request(ALICE, vec![join(2, 3)]).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.error(ALICE, t, 0), Some(Error::MaximumCallsPerGroupReached));
    w.refused_request(vec![join(2, 3)], Error::MaximumCallsPerGroupReached, "at most 2");
}
