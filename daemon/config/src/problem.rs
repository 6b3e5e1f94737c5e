//! What is wrong with a configuration file: where, what, and what would be right.

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
};

/// Why a configuration was refused; its text is meant for the administrator.
#[derive(Debug)]
pub struct ConfigError {
    file: PathBuf,
    place: Option<Place>,
    message: String,
}

/// Both from 1, as editors count.
#[derive(Debug)]
struct Place {
    line: usize,
    column: usize,
}

/// A mistake in a text that is still at hand.
#[derive(Debug)]
pub struct Problem {
    /// The bytes that are wrong.
    pub span: Option<Range<usize>>,
    /// What is wrong with them, and what would be right.
    pub message: String,
}

impl ConfigError {
    /// The file itself cannot be had.
    pub fn unreadable(file: &Path, error: io::Error) -> ConfigError {
        ConfigError { file: file.into(), place: None, message: format!("cannot be read: {error}") }
    }

    /// Where it is, without what is written there.
    pub fn place(&self) -> String {
        let file = self.file.display();
        match &self.place {
            Some(Place { line, column }) => format!("{file}:{line}:{column}"),
            None => file.to_string(),
        }
    }

    /// Something in its text is wrong.
    pub fn within(file: &Path, text: &str, problem: Problem) -> ConfigError {
        let place = problem.span.map(|span| Place::of(text, span.start));
        ConfigError { file: file.into(), place, message: problem.message }
    }
}

impl Place {
    fn of(text: &str, at: usize) -> Place {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Place { line: before.matches('\n').count() + 1, column }
    }
}

impl Problem {
    /// At these bytes.
    pub fn at(span: Range<usize>, message: String) -> Problem {
        Problem { span: Some(span), message }
    }
}

impl From<toml::de::Error> for Problem {
    fn from(error: toml::de::Error) -> Self {
        Problem { span: error.span(), message: error.message().trim().replace('\n', "; ") }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It quotes the file; what is in there is not for a terminal to obey.
        write!(f, "{}: {}", self.place(), harmless(&self.message))
    }
}

/// What is quoted in a sentence stays one line.
pub(crate) fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => harmless.extend(c.escape_default()),
            false => harmless.push(c),
        }
    }
    harmless
}

impl std::error::Error for ConfigError {}
