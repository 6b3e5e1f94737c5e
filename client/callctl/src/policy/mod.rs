//! `callctl policy`: is a configuration right, and what would it decide?
//!
//! Owns the two commands. Files are read by the daemon's own reader, and decisions are the core's: nothing here
//! knows a rule. Needs no arbiter.

mod scenario;
mod stage;

use std::path::{Path, PathBuf};

use callarbiter_config::{Config, Sources};
use serde::Serialize;

use crate::{
    args::Policy,
    failure::Failure,
    output::Output,
    paint::{Line, Style},
};

/// Says of each file whether the daemon would take it, or of a scenario what happens in it.
pub fn run(what: Policy, output: &Output) -> Result<(), Failure> {
    match what {
        Policy::Check { files } => check(&files, output),
        Policy::Test { scenario, config, preferences } => {
            test(&scenario, config, preferences.as_deref(), output)
        }
    }
}

#[derive(Serialize)]
struct Verdict {
    file: String,
    mistake: Option<String>,
    /// It is taken, and yet does not what it seems to.
    remark: Option<&'static str>,
}

/// Each by itself, with its drop-ins; the first mistake of each is told.
fn check(files: &[PathBuf], output: &Output) -> Result<(), Failure> {
    let verdicts: Vec<Verdict> = files
        .iter()
        .map(|file| {
            let (mistake, remark) = match callarbiter_config::check(file) {
                Ok(remark) => (None, remark),
                Err(error) => (Some(error.to_string()), None),
            };
            Verdict { file: file.display().to_string(), mistake, remark }
        })
        .collect();
    output.show(&verdicts, || verdicts.iter().map(line).collect());
    match verdicts.iter().filter(|verdict| verdict.mistake.is_some()).count() {
        0 => Ok(()),
        wrong => Err(Failure::refused(format!(
            "{wrong} of {} files would be refused; the daemon would keep its old rules",
            verdicts.len()
        ))),
    }
}

fn line(verdict: &Verdict) -> Line {
    match (&verdict.mistake, verdict.remark) {
        (None, None) => Line::new().with(Style::Plain, format!("{}: right", verdict.file)),
        (None, Some(remark)) => Line::new()
            .with(Style::Plain, format!("{}: right, but ", verdict.file))
            .with(Style::Attention, remark),
        // It begins with the file, the line and the column.
        (Some(mistake), _) => Line::new().with(Style::Plain, mistake.clone()),
    }
}

fn test(
    file: &Path,
    config: Option<PathBuf>,
    preferences: Option<&Path>,
    output: &Output,
) -> Result<(), Failure> {
    let sources = config.map_or_else(Sources::installed, Sources::only);
    let Config { settings, .. } =
        sources.in_local_time().load().map_err(|error| Failure::refused(error.to_string()))?;
    let (told, played) = stage::Stage::play(file, settings, preferences);
    // What led to a failure is told, too.
    output.show(&told, || {
        told.iter().map(|line| Line::new().with(Style::Plain, line.clone())).collect()
    });
    played
}
