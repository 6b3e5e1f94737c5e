//! The interface files themselves, for introspection, tests, and whoever generates bindings.

use crate::names;

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("../xml/org.callarbiter.", $name, ".xml"))
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

/// The file of an interface.
pub fn of(interface: &str) -> Option<&'static str> {
    ALL.iter().find(|(name, _)| *name == interface).map(|(_, xml)| *xml)
}

/// The `<interface>` element of an interface, without the file around it: what an `Introspect` reply
/// puts into its own `<node>`. Without comments, so that a reply stays small.
pub fn element(interface: &str) -> Option<String> {
    let xml = without_comments(of(interface)?);
    let begin = xml.find("<interface ")?;
    const CLOSE: &str = "</interface>";
    let end = xml.find(CLOSE)? + CLOSE.len();
    let lines = xml.get(begin..end)?.lines().map(str::trim_end).filter(|line| !line.is_empty());
    Some(lines.collect::<Vec<_>>().join("\n"))
}

fn without_comments(xml: &str) -> String {
    let mut text = String::new();
    let mut rest = xml;
    while let Some((before, comment)) = rest.split_once("<!--") {
        text.push_str(before);
        rest = comment.split_once("-->").map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text
}
