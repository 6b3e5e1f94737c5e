//! What one user may see: its own domain, as objects with paths and properties.
//!
//! Owns what exists for whom. Another user's objects do not exist here; of other apps' calls, a sandboxed
//! app without the permission `control` sees that they exist, not with whom.

use std::collections::BTreeMap;

use callarbiter_core::{Arbiter, Call, CallId, CallRef, Domain, Object, ProviderId};
use callarbiter_dbus::names::{self, CallPath};
use zbus::{ObjectPath, Variant};

use super::{contract, peers::Client, properties};

/// A value of a property.
pub type Value = Variant<'static>;
/// `a{sv}`.
pub type Properties = BTreeMap<&'static str, Value>;
/// `a{sa{sv}}`.
pub type Interfaces = BTreeMap<&'static str, Properties>;

/// One domain, for reading.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub domain: Option<&'a Domain>,
    pub arbiter: &'a Arbiter,
    /// One start of the daemon.
    pub epoch: &'a str,
    /// Subscriptions of this user, for `Usage`.
    pub subscriptions: usize,
}

impl<'a> View<'a> {
    /// The number of the domain's last change.
    pub fn revision(&self) -> u64 {
        self.domain.map_or(0, Domain::revision)
    }

    /// The object that a path names (not one that is only just gone); [`Object::Audio`] stands for the root object.
    pub fn object(&self, path: names::Object) -> Option<Object> {
        match path {
            names::Object::Root => Some(Object::Audio),
            names::Object::Provider(n) => {
                let mut providers = self.domain?.providers();
                providers.find(|provider| provider.id.0 == n).map(|it| Object::Provider(it.id))
            }
            names::Object::Call(path) => self.call_at(path).map(|call| Object::Call(call.id)),
            names::Object::Group(n) => {
                let mut groups = self.domain?.groups();
                groups.find(|group| group.id.0 == n).map(|it| Object::Group(it.id))
            }
            names::Object::Transaction(n) => {
                let mut transactions = self.domain?.transactions();
                transactions.find(|it| it.id.0 == n).map(|it| Object::Transaction(it.id))
            }
        }
    }

    fn call_at(&self, path: CallPath) -> Option<&'a Call> {
        let domain = self.domain?;
        let named = |call: &&Call| call_path(call) == path;
        let by_uuid = match path.provider {
            Some(provider) => domain.find(CallRef::Of(ProviderId(provider), path.uuid)),
            None => domain.find(CallRef::Uuid(path.uuid)),
        };
        // The core finds none where two have the same UUID; the first of them has the plain path.
        by_uuid.filter(named).or_else(|| domain.calls().find(named))
    }

    /// How the core names the call with this path, live or not.
    pub fn call_ref(&self, path: CallPath) -> CallRef {
        match (self.call_at(path), path.provider) {
            (Some(call), _) => CallRef::Of(call.provider, call.uuid),
            (None, Some(provider)) => CallRef::Of(ProviderId(provider), path.uuid),
            (None, None) => CallRef::Uuid(path.uuid),
        }
    }

    /// The path of an object that exists, or existed until this input.
    pub fn path(&self, object: Object) -> ObjectPath<'static> {
        match object {
            Object::Audio => names::Object::Root.path(),
            Object::Provider(id) => names::provider_path(id.0),
            Object::Call(id) => self.path_of_call(id),
            Object::Group(id) => names::group_path(id.0),
            Object::Transaction(id) => names::transaction_path(id.0),
        }
    }

    /// The path of a call; `/` for one that is forgotten.
    pub fn path_of_call(&self, id: CallId) -> ObjectPath<'static> {
        self.domain
            .and_then(|domain| domain.call(id))
            .map_or_else(ObjectPath::default, |call| names::Object::Call(call_path(call)).path())
    }

    /// Every object but the root, in the order in which they depend on each other.
    pub fn children(&self) -> impl Iterator<Item = Object> + use<'a> {
        let domain = self.domain;
        let providers = domain.into_iter().flat_map(|domain| domain.providers().map(|p| p.id));
        let calls = domain.into_iter().flat_map(|domain| domain.calls().map(|c| c.id));
        let groups = domain.into_iter().flat_map(|domain| domain.groups().map(|g| g.id));
        let transactions =
            domain.into_iter().flat_map(|domain| domain.transactions().map(|t| t.id));
        providers
            .map(Object::Provider)
            .chain(calls.map(Object::Call))
            .chain(groups.map(Object::Group))
            .chain(transactions.map(Object::Transaction))
    }

    /// Whether a client may see with whom, on this object.
    pub fn reveals(&self, client: &Client, object: Object) -> bool {
        if client.sees_all() {
            return true;
        }
        match object {
            Object::Call(id) => self.owns_call(client, id),
            Object::Transaction(id) => self
                .domain
                .and_then(|domain| domain.transaction(id))
                .is_some_and(|t| t.actions.iter().all(|step| self.owns_call(client, step.call))),
            Object::Audio | Object::Provider(_) | Object::Group(_) => true,
        }
    }

    fn owns_call(&self, client: &Client, id: CallId) -> bool {
        let owner = self.domain.and_then(|domain| domain.provider(domain.call(id)?.provider));
        owner.is_some_and(|provider| {
            let own = client.app.as_ref().map(|(app, _)| app);
            provider.peer == Some(client.caller.peer) || own == Some(&provider.app)
        })
    }

    /// All interfaces of an object with all their properties.
    pub fn interfaces(&self, object: Object, open: bool) -> Interfaces {
        interfaces_of(object)
            .iter()
            .map(|interface| (*interface, self.properties(object, interface, open)))
            .collect()
    }

    /// All properties of one interface of an object.
    pub fn properties(&self, object: Object, interface: &str, open: bool) -> Properties {
        contract::interface(interface)
            .into_iter()
            .flat_map(|interface| &interface.properties)
            .filter_map(|(name, _)| {
                Some((*name, properties::value(self, object, interface, name, open)?))
            })
            .collect()
    }
}

/// The interfaces of an object that are the arbiter's own.
pub fn interfaces_of(object: Object) -> &'static [&'static str] {
    match object {
        Object::Audio => &[names::MANAGER, names::AUDIO_SESSION],
        Object::Provider(_) => &[names::PROVIDER],
        Object::Call(_) => &[names::CALL],
        Object::Group(_) => &[names::GROUP],
        Object::Transaction(_) => &[names::TRANSACTION],
    }
}

/// What the path of a call says.
pub fn call_path(call: &Call) -> CallPath {
    CallPath { uuid: call.uuid, provider: call.qualified.then_some(call.provider.0) }
}
