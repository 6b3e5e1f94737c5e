//! The arbiter's own restart: providers that are still there say where their calls stand before anything else is
//! asked of them; what is open after that is asked again under its old number.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use CallState::*;
use callarbiter_core::*;
use world::*;

/// An app whose call 1 is being answered, as it stands right after the restart.
fn answering() -> (World, App, TransactionId, RequestId) {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    let t = w.request(ALICE, vec![answer(1)]).unwrap();
    let request = w.open[&ALICE][0].request;
    w.restart(&[]);
    (w, a, t, request)
}

/// Call 1 of `a` talks, 2 of `b` is being answered: 1 was asked to hold.
fn making_room() -> (World, App, App, TransactionId) {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    assert_eq!(w.asks(ALICE), [("SetHeld", 1)]);
    (w, a, b, t)
}

#[test]
fn the_app_is_asked_where_its_calls_stand_and_nothing_else() {
    let (w, ..) = answering();
    assert_eq!(w.asked(ALICE), [Ask::Reconcile { calls: vec![(uuid(1), Answering)] }]);
}

#[test]
fn an_answer_that_the_app_has_not_heard_is_asked_again_under_its_old_number() {
    let (mut w, a, t, request) = answering();
    w.reconcile(a, &[(1, Ringing)]);
    let again = w.fulfil(a, "Answer");
    assert_eq!(again.request, request);
    assert_eq!(again.deadline_ms, 10_000, "as long as it still had");
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    w.fulfil(a, "AudioActivated");
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
    assert_eq!(w.differs(), []);
}

#[test]
fn an_answer_that_the_app_has_carried_out_is_done() {
    let (mut w, a, t, _) = answering();
    w.reconcile(a, &[(1, Active)]);
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert_eq!(w.asks(ALICE), [("AudioActivated", 0)]);
    assert_eq!(w.state_of(ALICE, 1), Active);
}

#[test]
fn a_word_about_the_old_request_counts_before_the_reconciliation() {
    let (mut w, a, t, request) = answering();
    w.say(a, Word::Fulfil { request, calls: None }).unwrap();
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert_eq!(w.asks(ALICE), [("Reconcile", 0)], "the audio waits for it");
    w.reconcile(a, &[(1, Active)]);
    assert_eq!(w.asks(ALICE), [("AudioActivated", 0)]);
}

#[test]
fn a_call_that_its_app_does_not_have_is_lost() {
    let (mut w, a, t, _) = answering();
    w.reconcile(a, &[]);
    assert_eq!(w.end_of(1), Some(EndReason::ProviderLost));
    assert_eq!(w.outcomes(ALICE, t), ["cancelled"]);
    assert_eq!(w.asks(ALICE), [], "its app knows");
}

#[test]
fn a_call_that_was_being_ended_is_ended_by_the_user() {
    for named in [false, true] {
        let mut w = World::default();
        let a = w.app(ALICE, "a");
        w.talking(a, 1);
        let t = w.request(ALICE, vec![end(1)]).unwrap();
        let request = w.open[&ALICE].iter().find(|a| a.ask.action() == "End").unwrap().request;
        w.restart(&[]);
        if named {
            w.reconcile(a, &[(1, Active)]);
            assert_eq!(w.fulfil(a, "End").request, request);
        } else {
            w.reconcile(a, &[]);
        }
        assert_eq!(w.end_of(1), Some(EndReason::LocalEnded));
        assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
        w.fulfil_all(&[a]);
        assert_eq!(w.domain(ALICE).audio().phase, Phase::Idle);
    }
}

#[test]
fn a_declined_call_stays_declined() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    w.request(ALICE, vec![end(1)]).unwrap();
    w.restart(&[]);
    w.reconcile(a, &[]);
    assert_eq!(w.end_of(1), Some(EndReason::Declined));
}

#[test]
fn a_start_that_the_app_has_not_heard_is_asked_again() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    let t = w.request(ALICE, vec![start(1, "tel:1")]).unwrap();
    w.restart(&[]);
    w.reconcile(a, &[]);
    assert_eq!(w.asks(ALICE), [("Start", 1)]);
    w.fulfil(a, "Start");
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert_eq!(w.state_of(ALICE, 1), Dialing);
}

