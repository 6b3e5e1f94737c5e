//! The interfaces of the root object.

use std::collections::HashMap;

use zbus::{ObjectPath, OwnedFd, OwnedObjectPath, proxy};

use super::Objects;
use crate::{Dict, Entries};

/// `org.callarbiter.Calls1.Manager`.
#[proxy(
    interface = "org.callarbiter.Calls1.Manager",
    default_service = "org.callarbiter.Calls1",
    default_path = "/org/callarbiter/Calls1"
)]
pub trait Manager {
    /// The snapshot, and from its revision on every change. Options: none yet.
    fn subscribe(&self, options: &Dict) -> zbus::Result<(u64, Objects)>;

    /// No more signals.
    fn unsubscribe(&self) -> zbus::Result<()>;

    /// Registers an app that carries calls; its delegate is an object of the calling connection.
    fn register_provider(
        &self,
        app_id: &str,
        delegate: &ObjectPath<'_>,
        configuration: &Dict,
    ) -> zbus::Result<(OwnedObjectPath, Dict)>;

    /// Takes roles of an agent of the session.
    fn register_agent(
        &self,
        agent: &ObjectPath<'_>,
        roles: &[&str],
        options: &Dict,
    ) -> zbus::Result<Dict>;

    /// Begins a transaction; see [`crate::Action`], [`crate::TransactionOptions`].
    fn request_transaction(
        &self,
        actions: &Entries,
        options: &Dict,
    ) -> zbus::Result<OwnedObjectPath>;

    /// What a transaction would do; see [`crate::PlanStep`].
    fn plan_transaction(&self, actions: &Entries, options: &Dict) -> zbus::Result<Entries>;

    /// Why a call is what it is; see [`crate::Cause`].
    fn explain(&self, call: &str, options: &Dict) -> zbus::Result<Vec<Dict>>;

    /// The sound of its own that an app rings with; for holders of role `ui`.
    fn open_ringtone(&self, provider: &ObjectPath<'_>, options: &Dict) -> zbus::Result<OwnedFd>;

    /// Writes down what happens from now on, in signals `Recorded`.
    fn record(&self, options: &Dict) -> zbus::Result<()>;

    /// Places a call; see [`crate::StartOptions`].
    fn start_call(&self, handle: &str, options: &Dict) -> zbus::Result<OwnedObjectPath>;

    /// Says what the desktop shows; for the holder of role `dnd`.
    fn set_do_not_disturb(&self, enabled: bool, options: &Dict) -> zbus::Result<()>;

    /// Says what the user wants of their calls; for the holder of role `preferences`.
    fn set_preferences(&self, choices: &Dict, rules: &[Dict], options: &Dict) -> zbus::Result<()>;

    /// Says what the user decided about an app; for the holder of role `consent`.
    fn set_authorization(&self, app_id: &str, authorization: &str) -> zbus::Result<()>;

    /// The apps about which somebody decided, and those that are registered; see [`crate::App`].
    fn list_apps(&self, options: &Dict) -> zbus::Result<Vec<Dict>>;

    /// Says all that the user decided about apps; for the holder of role `consent`. See [`crate::AppWord`].
    fn set_apps(&self, apps: &[Dict], options: &Dict) -> zbus::Result<()>;

    /// Says where the sound can go, and where it goes; for the holder of role `audio`. See
    /// [`crate::Endpoint`].
    fn set_endpoints(&self, endpoints: &[Dict], current: &str) -> zbus::Result<()>;

    /// Says which calls the user erased, by the ids of their records; for the holder of role `history`.
    fn forget_calls(&self, ids: &[&str], options: &Dict) -> zbus::Result<()>;

    /// Says that an app streams without having the audio; for the holder of role `audio`.
    fn report_violation(&self, provider: &ObjectPath<'_>, kind: &str) -> zbus::Result<()>;

    /// Answers what an agent was asked; see [`crate::AgentAnswer`].
    fn agent_reply(&self, request: &str, answer: &Dict) -> zbus::Result<()>;

    /// This subscriber did not keep up and gets nothing more until it subscribes again.
    #[zbus(signal)]
    fn resync_needed(&self, revision: u64) -> zbus::Result<()>;

    /// Another agent took the role.
    #[zbus(signal)]
    fn role_lost(&self, role: &str) -> zbus::Result<()>;

    /// Whoever had the role is gone, and nobody has it.
    #[zbus(signal)]
    fn role_free(&self, role: &str) -> zbus::Result<()>;

    /// Lines of a recording, in the arbiter's own form.
    #[zbus(signal)]
    fn recorded(&self, number: u64, lines: Vec<Vec<u8>>) -> zbus::Result<()>;

    /// Something that the user should hear of; see [`crate::words::NoticeKind`].
    #[zbus(signal)]
    fn notice(
        &self,
        kind: &str,
        call: ObjectPath<'_>,
        message: &str,
        revision: u64,
    ) -> zbus::Result<()>;

    /// The arbiter's version.
    #[zbus(property(emits_changed_signal = "false"))]
    fn version(&self) -> zbus::Result<String>;

    /// Different after every start that lost state: numbers and paths begin anew.
    #[zbus(property(emits_changed_signal = "false"))]
    fn epoch(&self) -> zbus::Result<String>;

    /// What this version understands.
    #[zbus(property(emits_changed_signal = "false"))]
    fn features(&self) -> zbus::Result<Vec<String>>;

    /// The bounds; see [`crate::limits::PUBLISHED`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn limits(&self) -> zbus::Result<HashMap<String, u32>>;

    /// How much of the bounds this user uses.
    #[zbus(property(emits_changed_signal = "false"))]
    fn usage(&self) -> zbus::Result<HashMap<String, u32>>;

    /// Counts this user's visible changes.
    #[zbus(property(emits_changed_signal = "false"))]
    fn revision(&self) -> zbus::Result<u64>;
}

/// `org.callarbiter.Calls1.AudioSession`.
#[proxy(
    interface = "org.callarbiter.Calls1.AudioSession",
    default_service = "org.callarbiter.Calls1",
    default_path = "/org/callarbiter/Calls1"
)]
pub trait AudioSession {
    /// Chooses where the sound goes.
    fn select_endpoint(&self, endpoint: &str) -> zbus::Result<()>;

    /// The group that has the audio; `/` for none.
    #[zbus(property(emits_changed_signal = "false"))]
    fn holder(&self) -> zbus::Result<OwnedObjectPath>;

    /// See [`crate::words::AudioPhase`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn phase(&self) -> zbus::Result<String>;

    /// Counts the grants.
    #[zbus(property(emits_changed_signal = "false"))]
    fn generation(&self) -> zbus::Result<u64>;

    /// When this phase began, µs since the epoch.
    #[zbus(property(emits_changed_signal = "false"))]
    fn since(&self) -> zbus::Result<u64>;

    /// The session's agent makes others keep quiet.
    #[zbus(property(emits_changed_signal = "false"))]
    fn enforced(&self) -> zbus::Result<bool>;

    /// Where the sound can go.
    #[zbus(property(emits_changed_signal = "false"))]
    fn endpoints(&self) -> zbus::Result<Vec<Dict>>;

    /// Where the sound goes.
    #[zbus(property(emits_changed_signal = "false"))]
    fn endpoint(&self) -> zbus::Result<String>;

    /// The user's revision when this object last changed.
    #[zbus(property(emits_changed_signal = "false"))]
    fn revision(&self) -> zbus::Result<u64>;
}
