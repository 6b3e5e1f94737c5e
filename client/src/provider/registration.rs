//! Being registered, and staying so over restarts of the arbiter.
//!
//! Owns what is told to an arbiter that came back, and in which order: the registration, what it has
//! not heard, and only then answers and new reports.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use callarbiter_dbus::{
    Action, Configuration, ErrorKind, Fields, limits, proxies::ProviderProxy, words::Authorization,
};
use tokio::sync::{RwLock, watch};
use zbus::{ObjectPath, OwnedObjectPath};

use super::{Delegate, Inner, Provider, answers::Answer, lock, reports::NotTaken, serve::Server};
use crate::{
    Connection, Error, Result,
    connection::Repeat,
    presence::{Arbiter, Loss, Presence},
};

/// How long a report waits for an arbiter that is being started again.
pub(super) const ATTACHES_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait after the arbiter refused a registration, at first and at most.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);
const AFTER_REFUSALS: Duration = Duration::from_secs(30);

/// Whether the arbiter knows this provider.
#[derive(Clone, Debug)]
pub(super) enum Registration {
    /// It is away, or has not been told yet.
    Detached,
    Attached(Attachment),
    /// For good; why.
    Over(Arc<str>),
}

/// The arbiter that knows this provider, and its object there.
#[derive(Clone, Debug)]
pub(super) struct Attachment {
    arbiter: Arbiter,
    path: OwnedObjectPath,
}

impl Attachment {
    pub async fn provider(&self) -> zbus::Result<ProviderProxy<'static>> {
        self.arbiter.owner.provider(&self.path).await
    }

    async fn unregister(&self) -> zbus::Result<()> {
        self.provider().await?.unregister().await
    }
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
            last: Mutex::default(),
            telling: RwLock::default(),
            authorization: watch::Sender::new(Authorization::NotDetermined),
            tasks: Mutex::default(),
        });
        let delegate = Arc::new(delegate);
        let server = Server::new(Arc::downgrade(&inner), delegate.clone());
        lock(&inner.tasks).push(tokio::spawn(server.run(calls)).abort_handle());
        let provider = Provider { inner };
        let (arbiter, _) = provider.attach(None).await?;
        let keeper =
            keep_attached(Arc::downgrade(&provider.inner), connection.clone(), arbiter, delegate);
        lock(&provider.inner.tasks).push(tokio::spawn(keeper).abort_handle());
        Ok(provider)
    }

    /// Answers a request, for as long as it takes to have an arbiter that hears it. One that lost its
    /// state is told what was done instead.
    pub(super) async fn answer(&self, request: &str, answer: &Answer, actions: &[Action]) {
        loop {
            let Ok(attachment) = self.attachment().await else { return };
            match Loss::or_error(send_answer(&attachment, request, answer).await) {
                Ok(Some(())) => return,
                Ok(None) => self.detached_from(&attachment).await,
                Err(error) if error.kind() == Some(ErrorKind::InvalidArgument) => {
                    return self.report_outcome(actions).await;
                }
                Err(error) => {
                    // A word that came too late, for example.
                    tracing::debug!(%request, kind = ?error.kind(), "an answer was refused");
                    return;
                }
            }
        }
    }

    /// The arbiter that knows this provider, once one does.
    pub(super) async fn attachment(&self) -> Result<Attachment> {
        let mut registration = self.inner.registration.subscribe();
        let known = registration
            .wait_for(|registration| !matches!(registration, Registration::Detached))
            .await
            .map_err(|_| Error::Closed)?;
        match &*known {
            Registration::Attached(attachment) => Ok(attachment.clone()),
            Registration::Over(why) => Err(Error::Unregistered(why.to_string())),
            Registration::Detached => Err(Error::ArbiterGone),
        }
    }

    /// Waits until that arbiter is no longer the one that knows it.
    pub(super) async fn detached_from(&self, attachment: &Attachment) {
        let is_there = |registration: &Registration| {
            matches!(registration, Registration::Attached(now)
                if now.arbiter.owner == attachment.arbiter.owner)
        };
        let mut registration = self.inner.registration.subscribe();
        // The sender lives as long as this provider.
        let _ = registration.wait_for(|registration| !is_there(registration)).await;
    }

    /// Registers with the arbiter that is there now; `before` is the one that knew it last.
    async fn attach(&self, before: Option<&Arbiter>) -> Result<(Arbiter, Vec<NotTaken>)> {
        let Inner { connection, app_id, delegate, .. } = &*self.inner;
        let arbiter = connection.reach().await?;
        let configuration = lock(&self.inner.configuration).to_dict();
        let manager = arbiter.owner.manager().await?;
        let (path, state) = manager.register_provider(app_id, delegate, &configuration).await?;
        if let Ok(Some(word)) = Fields::trusted(&state).any_text("authorization") {
            self.set_authorization(word.into());
        }
        let attachment = Attachment { arbiter: arbiter.clone(), path };
        let _telling = self.inner.telling.write().await;
        if let Some(before) = before {
            if !before.carries_on_as(&arbiter) {
                self.ledger().forgotten();
            } else if !before.owner.met_like(&arbiter.owner) {
                // It may have given up on the calls of a connection that was gone.
                self.ledger().doubt_all_but(&[]);
            }
        }
        let not_taken = self.tell_all(&attachment).await?;
        *lock(&self.inner.last) = Some(attachment.clone());
        self.inner.registration.send_replace(Registration::Attached(attachment));
        Ok((arbiter, not_taken))
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
        connection.left(&arbiter.owner).await;
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
            Ok((new, not_taken)) => {
                (arbiter, pause) = (new, AFTER_REFUSAL);
                if provider.authorization() != allowed {
                    delegate.authorization_changed(provider.authorization()).await;
                }
                for (call, error) in not_taken {
                    delegate.not_taken(call, error).await;
                }
            }
            Err(Error::ArbiterGone) => {
                drop(provider);
                let present = connection.presence().borrow().clone();
                if let Presence::Here(owner) = present {
                    // Not at once again while the bus still names an owner that does not answer.
                    let _ = tokio::time::timeout(pause, connection.left(&owner)).await;
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

/// Unregisters there. One that lost its state has forgotten the provider by itself.
pub(super) async fn leave(connection: &Connection, last: Attachment) -> Result<()> {
    let known = connection.presence().borrow().clone();
    if known == Presence::Here(last.arbiter.owner.clone())
        && Loss::or_error(last.unregister().await)?.is_some()
    {
        return Ok(());
    }
    if !last.arbiter.carries_on_as(&connection.reach().await?) {
        return Ok(());
    }
    let mut attempts = connection.attempts(Repeat::Knowing(Some(last.arbiter)));
    loop {
        let next = Attachment { arbiter: attempts.next().await?, path: last.path.clone() };
        match attempts.answered(next.unregister().await).await {
            Ok(None) => {}
            Err(error) if error.kind() == Some(ErrorKind::UnknownProvider) => return Ok(()),
            answer => return answer.map(drop),
        }
    }
}

async fn send_answer(attachment: &Attachment, request: &str, answer: &Answer) -> zbus::Result<()> {
    let arbiter = attachment.provider().await?;
    match answer {
        Answer::Fulfilled(results) => arbiter.fulfil(request, results).await,
        Answer::Failed(error) => {
            arbiter.fail(request, error.code.as_str(), &sentence(&error.message)).await
        }
    }
}

/// A sentence as the contract allows it.
pub(crate) fn sentence(text: &str) -> String {
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
