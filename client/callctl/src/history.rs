//! The calls that are over and whom one calls often, as the session's agent keeps them: shown, erased, called again.
//!
//! Owns what is asked of the agent, which call is meant by the beginning of its id, and the words for people. A call is
//! named by its id, never by its place in a list: that changes with the next call.

use callarbiter::StartOptions;
use callarbiter_dbus::{
    Dict, Fields, Record,
    proxies::{self, HistoryProxy},
    words::{Direction, EndReason},
};
use serde::Serialize;
use zbus::Variant;

use crate::{
    agent::{Agent, failure, refused},
    args::{Favourite, Global, Past, Which},
    commands,
    failure::Failure,
    output::Output,
    paint::{Line, Style, Table},
    session::{Session, now},
    table::{duration, timestamp},
};

/// As many as the agent tells at once.
const MOST: u32 = 1000;

/// The least of an id that names a call.
const BEGINNING: usize = 4;

pub async fn run(
    which: Which,
    limit: u32,
    what: Option<Past>,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    let agent = agent(global).await?;
    match what {
        None => list(&agent, which, limit, output).await,
        Some(Past::Call { call, video }) => {
            let record = one(&agent, &call).await?;
            if record.handle.is_empty() {
                let why =
                    "it is not known with whom that call was: its application keeps that to itself";
                return Err(Failure::refused(why));
            }
            dial(&global.bus, output, &record.handle, Some(record.app_id), video).await
        }
        Some(Past::Erase { all, which, call, older_than }) => {
            let mut what = filter(which);
            if all {
                put(&mut what, "all", true);
            }
            if let Some(call) = call {
                put(&mut what, "id", one(&agent, &call).await?.id);
            }
            if let Some(days) = older_than {
                put(&mut what, "before", now().saturating_sub(u64::from(days) * 86_400_000_000));
            }
            let erased = agent.erase(&what).await.map_err(failure)?;
            output.show(&Erased { erased }, || {
                let calls = if erased == 1 { "call is" } else { "calls are" };
                vec![
                    Line::new()
                        .with(Style::Good, "✓ ")
                        .with(Style::Plain, format!("{erased} {calls} erased")),
                ]
            });
            Ok(())
        }
    }
}

#[derive(Serialize)]
struct Erased {
    erased: u32,
}

pub async fn favourites(
    what: Option<Favourite>,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    let agent = agent(global).await?;
    match what {
        None => {
            let all = liked(&agent).await?;
            output.show(&all, || liked_lines(&all));
            Ok(())
        }
        Some(Favourite::Add { handle, name, provider }) => {
            let mut options = Dict::new();
            name.into_iter().for_each(|name| put(&mut options, "display-name", name));
            provider.into_iter().for_each(|app| put(&mut options, "provider", app));
            agent.add_favourite(&handle, &options).await.map_err(failure)
        }
        Some(Favourite::Remove { handle }) => {
            agent.remove_favourite(&handle).await.map_err(failure)
        }
        Some(Favourite::Call { who, video }) => {
            let all = liked(&agent).await?;
            let wanted = who.to_lowercase();
            let meant = |it: &&LikedView| {
                it.handle == who || it.display_name.to_lowercase().starts_with(&wanted)
            };
            let found: Vec<&LikedView> = all.iter().filter(meant).collect();
            let [one] = found.as_slice() else {
                let count = found.len();
                return Err(Failure::refused(format!(
                    "{count} favourites are called so; `callctl favourites` lists them"
                )));
            };
            dial(&global.bus, output, &one.handle, Some(one.provider.clone()), video).await
        }
    }
}

async fn list(
    agent: &HistoryProxy<'_>,
    which: Which,
    limit: u32,
    output: &Output,
) -> Result<(), Failure> {
    let mut wanted = filter(which);
    put(&mut wanted, "limit", limit);
    let (records, about) = agent.query(&wanted).await.map_err(failure)?;
    let records = records.iter().map(|dict| Record::from_dict(dict).map(RecordView::of));
    let records = records.collect::<Result<Vec<_>, _>>().map_err(|error| refused(&error))?;
    let about = Fields::trusted(&about);
    let past = PastView {
        more: about.flag("more").ok().flatten().unwrap_or_default(),
        damaged_at: about.time("damaged-at").ok().flatten(),
        calls: records,
    };
    output.show(&past, || past.lines(now()));
    Ok(())
}

