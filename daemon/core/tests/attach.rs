//! Providers that go and come back: grace, reconciliation, owed ends, atomic loss.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

#[test]
fn within_the_grace_only_the_calls_that_the_app_returns_are_claimed() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.pair(a, a);
    w.lose(a);
    assert!(w.find(ALICE, 1).unwrap().orphaned && w.find(ALICE, 2).unwrap().orphaned);
    w.pass(Millis(9_999));
    let a = w.app(ALICE, "a");
    w.pass(Millis::secs(1));
    w.reconcile(a, &[(2, CallState::Active)]);
    assert_eq!(w.end_of(1), Some(EndReason::ProviderLost));
    w.fulfil_all(&[a]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn after_the_grace_the_calls_are_over() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.lose(a);
    w.pass(Millis::secs(10));
    assert_eq!(w.end_of(1), Some(EndReason::ProviderLost));
    assert_eq!(w.domain(ALICE).providers().count(), 0);
    assert_eq!(w.domain(ALICE).focus(), None);
}

#[test]
fn an_app_that_returns_and_says_nothing_loses_its_calls() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.lose(a);
    w.pass(Millis::secs(8));
    w.app(ALICE, "a");
    w.pass(Millis(4_999));
    assert!(w.find(ALICE, 1).is_some());
    w.pass(Millis(1));
    assert_eq!(w.end_of(1), Some(EndReason::ProviderLost));
}

#[test]
fn another_instance_claims_nothing() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.lose(a);
    let caller = w.caller(ALICE);
    let registration = Registration {
        app: "a".into(),
        source: AppIdSource::Declared,
        instance: "two".into(),
        configuration: Configuration::default(),
        preset: None,
    };
    w.handle(Input::Register { caller, registration }).unwrap();
    assert_eq!(w.asks(ALICE), []);
    assert!(w.find(ALICE, 1).unwrap().orphaned);
}

#[test]
fn a_reconciliation_without_calls_is_refused_and_can_be_repeated() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.lose(a);
    let a = w.app(ALICE, "a");
    let request = w.open[&ALICE][0].request;
    w.refused_word(a, Word::Fulfil { request, calls: None }, Error::InvalidArgument, "calls");
    w.reconcile(a, &[(1, CallState::Held)]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::USER);
}

#[test]
fn a_claimed_call_is_in_the_state_that_its_app_states() {
    use CallState::*;
    let cases = [
        (Active, Some(Active)),
        (Held, Some(Held)),
        (Connecting, Some(Connecting)),
        (Ringing, None),
        (Ending, None),
        (Ended, None),
    ];
    for (stated, expected) in cases {
        let mut w = World::default();
        let a = w.app(ALICE, "a");
        w.talking(a, 1);
        w.lose(a);
        let a = w.app(ALICE, "a");
        w.reconcile(a, &[(1, stated)]);
        assert_eq!(w.find(ALICE, 1).map(|c| c.state), expected, "{stated:?}");
        if expected.is_none() && stated != Ended {
            assert_eq!(w.asks(ALICE), [("End", 1)]);
        }
    }
}

#[test]
fn a_claim_of_an_ended_call_is_none() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.pair(a, a);
    w.lose(a);
    let a = w.app(ALICE, "a");
    w.reconcile(a, &[(1, CallState::Ended), (2, CallState::Active), (7, CallState::Active)]);
    assert_eq!(w.end_of(1), Some(EndReason::ProviderLost));
    assert_eq!(w.state_of(ALICE, 2), CallState::Active);
    assert!(w.find(ALICE, 7).is_none(), "what was never reported cannot be claimed");
    assert!(!w.asks(ALICE).contains(&("End", 1)), "its app knows");
}

#[test]
fn nonsense_about_an_orphan_is_refused_and_the_reconciliation_decides() {
    use CallState::*;
    for stated in [Ringing, Dialing, Alerting, Connecting, Ending, Ended] {
        let mut w = World::default();
        let a = w.app(ALICE, "a");
        w.talking(a, 1);
        w.lose(a);
        let a = w.app(ALICE, "a");
        let word = Word::State { uuid: uuid(1), state: Some(stated), remote_held: Some(true) };
        w.refused_word(a, word, Error::InvalidState, stated.name());
        let call = w.find(ALICE, 1).unwrap();
        assert!(call.orphaned && !call.remote_held, "{stated:?} changed something");
        w.reconcile(a, &[(1, Active)]);
        assert_eq!(w.state_of(ALICE, 1), Active);
    }
}

