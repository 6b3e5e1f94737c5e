//! The audio session: who has the microphone and the loudspeaker of a domain. State, not an event.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{GroupId, Private};

/// The audio session of one domain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AudioSession {
    /// The group that has it, or had it while `phase` is `Releasing`.
    pub holder: Option<GroupId>,
    /// Where the hand-over stands.
    pub phase: Phase,
    /// Counts the grants; a word about an older one is ignored.
    pub generation: u64,
    /// When this phase began, µs since the epoch.
    pub since: u64,
    /// The agent in the session makes others keep quiet.
    pub enforced: bool,
    /// Where the sound can go, as the agent told. Written with what it enforces, as both change seldom.
    #[serde(skip)]
    pub endpoints: Arc<[Endpoint]>,
    /// The one in use, or empty.
    #[serde(skip)]
    pub endpoint: Arc<str>,
    /// The number of the last change.
    pub revision: u64,
}

/// A place where the sound can go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its name for programs.
    pub id: Arc<str>,
    /// Its name for people; a headset is often named after its owner.
    #[serde(with = "crate::private::stored")]
    pub name: Private,
    /// What it is: `speaker`, `headset` …
    pub kind: Arc<str>,
}

/// Where the hand-over of the audio stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Nobody has it.
    #[default]
    Idle,
    /// The holder is asked to stop.
    Releasing,
    /// The holder is asked to begin.
    Granting,
    /// The holder has it.
    Granted,
}

impl Phase {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Idle => "idle",
            Phase::Releasing => "releasing",
            Phase::Granting => "granting",
            Phase::Granted => "granted",
        }
    }
}
