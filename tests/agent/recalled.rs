//! Called again from the history and the favourites: an app that does not run is started for it, and one that is not
//! there any more is said to be missing.

use std::fs;

use anyhow::{Context, Result};
use harness::{ROOT, eventually};

use crate::desk::Desk;
use crate::history::{callctl, has, json, open_app};
use crate::launch::{HANDLE, LAUNCHED, app, desktop_file, detached, entry, stop};

#[tokio::test]
async fn a_stopped_app_is_started_to_call_somebody_again() -> Result<()> {
    let desk = Desk::new().await?;
    let agent = desk.agent("history,launch").await?;
    let call = was_there(&desk).await?;
    install(&desk).await?;
    calls(&desk, &["history", "call", &call[..8]]).await?;
    let (done, said) = callctl(&desk, &["favourites", "add", HANDLE, "--name", "Rabbit"]).await?;
    assert!(done, "{said}");
    calls(&desk, &["favourites", "call", "rab"]).await?;
    assert!(!agent.log().contains("rabbit@"), "{}", agent.log());
    Ok(())
}

/// The app is started, and the far end answers.
async fn calls(desk: &Desk, words: &[&str]) -> Result<()> {
    let started = json(desk, words).await?;
    let uuid = started["call"].as_str().context("a call")?;
    let path = format!("{ROOT}/call/{}", uuid.replace('-', "_"));
    let user = desk.bus().connect().await?;
    user.wait_state(&path, "active").await?;
    let handle = user.property(&path, "Call", "RemoteHandle").await?;
    assert_eq!(String::try_from(handle)?, HANDLE);
    user.end(&path).await?;
    stop(desk).await
}

#[tokio::test]
async fn an_app_that_cannot_be_started_is_said_to_be_missing() -> Result<()> {
    let desk = Desk::new().await?;
    let history = desk.agent("history").await?;
    let call = was_there(&desk).await?;
    let again = ["history", "call", &call[..8]];
    let (done, said) = callctl(&desk, &again).await?;
    assert!(!done && said.contains("no agent of the session starts it"), "{said}");
    drop(history);

    // Uninstalled since.
    let _agent = desk.agent("history,launch").await?;
    install(&desk).await?;
    fs::remove_file(desktop_file(&desk))?;
    let (done, said) = callctl(&desk, &again).await?;
    assert!(!done && said.contains("no org.example.Launched.desktop lies in"), "{said}");
    let (done, said) = callctl(&desk, &["favourites", "add", HANDLE, "--name", "Rabbit"]).await?;
    assert!(done, "{said}");
    let (done, said) = callctl(&desk, &["favourites", "call", "Rabbit"]).await?;
    assert!(!done && said.contains("no org.example.Launched.desktop lies in"), "{said}");
    Ok(())
}

/// The app talked to somebody, and is stopped; the UUID of its call.
pub async fn was_there(desk: &Desk) -> Result<String> {
    let app = open_app(desk, LAUNCHED).await?;
    let call = app.report_incoming(HANDLE).await?;
    app.peer.answer(&call.path).await?;
    app.report_ended(&call.uuid, "remote-ended").await?;
    drop(app);
    let user = desk.bus().connect().await?;
    eventually("the app is gone", async || detached(&user).await).await?;
    has(desk, std::slice::from_ref(&call.uuid)).await?;
    Ok(call.uuid)
}

/// The session's bus starts it.
pub async fn install(desk: &Desk) -> Result<()> {
    entry(desk, "DBusActivatable=true\nMimeType=x-scheme-handler/sip;\n")?;
    desk.activatable(LAUNCHED, &format!("{} --activatable", app(desk)?)).await
}
