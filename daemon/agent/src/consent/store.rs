//! Where is remembered which app may provide calls: the desktop's permission store, where its settings show it
//! and `flatpak permission-set` changes it, else a file of the agent's own.
//!
//! Owns both forms. Nothing is believed from before: what is asked is read.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use callarbiter::Authorization;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing::{info, warn};
use zbus::{Connection, MatchRule, MessageStream, OwnedVariant, fdo::DBusProxy, message::Type};

use crate::{places, watch::Watch};

/// What was decided of whom.
pub type Decisions = HashMap<String, Authorization>;

/// One of the two.
pub enum Store {
    Desktop(Box<Desktop>),
    File(Own),
}

/// Why something is not remembered, or cannot be read.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("the permission store: {0}")]
    Bus(#[from] zbus::Error),
    #[error("{file}: {source}")]
    File { file: PathBuf, source: io::Error },
    #[error("neither $XDG_STATE_HOME nor $HOME says where")]
    Nowhere,
}

impl Store {
    /// The desktop's, if the bus has one or can start it.
    pub async fn open(session: &Connection) -> Result<Store, StoreError> {
        if is_there(session).await? {
            return Ok(Store::Desktop(Box::new(Desktop::open(session).await?)));
        }
        let file = places::state().ok_or(StoreError::Nowhere)?.join("callarbiter/consent.toml");
        info!("this session has no permission store; consent is kept in {}", file.display());
        Ok(Store::File(Own::open(file)?))
    }

    /// All that was decided.
    pub async fn decisions(&self) -> Result<Decisions, StoreError> {
        match self {
            Store::Desktop(store) => store.decisions().await,
            Store::File(store) => store.decisions(),
        }
    }

    /// Remembers a decision.
    pub async fn remember(&self, app: &str, allowed: bool) -> Result<(), StoreError> {
        match self {
            Store::Desktop(store) => store.remember(app, allowed).await,
            Store::File(store) => store.remember(app, allowed),
        }
    }

    /// As if it had never been decided.
    pub async fn forget(&self, app: &str) -> Result<(), StoreError> {
        match self {
            Store::Desktop(store) => store.forget(app).await,
            Store::File(store) => store.forget(app),
        }
    }

    /// Waits until somebody changed it, this agent included.
    pub async fn changed(&mut self) {
        match self {
            Store::Desktop(store) => store.changed().await,
            Store::File(store) => store.changed().await,
        }
    }
}

const NAME: &str = "org.freedesktop.impl.portal.PermissionStore";
const PATH: &str = "/org/freedesktop/impl/portal/PermissionStore";

/// `flatpak permissions callarbiter` shows it.
const TABLE: &str = "callarbiter";
const ID: &str = "provide-calls";

async fn is_there(session: &Connection) -> zbus::Result<bool> {
    let bus = DBusProxy::new(session).await?;
    let is = |name: &str| name == NAME;
    Ok(bus.list_names().await?.iter().any(|name| is(name.as_str()))
        || bus.list_activatable_names().await?.iter().any(|name| is(name.as_str())))
}

/// `xdg-permission-store`.
pub struct Desktop {
    session: Connection,
    changes: MessageStream,
}

impl Desktop {
    async fn open(session: &Connection) -> zbus::Result<Desktop> {
        let rule =
            MatchRule::builder().msg_type(Type::Signal).sender(NAME).path(PATH).interface(NAME);
        let rule = rule.member("Changed").arg(0, TABLE).arg(1, ID).build()?;
        let changes = MessageStream::for_match_rule(rule, session, None).await?;
        Ok(Desktop { session: session.clone(), changes })
    }

    async fn decisions(&self) -> Result<Decisions, StoreError> {
        let found =
            self.session.call_method(Some(NAME), PATH, Some(NAME), "Lookup", &(TABLE, ID)).await;
        let found = match found {
            Err(zbus::Error::MethodError(name, _, _)) if name.as_str().ends_with(".NotFound") => {
                return Ok(Decisions::new());
            }
            found => found?,
        };
        let (apps, _): (HashMap<String, Vec<String>>, OwnedVariant) = found.body().deserialize()?;
        let decided = |(app, words): (String, Vec<String>)| {
            Some((app, meaning(words.first().map(String::as_str).unwrap_or_default())?))
        };
        Ok(apps.into_iter().filter_map(decided).collect())
    }

    async fn remember(&self, app: &str, allowed: bool) -> Result<(), StoreError> {
        let create = true;
        let body = (TABLE, create, ID, app, vec![word(allowed)]);
        self.session.call_method(Some(NAME), PATH, Some(NAME), "SetPermission", &body).await?;
        Ok(())
    }

    async fn forget(&self, app: &str) -> Result<(), StoreError> {
        let body = (TABLE, ID, app);
        let forgotten =
            self.session.call_method(Some(NAME), PATH, Some(NAME), "DeletePermission", &body).await;
        match forgotten {
            Err(zbus::Error::MethodError(name, _, _)) if name.as_str().ends_with(".NotFound") => {
                Ok(())
            }
            forgotten => Ok(forgotten.map(drop)?),
        }
    }

