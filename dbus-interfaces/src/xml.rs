//! The interface files themselves, for introspection, tests, and whoever generates bindings.

use crate::names;

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("../xml/org.callarbiter.", $name, ".xml"))
    };
}

macro_rules! element {
    ($name:literal) => {
        include_str!(concat!(env!("OUT_DIR"), "/org.callarbiter.", $name, ".xml"))
    };
}

/// `org.callarbiter.Calls1.Manager`.
pub const MANAGER: &str = file!("Calls1.Manager");
/// `org.callarbiter.Calls1.AudioSession`.
pub const AUDIO_SESSION: &str = file!("Calls1.AudioSession");
/// `org.callarbiter.Calls1.Provider`.
pub const PROVIDER: &str = file!("Calls1.Provider");
/// `org.callarbiter.Calls1.Call`.
pub const CALL: &str = file!("Calls1.Call");
/// `org.callarbiter.Calls1.Group`.
pub const GROUP: &str = file!("Calls1.Group");
/// `org.callarbiter.Calls1.Transaction`.
pub const TRANSACTION: &str = file!("Calls1.Transaction");
/// `org.callarbiter.Calls1.ProviderDelegate`.
pub const PROVIDER_DELEGATE: &str = file!("Calls1.ProviderDelegate");

/// `org.callarbiter.Calls1.Agent`.
pub const AGENT: &str = file!("Calls1.Agent");

/// `org.callarbiter.Agent1.Apps`.
pub const AGENT_APPS: &str = file!("Agent1.Apps");

/// `org.callarbiter.Agent1.History`.
pub const AGENT_HISTORY: &str = file!("Agent1.History");

/// `org.callarbiter.Agent1.Lists`.
pub const AGENT_LISTS: &str = file!("Agent1.Lists");

/// `org.callarbiter.Agent1.Preferences`.
pub const AGENT_PREFERENCES: &str = file!("Agent1.Preferences");

/// Every interface with its file.
pub const ALL: &[(&str, &str)] = &[
    (names::MANAGER, MANAGER),
    (names::AUDIO_SESSION, AUDIO_SESSION),
    (names::PROVIDER, PROVIDER),
    (names::CALL, CALL),
    (names::GROUP, GROUP),
    (names::TRANSACTION, TRANSACTION),
    (names::PROVIDER_DELEGATE, PROVIDER_DELEGATE),
    (names::AGENT, AGENT),
    (names::AGENT_APPS, AGENT_APPS),
    (names::AGENT_HISTORY, AGENT_HISTORY),
    (names::AGENT_LISTS, AGENT_LISTS),
    (names::AGENT_PREFERENCES, AGENT_PREFERENCES),
];

/// What the arbiter serves, each with the `<interface>` element of its file, which an `Introspect` reply puts into its
/// own `<node>`: without comments, so that a reply stays small.
pub const SERVED: &[(&str, &str)] = &[
    (names::MANAGER, element!("Calls1.Manager")),
    (names::AUDIO_SESSION, element!("Calls1.AudioSession")),
    (names::PROVIDER, element!("Calls1.Provider")),
    (names::CALL, element!("Calls1.Call")),
    (names::GROUP, element!("Calls1.Group")),
    (names::TRANSACTION, element!("Calls1.Transaction")),
];

/// The file of an interface.
pub fn of(interface: &str) -> Option<&'static str> {
    ALL.iter().find(|(name, _)| *name == interface).map(|(_, xml)| *xml)
}
