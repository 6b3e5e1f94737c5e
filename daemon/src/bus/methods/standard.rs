//! The standard interfaces: introspection, properties, the object manager, ping.
//!
//! Owns their methods. Reading all of something subscribes to it, so that what stock clients cache stays
//! true.

use callarbiter_dbus::{Error, names};

use crate::bus::{
    described,
    dispatch::{Answer, arguments},
    fault, introspect,
    properties::{self, Value},
    publish::{OBJECT_MANAGER, PEER, PROPERTIES},
    request::Request,
    router::Router,
    views::{View, interfaces_of},
};

const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";

type Methods = &'static [(&'static str, &'static str)];

const ALL: &[(&str, Methods)] = &[
    (PEER, &[("Ping", ""), ("GetMachineId", "")]),
    (INTROSPECTABLE, &[("Introspect", "")]),
    (PROPERTIES, &[("Get", "ss"), ("GetAll", "s"), ("Set", "ssv")]),
    (OBJECT_MANAGER, &[("GetManagedObjects", "")]),
];

/// The methods of a standard interface, with the types of their arguments.
pub fn methods(interface: &str) -> Option<Methods> {
    ALL.iter().find(|(name, _)| *name == interface).map(|(_, methods)| *methods)
}

/// The standard interface with this method.
pub fn interface_with(member: &str) -> Option<&'static str> {
    let has = |methods: Methods| methods.iter().any(|(name, _)| *name == member);
    ALL.iter().find(|(_, methods)| has(methods)).map(|(interface, _)| *interface)
}

impl Router {
    pub(in crate::bus) fn standard(
        &mut self,
        request: &Request,
        interface: &str,
        member: &str,
        path: &str,
    ) -> Answer {
        let uid = request.client.caller.uid;
        match (interface, member) {
            (PEER, "Ping") => Ok(request.done()),
            (PEER, _) => match &self.machine_id {
                Some(id) => Ok(request.reply(id)),
                None => Err(fault::internal()),
            },
            (INTROSPECTABLE, _) => {
                let xml = introspect::describe(&self.view(uid), path);
                Ok(request.reply(&xml.ok_or_else(|| fault::unknown_object(path))?))
            }
            (OBJECT_MANAGER, _) => {
                if path != names::ROOT_PATH {
                    self.exists(request, path)?;
                    return Err(fault::unknown_interface(path, interface));
                }
                self.subscribers.subscribe(uid, request.client.caller.peer)?;
                let mut body = request.body();
                described::snapshot(&mut body, &self.view(uid), &request.client, false);
                Ok(request.reply_with("a{oa{sa{sv}}}", &body))
            }
            _ => self.properties(request, member, path),
        }
    }

    fn properties(&mut self, request: &Request, member: &str, path: &str) -> Answer {
        match member {
            "Get" => {
                let (interface, name): (String, String) = arguments(request, member)?;
                let mut body = request.body();
                self.read(request, path, &interface, &name)?.write(&mut body);
                Ok(request.reply_with("v", &body))
            }
            "GetAll" => {
                let (interface,): (String,) = arguments(request, member)?;
                self.read_all(request, path, &interface)
            }
            _ => {
                let (interface, name, _): (String, String, zbus::OwnedVariant) =
                    arguments(request, member)?;
                self.read(request, path, &interface, &name)?;
                Err(fault::read_only(&name))
            }
        }
    }

    fn read(
        &self,
        request: &Request,
        path: &str,
        interface: &str,
        name: &str,
    ) -> Result<Value<'_>, Error> {
        let (view, object) = self.exists(request, path)?;
        let open = view.reveals(&request.client, object);
        let interfaces = interfaces_of(object);
        if !interface.is_empty() && !interfaces.contains(&interface) {
            return Err(fault::unknown_interface(path, interface));
        }
        interfaces
            .iter()
            .filter(|candidate| interface.is_empty() || **candidate == interface)
            .find_map(|interface| properties::value(&view, object, interface, name, open))
            .ok_or_else(|| fault::unknown_property(interface, name))
    }

    fn read_all(&mut self, request: &Request, path: &str, interface: &str) -> Answer {
        let (view, object) = self.exists(request, path)?;
        let mut body = request.body();
        if methods(interface).is_some() {
            body.array(8, |_| ());
            return Ok(request.reply_with("a{sv}", &body));
        }
        let asked = |candidate: &&&str| interface.is_empty() || **candidate == interface;
        let interfaces: Vec<&str> = interfaces_of(object).iter().filter(asked).copied().collect();
        if interfaces.is_empty() {
            return Err(fault::unknown_interface(path, interface));
        }
        let open = view.reveals(&request.client, object);
        described::properties(&mut body, &view, object, &interfaces, open, None);
        // Nothing of the manager is told: it has no property that changes but numbers to be asked for.
        if interface != names::MANAGER {
            let caller = request.client.caller;
            self.subscribers.watch(caller.uid, caller.peer, object)?;
        }
        Ok(request.reply_with("a{sv}", &body))
    }

    fn exists(
        &self,
        request: &Request,
        path: &str,
    ) -> Result<(View<'_>, callarbiter_core::Object), Error> {
        let view = self.view(request.client.caller.uid);
        let object = names::Object::parse(path).and_then(|target| view.object(target));
        object.map(|object| (view, object)).ok_or_else(|| fault::unknown_object(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::contract;

    #[test]
    fn no_method_of_the_contract_hides_a_standard_one() {
        for (_, methods) in ALL {
            for (name, _) in *methods {
                for interface in names::SERVED {
                    let table = contract::interface(interface);
                    assert!(!table.is_some_and(|table| table.methods.contains_key(name)), "{name}");
                }
            }
        }
    }
}
