//! `org.callarbiter.Agent1.Lists` on the session bus: what is asked about the lists, and who may ask it.
//!
//! Owns the interface and what its options mean. Callers behind a wall are refused.

use std::{fmt::Display, sync::Arc};

use callarbiter_dbus::{
    Dict, Error, ErrorKind, Fields,
    limits::{APP_ID_BYTES, HANDLE_BYTES, is_app_id, text_fits},
};
use callarbiter_lists::{
    entry::{Entry, List, REASON, Rule},
    pattern::{self, Pattern},
};
use tokio::task::spawn_blocking;
use zbus::{Connection, OwnedFd, Variant, interface, message::Header};

use super::{
    Lists,
    entries::{self, Filter, Known, PAGE},
    exchange::{Counts, Format},
    seconds, verdict,
};
use crate::{
    database::{self, StoreError},
    served::{Refused, caller},
};

/// So many entries where nobody says how many.
const USUAL: u32 = 50;

/// The interface.
pub struct Served {
    pub session: Connection,
    pub lists: Arc<Lists>,
}

#[interface(name = "org.callarbiter.Agent1.Lists")]
impl Served {
    async fn entries(
        &self,
        #[zbus(header)] call: Header<'_>,
        filter: Dict,
    ) -> Result<(Vec<Dict>, Dict), Refused> {
        self.outside(&call, move |lists| lists.entries(&filter)).await
    }

    async fn add(
        &self,
        #[zbus(header)] call: Header<'_>,
        list: String,
        address: String,
        options: Dict,
    ) -> Result<Dict, Refused> {
        self.outside(&call, move |lists| lists.add(&list, &address, &options)).await
    }

    async fn remove(
        &self,
        #[zbus(header)] call: Header<'_>,
        list: String,
        address: String,
        options: Dict,
    ) -> Result<(), Refused> {
        self.outside(&call, move |lists| lists.remove(&list, &address, &options)).await
    }

    async fn clear(&self, #[zbus(header)] call: Header<'_>, list: String) -> Result<u32, Refused> {
        self.outside(&call, move |lists| lists.clear(&list)).await
    }

    async fn import(
        &self,
        #[zbus(header)] call: Header<'_>,
        file: OwnedFd,
        options: Dict,
    ) -> Result<Dict, Refused> {
        self.outside(&call, move |lists| {
            let fields = Fields::bounded(&options)?;
            let counts = lists.import(file.into(), format(fields)?, list_of(fields)?)?;
            Ok(counted("imported", counts))
        })
        .await
    }

    async fn export(
        &self,
        #[zbus(header)] call: Header<'_>,
        options: Dict,
    ) -> Result<(OwnedFd, Dict), Refused> {
        self.outside(&call, move |lists| {
            let fields = Fields::bounded(&options)?;
            let format = format(fields)?.unwrap_or(Format::Csv);
            let (file, counts) = lists.export(format, list_of(fields)?)?;
            Ok((file.into(), counted("exported", counts)))
        })
        .await
    }

    async fn look_up(
        &self,
        #[zbus(header)] call: Header<'_>,
        handle: String,
        options: Dict,
    ) -> Result<Dict, Refused> {
        self.outside(&call, move |lists| lists.look_up(&handle, &options)).await
    }
}

impl Served {
    /// For callers without a wall around them; it reads and writes a file.
    async fn outside<T: Send + 'static>(
        &self,
        call: &Header<'_>,
        what: impl FnOnce(&Lists) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refused> {
        caller::unwalled(&self.session, call).await?;
        let lists = self.lists.clone();
        let done = spawn_blocking(move || what(&lists)).await;
        let failed = |_| Error::new(ErrorKind::ActionFailed, "the lists failed; the log says why");
        Ok(done.map_err(failed)??)
    }
}

impl Lists {
    fn entries(&self, filter: &Dict) -> Result<(Vec<Dict>, Dict), Error> {
        let fields = Fields::bounded(filter)?;
        let limit = fields.number("limit")?.unwrap_or(USUAL).clamp(1, PAGE);
        let filter = Filter {
            list: list_of(fields)?,
            contains: fields.text("contains", HANDLE_BYTES)?.map(str::to_owned),
            after: fields.time("after")?,
        };
        let (mut found, damaged) = match self.store.is_there() {
            true => self
                .store
                .change(|file| {
                    let found = entries::page(file, &filter, limit + 1)?;
                    Ok((found, database::damaged_at(file)?))
                })
                .map_err(broken)?,
            false => (vec![], None),
        };
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let total = u64::try_from(self.table().len()).unwrap_or(u64::MAX);
        let about = dict([
            ("total", Some(total.into())),
            ("more", more.then(|| true.into())),
            ("damaged-at", damaged.map(Variant::from)),
        ]);
        Ok((found.iter().map(shown).collect(), about))
    }

