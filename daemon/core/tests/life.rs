//! A call's life: facts, UUIDs, tombstones, deadlines, mute.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn live(w: &mut World, app: App, n: u128, direction: Direction, state: CallState) -> Result<Reply> {
    w.say(app, Word::Live { uuid: uuid(n), direction, state, update: Update::default() })
}

#[test]
fn the_same_report_of_a_live_call_is_the_same_call() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    let first = w.incoming(a, 1).unwrap();
    let revision = w.domain(ALICE).revision();
    assert_eq!(w.incoming(a, 1).unwrap(), first);
    w.report(a, 1, CallState::Ringing).unwrap();
    assert_eq!(w.domain(ALICE).revision(), revision, "nothing changed");
    w.request(ALICE, vec![answer(1)]).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.incoming(a, 1).unwrap(), first);
    assert_eq!(w.state_of(ALICE, 1), CallState::Active);
}

#[test]
fn two_apps_may_choose_the_same_uuid() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    assert_ne!(w.incoming(a, 1).unwrap(), w.incoming(b, 1).unwrap());
    let call = w.domain(ALICE).find(CallRef::Of(b.id, uuid(1))).unwrap();
    assert!(call.qualified);
    w.refused_request(vec![end(1)], Error::InvalidArgument, "object path");
    let action =
        Action::End { call: CallRef::Of(b.id, uuid(1)), reason: None, message: Private::default() };
    w.request(ALICE, vec![action]).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.find(ALICE, 1).unwrap().provider, a.id);
}

#[test]
fn an_ended_uuid_is_remembered_for_an_hour() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    w.ended(a, 1, EndReason::RemoteEnded).expect("a repeated end is fine");
    let word = Word::Incoming { uuid: uuid(1), update: Update::default() };
    w.refused_word(a, word.clone(), Error::AlreadyEnded, "new UUID");
    w.refused_request(vec![answer(1)], Error::AlreadyEnded, "ended");
    w.pass(Millis::secs(3599));
    w.refused_word(a, word, Error::AlreadyEnded, "new UUID");
    w.pass(Millis::secs(1));
    w.incoming(a, 1).unwrap();
}

#[test]
fn an_end_that_comes_before_its_call_keeps_it_from_ringing_for_two_minutes() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    assert_eq!(w.incoming(a, 1).unwrap_err().error, Error::AlreadyEnded);
    w.pass(Millis::secs(120));
    w.incoming(a, 1).unwrap();
}

#[test]
fn a_call_rings_for_a_minute_or_as_long_as_its_app_says() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    let update = Update { ring_timeout: Some(Millis::secs(90)), ..Update::default() };
    w.incoming_with(a, 2, update).unwrap();
    w.pass(Millis(59_999));
    assert_eq!(w.state_of(ALICE, 1), CallState::Ringing);
    w.pass(Millis(1));
    assert_eq!(w.end_of(1), Some(EndReason::Unanswered));
    assert_eq!(w.asks(ALICE), [("End", 1)]);
    w.pass(Millis::secs(30));
    assert_eq!(w.end_of(2), Some(EndReason::Unanswered));
}

#[test]
fn an_accepted_answer_stops_the_ring_deadline_and_going_back_gives_ten_seconds() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    w.pass(Millis::secs(58));
    w.request(ALICE, vec![answer(2)]).unwrap();
    assert_eq!(w.find(ALICE, 2).unwrap().ring_deadline, None);
    w.pass(Millis::secs(4));
    w.fail(a, "SetHeld");
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
    w.pass(Millis(9_999));
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
    w.pass(Millis(1));
    assert_eq!(w.end_of(2), Some(EndReason::Unanswered));
}

