//! The demo tells its story with the real daemon, and cannot be made to lie.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use serde_json::Value;

/// The story takes a second at this speed; a loaded machine may need longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// A demo that tells its story in JSON; ended with the test, whatever becomes of it.
struct Demo {
    child: Child,
    /// Standard output, line by line; over when the program is.
    lines: mpsc::Receiver<Value>,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(callctl());
        command.args(["--json", "demo", "--speed", "50"]).args(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Demo { child, lines }
    }

    /// Everything it says from now on, and how it ended.
    fn finish(&mut self) -> (Vec<Value>, Option<i32>) {
        let mut said = Vec::new();
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => said.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the demo did not end in time"),
            }
        }
        (said, self.child.wait().unwrap().code())
    }
}

fn callctl() -> PathBuf {
    let callctl = PathBuf::from(env!("CARGO_BIN_EXE_callctl"));
    let daemon = callctl.with_file_name("callarbiterd");
    assert!(daemon.is_file(), "{} is missing: `cargo build -p callarbiterd`", daemon.display());
    callctl
}

#[test]
fn the_story_is_true_and_everything_is_gone_afterwards() {
    let (steps, status) = Demo::start(&["--once"]).finish();
    assert_eq!(status, Some(0));
    let told: Vec<&str> = steps.iter().filter_map(|step| step["true"].as_str()).collect();
    assert_eq!(told.len(), 5, "{told:?}");
    let last = &steps.last().unwrap()["board"];
    assert_eq!(last["calls"].as_array().unwrap().len(), 1);
    assert_eq!(last["calls"][0]["state"], "active");
    assert_eq!(last["calls"][0]["audio"], true);
}

#[test]
fn it_stays_until_it_is_asked_to_end_and_takes_its_bus_along() {
    let mut demo = Demo::start(&[]);
    let running = loop {
        let line = demo.lines.recv_timeout(DEADLINE).expect("the demo got to the end of its story");
        if line["running"] == true {
            break line;
        }
    };
    let address = running["address"].as_str().unwrap();
    let list = Command::new(env!("CARGO_BIN_EXE_callctl"))
        .args(["--json", "--bus", address, "list"])
        .output()
        .unwrap();
    let board: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(board["calls"][0]["state"], "active");
    let socket = socket(address);
    assert!(socket.exists());
    let terminated =
        Command::new("kill").args(["-s", "TERM", &demo.child.id().to_string()]).status();
    assert!(terminated.unwrap().success());
    assert_eq!(demo.finish().1, Some(0));
    assert!(!socket.exists(), "the arbiter was not asked to end");
}

#[test]
fn a_reader_that_leaves_ends_it_without_leaving_anything_behind() {
    let mut command = Command::new(callctl());
    command.args(["--json", "demo", "--speed", "50"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    // The reader, and with it this end of the pipe, is gone after the first line.
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let step: Value = serde_json::from_str(&line).unwrap();
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait().unwrap().code()));
    assert_eq!(ended.recv_timeout(DEADLINE).expect("the demo ended"), Some(0));
    assert!(!socket(step["bus"].as_str().unwrap()).exists(), "the arbiter was left behind");
}

fn socket(address: &str) -> &Path {
    Path::new(address.strip_prefix("unix:path=").unwrap())
}

#[test]
fn a_daemon_that_serves_nothing_makes_it_fail_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let callctl = dir.path().join("callctl");
    // A copy of its own, so that what lies beside it is what this test put there.
    std::fs::copy(env!("CARGO_BIN_EXE_callctl"), &callctl).unwrap();
    let fake = dir.path().join("callarbiterd");
    std::fs::write(&fake, "#!/bin/sh\nexit 7\n").unwrap();
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(&callctl).args(["demo", "--once"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(
        complaint.contains("it ended without saying its address (exit status: 7)"),
        "{complaint}"
    );
    std::fs::remove_file(&fake).unwrap();
    symlink("/bin/false", &fake).unwrap();
    let output = Command::new(&callctl).args(["demo", "--once"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
