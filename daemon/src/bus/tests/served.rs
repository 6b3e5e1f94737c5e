//! What is served equals the interface files, member by member.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;

#[test]
fn properties_are_those_of_the_files_with_their_types() {
    let mut bus = Bus::new();
    for (path, interface) in populated(&mut bus) {
        let all = bus.get_all(":1.101", &path, interface);
        let table = &contract::interface(interface).unwrap().properties;
        let served: BTreeMap<&str, String> = all
            .iter()
            .map(|(name, value)| (name.as_str(), value.value_signature().to_string()))
            .collect();
        let expected: BTreeMap<&str, String> =
            table.iter().map(|(name, types)| (*name, types.to_string())).collect();
        assert_eq!(served, expected, "{interface}");
        for (name, types) in table {
            let one = bus.get(":1.101", &path, interface, name);
            assert_eq!(one.value_signature(), types, "{interface}.{name}");
        }
        let unknown =
            bus.call(":1.101", &path, publish::PROPERTIES, "Get", &(interface, "NoSuchThing"));
        assert_eq!(error_of(&unknown).unwrap(), "org.freedesktop.DBus.Error.UnknownProperty");
        let set = (interface, "Revision", Variant::from(7u64));
        let set = bus.call(":1.101", &path, publish::PROPERTIES, "Set", &set);
        assert_eq!(error_of(&set).unwrap(), "org.freedesktop.DBus.Error.PropertyReadOnly");
    }
}

#[test]
fn every_method_of_the_files_is_served_and_no_other() {
    let mut bus = Bus::new();
    for (path, interface) in populated(&mut bus) {
        let methods = &contract::interface(interface).unwrap().methods;
        for (name, types) in methods {
            // Ends what the other methods need.
            if *name == "Unregister" {
                continue;
            }
            let call = |body: &Message| {
                Message::method_call(path.as_str(), *name)
                    .interface(interface)
                    .sender(":1.102")
                    .destination(names::BUS_NAME)
                    .build(&body.body().deserialize::<zbus::Structure<'_>>().unwrap())
            };
            let arguments = empty_body(types);
            let message = match arguments {
                Some(body) => call(&body).unwrap(),
                None => Message::method_call(path.as_str(), *name)
                    .interface(interface)
                    .sender(":1.102")
                    .build(&())
                    .unwrap(),
            };
            bus.deliver(&message);
            if let Some(error) = bus.reply_to(&message).as_ref().and_then(error_of) {
                assert!(
                    error.starts_with(callarbiter_dbus::errors::PREFIX),
                    "{interface}.{name}: {error}"
                );
            }
            let wrong = bus.call(":1.102", &path, interface, name, &(1u8, 2u8));
            assert_eq!(error_of(&wrong).unwrap(), "org.freedesktop.DBus.Error.InvalidArgs");
        }
        let other = bus.call(":1.101", &path, interface, "NoSuchThing", &());
        assert_eq!(error_of(&other).unwrap(), "org.freedesktop.DBus.Error.UnknownMethod");
    }
}

#[test]
fn a_header_that_only_we_can_read_costs_nobody_a_reply() {
    let mut bus = Bus::new();
    let call = Message::method_call("/", "GetMachineId")
        .interface("org.freedesktop.DBus.Peer")
        .sender(":1.100")
        .destination(names::BUS_NAME)
        .build(&())
        .unwrap();
    // Of a later version of the protocol: deeper variants than zbus follows, which dbus-broker passes on.
    let mut bytes = call.data().bytes().to_vec();
    bytes.extend([&[77][..], &b"\x01v\0".repeat(50), b"\x01y\0\x05"].concat());
    let fields = u32::try_from(bytes.len() - 16).unwrap();
    bytes[12..16].copy_from_slice(&fields.to_ne_bytes());
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let call_of_later = Received::new(bytes, &mut Vec::new()).unwrap();
    assert!(call_of_later.whole().is_err());
    let mut out = Vec::new();
    bus.router.receive(bus.now, &call_of_later, &mut out).unwrap();
    bus.deliver_all(out);
    let reply = bus.reply_to(&call).unwrap();
    assert_eq!(error_of(&reply), None);
    assert_eq!(reply.body().deserialize::<String>().unwrap(), "0".repeat(32));
}

/// Arguments of these types, all empty; none for a method without.
fn empty_body(types: &str) -> Option<Message> {
    let path = zbus::ObjectPath::default();
    let dict = no_options();
    let entries: Vec<(&str, HashMap<&str, Variant<'_>>)> = Vec::new();
    let call = Message::method_call("/", "X");
    let texts: Vec<&str> = Vec::new();
    Some(
        match types {
            "" => return None,
            "a{sv}" => call.build(&(dict,)),
            "s" => call.build(&("",)),
            "b" => call.build(&(false,)),
            "o" => call.build(&(path,)),
            "oa{sv}" => call.build(&(path, dict)),
            "soa{sv}" => call.build(&("", path, dict)),
            "asa{sv}" => call.build(&(texts, dict)),
            "oasa{sv}" => call.build(&(path, texts, dict)),
            "a(sa{sv})a{sv}" => call.build(&(entries, dict)),
            "sa{sv}" => call.build(&("", dict)),
            "ba{sv}" => call.build(&(false, dict)),
            "sssa{sv}" => call.build(&("", "", "", dict)),
            "ssa{sv}" => call.build(&("", "", dict)),
            "ss" => call.build(&("", "")),
            "sss" => call.build(&("", "", "")),
            "os" => call.build(&(path, "")),
            "aa{sv}s" => call.build(&(vec![dict], "")),
            "a{sv}aa{sv}a{sv}" => call.build(&(dict, vec![no_options()], no_options())),
            "aa{sv}a{sv}" => call.build(&(vec![dict.clone()], dict)),
            "su" => call.build(&("", 0u32)),
            other => panic!("a new signature: {other}"),
        }
        .unwrap(),
    )
}
