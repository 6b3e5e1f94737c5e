//! What is decided about apps: the user's words of `Manager.SetApps`, and entries of the lists of apps.
//!
//! Owns these dictionaries. Whose word counts, the arbiter decides.

use crate::{
    Dict, Error, Fields,
    fields::{Writer, missing},
    limits,
    words::{AppSource, Authorization},
};

/// What the user said of an app; none of what they said nothing about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppWord {
    /// The app.
    pub app_id: String,
    /// It may provide calls.
    pub calls: Option<bool>,
    /// From behind a wall it may see and control other apps' calls.
    pub control: Option<bool>,
    /// From behind a wall it may place calls through other apps.
    pub place_call: Option<bool>,
}

impl AppWord {
    /// `a{sv}`.
    pub fn to_dict(&self) -> Dict {
        let authorization = |allowed| match allowed {
            true => Authorization::Authorized,
            false => Authorization::Denied,
        };
        let calls = self.calls.map(authorization);
        Writer::default()
            .text("app-id", Some(&self.app_id))
            .text("authorization", calls.as_ref().map(Authorization::as_str))
            .put("control", self.control)
            .put("place-call", self.place_call)
            .done()
    }

    /// From an agent.
    pub fn from_dict(dict: &Dict) -> Result<Self, Error> {
        let fields = Fields::bounded(dict)?;
        let app_id = fields.text("app-id", limits::APP_ID_BYTES)?;
        let calls = match fields.any_text("authorization")?.map(Authorization::from) {
            None => None,
            Some(Authorization::Authorized) => Some(true),
            Some(Authorization::Denied) => Some(false),
            Some(_) => {
                let why = "`authorization` must be authorized or denied, or absent where nothing is decided";
                return Err(Error::invalid_argument(why));
            }
        };
        Ok(AppWord {
            app_id: app_id.ok_or_else(|| missing("app-id"))?.to_owned(),
            calls,
            control: fields.flag("control")?,
            place_call: fields.flag("place-call")?,
        })
    }
}

/// An app as `Manager.ListApps` and `Agent1.Apps.List` show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// The app.
    pub app_id: String,
    /// The name that it gives itself; empty where it is not registered.
    pub display_name: String,
    /// It is registered now.
    pub registered: bool,
    /// Whether it may provide calls, and who says so.
    pub authorization: Authorization,
    /// None while nobody has decided.
    pub source: Option<AppSource>,
    /// Whether it may see and control other apps' calls from behind a wall, and who says so.
    pub control: (bool, Option<AppSource>),
    /// Whether it may place calls through other apps from behind a wall, and who says so.
    pub place_call: (bool, Option<AppSource>),
}

impl App {
    /// One about which nobody decided anything.
    pub fn unknown(app_id: &str) -> Self {
        App {
            app_id: app_id.to_owned(),
            display_name: String::new(),
            registered: false,
            authorization: Authorization::NotDetermined,
            source: None,
            control: (false, None),
            place_call: (false, None),
        }
    }

    /// `a{sv}`; a source is empty where nobody decided.
    pub fn to_dict(&self) -> Dict {
        let source = |source: &Option<AppSource>| {
            source.as_ref().map_or_else(String::new, |source| source.as_str().to_owned())
        };
        Writer::default()
            .text("app-id", Some(&self.app_id))
            .text("display-name", Some(&self.display_name))
            .put("registered", Some(self.registered))
            .text("authorization", Some(self.authorization.as_str()))
            .put("source", Some(source(&self.source)))
            .put("control", Some(self.control.0))
            .put("control-source", Some(source(&self.control.1)))
            .put("place-call", Some(self.place_call.0))
            .put("place-call-source", Some(source(&self.place_call.1)))
            .done()
    }

    /// From the arbiter, or the agent.
    pub fn from_dict(dict: &Dict) -> Result<Self, Error> {
        let fields = Fields::trusted(dict);
        let source = |key| -> Result<Option<AppSource>, Error> {
            Ok(fields.any_text(key)?.filter(|word| !word.is_empty()).map(AppSource::from))
        };
        let flag = |key| Ok::<_, Error>(fields.flag(key)?.unwrap_or_default());
        let authorization = fields.any_text("authorization")?.map(Authorization::from);
        Ok(App {
            app_id: fields.any_text("app-id")?.ok_or_else(|| missing("app-id"))?.to_owned(),
            display_name: fields.any_text("display-name")?.unwrap_or_default().to_owned(),
            registered: flag("registered")?,
            authorization: authorization.unwrap_or(Authorization::NotDetermined),
            source: source("source")?,
            control: (flag("control")?, source("control-source")?),
            place_call: (flag("place-call")?, source("place-call-source")?),
        })
    }
}