#[test]
fn dialing_without_progress_fails_after_two_minutes() {
    for (state, reason) in [
        (CallState::Dialing, EndReason::Failed),
        (CallState::Alerting, EndReason::Unanswered),
        (CallState::Connecting, EndReason::Failed),
    ] {
        let mut w = World::default();
        let a = w.app(ALICE, "a");
        w.request(ALICE, vec![start(1, "tel:1")]).unwrap();
        w.fulfil_all(&[a]);
        w.pass(Millis::secs(100));
        w.report(a, 1, state).unwrap();
        let since = if state == CallState::Dialing { 20 } else { 120 };
        w.pass(Millis::secs(since - 1));
        assert_eq!(w.state_of(ALICE, 1), state);
        w.pass(Millis::secs(1));
        assert_eq!(w.end_of(1), Some(reason));
        assert!(w.asks(ALICE).contains(&("End", 1)));
    }
}

#[test]
fn what_a_phone_does_by_itself_is_adopted() {
    use CallState::*;
    let facts: [(&[CallState], CallState); 5] = [
        (&[Active], Active),
        (&[Connecting, Active], Active),
        (&[Held], Held),
        (&[Active, Held], Held),
        (&[Active, Held, Active], Active),
    ];
    for (reports, last) in facts {
        let mut w = World::default();
        let a = w.app(ALICE, "a");
        w.incoming(a, 1).unwrap();
        for state in reports {
            w.report(a, 1, *state).unwrap();
            w.report(a, 1, *state).expect("a repeated report is fine");
        }
        w.fulfil_all(&[a]);
        assert_eq!(w.state_of(ALICE, 1), last);
        let audio = (last == Active).then(|| uuid(1));
        assert_eq!(w.audio(ALICE), audio, "{reports:?}");
    }
}

#[test]
fn a_fact_completes_the_pending_action() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    let t = w.request(ALICE, vec![start(1, "tel:1")]).unwrap();
    w.report(a, 1, CallState::Alerting).unwrap();
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Alerting);
    w.report(a, 1, CallState::Active).unwrap();
    w.incoming(a, 2).unwrap();
    w.fulfil_all(&[a]);
    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    w.report(a, 1, CallState::Held).unwrap();
    w.report(a, 2, CallState::Active).unwrap();
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
}

#[test]
fn a_call_reported_live_is_adopted() {
    use CallState::*;
    for state in [Dialing, Alerting, Connecting, Active, Held] {
        let mut w = World::default();
        let a = w.app(ALICE, "a");
        live(&mut w, a, 1, Direction::Outgoing, state).unwrap();
        w.fulfil_all(&[a]);
        assert_eq!(w.state_of(ALICE, 1), state);
        assert_eq!(w.audio(ALICE), (state != Held).then(|| uuid(1)));
    }
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let dialing = Word::State { uuid: uuid(1), state: Some(CallState::Dialing), remote_held: None };
    w.refused_word(a, dialing, Error::InvalidState, "dialing");
    let update = Update::default();
    let (direction, state) = (Direction::Incoming, CallState::Alerting);
    let word = Word::Live { uuid: uuid(2), direction, state, update: update.clone() };
    w.refused_word(a, word, Error::InvalidState, "alerting");
    let (direction, state) = (Direction::Outgoing, CallState::Active);
    let word = Word::Live { uuid: uuid(1), direction, state, update };
    w.refused_word(a, word, Error::UuidInUse, "other direction");
}

#[test]
fn active_that_nobody_asked_for_does_not_move_the_focus() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    w.report(b, 2, CallState::Active).unwrap();
    assert!(w.notices().contains(&Notice::ActiveWithoutAudio));
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
    let asked = w.ignore(b, "SetHeld");
    assert_eq!(asked.origin, Origin::Policy);
    w.late(b, &asked).unwrap();
    assert_eq!(w.held_by(ALICE, 2), HeldBy::ARBITER);
}

