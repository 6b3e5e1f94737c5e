//! The arbiter's own restart: providers that are still there say where their calls stand before anything else is
//! asked of them; what is open after that is asked again under its old number.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use CallState::*;
use callarbiter_core::*;
use world::*;

/// The arbiter ends and comes back with what it wrote; these apps went away meanwhile. What the others were asked
/// before never reached them.
fn restart(w: &mut World, lost: &[App]) {
    let mut keys = Vec::new();
    w.arbiter.keys_after(None, usize::MAX, &mut keys);
    let record = |key: Key| {
        let mut value = Vec::new();
        assert!(w.arbiter.save(key, &mut value));
        (key, value)
    };
    let records: Vec<_> = keys.into_iter().map(record).collect();
    w.arbiter = Arbiter::restore(w.arbiter.settings().clone(), records).unwrap();
    w.open.clear();
    w.effects.clear();
    let lost = lost.iter().map(|app| app.caller.peer).collect();
    w.handle(Input::Restarted { lost }).unwrap();
}

/// An app whose call 1 is being answered, as it stands right after the restart.
fn answering() -> (World, App, TransactionId, RequestId) {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    let t = w.request(ALICE, vec![answer(1)]).unwrap();
    let request = w.open[&ALICE][0].request;
    restart(&mut w, &[]);
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

fn differs(w: &World) -> Vec<(CallState, CallState)> {
    let differs = |e: &Effect| match e {
        Effect::Logged(Event { what: Happening::Differs { ours, theirs }, .. }) => {
            Some((*ours, *theirs))
        }
        _ => None,
    };
    w.effects.iter().filter_map(differs).collect()
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
    assert_eq!(differs(&w), []);
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
        restart(&mut w, &[]);
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
    restart(&mut w, &[]);
    w.reconcile(a, &[]);
    assert_eq!(w.end_of(1), Some(EndReason::Declined));
}

#[test]
fn a_start_that_the_app_has_not_heard_is_asked_again() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    let t = w.request(ALICE, vec![start(1, "tel:1")]).unwrap();
    restart(&mut w, &[]);
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
        restart(&mut w, &[]);
        w.reconcile(a, &[(1, stated)]);
        assert_eq!(w.outcomes(ALICE, t), ["fulfilled"], "{stated:?}");
        assert_eq!(w.state_of(ALICE, 1), state);
        assert_eq!(differs(&w), [(Starting, stated)]);
    }
}

#[test]
fn a_hold_in_the_middle_of_a_plan_was_done_unheard() {
    let (mut w, a, b, t) = making_room();
    restart(&mut w, &[]);
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
    restart(&mut w, &[]);
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
    assert_eq!(w.asks(ALICE), [("Answer", 2), ("AudioDeactivated", 0)]);
    restart(&mut w, &[]);
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
    restart(&mut w, &[b]);
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
    restart(&mut w, &[]);
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
    restart(&mut w, &[]);
    w.reconcile(a, &[(1, Active)]);
    assert_eq!(w.asks(ALICE), [("AudioActivated", 0)]);
    assert_eq!(w.fulfil(a, "AudioActivated").request, request);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn a_lost_app_has_its_grace_from_now_on() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.now.mono = w.now.mono + Millis::secs(600);
    restart(&mut w, &[a]);
    let call = w.find(ALICE, 1).unwrap();
    assert!(call.orphaned && call.state == Active);
    assert_eq!(w.domain(ALICE).audio().phase, Phase::Idle);
    w.pass(Millis(9_999));
    let a = w.app(ALICE, "a");
    w.reconcile(a, &[(1, Active)]);
    w.fulfil_all(&[a]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn an_orphan_in_its_grace_has_at_least_five_seconds_more() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.lose(a);
    w.now.mono = w.now.mono + Millis::secs(60);
    restart(&mut w, &[]);
    assert_eq!(w.asks(ALICE), []);
    w.pass(Millis(4_999));
    assert!(w.find(ALICE, 1).is_some());
    let a = w.app(ALICE, "a");
    w.reconcile(a, &[(1, Active)]);
    assert_eq!(w.state_of(ALICE, 1), Active);
}

#[test]
fn a_reconciliation_after_an_app_came_back_goes_on() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.lose(a);
    let a = w.app(ALICE, "a");
    w.incoming(a, 2).unwrap();
    restart(&mut w, &[]);
    let calls = vec![(uuid(1), Active), (uuid(2), Ringing)];
    assert_eq!(w.asked(ALICE), [Ask::Reconcile { calls }]);
    w.reconcile(a, &[(1, Active)]);
    assert_eq!(w.state_of(ALICE, 1), Active);
    assert_eq!(w.end_of(2), Some(EndReason::ProviderLost));
}

