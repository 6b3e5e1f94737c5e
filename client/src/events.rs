//! A snapshot that stays current, and the changes that made it so.
//!
//! Owns when a snapshot is taken anew: after a gap, when the arbiter says so, when this reader was too
//! slow, and when the arbiter was away. What it makes different is told like any other change.

use std::{collections::VecDeque, time::Duration};

use callarbiter_dbus::{
    ActionResult, Dict,
    names::{CallPath, Object},
    proxies::Objects,
    words::{CallState, NoticeKind},
};
use zbus::message::Sequence;

use crate::{
    AudioSession, Call, Connection, Error, Group, Private, ProviderInfo, Result, Snapshot,
    Transaction,
    connection::Repeat,
    presence::Owner,
    router::{Received, Signals},
    signals::Signal,
    snapshot::Applied,
};

/// How long to wait after the arbiter refused a snapshot, which it does while it is overloaded.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// A change of what the arbiter shows. The snapshot has it already.
///
/// Whoever follows the changes alone is never wrong for longer than the arbiter is away: after
/// [`Change::Resynced`] and [`Change::ArbiterBack`] comes everything that is different from what was told
/// before, as if it had just happened. Of what came and went in between there is no word.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// A new call.
    CallAdded(Box<Call>),
    /// A call with its new properties.
    CallChanged {
        /// The call.
        call: Box<Call>,
        /// The names of the properties that changed.
        changed: Vec<String>,
    },
    /// A call went from one state to another; states that lasted no longer than a turn are told too.
    Transition {
        /// The call.
        call: CallPath,
        /// The state before.
        old: CallState,
        /// The state now.
        new: CallState,
        /// Why, in a few words.
        reason: String,
    },
    /// A call is gone; as it was last. If it ended while nobody looked it still has the state that was
    /// told last, and no reason.
    CallRemoved(Box<Call>),
    /// A new provider.
    ProviderAdded(Box<ProviderInfo>),
    /// A provider with its new properties.
    ProviderChanged(Box<ProviderInfo>),
    /// A provider is gone.
    ProviderRemoved(Box<ProviderInfo>),
    /// A new group.
    GroupAdded(Group),
    /// A group with its new properties.
    GroupChanged(Group),
    /// A group is gone.
    GroupRemoved(Group),
    /// A new transaction.
    TransactionAdded(Transaction),
    /// A transaction with its new properties.
    TransactionChanged(Transaction),
    /// All outcomes of a transaction are known.
    TransactionFinished {
        /// Which.
        number: u32,
        /// Its actions with their outcomes.
        results: Vec<ActionResult>,
    },
    /// A finished transaction is forgotten.
    TransactionRemoved(Transaction),
    /// The audio session moved.
    AudioChanged(AudioSession),
    /// Something the user should hear about.
    Notice {
        /// What kind of thing.
        kind: NoticeKind,
        /// About which call.
        call: Option<CallPath>,
        /// For the user to read.
        message: Private,
    },
    /// Changes were missed; the snapshot is a new one, and what it makes different follows.
    Resynced,
    /// The arbiter is gone, or the bus. The snapshot is what it last said; calls go on without it.
    ArbiterGone,
    /// The arbiter is back; the snapshot is a new one, and what it makes different follows.
    ArbiterBack,
}

/// The snapshot and every change of it, in order and without a gap.
pub struct Events {
    connection: Connection,
    signals: Signals,
    snapshot: Snapshot,
    state: State,
    /// Told before anything that comes next.
    told: VecDeque<Change>,
}

enum State {
    /// Signals of this arbiter, received after this position, are the changes of the snapshot.
    Current { arbiter: Owner, since: Sequence },
    /// A new snapshot of this arbiter is needed.
    Missed { arbiter: Owner },
    /// There is no arbiter, or it has not said yet what is.
    Gone,
}

impl Events {
    /// Takes a snapshot; from it on, no change is missed.
    pub async fn subscribe(connection: &Connection) -> Result<Self> {
        let signals = connection.routes().signals();
        let mut events = Events {
            connection: connection.clone(),
            signals,
            snapshot: Snapshot::default(),
            state: State::Gone,
            told: VecDeque::new(),
        };
        events.snapshot = events.take_snapshot().await?;
        Ok(events)
    }

