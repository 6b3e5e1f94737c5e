//! Acting for the user in their session: a shell, or any program that takes a part of the desktop's agent over.
//!
//! Owns what an agent says by itself, and its roles. What it is asked is an [`Errand`]; how errands reach it, once each
//! over restarts of the arbiter, is [`serve`].

mod errand;
mod serve;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use callarbiter_dbus::{
    Dict, DoNotDisturbOptions, Endpoint,
    words::{Authorization, Role},
};
use tokio::{sync::mpsc, task::AbortHandle};
use zbus::OwnedObjectPath;

pub use errand::{Asked, Errand, Screened};

use crate::{Connection, Controller, Result, connection::Repeat, presence::Arbiter};

/// An agent of the session, which has roles and is asked what belongs to them.
///
/// It keeps its roles over restarts of the arbiter and of the bus, but for those that another agent takes
/// ([`AgentEvent::RoleLost`]) until that one is gone ([`AgentEvent::RoleBack`]). Roles belong to a connection and end
/// with it, so an agent wants one of its own. What is asked of a [`Controller`] on this connection is asked by the user
/// where the agent has [`Role::UserInterface`].
///
/// Not everybody may be an agent: it is not sandboxed, and runs in a user unit on the administrator's list.
#[must_use = "an agent that nobody asks for errands lets them pass their deadlines"]
pub struct Agent {
    connection: Connection,
    roles: Arc<Mutex<Vec<Role>>>,
    events: mpsc::UnboundedReceiver<AgentEvent>,
    task: AbortHandle,
}

/// What an agent hears.
#[derive(Debug)]
#[non_exhaustive]
pub enum AgentEvent {
    /// Something to do, and to answer.
    Asked(Errand),
    /// Another agent took this role.
    RoleLost(Role),
    /// That one is gone, and this one has the role again.
    RoleBack(Role),
}

impl Agent {
    /// Takes these roles, all or none of them.
    pub async fn register(
        connection: &Connection,
        roles: impl IntoIterator<Item = Role>,
    ) -> Result<Agent> {
        let roles = Arc::new(Mutex::new(roles.into_iter().collect()));
        let (task, events) = serve::begin(connection, &roles).await?;
        Ok(Agent { connection: connection.clone(), roles, events, task })
    }

    /// The next event; none when the connection is closed. Loses nothing if dropped.
    pub async fn next(&mut self) -> Option<AgentEvent> {
        self.events.recv().await
    }

    /// The roles that no other agent took.
    pub fn roles(&self) -> Vec<Role> {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Controls calls on the agent's connection.
    pub fn controller(&self) -> Controller {
        Controller::new(&self.connection)
    }

    /// The connection that has the roles.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Says what the desktop shows; with [`Role::DoNotDisturb`]. An arbiter that lost its state has to be told again.
    pub async fn set_do_not_disturb(&self, on: bool, how: &DoNotDisturbOptions) -> Result<()> {
        let how = how.to_dict();
        self.tell(async |arbiter| arbiter.owner.manager().await?.set_do_not_disturb(on, &how).await)
            .await
    }

    /// Says what the user wants of their calls, all of it: for every call, and rule by rule; with
    /// [`Role::Preferences`].
    pub async fn set_preferences(&self, choices: &Dict, rules: &[Dict]) -> Result<()> {
        self.tell(async |arbiter| {
            arbiter.owner.manager().await?.set_preferences(choices, rules, &Dict::new()).await
        })
        .await
    }

    /// Says what the user decided about an app; with [`Role::Consent`].
    pub async fn set_authorization(&self, app_id: &str, word: &Authorization) -> Result<()> {
        self.tell(async |arbiter| {
            arbiter.owner.manager().await?.set_authorization(app_id, word.as_str()).await
        })
        .await
    }

    /// Says where the sound of calls can go, and where it goes; with [`Role::Audio`].
    pub async fn set_endpoints(&self, endpoints: &[Endpoint], current: &str) -> Result<()> {
        let endpoints: Vec<Dict> = endpoints.iter().map(Endpoint::to_dict).collect();
        self.tell(async |arbiter| {
            arbiter.owner.manager().await?.set_endpoints(&endpoints, current).await
        })
        .await
    }

    /// Says that an app streams (`playback`, `capture`) without having the audio; with [`Role::Audio`].
    pub async fn report_violation(&self, provider: &OwnedObjectPath, kind: &str) -> Result<()> {
        self.tell(async |arbiter| {
            arbiter.owner.manager().await?.report_violation(provider, kind).await
        })
        .await
    }

    /// Says which calls the user erased, by the ids of their records; with [`Role::History`].
    pub async fn forget_calls(&self, ids: &[&str]) -> Result<()> {
        self.tell(async |arbiter| {
            arbiter.owner.manager().await?.forget_calls(ids, &Dict::new()).await
        })
        .await
    }

    /// Until it is heard: each of these words is the same when it is said twice.
    async fn tell(&self, word: impl AsyncFn(&Arbiter) -> zbus::Result<()>) -> Result<()> {
        let mut attempts = self.connection.attempts(Repeat::Freely);
        loop {
            let arbiter = attempts.next().await?;
            if attempts.answered(word(&arbiter).await).await?.is_some() {
                return Ok(());
            }
        }
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("roles", &self.roles()).finish_non_exhaustive()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}
