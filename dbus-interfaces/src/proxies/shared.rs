//! The interfaces of what calls share: groups and transactions.

use zbus::{OwnedObjectPath, proxy};

use crate::Entries;

/// `org.callarbiter.Calls1.Group`.
#[proxy(
    interface = "org.callarbiter.Calls1.Group",
    default_service = "org.callarbiter.Calls1",
    assume_defaults = false
)]
pub trait Group {
    /// Its members.
    #[zbus(property(emits_changed_signal = "false"))]
    fn calls(&self) -> zbus::Result<Vec<OwnedObjectPath>>;

    /// Who carries them.
    #[zbus(property(emits_changed_signal = "false"))]
    fn provider(&self) -> zbus::Result<OwnedObjectPath>;

    /// The state of its members; see [`crate::words::CallState`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> zbus::Result<String>;

    /// It has the audio.
    #[zbus(property(emits_changed_signal = "false"))]
    fn audio(&self) -> zbus::Result<bool>;

    /// The user's revision when this object last changed.
    #[zbus(property(emits_changed_signal = "false"))]
    fn revision(&self) -> zbus::Result<u64>;
}

/// `org.callarbiter.Calls1.Transaction`.
#[proxy(
    interface = "org.callarbiter.Calls1.Transaction",
    default_service = "org.callarbiter.Calls1",
    assume_defaults = false
)]
pub trait Transaction {
    /// Stops it before its next step and undoes what can be undone.
    fn cancel(&self) -> zbus::Result<()>;

    /// All outcomes are known; see [`crate::ActionResult`].
    #[zbus(signal)]
    fn finished(&self, outcomes: Entries, revision: u64) -> zbus::Result<()>;

    /// See [`crate::words::TransactionState`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> zbus::Result<String>;

    /// See [`crate::words::Origin`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn origin(&self) -> zbus::Result<String>;

    /// See [`crate::ActionResult`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn actions(&self) -> zbus::Result<Entries>;

    /// µs since the epoch.
    #[zbus(property(emits_changed_signal = "false"))]
    fn created_at(&self) -> zbus::Result<u64>;

    /// The user's revision when this object last changed.
    #[zbus(property(emits_changed_signal = "false"))]
    fn revision(&self) -> zbus::Result<u64>;
}
