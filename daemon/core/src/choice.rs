//! Through which app a call goes: the one that is named, or the one that fits.
//!
//! Owns the order of preference, what of it is learned from earlier calls, and when an app that is not there may
//! be started for a call. What was learned stays in memory: it says whom somebody calls, and is a convenience.

use std::{collections::VecDeque, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Authorization, CallId, Caller, Domain, Error, Private, Provider, ProviderId, Refusal, Result,
    Role, handle,
};

/// Handles of which the app is remembered: more people than anybody calls in turn.
pub(crate) const USES: usize = 256;

/// Through what a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Through {
    /// An app that is there.
    Here(ProviderId),
    /// An app that must be started first.
    Launched(Arc<str>),
}

/// The app through which somebody was talked to last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Use {
    #[serde(with = "crate::private::stored")]
    pub(crate) key: Private,
    /// The app.
    pub app: Arc<str>,
}

/// Who was talked to through which app, the latest last.
#[derive(Debug, Default)]
pub(crate) struct Uses(VecDeque<Use>);

impl Uses {
    fn add(&mut self, key: Private, app: Arc<str>) {
        self.0.retain(|known| known.key != key);
        self.0.push_back(Use { key, app });
        if self.0.len() > USES {
            self.0.pop_front();
        }
    }

    /// Apps, the best first: of this handle, then those of others of its scheme, the latest first.
    fn of(&self, key: &Private) -> impl Iterator<Item = &Arc<str>> {
        let same = self.0.iter().find(|known| known.key == *key);
        let alike = self.0.iter().rev().filter(|known| scheme(&known.key) == scheme(key));
        same.into_iter().chain(alike).map(|known| &known.app)
    }

    /// All of them, the latest last.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Use> {
        self.0.iter()
    }

    /// In the order in which [`Uses::all`] gave them.
    pub(crate) fn again(&mut self, uses: Vec<Use>) {
        uses.into_iter().for_each(|known| self.add(known.key, known.app));
    }

    #[cfg(debug_assertions)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn scheme(handle: &Private) -> &str {
    handle.reveal().split_once(':').map_or("", |(scheme, _)| scheme)
}

impl Domain {
    /// The way of a call that a controller wants to place.
    pub(crate) fn start_through(
        &self,
        caller: Caller,
        handle: &Private,
        app: Option<&str>,
    ) -> Result<Through> {
        let way = match app {
            Some(app) => self.named_app(caller, app)?,
            None => self.fitting_app(caller, handle)?,
        };
        let provider = match &way {
            Through::Here(id) => self.providers.get(id),
            Through::Launched(_) => None,
        };
        if provider.is_none_or(|p| p.peer != Some(caller.peer)) {
            self.may_place_calls(caller)?;
        }
        match provider.filter(|p| !takes(p, handle)) {
            Some(provider) => Err(not_taken(provider, handle)),
            None => Ok(way),
        }
    }

    fn named_app(&self, caller: Caller, app: &str) -> Result<Through> {
        let named = || self.attached().filter(|p| &*p.app == app);
        let own = named().find(|p| p.peer == Some(caller.peer));
        if let Some(provider) = own.or_else(|| named().next()) {
            return Ok(Through::Here(provider.id));
        }
        let why = if self.authorization_of(app) != Authorization::Authorized {
            "start the app first: only one that is allowed to provide calls is started for a call"
        } else if !self.can_launch() {
            "start the app first: no agent of the session starts it for a call (role `launch`)"
        } else {
            return Ok(Through::Launched(app.into()));
        };
        Err(Refusal::new(Error::UnknownProvider, format!("{app} is not registered; {why}")))
    }

    fn fitting_app(&self, caller: Caller, handle: &Private) -> Result<Through> {
        let fits = |p: &&Provider| takes(p, handle) && p.authorization == Authorization::Authorized;
        let fitting = || self.attached().filter(fits);
        if let Some(own) = fitting().find(|p| p.peer == Some(caller.peer)) {
            return Ok(Through::Here(own.id));
        }
        if let Some(way) = self.emergency_app(handle) {
            return Ok(way);
        }
        let key = handle::key(handle);
        for app in self.uses.of(&key) {
            let here = self.attached().any(|p| p.app == *app);
            match fitting().find(|p| p.app == *app) {
                Some(provider) => return Ok(Through::Here(provider.id)),
                None if !here && self.may_launch(app) => return Ok(Through::Launched(app.clone())),
                None => {}
            }
        }
        if let Some(provider) = fitting().next() {
            return Ok(Through::Here(provider.id));
        }
        let scheme = scheme(handle);
        let why = format!(
            "no registered app places calls to `{scheme}:` addresses; start one, or name the app that \
             is to be started"
        );
        Err(Refusal::new(Error::UnknownProvider, why))
    }

