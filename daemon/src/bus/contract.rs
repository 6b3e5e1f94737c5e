//! The interface files as a table: which members there are, and of which types.
//!
//! Owns reading the files once. What is served is looked up here first, so that nothing outside them
//! can be called and nothing in them can have another signature than they say.

use std::{collections::BTreeMap, sync::LazyLock};

use callarbiter_core::gathered;
use callarbiter_dbus::xml;
#[cfg(test)]
use zbus::Signature;

/// One interface of the contract.
#[derive(Debug)]
pub struct Interface {
    /// Its name.
    pub name: &'static str,
    /// The `<interface>` element of its file.
    pub xml: &'static str,
    /// Methods and the signature of what a caller sends.
    pub methods: BTreeMap<&'static str, String>,
    /// Properties and their types, in the order of the file. What is served is compared with them.
    #[cfg(test)]
    pub properties: Vec<(&'static str, Signature)>,
}

/// The interface of this name that the arbiter serves.
pub fn interface(name: &str) -> Option<&'static Interface> {
    SERVED.iter().find(|interface| interface.name == name)
}

static SERVED: LazyLock<Vec<Interface>> =
    LazyLock::new(|| xml::SERVED.iter().map(|(name, element)| parse(name, element)).collect());

/// Reads one file. The files are ours and compiled in, so this knows the XML that we write and no more; a test says
/// that every signature in them is one.
fn parse(name: &'static str, xml: &'static str) -> Interface {
    Interface {
        name,
        xml,
        methods: methods_of(xml),
        #[cfg(test)]
        properties: tags(xml)
            .filter(|tag| tag.starts_with("property "))
            .filter_map(|tag| Some((attribute(tag, "name")?, signature(attribute(tag, "type")?))))
            .collect(),
    }
}

/// The methods of one file, each with the types of what a caller sends.
pub fn methods_of(file: &'static str) -> BTreeMap<&'static str, String> {
    let mut methods: Vec<(&'static str, String)> = Vec::new();
    let mut in_method = false;
    for tag in tags(file) {
        let attribute = |name: &str| attribute(tag, name).unwrap_or_default();
        if tag.starts_with("method ") {
            methods.push((attribute("name"), String::new()));
            in_method = true;
        } else if tag.starts_with("signal ") || tag.starts_with("property ") {
            in_method = false;
        } else if in_method
            && tag.starts_with("arg ")
            && attribute("direction") == "in"
            && let Some((_, types)) = methods.last_mut()
        {
            types.push_str(attribute("type"));
        }
    }
    gathered(methods)
}

/// The start tags, without comments.
fn tags(xml: &'static str) -> impl Iterator<Item = &'static str> {
    let mut rest = xml;
    std::iter::from_fn(move || {
        loop {
            rest = rest.get(rest.find('<')? + 1..)?;
            if let Some(comment) = rest.strip_prefix("!--") {
                rest = comment.get(comment.find("-->")? + 3..)?;
                continue;
            }
            let tag = rest.get(..rest.find('>')?)?;
            if !tag.starts_with('/') {
                return Some(tag);
            }
        }
    })
}

fn attribute(tag: &'static str, name: &str) -> Option<&'static str> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    tag.get(start..)?.split('"').next()
}

#[cfg(test)]
fn signature(types: &str) -> Signature {
    Signature::try_from(types).unwrap_or(Signature::Fd)
}

#[cfg(test)]
mod tests {
    use callarbiter_dbus::names;

    use super::*;

    #[test]
    fn reads_every_file() {
        for served in names::SERVED {
            assert!(interface(served).is_some(), "{served}");
        }
        for interface in SERVED.iter() {
            assert!(interface.xml.contains(interface.name), "{}", interface.name);
            let methods = interface.methods.iter();
            let all = methods.map(|(name, types)| (*name, signature(types)));
            let all = all.chain(interface.properties.iter().cloned());
            for (member, types) in all {
                assert!(types != Signature::Fd, "{}.{member}", interface.name);
            }
            assert_eq!(
                interface.xml.matches("<method ").count(),
                interface.methods.len(),
                "{}",
                interface.name
            );
            assert_eq!(
                interface.xml.matches("<property ").count(),
                interface.properties.len(),
                "{}",
                interface.name
            );
        }
    }

    #[test]
    fn joins_the_arguments_of_a_method() {
        let manager = interface(names::MANAGER).map(|manager| &manager.methods);
        let register = manager.and_then(|methods| methods.get("RegisterProvider"));
        assert_eq!(register.map(String::as_str), Some("soa{sv}"));
        let unsubscribe = manager.and_then(|methods| methods.get("Unsubscribe"));
        assert_eq!(unsubscribe.map(String::as_str), Some(""));
    }
}
