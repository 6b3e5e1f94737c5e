//! Being registered, and staying so over restarts of the arbiter.
//!
//! Owns what is told to an arbiter that came back, and in which order: the registration, what ended
//! while it was away, and only then answers and reports.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use callarbiter_dbus::{
    Configuration, Fields, limits,
    proxies::ProviderProxy,
    words::{Authorization, CallState, Direction},
};
use tokio::sync::watch;
use zbus::{ObjectPath, OwnedObjectPath};

use super::{Delegate, Inner, Ledger, LiveCall, Provider, answers::Answer, lock, serve::Server};
use crate::{Connection, Error, Result, connection::Arbiter};

/// How long a report waits for an arbiter that is being started again.
const ATTACHES_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait after the arbiter refused a registration, at first and at most.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);
const AFTER_REFUSALS: Duration = Duration::from_secs(30);

/// Whether the arbiter knows this provider.
#[derive(Clone, Debug)]
pub(super) enum Registration {
    /// It is away, or has not been told yet.
    Detached,
    Attached {
        arbiter: Arc<str>,
        path: OwnedObjectPath,
    },
    /// For good; why.
    Over(Arc<str>),
}

impl Provider {
    pub(super) async fn register<D: Delegate>(
        connection: &Connection,
        app_id: String,
        configuration: Configuration,
        delegate: D,
    ) -> Result<Provider> {
        let calls = connection.routes().delegate();
        let inner = Arc::new(Inner {
            connection: connection.clone(),
            app_id,
            delegate: ObjectPath::try_from(calls.path().to_owned())?.into(),
            configuration: Mutex::new(configuration),
            ledger: Mutex::default(),
            registration: watch::Sender::new(Registration::Detached),
            authorization: watch::Sender::new(Authorization::NotDetermined),
            tasks: Mutex::default(),
        });
        let delegate = Arc::new(delegate);
        let server = Server::new(Arc::downgrade(&inner), delegate.clone());
        lock(&inner.tasks).push(tokio::spawn(server.run(calls)).abort_handle());
        let provider = Provider { inner };
        let arbiter = provider.attach(None).await?;
        let keeper =
            keep_attached(Arc::downgrade(&provider.inner), connection.clone(), arbiter, delegate);
        lock(&provider.inner.tasks).push(tokio::spawn(keeper).abort_handle());
        Ok(provider)
    }

    /// The arbiter's object for this provider, once it is attached.
    pub(super) async fn attached(&self) -> Result<ProviderProxy<'static>> {
        let attached = tokio::time::timeout(ATTACHES_WITHIN, self.attachment()).await;
        let (_, path) = attached.map_err(|_| Error::ArbiterGone)??;
        self.inner.connection.provider(&path).await
    }

    /// The same, but only if it is attached.
    pub(super) async fn attached_now(&self) -> Result<Option<ProviderProxy<'static>>> {
        let registration = self.inner.registration.borrow().clone();
        match registration {
            Registration::Detached => Ok(None),
            Registration::Over(why) => Err(Error::Unregistered(why.to_string())),
            Registration::Attached { path, .. } => {
                self.inner.connection.provider(&path).await.map(Some)
            }
        }
    }

    /// Answers a request, for as long as it takes to have an arbiter that hears it.
    pub(super) async fn answer(&self, request: &str, answer: &Answer) {
        loop {
            let Ok((arbiter, path)) = self.attachment().await else { return };
            match self.send_answer(&path, request, answer).await {
                Ok(()) => return,
                Err(Error::ArbiterGone) => self.inner.connection.left(&arbiter).await,
                Err(error) => {
                    // A word that came too late, for example.
                    tracing::debug!(%request, kind = ?error.kind(), "an answer was refused");
                    return;
                }
            }
        }
    }

    async fn send_answer(
        &self,
        path: &ObjectPath<'_>,
        request: &str,
        answer: &Answer,
    ) -> Result<()> {
        let arbiter = self.inner.connection.provider(path).await?;
        match answer {
            Answer::Fulfilled(results) => arbiter.fulfil(request, results).await?,
            Answer::Failed(error) => {
                arbiter.fail(request, error.code.as_str(), &sentence(&error.message)).await?;
            }
        }
        Ok(())
    }

    async fn attachment(&self) -> Result<(Arc<str>, OwnedObjectPath)> {
        let mut registration = self.inner.registration.subscribe();
        let known = registration
            .wait_for(|registration| !matches!(registration, Registration::Detached))
            .await
            .map_err(|_| Error::Closed)?;
        match &*known {
            Registration::Attached { arbiter, path } => Ok((arbiter.clone(), path.clone())),
            Registration::Over(why) => Err(Error::Unregistered(why.to_string())),
            Registration::Detached => Err(Error::ArbiterGone),
        }
    }

    /// Registers with the arbiter that is there now; `before` is the one that knew it last.
    async fn attach(&self, before: Option<&Arbiter>) -> Result<Arbiter> {
        let Inner { connection, app_id, delegate, .. } = &*self.inner;
        let arbiter = connection.reach().await?;
        let configuration = lock(&self.inner.configuration).to_dict();
        let manager = connection.manager().await?;
        let (path, state) = manager.register_provider(app_id, delegate, &configuration).await?;
        if let Ok(Some(word)) = Fields::trusted(&state).any_text("authorization") {
            self.set_authorization(word.into());
        }
        let proxy = connection.provider(&path).await?;
        if before.is_some_and(|before| !before.carries_on_as(&arbiter)) {
            let calls = self.ledger().calls();
            report_all(&proxy, calls).await;
        }
        tell_owed(&proxy, &self.inner.ledger).await;
        let attached = Registration::Attached { arbiter: arbiter.name().clone(), path };
        self.inner.registration.send_replace(attached);
        Ok(arbiter)
    }
}

