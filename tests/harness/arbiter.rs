//! The daemon as a process of its own on a private bus.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{Bus, Launch, NAME, Process, User, built, eventually};

/// The configuration that a test wants unless it is about authorization: every app may provide calls.
pub const ALLOW: &str = "authorization = \"allow\"\n";

/// A bus with a running daemon on it.
pub struct Arbiter {
    /// The daemon; before the bus, so that it goes first.
    pub daemon: Daemon,
    /// The bus that it serves.
    pub bus: Bus,
}

impl Arbiter {
    /// One domain, the test's own user, on a bus of type session; every app may provide calls.
    pub async fn on_session_bus() -> Result<Arbiter> {
        Arbiter::on(Bus::session().await?, ALLOW).await
    }

    /// As installed: the daemon as user `callarbiter` on a system bus with the shipped policy; needs root.
    pub async fn on_system_bus() -> Result<Arbiter> {
        Arbiter::on(Bus::system().await?, ALLOW).await
    }

    /// On this bus with this configuration file.
    pub async fn on(bus: Bus, config: &str) -> Result<Arbiter> {
        let daemon = Daemon::start(&bus, config).await?;
        Ok(Arbiter { daemon, bus })
    }

    /// Kills the daemon as a crash would and starts it again on the same bus.
    pub async fn crash_and_restart(&mut self) -> Result<()> {
        self.daemon.process.signal("KILL")?;
        self.daemon.process.end().await?;
        let config = fs::read_to_string(&self.daemon.config)?;
        self.daemon = Daemon::start(&self.bus, &config).await?;
        Ok(())
    }

    /// Fails if the daemon or the bus wrote any of these words about people.
    pub fn assert_no_personal_data(&self, words: &[&str]) {
        let logs = format!(
            "{}{}{}",
            self.daemon.process.log(),
            self.daemon.process.output(),
            self.bus.log()
        );
        for word in words {
            assert!(!logs.contains(word), "the log tells {word:?}:\n{logs}");
        }
    }
}

/// A running daemon.
pub struct Daemon {
    /// Its process, with its log.
    pub process: Process,
    /// Its configuration file, which a test may rewrite before a reload.
    pub config: PathBuf,
}

impl Daemon {
    /// Starts it and waits until it owns its name.
    pub async fn start(bus: &Bus, config: &str) -> Result<Daemon> {
        let mut daemon = Daemon::launch(bus, config)?;
        let watcher = bus.connect_as_self().await?;
        let ready = async || match watcher.owner(NAME).await {
            Ok(Some(_)) => Some(true),
            _ => daemon.process.ended().map(|_| false),
        };
        if !eventually("callarbiterd owns its name", ready).await? {
            bail!("callarbiterd ended before it was ready:\n{}", daemon.process.log());
        }
        Ok(daemon)
    }

    /// Starts it without waiting for anything.
    pub fn launch(bus: &Bus, config: &str) -> Result<Daemon> {
        let user = if bus.is_system() { Some(User::named("callarbiter")?) } else { None };
        let top = bus.directory();
        let file = top.join("callarbiter.toml");
        fs::write(&file, config)?;
        fs::set_permissions(&file, Permissions::from_mode(0o644))?;
        let (kind, variable) = if bus.is_system() {
            ("system", "DBUS_SYSTEM_BUS_ADDRESS")
        } else {
            ("session", "DBUS_SESSION_BUS_ADDRESS")
        };
        let mut launch = Launch::new(Daemon::program()?)
            .arg("--bus")
            .arg(kind)
            .arg("--config")
            .arg(&file)
            .arg("--log")
            .arg("debug")
            .env(variable, bus.address());
        if let Some(user) = &user {
            launch = launch.user(user);
        }
        Ok(Daemon { process: launch.start(top)?, config: file })
    }

    /// The program itself.
    pub fn program() -> Result<PathBuf> {
        built("callarbiterd", "-p callarbiterd")
    }
}
