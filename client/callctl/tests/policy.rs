//! `callctl policy` as a person types it: good files, wrong ones, and scenarios that hold or do not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::PathBuf, process::Command};

fn scenarios(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(name)
}

/// Its exit status, and all that it wrote.
fn policy(args: &[&str]) -> (Option<i32>, String) {
    let done =
        Command::new(env!("CARGO_BIN_EXE_callctl")).arg("policy").args(args).output().unwrap();
    let text = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn the_shipped_files_are_right() {
    let shipped = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../systemd/callarbiter.toml");
    let rules = scenarios("rules.toml");
    let (status, said) = policy(&["check", shipped.to_str().unwrap(), rules.to_str().unwrap()]);
    assert_eq!((status, said.matches(": right").count()), (Some(0), 2), "{said}");
}

#[test]
fn a_wrong_file_is_told_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c.toml");
    fs::write(&file, "[[rule]]\nname = \"a\"\nring = \"loud\"\n").unwrap();
    let (status, said) = policy(&["check", file.to_str().unwrap()]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("c.toml:3:8: ring is \"loud\", but must be \"silence\""), "{said}");
}

#[test]
fn an_emergency_list_that_does_nothing_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c.toml");
    fs::write(&file, "[emergency]\nhandles = [\"tel:112\"]\n").unwrap();
    let (status, said) = policy(&["check", file.to_str().unwrap()]);
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("right, but no call is an emergency call") && said.contains("no providers"),
        "{said}"
    );
}

#[test]
fn the_examples_hold() {
    let rules = scenarios("rules.toml");
    for name in ["night.scenario", "door.scenario", "room.scenario", "home.scenario"] {
        let file = scenarios(name);
        let args = ["test", file.to_str().unwrap(), "--config", rules.to_str().unwrap()];
        let (status, said) = policy(&args);
        assert_eq!(status, Some(0), "{name}: {said}");
        assert!(said.contains(", by "), "{said}");
    }
}

#[test]
fn what_is_not_as_expected_fails_with_the_difference() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wrong.scenario");
    fs::write(&file, "at 23:00\norg.example.Phone reports 1\nexpect 1 ended by day\n").unwrap();
    let rules = scenarios("rules.toml");
    let args = ["test", file.to_str().unwrap(), "--config", rules.to_str().unwrap()];
    let (status, said) = policy(&args);
    assert_eq!(status, Some(1), "{said}");
    for part in [
        "call 1: ringing",
        "wrong.scenario:3: ",
        "- ended\n+ ringing",
        "- by day\n+ by [\"night\"]",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
}

#[test]
fn preferences_count_behind_the_configuration_and_within_it() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let config = write(
        "c.toml",
        "[preferences]\nring-ms-max = 20000\n[[rule]]\nname = \"door\"\napps = [\"org.example.Door\"]\nring-ms = 9000\n",
    );
    let own = write(
        "preferences.toml",
        "ring_ms = 6000\n[[rule]]\nname = \"hush\"\nring = \"silence\"\n",
    );
    let scenario = write(
        "s.scenario",
        "at 09:00\norg.example.Phone reports 1\nexpect 1 ringing silenced rule by hush\n\
         org.example.Door reports 2\nexpect 2 ringing by door\nat 09:00:06\nexpect 1 ended by preferences\n\
         expect 2 ringing\nat 09:00:09\nexpect 2 ended\n",
    );
    let test = |own: &str| policy(&["test", &scenario, "--config", &config, "--preferences", own]);
    let (status, said) = test(&own);
    assert_eq!(status, Some(0), "{said}");

    let wrong = write("preferences.toml", "ring-ms = \"long\"\n");
    let (status, said) = test(&wrong);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("preferences.toml:1:11: ring-ms is \"long\""), "{said}");
    let (status, said) = test(&write("preferences.toml", "ring-ms = 20001\n"));
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("ring-ms is 20001, but may be 5000 to 20000"), "{said}");
}
