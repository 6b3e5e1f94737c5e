//! Networks with a will of their own: provider-wide holds, and one call through two providers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn modem(w: &mut World, transactions: bool) -> App {
    let configuration =
        Configuration { hold_model: HoldModel::ProviderWide, transactions, ..Default::default() };
    w.app_with(ALICE, "modem", configuration)
}

fn correlated() -> (World, App, App) {
    let mut settings = settings();
    settings.policy.correlated = vec![vec!["a".into(), "b".into()]];
    let mut w = World::with(settings);
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    for (app, n) in [(a, 1), (b, 2)] {
        let update = Update { correlation: Some("same".into()), ..Update::default() };
        w.incoming_with(app, n, update).unwrap();
    }
    (w, a, b)
}

#[test]
fn hold_and_answer_are_one_step_where_the_app_takes_them_so() {
    let mut w = World::default();
    let m = modem(&mut w, true);
    w.talking(m, 1);
    w.incoming(m, 2).unwrap();
    let t = w.request(ALICE, vec![answer(2)]).unwrap();
    let steps = vec![Ask::SetHeld { uuid: uuid(1), held: true }, Ask::Answer { uuid: uuid(2) }];
    assert_eq!(w.asked(ALICE), [Ask::Transaction(steps)]);
    w.report(m, 1, CallState::Held).unwrap();
    w.report(m, 2, CallState::Active).unwrap();
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"], "read from the states it reports");
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
    w.fulfil_all(&[m]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn without_transactions_the_network_holds_when_it_answers() {
    let mut w = World::default();
    let m = modem(&mut w, false);
    w.talking(m, 1);
    w.incoming(m, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    assert_eq!(w.asks(ALICE), [("Answer", 2)]);
    w.fulfil_all(&[m]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
    w.request(ALICE, vec![end(2)]).unwrap();
    w.fulfil_all(&[m]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn a_step_that_the_network_refuses_leaves_the_active_call() {
    for transactions in [false, true] {
        let mut w = World::default();
        let m = modem(&mut w, transactions);
        w.talking(m, 1);
        w.incoming(m, 2).unwrap();
        let t = w.request(ALICE, vec![answer(2)]).unwrap();
        w.fail(m, if transactions { "Transaction" } else { "Answer" });
        assert_eq!(w.outcomes(ALICE, t), ["failed"]);
        w.fulfil_all(&[m]);
        assert_eq!(w.audio(ALICE), Some(uuid(1)));
    }
}

#[test]
fn a_swap_is_one_step_of_the_network() {
    for (transactions, by_report) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut w = World::default();
        let m = modem(&mut w, transactions);
        w.pair(m, m);
        let t = w.request(ALICE, vec![hold(2), unhold(1)]).unwrap();
        assert_eq!(w.asks(ALICE).len(), 1);
        if by_report {
            w.report(m, 2, CallState::Held).unwrap();
            w.report(m, 1, CallState::Active).unwrap();
        }
        w.fulfil_all(&[m]);
        assert_eq!(w.outcomes(ALICE, t), ["fulfilled", "fulfilled"]);
        assert_eq!(w.audio(ALICE), Some(uuid(1)));
        assert_eq!(w.held_by(ALICE, 2), HeldBy::ARBITER);
    }
}

#[test]
fn cancelling_a_swap_of_the_network_counts_as_its_time_out() {
    let mut w = World::default();
    let m = modem(&mut w, true);
    w.pair(m, m);
    let t = w.request(ALICE, vec![hold(2), unhold(1)]).unwrap();
    let caller = w.caller(ALICE);
    w.handle(Input::Cancel { caller, transaction: t }).unwrap();
    assert_eq!(w.outcomes(ALICE, t), ["failed", "timed-out"]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::USER);
    w.open.clear();
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn another_apps_call_is_held_before_the_network_is_asked() {
    let mut w = World::default();
    let (m, b) = (modem(&mut w, true), w.app(ALICE, "b"));
    w.talking(b, 1);
    w.incoming(m, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    assert_eq!(w.asks(ALICE), [("SetHeld", 1)]);
    w.fulfil_all(&[m, b]);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn one_answer_ends_the_siblings_once_it_is_fulfilled() {
    let (mut w, a, _) = correlated();
    w.request(ALICE, vec![answer(1)]).unwrap();
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing, "not before");
    w.fulfil(a, "Answer");
    assert_eq!(w.end_of(2), Some(EndReason::AnsweredElsewhere));
    let told = w.asked(ALICE).into_iter().any(
        |ask| matches!(ask, Ask::End { uuid: u, reason: EndReason::AnsweredElsewhere, .. } if u == uuid(2)),
    );
    assert!(told, "so that the network hears the truth");
}

#[test]
fn an_answer_that_fails_leaves_the_siblings_ringing() {
    let (mut w, a, _) = correlated();
    w.request(ALICE, vec![answer(1)]).unwrap();
    w.fail(a, "Answer");
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
}

#[test]
fn an_answer_at_the_phone_itself_ends_the_siblings() {
    for through in [CallState::Active, CallState::Held] {
        let (mut w, a, _) = correlated();
        w.report(a, 1, through).unwrap();
        assert_eq!(w.end_of(2), Some(EndReason::AnsweredElsewhere));
    }
    let (mut w, a, _) = correlated();
    w.report(a, 1, CallState::Connecting).unwrap();
    w.report(a, 1, CallState::Active).unwrap();
    assert_eq!(w.end_of(2), Some(EndReason::AnsweredElsewhere));
}

#[test]
fn one_decline_declines_them_all() {
    for how in ["end", "local-ended", "orphan", "at the app"] {
        let (mut w, a, _) = correlated();
        match how {
            "at the app" => drop(w.ended(a, 1, EndReason::Declined)),
            "local-ended" => {
                let (reason, message) = (Some(EndReason::LocalEnded), Private::default());
                w.request(ALICE, vec![Action::End { call: of(1), reason, message }]).unwrap();
            }
            "orphan" => {
                w.lose(a);
                w.request(ALICE, vec![end(1)]).unwrap();
            }
            _ => drop(w.request(ALICE, vec![end(1)])),
        }
        assert_eq!(w.end_of(2), Some(EndReason::Declined), "{how}");
        assert!(w.asks(ALICE).contains(&("End", 2)), "{how}");
    }
}

#[test]
fn a_sibling_that_comes_late_never_rings() {
    let (mut w, a, b) = correlated();
    w.request(ALICE, vec![answer(1)]).unwrap();
    w.fulfil_all(&[a, b]);
    let update = Update { correlation: Some("same".into()), ..Update::default() };
    w.incoming_with(b, 3, update).unwrap();
    assert_eq!(w.end_of(3), Some(EndReason::AnsweredElsewhere));
    assert!(w.asks(ALICE).contains(&("End", 3)));
}

#[test]
fn apps_that_policy_does_not_name_together_are_not_believed() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    for (app, n) in [(a, 1), (b, 2)] {
        let update = Update { correlation: Some("same".into()), ..Update::default() };
        w.incoming_with(app, n, update).unwrap();
    }
    w.request(ALICE, vec![end(1)]).unwrap();
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
}
