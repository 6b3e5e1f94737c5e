//! The agent as a process: its command line, its end, and that it comes to an arbiter that is late.

use std::process::Command;

use anyhow::Result;
use harness::{Arbiter, Bus, Launch, eventually};

use crate::desk::{Desk, agent};

#[test]
fn version_help_and_a_wrong_command_line() -> Result<()> {
    let run =
        |args: &[&str]| Command::new(agent()?).args(args).output().map_err(anyhow::Error::from);
    let version = run(&["--version"])?;
    assert!(String::from_utf8(version.stdout)?.contains(env!("CARGO_PKG_VERSION")));
    let help = run(&["--help"])?;
    assert!(help.status.success() && String::from_utf8(help.stdout)?.contains("--only"));
    let wrong: [&[&str]; 4] = [&["--explode"], &["--bus", "tram"], &["--only", "x"], &["extra"]];
    for args in wrong {
        let refused = run(args)?;
        let said = String::from_utf8(refused.stderr)?;
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains("--help"), "{args:?}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_configuration_with_a_mistake_is_refused_with_its_line() -> Result<()> {
    let desk = Desk::new().await?;
    let file = desk.bus().directory().join("agent.toml");
    std::fs::write(&file, "[players]\nresume = \"sometimes\"\n")?;
    let agent = desk.launch(agent()?)?.arg("--bus").arg("session").arg("--config").arg(&file);
    let mut agent = agent.start(desk.bus().directory())?;
    assert_eq!(agent.end().await?.code(), Some(1));
    let log = agent.log();
    assert!(log.contains("agent.toml") && log.contains("line 2"), "{log}");
    Ok(())
}

#[tokio::test]
async fn asked_to_stop_it_ends_well() -> Result<()> {
    let desk = Desk::new().await?;
    for signal in ["TERM", "INT"] {
        let mut agent = desk.agent("players").await?;
        agent.signal(signal)?;
        assert!(agent.end().await?.success(), "{}", agent.log());
    }
    Ok(())
}

#[tokio::test]
async fn it_waits_for_an_arbiter_and_takes_its_roles_again_after_a_restart() -> Result<()> {
    let bus = Bus::session().await?;
    let agent = Launch::new(agent()?)
        .env("DBUS_SESSION_BUS_ADDRESS", bus.address())
        .arg("--bus")
        .arg("session")
        .start(bus.directory())?;
    let says = async |words: &str, times: usize| {
        eventually(words, async || (agent.log().matches(words).count() >= times).then_some(()))
            .await
    };
    says("waiting for one", 1).await?;
    let mut arbiter = Arbiter::on(bus, "[agents]\nunits = [\"*\"]\n").await?;
    says("took the roles", 1).await?;
    arbiter.crash_and_restart().await?;
    says("took the roles", 2).await?;
    Ok(())
}

#[tokio::test]
async fn it_ends_with_the_bus() -> Result<()> {
    let mut desk = Desk::new().await?;
    let mut agent = desk.agent("players").await?;
    desk.arbiter.bus.kill()?;
    let status = agent.end().await?;
    assert_eq!(status.code(), Some(1), "{}", agent.log());
    Ok(())
}
