//! Providing calls: the app's side of the arbiter.
//!
//! Owns the registration and the reports. What the arbiter asks of the app is served in
//! [`serve`]; staying registered is [`registration`].

mod answers;
mod ask;
mod builder;
mod delegate;
mod lanes;
mod ledger;
mod registration;
mod request;
mod serve;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use callarbiter_dbus::{
    CallUpdate, Configuration, EndDetails, StateDetails,
    names::{CallPath, Object},
    words::{Authorization, CallState, Direction, EndReason},
};
use tokio::{sync::watch, task::AbortHandle};
use uuid::Uuid;
use zbus::OwnedObjectPath;

pub use builder::ProviderBuilder;
pub use delegate::{Delegate, Performed};
pub use request::Request;

use crate::{Connection, Error, Result};
use ledger::{Ledger, LiveCall, OwedEnd};
use registration::Registration;

/// A registered app.
///
/// It stays registered over restarts of the arbiter, until [`Provider::unregister`] or until the last
/// clone is dropped; cheap to clone.
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
    pub async fn report_incoming(&self, call: Uuid, update: CallUpdate) -> Result<CallPath> {
        let (direction, state) = (Direction::Incoming, CallState::Ringing);
        let dict = update.to_dict();
        let uuid = call.to_string();
        self.report(call, LiveCall { direction, state, update }, async |arbiter| {
            Ok(arbiter.report_incoming_call(&uuid, &dict).await?)
        })
        .await
    }

    /// Reports a call that is already under way: placed or answered without being asked.
    pub async fn report_call(
        &self,
        call: Uuid,
        direction: Direction,
        state: CallState,
        update: CallUpdate,
    ) -> Result<CallPath> {
        let dict = update.to_dict();
        let uuid = call.to_string();
        let words = (direction.to_string(), state.to_string());
        self.report(call, LiveCall { direction, state, update }, async |arbiter| {
            Ok(arbiter.report_call(&uuid, &words.0, &words.1, &dict).await?)
        })
        .await
    }

    /// Reports new details of a call; what is not given stays.
    pub async fn update_call(&self, call: Uuid, update: CallUpdate) -> Result<()> {
        self.attached().await?.update_call(&call.to_string(), &update.to_dict()).await?;
        self.ledger().updated(call, &update);
        Ok(())
    }

    /// Reports that a call is `alerting`, `connecting`, `active` or `held` now.
    ///
    /// While the arbiter is away this is remembered, and told when it is back.
    pub async fn report_state(&self, call: Uuid, state: CallState) -> Result<()> {
        use CallState::{Active, Alerting, Connecting, Held};
        if matches!(state, Alerting | Connecting | Active | Held) {
            self.ledger().is_in(call, state.clone());
        }
        self.report_details(call, state.as_str(), StateDetails::default()).await
    }

    /// Reports that the far end holds the call, or no longer does.
    pub async fn report_remote_held(&self, call: Uuid, held: bool) -> Result<()> {
        self.report_details(call, "", StateDetails { remote_held: Some(held) }).await
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
        self.attached().await?.update_configuration(&change.to_dict()).await?;
        registration::merge(&mut lock(&self.inner.configuration), change);
        Ok(())
    }

    /// Whether the user allows this app to provide calls, as last heard; changes are told to
    /// [`Delegate::authorization_changed`].
    pub fn authorization(&self) -> Authorization {
        self.inner.authorization.borrow().clone()
    }

    /// Asks the user, where that is still open; the answer so far is returned at once.
    pub async fn request_authorization(&self) -> Result<Authorization> {
        let word = self.attached().await?.request_authorization().await?;
        let authorization = Authorization::from(&*word);
        self.set_authorization(authorization.clone());
        Ok(authorization)
    }

    /// The live calls, as far as reported and performed.
    pub fn calls(&self) -> Vec<(Uuid, CallState)> {
        self.ledger().live()
    }

    /// Whether the arbiter is there and knows this provider.
    pub fn is_attached(&self) -> bool {
        matches!(*self.inner.registration.borrow(), Registration::Attached { .. })
    }

    /// The connection that it is registered on.
    pub fn connection(&self) -> &Connection {
        &self.inner.connection
    }

    /// Leaves; live calls end as `failed`.
    pub async fn unregister(self) -> Result<()> {
        let arbiter = self.attached().await;
        self.inner.registration.send_replace(Registration::Over("it was unregistered".into()));
        self.inner.stop();
        Ok(arbiter?.unregister().await?)
    }

    async fn report(
        &self,
        call: Uuid,
        live: LiveCall,
        send: impl AsyncFnOnce(
            callarbiter_dbus::proxies::ProviderProxy<'static>,
        ) -> Result<OwnedObjectPath>,
    ) -> Result<CallPath> {
        let arbiter = self.attached().await?;
        // First, since the arbiter may ask something about it before its answer is read here.
        let new = self.ledger().reported(call, live);
        match send(arbiter).await.map(|path| Object::parse(path.as_str())) {
            Ok(Some(Object::Call(path))) => Ok(path),
            Ok(_) => Err(Error::Unreadable("a report was answered by what is no call".into())),
            Err(error) => {
                if new {
                    self.ledger().ended(call);
                }
                Err(error)
            }
        }
    }

    async fn report_details(&self, call: Uuid, state: &str, details: StateDetails) -> Result<()> {
        let Some(arbiter) = self.attached_now().await? else { return Ok(()) };
        match arbiter.report_state(&call.to_string(), state, &details.to_dict()).await {
            Ok(()) => Ok(()),
            Err(error) => match Error::from(error) {
                Error::ArbiterGone => Ok(()),
                error => Err(error),
            },
        }
    }

    async fn end(&self, call: Uuid, reason: EndReason, details: EndDetails) -> Result<()> {
        self.ledger().ended(call);
        let sent = match self.attached_now().await? {
            None => Err(Error::ArbiterGone),
            Some(arbiter) => arbiter
                .report_ended(&call.to_string(), reason.as_str(), &details.to_dict())
                .await
                .map_err(Error::from),
        };
        match sent {
            Err(Error::ArbiterGone) => {
                self.ledger().owe(OwedEnd { call, reason, details });
                Ok(())
            }
            sent => sent,
        }
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
        let Registration::Attached { path, .. } = self.registration.borrow().clone() else {
            return;
        };
        let connection = self.connection.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // An arbiter that is gone has no provider to forget.
                if let Ok(arbiter) = connection.provider(&path).await {
                    let _ = arbiter.unregister().await;
                }
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
