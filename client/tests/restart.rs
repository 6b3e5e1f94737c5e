//! Carrying calls while the arbiter, or the bus, goes and comes back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod fake;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use callarbiter::{
    CallState, CallUpdate, Change, Connection, Controller, Delegate, EndReason, Error, Events,
    Performed, Provider, Request, Uuid,
};
use callarbiter_dbus::{Dict, ReconciledCalls};
use fake::*;
use tokio::sync::Notify;
use zbus::{Message, Variant};

const ONE: Uuid = Uuid::from_u128(1);
const TWO: Uuid = Uuid::from_u128(2);
const THREE: Uuid = Uuid::from_u128(3);

/// Takes its time to place and to answer calls.
#[derive(Clone, Default)]
struct App(Arc<Hands>);

#[derive(Default)]
struct Hands {
    begun: AtomicUsize,
    began: Notify,
    go_on: Notify,
    not_taken: Mutex<Vec<(Uuid, Error)>>,
    was_told: Notify,
}

impl App {
    async fn work(&self) -> Performed {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        self.0.began.notify_one();
        self.0.go_on.notified().await;
        Ok(())
    }
}

impl Delegate for App {
    async fn perform_start(&self, _: &Request, _: Uuid, _: &str) -> Performed {
        self.work().await
    }
    async fn perform_answer(&self, _: &Request, _: Uuid) -> Performed {
        self.work().await
    }
    async fn perform_end(&self, _: &Request, _: Uuid) -> Performed {
        Ok(())
    }
    async fn not_taken(&self, call: Uuid, error: Error) {
        self.0.not_taken.lock().unwrap().push((call, error));
        self.0.was_told.notify_one();
    }
}

async fn register(bus: &Bus, app: &App) -> Provider {
    let connection = Connection::open(&bus.address).await.unwrap();
    let provider = Provider::builder("org.example.App").display_name("App");
    provider.register(&connection, app.clone()).await.unwrap()
}

/// Rings, and is answered in the app itself.
async fn carry(provider: &Provider, call: Uuid) {
    provider.report_incoming(call, CallUpdate::default()).await.unwrap();
    provider.report_state(call, CallState::Active).await.unwrap();
}

