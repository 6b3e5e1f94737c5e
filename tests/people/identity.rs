//! Which app a process is, where only the session knows.

use anyhow::Result;
use harness::{Arbiter, Bus, FakeAgent, FakeProvider, options};

const CONFIG: &str = "authorization = \"allow\"\n[agents]\nunits = [\"*\"]\n";
const APP: &str = "org.example.Phone";

#[tokio::test]
async fn a_registration_waits_for_who_it_is() -> Result<()> {
    let arbiter = Arbiter::on(Bus::session().await?, CONFIG).await?;
    let agent = FakeAgent::with(&arbiter.bus, &["identity"]).await?;
    let peer = arbiter.bus.connect().await?;
    let registered = tokio::spawn(async move {
        let phone = FakeProvider::on(peer, APP, &options([])).await?;
        let source = phone.peer.property(&phone.path, "Provider", "AppIdSource").await?;
        anyhow::Ok(String::try_from(source)?)
    });
    let asked = agent.asked("Identify", 1).await?;
    assert_eq!(asked.option("declared").as_deref(), Some(APP));
    assert_eq!(asked.option("sandbox").as_deref(), Some(""));
    let pid = u32::try_from(asked.arguments[1].try_clone()?)?;
    assert_eq!(pid, std::process::id(), "its own, as the bus says");
    agent.answer(&asked, [("app-id", APP.into()), ("source", "unit".into())]).await?;
    assert_eq!(registered.await??, "unit");

    // Without an answer it is as if there was no agent.
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Other").await?;
    let source = phone.peer.property(&phone.path, "Provider", "AppIdSource").await?;
    assert_eq!(String::try_from(source)?, "declared");
    let asked = agent.asked("Identify", 2).await?;
    let late = agent.answer(&asked, [("app-id", APP.into()), ("source", "sandbox".into())]).await;
    assert_eq!(late.unwrap_err().short(), "TimedOut");
    Ok(())
}
