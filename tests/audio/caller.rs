//! An app that calls and has sound: its streams are children of the process that is on the bus.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::Command;

use anyhow::{Result, bail};
use harness::{FakeProvider, Reported, options};

use crate::desk::Desk;
use crate::sound::{Kind, Recording, Side, play_command, record_command, unlinked};

/// Runs every line that it gets, and becomes the process on the bus.
const SHELL: &str = r#"(while read -r line; do eval "exec setpriv --pdeathsig KILL $line" & done <"$LINES") & exec "$0" "$1""#;

pub struct Caller {
    pub provider: FakeProvider,
    kind: Kind,
    lines: File,
}

impl Caller {
    pub async fn new(desk: &Desk, kind: Kind, app_id: &str) -> Result<Caller> {
        let shell = desk.launch("sh")?;
        let fifo = desk.home().join(format!("{app_id}.lines"));
        if !Command::new("mkfifo").arg(&fifo).status()?.success() {
            bail!("mkfifo (package coreutils)");
        }
        // Open both ways: nobody waits for the other.
        let lines = OpenOptions::new().read(true).write(true).open(&fifo)?;
        let shell = shell.env("LINES", &fifo).arg("-c").arg(SHELL);
        let peer = desk.bus().connect_by(shell).await?;
        let configuration = options([("display-name", app_id.to_owned().into())]);
        let provider = FakeProvider::on(peer, app_id, &configuration).await?;
        Ok(Caller { provider, kind, lines })
    }

    /// It plays a tone.
    pub fn play(&mut self, desk: &Desk, props: &[(&str, &str)], side: Side) -> Result<()> {
        self.start(&play_command(desk, self.kind, props, side)?)
    }

    /// The same on PipeWire, where nobody links it.
    pub fn play_unlinked(&mut self, desk: &Desk, name: &str, side: Side) -> Result<()> {
        self.start(&unlinked(play_command(desk, self.kind, &[("node.name", name)], side)?))
    }

    /// It records what its microphone hears.
    pub fn record(&mut self, desk: &Desk, name: &str) -> Result<Recording> {
        let (words, file) = record_command(desk, self.kind, name)?;
        self.start(&words)?;
        Ok(Recording::of(file))
    }

    /// A call that was answered and has the audio.
    pub async fn talk(&self, handle: &str) -> Result<Reported> {
        let call = self.provider.report_incoming(handle).await?;
        self.provider.peer.answer(&call.path).await?;
        Ok(call)
    }

    fn start(&mut self, words: &[String]) -> Result<()> {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        Ok(writeln!(self.lines, "{}", quoted.join(" "))?)
    }
}
