//! History: what is left of calls, in a file of the user's own, until they or their wishes erase it.
//!
//! Owns the way of a record from the arbiter's order to the file and back to its acknowledgement. It is said to be kept
//! only when it would survive a crash; what cannot be kept the arbiter offers again. Nothing waits for it but that.

mod calls;
mod served;
mod store;

use std::{future::pending, sync::Arc};

use callarbiter_dbus::{AgentAnswer, ErrorKind, Record};
use tokio::{sync::mpsc::UnboundedReceiver, task::spawn_blocking};
use tracing::{info, warn};
use zbus::{Connection, Message};

use self::{
    served::Served,
    store::{Store, StoreError},
};
use crate::{
    config,
    contacts::{reach::Reach, region, region::Region},
    orders::{Inbox, Order},
    places,
    scene::Told,
};

/// Until it is told nothing any more.
pub async fn run(
    session: Connection,
    mut told: UnboundedReceiver<Told>,
    mut orders: Inbox<Record>,
    wishes: config::History,
    region: Option<Region>,
) {
    let Some(data) = places::data() else {
        return warn!("neither XDG_DATA_HOME nor HOME is set: there is no place for a history");
    };
    let history = History {
        store: Store::at(&data.join("callarbiter")),
        region: region.or_else(region::of_environment),
        wishes,
    };
    let history = Arc::new(history);
    // It is kept all the same.
    let mut served = match Served::open(&session).await {
        Ok(served) => Some(served),
        Err(error) => {
            warn!(%error, "the history is not served on the session bus");
            None
        }
    };
    loop {
        tokio::select! {
            biased;
            next = told.recv() => if next.is_none() { return },
            Some(order) = orders.recv() => history.clone().keep(order).await,
            Some(call) = next(&mut served) => history.clone().serve(served.as_ref(), call).await,
        }
    }
}

/// Never, where nothing is served.
async fn next(served: &mut Option<Served>) -> Option<Message> {
    match served {
        Some(served) => served.next().await,
        None => pending().await,
    }
}

struct History {
    store: Store,
    region: Option<Region>,
    wishes: config::History,
}

impl History {
    /// One after another: there is one file, and a disk that is slow is no faster for two.
    async fn keep(self: Arc<Self>, Order { what, reply }: Order<Record>) {
        if what.lost > 0 {
            warn!(
                calls = what.lost,
                "calls before this one are not in the history: nobody took them in time"
            );
        }
        match spawn_blocking(move || self.write(&what)).await {
            Ok(Ok(())) => reply.send(AgentAnswer::default().to_dict()).await,
            Ok(Err(error)) => {
                warn!("a call cannot be kept in the history, and waits in the arbiter: {error}");
                let why = format!("the history cannot be written: {error}");
                reply.fail(ErrorKind::ActionFailed, why).await;
            }
            // It panicked, which the log has; the arbiter offers it again.
            Err(_) => {}
        }
    }

    async fn serve(self: Arc<Self>, served: Option<&Served>, call: Message) {
        let Some(served) = served else { return };
        let answer = match served.wall(&call).await {
            Ok(wall) => {
                let call = call.clone();
                spawn_blocking(move || self.carry_out(&call, wall)).await
            }
            Err(error) => Ok(Err(error)),
        };
        if let Ok(answer) = answer {
            served.answer(&call, answer).await;
        }
    }

    fn person_of(&self, handle: &str) -> String {
        Reach::of_uri(handle, self.region).person()
    }

    fn write(&self, record: &Record) -> Result<(), StoreError> {
        if self.wishes.calls == 0 {
            return Ok(());
        }
        let person = self.person_of(&record.handle);
        let new = self.store.change(|file| {
            let new = calls::keep(file, record, &person)?;
            calls::retain(file, &self.wishes)?;
            Ok(new)
        })?;
        if !new {
            info!("a call came again that the history has");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
