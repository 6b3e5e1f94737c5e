//! The user's own rules: `preferences.toml`, which is followed, and of which the arbiter is told.
//!
//! Owns when the file is read; what becomes of it, [`keeper`] knows. What a rule means, and what of it is the user's to
//! decide, the arbiter knows.

mod keeper;
mod served;

use std::{io, path::Path, sync::Arc};

use callarbiter::Change;
use callarbiter_config::preferences::FILE;
use callarbiter_dbus::names::AGENT_PATH;
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::warn;
use zbus::Connection;

use self::{keeper::Keeper, served::Served};
use crate::{arbiter::Desk, places, scene::Told, served::Opening, watch::Watch};

/// Until it is told nothing any more.
pub async fn run(
    session: Connection,
    mut told: UnboundedReceiver<Told>,
    desk: Desk,
    opening: Option<Opening>,
) {
    let Some(folder) = places::configuration().map(|home| home.join("callarbiter")) else {
        return warn!("there is no home, so there are no preferences");
    };
    let keeper = Arc::new(Keeper::of(folder.join(FILE), desk));
    let mut watch = followed(&folder);
    let served = Served { session: session.clone(), keeper: keeper.clone() };
    if let Err(error) = session.object_server().at(AGENT_PATH, served).await {
        // The file counts all the same.
        warn!(%error, "preferences are not served on the session bus");
    }
    drop(opening);
    loop {
        let again = tokio::select! {
            biased;
            next = told.recv() => match next.map(|told| told.change) {
                None => break,
                Some(Change::ArbiterBack | Change::Resynced) => true,
                Some(_) => continue,
            },
            () = changed(&watch) => false,
        };
        watch = followed(&folder);
        keeper.look(again).await;
    }
    if let Err(error) = session.object_server().remove::<Served, _>(AGENT_PATH).await {
        warn!(%error, "preferences are still served");
    }
}

/// The folder, or what there is of the way to it.
fn followed(folder: &Path) -> Option<Watch> {
    let nearest = || folder.ancestors().find(|at| at.is_dir());
    let follow = || -> io::Result<Watch> {
        let (watch, mut at) = (Watch::new()?, None);
        // What appears meanwhile is nearer.
        while at != nearest() {
            at = nearest();
            at.into_iter().try_for_each(|at| watch.add(at))?;
        }
        Ok(watch)
    };
    follow().map_err(|error| warn!(%error, "preferences are not followed")).ok()
}

async fn changed(watch: &Option<Watch>) {
    match watch {
        Some(watch) if watch.changed().await.is_ok() => {}
        _ => std::future::pending().await,
    }
}
