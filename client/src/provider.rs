//! Providing calls: the app's side of the arbiter.
//!
//! Owns the words of the app and its ledger. How reports reach an arbiter that comes and goes is
//! [`reports`]; staying registered is [`registration`]; what the arbiter asks is served in [`serve`].

mod answers;
mod ask;
mod builder;
mod delegate;
mod lanes;
mod ledger;
mod registration;
mod reports;
mod request;
mod serve;
mod unsent;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use callarbiter_dbus::{
    CallUpdate, Configuration, EndDetails,
    names::CallPath,
    words::{Authorization, CallState, Direction, EndReason},
};
use tokio::{
    sync::{RwLock, watch},
    task::AbortHandle,
};
use uuid::Uuid;
use zbus::OwnedObjectPath;

pub(crate) use answers::Answers;
pub use builder::ProviderBuilder;
pub use delegate::{Delegate, Performed};
pub(crate) use registration::sentence;
pub use request::Request;

use crate::{Connection, Result};
use ledger::{Ledger, LiveCall};
use registration::{Attachment, Registration};
use unsent::Fact;

/// A registered app.
///
/// It stays registered over restarts of the arbiter and of the bus, until [`Provider::unregister`] or
/// until the last clone is dropped; cheap to clone.
///
/// Its calls go on while the arbiter is away. What is reported meanwhile is told when it is back, in
/// order, before anything else; of each call the latest word counts. An arbiter that lost its state hears
/// of all live calls again.
#[derive(Clone)]
#[must_use = "dropping a provider unregisters it"]
pub struct Provider {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    connection: Connection,
    app_id: String,
    delegate: OwnedObjectPath,
    configuration: Mutex<Configuration>,
    ledger: Mutex<Ledger>,
    registration: watch::Sender<Registration>,
    /// The arbiter that knew it last.
    last: Mutex<Option<Attachment>>,
    /// Reports are sent side by side; alone is who tells what was missed, or what there is.
    telling: RwLock<()>,
    authorization: watch::Sender<Authorization>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Provider {
    /// An app with this id, about to register: [`ProviderBuilder::register`].
    pub fn builder(app_id: impl Into<String>) -> ProviderBuilder {
        ProviderBuilder::new(app_id.into())
    }

    /// Reports an incoming call. `Ok` means that it rings or waits; any error means that nobody will
    /// hear of it, and its kind says what to tell the network ([`crate::ErrorKind::Busy`], a filter …).
    ///
    /// An arbiter that is away is waited for, for 5 s.
    pub async fn report_incoming(&self, call: Uuid, update: CallUpdate) -> Result<CallPath> {
        let live = LiveCall::new(Direction::Incoming, CallState::Ringing, update);
        self.report(call, live).await
    }

    /// Reports a call that is already under way: placed or answered without being asked.
    ///
    /// While the arbiter is away this is remembered, and told when it is back; the answer then is
    /// [`crate::Error::ArbiterGone`] after 5 s.
    pub async fn report_call(
        &self,
        call: Uuid,
        direction: Direction,
        state: CallState,
        update: CallUpdate,
    ) -> Result<CallPath> {
        self.report(call, LiveCall::new(direction, state, update)).await
    }

    /// Reports new details of a call; what is not given stays.
    ///
    /// While the arbiter is away this is remembered, and told when it is back.
    pub async fn update_call(&self, call: Uuid, update: CallUpdate) -> Result<()> {
        self.tell(call, Fact::Update(update.clone()), |ledger| ledger.updated(call, &update)).await
    }

    /// Reports that a call is `alerting`, `connecting`, `active` or `held` now.
    ///
    /// While the arbiter is away this is remembered, and told when it is back.
    pub async fn report_state(&self, call: Uuid, state: CallState) -> Result<()> {
        self.tell_state(call, state).await
    }

    /// Reports that the far end holds the call, or no longer does.
    ///
    /// While the arbiter is away this is remembered, and told when it is back.
    pub async fn report_remote_held(&self, call: Uuid, held: bool) -> Result<()> {
        self.tell(call, Fact::RemoteHeld(held), |ledger| ledger.remote_held(call, held)).await
    }

    /// Reports that a call is over.
    ///
    /// While the arbiter is away this is remembered, and told when it is back.
    pub async fn report_ended(&self, call: Uuid, reason: EndReason) -> Result<()> {
        self.end(call, reason, EndDetails::default()).await
    }

    /// Reports that a call is over, with the network's words.
    pub async fn report_ended_with(
        &self,
        call: Uuid,
        reason: EndReason,
        message: impl Into<String>,
    ) -> Result<()> {
        self.end(call, reason, EndDetails { message: Some(message.into()) }).await
    }

    /// Changes what the app says about itself; what is not given stays.
    pub async fn update_configuration(&self, change: Configuration) -> Result<()> {
        loop {
            let attachment = self.attachment_in_time().await?;
            let arbiter = attachment.provider().await?;
            let answer = arbiter.update_configuration(&change.to_dict()).await;
            if self.heard(&attachment, answer).await?.is_some() {
                registration::merge(&mut lock(&self.inner.configuration), change);
                return Ok(());
            }
        }
    }

    /// Whether the user allows this app to provide calls, as last heard; changes are told to
    /// [`Delegate::authorization_changed`].
    pub fn authorization(&self) -> Authorization {
        self.inner.authorization.borrow().clone()
    }

    /// Asks the user, where that is still open; the answer so far is returned at once.
    pub async fn request_authorization(&self) -> Result<Authorization> {
        loop {
            let attachment = self.attachment_in_time().await?;
            let answer = attachment.provider().await?.request_authorization().await;
            if let Some(word) = self.heard(&attachment, answer).await? {
                let authorization = Authorization::from(&*word);
                self.set_authorization(authorization.clone());
                return Ok(authorization);
            }
        }
    }

    /// The live calls, as far as reported and performed.
    pub fn calls(&self) -> Vec<(Uuid, CallState)> {
        self.ledger().live()
    }

    /// Whether the arbiter is there and knows this provider.
    pub fn is_attached(&self) -> bool {
        matches!(*self.inner.registration.borrow(), Registration::Attached(_))
    }

    /// The connection that it is registered on.
    pub fn connection(&self) -> &Connection {
        &self.inner.connection
    }

    /// Leaves; live calls end as `failed`. An arbiter that is away is told when it is back.
    pub async fn unregister(self) -> Result<()> {
        self.inner.registration.send_replace(Registration::Over("it was unregistered".into()));
        self.inner.stop();
        let last = lock(&self.inner.last).take();
        match last {
            Some(last) => registration::leave(&self.inner.connection, last).await,
            None => Ok(()),
        }
    }

    async fn end(&self, call: Uuid, reason: EndReason, details: EndDetails) -> Result<()> {
        self.tell(call, Fact::Ended(reason, details), |ledger| ledger.ended(call)).await
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.inner.ledger)
    }

    /// Whether it is news.
    fn set_authorization(&self, new: Authorization) -> bool {
        self.inner.authorization.send_if_modified(|known| {
            let is_new = *known != new;
            *known = new;
            is_new
        })
    }
}

impl Inner {
    fn stop(&self) {
        for task in lock(&self.tasks).drain(..) {
            task.abort();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
        let Some(last) = lock(&self.last).take() else { return };
        let connection = self.connection.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // An arbiter that is gone for good has no provider to forget.
                let _ = registration::leave(&connection, last).await;
            });
        }
    }
}

impl From<Arc<Inner>> for Provider {
    fn from(inner: Arc<Inner>) -> Self {
        Provider { inner }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("app_id", &self.inner.app_id).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
