//! Typed proxies for every interface that a client calls.
//!
//! Owns the signatures in Rust, the same as the XML. Nothing here caches: a cache answers from the
//! past, and filling one (`GetAll`) would subscribe the connection to that object. Who wants to
//! follow calls subscribes ([`ManagerProxy::subscribe`]) and keeps the snapshot current by the
//! signals; a property read here is one round trip and true when it was answered.
//!
//! Signals are taken from whoever owns [`crate::names::BUS_NAME`]: zbus checks the sender.

mod call;
mod provider;
mod root;
mod shared;

use std::collections::HashMap;

use zbus::OwnedObjectPath;

pub use zbus::fdo::{IntrospectableProxy, ManagedObjects, ObjectManagerProxy, PropertiesProxy};

pub use call::*;
pub use provider::*;
pub use root::*;
pub use shared::*;

use crate::Dict;

/// `a{oa{sa{sv}}}`, in the reply of `Subscribe`.
pub type Objects = HashMap<OwnedObjectPath, HashMap<String, Dict>>;

/// The objects of the arbiter: added and removed, on the root object.
///
/// `GetManagedObjects` subscribes as [`ManagerProxy::subscribe`] does, without saying the revision.
pub async fn object_manager(
    connection: &zbus::Connection,
) -> zbus::Result<ObjectManagerProxy<'static>> {
    ObjectManagerProxy::builder(connection)
        .destination(crate::names::BUS_NAME)
        .path(crate::names::ROOT_PATH)
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build()
        .await
}
