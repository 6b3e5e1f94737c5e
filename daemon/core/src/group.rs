//! A group: calls of one provider that talk together. It has the audio as a whole.

use serde::{Deserialize, Serialize};

use crate::{CallId, GroupId, ProviderId};

/// One group; it lives as long as one of its calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its name in this domain.
    #[serde(skip)]
    pub id: GroupId,
    /// Whose calls they are.
    pub provider: ProviderId,
    /// Its calls, in the order in which they came.
    pub calls: Vec<CallId>,
    /// It has the audio.
    pub audio: bool,
    /// The number of its last change.
    pub revision: u64,
    /// Counts the changes of `calls`.
    pub(crate) membership: u64,
    /// What readers were last shown: membership, state, audio.
    #[serde(skip)]
    pub(crate) shown: (u64, &'static str, bool),
}
