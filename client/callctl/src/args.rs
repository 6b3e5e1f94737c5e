//! The command line: every subcommand, option and help text of `callctl`.
//!
//! Owns the words a person types and their help. Must not talk to the bus or decide what a call
//! name stands for: that needs to see the calls (`names`).

mod kept;
mod lists;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use self::{
    kept::{AppDecision, Favourite, Past, Preference, Preferences, Which},
    lists::{Format, Listing, OnList, Terms},
};

use self::{
    kept::{APPS, HISTORY, PREFERENCES},
    lists::{ALLOW, BLOCK},
};
use crate::{
    conformance::{self, Conformance},
    names::Name,
    open::Open,
    tape,
    words::Word,
};

const EXAMPLES: &str = "\
Naming a call:
  Wherever CALL is wanted, give its UUID, the beginning of it (as `callctl list` prints it),
  or `active`, `ringing` or `held` where exactly one call is in that state.

Examples:
  callctl demo                          see what the arbiter does, without root or setup
  callctl list                          the calls of this session, whose audio is on
  callctl watch                         the same, live, with keys to answer, hold, end
  callctl answer                        answer the one call that rings
  callctl plan answer:ringing           what would answering do? nothing is done
  callctl transaction end:active answer:ringing
                                        both or nothing, in this order
  callctl --json list | jq .calls       for scripts

Exit status:
  0  done
  1  refused or failed: the message says why
  2  wrong usage
  3  the arbiter could not be reached";

/// See and control the calls of this desktop session.
///
/// Every calling application reports its calls to the call arbiter, which decides who may ring,
/// who has the audio and who has to hold. callctl shows what the arbiter knows and asks it to act.
#[derive(Debug, Parser)]
#[command(name = "callctl", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every subcommand understands.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// The bus the arbiter is on: `system`, `session` or a D-Bus address
    #[arg(
        long,
        global = true,
        value_name = "BUS",
        env = "CALLARBITER_BUS",
        hide_env_values = true,
        default_value = "system",
        help_heading = "Global options"
    )]
    pub bus: String,
    /// The user's session bus, where the agent is; a D-Bus address
    #[arg(
        long,
        global = true,
        value_name = "ADDRESS",
        env = "DBUS_SESSION_BUS_ADDRESS",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub session_bus: Option<String>,
    /// When to use colours
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        help_heading = "Global options"
    )]
    pub color: Colour,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

const POLICY: &str = "\
Examples:
  callctl policy check /etc/callarbiter/callarbiter.toml
  callctl policy test night.scenario --config draft.toml
  callctl policy test night.scenario --preferences ~/.config/callarbiter/preferences.toml";

const SCENARIO: &str = "\
A scenario is a text of small sentences, one a line, `#` begins a comment:
  zone Europe/Berlin
  date 2026-11-30
  at 22:15
  locked yes
  org.example.Phone reports 1 from tel:+4930123456
  expect 1 ringing silenced rule by night
  answer 1
  far end hangs up 1
  start 2 to tel:112 through org.example.Phone
  far end answers 2
Also: do-not-disturb off|quiet|refuse, foreground yes|no, HANDLE is known|unknown (to the address
book), APP holds yes|no (whether it can), end N, hold N, unhold N. Otherwise apps do at once what
they are asked.";

