//! Following a transaction to its end, over restarts of the arbiter.
//!
//! Owns when a request is sent again: only to an arbiter that kept its state (the same epoch), where
//! the token makes it the same request. One that lost its state knows nothing of it, and the answer is
//! [`Error::ArbiterGone`].

use std::time::Duration;

use callarbiter_dbus::{
    ActionResult, Entries, TransactionOptions,
    names::{NO_OBJECT, Object},
    words::TransactionState,
};
use tokio::sync::{Mutex, OnceCell, broadcast};
use uuid::Uuid;
use zbus::{Message, ObjectPath, OwnedObjectPath};

use crate::{Connection, Error, Result, connection::Arbiter, signals::Signal};

/// How often the state is read, in case the bus dropped the signal.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Sends a request that carries a token; once more if the arbiter restarts before it answers.
pub(crate) async fn persist<T>(
    connection: &Connection,
    request: impl AsyncFn() -> Result<T>,
) -> Result<T> {
    let arbiter = connection.reach().await?;
    match request().await {
        Err(Error::ArbiterGone) => {
            connection.successor(&arbiter).await?;
            request().await
        }
        answer => answer,
    }
}

/// A transaction that the arbiter accepted.
///
/// Dropping it changes nothing: the transaction goes on.
#[derive(Debug)]
pub struct TransactionHandle {
    connection: Connection,
    actions: Entries,
    options: TransactionOptions,
    token: Uuid,
    path: OwnedObjectPath,
    /// Who accepted it.
    arbiter: Arbiter,
    finished: Mutex<broadcast::Receiver<Message>>,
    results: OnceCell<Vec<ActionResult>>,
}

impl TransactionHandle {
    pub(crate) async fn request(
        connection: &Connection,
        actions: Entries,
        options: TransactionOptions,
    ) -> Result<Self> {
        let token = options.token.unwrap_or_else(Uuid::new_v4);
        // Listening first: all outcomes may be known before the request is answered.
        let finished = Mutex::new(connection.routes().finished());
        let arbiter = connection.reach().await?;
        let mut handle = TransactionHandle {
            connection: connection.clone(),
            actions,
            options: TransactionOptions { token: Some(token), ..options },
            token,
            path: ObjectPath::from_str_unchecked(NO_OBJECT).into(),
            arbiter,
            finished,
            results: OnceCell::new(),
        };
        handle.path = persist(connection, async || handle.send().await).await?;
        Ok(handle)
    }

    /// Its number: the key of [`crate::Snapshot::transactions`].
    pub fn number(&self) -> Option<u32> {
        match Object::parse(self.path.as_str())? {
            Object::Transaction(number) => Some(number),
            _ => None,
        }
    }

    /// Names the request for an hour: the same token is the same transaction.
    pub fn token(&self) -> Uuid {
        self.token
    }

    /// Stops it before its next step; what was done for it is undone where that is possible.
    pub async fn cancel(&self) -> Result<()> {
        Ok(self.connection.transaction(&self.path).await?.cancel().await?)
    }

    /// Waits until all outcomes are known; asking again gives the same.
    pub async fn finished(&self) -> Result<Vec<ActionResult>> {
        self.results.get_or_try_init(|| self.follow()).await.cloned()
    }

    async fn follow(&self) -> Result<Vec<ActionResult>> {
        let mut finished = self.finished.lock().await;
        let mut arbiter = self.arbiter.clone();
        loop {
            let results = tokio::select! {
                biased;
                message = finished.recv() => match message {
                    Ok(message) => self.outcomes(&message),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.look().await?,
                    Err(broadcast::error::RecvError::Closed) => return Err(Error::Closed),
                },
                successor = self.connection.after(&arbiter) => {
                    arbiter = successor?;
                    self.send().await?;
                    self.look().await?
                }
                () = tokio::time::sleep(LOOK_EVERY) => self.look().await?,
            };
            if let Some(results) = results {
                return Ok(results);
            }
        }
    }

    async fn send(&self) -> Result<OwnedObjectPath> {
        let manager = self.connection.manager().await?;
        Ok(manager.request_transaction(&self.actions, &self.options.to_dict()).await?)
    }

    /// The outcomes, if its object has them.
    async fn look(&self) -> Result<Option<Vec<ActionResult>>> {
        let transaction = self.connection.transaction(&self.path).await?;
        let state = match transaction.state().await {
            Ok(state) => TransactionState::from(&*state),
            Err(error) => match Error::from(error) {
                // The loop learns of it by the name.
                Error::ArbiterGone => return Ok(None),
                error => return Err(error),
            },
        };
        if state != TransactionState::Finished {
            return Ok(None);
        }
        Ok(Some(ActionResult::list(&transaction.actions().await?)))
    }

    /// The outcomes in a signal, if it is about this transaction.
    fn outcomes(&self, message: &Message) -> Option<Vec<ActionResult>> {
        if message.header().path()?.as_str() != self.path.as_str() {
            return None;
        }
        match Signal::read(message) {
            Ok(Some(Signal::Finished { outcomes, .. })) => Some(outcomes),
            _ => None,
        }
    }
}
