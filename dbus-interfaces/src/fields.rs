//! Dictionaries `a{sv}`: reading what is there, writing what is known.
//!
//! Owns the rule for input from a caller: unknown keys are skipped; a known key of the wrong type, or
//! a text beyond its bound, is `InvalidArgument` naming the key and never the value.

use std::{collections::HashMap, fmt};

use uuid::Uuid;
use zbus::{ObjectPath, OwnedObjectPath, OwnedVariant, Variant};

use crate::{Error, limits, names};

/// `a{sv}`.
pub type Dict = HashMap<String, OwnedVariant>;

/// `a(sa{sv})`: actions, outcomes, steps of a plan.
pub type Entries = Vec<(String, Dict)>;

/// Reads a dictionary that somebody else wrote.
#[derive(Clone, Copy)]
pub struct Fields<'a>(&'a Dict);

impl<'a> Fields<'a> {
    /// For what comes from a caller: refuses a dictionary with too many keys.
    pub fn bounded(dict: &'a Dict) -> Result<Self, Error> {
        if dict.len() > limits::DICT_KEYS {
            return Err(Error::invalid_argument(format!(
                "{} options were given; at most {} are read",
                dict.len(),
                limits::DICT_KEYS
            )));
        }
        Ok(Fields(dict))
    }

    /// For what comes from the arbiter, which keeps its own bounds.
    pub fn trusted(dict: &'a Dict) -> Self {
        Fields(dict)
    }

    pub(crate) fn read<T>(
        self,
        key: &str,
        type_name: &str,
        cast: impl FnOnce(&'a Variant<'static>) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        cast(value).map(Some).ok_or_else(|| {
            Error::invalid_argument(format!(
                "`{key}` has the type {}; it must be {type_name}",
                value.value_signature()
            ))
        })
    }

    /// `s`, at most `max_bytes` long, without control characters.
    pub fn text(self, key: &str, max_bytes: usize) -> Result<Option<&'a str>, Error> {
        match self.any_text(key)? {
            Some(text) if !limits::text_fits(text, max_bytes) => Err(Error::invalid_argument(
                format!("`{key}` must have at most {max_bytes} bytes and no control characters"),
            )),
            text => Ok(text),
        }
    }

    /// `s` of any length.
    pub fn any_text(self, key: &str) -> Result<Option<&'a str>, Error> {
        self.read(key, "s", |value| match value {
            Variant::Str(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// `s` that is a UUID.
    pub fn uuid(self, key: &str) -> Result<Option<Uuid>, Error> {
        let Some(text) = self.any_text(key)? else { return Ok(None) };
        match names::uuid(text) {
            Some(uuid) => Ok(Some(uuid)),
            None => Err(Error::invalid_argument(format!(
                "`{key}` must be a UUID of 36 characters with hyphens"
            ))),
        }
    }

    /// `b`.
    pub fn flag(self, key: &str) -> Result<Option<bool>, Error> {
        self.read(key, "b", |value| match value {
            Variant::Bool(flag) => Some(*flag),
            _ => None,
        })
    }

    /// `u`.
    pub fn number(self, key: &str) -> Result<Option<u32>, Error> {
        self.read(key, "u", |value| match value {
            Variant::U32(number) => Some(*number),
            _ => None,
        })
    }

    /// `t`.
    pub fn time(self, key: &str) -> Result<Option<u64>, Error> {
        self.read(key, "t", |value| match value {
            Variant::U64(time) => Some(*time),
            _ => None,
        })
    }

    /// `as`.
    pub fn texts(self, key: &str) -> Result<Option<Vec<&'a str>>, Error> {
        self.list(key, "as", |value| match value {
            Variant::Str(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// `o`.
    pub fn path(self, key: &str) -> Result<Option<OwnedObjectPath>, Error> {
        self.read(key, "o", |value| match value {
            Variant::ObjectPath(path) => Some(path.to_owned().into()),
            _ => None,
        })
    }

    /// `ao`.
    pub fn paths(self, key: &str) -> Result<Option<Vec<OwnedObjectPath>>, Error> {
        self.list(key, "ao", |value| match value {
            Variant::ObjectPath(path) => Some(path.to_owned().into()),
            _ => None,
        })
    }

    /// `aa{sv}`.
    pub fn dicts(self, key: &str) -> Result<Option<Vec<Dict>>, Error> {
        self.read(key, "aa{sv}", |value| value.try_clone().ok()?.try_into().ok())
    }

    fn list<T>(
        self,
        key: &str,
        type_name: &str,
        cast: impl Fn(&'a Variant<'static>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, Error> {
        self.read(key, type_name, |value| match value {
            Variant::Array(array) => array.iter().map(cast).collect(),
            _ => None,
        })
    }
}

/// The error for a key that has to be there.
pub(crate) fn missing(key: &str) -> Error {
    Error::invalid_argument(format!("`{key}` is missing"))
}

/// Writes a dictionary: an absent value is an absent key.
#[derive(Default)]
pub(crate) struct Writer(Dict);

impl From<Dict> for Writer {
    fn from(dict: Dict) -> Self {
        Writer(dict)
    }
}

impl Writer {
    pub fn put(mut self, key: &str, value: Option<impl Into<Variant<'static>>>) -> Self {
        // Fails only for file descriptors that are not one's own and cannot be duplicated.
        if let Some(value) = value.and_then(|v| v.into().try_into_owned().ok()) {
            self.0.insert(key.to_owned(), value);
        }
        self
    }

    pub fn text(self, key: &str, value: Option<&str>) -> Self {
        self.put(key, value.map(str::to_owned))
    }

    pub fn uuid(self, key: &str, value: Option<Uuid>) -> Self {
        self.put(key, value.map(|uuid| uuid.to_string()))
    }

    /// Only where it is true: false is what an absent flag means.
    pub fn flag(self, key: &str, value: bool) -> Self {
        self.put(key, value.then_some(true))
    }

    pub fn paths(self, key: &str, value: &[OwnedObjectPath]) -> Self {
        self.put(key, Some(paths(value)))
    }

    pub fn done(self) -> Dict {
        self.0
    }
}

pub(crate) fn paths(value: &[OwnedObjectPath]) -> Vec<ObjectPath<'static>> {
    value.iter().map(|path| path.as_ref().into_owned()).collect()
}

/// A debug form that shows which keys are set and none of the values, which may be personal.
pub(crate) fn debug_keys(f: &mut fmt::Formatter<'_>, name: &str, dict: &Dict) -> fmt::Result {
    let mut keys: Vec<&str> = dict.keys().map(String::as_str).collect();
    keys.sort_unstable();
    write!(f, "{name}{keys:?}")
}
