//! The agent's own connection to the arbiter's bus: roles belong to a connection, and what the user does
//! with a notification is the user interface's wish.
//!
//! Owns taking the roles. What the arbiter shows, the crate `callarbiter` follows.

use std::{os::fd::OwnedFd, sync::Arc};

use anyhow::{Context, Result};
use callarbiter::{Action, ActionResult, Authorization, TransactionOptions, words::Role};
use callarbiter_config::preferences::Written;
use callarbiter_dbus::{
    App, AppWord, Dict, DoNotDisturbOptions, Endpoint, Entries, ErrorKind, RoleOptions, RoleState,
    names::{BUS_NAME, MANAGER, ROOT_PATH, provider_path},
    proxies::ManagerProxy,
    proxies::TransactionProxy,
};
use tokio::sync::{Mutex, MutexGuard, watch};
use tracing::{debug, info, warn};
use uuid::Uuid;
use zbus::{Connection, ObjectPath, OwnedObjectPath, connection::Builder};

use crate::orders::{self, Giver, Orders, Word};

/// The connection and its roles.
#[derive(Clone, Debug)]
pub struct Desk {
    connection: Connection,
    /// Those that it takes where nobody has them.
    wanted: Arc<[Role]>,
    /// Those of them that no other agent took.
    roles: watch::Sender<Vec<Role>>,
    /// Whose orders count.
    giver: watch::Sender<Giver>,
    /// One after another, so that the giver is known.
    asking: Arc<Mutex<()>>,
}

impl Desk {
    /// On the bus with this name or address.
    pub async fn open(bus: &str, roles: Vec<Role>) -> Result<Desk> {
        let builder = match bus {
            "system" => Builder::system(),
            "session" => Builder::session(),
            address => Builder::address(address),
        };
        let connection =
            builder.build().await.with_context(|| format!("the bus {bus} cannot be reached"))?;
        Ok(Desk {
            connection,
            wanted: roles.clone().into(),
            roles: watch::Sender::new(roles),
            giver: watch::Sender::default(),
            asking: Arc::default(),
        })
    }

    /// Takes the roles, again after each restart of the arbiter. Without them calls are shown all the same.
    pub async fn take_roles(&self) {
        let roles = self.roles.borrow().clone();
        let words: Vec<&str> = roles.iter().map(Role::as_str).collect();
        if !words.is_empty() {
            match self.register(&words).await {
                Ok(()) => info!("took the roles {}", words.join(", ")),
                Err(error) if is_unsupported(&error) => self.take_each(&words).await,
                Err(error) => {
                    warn!("the arbiter gave no role, so this is a controller as any: {error}")
                }
            }
        }
        // An arbiter that lost its state does not say when those are free.
        self.take_free().await;
    }

    /// From an arbiter of another version, which does not know all of them.
    async fn take_each(&self, roles: &[&str]) {
        let mut taken = vec![];
        for role in roles {
            match self.register(&[*role]).await {
                Ok(()) => taken.push(*role),
                Err(error) => warn!("the arbiter gave no role {role}: {error}"),
            }
        }
        info!("took the roles {}", taken.join(", "));
    }

    /// Says what the desktop shows; with role `dnd`.
    pub async fn set_do_not_disturb(
        &self,
        on: bool,
        how: &DoNotDisturbOptions,
    ) -> zbus::Result<()> {
        let manager = ManagerProxy::new(&self.connection).await?;
        manager.set_do_not_disturb(on, &how.to_dict()).await
    }

