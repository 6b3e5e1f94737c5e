//! What the user decides about an app, the app hears at once: one written with the client crate, and the Python
//! example. Also what was decided while the arbiter was away.

use anyhow::{Context, Result, ensure};
use callarbiter::{
    Authorization, CallUpdate, Connection, Delegate, Performed, Provider, Request, Uuid,
};
use harness::{Launch, Process, eventually, source};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::desk::Desk;
use crate::dunst::Dunst;

const APP: &str = "org.example.Told";

#[tokio::test]
async fn an_app_of_the_client_crate_hears_what_the_user_decides() -> Result<()> {
    let mut desk = Desk::asking().await?;
    let _dunst = Dunst::start(&desk).await?;
    let _agent = desk.agent("consent").await?;
    let (words, mut heard) = unbounded_channel();
    let connection = Connection::open(&desk.bus().address()).await?;
    let provider = Provider::builder(APP).register(&connection, Hears(words)).await?;
    assert_eq!(provider.authorization(), Authorization::NotDetermined);

    decide(&desk, "allow").await?;
    hears(&mut heard, Authorization::Authorized).await?;
    assert_eq!(provider.authorization(), Authorization::Authorized);
    let call = Uuid::new_v4();
    provider.report_incoming(call, CallUpdate::default()).await?;

    decide(&desk, "deny").await?;
    hears(&mut heard, Authorization::Denied).await?;
    assert_eq!(provider.authorization(), Authorization::Denied);
    let refused = provider.report_incoming(Uuid::new_v4(), CallUpdate::default()).await;
    ensure!(
        refused.is_err() && provider.calls().len() == 1,
        "its call goes on, others do not come"
    );

    decide(&desk, "forget").await?;
    hears(&mut heard, Authorization::NotDetermined).await?;

    // While nobody was there to tell it.
    desk.arbiter.stop("KILL").await?;
    decide(&desk, "allow").await?;
    desk.arbiter.start().await?;
    hears(&mut heard, Authorization::Authorized).await?;
    assert_eq!(provider.request_authorization().await?, Authorization::Authorized);
    Ok(())
}

#[tokio::test]
async fn the_python_example_hears_what_the_user_decides() -> Result<()> {
    let desk = Desk::asking().await?;
    let _dunst = Dunst::start(&desk).await?;
    let _agent = desk.agent("consent").await?;
    let program = Launch::new("/usr/bin/python3").arg(source("client/examples/python/provider.py"));
    let words = ["--app-id", APP, "--bus", &desk.bus().address()];
    let app = words.into_iter().fold(program, Launch::arg).start(desk.bus().directory())?;
    says(&app, "registered: not-determined").await?;
    for (word, heard) in [("allow", "authorized"), ("deny", "denied"), ("forget", "not-determined")]
    {
        decide(&desk, word).await?;
        says(&app, &format!("authorization: {heard}")).await?;
    }
    Ok(())
}

/// An app that is told.
struct Hears(UnboundedSender<Authorization>);

impl Delegate for Hears {
    async fn perform_answer(&self, _: &Request, _: Uuid) -> Performed {
        Ok(())
    }
    async fn perform_end(&self, _: &Request, _: Uuid) -> Performed {
        Ok(())
    }
    async fn authorization_changed(&self, authorization: Authorization) {
        self.0.send(authorization).unwrap();
    }
}

async fn decide(desk: &Desk, word: &str) -> Result<()> {
    let done = desk.callctl(&["apps", word, APP]).await?;
    ensure!(done.is_ok(), "{done:?}");
    Ok(())
}

async fn hears(heard: &mut UnboundedReceiver<Authorization>, word: Authorization) -> Result<()> {
    let next = tokio::time::timeout(harness::PATIENCE, heard.recv()).await?;
    let next = next.context("it is gone")?;
    ensure!(next == word, "{next:?}, not {word:?}");
    Ok(())
}

async fn says(app: &Process, words: &str) -> Result<()> {
    eventually(words, async || app.output().contains(words).then_some(())).await
}