#[test]
fn a_sensible_report_of_an_orphan_claims_it_before_the_reconciliation() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.lose(a);
    let a = w.app(ALICE, "a");
    w.report(a, 1, CallState::Held).unwrap();
    let call = w.find(ALICE, 1).unwrap();
    assert_eq!((call.state, call.held_by, call.orphaned), (CallState::Held, HeldBy::USER, false));
    w.reconcile(a, &[]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Held, "it was not asked about any more");
}

#[test]
fn a_push_that_comes_again_for_an_answered_orphan_changes_nothing() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    let first = w.incoming(a, 1).unwrap();
    w.request(ALICE, vec![answer(1)]).unwrap();
    w.fulfil_all(&[a]);
    w.lose(a);
    let a = w.app(ALICE, "a");
    assert_eq!(w.incoming(a, 1).unwrap(), first);
    assert!(w.find(ALICE, 1).unwrap().orphaned);
    w.reconcile(a, &[(1, CallState::Active)]);
    w.fulfil_all(&[a]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn every_stated_state_of_every_call_leaves_a_sound_world() {
    use CallState::*;
    let all = [
        Screening, Ringing, Answering, Launching, Starting, Dialing, Alerting, Connecting, Active,
        Held, Ending, Ended,
    ];
    for outgoing in [false, true] {
        for stated in all {
            let mut w = World::default();
            let a = w.app(ALICE, "a");
            if outgoing {
                w.request(ALICE, vec![start(1, "tel:1")]).unwrap();
            } else {
                w.incoming(a, 1).unwrap();
                w.request(ALICE, vec![answer(1)]).unwrap();
            }
            w.lose(a);
            let a = w.app(ALICE, "a");
            w.reconcile(a, &[(1, stated)]);
            w.open.clear();
            w.pass(Millis::secs(300));
            let left = w.find(ALICE, 1).map(|c| c.state);
            assert!(matches!(left, None | Some(Active | Held)), "{stated:?} for ever: {left:?}");
        }
    }
}

#[test]
fn a_call_rings_again_only_if_its_app_says_so() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    let t = w.request(ALICE, vec![answer(1)]).unwrap();
    w.lose(a);
    assert_eq!(w.outcomes(ALICE, t), ["cancelled"]);
    let a = w.app(ALICE, "a");
    w.reconcile(a, &[(1, CallState::Ringing)]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Ringing);
    w.request(ALICE, vec![answer(1)]).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn the_focus_stays_with_an_orphan_but_others_may_take_it() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.lose(a);
    assert_eq!(w.domain(ALICE).focus(), w.group_of(ALICE, 1));
    assert_eq!(w.domain(ALICE).audio().phase, Phase::Idle, "released without waiting");
    w.talking(b, 2);
    let a = w.app(ALICE, "a");
    w.reconcile(a, &[(1, CallState::Active)]);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn a_claimed_call_that_cannot_be_held_ends_if_another_has_the_focus() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    let update = Update { can_hold: Some(false), ..Update::default() };
    w.say(a, Word::Update { uuid: uuid(1), update }).unwrap();
    w.lose(a);
    w.talking(b, 2);
    let a = w.app(ALICE, "a");
    w.reconcile(a, &[(1, CallState::Active)]);
    assert!(w.asks(ALICE).contains(&("End", 1)));
    w.fulfil_all(&[a, b]);
    assert_eq!(w.end_of(1), Some(EndReason::LocalEnded));
}

#[test]
fn a_running_plan_counts_as_taken() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.lose(a);
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    let a = w.app(ALICE, "a");
    w.reconcile(a, &[(1, CallState::Active)]);
    w.fulfil_all(&[a, b]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn two_calls_that_swapped_while_the_app_was_away_are_taken_as_stated() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.pair(a, a);
    w.lose(a);
    let a = w.app(ALICE, "a");
    w.reconcile(a, &[(1, CallState::Active), (2, CallState::Held)]);
    w.fulfil_all(&[a]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
    assert_eq!(w.held_by(ALICE, 2), HeldBy::USER);
}

#[test]
fn a_call_that_was_ending_is_over_at_once_and_the_app_hears_of_it_later() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let t = w.request(ALICE, vec![end(1)]).unwrap();
    w.lose(a);
    assert_eq!(w.end_of(1), Some(EndReason::LocalEnded));
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    w.app(ALICE, "a");
    assert_eq!(w.asks(ALICE), [("End", 1)]);
}

