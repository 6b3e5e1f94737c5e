//! Personal data: who calls whom, and what is said about it.
//!
//! Owns the one type in which such text lives. Its `Debug` redacts and it has no `Display`, so that no
//! log line and no panic message can leak it; reading it is a visible call of [`Private::reveal`].

use std::{fmt, sync::Arc};

/// A text about a person: cheap to clone, never printed.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Private(Option<Arc<str>>);

impl Private {
    /// No text.
    pub const NONE: Private = Private(None);

    /// The text itself: for the domain's own eyes, never for a log.
    pub fn reveal(&self) -> &str {
        self.0.as_deref().unwrap_or("")
    }

    /// Whether there is nothing to protect.
    pub fn is_empty(&self) -> bool {
        self.reveal().is_empty()
    }
}

impl From<&str> for Private {
    fn from(text: &str) -> Self {
        Private((!text.is_empty()).then(|| text.into()))
    }
}

impl From<Arc<str>> for Private {
    fn from(text: Arc<str>) -> Self {
        Private((!text.is_empty()).then_some(text))
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "\"\"" } else { "<private>" })
    }
}

/// For the state file, which nobody but the daemon can read, and for recordings, in which every text is another:
/// `#[serde(with = "…")]` on each field says where such text is written, and the type itself cannot be serialized by
/// accident.
pub(crate) mod stored {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::Private;

    pub fn serialize<S: Serializer>(text: &Private, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text.reveal())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Private, D::Error> {
        // Where people may have written it, it may be written in a way that is not the text itself.
        match from.is_human_readable() {
            true => <Arc<str>>::deserialize(from).map(Private::from),
            false => <&str>::deserialize(from).map(Private::from),
        }
    }
}

/// [`stored`] for a text that may be left out.
pub(crate) mod stored_option {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Private;

    pub fn serialize<S: Serializer>(text: &Option<Private>, to: S) -> Result<S::Ok, S::Error> {
        text.as_ref().map(Private::reveal).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Private>, D::Error> {
        Ok(Option::<Arc<str>>::deserialize(from)?.map(Private::from))
    }
}

/// [`stored`] for a list.
pub(crate) mod stored_list {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer, ser::SerializeSeq};

    use super::Private;

    pub fn serialize<S: Serializer>(texts: &[Private], to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(texts.len()))?;
        texts.iter().try_for_each(|text| list.serialize_element(text.reveal()))?;
        list.end()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Private>, D::Error> {
        if from.is_human_readable() {
            let texts = Vec::<Arc<str>>::deserialize(from)?;
            return Ok(texts.into_iter().map(Private::from).collect());
        }
        let texts = Vec::<&str>::deserialize(from)?;
        Ok(texts.into_iter().map(Private::from).collect())
    }
}
