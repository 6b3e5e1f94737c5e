//! Consent: a real notification server asks, and the desktop's real permission store remembers.

use anyhow::Result;
use harness::{FakeProvider, Process, eventually, options};
use zbus::OwnedVariant;

use crate::desk::{APP, Desk};
use crate::dunst::Dunst;
use crate::plain::PlainServer;

const STORE: &str = "org.freedesktop.impl.portal.PermissionStore";
const STORE_PATH: &str = "/org/freedesktop/impl/portal/PermissionStore";
const MESSENGER: &str = "org.example.Messenger";

#[tokio::test]
async fn the_user_is_asked_once_and_it_is_remembered() -> Result<()> {
    let desk = Desk::asking().await?;
    store(&desk).await?;
    let dunst = Dunst::start(&desk).await?;
    let mut agent = desk.agent("consent").await?;
    // About the app that was there before the agent, too.
    dunst.shows(&["Allow Phone to make and receive calls?", "\"Don't Allow\""]).await?;
    refused(&desk.phone).await;
    dunst.press("Allow").await?;
    authorized(&desk.phone, "authorized").await?;
    desk.phone.report_incoming("sip:ada@example.org").await?;
    dunst.wait_count(0).await?;
    assert_eq!(remembered(&desk, APP).await?, ["yes"]);

    agent.signal("KILL")?;
    agent.end().await?;
    let _agent = desk.agent("consent").await?;
    let another = options([("instance", "window-2".into())]);
    let again = FakeProvider::on(desk.bus().connect().await?, APP, &another).await?;
    authorized(&again, "authorized").await?;
    dunst.wait_count(0).await
}

#[tokio::test]
async fn what_the_app_says_is_no_markup_and_a_no_is_a_no() -> Result<()> {
    let desk = Desk::asking().await?;
    store(&desk).await?;
    let dunst = Dunst::start(&desk).await?;
    let agent = desk.agent("consent").await?;
    dunst.shows(&["Allow Phone"]).await?;
    let messenger = messenger(&desk).await?;
    dunst.press("Don't Allow").await?;
    authorized(&desk.phone, "denied").await?;
    // One at a time.
    dunst
        .shows(&[
            "Allow &lt;u&gt;Messenger&lt;/u&gt; to",
            "“Rings when &lt;b&gt;friends&lt;/b&gt; &amp; others call”",
        ])
        .await?;
    dunst.shows(&[MESSENGER]).await?;
    dunst.picture("consent.png").await?;
    dunst.press("Don't Allow").await?;
    authorized(&messenger, "denied").await?;
    assert_eq!(remembered(&desk, MESSENGER).await?, ["no"]);
    refused(&messenger).await;
    dunst.wait_count(0).await?;
    let log = agent.log();
    assert!(!log.contains("friends"), "what an app says of itself is in the log: {log}");
    Ok(())
}

#[tokio::test]
async fn a_question_that_is_put_away_comes_again_with_the_app_and_not_before() -> Result<()> {
    let desk = Desk::asking().await?;
    store(&desk).await?;
    let dunst = Dunst::start(&desk).await?;
    let agent = desk.agent("consent").await?;
    dunst.shows(&["Allow Phone"]).await?;
    dunst.put_away().await?;
    eventually("it is not decided", async || {
        agent.log().contains("the user did not decide").then_some(())
    })
    .await?;
    dunst.wait_count(0).await?;
    authorized(&desk.phone, "not-determined").await?;

    let word: String = desk.phone.tell("RequestAuthorization", &()).await?;
    assert_eq!(word, "not-determined");
    dunst.wait_count(1).await?;
    dunst.press("Allow").await?;
    authorized(&desk.phone, "authorized").await
}

#[tokio::test]
async fn the_desktops_settings_decide_as_well() -> Result<()> {
    let desk = Desk::asking().await?;
    store(&desk).await?;
    let dunst = Dunst::start(&desk).await?;
    let _agent = desk.agent("consent").await?;
    dunst.shows(&["Allow Phone"]).await?;
    // As `flatpak permission-set callarbiter provide-calls org.example.Phone yes` does.
    decide(&desk, "yes").await?;
    authorized(&desk.phone, "authorized").await?;
    dunst.wait_count(0).await?;
    decide(&desk, "no").await?;
    authorized(&desk.phone, "denied").await?;
    refused(&desk.phone).await;
    decide(&desk, "ask").await?;
    authorized(&desk.phone, "not-determined").await
}

#[tokio::test]
async fn what_was_decided_while_no_agent_was_there_counts() -> Result<()> {
    let desk = Desk::asking().await?;
    store(&desk).await?;
    let dunst = Dunst::start(&desk).await?;
    let mut agent = desk.agent("consent").await?;
    dunst.shows(&["Allow Phone"]).await?;
    dunst.press("Allow").await?;
    authorized(&desk.phone, "authorized").await?;
    agent.signal("TERM")?;
    agent.end().await?;
    decide(&desk, "no").await?;
    let _agent = desk.agent("consent").await?;
    authorized(&desk.phone, "denied").await
}

