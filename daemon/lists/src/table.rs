//! The answer for a caller, among a million entries in microseconds.
//!
//! Owns the order of precedence: the most specific entry decides. An address stands before a prefix, a prefix before
//! a domain, both the longer before the shorter, and all before `anonymous`; then an entry for the app of the call
//! before one for all apps; then allow before block. Entries that are over say nothing.
//!
//! All keys lie in one piece of memory, in the order of the rows; an entry costs its key and [`ROW`] bytes. A caller
//! costs one binary search for the address, and for prefixes and domains each as many as there are turns in the
//! search for the next shorter one that could match, which are few.

use std::{
    cmp::{Ordering, Reverse},
    collections::HashMap,
    mem::{size_of, take},
    ops::Range,
    sync::Arc,
};

use crate::{
    entry::{List, Rule, is_over},
    handle::{Keys, host_of, is_anonymous},
    pattern::{Kind, Pattern},
    region::Region,
};

/// What an entry costs beside its key.
pub const ROW: usize = size_of::<Row>();

/// What the id of an app costs beside its letters.
const APP: usize = 2 * size_of::<Arc<str>>() + size_of::<u32>() + 2 * size_of::<usize>();

/// Both lists.
#[derive(Clone, Debug, Default)]
pub struct Table {
    keys: Vec<u8>,
    /// Bytes of `keys` that no row has any more.
    waste: usize,
    exact: Vec<Row>,
    prefixes: Vec<Row>,
    /// Their keys have the parts of the host in reverse, so that a domain is a prefix: `sip:example.spam.`
    domains: Vec<Row>,
    anonymous: Vec<Row>,
    apps: Apps,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    start: u32,
    expires: u32,
    app: u32,
    length: u16,
    list: List,
}

/// Ids of apps, each kept once; the first is empty and means all.
#[derive(Clone, Debug)]
struct Apps {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Table {
    /// Of these; of two about the same callers and the same app the later one counts.
    pub fn of(rules: impl IntoIterator<Item = Rule>) -> Table {
        let mut table = Table::default();
        for Rule { list, pattern, app, expires } in rules {
            let Some(row) = table.row(&pattern, &app, list, expires) else { continue };
            table.rows_mut(pattern.kind()).push(row);
        }
        for kind in Kind::ALL {
            let mut rows = take(table.rows_mut(kind));
            let keys = &table.keys;
            let order = |a: &Row, b: &Row| (slice(keys, a), a.app).cmp(&(slice(keys, b), b.app));
            rows.sort_by(order);
            rows.dedup_by(|later, kept| {
                let same = order(later, kept) == Ordering::Equal;
                if same {
                    *kept = *later;
                }
                same
            });
            rows.shrink_to_fit();
            *table.rows_mut(kind) = rows;
        }
        table.compact();
        table
    }

    /// One more, or another word about the same callers and the same app.
    pub fn insert(&mut self, Rule { list, pattern, app, expires }: Rule) {
        let Some(row) = self.row(&pattern, &app, list, expires) else { return };
        let key = key_of(&pattern);
        let place = self.place(pattern.kind(), key.as_bytes(), row.app);
        let rows = self.rows_mut(pattern.kind());
        match place {
            Ok(at) => {
                if let Some(known) = rows.get_mut(at) {
                    *known = row;
                }
                self.wasted(key.len());
            }
            Err(at) => rows.insert(at, row),
        }
    }

