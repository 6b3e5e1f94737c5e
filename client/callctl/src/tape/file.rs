//! The file: lines in, or a word about the one that is wrong.
//!
//! Owns the bounds and the order of lines. A recording may be of hours, so it is read line by line, once for what holds
//! throughout and once to be played.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use callarbiter_core::{
    Error, Input, Line as Told, Now, Private, SavedRecord, Settings, TAPE_VERSION, Uid, Use,
};
use serde_json::Value;

use crate::failure::Failure;

type Line = Told;

/// A line: a state has records of some kilobytes, rules are the longest.
const LINE_BYTES: u64 = 4 * 1024 * 1024;
/// All of them: what the arbiter writes at most is several times as long in words.
const FILE_BYTES: u64 = 1024 * 1024 * 1024;

/// A recording whose beginning is known.
#[derive(Debug)]
pub struct Tape {
    name: String,
    file: Source,
    pub uid: Uid,
    pub begin: Now,
    pub build: String,
    pub settings: Settings,
    pub saved: Vec<SavedRecord>,
    pub uses: Vec<Use>,
    pub alike: Vec<(Private, Private)>,
    ended: Option<String>,
}

/// Where it can be read twice.
#[derive(Debug, Clone)]
enum Source {
    File(PathBuf),
    Text(Arc<[u8]>),
}

/// What the arbiter heard, and what came of it then.
#[derive(Debug, Clone)]
pub struct Heard {
    pub now: Now,
    pub input: Input,
    /// None where the recording ends between the two.
    pub outcome: Option<Outcome>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub revision: u64,
    pub refused: Option<Error>,
}

impl Tape {
    /// Reads everything once.
    pub fn open(path: &Path) -> Result<Tape, Failure> {
        let name = path.display().to_string();
        let fail = |error: io::Error| Failure::refused(format!("{name}: {error}"));
        let file = if path == Path::new("-") {
            let mut text = Vec::new();
            io::stdin().lock().take(FILE_BYTES + 1).read_to_end(&mut text).map_err(fail)?;
            Source::Text(text.into())
        } else {
            Source::File(path.to_owned())
        };
        let mut lines = Lines::of(&name, &file)?;
        let mut tape = lines.beginning(name.clone(), file)?;
        let mut last = tape.begin.mono;
        let (mut played, mut open) = (false, false);
        while let Some(line) = lines.next()? {
            if tape.ended.is_some() {
                return Err(lines.wrong("nothing comes after the end of a recording"));
            }
            match line {
                Line::Begin { .. } => {
                    return Err(
                        lines.wrong("another recording begins here; give each a file of its own")
                    );
                }
                Line::Saved(_) | Line::Uses(_) if played => {
                    return Err(
                        lines.wrong("the state stands at the beginning, not behind what happened")
                    );
                }
                Line::Saved(record) => tape.saved.push(record),
                Line::Uses(uses) => tape.uses.extend(uses),
                Line::Like { pattern, handle } => tape.alike.push((pattern, handle)),
                Line::Input { mono, .. } => {
                    if mono < last {
                        return Err(lines.wrong(
                            "it happened before the line above it; the lines are not in order",
                        ));
                    }
                    (last, played, open) = (mono, true, true);
                }
                Line::Outcome { .. } => {
                    if !std::mem::replace(&mut open, false) {
                        return Err(
                            lines.wrong("an outcome of nothing; what happened is missing above it")
                        );
                    }
                }
                Line::End { reason } => tape.ended = Some(reason),
            }
        }
        Ok(tape)
    }

    /// What is wrong with the state in it.
    pub fn unsound(&self, why: &str) -> Failure {
        let build = &self.build;
        Failure::refused(format!(
            "{}: the state at its beginning cannot be restored: {why} (it was recorded by version {build})",
            self.name
        ))
    }

    /// When it began, in µs since the epoch.
    pub fn began(&self) -> u64 {
        self.begin.wall
    }

