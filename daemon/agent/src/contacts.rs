//! Contacts: whose address it is that calls, by the user's own address books.
//!
//! Owns where is looked, and in which order of certainty: vCard files, then Evolution's books. What is done
//! with a name, the arbiter decides; nothing that is found here is logged.

mod evolution;
mod files;
pub mod reach;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use callarbiter_dbus::{
    AgentAnswer,
    limits::{DISPLAY_NAME_BYTES, OPAQUE_ID_BYTES, text_fits},
};
use callarbiter_lists::{
    region::{self, Region},
    vcard::Card,
};
use tokio::{
    sync::{Mutex, mpsc::UnboundedReceiver},
    task::spawn_blocking,
    time::timeout,
};
use tracing::warn;
use zbus::Connection;

use self::{
    evolution::Evolution,
    files::Files,
    reach::{Likeness, Reach},
};
use crate::{
    config,
    orders::{Inbox, LookUp, Order},
    places,
    scene::Told,
    watch::Watch,
};

/// The arbiter waits two seconds; what is known without it must not come too late.
const EVOLUTION_WITHIN: Duration = Duration::from_millis(1500);

/// Until it is told nothing any more.
pub async fn run(
    session: Connection,
    mut told: UnboundedReceiver<Told>,
    mut orders: Inbox<LookUp>,
    wishes: config::Contacts,
) {
    let contacts = Arc::new(Contacts::new(&session, wishes));
    // Before anybody calls: a large address book takes a second.
    let first = contacts.clone();
    tokio::spawn(async move { first.refresh().await });
    loop {
        tokio::select! {
            biased;
            next = told.recv() => if next.is_none() { return },
            Some(order) = orders.recv() => {
                let contacts = contacts.clone();
                tokio::spawn(async move { contacts.answer(order).await });
            }
            () = contacts.changed() => {}
        }
    }
}

/// The user's address books.
struct Contacts {
    region: Option<Region>,
    files: Arc<Mutex<Files>>,
    /// Files have changed since they were read.
    stale: AtomicBool,
    watch: Option<Watch>,
    evolution: Evolution,
}

/// Somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    pub id: String,
}

impl Contacts {
    fn new(session: &Connection, wishes: config::Contacts) -> Contacts {
        let region = wishes.region.or_else(region::of_environment);
        let folders = match &wishes.folders {
            Some(folders) => folders.iter().filter_map(|folder| places::at_home(folder)).collect(),
            None => places::data().map(|data| data.join("contacts")).into_iter().collect(),
        };
        let watch = Watch::new()
            .inspect_err(|error| warn!(%error, "contacts are read for every call"))
            .ok();
        let used = places::data().is_some_and(|data| data.join("evolution").is_dir());
        Contacts {
            region,
            files: Arc::new(Mutex::new(Files::new(folders, region))),
            stale: AtomicBool::new(true),
            watch,
            evolution: Evolution::new(session, used),
        }
    }

    async fn answer(&self, order: Order<LookUp>) {
        let handle = Reach::of_uri(&order.what.handle, self.region);
        let answer = match self.look_up(&handle).await {
            Some(Found { name, id }) => {
                AgentAnswer { name: Some(name), contact_id: Some(id), ..AgentAnswer::default() }
            }
            None => AgentAnswer::default(),
        };
        order.reply.send(answer.to_dict()).await;
    }

    async fn look_up(&self, handle: &Reach) -> Option<Found> {
        if self.stale.load(Ordering::Relaxed) {
            self.refresh().await;
        }
        let in_files = self.files.lock().await.look_up(handle);
        let (found, likeness) = match in_files {
            Some((found, Likeness::Same)) => return Some(found),
            in_files => (
                in_files.as_ref().map(|(found, _)| found.clone()),
                in_files.map(|(_, likeness)| likeness),
            ),
        };
        let other = timeout(EVOLUTION_WITHIN, self.evolution.look_up(handle, self.region)).await;
        match other.ok().flatten() {
            Some((other, surer)) if Some(surer) > likeness => Some(other),
            _ => found,
        }
    }

    /// Reads what is new, and watches where more could come.
    async fn refresh(&self) {
        // Before it is read: what changes meanwhile is read again.
        self.stale.store(self.watch.is_none(), Ordering::Relaxed);
        let mut files = self.files.clone().lock_owned().await;
        let read = spawn_blocking(move || (files.refresh(), files.lacks_folders())).await;
        let (read, lacking) = read.unwrap_or_default();
        if lacking {
            self.stale.store(true, Ordering::Relaxed);
        }
        let Some(watch) = &self.watch else { return };
        for folder in read {
            if let Err(error) = watch.add(&folder) {
                warn!(%error, "a folder of contacts cannot be watched; it is read for every call");
                self.stale.store(true, Ordering::Relaxed);
            }
        }
    }

    async fn changed(&self) {
        match &self.watch {
            Some(watch) if watch.changed().await.is_ok() => {
                self.stale.store(true, Ordering::Relaxed)
            }
            _ => std::future::pending().await,
        }
    }
}

impl From<&Card> for Found {
    /// Within what may travel; an id that is too long is none.
    fn from(card: &Card) -> Found {
        let mut name = card.name.clone();
        while name.len() > DISPLAY_NAME_BYTES {
            name.pop();
        }
        let id = card.id.clone();
        Found { name, id: if text_fits(&id, OPAQUE_ID_BYTES) { id } else { String::new() } }
    }
}