    /// One less; whether it was there.
    pub fn remove(&mut self, pattern: &Pattern, app: &str) -> bool {
        let Some(app) = self.apps.known(app) else { return false };
        let key = key_of(pattern);
        let Ok(at) = self.place(pattern.kind(), key.as_bytes(), app) else { return false };
        self.rows_mut(pattern.kind()).remove(at);
        self.wasted(key.len());
        true
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        Kind::ALL.into_iter().map(|kind| self.rows(kind).len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that it takes.
    pub fn bytes(&self) -> usize {
        let rows: usize = Kind::ALL.into_iter().map(|kind| self.rows(kind).capacity()).sum();
        let apps: usize = self.apps.names.iter().map(|app| app.len() + APP).sum();
        self.keys.capacity() + rows * ROW + apps
    }

    /// The entry that decides about a call of `handle` through `app` at `now` (s since the epoch).
    pub fn decides(
        &self,
        handle: &str,
        app: &str,
        region: Option<Region>,
        now: u32,
    ) -> Option<Rule> {
        if self.is_empty() {
            return None;
        }
        let keys = Keys::of(handle, region);
        let app = self.apps.known(app);
        let counts = |row: &&Row| {
            !is_over(row.expires, now) && (row.app == ALL_APPS || Some(row.app) == app)
        };
        // Of entries that are equally specific but for the app: the one for the app, then the one that allows.
        let best = |rows: &mut dyn Iterator<Item = &Row>| {
            rows.filter(counts).min_by_key(|row| (row.app == ALL_APPS, row.list)).copied()
        };
        // The longest that counts, of both keys.
        let longest = |kind, keys: &mut dyn Iterator<Item = &[u8]>| {
            let of_key = |key| self.covering(kind, key).find_map(|rows| best(&mut rows.iter()));
            let order = |row: &Row| (Reverse(row.length), row.app == ALL_APPS, row.list);
            keys.filter_map(of_key).min_by_key(order)
        };
        let all = || keys.all().map(str::as_bytes);
        let hosts: Vec<String> = keys.all().filter_map(host_of).map(reversed).collect();
        let found = best(&mut all().flat_map(|key| self.same(Kind::Exact, key)))
            .map(|row| (Kind::Exact, row))
            .or_else(|| Some((Kind::Prefix, longest(Kind::Prefix, &mut all())?)))
            .or_else(|| {
                let mut hosts = hosts.iter().map(String::as_bytes);
                Some((Kind::Domain, longest(Kind::Domain, &mut hosts)?))
            })
            .or_else(|| {
                let withheld = is_anonymous(handle).then_some(&self.anonymous)?;
                Some((Kind::Anonymous, best(&mut withheld.iter())?))
            });
        found.map(|(kind, row)| self.rule(kind, &row))
    }

    /// Those that this key begins with, the longest first.
    fn covering<'a>(&'a self, kind: Kind, key: &'a [u8]) -> impl Iterator<Item = &'a [Row]> {
        let rows = self.rows(kind);
        let (mut end, mut below) = (key.len(), rows.len());
        std::iter::from_fn(move || {
            while end > 0 {
                let wanted = key.get(..end)?;
                let candidates = rows.get(..below)?;
                below = candidates.partition_point(|row| slice(&self.keys, row) <= wanted);
                let before = slice(&self.keys, candidates.get(below.checked_sub(1)?)?);
                let common = before.iter().zip(wanted).take_while(|(a, b)| a == b).count();
                if common == before.len() {
                    let found = self.same(kind, before);
                    below -= found.len();
                    end = common.saturating_sub(1);
                    return Some(found);
                }
                // Whatever begins it and lies before this one is no longer than what both have in common.
                end = common;
            }
            None
        })
    }

    /// Those of exactly this key.
    fn same(&self, kind: Kind, key: &[u8]) -> &[Row] {
        let rows = self.rows(kind);
        let from = rows.partition_point(|row| slice(&self.keys, row) < key);
        let rest = rows.get(from..).unwrap_or_default();
        let same = rest.iter().take_while(|row| slice(&self.keys, row) == key).count();
        rest.get(..same).unwrap_or_default()
    }

    fn place(&self, kind: Kind, key: &[u8], app: u32) -> Result<usize, usize> {
        self.rows(kind).binary_search_by(|row| (slice(&self.keys, row), row.app).cmp(&(key, app)))
    }

    /// None for what is longer than a pattern may be, and where four gigabytes are not enough.
    fn row(&mut self, pattern: &Pattern, app: &str, list: List, expires: u32) -> Option<Row> {
        let key = key_of(pattern);
        let start = u32::try_from(self.keys.len()).ok()?;
        let length = u16::try_from(key.len()).ok()?;
        let app = self.apps.number(app)?;
        self.keys.extend_from_slice(key.as_bytes());
        Some(Row { start, expires, app, length, list })
    }

    fn rule(&self, kind: Kind, row: &Row) -> Rule {
        let key = String::from_utf8_lossy(slice(&self.keys, row)).into_owned();
        let key = if kind == Kind::Domain { straight(&key) } else { key };
        let app = self.apps.name(row.app).to_owned();
        Rule { list: row.list, pattern: Pattern::of(kind, key), app, expires: row.expires }
    }

    fn rows(&self, kind: Kind) -> &Vec<Row> {
        match kind {
            Kind::Exact => &self.exact,
            Kind::Prefix => &self.prefixes,
            Kind::Domain => &self.domains,
            Kind::Anonymous => &self.anonymous,
        }
    }

    fn rows_mut(&mut self, kind: Kind) -> &mut Vec<Row> {
        match kind {
            Kind::Exact => &mut self.exact,
            Kind::Prefix => &mut self.prefixes,
            Kind::Domain => &mut self.domains,
            Kind::Anonymous => &mut self.anonymous,
        }
    }

    fn wasted(&mut self, bytes: usize) {
        self.waste += bytes;
        if self.waste > self.keys.len() / 4 {
            self.compact();
        }
    }

    /// Lays the keys in the order of the rows: neighbours in a search are neighbours in memory.
    fn compact(&mut self) {
        let keys = take(&mut self.keys);
        let mut new = Vec::with_capacity(keys.len().saturating_sub(self.waste));
        for kind in Kind::ALL {
            for row in self.rows_mut(kind) {
                let key = slice(&keys, row);
                // It was within as much before.
                row.start = u32::try_from(new.len()).unwrap_or_default();
                new.extend_from_slice(key);
            }
        }
        new.shrink_to_fit();
        (self.keys, self.waste) = (new, 0);
    }
}

fn slice<'a>(keys: &'a [u8], row: &Row) -> &'a [u8] {
    let start = row.start as usize;
    keys.get(Range { start, end: start + usize::from(row.length) }).unwrap_or_default()
}

fn key_of(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Domain(key) => reversed(key.split_once(':').unwrap_or(("", key))),
        other => other.key().to_owned(),
    }
}

