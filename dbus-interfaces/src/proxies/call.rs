//! The interface of a call object.

use zbus::{ObjectPath, OwnedObjectPath, proxy};

use crate::Dict;

/// `org.callarbiter.Calls1.Call`.
#[proxy(
    interface = "org.callarbiter.Calls1.Call",
    default_service = "org.callarbiter.Calls1",
    assume_defaults = false
)]
pub trait Call {
    /// Answers. Options: none yet.
    fn answer(&self, options: &Dict) -> zbus::Result<()>;

    /// Hangs up, declines or cancels. Options: `reason s`, `message s`.
    fn end(&self, options: &Dict) -> zbus::Result<()>;

    /// Holds.
    fn hold(&self) -> zbus::Result<()>;

    /// Resumes.
    fn unhold(&self) -> zbus::Result<()>;

    /// Mutes or unmutes the microphone.
    fn set_muted(&self, muted: bool) -> zbus::Result<()>;

    /// Plays tones.
    fn send_dtmf(&self, digits: &str) -> zbus::Result<()>;

    /// Turns video on or off.
    fn set_video(&self, video: bool) -> zbus::Result<()>;

    /// Joins the group of another call.
    fn join(&self, call: &ObjectPath<'_>) -> zbus::Result<()>;

    /// Leaves its group.
    fn leave(&self) -> zbus::Result<()>;

    /// Stops the ringing, not the call.
    fn silence(&self) -> zbus::Result<()>;

    /// The state changed; states that lasted no longer than a turn are told too.
    #[zbus(signal)]
    fn transition(&self, old: &str, new: &str, reason: &str, revision: u64) -> zbus::Result<()>;

    /// The UUID that its provider chose.
    #[zbus(property(emits_changed_signal = "false"))]
    fn id(&self) -> zbus::Result<String>;

    /// Who carries it.
    #[zbus(property(emits_changed_signal = "false"))]
    fn provider(&self) -> zbus::Result<OwnedObjectPath>;

    /// The app that carries it.
    #[zbus(property(emits_changed_signal = "false"))]
    fn app_id(&self) -> zbus::Result<String>;

    /// See [`crate::words::Direction`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn direction(&self) -> zbus::Result<String>;

    /// See [`crate::words::CallState`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn state(&self) -> zbus::Result<String>;

    /// Why it came to this state.
    #[zbus(property(emits_changed_signal = "false"))]
    fn reason(&self) -> zbus::Result<String>;

    /// The far end's address.
    #[zbus(property(emits_changed_signal = "false"))]
    fn remote_handle(&self) -> zbus::Result<String>;

    /// The far end's name, as the app claims it.
    #[zbus(property(emits_changed_signal = "false"))]
    fn display_name(&self) -> zbus::Result<String>;

    /// See [`crate::words::NameSource`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn name_source(&self) -> zbus::Result<String>;

    /// The entry of the user's address book.
    #[zbus(property(emits_changed_signal = "false"))]
    fn contact_id(&self) -> zbus::Result<String>;

    /// It has video.
    #[zbus(property(emits_changed_signal = "false"))]
    fn has_video(&self) -> zbus::Result<bool>;

    /// The microphone is muted, as the provider confirmed.
    #[zbus(property(emits_changed_signal = "false"))]
    fn muted(&self) -> zbus::Result<bool>;

    /// The session's agent silences the microphone too.
    #[zbus(property(emits_changed_signal = "false"))]
    fn mute_enforced(&self) -> zbus::Result<bool>;

    /// See [`crate::words::Holder`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn held_by(&self) -> zbus::Result<Vec<String>>;

    /// The far end holds it.
    #[zbus(property(emits_changed_signal = "false"))]
    fn remote_held(&self) -> zbus::Result<bool>;

    /// Its group; `/` while it rings.
    #[zbus(property(emits_changed_signal = "false"))]
    fn group(&self) -> zbus::Result<OwnedObjectPath>;

    /// See [`crate::words::Capability`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn capabilities(&self) -> zbus::Result<Vec<String>>;

    /// It rings behind another call.
    #[zbus(property(emits_changed_signal = "false"))]
    fn waiting(&self) -> zbus::Result<bool>;

    /// See [`crate::words::Silenced`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn silenced(&self) -> zbus::Result<String>;

    /// Its app is gone, for now.
    #[zbus(property(emits_changed_signal = "false"))]
    fn orphaned(&self) -> zbus::Result<bool>;

    /// An emergency call.
    #[zbus(property(emits_changed_signal = "false"))]
    fn emergency(&self) -> zbus::Result<bool>;

    /// The provider says that its media is encrypted.
    #[zbus(property(emits_changed_signal = "false"))]
    fn encrypted(&self) -> zbus::Result<bool>;

    /// µs since the epoch.
    #[zbus(property(emits_changed_signal = "false"))]
    fn created_at(&self) -> zbus::Result<u64>;

    /// When it was first active, µs since the epoch; 0 for never.
    #[zbus(property(emits_changed_signal = "false"))]
    fn connected_at(&self) -> zbus::Result<u64>;

    /// µs since the epoch; 0 while it lives.
    #[zbus(property(emits_changed_signal = "false"))]
    fn ended_at(&self) -> zbus::Result<u64>;

    /// See [`crate::words::EndReason`]; empty while it lives.
    #[zbus(property(emits_changed_signal = "false"))]
    fn end_reason(&self) -> zbus::Result<String>;

    /// Which rule, deadline or whose words ended it.
    #[zbus(property(emits_changed_signal = "false"))]
    fn end_detail(&self) -> zbus::Result<String>;

    /// When it stops ringing, µs since the epoch; 0 for never.
    #[zbus(property(emits_changed_signal = "false"))]
    fn ring_deadline(&self) -> zbus::Result<u64>;

    /// See [`crate::AnswerPlan`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn answer_plan(&self) -> zbus::Result<Dict>;

    /// The user's revision when this object last changed.
    #[zbus(property(emits_changed_signal = "false"))]
    fn revision(&self) -> zbus::Result<u64>;
}
