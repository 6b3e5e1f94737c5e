//! What keeps the state: after each turn, before anything of it is told.
//!
//! Owns what follows when it cannot be kept: calls go on all the same, the administrator is told once, and it
//! is tried again. How it is written is [`crate::store`]'s, what is written the router's.

use std::path::{Path, PathBuf};

use callarbiter_core::{Millis, Now, Time};
use tracing::{info, warn};

use crate::{
    bus::{Key, Router, Unusable},
    log::ids,
    platform::notify,
    store::{DirectoryError, Found, Store},
};

/// Where the state is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The directory.
    pub directory: PathBuf,
    /// Somebody asked for this one: without it there is no daemon.
    pub required: bool,
}

/// Keeps the state, or nothing.
#[derive(Debug, Default)]
pub struct Keeper {
    store: Option<Store<Key>>,
    keys: Vec<Key>,
    trouble: Option<Trouble>,
}

/// It cannot be written.
#[derive(Debug)]
struct Trouble {
    patience: Millis,
    retry: Time,
}

/// At first a full disk is looked at again soon, and then less and less often: each time all of the state is
/// written.
const PATIENCE: Millis = Millis::secs(1);
const MOST_PATIENCE: Millis = Millis::secs(64);

impl Keeper {
    /// Opens a directory; what was in it is to be given to [`Keeper::resume`].
    pub fn open(place: Option<&Place>) -> Result<(Keeper, Option<Found>), DirectoryError> {
        let Some(place) = place else { return Ok((Keeper::default(), None)) };
        match Store::open(&place.directory) {
            Ok((store, found)) => {
                Ok((Keeper { store: Some(store), ..Keeper::default() }, Some(found)))
            }
            Err(error) if place.required => Err(error),
            Err(error) => {
                tell_not_kept(&place.directory, &error.to_string(), false);
                Ok((Keeper::default(), None))
            }
        }
    }

    /// Whether there is anything to keep it in.
    pub fn keeps(&self) -> bool {
        self.store.is_some()
    }

    /// A router with what was found, or a new one where that is of no use.
    pub fn resume(&mut self, now: Now, found: Found, mut new: impl FnMut() -> Router) -> Router {
        let mut router = new();
        let Some(store) = self.store.as_mut().filter(|_| !found.records.is_empty()) else {
            return router;
        };
        let unusable = match router.restore(found.records, now) {
            Ok(()) => {
                if !found.intact {
                    router.begin_anew();
                }
                return router;
            }
            Err(unusable) => unusable,
        };
        match unusable {
            Unusable::OtherBoot => {
                info!("the state in {} is not used: {unusable}", store.path().display());
                store.forget();
            }
            Unusable::Newer => store.reject("newer", &unusable.to_string()),
            Unusable::Core(why) if why.is_newer() => store.reject("newer", &why.to_string()),
            unusable => store.reject("damaged", &unusable.to_string()),
        }
        new()
    }

    /// Writes what changed; one write, or none.
    pub fn keep(&mut self, now: Now, router: &mut Router) {
        let Some(store) = &mut self.store else { return router.forget_unsaved() };
        self.keys.clear();
        router.take_unsaved(now, &mut self.keys);
        // While it cannot be written nothing need be remembered: in the end all of it is.
        if self.trouble.as_ref().is_some_and(|trouble| now.mono < trouble.retry) {
            return;
        }
        match (store.append(&self.keys, router), self.trouble.take()) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                info!(message_id = ids::STATE_KEPT, "the state is kept again");
                notify::degraded(None);
            }
            (Err(error), trouble) => {
                let patience = match trouble {
                    None => {
                        tell_not_kept(store.path(), &error.to_string(), true);
                        PATIENCE
                    }
                    Some(Trouble { patience, .. }) => {
                        Millis(patience.0.saturating_mul(2)).min(MOST_PATIENCE)
                    }
                };
                self.trouble = Some(Trouble { patience, retry: now.mono + patience });
            }
        }
    }

    /// When to call [`Keeper::keep`] again, whatever happens.
    pub fn retry(&self) -> Option<Time> {
        self.trouble.as_ref().map(|trouble| trouble.retry)
    }

    /// The last words before the daemon leaves. False if the state is not there for the next one.
    pub fn leave(&mut self, now: Now, router: &mut Router) -> bool {
        if let Some(trouble) = &mut self.trouble {
            trouble.retry = now.mono;
        }
        self.keep(now, router);
        self.store.is_some() && self.trouble.is_none()
    }
}

fn tell_not_kept(directory: &Path, why: &str, again: bool) {
    let next = if again { "; it is tried again" } else { "" };
    warn!(
        message_id = ids::STATE_NOT_KEPT,
        "the state cannot be kept in {} ({why}): calls go on, but would not survive a restart of the \
         daemon{next}",
        directory.display()
    );
    notify::degraded(Some(format!("calls would not survive a restart: {why}")));
}
