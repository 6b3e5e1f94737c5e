//! The daemon as a process: how it starts, ends, reads its configuration again and survives; and that
//! each end that nobody asked for is a failure with a reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs;
use std::process::Command;

use anyhow::Result;
use harness::{ALLOW, Arbiter, Bus, Daemon, FakeProvider, Launch, NAME, Process, ROOT, eventually};
use tempfile::TempDir;

#[test]
fn version_help_and_a_wrong_command_line() -> Result<()> {
    let run = |args: &[&str]| {
        Command::new(Daemon::program()?).args(args).output().map_err(anyhow::Error::from)
    };
    let version = run(&["--version"])?;
    assert!(version.status.success());
    assert!(String::from_utf8(version.stdout)?.contains(env!("CARGO_PKG_VERSION")));
    let help = run(&["--help"])?;
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout)?;
    for option in ["--bus", "--config", "--state", "--log", "--version", "SIGHUP"] {
        assert!(help.contains(option), "{help}");
    }
    let wrong: [&[&str]; 6] = [
        &["--explode"],
        &["extra"],
        &["--bus"],
        &["--bus", "tram"],
        &["--bus", "tcp:host=localhost,port=1"],
        &["--log", "info,bus=loud"],
    ];
    for args in wrong {
        let refused = run(args)?;
        let said = String::from_utf8(refused.stderr)?;
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains("--help"), "{args:?}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn asked_to_stop_it_leaves_cleanly() -> Result<()> {
    for signal in ["TERM", "INT"] {
        let mut arbiter = Arbiter::on_session_bus().await?;
        let watcher = arbiter.bus.connect().await?;
        arbiter.daemon.process.signal(signal)?;
        let status = arbiter.daemon.process.end().await?;
        assert!(status.success(), "SIG{signal}: {status}\n{}", arbiter.daemon.process.log());
        assert_eq!(watcher.owner(NAME).await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn a_line_is_written_though_nothing_else_happens() -> Result<()> {
    let arbiter = Arbiter::on_session_bus().await?;
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    let call = phone.report_incoming("sip:rabbit@example.org").await?;
    let line = || {
        let log = arbiter.daemon.process.log();
        log.lines().find(|line| line.contains("call begins")).map(str::to_owned)
    };
    let line = eventually("its line", async || line()).await?;
    assert!(line.contains(&call.uuid), "{line}");
    Ok(())
}

#[tokio::test]
async fn asked_to_stop_it_leaves_no_line_unwritten() -> Result<()> {
    let mut arbiter = Arbiter::on_session_bus().await?;
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    let mut reported = Vec::new();
    for n in 0..50 {
        let call = phone.report_incoming(&format!("sip:rabbit{n}@example.org")).await?;
        phone.report_ended(&call.uuid, "remote-ended").await?;
        reported.push(call.uuid);
    }
    arbiter.stop("TERM").await?;
    let log = arbiter.daemon.process.log();
    let (before, _) = log.split_once("SIGTERM asks for the end").expect(&log);
    let begun: Vec<&str> = before.lines().filter(|line| line.contains("call begins")).collect();
    assert_eq!(begun.len(), reported.len(), "{log}");
    for (line, uuid) in begun.iter().zip(&reported) {
        assert!(line.contains(uuid), "in the order in which they came: {uuid}\n{log}");
    }
    let ended = |line: &&str| line.contains("new=\"ended\"");
    assert_eq!(before.lines().filter(ended).count(), reported.len(), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_second_one_fails_and_the_first_goes_on() -> Result<()> {
    let arbiter = Arbiter::on_session_bus().await?;
    let mut second = Daemon::launch(&arbiter.bus, ALLOW)?.process;
    assert_fails(&mut second, &[NAME]).await?;
    arbiter.bus.connect().await?.view().await?;
    Ok(())
}

/// What happened while there was none is kept before the name is taken, so nobody tells it a second time.
#[tokio::test]
async fn who_does_not_get_the_name_leaves_no_line_unwritten() -> Result<()> {
    let mut arbiter = Arbiter::on_session_bus().await?;
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    phone.report_incoming("sip:rabbit@example.org").await?;
    arbiter.stop("KILL").await?;
    let other = arbiter.bus.connect().await?;
    let name = phone.peer.name();
    drop(phone);
    let gone = async || other.owner(&name).await.is_ok_and(|owner| owner.is_none()).then_some(());
    eventually("the app is gone", gone).await?;
    let _: u32 = other.bus("RequestName", &(NAME, 0u32)).await?;
    let mut second = Daemon::launch(&arbiter.bus, ALLOW)?.process;
    assert_fails(&mut second, &[NAME, "provider is gone"]).await
}

#[tokio::test]
async fn its_name_cannot_be_taken_away() -> Result<()> {
    let arbiter = Arbiter::on_session_bus().await?;
    let thief = arbiter.bus.connect().await?;
    let replace_existing = 2u32;
    let in_queue: u32 = thief.bus("RequestName", &(NAME, replace_existing)).await?;
    assert_eq!(in_queue, 2, "waiting behind the daemon is all that a thief gets");
    assert_ne!(thief.owner(NAME).await?, Some(thief.name()));
    Ok(())
}

#[tokio::test]
async fn without_its_bus_it_fails() -> Result<()> {
    let mut arbiter = Arbiter::on_session_bus().await?;
    arbiter.bus.kill()?;
    assert_fails(&mut arbiter.daemon.process, &["bus"]).await?;
    let mut nowhere = start(&["--bus", "unix:path=/nonexistent/bus"])?;
    assert_fails(&mut nowhere.process, &["/nonexistent/bus", "cannot be reached"]).await
}

#[tokio::test]
async fn a_configuration_with_a_mistake_does_not_start() -> Result<()> {
    let bus = Bus::session().await?;
    let mistakes = [
        ("authorization = \"perhaps\"\n", "perhaps"),
        ("[deadlines]\n\nanswer-ms = \"soon\"\n", "3"),
        ("authorisation = \"allow\"\n", "authorisation"),
        ("[[[", "1"),
    ];
    for (text, told) in mistakes {
        let mut daemon = Daemon::launch(&bus, text)?.process;
        assert_fails(&mut daemon, &["callarbiter.toml", told]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn it_reads_its_configuration_again() -> Result<()> {
    let mut arbiter = Arbiter::on_session_bus().await?;
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    let call = phone.report_incoming("sip:rabbit@example.org").await?;
    let before = phone.peer.view().await?;

    reload(&arbiter, "authorization = \"perhaps\"\n", "old configuration stays").await?;
    assert_eq!(authorization(&phone).await?, "authorized");

    let denied = "authorization = \"allow\"\n[apps]\n\"org.example.Phone\" = \"deny\"\n";
    reload(&arbiter, denied, "read again").await?;
    eventually("the app is restricted", async || {
        (authorization(&phone).await.ok()? != "authorized").then_some(())
    })
    .await?;
    phone.wait_asked("AuthorizationSet", 1).await?;
    let refused = phone.report_incoming("sip:hatter@example.org").await.unwrap_err();
    assert!(refused.to_string().contains("NotAuthorized"), "{refused}");

    // Live calls are not touched.
    let after = phone.peer.view().await?;
    assert_eq!(after.objects[&call.path], before.objects[&call.path]);
    assert!(arbiter.daemon.process.ended().is_none());
    Ok(())
}

#[tokio::test]
async fn without_its_state_it_starts_afresh() -> Result<()> {
    let mut arbiter = Arbiter::on_session_bus().await?;
    let nothing = std::path::Path::new("none");
    let restart = async |arbiter: &mut Arbiter, signal: &str| {
        arbiter.stop(signal).await?;
        let daemon = Daemon::launch_with(&arbiter.bus, ALLOW, nothing, &[])?;
        arbiter.daemon = daemon.ready(&arbiter.bus).await?;
        anyhow::Ok(())
    };
    restart(&mut arbiter, "TERM").await?;
    let phone = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    let call = phone.report_incoming("sip:rabbit@example.org").await?;
    let epoch = phone.peer.property(ROOT, "Manager", "Epoch").await?;
    restart(&mut arbiter, "TERM").await?;
    phone.wait_asked("Reset", 1).await?;
    // Another epoch tells every client that what it knew is void.
    assert_ne!(phone.peer.property(ROOT, "Manager", "Epoch").await?, epoch);
    assert_eq!(phone.peer.view().await?.objects.len(), 1);
    let back = FakeProvider::register(&arbiter.bus, "org.example.Phone").await?;
    back.report_incoming_call(&call.uuid, &harness::Options::new()).await?;
    back.peer.answer(&call.path).await?;
    Ok(())
}

#[tokio::test]
async fn the_embedded_bus_needs_nothing() -> Result<()> {
    let mut embedded = start(&["--bus", "embedded"])?;
    let process = &embedded.process;
    let address =
        eventually("the address", async || process.output().lines().next().map(str::to_owned))
            .await?;
    let client = zbus::connection::Builder::address(address.as_str()).build().await?;
    let properties = Some("org.freedesktop.DBus.Properties");
    let get = (harness::interface("Manager"), "Version");
    let reply = client.call_method(Some(NAME), ROOT, properties, "Get", &get).await?;
    let version: zbus::OwnedVariant = reply.body().deserialize()?;
    assert_eq!(String::try_from(version)?, env!("CARGO_PKG_VERSION"));
    assert_eq!(process.output().lines().count(), 1, "nothing but the address");
    embedded.process.signal("TERM")?;
    assert!(embedded.process.end().await?.success());
    Ok(())
}

async fn reload(arbiter: &Arbiter, config: &str, told: &str) -> Result<()> {
    fs::write(&arbiter.daemon.config, config)?;
    arbiter.daemon.process.signal("HUP")?;
    let log = || arbiter.daemon.process.log();
    eventually(told, async || log().contains(told).then_some(())).await
}

async fn authorization(phone: &FakeProvider) -> Result<String> {
    let value = phone.peer.property(&phone.path, "Provider", "Authorization").await?;
    Ok(String::try_from(value)?)
}

/// It ends with status 1, and its log tells why in these words.
async fn assert_fails(process: &mut Process, told: &[&str]) -> Result<()> {
    let status = process.end().await?;
    let log = process.log();
    assert_eq!(status.code(), Some(1), "{status}\n{log}");
    for words in told {
        assert!(log.contains(words), "{words:?} is not said in:\n{log}");
    }
    Ok(())
}

/// A daemon without one of the harness's buses.
struct Alone {
    process: Process,
    _directory: TempDir,
}

fn start(args: &[&str]) -> Result<Alone> {
    let directory = TempDir::new()?;
    let mut launch = Launch::new(Daemon::program()?);
    for arg in args {
        launch = launch.arg(arg);
    }
    let process = launch.start(directory.path())?;
    Ok(Alone { process, _directory: directory })
}
