//! Entries in the file: written down, looked for, taken away.
//!
//! Owns the schema and what is asked of SQLite. An address (for an app, or for all) is one row, the last word about it.

use std::borrow::Borrow;

use callarbiter_lists::{
    entry::{Entry, List, Rule},
    pattern::{Kind, Pattern},
    table::Table,
};
use rusqlite::{Error::IntegralValueOutOfRange, OptionalExtension, Row, Transaction, named_params};

use crate::database::{self, Form, now, number};

/// `lists.sqlite`.
pub static FORM: Form = Form {
    file: "lists.sqlite",
    what: "the lists",
    steps: &["
    CREATE TABLE entries (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        kind INTEGER NOT NULL, key TEXT NOT NULL, app TEXT NOT NULL, list INTEGER NOT NULL,
        reason TEXT NOT NULL, expires INTEGER NOT NULL, added INTEGER NOT NULL,
        UNIQUE (kind, key, app)
    ) STRICT;
    CREATE TABLE notes (at INTEGER NOT NULL, what TEXT NOT NULL) STRICT;
"],
};

/// A hundred times what one adds by hand, twice the largest list that is handed around.
pub const MOST: usize = 2_000_000;

/// At most so many entries in one answer; whoever wants more asks for the next page.
pub const PAGE: u32 = 1000;

/// One entry, and what the file knows of it beside.
pub struct Known {
    pub number: u64,
    pub entry: Entry,
    /// µs since the epoch.
    pub added: u64,
}

/// Which entries.
#[derive(Default)]
pub struct Filter {
    pub list: Option<List>,
    /// In the address or the reason.
    pub contains: Option<String>,
    /// Only those that were said before this one.
    pub after: Option<u64>,
}

const COLUMNS: &str = "kind, key, app, list, expires, reason, number, added";

/// What is looked up.
pub fn table(file: &Transaction<'_>) -> rusqlite::Result<Table> {
    let mut statement =
        file.prepare("SELECT kind, key, app, list, expires FROM entries ORDER BY number")?;
    all_of(statement.query_map([], rule)?, |rules| Table::of(rules))
}

/// Puts it on its list; what was said of the same callers and the same app before is gone.
pub fn put(file: &Transaction<'_>, entry: &Entry) -> rusqlite::Result<u64> {
    put_all(file, [entry])?;
    Ok(database::time(file.last_insert_rowid()))
}

/// The same of many, one after another.
pub fn put_all<E: Borrow<Entry>>(
    file: &Transaction<'_>,
    entries: impl IntoIterator<Item = E>,
) -> rusqlite::Result<()> {
    let mut statement = file.prepare(
        "INSERT OR REPLACE INTO entries (kind, key, app, list, reason, expires, added)
         VALUES (:kind, :key, :app, :list, :reason, :expires, :added)",
    )?;
    let added = number(now());
    for entry in entries {
        let Entry { rule, reason } = entry.borrow();
        statement.execute(named_params! {
            ":kind": of_kind(rule.pattern.kind()), ":key": rule.pattern.key(), ":app": rule.app,
            ":list": of_list(rule.list), ":reason": reason, ":expires": rule.expires, ":added": added,
        })?;
    }
    Ok(())
}

/// Takes it off its list; whether it was there.
pub fn remove(
    file: &Transaction<'_>,
    list: List,
    pattern: &Pattern,
    app: &str,
) -> rusqlite::Result<bool> {
    let removed = file.execute(
        "DELETE FROM entries WHERE kind = :kind AND key = :key AND app = :app AND list = :list",
        named_params! {
            ":kind": of_kind(pattern.kind()), ":key": pattern.key(), ":app": app, ":list": of_list(list),
        },
    )?;
    Ok(removed > 0)
}

/// Takes all off a list; how many.
pub fn clear(file: &Transaction<'_>, list: List) -> rusqlite::Result<usize> {
    file.execute("DELETE FROM entries WHERE list = :list", named_params! { ":list": of_list(list) })
}

/// What is said of these callers and this app.
pub fn find(
    file: &Transaction<'_>,
    pattern: &Pattern,
    app: &str,
) -> rusqlite::Result<Option<Known>> {
    let wanted =
        named_params! { ":kind": of_kind(pattern.kind()), ":key": pattern.key(), ":app": app };
    let query =
        format!("SELECT {COLUMNS} FROM entries WHERE kind = :kind AND key = :key AND app = :app");
    file.query_row(&query, wanted, known).optional()
}

/// The newest first.
pub fn page(file: &Transaction<'_>, filter: &Filter, limit: u32) -> rusqlite::Result<Vec<Known>> {
    let mut statement = file.prepare(&format!(
        "SELECT {COLUMNS} FROM entries
         WHERE (:list IS NULL OR list = :list) AND (:after IS NULL OR number < :after)
             AND (:contains IS NULL OR instr(key, :contains) OR instr(lower(reason), :contains))
         ORDER BY number DESC LIMIT :limit"
    ))?;
    let wanted = named_params! {
        ":list": filter.list.map(of_list), ":after": filter.after.map(number),
        ":contains": filter.contains.as_deref().map(str::to_lowercase), ":limit": limit,
    };
    statement.query_map(wanted, known)?.collect()
}

/// All of a list, or of both, in the order in which they were added.
pub fn each<T>(
    file: &Transaction<'_>,
    list: Option<List>,
    work: impl FnOnce(&mut dyn Iterator<Item = Entry>) -> T,
) -> rusqlite::Result<T> {
    let query = format!(
        "SELECT {COLUMNS} FROM entries WHERE (:list IS NULL OR list = :list) ORDER BY number"
    );
    let mut statement = file.prepare(&query)?;
    let rows = statement.query_map(named_params! { ":list": list.map(of_list) }, entry)?;
    all_of(rows, |mut entries| work(&mut entries))
}

/// Hands on what is read, until something cannot be.
fn all_of<T, R>(
    mut rows: impl Iterator<Item = rusqlite::Result<T>>,
    work: impl FnOnce(&mut dyn Iterator<Item = T>) -> R,
) -> rusqlite::Result<R> {
    let mut broken = None;
    let mut good = std::iter::from_fn(|| match rows.next()? {
        Ok(row) => Some(row),
        Err(error) => {
            broken = Some(error);
            None
        }
    });
    let done = work(&mut good);
    broken.map_or(Ok(done), Err)
}

fn known(row: &Row<'_>) -> rusqlite::Result<Known> {
    let (number, added) = (database::time(row.get(6)?), database::time(row.get(7)?));
    Ok(Known { number, entry: entry(row)?, added })
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry { rule: rule(row)?, reason: row.get(5)? })
}

fn rule(row: &Row<'_>) -> rusqlite::Result<Rule> {
    let (kind, list): (i64, i64) = (row.get(0)?, row.get(3)?);
    let kind = usize::try_from(kind).ok().and_then(|at| Kind::ALL.get(at).copied());
    let kind = kind.ok_or(IntegralValueOutOfRange(0, row.get(0)?))?;
    let list = [List::Allow, List::Block].into_iter().find(|known| of_list(*known) == list);
    let list = list.ok_or(IntegralValueOutOfRange(3, row.get(3)?))?;
    let pattern = Pattern::of(kind, row.get(1)?);
    Ok(Rule { list, pattern, app: row.get(2)?, expires: row.get(4)? })
}

fn of_kind(kind: Kind) -> i64 {
    Kind::ALL
        .iter()
        .position(|known| *known == kind)
        .and_then(|at| i64::try_from(at).ok())
        .unwrap_or(-1)
}

fn of_list(list: List) -> i64 {
    match list {
        List::Allow => 0,
        List::Block => 1,
    }
}
