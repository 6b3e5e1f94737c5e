//! A provider: an app that carries calls. Owns the type; registration is in [`crate::attach`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{AppIdSource, Authorization, Configuration, Peer, ProviderId, RequestId};

/// One registered provider, or one whose app went away and may come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provider {
    /// Its name in this domain.
    #[serde(skip)]
    pub id: ProviderId,
    /// The app.
    pub app: Arc<str>,
    /// Where the app id comes from.
    pub source: AppIdSource,
    /// Which of several of the app.
    pub instance: Arc<str>,
    /// What it told about itself.
    pub configuration: Configuration,
    /// Whether it may provide calls.
    pub authorization: Authorization,
    /// Its connection; none while it is gone.
    pub peer: Option<Peer>,
    /// It keeps its deadlines.
    pub responsive: bool,
    /// The number of its last change.
    pub revision: u64,
    /// It is back and is being asked which calls it still has.
    pub(crate) reconciling: Option<RequestId>,
    /// The arbiter was away since it was last heard: nothing is asked of it before it has said where its calls
    /// stand.
    pub(crate) restarted: bool,
    /// Calls that the user ended while it was gone: it is told when it is back.
    pub(crate) owed_ends: Vec<uuid::Uuid>,
    /// What polkit said when it registered.
    #[serde(default)]
    pub(crate) preset: Option<bool>,
}