/// `sip:example.spam.` of `spam.example`: its subdomains begin with it.
fn reversed((scheme, host): (&str, &str)) -> String {
    let parts = host.rsplit('.').flat_map(|part| [part, "."]);
    [scheme, ":"].into_iter().chain(parts).collect()
}

fn straight(key: &str) -> String {
    let (scheme, parts) = key.split_once(':').unwrap_or(("", key));
    let parts: Vec<&str> = parts.trim_end_matches('.').rsplit('.').collect();
    format!("{scheme}:{}", parts.join("."))
}

const ALL_APPS: u32 = 0;

impl Default for Apps {
    fn default() -> Apps {
        let all: Arc<str> = "".into();
        Apps { names: vec![all.clone()], numbers: HashMap::from([(all, ALL_APPS)]) }
    }
}

impl Apps {
    fn known(&self, app: &str) -> Option<u32> {
        self.numbers.get(app).copied()
    }

    fn number(&mut self, app: &str) -> Option<u32> {
        if let Some(number) = self.known(app) {
            return Some(number);
        }
        let number = u32::try_from(self.names.len()).ok()?;
        let app: Arc<str> = app.into();
        self.names.push(app.clone());
        self.numbers.insert(app, number);
        Some(number)
    }

    fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", |name| name)
    }
}

#[cfg(test)]
mod tests;
