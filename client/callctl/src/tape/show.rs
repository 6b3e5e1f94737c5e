//! One input with all that came of it, as lines and as JSON.
//!
//! Owns how decisions of two configurations stand side by side: as a difference.

use callarbiter_core::{Error, Input};
use serde::Serialize;

use super::{file::Heard, play::Played, tell::Decision};
use crate::{
    paint::{Line, Style},
    why,
};

/// One input with all that came of it.
#[derive(Serialize)]
pub struct View<'a> {
    line: u64,
    at: u64,
    heard: &'a str,
    input: &'a Input,
    revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// It ended as it did when it was recorded.
    as_recorded: bool,
    decisions: &'a [Decision],
    /// Under the other configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    instead: Option<Instead<'a>>,
}

#[derive(Serialize)]
struct Instead<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    decisions: &'a [Decision],
    differs: bool,
}

impl<'a> View<'a> {
    pub fn new(
        line: u64,
        heard: &'a Heard,
        text: &'a str,
        played: &'a Played,
        other: Option<&'a Played>,
        as_recorded: bool,
    ) -> Self {
        let refused = |refused: Option<Error>| refused.map(|error| format!("{error:?}"));
        View {
            line,
            at: heard.now.wall,
            heard: text,
            input: &heard.input,
            revision: played.revision,
            refused: refused(played.refused),
            as_recorded,
            decisions: &played.decisions,
            instead: other.map(|other| Instead {
                refused: refused(other.refused),
                decisions: &other.decisions,
                differs: !other.decides_like(played),
            }),
        }
    }

    /// What was heard, and below it what was decided; with another configuration as a difference of the two.
    pub fn lines(&self, began: u64) -> Vec<Line> {
        let after = why::after(self.at.saturating_sub(began));
        let first = Line::new().with(Style::Faint, format!("{after}  "));
        let mut lines = vec![first.with(Style::Emphasis, self.heard)];
        let mut row = |mark: (Style, &str), style: Style, text: &str| {
            let margin = Line::new().with(Style::Faint, " ".repeat(after.len()));
            lines.push(margin.with(mark.0, format!(" {} ", mark.1)).with(style, text));
        };
        const BOTH: (Style, &str) = (Style::Faint, " ");
        const ONLY_THEN: (Style, &str) = (Style::Bad, "-");
        const ONLY_NOW: (Style, &str) = (Style::Good, "+");
        let refusal = |error: &str| format!("refused: {error}");
        let now = self.instead.as_ref();
        let refused = (self.refused.as_deref(), now.map(|now| now.refused.as_deref()));
        if let Some(error) = refused.0 {
            let mark =
                if refused.1.is_some_and(|now| now != Some(error)) { ONLY_THEN } else { BOTH };
            row(mark, Style::Bad, &refusal(error));
        }
        if let Some(Some(error)) = refused.1.filter(|now| *now != refused.0) {
            row(ONLY_NOW, Style::Bad, &refusal(error));
        }
        let is_in =
            |all: &[Decision], one: &Decision| all.iter().any(|d| d.sentence == one.sentence);
        for decision in self.decisions.iter().filter(|decision| !decision.detail) {
            let gone = now.is_some_and(|now| !is_in(now.decisions, decision));
            row(if gone { ONLY_THEN } else { BOTH }, decision.style, &decision.sentence);
        }
        let others = now.map(|now| now.decisions).unwrap_or_default();
        for decision in others.iter().filter(|decision| !decision.detail) {
            if !is_in(self.decisions, decision) {
                row(ONLY_NOW, decision.style, &decision.sentence);
            }
        }
        if !self.as_recorded {
            row(BOTH, Style::Bad, "when it was recorded, it ended otherwise");
        }
        lines
    }
}
