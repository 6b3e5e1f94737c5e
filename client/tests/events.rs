//! Following an arbiter that drops, restarts and hurries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod fake;

use std::collections::HashMap;

use callarbiter::{Change, Connection, Events};
use callarbiter_dbus::names::{CALL, MANAGER, PROVIDER, ROOT_PATH, TRANSACTION};
use fake::*;

async fn next(events: &mut Events) -> Change {
    within(events.next()).await.expect("the connection is open")
}

fn one_call(revision: u64) -> Script {
    let objects = HashMap::from([(call_at(1), HashMap::from([(CALL.to_owned(), call(revision))]))]);
    Script { revision, objects, ..Script::default() }
}

#[tokio::test]
async fn changes_follow_the_snapshot_and_a_gap_is_a_new_one() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, one_call(10)).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    let mut events = Events::subscribe(&connection).await.unwrap();
    let me = sender(&arbiter.expect("Subscribe").await);
    assert_eq!(events.snapshot().calls.len(), 1);

    arbiter.add_call(&me, 2, 11).await;
    assert!(matches!(next(&mut events).await, Change::CallAdded(_)));
    assert_eq!(events.snapshot().calls.len(), 2);

    arbiter.script.lock().unwrap().revision = 13;
    arbiter.add_call(&me, 4, 13).await;
    assert_eq!(next(&mut events).await, Change::Resynced);
    assert_eq!(events.snapshot().revision, 13);
    assert_eq!(events.snapshot().calls.len(), 1);
    assert!(matches!(next(&mut events).await, Change::CallRemoved(call) if call.id.as_u128() == 2));

    arbiter.script.lock().unwrap().revision = 20;
    arbiter.signal(&me, ROOT_PATH, MANAGER, "ResyncNeeded", &20_u64).await;
    assert_eq!(next(&mut events).await, Change::Resynced);
    assert_eq!(events.snapshot().revision, 20);
}

#[tokio::test]
async fn a_stranger_changes_nothing() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    let mut events = Events::subscribe(&connection).await.unwrap();
    let me = sender(&arbiter.expect("Subscribe").await);

    let stranger = zbus::connection::Builder::address(&*bus.address).build().await.unwrap();
    let body = ("stays-held", zbus::ObjectPath::try_from("/").unwrap(), "forged", 11_u64);
    stranger.emit_signal(Some(&*me), ROOT_PATH, MANAGER, "Notice", &body).await.unwrap();
    // The reply comes after the signal: both went through the same bus in this order.
    zbus::fdo::DBusProxy::new(&stranger).await.unwrap().get_id().await.unwrap();
    arbiter.add_call(&me, 1, 11).await;
    assert!(matches!(next(&mut events).await, Change::CallAdded(_)));
}

#[tokio::test]
async fn an_arbiter_that_left_comes_back_with_a_new_snapshot() {
    let bus = Bus::start();
    let arbiter = Arbiter::start(&bus, one_call(10)).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    let mut events = Events::subscribe(&connection).await.unwrap();

    arbiter.vanish().await;
    assert_eq!(next(&mut events).await, Change::ArbiterGone);
    assert!(!events.is_current());
    assert_eq!(events.snapshot().calls.len(), 1, "what it last said stays to be seen");

    let _arbiter = Arbiter::start(&bus, Script { revision: 3, ..Script::default() }).await;
    assert_eq!(next(&mut events).await, Change::ArbiterBack);
    assert!(events.is_current() && events.snapshot().calls.is_empty());
    assert!(matches!(next(&mut events).await, Change::CallRemoved(call) if call.id.as_u128() == 1));
}

/// What an arbiter of this epoch shows: calls in their states, provider 1, transaction 1.
fn scene(epoch: &'static str, calls: &[(u128, &str)], transaction: &str) -> Script {
    let one = |interface: &str, properties| HashMap::from([(interface.to_owned(), properties)]);
    let mut objects: HashMap<_, _> = calls
        .iter()
        .map(|(n, state)| (call_at(*n), one(CALL, options([("State", *state)]))))
        .collect();
    objects.insert(ROOT_PATH.to_owned(), one(MANAGER, options([("Epoch", epoch)])));
    let app = options([("AppId", "org.example.App")]);
    objects.insert(format!("{ROOT_PATH}/provider/1"), one(PROVIDER, app));
    let state = options([("State", transaction)]);
    objects.insert(format!("{ROOT_PATH}/transaction/1"), one(TRANSACTION, state));
    Script { epoch, objects, ..Script::default() }
}

