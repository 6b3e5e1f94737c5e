//! The command line: few options, said once in [`HELP`].
//!
//! Owns their form. What they mean, the parts know.

use std::{ffi::OsString, path::PathBuf};

use callarbiter::words::Role;
use thiserror::Error;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};

/// `--help`, and what the manual page must name as well.
pub const HELP: &str = "\
callarbiter-agent: the call arbiter's hands in a user's session

Usage: callarbiter-agent [OPTION]...

@PARTS@

It holds no truth about calls: ended or killed, no call is lost, and started again it undoes what the one
before left.

Options:
      --bus BUS      Where the arbiter is [default: system]
                       system    the system bus
                       session   the session bus
                       ADDRESS   a D-Bus address, unix:path=/run/example/bus for example
      --config FILE  Read this file instead of $XDG_CONFIG_HOME/callarbiter/agent.toml
      --only PARTS   Only these parts, separated by commas, where a desktop shell does the others
      --log SPEC     What to log: a level (error, warn, info, debug, trace, off), and others for parts of
                     the program [default: info]
      --is-telephony FILE
                     Only say by the exit status (0 or 1) whether this HID report descriptor has buttons of a
                     telephone; for udev
      --version      Print the version
  -h, --help         Print this

The session is the session bus of the environment. SIGTERM and SIGINT end it and leave the session as it
was before the call. Names and numbers of people are never logged.

Exit status: 0 ended as asked, 1 failed with the reason in the log, 2 the command line is wrong.
";

/// What the agent does, each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Media players pause while a call has the audio.
    Players,
    /// While a call has the audio, everything else is quiet.
    Audio,
    /// Calls are shown, with buttons.
    Notifications,
    /// Calls that ring are heard.
    Ring,
    /// The arbiter is told of do-not-disturb.
    DoNotDisturb,
    /// The machine stays awake.
    Power,
    /// The user is asked whether an app may provide calls.
    Consent,
    /// Apps in sandboxes are known by name.
    Identity,
    /// Apps that are called through are started.
    Launch,
    /// Callers have the names that the user gave them.
    Contacts,
    /// Calls that are over are kept.
    History,
    /// Callers whom the user blocked are turned away.
    Lists,
    /// Calls are treated as the user says.
    Preferences,
    /// Headsets' buttons and lights.
    Headset,
}

impl Part {
    /// All of them, in the order in which they are told.
    pub const ALL: &[Part] = &[
        Part::Players,
        Part::Audio,
        Part::Notifications,
        Part::Ring,
        Part::DoNotDisturb,
        Part::Power,
        Part::Consent,
        Part::Identity,
        Part::Launch,
        Part::Contacts,
        Part::History,
        Part::Lists,
        Part::Preferences,
        Part::Headset,
    ];

    /// The name on the session bus that is its post, where no role is.
    pub fn post(self) -> String {
        let words = self.name().split('-').map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_uppercase() + rest
        });
        format!("org.callarbiter.Agent1.{}", words.collect::<String>())
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Part::Players => "players",
            Part::Audio => "audio",
            Part::Notifications => "notifications",
            Part::Ring => "ring",
            Part::DoNotDisturb => "do-not-disturb",
            Part::Power => "power",
            Part::Consent => "consent",
            Part::Identity => "identity",
            Part::Launch => "launch",
            Part::Contacts => "contacts",
            Part::History => "history",
            Part::Lists => "lists",
            Part::Preferences => "preferences",
            Part::Headset => "headset",
        }
    }

    /// What it has to be in the arbiter's eyes, beside a user interface.
    pub fn role(self) -> Option<Role> {
        match self {
            Part::DoNotDisturb => Some(Role::DoNotDisturb),
            Part::Audio => Some(Role::Audio),
            Part::Consent => Some(Role::Consent),
            Part::Identity => Some(Role::Identity),
            Part::Launch => Some(Role::Launch),
            Part::Contacts => Some(Role::Contacts),
            Part::History => Some(Role::History),
            Part::Lists => Some(Role::Screening),
            Part::Preferences => Some(Role::Preferences),
            Part::Headset => Some(Role::Headset),
            Part::Players | Part::Notifications | Part::Ring | Part::Power => None,
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Part::Players => "pauses media players while a call has the audio, resumes them after",
            Part::Audio => "keeps everything else quiet while a call has the audio",
            Part::Notifications => "shows calls, with Answer, Decline and what else fits",
            Part::Ring => "rings, with the ringtone of the app or of the sound theme",
            Part::DoNotDisturb => {
                "tells the arbiter of do-not-disturb (GNOME, Plasma, dunst, mako, swaync)"
            }
            Part::Consent => "asks the user whether an app may provide calls, and remembers it",
            Part::Identity => "tells the arbiter the app id of a process in a sandbox",
            Part::Launch => "starts an app through which a call is to be placed",
            Part::Contacts => "names callers as the user's address books do",
            Part::History => "keeps the calls that are over, each once, in the user's own files",
            Part::Power => {
                "keeps the machine awake and the screen on while a call rings or is active"
            }
            Part::Lists => "turns callers away whom the user blocked, lets others through",
            Part::Preferences => "follows the user's own rules, and tells the arbiter of them",
            Part::Headset => "hears the buttons of headsets and sets their lights",
        }
    }
}

