//! Do-not-disturb of the desktop reaches calls: real dunst, mako, swaync and dconf, and what Plasma has. On each, who
//! is kept away, who rings all the same, and what the history has of it.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use harness::{FakeProvider, Process, eventually};

use crate::desk::Desk;
use crate::dunst::Dunst;
use crate::gnome::{dconf, gsettings};
use crate::history::{has, json, open_app};
use crate::missed::refused;
use crate::plain::PlainServer;
use crate::servers::NotificationServer;

/// As the user wrote it down, and as an app says it.
const FRIEND: [&str; 2] = ["tel:+49 30 123456", "tel:+4930123456"];

#[tokio::test]
async fn paused_in_dunst() -> Result<()> {
    let desk = Desk::new().await?;
    let dunst = Dunst::start(&desk).await?;
    keeps_calls_away(&desk, &[], async |on| dunst.set_paused(on).await).await
}

#[tokio::test]
async fn inhibited_as_plasma_says_it() -> Result<()> {
    let desk = Desk::new().await?;
    let server = PlainServer::start(desk.bus()).await?;
    keeps_calls_away(&desk, &[], async |on| server.inhibit(on).await).await
}

#[tokio::test]
async fn a_mode_of_mako() -> Result<()> {
    let desk = Desk::new().await?;
    let mako = NotificationServer::mako(&desk).await?;
    // This mako does not tell, but who asks it for another mode is heard: before any call comes.
    let switch = async |on| {
        let modes = if on { vec!["default", "do-not-disturb"] } else { vec!["default"] };
        Ok(mako.ask("/fr/emersion/Mako", "fr.emersion.Mako", "SetModes", &(modes,)).await?)
    };
    keeps_calls_away(&desk, &[], switch).await
}

#[tokio::test]
async fn the_switch_of_swaync() -> Result<()> {
    let desk = Desk::new().await?;
    // It keeps the switch in a setting.
    let _dconf = dconf(&desk).await?;
    let swaync = NotificationServer::swaync(&desk).await?;
    let switch = async |on: bool| {
        let (path, interface) = ("/org/erikreider/swaync/cc", "org.erikreider.swaync.cc");
        Ok(swaync.ask(path, interface, "SetDnd", &on).await?)
    };
    keeps_calls_away(&desk, &[], switch).await
}

#[tokio::test]
async fn no_banners_in_gnome_and_nowhere_else() -> Result<()> {
    let desk = Desk::new().await?;
    let _dconf = dconf(&desk).await?;
    let switch = async |on| {
        let banners = ["org.gnome.desktop.notifications", "show-banners"];
        let words = if on {
            vec!["set", banners[0], banners[1], "false"]
        } else {
            vec!["reset", banners[0], banners[1]]
        };
        gsettings(&desk, &words).await
    };
    keeps_calls_away(&desk, &[("XDG_CURRENT_DESKTOP", "ubuntu:GNOME".into())], &switch).await?;
    switch(true).await?;
    let agent = desk.agent("do-not-disturb").await?;
    says(&agent, "on=false", 1).await
}

#[tokio::test]
async fn another_arbiter_is_told_and_another_dunst_is_asked() -> Result<()> {
    let mut desk = Desk::new().await?;
    let mut dunst = Dunst::start(&desk).await?;
    let agent = desk.agent("do-not-disturb").await?;
    dunst.set_paused(true).await?;
    says(&agent, "on=true", 1).await?;
    desk.arbiter.crash_and_restart().await?;
    says(&agent, "on=true", 2).await?;
    // Another dunst is not paused.
    let before = agent.log().matches("on=false").count();
    dunst.restart(&desk).await?;
    says(&agent, "on=false", before + 1).await
}

