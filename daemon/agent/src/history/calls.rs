//! Calls and favourites in the file: written down, looked for, erased.
//!
//! Owns what is asked of SQLite. Who may ask is `served`'s business.

use callarbiter_dbus::{
    Dict, Record,
    words::{Direction, EndReason, Missed, Records, Silenced},
};
use rusqlite::{
    Error::FromSqlConversionFailure, OptionalExtension, Row, ToSql, Transaction, named_params,
    types::Type,
};

use super::{chain, store::is_new};
use crate::{
    config,
    database::{now, number, time},
};

/// At most so many calls in one answer; whoever wants more asks for the next page.
pub const PAGE: u32 = 1000;

/// Favourites are a list that somebody made by hand.
pub const FAVOURITES: u32 = 1000;

/// Which calls.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// That nobody here answered.
    pub missed: bool,
    /// With this person, as `Reach` knows one.
    pub person: Option<String>,
    /// Through this app.
    pub app: Option<String>,
    /// This one.
    pub id: Option<String>,
    /// The one of this id, or those whose UUIDs begin so.
    pub call: Option<String>,
    /// That were older than this time, µs since the epoch.
    pub before: Option<i64>,
    /// That come behind this one, by its id.
    pub after: Option<String>,
    /// That were over at this time, µs since the epoch.
    pub ended: Option<i64>,
}

/// Somebody whom the user calls often.
#[derive(Clone, PartialEq, Eq)]
pub struct Favourite {
    pub person: String,
    pub handle: String,
    pub name: String,
    /// Through which they are called: as the user said, or as it was last.
    pub app: String,
}

/// Keeps a call, once; false: it was kept before.
pub fn keep(file: &Transaction<'_>, record: &Record, person: &str) -> rusqlite::Result<bool> {
    if !is_new(file, &record.id)? {
        // It tells of more that was lost since it was first offered.
        let lost = "UPDATE calls SET lost = max(lost, :lost) WHERE id = :id";
        file.execute(lost, named_params! { ":lost": record.lost, ":id": record.id })?;
        return Ok(false);
    }
    file.execute(
        "INSERT OR IGNORE INTO calls (id, call, app, provider, direction, handle, person, name, contact, created,
            connected, ended, reason, detail, missed, silenced, emergency, video, records, lost, why)
         VALUES (:id, :call, :app, :provider, :direction, :handle, :person, :name, :contact, :created,
            :connected, :ended, :reason, :detail, :missed, :silenced, :emergency, :video, :records, :lost, :why)",
        named_params! {
            ":id": record.id, ":call": record.call, ":app": record.app_id,
            ":provider": record.provider_name, ":direction": record.direction.as_str(),
            ":handle": record.handle, ":person": person, ":name": record.display_name,
            ":contact": record.contact_id, ":created": number(record.created_at),
            ":connected": number(record.connected_at), ":ended": number(record.ended_at),
            ":reason": record.reason.as_str(), ":detail": record.detail,
            ":missed": record.missed.as_ref().map(Missed::as_str),
            ":silenced": record.silenced.as_str(), ":emergency": record.emergency,
            ":video": record.has_video, ":records": record.records.as_str(), ":lost": record.lost, ":why": chain::packed(&record.why),
        },
    )?;
    Ok(true)
}

/// What is older, or more, than the user wants to keep.
pub fn retain(file: &Transaction<'_>, wishes: &config::History) -> rusqlite::Result<()> {
    let oldest = now().saturating_sub(u64::from(wishes.days) * 86_400_000_000);
    file.execute(
        "DELETE FROM calls WHERE created < :oldest",
        named_params! { ":oldest": number(oldest) },
    )?;
    let beyond = "DELETE FROM calls WHERE number <= (
        SELECT number FROM calls ORDER BY number DESC LIMIT 1 OFFSET :most)";
    file.execute(beyond, named_params! { ":most": wishes.calls })?;
    file.execute(
        "DELETE FROM notes WHERE at < :oldest",
        named_params! { ":oldest": number(oldest) },
    )?;
    Ok(())
}

/// All of a call but its causes, which are many and asked for one call at a time.
const COLUMNS: &str = "id, call, app, provider, direction, handle, name, contact, created, connected, ended, reason, \
                       detail, missed, silenced, emergency, video, records, lost";

/// The newest first, without their causes.
pub fn find(file: &Transaction<'_>, filter: &Filter, limit: u32) -> rusqlite::Result<Vec<Record>> {
    let (mut condition, mut values) = filter.condition();
    if let Some(after) = &filter.after {
        condition.push_str(
            " AND (created, number) < (SELECT created, number FROM calls WHERE id = :after)",
        );
        values.push((":after", after));
    }
    let limit = limit.min(PAGE);
    values.push((":limit", &limit));
    let sql = format!(
        "SELECT {COLUMNS} FROM calls WHERE {condition} ORDER BY created DESC, number DESC LIMIT :limit"
    );
    let mut statement = file.prepare(&sql)?;
    let rows = statement.query_map(values.as_slice(), record)?;
    rows.collect()
}

