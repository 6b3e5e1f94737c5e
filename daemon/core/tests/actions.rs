//! Actions: deadlines, late words, replaced and overtaken requests, holds that join, cancelling.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn tones(n: u128, digits: &str) -> Action {
    let length = tones::playing_time(digits).unwrap();
    Action::PlayDtmf { call: of(n), tones: digits.into(), length }
}

fn told_timed_out(w: &World) -> Vec<&'static str> {
    let told = |e: &Effect| match e {
        Effect::TimedOut { action, .. } => Some(*action),
        _ => None,
    };
    w.effects.iter().filter_map(told).collect()
}

#[test]
fn each_request_carries_its_deadline() {
    let mut w = World::default();
    let a = w.app_with(ALICE, "a", Configuration { supports_video: true, ..Default::default() });
    w.request(ALICE, vec![start(1, "tel:1")]).unwrap();
    assert_eq!(w.fulfil(a, "Start").deadline_ms, 20_000);
    assert_eq!(w.fulfil(a, "AudioActivated").deadline_ms, 2_000);
    w.report(a, 1, CallState::Active).unwrap();
    w.request(ALICE, vec![mute(1, true)]).unwrap();
    assert_eq!(w.fulfil(a, "SetMuted").deadline_ms, 5_000);
    w.request(ALICE, vec![tones(1, "12,")]).unwrap();
    assert_eq!(w.fulfil(a, "PlayDtmf").deadline_ms, 7_400, "5 s and the playing time");
    w.request(ALICE, vec![Action::SetVideo { call: of(1), video: true }]).unwrap();
    assert_eq!(w.fulfil(a, "SetVideo").deadline_ms, 5_000);
    w.request(ALICE, vec![hold(1)]).unwrap();
    assert_eq!(w.fulfil(a, "SetHeld").deadline_ms, 5_000);
    assert_eq!(w.fulfil(a, "AudioDeactivated").deadline_ms, 2_000);
    w.incoming(a, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    assert_eq!(w.fulfil(a, "Answer").deadline_ms, 10_000);
    w.request(ALICE, vec![end(2)]).unwrap();
    assert_eq!(w.fulfil(a, "End").deadline_ms, 5_000);
}

#[test]
fn progress_extends_a_deadline_three_times_by_its_default_at_most() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    let t = w.request(ALICE, vec![answer(1)]).unwrap();
    let request = w.ignore(a, "Answer").request;
    let progress = || Word::Progress { request, extend: Millis::secs(3600) };
    for _ in 0..3 {
        w.say(a, progress()).unwrap();
    }
    w.refused_word(a, progress(), Error::LimitExceeded, "3 times");
    w.pass(Millis(39_999));
    assert_eq!(w.outcomes(ALICE, t), [""]);
    w.pass(Millis(1));
    assert_eq!(w.outcomes(ALICE, t), ["timed-out"]);
    assert_eq!(w.say(a, progress()).unwrap_err().error, Error::TimedOut);
    w.refused_word(a, progress(), Error::TimedOut, "decided");
}

#[test]
fn an_answer_that_times_out_ends_the_call_and_asks_the_app_to_end_it() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    let t = w.request(ALICE, vec![answer(1)]).unwrap();
    let asked = w.ignore(a, "Answer");
    w.pass(Millis::secs(10));
    assert_eq!(w.outcomes(ALICE, t), ["timed-out"]);
    assert_eq!(w.end_of(1), Some(EndReason::TimedOut));
    assert_eq!(told_timed_out(&w), ["Answer"]);
    assert_eq!(w.asks(ALICE), [("End", 1)], "it may have gone through");
    let provider = |w: &World| w.domain(ALICE).provider(a.id).unwrap().responsive;
    assert!(!provider(&w));
    assert_eq!(w.late(a, &asked).unwrap_err().error, Error::TimedOut);
    assert!(provider(&w), "until its next word");
    assert!(w.find(ALICE, 1).is_none(), "a late word never revives what was decided");
}

