//! The benchmarks still run against what they measure. What they measure is looked at elsewhere: a machine
//! that runs tests measures its neighbours.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::{Daemon, source};
use tempfile::TempDir;

/// A row of each part.
const ROWS: [&str; 9] = [
    "| report → observer |",
    "| answer, no observer |",
    "| answer, observer of the call |",
    "| answer, observer of everything |",
    "| 16 controllers × 8 |",
    "| 16 × 8, observer of everything",
    "| one change to 100 subscribers |",
    "| 50,000 calls on 20 connections |",
    "| 50,000 reports, a subscriber never reads |",
];

#[test]
fn every_row_is_measured() -> Result<()> {
    // Of its own, because the tests may run as another user than cargo.
    let tools = TempDir::new()?;
    let run = Command::new(source("tests/benches/run"))
        .args(["--quick", "--buses", "dbus-daemon", "--only", "report,answer,pipe,fanout,flood"])
        .arg("--daemon")
        .arg(Daemon::program()?)
        .env("CARGO_TARGET_DIR", tools.path())
        .output()
        .context("tests/benches/run does not start")?;
    let (said, wrong) =
        (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    ensure!(run.status.success(), "{}\n{said}{wrong}", run.status);
    let missing: Vec<_> = ROWS.iter().filter(|row| !said.contains(**row)).collect();
    ensure!(missing.is_empty(), "no row {missing:?} in:\n{said}");
    Ok(())
}
