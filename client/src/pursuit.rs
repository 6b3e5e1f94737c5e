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
use tokio::sync::{Mutex, broadcast};
use uuid::Uuid;
use zbus::{Message, ObjectPath, OwnedObjectPath};

use crate::{Connection, Error, Result, connection::Arbiter, signals::Signal};

/// How often the state is read, in case the bus dropped the signal.
const LOOK_EVERY: Duration = Duration::from_secs(10);

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
    outcome: Mutex<Outcome>,
}

#[derive(Debug)]
struct Outcome {
    finished: broadcast::Receiver<Message>,
    known: Option<Vec<ActionResult>>,
}

impl TransactionHandle {
    pub(crate) async fn request(
        connection: &Connection,
        actions: Entries,
        options: TransactionOptions,
    ) -> Result<Self> {
        let token = options.token.unwrap_or_else(Uuid::new_v4);
        // Listening first: all outcomes may be known before the request is answered.
        let outcome = Outcome { finished: connection.routes().finished(), known: None };
        let arbiter = connection.reach().await?;
        let mut handle = TransactionHandle {
            connection: connection.clone(),
            actions,
            options: TransactionOptions { token: Some(token), ..options },
            token,
            path: ObjectPath::from_str_unchecked(NO_OBJECT).into(),
            arbiter,
            outcome: Mutex::new(outcome),
        };
        let mut accepted = handle.send().await;
        if connection.is_worth_repeating(&handle.arbiter, &accepted).await? {
            accepted = handle.send().await;
        }
        handle.path = accepted?;
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
        let mut outcome = self.outcome.lock().await;
        if let Some(known) = &outcome.known {
            return Ok(known.clone());
        }
        let results = self.follow(&mut outcome.finished).await?;
        outcome.known = Some(results.clone());
        Ok(results)
    }

    async fn follow(
        &self,
        finished: &mut broadcast::Receiver<Message>,
    ) -> Result<Vec<ActionResult>> {
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