#[test]
fn a_start_that_times_out_or_fails_ends_the_call() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.request(ALICE, vec![start(1, "tel:1")]).unwrap();
    w.pass(Millis::secs(20));
    assert_eq!(w.end_of(1), Some(EndReason::TimedOut));
    assert!(w.asks(ALICE).contains(&("End", 1)));
    w.open.clear();
    let t = w.request(ALICE, vec![start(2, "tel:1")]).unwrap();
    w.fail(a, "Start");
    assert_eq!(w.outcomes(ALICE, t), ["failed"]);
    assert_eq!(w.end_of(2), Some(EndReason::Failed));
    assert_eq!(w.asks(ALICE), []);
}

#[test]
fn an_end_that_fails_or_times_out_is_an_end_all_the_same() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let t = w.request(ALICE, vec![end(1)]).unwrap();
    w.pass(Millis::secs(5));
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert_eq!(w.end_of(1), Some(EndReason::LocalEnded));
    assert!(!w.domain(ALICE).provider(a.id).unwrap().responsive);
    w.open.clear();
    w.talking(a, 2);
    let t = w.request(ALICE, vec![end(2)]).unwrap();
    w.fail(a, "End");
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert_eq!(w.end_of(2), Some(EndReason::LocalEnded));
}

#[test]
fn a_hold_that_times_out_is_taken_back() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let t = w.request(ALICE, vec![hold(1)]).unwrap();
    w.ignore(a, "SetHeld");
    w.pass(Millis::secs(5));
    assert_eq!(w.outcomes(ALICE, t), ["timed-out"]);
    assert_eq!(w.asked(ALICE), [Ask::SetHeld { uuid: uuid(1), held: false }]);
    w.fulfil(a, "SetHeld");
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn a_late_held_to_the_arbiters_own_request_is_resumed() {
    for by_report in [false, true] {
        let mut w = World::default();
        let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
        w.talking(a, 1);
        w.incoming(b, 2).unwrap();
        let t = w.request(ALICE, vec![answer(2)]).unwrap();
        let asked = w.ignore(a, "SetHeld");
        w.pass(Millis::secs(5));
        assert_eq!(w.outcomes(ALICE, t), ["failed"]);
        assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
        if by_report {
            w.report(a, 1, CallState::Held).unwrap();
        } else {
            assert_eq!(w.late(a, &asked).unwrap_err().error, Error::TimedOut);
        }
        assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
        let resumes = w.asks(ALICE).iter().filter(|a| a.0 == "SetHeld").count();
        assert_eq!(resumes, 1, "the resume that is on its way is enough");
        w.fulfil_all(&[a, b]);
        assert_eq!(w.audio(ALICE), Some(uuid(1)));
    }
}

#[test]
fn a_late_held_to_a_users_request_is_held_by_the_user() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.request(ALICE, vec![hold(1)]).unwrap();
    let asked = w.ignore(a, "SetHeld");
    w.pass(Millis::secs(5));
    w.fulfil(a, "SetHeld");
    assert!(w.late(a, &asked).is_err());
    assert_eq!(w.held_by(ALICE, 1), HeldBy::USER);
    assert_eq!(w.domain(ALICE).focus(), None);
    w.late(a, &asked).expect("a repeated word is answered with success");
    assert_eq!(w.held_by(ALICE, 1), HeldBy::USER);
}

#[test]
fn an_unhold_that_fails_leaves_the_call_held_by_the_user() {
    for times_out in [false, true] {
        let mut w = World::default();
        let a = w.app(ALICE, "a");
        w.talking(a, 1);
        w.request(ALICE, vec![hold(1)]).unwrap();
        w.fulfil_all(&[a]);
        let t = w.request(ALICE, vec![unhold(1)]).unwrap();
        let asked = if times_out {
            let asked = w.ignore(a, "SetHeld");
            w.pass(Millis::secs(5));
            asked
        } else {
            w.fail(a, "SetHeld")
        };
        let outcome = if times_out { "timed-out" } else { "failed" };
        assert_eq!(w.outcomes(ALICE, t), [outcome]);
        assert_eq!(w.held_by(ALICE, 1), HeldBy::USER);
        assert_eq!(w.asks(ALICE), []);
        if times_out {
            assert!(w.late(a, &asked).is_err());
            w.fulfil_all(&[a]);
            assert_eq!(w.audio(ALICE), Some(uuid(1)), "a late word counts as a report");
        }
    }
}