/// Registers again whenever the arbiter was away.
async fn keep_attached<D: Delegate>(
    provider: Weak<Inner>,
    connection: Connection,
    mut arbiter: Arbiter,
    delegate: Arc<D>,
) {
    let mut pause = AFTER_REFUSAL;
    loop {
        connection.left(arbiter.name()).await;
        let Some(inner) = provider.upgrade() else { return };
        inner.registration.send_replace(Registration::Detached);
        drop(inner);
        if connection.owner().await.is_err() {
            let Some(inner) = provider.upgrade() else { return };
            let closed = Registration::Over("the connection to the bus is closed".into());
            inner.registration.send_replace(closed);
            return;
        }
        let Some(provider) = provider.upgrade().map(Provider::from) else { return };
        let allowed = provider.authorization();
        match provider.attach(Some(&arbiter)).await {
            Ok(new) => {
                (arbiter, pause) = (new, AFTER_REFUSAL);
                if provider.authorization() != allowed {
                    delegate.authorization_changed(provider.authorization()).await;
                }
            }
            Err(error) => {
                drop(provider);
                tracing::warn!(kind = ?error.kind(), "could not register again with the call arbiter");
                tokio::time::sleep(pause).await;
                pause = AFTER_REFUSALS.min(pause * 2);
            }
        }
    }
}

/// Tells an arbiter that lost its state which calls there are. A call that it was asking to place is
/// left out: it has forgotten that as well.
async fn report_all(arbiter: &ProviderProxy<'_>, calls: Vec<(uuid::Uuid, LiveCall)>) {
    for (call, LiveCall { direction, state, update }) in calls {
        let (uuid, update) = (call.to_string(), update.to_dict());
        let reported = match (&direction, &state) {
            (Direction::Other(_), _) | (_, CallState::Starting) => continue,
            (_, CallState::Ringing) => arbiter.report_incoming_call(&uuid, &update).await,
            _ => arbiter.report_call(&uuid, direction.as_str(), state.as_str(), &update).await,
        };
        if let Err(error) = reported.map_err(Error::from) {
            tracing::warn!(%call, kind = ?error.kind(), "a live call could not be reported again");
        }
    }
}

/// Tells what ended while the arbiter was away.
async fn tell_owed(arbiter: &ProviderProxy<'_>, ledger: &Mutex<Ledger>) {
    let owed = lock(ledger).take_owed();
    for end in owed {
        let (uuid, details) = (end.call.to_string(), end.details.to_dict());
        let told = arbiter.report_ended(&uuid, end.reason.as_str(), &details).await;
        match told.map_err(Error::from) {
            Ok(()) => {}
            Err(Error::ArbiterGone) => lock(ledger).owe(end),
            Err(error) => {
                tracing::debug!(call = %end.call, kind = ?error.kind(), "an end was refused");
            }
        }
    }
}

/// A sentence as the contract allows it.
fn sentence(text: &str) -> String {
    let mut sentence = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if sentence.len() + c.len_utf8() > limits::MESSAGE_BYTES {
            break;
        }
        sentence.push(c);
    }
    sentence
}

/// Only the keys given change.
pub(super) fn merge(known: &mut Configuration, change: Configuration) {
    let old = std::mem::take(known);
    *known = Configuration {
        display_name: change.display_name.or(old.display_name),
        icon: change.icon.or(old.icon),
        ringtone: change.ringtone.or(old.ringtone),
        usage_description: change.usage_description.or(old.usage_description),
        supports_video: change.supports_video.or(old.supports_video),
        supported_schemes: change.supported_schemes.or(old.supported_schemes),
        maximum_call_groups: change.maximum_call_groups.or(old.maximum_call_groups),
        maximum_calls_per_group: change.maximum_calls_per_group.or(old.maximum_calls_per_group),
        hold_model: change.hold_model.or(old.hold_model),
        transactions: change.transactions.or(old.transactions),
        records: change.records.or(old.records),
        ringer: change.ringer.or(old.ringer),
        instance: old.instance,
    };
}
