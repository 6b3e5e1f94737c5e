//! Staying on the bus.
//!
//! Owns the one task that reads, and what happens when the bus goes away: a system bus that is
//! restarted, a bus that dropped this program. The connection is made again for a while; to everybody
//! else that looks like an arbiter that left and came back. Nothing here knows what is sent.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use callarbiter_dbus::names::BUS_NAME;
use tokio::task::AbortHandle;
use zbus::{
    MessageStream, connection::Builder, fdo::DBusProxy, names::BusName, proxy::CacheProperties,
};

use crate::{
    Error, Result,
    presence::Bus,
    router::{Router, Routes, name_rule},
};

/// Longer than the 20 s after which the arbiter answers at the latest.
const REPLY_WITHIN: Duration = Duration::from_secs(25);

/// How long a bus may be away. Its socket is there again at once where systemd keeps it open.
const BUS_COMES_BACK_WITHIN: Duration = Duration::from_secs(30);

/// How long to wait before the bus is tried again.
const NEXT_TRY: Duration = Duration::from_millis(100);

/// Where the arbiter is.
pub(crate) enum Target {
    System,
    Session,
    Address(String),
}

/// The bus, as long as there is one.
pub(crate) struct Link {
    bus: Arc<Mutex<Bus>>,
    pub routes: Arc<Routes>,
    reader: AbortHandle,
}

impl Link {
    pub async fn new(target: Target) -> Result<Link> {
        let bus = target.connect(1).await?;
        // Before the first request, so that nothing that follows from it can be missed.
        let messages = MessageStream::from(&bus.connection);
        let routes = Arc::new(Routes::default());
        let keeper =
            Keeper { target, bus: Arc::new(Mutex::new(bus.clone())), routes: routes.clone() };
        let link = Link {
            bus: keeper.bus.clone(),
            routes: routes.clone(),
            reader: tokio::spawn(keeper.read(bus.clone(), messages)).abort_handle(),
        };
        find_arbiter(&bus, &routes).await?;
        Ok(link)
    }

    /// The present connection.
    pub fn bus(&self) -> Bus {
        lock(&self.bus).clone()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
        self.routes.closed();
    }
}

impl Target {
    async fn connect(&self, life: u64) -> Result<Bus> {
        let builder = match self {
            Target::System => Builder::system(),
            Target::Session => Builder::session(),
            Target::Address(address) => Builder::address(&**address),
        };
        let connection = builder.method_timeout(REPLY_WITHIN).build().await?;
        Ok(Bus { connection, life })
    }
}

struct Keeper {
    target: Target,
    bus: Arc<Mutex<Bus>>,
    routes: Arc<Routes>,
}

impl Keeper {
    async fn read(self, mut bus: Bus, messages: MessageStream) {
        Router::new(bus.clone(), self.routes.clone()).run(messages).await;
        loop {
            self.routes.left();
            tracing::debug!("the connection to the bus is lost");
            let again = self.connect_again(bus.life + 1);
            let Ok(next) = tokio::time::timeout(BUS_COMES_BACK_WITHIN, again).await else { break };
            bus = next;
            let messages = MessageStream::from(&bus.connection);
            *lock(&self.bus) = bus.clone();
            let find = async {
                if let Err(error) = find_arbiter(&bus, &self.routes).await {
                    tracing::warn!(%error, "the bus does not say who the call arbiter is");
                }
            };
            tokio::join!(Router::new(bus.clone(), self.routes.clone()).run(messages), find);
        }
        self.routes.closed();
    }

    async fn connect_again(&self, life: u64) -> Bus {
        loop {
            match self.target.connect(life).await {
                Ok(bus) => return bus,
                Err(error) => tracing::debug!(%error, "the bus is not back yet"),
            }
            tokio::time::sleep(NEXT_TRY).await;
        }
    }
}

/// Asks to be told of changes first and for the owner second: no change falls in between.
async fn find_arbiter(bus: &Bus, routes: &Routes) -> Result<()> {
    let driver =
        DBusProxy::builder(&bus.connection).cache_properties(CacheProperties::No).build().await?;
    driver.add_match_rule(name_rule()?).await.map_err(zbus::Error::from)?;
    let owner = driver.inner().call_method("GetNameOwner", &BusName::try_from(BUS_NAME)?).await;
    match owner.map(|reply| (reply.recv_position(), reply.body().deserialize::<String>())) {
        Ok((position, owner)) => routes.owner(bus, &owner?, position),
        Err(error) if matches!(Error::from(error.clone()), Error::ArbiterGone) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
