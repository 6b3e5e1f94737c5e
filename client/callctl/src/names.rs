//! What a person calls a call, and which call is meant.
//!
//! Owns the resolution of names against the calls there are; never guesses between two.

use std::{fmt, str::FromStr};

use crate::{
    failure::Failure,
    paint::{Line, Paint, Style},
    table,
    view::{Board, CallView},
};

/// A name for a call, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The active call.
    Active,
    /// The ringing call.
    Ringing,
    /// The held call.
    Held,
    /// The call that is active or being set up: what `end` without a name means.
    Current,
    /// A UUID or the beginning of one: lower case, with or without its hyphens. Or the history's longer id.
    Prefix(String),
    /// The object path, for the rare case that two applications chose the same UUID.
    Path(String),
}

/// What counts as one: a call, or all the calls of a group, where the action is the group's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Call,
    Group,
}

/// What the history's id of a call has behind its UUID: a time and a number.
const PAST: usize = 20 + 1 + 10;

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "active" => return Ok(Name::Active),
            "ringing" => return Ok(Name::Ringing),
            "held" => return Ok(Name::Held),
            "current" => return Ok(Name::Current),
            _ => {}
        }
        if text.starts_with('/') {
            return Ok(Name::Path(text.to_owned()));
        }
        let (uuid, past) = text.split_once('.').unwrap_or((text, ""));
        let hex = |c: char| c.is_ascii_hexdigit() || c == '-';
        let number = |c: char| c.is_ascii_digit() || c == '.';
        let is_uuid = !uuid.is_empty() && uuid.len() <= 36 && uuid.chars().all(hex);
        if !is_uuid || past.len() > PAST || !past.chars().all(number) {
            return Err("a call is named by its UUID, the beginning of it, `active`, `ringing` \
                        or `held`; `callctl list` shows the calls"
                .to_owned());
        }
        Ok(Name::Prefix(text.to_ascii_lowercase()))
    }
}

/// A UUID's beginning as it is written, also where somebody left the hyphens out; an id of the history as it is.
pub fn hyphenated(prefix: &str) -> String {
    if prefix.contains('.') {
        return prefix.to_owned();
    }
    let mut text = String::new();
    for (at, digit) in prefix.chars().filter(|c| *c != '-').enumerate() {
        if [8, 12, 16, 20].contains(&at) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Active => f.write_str("active"),
            Name::Ringing => f.write_str("ringing"),
            Name::Held => f.write_str("held"),
            Name::Current => f.write_str("current"),
            Name::Prefix(text) | Name::Path(text) => f.write_str(text),
        }
    }
}

impl Name {
    /// The one call that is meant, or why there is no such call.
    pub fn resolve<'a>(&self, board: &'a Board, unit: Unit) -> Result<&'a CallView, Failure> {
        let found: Vec<&CallView> = board.calls.iter().filter(|call| self.fits(call)).collect();
        match found.as_slice() {
            [] => Err(Failure::refused(self.nothing_fits(board))),
            [call] => Ok(call),
            [first, rest @ ..] => {
                let together = |call: &&CallView| call.group.is_some() && call.group == first.group;
                if unit == Unit::Group && rest.iter().all(together) {
                    return Ok(first);
                }
                Err(Failure::refused(self.several_fit(board, &found)))
            }
        }
    }

    fn fits(&self, call: &CallView) -> bool {
        match self {
            Name::Active => call.state == "active",
            Name::Ringing => call.state == "ringing",
            Name::Held => call.state == "held",
            Name::Current => call.is_current(),
            Name::Path(path) => call.path == *path,
            Name::Prefix(prefix) => {
                let id = call.id.to_ascii_lowercase();
                if prefix.contains('-') {
                    id.starts_with(prefix.as_str())
                } else {
                    id.replace('-', "").starts_with(prefix.as_str())
                }
            }
        }
    }

    fn nothing_fits(&self, board: &Board) -> String {
        let what = match self {
            Name::Active => "no call is active".to_owned(),
            Name::Ringing => "no call is ringing".to_owned(),
            Name::Held => "no call is held".to_owned(),
            Name::Current => "no call is active or being set up".to_owned(),
            Name::Prefix(_) => format!("no call's id begins with {self}"),
            Name::Path(_) => format!("there is no call {self}"),
        };
        match board.calls.as_slice() {
            [] => format!("{what}; there are no calls"),
            calls => format!("{what}; there {}", candidates(board, calls.iter())),
        }
    }

    fn several_fit(&self, board: &Board, found: &[&CallView]) -> String {
        let what = match self {
            Name::Active => "several calls are active".to_owned(),
            Name::Ringing => "several calls are ringing".to_owned(),
            Name::Held => "several calls are held".to_owned(),
            Name::Current => "several calls are under way".to_owned(),
            Name::Prefix(_) => format!("several calls' ids begin with {self}"),
            Name::Path(_) => format!("several calls are at {self}"),
        };
        format!("{what}; say which: there {}", candidates(board, found.iter().copied()))
    }
}

