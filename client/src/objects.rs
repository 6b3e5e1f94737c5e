//! What else the arbiter shows: providers, groups, transactions, the audio session, itself.

use std::collections::BTreeMap;

use callarbiter_dbus::{
    ActionResult, Configuration, Dict, Fields,
    names::CallPath,
    words::{AppIdSource, AudioPhase, Authorization, CallState, Origin, TransactionState},
};

use crate::properties::{Properties, call_path, group_number, provider_number, results};

/// An app that provides calls.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderInfo {
    /// Its number: `…/provider/<number>`.
    pub number: u32,
    /// Its app id.
    pub app_id: String,
    /// Where the app id comes from.
    pub app_id_source: AppIdSource,
    /// Tells several of one app apart.
    pub instance: String,
    /// Its name for people.
    pub display_name: String,
    /// Whether it may provide calls.
    pub authorization: Authorization,
    /// What it told about itself.
    pub configuration: Configuration,
    /// Whether it is on the bus.
    pub attached: bool,
    /// Whether it answered what it was last asked.
    pub responsive: bool,
    /// The revision of its last change.
    pub revision: u64,
}

/// Calls that are held, resumed and heard together; most have one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its number: `…/group/<number>`.
    pub number: u32,
    /// Its calls.
    pub calls: Vec<CallPath>,
    /// The number of their provider.
    pub provider: Option<u32>,
    /// Where it stands.
    pub state: CallState,
    /// Whether it holds the audio session.
    pub audio: bool,
    /// The revision of its last change.
    pub revision: u64,
}

/// Actions that were accepted as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    /// Its number: `…/transaction/<number>`.
    pub number: u32,
    /// Whether all outcomes are known.
    pub state: TransactionState,
    /// Whose wish it is.
    pub origin: Origin,
    /// Its actions, each with its outcome.
    pub actions: Vec<ActionResult>,
    /// When it was accepted, µs since the epoch.
    pub created_at: u64,
    /// The revision of its last change.
    pub revision: u64,
}

/// Who has the microphone and the loudspeaker.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioSession {
    /// The number of the group that holds it.
    pub holder: Option<u32>,
    /// Where the hand-over stands.
    pub phase: AudioPhase,
    /// Counts the grants.
    pub generation: u64,
    /// Since when, µs since the epoch.
    pub since: u64,
    /// Whether everything else was really silenced.
    pub enforced: bool,
    /// The chosen endpoint; empty where the session has none to choose from.
    pub endpoint: String,
    /// The revision of its last change.
    pub revision: u64,
}

/// What the arbiter says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagerInfo {
    /// Its version.
    pub version: String,
    /// Changes when it lost its state.
    pub epoch: String,
    /// What it understands.
    pub features: Vec<String>,
    /// Its bounds, as they were when the snapshot was taken.
    pub limits: BTreeMap<String, u32>,
    /// What of them this user used when the snapshot was taken.
    pub usage: BTreeMap<String, u32>,
}

impl ProviderInfo {
    pub(crate) fn new(number: u32, properties: &Dict) -> Self {
        let mut provider = ProviderInfo {
            number,
            app_id: String::new(),
            app_id_source: AppIdSource::Other(String::new()),
            instance: String::new(),
            display_name: String::new(),
            authorization: Authorization::NotDetermined,
            configuration: Configuration::default(),
            attached: false,
            responsive: true,
            revision: 0,
        };
        provider.apply(properties);
        provider
    }

    pub(crate) fn apply(&mut self, properties: &Dict) {
        let read = Properties(properties);
        read.text("AppId", &mut self.app_id);
        read.word("AppIdSource", &mut self.app_id_source);
        read.text("Instance", &mut self.instance);
        read.text("DisplayName", &mut self.display_name);
        read.word("Authorization", &mut self.authorization);
        read.flag("Attached", &mut self.attached);
        read.flag("Responsive", &mut self.responsive);
        read.time("Revision", &mut self.revision);
        let configuration = read.dict("Configuration");
        if let Some(Ok(known)) = configuration.map(|dict| Configuration::from_dict(&dict)) {
            self.configuration = known;
        }
    }
}

impl Group {
    pub(crate) fn new(number: u32, properties: &Dict) -> Self {
        let mut group = Group {
            number,
            calls: Vec::new(),
            provider: None,
            state: CallState::Other(String::new()),
            audio: false,
            revision: 0,
        };
        group.apply(properties);
        group
    }

    pub(crate) fn apply(&mut self, properties: &Dict) {
        let read = Properties(properties);
        read.word("State", &mut self.state);
        read.flag("Audio", &mut self.audio);
        read.time("Revision", &mut self.revision);
        if let Some(path) = read.path("Provider") {
            self.provider = provider_number(path);
        }
        if let Ok(Some(calls)) = Fields::trusted(properties).paths("Calls") {
            self.calls = calls.iter().filter_map(|path| call_path(path.as_str())).collect();
        }
    }
}

impl Transaction {
    pub(crate) fn new(number: u32, properties: &Dict) -> Self {
        let mut transaction = Transaction {
            number,
            state: TransactionState::Running,
            origin: Origin::Other(String::new()),
            actions: Vec::new(),
            created_at: 0,
            revision: 0,
        };
        transaction.apply(properties);
        transaction
    }

    pub(crate) fn apply(&mut self, properties: &Dict) {
        let read = Properties(properties);
        read.word("State", &mut self.state);
        read.word("Origin", &mut self.origin);
        read.time("CreatedAt", &mut self.created_at);
        read.time("Revision", &mut self.revision);
        if let Some(actions) = properties.get("Actions").and_then(|actions| results(actions)) {
            self.actions = actions;
        }
    }
}

impl Default for AudioSession {
    fn default() -> Self {
        AudioSession {
            holder: None,
            phase: AudioPhase::Idle,
            generation: 0,
            since: 0,
            enforced: false,
            endpoint: String::new(),
            revision: 0,
        }
    }
}

impl AudioSession {
    pub(crate) fn apply(&mut self, properties: &Dict) {
        let read = Properties(properties);
        if let Some(path) = read.path("Holder") {
            self.holder = group_number(path);
        }
        read.word("Phase", &mut self.phase);
        read.time("Generation", &mut self.generation);
        read.time("Since", &mut self.since);
        read.flag("Enforced", &mut self.enforced);
        read.text("Endpoint", &mut self.endpoint);
        read.time("Revision", &mut self.revision);
    }
}

impl ManagerInfo {
    pub(crate) fn apply(&mut self, properties: &Dict) {
        let read = Properties(properties);
        read.text("Version", &mut self.version);
        read.text("Epoch", &mut self.epoch);
        if let Ok(Some(features)) = Fields::trusted(properties).texts("Features") {
            self.features = features.into_iter().map(str::to_owned).collect();
        }
        read.numbers("Limits", &mut self.limits);
        read.numbers("Usage", &mut self.usage);
    }
}