#[test]
fn mute_group_and_tones_that_fail_change_nothing() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.pair(a, a);
    for (action, name) in
        [(mute(2, true), "SetMuted"), (join(1, 2), "SetGroup"), (tones(2, "1"), "PlayDtmf")]
    {
        let t = w.request(ALICE, vec![action]).unwrap();
        w.fail(a, name);
        assert_eq!(w.outcomes(ALICE, t), ["failed"]);
    }
    assert!(!w.find(ALICE, 2).unwrap().muted);
    assert_ne!(w.group_of(ALICE, 1), w.group_of(ALICE, 2));
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn a_late_mute_and_a_late_join_are_facts() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.pair(a, a);
    w.request(ALICE, vec![mute(2, true)]).unwrap();
    let muted = w.ignore(a, "SetMuted");
    w.request(ALICE, vec![join(1, 2)]).unwrap();
    let joined = w.ignore(a, "SetGroup");
    w.pass(Millis::secs(5));
    assert!(w.late(a, &muted).is_err());
    assert!(w.find(ALICE, 2).unwrap().muted);
    assert!(w.late(a, &joined).is_err());
    assert_eq!(w.group_of(ALICE, 1), w.group_of(ALICE, 2));
}

#[test]
fn requests_to_one_call_go_one_at_a_time_and_a_newer_mute_replaces_a_queued_one() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.request(ALICE, vec![tones(1, "1")]).unwrap();
    let first = w.request(ALICE, vec![mute(1, true)]).unwrap();
    let second = w.request(ALICE, vec![mute(1, false)]).unwrap();
    let third = w.request(ALICE, vec![mute(1, true)]).unwrap();
    assert_eq!(w.asks(ALICE), [("PlayDtmf", 1)]);
    assert_eq!(w.outcomes(ALICE, first), ["cancelled"]);
    assert_eq!(w.outcomes(ALICE, second), ["cancelled"]);
    w.fulfil(a, "PlayDtmf");
    assert_eq!(w.asks(ALICE), [("SetMuted", 1)]);
    w.fulfil_all(&[a]);
    assert_eq!(w.outcomes(ALICE, third), ["fulfilled"]);
    assert!(w.find(ALICE, 1).unwrap().muted);
}

#[test]
fn a_newer_unhold_waits_for_the_hold_in_flight() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let held = w.request(ALICE, vec![hold(1)]).unwrap();
    let resumed = w.request(ALICE, vec![unhold(1)]).unwrap();
    assert_eq!(w.outcomes(ALICE, resumed), [""]);
    w.fulfil(a, "SetHeld");
    assert_eq!(w.outcomes(ALICE, held), ["fulfilled"]);
    w.fulfil_all(&[a]);
    assert_eq!(w.outcomes(ALICE, resumed), ["fulfilled"]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn a_newer_hold_replaces_an_unhold_that_waits_for_its_turn() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    let resumed = w.request(ALICE, vec![unhold(1)]).unwrap();
    let held = w.request(ALICE, vec![hold(1)]).unwrap();
    assert_eq!(w.outcomes(ALICE, held), ["fulfilled"]);
    assert_eq!(w.outcomes(ALICE, resumed), ["cancelled"]);
    w.fulfil_all(&[a, b]);
    assert!(w.held_by(ALICE, 1).contains(HeldBy::USER));
    assert_eq!(w.audio(ALICE), Some(uuid(2)), "compensated");
}

#[test]
fn an_end_overtakes_everything_and_cancels_it() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let playing = w.request(ALICE, vec![tones(1, "1")]).unwrap();
    let muted = w.request(ALICE, vec![mute(1, true)]).unwrap();
    let held = w.request(ALICE, vec![hold(1)]).unwrap();
    w.request(ALICE, vec![end(1)]).unwrap();
    assert!(w.asks(ALICE).contains(&("End", 1)));
    for t in [playing, muted, held] {
        assert_eq!(w.outcomes(ALICE, t), ["cancelled"]);
    }
    let again = w.request(ALICE, vec![end(1)]).unwrap();
    w.fulfil(a, "End");
    assert_eq!(w.outcomes(ALICE, again), ["fulfilled"], "it met the same end");
}

