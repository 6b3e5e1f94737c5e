//! Do-not-disturb of the desktop reaches calls: a real dunst, and what Plasma has.

use std::fs;

use anyhow::Result;
use harness::{Process, eventually};

use crate::desk::Desk;
use crate::dunst::Dunst;
use crate::plain::PlainServer;

#[tokio::test]
async fn paused_in_dunst_calls_are_quiet() -> Result<()> {
    let mut desk = Desk::new().await?;
    let mut dunst = Dunst::start(&desk).await?;
    let agent = desk.agent("do-not-disturb").await?;
    says(&agent, "on=false", 1).await?;
    dunst.set_paused(true).await?;
    says(&agent, "on=true", 1).await?;
    let call = desk.phone.report_incoming("sip:ada@example.org").await?;
    assert_eq!(silenced(&desk, &call.path).await?, "dnd");

    dunst.set_paused(false).await?;
    says(&agent, "on=false", 2).await?;
    let call = desk.phone.report_incoming("sip:grace@example.org").await?;
    assert_eq!(silenced(&desk, &call.path).await?, "");

    dunst.set_paused(true).await?;
    says(&agent, "on=true", 2).await?;
    // Another arbiter is told; another dunst is not paused.
    desk.arbiter.crash_and_restart().await?;
    says(&agent, "on=true", 3).await?;
    dunst.restart(&desk).await?;
    says(&agent, "on=false", 3).await
}

#[tokio::test]
async fn inhibited_as_plasma_says_it_and_refused_if_the_user_wants_that() -> Result<()> {
    let desk = Desk::new().await?;
    let home = desk.bus().directory().join("home/.config/callarbiter");
    fs::create_dir_all(&home)?;
    fs::write(home.join("agent.toml"), "[do-not-disturb]\nquiet = false\n")?;
    let server = PlainServer::start(desk.bus()).await?;
    let agent = desk.agent("do-not-disturb,notifications").await?;
    says(&agent, "on=false", 1).await?;
    server.inhibit(true).await?;
    says(&agent, "on=true", 1).await?;
    let refused = desk.phone.report_incoming("sip:ada@example.org").await.unwrap_err();
    assert!(refused.to_string().contains("FilteredByDoNotDisturb"), "{refused}");
    let note = server.wait_shown(1).await?;
    assert_eq!((note.summary.as_str(), note.body.as_str()), ("sip:ada@example.org", "Missed call"));
    assert!(note.actions.is_empty(), "{:?}", note.actions);
    server.inhibit(false).await?;
    says(&agent, "on=false", 2).await?;
    let call = desk.phone.report_incoming("sip:ada@example.org").await?;
    assert_eq!(silenced(&desk, &call.path).await?, "");
    Ok(())
}

async fn silenced(desk: &Desk, call: &str) -> Result<String> {
    Ok(String::try_from(desk.phone.peer.property(call, "Call", "Silenced").await?)?)
}

async fn says(agent: &Process, words: &str, times: usize) -> Result<()> {
    let said = async || (agent.log().matches(words).count() >= times).then_some(());
    eventually(words, said).await
}
