//! The verdicts on an app's provider, as a table for its author or as JSON.
//!
//! Owns that a rule which was not tried never counts as passed. Must not try anything.

use serde::Serialize;

use super::rules::{ALL, Rule};
use crate::{
    failure::Failure,
    output::Output,
    paint::{Line, Style, Table},
};

#[derive(Debug, Serialize)]
#[serde(tag = "verdict", content = "seen", rename_all = "kebab-case")]
pub enum Verdict {
    Passed,
    Failed(String),
    NotTried(String),
}

#[derive(Debug, Serialize)]
struct Entry {
    #[serde(flatten)]
    rule: &'static Rule,
    #[serde(flatten)]
    verdict: Verdict,
}

#[derive(Debug, Default)]
pub struct Report {
    entries: Vec<Entry>,
}

impl Report {
    /// Notes what was seen; whether the rule was kept.
    pub fn note(&mut self, rule: &'static Rule, seen: Result<(), String>) -> bool {
        let kept = seen.is_ok();
        self.put(rule, seen.map_or_else(Verdict::Failed, |()| Verdict::Passed));
        kept
    }

    pub fn skip(&mut self, rule: &'static Rule, why: &str) {
        self.put(rule, Verdict::NotTried(why.to_owned()));
    }

    /// Whether it was noted or skipped.
    pub fn has(&self, rule: &'static Rule) -> bool {
        self.entries.iter().any(|entry| entry.rule == rule)
    }

    pub fn kept(&self, rule: &'static Rule) -> bool {
        let passed = |entry: &Entry| matches!(entry.verdict, Verdict::Passed);
        self.entries.iter().any(|entry| entry.rule == rule && passed(entry))
    }

    /// Whether it is still open, and nothing that it needs failed or was not come to.
    pub fn may_try(&self, rule: &'static Rule) -> bool {
        !self.has(rule) && rule.needs.iter().all(|name| self.stands(name))
    }

    fn stands(&self, name: &str) -> bool {
        let entry = self.entries.iter().find(|entry| entry.rule.name == name);
        entry.is_some_and(|entry| !matches!(entry.verdict, Verdict::Failed(_)))
    }

    fn put(&mut self, rule: &'static Rule, verdict: Verdict) {
        self.entries.push(Entry { rule, verdict });
    }

    /// Says everything; fails where a rule did.
    pub fn tell(mut self, output: &Output) -> Result<(), Failure> {
        for rule in ALL {
            if !self.has(rule) {
                let why = match rule.needs.iter().find(|name| !self.stands(name)) {
                    Some(name) => format!("it needs {name}"),
                    None => "the trial did not get so far".to_owned(),
                };
                self.skip(rule, &why);
            }
        }
        self.entries.sort_by_key(|entry| ALL.iter().position(|rule| *rule == entry.rule));
        output.show(&serde_json::json!({ "rules": self.entries }), || self.lines());
        let failed =
            self.entries.iter().filter(|e| matches!(e.verdict, Verdict::Failed(_))).count();
        match failed {
            0 => Ok(()),
            _ => Err(Failure::refused(format!("{failed} of {} rules failed", ALL.len()))),
        }
    }

    fn lines(&self) -> Vec<Line> {
        let mut table = Table::new(&["RULE", "VERDICT", "WHY"]);
        let mut advice = Vec::new();
        for Entry { rule, verdict } in &self.entries {
            let (style, word, why) = match verdict {
                Verdict::Passed => (Style::Good, "passed", ""),
                Verdict::Failed(seen) => (Style::Bad, "failed", seen.as_str()),
                Verdict::NotTried(why) => (Style::Attention, "not tried", why.as_str()),
            };
            let cells = [(Style::Plain, rule.name), (style, word), (Style::Plain, why)];
            table.row(cells.map(|(style, text)| Line::new().with(style, text)).to_vec());
            if let Verdict::Failed(seen) = verdict {
                advice.push(Line::new());
                advice.push(Line::new().with(Style::Emphasis, rule.name));
                for (what, text) in [
                    ("seen:     ", seen.as_str()),
                    ("contract: ", &format!("{} ({})", rule.contract, rule.place)),
                    ("change:   ", rule.change),
                ] {
                    let line = Line::new().with(Style::Faint, format!("  {what}"));
                    advice.push(line.with(Style::Plain, text));
                }
            }
        }
        table.lines().into_iter().chain(advice).collect()
    }
}

/// The rules themselves, for `--list`.
pub fn list(output: &Output) {
    output.show(&ALL, || {
        let mut table = Table::new(&["RULE", "CONTRACT", "PLACE"]);
        for rule in ALL {
            let cells = [rule.name, rule.contract, rule.place];
            table.row(cells.map(|text| Line::new().with(Style::Plain, text)).to_vec());
        }
        table.lines()
    });
}
