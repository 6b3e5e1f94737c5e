//! Private buses: real dbus-daemons, gone when dropped.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::{Launch, Peer, Process, User, built, eventually, source};

/// A bus of a test's own.
pub struct Bus {
    // Before the directory: its files are in there.
    process: Process,
    directory: TempDir,
    memory: TempDir,
    system: bool,
}

impl Bus {
    /// A bus as in a user's session: everything allowed, no activation; needs no root.
    pub async fn session() -> Result<Bus> {
        Bus::start(SESSION, None).await
    }

    /// A bus of type system with the distribution's default policy and the one that we ship; needs root.
    pub async fn system() -> Result<Bus> {
        let shipped = source("systemd/org.callarbiter.Calls1.conf");
        let policy = fs::read_to_string(&shipped);
        Bus::system_with_policy(&policy.with_context(|| shipped.display().to_string())?).await
    }

    /// The same with another policy in the place of ours.
    pub async fn system_with_policy(policy: &str) -> Result<Bus> {
        User::require_root()?;
        Bus::start(SYSTEM, Some(policy)).await
    }

    async fn start(config: &str, policy: Option<&str>) -> Result<Bus> {
        let mut names = tempfile::Builder::new();
        let names = names.prefix("callarbiter-bus-");
        let (directory, memory) = (names.tempdir()?, names.tempdir_in("/dev/shm")?);
        let top = directory.path();
        for path in [top, memory.path()] {
            fs::set_permissions(path, Permissions::from_mode(0o755))?;
        }
        fs::create_dir(top.join("policy.d"))?;
        fs::create_dir(top.join("services"))?;
        if let Some(policy) = policy {
            fs::write(top.join("policy.d/org.callarbiter.Calls1.conf"), policy)?;
        }
        let file = top.join("bus.conf");
        fs::write(&file, config.replace("@DIRECTORY@", &top.to_string_lossy()))?;
        let mut process = Launch::new("dbus-daemon")
            .arg(format!("--config-file={}", file.display()))
            .arg("--nofork")
            .arg("--nopidfile")
            .start(top)?;
        let socket = top.join("bus.sock");
        let ready = async || {
            let up = UnixStream::connect(&socket).is_ok();
            (up || process.ended().is_some()).then_some(up)
        };
        if !eventually("dbus-daemon listens", ready).await? {
            bail!("dbus-daemon ended at once: {}", process.log());
        }
        Ok(Bus { process, directory, memory, system: policy.is_some() })
    }

    /// Its address, as a client gets it.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.socket().display())
    }

    /// Whether it is of type system.
    pub fn is_system(&self) -> bool {
        self.system
    }

    /// A directory that everybody can read and that lives as long as the bus.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The same in memory: where the daemon's state is when it is installed.
    pub fn memory(&self) -> &Path {
        self.memory.path()
    }

    /// What dbus-daemon wrote.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// What it found wrong with its configuration; messages that it rejected are not among it.
    pub fn complaints(&self) -> Vec<String> {
        let ordinary = |line: &&str| !line.contains("fd limit") && !line.contains("Rejected");
        self.log().lines().filter(ordinary).map(str::to_owned).collect()
    }

    /// Takes the bus down, as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        self.process.signal("KILL")
    }

    /// A connection of the test's own user; `alice` on a system bus.
    pub async fn connect(&self) -> Result<Peer> {
        if self.system { self.connect_as("alice").await } else { self.connect_as_self().await }
    }

    /// A connection of the user that runs the test (root on a system bus).
    pub async fn connect_as_self(&self) -> Result<Peer> {
        Peer::connect(zbus::connection::Builder::address(self.address().as_str()), None).await
    }

    /// A connection that the bus takes for one of `user`; needs root.
    pub async fn connect_as(&self, user: &str) -> Result<Peer> {
        User::require_root()?;
        let user = User::named(user)?;
        let (test, relayed) = UnixStream::pair()?;
        let relay = Launch::new(relay()?)
            .arg(self.socket())
            .user(&user)
            .stdin(relayed)
            .start(self.directory())?;
        let builder = zbus::connection::Builder::unix_stream(test).user_id(user.uid);
        Peer::connect(builder, Some(relay)).await
    }

    /// A connection of a process of its own that has children: `shell` is one with its script, which ends in
    /// `exec "$0" "$1"`.
    pub async fn connect_by(&self, shell: Launch) -> Result<Peer> {
        let (test, relayed) = UnixStream::pair()?;
        let shell = shell.arg(relay()?).arg(self.socket()).stdin(relayed);
        let relay = shell.start(self.directory())?;
        Peer::connect(zbus::connection::Builder::unix_stream(test), Some(relay)).await
    }

    fn socket(&self) -> PathBuf {
        self.directory().join("bus.sock")
    }
}

fn relay() -> Result<PathBuf> {
    built("relay", "-p callarbiter-tests --bin relay")
}

const SESSION: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=@DIRECTORY@/bus.sock</listen>
  <auth>EXTERNAL</auth>
  <servicedir>@DIRECTORY@/services</servicedir>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"#;

/// The default policy is word for word what dbus ships in system.conf.
const SYSTEM: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=@DIRECTORY@/bus.sock</listen>
  <auth>EXTERNAL</auth>
  <servicedir>@DIRECTORY@/services</servicedir>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Containers1"/>
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus" send_member="UpdateActivationEnvironment"/>
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Debug.Stats"/>
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.systemd1.Activator"/>
  </policy>
  <policy user="root">
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.systemd1.Activator"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Debug.Stats"/>
  </policy>
  <includedir>@DIRECTORY@/policy.d</includedir>
</busconfig>
"#;
