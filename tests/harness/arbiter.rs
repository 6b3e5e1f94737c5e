//! The daemon as a process of its own on a private bus.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

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

    /// Kills the daemon as a crash would and starts it again on the same bus, with the state that it left.
    pub async fn crash_and_restart(&mut self) -> Result<()> {
        self.stop("KILL").await?;
        self.start().await
    }

    /// Ends the daemon by this signal.
    pub async fn stop(&mut self, signal: &str) -> Result<()> {
        self.daemon.process.signal(signal)?;
        self.daemon.process.end().await?;
        Ok(())
    }

    /// Starts the daemon again.
    pub async fn start(&mut self) -> Result<()> {
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
    /// The directory of its state.
    pub state: PathBuf,
}

impl Daemon {
    /// Starts it and waits until it owns its name.
    pub async fn start(bus: &Bus, config: &str) -> Result<Daemon> {
        Daemon::launch(bus, config)?.ready(bus).await
    }

    /// Waits until it owns its name.
    pub async fn ready(self, bus: &Bus) -> Result<Daemon> {
        let mut daemon = self;
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

    /// Starts it without waiting for anything, as installed: what it leaves is found by the next.
    pub fn launch(bus: &Bus, config: &str) -> Result<Daemon> {
        let state = bus.memory().join("state");
        private_directory(&state, Daemon::user(bus)?.as_ref())?;
        Daemon::launch_with(bus, config, &state, &[])
    }

    /// The same with its state somewhere else, and variables.
    pub fn launch_with(
        bus: &Bus,
        config: &str,
        state: &Path,
        variables: &[(&str, &str)],
    ) -> Result<Daemon> {
        let user = Daemon::user(bus)?;
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
            .arg("--state")
            .arg(state)
            .arg("--log")
            .arg("debug")
            .env(variable, bus.address());
        for (name, value) in variables {
            launch = launch.env(name, value);
        }
        if let Some(user) = &user {
            launch = launch.user(user);
        }
        Ok(Daemon { process: launch.start(top)?, config: file, state: state.into() })
    }

    /// Whom it runs as, if not as the test.
    fn user(bus: &Bus) -> Result<Option<User>> {
        bus.is_system().then(|| User::named("callarbiter")).transpose()
    }

    /// The program itself.
    pub fn program() -> Result<PathBuf> {
        built("callarbiterd", "-p callarbiterd")
    }
}

/// As systemd makes a service's RuntimeDirectory; one that is there is kept.
fn private_directory(path: &Path, owner: Option<&User>) -> Result<()> {
    let what = || format!("making {}", path.display());
    fs::create_dir_all(path).with_context(what)?;
    fs::set_permissions(path, Permissions::from_mode(0o700)).with_context(what)?;
    match owner {
        Some(user) => chown(path, Some(user.uid), None).with_context(what),
        None => Ok(()),
    }
}
