//! The agent's own connection to the arbiter's bus: roles belong to a connection, and what the user does
//! with a notification is the user interface's wish.
//!
//! Owns taking the roles. What the arbiter shows, the crate `callarbiter` follows.

use anyhow::{Context, Result};
use callarbiter::{Action, ActionResult, TransactionOptions, words::Role};
use callarbiter_dbus::{
    Dict, DoNotDisturbOptions, Entries, proxies::ManagerProxy, proxies::TransactionProxy,
};
use tracing::{info, warn};
use uuid::Uuid;
use zbus::{Connection, ObjectPath, connection::Builder};

/// The connection and its roles.
#[derive(Clone, Debug)]
pub struct Desk {
    connection: Connection,
    roles: Vec<Role>,
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
        Ok(Desk { connection, roles })
    }

    /// Takes the roles, again after each restart of the arbiter. Without them calls are shown all the same.
    pub async fn take_roles(&self) {
        let words: Vec<&str> = self.roles.iter().map(Role::as_str).collect();
        match self.register(&words).await {
            Ok(()) => info!("took the roles {}", words.join(", ")),
            Err(error) => {
                warn!("the arbiter gave no role, so this is a controller as any: {error}")
            }
        }
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

    /// Waits until the bus is gone.
    pub async fn closed(&self) {
        self.connection.closed().await;
    }

    async fn register(&self, roles: &[&str]) -> zbus::Result<()> {
        let manager = ManagerProxy::new(&self.connection).await?;
        let nothing_to_implement = ObjectPath::from_static_str_unchecked("/");
        manager.register_agent(&nothing_to_implement, roles, &Dict::new()).await.map(drop)
    }
}

fn sentence(error: &zbus::Error) -> String {
    match callarbiter_dbus::Error::from_zbus(error) {
        Some(error) => error.to_string(),
        None => error.to_string(),
    }
}