async fn detached(provider: &Provider) {
    within(async {
        while provider.is_attached() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The texts at the beginning of a message.
fn words<const N: usize>(message: &Message) -> [String; N] {
    let body = message.body();
    let structure: zbus::Structure<'_> = body.deserialize().unwrap();
    std::array::from_fn(|n| String::try_from(&structure.fields()[n]).unwrap())
}

fn claims(fulfil: &Message) -> Vec<(Uuid, CallState)> {
    let (_, results): (String, Dict) = fulfil.body().deserialize().unwrap();
    let ReconciledCalls(mut claims) = ReconciledCalls::from_results(&results).unwrap().unwrap();
    claims.sort();
    claims
}

fn theirs(calls: &[(Uuid, CallState)]) -> std::collections::HashMap<String, Dict> {
    ReconciledCalls(calls.to_vec()).to_wire()
}

#[tokio::test]
async fn what_happened_meanwhile_is_told_in_order_before_the_answer() {
    let bus = Bus::start();
    let arbiter = Arbiter::start(&bus, Script::default()).await;
    let provider = register(&bus, &App::default()).await;
    for call in [ONE, TWO, THREE] {
        carry(&provider, call).await;
    }
    arbiter.vanish().await;
    detached(&provider).await;
    let name = CallUpdate { display_name: Some("Alice".into()), ..CallUpdate::default() };
    provider.report_state(TWO, CallState::Held).await.unwrap();
    provider.report_state(ONE, CallState::Held).await.unwrap();
    provider.update_call(ONE, name).await.unwrap();
    provider.report_remote_held(ONE, true).await.unwrap();
    provider.report_ended(THREE, EndReason::Busy).await.unwrap();
    provider.report_state(TWO, CallState::Active).await.unwrap();

    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let registration = arbiter.expect("RegisterProvider").await;
    let known = [ONE, TWO, THREE].map(|call| (call, CallState::Active));
    arbiter.ask(&registration, "Reconcile", &("r1", theirs(&known))).await;
    let mut told = Vec::new();
    loop {
        let (member, message) = arbiter.next().await;
        if member == "Fulfil" {
            assert_eq!(claims(&message), [(ONE, CallState::Held), (TWO, CallState::Active)]);
            break;
        }
        let [call] = words(&message);
        told.push((member, Uuid::parse_str(&call).unwrap().as_u128()));
    }
    let told: Vec<_> = told.iter().map(|(member, call)| (&**member, *call)).collect();
    let expected = [
        ("ReportState", 1),
        ("UpdateCall", 1),
        ("ReportState", 1),
        ("ReportEnded", 3),
        ("ReportState", 2),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_report_that_the_arbiter_did_not_live_to_answer_is_told_again() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let provider = register(&bus, &App::default()).await;
    carry(&provider, ONE).await;
    arbiter.script.lock().unwrap().silent = &["ReportEnded", "ReportIncomingCall"];
    let ending = provider.clone();
    let ending = tokio::spawn(async move { ending.report_ended(ONE, EndReason::Failed).await });
    arbiter.expect("ReportEnded").await;
    let ringing = provider.clone();
    let ringing =
        tokio::spawn(async move { ringing.report_incoming(TWO, CallUpdate::default()).await });
    // Those of the calls that it carries already are skipped.
    while words::<1>(&arbiter.expect("ReportIncomingCall").await) != [TWO.to_string()] {}
    arbiter.vanish().await;

    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let again = arbiter.expect("ReportEnded").await;
    assert_eq!(words::<2>(&again), [ONE.to_string(), "failed".to_owned()]);
    within(ending).await.unwrap().unwrap();
    within(ringing).await.unwrap().unwrap();
    assert_eq!(provider.calls(), [(TWO, CallState::Ringing)]);
}

#[tokio::test]
async fn a_request_that_comes_again_while_it_is_performed_is_performed_once() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let app = App::default();
    let provider = register(&bus, &app).await;
    provider.report_incoming(ONE, CallUpdate::default()).await.unwrap();
    let registration = arbiter.expect("RegisterProvider").await;
    arbiter.ask(&registration, "PerformAnswer", &("r1", ONE.to_string(), Dict::new())).await;
    within(app.0.began.notified()).await;
    arbiter.vanish().await;

    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let registration = arbiter.expect("RegisterProvider").await;
    arbiter.ask(&registration, "PerformAnswer", &("r1", ONE.to_string(), Dict::new())).await;
    let known = theirs(&[(ONE, CallState::Answering)]);
    arbiter.ask(&registration, "Reconcile", &("r2", known)).await;
    // Answered behind the other, so that has arrived as well.
    assert_eq!(words::<1>(&arbiter.expect("Fulfil").await), ["r2"]);
    app.0.go_on.notify_one();
    assert_eq!(words::<1>(&arbiter.expect("Fulfil").await), ["r1"]);
    assert_eq!(app.0.begun.load(Ordering::SeqCst), 1);
    assert_eq!(provider.calls(), [(ONE, CallState::Active)]);
}

#[tokio::test]
async fn each_question_what_is_still_there_is_answered_anew() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let provider = register(&bus, &App::default()).await;
    carry(&provider, ONE).await;
    let registration = arbiter.expect("RegisterProvider").await;
    for state in [CallState::Active, CallState::Held] {
        provider.report_state(ONE, state.clone()).await.unwrap();
        let known = theirs(&[(ONE, CallState::Active)]);
        arbiter.ask(&registration, "Reconcile", &("r1", known)).await;
        assert_eq!(claims(&arbiter.expect("Fulfil").await), [(ONE, state)]);
    }
}

#[tokio::test]
async fn an_arbiter_that_lost_its_state_hears_what_is_true_now() {
    let bus = Bus::start();
    let arbiter = Arbiter::start(&bus, Script::default()).await;
    let provider = register(&bus, &App::default()).await;
    carry(&provider, ONE).await;
    provider.report_remote_held(ONE, true).await.unwrap();
    carry(&provider, TWO).await;
    arbiter.vanish().await;
    detached(&provider).await;
    provider.report_state(ONE, CallState::Held).await.unwrap();
    provider.report_ended(TWO, EndReason::RemoteEnded).await.unwrap();

    let mut arbiter = Arbiter::start(&bus, Script { epoch: "two", ..Script::default() }).await;
    let reported = arbiter.expect("ReportCall").await;
    assert_eq!(words::<3>(&reported), [&ONE.to_string(), "incoming", "held"]);
    let details = arbiter.expect("ReportState").await;
    let (_, state, details): (String, String, Dict) = details.body().deserialize().unwrap();
    assert_eq!((&*state, &*details["remote-held"]), ("", &Variant::from(true)));
    assert_eq!(words::<1>(&arbiter.expect("ReportEnded").await), [TWO.to_string()]);
}

#[tokio::test]
async fn what_was_done_for_an_arbiter_that_forgot_it_is_reported() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let app = App::default();
    let provider = register(&bus, &app).await;
    let registration = arbiter.expect("RegisterProvider").await;
    let start = ("r1", ONE.to_string(), "tel:+15550100", Dict::new());
    arbiter.ask(&registration, "PerformStart", &start).await;
    within(app.0.began.notified()).await;
    arbiter.vanish().await;

    let refused = &[("Fulfil", "InvalidArgument")][..];
    let script = Script { epoch: "two", refused, ..Script::default() };
    let mut arbiter = Arbiter::start(&bus, script).await;
    arbiter.expect("RegisterProvider").await;
    app.0.go_on.notify_one();
    let reported = arbiter.expect("ReportCall").await;
    assert_eq!(words::<3>(&reported), [&ONE.to_string(), "outgoing", "dialing"]);
    assert_eq!(provider.calls(), [(ONE, CallState::Dialing)]);
}

#[tokio::test]
async fn the_app_is_told_of_a_call_that_is_not_taken_over() {
    let bus = Bus::start();
    let arbiter = Arbiter::start(&bus, Script::default()).await;
    let app = App::default();
    let provider = register(&bus, &app).await;
    carry(&provider, ONE).await;
    arbiter.vanish().await;
    let refused = &[("ReportCall", "NotAuthorized")][..];
    let script = Script { epoch: "two", refused, ..Script::default() };
    let _arbiter = Arbiter::start(&bus, script).await;
    within(app.0.was_told.notified()).await;
    assert!(matches!(&app.0.not_taken.lock().unwrap()[..], [(ONE, Error::Refused(_))]));
    assert!(provider.calls().is_empty());
}

#[tokio::test]
async fn calls_that_the_arbiter_does_not_list_are_reported() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let provider = register(&bus, &App::default()).await;
    carry(&provider, ONE).await;
    carry(&provider, TWO).await;
    let registration = arbiter.expect("RegisterProvider").await;
    let known = theirs(&[(ONE, CallState::Active)]);
    arbiter.ask(&registration, "Reconcile", &("r1", known)).await;
    arbiter.expect("Fulfil").await;
    assert_eq!(words::<1>(&arbiter.expect("ReportCall").await), [TWO.to_string()]);
}

