//! `callctl apps`: the user sees which apps may provide calls, and decides anew.

use anyhow::Result;
use harness::eventually;
use serde_json::{Value, json};

use crate::desk::{APP, Desk};
use crate::dunst::Dunst;

const STORE: &str = "org.freedesktop.impl.portal.PermissionStore";

#[tokio::test]
async fn decided_on_the_command_line_in_the_desktops_store() -> Result<()> {
    let desk = Desk::asking().await?;
    desk.activatable(STORE, "/usr/libexec/xdg-permission-store").await?;
    decide(&desk).await
}

#[tokio::test]
async fn decided_on_the_command_line_in_a_file() -> Result<()> {
    let desk = Desk::asking().await?;
    decide(&desk).await?;
    let kept = std::fs::read_to_string(desk.home().join(".local/state/callarbiter/consent.toml"))?;
    assert!(!kept.contains(APP), "{kept}");
    Ok(())
}

async fn decide(desk: &Desk) -> Result<()> {
    let _dunst = Dunst::start(desk).await?;
    let _agent = desk.agent("consent").await?;
    shows(desk, "not-determined", "").await?;

    desk.callctl(&["apps", "allow", APP]).await?.unwrap();
    shows(desk, "authorized", "user").await?;
    desk.phone.wait_asked("AuthorizationSet", 1).await?;
    let call = desk.phone.report_incoming("sip:ada@example.org").await?;

    desk.callctl(&["apps", "deny", APP]).await?.unwrap();
    shows(desk, "denied", "user").await?;
    assert_eq!(desk.phone.peer.state(&call.path).await?, "ringing", "it goes on");
    assert!(desk.phone.report_incoming("sip:bob@example.org").await.is_err());

    desk.callctl(&["apps", "forget", APP]).await?.unwrap();
    shows(desk, "not-determined", "").await?;
    let wrong = desk.callctl(&["apps", "deny", "not an app"]).await?.unwrap_err();
    assert!(wrong.contains("InvalidArgument") && wrong.contains("org.example.Phone"), "{wrong}");
    Ok(())
}

#[tokio::test]
async fn what_the_administrator_decided_is_shown_as_such() -> Result<()> {
    let desk = Desk::new().await?;
    let _dunst = Dunst::start(&desk).await?;
    let _agent = desk.agent("consent").await?;
    shows(&desk, "authorized", "administrator").await
}

#[tokio::test]
async fn without_an_agent_it_says_how_to_start_one() -> Result<()> {
    let desk = Desk::new().await?;
    let failure = desk.callctl(&["apps"]).await?.unwrap_err();
    assert!(failure.contains("unreachable") && failure.contains("agent"), "{failure}");
    Ok(())
}

async fn shows(desk: &Desk, authorization: &str, source: &str) -> Result<()> {
    let what = format!("{APP} is shown as {authorization}");
    eventually(&what, async || {
        let apps: Value = desk.callctl(&["apps"]).await.ok()?.ok()?;
        let is_it = |app: &Value| {
            app["app_id"] == json!(APP)
                && app["authorization"] == json!(authorization)
                && app["source"] == json!(source)
        };
        // What was forgotten is listed as long as it is registered.
        apps.as_array()?
            .iter()
            .any(|app| is_it(app) && app["registered"] == json!(true))
            .then_some(())
    })
    .await
}