#[test]
fn a_refused_policy_hold_is_not_tried_again_until_the_focus_changes() {
    for times_out in [false, true] {
        let mut w = World::default();
        let (a, b, c) = (w.app(ALICE, "a"), w.app(ALICE, "b"), w.app(ALICE, "c"));
        w.talking(a, 1);
        w.incoming(b, 2).unwrap();
        w.report(b, 2, CallState::Active).unwrap();
        if times_out {
            w.ignore(b, "SetHeld");
            w.pass(Millis::secs(5));
            assert_eq!(w.asked(ALICE), [Ask::SetHeld { uuid: uuid(2), held: false }]);
            w.fulfil(b, "SetHeld");
        } else {
            w.fail(b, "SetHeld");
        }
        assert_eq!(w.asks(ALICE), []);
        w.pass(Millis::secs(60));
        assert_eq!(w.asks(ALICE), []);
        assert_eq!(w.state_of(ALICE, 2), CallState::Active);
        w.incoming(c, 3).unwrap();
        w.request(ALICE, vec![answer(3)]).unwrap();
        assert!(w.asks(ALICE).contains(&("SetHeld", 2)));
    }
}

#[test]
fn a_call_active_without_audio_gets_it_when_the_focus_ends() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    w.report(b, 2, CallState::Active).unwrap();
    w.fail(b, "SetHeld");
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn a_hold_at_the_app_is_the_users() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.report(a, 1, CallState::Held).unwrap();
    assert_eq!(w.held_by(ALICE, 1), HeldBy::USER);
    assert_eq!(w.domain(ALICE).focus(), None);
}

#[test]
fn a_far_end_that_holds_leaves_state_focus_and_audio() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.say(a, Word::State { uuid: uuid(1), state: None, remote_held: Some(true) }).unwrap();
    assert!(w.find(ALICE, 1).unwrap().remote_held);
    assert_eq!(w.audio(ALICE), Some(uuid(1)), "music on hold is heard");
}

#[test]
fn mute_is_kept_over_hold_and_asserted_with_each_grant() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.request(ALICE, vec![mute(1, true)]).unwrap();
    w.fulfil_all(&[a]);
    w.request(ALICE, vec![hold(1)]).unwrap();
    w.fulfil_all(&[a]);
    assert!(w.find(ALICE, 1).unwrap().muted);
    w.request(ALICE, vec![unhold(1)]).unwrap();
    w.fulfil(a, "SetHeld");
    assert!(w.asked(ALICE).contains(&Ask::SetMuted { uuid: uuid(1), muted: true }));
    assert_eq!(w.ignore(a, "SetMuted").origin, Origin::Policy);
}

#[test]
fn an_unmute_that_is_on_its_way_is_not_undone_by_a_grant() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.request(ALICE, vec![mute(1, true)]).unwrap();
    w.request(ALICE, vec![hold(1)]).unwrap();
    w.fulfil_all(&[a]);
    w.request(ALICE, vec![unhold(1)]).unwrap();
    w.request(ALICE, vec![mute(1, false)]).unwrap();
    w.fulfil_all(&[a]);
    assert!(!w.find(ALICE, 1).unwrap().muted);
}

#[test]
fn every_end_has_one_reason_and_comes_once() {
    for reason in EndReason::ALL {
        let mut w = World::default();
        let a = w.app(ALICE, "a");
        w.talking(a, 1);
        w.ended(a, 1, reason).unwrap();
        w.ended(a, 1, EndReason::Failed).unwrap();
        let ends = w.effects.iter().filter(|e| {
            matches!(
                e,
                Effect::Publish { change: Change::Transition { new: CallState::Ended, .. }, .. }
            )
        });
        assert_eq!(ends.count(), 1);
        assert_eq!(w.end_of(1), Some(reason));
    }
}

#[test]
fn each_change_has_the_next_number() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    w.request(ALICE, vec![end(2)]).unwrap();
    w.fulfil_all(&[a, b]);
    let numbers = w.effects.iter().filter_map(|e| match e {
        Effect::Publish { revision, .. } => Some(*revision),
        _ => None,
    });
    let numbers: Vec<u64> = numbers.collect();
    assert_eq!(numbers, (1..=w.domain(ALICE).revision()).collect::<Vec<_>>());
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
