//! The connection to the bus that the arbiter is on.
//!
//! Owns the link: the bus, the one reader of its messages (`router`), and where the arbiter's objects
//! are reached. One connection carries any number of providers, controllers and event streams.

use std::{fmt, sync::Arc, time::Duration};

use callarbiter_dbus::{
    names::BUS_NAME,
    proxies::{ManagerProxy, ProviderProxy, TransactionProxy},
};
use tokio::sync::watch;
use zbus::{
    MessageStream, ObjectPath, connection::Builder, fdo::DBusProxy, names::BusName,
    proxy::CacheProperties,
};

use crate::{
    Error, Result,
    router::{Presence, Router, Routes, name_rule},
};

/// Longer than the 20 s after which the arbiter answers at the latest.
const REPLY_WITHIN: Duration = Duration::from_secs(25);

/// How long a request waits for an arbiter that left to come back.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(15);

/// A connection to the bus; cheap to clone.
///
/// It needs a tokio runtime, of either kind, and closes when the last provider, controller, event
/// stream and clone of it is gone.
#[derive(Clone)]
pub struct Connection {
    link: Arc<Link>,
}

struct Link {
    bus: zbus::Connection,
    routes: Arc<Routes>,
    router: tokio::task::AbortHandle,
    /// The last one that said its epoch.
    known: tokio::sync::Mutex<Option<Arbiter>>,
}

/// One run of the arbiter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arbiter {
    /// Its unique name.
    name: Arc<str>,
    /// The same in every run that kept its state.
    epoch: Arc<str>,
}

impl Arbiter {
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether that one knows what this one knew.
    pub fn carries_on_as(&self, successor: &Arbiter) -> bool {
        self.epoch == successor.epoch
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.router.abort();
    }
}

impl Connection {
    /// To the system bus, where the arbiter of a desktop is.
    pub async fn system() -> Result<Self> {
        Self::connect(Builder::system()).await
    }

    /// To the session bus.
    pub async fn session() -> Result<Self> {
        Self::connect(Builder::session()).await
    }

    /// To the bus with this name: `system`, `session`, or a D-Bus address such as
    /// `callarbiterd --bus embedded` prints.
    pub async fn open(bus: &str) -> Result<Self> {
        match bus {
            "system" => Self::system().await,
            "session" => Self::session().await,
            address => Self::connect(Builder::address(address)).await,
        }
    }

    async fn connect(builder: Builder<'_>) -> Result<Self> {
        let bus = builder.method_timeout(REPLY_WITHIN).build().await?;
        let routes = Arc::new(Routes::default());
        // Before the first request, so that nothing that follows from it can be missed.
        let messages = MessageStream::from(&bus);
        let router = tokio::spawn(Router::new(bus.clone(), routes.clone()).run(messages));
        let router = router.abort_handle();
        let connection =
            Connection { link: Arc::new(Link { bus, routes, router, known: Default::default() }) };
        connection.find_arbiter().await?;
        Ok(connection)
    }

    /// Asks to be told of changes first and for the owner second: no change falls in between.
    async fn find_arbiter(&self) -> Result<()> {
        let driver = DBusProxy::builder(&self.link.bus)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        driver.add_match_rule(name_rule()?).await.map_err(zbus::Error::from)?;
        let owner = driver.inner().call_method("GetNameOwner", &BusName::try_from(BUS_NAME)?).await;
        match owner.map(|reply| (reply.recv_position(), reply.body().deserialize::<String>())) {
            Ok((position, owner)) => self.link.routes.owner_was(owner?, position),
            Err(error) if matches!(Error::from(error.clone()), Error::ArbiterGone) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Whether an arbiter is on the bus now.
    pub fn has_arbiter(&self) -> bool {
        matches!(*self.presence().borrow(), Presence::Here(_))
    }

    /// Waits until an arbiter is on the bus. Fails when the connection closes.
    pub async fn arbiter(&self) -> Result<()> {
        self.owner().await.map(drop)
    }

    /// The unique name of the arbiter, once there is one.
    pub(crate) async fn owner(&self) -> Result<Arc<str>> {
        let mut presence = self.presence();
        match presence.wait_for(|presence| *presence != Presence::Gone).await.as_deref() {
            Ok(Presence::Here(owner)) => Ok(owner.clone()),
            _ => Err(Error::Closed),
        }
    }

    /// The arbiter that answers now; the bus starts one if it can.
    pub(crate) async fn reach(&self) -> Result<Arbiter> {
        let mut known = self.link.known.lock().await;
        if let Some(arbiter) = &*known
            && *self.presence().borrow() == Presence::Here(arbiter.name.clone())
        {
            return Ok(arbiter.clone());
        }
        let epoch = self.manager().await?.epoch().await?.into();
        let arbiter = Arbiter { name: self.owner().await?, epoch };
        *known = Some(arbiter.clone());
        Ok(arbiter)
    }

    /// Waits until this arbiter is gone, and then for the one that carries on where it left off.
    pub(crate) async fn after(&self, arbiter: &Arbiter) -> Result<Arbiter> {
        self.left(&arbiter.name).await;
        self.successor(arbiter).await
    }

    /// Whether a request that carries a token should be sent once more: the arbiter left before it
    /// answered, and another carries on. Waits for that one.
    pub(crate) async fn is_worth_repeating<T>(
        &self,
        arbiter: &Arbiter,
        answer: &Result<T>,
    ) -> Result<bool> {
        let lost = matches!(answer, Err(Error::ArbiterGone));
        if lost {
            self.successor(arbiter).await?;
        }
        Ok(lost)
    }

    /// The arbiter that carries on after this one.
    pub(crate) async fn successor(&self, arbiter: &Arbiter) -> Result<Arbiter> {
        let comes_back = async {
            self.left(&arbiter.name).await;
            self.owner().await?;
            self.reach().await
        };
        let next = tokio::time::timeout(COMES_BACK_WITHIN, comes_back).await;
        let next = next.map_err(|_| Error::ArbiterGone)??;
        if arbiter.carries_on_as(&next) { Ok(next) } else { Err(Error::ArbiterGone) }
    }

    /// Waits until the name is no longer owned by this one.
    pub(crate) async fn left(&self, name: &Arc<str>) {
        let here = Presence::Here(name.clone());
        // The sender lives as long as this connection.
        let _ = self.presence().wait_for(|now| *now != here).await;
    }

    pub(crate) fn presence(&self) -> watch::Receiver<Presence> {
        self.link.routes.presence()
    }

    pub(crate) fn routes(&self) -> &Arc<Routes> {
        &self.link.routes
    }

    pub(crate) async fn manager(&self) -> Result<ManagerProxy<'static>> {
        let builder = ManagerProxy::builder(&self.link.bus);
        Ok(builder.cache_properties(CacheProperties::No).build().await?)
    }

    pub(crate) async fn unsubscribe(&self) -> Result<()> {
        Ok(self.manager().await?.unsubscribe().await?)
    }

    pub(crate) async fn provider(&self, path: &ObjectPath<'_>) -> Result<ProviderProxy<'static>> {
        let builder = ProviderProxy::builder(&self.link.bus).path(path.to_owned());
        Ok(builder.cache_properties(CacheProperties::No).build().await?)
    }

    pub(crate) async fn transaction(
        &self,
        path: &ObjectPath<'_>,
    ) -> Result<TransactionProxy<'static>> {
        let builder = TransactionProxy::builder(&self.link.bus).path(path.to_owned());
        Ok(builder.cache_properties(CacheProperties::No).build().await?)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.link.bus.unique_name().map(|name| name.as_str());
        f.debug_tuple("Connection").field(&name).finish()
    }
}
