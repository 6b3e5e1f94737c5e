//! Calls that are over, for people and as JSON.
//!
//! Owns the words and what of a call a line has room for. Must not ask anybody.

use callarbiter::Cause;
use callarbiter_dbus::{
    Record,
    words::{Direction, EndReason, Missed},
};
use serde::Serialize;

use crate::{
    paint::{Line, Style, Table},
    table::{duration, timestamp},
    why::{self, CauseView},
};

/// What the history tells at once.
#[derive(Serialize)]
pub struct PastView {
    pub calls: Vec<RecordView>,
    /// There are older ones.
    pub more: bool,
    /// When a history was found damaged, and this one begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damaged_at: Option<u64>,
}

#[derive(Serialize)]
pub struct RecordView {
    id: String,
    call: String,
    app_id: String,
    provider_name: String,
    direction: String,
    handle: String,
    display_name: String,
    contact_id: String,
    /// Times are microseconds since 1970, 0 where it has not happened.
    created_at: u64,
    connected_at: u64,
    ended_at: u64,
    reason: String,
    detail: String,
    /// Why nobody here answered it; empty if somebody did.
    missed: String,
    silenced: String,
    emergency: bool,
    has_video: bool,
    records: String,
    /// So many calls before it are missing.
    lost: u32,
}

impl PastView {
    pub fn lines(&self, now: u64) -> Vec<Line> {
        let mut lines = match self.calls.as_slice() {
            [] => vec![Line::new().with(Style::Faint, "No calls.")],
            calls => {
                let mut table = Table::new(&["CALL", "WHEN", "WHAT", "APP", "WITH"]);
                calls.iter().for_each(|call| table.row(call.cells(now)));
                table.lines()
            }
        };
        let faint = |text: String| Line::new().with(Style::Faint, text);
        if self.more {
            lines.push(faint("There are older ones: --limit".to_owned()));
        }
        if let Some(at) = self.damaged_at {
            lines.push(faint(format!(
                "Calls before {} are in a file that was damaged.",
                timestamp(at)
            )));
        }
        lines
    }
}

/// One call with its causes.
#[derive(Serialize)]
pub struct WholeView {
    #[serde(flatten)]
    call: RecordView,
    causes: Vec<CauseView>,
}

impl WholeView {
    pub fn of(record: Record, causes: &[Cause]) -> WholeView {
        let causes = causes.iter().map(CauseView::of).collect();
        WholeView { call: RecordView::of(record), causes }
    }

    pub fn lines(&self, now: u64, causes: &[Cause]) -> Vec<Line> {
        let mut lines = self.call.all(now);
        lines.push(Line::new());
        lines.extend(why::lines(causes));
        lines
    }
}

impl RecordView {
    pub fn of(record: Record) -> RecordView {
        RecordView {
            direction: record.direction.to_string(),
            reason: record.reason.to_string(),
            missed: record.missed.map(|word| word.to_string()).unwrap_or_default(),
            silenced: record.silenced.to_string(),
            records: record.records.to_string(),
            id: record.id,
            call: record.call,
            app_id: record.app_id,
            provider_name: record.provider_name,
            handle: record.handle,
            display_name: record.display_name,
            contact_id: record.contact_id,
            created_at: record.created_at,
            connected_at: record.connected_at,
            ended_at: record.ended_at,
            detail: record.detail,
            emergency: record.emergency,
            has_video: record.has_video,
            lost: record.lost,
        }
    }

    fn cells(&self, now: u64) -> Vec<Line> {
        let plain = |text: &str| Line::new().with(Style::Plain, text);
        let app = if self.provider_name.is_empty() { &self.app_id } else { &self.provider_name };
        vec![
            plain(self.call.get(..8).unwrap_or(&self.call)),
            plain(&age(now.saturating_sub(self.created_at))),
            self.what(),
            plain(app),
            // May be long.
            plain(&self.with_whom()),
        ]
    }