    /// Does what the user asked for, over one restart of the arbiter; an error is for the user to read.
    pub async fn perform(&self, actions: Vec<Action>) -> Result<(), String> {
        let actions: Entries = actions.into_iter().map(|action| action.to_wire()).collect();
        let options = TransactionOptions { wait: true, token: Some(Uuid::new_v4()) }.to_dict();
        let mut results = self.request(&actions, &options).await;
        if matches!(&results, Err(zbus::Error::FDO(error)) if matches!(**error, zbus::fdo::Error::NoReply(_)))
        {
            // The token makes it the same request.
            results = self.request(&actions, &options).await;
        }
        let results = results.map_err(|error| sentence(&error))?;
        match results.into_iter().find_map(|result| result.error) {
            Some(error) => Err(error.to_string()),
            None => Ok(()),
        }
    }

    async fn request(&self, actions: &Entries, options: &Dict) -> zbus::Result<Vec<ActionResult>> {
        let manager = ManagerProxy::new(&self.connection).await?;
        let path = manager.request_transaction(actions, options).await?;
        let transaction = TransactionProxy::builder(&self.connection).path(path).build().await?;
        Ok(ActionResult::list(&transaction.actions().await?))
    }

    /// The sound of its own that an app rings with.
    pub async fn open_ringtone(&self, provider: u32) -> zbus::Result<OwnedFd> {
        let manager = ManagerProxy::new(&self.connection).await?;
        Ok(manager.open_ringtone(&provider_path(provider), &Dict::new()).await?.into())
    }

    /// Waits until the bus is gone.
    pub async fn closed(&self) {
        self.connection.closed().await;
    }

    /// Says what the user prefers, all of it; with role `preferences`.
    pub async fn set_preferences(&self, written: &Written) -> zbus::Result<()> {
        let (choices, rules) = written.to_wire();
        let manager = ManagerProxy::new(&self.connection).await?;
        manager.set_preferences(&choices, &rules, &Dict::new()).await
    }

    /// Says what the user decided of an app; with role `consent`.
    pub async fn set_authorization(&self, app: &str, word: &Authorization) {
        let told = async {
            let manager = ManagerProxy::new(&self.connection).await?;
            manager.set_authorization(app, word.as_str()).await
        };
        if let Err(error) = told.await {
            not_told("what the user decided", error);
        }
    }

    /// Says everything that the user decided of apps; with role `consent`.
    pub async fn set_apps(&self, words: &[AppWord]) {
        let words: Vec<Dict> = words.iter().map(AppWord::to_dict).collect();
        let told = async {
            let manager = ManagerProxy::new(&self.connection).await?;
            manager.set_apps(&words, &Dict::new()).await
        };
        if let Err(error) = told.await {
            not_told("what the user decided of apps", error);
        }
    }

    /// What is decided about apps, whoever decided it.
    pub async fn apps(&self) -> zbus::Result<Vec<App>> {
        let manager = ManagerProxy::new(&self.connection).await?;
        let apps = manager.list_apps(&Dict::new()).await?;
        Ok(apps.iter().filter_map(|app| App::from_dict(app).ok()).collect())
    }

    /// Says which calls the user erased, by the ids of their records; with role `history`.
    pub async fn forget_calls(&self, ids: &[String]) -> zbus::Result<()> {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let manager = ManagerProxy::new(&self.connection).await?;
        manager.forget_calls(&ids, &Dict::new()).await
    }

    /// Says that an app streams (`playback`, `capture`) without the session; with role `audio`.
    pub async fn report_violation(&self, provider: &OwnedObjectPath, kind: &str) {
        let told = async {
            let manager = ManagerProxy::new(&self.connection).await?;
            manager.report_violation(provider, kind).await
        };
        if let Err(error) = told.await {
            not_told("who streams without the session", error);
        }
    }

    /// Says where the sound of calls can go, and where it goes; with role `audio`. An answer to the arbiter that is
    /// sent after this comes after it.
    pub async fn set_endpoints(&self, endpoints: &[Endpoint], current: &str) {
        let endpoints: Vec<Dict> = endpoints.iter().map(Endpoint::to_dict).collect();
        let told = async {
            let manager = ManagerProxy::new(&self.connection).await?;
            manager.set_endpoints(&endpoints, current).await
        };
        if let Err(error) = told.await {
            not_told("where the sound can go", error);
        }
    }