#[test]
fn the_users_hold_joins_the_hold_of_a_plan() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    let t = w.request(ALICE, vec![hold(1)]).unwrap();
    assert_eq!(w.asks(ALICE), [("SetHeld", 1)], "one request for both");
    w.fulfil(a, "SetHeld");
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER.with(HeldBy::USER));
    w.fulfil_all(&[a, b]);
    w.request(ALICE, vec![end(2)]).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Held, "never resumed by the arbiter");
}

#[test]
fn the_users_hold_calls_off_a_resume_and_asks_again_if_it_happens_all_the_same() {
    for by_report in [false, true] {
        let mut w = World::default();
        let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
        w.pair(a, b);
        w.request(ALICE, vec![end(2)]).unwrap();
        w.fulfil(b, "End");
        let resume = w.ignore(a, "SetHeld");
        let t = w.request(ALICE, vec![hold(1)]).unwrap();
        assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
        assert_eq!(w.held_by(ALICE, 1), HeldBy::USER, "the arbiter holds under a focus only");
        if by_report {
            w.report(a, 1, CallState::Active).unwrap();
            w.late(a, &resume).expect("it was noted already");
        } else {
            assert!(w.late(a, &resume).is_err());
        }
        w.fulfil(b, "AudioDeactivated");
        assert_eq!(w.asked(ALICE), [Ask::SetHeld { uuid: uuid(1), held: true }]);
        assert_eq!(w.domain(ALICE).audio().holder, None, "nobody is overheard meanwhile");
        w.fulfil_all(&[a, b]);
        assert_eq!(w.state_of(ALICE, 1), CallState::Held);
        assert!(w.held_by(ALICE, 1).contains(HeldBy::USER));
    }
}

#[test]
fn end_and_mute_never_wait_behind_another_calls_slow_app() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.incoming(b, 3).unwrap();
    w.request(ALICE, vec![end(3)]).unwrap();
    assert_eq!(w.asks(ALICE), [("SetHeld", 1), ("End", 3)]);
}

#[test]
fn the_first_action_that_is_not_fulfilled_cancels_the_rest_and_an_end_is_not_undone() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let t = w.request(ALICE, vec![end(1), answer(2), mute(2, true)]).unwrap();
    w.fulfil(a, "End");
    w.fail(b, "Answer");
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled", "failed", "cancelled"]);
    assert!(w.find(ALICE, 1).is_none());
    let finished =
        |e: &&Effect| matches!(e, Effect::Finished { transaction, .. } if *transaction == t);
    assert_eq!(w.effects.iter().filter(finished).count(), 1);
}

#[test]
fn cancel_before_the_target_was_asked_compensates() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    let caller = w.caller(ALICE);
    w.handle(Input::Cancel { caller, transaction: t }).unwrap();
    assert_eq!(w.outcomes(ALICE, t), ["cancelled"]);
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
    w.refused(Input::Cancel { caller, transaction: t }, Error::InvalidState, "finished");
}

#[test]
fn cancel_after_the_target_was_asked_counts_as_its_time_out() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    let t = w.request(ALICE, vec![start(1, "tel:1")]).unwrap();
    let caller = w.caller(ALICE);
    w.handle(Input::Cancel { caller, transaction: t }).unwrap();
    assert_eq!(w.outcomes(ALICE, t), ["timed-out"]);
    assert_eq!(w.end_of(1), Some(EndReason::TimedOut));
    assert_eq!(told_timed_out(&w), ["Start"]);
    assert!(w.asks(ALICE).contains(&("End", 1)));
    assert!(w.domain(ALICE).provider(a.id).unwrap().responsive, "it did nothing wrong");
}

#[test]
fn cancel_takes_back_what_waits_behind_another_request() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.request(ALICE, vec![tones(1, "1")]).unwrap();
    let t = w.request(ALICE, vec![mute(1, true)]).unwrap();
    let caller = w.caller(ALICE);
    w.handle(Input::Cancel { caller, transaction: t }).unwrap();
    assert_eq!(w.outcomes(ALICE, t), ["cancelled"]);
    w.fulfil(a, "PlayDtmf");
    assert_eq!(w.asks(ALICE), []);
}

#[test]
fn cancel_while_hanging_up_ends_the_call_and_cancels_the_rest() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let t = w.request(ALICE, vec![end(1), answer(2)]).unwrap();
    let caller = w.caller(ALICE);
    w.handle(Input::Cancel { caller, transaction: t }).unwrap();
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled", "cancelled"]);
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
}