    /// One property a line, and only those that say something.
    fn all(&self, now: u64) -> Vec<Line> {
        let yes = |flag: bool| if flag { "yes" } else { "" }.to_owned();
        let time = |at: u64| match at {
            0 => String::new(),
            at => format!("{} ({})", timestamp(at), age(now.saturating_sub(at))),
        };
        let app = match self.provider_name.as_str() {
            "" => self.app_id.clone(),
            name => format!("{name} ({})", self.app_id),
        };
        let end = match self.detail.as_str() {
            "" => self.reason.clone(),
            detail => format!("{}: {detail}", self.reason),
        };
        let kept =
            if self.records == "full" { "" } else { "only that it was, as its application wishes" };
        let plain = |text: String| Line::new().with(Style::Plain, text);
        let rows = [
            ("Call", Line::new().with(Style::Emphasis, &self.call)),
            ("With", plain(self.with_whom())),
            ("Contact", plain(self.contact_id.clone())),
            ("Application", plain(app)),
            ("What", self.what()),
            ("Silenced by", plain(self.silenced.clone())),
            ("Video", plain(yes(self.has_video))),
            ("Began", plain(time(self.created_at))),
            ("Connected", plain(time(self.connected_at))),
            ("Ended", plain(time(self.ended_at))),
            ("End reason", plain(end)),
            ("Kept", plain(kept.to_owned())),
            ("History's id", Line::new().with(Style::Faint, &self.id)),
        ];
        let rows = rows.into_iter().filter(|(_, value)| value.width() > 0);
        rows.map(|(name, value)| {
            let mut line = Line::new().with(Style::Faint, name);
            line.pad_to(17);
            line.append(value);
            line
        })
        .collect()
    }

    fn with_whom(&self) -> String {
        let way = if self.is_outgoing() { "to" } else { "from" };
        match (self.display_name.as_str(), self.handle.as_str()) {
            ("", "") => format!("{way} somebody"),
            ("", who) | (who, "") => format!("{way} {who}"),
            (name, handle) => format!("{way} {name} {handle}"),
        }
    }

    fn is_outgoing(&self) -> bool {
        Direction::from(&*self.direction) == Direction::Outgoing
    }

    fn what(&self) -> Line {
        let mut line = match (self.missed.as_str(), self.connected_at) {
            ("", 0) => Line::new().with(Style::Plain, self.not_connected()),
            ("", since) => {
                Line::new().with(Style::Good, format!("talked {}", duration(self.ended_at, since)))
            }
            (word, _) => Line::new().with(Style::Bad, missed(word)),
        };
        if self.emergency {
            line.push(Style::Bad, ", emergency");
        }
        if self.lost > 0 {
            line.push(Style::Attention, format!(", {} before it are missing", self.lost));
        }
        line
    }

    fn not_connected(&self) -> &str {
        match EndReason::from(&*self.reason) {
            EndReason::LocalEnded if self.is_outgoing() => "cancelled",
            _ => &self.reason,
        }
    }
}

/// Why nobody here answered, for people.
fn missed(word: &str) -> String {
    match Missed::from(word) {
        Missed::Unanswered => "missed".to_owned(),
        Missed::Blocked => "blocked".to_owned(),
        Missed::Screened => "turned away".to_owned(),
        Missed::Busy => "missed: busy".to_owned(),
        Missed::ShortRing => "missed: it rang only briefly".to_owned(),
        Missed::ProviderLost => "missed: its app went away".to_owned(),
        Missed::AnsweredElsewhere => "answered elsewhere".to_owned(),
        Missed::DeclinedElsewhere => "declined elsewhere".to_owned(),
        Missed::Silenced => "missed: it was silenced".to_owned(),
        Missed::Failed => "answered, and not connected".to_owned(),
        other => format!("missed: {other}"),
    }
}

/// `3 min ago`.
fn age(micros: u64) -> String {
    let minutes = micros / 60_000_000;
    match (minutes, minutes / 60, minutes / 1440) {
        (0, ..) => "now".to_owned(),
        (minutes @ ..60, ..) => format!("{minutes} min ago"),
        (_, hours @ ..24, _) => format!("{hours} h ago"),
        (.., 1) => "1 day ago".to_owned(),
        (.., days) => format!("{days} days ago"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ages() {
        let minute = 60_000_000;
        for (micros, text) in [
            (minute - 1, "now"),
            (minute, "1 min ago"),
            (60 * minute - 1, "59 min ago"),
            (60 * minute, "1 h ago"),
            (1440 * minute, "1 day ago"),
            (3000 * minute, "2 days ago"),
        ] {
            assert_eq!(age(micros), text);
        }
    }
}
