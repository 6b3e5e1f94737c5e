//! Following a transaction to its end, over restarts of the arbiter.
//!
//! Owns what is asked of an arbiter that came back: the same request, which its token makes the same
//! transaction. One that lost its state knows nothing of it, and the answer is [`Error::ArbiterGone`].

use std::{
    sync::{Mutex as Lock, PoisonError},
    time::Duration,
};

use callarbiter_dbus::{
    ActionResult, Entries, ErrorKind, TransactionOptions, names::Object, words::TransactionState,
};
use tokio::sync::{Mutex, broadcast};
use uuid::Uuid;
use zbus::{Message, OwnedObjectPath};

use crate::{
    Connection, Error, Result,
    connection::Repeat,
    presence::{Arbiter, Loss},
    signals::Signal,
};

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
    accepted: Lock<Accepted>,
    outcome: Mutex<Outcome>,
}

/// Where it is.
#[derive(Clone, Debug)]
struct Accepted {
    by: Arbiter,
    path: OwnedObjectPath,
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
        let options = TransactionOptions { token: Some(token), ..options };
        // Listening first: all outcomes may be known before the request is answered.
        let outcome = Outcome { finished: connection.routes().finished(), known: None };
        let accepted = accept(connection, Repeat::Knowing(None), &actions, &options).await?;
        Ok(TransactionHandle {
            connection: connection.clone(),
            actions,
            options,
            token,
            accepted: Lock::new(accepted),
            outcome: Mutex::new(outcome),
        })
    }

    /// Its number: the key of [`crate::Snapshot::transactions`].
    pub fn number(&self) -> Option<u32> {
        match Object::parse(self.accepted().path.as_str())? {
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
        let Accepted { by, path } = self.accepted();
        let mut attempts = self.connection.attempts(Repeat::Knowing(Some(by)));
        let mut again = false;
        loop {
            let transaction = attempts.next().await?.owner.transaction(&path).await?;
            match attempts.answered(transaction.cancel().await).await {
                Ok(None) => again = true,
                // Cancelled by the first word, which the arbiter did not live to answer.
                Err(error) if again && error.kind() == Some(ErrorKind::InvalidState) => {
                    return Ok(());
                }
                answer => return answer.map(drop),
            }
        }
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
        loop {
            let Accepted { by, .. } = self.accepted();
            let results = tokio::select! {
                biased;
                message = finished.recv() => match message {
                    Ok(message) => self.outcomes(&message),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.look().await?,
                    Err(broadcast::error::RecvError::Closed) => return Err(Error::Closed),
                },
                () = self.connection.left(&by.owner) => {
                    // The same transaction, and its outcomes are sent to this connection again.
                    let knowing = Repeat::Knowing(Some(by));
                    let accepted =
                        accept(&self.connection, knowing, &self.actions, &self.options).await?;
                    *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = accepted;
                    self.look().await?
                }
                () = tokio::time::sleep(LOOK_EVERY) => self.look().await?,
            };
            if let Some(results) = results {
                return Ok(results);
            }
        }
    }

    /// The outcomes, if its object has them.
    async fn look(&self) -> Result<Option<Vec<ActionResult>>> {
        let Accepted { by, path } = self.accepted();
        let look = async || {
            let transaction = by.owner.transaction(&path).await?;
            if TransactionState::from(&*transaction.state().await?) != TransactionState::Finished {
                return Ok(None);
            }
            Ok(Some(ActionResult::list(&transaction.actions().await?)))
        };
        // That the arbiter left the loop learns by its name.
        Ok(Loss::or_error(look().await)?.flatten())
    }

    fn accepted(&self) -> Accepted {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The outcomes in a signal, if it is about this transaction.
    fn outcomes(&self, message: &Message) -> Option<Vec<ActionResult>> {
        if message.header().path()?.as_str() != self.accepted().path.as_str() {
            return None;
        }
        match Signal::read(message) {
            Ok(Some(Signal::Finished { outcomes, .. })) => Some(outcomes),
            _ => None,
        }
    }
}

async fn accept(
    connection: &Connection,
    repeat: Repeat,
    actions: &Entries,
    options: &TransactionOptions,
) -> Result<Accepted> {
    let mut attempts = connection.attempts(repeat);
    loop {
        let by = attempts.next().await?;
        let manager = by.owner.manager().await?;
        let path = manager.request_transaction(actions, &options.to_dict()).await;
        if let Some(path) = attempts.answered(path).await? {
            return Ok(Accepted { by, path });
        }
    }
}
