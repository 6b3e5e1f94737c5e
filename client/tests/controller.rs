//! Requests that are followed to their end, over an arbiter's restart too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod fake;

use callarbiter::{Connection, Controller, Error, Uuid};
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
async fn without_an_arbiter_it_says_so() {
    let bus = Bus::start();
    let connection = Connection::open(&bus.address).await.unwrap();
    assert!(!connection.has_arbiter());
    let refused = within(Controller::new(&connection).answer(CALL)).await;
    assert!(matches!(refused, Err(Error::ArbiterGone)));
}
