//! The lines of a scenario: small sentences, one a line.
//!
//! Owns their spelling. What they do is the stage's.

use callarbiter_core::{DoNotDisturb, Private};
use callarbiter_lists::date::days;

/// One sentence.
#[derive(Debug, PartialEq)]
pub enum Sentence {
    /// `zone Europe/Berlin`: what local time is.
    Zone(String),
    /// `date 2026-11-30`: which day it is.
    Date { days: i64 },
    /// `at 22:15` or `at 22:15:30`: it is so late now, on the same day or, if that is over, the next.
    At { seconds: i64 },
    /// `locked yes`: of the user's session.
    Locked(bool),
    /// `do-not-disturb quiet`: or `off`, `refuse`.
    DoNotDisturb(DoNotDisturb),
    /// `foreground no`: another user has the seat.
    Foreground(bool),
    /// `tel:+4930123 is known`: or `unknown`; whether it is in the user's address book.
    Known { handle: Private, known: bool },
    /// `org.example.Phone holds no`: or `yes`; whether it can hold calls when it is asked.
    Holds { app: String, can: bool },
    /// `start 1 to tel:+4930123`, or with `through org.example.Phone` behind it: the user calls somebody.
    Starts { call: u32, handle: Private, app: Option<String> },
    /// `far end answers 1`.
    Answers { call: u32 },
    /// `org.example.Phone reports 1 from tel:+4930123`, or without `from`.
    Reports { app: String, call: u32, handle: Private },
    /// `answer 1`, `end 1`, `hold 1`, `unhold 1`: the user does.
    Wants { what: Wish, call: u32 },
    /// `far end hangs up 1`.
    HangsUp { call: u32 },
    /// `expect 1 ringing`, with `silenced rule` and `by RULE` behind it where that is meant.
    Expect { call: u32, state: String, silenced: Option<String>, rule: Option<String> },
}

/// What a user wants of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wish {
    Answer,
    End,
    Hold,
    Unhold,
}

const HELP: &str = "zone NAME, date YYYY-MM-DD, at HH:MM, locked yes|no, do-not-disturb \
     off|quiet|refuse, foreground yes|no, HANDLE is known|unknown, APP reports N [from HANDLE], \
     start N to HANDLE [through APP], answer|end|hold|unhold N, far end answers N, far end hangs up N, \
     APP holds yes|no, expect N STATE [silenced WORD] [by RULE]";

impl Sentence {
    /// None for an empty line or a comment; an error says what would be right.
    pub fn read(line: &str) -> Result<Option<Sentence>, String> {
        let line = before_comment(line).trim();
        let words: Vec<&str> = line.split_whitespace().collect();
        let unknown = || format!("this is no sentence of a scenario; there are: {HELP}");
        let sentence = match words[..] {
            [] => return Ok(None),
            ["zone", name] => Sentence::Zone(name.to_owned()),
            ["date", date] => {
                Sentence::Date { days: days(date).ok_or("a date is wanted, as 2026-11-30")? }
            }
            ["at", time] => {
                Sentence::At { seconds: seconds(time).ok_or("a time is wanted, as 22:15")? }
            }
            ["locked", "yes"] => Sentence::Locked(true),
            ["locked", "no"] => Sentence::Locked(false),
            ["do-not-disturb", "off"] => Sentence::DoNotDisturb(DoNotDisturb::Off),
            ["do-not-disturb", "quiet"] => Sentence::DoNotDisturb(DoNotDisturb::Quiet),
            ["do-not-disturb", "refuse"] => Sentence::DoNotDisturb(DoNotDisturb::Refuse),
            ["foreground", "yes"] => Sentence::Foreground(true),
            ["foreground", "no"] => Sentence::Foreground(false),
            [handle, "is", known @ ("known" | "unknown")] => {
                Sentence::Known { handle: handle.into(), known: known == "known" }
            }
            [app, "holds", can @ ("yes" | "no")] => {
                Sentence::Holds { app: app.to_owned(), can: can == "yes" }
            }
            ["start", call, "to", handle] => {
                Sentence::Starts { call: number(call)?, handle: handle.into(), app: None }
            }
            ["start", call, "to", handle, "through", app] => Sentence::Starts {
                call: number(call)?,
                handle: handle.into(),
                app: Some(app.to_owned()),
            },
            ["far", "end", "answers", call] => Sentence::Answers { call: number(call)? },
            [app, "reports", call] => Sentence::Reports {
                app: app.to_owned(),
                call: number(call)?,
                handle: Private::default(),
            },
            [app, "reports", call, "from", handle] => Sentence::Reports {
                app: app.to_owned(),
                call: number(call)?,
                handle: handle.into(),
            },
            ["answer", call] => Sentence::Wants { what: Wish::Answer, call: number(call)? },
            ["end", call] => Sentence::Wants { what: Wish::End, call: number(call)? },
            ["hold", call] => Sentence::Wants { what: Wish::Hold, call: number(call)? },
            ["unhold", call] => Sentence::Wants { what: Wish::Unhold, call: number(call)? },
            ["far", "end", "hangs", "up", call] => Sentence::HangsUp { call: number(call)? },
            ["expect", call, state, ..] => {
                let (call, state) = (number(call)?, state.to_owned());
                let rest = line.splitn(4, char::is_whitespace).nth(3).unwrap_or_default();
                let (silenced, rule) = expected(rest.trim()).ok_or_else(unknown)?;
                Sentence::Expect { call, state, silenced, rule }
            }
            _ => return Err(unknown()),
        };
        Ok(Some(sentence))
    }
}

/// Service codes have a `#`, too: a comment begins the line, or stands behind a blank.
fn before_comment(line: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| {
        line.get(..*at)
            .is_some_and(|before| before.is_empty() || before.ends_with(char::is_whitespace))
    };
    line.match_indices('#').find(begins).and_then(|(at, _)| line.get(..at)).unwrap_or(line)
}

/// What stands behind the state; the name of a rule may have blanks.
fn expected(rest: &str) -> Option<(Option<String>, Option<String>)> {
    let (before, rule) = match rest.strip_prefix("by ") {
        Some(rule) => ("", Some(rule)),
        None => rest.split_once(" by ").map_or((rest, None), |(before, rule)| (before, Some(rule))),
    };
    let silenced = match before.trim() {
        "" => None,
        words => Some(words.strip_prefix("silenced ")?.trim().to_owned()),
    };
    Some((silenced, rule.map(|rule| rule.trim().to_owned())))
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("calls have numbers, 1 for example, and {text:?} is none"))
}

fn seconds(text: &str) -> Option<i64> {
    let mut parts = text.split(':').map(|part| part.parse::<i64>().ok());
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let seconds = parts.next().map_or(Some(0), |seconds| seconds)?;
    let fits = (0..24).contains(&hours) && (0..60).contains(&minutes) && (0..60).contains(&seconds);
    (fits && parts.next().is_none()).then_some(hours * 3600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_may_name_a_rule_with_blanks() {
        let read = Sentence::read("expect 1 ringing silenced rule by night shift # so it is");
        let expected = Sentence::Expect {
            call: 1,
            state: "ringing".to_owned(),
            silenced: Some("rule".to_owned()),
            rule: Some("night shift".to_owned()),
        };
        assert_eq!(read, Ok(Some(expected)));
        assert!(Sentence::read("sing").is_err_and(|help| help.contains("expect N STATE")));
        assert_eq!(Sentence::read("  # nothing"), Ok(None));
        let code = Sentence::Known { handle: "tel:#31#5".into(), known: true };
        assert_eq!(Sentence::read("tel:#31#5 is known # without a number"), Ok(Some(code)));
    }
}
