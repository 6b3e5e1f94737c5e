//! The interfaces of the agent of a session, on the user's session bus.

use zbus::{Fd, OwnedFd, Variant, proxy};

use crate::Dict;

/// `org.callarbiter.Agent1.History`.
#[proxy(
    interface = "org.callarbiter.Agent1.History",
    default_service = "org.callarbiter.Agent1",
    default_path = "/org/callarbiter/Agent1"
)]
pub trait History {
    /// Calls that are over, the newest first; see [`crate::Record`].
    fn query(&self, filter: &Dict) -> zbus::Result<(Vec<Dict>, Dict)>;

    /// The causes of one of them; see [`crate::Cause`].
    fn explain(&self, id: &str) -> zbus::Result<Vec<Dict>>;

    /// Erases calls for good; how many.
    fn erase(&self, what: &Dict) -> zbus::Result<u32>;

    /// Whom the user calls often.
    fn favourites(&self) -> zbus::Result<Vec<Dict>>;

    /// Adds somebody to them.
    fn add_favourite(&self, handle: &str, options: &Dict) -> zbus::Result<()>;

    /// Takes somebody off them.
    fn remove_favourite(&self, handle: &str) -> zbus::Result<()>;

    /// The app through which somebody was talked to last; empty for none.
    fn last_provider(&self, handle: &str) -> zbus::Result<String>;
}

/// `org.callarbiter.Agent1.Lists`.
#[proxy(
    interface = "org.callarbiter.Agent1.Lists",
    default_service = "org.callarbiter.Agent1",
    default_path = "/org/callarbiter/Agent1"
)]
pub trait Lists {
    /// What is on the lists, the newest first.
    fn entries(&self, filter: &Dict) -> zbus::Result<(Vec<Dict>, Dict)>;

    /// Puts somebody on a list, `block` or `allow`; the entry as it is kept.
    fn add(&self, list: &str, address: &str, options: &Dict) -> zbus::Result<Dict>;

    /// Takes an entry off a list.
    fn remove(&self, list: &str, address: &str, options: &Dict) -> zbus::Result<()>;

    /// Takes all entries off a list; how many.
    fn clear(&self, list: &str) -> zbus::Result<u32>;

    /// Adds all entries of a file, or none.
    fn import(&self, file: Fd<'_>, options: &Dict) -> zbus::Result<Dict>;

    /// All entries, in memory to be read from its beginning.
    fn export(&self, options: &Dict) -> zbus::Result<(OwnedFd, Dict)>;

    /// What would happen to a call from somebody, and why.
    fn look_up(&self, handle: &str, options: &Dict) -> zbus::Result<Dict>;
}

/// `org.callarbiter.Agent1.Preferences`.
#[proxy(
    interface = "org.callarbiter.Agent1.Preferences",
    default_service = "org.callarbiter.Agent1",
    default_path = "/org/callarbiter/Agent1"
)]
pub trait AgentPreferences {
    /// What the arbiter took last: for every call, rule by rule, and about the file.
    fn read(&self) -> zbus::Result<(Dict, Vec<Dict>, Dict)>;

    /// Chooses for every call.
    fn set(&self, key: &str, value: &Variant<'_>) -> zbus::Result<()>;

    /// As if it had never been chosen.
    fn unset(&self, key: &str) -> zbus::Result<()>;
}

/// `org.callarbiter.Agent1.Apps`.
#[proxy(
    interface = "org.callarbiter.Agent1.Apps",
    default_service = "org.callarbiter.Agent1",
    default_path = "/org/callarbiter/Agent1"
)]
pub trait AgentApps {
    /// The apps about which somebody decided, and those that are registered.
    fn list(&self) -> zbus::Result<Vec<Dict>>;

    /// Decides as the user: `authorized`, `denied`, or `not-determined` to be asked again.
    fn set_authorization(&self, app_id: &str, authorization: &str) -> zbus::Result<()>;

    /// Decides as the user about `control` or `place-call`, in the same words.
    fn set_permission(
        &self,
        app_id: &str,
        permission: &str,
        authorization: &str,
    ) -> zbus::Result<()>;
}
