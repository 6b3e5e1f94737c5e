//! `Manager.ListApps` and `SetApps`: what is decided about apps, and what the user says of them.
//!
//! Owns who may ask and how the list is told. Whose word counts, the core and [`crate::bus::permits`] decide.

use std::collections::{BTreeMap, BTreeSet};

use callarbiter_config::Permits as Said;
use callarbiter_core::{Authorization, Decider, Input, Role, Uid, gathered};
use callarbiter_dbus::{App, AppWord, Dict, Error, ErrorKind, Fields, limits};

use crate::bus::{
    dispatch::{Answer, arguments},
    fault,
    permits::{Granted, Permission},
    request::Request,
    router::Router,
    turn::Turn,
};

impl Router {
    pub(in crate::bus) fn list_apps(&mut self, request: &Request, member: &str) -> Answer {
        let (options,): (Dict,) = arguments(request, member)?;
        Fields::bounded(&options)?;
        if !request.client.sees_all() {
            let why = "a sandboxed program without the permission `control` does not see which \
                       other apps there are";
            return Err(Error::new(ErrorKind::AccessDenied, why));
        }
        let uid = request.client.caller.uid;
        let apps: Vec<Dict> = self.apps(uid).into_iter().map(|app| self.app(uid, app)).collect();
        Ok(request.reply(&apps))
    }

    fn apps(&self, uid: Uid) -> BTreeSet<&str> {
        let domain = self.arbiter.domain(uid);
        let policy = &self.arbiter.settings().policy;
        let configured = policy.apps.keys().chain(policy.packaged.keys());
        let decided = domain.into_iter().flat_map(|domain| domain.apps_decided());
        let registered = domain.into_iter().flat_map(|d| d.providers().map(|p| &p.app));
        let walled = self.peers.walled(uid).filter(|client| client.granted != Granted::default());
        let walled = walled.filter_map(|client| client.app.as_ref().map(|(app, _)| app));
        let named = configured.chain(decided).chain(registered).chain(walled);
        gathered(named.map(|app| &**app).chain(self.permits.apps(uid)))
    }

    fn app(&self, uid: Uid, app: &str) -> Dict {
        let domain = self.arbiter.domain(uid);
        let mut providers = domain.into_iter().flat_map(|domain| domain.providers());
        let provider = providers.find(|p| &*p.app == app && p.peer.is_some());
        let word = self.arbiter.authorized_by(uid, app);
        // Of several connections of an app polkit says the same, unless its rules look at them.
        let mut own =
            self.peers.walled(uid).filter(|c| c.app.as_ref().is_some_and(|(of, _)| &**of == app));
        let polkit = own.next().map(|client| client.granted).unwrap_or_default();
        let permission = |what| match self.permits.decided(uid, Some(app), polkit, what) {
            Some((allowed, by)) => (allowed, Some(by.into())),
            None => (false, None),
        };
        App {
            display_name: provider
                .map_or_else(String::new, |p| p.configuration.display_name.to_string()),
            registered: provider.is_some(),
            authorization: word
                .map_or(Authorization::NotDetermined, |(word, _)| word)
                .name()
                .into(),
            source: word.map(|(_, by)| by.name().into()),
            control: permission(Permission::Control),
            place_call: permission(Permission::PlaceCall),
            ..App::unknown(app)
        }
        .to_dict()
    }

    pub(in crate::bus) fn set_apps(
        &mut self,
        turn: &mut Turn,
        request: &Request,
        member: &str,
    ) -> Answer {
        let (given, options): (Vec<Dict>, Dict) = arguments(request, member)?;
        Fields::bounded(&options)?;
        let caller = request.client.caller;
        let holder = self.arbiter.domain(caller.uid).and_then(|d| d.holder(Role::Consent));
        if holder != Some(caller.peer) {
            let why = "only the holder of role `consent` says what the user decided";
            return Err(Error::new(ErrorKind::AccessDenied, why));
        }
        if given.len() > limits::APP_WORDS {
            let most = limits::APP_WORDS;
            return Err(fault::limit(format!(
                "the user's words about {} apps were given; at most {most} are kept",
                given.len()
            )));
        }
        let words = given.iter().map(known).collect::<Result<Vec<AppWord>, _>>()?;
        let mut apps = BTreeSet::new();
        if let Some(twice) = words.iter().find(|word| !apps.insert(&word.app_id)) {
            let app = &twice.app_id;
            let why = format!("{app} is there twice; everything about an app is one entry");
            return Err(Error::invalid_argument(why));
        }
        let domain = self.arbiter.domain(caller.uid);
        let forgotten = domain.into_iter().flat_map(|domain| domain.apps_decided());
        let forgotten = forgotten.map(|app| (app.to_string(), None));
        let calls: BTreeMap<String, Option<bool>> =
            gathered(forgotten.chain(words.iter().map(|w| (w.app_id.clone(), w.calls))));
        for (app, allowed) in calls {
            let domain = self.arbiter.domain(caller.uid);
            let authorization = match allowed {
                _ if domain.and_then(|d| d.users_word(&app)) == allowed => continue,
                Some(true) => Authorization::Authorized,
                Some(false) => Authorization::Denied,
                None => Authorization::NotDetermined,
            };
            // It is heard again when the administrator leaves it to the user.
            if matches!(
                self.arbiter.authorized_by(caller.uid, &app),
                Some((_, Decider::Administrator | Decider::Polkit))
            ) {
                continue;
            }
            let app = app.into();
            self.input(turn, Input::SetAuthorization { caller, app, authorization })?;
        }
        let permits = words.into_iter().filter(|w| w.control.or(w.place_call).is_some());
        let said = permits.map(|AppWord { app_id, control, place_call, .. }| {
            (app_id, Said { control, place_call })
        });
        if self.permits.set(caller.uid, gathered(said)) {
            self.judge_again(turn);
        }
        Ok(request.done())
    }

    /// Permissions may have changed: connections that are there have them, or have them no more, from now on. What
    /// such a subscriber knows is not what it would see now, so it is told to look again.
    pub(in crate::bus) fn judge_again(&mut self, turn: &mut Turn) {
        for client in self.peers.judge_again(&self.permits) {
            self.later.learn(&client);
            let (uid, peer) = (client.caller.uid, client.caller.peer);
            if !client.sees_all() {
                self.stop_recording(turn, peer);
            }
            if self.subscribers.subscribes(uid, peer) {
                self.subscribers.suspend(uid, peer);
                self.resync(turn.now, uid, peer, &mut turn.rest);
            }
        }
    }
}

fn known(given: &Dict) -> Result<AppWord, Error> {
    let word = AppWord::from_dict(given)?;
    match limits::is_app_id(&word.app_id) {
        true => Ok(word),
        false => Err(super::manager::no_app_id()),
    }
}
