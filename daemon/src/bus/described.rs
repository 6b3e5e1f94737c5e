//! Objects as they are written into a message: value by value, never built as a whole.
//!
//! Owns that shape for snapshots. A user may have hundreds of objects with dozens of
//! properties; while they are put into maps first, everybody else waits. What the values are is in
//! [`super::properties`].

use std::collections::BTreeMap;

use callarbiter_core::Object;
use serde::{Serialize, Serializer};
use zbus::{ObjectPath, Signature, Type};

use super::{
    contract,
    peers::Client,
    properties,
    views::{Value, View, interfaces_of},
};

/// `a{oa{sa{sv}}}`: objects, as one client may see them.
pub struct Snapshot<'a> {
    pub view: View<'a>,
    pub client: &'a Client,
    /// The root object too.
    pub root: bool,
}

/// `a{sa{sv}}`: the interfaces of one object.
#[derive(Clone, Copy)]
pub struct Described<'a> {
    pub view: &'a View<'a>,
    pub object: Object,
    pub open: bool,
}

/// `a{sv}`: the properties of one interface of one object.
struct Listed<'a>(Described<'a>, &'static str);

impl Serialize for Snapshot<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view = &self.view;
        let root = self.root.then_some(Object::Audio);
        serializer.collect_map(root.into_iter().chain(view.children()).map(|object| {
            let open = view.reveals(self.client, object);
            (view.path(object), Described { view, object, open })
        }))
    }
}

impl Serialize for Described<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let interfaces = interfaces_of(self.object).iter();
        serializer.collect_map(interfaces.map(|interface| (interface, Listed(*self, interface))))
    }
}

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Listed(Described { view, object, open }, interface) = self;
        let names = contract::interface(interface).map(|it| it.properties.as_slice());
        let entries = names.unwrap_or_default().iter().filter_map(|(name, _)| {
            Some((name, properties::value(view, *object, interface, name, *open)?))
        });
        serializer.collect_map(entries)
    }
}

impl Type for Snapshot<'_> {
    const SIGNATURE: &'static Signature =
        <BTreeMap<ObjectPath<'_>, Described<'_>> as Type>::SIGNATURE;
}

impl Type for Described<'_> {
    const SIGNATURE: &'static Signature = <BTreeMap<&str, Listed<'_>> as Type>::SIGNATURE;
}

impl Type for Listed<'_> {
    const SIGNATURE: &'static Signature = <BTreeMap<&str, Value> as Type>::SIGNATURE;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_types_are_those_of_the_object_manager() {
        assert_eq!(*Snapshot::SIGNATURE, "a{oa{sa{sv}}}");
        assert_eq!(*Described::SIGNATURE, "a{sa{sv}}");
    }
}