#[test]
fn a_start_that_went_on_unheard_is_done() {
    for (stated, state) in
        [(Dialing, Dialing), (Alerting, Alerting), (Active, Active), (Held, Held)]
    {
        let mut w = World::default();
        let a = w.app(ALICE, "a");
        let t = w.request(ALICE, vec![start(1, "tel:1")]).unwrap();
        w.restart(&[]);
        w.reconcile(a, &[(1, stated)]);
        assert_eq!(w.outcomes(ALICE, t), ["fulfilled"], "{stated:?}");
        assert_eq!(w.state_of(ALICE, 1), state);
        assert_eq!(w.differs(), [(Starting, stated)]);
    }
}

#[test]
fn a_hold_in_the_middle_of_a_plan_was_done_unheard() {
    let (mut w, a, b, t) = making_room();
    w.restart(&[]);
    w.reconcile(b, &[(2, Ringing)]);
    assert_eq!(w.asks(ALICE), [("Reconcile", 0)], "of the other app");
    w.reconcile(a, &[(1, Held)]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn a_hold_in_the_middle_of_a_plan_is_asked_again() {
    let (mut w, a, b, t) = making_room();
    let request = w.open[&ALICE][0].request;
    w.restart(&[]);
    w.reconcile(a, &[(1, Active)]);
    w.reconcile(b, &[(2, Ringing)]);
    assert_eq!(w.fulfil(a, "SetHeld").request, request);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn a_plan_goes_on_at_its_step() {
    let (mut w, a, b, t) = making_room();
    w.fulfil(a, "SetHeld");
    assert_eq!(w.asks(ALICE), [("AudioDeactivated", 0), ("Answer", 2)]);
    w.restart(&[]);
    w.reconcile(a, &[(1, Held)]);
    w.reconcile(b, &[(2, Ringing)]);
    let asks = w.asks(ALICE);
    assert!(asks.contains(&("AudioDeactivated", 0)) && asks.contains(&("Answer", 2)), "{asks:?}");
    w.fulfil(b, "Answer");
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert!(!w.asks(ALICE).contains(&("AudioActivated", 0)), "the release is not over");
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn a_plan_whose_target_vanished_meanwhile_is_compensated() {
    let (mut w, a, b, t) = making_room();
    w.fulfil(a, "SetHeld");
    w.restart(&[b]);
    assert_eq!(w.outcomes(ALICE, t), ["cancelled"]);
    w.reconcile(a, &[(1, Held)]);
    w.fulfil_all(&[a]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
    assert!(w.find(ALICE, 2).unwrap().orphaned);
}

#[test]
fn who_has_the_audio_is_told_again_in_the_same_generation_and_muted_again() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.request(ALICE, vec![mute(1, true)]).unwrap();
    w.fulfil_all(&[a]);
    let before = w.domain(ALICE).audio().clone();
    w.restart(&[]);
    w.reconcile(a, &[(1, Active)]);
    let (uuids, generation) = (vec![uuid(1)], before.generation);
    let told = Ask::AudioActivated { uuids, generation };
    assert_eq!(w.asked(ALICE), [told, Ask::SetMuted { uuid: uuid(1), muted: true }]);
    w.fulfil_all(&[a]);
    assert_eq!(*w.domain(ALICE).audio(), before);
}

#[test]
fn a_grant_that_was_not_answered_is_asked_again() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    w.request(ALICE, vec![answer(1)]).unwrap();
    w.fulfil(a, "Answer");
    let request = w.open[&ALICE][0].request;
    w.restart(&[]);
    w.reconcile(a, &[(1, Active)]);
    assert_eq!(w.asks(ALICE), [("AudioActivated", 0)]);
    assert_eq!(w.fulfil(a, "AudioActivated").request, request);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn what_is_asked_meanwhile_waits_for_the_apps_word() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.restart(&[]);
    w.request(ALICE, vec![mute(1, true)]).unwrap();
    w.request(ALICE, vec![hold(1)]).unwrap();
    assert_eq!(w.asks(ALICE), [("Reconcile", 0)]);
    w.reconcile(a, &[(1, Active)]);
    assert_eq!(w.asks(ALICE), [("SetMuted", 1), ("AudioActivated", 0)]);
    w.fulfil_all(&[a]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::USER);
}

#[test]
fn what_was_never_asked_can_be_cancelled_but_an_end() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.restart(&[]);
    let caller = w.caller(ALICE);
    let ending = w.request(ALICE, vec![end(1)]).unwrap();
    w.handle(Input::Cancel { caller, transaction: ending }).unwrap();
    let starting = w.request(ALICE, vec![start(2, "tel:1")]).unwrap();
    w.handle(Input::Cancel { caller, transaction: starting }).unwrap();
    assert_eq!(w.outcomes(ALICE, starting), ["cancelled"]);
    assert!(w.find(ALICE, 2).is_none(), "no call that nobody places");
    w.reconcile(a, &[(1, Active)]);
    w.fulfil_all(&[a]);
    assert_eq!(w.end_of(1), Some(EndReason::LocalEnded));
}

#[test]
fn a_grant_that_nobody_heard_of_is_not_taken_back_by_a_word() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    w.restart(&[]);
    w.report(a, 1, Active).unwrap();
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    assert_eq!(w.domain(ALICE).audio().phase, Phase::Idle);
    w.reconcile(a, &[]);
    assert_eq!(w.asks(ALICE), []);
}

#[test]
fn tones_and_groups_are_asked_again() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.pair(a, a);
    w.request(ALICE, vec![join(1, 2)]).unwrap();
    let tones = Action::PlayDtmf { call: of(2), tones: "12".into(), length: Millis(400) };
    w.request(ALICE, vec![tones]).unwrap();
    let before: Vec<RequestId> = w.open[&ALICE].iter().map(|a| a.request).collect();
    assert_eq!(w.asks(ALICE), [("SetGroup", 1), ("PlayDtmf", 2)]);
    w.restart(&[]);
    w.reconcile(a, &[(1, Held), (2, Active)]);
    assert_eq!(w.asks(ALICE), [("SetGroup", 1), ("PlayDtmf", 2), ("AudioActivated", 0)]);
    assert_eq!(w.open[&ALICE][..2].iter().map(|a| a.request).collect::<Vec<_>>(), before);
    w.fulfil_all(&[a]);
    assert_eq!(w.group_of(ALICE, 1), w.group_of(ALICE, 2));
    assert_eq!(w.state_of(ALICE, 1), Active);
}

