//! A bus and a daemon that are killed and started again at the same place, and the connections to them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use callarbiter::{Connection, Controller, Provider};
use futures_util::StreamExt;
use harness::{ALLOW, Daemon, Launch, PATIENCE, Process, eventually};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zbus::MessageStream;

use crate::app::{Acts, App, Hands};

/// A bus, a daemon with its state, and somebody who acts for the user.
pub struct Scene {
    pub daemon: Process,
    bus: Process,
    pub controller: Controller,
    directory: TempDir,
}

impl Scene {
    pub async fn start() -> Result<Scene> {
        let directory = tempfile::Builder::new().prefix("callarbiter-restart-").tempdir()?;
        let top = directory.path();
        std::fs::write(top.join("callarbiter.toml"), ALLOW)?;
        let bus = start_bus(top).await?;
        let daemon = start_daemon(top).await?;
        let controller = Controller::new(&Connection::open(&address(top)).await?);
        // Knows the arbiter before it is needed.
        controller.plan([]).await.unwrap_err();
        Ok(Scene { daemon, bus, controller, directory })
    }

    pub async fn connection(&self) -> Result<Connection> {
        Ok(Connection::open(&address(self.directory.path())).await?)
    }

    pub async fn app(&self, id: &str) -> Result<App> {
        let hands = Arc::new(Hands::default());
        let app = Provider::builder(id).display_name(id).schemes(["tel"]);
        let provider = app.register(&self.connection().await?, Acts(hands.clone())).await?;
        Ok(App { hands, provider })
    }

    /// Done when somebody has sent such a call, whether or not anybody reads it.
    pub async fn sent(&self, member: &'static str) -> Result<JoinHandle<Result<()>>> {
        let monitor =
            zbus::connection::Builder::address(&*address(self.directory.path())).build().await?;
        let mut messages = MessageStream::from(&monitor);
        let rule = format!("type='method_call',member='{member}'");
        let monitoring = Some("org.freedesktop.DBus.Monitoring");
        let body = (vec![rule], 0_u32);
        let driver = Some("org.freedesktop.DBus");
        monitor
            .call_method(driver, "/org/freedesktop/DBus", monitoring, "BecomeMonitor", &body)
            .await?;
        Ok(tokio::spawn(async move {
            let _monitor = monitor;
            while let Some(message) = messages.next().await {
                if message?.header().member().is_some_and(|sent| sent.as_str() == member) {
                    return Ok(());
                }
            }
            bail!("the bus is gone")
        }))
    }

    pub async fn crash(&mut self) -> Result<()> {
        self.daemon.signal("KILL")?;
        self.daemon.end().await?;
        Ok(())
    }

    pub async fn restart(&mut self) -> Result<()> {
        self.daemon = start_daemon(self.directory.path()).await?;
        Ok(())
    }

    pub fn forget(&self) -> Result<()> {
        Ok(std::fs::remove_dir_all(self.directory.path().join("state"))?)
    }

    /// Everybody loses the connection, and the daemon ends.
    pub async fn kill_bus(&mut self) -> Result<()> {
        self.bus.signal("KILL")?;
        self.bus.end().await?;
        self.daemon.end().await?;
        Ok(())
    }

    pub async fn restart_bus(&mut self) -> Result<()> {
        std::fs::remove_file(self.directory.path().join("bus"))?;
        self.bus = start_bus(self.directory.path()).await?;
        self.restart().await
    }
}

fn address(top: &Path) -> String {
    format!("unix:path={}", top.join("bus").display())
}

async fn start_bus(top: &Path) -> Result<Process> {
    let launch = Launch::new("dbus-daemon").arg("--session").arg("--nofork").arg("--nopidfile");
    let mut bus = launch.arg(format!("--address={}", address(top))).start(top)?;
    let listens = async || {
        let up = std::os::unix::net::UnixStream::connect(top.join("bus")).is_ok();
        (up || bus.ended().is_some()).then_some(up)
    };
    if !eventually("dbus-daemon listens", listens).await? {
        bail!("dbus-daemon ended: {}", bus.log());
    }
    Ok(bus)
}

async fn start_daemon(top: &Path) -> Result<Process> {
    let mut daemon = Launch::new(Daemon::program()?)
        .arg("--bus")
        .arg("session")
        .arg("--config")
        .arg(top.join("callarbiter.toml"))
        .arg("--state")
        .arg(top.join("state"))
        .arg("--log")
        .arg("debug")
        .env("DBUS_SESSION_BUS_ADDRESS", address(top))
        .start(top)?;
    let watcher = zbus::connection::Builder::address(&*address(top)).build().await?;
    let watcher = zbus::fdo::DBusProxy::new(&watcher).await?;
    let is_there = async || match watcher.name_has_owner(harness::NAME.try_into().ok()?).await {
        Ok(true) => Some(true),
        _ => daemon.ended().map(|_| false),
    };
    if !eventually("callarbiterd owns its name", is_there).await? {
        bail!("callarbiterd ended: {}", daemon.log());
    }
    Ok(daemon)
}

pub async fn in_time<T>(what: impl Future<Output = T>) -> Result<T> {
    Ok(timeout(PATIENCE + Duration::from_secs(10), what).await?)
}
