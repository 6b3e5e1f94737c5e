//! `callctl record` and `callctl replay`: what happened to a user's calls, in a file without a word about people, and
//! again from that file.
//!
//! Owns the two commands. The lines are the core's (`callarbiter_core::Line`), in a file each is one JSON object; what
//! they must not tell the arbiter has left out before they come here.

mod file;
mod heard;
mod play;
mod record;
mod show;
mod tell;

use std::path::{Path, PathBuf};

use callarbiter_config::{Config, Sources};
use clap::Args;
use serde::Serialize;

use self::{
    file::{Outcome, Tape},
    play::Player,
};
use crate::{
    failure::Failure,
    output::Output,
    paint::{Line, Style},
};

pub use self::record::run as record;

#[derive(Debug, Args)]
pub struct Record {
    /// Where to write it; `-` for standard output
    pub file: PathBuf,
    /// End after so many seconds [default: when you press Ctrl-C]
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: Option<u32>,
    /// At most so many bytes of what happened, as the arbiter counts them
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1024..))]
    pub bytes: Option<u32>,
    /// Write over a file that is there
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct Replay {
    /// What `callctl record` wrote; `-` for standard input
    pub file: PathBuf,
    /// Under this configuration instead, and show where it decides otherwise
    #[arg(long, alias = "rules", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Show only what differs
    #[arg(long)]
    pub differences: bool,
}

pub const RECORDING: &str = "\
The file has one JSON object a line, in this order:
  {\"begin\":…}   version of the format (1), build, user, clocks, and the rules in force
  {\"saved\":…}   a part of the state at the beginning: a call, a provider, a request …
  {\"uses\":…}    through which apps people were talked to
  {\"input\":…}   what the arbiter heard, and when
  {\"outcome\":…} the number of the last change afterwards, and the error where it was refused
  {\"like\":…}    a handle is one that a rule means
  {\"end\":…}     why the arbiter ended it: size, time, unread, seat, denied; absent where you did

Nothing in it says who calls whom: handles, names, messages and tones are replaced in the arbiter
itself, the same by the same (tel:+01, sip:#2@x, #3). Schemes, ids of apps and calls, names of rules
and seats, emergency numbers and times stay. In another configuration a rule with the name of a
recorded one means the same people, others write them as the recording does.

Examples:
  callctl record problem.jsonl          until Ctrl-C
  callctl record --for 60 problem.jsonl
  callctl replay problem.jsonl          what was decided, and why
  callctl replay problem.jsonl --config rules.toml --differences";

/// Plays a file on the core itself.
pub fn replay(options: Replay, output: &Output) -> Result<(), Failure> {
    let tape = Tape::open(&options.file)?;
    let rules = options.config.as_deref().map(rules).transpose()?;
    let mut first = Player::new(&tape, None)?;
    let mut other = rules.map(|rules| Player::new(&tape, Some(rules))).transpose()?;
    let mut count = Count::default();
    let began = tape.began();
    for input in tape.inputs() {
        let (place, input) = input?;
        let played = first.play(&input);
        count.inputs += 1;
        let came = Outcome { revision: played.revision, refused: played.refused };
        let true_to_life = input.outcome.as_ref().is_none_or(|outcome| *outcome == came);
        count.unlike += u32::from(!true_to_life);
        let instead = other.as_mut().map(|other| other.play_instead(&input, &first, &played));
        let differs = instead.as_ref().is_some_and(|other| !other.decides_like(&played));
        count.different += u32::from(differs);
        if !options.differences || differs || !true_to_life {
            let heard = heard::sentence(&input, &first);
            let view =
                show::View::new(place, &input, &heard, &played, instead.as_ref(), true_to_life);
            output.show(&view, || view.lines(began));
        }
    }
    close(&count, tape.end(), options.config.is_some(), output)
}

fn rules(file: &Path) -> Result<callarbiter_core::Settings, Failure> {
    let sources = Sources::only(file.to_owned()).in_local_time();
    let loaded = sources.load().map_err(|error| Failure::refused(error.to_string()));
    loaded.map(|Config { settings, .. }| settings)
}

#[derive(Debug, Default, Serialize)]
struct Count {
    inputs: u32,
    /// That ended otherwise than when they were recorded.
    unlike: u32,
    /// That are decided otherwise under the other configuration.
    different: u32,
}

fn close(
    count: &Count,
    ended: Option<&str>,
    compared: bool,
    output: &Output,
) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Closing<'a> {
        played: &'a Count,
        /// In the word of the recording.
        #[serde(skip_serializing_if = "Option::is_none")]
        ended: Option<&'a str>,
    }
    let mut text = match (count.inputs, compared) {
        (0, _) => "Nothing happened while it was recorded.".to_owned(),
        (inputs, false) => {
            format!("{inputs} inputs, decided as they were when they were recorded.")
        }
        (inputs, true) => {
            format!(
                "{} of {inputs} inputs are decided otherwise under that configuration.",
                count.different
            )
        }
    };
    if count.unlike > 0 {
        text = format!("{} of {} inputs ended otherwise.", count.unlike, count.inputs);
    }
    if let Some(reason) = ended {
        let why = match reason {
            "size" => "the bound of its size",
            "time" => "the bound of its time",
            "unread" => "nobody read it fast enough",
            "denied" => "whoever recorded may not see the calls of others any more",
            "seat" => "another user's call came in the way, which it does not tell of",
            other => other,
        };
        text.push_str(&format!(" The arbiter ended it: {why}."));
    }
    output.show(&Closing { played: count, ended }, || {
        vec![Line::new().with(Style::Faint, text.as_str())]
    });
    match count.unlike {
        0 => Ok(()),
        _ => Err(Failure::refused(
            "this callctl does not decide as the arbiter did that was recorded: it is of another \
             version, or the file was changed",
        )),
    }
}
