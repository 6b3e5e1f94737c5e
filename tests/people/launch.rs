//! A call through an app that is not there: it is started, and the call goes on, over the daemon's death too.

use anyhow::Result;
use harness::{Arbiter, Bus, FakeAgent, FakeProvider, Peer, ROOT, Refused, eventually, options};
use zbus::OwnedObjectPath;

const APP: &str = "org.example.Phone";
const CONFIG: &str = "[apps]\n\"org.example.Phone\" = \"allow\"\n[agents]\nunits = [\"*\"]\n";

#[tokio::test]
async fn an_app_is_started_for_a_call_and_asked_when_it_is_there() -> Result<()> {
    let mut arbiter = Arbiter::on(Bus::session().await?, CONFIG).await?;
    let user = arbiter.bus.connect().await?;
    let why = start(&user, "org.example.Phone").await.unwrap_err();
    assert_eq!(why.short(), "UnknownProvider");
    assert!(why.message.contains("role `launch`"), "{why}");
    let agent = FakeAgent::with(&arbiter.bus, &["launch"]).await?;
    let why = start(&user, "org.example.Stranger").await.unwrap_err();
    assert!(why.message.contains("only one that is allowed"), "{why}");

    let call = start(&user, APP).await?;
    assert_eq!(user.state(&call).await?, "launching");
    let provider = user.property(&call, "Call", "Provider").await?;
    let provider = OwnedObjectPath::try_from(provider)?.to_string();
    let attached = user.property(&provider, "Provider", "Attached").await?;
    assert!(!bool::try_from(attached)?);
    let asked = agent.asked("LaunchProvider", 1).await?;
    assert_eq!((asked.text(1), asked.text(2)), (APP.into(), "tel:+4930123456".into()));
    assert_eq!(asked.option("call").as_deref(), Some(call.as_str()));

    arbiter.crash_and_restart().await?;
    assert_eq!(user.state(&call).await?, "launching");
    let again = agent.asked("LaunchProvider", 2).await?;
    assert_eq!(asked.request, again.request);
    agent.answer(&again, []).await?;
    let phone = FakeProvider::register(&arbiter.bus, APP).await?;
    assert_eq!(phone.path, provider, "the object that was there already");
    let placed = phone.wait_asked("PerformStart", 1).await?;
    assert!(call.ends_with(&placed.uuid().unwrap().replace('-', "_")), "{call}");
    user.wait_state(&call, "dialing").await?;
    user.end(&call).await?;
    arbiter.assert_no_personal_data(&["+4930123456"]);
    Ok(())
}

#[tokio::test]
async fn an_app_that_cannot_be_started_fails_its_call_and_says_why() -> Result<()> {
    let arbiter = Arbiter::on(Bus::session().await?, CONFIG).await?;
    let user = arbiter.bus.connect().await?;
    let agent = FakeAgent::with(&arbiter.bus, &["launch"]).await?;
    let waits = tokio::spawn({
        let user = arbiter.bus.connect().await?;
        async move {
            let how = options([("provider", APP.into()), ("wait", true.into())]);
            user.call::<_, OwnedObjectPath>(ROOT, "Manager", "StartCall", &("tel:1", how)).await
        }
    });
    let asked = agent.asked("LaunchProvider", 1).await?;
    let error = [("error", "org.example.No".into()), ("message", "no desktop file".into())];
    agent.answer(&asked, error).await?;
    let why = waits.await?.unwrap_err();
    assert_eq!(why.short(), "ActionFailed");
    assert_eq!(why.message, "org.example.Phone could not be started: no desktop file");
    let call = start(&user, APP).await?;
    user.end(&call).await?;
    let gone = async || user.view().await.ok().filter(|view| calls(view).is_empty()).map(drop);
    eventually("the call is over", gone).await?;
    let asked = agent.asked("LaunchProvider", 2).await?;
    assert_eq!(agent.answer(&asked, []).await.unwrap_err().short(), "TimedOut");
    Ok(())
}

fn calls(view: &harness::View) -> Vec<&String> {
    view.objects
        .keys()
        .filter(|path| path.contains("/call/") || path.contains("/provider/"))
        .collect()
}

async fn start(user: &Peer, app: &'static str) -> Result<String, Refused> {
    let how = options([("provider", app.into())]);
    let path: OwnedObjectPath =
        user.call(ROOT, "Manager", "StartCall", &("tel:+4930123456", how)).await?;
    Ok(path.to_string())
}
