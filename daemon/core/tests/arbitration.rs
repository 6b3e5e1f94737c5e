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
    assert_eq!(asked, ["AudioDeactivated", "Answer"]);
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
fn a_ringing_call_says_what_answering_it_would_do() {
    let mut w = World::with(Settings {
        policy: Policy { when_busy: WhenBusy::End, ..settings().policy },
        ..settings()
    });
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.say(
        a,
        Word::Update {
            uuid: uuid(1),
            update: Update { can_hold: Some(false), ..Update::default() },
        },
    )
    .unwrap();
    w.incoming(b, 2).unwrap();
    let plan = &w.find(ALICE, 2).unwrap().answer_plan;
    assert_eq!(plan.ends, vec![w.find(ALICE, 1).unwrap().id]);
    assert_eq!(plan.refused, None);
}

#[test]
fn a_call_that_cannot_be_held_is_named_and_nothing_happens() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.say(
        a,
        Word::Update {
            uuid: uuid(1),
            update: Update { can_hold: Some(false), ..Update::default() },
        },
    )
    .unwrap();
    w.incoming(b, 2).unwrap();
    let plan = w.find(ALICE, 2).unwrap().answer_plan.refused.clone().unwrap();
    assert_eq!(plan.error, Error::CannotHold);
    w.refused_request(vec![answer(2)], Error::CannotHold, &uuid(1).to_string());
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
}

#[test]
fn a_dialing_call_is_in_the_way_of_an_answer() {
    for state in [CallState::Dialing, CallState::Alerting, CallState::Connecting] {
        let mut w = World::default();
        let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
        w.request(ALICE, vec![start_on(1, "a")]).unwrap();
        w.fulfil_all(&[a]);
        w.report(a, 1, state).unwrap();
        w.incoming(b, 2).unwrap();
        w.refused_request(vec![answer(2)], Error::CannotHold, &uuid(1).to_string());
        let t = w.request(ALICE, vec![end(1), answer(2)]).unwrap();
        w.fulfil_all(&[a, b]);
        assert_eq!(w.outcomes(ALICE, t), ["fulfilled", "fulfilled"]);
        assert_eq!(w.audio(ALICE), Some(uuid(2)));
    }
}

#[test]
fn a_policy_ends_the_call_in_the_way() {
    let mut w = World::with(Settings {
        policy: Policy { when_busy: WhenBusy::End, ..settings().policy },
        ..settings()
    });
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.request(ALICE, vec![start_on(1, "a")]).unwrap();
    w.fulfil_all(&[a]);
    w.incoming(b, 2).unwrap();
    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    assert_eq!(w.asks(ALICE)[0], ("End", 1));
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    assert_eq!(w.end_of(1), Some(EndReason::LocalEnded), "hung up here first");
    w.fulfil_all(&[a, b]);
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn a_start_holds_the_active_call_and_a_busy_far_end_brings_it_back() {
    for reason in
        [EndReason::Busy, EndReason::Unanswered, EndReason::Failed, EndReason::RemoteEnded]
    {
        let mut w = World::default();
        let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
        w.talking(a, 1);
        w.request(ALICE, vec![start_on(2, "b")]).unwrap();
        w.fulfil_all(&[a, b]);
        assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
        assert_eq!(w.audio(ALICE), Some(uuid(2)), "ringback is heard");
        w.ended(b, 2, reason).unwrap();
        w.fulfil_all(&[a, b]);
        assert_eq!(w.audio(ALICE), Some(uuid(1)), "{reason:?}");
    }
}

#[test]
fn cancelling_the_new_call_brings_the_old_one_back() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.request(ALICE, vec![start_on(2, "b")]).unwrap();
    w.fulfil_all(&[a, b]);
    w.request(ALICE, vec![end(2)]).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn an_answer_that_fails_brings_the_old_call_back() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    w.fulfil(a, "SetHeld");
    w.fail(b, "Answer");
    assert_eq!(w.outcomes(ALICE, t), ["failed"]);
    assert_eq!(w.end_of(2), Some(EndReason::Failed));
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn a_compensation_that_fails_leaves_the_call_held_by_the_user_who_is_told() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.fulfil(a, "SetHeld");
    w.fail(b, "Answer");
    w.fail(a, "SetHeld");
    assert_eq!(w.held_by(ALICE, 1), HeldBy::USER);
    assert!(w.notices().contains(&Notice::ResumeFailed));
    assert_eq!(w.domain(ALICE).focus(), None);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.asks(ALICE), [], "it is not tried again");
}

