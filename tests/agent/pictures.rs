//! Calls as people see them on real notification servers: pictures in `target/agent`, for looking at.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use harness::{FakeProvider, Reported, options};

use crate::desk::Desk;
use crate::servers::NotificationServer;

/// The app, as it is installed.
const APP: &str = "org.example.Speakerbox";

/// A picture with more colours than an empty desktop's.
const DRAWN: u32 = 40;

#[tokio::test]
async fn on_mako() -> Result<()> {
    let desk = installed().await?;
    let mako = NotificationServer::mako(&desk).await?;
    let _agent = desk.agent("notifications").await?;
    let ada = call(&desk.phone, "sip:ada@example.org", "Ada Lovelace").await?;
    let id = mako.shows(&["Ada Lovelace", "Incoming call", "Speakerbox"]).await?;
    mako.screen.picture("mako-incoming.png", DRAWN).await?;
    mako.press(id, "answer").await?;
    desk.phone.peer.wait_state(&ada.path, "active").await?;
    mako.shows(&["Ada Lovelace", "In a call", "Hang up"]).await?;
    call(&desk.phone, "tel:+4930123456", "<b>Grace & Co</b>").await?;
    let id = mako.shows(&["Grace", "Another call", "Hold & Answer"]).await?;
    mako.screen.picture("mako-waiting.png", DRAWN).await?;
    mako.press(id, "decline").await?;
    desk.phone.wait_asked("PerformEnd", 1).await?;
    Ok(())
}

#[tokio::test]
async fn on_swaync() -> Result<()> {
    let desk = installed().await?;
    let swaync = NotificationServer::swaync(&desk).await?;
    let _agent = desk.agent("notifications").await?;
    let ada = call(&desk.phone, "sip:ada@example.org", "Ada Lovelace").await?;
    swaync.wait_count(1).await?;
    swaync.screen.picture("swaync-incoming.png", DRAWN).await?;
    desk.phone.peer.answer(&ada.path).await?;
    call(&desk.phone, "tel:+4930123456", "<b>Grace & Co</b>").await?;
    swaync.wait_count(2).await?;
    swaync.screen.picture("swaync-waiting.png", DRAWN).await
}

#[tokio::test]
async fn on_xfce() -> Result<()> {
    let desk = installed().await?;
    let xfce = NotificationServer::xfce(&desk).await?;
    let _agent = desk.agent("notifications").await?;
    call(&desk.phone, "sip:ada@example.org", "Ada Lovelace").await?;
    xfce.screen.picture("xfce-incoming.png", DRAWN).await
}

/// A desk on which the app is installed: its desktop file, and an icon.
async fn installed() -> Result<Desk> {
    let mut desk = Desk::new().await?;
    let data = desk.bus().directory().join("home/.local/share");
    let icons = data.join("icons/hicolor/48x48/apps");
    fs::create_dir_all(&icons)?;
    fs::create_dir_all(data.join("applications"))?;
    let entry = format!(
        "[Desktop Entry]\nType=Application\nName=Speakerbox\nIcon={APP}\nExec=speakerbox\n"
    );
    fs::write(data.join(format!("applications/{APP}.desktop")), entry)?;
    // A loudspeaker.
    let mut convert = Command::new("convert");
    convert.args(["-size", "64x64", "xc:none"]);
    for (colour, shape) in [
        ("#3584e4", "roundrectangle 3,3 60,60 14,14"),
        ("white", "roundrectangle 18,9 45,54 6,6"),
        ("#3584e4", "circle 31.5,39 31.5,29"),
        ("#3584e4", "circle 31.5,19 31.5,15"),
    ] {
        convert.args(["-fill", colour, "-draw", shape]);
    }
    ensure!(
        convert.arg(icons.join(format!("{APP}.png"))).status()?.success(),
        "package imagemagick"
    );
    // The app says its name, and no icon: its desktop file has one.
    let named = options([("display-name", "Speakerbox".into())]);
    desk.phone = FakeProvider::on(desk.bus().connect().await?, APP, &named).await?;
    Ok(desk)
}

async fn call(phone: &FakeProvider, handle: &str, name: &str) -> Result<Reported> {
    let uuid = uuid::Uuid::new_v4().to_string();
    let (handle, name) = (handle.to_owned(), name.to_owned());
    let update = options([("remote-handle", handle.into()), ("display-name", name.into())]);
    let path = phone.report_incoming_call(&uuid, &update).await?;
    Ok(Reported { uuid, path })
}