#[test]
fn a_network_that_held_and_answered_in_one_step_is_read_from_its_states() {
    for done in [true, false] {
        let mut w = World::default();
        let configuration = Configuration {
            hold_model: HoldModel::ProviderWide,
            transactions: true,
            ..Default::default()
        };
        let m = w.app_with(ALICE, "modem", configuration);
        w.talking(m, 1);
        w.incoming(m, 2).unwrap();
        let t = w.request(ALICE, vec![answer(2)]).unwrap();
        w.restart(&[]);
        if done {
            w.reconcile(m, &[(1, Held), (2, Active)]);
        } else {
            w.reconcile(m, &[(1, Active), (2, Ringing)]);
            assert!(w.asks(ALICE).contains(&("Transaction", 0)), "{:?}", w.asks(ALICE));
            w.fulfil(m, "Transaction");
        }
        assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
        assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
        w.fulfil_all(&[m]);
        assert_eq!(w.audio(ALICE), Some(uuid(2)));
    }
}

#[test]
fn an_emergency_call_is_placed_again_and_waits_without_deadline() {
    let mut settings = settings();
    settings.policy.emergency =
        Emergency { handles: vec!["112".into()], providers: vec!["modem".into()] };
    let mut w = World::with(settings);
    let m = w.app(ALICE, "modem");
    let provider = Some("modem".into());
    let start = Action::Start { uuid: uuid(9), handle: "tel:112".into(), provider, video: false };
    w.request(ALICE, vec![start]).unwrap();
    w.restart(&[]);
    w.reconcile(m, &[]);
    w.pass(Millis::secs(300));
    assert_eq!(w.fulfil(m, "Start").deadline_ms, 0);
    assert!(w.find(ALICE, 9).unwrap().emergency);
    assert_eq!(w.state_of(ALICE, 9), Dialing);
}

#[test]
fn a_second_restart_in_the_middle_of_the_first_asks_under_the_same_number() {
    let (mut w, a, t, request) = answering();
    let first = w.open[&ALICE][0].request;
    w.restart(&[]);
    let second = w.open[&ALICE][0].clone();
    assert_eq!(second.request, first);
    w.reconcile(a, &[(1, Ringing)]);
    assert_eq!(w.fulfil(a, "Answer").request, request);
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    let fresh = w.ignore(a, "AudioActivated").request;
    assert!(fresh > second.request && fresh > request, "numbers never come again");
}

#[test]
fn restarts_one_after_the_other_put_no_deadline_off_for_ever() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    w.pass(Millis::secs(57));
    w.restart(&[]);
    for _ in 0..3 {
        assert_eq!(w.state_of(ALICE, 1), CallState::Ringing);
        w.pass(Millis::secs(2));
        w.restart_again();
    }
    assert!(w.find(ALICE, 1).is_none_or(|call| call.state == CallState::Ending));
}
