//! What one user may see: its own domain, as objects with paths and properties.
//!
//! Owns what exists for whom. Another user's objects do not exist here; of other apps' calls, a sandboxed
//! app without the permission `control` sees that they exist, not with whom.

use std::fmt;

use callarbiter_core::{Arbiter, Call, CallId, CallRef, Domain, Object, ProviderId, Uid};
use callarbiter_dbus::names::{self, CallPath};
use zbus::ObjectPath;

use super::{peers::Client, subscribers::Subscribers};

/// One domain, for reading.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub domain: Option<&'a Domain>,
    pub arbiter: &'a Arbiter,
    /// One start of the daemon.
    pub epoch: &'a str,
    /// Whose it is.
    pub uid: Uid,
    pub subscribers: &'a Subscribers,
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

    /// Subscriptions of this user, for `Usage`.
    pub fn subscriptions(&self) -> usize {
        self.subscribers.count(self.uid)
    }

    /// What the path of an object says that exists, or existed until this input.
    pub fn name(&self, object: Object) -> Name {
        Name(match object {
            Object::Audio => Some(names::Object::Root),
            Object::Provider(id) => Some(names::Object::Provider(id.0)),
            Object::Call(id) => {
                let call = self.domain.and_then(|domain| domain.call(id));
                call.map(|call| names::Object::Call(call_path(call)))
            }
            Object::Group(id) => Some(names::Object::Group(id.0)),
            Object::Transaction(id) => Some(names::Object::Transaction(id.0)),
        })
    }

    /// The path of a call; `/` for one that is forgotten.
    pub fn path_of_call(&self, id: CallId) -> ObjectPath<'static> {
        let Name(object) = self.name(Object::Call(id));
        object.map(|object| object.path()).unwrap_or_default()
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
            // Headsets bear their owners' names.
            Object::Audio => false,
            Object::Provider(_) | Object::Group(_) => true,
        }
    }

    fn owns_call(&self, client: &Client, id: CallId) -> bool {
        let owner = self.domain.and_then(|domain| domain.provider(domain.call(id)?.provider));
        owner.is_some_and(|provider| {
            let own = client.app.as_ref().map(|(app, _)| app);
            provider.peer == Some(client.caller.peer) || own == Some(&provider.app)
        })
    }
}

/// The path of an object; of one that is forgotten, the path that stands for none.
#[derive(Clone, Copy)]
pub struct Name(Option<names::Object>);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(object) => object.fmt(f),
            None => f.write_str(names::NO_OBJECT),
        }
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
