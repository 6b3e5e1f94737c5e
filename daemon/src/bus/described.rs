//! Objects as they are written into a message: value by value, never built as a whole.
//!
//! Owns that shape, for snapshots and for what changed. A user may have hundreds of objects with dozens
//! of properties; while they are put into maps first, everybody else waits. What the values are is in
//! [`super::properties`].

use callarbiter_core::Object;
use callarbiter_wire::Body;

use super::{
    peers::Client,
    properties,
    views::{View, interfaces_of},
};

/// About what a call and its group take in a snapshot.
const BYTES_OF_A_CALL: usize = 1536;

/// `a{oa{sa{sv}}}`: objects, as one client may see them; with the root object or without.
pub fn snapshot(body: &mut Body, view: &View<'_>, client: &Client, root: bool) {
    let root = root.then_some(Object::Audio);
    body.expect(view.domain.map_or(0, |domain| domain.calls().count()) * BYTES_OF_A_CALL);
    body.array(8, |body| {
        for object in root.into_iter().chain(view.children()) {
            body.fields();
            body.shown(view.name(object));
            interfaces(body, view, object, view.reveals(client, object), None);
        }
    });
}

/// `a{sa{sv}}`: the interfaces of one object. `revision` is that of the change that is told, where one is:
/// the object may have changed again in the same turn, and that is a signal of its own.
pub fn interfaces(
    body: &mut Body,
    view: &View<'_>,
    object: Object,
    open: bool,
    revision: Option<u64>,
) {
    body.array(8, |body| {
        for interface in interfaces_of(object) {
            body.key(interface);
            properties(body, view, object, &[interface], open, revision);
        }
    });
}

/// `a{sv}`: the properties of some interfaces of one object.
pub fn properties(
    body: &mut Body,
    view: &View<'_>,
    object: Object,
    interfaces: &[&str],
    open: bool,
    revision: Option<u64>,
) {
    body.array(8, |body| {
        for interface in interfaces {
            properties::each(view, object, interface, open, |name, value| {
                body.key(name);
                match revision {
                    Some(revision) if name == "Revision" => body.a_u64(revision),
                    _ => value.write(body),
                }
            });
        }
    });
}

/// `{sv}`: one property, if the object has it.
pub fn property(
    body: &mut Body,
    view: &View<'_>,
    object: Object,
    interface: &str,
    name: &str,
    open: bool,
    revision: Option<u64>,
) {
    match (name, revision) {
        ("Revision", Some(revision)) => {
            body.key(name);
            body.a_u64(revision);
        }
        _ => {
            if let Some(value) = properties::value(view, object, interface, name, open) {
                body.key(name);
                value.write(body);
            }
        }
    }
}
