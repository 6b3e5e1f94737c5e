//! A bus and an arbiter of the trial's own; the arbiter can be killed and started again.
//!
//! Owns their processes and their directory, and takes both away. Must not know what is tried.

use std::{
    env, fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{Duration, timeout},
};

use crate::{demo::process::find, failure::Failure, session::now};

const START_DEADLINE: Duration = Duration::from_secs(10);
const ALLOW: &str = "authorization = \"allow\"\n";
const BUS: &str = r#"<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

pub struct Stage {
    pub address: String,
    arbiter: Child,
    bus: Child,
    // Last: nobody writes into it any more.
    pub directory: PrivateDirectory,
}

impl Stage {
    pub async fn start() -> Result<Self, Failure> {
        let directory = PrivateDirectory::make()?;
        let socket = directory.0.join("bus");
        let config = directory.0.join("bus.conf");
        write(&config, &BUS.replace("{path}", &socket.display().to_string()))?;
        write(&directory.0.join("arbiter.toml"), ALLOW)?;
        let bus = bus(&config).await?;
        let address = format!("unix:path={}", socket.display());
        let arbiter = arbiter(&directory.0, &address)?;
        Ok(Stage { address, arbiter, bus, directory })
    }

    /// As in a crash.
    pub async fn kill_arbiter(&mut self) {
        // Fails only if it is gone.
        let _ = self.arbiter.kill().await;
    }

    pub fn start_arbiter(&mut self) -> Result<(), Failure> {
        self.arbiter = arbiter(&self.directory.0, &self.address)?;
        Ok(())
    }

    /// The administrator decides about this app, `allow` or `deny`.
    pub fn decide(&self, app: &str, decision: &str) -> Result<(), Failure> {
        let decided = format!("{ALLOW}[apps]\n\"{app}\" = \"{decision}\"\n");
        write(&self.directory.0.join("arbiter.toml"), &decided)?;
        let arbiter = self.arbiter.id().and_then(|pid| i32::try_from(pid).ok());
        let gone = || Failure::refused("the arbiter has ended");
        let arbiter = arbiter.and_then(Pid::from_raw).ok_or_else(gone)?;
        kill_process(arbiter, Signal::HUP).map_err(|_| gone())
    }

    /// The bus, and with it the arbiter, and all that was on it.
    pub async fn restart_bus(&mut self) -> Result<(), Failure> {
        let _ = self.bus.kill().await;
        self.kill_arbiter().await;
        self.bus = bus(&self.directory.0.join("bus.conf")).await?;
        self.start_arbiter()
    }

    /// What it kept, as after the loss of its disk.
    pub fn lose_state(&self) -> Result<(), Failure> {
        fs::remove_dir_all(self.directory.0.join("state"))
            .map_err(|error| Failure::refused(format!("the arbiter's state stays: {error}")))
    }
}

async fn bus(config: &Path) -> Result<Child, Failure> {
    let mut child = Command::new("dbus-daemon")
        .arg("--config-file")
        .arg(config)
        .args(["--nofork", "--nopidfile", "--print-address"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // It complains about limits that it does not need here.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .map_err(|error| {
            Failure::refused(format!(
                "dbus-daemon cannot be started: {error}; it comes with the package dbus or \
                 dbus-daemon, and carries the private bus of the trial"
            ))
        })?;
    let silent = || Failure::refused("dbus-daemon did not say that it listens");
    let stdout = child.stdout.take().ok_or_else(silent)?;
    let mut lines = BufReader::new(stdout).lines();
    match timeout(START_DEADLINE, lines.next_line()).await {
        Ok(Ok(Some(_))) => Ok(child),
        _ => Err(silent()),
    }
}

fn arbiter(directory: &Path, address: &str) -> Result<Child, Failure> {
    let program = find();
    let state = directory.join("state");
    fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(&state)
        .map_err(|error| Failure::refused(format!("{}: {error}", state.display())))?;
    Command::new(&program)
        .args(["--bus", address, "--log", "error", "--config"])
        .arg(directory.join("arbiter.toml"))
        .arg("--state")
        .arg(&state)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .map_err(|error| {
            Failure::refused(format!(
                "callctl could not start {}: {error}\n  it is looked for beside callctl, in \
                 ../libexec, then in PATH",
                program.display()
            ))
        })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text)
        .map_err(|error| Failure::refused(format!("{} cannot be written: {error}", path.display())))
}

/// Goes with its value, and everything in it.
pub struct PrivateDirectory(pub PathBuf);

impl PrivateDirectory {
    fn make() -> Result<Self, Failure> {
        let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
        let parent = runtime.unwrap_or_else(env::temp_dir);
        let path = parent.join(format!("callctl-{}-{}", std::process::id(), now()));
        // Fails if it exists already: nobody can have laid a trap there.
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(PrivateDirectory(path)),
            Err(error) => Err(Failure::refused(format!(
                "no private directory could be made in {}: {error}",
                parent.display()
            ))),
        }
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // What stays behind is in a directory that is emptied anyway.
        let _ = fs::remove_dir_all(&self.0);
    }
}
