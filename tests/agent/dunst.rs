//! A real notification server on a screen of its own, which nobody sees.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use harness::{Peer, Process, eventually};

use crate::desk::Desk;
use crate::screen::Screen;

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
const CONTROL: &str = "org.dunstproject.cmd0";

/// dunst has no buttons: it lists them in a menu, and the menu is a program that takes the line that
/// the test wrote into a file.
const CONFIG: &str = "[global]\n\
    width = 460\nheight = 300\norigin = top-right\noffset = 24x24\nfont = DejaVu Sans 12\n\
    padding = 14\nhorizontal_padding = 16\nframe_width = 2\ncorner_radius = 8\nmarkup = full\n\
    format = \"<b>%s</b>\\n%b\"\nsort = no\nmouse_left_click = do_action\n\
    show_indicators = no\nenable_recursive_icon_lookup = true\nicon_theme = Adwaita\n\
    icon_position = left\nmin_icon_size = 48\nmax_icon_size = 48\ndmenu = @MENU@\n\
    [urgency_normal]\nbackground = \"#f6f5f4\"\nforeground = \"#241f31\"\nframe_color = \"#9a9996\"\n\
    [urgency_critical]\nbackground = \"#ffffff\"\nforeground = \"#241f31\"\nframe_color = \"#2ec27e\"\n";

pub struct Dunst {
    process: Process,
    screen: Screen,
    remote: Peer,
    directory: PathBuf,
}

impl Dunst {
    pub async fn start(desk: &Desk) -> Result<Dunst> {
        let directory = desk.bus().directory().to_owned();
        let screen = Screen::x11(desk).await?;
        let menu = directory.join("menu");
        let choice = directory.join("choice");
        fs::write(&menu, format!("#!/bin/sh\ngrep -m 1 -F -f '{}'\n", choice.display()))?;
        fs::set_permissions(&menu, Permissions::from_mode(0o755))?;
        let config = CONFIG.replace("@MENU@", &menu.to_string_lossy());
        fs::write(directory.join("dunstrc"), config)?;
        let process = Dunst::launch(desk, &screen)?;
        let remote = desk.bus().connect().await?;
        let dunst = Dunst { process, screen, remote, directory };
        dunst.ready().await?;
        Ok(dunst)
    }

    /// It crashes, and another one comes.
    pub async fn restart(&mut self, desk: &Desk) -> Result<()> {
        self.process.signal("KILL")?;
        self.process.end().await?;
        self.process = Dunst::launch(desk, &self.screen)?;
        self.ready().await
    }

    /// Waits until what it showed last has all these words: application, summary, body, buttons.
    pub async fn shows(&self, words: &[&str]) -> Result<()> {
        let mut last = String::new();
        let all = async || {
            last = self.process.output().rsplit("\tappname:").next().unwrap_or_default().to_owned();
            words.iter().all(|word| last.contains(word)).then_some(())
        };
        let shown = eventually(&format!("dunst shows {words:?}"), all).await;
        shown.with_context(|| format!("it shows {last}"))
    }

    /// Waits until so many notifications are on the screen.
    pub async fn wait_count(&self, count: u32) -> Result<()> {
        let what = format!("{count} notifications are on the screen");
        eventually(&what, async || {
            let properties = "org.freedesktop.DBus.Properties";
            let get = (CONTROL, "displayedLength");
            let value: Result<zbus::OwnedVariant, _> =
                self.remote.call_at(NAME, PATH, properties, "Get", &get).await;
            (u32::try_from(value.ok()?).ok()? == count).then_some(())
        })
        .await
    }

    /// Presses the button with this label.
    pub async fn press(&self, label: &str) -> Result<()> {
        fs::write(self.directory.join("choice"), format!("#{label} ("))?;
        Ok(self.remote.call_at(NAME, PATH, CONTROL, "ContextMenuCall", &()).await?)
    }

    /// Puts the newest notification away without a word.
    pub async fn put_away(&self) -> Result<()> {
        Ok(self.remote.call_at(NAME, PATH, CONTROL, "NotificationCloseLast", &()).await?)
    }

    /// Do-not-disturb, as dunst has it.
    pub async fn set_paused(&self, paused: bool) -> Result<()> {
        let properties = "org.freedesktop.DBus.Properties";
        let set = (CONTROL, "paused", zbus::Variant::from(paused));
        Ok(self.remote.call_at(NAME, PATH, properties, "Set", &set).await?)
    }

    /// A picture of the screen, once something is drawn.
    pub async fn picture(&self, name: &str) -> Result<()> {
        self.screen.picture(name, 16).await
    }

    fn launch(desk: &Desk, screen: &Screen) -> Result<Process> {
        let directory = desk.bus().directory();
        let (variable, value) = screen.variable();
        // Line by line, so that a test can read what it shows.
        desk.launch("stdbuf")?
            .arg("-oL")
            .arg("dunst")
            .env(variable, value)
            .arg("-print")
            .arg("-conf")
            .arg(directory.join("dunstrc"))
            .start(directory)
    }

    async fn ready(&self) -> Result<()> {
        let pid = Ok(self.process.pid());
        eventually("dunst (package dunst) serves", async || {
            (self.remote.bus("GetConnectionUnixProcessID", &NAME).await == pid).then_some(())
        })
        .await
    }
}
