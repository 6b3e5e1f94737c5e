//! The app under trial, and the command that makes its far end call: children that end with the trial.
//!
//! Owns starting and stopping them. Must not know what is tried.

use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::failure::Failure;

/// Longer, and it is killed.
pub const STOP_DEADLINE: Duration = Duration::from_secs(10);

pub struct App {
    child: Child,
    group: Option<Pid>,
}

impl App {
    /// `{bus}` in the words stands for the address.
    pub fn start(words: &[String], bus: &str) -> Result<Self, Failure> {
        App::with(words, bus, None)
    }

    fn with(words: &[String], bus: &str, of: Option<u32>) -> Result<Self, Failure> {
        let mut words = words.iter().map(|word| word.replace("{bus}", bus));
        let program = words.next().ok_or_else(|| Failure::usage("which COMMAND is the app?"))?;
        let mut command = Command::new(&program);
        if let Some(app) = of {
            command.env("APP_PID", app.to_string());
        }
        let child = command
            .args(words)
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus)
            .env("DBUS_SESSION_BUS_ADDRESS", bus)
            .stdin(Stdio::null())
            // Standard output is the report's.
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .map_err(|error| Failure::usage(format!("{program} cannot be started: {error}")))?;
        let group = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        Ok(App { child, group })
    }

    /// As a shell understands it; `$APP_PID` is the app.
    pub fn shell(command: &str, bus: &str, app: &App) -> Result<Self, Failure> {
        let words = ["/bin/sh".to_owned(), "-c".to_owned(), command.to_owned()];
        App::with(&words, bus, app.child.id())
    }

    /// Whether it ended when it was asked to.
    pub async fn leave(&mut self) -> bool {
        self.signal(Signal::TERM);
        timeout(STOP_DEADLINE, self.child.wait()).await.is_ok()
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    pub async fn ended(&mut self) -> Option<ExitStatus> {
        self.child.wait().await.ok()
    }

    /// Asks it and what it started to end; insists when it does not.
    pub async fn stop(mut self) {
        self.leave().await;
        self.signal(Signal::KILL);
        let _ = self.child.wait().await;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Fails only if all of the group are gone already.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
