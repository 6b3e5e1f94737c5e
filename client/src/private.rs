//! Personal data: handles, names, digits and what is said about them.
//!
//! Owns the one type in which such text lives. Its `Debug` redacts and it has no `Display`, so that no
//! log line and no panic message of an app can leak it by accident.

use std::{fmt, sync::Arc};

/// A text about a person: cheap to clone, shown only by [`Private::reveal`].
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Private(Option<Arc<str>>);

impl Private {
    /// The text itself: for the user's own eyes, never for a log.
    pub fn reveal(&self) -> &str {
        self.0.as_deref().unwrap_or("")
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl From<&str> for Private {
    fn from(text: &str) -> Self {
        Private((!text.is_empty()).then(|| text.into()))
    }
}

impl From<String> for Private {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "\"\"" } else { "<private>" })
    }
}
