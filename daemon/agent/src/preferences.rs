//! The user's own rules: `preferences.toml`, which is followed, and of which the arbiter is told.
//!
//! Owns when the file is read and what becomes of one with a mistake: the arbiter keeps what it was told before. What a
//! rule means, and what of it is the user's to decide, the arbiter knows.

use std::{io, path::Path};

use callarbiter::Change;
use callarbiter_config::preferences::{FILE, Written, read};
use callarbiter_dbus::Error;
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{info, warn};

use crate::{arbiter::Desk, places, scene::Told, watch::Watch};

/// Until it is told nothing any more.
pub async fn run(mut told: UnboundedReceiver<Told>, desk: Desk) {
    let Some(folder) = places::configuration().map(|home| home.join("callarbiter")) else {
        return warn!("there is no home, so there are no preferences");
    };
    let file = folder.join(FILE);
    let mut watch = followed(&folder);
    // What was right last.
    let mut known: Option<Written> = None;
    loop {
        let again = tokio::select! {
            biased;
            next = told.recv() => match next.map(|told| told.change) {
                None => return,
                Some(Change::ArbiterBack | Change::Resynced) => true,
                Some(_) => continue,
            },
            () = changed(&watch) => false,
        };
        watch = followed(&folder);
        match written(&file) {
            Ok(written) if known.as_ref() != Some(&written) => known = Some(written),
            Ok(_) if again => {}
            Ok(_) => continue,
            Err(place) => {
                // What is wrong quotes what the user wrote, which is not for a log.
                warn!("{place} has a mistake, so what it said before stays");
                if !again {
                    continue;
                }
            }
        }
        if let Some(written) = &known {
            tell(&desk, written, &file).await;
        }
    }
}

/// No file is no preferences. The error is the place of the mistake.
fn written(file: &Path) -> Result<Written, String> {
    match file.try_exists() {
        Ok(false) => Ok(Written::default()),
        _ => read(file).map(|(written, _)| written).map_err(|error| error.place()),
    }
}

async fn tell(desk: &Desk, written: &Written, file: &Path) {
    match desk.set_preferences(written).await {
        Ok(()) => info!("the arbiter knows what the user prefers"),
        Err(error) => match Error::from_zbus(&error) {
            Some(refused) => warn!(
                "{}: the arbiter keeps what it was told before: {}",
                file.display(),
                refused.name.as_str()
            ),
            None => warn!("the arbiter was not told what the user prefers: {error}"),
        },
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