    async fn changed(&mut self) {
        if self.changes.next().await.is_none() {
            std::future::pending().await
        }
    }
}

/// As the portals write it. `ask`, and whatever else is there, decides nothing.
fn meaning(word: &str) -> Option<Authorization> {
    match word {
        "yes" => Some(Authorization::Authorized),
        "no" => Some(Authorization::Denied),
        _ => None,
    }
}

fn word(allowed: bool) -> &'static str {
    if allowed { "yes" } else { "no" }
}

/// A file that only its user reads.
pub struct Own {
    file: PathBuf,
    watch: Watch,
}

/// Its form.
#[derive(Default, Deserialize, Serialize)]
struct Kept {
    #[serde(default)]
    apps: BTreeMap<String, String>,
}

const HEAD: &str =
    "# Which apps may provide calls: \"yes\" or \"no\". About every other the user is asked.\n";

impl Own {
    fn open(file: PathBuf) -> Result<Own, StoreError> {
        let open = || {
            let folder = file.parent().unwrap_or(Path::new("/"));
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let watch = Watch::new()?;
            watch.add(folder)?;
            Ok(watch)
        };
        match open() {
            Ok(watch) => Ok(Own { file, watch }),
            Err(source) => Err(StoreError::File { file, source }),
        }
    }

    fn decisions(&self) -> Result<Decisions, StoreError> {
        let decided = |(app, word): (String, String)| Some((app, meaning(&word)?));
        Ok(self.read()?.apps.into_iter().filter_map(decided).collect())
    }

    fn remember(&self, app: &str, allowed: bool) -> Result<(), StoreError> {
        let mut kept = self.read()?;
        kept.apps.insert(app.to_owned(), word(allowed).to_owned());
        self.keep(&kept)
    }

    fn forget(&self, app: &str) -> Result<(), StoreError> {
        let mut kept = self.read()?;
        match kept.apps.remove(app) {
            Some(_) => self.keep(&kept),
            None => Ok(()),
        }
    }

    fn keep(&self, kept: &Kept) -> Result<(), StoreError> {
        let written = toml::to_string(kept).map_err(io::Error::other);
        written
            .and_then(|text| self.write(&format!("{HEAD}{text}")))
            .map_err(|source| self.failed(source))
    }

    async fn changed(&mut self) {
        if self.watch.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// One that cannot be understood is set aside, and everybody is asked again.
    fn read(&self) -> Result<Kept, StoreError> {
        let bytes = match fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
            Err(source) => return Err(self.failed(source)),
        };
        let text = std::str::from_utf8(&bytes).ok();
        if let Some(kept) = text.and_then(|text| toml::from_str(text).ok()) {
            return Ok(kept);
        }
        let aside = self.file.with_extension("toml.damaged");
        warn!("{} is damaged; it is set aside as {}", self.file.display(), aside.display());
        fs::rename(&self.file, aside).map_err(|source| self.failed(source))?;
        Ok(Kept::default())
    }

    /// Whole or not at all, whatever happens meanwhile.
    fn write(&self, text: &str) -> io::Result<()> {
        let new = self.file.with_extension("toml.new");
        let mut options = File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        // One that was there may have been open to others.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(new, &self.file)
    }

    fn failed(&self, source: io::Error) -> StoreError {
        StoreError::File { file: self.file.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn decisions_are_kept_in_a_file_of_the_users_own() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("state/callarbiter/consent.toml");
        let mut store = Own::open(file.clone()).unwrap();
        assert!(store.decisions().unwrap().is_empty());
        store.remember("org.x.Phone", true).unwrap();
        store.remember("org.x.Other", false).unwrap();
        store.changed().await;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));

        let again = Own::open(file.clone()).unwrap();
        let decisions = again.decisions().unwrap();
        assert_eq!(decisions.get("org.x.Phone"), Some(&Authorization::Authorized));
        assert_eq!(decisions.get("org.x.Other"), Some(&Authorization::Denied));
        again.forget("org.x.Other").unwrap();
        again.forget("org.x.Nobody").unwrap();
        assert_eq!(again.decisions().unwrap().len(), 1);
        fs::write(&file, "[apps]\n\"org.x.Phone\" = \"ask\"\n").unwrap();
        assert!(again.decisions().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_damaged_file_is_set_aside() {
        let top = tempfile::tempdir().unwrap();
        for damaged in [&b"\xff\xfe"[..], b"[apps\n", b"apps = 3\n"] {
            let file = top.path().join("consent.toml");
            let store = Own::open(file.clone()).unwrap();
            fs::write(&file, damaged).unwrap();
            assert!(store.decisions().unwrap().is_empty());
            assert_eq!(fs::read(file.with_extension("toml.damaged")).unwrap(), damaged);
            store.remember("org.x.Phone", true).unwrap();
            assert_eq!(store.decisions().unwrap().len(), 1);
        }
    }
}
