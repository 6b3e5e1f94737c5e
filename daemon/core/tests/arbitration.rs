//! The arbitration table, a row a test: two calls meet, and the arbiter makes room or says why not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

#[test]
fn answering_holds_the_active_call_first_and_audio_moves() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let call = w.find(ALICE, 2).unwrap();
    assert!(call.waiting);
    assert_eq!(call.answer_plan.holds, vec![w.find(ALICE, 1).unwrap().id]);

    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    assert_eq!(w.asked(ALICE), vec![Ask::SetHeld { uuid: uuid(1), held: true }]);
    w.fulfil(a, "SetHeld");
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
    let asked: Vec<_> = w.asked(ALICE).iter().map(Ask::action).collect();
    assert_eq!(asked, ["Answer", "AudioDeactivated"]);
    w.fulfil(b, "Answer");
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert_eq!(w.state_of(ALICE, 2), CallState::Active);
    assert_eq!(w.domain(ALICE).audio().phase, Phase::Releasing, "no grant before the release");
    w.fulfil(a, "AudioDeactivated");
    w.fulfil(b, "AudioActivated");
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn a_local_end_resumes_the_call_that_was_held_for_it() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.fulfil_all(&[a, b]);
    w.request(ALICE, vec![end(2)]).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Active);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn a_remote_end_leaves_the_other_held_by_the_user() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.fulfil_all(&[a, b]);
    w.ended(b, 2, EndReason::RemoteEnded).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Held);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::USER);
    assert!(w.notices().contains(&Notice::StaysHeld));
    assert_eq!(w.audio(ALICE), None);
}

#[test]
fn a_hold_that_fails_leaves_everything_as_it_was() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    w.fail(a, "SetHeld");
    assert_eq!(w.outcomes(ALICE, t), ["failed"]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Active);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
    assert!(w.notices().contains(&Notice::HoldFailed));
}

#[test]
fn a_lost_provider_is_orphaned_and_reclaims_with_audio() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.handle(Input::PeerLost { peer: a.caller.peer }).unwrap();
    assert!(w.find(ALICE, 1).unwrap().orphaned);
    assert_eq!(w.domain(ALICE).audio().phase, Phase::Idle);
    let a = w.app(ALICE, "a");
    w.fulfil_all(&[a]);
    assert!(!w.find(ALICE, 1).unwrap().orphaned);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn swap_is_one_transaction() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.fulfil_all(&[a, b]);
    let t = w.request(ALICE, vec![hold(2), unhold(1)]).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled", "fulfilled"]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
    assert_eq!(w.held_by(ALICE, 2), HeldBy::ARBITER);
}

#[test]
fn outgoing_goes_through_its_states() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    let t = w.request(ALICE, vec![start(1, "tel:1")]).unwrap();
    w.fulfil(a, "Start");
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    w.fulfil(a, "AudioActivated");
    w.report(a, 1, CallState::Alerting).unwrap();
    w.report(a, 1, CallState::Active).unwrap();
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
    w.request(ALICE, vec![end(1)]).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.domain(ALICE).calls().count(), 0);
    assert_eq!(w.domain(ALICE).groups().count(), 0);
    w.pass(Millis::secs(120));
    assert_eq!(w.arbiter.next_deadline(), None);
}