/// What to do with rules.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Say whether the daemon would take these files, and what is wrong with them in which line
    Check {
        /// Configuration files; FILE.d/*.toml is read with each
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Say what the rules decide in a scenario; an `expect` that is not met fails
    #[command(after_help = SCENARIO)]
    Test {
        /// The scenario
        scenario: PathBuf,
        /// The configuration to try, instead of the installed one
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// A user's preferences.toml, which counts behind it
        #[arg(long, value_name = "FILE")]
        preferences: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the calls, and who has the audio
    List,
    /// Follow the calls live
    ///
    /// On a terminal: a table redrawn in place, a log of what happened, and keys to act (shown below
    /// the table). Otherwise one line per change, or one JSON object per line with --json.
    Watch,
    /// Show everything known about one call
    Show(OneCall),
    /// Show why a call is what it is: every request, answer, deadline and rule
    ///
    /// Asks the arbiter about calls that are there and those that ended within the hour, and the history of
    /// this session's agent about older ones. Without CALL it is about the call that began last.
    #[command(after_help = "\
Examples:
  callctl why                           why did the last call end?
  callctl why ringing                   why does it make no sound?
  callctl --json why 7be2d410 | jq .causes")]
    Why {
        /// The call: UUID, beginning of it, `active`, `ringing` or `held` [default: the last one]
        call: Option<Name>,
    },
    /// Record what happens to your calls, without a word about people, to be replayed
    #[command(after_help = tape::RECORDING)]
    Record(tape::Record),
    /// Play a recording again, and show what was decided and why
    #[command(after_help = tape::RECORDING)]
    Replay(tape::Replay),
    /// List the applications that provide calls
    Providers,
    /// List the applications that may provide calls, or decide about one
    ///
    /// Asks the agent of this session, which keeps what you decided. What the administrator decided stays.
    #[command(after_help = APPS)]
    Apps {
        #[command(subcommand)]
        decision: Option<AppDecision>,
    },
    /// Start an outgoing call
    #[command(after_help = "\
Examples:
  callctl start sip:bob@example.org
  callctl start tel:+4930123456 --provider org.gnome.Calls")]
    Start {
        /// Whom to call, as the application writes it: sip:bob@example.org, tel:+4930123456
        handle: String,
        /// The application to call with, by its id; else the arbiter chooses
        #[arg(long, value_name = "APP-ID")]
        provider: Option<String>,
        /// With video
        #[arg(long)]
        video: bool,
    },
    Open(Open),
    /// Answer a ringing call; an active one is put on hold first
    Answer {
        /// The call [default: the one that rings]
        #[arg(default_value = "ringing", hide_default_value = true)]
        call: Name,
    },
    /// End a call
    End {
        /// The call [default: the one that is active or being set up]
        #[arg(default_value = "current", hide_default_value = true)]
        call: Name,
        /// The reason to tell the far end: declined, busy, …
        #[arg(long)]
        reason: Option<String>,
        /// A short text for the far end, where its application can send one
        #[arg(long)]
        message: Option<String>,
    },
    /// Decline a ringing call
    Decline {
        /// The call [default: the one that rings]
        #[arg(default_value = "ringing", hide_default_value = true)]
        call: Name,
        /// A short text for the caller, where the application can send one
        #[arg(long)]
        message: Option<String>,
    },
    /// Put a call on hold
    Hold {
        /// The call [default: the active one]
        #[arg(default_value = "active", hide_default_value = true)]
        call: Name,
    },
    /// Resume a held call; an active one is put on hold first
    Unhold {
        /// The call [default: the held one]
        #[arg(default_value = "held", hide_default_value = true)]
        call: Name,
    },
    /// Hold the active call and resume the held one: both or nothing
    Swap {
        /// The call to hold
        #[arg(default_value = "active", hide_default_value = true)]
        hold: Name,
        /// The call to resume
        #[arg(default_value = "held", hide_default_value = true)]
        resume: Name,
    },
    /// Mute the microphone in a call
    Mute {
        /// The call [default: the active one]
        #[arg(default_value = "active", hide_default_value = true)]
        call: Name,
        /// Unmute instead
        #[arg(long)]
        off: bool,
    },
    /// Unmute the microphone in a call
    Unmute {
        /// The call [default: the active one]
        #[arg(default_value = "active", hide_default_value = true)]
        call: Name,
    },
    /// Send touch tones
    #[command(after_help = "Example:\n  callctl dtmf 1234#")]
    Dtmf {
        /// The tones: 0-9 * # A-D, and `,` for a pause
        digits: String,
        /// The call [default: the active one]
        #[arg(default_value = "active", hide_default_value = true)]
        call: Name,
    },
    /// Join two calls of one application into a group
    Merge {
        /// The call that joins
        #[arg(default_value = "held", hide_default_value = true)]
        call: Name,
        /// The call whose group it joins
        #[arg(default_value = "active", hide_default_value = true)]
        with: Name,
    },
    /// Take a call out of its group
    Split(OneCall),
    /// Stop a call's ringing here without declining it
    Silence {
        /// The call [default: the one that rings]
        #[arg(default_value = "ringing", hide_default_value = true)]
        call: Name,
    },
    /// Show what actions would do, without doing them
    #[command(after_help = ACTIONS)]
    Plan {
        /// What to plan, in order
        #[arg(required = true, value_name = "ACTION")]
        actions: Vec<Word>,
    },
    /// Do several actions as one transaction, and wait for the outcome of each
    #[command(after_help = ACTIONS)]
    Transaction {
        /// What to do, in order
        #[arg(required = true, value_name = "ACTION")]
        actions: Vec<Word>,
    },
    /// Show the calls that are over, the newest first
    #[command(after_help = HISTORY)]
    History {
        #[command(flatten)]
        which: Which,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(subcommand)]
        what: Option<Past>,
    },
    /// Show whom you call often
    #[command(after_help = "\
Examples:
  callctl favourites add tel:+4930123456 --name 'Ada Lovelace'
  callctl favourites call ada
  callctl favourites remove tel:+4930123456")]
    Favourites {
        #[command(subcommand)]
        what: Option<Favourite>,
    },
    /// Block somebody, or show who is blocked
    #[command(after_help = BLOCK)]
    Block(Listing),
    /// Let somebody through, do-not-disturb or not, or show who is
    #[command(after_help = ALLOW)]
    Allow(Listing),
    /// Show what you chose for your calls and what counts, or choose
    #[command(after_help = PREFERENCES)]
    Preferences(Preferences),
    /// Check the arbiter's configuration, and try its rules out
    #[command(after_help = POLICY)]
    Policy {
        #[command(subcommand)]
        what: Policy,
    },
    /// Show who holds the audio
    Audio,
    /// List where calls can be heard: loudspeakers, headsets, Bluetooth
    Endpoints,
    /// Let calls be heard elsewhere, from now on
    #[command(after_help = "\
Example:
  callctl endpoint alsa_output.usb-0b0e_Jabra-00.analog-stereo")]
    Endpoint {
        /// Where, as `callctl endpoints` lists it
        id: String,
    },
    /// Show the arbiter's limits and what of them is used
    Limits,
    /// See the arbiter at work: two sample apps, one audio, on a private bus
    ///
    /// Starts its own arbiter on a bus of its own (no root, nothing installed or changed), and two
    /// sample applications, Speakerbox and Chatter. Then, step by step: a call is active and has the
    /// audio; a second call rings; answering it puts the first on hold before it gets the audio; it
    /// ends, and the first is resumed. Every step is checked: if the arbiter does not do what is
    /// announced, the demo says so and fails.
    Demo {
        /// Stop when the story is told, instead of leaving everything running to try out
        #[arg(long)]
        once: bool,
        /// How fast the story is told: 2 is twice as fast, 0.5 half
        #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = speed)]
        speed: f64,
    },
    /// Try an app's provider against the contract, on a private bus
    ///
    /// Starts an arbiter on a bus of its own and the app with that bus in its environment, drives the app
    /// through a call and gives a verdict on each rule that was tried. A rule that could not be tried is
    /// never counted as passed.
    #[command(after_help = conformance::EXPLAINED)]
    Conformance(Conformance),
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  callctl completions bash > ~/.local/share/bash-completion/completions/callctl
  callctl completions fish > ~/.config/fish/completions/callctl.fish
  callctl completions zsh  > \"${fpath[1]}/_callctl\"")]
    Completions {
        shell: Shell,
    },
    /// Write the manual pages
    #[command(hide = true)]
    Man {
        /// The directory for callctl.1 and a page for each subcommand; else callctl.1 to stdout
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct OneCall {
    /// The call: UUID, beginning of it, `active`, `ringing` or `held`
    pub call: Name,
}

const ACTIONS: &str = "\
Actions:
  answer:CALL    end:CALL     decline:CALL   silence:CALL
  hold:CALL      unhold:CALL  mute:CALL      unmute:CALL
  join:CALL+CALL leave:CALL   dtmf:CALL:123  video:CALL     novideo:CALL
  start:HANDLE

  Options of an action follow after commas: reason= and message= (end, decline), provider= and
  video (start), and for all of them if=STATE: only if the call is still in that state.

Examples:
  callctl transaction end:active answer:ringing
  callctl transaction hold:1f0c unhold:7be2
  callctl transaction decline:ringing,message='in a meeting'
  callctl transaction start:sip:bob@example.org,provider=org.example.Phone
  callctl plan answer:7be2,if=ringing";

/// A factor that neither stops the demo nor makes it unwatchable by accident.
fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.05..=100.0).contains(&factor) => Ok(factor),
        _ => Err("a number from 0.05 to 100".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn calls_have_the_default_that_a_person_means() {
        let cli = Cli::try_parse_from(["callctl", "answer"]).unwrap();
        assert!(matches!(cli.command, Command::Answer { call: Name::Ringing }));
        let cli = Cli::try_parse_from(["callctl", "end"]).unwrap();
        assert!(matches!(cli.command, Command::End { call: Name::Current, .. }));
        let cli = Cli::try_parse_from(["callctl", "swap"]).unwrap();
        assert!(matches!(cli.command, Command::Swap { hold: Name::Active, resume: Name::Held }));
    }

    #[test]
    fn global_options_stand_anywhere() {
        let cli = Cli::try_parse_from(["callctl", "list", "--json", "--bus", "session"]).unwrap();
        assert!(cli.global.json);
        assert_eq!(cli.global.bus, "session");
    }

    #[test]
    fn nonsense_is_refused_before_any_bus_is_touched() {
        for words in [
            &["callctl"][..],
            &["callctl", "answer", "everything!"],
            &["callctl", "plan"],
            &["callctl", "transaction", "dance:active"],
            &["callctl", "demo", "--speed", "0"],
        ] {
            assert!(Cli::try_parse_from(words).is_err(), "{words:?}");
        }
    }
}
