//! Properties as they came over the bus.
//!
//! Owns the tolerant reading of them: where there is nothing to read, or something of a type that this
//! version does not know, the target keeps its value.

use std::collections::{BTreeMap, HashMap};

use callarbiter_dbus::{
    ActionResult, Dict, Fields,
    names::{CallPath, Object},
};
use zbus::{ObjectPath, OwnedVariant, Variant};

/// The properties of one interface of one object.
pub(crate) struct Properties<'a>(pub &'a Dict);

impl<'a> Properties<'a> {
    fn value(&self, name: &str) -> Option<&'a Variant<'static>> {
        self.0.get(name).map(|value: &OwnedVariant| &**value)
    }

    pub(crate) fn text_of(&self, name: &str) -> Option<&'a str> {
        match self.value(name)? {
            Variant::Str(text) => Some(text.as_str()),
            _ => None,
        }
    }

    pub(crate) fn text(&self, name: &str, target: &mut String) {
        if let Some(text) = self.text_of(name) {
            text.clone_into(target);
        }
    }

    pub(crate) fn word<T: for<'w> From<&'w str>>(&self, name: &str, target: &mut T) {
        if let Some(text) = self.text_of(name) {
            *target = text.into();
        }
    }

    pub(crate) fn words<T: for<'w> From<&'w str>>(&self, name: &str, target: &mut Vec<T>) {
        if let Ok(Some(texts)) = Fields::trusted(self.0).texts(name) {
            *target = texts.into_iter().map(T::from).collect();
        }
    }

    pub(crate) fn flag(&self, name: &str, target: &mut bool) {
        if let Some(Variant::Bool(flag)) = self.value(name) {
            *target = *flag;
        }
    }

    pub(crate) fn time(&self, name: &str, target: &mut u64) {
        if let Some(Variant::U64(time)) = self.value(name) {
            *target = *time;
        }
    }

    pub(crate) fn path(&self, name: &str) -> Option<&'a ObjectPath<'static>> {
        match self.value(name)? {
            Variant::ObjectPath(path) => Some(path),
            _ => None,
        }
    }

    pub(crate) fn numbers(&self, name: &str, target: &mut BTreeMap<String, u32>) {
        let numbers = self.value(name).and_then(|value| value.try_clone().ok());
        if let Some(Ok(numbers)) = numbers.map(HashMap::<String, u32>::try_from) {
            *target = numbers.into_iter().collect();
        }
    }

    pub(crate) fn dict(&self, name: &str) -> Option<Dict> {
        Dict::try_from(self.value(name)?.try_clone().ok()?).ok()
    }
}

/// `a(sa{sv})` in a variant: the actions of a transaction.
pub(crate) fn results(value: &Variant<'_>) -> Option<Vec<ActionResult>> {
    let Variant::Array(array) = value else { return None };
    let read = |entry: &Variant<'_>| {
        let Variant::Structure(entry) = entry else { return None };
        let [Variant::Str(name), Variant::Dict(_)] = entry.fields() else { return None };
        let details = entry.fields().get(1)?.try_clone().ok()?;
        Some(ActionResult::from_wire(name, &Dict::try_from(details).ok()?))
    };
    array.iter().map(read).collect()
}

/// The call with this path.
pub(crate) fn call_path(path: &str) -> Option<CallPath> {
    match Object::parse(path)? {
        Object::Call(path) => Some(path),
        _ => None,
    }
}

pub(crate) fn provider_number(path: &ObjectPath<'_>) -> Option<u32> {
    match Object::parse(path.as_str())? {
        Object::Provider(number) => Some(number),
        _ => None,
    }
}

pub(crate) fn group_number(path: &ObjectPath<'_>) -> Option<u32> {
    match Object::parse(path.as_str())? {
        Object::Group(number) => Some(number),
        _ => None,
    }
}
