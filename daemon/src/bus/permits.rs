//! What apps behind a wall may do beyond their own calls, and by whose word.
//!
//! Owns the order of those who decide: the administrator's configuration, then polkit (whose rules are the
//! administrator's as well), then the user, then the package that brought the app; what nobody grants is refused.
//! Outside of walls nothing is asked. What a permission opens is in [`super::views`] and the core.

use std::collections::BTreeMap;

use callarbiter_config::Permits as Said;
use callarbiter_core::{Uid, gathered};
use serde::{Deserialize, Serialize};

use super::{
    kept::Kept,
    peers::{Access, Client},
};

/// Something that a wall keeps an app from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// To see and control other apps' calls.
    Control,
    /// To place calls through other apps.
    PlaceCall,
}

impl Permission {
    /// All of them, in the order in which polkit is asked.
    pub const ALL: [Permission; 2] = [Permission::Control, Permission::PlaceCall];

    fn of(self, said: &Said) -> Option<bool> {
        match self {
            Permission::Control => said.control,
            Permission::PlaceCall => said.place_call,
        }
    }
}

/// What polkit granted to a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// [`Permission::Control`].
    pub control: bool,
    /// [`Permission::PlaceCall`].
    pub place_call: bool,
}

impl Granted {
    /// One more.
    pub fn add(&mut self, what: Permission) {
        match what {
            Permission::Control => self.control = true,
            Permission::PlaceCall => self.place_call = true,
        }
    }

    fn has(self, what: Permission) -> bool {
        match what {
            Permission::Control => self.control,
            Permission::PlaceCall => self.place_call,
        }
    }
}

/// Everything that is known of permissions.
#[derive(Debug, Default)]
pub struct Permits {
    /// What the administrator and packages decided.
    pub access: Access,
    /// What users said of apps, as their consent agents told it.
    said: Kept<Uid, BTreeMap<String, Said>>,
}

/// What a user said, as it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedWord {
    app: String,
    control: Option<bool>,
    place_call: Option<bool>,
}

impl Permits {
    /// As the configuration has it; no user said anything.
    pub fn new(access: Access) -> Permits {
        Permits { access, said: Kept::default() }
    }

    /// Whether an app of this user has a permission, and whose word that is; none where nobody decided.
    pub fn decided(
        &self,
        uid: Uid,
        app: Option<&str>,
        polkit: Granted,
        what: Permission,
    ) -> Option<(bool, &'static str)> {
        let by = |said: Option<&Said>, source| Some((what.of(said?)?, source));
        let listed =
            |app: &&str| what == Permission::Control && self.access.controllers.contains(*app);
        let administrator = || by(self.access.apps.get(app?), "administrator");
        let control = || app.filter(listed).map(|_| (true, "administrator"));
        let user = || by(self.said.get(&uid)?.get(app?), "user");
        let packaged = || by(self.access.packaged.get(app?), "packaged");
        administrator()
            .or_else(control)
            .or_else(|| polkit.has(what).then_some((true, "polkit")))
            .or_else(user)
            .or_else(packaged)
    }

    /// Whether a client has a permission.
    pub fn allows(&self, client: &Client, what: Permission) -> bool {
        let app = client.app.as_ref().map(|(app, _)| &**app);
        let decided = || self.decided(client.caller.uid, app, client.granted, what);
        !client.caller.sandboxed || decided().is_some_and(|(allowed, _)| allowed)
    }

    /// Whether polkit could change anything for a client.
    pub fn asks_polkit(&self, client: &Client) -> bool {
        let app = client.app.as_ref().map(|(app, _)| &**app);
        let open = |what: &Permission| {
            let decided = self.decided(client.caller.uid, app, Granted::default(), *what);
            decided.is_none_or(|(_, source)| source != "administrator")
        };
        client.caller.sandboxed && Permission::ALL.iter().any(open)
    }

    /// The whole of what a user says from now on; false if that is nothing new.
    pub fn set(&mut self, uid: Uid, said: BTreeMap<String, Said>) -> bool {
        let nothing = BTreeMap::new();
        if *self.said.get(&uid).unwrap_or(&nothing) == said {
            return false;
        }
        match said.is_empty() {
            true => self.said.remove(&uid),
            false => self.said.insert(uid, said),
        }
        true
    }

    /// The apps about whose permissions somebody decided.
    pub fn apps(&self, uid: Uid) -> impl Iterator<Item = &str> {
        let said = self.said.get(&uid).into_iter().flat_map(BTreeMap::keys);
        let access = &self.access;
        let configured =
            access.apps.keys().chain(access.packaged.keys()).chain(&access.controllers);
        said.chain(configured).map(String::as_str)
    }
}

impl Permits {
    /// Users who said something, or nothing any more, since the last time.
    pub fn changed(&mut self) -> &mut Vec<Uid> {
        self.said.changed()
    }

    /// What a user said, to be written down.
    pub fn saved(&self, uid: Uid) -> Option<Vec<SavedWord>> {
        let word = |(app, said): (&String, &Said)| SavedWord {
            app: app.clone(),
            control: said.control,
            place_call: said.place_call,
        };
        Some(self.said.get(&uid)?.iter().map(word).collect())
    }

    /// What a user said before the daemon was started again.
    pub fn restore(&mut self, uid: Uid, saved: Vec<SavedWord>) {
        let said = |word: SavedWord| {
            let SavedWord { app, control, place_call } = word;
            (app, Said { control, place_call })
        };
        self.said.restore(uid, gathered(saved.into_iter().map(said)));
    }

    /// What users said, by user.
    pub fn said(&self) -> &Kept<Uid, BTreeMap<String, Said>> {
        &self.said
    }
}