#[test]
fn an_app_that_does_not_say_is_unresponsive_and_asked_all_the_same() {
    let (mut w, a, t, request) = answering();
    w.pass(Millis(4_999));
    assert_eq!(w.asks(ALICE), [("Reconcile", 0)]);
    w.pass(Millis(1));
    w.ignore(a, "Reconcile");
    assert!(!w.domain(ALICE).provider(a.id).unwrap().responsive);
    let again = w.fulfil(a, "Answer");
    assert_eq!((again.request, again.deadline_ms), (request, 5_000));
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
}

#[test]
fn an_app_that_cannot_say_is_asked_all_the_same() {
    let (mut w, a, ..) = answering();
    w.fail(a, "Reconcile");
    assert_eq!(w.asks(ALICE), [("Answer", 1)]);
}

#[test]
fn what_passed_meanwhile_is_not_over_before_the_app_had_its_chance() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.incoming(a, 1).unwrap();
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.now.mono = w.now.mono + Millis::secs(3600);
    w.now.wall += 3_600_000_000;
    restart(&mut w, &[]);
    w.handle(Input::Tick).unwrap();
    assert_eq!(w.state_of(ALICE, 1), Ringing);
    let until = w.find(ALICE, 1).unwrap().ring_deadline_wall;
    assert_eq!(until, w.now.wall + 5_000_000, "shown as it is");
    w.pass(Millis(4_999));
    assert_eq!((w.state_of(ALICE, 1), w.state_of(ALICE, 2)), (Ringing, Answering));
    w.reconcile(b, &[(2, Ringing)]);
    w.pass(Millis(4_999));
    assert_eq!(w.end_of(1), Some(EndReason::Unanswered), "nobody answered that one");
    w.fulfil(b, "Answer");
    assert_eq!(w.state_of(ALICE, 2), Active);
}

#[test]
fn an_app_that_registers_again_meets_its_registration() {
    for before in [true, false] {
        let mut w = World::default();
        let a = w.app(ALICE, "a");
        w.talking(a, 1);
        restart(&mut w, &[]);
        if !before {
            w.reconcile(a, &[(1, Active)]);
        }
        let again = w.register(a.caller, "a", Configuration::default());
        assert_eq!(again, a);
        assert!(!w.find(ALICE, 1).unwrap().orphaned);
        if before {
            assert_eq!(w.asks(ALICE), [("Reconcile", 0)]);
            w.reconcile(a, &[(1, Active)]);
        }
        w.fulfil_all(&[a]);
        assert_eq!(w.audio(ALICE), Some(uuid(1)));
    }
}

#[test]
fn what_is_asked_meanwhile_waits_for_the_apps_word() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    restart(&mut w, &[]);
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
    restart(&mut w, &[]);
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
    restart(&mut w, &[]);
    w.report(a, 1, Active).unwrap();
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    assert_eq!(w.domain(ALICE).audio().phase, Phase::Idle);
    w.reconcile(a, &[]);
    assert_eq!(w.asks(ALICE), []);
}

#[test]
fn a_call_reported_meanwhile_is_not_lost_by_an_older_word() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    restart(&mut w, &[]);
    w.incoming(a, 2).unwrap();
    w.reconcile(a, &[(1, Active)]);
    assert_eq!(w.state_of(ALICE, 2), Ringing);
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
    restart(&mut w, &[]);
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
        restart(&mut w, &[]);
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
    restart(&mut w, &[]);
    w.reconcile(m, &[]);
    w.pass(Millis::secs(300));
    assert_eq!(w.fulfil(m, "Start").deadline_ms, 0);
    assert!(w.find(ALICE, 9).unwrap().emergency);
    assert_eq!(w.state_of(ALICE, 9), Dialing);
}

#[test]
fn media_are_the_apps_and_wishes_the_users() {
    // What the arbiter had, what the app says, and what it is then; all of it is told to the administrator.
    let cases = [
        (Active, Held, Some(Held)),
        (Active, Connecting, Some(Connecting)),
        (Active, Ringing, None),
        (Active, Ending, None),
        (Held, Active, Some(Active)),
        (Held, Connecting, Some(Connecting)),
        (Ringing, Connecting, Some(Connecting)),
        (Ringing, Active, Some(Active)),
        (Ringing, Held, Some(Held)),
    ];
    for (ours, theirs, then) in cases {
        let mut w = World::default();
        let a = w.app(ALICE, "a");
        match ours {
            Ringing => drop(w.incoming(a, 1).unwrap()),
            _ => w.talking(a, 1),
        }
        if ours == Held {
            w.request(ALICE, vec![hold(1)]).unwrap();
            w.fulfil_all(&[a]);
        }
        restart(&mut w, &[]);
        w.reconcile(a, &[(1, theirs)]);
        assert_eq!(w.find(ALICE, 1).map(|c| c.state), then, "{ours:?}, {theirs:?}");
        assert_eq!(differs(&w), [(ours, theirs)]);
        w.fulfil_all(&[a]);
    }
}