/// In a few words, which is enough to compare.
fn told(change: Change) -> String {
    let n = |call: &callarbiter::Call| call.id.as_u128();
    match change {
        Change::CallAdded(call) => format!("call {} added", n(&call)),
        Change::CallChanged { call, changed } => format!("call {} {}", n(&call), changed.join(" ")),
        Change::CallRemoved(call) => format!("call {} removed", n(&call)),
        Change::Transition { call, old, new, .. } => {
            format!("call {} from {old} to {new}", call.uuid.as_u128())
        }
        Change::ProviderAdded(provider) => format!("provider {} added", provider.number),
        Change::ProviderRemoved(provider) => format!("provider {} removed", provider.number),
        Change::TransactionAdded(transaction) => {
            format!("transaction {} added", transaction.number)
        }
        Change::TransactionChanged(transaction) => {
            format!("transaction {} {}", transaction.number, transaction.state)
        }
        Change::TransactionFinished { number, .. } => format!("transaction {number} is over"),
        Change::TransactionRemoved(transaction) => {
            format!("transaction {} removed", transaction.number)
        }
        other => format!("{other:?}"),
    }
}

async fn told_over_a_restart(before: Script, after: Script) -> Vec<String> {
    let bus = Bus::start();
    let arbiter = Arbiter::start(&bus, before).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    let mut events = Events::subscribe(&connection).await.unwrap();
    arbiter.vanish().await;
    assert_eq!(next(&mut events).await, Change::ArbiterGone);
    let mut arbiter = Arbiter::start(&bus, after).await;
    assert_eq!(next(&mut events).await, Change::ArbiterBack);
    let me = sender(&arbiter.expect("Subscribe").await);
    arbiter.add_call(&me, 99, events.snapshot().revision + 1).await;
    let mut all = Vec::new();
    loop {
        match told(next(&mut events).await) {
            last if last == "call 99 added" => return all,
            one => all.push(one),
        }
    }
}

#[tokio::test]
async fn what_a_restart_made_different_is_told_like_any_change() {
    let before = scene("one", &[(1, "active"), (2, "ringing"), (3, "held")], "running");
    let after = scene("one", &[(1, "active"), (3, "active"), (4, "ringing")], "finished");
    let expected = [
        "call 2 removed",
        "call 3 State",
        "call 3 from held to active",
        "call 4 added",
        "transaction 1 finished",
        "transaction 1 is over",
    ];
    assert_eq!(told_over_a_restart(before, after).await, expected);
}

#[tokio::test]
async fn numbers_of_an_arbiter_that_lost_its_state_mean_other_things() {
    let before = scene("one", &[(1, "active"), (2, "ringing")], "running");
    let after = scene("two", &[(1, "active")], "running");
    let expected = [
        "transaction 1 removed",
        "call 2 removed",
        "provider 1 removed",
        "provider 1 added",
        "transaction 1 added",
    ];
    assert_eq!(told_over_a_restart(before, after).await, expected);
}

#[tokio::test]
async fn a_reader_that_sleeps_is_bounded_and_starts_anew() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    let mut events = Events::subscribe(&connection).await.unwrap();
    let me = sender(&arbiter.expect("Subscribe").await);

    let last = 10 + 5000;
    for revision in 11..=last {
        arbiter.add_call(&me, revision.into(), revision).await;
    }
    // Answered by the connection itself, so everything before it has arrived.
    let ping =
        arbiter.bus.call_method(Some(&*me), "/", Some("org.freedesktop.DBus.Peer"), "Ping", &());
    within(ping).await.unwrap();
    arbiter.script.lock().unwrap().revision = last;
    let mut changes = 0;
    while next(&mut events).await != Change::Resynced {
        changes += 1;
    }
    assert_eq!(changes, 4096);
    assert_eq!(events.snapshot().revision, last);
}

#[tokio::test]
async fn the_last_reader_unsubscribes_and_the_next_one_subscribes_again() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    drop(Events::subscribe(&connection).await.unwrap());
    arbiter.expect("Unsubscribe").await;
    let mut events = Events::subscribe(&connection).await.unwrap();
    let me = sender(&arbiter.expect("Subscribe").await);
    arbiter.add_call(&me, 1, 11).await;
    assert!(matches!(next(&mut events).await, Change::CallAdded(_)));
}
