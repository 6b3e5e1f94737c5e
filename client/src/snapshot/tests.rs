//! The revisions: what is applied, what is skipped, and that nothing missing goes unnoticed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use callarbiter_dbus::words::Capability;
use zbus::{ObjectPath, OwnedVariant, Variant};

use super::*;

fn dict<const N: usize>(values: [(&str, Variant<'static>); N]) -> Dict {
    values
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap()))
        .collect()
}

fn path(n: u128) -> CallPath {
    CallPath { uuid: Uuid::from_u128(n), provider: None }
}

fn added(n: u128, revision: u64) -> Signal {
    let properties = dict([
        ("State", "ringing".into()),
        ("RemoteHandle", "tel:+15550100".into()),
        ("Group", ObjectPath::try_from("/").unwrap().into()),
        ("Revision", revision.into()),
    ]);
    let interfaces = Interfaces::from([(CALL.to_owned(), properties)]);
    Signal::Added { object: Some(Object::Call(path(n))), interfaces }
}

fn changed(n: u128, state: &str, revision: u64) -> Signal {
    Signal::Changed {
        object: Some(Object::Call(path(n))),
        interface: CALL.to_owned(),
        properties: dict([("State", state.to_owned().into()), ("Revision", revision.into())]),
    }
}

fn transition(n: u128, revision: u64) -> Signal {
    Signal::Transition {
        object: Some(Object::Call(path(n))),
        old: "ringing".into(),
        new: "active".into(),
        reason: "answered".into(),
        revision,
    }
}

fn removed(n: u128) -> Signal {
    Signal::Removed { object: Some(Object::Call(path(n))) }
}

/// One call from its first ring to its end, as the arbiter sends it after revision 10.
fn a_life() -> Vec<Signal> {
    vec![
        added(1, 11),
        changed(1, "active", 12),
        transition(1, 13),
        added(2, 14),
        removed(2),
        changed(1, "ended", 16),
        removed(1),
        added(3, 18),
    ]
}

#[test]
fn follows_a_life_without_a_gap() {
    let mut snapshot = Snapshot { revision: 10, ..Snapshot::default() };
    for signal in a_life() {
        assert!(matches!(snapshot.apply(signal), Applied::Change(_)));
    }
    assert_eq!(snapshot.revision, 18);
    assert_eq!(snapshot.calls.keys().copied().collect::<Vec<_>>(), [path(3)]);
}

#[test]
fn whichever_signal_is_missing_is_noticed() {
    let signals = a_life().len();
    for missing in 0..signals - 1 {
        let mut snapshot = Snapshot { revision: 10, ..Snapshot::default() };
        let gap = a_life()
            .into_iter()
            .enumerate()
            .filter(|(at, _)| *at != missing)
            .any(|(_, signal)| snapshot.apply(signal) == Applied::Gap);
        assert!(gap, "signal {missing} was missed without a word");
    }
}

#[test]
fn what_the_snapshot_had_already_is_skipped() {
    let mut snapshot = Snapshot { revision: 12, ..Snapshot::default() };
    assert_eq!(snapshot.apply(added(1, 11)), Applied::Nothing);
    assert_eq!(snapshot.apply(changed(1, "active", 12)), Applied::Nothing);
    assert!(snapshot.calls.is_empty());
    assert_eq!(snapshot.revision, 12);
}

#[test]
fn what_this_version_does_not_show_counts_all_the_same() {
    let mut snapshot = Snapshot { revision: 1, ..Snapshot::default() };
    let properties = dict([("Revision", 2_u64.into())]);
    let interfaces = Interfaces::from([("org.callarbiter.Calls1.Bridge".to_owned(), properties)]);
    assert_eq!(snapshot.apply(Signal::Added { object: None, interfaces }), Applied::Nothing);
    assert_eq!(snapshot.apply(Signal::Removed { object: None }), Applied::Nothing);
    assert!(matches!(snapshot.apply(added(1, 4)), Applied::Change(Change::CallAdded(_))));
}

#[test]
fn the_arbiter_can_say_that_something_was_dropped() {
    let mut snapshot = Snapshot { revision: 7, ..Snapshot::default() };
    assert_eq!(snapshot.apply(Signal::ResyncNeeded), Applied::Gap);
}

#[test]
fn only_the_properties_given_change_and_what_is_unknown_is_kept_or_skipped() {
    let mut call = Call::new(
        path(1),
        &dict([
            ("State", "parked".into()),
            ("AppId", "org.example.App".into()),
            ("Capabilities", vec!["hold", "transfer"].into()),
            ("Muted", "yes".into()),
            ("Colour", "red".into()),
        ]),
    );
    assert_eq!(call.state, CallState::Other("parked".into()));
    assert_eq!(call.capabilities, [Capability::Hold, Capability::Other("transfer".into())]);
    assert!(!call.muted);
    call.apply(&dict([("Muted", true.into())]));
    assert!(call.muted);
    assert_eq!(call.app_id, "org.example.App");
}

#[test]
fn the_plan_of_an_answer_and_the_actions_of_a_transaction_are_read() {
    let held = path(2).to_string();
    let plan = dict([("holds", vec![ObjectPath::try_from(held.clone()).unwrap()].into())]);
    let call = Call::new(path(1), &dict([("AnswerPlan", Variant::from(plan))]));
    assert_eq!(call.answer_plan.holds[0].as_str(), held);

    let outcome: OwnedVariant = Variant::from("fulfilled").try_into_owned().unwrap();
    let actions = vec![("Answer".to_owned(), Dict::from([("outcome".to_owned(), outcome)]))];
    let transaction = Transaction::new(1, &dict([("Actions", actions.into())]));
    assert_eq!(transaction.actions.len(), 1);
    assert!(transaction.actions[0].is_fulfilled());
}

#[test]
fn who_calls_is_not_in_the_debug_form() {
    let mut snapshot = Snapshot { revision: 10, ..Snapshot::default() };
    let change = snapshot.apply(added(1, 11));
    assert!(!format!("{change:?} {snapshot:?}").contains("5550100"));
    assert_eq!(snapshot.calls[&path(1)].remote_handle.reveal(), "tel:+15550100");
}
