//! What keeps the state: after each turn, before anything of it is told.
//!
//! Owns what follows when it cannot be kept: calls go on all the same, the administrator is told once, and it
//! is tried again. How it is written is [`crate::store`]'s, what is written the router's.

mod panics;

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
                panics::watch(store.path());
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
        if panics::are_too_many(store.path(), now.mono) {
            store.reject("damaged", "made the daemon panic again and again");
            return router;
        }
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
            unusable => {
                let kind = if unusable.is_newer() { "newer" } else { "damaged" };
                store.reject(kind, &format!("cannot be used ({unusable})"));
            }
        }
        new()
    }

    /// Writes what changed; one frame, or none.
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
        self.store.iter_mut().for_each(Store::rest);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::fs;

    use callarbiter_core::Settings;
    use tempfile::TempDir;

    use super::*;
    use crate::{bus::Access, store::Records};

    const NOW: Now = Now { mono: Time(5_000_000), wall: 9_000_000 };

    /// One record, of any content.
    struct Record(&'static [u8]);

    impl Records for Record {
        type Key = Key;

        fn write_key(&self, _: Key, out: &mut Vec<u8>) {
            out.push(0);
        }

        fn write_value(&self, _: Key, out: &mut Vec<u8>) -> bool {
            out.extend(self.0);
            true
        }

        fn keys_after(&self, _: Option<Key>, _: usize, keys: &mut Vec<Key>) {
            keys.push(Key::Life);
        }
    }

    fn router() -> Router {
        let mut router = Router::new(Settings::default(), Access::default(), None, None);
        router.begin_on("here".to_owned(), NOW);
        router
    }

    fn open(directory: &Path) -> (Keeper, Found) {
        let (store, found) = Store::open(directory).unwrap();
        (Keeper { store: Some(store), ..Keeper::default() }, found)
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_makes_no_sense_is_set_aside_and_work_begins_anew() {
        let newer = &[callarbiter_records::VERSION + 1][..];
        for (value, kind) in [(&[1, 200][..], "damaged"), (newer, "newer"), (&[], "damaged")] {
            let top = TempDir::new().unwrap();
            let directory = top.path().join("state");
            let (mut store, _) = Store::open(&directory).unwrap();
            store.append(&[Key::Life], &Record(value)).unwrap();
            drop(store);
            let (mut keeper, found) = open(&directory);
            assert!(found.intact);
            let mut begun = keeper.resume(NOW, found, router);
            keeper.keep(NOW, &mut begun);
            let expected = ["lock".to_owned(), "state.2".to_owned(), format!("state.{kind}-1")];
            assert_eq!(names(&directory), expected);
            drop(keeper);
            let (mut keeper, found) = open(&directory);
            let mut resumed = keeper.resume(NOW, found, router);
            keeper.keep(NOW, &mut resumed);
            assert_eq!(names(&directory), expected, "and that is used");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_tried_again_and_less_and_less_often() {
        let top = TempDir::new().unwrap();
        let directory = top.path().join("state");
        let (mut keeper, found) = open(&directory);
        let mut router = keeper.resume(NOW, found, router);
        keeper.keep(NOW, &mut router);
        assert_eq!(keeper.retry(), None);

        fs::remove_dir_all(&directory).unwrap();
        keeper.store.as_mut().unwrap().forget();
        let mut now = NOW;
        let mut waited = Vec::new();
        for _ in 0..9 {
            keeper.keep(now, &mut router);
            let retry = keeper.retry().unwrap();
            waited.push((retry.0 - now.mono.0) / 1_000_000);
            // Before its time nothing is tried.
            keeper.keep(now, &mut router);
            assert_eq!(keeper.retry(), Some(retry));
            now.mono = retry;
        }
        assert_eq!(waited, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        assert!(!keeper.leave(now, &mut router), "apps have to hear that it is lost");
        fs::create_dir(&directory).unwrap();
        assert!(keeper.leave(now, &mut router));
        assert_eq!(keeper.retry(), None);
    }
}