#[tokio::test]
async fn what_a_refused_call_leaves_is_a_silent_note() -> Result<()> {
    let desk = Desk::new().await?;
    wish(&desk, "quiet = false\n")?;
    let server = PlainServer::start(desk.bus()).await?;
    let agent = desk.agent("do-not-disturb,notifications").await?;
    server.inhibit(true).await?;
    says(&agent, "on=true", 1).await?;
    refused(&desk.phone, "sip:ada@example.org", "FilteredByDoNotDisturb").await?;
    let note = server.wait_shown(1).await?;
    assert_eq!(
        (note.summary.as_str(), note.body.as_str()),
        ("sip:ada@example.org", "Missed call: you did not want to be disturbed · Phone")
    );
    assert!(note.actions.is_empty(), "{:?}", note.actions);
    assert_eq!(note.hints.get("urgency"), Some(&0_u8.into()));
    Ok(())
}

/// Whatever the desktop: while its switch is on strangers are refused, or shown without a sound where the user wants
/// that, and missed for it; who is allowed and who tries again rings, as everybody does before and after.
async fn keeps_calls_away(
    desk: &Desk,
    environment: &[(&str, PathBuf)],
    switch: impl AsyncFn(bool) -> Result<()>,
) -> Result<()> {
    let app = open_app(desk, "org.example.Softphone").await?;
    // By UUID, of all calls so far.
    let mut missed = BTreeMap::new();
    for shown in [false, true] {
        wish(desk, &format!("quiet = {shown}\nallow = [\"{}\"]\n", FRIEND[0]))?;
        let agent = desk.agent_in("do-not-disturb,history", environment).await?;
        // Who called in the first round has tried before.
        let [ada, grace, alan] =
            ["ada", "grace", "alan"].map(|name| format!("sip:{name}-{shown}@example.org"));
        says(&agent, "on=false", 1).await?;
        missed.insert(rings(&app, &ada, "").await?, "short-ring");

        switch(true).await?;
        says(&agent, "on=true", 1).await?;
        for stranger in [&ada, &grace] {
            let uuid = if shown {
                rings(&app, stranger, "dnd").await?
            } else {
                refused(&app, stranger, "FilteredByDoNotDisturb").await?
            };
            missed.insert(uuid, "do-not-disturb");
        }
        missed.insert(rings(&app, FRIEND[1], "").await?, "short-ring");
        missed.insert(rings(&app, &grace, "").await?, "short-ring");

        switch(false).await?;
        says(&agent, "on=false", 2).await?;
        missed.insert(rings(&app, &alan, "").await?, "short-ring");

        has(desk, &missed.keys().cloned().collect::<Vec<_>>()).await?;
        let told = json(desk, &["history", "--missed"]).await?;
        let calls = told["calls"].as_array().context("a list")?;
        ensure!(calls.len() == missed.len(), "{told}");
        for call in calls {
            let expected = missed[call["call"].as_str().context("a UUID")?];
            ensure!(call["missed"] == expected, "{expected}: {call}");
        }
        let log = agent.log();
        ensure!(!log.contains("ada-") && !log.contains("30123456"), "{log}");
    }
    Ok(())
}

/// A call that rings, silenced for this, until its caller gives up; its UUID.
async fn rings(app: &FakeProvider, handle: &str, silenced: &str) -> Result<String> {
    let call = app.report_incoming(handle).await?;
    ensure!(app.peer.state(&call.path).await? == "ringing", "{handle}");
    let is = String::try_from(app.peer.property(&call.path, "Call", "Silenced").await?)?;
    ensure!(is == silenced, "{handle} is silenced for {is:?}, not {silenced:?}");
    app.report_ended(&call.uuid, "remote-ended").await?;
    Ok(call.uuid)
}

fn wish(desk: &Desk, words: &str) -> Result<()> {
    let home = desk.bus().directory().join("home/.config/callarbiter");
    fs::create_dir_all(&home)?;
    Ok(fs::write(home.join("agent.toml"), format!("[do-not-disturb]\n{words}"))?)
}

async fn says(agent: &Process, words: &str, times: usize) -> Result<()> {
    let said = async || (agent.log().matches(words).count() >= times).then_some(());
    eventually(words, said).await
}
