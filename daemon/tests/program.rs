//! The program as a service manager and a shell see it: exit status, its one line, its notifications.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_wrong_command_line_is_status_2() {
    let output = output(&["--bus", "sytsem"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("\"sytsem\"") && stderr.contains("--help"), "{stderr}");
}

#[test]
fn help_and_version_go_to_stdout() {
    for (option, words) in [("--help", "--bus"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let output = output(&[option]);
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains(words));
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn a_bus_that_is_not_there_is_status_1_with_the_reason() {
    let output = output(&["--bus", "unix:path=/nonexistent/bus", "--config", "/dev/null"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("/nonexistent/bus cannot be reached"), "{stderr}");
}

#[test]
fn a_wrong_configuration_at_the_start_is_status_1_with_its_place() {
    let top = TempDir::new().unwrap();
    let config = top.path().join("c.toml");
    fs::write(&config, "\n[limits]\ncalls = 0\n").unwrap();
    let output = output(&["--bus", "embedded", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("c.toml:3:9: calls is 0"), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn it_tells_the_service_manager_and_ends_cleanly() {
    let mut daemon = Daemon::start();
    let ready = daemon.told("READY=1");
    assert!(ready.contains("STATUS=ok"), "{ready}");

    let mut stdout = BufReader::new(daemon.process.stdout.take().unwrap());
    let mut address = String::new();
    stdout.read_line(&mut address).unwrap();
    let socket = address.strip_prefix("unix:path=").unwrap().split(',').next().unwrap().to_owned();
    assert!(Path::new(&socket).exists());

    daemon.told("WATCHDOG=1");
    daemon.told("WATCHDOG=1");

    fs::write(daemon.config(), "authorization = \"maybe\"").unwrap();
    daemon.signal(Signal::HUP);
    assert!(daemon.told("RELOADING=1").contains("MONOTONIC_USEC="));
    let refused = daemon.told("READY=1");
    assert!(refused.contains("callarbiter.toml:1:17") && refused.contains("stays"), "{refused}");

    fs::write(daemon.config(), "authorization = \"ask\"").unwrap();
    daemon.signal(Signal::HUP);
    daemon.told("RELOADING=1");
    assert!(daemon.told("READY=1").contains("STATUS=ok"));

    daemon.signal(Signal::TERM);
    daemon.told("STOPPING=1");
    assert_eq!(daemon.ended(), Some(0));
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "more than the address on stdout");
    assert!(!Path::new(&socket).parent().unwrap().exists());
}

fn output(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callarbiterd"));
    command.env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM").stdin(Stdio::null());
    command
}

/// A running daemon with its own bus and a service manager that listens.
struct Daemon {
    process: Child,
    manager: UnixDatagram,
    top: TempDir,
}

impl Daemon {
    fn start() -> Daemon {
        let top = TempDir::new().unwrap();
        let config = top.path().join("callarbiter.toml");
        fs::write(&config, "").unwrap();
        let socket = top.path().join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        // The watchdog counts only for the pid that the manager names, which is known after the fork.
        let script = "WATCHDOG_PID=$$ exec \"$@\"";
        let process = Command::new("sh")
            .args(["-c", script, "sh", env!("CARGO_BIN_EXE_callarbiterd"), "--bus", "embedded"])
            .arg("--config")
            .arg(&config)
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "200000")
            .env("XDG_RUNTIME_DIR", top.path())
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Daemon { process, manager, top }
    }

    fn config(&self) -> std::path::PathBuf {
        self.top.path().join("callarbiter.toml")
    }

    /// Waits for a notification that contains this line.
    fn told(&self, line: &str) -> String {
        let mut datagram = [0; 4096];
        loop {
            let length = self.manager.recv(&mut datagram).unwrap_or_else(|e| panic!("{line}: {e}"));
            let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
            if text.lines().any(|told| told == line) {
                return text;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn ended(&mut self) -> Option<i32> {
        let pidfd = pidfd_open(self.pid(), PidfdFlags::empty()).unwrap();
        let patience = Timespec::try_from(PATIENCE).unwrap();
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        assert_eq!(poll(&mut fds, Some(&patience)), Ok(1), "it does not end");
        self.process.wait().unwrap().code()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