    /// Why the arbiter ended it, if it did.
    pub fn end(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// What happened, each with the number of its line.
    pub fn inputs(&self) -> impl Iterator<Item = Result<(u64, Heard), Failure>> {
        let mut lines = Lines::of(&self.name, &self.file);
        let mut heard = None;
        std::iter::from_fn(move || {
            let lines = match &mut lines {
                Ok(lines) => lines,
                Err(failure) => return Some(Err(failure.clone())),
            };
            loop {
                match lines.next() {
                    Ok(Some(Line::Input { mono, wall, input })) => {
                        let now = Now { mono, wall };
                        let before = heard
                            .replace((lines.number, Heard { now, input: *input, outcome: None }));
                        if let Some(before) = before {
                            return Some(Ok(before));
                        }
                    }
                    Ok(Some(Line::Outcome { revision, refused })) => {
                        if let Some((number, input)) = heard.take() {
                            let outcome = Some(Outcome { revision, refused });
                            return Some(Ok((number, Heard { outcome, ..input })));
                        }
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => return heard.take().map(Ok),
                    Err(failure) => return Some(Err(failure)),
                }
            }
        })
    }
}

struct Lines {
    name: String,
    from: Box<dyn BufRead>,
    number: u64,
    bytes: u64,
    build: String,
}

impl Lines {
    fn of(name: &str, file: &Source) -> Result<Lines, Failure> {
        let from: Box<dyn BufRead> = match file {
            Source::Text(text) => Box::new(io::Cursor::new(text.clone())),
            Source::File(path) => {
                let fail = |error: io::Error| Failure::refused(format!("{name}: {error}"));
                let mut file = File::open(path).map_err(fail)?;
                let about = file.metadata().map_err(fail)?;
                if about.is_dir() {
                    return Err(Failure::refused(format!(
                        "{name}: this is a directory, not a recording"
                    )));
                }
                // What cannot be read twice would be played from where it was left.
                file.seek(SeekFrom::Start(0)).map_err(|_| {
                    Failure::refused(format!("{name}: this cannot be read twice; give it as `-`"))
                })?;
                Box::new(BufReader::new(file))
            }
        };
        Ok(Lines { name: name.to_owned(), from, number: 0, bytes: 0, build: String::new() })
    }

    fn wrong(&self, why: impl std::fmt::Display) -> Failure {
        Failure::refused(format!("{}:{}: {why}", self.name, self.number))
    }

    fn text(&mut self) -> Result<Option<String>, Failure> {
        let mut line = Vec::new();
        let read = self.from.by_ref().take(LINE_BYTES + 1).read_until(b'\n', &mut line);
        self.number += 1;
        read.map_err(|error| self.wrong(error))?;
        self.bytes += line.len() as u64;
        if line.is_empty() {
            return Ok(None);
        }
        if line.len() as u64 > LINE_BYTES {
            return Err(self.wrong(format!(
                "the line has more than {LINE_BYTES} bytes, no recording has such"
            )));
        }
        if self.bytes > FILE_BYTES {
            return Err(self.wrong(format!(
                "the file has more than {FILE_BYTES} bytes; record for a shorter time"
            )));
        }
        if line.pop() != Some(b'\n') {
            return Err(self.wrong(
                "the file ends in the middle of this line: the recording was cut off. Without the line the rest can \
                 be replayed",
            ));
        }
        String::from_utf8(line)
            .map(Some)
            .map_err(|_| self.wrong("this is no text, so no recording"))
    }

    fn next(&mut self) -> Result<Option<Line>, Failure> {
        let Some(text) = self.text()? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            let later = match self.build.as_str() {
                "" => String::new(),
                build => format!(
                    "; it was recorded by version {build}, this callctl is {}",
                    env!("CARGO_PKG_VERSION")
                ),
            };
            self.wrong(format!("this is no line of a recording: {error}{later}"))
        })
    }

    /// The first line, which says whether the others can be read at all.
    fn beginning(&mut self, name: String, file: Source) -> Result<Tape, Failure> {
        let none = "this is no recording: the first line is to be {\"begin\":…}, as `callctl record` writes it";
        let Some(text) = self.text()? else {
            return Err(Failure::refused(format!(
                "{name}: the file is empty; `callctl record` writes recordings"
            )));
        };
        let value: Value = serde_json::from_str(&text).map_err(|_| self.wrong(none))?;
        let begin = value.get("begin").ok_or_else(|| self.wrong(none))?;
        let version =
            begin.get("version").and_then(Value::as_u64).ok_or_else(|| self.wrong(none))?;
        self.build = begin.get("build").and_then(Value::as_str).unwrap_or_default().to_owned();
        if version > u64::from(TAPE_VERSION) {
            return Err(self.wrong(format!(
                "the recording has format {version}, and this callctl knows formats up to {}; replay it with \
                 callctl {} or later",
                TAPE_VERSION,
                self.build
            )));
        }
        match serde_json::from_str(&text).map_err(|error| self.wrong(error))? {
            Line::Begin { build, uid, mono, wall, settings, .. } => Ok(Tape {
                name,
                file,
                uid,
                begin: Now { mono, wall },
                build,
                settings: *settings,
                saved: Vec::new(),
                uses: Vec::new(),
                alike: Vec::new(),
                ended: None,
            }),
            _ => Err(self.wrong(none)),
        }
    }
}
