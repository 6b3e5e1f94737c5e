//! The connection to the bus that the arbiter is on.
//!
//! Owns what happens to a request that the arbiter, or the bus, did not live to answer: when it is sent
//! again, and to whom. One connection carries any number of providers, controllers and event streams;
//! staying on the bus is [`crate::link`].

use std::{fmt, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use crate::{
    Error, Result,
    link::{Link, Target},
    presence::{Arbiter, Loss, Owner, Presence},
    router::Routes,
};

/// How long a request waits for an arbiter that left to come back.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(15);

/// How often a request is sent at most: it may be what the arbiter dies of.
const TRIES: u32 = 5;

/// A connection to the bus; cheap to clone.
///
/// It needs a tokio runtime, of either kind, and closes when the last provider, controller, event
/// stream and clone of it is gone. When the bus is restarted it is made again, for up to 30 s; apps
/// notice no more of that than of a restart of the arbiter. If the bus stays away it is closed for
/// good: [`Connection::closed`].
#[derive(Clone)]
pub struct Connection {
    link: Arc<Link>,
    /// The last one that said its epoch.
    known: Arc<tokio::sync::Mutex<Option<Arbiter>>>,
}

/// Whether a request may be sent again to an arbiter that lost its state.
#[derive(Clone, Debug)]
pub(crate) enum Repeat {
    /// It changes nothing, or is the same whoever gets it.
    Freely,
    /// Its token means something only to those that know what this one knew; none: whoever gets it
    /// first.
    Knowing(Option<Arbiter>),
}

/// One request on its way to whoever answers it.
pub(crate) struct Attempts {
    connection: Connection,
    repeat: Repeat,
    left: u32,
    /// Who was asked last.
    arbiter: Option<Arbiter>,
}

impl Connection {
    /// To the system bus, where the arbiter of a desktop is.
    pub async fn system() -> Result<Self> {
        Self::connect(Target::System).await
    }

    /// To the session bus.
    pub async fn session() -> Result<Self> {
        Self::connect(Target::Session).await
    }

    /// To the bus with this name: `system`, `session`, or a D-Bus address such as
    /// `callarbiterd --bus embedded` prints.
    pub async fn open(bus: &str) -> Result<Self> {
        match bus {
            "system" => Self::system().await,
            "session" => Self::session().await,
            address => Self::connect(Target::Address(address.to_owned())).await,
        }
    }

    async fn connect(target: Target) -> Result<Self> {
        Ok(Connection { link: Arc::new(Link::new(target).await?), known: Arc::default() })
    }

    /// Whether an arbiter is on the bus now.
    pub fn has_arbiter(&self) -> bool {
        matches!(*self.presence().borrow(), Presence::Here(_))
    }

    /// Waits until an arbiter is on the bus. Fails when the connection closes.
    pub async fn arbiter(&self) -> Result<()> {
        self.owner().await.map(drop)
    }

    /// Waits until the bus is gone and did not come back. Providers are over then, event streams have
    /// ended, every request fails with [`Error::Closed`]; only a new connection helps.
    pub async fn closed(&self) {
        // The sender lives as long as this connection.
        let _ = self.presence().wait_for(|presence| *presence == Presence::Closed).await;
    }

    /// Who owns the arbiter's name, once somebody does.
    pub(crate) async fn owner(&self) -> Result<Owner> {
        let mut presence = self.presence();
        match presence.wait_for(|presence| *presence != Presence::Gone).await.as_deref() {
            Ok(Presence::Here(owner)) => Ok(owner.clone()),
            _ => Err(Error::Closed),
        }
    }

    /// The arbiter that answers now; the bus starts one if it can. One that was there before is waited
    /// for, one that never was is not.
    pub(crate) async fn reach(&self) -> Result<Arbiter> {
        let mut known = self.known.lock().await;
        if let Some(arbiter) = &*known
            && *self.presence().borrow() == Presence::Here(arbiter.owner.clone())
        {
            return Ok(arbiter.clone());
        }
        let was_there = known.is_some() || self.has_arbiter();
        let arbiter = self.identify(was_there).await?;
        *known = Some(arbiter.clone());
        Ok(arbiter)
    }

    async fn identify(&self, was_there: bool) -> Result<Arbiter> {
        let until = Instant::now() + COMES_BACK_WITHIN;
        let in_time = |_| Error::ArbiterGone;
        loop {
            if *self.presence().borrow() == Presence::Closed {
                return Err(Error::Closed);
            }
            let answer = self.link.bus().arbiter().await;
            let present = self.presence().borrow().clone();
            match Loss::or_error(answer)? {
                Some(arbiter) => {
                    let owner = tokio::time::timeout_at(until, self.owner()).await;
                    if owner.map_err(in_time)?? == arbiter.owner {
                        return Ok(arbiter);
                    }
                    // What tells of it has not been read yet, or it has left already: asked again.
                }
                None if !was_there => return Err(Error::ArbiterGone),
                None => {
                    if let Presence::Here(owner) = present {
                        tokio::time::timeout_at(until, self.left(&owner)).await.map_err(in_time)?;
                    }
                    tokio::time::timeout_at(until, self.owner()).await.map_err(in_time)??;
                }
            }
        }
    }

    /// A request that is sent until it is answered, over restarts of the arbiter and of the bus.
    pub(crate) fn attempts(&self, repeat: Repeat) -> Attempts {
        Attempts { connection: self.clone(), repeat, left: TRIES, arbiter: None }
    }

    /// Waits until the name is no longer owned by this one.
    pub(crate) async fn left(&self, owner: &Owner) {
        let here = Presence::Here(owner.clone());
        // The sender lives as long as this connection.
        let _ = self.presence().wait_for(|now| *now != here).await;
    }

    pub(crate) fn presence(&self) -> watch::Receiver<Presence> {
        self.link.routes.presence()
    }

    pub(crate) fn routes(&self) -> &Arc<Routes> {
        &self.link.routes
    }

    /// Ends this connection's subscription, where an arbiter has one.
    pub(crate) async fn unsubscribe(&self) {
        let present = self.presence().borrow().clone();
        if let Presence::Here(owner) = present
            && let Ok(manager) = owner.manager().await
        {
            // An arbiter that just left has forgotten the subscription by itself.
            let _ = manager.unsubscribe().await;
        }
    }
}

impl Attempts {
    /// Whom to send it to now.
    pub async fn next(&mut self) -> Result<Arbiter> {
        self.left = self.left.checked_sub(1).ok_or(Error::ArbiterGone)?;
        let arbiter = self.connection.reach().await?;
        if let Repeat::Knowing(Some(asked)) = &self.repeat
            && !asked.carries_on_as(&arbiter)
        {
            return Err(Error::ArbiterGone);
        }
        self.arbiter = Some(arbiter.clone());
        Ok(arbiter)
    }

    /// The answer; none where it is to be sent again.
    pub async fn answered<T>(&mut self, answer: zbus::Result<T>) -> Result<Option<T>> {
        let loss = match answer {
            Ok(answer) => return Ok(Some(answer)),
            Err(error) => Loss::of(&error).ok_or(error)?,
        };
        let Some(arbiter) = self.arbiter.take() else { return Ok(None) };
        let left = self.connection.left(&arbiter.owner);
        let left = tokio::time::timeout(COMES_BACK_WITHIN, left).await;
        if let (Loss::InDoubt, Repeat::Knowing(asked)) = (loss, &mut self.repeat) {
            asked.get_or_insert(arbiter);
        }
        left.map_err(|_| Error::ArbiterGone)?;
        Ok(None)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bus = self.link.bus();
        let name = bus.connection.unique_name().map(|name| name.as_str());
        f.debug_tuple("Connection").field(&name).finish()
    }
}