/// "is: …" or "are: …", one call a line, each with the name to use.
fn candidates<'a>(board: &Board, calls: impl ExactSizeIterator<Item = &'a CallView>) -> String {
    let mut text = if calls.len() == 1 { "is:" } else { "are:" }.to_owned();
    for call in calls {
        let line = Line::new()
            .with(Style::Plain, "  ")
            .with(Style::Plain, board.handle_for_typing(call))
            .with(Style::Plain, "  ")
            .with(Style::Plain, &call.state)
            .with(Style::Plain, "  ")
            .with(Style::Plain, table::with_whom(call))
            .with(Style::Plain, format!("  ({})", board.app_name(call)));
        text.push('\n');
        text.push_str(&line.render(Paint { on: false }, usize::MAX));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;
    use crate::view::sample;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_beginning_without_hyphens_is_one_of_a_uuid() {
        assert_eq!(hyphenated("7be2"), "7be2");
        assert_eq!(hyphenated("7be2d41012"), "7be2d410-12");
        assert_eq!(hyphenated("7be2d410-12"), "7be2d410-12");
        assert_eq!(hyphenated("7be2.17.4"), "7be2.17.4");
    }

    #[test]
    fn a_state_names_its_only_call() {
        let board = sample::two_calls();
        assert_eq!(name("active").resolve(&board, Unit::Call).unwrap().id, sample::ALICE);
        assert_eq!(name("ringing").resolve(&board, Unit::Call).unwrap().id, sample::BOB);
    }

    #[test]
    fn a_prefix_is_enough_with_or_without_hyphens_in_any_case() {
        let board = sample::two_calls();
        for text in ["1", "1F0C9A2E", "1f0c9a2e-4", "1f0c9a2e4", sample::ALICE] {
            assert_eq!(name(text).resolve(&board, Unit::Call).unwrap().id, sample::ALICE, "{text}");
        }
    }

    #[test]
    fn no_match_says_what_there_is() {
        let error = name("held").resolve(&sample::two_calls(), Unit::Call).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no call is held; there are:\n  \
             1f0c9a2e  active  from Alice Example sip:alice@example.org  (Speakerbox)\n  \
             7be2d410  ringing  from tel:+4930123456  (Chatter)"
        );
        let error = name("active").resolve(&Board::default(), Unit::Call).unwrap_err();
        assert_eq!(error.to_string(), "no call is active; there are no calls");
    }

    #[test]
    fn two_matches_are_listed_and_never_guessed() {
        let mut board = sample::two_calls();
        board.calls[1].state = "active".to_owned();
        board.calls[1].group = Some("/org/callarbiter/Calls1/group/2".to_owned());
        let error = name("active").resolve(&board, Unit::Group).unwrap_err().to_string();
        assert!(error.starts_with("several calls are active; say which: there are:\n  1f0c9a2e"));
    }

    #[test]
    fn a_group_counts_as_one_where_the_action_is_the_groups() {
        let mut board = sample::two_calls();
        board.calls[1].state = "active".to_owned();
        board.calls[1].group = board.calls[0].group.clone();
        assert!(name("active").resolve(&board, Unit::Group).is_ok());
        assert!(name("active").resolve(&board, Unit::Call).is_err());
    }

    #[test]
    fn the_same_uuid_twice_is_told_apart_by_path() {
        let mut board = sample::two_calls();
        board.calls[1].id = board.calls[0].id.clone();
        let error = name(sample::ALICE).resolve(&board, Unit::Call).unwrap_err().to_string();
        assert!(error.contains(&board.calls[1].path), "{error}");
        let path = name(&board.calls[1].path);
        assert_eq!(path.resolve(&board, Unit::Call).unwrap().path, board.calls[1].path);
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        for text in ["", "bob", "1f0c9a2e*", ".1", "1f0c.a", &"0".repeat(37)] {
            assert!(text.parse::<Name>().is_err(), "{text:?}");
        }
    }
}
