//! GNOME's settings: the real service that keeps them, and the program that changes them.

use std::fs;

use anyhow::{Context, Result, ensure};
use harness::{Process, eventually};

use crate::desk::Desk;

/// GNOME's settings, as they are kept and told of.
pub async fn dconf(desk: &Desk) -> Result<Process> {
    let service = fs::read_to_string("/usr/share/dbus-1/services/ca.desrt.dconf.service");
    let service = service.context("package dconf-service is missing")?;
    let program = service.lines().find_map(|line| line.strip_prefix("Exec="));
    let program = program.context("the service file of dconf names no program")?;
    let process = desk.launch(program)?.start(desk.bus().directory())?;
    let remote = desk.bus().connect().await?;
    eventually("dconf serves", async || {
        remote.owner("ca.desrt.dconf").await.ok().flatten().map(drop)
    })
    .await?;
    Ok(process)
}

/// The program of this name.
pub async fn gsettings(desk: &Desk, words: &[&str]) -> Result<()> {
    let launch = words.iter().fold(desk.launch("gsettings")?, |launch, word| launch.arg(word));
    let mut gsettings = launch.start(desk.bus().directory())?;
    let ended = gsettings.end().await?;
    ensure!(ended.success(), "package libglib2.0-bin: {}", gsettings.log());
    Ok(())
}