#[test]
fn a_resume_that_fails_leaves_the_parked_others_to_the_user() {
    let mut w = World::with(Settings {
        limits: Limits { groups_per_provider: 5, ..Limits::default() },
        ..settings()
    });
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    w.incoming(b, 3).unwrap();
    w.request(ALICE, vec![answer(3)]).unwrap();
    w.fulfil_all(&[a, b]);
    w.request(ALICE, vec![end(3)]).unwrap();
    w.fulfil(b, "AudioDeactivated");
    w.fulfil(b, "End");
    assert_eq!(w.asks(ALICE), [("SetHeld", 2)], "the newest is resumed");
    w.fail(b, "SetHeld");
    w.fulfil_all(&[a, b]);
    assert_eq!((w.held_by(ALICE, 1), w.held_by(ALICE, 2)), (HeldBy::USER, HeldBy::USER));
    assert!(w.notices().contains(&Notice::StaysHeld));
}

#[test]
fn another_held_call_stays_held() {
    let mut w = World::default();
    let (a, b, c) = (w.app(ALICE, "a"), w.app(ALICE, "b"), w.app(ALICE, "c"));
    w.pair(a, b);
    w.incoming(c, 3).unwrap();
    w.request(ALICE, vec![answer(3)]).unwrap();
    assert_eq!(w.asks(ALICE), [("SetHeld", 2)]);
    w.fulfil_all(&[a, b, c]);
    assert_eq!((w.held_by(ALICE, 1), w.held_by(ALICE, 2)), (HeldBy::ARBITER, HeldBy::ARBITER));
    w.request(ALICE, vec![end(3)]).unwrap();
    w.fulfil_all(&[a, b, c]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)), "the newest");
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER, "under a living focus");
    w.ended(b, 2, EndReason::RemoteEnded).unwrap();
    w.fulfil_all(&[a, b, c]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::USER);
}

#[test]
fn policy_can_resume_after_a_remote_end() {
    let mut w = World::with(Settings {
        policy: Policy { after_remote_end: AfterRemoteEnd::Resume, ..settings().policy },
        ..settings()
    });
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    w.ended(b, 2, EndReason::RemoteEnded).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn a_local_end_accepted_before_the_remote_end_counts_as_local() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    let t = w.request(ALICE, vec![end(2)]).unwrap();
    w.ended(b, 2, EndReason::RemoteEnded).unwrap();
    assert_eq!(w.end_of(2), Some(EndReason::LocalEnded));
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"], "a fact completes what it satisfies");
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn the_users_hold_of_the_focus_leaves_the_others_held_by_the_user() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    w.request(ALICE, vec![hold(2)]).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!((w.held_by(ALICE, 1), w.held_by(ALICE, 2)), (HeldBy::USER, HeldBy::USER));
    assert_eq!(w.domain(ALICE).focus(), None);
    assert_eq!(w.domain(ALICE).audio().phase, Phase::Idle);
    w.request(ALICE, vec![unhold(1)]).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
    assert_eq!(w.held_by(ALICE, 2), HeldBy::USER, "never resumed by the arbiter");
    w.request(ALICE, vec![end(1)]).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.state_of(ALICE, 2), CallState::Held);
}

#[test]
fn a_swap_whose_resume_fails_is_undone() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    let t = w.request(ALICE, vec![hold(2), unhold(1)]).unwrap();
    w.fulfil(b, "SetHeld");
    w.fail(a, "SetHeld");
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled", "failed"]);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
    assert_eq!(w.held_by(ALICE, 1), HeldBy::USER);
}

#[test]
fn a_swap_whose_hold_fails_resumes_nothing() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    let t = w.request(ALICE, vec![hold(2), unhold(1)]).unwrap();
    w.fail(b, "SetHeld");
    assert_eq!(w.outcomes(ALICE, t), ["failed", "cancelled"]);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
}

#[test]
fn an_unhold_alone_holds_the_active_call_first() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    w.request(ALICE, vec![unhold(1)]).unwrap();
    assert_eq!(w.asks(ALICE), [("SetHeld", 2)]);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
    assert_eq!(w.held_by(ALICE, 2), HeldBy::ARBITER);
}
