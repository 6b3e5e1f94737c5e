//! `org.callarbiter.Agent1.Apps`: which apps may provide calls.
//!
//! Owns the list and the user's word. It is written where consent is remembered; the part that watches that place
//! tells the arbiter.

use std::collections::BTreeMap;

use callarbiter::Authorization;
use callarbiter_dbus::{Dict, Error, ErrorKind, limits};
use zbus::{Connection, Variant, interface, message::Header};

use super::{Now, Refused, caller};
use crate::consent::{Store, StoreError};

/// The interface.
pub struct Apps {
    session: Connection,
    now: Now,
}

impl Apps {
    pub fn new(session: Connection, now: Now) -> Apps {
        Apps { session, now }
    }
}

#[interface(name = "org.callarbiter.Agent1.Apps")]
impl Apps {
    async fn list(&self, #[zbus(header)] call: Header<'_>) -> Result<Vec<Dict>, Refused> {
        caller::unwalled(&self.session, &call).await?;
        let decided = Store::open(&self.session).await?.decisions().await?;
        let mut apps: BTreeMap<String, Shown> = BTreeMap::new();
        for (app, authorization) in decided {
            apps.insert(app, Shown { authorization, by_user: true, registered: None });
        }
        let now = self.now.borrow().clone();
        for provider in now.providers.values() {
            let word = provider.authorization.clone();
            let shown = apps.entry(provider.app_id.clone()).or_default();
            shown.by_user &= shown.authorization == word;
            shown.authorization = word;
            shown.registered = Some(provider.display_name.clone());
        }
        Ok(apps.iter().map(|(app, shown)| shown.to_dict(app)).collect())
    }

    async fn set_authorization(
        &self,
        #[zbus(header)] call: Header<'_>,
        app_id: &str,
        authorization: &str,
    ) -> Result<(), Refused> {
        caller::unwalled(&self.session, &call).await?;
        if !limits::is_app_id(app_id) {
            let why = "that is no app id; one is like org.example.Phone";
            return Err(Error::invalid_argument(why).into());
        }
        let store = Store::open(&self.session).await?;
        match Authorization::from(authorization) {
            Authorization::Authorized => store.remember(app_id, true).await?,
            Authorization::Denied => store.remember(app_id, false).await?,
            Authorization::NotDetermined => store.forget(app_id).await?,
            _ => {
                let why = "the user decides authorized, denied or not-determined";
                return Err(Error::invalid_argument(why).into());
            }
        }
        Ok(())
    }
}

/// One app.
struct Shown {
    authorization: Authorization,
    by_user: bool,
    /// The name that it gives itself.
    registered: Option<String>,
}

impl Default for Shown {
    fn default() -> Self {
        Shown { authorization: Authorization::NotDetermined, by_user: false, registered: None }
    }
}

impl Shown {
    fn to_dict(&self, app: &str) -> Dict {
        let source = match &self.authorization {
            Authorization::NotDetermined => "",
            _ if self.by_user => "user",
            _ => "administrator",
        };
        let name = self.registered.clone().unwrap_or_default();
        let entries: [(&str, Variant<'static>); 5] = [
            ("app-id", app.to_owned().into()),
            ("authorization", self.authorization.as_str().to_owned().into()),
            ("source", source.into()),
            ("registered", self.registered.is_some().into()),
            ("display-name", name.into()),
        ];
        entries
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value.try_into().ok()?)))
            .collect()
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Error::new(ErrorKind::ActionFailed, format!("what was decided: {error}")).into()
    }
}
