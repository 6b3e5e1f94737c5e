//! Apps after a restart of the arbiter: gone, silent, of another opinion, or registering again; and what is remembered
//! of them and their users.

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

#[test]
fn a_lost_app_has_its_grace_from_now_on() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.now.mono = w.now.mono + Millis::secs(600);
    w.restart(&[a]);
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
    w.restart(&[]);
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
    w.restart(&[]);
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
    w.restart(&[]);
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
        w.restart(&[]);
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
fn a_call_reported_meanwhile_is_not_lost_by_an_older_word() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.restart(&[]);
    w.incoming(a, 2).unwrap();
    w.reconcile(a, &[(1, Active)]);
    assert_eq!(w.state_of(ALICE, 2), Ringing);
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
        w.restart(&[]);
        w.reconcile(a, &[(1, theirs)]);
        assert_eq!(w.find(ALICE, 1).map(|c| c.state), then, "{ours:?}, {theirs:?}");
        assert_eq!(w.differs(), [(ours, theirs)]);
        w.fulfil_all(&[a]);
    }
}

#[test]
fn an_unasked_resume_beside_the_focus_has_no_audio() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    w.restart(&[]);
    w.reconcile(a, &[(1, Active)]);
    w.reconcile(b, &[(2, Active)]);
    assert!(w.asks(ALICE).contains(&("SetHeld", 1)), "{:?}", w.asks(ALICE));
    assert_eq!(w.notices(), [Notice::ActiveWithoutAudio]);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn all_losses_are_seen_before_anything_is_judged() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    w.restart(&[a, b]);
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
    w.handle(Input::SetDoNotDisturb { caller: shell, mode, allow: vec![] }).unwrap();
    w.talking(a, 1);
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    let token = Some(uuid(77));
    let actions = vec![Requested { action: start(3, "tel:1"), expected: None }];
    let request = Input::Request { caller: shell, actions, token };
    let first = w.handle(request.clone()).unwrap();
    w.restart(&[]);
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
    w.restart(&[]);
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
    w.restart(&[]);
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
    w.restart(&[]);
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
    w.restart(&[]);
    assert_eq!(w.asks(ALICE), [("End", 1)]);
}
