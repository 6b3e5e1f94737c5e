//! Carrying calls for an arbiter that asks twice, leaves, and comes back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod fake;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use callarbiter::{
    ActionError, CallState, CallUpdate, Connection, Delegate, EndReason, ErrorKind, Performed,
    Provider, Request, Uuid,
};
use callarbiter_dbus::{Dict, ReconciledCalls};
use fake::*;
use tokio::sync::Notify;
use zbus::{Message, Variant};

/// Answers when it is let; places calls that never get through.
#[derive(Default)]
struct App {
    answered: AtomicUsize,
    started: Notify,
    start_cancelled: Notify,
}

#[derive(Clone, Default)]
struct Shared(Arc<App>);

impl Delegate for Shared {
    async fn perform_start(&self, request: &Request, _: Uuid, _: &str) -> Performed {
        self.0.started.notify_one();
        request.cancelled().await;
        self.0.start_cancelled.notify_one();
        Err(ActionError::failed("hung up before anybody answered"))
    }
    async fn perform_answer(&self, _: &Request, call: Uuid) -> Performed {
        self.0.answered.fetch_add(1, Ordering::SeqCst);
        match call.as_u128() {
            1 => Ok(()),
            2 => Err(ActionError::new(ErrorKind::NotSupported, "only\nthe first")),
            _ => panic!("this app has a mistake"),
        }
    }
    async fn perform_end(&self, _: &Request, _: Uuid) -> Performed {
        Ok(())
    }
}

fn call_id(n: u128) -> String {
    Uuid::from_u128(n).to_string()
}

async fn registered(bus: &Bus, arbiter: &mut Arbiter, app: &Shared) -> (Provider, Message) {
    let connection = Connection::open(&bus.address).await.unwrap();
    let provider = Provider::builder("org.example.App").display_name("App");
    let provider = provider.register(&connection, app.clone()).await.unwrap();
    (provider, arbiter.expect("RegisterProvider").await)
}

fn words<const N: usize>(message: &Message) -> Vec<String> {
    let body = message.body();
    let structure: zbus::Structure<'_> = body.deserialize().unwrap();
    let text = |field: &Variant<'_>| String::try_from(field).unwrap_or_default();
    structure.fields().iter().take(N).map(text).collect()
}

#[tokio::test]
async fn what_is_performed_is_fulfilled_and_what_is_not_fails_with_its_reason() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let (_provider, app) = registered(&bus, &mut arbiter, &Shared::default()).await;

    arbiter.ask(&app, "PerformAnswer", &("r1", call_id(1), Dict::new())).await;
    assert_eq!(words::<1>(&arbiter.expect("Fulfil").await), ["r1"]);
    arbiter.ask(&app, "PerformAnswer", &("r2", call_id(2), Dict::new())).await;
    let not_supported = ErrorKind::NotSupported.name();
    assert_eq!(words::<3>(&arbiter.expect("Fail").await), ["r2", not_supported, "only the first"]);
    arbiter.ask(&app, "PerformSetVideo", &("r3", call_id(1), true, Dict::new())).await;
    assert_eq!(words::<2>(&arbiter.expect("Fail").await), ["r3", not_supported]);
    arbiter.ask(&app, "PerformAnswer", &("r4", call_id(3), Dict::new())).await;
    let action_failed = ErrorKind::ActionFailed.name();
    assert_eq!(words::<2>(&arbiter.expect("Fail").await), ["r4", action_failed]);
    let audio = ("r5", vec![call_id(1)], 1_u64, Dict::new());
    arbiter.ask(&app, "AudioActivated", &audio).await;
    assert_eq!(words::<1>(&arbiter.expect("Fulfil").await), ["r5"]);
}

#[tokio::test]
async fn a_request_sent_again_is_answered_again_and_performed_once() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let app = Shared::default();
    let (_provider, registration) = registered(&bus, &mut arbiter, &app).await;
    for _ in 0..2 {
        arbiter.ask(&registration, "PerformAnswer", &("r1", call_id(1), Dict::new())).await;
        assert_eq!(words::<1>(&arbiter.expect("Fulfil").await), ["r1"]);
    }
    assert_eq!(app.0.answered.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_stranger_is_not_obeyed() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let app = Shared::default();
    let (_provider, registration) = registered(&bus, &mut arbiter, &app).await;
    let stranger = zbus::connection::Builder::address(&*bus.address).build().await.unwrap();
    let forged = ("forged", call_id(1), Dict::new());
    ask_from(&stranger, &registration, "PerformAnswer", &forged).await;
    zbus::fdo::DBusProxy::new(&stranger).await.unwrap().get_id().await.unwrap();
    arbiter.ask(&registration, "PerformAnswer", &("r1", call_id(1), Dict::new())).await;
    assert_eq!(words::<1>(&arbiter.expect("Fulfil").await), ["r1"]);
    assert_eq!(app.0.answered.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn hanging_up_does_not_wait_for_a_call_that_is_being_placed() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let app = Shared::default();
    let (provider, registration) = registered(&bus, &mut arbiter, &app).await;
    let start = ("r1", call_id(1), "tel:+15550100", Dict::new());
    arbiter.ask(&registration, "PerformStart", &start).await;
    within(app.0.started.notified()).await;
    arbiter.ask(&registration, "PerformSetMuted", &("r2", call_id(1), true, Dict::new())).await;
    arbiter.ask(&registration, "PerformEnd", &("r3", call_id(1), Dict::new())).await;
    within(app.0.start_cancelled.notified()).await;
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.extend(words::<1>(&arbiter.expect("Fail").await));
    }
    answers.sort();
    assert_eq!(answers, ["r1", "r2"]);
    assert!(provider.calls().is_empty());
}

