//! `org.callarbiter.Agent1.Apps`: what apps may do, and whose word that is.
//!
//! Owns the list and the user's word. It is written where consent is remembered; the part that watches that place
//! tells the arbiter, and what the arbiter makes of it is what is listed.

use std::collections::BTreeMap;

use callarbiter::Authorization;
use callarbiter_dbus::{App, AppWord, Dict, Error, ErrorKind, limits, words::AppSource};
use zbus::{Connection, interface, message::Header};

use super::{Refused, caller};
use crate::{
    arbiter::Desk,
    consent::{Store, StoreError, Subject},
};

/// The interface.
pub struct Apps {
    session: Connection,
    desk: Desk,
}

impl Apps {
    pub fn new(session: Connection, desk: Desk) -> Apps {
        Apps { session, desk }
    }

    /// What the arbiter says; nothing while there is none.
    async fn known(&self) -> BTreeMap<String, App> {
        let known = self.desk.apps().await.unwrap_or_default();
        known.into_iter().map(|app| (app.app_id.clone(), app)).collect()
    }

    async fn decide(&self, app: &str, what: Subject, word: &str) -> Result<(), Refused> {
        if !limits::is_app_id(app) {
            let why = format!("that is no app id; org.example.Phone is one: {}", limits::APP_ID);
            return Err(Error::invalid_argument(why).into());
        }
        let allowed = match Authorization::from(word) {
            Authorization::Authorized => Some(true),
            Authorization::Denied => Some(false),
            Authorization::NotDetermined => None,
            _ => {
                let why = "the user decides authorized, denied or not-determined";
                return Err(Error::invalid_argument(why).into());
            }
        };
        if let (Some(wanted), Some(known)) = (allowed, self.known().await.get(app)) {
            may_decide(known, what, wanted)?;
        }
        let store = Store::open(&self.session).await?;
        match allowed {
            Some(allowed) => store.remember(app, what, allowed).await?,
            None => store.forget(app, what).await?,
        }
        Ok(())
    }
}

#[interface(name = "org.callarbiter.Agent1.Apps")]
impl Apps {
    async fn list(&self, #[zbus(header)] call: Header<'_>) -> Result<Vec<Dict>, Refused> {
        caller::unwalled(&self.session, &call).await?;
        let mut apps = self.known().await;
        for (app, word) in Store::open(&self.session).await?.decisions().await? {
            // The arbiter is away, or has not heard of it yet.
            apps.entry(app).or_insert_with_key(|app| remembered(app, &word));
        }
        Ok(apps.values().map(App::to_dict).collect())
    }

    async fn set_authorization(
        &self,
        #[zbus(header)] call: Header<'_>,
        app_id: &str,
        authorization: &str,
    ) -> Result<(), Refused> {
        caller::unwalled(&self.session, &call).await?;
        self.decide(app_id, Subject::Calls, authorization).await
    }

    async fn set_permission(
        &self,
        #[zbus(header)] call: Header<'_>,
        app_id: &str,
        permission: &str,
        authorization: &str,
    ) -> Result<(), Refused> {
        caller::unwalled(&self.session, &call).await?;
        let what = match permission {
            "control" => Subject::Control,
            "place-call" => Subject::PlaceCall,
            _ => {
                let why = "the permissions are control and place-call";
                return Err(Error::invalid_argument(why).into());
            }
        };
        self.decide(app_id, what, authorization).await
    }
}

/// What the administrator decided the user cannot decide otherwise.
fn may_decide(known: &App, what: Subject, wanted: bool) -> Result<(), Refused> {
    let (decided, source, key) = match what {
        Subject::Calls => {
            (known.authorization == Authorization::Authorized, &known.source, "calls")
        }
        Subject::Control => (known.control.0, &known.control.1, "control"),
        Subject::PlaceCall => (known.place_call.0, &known.place_call.1, "place-call"),
    };
    let by = match source {
        Some(AppSource::Administrator) => "the administrator's configuration",
        Some(AppSource::Polkit) => "a polkit rule of the administrator",
        _ => return Ok(()),
    };
    if decided == wanted {
        return Ok(());
    }
    let (app, word) = (&known.app_id, if decided { "allows" } else { "denies" });
    let why = format!(
        "{by} {word} {app} this, and that is not the user's to change; the administrator changes \
         `{key}` of {app} under [apps], or the rule"
    );
    Err(Error::new(ErrorKind::AccessDenied, why).into())
}

fn remembered(app: &str, word: &AppWord) -> App {
    let said = |allowed: Option<bool>| (allowed.unwrap_or(false), allowed.map(|_| AppSource::User));
    let authorization = match word.calls {
        None => Authorization::NotDetermined,
        Some(true) => Authorization::Authorized,
        Some(false) => Authorization::Denied,
    };
    App {
        authorization,
        source: word.calls.map(|_| AppSource::User),
        control: said(word.control),
        place_call: said(word.place_call),
        ..App::unknown(app)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Error::new(ErrorKind::ActionFailed, format!("what was decided: {error}")).into()
    }
}