/// [`HELP`] with the parts that there are.
pub fn help() -> String {
    let parts: Vec<String> =
        Part::ALL.iter().map(|part| format!("  {:<15} {}", part.name(), part.meaning())).collect();
    HELP.replace("@PARTS@", &format!("Parts:\n{}", parts.join("\n")))
}

/// What was asked for.
#[derive(Debug)]
pub enum Command {
    /// Serve the session.
    Serve(Options),
    /// Tell udev whether this report descriptor is a headset's.
    IsTelephony(PathBuf),
    /// Print [`help`].
    Help,
    /// Print the version.
    Version,
}

/// How to serve.
#[derive(Debug)]
pub struct Options {
    /// Where the arbiter is.
    pub bus: String,
    /// The configuration file, if not the user's own.
    pub config: Option<PathBuf>,
    /// What to do.
    pub parts: Vec<Part>,
    /// What to log.
    pub log: Targets,
}

/// What is wrong with the command line.
#[derive(Debug, Error)]
pub enum UsageError {
    /// An option that there is not, or one without its value.
    #[error("{0}")]
    Option(#[from] lexopt::Error),
    /// A bus that there is not.
    #[error("--bus {0:?} is neither system, session nor a D-Bus address")]
    Bus(String),
    /// A part that there is not.
    #[error("--only {0:?} is no part; there are: {1}")]
    Part(String, String),
    /// A filter that says nothing.
    #[error("--log {word:?}: {source}")]
    Log {
        /// What was given.
        word: String,
        /// What is wrong with it.
        source: ParseError,
    },
}

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    use lexopt::prelude::*;

    let mut options = Options {
        bus: "system".into(),
        config: None,
        parts: Part::ALL.to_vec(),
        log: Targets::new().with_default(LevelFilter::INFO),
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("bus") => options.bus = parse_bus(parser.value()?.string()?)?,
            Long("config") => options.config = Some(PathBuf::from(parser.value()?)),
            Long("only") => options.parts = parse_parts(&parser.value()?.string()?)?,
            Long("log") => options.log = parse_log(parser.value()?.string()?)?,
            Long("is-telephony") => {
                return Ok(Command::IsTelephony(PathBuf::from(parser.value()?)));
            }
            Long("version") => return Ok(Command::Version),
            Long("help") | Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Serve(options))
}

fn parse_bus(word: String) -> Result<String, UsageError> {
    let known = matches!(word.as_str(), "system" | "session");
    let address = || word.parse::<zbus::Address>().is_ok();
    if known || address() { Ok(word) } else { Err(UsageError::Bus(word)) }
}

fn parse_parts(words: &str) -> Result<Vec<Part>, UsageError> {
    let part = |word: &str| {
        let found = Part::ALL.iter().copied().find(|part| part.name() == word);
        let names: Vec<&str> = Part::ALL.iter().map(|part| part.name()).collect();
        found.ok_or_else(|| UsageError::Part(word.to_owned(), names.join(", ")))
    };
    words.split(',').map(part).collect()
}

fn parse_log(word: String) -> Result<Targets, UsageError> {
    word.parse().map_err(|source| UsageError::Log { word, source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn options(arguments: &[&str]) -> Result<Options, UsageError> {
        match parse(arguments.iter().map(OsString::from))? {
            Command::Serve(options) => Ok(options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_options_it_does_everything() {
        let options = options(&[]).unwrap();
        assert_eq!((options.bus.as_str(), options.config), ("system", None));
        assert_eq!(options.parts, Part::ALL);
    }

    #[test]
    fn mistakes_are_named() {
        for (arguments, words) in [
            (&["--buss", "system"][..], "--buss"),
            (&["--bus", "sytsem"][..], "\"sytsem\" is neither system"),
            (
                &["--only", "players,dancers"][..],
                "\"dancers\" is no part; there are: players, audio, notifications, ring, do-not-disturb, power, consent",
            ),
            (&["--log", "agent=loud"][..], "agent=loud"),
            (&["stray"][..], "stray"),
        ] {
            let refused = options(arguments).unwrap_err().to_string();
            assert!(refused.contains(words), "{arguments:?}: {refused}");
        }
    }

    #[test]
    fn help_and_manual_name_every_option_and_part() {
        let manual = include_str!("../callarbiter-agent.1").replace("\\-", "-");
        let options =
            ["--bus", "--config", "--only", "--log", "--is-telephony", "--version", "--help"];
        for part in Part::ALL.iter().filter(|part| part.role().is_none()) {
            assert!(manual.contains(&part.post()), "{} in the manual page", part.post());
        }
        for word in options.into_iter().chain(Part::ALL.iter().map(|part| part.name())) {
            assert!(help().contains(word), "{word}");
            assert!(manual.contains(word), "{word} in the manual page");
        }
        assert!(help().lines().all(|line| line.len() <= 110));
    }
}
