//! Screens that nobody sees: an X server, or a Wayland compositor, each of a test's own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use anyhow::Result;
use harness::{Launch, Process, User, eventually, source};

use crate::desk::Desk;

/// Width and height.
const SIZE: (u32, u32) = (1024, 600);

pub struct Screen {
    _process: Process,
    /// What programs find it by, and what takes a picture of it.
    variable: (&'static str, PathBuf),
    camera: &'static [&'static str],
}

impl Screen {
    /// Xvfb.
    pub async fn x11(desk: &Desk) -> Result<Screen> {
        let mut launch = Launch::new("Xvfb");
        let size = format!("{}x{}x24", SIZE.0, SIZE.1);
        for arg in ["-displayfd", "1", "-screen", "0", &size, "-nolisten", "tcp"] {
            launch = launch.arg(arg);
        }
        let process = launch.start(desk.bus().directory())?;
        let ready = async || process.output().ends_with('\n').then_some(());
        eventually("Xvfb (package xvfb) has a display", ready).await?;
        let display = PathBuf::from(format!(":{}", process.output().trim()));
        let camera = &["import", "-window", "root"];
        Ok(Screen { _process: process, variable: ("DISPLAY", display), camera })
    }

    /// sway, which does not run as root.
    pub async fn wayland(desk: &Desk) -> Result<Screen> {
        let user = User::named("alice")?;
        let runtime = desk.bus().directory().join("screen");
        fs::create_dir(&runtime)?;
        fs::set_permissions(&runtime, Permissions::from_mode(0o700))?;
        std::os::unix::fs::chown(&runtime, Some(user.uid), None)?;
        let config = desk.bus().directory().join("sway.conf");
        let output =
            format!("output HEADLESS-1 resolution {}x{} bg #3d3846 solid_color\n", SIZE.0, SIZE.1);
        fs::write(&config, format!("{output}default_border none\nxwayland disable\n"))?;
        let process = Launch::new("sway")
            .env("XDG_RUNTIME_DIR", &runtime)
            .env("HOME", &runtime)
            .env("WLR_BACKENDS", "headless")
            .env("WLR_LIBINPUT_NO_DEVICES", "1")
            .env("WLR_RENDERER", "pixman")
            .arg("-c")
            .arg(config)
            .user(&user)
            .start(desk.bus().directory())?;
        let socket = runtime.join("wayland-1");
        let ready = async || UnixStream::connect(&socket).is_ok().then_some(());
        eventually("sway (package sway) listens", ready).await?;
        Ok(Screen { _process: process, variable: ("WAYLAND_DISPLAY", socket), camera: &["grim"] })
    }

    /// For a program on it.
    pub fn variable(&self) -> (&'static str, &PathBuf) {
        (self.variable.0, &self.variable.1)
    }

    /// A picture for people, in `target/agent`, once so many colours are on the screen and nothing moves any more.
    pub async fn picture(&self, name: &str, colours: u32) -> Result<()> {
        let directory = source("target/agent");
        fs::create_dir_all(&directory)?;
        let picture = directory.join(name);
        let (mut before, mut same) = (vec![], 0);
        eventually("something is drawn (packages imagemagick, grim)", async || {
            let (program, args) = self.camera.split_first()?;
            let mut camera = Command::new(program);
            camera.args(args).arg(&picture).env(self.variable.0, &self.variable.1);
            camera.status().ok().filter(ExitStatus::success)?;
            let mut identify = Command::new("identify");
            // Colours, and a sum of what is drawn.
            let seen = identify.args(["-format", "%k %#"]).arg(&picture).output().ok()?.stdout;
            same = if seen == before { same + 1 } else { 0 };
            before = seen;
            let text = String::from_utf8_lossy(&before);
            let counted: u32 = text.split(' ').next()?.parse().ok()?;
            (counted > colours && same >= STILL).then_some(())
        })
        .await
    }
}

/// So many pictures one after the other are the same when nothing moves.
const STILL: u32 = 3;
