//! Real notification servers of Wayland desktops, and one of X11 that has buttons.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};
use harness::{Peer, Process, Refused, eventually};
use zbus::{DynamicType, OwnedVariant};

use crate::desk::Desk;
use crate::screen::Screen;

const NAME: &str = "org.freedesktop.Notifications";

/// One of them, on a screen of its own.
pub struct NotificationServer {
    _process: Process,
    pub screen: Screen,
    remote: Peer,
}

impl NotificationServer {
    pub async fn mako(desk: &Desk) -> Result<NotificationServer> {
        let home = desk.bus().directory().join("home");
        let config = home.join(".config/mako");
        fs::create_dir_all(&config)?;
        fs::write(config.join("config"), MAKO.replace("@HOME@", &home.to_string_lossy()))?;
        NotificationServer::start(desk, "mako", Screen::wayland(desk).await?).await
    }

    pub async fn swaync(desk: &Desk) -> Result<NotificationServer> {
        NotificationServer::start(desk, "swaync", Screen::wayland(desk).await?).await
    }

    pub async fn xfce(desk: &Desk) -> Result<NotificationServer> {
        let program = "/usr/lib/x86_64-linux-gnu/xfce4/notifyd/xfce4-notifyd";
        NotificationServer::start(desk, program, Screen::x11(desk).await?).await
    }

    /// A method of its own.
    pub async fn ask<B, R>(
        &self,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> Result<R, Refused>
    where
        B: serde::Serialize + DynamicType,
        R: serde::de::DeserializeOwned + zbus::Type,
    {
        self.remote.call_at(NAME, path, interface, member, body).await
    }

    /// mako: what it shows, the newest first.
    pub async fn list(&self) -> Result<Vec<HashMap<String, OwnedVariant>>> {
        Ok(self.ask("/fr/emersion/Mako", "fr.emersion.Mako", "ListNotifications", &()).await?)
    }

    /// mako: waits until one notification has all these words.
    pub async fn shows(&self, words: &[&str]) -> Result<u32> {
        eventually(&format!("mako shows {words:?}"), async || {
            let listed = self.list().await.ok()?;
            let note = listed.into_iter().find(|note| {
                let text = format!("{note:?}");
                words.iter().all(|word| text.contains(word))
            })?;
            u32::try_from(note.get("id")?.try_clone().ok()?).ok()
        })
        .await
    }

    /// mako: presses the button of a notification.
    pub async fn press(&self, id: u32, key: &str) -> Result<()> {
        Ok(self.ask("/fr/emersion/Mako", "fr.emersion.Mako", "InvokeAction", &(id, key)).await?)
    }

    /// swaync: waits until so many notifications are there.
    pub async fn wait_count(&self, count: u32) -> Result<()> {
        let (path, interface) = ("/org/erikreider/swaync/cc", "org.erikreider.swaync.cc");
        eventually(&format!("swaync has {count}"), async || {
            let there: u32 = self.ask(path, interface, "NotificationCount", &()).await.ok()?;
            (there == count).then_some(())
        })
        .await
    }

    async fn start(desk: &Desk, program: &str, screen: Screen) -> Result<NotificationServer> {
        let (variable, value) = screen.variable();
        let launch = desk.launch(program)?.env(variable, value).env("LC_ALL", "C.UTF-8");
        let process = launch.start(desk.bus().directory())?;
        let remote = desk.bus().connect().await?;
        let pid = Ok(process.pid());
        eventually(&format!("{program} serves"), async || {
            (remote.bus("GetConnectionUnixProcessID", &NAME).await == pid).then_some(())
        })
        .await
        .with_context(|| format!("it said: {}", process.log()))?;
        Ok(NotificationServer { _process: process, screen, remote })
    }
}

/// A desktop's look, and a mode for do-not-disturb.
const MAKO: &str = "font=DejaVu Sans 11\nwidth=420\nheight=260\nmargin=12\npadding=14\nborder-size=2\n\
    border-radius=8\nbackground-color=#ffffff\ntext-color=#241f31\nborder-color=#9a9996\nmax-icon-size=48\n\
    icon-path=@HOME@/.local/share/icons/hicolor:/usr/share/icons/Adwaita\n\
    [urgency=high]\nborder-color=#2ec27e\n[mode=do-not-disturb]\ninvisible=1\n";
