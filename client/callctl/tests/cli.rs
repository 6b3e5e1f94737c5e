//! callctl as a script sees it: exit statuses, and what goes to standard output and to standard error.
//!
//! No arbiter runs here; that is what these tests are about.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::process::{Command, Output};

const NO_BUS: &str = "unix:path=/nonexistent/callarbiter-test/bus";

fn callctl(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_callctl"))
        .args(arguments)
        .env_remove("CALLARBITER_BUS")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn an_unreachable_arbiter_is_exit_status_3_for_every_command_that_needs_one() {
    for command in [
        &["list"][..],
        &["watch"],
        &["show", "active"],
        &["providers"],
        &["start", "tel:+1"],
        &["answer"],
        &["transaction", "hold:active"],
        &["limits"],
        &["endpoints"],
        &["endpoint", "speakers"],
    ] {
        let output = callctl(&[&["--bus", NO_BUS], command].concat());
        assert_eq!(output.status.code(), Some(3), "{command:?}");
        assert!(output.stdout.is_empty(), "{command:?}");
        let complaint = text(&output.stderr);
        assert!(complaint.starts_with("callctl: cannot connect to the bus at"), "{complaint}");
        assert!(complaint.contains("hint: "), "{complaint}");
    }
}

#[test]
fn the_bus_may_come_from_the_environment() {
    let output = Command::new(env!("CARGO_BIN_EXE_callctl"))
        .arg("list")
        .env("CALLARBITER_BUS", NO_BUS)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains(NO_BUS));
}

#[test]
fn wrong_usage_is_exit_status_2_and_touches_no_bus() {
    for arguments in [
        &["answer", "everybody!"][..],
        &["transaction", "dance:active"],
        &["plan"],
        &["nonsense"],
        &["list", "--color", "sometimes"],
    ] {
        let output = callctl(&[&["--bus", NO_BUS], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn failures_are_json_where_json_is_asked_for() {
    let output = callctl(&["--json", "--bus", NO_BUS, "list"]);
    let complaint: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(complaint["error"], "unreachable");
    assert!(complaint["message"].as_str().unwrap().contains(NO_BUS));
}

#[test]
fn colours_are_for_terminals_unless_asked_for() {
    let plain = callctl(&["--bus", NO_BUS, "list"]);
    assert!(!text(&plain.stderr).contains('\x1b'));
    let coloured = callctl(&["--bus", NO_BUS, "--color", "always", "list"]);
    assert!(text(&coloured.stderr).contains('\x1b'));
}

#[test]
fn completions_and_manual_pages_need_no_arbiter() {
    for (shell, sign) in
        [("bash", "complete "), ("zsh", "#compdef callctl"), ("fish", "complete -c")]
    {
        let output = callctl(&["completions", shell]);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains(sign), "{shell}");
    }
    let output = callctl(&["man"]);
    assert!(output.status.success());
    assert!(text(&output.stdout).contains(".TH callctl 1"));
}