#[tokio::test]
async fn two_instances_of_an_app_stay_two() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    let tab = |name: &str| Provider::builder("org.example.Browser").instance(name);
    let _left = tab("left").register(&connection, App::default()).await.unwrap();
    let _right = tab("right").register(&connection, App::default()).await.unwrap();
    let registration = |message: Message| {
        let body = message.body();
        let (_, delegate, configuration): (&str, zbus::ObjectPath<'_>, Dict) =
            body.deserialize().unwrap();
        let instance = String::try_from(configuration["instance"].try_clone().unwrap()).unwrap();
        (instance, delegate.to_string())
    };
    let mut before = Vec::new();
    for _ in 0..2 {
        before.push(registration(arbiter.expect("RegisterProvider").await));
    }
    arbiter.vanish().await;
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let mut after = Vec::new();
    for _ in 0..2 {
        after.push(registration(arbiter.expect("RegisterProvider").await));
    }
    after.sort();
    assert_eq!(before, after);
    assert_ne!(before[0].1, before[1].1);
}

#[tokio::test]
async fn one_that_left_while_the_arbiter_was_away_is_unregistered_when_it_is_back() {
    let bus = Bus::start();
    let arbiter = Arbiter::start(&bus, Script::default()).await;
    let (dropped, unregistered) =
        (register(&bus, &App::default()).await, register(&bus, &App::default()).await);
    arbiter.vanish().await;
    detached(&dropped).await;
    drop(dropped);
    let unregistering = tokio::spawn(unregistered.unregister());
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    arbiter.expect("Unregister").await;
    arbiter.expect("Unregister").await;
    within(unregistering).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_bus_itself_may_be_restarted() {
    let mut bus = Bus::start();
    let arbiter = Arbiter::start(&bus, Script::default()).await;
    let provider = register(&bus, &App::default()).await;
    carry(&provider, ONE).await;
    drop(arbiter);
    bus.restart();
    detached(&provider).await;
    provider.report_ended(ONE, EndReason::RemoteEnded).await.unwrap();
    provider.report_state(TWO, CallState::Held).await.unwrap();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let registration = arbiter.expect("RegisterProvider").await;
    assert_eq!(words::<1>(&registration), ["org.example.App"]);
    assert_eq!(words::<1>(&arbiter.expect("ReportEnded").await), [ONE.to_string()]);
    within(provider.report_incoming(THREE, CallUpdate::default())).await.unwrap();
}

#[tokio::test]
async fn a_bus_that_stays_away_is_told_plainly() {
    let mut bus = Bus::start();
    let arbiter = Arbiter::start(&bus, Script::default()).await;
    let provider = register(&bus, &App::default()).await;
    let connection = provider.connection().clone();
    let mut events = Events::subscribe(&connection).await.unwrap();
    carry(&provider, ONE).await;
    bus.stop();
    drop(arbiter);
    assert_eq!(within(events.next()).await, Some(Change::ArbiterGone));
    // Nothing is waited for but the clock, which runs at once to whatever is next.
    tokio::time::pause();
    connection.closed().await;
    tokio::time::resume();
    assert_eq!(within(events.next()).await, None);
    let over = within(provider.report_ended(ONE, EndReason::RemoteEnded)).await;
    assert!(matches!(over, Err(Error::Unregistered(_))), "{over:?}");
    let closed = within(Controller::new(&connection).answer(ONE)).await;
    assert!(matches!(closed, Err(Error::Closed)), "{closed:?}");
}

#[tokio::test]
async fn a_request_that_comes_again_has_a_deadline_of_its_own() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let app = App::default();
    let _provider = register(&bus, &app).await;
    let start = |ms: u32| {
        let deadline = Variant::from(ms).try_into_owned().unwrap();
        let options = Dict::from([("deadline".to_owned(), deadline)]);
        ("r1", ONE.to_string(), "tel:+15550100", options)
    };
    let registration = arbiter.expect("RegisterProvider").await;
    arbiter.ask(&registration, "PerformStart", &start(600_000)).await;
    within(app.0.began.notified()).await;
    arbiter.vanish().await;
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let registration = arbiter.expect("RegisterProvider").await;
    arbiter.ask(&registration, "PerformStart", &start(150)).await;
    let (request, more): (String, u32) =
        arbiter.expect("Progress").await.body().deserialize().unwrap();
    assert_eq!((&*request, more), ("r1", 150));
    assert_eq!(app.0.begun.load(Ordering::SeqCst), 1);
}