#[tokio::test]
async fn without_a_store_it_is_kept_in_a_file_and_a_damaged_one_is_asked_about_again() -> Result<()>
{
    let desk = Desk::asking().await?;
    let dunst = Dunst::start(&desk).await?;
    let mut agent = desk.agent("consent").await?;
    dunst.shows(&["Allow Phone"]).await?;
    dunst.press("Allow").await?;
    authorized(&desk.phone, "authorized").await?;
    let file = desk.home().join(".local/state/callarbiter/consent.toml");
    let kept = std::fs::read_to_string(&file)?;
    assert!(kept.contains("\"org.example.Phone\" = \"yes\""), "{kept}");
    // Somebody edits it.
    std::fs::write(&file, kept.replace("yes", "no"))?;
    authorized(&desk.phone, "denied").await?;

    agent.signal("TERM")?;
    agent.end().await?;
    std::fs::write(&file, "not what it was")?;
    let agent = desk.agent("consent").await?;
    let _messenger = messenger(&desk).await?;
    dunst.shows(&["Messenger"]).await?;
    assert!(agent.log().contains("is damaged; it is set aside"), "{}", agent.log());
    assert!(file.with_extension("toml.damaged").exists());
    Ok(())
}

#[tokio::test]
async fn whatever_ends_the_agent_no_question_stays() -> Result<()> {
    let desk = Desk::asking().await?;
    store(&desk).await?;
    let dunst = Dunst::start(&desk).await?;
    let mut agent = desk.agent("consent").await?;
    dunst.shows(&["Allow Phone"]).await?;
    agent.signal("TERM")?;
    assert!(agent.end().await?.success(), "{}", agent.log());
    dunst.wait_count(0).await?;

    let mut agent = desk.agent("consent").await?;
    dunst.wait_count(1).await?;
    agent.signal("KILL")?;
    agent.end().await?;
    let _next = desk.agent("consent").await?;
    // The button of the old question may still be there; nobody hears it.
    eventually("the next one asks", async || {
        dunst.press("Allow").await.ok()?;
        (authorization(&desk.phone).await? == "authorized").then_some(())
    })
    .await?;
    dunst.wait_count(0).await
}

#[tokio::test]
async fn an_app_that_is_earlier_than_the_notification_server_is_asked_about_then() -> Result<()> {
    let desk = Desk::asking().await?;
    store(&desk).await?;
    let agent = desk.agent("consent").await?;
    eventually("it cannot ask yet", async || {
        agent.log().contains("the user cannot be asked").then_some(())
    })
    .await?;
    let dunst = Dunst::start(&desk).await?;
    dunst.shows(&["Allow Phone"]).await?;
    dunst.press("Allow").await?;
    authorized(&desk.phone, "authorized").await
}

#[tokio::test]
async fn where_nobody_can_be_asked_the_log_says_what_helps() -> Result<()> {
    let desk = Desk::asking().await?;
    store(&desk).await?;
    let _server = PlainServer::start(desk.bus()).await?;
    let agent: Process = desk.agent("consent").await?;
    eventually("the way out is named", async || {
        agent.log().contains("flatpak permission-set").then_some(())
    })
    .await?;
    authorized(&desk.phone, "not-determined").await?;
    decide(&desk, "yes").await?;
    authorized(&desk.phone, "authorized").await
}

/// The real store, which the bus starts.
async fn store(desk: &Desk) -> Result<()> {
    desk.activatable(STORE, "/usr/libexec/xdg-permission-store").await
}

async fn messenger(desk: &Desk) -> Result<FakeProvider> {
    let configuration = options([
        ("display-name", "<u>Messenger</u>".into()),
        ("usage-description", "Rings when <b>friends</b> & others call".into()),
    ]);
    FakeProvider::on(desk.bus().connect().await?, MESSENGER, &configuration).await
}

async fn authorized(provider: &FakeProvider, word: &str) -> Result<()> {
    let what = format!("{} is {word}", provider.path);
    eventually(&what, async || (authorization(provider).await? == word).then_some(())).await
}

async fn authorization(provider: &FakeProvider) -> Option<String> {
    let word = provider.peer.property(&provider.path, "Provider", "Authorization").await.ok()?;
    String::try_from(word).ok()
}

async fn refused(provider: &FakeProvider) {
    let refused = provider.report_incoming("sip:ada@example.org").await.unwrap_err().to_string();
    assert!(refused.contains("NotAuthorized"), "{refused}");
}

async fn remembered(desk: &Desk, app: &str) -> Result<Vec<String>> {
    let body = ("callarbiter", "provide-calls");
    let kept: (std::collections::HashMap<String, Vec<String>>, OwnedVariant) =
        desk.phone.peer.call_at(STORE, STORE_PATH, STORE, "Lookup", &body).await?;
    Ok(kept.0.get(app).cloned().unwrap_or_default())
}

async fn decide(desk: &Desk, word: &str) -> Result<()> {
    let body = ("callarbiter", true, "provide-calls", APP, vec![word]);
    let () = desk.phone.peer.call_at(STORE, STORE_PATH, STORE, "SetPermission", &body).await?;
    Ok(())
}