/// The causes of one call, the oldest first; none where there is no such call.
pub fn explain(file: &Transaction<'_>, id: &str) -> rusqlite::Result<Option<Vec<Dict>>> {
    let kept: Option<Option<Vec<u8>>> = file
        .query_row("SELECT why FROM calls WHERE id = :id", named_params! { ":id": id }, |row| {
            row.get(0)
        })
        .optional()?;
    let unread = |error: zbus::Error| FromSqlConversionFailure(0, Type::Blob, error.into());
    let read = |kept: Option<Vec<u8>>| kept.map_or(Ok(Vec::new()), chain::unpacked);
    kept.map(read).transpose().map_err(unread)
}

/// The ids of those that ended last.
pub fn ended_last(
    file: &Transaction<'_>,
    filter: &Filter,
    most: usize,
) -> rusqlite::Result<Vec<String>> {
    let (condition, values) = filter.condition();
    let sql = format!("SELECT id FROM calls WHERE {condition} ORDER BY ended DESC LIMIT {most}");
    file.prepare(&sql)?.query_map(values.as_slice(), |row| row.get(0))?.collect()
}

/// How many there were.
pub fn erase(file: &Transaction<'_>, filter: &Filter) -> rusqlite::Result<usize> {
    let (condition, values) = filter.condition();
    file.execute(&format!("DELETE FROM calls WHERE {condition}"), values.as_slice())
}

/// In the order in which they were added.
pub fn favourites(file: &Transaction<'_>) -> rusqlite::Result<Vec<Favourite>> {
    let mut statement = file.prepare(
        "SELECT person, handle, name, coalesce(nullif(app, ''), (
            SELECT app FROM calls WHERE person = favourites.person AND (connected > 0 OR direction = 'outgoing')
            ORDER BY created DESC LIMIT 1), '') AS app
         FROM favourites ORDER BY rowid",
    )?;
    let favourite = |row: &Row<'_>| {
        Ok(Favourite {
            person: row.get("person")?,
            handle: row.get("handle")?,
            name: row.get("name")?,
            app: row.get("app")?,
        })
    };
    let rows = statement.query_map([], favourite)?;
    rows.collect()
}

/// Adds somebody, or changes what is known of them. False: there are too many.
pub fn add_favourite(file: &Transaction<'_>, new: &Favourite) -> rusqlite::Result<bool> {
    let others = "SELECT count(*) FROM favourites WHERE person <> :person";
    let person = named_params! { ":person": new.person };
    let others: u32 = file.query_row(others, person, |row| row.get(0))?;
    if others >= FAVOURITES {
        return Ok(false);
    }
    file.execute(
        "INSERT INTO favourites (person, handle, name, app) VALUES (:person, :handle, :name, :app)
         ON CONFLICT (person) DO UPDATE SET handle = :handle, name = :name, app = :app",
        named_params! { ":person": new.person, ":handle": new.handle, ":name": new.name, ":app": new.app },
    )?;
    Ok(true)
}

/// False: it was none.
pub fn remove_favourite(file: &Transaction<'_>, person: &str) -> rusqlite::Result<bool> {
    let gone = "DELETE FROM favourites WHERE person = :person";
    Ok(file.execute(gone, named_params! { ":person": person })? > 0)
}

/// The app through which somebody was talked to last.
pub fn last_use(file: &Transaction<'_>, person: &str) -> rusqlite::Result<Option<String>> {
    file.query_row(
        "SELECT app FROM calls WHERE person = :person AND (connected > 0 OR direction = 'outgoing')
         ORDER BY created DESC LIMIT 1",
        named_params! { ":person": person },
        |row| row.get(0),
    )
    .optional()
}

type Values<'a> = Vec<(&'static str, &'a dyn ToSql)>;

impl Filter {
    fn condition(&self) -> (String, Values<'_>) {
        let mut condition = "1".to_owned();
        let mut values: Values<'_> = Vec::new();
        let texts = [
            ("person", ":person", &self.person),
            ("app", ":app", &self.app),
            ("id", ":id", &self.id),
        ];
        for (column, name, text) in texts {
            if let Some(text) = text {
                condition.push_str(&format!(" AND {column} = {name}"));
                values.push((name, text));
            }
        }
        if let Some(call) = &self.call {
            condition.push_str(" AND (call >= :call AND call < :call || 'g' OR id = :call)");
            values.push((":call", call));
        }
        if self.missed {
            condition.push_str(" AND missed IS NOT NULL");
        }
        if let Some(before) = &self.before {
            condition.push_str(" AND created < :before");
            values.push((":before", before));
        }
        if let Some(ended) = &self.ended {
            condition.push_str(" AND ended <= :ended");
            values.push((":ended", ended));
        }
        (condition, values)
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let text = |column| row.get::<_, String>(column);
    let at = |column| row.get::<_, i64>(column).map(time);
    Ok(Record {
        id: text("id")?,
        call: text("call")?,
        app_id: text("app")?,
        provider_name: text("provider")?,
        direction: Direction::from(&*text("direction")?),
        handle: text("handle")?,
        display_name: text("name")?,
        contact_id: text("contact")?,
        created_at: at("created")?,
        connected_at: at("connected")?,
        ended_at: at("ended")?,
        reason: EndReason::from(&*text("reason")?),
        detail: text("detail")?,
        missed: row.get::<_, Option<String>>("missed")?.map(|word| Missed::from(&*word)),
        silenced: Silenced::from(&*text("silenced")?),
        emergency: row.get("emergency")?,
        has_video: row.get("video")?,
        records: Records::from(&*text("records")?),
        lost: row.get("lost")?,
        why: Vec::new(),
    })
}
