//! Block and allow lists: what a user decided about callers, kept in the user's own file and said to the arbiter when
//! somebody calls.
//!
//! Owns when callers are looked at at all: the role `screening` is taken while there is an entry, on a connection of its
//! own since roles end with theirs; a user without lists has neither the role nor anything in memory. Which entry decides
//! the crate `callarbiter-lists` knows, what becomes of the call the arbiter. A caller is never logged.

mod entries;
mod exchange;
mod served;

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use callarbiter::{
    Change,
    words::{Ground, Role, Verdict},
};
use callarbiter_dbus::{AgentAnswer, names::AGENT_PATH};
use callarbiter_lists::{
    entry::{List, Rule},
    pattern::Pattern,
    region::{self, Region},
    table::Table,
};
use rusqlite::Transaction;
use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    task::{JoinHandle, spawn_blocking},
};
use tracing::warn;
use zbus::Connection;

use self::served::Served;
use crate::{
    arbiter::Desk,
    database::{self, Store, StoreError},
    orders::{Inbox, Order, Orders, Screen, sentence},
    places,
    scene::Told,
    served::Opening,
};

/// Until it is told nothing any more.
pub async fn run(
    session: Connection,
    mut told: UnboundedReceiver<Told>,
    bus: String,
    region: Option<Region>,
    opening: Opening,
) {
    let Some(data) = places::data() else {
        return warn!("neither XDG_DATA_HOME nor HOME is set: there is no place for lists");
    };
    let region = region.or_else(region::of_environment);
    let lists = Arc::new(Lists::at(&data.join("callarbiter"), region));
    let loading = lists.clone();
    if let Ok(Err(error)) = spawn_blocking(move || loading.load()).await {
        warn!("the lists cannot be read, so that nobody is blocked: {error}");
    }
    let served = Served { session: session.clone(), lists: lists.clone() };
    if let Err(error) = session.object_server().at(AGENT_PATH, served).await {
        // Callers are looked at all the same.
        warn!(%error, "the lists are not served on the session bus");
    }
    drop(opening);
    let mut filled = lists.filled.subscribe();
    let mut screening: Option<Screening> = None;
    loop {
        let wanted = *filled.borrow_and_update();
        if !wanted {
            screening = None;
        } else if screening.is_none() {
            screening = Screening::begin(&bus).await;
        }
        tokio::select! {
            biased;
            next = told.recv() => match next {
                Some(Told { change: Change::ArbiterBack | Change::Resynced, .. }) => {
                    if let Some(screening) = &screening {
                        screening.desk.take_roles().await;
                    }
                }
                Some(_) => {}
                None => break,
            },
            Ok(()) = filled.changed() => {}
            Some(order) = next(&mut screening) => {
                tokio::spawn(lists.clone().answer(order));
            }
        }
    }
    if let Err(error) = session.object_server().remove::<Served, _>(AGENT_PATH).await {
        warn!(%error, "the lists are still served");
    }
}

/// The role, as long as this is not dropped.
struct Screening {
    desk: Desk,
    orders: Inbox<Screen>,
    serving: JoinHandle<()>,
}

impl Screening {
    async fn begin(bus: &str) -> Option<Screening> {
        let desk = Desk::open(bus, vec![Role::Screening]).await;
        let desk = desk.inspect_err(|error| warn!("callers are not looked at: {error:#}")).ok()?;
        let mut orders = Orders::default();
        let inbox = orders.screen();
        let serving = desk.clone();
        let serving = tokio::spawn(async move { serving.serve(orders).await });
        desk.take_roles().await;
        Some(Screening { desk, orders: inbox, serving })
    }
}

impl Drop for Screening {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn next(screening: &mut Option<Screening>) -> Option<Order<Screen>> {
    match screening {
        Some(screening) => screening.orders.recv().await,
        None => std::future::pending().await,
    }
}

/// Both lists: the file, and what of it is looked up.
struct Lists {
    store: Store,
    region: Option<Region>,
    /// How many entries there may be in both.
    most: usize,
    table: RwLock<Table>,
    /// One change after another, so that the table is as the file.
    changing: RwLock<()>,
    /// Whether there is an entry.
    filled: watch::Sender<bool>,
}

impl Lists {
    fn at(folder: &Path, region: Option<Region>) -> Lists {
        Lists {
            store: Store::at(folder, &entries::FORM),
            region,
            most: entries::MOST,
            table: RwLock::default(),
            changing: RwLock::default(),
            filled: watch::Sender::new(false),
        }
    }

    fn load(&self) -> Result<(), StoreError> {
        match self.store.is_there() {
            true => self.change(|file| Ok(((), entries::table(file)?)), |table, new| *table = new),
            false => Ok(()),
        }
    }

    /// Changes the file, all of it or nothing, and then the table.
    fn change<T, N>(
        &self,
        work: impl Fn(&Transaction<'_>) -> Result<(T, N), StoreError>,
        then: impl FnOnce(&mut Table, N),
    ) -> Result<T, StoreError> {
        let _one = self.changing.write().unwrap_or_else(PoisonError::into_inner);
        let (done, news) = self.store.try_change(work)?;
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        then(&mut table, news);
        let filled = !table.is_empty();
        self.filled.send_if_modified(|known| std::mem::replace(known, filled) != filled);
        Ok(done)
    }

    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which entry decides about a call that comes now.
    fn decides(&self, handle: &str, app: &str) -> Option<Rule> {
        self.table().decides(handle, app, self.region, seconds(database::now()))
    }

    async fn answer(self: Arc<Self>, Order { what, reply }: Order<Screen>) {
        // It reads a file for the reason; nothing else in the session waits for that.
        if let Ok(answer) = spawn_blocking(move || self.screen(&what)).await {
            reply.send(answer.to_dict()).await;
        }
    }

    /// What the user noted beside it. While the file is changed, which takes seconds with a million entries, nobody who
    /// calls waits for that.
    fn reason(&self, rule: &Rule) -> Option<String> {
        let _unchanged = self.changing.try_read().ok()?;
        let known = self.store.change(|file| entries::find(file, &rule.pattern, &rule.app));
        Some(known.ok()??.entry.reason)
    }

    fn screen(&self, Screen { handle, app_id }: &Screen) -> AgentAnswer {
        let Some(rule) = self.decides(handle, app_id) else {
            return AgentAnswer { verdict: Some(Verdict::Allow), ..AgentAnswer::default() };
        };
        let reason = self.reason(&rule).unwrap_or_default();
        let mut detail = rule.pattern.to_string();
        if !reason.is_empty() {
            detail = format!("{detail}: {reason}");
        }
        let ground = match rule.pattern {
            Pattern::Anonymous => Ground::Anonymous,
            _ => Ground::List,
        };
        AgentAnswer {
            verdict: Some(verdict(rule.list)),
            urgent: rule.list == List::Allow,
            reason: Some(ground),
            detail: Some(sentence(&detail)),
            ..AgentAnswer::default()
        }
    }
}

fn verdict(list: List) -> Verdict {
    match list {
        List::Allow => Verdict::Allow,
        List::Block => Verdict::Reject,
    }
}

/// Of µs; lists count in seconds, until the year 2106.
fn seconds(micros: u64) -> u32 {
    u32::try_from(micros / 1_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