#[test]
fn an_orphan_that_the_user_ends_is_over_at_once_in_any_state() {
    for setup in ["ringing", "active", "held", "starting"] {
        let mut w = World::default();
        let a = w.app(ALICE, "a");
        match setup {
            "ringing" => drop(w.incoming(a, 1)),
            "starting" => drop(w.request(ALICE, vec![start(1, "tel:1")])),
            _ => w.talking(a, 1),
        }
        if setup == "held" {
            w.request(ALICE, vec![hold(1)]).unwrap();
            w.fulfil_all(&[a]);
        }
        w.lose(a);
        let t = w.request(ALICE, vec![end(1)]).unwrap();
        assert_eq!(w.outcomes(ALICE, t), ["fulfilled"], "{setup}");
        assert_eq!(w.end_of(1), Some(EndReason::LocalEnded), "{setup}");
        w.app(ALICE, "a");
        assert_eq!(w.asks(ALICE), [("End", 1)], "{setup}");
    }
}

#[test]
fn last_words_that_were_lost_are_said_again() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    w.request(ALICE, vec![answer(1)]).unwrap();
    w.pass(Millis::secs(10));
    assert!(w.asks(ALICE).contains(&("End", 1)));
    w.lose(a);
    w.app(ALICE, "a");
    assert_eq!(w.asks(ALICE), [("End", 1)], "no ghost call with an open microphone");
}

#[test]
fn an_orphan_can_only_be_ended() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.lose(a);
    for action in [hold(1), unhold(1), mute(1, true), answer(1), leave(1)] {
        w.refused_request(vec![action], Error::ProviderGone, "away");
    }
}

#[test]
fn an_orphaned_ringing_call_stops_ringing_in_time_and_its_app_is_told() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    let update = Update { ring_timeout: Some(Millis::secs(2)), ..Update::default() };
    w.incoming_with(a, 1, update).unwrap();
    w.lose(a);
    w.pass(Millis::secs(2));
    assert_eq!(w.end_of(1), Some(EndReason::Unanswered));
    w.app(ALICE, "a");
    assert_eq!(w.asks(ALICE), [("End", 1)]);
}

#[test]
fn a_group_that_loses_its_app_while_a_member_refuses_the_hold_asks_nobody() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.conference(a);
    w.request(ALICE, vec![hold(1)]).unwrap();
    w.take(ALICE, |x| matches!(x.ask, Ask::SetHeld { uuid: u, .. } if u == uuid(2)));
    w.fail(a, "SetHeld");
    w.lose(a);
    assert_eq!(w.asks(ALICE), []);
    w.pass(Millis::secs(10));
    assert_eq!(w.domain(ALICE).calls().count(), 0);
}

#[test]
fn registering_again_on_the_same_connection_only_configures() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let again =
        w.register(a.caller, "a", Configuration { display_name: "A".into(), ..Default::default() });
    assert_eq!(again.id, a.id);
    assert_eq!(w.asks(ALICE), []);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn unregistering_ends_the_calls() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.say(a, Word::Unregister).unwrap();
    assert!(w.find(ALICE, 1).is_none());
    assert_eq!(w.domain(ALICE).providers().count(), 0);
    assert_eq!(w.domain(ALICE).audio().phase, Phase::Idle);
}

#[test]
fn the_mute_is_asserted_when_an_app_comes_back() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.request(ALICE, vec![mute(1, true)]).unwrap();
    w.fulfil_all(&[a]);
    w.lose(a);
    let a = w.app(ALICE, "a");
    w.reconcile(a, &[(1, CallState::Active)]);
    assert!(w.asked(ALICE).contains(&Ask::SetMuted { uuid: uuid(1), muted: true }));
}

#[test]
fn the_last_change_of_a_provider_that_leaves_carries_its_number() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.effects.clear();
    w.say(a, Word::Unregister).unwrap();
    let number = w.effects.iter().find_map(|e| match e {
        Effect::Publish { revision, change: Change::Changed(Object::Provider(_), _), .. } => {
            Some(*revision)
        }
        _ => None,
    });
    assert_eq!(w.domain(ALICE).provider(a.id).map(|p| p.revision), number);
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
