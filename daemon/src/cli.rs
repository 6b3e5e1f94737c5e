//! The command line: what callarbiterd was asked to do.
//!
//! Owns the options, their words and the help. Opens nothing and reads no file.

use std::{ffi::OsString, path::PathBuf};

use thiserror::Error;
use zbus::{Address, address::Transport};

use crate::log::Filter;

/// The help, worth reading.
pub const HELP: &str = "\
callarbiterd arbitrates the phone calls of all apps of a machine: it decides which call rings, speaks or
is held, and tells every app and the desktop about it over D-Bus as org.callarbiter.Calls1.

Usage: callarbiterd [OPTIONS]

Options:
      --bus BUS      Where to serve [default: system]
                       system    the system bus, one arbiter for all users
                       session   the session bus, for one user
                       embedded  a private bus of its own; its address is the one line on stdout,
                                 every app may provide calls, /etc is not read
                       ADDRESS   a D-Bus address, unix:path=/run/example/bus for example
      --config FILE  Read this file (and FILE.d/*.toml, apps.d/*.toml beside it) instead of
                     /etc/callarbiter/callarbiter.toml
      --apps DIR     Where packages say what their apps may do [default: /usr/lib/callarbiter/apps.d, with
                     --config nowhere]
      --state DIR    Where calls survive a crash or restart of the daemon, a private directory that a
                     reboot empties; none keeps nothing [default: the service's runtime directory, else
                     /run/callarbiter on the system bus, $XDG_RUNTIME_DIR/callarbiter on a session bus,
                     none elsewhere]
      --log SPEC     What to log: a level (error, warn, info, debug, trace, off), and others for parts of
                     the program: info,callarbiterd::bus=debug [default: info]
      --version      Print the version
  -h, --help         Print this

Signals: SIGHUP reads the configuration again, calls are not touched; SIGTERM and SIGINT end, and calls go
on when the daemon is started again.
Under systemd it logs to the journal, otherwise to stderr. Names and numbers of people are never logged.

Exit status: 0 ended as asked, 1 failed with the reason in the log, 2 the command line is wrong.

Try it without installing anything:
  callarbiterd --bus embedded
  busctl --address=ADDRESS introspect org.callarbiter.Calls1 /org/callarbiter/Calls1
";

/// What was asked for.
#[derive(Debug)]
pub enum Command {
    /// Serve.
    Serve(Box<Options>),
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
}

/// How to serve.
#[derive(Debug)]
pub struct Options {
    /// Where.
    pub bus: Bus,
    /// The one configuration file, if not the installed ones.
    pub config: Option<PathBuf>,
    /// Where packages say what their apps may do, if not where they are installed.
    pub apps: Option<PathBuf>,
    /// Where calls survive the process.
    pub state: State,
    /// What to log.
    pub log: Filter,
}

/// Where the state is to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Where it belongs on this bus.
    #[default]
    Default,
    /// Nowhere.
    None,
    /// Here.
    At(PathBuf),
}

/// A bus to serve on.
#[derive(Clone, Debug, PartialEq)]
pub enum Bus {
    /// One arbiter for all users.
    System,
    /// For one user.
    Session,
    /// Inside the program.
    #[cfg(feature = "embedded")]
    Embedded,
    /// Any other.
    At(Address),
}

/// What is wrong with the command line.
#[derive(Debug, Error)]
pub enum UsageError {
    /// An option that there is not, or one without its value.
    #[error("{0}")]
    Option(#[from] lexopt::Error),
    /// A bus that there is not.
    #[error(
        "--bus {word:?} is neither system, session, embedded nor a D-Bus address such as unix:path=/run/example/bus ({source})"
    )]
    Bus {
        /// What was given.
        word: String,
        /// Why it is no address.
        source: zbus::Error,
    },
    /// A bus behind something that has no users.
    #[error(
        "--bus {0:?}: only unix: addresses are served, since behind others nobody has a user; for example unix:path=/run/example/bus"
    )]
    Transport(String),
    /// A bus that this build has not.
    #[cfg(not(feature = "embedded"))]
    #[error(
        "--bus embedded: this callarbiterd was built without its own bus (cargo feature \"embedded\")"
    )]
    NoEmbeddedBus,
    /// A filter that says nothing.
    #[error(
        "--log {word:?}: {source}; write a level, and others for parts of the program: info,callarbiterd::bus=debug"
    )]
    Log {
        /// What was given.
        word: String,
        /// What is wrong with it.
        source: crate::log::FilterError,
    },
    /// The same option twice.
    #[error("{0} is given twice")]
    Twice(&'static str),
}

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    use lexopt::prelude::*;

    let (mut bus, mut config, mut apps, mut state, mut log) = (None, None, None, None, None);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("bus") => once(&mut bus, "--bus", parse_bus(parser.value()?.string()?)?)?,
            Long("config") => once(&mut config, "--config", PathBuf::from(parser.value()?))?,
            Long("apps") => once(&mut apps, "--apps", PathBuf::from(parser.value()?))?,
            Long("state") => once(&mut state, "--state", parse_state(parser.value()?))?,
            Long("log") => once(&mut log, "--log", parse_log(parser.value()?.string()?)?)?,
            Long("version") => return Ok(Command::Version),
            Long("help") | Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Serve(Box::new(Options {
        bus: bus.unwrap_or(Bus::System),
        config,
        apps,
        state: state.unwrap_or_default(),
        log: log.unwrap_or_default(),
    })))
}

fn once<T>(place: &mut Option<T>, option: &'static str, value: T) -> Result<(), UsageError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(UsageError::Twice(option)),
    }
}

fn parse_bus(word: String) -> Result<Bus, UsageError> {
    match word.as_str() {
        "system" => Ok(Bus::System),
        "session" => Ok(Bus::Session),
        #[cfg(feature = "embedded")]
        "embedded" => Ok(Bus::Embedded),
        #[cfg(not(feature = "embedded"))]
        "embedded" => Err(UsageError::NoEmbeddedBus),
        address => match address.parse::<Address>() {
            Ok(address) if matches!(address.transport(), Transport::Unix(_)) => {
                Ok(Bus::At(address))
            }
            Ok(_) => Err(UsageError::Transport(word)),
            Err(source) => Err(UsageError::Bus { word, source }),
        },
    }
}

fn parse_state(word: OsString) -> State {
    if word == "none" { State::None } else { State::At(word.into()) }
}

fn parse_log(word: String) -> Result<Filter, UsageError> {
    word.parse().map_err(|source| UsageError::Log { word, source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn options(arguments: &[&str]) -> Result<Options, UsageError> {
        match parse(arguments.iter().map(OsString::from))? {
            Command::Serve(options) => Ok(*options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_options_it_serves_the_system_bus() {
        let options = options(&[]).unwrap();
        assert_eq!(options.bus, Bus::System);
        assert_eq!(options.config, None);
        assert_eq!(options.state, State::Default);
    }

    #[test]
    fn every_option() {
        let options = options(&[
            "--bus=unix:path=/run/x",
            "--config",
            "/c.toml",
            "--apps=/lib/apps.d",
            "--state=/run/y",
            "--log=warn,callarbiterd=debug",
        ])
        .unwrap();
        assert!(matches!(options.bus, Bus::At(_)), "{:?}", options.bus);
        assert_eq!(options.config, Some("/c.toml".into()));
        assert_eq!(options.apps, Some("/lib/apps.d".into()));
        assert_eq!(options.state, State::At("/run/y".into()));
        assert!(matches!(parse(["--help".into()]), Ok(Command::Help)));
        assert!(matches!(parse(["-h".into()]), Ok(Command::Help)));
        assert!(matches!(parse(["--version".into()]), Ok(Command::Version)));
    }

    #[test]
    fn mistakes_are_named() {
        for (arguments, words) in [
            (&["--buss", "system"][..], "--buss"),
            (&["--bus"][..], "--bus"),
            (&["--bus", "sytsem"][..], "\"sytsem\" is neither system"),
            (&["--log", "callarbiterd=loud"][..], "callarbiterd=loud"),
            (&["--bus", "system", "--bus", "session"][..], "--bus is given twice"),
            (&["stray"][..], "stray"),
        ] {
            let refused = options(arguments).unwrap_err().to_string();
            assert!(refused.contains(words), "{arguments:?}: {refused}");
        }
    }

    #[test]
    fn the_help_names_every_option() {
        for option in ["--bus", "--config", "--apps", "--state", "--log", "--version", "--help"] {
            assert!(HELP.contains(option), "{option}");
        }
        assert!(HELP.lines().all(|line| line.len() <= 110));
    }
}