    /// What is now, after the last change that [`Events::next`] returned.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Whether the snapshot is what the arbiter says now: it is there, and nothing was missed.
    pub fn is_current(&self) -> bool {
        matches!(self.state, State::Current { .. })
    }

    /// The next change, already in the snapshot; none once the connection to the bus is closed for good.
    ///
    /// Nothing is lost when the future is dropped before it is ready.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            if let Some(change) = self.told.pop_front() {
                return Some(change);
            }
            match &self.state {
                State::Current { arbiter, .. } if self.signals.has_lost() => {
                    self.state = State::Missed { arbiter: arbiter.clone() };
                }
                State::Current { arbiter, .. } => {
                    let arbiter = arbiter.clone();
                    tokio::select! {
                        biased;
                        message = self.signals.next() => self.receive(&message?),
                        () = self.connection.left(&arbiter) => self.lose_arbiter(),
                    }
                }
                State::Missed { arbiter } => {
                    let (connection, arbiter) = (self.connection.clone(), arbiter.clone());
                    tokio::select! {
                        biased;
                        () = connection.left(&arbiter) => self.lose_arbiter(),
                        done = self.resynchronise(Change::Resynced) => done?,
                    }
                }
                State::Gone => {
                    self.connection.owner().await.ok()?;
                    self.resynchronise(Change::ArbiterBack).await?;
                }
            }
        }
    }

    fn receive(&mut self, (life, message): &Received) {
        let State::Current { arbiter, since } = &self.state else { return };
        let header = message.header();
        let from_arbiter = header.sender().is_some_and(|sender| arbiter.sent(*life, sender));
        if !from_arbiter || message.recv_position() < *since {
            return;
        }
        let signal = match Signal::read(message) {
            Ok(Some(signal)) => signal,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "a signal of the call arbiter could not be read");
                self.state = State::Missed { arbiter: arbiter.clone() };
                return;
            }
        };
        match self.snapshot.apply(signal) {
            Applied::Change(change) => self.told.push_back(change),
            Applied::Nothing => {}
            Applied::Gap => self.state = State::Missed { arbiter: arbiter.clone() },
        }
    }

    fn lose_arbiter(&mut self) {
        self.told.push_back(Change::ArbiterGone);
        self.state = State::Gone;
    }

    async fn resynchronise(&mut self, change: Change) -> Option<()> {
        match self.take_snapshot().await {
            Ok(snapshot) => {
                let old = std::mem::replace(&mut self.snapshot, snapshot);
                self.told.push_back(change);
                self.told.extend(self.snapshot.since(&old));
            }
            Err(Error::Closed) => return None,
            Err(error) => {
                tracing::warn!(%error, "the call arbiter gave no snapshot");
                tokio::time::sleep(AFTER_REFUSAL).await;
            }
        }
        Some(())
    }

    async fn take_snapshot(&mut self) -> Result<Snapshot> {
        let routes = self.connection.routes().clone();
        let _subscription = routes.subscription.lock().await;
        let mut attempts = self.connection.attempts(Repeat::Freely);
        loop {
            let arbiter = attempts.next().await?;
            self.signals.restart();
            let manager = arbiter.owner.manager().await?;
            let reply = manager.inner().call_method("Subscribe", &(Dict::new(),)).await;
            let Some(reply) = attempts.answered(reply).await? else { continue };
            let (revision, objects): (u64, Objects) = reply.body().deserialize()?;
            let objects = objects
                .into_iter()
                .map(|(path, interfaces)| (Object::parse(path.as_str()), interfaces));
            self.state = State::Current { arbiter: arbiter.owner, since: reply.recv_position() };
            return Ok(Snapshot::new(revision, objects));
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let connection = self.connection.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let routes = connection.routes().clone();
                let _subscription = routes.subscription.lock().await;
                if !routes.is_followed() {
                    connection.unsubscribe().await;
                }
            });
        }
    }
}
