//! Why a call is in its state: a closed set of words, written as text.
//!
//! Owns the set. A word that is missing here fails every debug build that saves such a call; a text that this
//! version does not know becomes a plain one, because it explains and decides nothing.

use serde::{Deserialize, Deserializer, Serializer};

/// A word of the set; by its own name, because serde takes a `&str` for borrowed.
pub(crate) type Reason = &'static str;

/// All of them.
pub const WORDS: [Reason; 24] = [
    "answered",
    "answered at its app",
    "answered here",
    "could not be answered yet",
    "could not be resumed",
    "ended here",
    "held",
    "held at its app",
    "held by its app",
    "held by its network",
    "held late",
    "its app is back",
    "its app is there",
    "its app says so",
    "placed",
    "reported",
    "reported active",
    "reported by its app",
    "reported held",
    "requested",
    "resumed",
    "resumed all the same",
    "resumed at its app",
    "resumed late",
];

const UNKNOWN: Reason = "restored";

pub fn serialize<S: Serializer>(word: &Reason, to: S) -> Result<S::Ok, S::Error> {
    debug_assert!(WORDS.contains(word) || *word == UNKNOWN, "not among the words: {word}");
    to.serialize_str(word)
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Reason, D::Error> {
    let text = <&str>::deserialize(from)?;
    Ok(WORDS.into_iter().find(|word| *word == text).unwrap_or(UNKNOWN))
}
