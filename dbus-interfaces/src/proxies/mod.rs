//! Typed proxies for every interface that a client calls.
//!
//! Owns the signatures in Rust, the same as the XML. Nothing made by the functions here caches: a
//! cache answers from the past, and filling one (`GetAll`) would subscribe the connection to that
//! object. (The proxies' own `new` and `builder` are zbus's and do cache; prefer these functions.)
//! Who wants to follow calls subscribes ([`ManagerProxy::subscribe`]) and keeps the snapshot current
//! by the signals; a property read here is one round trip and true when it was answered.
//!
//! Signals are taken from the owner of [`names::BUS_NAME`] only: zbus checks the sender.

mod agent;
mod call;
mod provider;
mod root;
mod shared;

use std::collections::HashMap;

use zbus::{
    Connection, ObjectPath, OwnedObjectPath, Proxy,
    proxy::{CacheProperties, Defaults, ProxyImpl},
};

pub use zbus::fdo::{IntrospectableProxy, ManagedObjects, ObjectManagerProxy, PropertiesProxy};

pub use agent::*;
pub use call::*;
pub use provider::*;
pub use root::*;
pub use shared::*;

use crate::{Dict, names};

/// `a{oa{sa{sv}}}`, in the reply of `Subscribe`.
pub type Objects = HashMap<OwnedObjectPath, HashMap<String, Dict>>;

/// The root object's `Manager`.
pub async fn manager(connection: &Connection) -> zbus::Result<ManagerProxy<'static>> {
    on(connection, root()).await
}

/// The root object's `AudioSession`.
pub async fn audio_session(connection: &Connection) -> zbus::Result<AudioSessionProxy<'static>> {
    on(connection, root()).await
}

/// The root object's `ObjectManager`. `GetManagedObjects` subscribes as [`ManagerProxy::subscribe`]
/// does, without saying the revision.
pub async fn object_manager(connection: &Connection) -> zbus::Result<ObjectManagerProxy<'static>> {
    on(connection, root()).await
}

/// The properties of any object of the arbiter, and their changes; `GetAll` subscribes to that object.
pub async fn properties<'p>(
    connection: &Connection,
    path: impl Into<ObjectPath<'p>>,
) -> zbus::Result<PropertiesProxy<'p>> {
    on(connection, path.into()).await
}

/// A provider object.
pub async fn provider<'p>(
    connection: &Connection,
    path: impl Into<ObjectPath<'p>>,
) -> zbus::Result<ProviderProxy<'p>> {
    on(connection, path.into()).await
}

/// A call object.
pub async fn call<'p>(
    connection: &Connection,
    path: impl Into<ObjectPath<'p>>,
) -> zbus::Result<CallProxy<'p>> {
    on(connection, path.into()).await
}

/// A group object.
pub async fn group<'p>(
    connection: &Connection,
    path: impl Into<ObjectPath<'p>>,
) -> zbus::Result<GroupProxy<'p>> {
    on(connection, path.into()).await
}

/// A transaction object.
pub async fn transaction<'p>(
    connection: &Connection,
    path: impl Into<ObjectPath<'p>>,
) -> zbus::Result<TransactionProxy<'p>> {
    on(connection, path.into()).await
}

/// The calls that are over, as the agent of this *session* bus keeps them.
pub async fn history(session: &Connection) -> zbus::Result<HistoryProxy<'static>> {
    of_agent(session).await
}

/// Whose calls the user takes, as the agent of this *session* bus keeps it.
pub async fn lists(session: &Connection) -> zbus::Result<ListsProxy<'static>> {
    of_agent(session).await
}

/// The agent's `Apps`, on the user's session bus.
pub async fn agent_apps(session: &Connection) -> zbus::Result<AgentAppsProxy<'static>> {
    of_agent(session).await
}

/// What the user wants of calls, as the agent of this *session* bus follows it.
pub async fn agent_preferences(
    session: &Connection,
) -> zbus::Result<AgentPreferencesProxy<'static>> {
    of_agent(session).await
}

async fn of_agent<P>(session: &Connection) -> zbus::Result<P>
where
    P: ProxyImpl<'static> + Defaults + From<Proxy<'static>>,
{
    P::builder(session).cache_properties(CacheProperties::No).build().await
}

fn root() -> ObjectPath<'static> {
    names::Object::Root.path()
}

async fn on<'p, P>(connection: &Connection, path: ObjectPath<'p>) -> zbus::Result<P>
where
    P: ProxyImpl<'p> + Defaults + From<Proxy<'p>>,
{
    P::builder(connection)
        .destination(names::BUS_NAME)
        .path(path)
        .cache_properties(CacheProperties::No)
        .build()
        .await
}
