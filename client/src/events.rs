//! A snapshot that stays current, and the changes that made it so.
//!
//! Owns when a snapshot is taken anew: after a gap, when the arbiter says so, when this reader was too
//! slow, and when the arbiter was away.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use callarbiter_dbus::{
    ActionResult, Dict,
    names::{CallPath, Object},
    proxies::Objects,
    words::{CallState, NoticeKind},
};
use zbus::{Message, message::Sequence};

use crate::{
    AudioSession, Call, Connection, Error, Group, Private, ProviderInfo, Result, Snapshot,
    Transaction, router::Signals, signals::Signal, snapshot::Applied,
};

/// How long to wait after the arbiter refused a snapshot, which it does while it is overloaded.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// A change of what the arbiter shows. The snapshot has it already.
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
    /// A call is gone; as it was last.
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
    /// Changes were missed; the snapshot is a new one.
    Resynced,
    /// The arbiter is gone. The snapshot is what it last said.
    ArbiterGone,
    /// The arbiter is back; the snapshot is a new one.
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
    Current { arbiter: Arc<str>, since: Sequence },
    /// A new snapshot is needed, to be told as this change.
    Stale(Change),
    /// There is no arbiter.
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
        events.take_snapshot().await?;
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

    /// The next change, already in the snapshot; none once the connection to the bus is closed.
    ///
    /// Nothing is lost when the future is dropped before it is ready.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            if let Some(change) = self.told.pop_front() {
                return Some(change);
            }
            match &self.state {
                State::Current { .. } if self.signals.has_lost() => {
                    self.state = State::Stale(Change::Resynced);
                }
                State::Current { arbiter, .. } => {
                    let arbiter = arbiter.clone();
                    tokio::select! {
                        biased;
                        message = self.signals.next() => self.receive(&message?),
                        () = self.connection.left(&arbiter) => self.lose_arbiter(),
                    }
                }
                State::Gone => {
                    self.connection.owner().await.ok()?;
                    self.state = State::Stale(Change::ArbiterBack);
                }
                State::Stale(change) => {
                    let change = change.clone();
                    self.resynchronise(change).await?;
                }
            }
        }
    }

    fn receive(&mut self, message: &Message) {
        let State::Current { arbiter, since } = &self.state else { return };
        let header = message.header();
        let from_arbiter = header.sender().is_some_and(|sender| sender.as_str() == &**arbiter);
        if !from_arbiter || message.recv_position() < *since {
            return;
        }
        let signal = match Signal::read(message) {
            Ok(Some(signal)) => signal,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "a signal of the call arbiter could not be read");
                self.state = State::Stale(Change::Resynced);
                return;
            }
        };
        match self.snapshot.apply(signal) {
            Applied::Change(change) => self.told.push_back(change),
            Applied::Nothing => {}
            Applied::Gap => self.state = State::Stale(Change::Resynced),
        }
    }

    fn lose_arbiter(&mut self) {
        self.told.push_back(Change::ArbiterGone);
        self.state = State::Gone;
    }

    async fn resynchronise(&mut self, change: Change) -> Option<()> {
        match self.take_snapshot().await {
            Ok(()) => self.told.push_back(change),
            Err(Error::Closed) => return None,
            Err(error) if error.is_loss() => {
                if change == Change::Resynced {
                    self.told.push_back(Change::ArbiterGone);
                }
                self.state = State::Gone;
                // Not at once again while the bus still names an owner that does not answer.
                tokio::time::sleep(AFTER_REFUSAL).await;
            }
            Err(error) => {
                tracing::warn!(%error, "the call arbiter refused a snapshot");
                tokio::time::sleep(AFTER_REFUSAL).await;
            }
        }
        Some(())
    }

    async fn take_snapshot(&mut self) -> Result<()> {
        let routes = self.connection.routes().clone();
        let _subscription = routes.subscription.lock().await;
        self.signals.restart();
        let manager = self.connection.manager().await?;
        let reply = manager.inner().call_method("Subscribe", &(Dict::new(),)).await?;
        let (revision, objects): (u64, Objects) = reply.body().deserialize()?;
        let arbiter = reply.header().sender().map_or("", |sender| sender.as_str()).into();
        let objects = objects
            .into_iter()
            .map(|(path, interfaces)| (Object::parse(path.as_str()), interfaces));
        self.snapshot = Snapshot::new(revision, objects);
        self.state = State::Current { arbiter, since: reply.recv_position() };
        Ok(())
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let connection = self.connection.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let routes = connection.routes().clone();
                let _subscription = routes.subscription.lock().await;
                if !routes.is_followed() && connection.has_arbiter() {
                    // An arbiter that just left has forgotten the subscription by itself.
                    let _ = connection.unsubscribe().await;
                }
            });
        }
    }
}
