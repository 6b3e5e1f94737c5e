//! The app that a note is about: how the desktop knows it, and how it comes to the front.
//!
//! Owns both. An app is never started for it: it has a call, so it is there.

use std::{collections::HashMap, path::PathBuf};

use zbus::{Connection, ObjectPath, Variant, fdo::DBusProxy, names::BusName};

use super::words::Face;
use crate::launch;

/// What every app that can be raised implements.
const APPLICATION: &str = "org.freedesktop.Application";

/// The apps of this session.
#[derive(Clone, Debug)]
pub struct Apps {
    session: Connection,
    folders: Vec<PathBuf>,
}

impl Apps {
    pub fn of(session: &Connection) -> Apps {
        Apps { session: session.clone(), folders: launch::folders() }
    }

    /// As its desktop file has it.
    pub fn face(&self, app: &str) -> Face {
        let entry = launch::find(&self.folders, app);
        entry.map(|entry| Face { name: entry.name, icon: entry.icon }).unwrap_or_default()
    }

    /// Whether it is on the session's bus under its own name.
    pub async fn can_raise(&self, app: &str) -> bool {
        let owned = async || {
            let bus = DBusProxy::new(&self.session).await.ok()?;
            bus.name_has_owner(BusName::try_from(app).ok()?).await.ok()
        };
        owned().await.unwrap_or(false)
    }

    /// Brings it to the front, with the token of the click where the server gave one.
    pub async fn raise(&self, app: &str, token: Option<String>) -> Result<(), String> {
        let path = format!("/{}", app.replace('.', "/").replace('-', "_"));
        let path = ObjectPath::try_from(path).map_err(|error| error.to_string())?;
        let keys = ["activation-token", "desktop-startup-id"];
        let token = token.as_deref();
        let how = keys.iter().filter_map(|key| Some((*key, Variant::from(token?))));
        let how: HashMap<&str, Variant<'_>> = how.collect();
        let raised =
            self.session.call_method(Some(app), path, Some(APPLICATION), "Activate", &how).await;
        raised.map(drop).map_err(|error| format!("the app does not come to the front ({error})"))
    }
}
