//! Why a call is what it is: the dictionaries of `Manager.Explain`.
//!
//! Owns their form for readers. Readers are tolerant: a later version may tell of causes that this one does not know.

use std::fmt;

use zbus::{OwnedVariant, Variant};

use crate::{Dict, Fields};

/// What somebody said: personal, and never shown by `Debug`.
const SAID: [&str; 4] = ["message", "detail", "entry", "name"];

/// One cause.
#[derive(Clone, PartialEq)]
pub struct Cause {
    /// When it came, µs since the epoch.
    pub at: u64,
    /// Its name: `reported`, `asked`, `deadline` …
    pub name: String,
    /// What it says in somebody's words: a message, a detail, an entry of a list, a rule's name. Empty for nothing.
    pub said: String,
    /// What else there is to it, as the interface says.
    pub facts: Dict,
}

impl Cause {
    /// From the arbiter.
    pub fn from_dict(mut dict: Dict) -> Self {
        let read = Fields::trusted(&dict);
        let at = read.time("at").ok().flatten().unwrap_or_default();
        let text = |key| read.any_text(key).ok().flatten().unwrap_or_default().to_owned();
        let name = text("cause");
        let said = SAID.into_iter().map(text).find(|said| !said.is_empty()).unwrap_or_default();
        dict.retain(|key, _| {
            !["at", "cause"].contains(&key.as_str()) && !SAID.contains(&key.as_str())
        });
        Cause { at, name, said, facts: dict }
    }

    /// A closed word or a name among its facts; empty for none.
    pub fn word(&self, key: &str) -> &str {
        Fields::trusted(&self.facts).any_text(key).ok().flatten().unwrap_or_default()
    }

    /// A list of closed words.
    pub fn words(&self, key: &str) -> Vec<&str> {
        Fields::trusted(&self.facts).texts(key).ok().flatten().unwrap_or_default()
    }

    /// A number.
    pub fn number(&self, key: &str) -> Option<u32> {
        Fields::trusted(&self.facts).number(key).ok().flatten()
    }

    /// Yes or no.
    pub fn flag(&self, key: &str) -> bool {
        self.facts.get(key).map(|value: &OwnedVariant| &**value) == Some(&Variant::Bool(true))
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = if self.said.is_empty() { "\"\"" } else { "<private>" };
        write!(f, "Cause({} at {}, said {said})", self.name, self.at)
    }
}
