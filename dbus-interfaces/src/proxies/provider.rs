//! The interface of a provider object, for the app that it belongs to.

use zbus::{OwnedObjectPath, proxy};

use crate::Dict;

/// `org.callarbiter.Calls1.Provider`.
#[proxy(
    interface = "org.callarbiter.Calls1.Provider",
    default_service = "org.callarbiter.Calls1",
    assume_defaults = false
)]
pub trait Provider {
    /// A call comes in; see [`crate::CallUpdate`].
    fn report_incoming_call(&self, uuid: &str, update: &Dict) -> zbus::Result<OwnedObjectPath>;

    /// An outgoing or already live call is there.
    fn report_call(
        &self,
        uuid: &str,
        direction: &str,
        state: &str,
        update: &Dict,
    ) -> zbus::Result<OwnedObjectPath>;

    /// Details of a call changed.
    fn update_call(&self, uuid: &str, update: &Dict) -> zbus::Result<()>;

    /// A call is in this state now; see [`crate::StateDetails`].
    fn report_state(&self, uuid: &str, state: &str, details: &Dict) -> zbus::Result<()>;

    /// A call is over; see [`crate::EndDetails`].
    fn report_ended(&self, uuid: &str, reason: &str, details: &Dict) -> zbus::Result<()>;

    /// A request was carried out.
    fn fulfil(&self, request: &str, results: &Dict) -> zbus::Result<()>;

    /// A request could not be carried out.
    fn fail(&self, request: &str, error: &str, message: &str) -> zbus::Result<()>;

    /// A request takes longer.
    fn progress(&self, request: &str, extend_ms: u32) -> zbus::Result<()>;

    /// Only the keys given change; see [`crate::Configuration`].
    fn update_configuration(&self, configuration: &Dict) -> zbus::Result<()>;

    /// Whether the app may provide calls; asks the user where that is still open.
    fn request_authorization(&self) -> zbus::Result<String>;

    /// Leaves; live calls end as `failed`.
    fn unregister(&self) -> zbus::Result<()>;

    /// The app.
    #[zbus(property(emits_changed_signal = "false"))]
    fn app_id(&self) -> zbus::Result<String>;

    /// See [`crate::words::AppIdSource`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn app_id_source(&self) -> zbus::Result<String>;

    /// Which of several of the app.
    #[zbus(property(emits_changed_signal = "false"))]
    fn instance(&self) -> zbus::Result<String>;

    /// Its name for people.
    #[zbus(property(emits_changed_signal = "false"))]
    fn display_name(&self) -> zbus::Result<String>;

    /// See [`crate::words::Authorization`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn authorization(&self) -> zbus::Result<String>;

    /// See [`crate::Configuration`].
    #[zbus(property(emits_changed_signal = "false"))]
    fn configuration(&self) -> zbus::Result<Dict>;

    /// Its app is on the bus.
    #[zbus(property(emits_changed_signal = "false"))]
    fn attached(&self) -> zbus::Result<bool>;

    /// It keeps its deadlines.
    #[zbus(property(emits_changed_signal = "false"))]
    fn responsive(&self) -> zbus::Result<bool>;

    /// The user's revision when this object last changed.
    #[zbus(property(emits_changed_signal = "false"))]
    fn revision(&self) -> zbus::Result<u64>;
}
