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

use callarbiter_dbus::AppWord;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing::{info, warn};
use zbus::{Connection, MatchRule, MessageStream, OwnedVariant, fdo::DBusProxy, message::Type};

use crate::{places, watch::Watch};

/// What was decided of whom.
pub type Decisions = BTreeMap<String, AppWord>;

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// To provide calls.
    Calls,
    /// To see and control other apps' calls, from behind a wall.
    Control,
    /// To place calls through other apps, from behind a wall.
    PlaceCall,
}

impl Subject {
    pub const ALL: [Subject; 3] = [Subject::Calls, Subject::Control, Subject::PlaceCall];

    /// The desktop's store has it in an entry of its own.
    fn id(self) -> &'static str {
        match self {
            Subject::Calls => "provide-calls",
            Subject::Control => "control",
            Subject::PlaceCall => "place-call",
        }
    }

    fn of(self, word: &mut AppWord) -> &mut Option<bool> {
        match self {
            Subject::Calls => &mut word.calls,
            Subject::Control => &mut word.control,
            Subject::PlaceCall => &mut word.place_call,
        }
    }
}

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
    pub async fn remember(
        &self,
        app: &str,
        what: Subject,
        allowed: bool,
    ) -> Result<(), StoreError> {
        match self {
            Store::Desktop(store) => store.remember(app, what, allowed).await,
            Store::File(store) => store.change(app, what, Some(allowed)),
        }
    }

    /// As if it had never been decided.
    pub async fn forget(&self, app: &str, what: Subject) -> Result<(), StoreError> {
        match self {
            Store::Desktop(store) => store.forget(app, what).await,
            Store::File(store) => store.change(app, what, None),
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
        let rule = rule.member("Changed").arg(0, TABLE).build()?;
        let changes = MessageStream::for_match_rule(rule, session, None).await?;
        Ok(Desktop { session: session.clone(), changes })
    }

    async fn decisions(&self) -> Result<Decisions, StoreError> {
        let mut decisions = Decisions::new();
        for what in Subject::ALL {
            for (app, words) in self.entry(what).await? {
                note(&mut decisions, &app, what, words.first().map_or("", String::as_str));
            }
        }
        Ok(decisions)
    }

    async fn entry(&self, what: Subject) -> Result<HashMap<String, Vec<String>>, StoreError> {
        let body = (TABLE, what.id());
        let found = self.session.call_method(Some(NAME), PATH, Some(NAME), "Lookup", &body).await;
        match found {
            Err(error) if is_not_found(&error) => Ok(HashMap::new()),
            found => {
                let found = found?;
                let (apps, _): (_, OwnedVariant) = found.body().deserialize()?;
                Ok(apps)
            }
        }
    }

    async fn remember(&self, app: &str, what: Subject, allowed: bool) -> Result<(), StoreError> {
        let create = true;
        let body = (TABLE, create, what.id(), app, vec![word(allowed)]);
        self.session.call_method(Some(NAME), PATH, Some(NAME), "SetPermission", &body).await?;
        Ok(())
    }

    async fn forget(&self, app: &str, what: Subject) -> Result<(), StoreError> {
        let body = (TABLE, what.id(), app);
        let forgotten =
            self.session.call_method(Some(NAME), PATH, Some(NAME), "DeletePermission", &body).await;
        match forgotten {
            Err(error) if is_not_found(&error) => Ok(()),
            forgotten => Ok(forgotten.map(drop)?),
        }
    }

    async fn changed(&mut self) {
        if self.changes.next().await.is_none() {
            std::future::pending().await
        }
    }
}

fn is_not_found(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(name, _, _) if name.as_str().ends_with(".NotFound"))
}

/// As the portals write it. `ask`, and whatever else is there, decides nothing.
fn note(decisions: &mut Decisions, app: &str, what: Subject, word: &str) {
    let allowed = match word {
        "yes" => true,
        "no" => false,
        _ => return,
    };
    let unknown = || AppWord { app_id: app.to_owned(), ..AppWord::default() };
    *what.of(decisions.entry(app.to_owned()).or_insert_with(unknown)) = Some(allowed);
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
#[serde(rename_all = "kebab-case")]
struct Kept {
    #[serde(default)]
    apps: BTreeMap<String, String>,
    #[serde(default)]
    control: BTreeMap<String, String>,
    #[serde(default)]
    place_call: BTreeMap<String, String>,
}

impl Kept {
    fn of(&mut self, what: Subject) -> &mut BTreeMap<String, String> {
        match what {
            Subject::Calls => &mut self.apps,
            Subject::Control => &mut self.control,
            Subject::PlaceCall => &mut self.place_call,
        }
    }
}

const HEAD: &str = "\
# Which apps may provide calls ([apps]), control other apps' calls from a sandbox ([control]) and place calls\n\
# through them ([place-call]): \"yes\" or \"no\". About every other app the user is asked, or it may not.\n";

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
        let mut kept = self.read()?;
        let mut decisions = Decisions::new();
        for what in Subject::ALL {
            for (app, word) in kept.of(what).iter() {
                note(&mut decisions, app, what, word);
            }
        }
        Ok(decisions)
    }

    fn change(&self, app: &str, what: Subject, allowed: Option<bool>) -> Result<(), StoreError> {
        let mut kept = self.read()?;
        let before = match allowed {
            Some(allowed) => kept.of(what).insert(app.to_owned(), word(allowed).to_owned()),
            None => kept.of(what).remove(app),
        };
        match before.is_none() && allowed.is_none() {
            true => Ok(()),
            false => self.keep(&kept),
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
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[tokio::test]
    async fn decisions_are_kept_in_a_file_of_the_users_own() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("state/callarbiter/consent.toml");
        let mut store = Own::open(file.clone()).unwrap();
        assert!(store.decisions().unwrap().is_empty());
        store.change("org.x.Phone", Subject::Calls, Some(true)).unwrap();
        store.change("org.x.Other", Subject::Calls, Some(false)).unwrap();
        store.change("org.x.Panel", Subject::Control, Some(true)).unwrap();
        store.change("org.x.Panel", Subject::PlaceCall, Some(false)).unwrap();
        store.changed().await;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));

        let again = Own::open(file.clone()).unwrap();
        let decisions = again.decisions().unwrap();
        assert_eq!(decisions["org.x.Phone"].calls, Some(true));
        assert_eq!(decisions["org.x.Other"].calls, Some(false));
        let panel = &decisions["org.x.Panel"];
        assert_eq!((panel.calls, panel.control, panel.place_call), (None, Some(true), Some(false)));
        again.change("org.x.Other", Subject::Calls, None).unwrap();
        again.change("org.x.Nobody", Subject::Control, None).unwrap();
        assert_eq!(again.decisions().unwrap().len(), 2);
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
            store.change("org.x.Phone", Subject::Calls, Some(true)).unwrap();
            assert_eq!(store.decisions().unwrap().len(), 1);
        }
    }
}