#[tokio::test]
async fn more_time_is_asked_for_before_the_deadline() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let app = Shared::default();
    let (_provider, registration) = registered(&bus, &mut arbiter, &app).await;
    let deadline = Variant::from(150_u32).try_into_owned().unwrap();
    let options = Dict::from([("deadline".to_owned(), deadline)]);
    let start = ("r1", call_id(1), "tel:+15550100", options);
    arbiter.ask(&registration, "PerformStart", &start).await;
    for _ in 0..3 {
        let message = arbiter.expect("Progress").await;
        let (request, more): (String, u32) = message.body().deserialize().unwrap();
        assert_eq!((&*request, more), ("r1", 150));
    }
    arbiter.ask(&registration, "ActionTimedOut", &("r1", call_id(1), "Start")).await;
    within(app.0.start_cancelled.notified()).await;
}

#[tokio::test]
async fn after_a_restart_it_is_registered_again_and_says_what_it_has() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let app = Shared::default();
    let (provider, registration) = registered(&bus, &mut arbiter, &app).await;
    for n in 1..=3 {
        provider.report_incoming(Uuid::from_u128(n), CallUpdate::default()).await.unwrap();
    }
    arbiter.ask(&registration, "PerformAnswer", &("r1", call_id(1), Dict::new())).await;
    arbiter.expect("Fulfil").await;
    arbiter.vanish().await;

    let mut presence = provider.is_attached();
    within(async {
        while presence {
            tokio::task::yield_now().await;
            presence = provider.is_attached();
        }
    })
    .await;
    provider.report_state(Uuid::from_u128(1), CallState::Held).await.unwrap();
    provider.report_ended(Uuid::from_u128(2), EndReason::RemoteEnded).await.unwrap();

    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let again = arbiter.expect("RegisterProvider").await;
    assert_eq!(words::<2>(&again), words::<2>(&registration));
    let theirs = ReconciledCalls(vec![(Uuid::from_u128(1), CallState::Active)]).to_wire();
    arbiter.ask(&again, "Reconcile", &("r2", theirs)).await;
    let ended = arbiter.expect("ReportEnded").await;
    assert_eq!(words::<2>(&ended), [call_id(2), "remote-ended".to_owned()]);
    let fulfil = arbiter.expect("Fulfil").await;
    let (request, results): (String, Dict) = fulfil.body().deserialize().unwrap();
    let ReconciledCalls(mut ours) = ReconciledCalls::from_results(&results).unwrap().unwrap();
    ours.sort();
    assert_eq!(request, "r2");
    let held = (Uuid::from_u128(1), CallState::Held);
    assert_eq!(ours, [held, (Uuid::from_u128(3), CallState::Ringing)]);
}

#[tokio::test]
async fn an_arbiter_that_lost_its_state_hears_of_live_calls_again() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let (provider, _) = registered(&bus, &mut arbiter, &Shared::default()).await;
    let update = CallUpdate { display_name: Some("Alice".into()), ..CallUpdate::default() };
    provider.report_incoming(Uuid::from_u128(1), update).await.unwrap();
    arbiter.vanish().await;
    let mut arbiter = Arbiter::start(&bus, Script { epoch: "two", ..Script::default() }).await;
    let reported = arbiter.expect("ReportIncomingCall").await;
    let (call, update): (String, Dict) = reported.body().deserialize().unwrap();
    assert_eq!(call, call_id(1));
    assert_eq!(*update["display-name"], Variant::from("Alice"));
}

#[tokio::test]
async fn dropping_the_provider_unregisters_it() {
    let bus = Bus::start();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let (provider, _) = registered(&bus, &mut arbiter, &Shared::default()).await;
    drop(provider);
    arbiter.expect("Unregister").await;
}
