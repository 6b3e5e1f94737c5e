//! Introspection: the interface files themselves, for the objects of the caller's domain.
//!
//! Owns the reply. The paths above and between objects are there too, so that a tree can be walked from
//! the root.

use std::collections::BTreeSet;

use callarbiter_core::Object;

use super::{
    contract,
    views::{View, interfaces_of},
};

const HEAD: &str = "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n<node>\n";

const EVERYWHERE: &str = r#"  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect">
      <arg name="xml_data" type="s" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping"/>
    <method name="GetMachineId">
      <arg name="machine_uuid" type="s" direction="out"/>
    </method>
  </interface>
"#;

const PROPERTIES: &str = r#"  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="out"/>
    </method>
    <method name="GetAll">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="properties" type="a{sv}" direction="out"/>
    </method>
    <method name="Set">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="in"/>
    </method>
    <signal name="PropertiesChanged">
      <arg name="interface_name" type="s"/>
      <arg name="changed_properties" type="a{sv}"/>
      <arg name="invalidated_properties" type="as"/>
    </signal>
  </interface>
"#;

const OBJECT_MANAGER: &str = r#"  <interface name="org.freedesktop.DBus.ObjectManager">
    <method name="GetManagedObjects">
      <arg name="objects" type="a{oa{sa{sv}}}" direction="out"/>
    </method>
    <signal name="InterfacesAdded">
      <arg name="object" type="o"/>
      <arg name="interfaces" type="a{sa{sv}}"/>
    </signal>
    <signal name="InterfacesRemoved">
      <arg name="object" type="o"/>
      <arg name="interfaces" type="as"/>
    </signal>
  </interface>
"#;

/// The description of a path; none if nothing is there or below it.
pub fn describe(view: &View<'_>, path: &str) -> Option<String> {
    let mut here = None;
    let mut children = BTreeSet::new();
    let below = if path == "/" { "/".to_owned() } else { format!("{path}/") };
    for object in std::iter::once(Object::Audio).chain(view.children()) {
        let object_path = view.name(object).to_string();
        if object_path == path {
            here = Some(object);
        } else if let Some(rest) = object_path.as_str().strip_prefix(&below) {
            children.extend(rest.split('/').next().map(str::to_owned));
        }
    }
    if here.is_none() && children.is_empty() {
        return None;
    }
    let mut xml = String::from(HEAD);
    if let Some(object) = here {
        for name in interfaces_of(object) {
            if let Some(interface) = contract::interface(name) {
                xml.push_str("  ");
                xml.push_str(interface.xml);
                xml.push('\n');
            }
        }
        xml.push_str(PROPERTIES);
        if object == Object::Audio {
            xml.push_str(OBJECT_MANAGER);
        }
    }
    xml.push_str(EVERYWHERE);
    for child in children {
        xml.push_str(&format!("  <node name=\"{child}\"/>\n"));
    }
    xml.push_str("</node>\n");
    Some(xml)
}
