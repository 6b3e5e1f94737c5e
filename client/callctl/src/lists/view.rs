//! How the user's lists look: their JSON, and lines for people.

use callarbiter_dbus::{Dict, Fields};
use callarbiter_lists::date;
use serde::Serialize;

use super::{good, text, time};
use crate::paint::{Line, Style, Table};

#[derive(Serialize)]
pub struct Entry {
    number: u64,
    list: String,
    address: String,
    /// Empty for all.
    app_id: String,
    reason: String,
    /// µs since the epoch; null for never.
    expires_at: Option<u64>,
    added_at: u64,
    /// It has expired.
    over: bool,
}

impl Entry {
    pub fn of(entry: &Dict) -> Entry {
        let fields = Fields::trusted(entry);
        Entry {
            number: time(fields, "number").unwrap_or_default(),
            list: text(fields, "list"),
            address: text(fields, "address"),
            app_id: text(fields, "app-id"),
            reason: text(fields, "reason"),
            expires_at: time(fields, "expires-at"),
            added_at: time(fields, "added-at").unwrap_or_default(),
            over: fields.flag("over").ok().flatten().unwrap_or_default(),
        }
    }

    /// What was done by adding it.
    pub fn said(&self) -> Vec<Line> {
        let verb = if self.list == "allow" { "is allowed" } else { "is blocked" };
        let through = match self.app_id.as_str() {
            "" => String::new(),
            app => format!(" through {app}"),
        };
        let until = self.expires_at.map_or(String::new(), |at| format!(" until {}", utc(at)));
        let mut lines = vec![good(&format!("{} {verb}{through}{until}", self.address))];
        if self.address.starts_with("tel:") && !self.address.starts_with("tel:+") {
            let remark = "  without a country: it fits only calls that write it so. Write +49…, or set `region` \
                          under [contacts] in agent.toml";
            lines.push(Line::new().with(Style::Faint, remark));
        }
        lines
    }
}

#[derive(Serialize)]
pub struct Listed {
    entries: Vec<Entry>,
    /// Of both lists.
    total: u64,
    more: bool,
    damaged_at: Option<u64>,
}

impl Listed {
    pub fn of(entries: &[Dict], about: &Dict) -> Listed {
        let about = Fields::trusted(about);
        Listed {
            entries: entries.iter().map(Entry::of).collect(),
            total: time(about, "total").unwrap_or_default(),
            more: about.flag("more").ok().flatten().unwrap_or_default(),
            damaged_at: time(about, "damaged-at"),
        }
    }

    pub fn lines(&self, list: &str) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some(at) = self.damaged_at {
            let words =
                format!("The file was damaged and set aside; new lists began on {}.", utc(at));
            lines.push(Line::new().with(Style::Bad, words));
        }
        if self.entries.is_empty() {
            let nobody = if list == "allow" { "Nobody is allowed" } else { "Nobody is blocked" };
            lines.push(Line::new().with(Style::Faint, format!("{nobody}, as far as was asked.")));
            return lines;
        }
        let mut table = Table::new(&["ADDRESS", "APP", "UNTIL", "REASON"]);
        for entry in &self.entries {
            let until = match (entry.expires_at, entry.over) {
                (_, true) => "over".to_owned(),
                (Some(at), false) => utc(at),
                (None, false) => String::new(),
            };
            let style = if entry.over { Style::Faint } else { Style::Plain };
            let cells = [&entry.address, &entry.app_id, &until, &entry.reason];
            table.row(cells.into_iter().map(|text| Line::new().with(style, text)).collect());
        }
        lines.extend(table.lines());
        if let Some(last) = self.entries.last().filter(|_| self.more) {
            let more = format!("There are more: callctl {list} list --after {}", last.number);
            lines.push(Line::new().with(Style::Faint, more));
        }
        lines
    }
}

/// What would happen.
#[derive(Serialize)]
pub struct Answer {
    /// `allow` or `reject`; empty where no entry decides.
    verdict: String,
    entry: Option<Entry>,
}

impl Answer {
    pub fn of(answer: &Dict) -> Answer {
        let verdict = text(Fields::trusted(answer), "verdict");
        let entry = (!verdict.is_empty()).then(|| Entry::of(answer));
        Answer { verdict, entry }
    }

    pub fn lines(&self, address: &str) -> Vec<Line> {
        let who = if address.is_empty() { "Somebody who withholds the address" } else { address };
        let (style, what) = match self.verdict.as_str() {
            "allow" => (Style::Good, "rings, through do-not-disturb, too"),
            "reject" => (Style::Bad, "is turned away"),
            _ => (Style::Plain, "is on no list, and rings as anybody"),
        };
        let mut lines = vec![Line::new().with(Style::Plain, format!("{who} ")).with(style, what)];
        if let Some(entry) = &self.entry {
            let list = if entry.list == "allow" { "allowed" } else { "blocked" };
            let mut because = format!("  since {} is {list}", entry.address);
            if !entry.app_id.is_empty() {
                because += &format!(" for {}", entry.app_id);
            }
            if let Some(at) = entry.expires_at {
                because += &format!(" until {}", utc(at));
            }
            if !entry.reason.is_empty() {
                because += &format!(": {}", entry.reason);
            }
            lines.push(Line::new().with(Style::Faint, because));
        }
        lines
    }
}

/// Entries that came or went.
#[derive(Serialize)]
pub struct Moved {
    pub entries: u32,
    pub left_out: u32,
}

impl Moved {
    pub fn of(about: &Dict, key: &str) -> Moved {
        let fields = Fields::trusted(about);
        let number = |key| fields.number(key).ok().flatten().unwrap_or_default();
        Moved { entries: number(key), left_out: number("left-out") }
    }

    pub fn lines(&self, how: &str, what_not: &str) -> Vec<Line> {
        let mut lines = vec![good(&format!("{} {how}", self.words()))];
        if self.left_out > 0 {
            let left = format!("  {} left out: {what_not}", self.left_out);
            lines.push(Line::new().with(Style::Faint, left));
        }
        lines
    }

    pub fn words(&self) -> String {
        match self.entries {
            1 => "1 entry is".to_owned(),
            entries => format!("{entries} entries are"),
        }
    }
}

/// Of µs since the epoch.
fn utc(at: u64) -> String {
    date::written(u32::try_from(at / 1_000_000).unwrap_or(u32::MAX))
}
