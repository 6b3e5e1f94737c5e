//! callarbiterd: the call arbiter as a system service.
//!
//! Owns how the parts are put together, and the exit status. What a part does is in its module; no part
//! knows this file.

use std::{
    env,
    io::{self, Write},
    panic,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result, anyhow};
use callarbiter_dbus::names::BUS_NAME;
use tokio::sync::mpsc;
use tracing::{error, info, warn};
use zbus::Address;

#[cfg(feature = "embedded")]
use callarbiterd::embedded;
use callarbiterd::{
    bus::Journal,
    cli::{self, Bus, Command, Options, State},
    config::{Config, Sources},
    keeper::{Keeper, Place},
    line::Line,
    log::{self, ids},
    platform::{
        notify,
        signals::{Request, Signals},
    },
    run::{self, Control, Surrounding},
};

fn main() -> ExitCode {
    let options = match cli::parse(env::args_os().skip(1)) {
        Ok(Command::Serve(options)) => *options,
        Ok(Command::Help) => return print(cli::HELP),
        Ok(Command::Version) => {
            return print(concat!("callarbiterd ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        Err(error) => {
            eprintln!("callarbiterd: {error}\nTry \"callarbiterd --help\".");
            return ExitCode::from(2);
        }
    };
    log::start(options.log.clone());
    match arbitrate(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let reason = format!("{error:#}");
            notify::stopping(&reason);
            error!(message_id = ids::FAILED, "{reason}");
            ExitCode::FAILURE
        }
    }
}

/// A reader that has left is no reason to fail.
fn print(text: &str) -> ExitCode {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// One thread: the order in which the bus delivers is the order in which everything happens. Without tokio's timers,
/// which would be looked at in every turn: deadlines have an alarm of their own.
fn arbitrate(options: Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    runtime.context("the event loop cannot be made")?.block_on(serve(options))
}

async fn serve(options: Options) -> Result<()> {
    let signals = Signals::catch().context("signals cannot be caught")?;
    let sources = sources(&options);
    let config = sources.load()?;
    let (keeper, found) = Keeper::open(place(&options).as_ref())
        .with_context(|| format!("{BUS_NAME} cannot be served"))?;
    let bus = reach(&options.bus).await?;
    let (control, commands) = mpsc::unbounded_channel();
    let journal = Journal::default();
    write_before_panics(journal.clone());
    let listener = tokio::spawn(obey(signals, sources, journal.clone(), control));
    // polkit and logind are on the system bus, and a session bus has one user.
    let system = options.bus == Bus::System;
    let line = bus.line.clone();
    let written = journal.clone();
    let around = Surrounding { polkit: system, logind: system, keeper, found, journal };
    let served = run::serve(line, config, around, commands, || bus.announce()).await;
    // However it ended, even before it began.
    written.write();
    listener.abort();
    Ok(served?)
}

/// Where calls survive the process.
fn place(options: &Options) -> Option<Place> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    let directory = match (&options.state, &options.bus) {
        (State::None, _) => return None,
        (State::At(directory), _) => {
            return Some(Place { directory: directory.clone(), required: true });
        }
        (State::Default, Bus::System | Bus::Session) if variable("RUNTIME_DIRECTORY").is_some() => {
            // systemd separates several by colons; ours is the first.
            let directories = variable("RUNTIME_DIRECTORY")?;
            env::split_paths(&directories).next()?
        }
        (State::Default, Bus::System) => "/run/callarbiter".into(),
        (State::Default, Bus::Session) => {
            PathBuf::from(variable("XDG_RUNTIME_DIR")?).join("callarbiter")
        }
        (State::Default, _) => return None,
    };
    Some(Place { directory, required: false })
}

fn sources(options: &Options) -> Sources {
    let sources = match (&options.bus, options.config.clone()) {
        #[cfg(feature = "embedded")]
        (Bus::Embedded, file) => Sources::for_private_bus(file),
        (_, Some(file)) => Sources::only(file),
        (_, None) => Sources::installed(),
    };
    let sources = match options.apps.clone() {
        Some(directory) => sources.with_packages(directory),
        None => sources,
    };
    sources.in_local_time()
}

/// The bus, and what must live as long as the line to it.
struct Reached {
    line: Line,
    #[cfg(feature = "embedded")]
    own: Option<embedded::EmbeddedBus>,
}

async fn reach(bus: &Bus) -> Result<Reached> {
    #[cfg(feature = "embedded")]
    let mut own = None;
    let (address, name) = match bus {
        Bus::System => (Address::system(), "the system bus".to_owned()),
        Bus::Session => (Address::session(), "the session bus".to_owned()),
        Bus::At(address) => (Ok(address.clone()), format!("the bus at {address}")),
        #[cfg(feature = "embedded")]
        Bus::Embedded => {
            let bus = own.insert(embedded::EmbeddedBus::start().await?);
            (Ok(bus.address().clone()), "the embedded bus".to_owned())
        }
    };
    let line = match address {
        Ok(address) => Line::connect(&address).await,
        Err(error) => Err(error),
    };
    // Not as a context: this error tells its causes itself.
    let line = line.map_err(|error| anyhow!("{name} cannot be reached: {error}"))?;
    Ok(Reached {
        line,
        #[cfg(feature = "embedded")]
        own,
    })
}

impl Reached {
    fn announce(&self) {
        info!(message_id = ids::STARTED, "serving");
        #[cfg(feature = "embedded")]
        if let Some(bus) = &self.own {
            print(&format!("{}\n", bus.address()));
        }
        notify::ready(notify::OK);
    }
}

/// What led to a panic is written before it is told.
fn write_before_panics(journal: Journal) {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        journal.write();
        tell(panic);
    }));
}

/// Turns signals into commands until the loop that takes them is gone.
async fn obey(
    mut signals: Signals,
    sources: Sources,
    journal: Journal,
    control: mpsc::UnboundedSender<Control>,
) {
    loop {
        let request = signals.next().await;
        // It came after what waits to be written.
        journal.write();
        let command = match request {
            Request::Stop(signal) => {
                info!(message_id = ids::STOPPED, "{signal} asks for the end");
                notify::stopping(signal);
                Control::Stop
            }
            Request::Reload => match reload(&sources) {
                Some(config) => Control::Configure(Box::new(config)),
                None => continue,
            },
        };
        if control.send(command).is_err() {
            return;
        }
    }
}

/// A configuration with a mistake is as if it had not been written.
fn reload(sources: &Sources) -> Option<Config> {
    notify::reloading();
    let loaded = sources.load();
    match &loaded {
        Ok(_) => {
            info!(message_id = ids::RELOADED, "the configuration was read again");
            notify::ready(notify::OK);
        }
        Err(error) => {
            let message = format!("{error}; the old configuration stays in force");
            warn!(message_id = ids::RELOAD_REFUSED, "{message}");
            notify::ready(&message);
        }
    }
    loaded.ok()
}