    /// Hands out what the arbiter orders, until the bus is gone.
    pub async fn serve(&self, orders: Orders) {
        let hear = |word| match word {
            Word::Lost(role) => {
                info!("another agent took the role {role}");
                self.roles.send_modify(|roles| roles.retain(|known| *known != role));
            }
            // The answer comes while orders are handed out.
            Word::Free(role) if self.wanted.contains(&role) => {
                let desk = self.clone();
                tokio::spawn(async move { desk.take_free().await });
            }
            Word::Free(_) => {}
        };
        orders.serve(self.connection.clone(), self.giver.subscribe(), hear).await
    }

    /// The roles that another agent took, and that nobody has any more.
    async fn take_free(&self) {
        let asking = self.asking.lock().await;
        let lost: Vec<&str> = {
            let roles = self.roles.borrow();
            let lost = self.wanted.iter().filter(|role| !roles.contains(role));
            lost.map(Role::as_str).collect()
        };
        if lost.is_empty() {
            return;
        }
        let taken = self.ask(&asking, &lost, true, |taken| {
            for role in taken {
                info!("nobody has the role {role} any more: this agent has it again");
                self.roles.send_modify(|roles| roles.push(role));
            }
        });
        if let Err(error) = taken.await {
            warn!("the arbiter did not give the roles {} back: {error}", lost.join(", "));
        }
    }

    /// Its roles, and when one is lost, or is there again.
    pub fn roles(&self) -> watch::Receiver<Vec<Role>> {
        self.roles.subscribe()
    }

    async fn register(&self, roles: &[&str]) -> zbus::Result<()> {
        let asking = self.asking.lock().await;
        self.ask(&asking, roles, false, |_| {}).await
    }

    /// What the arbiter says after it has given them is heard after `given` was told which.
    async fn ask(
        &self,
        _one: &MutexGuard<'_, ()>,
        roles: &[&str],
        only_free: bool,
        given: impl FnOnce(Vec<Role>),
    ) -> zbus::Result<()> {
        let before = self.giver.send_replace(Giver::Asked);
        let options = RoleOptions { only_free }.to_dict();
        let body = (ObjectPath::from_static_str_unchecked(orders::PATH), roles, options);
        let asked = self.connection.call_method(
            Some(BUS_NAME),
            ROOT_PATH,
            Some(MANAGER),
            "RegisterAgent",
            &body,
        );
        let asked = asked.await;
        let sender = asked
            .as_ref()
            .ok()
            .and_then(|given| given.header().sender().map(|name| name.to_owned()));
        if let Ok(state) = &asked
            && let Ok(state) = state.body().deserialize::<Dict>()
        {
            given(RoleState::from_dict(&state).roles);
        }
        self.giver.send_replace(sender.map_or(before, |name| Giver::Gave(name.into())));
        asked.map(drop)
    }
}

/// Nothing to worry about: an agent whose role another one has taken, which may not have been said yet; an arbiter that
/// goes, and is told everything when it is back.
pub fn not_told(what: &str, error: zbus::Error) {
    let error = callarbiter::Error::from(error);
    match error.kind() {
        Some(ErrorKind::AccessDenied) => debug!("another agent tells the arbiter {what}"),
        None if matches!(error, callarbiter::Error::ArbiterGone) => {
            debug!("the arbiter goes before it is told {what}");
        }
        _ => warn!("the arbiter was not told {what}: {error}"),
    }
}

fn is_unsupported(error: &zbus::Error) -> bool {
    callarbiter_dbus::Error::from_zbus(error)
        .is_some_and(|error| error.name == ErrorKind::NotSupported.into())
}

fn sentence(error: &zbus::Error) -> String {
    match callarbiter_dbus::Error::from_zbus(error) {
        Some(error) => error.to_string(),
        None => error.to_string(),
    }
}
