//! From a message to the method that it calls.
//!
//! Owns the way there: the object must exist for this caller, the interface be on it, the member be in
//! the interface file with just these types. Only then is the body read.

use callarbiter_core::Object;
use callarbiter_dbus::{Error, names};
use callarbiter_wire::{Arguments, Outgoing};

use super::{
    contract, fault, methods::standard, request::Request, router::Router, turn::Turn, views::View,
};

/// The reply, if there is one now; `None` comes later or not at all.
pub type Answer = Result<Option<Outgoing>, Error>;

impl Router {
    /// Calls the method that a message names.
    pub(super) fn dispatch(&mut self, turn: &mut Turn, request: &Request) -> Answer {
        let (path, member) = (request.message.path(), request.message.member());
        let target = names::Object::parse(path);
        let interface = match request.message.interface() {
            "" => {
                interface_with(target, member).ok_or_else(|| fault::unknown_method("", member))?
            }
            interface => interface,
        };
        if let Some(methods) = standard::methods(interface) {
            let types = methods.iter().find(|(name, _)| *name == member).map(|(_, types)| types);
            let types = types.ok_or_else(|| fault::unknown_method(interface, member))?;
            check_types(request, member, types)?;
            return self.standard(request, interface, member, path);
        }

        let view = self.view(request.client.caller.uid);
        let unknown = || fault::unknown_object(path);
        let target = target.ok_or_else(|| match super::introspect::describe(&view, path) {
            Some(_) => fault::unknown_interface(path, interface),
            None => unknown(),
        })?;
        let object = view.object(target);
        // A call that has ended is not unknown: the core says what became of it.
        if object.is_none() && !matches!(target, names::Object::Call(_)) {
            return Err(unknown());
        }
        let table = contract::interface(interface)
            .filter(|_| target.interfaces().contains(&interface))
            .ok_or_else(|| fault::unknown_interface(path, interface))?;
        let types =
            table.methods.get(member).ok_or_else(|| fault::unknown_method(interface, member))?;
        check_types(request, member, types)?;
        match (interface, target, object) {
            (names::MANAGER, ..) => self.manager(turn, request, member),
            (names::AUDIO_SESSION, ..) => self.audio_session(turn, request, member),
            (names::PROVIDER, _, Some(Object::Provider(id))) => {
                self.provider(turn, request, id, member)
            }
            (names::CALL, names::Object::Call(call), _) => {
                self.call(turn, request, call, path, member)
            }
            (names::TRANSACTION, _, Some(Object::Transaction(id))) => {
                self.transaction(turn, request, id, member)
            }
            _ => Err(fault::unknown_method(interface, member)),
        }
    }

    /// One user's domain, for reading.
    pub(super) fn view(&self, uid: callarbiter_core::Uid) -> View<'_> {
        View {
            domain: self.arbiter.domain(uid),
            arbiter: &self.arbiter,
            epoch: &self.epoch,
            uid,
            subscribers: &self.subscribers,
        }
    }
}

/// The interface that a message without one means.
fn interface_with(target: Option<names::Object>, member: &str) -> Option<&'static str> {
    let own = target.iter().flat_map(|object| object.interfaces()).copied().find(|interface| {
        contract::interface(interface).is_some_and(|table| table.methods.contains_key(member))
    });
    own.or_else(|| standard::interface_with(member))
}

fn check_types(request: &Request, member: &str, types: &str) -> Result<(), Error> {
    let sent = request.message.signature();
    if sent == types { Ok(()) } else { Err(fault::invalid_args(member, types, sent)) }
}

/// The arguments of a method, after their types were checked.
pub fn arguments<A: Arguments>(request: &Request, member: &str) -> Result<A, Error> {
    request.message.arguments().ok_or_else(|| fault::malformed(member))
}