/// The call whose id begins so.
async fn one(agent: &HistoryProxy<'_>, beginning: &str) -> Result<Record, Failure> {
    let mut all = Dict::new();
    put(&mut all, "limit", MOST);
    let (records, _) = agent.query(&all).await.map_err(failure)?;
    let records = records.iter().map(Record::from_dict);
    let records = records.collect::<Result<Vec<_>, _>>().map_err(|error| refused(&error))?;
    let beginning = beginning.to_lowercase();
    let long = beginning.len() >= BEGINNING;
    let mut meant = records.into_iter().filter(|it| long && it.call.starts_with(&beginning));
    match (meant.next(), meant.next()) {
        (Some(record), None) => Ok(record),
        (Some(_), Some(_)) => Err(Failure::refused(
            "the ids of several calls begin so; give more of it, as `callctl --json history` prints it",
        )),
        (None, _) => Err(Failure::refused(
            "no call's id begins so, with four letters at least; `callctl history` lists them",
        )),
    }
}

async fn dial(
    bus: &str,
    output: &Output,
    handle: &str,
    provider: Option<String>,
    video: bool,
) -> Result<(), Failure> {
    let session = Session::open(bus).await?;
    let provider = provider.filter(|app| !app.is_empty());
    let options =
        StartOptions { provider, has_video: video, wait: true, ..StartOptions::default() };
    commands::start(&session, output, handle, options).await
}

async fn agent(global: &Global) -> Result<HistoryProxy<'static>, Failure> {
    let agent = Agent::open(global.session_bus.as_deref()).await?;
    proxies::history(agent.connection()).await.map_err(failure)
}

fn filter(Which { missed, with, app }: Which) -> Dict {
    let mut wanted = Dict::new();
    if missed {
        put(&mut wanted, "missed", true);
    }
    with.into_iter().for_each(|handle| put(&mut wanted, "handle", handle));
    app.into_iter().for_each(|app| put(&mut wanted, "app-id", app));
    wanted
}

fn put(dict: &mut Dict, key: &str, value: impl Into<Variant<'static>>) {
    // Fails only for file descriptors.
    if let Ok(value) = value.into().try_into_owned() {
        dict.insert(key.to_owned(), value);
    }
}

async fn liked(agent: &HistoryProxy<'_>) -> Result<Vec<LikedView>, Failure> {
    let all = agent.favourites().await.map_err(failure)?;
    let view = |dict: &Dict| {
        let fields = Fields::trusted(dict);
        let text = |key| fields.any_text(key).ok().flatten().unwrap_or_default().to_owned();
        LikedView {
            handle: text("handle"),
            display_name: text("display-name"),
            provider: text("provider"),
        }
    };
    Ok(all.iter().map(view).collect())
}

#[derive(Serialize)]
struct LikedView {
    handle: String,
    display_name: String,
    /// The application to call with; empty where none is known.
    provider: String,
}

fn liked_lines(all: &[LikedView]) -> Vec<Line> {
    if all.is_empty() {
        return vec![Line::new().with(Style::Faint, "No favourites.")];
    }
    let mut table = Table::new(&["NAME", "ADDRESS", "APP"]);
    for one in all {
        let cells = [&one.display_name, &one.handle, &one.provider];
        table.row(cells.into_iter().map(|text| Line::new().with(Style::Plain, text)).collect());
    }
    table.lines()
}

/// What the history tells at once.
#[derive(Serialize)]
struct PastView {
    calls: Vec<RecordView>,
    /// There are older ones.
    more: bool,
    /// When a history was found damaged, and this one begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged_at: Option<u64>,
}

#[derive(Serialize)]
struct RecordView {
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
    fn lines(&self, now: u64) -> Vec<Line> {
        let mut lines = match self.calls.as_slice() {
            [] => vec![Line::new().with(Style::Faint, "No calls.")],
            calls => {
                let mut table = Table::new(&["CALL", "WHEN", "APP", "WITH", "WHAT"]);
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

impl RecordView {
    fn of(record: Record) -> RecordView {
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
            plain(app),
            plain(&self.with_whom()),
            self.what(),
        ]
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
            (word, _) => Line::new().with(Style::Bad, format!("missed: {word}")),
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
