//! The Python example passes `callctl conformance`; the same example with one fault fails at that fault only.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{path::PathBuf, process::Command};

use serde_json::Value;

const PYTHON: &str = "/usr/bin/python3";
/// The example with a line of Python run before it begins: the fault.
const FAULTY: &str =
    "import sys, provider; p = provider; D = p.Delegate; exec(sys.argv.pop(1)); p.main()";
const NOTHING: &str = "pass";

/// The rules that failed, those that were not tried, and the exit status.
fn verdicts(fault: &str, incoming: bool) -> (Vec<String>, Vec<String>, Option<i32>) {
    let callctl = PathBuf::from(env!("CARGO_BIN_EXE_callctl"));
    let daemon = callctl.with_file_name("callarbiterd");
    assert!(daemon.is_file(), "{} is missing: `cargo build -p callarbiterd`", daemon.display());
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/python");
    let mut command = Command::new(callctl);
    command.env("PYTHONPATH", examples).env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(["--json", "conformance"]);
    if incoming {
        // The example has its call come by itself.
        command.args(["--incoming", "true"]);
    }
    command.args(["--", PYTHON, "-c", FAULTY, fault, "--bus", "{bus}"]);
    if incoming {
        command.args(["--incoming", "sip:rabbit@example.org"]);
    }
    let output = command.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).expect(&complaint);
    let with = |verdict: &str| {
        let rules = report["rules"].as_array().unwrap().iter();
        let rules = rules.filter(|rule| rule["verdict"] == verdict);
        rules.map(|rule| rule["name"].as_str().unwrap().to_owned()).collect()
    };
    (with("failed"), with("not-tried"), output.status.code())
}

#[test]
fn the_python_example_passes_every_rule() {
    assert_eq!(verdicts(NOTHING, true), (vec![], vec![], Some(0)));
}

#[test]
fn what_was_not_tried_does_not_count_as_passed() {
    let untried = ["reports-incoming", "answers"].map(str::to_owned).to_vec();
    assert_eq!(verdicts(NOTHING, false), (vec![], untried, Some(0)));
}

#[test]
fn each_fault_fails_its_own_rule() {
    let ignore = |method: &str| format!("D.{method} = lambda self, *_: None");
    for (fault, rule) in [
        ("p.register = lambda *_: None".to_owned(), "registers"),
        ("p.report_incoming = lambda *_: None".to_owned(), "reports-incoming"),
        (ignore("PerformAnswer"), "answers"),
        ("D.PerformStart = D.refuse".to_owned(), "starts"),
        (ignore("AudioActivated"), "opens-audio"),
        ("D.PerformSetMuted = D.refuse".to_owned(), "mutes"),
        ("D.PerformPlayDtmf = D.refuse".to_owned(), "plays-tones"),
        (ignore("PerformSetHeld"), "holds"),
        (ignore("AudioDeactivated"), "closes-audio"),
        ("h = D.PerformSetHeld; D.PerformSetHeld = p.accepts_additional_arguments(lambda s, r, c, held, o, call_info: h(s, r, c, held, o, call_info=call_info) if held else D.refuse(s, r, call_info=call_info))".to_owned(), "resumes"),
        (ignore("PerformEnd"), "ends"),
        ("D.PerformEnd = D.refuse".to_owned(), "ends"),
    ] {
        let (failed, _, status) = verdicts(&fault, true);
        assert_eq!((failed, status), (vec![rule.to_owned()], Some(1)), "{fault}");
    }
}
