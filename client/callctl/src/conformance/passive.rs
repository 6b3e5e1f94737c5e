//! What shows in the record of the whole trial.
//!
//! Owns the rules that nothing is tried for: what the app must not say, and what it must not be refused.

use std::collections::HashSet;

use super::{
    rules::{self, Rule},
    said::Word,
    trial::Trial,
};

const INVALID: [&str; 3] = ["InvalidState", "InvalidArgument", "UnknownCall"];

impl Trial<'_> {
    pub fn passive(&mut self) {
        let words = self.relay.said.all();
        self.repeats(&words);
        let refused = self.refused.iter().map(|(call, _)| call).chain(&self.late);
        let decided: Vec<&str> = refused.map(String::as_str).collect();
        let seen = in_order(&words, &decided);
        self.judge(&rules::IN_ORDER, seen);
        self.judge(&rules::SILENT, silent(&words));
        match words.iter().any(|word| word.from_app && word.name == "Progress") {
            true => self.judge(&rules::TIME, in_time(&words)),
            false => self.report.skip(&rules::TIME, "the app never asked for more time"),
        }
        if !self.refused.is_empty() {
            let seen = self.dropped(&words);
            self.judge(&rules::DROPS, seen);
        }
    }

    /// Once the far end has called twice.
    pub fn new_uuids(&mut self) {
        let words = self.relay.said.all();
        let used_again = self.rings.iter().any(|since| {
            let reported = self.reports_since(*since).into_iter().next();
            let earlier =
                |call: String| words.iter().take(*since).any(|word| word.is_report_of(&call));
            reported.is_some_and(earlier)
        });
        let seen = match used_again {
            true => Err("a call was reported with the UUID of an earlier one".to_owned()),
            false => Ok(()),
        };
        self.judge(&rules::NEW_UUID, seen);
    }

    fn judge(&mut self, rule: &'static Rule, seen: Result<(), String>) {
        if self.report.may_try(rule) {
            self.report.note(rule, seen);
        }
    }

    fn repeats(&mut self, words: &[Word]) {
        if self.repeated.is_empty() {
            let why = "no request was fulfilled that could have come again";
            return self.report.skip(&rules::REPEATS, why);
        }
        let refused = self.repeated.iter().find_map(|repeated| repeated.answered.clone().err());
        self.report.note(&rules::REPEATS, refused.map_or(Ok(()), Err));
        if self.report.may_try(&rules::ONCE) {
            let seen = self.performed_once(words);
            self.report.note(&rules::ONCE, seen);
        }
    }

    /// Only what it reports can be seen: a call that begins again.
    fn performed_once(&self, words: &[Word]) -> Result<(), String> {
        for repeated in &self.repeated {
            if !matches!(repeated.member, "PerformStart" | "PerformAnswer") {
                continue;
            }
            let after = words.iter().skip(repeated.since);
            let mut held_since = false;
            for word in after {
                let state = word.text(1);
                let reports = word.name == "ReportState" && word.is_report_of(&repeated.call);
                held_since |= word.name == "PerformSetHeld" || reports && state == "held";
                let began =
                    matches!(state, "alerting" | "connecting") || state == "active" && !held_since;
                if reports && began {
                    return Err(format!(
                        "{} came once more, and it reported the call as {state} once more",
                        repeated.member
                    ));
                }
            }
        }
        Ok(())
    }

    fn dropped(&self, words: &[Word]) -> Result<(), String> {
        let since = self.refused.iter().map(|(_, since)| *since).min().unwrap_or(0);
        for (call, since) in &self.refused {
            let after = || words.iter().skip(*since);
            if let Some(word) = after().find(|word| word.is_report_of(call)) {
                return Err(format!("it said {} about a call that was refused", word.name));
            }
            let lists = |word: &Word| word.listed().contains(call);
            if after().any(|word| word.from_app && word.name == "Fulfil" && lists(word)) {
                return Err("it lists a call that was refused in Reconcile".to_owned());
            }
        }
        let made = self.rings.iter().filter(|ring| **ring >= since).count();
        match self.reports_since(since).len() > made {
            true => Err("it reported a refused call again, with another UUID".to_owned()),
            false => Ok(()),
        }
    }
}

/// No report was refused as one that makes no sense; of calls that the arbiter has `decided`, the app could not know.
fn in_order(words: &[Word], decided: &[&str]) -> Result<(), String> {
    let over = over(words);
    for (index, error) in words.iter().enumerate().filter(|(_, word)| word.answers != 0) {
        let reported = words.iter().enumerate().take(index).rev().find(|(_, word)| {
            word.from_app && word.line == error.line && word.serial == error.answers
        });
        let Some((at, word)) = reported.filter(|(_, word)| word.is_report()) else { continue };
        let ended = over.iter().any(|(call, since)| call == word.text(0) && *since < at);
        if !ended && !decided.contains(&word.text(0)) && INVALID.contains(&error.name.as_str()) {
            let what = format!("{} {}", word.name, word.text(1));
            return Err(format!(
                "{} was refused with {}: {}",
                what.trim(),
                error.name,
                error.detail()
            ));
        }
    }
    Ok(())
}

/// Nothing is said of a call after the app itself has said that it is over.
fn silent(words: &[Word]) -> Result<(), String> {
    let over = over(words);
    for (call, since) in over {
        let late = words
            .iter()
            .skip(since + 1)
            .find(|word| word.is_report_of(&call) && word.name != "ReportIncomingCall");
        if let Some(word) = late {
            let what = format!("{} {}", word.name, word.text(1));
            return Err(format!("{} was said of a call that had ended", what.trim()));
        }
    }
    Ok(())
}

/// The calls that the app said are over, and where it said so.
fn over(words: &[Word]) -> Vec<(String, usize)> {
    let mut over = Vec::new();
    let mut seen = HashSet::new();
    for (index, word) in words.iter().enumerate() {
        let call = match word.name.as_str() {
            "ReportEnded" if word.from_app => Some(word.text(0).to_owned()),
            "Fulfil" if word.from_app => asked(words, index, "PerformEnd"),
            "Fail" if word.from_app => asked(words, index, "PerformStart"),
            _ => None,
        };
        if let Some(call) = call
            && seen.insert(call.clone())
        {
            over.push((call, index));
        }
    }
    over
}

/// The call of the request of this name that the word there answers.
fn asked(words: &[Word], answer: usize, member: &str) -> Option<String> {
    let request = words.get(answer)?.text(0);
    let asks = |word: &&Word| !word.from_app && word.name == member && word.text(0) == request;
    words.iter().take(answer).find(asks).map(|ask| ask.text(1).to_owned())
}

/// No wish for more time was refused.
fn in_time(words: &[Word]) -> Result<(), String> {
    let refused = words.iter().find(|error| {
        error.answers != 0
            && words.iter().any(|word| {
                word.name == "Progress" && word.line == error.line && word.serial == error.answers
            })
    });
    match refused {
        Some(error) => Err(format!("Progress was refused with {}: {}", error.name, error.detail())),
        None => Ok(()),
    }
}
