//! Do-not-disturb of the desktop reaches calls: real dunst, mako, swaync and dconf, and what Plasma has.

use std::fs;

use anyhow::Result;
use harness::{Process, eventually};

use crate::desk::Desk;
use crate::dunst::Dunst;
use crate::gnome::{dconf, gsettings};
use crate::plain::PlainServer;
use crate::servers::NotificationServer;

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
    wish(&desk, "quiet = false\n")?;
    let server = PlainServer::start(desk.bus()).await?;
    let agent = desk.agent("do-not-disturb,notifications").await?;
    says(&agent, "on=false", 1).await?;
    server.inhibit(true).await?;
    says(&agent, "on=true", 1).await?;
    let refused = desk.phone.report_incoming("sip:ada@example.org").await.unwrap_err();
    assert!(refused.to_string().contains("FilteredByDoNotDisturb"), "{refused}");
    let note = server.wait_shown(1).await?;
    assert_eq!(
        (note.summary.as_str(), note.body.as_str()),
        ("sip:ada@example.org", "Missed call: you did not want to be disturbed · Phone")
    );
    assert!(note.actions.is_empty(), "{:?}", note.actions);
    assert_eq!(note.hints.get("urgency"), Some(&0_u8.into()));
    server.inhibit(false).await?;
    says(&agent, "on=false", 2).await?;
    let call = desk.phone.report_incoming("sip:ada@example.org").await?;
    assert_eq!(silenced(&desk, &call.path).await?, "");
    Ok(())
}

#[tokio::test]
async fn a_mode_of_mako_and_a_handle_that_rings_all_the_same() -> Result<()> {
    let desk = Desk::new().await?;
    wish(&desk, "allow = [\"tel:+49 30 123456\"]\n")?;
    let mako = NotificationServer::mako(&desk).await?;
    let agent = desk.agent("do-not-disturb").await?;
    says(&agent, "on=false", 1).await?;
    let modes = (["default", "do-not-disturb"].as_slice(),);
    let _: () = mako.ask("/fr/emersion/Mako", "fr.emersion.Mako", "SetModes", &modes).await?;
    // This mako does not tell, but who asks it for another mode is heard: before any call comes.
    says(&agent, "on=true", 1).await?;
    let call = desk.phone.report_incoming("sip:ada@example.org").await?;
    assert_eq!(silenced(&desk, &call.path).await?, "dnd");
    let call = desk.phone.report_incoming("tel:+4930123456").await?;
    assert_eq!(silenced(&desk, &call.path).await?, "");
    let modes = (["default"].as_slice(),);
    let _: () = mako.ask("/fr/emersion/Mako", "fr.emersion.Mako", "SetModes", &modes).await?;
    says(&agent, "on=false", 2).await?;
    let call = desk.phone.report_incoming("sip:grace@example.org").await?;
    assert_eq!(silenced(&desk, &call.path).await?, "");
    Ok(())
}

#[tokio::test]
async fn the_switch_of_swaync() -> Result<()> {
    let desk = Desk::new().await?;
    // It keeps the switch in a setting.
    let _dconf = dconf(&desk).await?;
    let swaync = NotificationServer::swaync(&desk).await?;
    let agent = desk.agent("do-not-disturb").await?;
    says(&agent, "on=false", 1).await?;
    for (on, times) in [(true, 1), (false, 2)] {
        let (path, interface) = ("/org/erikreider/swaync/cc", "org.erikreider.swaync.cc");
        let _: () = swaync.ask(path, interface, "SetDnd", &on).await?;
        says(&agent, &format!("on={on}"), times).await?;
    }
    Ok(())
}

#[tokio::test]
async fn no_banners_in_gnome_and_nowhere_else() -> Result<()> {
    let desk = Desk::new().await?;
    let _dconf = dconf(&desk).await?;
    let in_gnome = [("XDG_CURRENT_DESKTOP", "ubuntu:GNOME".into())];
    let agent = desk.agent_in("do-not-disturb", &in_gnome).await?;
    says(&agent, "on=false", 1).await?;
    gsettings(&desk, &["set", "org.gnome.desktop.notifications", "show-banners", "false"]).await?;
    says(&agent, "on=true", 1).await?;
    gsettings(&desk, &["reset", "org.gnome.desktop.notifications", "show-banners"]).await?;
    says(&agent, "on=false", 2).await?;
    gsettings(&desk, &["set", "org.gnome.desktop.notifications", "show-banners", "false"]).await?;
    says(&agent, "on=true", 2).await?;
    drop(agent);
    let agent = desk.agent("do-not-disturb").await?;
    says(&agent, "on=false", 1).await
}

fn wish(desk: &Desk, words: &str) -> Result<()> {
    let home = desk.bus().directory().join("home/.config/callarbiter");
    fs::create_dir_all(&home)?;
    Ok(fs::write(home.join("agent.toml"), format!("[do-not-disturb]\n{words}"))?)
}

async fn silenced(desk: &Desk, call: &str) -> Result<String> {
    Ok(String::try_from(desk.phone.peer.property(call, "Call", "Silenced").await?)?)
}

async fn says(agent: &Process, words: &str, times: usize) -> Result<()> {
    let said = async || (agent.log().matches(words).count() >= times).then_some(());
    eventually(words, said).await
}
