//! What an app says about itself before it registers.

use std::os::fd::OwnedFd;

use callarbiter_dbus::{
    Configuration, Ringtone,
    words::{HoldModel, Records, Ringer},
};

use super::{Delegate, Provider};
use crate::{Connection, Result};

/// An app that is about to register.
#[derive(Clone, Debug)]
#[must_use = "nothing is registered before `register`"]
pub struct ProviderBuilder {
    app_id: String,
    configuration: Configuration,
}

impl ProviderBuilder {
    pub(super) fn new(app_id: String) -> Self {
        ProviderBuilder { app_id, configuration: Configuration::default() }
    }

    /// Its name for people.
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.configuration.display_name = Some(name.into());
        self
    }

    /// An icon of the icon theme.
    pub fn icon(mut self, name: impl Into<String>) -> Self {
        self.configuration.icon = Some(name.into());
        self
    }

    /// A ringtone of the sound theme.
    pub fn ringtone(mut self, name: impl Into<String>) -> Self {
        self.configuration.ringtone = Some(Ringtone::Theme(name.into()));
        self
    }

    /// A ringtone of its own instead: Ogg Vorbis or WAV, in a memfd with the seals `F_SEAL_WRITE`,
    /// `F_SEAL_SHRINK` and `F_SEAL_GROW`, of at most 4 MiB. An arbiter that was
    /// started again gets it again.
    pub fn ringtone_file(mut self, memfd: impl Into<OwnedFd>) -> Self {
        self.configuration.ringtone = Some(Ringtone::File(memfd.into().into()));
        self
    }

    /// Why it wants to provide calls; shown when the user is asked.
    pub fn usage_description(mut self, text: impl Into<String>) -> Self {
        self.configuration.usage_description = Some(text.into());
        self
    }

    /// The schemes of handles that it can call: `tel`, `sip` …
    pub fn schemes<S: Into<String>>(mut self, schemes: impl IntoIterator<Item = S>) -> Self {
        self.configuration.supported_schemes = Some(schemes.into_iter().map(Into::into).collect());
        self
    }

    /// Its calls may have video.
    pub fn supports_video(mut self, supported: bool) -> Self {
        self.configuration.supports_video = Some(supported);
        self
    }

    /// How many groups of calls it can carry at once.
    pub fn maximum_call_groups(mut self, groups: u32) -> Self {
        self.configuration.maximum_call_groups = Some(groups);
        self
    }

    /// How many calls a group can have.
    pub fn maximum_calls_per_group(mut self, calls: u32) -> Self {
        self.configuration.maximum_calls_per_group = Some(calls);
        self
    }

    /// How its network holds calls.
    pub fn hold_model(mut self, model: HoldModel) -> Self {
        self.configuration.hold_model = Some(model);
        self
    }

    /// It wants the steps of one plan as a whole: [`Delegate::perform_transaction`].
    pub fn transactions(mut self, whole: bool) -> Self {
        self.configuration.transactions = Some(whole);
        self
    }

    /// What may be recorded of its calls.
    pub fn records(mut self, records: Records) -> Self {
        self.configuration.records = Some(records);
        self
    }

    /// Who rings for its calls.
    pub fn ringer(mut self, ringer: Ringer) -> Self {
        self.configuration.ringer = Some(ringer);
        self
    }

    /// Tells several of one app apart, for example the tabs of a browser.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.configuration.instance = Some(instance.into());
        self
    }

    /// Registers with the arbiter; from now on the delegate is asked.
    ///
    /// Registered does not mean that the user allowed it to provide calls:
    /// [`Provider::authorization`].
    pub async fn register(
        self,
        connection: &Connection,
        delegate: impl Delegate,
    ) -> Result<Provider> {
        Provider::register(connection, self.app_id, self.configuration, delegate).await
    }
}