#[test]
fn an_unasked_resume_beside_the_focus_has_no_audio() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    restart(&mut w, &[]);
    w.reconcile(a, &[(1, Active)]);
    w.reconcile(b, &[(2, Active)]);
    assert!(w.asks(ALICE).contains(&("SetHeld", 1)), "{:?}", w.asks(ALICE));
    assert_eq!(w.notices(), [Notice::ActiveWithoutAudio]);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn a_second_restart_in_the_middle_of_the_first_asks_under_the_same_number() {
    let (mut w, a, t, request) = answering();
    let first = w.open[&ALICE][0].request;
    restart(&mut w, &[]);
    let second = w.open[&ALICE][0].clone();
    assert_eq!(second.request, first);
    w.reconcile(a, &[(1, Ringing)]);
    assert_eq!(w.fulfil(a, "Answer").request, request);
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    let fresh = w.ignore(a, "AudioActivated").request;
    assert!(fresh > second.request && fresh > request, "numbers never come again");
}

#[test]
fn all_losses_are_seen_before_anything_is_judged() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    restart(&mut w, &[a, b]);
    assert_eq!(w.asks(ALICE), []);
    assert!(w.find(ALICE, 1).unwrap().orphaned && w.find(ALICE, 2).unwrap().orphaned);
    let (b, a) = (w.app(ALICE, "b"), w.app(ALICE, "a"));
    w.reconcile(b, &[(2, Active)]);
    w.reconcile(a, &[(1, Held)]);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
}

#[test]
fn what_is_remembered_is_remembered() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    let shell = w.caller(ALICE);
    w.handle(Input::TakeRoles { caller: shell, roles: vec![Role::Ui, Role::Dnd] }).unwrap();
    let mode = DoNotDisturb::Quiet;
    w.handle(Input::SetDoNotDisturb { caller: shell, mode }).unwrap();
    w.talking(a, 1);
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    let token = Some(uuid(77));
    let actions = vec![Requested { action: start(3, "tel:1"), expected: None }];
    let request = Input::Request { caller: shell, actions, token };
    let first = w.handle(request.clone()).unwrap();
    restart(&mut w, &[]);
    assert_eq!(w.domain(ALICE).do_not_disturb(), mode);
    w.refused_word(
        a,
        Word::Incoming { uuid: uuid(1), update: Update::default() },
        Error::AlreadyEnded,
        "ended",
    );
    assert_eq!(w.handle(request).unwrap(), first);
    w.reconcile(a, &[]);
    w.fulfil(a, "Start");
    w.incoming(a, 4).unwrap();
    assert_eq!(w.find(ALICE, 4).unwrap().silenced, Silenced::DoNotDisturb);
    restart(&mut w, &[]);
    w.handle(Input::PeerLost { peer: shell.peer }).unwrap();
    assert_eq!(w.domain(ALICE).do_not_disturb(), DoNotDisturb::Off, "roles end with it");
}

#[test]
fn seats_and_sleep_are_as_they_were() {
    let mut w = World::default();
    for uid in [ALICE, BOB] {
        w.handle(Input::Seats { uid, seats: vec!["seat0".into()] }).unwrap();
    }
    w.handle(Input::Foreground { seat: "seat0".into(), uid: Some(ALICE) }).unwrap();
    let (a, b) = (w.app(ALICE, "a"), w.app(BOB, "b"));
    w.talking(a, 1);
    w.handle(Input::Foreground { seat: "seat0".into(), uid: Some(BOB) }).unwrap();
    w.handle(Input::Suspend(true)).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::SEAT.with(HeldBy::SUSPEND));
    restart(&mut w, &[]);
    assert!(!w.domain(ALICE).is_foreground());
    w.reconcile(a, &[(1, Held)]);
    assert_eq!(w.asks(ALICE), []);
    w.handle(Input::Suspend(false)).unwrap();
    w.handle(Input::Foreground { seat: "seat0".into(), uid: Some(ALICE) }).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn one_users_restart_asks_each_app_of_its_own() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(BOB, "b"));
    w.talking(a, 1);
    w.talking(b, 1);
    restart(&mut w, &[]);
    assert_eq!(w.asks(ALICE), [("Reconcile", 0)]);
    w.reconcile(a, &[(1, Active)]);
    assert_eq!(w.asks(BOB), [("Reconcile", 0)]);
    w.reconcile(b, &[]);
    assert_eq!(w.state_of(ALICE, 1), Active);
    assert!(w.find(BOB, 1).is_none());
}

#[test]
fn an_app_without_calls_is_asked_nothing_but_what_it_must_still_hear() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    w.pass(Millis::secs(60));
    assert_eq!((w.end_of(1), w.asks(ALICE)), (Some(EndReason::Unanswered), vec![("End", 1)]));
    restart(&mut w, &[]);
    assert_eq!(w.asks(ALICE), [("End", 1)]);
}
