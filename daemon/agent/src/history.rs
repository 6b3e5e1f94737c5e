//! History: what is left of calls, in a file of the user's own, until they or their wishes erase it.
//!
//! Owns the way of a record from the arbiter's order to the file and back to its acknowledgement. It is said to be kept
//! only when it would survive a crash; what cannot be kept the arbiter offers again. Nothing waits for it but that.

mod calls;
mod chain;
mod erased;
mod served;
mod store;

use std::sync::Arc;

use callarbiter::Change;
use callarbiter_dbus::{AgentAnswer, ErrorKind, Record, names::AGENT_PATH};
use callarbiter_lists::region::{self, Region};
use tokio::{sync::mpsc::UnboundedReceiver, task::spawn_blocking};
use tracing::{info, warn};
use zbus::Connection;

use self::{erased::Erased, served::Served};
use crate::{
    arbiter::Desk,
    config,
    contacts::reach::Reach,
    database::{Store, StoreError},
    orders::{Inbox, Order},
    places,
    scene::Told,
    served::Opening,
};

/// Until it is told nothing any more.
pub async fn run(
    session: Connection,
    mut told: UnboundedReceiver<Told>,
    mut orders: Inbox<Record>,
    (wishes, region): (config::History, Option<Region>),
    desk: Desk,
    opening: Option<Opening>,
) {
    let Some(data) = places::data() else {
        return warn!("neither XDG_DATA_HOME nor HOME is set: there is no place for a history");
    };
    let history = History {
        store: Store::at(&data.join("callarbiter"), &store::FORM),
        region: region.or_else(region::of_environment),
        wishes,
        erased: Erased::default(),
    };
    let history = Arc::new(history);
    let served = Served { session: session.clone(), history: history.clone(), desk: desk.clone() };
    if let Err(error) = session.object_server().at(AGENT_PATH, served).await {
        // It is kept all the same.
        warn!(%error, "the history is not served on the session bus");
    }
    drop(opening);
    loop {
        tokio::select! {
            biased;
            next = told.recv() => match next {
                Some(Told { change: Change::ArbiterBack | Change::Resynced, .. }) => {
                    history.erased.tell(&desk, vec![]).await;
                }
                Some(_) => {}
                None => break,
            },
            Some(order) = orders.recv() => history.clone().keep(order, &desk).await,
        }
    }
    // Another agent has it now.
    if let Err(error) = session.object_server().remove::<Served, _>(AGENT_PATH).await {
        warn!(%error, "the history is still served");
    }
}

struct History {
    store: Store,
    region: Option<Region>,
    wishes: config::History,
    erased: Erased,
}

/// What came of a record.
#[derive(Debug, PartialEq, Eq)]
enum Kept {
    New,
    /// It was there.
    Again,
    /// The user erased it before it came.
    Erased,
    /// The user keeps nothing.
    Nothing,
}

impl History {
    /// One after another: there is one file, and a disk that is slow is no faster for two.
    async fn keep(self: Arc<Self>, Order { what, reply }: Order<Record>, desk: &Desk) {
        if what.lost > 0 {
            warn!(
                calls = what.lost,
                "calls before this one are not in the history: nobody took them in time"
            );
        }
        let (history, id) = (self.clone(), what.id.clone());
        match spawn_blocking(move || history.write(&what)).await {
            Ok(Ok(kept)) => {
                reply.send(AgentAnswer::default().to_dict()).await;
                match kept {
                    Kept::Again => info!("a call came again that the history has"),
                    Kept::Erased => self.erased.tell(desk, vec![id]).await,
                    Kept::New | Kept::Nothing => {}
                }
            }
            Ok(Err(error)) => {
                warn!("a call cannot be kept in the history, and waits in the arbiter: {error}");
                let why = format!("the history cannot be written: {error}");
                reply.fail(ErrorKind::ActionFailed, why).await;
            }
            // It panicked, which the log has; the arbiter offers it again.
            Err(_) => {}
        }
    }

    fn person_of(&self, handle: &str) -> String {
        Reach::of_uri(handle, self.region).person()
    }

    fn write(&self, record: &Record) -> Result<Kept, StoreError> {
        if self.wishes.calls == 0 {
            return Ok(Kept::Nothing);
        }
        let person = self.person_of(&record.handle);
        self.store.change(|file| {
            let new = calls::keep(file, record, &person)?;
            let erased = self.erased.meets(file, record)?;
            calls::retain(file, &self.wishes)?;
            Ok(match (erased, new) {
                (true, _) => Kept::Erased,
                (false, true) => Kept::New,
                (false, false) => Kept::Again,
            })
        })
    }
}

#[cfg(test)]
mod tests;
