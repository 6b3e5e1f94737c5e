//! Who answers on the bus: one run of the arbiter, reached by its unique name.
//!
//! Owns the names. Unique names begin again when the bus itself is restarted, so each counts only with
//! the connection on which it was learned. What is asked of one run never reaches another: that is for
//! [`crate::Connection`] to decide.

use std::sync::Arc;

use callarbiter_dbus::{
    names::{BUS_NAME, MANAGER, ROOT_PATH},
    proxies::{AudioSessionProxy, ManagerProxy, ProviderProxy, TransactionProxy},
};
use zbus::{ObjectPath, OwnedVariant, names::UniqueName, proxy::CacheProperties};

use crate::{Error, Result};

/// One life of the connection to the bus.
#[derive(Clone)]
pub(crate) struct Bus {
    pub connection: zbus::Connection,
    /// Counts them.
    pub life: u64,
}

/// Who owns the arbiter's name.
#[derive(Clone)]
pub(crate) struct Owner {
    bus: Bus,
    name: Arc<str>,
}

/// Whether an arbiter is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Gone,
    Here(Owner),
    /// The connection is closed, and stays so.
    Closed,
}

/// One run of the arbiter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arbiter {
    pub owner: Owner,
    /// The same in every run that kept its state.
    epoch: Arc<str>,
}

impl Bus {
    pub fn owner(&self, name: &str) -> Owner {
        Owner { bus: self.clone(), name: name.into() }
    }

    /// Whoever owns the name now says its epoch; the bus starts an arbiter if it can.
    pub async fn arbiter(&self) -> zbus::Result<Arbiter> {
        let properties = Some("org.freedesktop.DBus.Properties");
        let asked = (MANAGER, "Epoch");
        let reply =
            self.connection.call_method(Some(BUS_NAME), ROOT_PATH, properties, "Get", &asked);
        let reply = reply.await?;
        let epoch: OwnedVariant = reply.body().deserialize()?;
        let epoch = String::try_from(epoch)?.into();
        let name = reply.header().sender().map_or("", |sender| sender.as_str()).into();
        Ok(Arbiter { owner: Owner { bus: self.clone(), name }, epoch })
    }
}

impl Owner {
    /// Whether a message that came in this life of the connection is its.
    pub fn sent(&self, life: u64, sender: &str) -> bool {
        self.bus.life == life && *self.name == *sender
    }

    /// Whether it was met on the same connection, so that it can tell who is who.
    pub fn met_like(&self, other: &Owner) -> bool {
        self.bus.life == other.bus.life
    }

    pub async fn manager(&self) -> zbus::Result<ManagerProxy<'static>> {
        ManagerProxy::builder(&self.bus.connection)
            .destination(self.destination()?)
            .cache_properties(CacheProperties::No)
            .build()
            .await
    }

    pub async fn audio_session(&self) -> zbus::Result<AudioSessionProxy<'static>> {
        AudioSessionProxy::builder(&self.bus.connection)
            .destination(self.destination()?)
            .cache_properties(CacheProperties::No)
            .build()
            .await
    }

    pub async fn provider(&self, path: &ObjectPath<'_>) -> zbus::Result<ProviderProxy<'static>> {
        ProviderProxy::builder(&self.bus.connection)
            .destination(self.destination()?)
            .path(path.to_owned())
            .cache_properties(CacheProperties::No)
            .build()
            .await
    }

    pub async fn transaction(
        &self,
        path: &ObjectPath<'_>,
    ) -> zbus::Result<TransactionProxy<'static>> {
        TransactionProxy::builder(&self.bus.connection)
            .destination(self.destination()?)
            .path(path.to_owned())
            .cache_properties(CacheProperties::No)
            .build()
            .await
    }

    fn destination(&self) -> zbus::Result<UniqueName<'static>> {
        UniqueName::try_from(self.name.to_string())
    }
}

impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        other.sent(self.bus.life, &self.name)
    }
}

impl Eq for Owner {}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in life {}", self.name, self.bus.life)
    }
}

impl Arbiter {
    /// Whether that one knows what this one knew.
    pub fn carries_on_as(&self, successor: &Arbiter) -> bool {
        self.epoch == successor.epoch
    }
}

/// What became of a request that got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It reached nobody.
    Undelivered,
    /// Perhaps it was carried out.
    InDoubt,
}

impl Loss {
    /// Whether this error is such a loss.
    pub fn of(error: &zbus::Error) -> Option<Loss> {
        use zbus::fdo::Error as Standard;
        match error {
            zbus::Error::FDO(standard) => match **standard {
                Standard::ServiceUnknown(_) | Standard::NameHasNoOwner(_) => {
                    Some(Loss::Undelivered)
                }
                Standard::NoReply(_) | Standard::Disconnected(_) => Some(Loss::InDoubt),
                _ => None,
            },
            zbus::Error::InputOutput(io) if io.kind() != std::io::ErrorKind::TimedOut => {
                Some(Loss::InDoubt)
            }
            _ => None,
        }
    }

    /// Whether the arbiter left, or the bus, before it answered; another refusal is the answer.
    pub fn or_error<T>(answer: zbus::Result<T>) -> Result<Option<T>> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if Loss::of(&error).is_some() => Ok(None),
            Err(error) => Err(Error::from(error)),
        }
    }
}