    pub(super) fn add(&self, list: &str, address: &str, options: &Dict) -> Result<Dict, Error> {
        let fields = Fields::bounded(options)?;
        let expires = match fields.time("expires-at")? {
            None => 0,
            Some(at) if at <= database::now() => {
                return Err(Error::invalid_argument("`expires-at` is over already; it is to come"));
            }
            Some(at) => u32::try_from(at.div_ceil(1_000_000)).map_err(|_| {
                Error::invalid_argument(
                    "`expires-at` is after the year 2105; leave it away for never",
                )
            })?,
        };
        let rule = Rule {
            list: named(list)?,
            pattern: self.pattern(address)?,
            app: app(fields)?,
            expires,
        };
        let reason = fields.text("reason", REASON)?.unwrap_or_default().to_owned();
        let entry = Entry { rule, reason };
        let put = |file: &rusqlite::Transaction<'_>| {
            let Rule { pattern, app, .. } = &entry.rule;
            let full = self.table().len() >= self.most;
            if full && entries::find(file, pattern, app)?.is_none() {
                return Err(StoreError::TooMany);
            }
            Ok((entries::put(file, &entry)?, entry.rule.clone()))
        };
        let number = self.change(put, |table, rule| table.insert(rule)).map_err(broken)?;
        Ok(shown(&Known { number, added: database::now(), entry }))
    }

    fn remove(&self, list: &str, address: &str, options: &Dict) -> Result<(), Error> {
        let (list, app) = (named(list)?, app(Fields::bounded(options)?)?);
        let pattern = self.pattern(address)?;
        let remove = |file: &rusqlite::Transaction<'_>| {
            let removed = entries::remove(file, list, &pattern, &app)?;
            Ok((removed, removed))
        };
        let then = |table: &mut callarbiter_lists::table::Table, removed| {
            if removed {
                table.remove(&pattern, &app);
            }
        };
        if self.store.is_there() && self.change(remove, then).map_err(broken)? {
            return Ok(());
        }
        let other = match self.decides(address, &app) {
            Some(rule) if rule.list == list => format!("; the entry `{}` covers it", rule.pattern),
            Some(rule) => format!("; the list `{}` has `{}`", rule.list.name(), rule.pattern),
            None => String::new(),
        };
        Err(Error::invalid_argument(format!("the list `{}` has no such entry{other}", list.name())))
    }

    fn clear(&self, list: &str) -> Result<u32, Error> {
        let list = named(list)?;
        if !self.store.is_there() {
            return Ok(0);
        }
        let clear = |file: &rusqlite::Transaction<'_>| {
            Ok((entries::clear(file, list)?, entries::table(file)?))
        };
        let removed = self.change(clear, |table, new| *table = new).map_err(broken)?;
        Ok(u32::try_from(removed).unwrap_or(u32::MAX))
    }

    fn look_up(&self, handle: &str, options: &Dict) -> Result<Dict, Error> {
        let app = app(Fields::bounded(options)?)?;
        if !handle.is_empty() && !text_fits(handle, HANDLE_BYTES) {
            return Err(refused("the address", pattern::Wrong::Control));
        }
        let Some(rule) = self.decides(handle, &app) else { return Ok(Dict::new()) };
        let known = self.store.change(|file| entries::find(file, &rule.pattern, &rule.app));
        let mut answer = known.map_err(broken)?.as_ref().map(shown).unwrap_or_default();
        answer.extend(dict([("verdict", Some(verdict(rule.list).as_str().to_owned().into()))]));
        Ok(answer)
    }

    fn pattern(&self, address: &str) -> Result<Pattern, Error> {
        Pattern::parse(address, self.region).map_err(|wrong| refused("the address", wrong))
    }
}

/// As the interface says it.
fn shown(Known { number, entry: Entry { rule, reason }, added }: &Known) -> Dict {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned().into());
    dict([
        ("number", Some((*number).into())),
        ("list", text(rule.list.name())),
        ("address", text(&rule.pattern.to_string())),
        ("app-id", text(&rule.app)),
        ("reason", text(reason)),
        ("expires-at", (rule.expires != 0).then(|| (u64::from(rule.expires) * 1_000_000).into())),
        ("added-at", Some((*added).into())),
        ("over", rule.is_over(seconds(database::now())).then(|| true.into())),
    ])
}

fn counted(key: &str, Counts { entries, left_out }: Counts) -> Dict {
    dict([(key, Some(entries.into())), ("left-out", (left_out > 0).then(|| left_out.into()))])
}

fn dict<const N: usize>(entries: [(&str, Option<Variant<'static>>); N]) -> Dict {
    let entry = |(key, value): (&str, Option<Variant<'static>>)| {
        Some((key.to_owned(), value?.try_into_owned().ok()?))
    };
    entries.into_iter().filter_map(entry).collect()
}

fn named(list: &str) -> Result<List, Error> {
    let list = [List::Allow, List::Block].into_iter().find(|known| known.name() == list);
    list.ok_or_else(|| Error::invalid_argument("the lists are `block` and `allow`"))
}

fn list_of(fields: Fields<'_>) -> Result<Option<List>, Error> {
    fields.any_text("list")?.map(named).transpose()
}

fn format(fields: Fields<'_>) -> Result<Option<Format>, Error> {
    let known = |name| {
        Format::of_name(name)
            .ok_or_else(|| Error::invalid_argument("the formats are `csv` and `vcard`"))
    };
    fields.any_text("format")?.map(known).transpose()
}

fn app(fields: Fields<'_>) -> Result<String, Error> {
    match fields.text("app-id", APP_ID_BYTES)?.unwrap_or_default() {
        app if app.is_empty() || is_app_id(app) => Ok(app.to_owned()),
        _ => Err(Error::invalid_argument(
            "`app-id` is the id of an app, as `callctl providers` lists it",
        )),
    }
}

/// An address that is none.
pub fn refused(what: &str, why: impl Display) -> Error {
    Error::invalid_argument(format!("{what}: {why}"))
}

pub fn broken(error: StoreError) -> Error {
    match error {
        StoreError::TooMany => {
            let why = format!("lists have at most {} entries; remove some first", entries::MOST);
            Error::new(ErrorKind::LimitExceeded, why)
        }
        error => Error::new(ErrorKind::ActionFailed, format!("the lists cannot be used: {error}")),
    }
}