    /// An emergency goes through an app through which it is one: the first of the list that is there, else the
    /// first that can be started.
    fn emergency_app(&self, handle: &Private) -> Option<Through> {
        let listed = &self.settings.policy.emergency.providers;
        let through = || listed.iter().filter(|app| self.is_emergency(app, handle));
        let here = |app: &Arc<str>| self.attached().find(|p| p.app == *app && takes(p, handle));
        let here = through().filter(|app| !self.is_restricted(app)).find_map(here);
        here.map(|p| Through::Here(p.id)).or_else(|| {
            let is_there = |app: &Arc<str>| self.attached().any(|p| p.app == *app);
            let away = through().find(|app| !is_there(app) && self.may_launch(app));
            away.map(|app| Through::Launched(app.clone()))
        })
    }

    fn attached(&self) -> impl Iterator<Item = &Provider> {
        self.providers.values().filter(|p| p.peer.is_some())
    }

    fn may_launch(&self, app: &str) -> bool {
        self.can_launch() && self.authorization_of(app) == Authorization::Authorized
    }

    fn can_launch(&self) -> bool {
        self.desktop.roles.get(&Role::Launch).is_some_and(|holders| !holders.is_empty())
    }

    /// Somebody is talked to, or is being called: the next call to them goes the same way.
    pub(crate) fn remember_use(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let key = handle::key(&call.handle);
        let app = self.providers.get(&call.provider).map(|p| p.app.clone());
        if let Some(app) = app.filter(|_| !key.is_empty()) {
            self.uses.add(key, app);
        }
    }

    /// However it was dialled: with a scheme or without one, with what is there for the eye or not.
    pub(crate) fn is_emergency(&self, app: &Arc<str>, handle: &Private) -> bool {
        let emergency = &self.settings.policy.emergency;
        if !emergency.providers.contains(app) {
            return false;
        }
        let dialed = handle.reveal();
        let bare = dialed.split_once(':').map_or(dialed, |(_, rest)| rest);
        let key = handle::key(handle);
        let is_same = |listed: &Arc<str>| handle::key(&Private::from(&**listed)) == key;
        emergency.handles.iter().any(|h| &**h == dialed || &**h == bare || is_same(h))
    }

    /// Whether one call more may be placed this way.
    pub(crate) fn may_start(
        &self,
        way: &Through,
        uuid: Uuid,
        video: bool,
        emergency: bool,
    ) -> Result<()> {
        match way {
            Through::Here(id) => {
                let Some(provider) = self.providers.get(id) else { return Ok(()) };
                self.may_place(provider, emergency)?;
                self.is_fresh(provider, uuid)?;
                can_video(provider, video)?;
            }
            Through::Launched(app) => self.may_wait_for(app, uuid)?,
        }
        let limit = self.settings.limits.calls;
        if !emergency && self.calls.len() >= limit as usize {
            let why = format!("{limit} calls are live (limit `calls`); end one first");
            return Err(Refusal::new(Error::LimitExceeded, why));
        }
        Ok(())
    }
}

/// Whether an app places calls to such addresses; a number without a scheme is one of a telephone.
pub(crate) fn takes(provider: &Provider, handle: &Private) -> bool {
    let schemes = &provider.configuration.schemes;
    let key = handle::key(handle);
    let wanted = match scheme(handle) {
        "" => scheme(&key),
        scheme => scheme,
    };
    schemes.is_empty() || schemes.iter().any(|s| s.eq_ignore_ascii_case(wanted))
}

pub(crate) fn not_taken(provider: &Provider, handle: &Private) -> Refusal {
    let why = format!("{} does not place calls to `{}:` addresses", provider.app, scheme(handle));
    Refusal::new(Error::NotSupported, why)
}

pub(crate) fn can_video(provider: &Provider, video: bool) -> Result<()> {
    if video && !provider.configuration.supports_video {
        let why = format!("{} has no video; start without `has-video`", provider.app);
        return Err(Refusal::new(Error::NotSupported, why));
    }
    Ok(())
}
