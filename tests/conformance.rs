//! The project's own examples pass `callctl conformance`: Rust, Python, C, and a real SIP telephone (baresip) with
//! another one at the far end. That broken apps fail is checked beside callctl itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::ffi::OsStr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::sip::{FarEnd, Softphone};
use harness::{PATIENCE, built, source};
use serde_json::Value;
use tokio::{process::Command, time::timeout};

/// Against a trial that hangs: each of its rules may wait for an app as long as for anything else.
const DEADLINE: Duration = PATIENCE.saturating_mul(60);
/// What is tried only of an app that holds as a mobile network does.
const MODEMS: &str = "performs-whole";
/// They answer at once.
const QUICK: &str = "asks-for-time";
/// What is not tried of an app with neither video nor conferences.
const PLAIN: [&str; 7] =
    ["turns-video", MODEMS, "joins", "holds-group", "leaves", "starts-video", QUICK];
const PLAYED: [&str; 14] = [
    "--unreachable",
    "sip:nobody@example.org",
    "--busy",
    "sip:busy@example.org",
    "--dial",
    "kill -ALRM $APP_PID",
    "--incoming",
    "kill -USR1 $APP_PID",
    "--remote-end",
    "kill -USR2 $APP_PID",
    "--remote-hold",
    "kill -HUP $APP_PID",
    "--remote-resume",
    "kill -HUP $APP_PID",
];

#[tokio::test]
async fn the_rust_example_keeps_every_rule() -> Result<()> {
    let program = built("examples/speakerbox", "-p callarbiter --example speakerbox")?;
    let arguments = [OsStr::new("--"), program.as_os_str(), OsStr::new("{bus}")];
    let arguments = PLAYED.map(OsStr::new).into_iter().chain(arguments);
    keeps_every_rule_but([MODEMS, QUICK], arguments).await
}

#[tokio::test]
async fn the_python_example_keeps_every_rule() -> Result<()> {
    python_keeps_every_rule_but([MODEMS, QUICK], &[]).await
}

#[tokio::test]
async fn as_a_modem_the_python_example_keeps_the_rules_for_modems_as_well() -> Result<()> {
    python_keeps_every_rule_but([QUICK], &["--modem"]).await
}

#[tokio::test]
async fn the_c_example_keeps_every_rule() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let build = format!("BUILD={}", directory.path().display());
    let sources = source("client/examples/c");
    let made = Command::new("make").arg("-C").arg(sources).arg(build).output().await?;
    ensure!(made.status.success(), "make: {}", String::from_utf8_lossy(&made.stderr));
    let program = directory.path().join("provider");
    let app = [OsStr::new("--"), program.as_os_str(), OsStr::new("--bus"), OsStr::new("{bus}")];
    let arguments = PLAYED.map(OsStr::new).into_iter().chain(app);
    keeps_every_rule_but(PLAIN, arguments).await
}

#[tokio::test]
async fn a_real_sip_telephone_keeps_every_rule() -> Result<()> {
    let phone = Softphone::start("alice").await?;
    let far = Softphone::answering("yann").await?;
    let busy = FarEnd::start("xena").await?;
    let engaged = busy.uri();
    let refuses = async {
        while busy.wait("INVITE").await.is_err() {}
        busy.refuse("486 Busy Here").await?;
        std::future::pending().await
    };
    let call = by_control(&far, &format!("dial {}", phone.uri()));
    let [hang_up, hold, resume] =
        ["hangup", "hold", "resume"].map(|command| by_control(&far, command));
    let nobody = far.uri().replace("yann", "nobody");
    let microphone = phone.microphone();
    let program = built("examples/baresip", "-p callarbiter --example baresip")?;
    let program = program.to_str().context("a path that is text")?;
    let arguments = [
        ["--handle", far.uri()],
        ["--unreachable", &nobody],
        ["--busy", &engaged],
        ["--incoming", &call],
        ["--remote-end", &hang_up],
        ["--remote-hold", &hold],
        ["--remote-resume", &resume],
        ["--", program],
        ["--bus", "{bus}"],
        ["--control", phone.control_address()],
        ["--source", &microphone],
        ["--player", "aubridge,player"],
    ];
    let untried = PLAIN.into_iter().flat_map(|rule| match rule {
        // What is dialled at its own keyboard it does not follow.
        "starts-video" => vec![rule, "reports-own"],
        _ => vec![rule],
    });
    let arguments = arguments.iter().flatten().map(OsStr::new);
    tokio::select! {
        kept = keeps_every_rule_but(untried, arguments) => kept,
        refused = refuses => refused,
    }
}

async fn python_keeps_every_rule_but(
    untried: impl IntoIterator<Item = &str>,
    more: &[&str],
) -> Result<()> {
    let program = source("client/examples/python/provider.py");
    let app = [OsStr::new("--"), OsStr::new("/usr/bin/python3"), program.as_os_str()];
    let more = ["--bus", "{bus}"].iter().chain(more).map(OsStr::new);
    let arguments = PLAYED.map(OsStr::new).into_iter().chain(app).chain(more);
    keeps_every_rule_but(untried, arguments).await
}

async fn keeps_every_rule_but(
    untried: impl IntoIterator<Item = &str>,
    arguments: impl Iterator<Item = &OsStr>,
) -> Result<()> {
    let trial = Command::new(built("callctl", "-p callctl")?)
        .args(["--json", "conformance"])
        .args(arguments)
        .kill_on_drop(true)
        .output();
    let output = timeout(DEADLINE, trial).await.context("the trial hangs")??;
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).with_context(|| said.to_string())?;
    let rules = report["rules"].as_array().context("rules")?;
    let with = |verdict: &str| -> Vec<&Value> {
        rules.iter().filter(|rule| rule["verdict"] == verdict).collect()
    };
    assert!(with("failed").is_empty() && output.status.success(), "{:#?}\n{said}", with("failed"));
    let names: Vec<_> = with("not-tried").iter().map(|rule| rule["name"].clone()).collect();
    assert_eq!(names, Vec::from_iter(untried), "{:#?}", with("not-tried"));
    Ok(())
}

/// A command line by which a running baresip does this, and has said so.
fn by_control(softphone: &Softphone, command: &str) -> String {
    let (name, parameters) = command.split_once(' ').unwrap_or((command, ""));
    let body = serde_json::json!({ "command": name, "params": parameters }).to_string();
    let (host, port) = softphone.control_address().rsplit_once(':').expect("host and port");
    let told = format!("{}:{body},", body.len());
    format!(
        "exec bash -c 'exec 3<>/dev/tcp/{host}/{port} && printf %s \"$0\" >&3 && read -rN 1 <&3' '{told}'"
    )
}
