//! Requests that are followed to their end, over an arbiter's restart too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod fake;

use callarbiter::{Connection, Controller, Error, StartOptions, TransactionOptions, Uuid, Verb};
use callarbiter_dbus::{Dict, Entries};
use fake::*;
use zbus::{Message, Variant};

const CALL: Uuid = Uuid::from_u128(1);

fn token(request: &Message) -> Variant<'static> {
    let (_, options): (Entries, Dict) = request.body().deserialize().unwrap();
    options["token"].try_clone().unwrap().into()
}

async fn finishing(finish_first: bool) {
    let bus = Bus::start();
    let _arbiter = Arbiter::start(&bus, Script { finish_first, ..Script::default() }).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    within(Controller::new(&connection).answer(CALL)).await.unwrap();
}

#[tokio::test]
async fn a_verb_is_done_when_its_outcome_is_known() {
    finishing(false).await;
}

#[tokio::test]
async fn an_outcome_may_come_before_the_answer_to_the_request() {
    finishing(true).await;
}

#[tokio::test]
async fn a_request_that_a_restart_swallowed_is_sent_again_with_its_token() {
    let bus = Bus::start();
    let silent = &["RequestTransaction"][..];
    let mut arbiter = Arbiter::start(&bus, Script { silent, ..Script::default() }).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    let controller = Controller::new(&connection);
    let answering = tokio::spawn(async move { controller.answer(CALL).await });
    let first = arbiter.expect("RequestTransaction").await;
    arbiter.vanish().await;
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let second = arbiter.expect("RequestTransaction").await;
    assert_eq!(token(&first), token(&second));
    within(answering).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_arbiter_that_lost_its_state_is_not_asked_again() {
    let bus = Bus::start();
    let silent = &["RequestTransaction"][..];
    let mut arbiter = Arbiter::start(&bus, Script { silent, ..Script::default() }).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    let controller = Controller::new(&connection);
    let answering = tokio::spawn(async move { controller.answer(CALL).await });
    arbiter.expect("RequestTransaction").await;
    arbiter.vanish().await;
    let _arbiter = Arbiter::start(&bus, Script { epoch: "two", ..Script::default() }).await;
    assert!(matches!(within(answering).await.unwrap(), Err(Error::ArbiterGone)));
}

#[tokio::test]
async fn a_transaction_is_followed_over_a_restart_to_its_end() {
    let bus = Bus::start();
    let going_on = Script { never_finishes: true, ..Script::default() };
    let mut arbiter = Arbiter::start(&bus, going_on).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    let controller = Controller::new(&connection);
    let answering = tokio::spawn(async move { controller.answer(CALL).await });
    let first = arbiter.expect("RequestTransaction").await;
    arbiter.vanish().await;
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let second = arbiter.expect("RequestTransaction").await;
    assert_eq!(token(&first), token(&second));
    within(answering).await.unwrap().unwrap();
}

#[tokio::test]
async fn as_often_as_it_takes_but_not_for_ever() {
    let bus = Bus::start();
    let deadly = Script { silent: &["RequestTransaction"], ..Script::default() };
    let mut arbiter = Arbiter::start(&bus, deadly.clone()).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    let controller = Controller::new(&connection);
    let answering = tokio::spawn(async move { controller.answer(CALL).await });
    let mut tokens = Vec::new();
    for _ in 0..5 {
        tokens.push(token(&arbiter.expect("RequestTransaction").await));
        arbiter.vanish().await;
        arbiter = Arbiter::start(&bus, deadly.clone()).await;
    }
    assert!(matches!(within(answering).await.unwrap(), Err(Error::ArbiterGone)));
    assert!(tokens.iter().all(|token| *token == tokens[0]));
}

#[tokio::test]
async fn a_request_made_while_the_arbiter_is_away_waits_for_it() {
    let bus = Bus::start();
    let arbiter = Arbiter::start(&bus, Script::default()).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    let controller = Controller::new(&connection);
    controller.answer(CALL).await.unwrap();
    arbiter.vanish().await;
    let (answer, mut arbiter) = within(async {
        tokio::join!(controller.answer(CALL), Arbiter::start(&bus, Script::default()))
    })
    .await;
    answer.unwrap();
    arbiter.expect("RequestTransaction").await;
}

#[tokio::test]
async fn a_call_is_started_once() {
    let bus = Bus::start();
    let silent = &["StartCall"][..];
    let mut arbiter = Arbiter::start(&bus, Script { silent, ..Script::default() }).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    let controller = Controller::new(&connection);
    let starting = tokio::spawn(async move {
        controller.start_call("tel:+15550100", StartOptions::default()).await
    });
    let first = arbiter.expect("StartCall").await;
    arbiter.vanish().await;
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let second = arbiter.expect("StartCall").await;
    let token = |message: &Message| {
        let (_, options): (String, Dict) = message.body().deserialize().unwrap();
        options["token"].try_clone().unwrap()
    };
    assert_eq!(token(&first), token(&second));
    assert_eq!(within(starting).await.unwrap().unwrap().uuid, CALL);
}

#[tokio::test]
async fn what_was_cancelled_before_the_restart_is_cancelled() {
    let bus = Bus::start();
    let script = Script { never_finishes: true, silent: &["Cancel"], ..Script::default() };
    let mut arbiter = Arbiter::start(&bus, script).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    let controller = Controller::new(&connection);
    let answer = Verb::Answer { call: CALL.into() };
    let options = TransactionOptions::default();
    let transaction = controller.transaction([answer.into()], options).await.unwrap();
    let cancelling = tokio::spawn(async move { transaction.cancel().await });
    arbiter.expect("Cancel").await;
    arbiter.vanish().await;
    let refused = &[("Cancel", "InvalidState")][..];
    let mut arbiter = Arbiter::start(&bus, Script { refused, ..Script::default() }).await;
    arbiter.expect("Cancel").await;
    within(cancelling).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_bus_itself_may_be_restarted() {
    let mut bus = Bus::start();
    let silent = &["RequestTransaction"][..];
    let mut arbiter = Arbiter::start(&bus, Script { silent, ..Script::default() }).await;
    let connection = Connection::open(&bus.address).await.unwrap();
    let controller = Controller::new(&connection);
    let answering = tokio::spawn(async move { controller.answer(CALL).await });
    let first = arbiter.expect("RequestTransaction").await;
    bus.restart();
    let mut arbiter = Arbiter::start(&bus, Script::default()).await;
    let second = arbiter.expect("RequestTransaction").await;
    assert_eq!(token(&first), token(&second));
    within(answering).await.unwrap().unwrap();
}

#[tokio::test]
async fn without_an_arbiter_it_says_so() {
    let bus = Bus::start();
    let connection = Connection::open(&bus.address).await.unwrap();
    assert!(!connection.has_arbiter());
    let refused = within(Controller::new(&connection).answer(CALL)).await;
    assert!(matches!(refused, Err(Error::ArbiterGone)));
}
