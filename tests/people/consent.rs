//! Whether an app may provide calls: the agent is asked, its answer counts, and is kept.

use anyhow::Result;
use harness::{Arbiter, Bus, FakeAgent, FakeProvider, Refused, eventually, options};

use crate::ASKING;

const APP: &str = "org.example.Phone";

#[tokio::test]
async fn the_user_is_asked_and_the_app_hears_the_answer() -> Result<()> {
    let arbiter = Arbiter::on(Bus::session().await?, ASKING).await?;
    let agent = FakeAgent::with(&arbiter.bus, &["consent"]).await?;
    let words = options([
        ("display-name", "Example Phone".into()),
        ("icon", "phone".into()),
        ("usage-description", "Rings when people call you.".into()),
    ]);
    let phone = FakeProvider::on(arbiter.bus.connect().await?, APP, &words).await?;
    let asked = agent.asked("RequestConsent", 1).await?;
    assert_eq!(asked.text(1), APP);
    for (key, value) in [
        ("provider", phone.path.as_str()),
        ("app-id-source", "declared"),
        ("display-name", "Example Phone"),
        ("icon", "phone"),
        ("usage-description", "Rings when people call you."),
    ] {
        assert_eq!(asked.option(key).as_deref(), Some(value), "{key}");
    }
    assert!(asked.option("deadline").is_some());
    assert_eq!(authorization(&phone).await?, "not-determined");
    let why = phone.report_incoming("tel:1").await.unwrap_err();
    assert!(why.to_string().contains("NotAuthorized"), "{why}");

    let restricted = agent.answer(&asked, [("authorization", "restricted".into())]).await;
    assert_eq!(restricted.unwrap_err().short(), "InvalidArgument", "it is still open");
    agent.answer(&asked, [("authorization", "authorized".into())]).await?;
    assert_eq!(authorization(&phone).await?, "authorized");
    let told = phone.wait_asked("AuthorizationSet", 1).await?;
    assert_eq!(
        told.argument(0).and_then(|word| String::try_from(word).ok()).as_deref(),
        Some("authorized")
    );
    let call = phone.report_incoming("tel:1").await?;
    let again = agent.answer(&asked, [("authorization", "denied".into())]).await.unwrap_err();
    assert_eq!(again.short(), "TimedOut");

    set(&agent, APP, "denied").await?;
    assert_eq!(authorization(&phone).await?, "denied");
    assert_eq!(phone.peer.state(&call.path).await?, "ringing", "it goes on");
    assert!(phone.report_incoming("tel:2").await.is_err());
    let stranger = FakeAgent { peer: arbiter.bus.connect().await? };
    assert_eq!(set(&stranger, APP, "authorized").await.unwrap_err().short(), "AccessDenied");
    assert_eq!(set(&agent, "not an app", "denied").await.unwrap_err().short(), "InvalidArgument");
    Ok(())
}

#[tokio::test]
async fn question_and_answer_survive_the_arbiter_and_the_agent() -> Result<()> {
    let mut arbiter = Arbiter::on(Bus::session().await?, ASKING).await?;
    let phone = FakeProvider::register(&arbiter.bus, APP).await?;
    let agent = FakeAgent::with(&arbiter.bus, &["consent"]).await?;
    let first = agent.asked("RequestConsent", 1).await?;
    arbiter.crash_and_restart().await?;
    let again = agent.asked("RequestConsent", 2).await?;
    assert_eq!(first.request, again.request, "under the same id");
    drop(agent);
    let agent = FakeAgent::with(&arbiter.bus, &["consent"]).await?;
    let other = agent.asked("RequestConsent", 1).await?;
    assert_ne!(first.request, other.request);
    agent.answer(&other, [("authorization", "authorized".into())]).await?;
    arbiter.crash_and_restart().await?;
    drop(phone);
    // The bus may hear of the new connection before the end of the old one.
    let again = async || FakeProvider::register(&arbiter.bus, APP).await.ok();
    let phone = eventually("the app's old connection is gone", again).await?;
    assert_eq!(authorization(&phone).await?, "authorized");
    phone.report_incoming("tel:1").await?;
    assert_eq!(agent.errands().len(), 1, "nobody was asked again");
    Ok(())
}

async fn set(agent: &FakeAgent, app: &str, word: &str) -> Result<(), Refused> {
    agent.peer.call(harness::ROOT, "Manager", "SetAuthorization", &(app, word)).await
}

async fn authorization(phone: &FakeProvider) -> Result<String> {
    let value = phone.peer.property(&phone.path, "Provider", "Authorization").await?;
    Ok(String::try_from(value)?)
}
