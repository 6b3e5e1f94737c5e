//! `callctl record`: what the arbiter writes down, as lines of a file.
//!
//! Owns the file and when it ends. Every line is whole, so that a recording that is cut off is worth what it has.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use callarbiter_core::Line as Told;
use callarbiter_dbus::{Dict, Error, proxies};
use callarbiter_records::{Fault, read};
use futures_util::{FutureExt, StreamExt};
use serde::Serialize;
use tokio::time::sleep;
use zbus::{Connection, OwnedVariant, Variant, connection::Builder};

use super::Record;
use crate::{
    failure::Failure,
    interrupt::Interrupt,
    output::Output,
    paint::{Line, Style},
};

#[derive(Serialize)]
struct Recorded {
    lines: u64,
}

/// Until somebody ends it.
pub async fn run(options: Record, bus: &str, output: &Output) -> Result<(), Failure> {
    let mut interrupt = Interrupt::listen()?;
    let connection = connect(bus).await?;
    let failed = |error: zbus::Error| failure(bus, &error);
    let manager = proxies::manager(&connection).await.map_err(failed)?;
    let mut told = manager.receive_recorded().await.map_err(failed)?;
    let mut owners = manager.inner().receive_owner_changed().await.map_err(failed)?;
    let mut asked = Dict::new();
    if let Some(bytes) = options.bytes {
        let value = OwnedVariant::try_from(Variant::from(bytes));
        asked.insert("bytes".to_owned(), value.map_err(failed)?);
    }
    let mut file = Sink::open(&options.file, options.force)?;
    if let Err(error) = manager.record(&asked).await {
        file.withdraw();
        return Err(failed(error));
    }
    let to_file = options.file != Path::new("-");
    if to_file {
        output.note(Style::Faint, "The calls of this user are being recorded; end it with Ctrl-C.");
    }
    let time = async {
        match options.seconds {
            Some(seconds) => sleep(Duration::from_secs(seconds.into())).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(time);
    loop {
        tokio::select! {
            signal = told.next() => {
                let Some(signal) = signal else {
                    return Err(lost(bus));
                };
                if file.take(&signal.args().map_err(failed)?)? {
                    break;
                }
            }
            () = interrupt.arrived() => break,
            () = &mut time => break,
            () = output.deserted(), if !to_file => break,
            Some(owner) = owners.next() => if owner.is_none() { return Err(lost(bus)) },
        }
    }
    // What was on its way when it was ended is in front of this answer.
    let _ = manager.revision().await;
    while let Some(Some(signal)) = told.next().now_or_never() {
        if file.take(&signal.args().map_err(failed)?)? {
            break;
        }
    }
    if to_file {
        let done = Recorded { lines: file.lines };
        let text = format!("{} lines are in {}.", file.lines, options.file.display());
        output.show(&done, || vec![Line::new().with(Style::Plain, text.as_str())]);
    }
    match file.ended.as_deref() {
        None | Some("time") => Ok(()),
        Some("size") => Err(Failure::refused("the recording reached its bound of bytes and ended")),
        Some("unread") => Err(Failure::refused(
            "the recording was not written as fast as things happened, and ended",
        )),
        Some("seat") => Err(Failure::refused(
            "another user of the same seat has a call: the recording ended, as it tells of one user only",
        )),
        Some("denied") => Err(Failure::refused(
            "the permission to see the calls of other apps was taken away, and the recording ended",
        )),
        Some(other) => Err(Failure::refused(format!("the recording ended: {other}"))),
    }
}

async fn connect(bus: &str) -> Result<Connection, Failure> {
    let builder = match bus {
        "system" => Builder::system(),
        "session" => Builder::session(),
        address => Builder::address(address),
    };
    let connection = builder.build().await.map_err(|error| failure(bus, &error))?;
    // From now on it is said, where the arbiter asks, that what was sent has been read.
    connection.object_server();
    Ok(connection)
}

fn failure(bus: &str, error: &zbus::Error) -> Failure {
    match Error::from_zbus(error) {
        Some(refused) if refused.kind().is_some() => crate::agent::refused(&refused),
        Some(other) => Failure::Unreachable { bus: bus.to_owned(), message: other.to_string() },
        None => Failure::Unreachable { bus: bus.to_owned(), message: error.to_string() },
    }
}

fn lost(bus: &str) -> Failure {
    Failure::Unreachable {
        bus: bus.to_owned(),
        message: "the arbiter has gone; what happened until then is recorded".to_owned(),
    }
}

struct Sink {
    to: Box<dyn Write>,
    /// To be removed where nothing is recorded.
    made: Option<std::path::PathBuf>,
    name: String,
    lines: u64,
    ended: Option<String>,
}

impl Sink {
    /// For its owner's eyes only.
    fn open(path: &Path, force: bool) -> Result<Sink, Failure> {
        let name = path.display().to_string();
        let (to, made): (Box<dyn Write>, _) = match path == Path::new("-") {
            true => (Box::new(io::stdout()), None),
            false => {
                let mut options = OpenOptions::new();
                options.write(true).mode(0o600);
                match force {
                    true => options.create(true).truncate(true),
                    false => options.create_new(true),
                };
                let file: File = options.open(path).map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => Failure::refused(format!(
                        "{name} is there already; choose another name, or write over it with --force"
                    )),
                    _ => Failure::refused(format!("{name}: {error}")),
                })?;
                (Box::new(file), (!force).then(|| path.to_owned()))
            }
        };
        Ok(Sink { to, made, name, lines: 0, ended: None })
    }

    fn withdraw(&self) {
        if let Some(path) = &self.made {
            // An empty file at worst.
            let _ = std::fs::remove_file(path);
        }
    }

    /// True: that was the last.
    fn take(&mut self, told: &proxies::RecordedArgs<'_>) -> Result<bool, Failure> {
        if *told.number() != self.lines {
            return Err(Failure::refused(format!(
                "lines {} to {} did not arrive; what is in front of them is recorded",
                self.lines,
                told.number()
            )));
        }
        let mut text = Vec::new();
        for line in told.lines() {
            let line: Told = read(line).map_err(|fault| match fault {
                Fault::Newer => Failure::refused(
                    "the arbiter is newer than this callctl and tells what it does not know; update callctl",
                ),
                Fault::Damaged(why) => Failure::refused(format!("what the arbiter tells makes no sense: {why}")),
            })?;
            serde_json::to_writer(&mut text, &line).map_err(|error| {
                Failure::refused(format!("what the arbiter tells makes no sense: {error}"))
            })?;
            text.push(b'\n');
            self.lines += 1;
            if let Told::End { reason } = line {
                self.ended = Some(reason);
            }
        }
        let written = self.to.write_all(&text).and_then(|()| self.to.flush());
        written.map_err(|error| Failure::refused(format!("{}: {error}", self.name)))?;
        Ok(self.ended.is_some())
    }
}
