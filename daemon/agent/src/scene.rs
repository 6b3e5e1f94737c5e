//! What the arbiter shows, told to every part in order.
//!
//! Owns waiting for the arbiter. A part that is busy delays nobody else.

use std::sync::Arc;

use anyhow::{Context, Result};
use callarbiter::{Call, CallState, Change, Connection, Error, Events, Snapshot};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{info, warn};

/// One change, and everything as it was after it.
#[derive(Clone, Debug)]
pub struct Told {
    pub change: Change,
    pub now: Arc<Snapshot>,
}

/// Whether a call is being made or answered, or is active; not whether it rings or is held.
pub fn goes_on(call: &Call) -> bool {
    matches!(
        call.state,
        CallState::Answering
            | CallState::Launching
            | CallState::Starting
            | CallState::Dialing
            | CallState::Alerting
            | CallState::Connecting
            | CallState::Active
    )
}

/// Those who are told.
#[derive(Default)]
pub struct Audience(Vec<UnboundedSender<Told>>);

impl Audience {
    /// One more.
    pub fn join(&mut self) -> UnboundedReceiver<Told> {
        let (sender, receiver) = unbounded_channel();
        self.0.push(sender);
        receiver
    }

    fn tell(&self, change: Change, now: &Snapshot) {
        let told = Told { change, now: Arc::new(now.clone()) };
        for part in &self.0 {
            // A part that failed is missed by nobody else.
            let _ = part.send(told.clone());
        }
    }
}

/// The arbiter's changes.
pub struct Scenes(Events);

impl Scenes {
    /// On this bus, as soon as an arbiter is there; the bus starts one if it can.
    pub async fn open(bus: &str) -> Result<Scenes> {
        let connection = Connection::open(bus).await?;
        loop {
            match Events::subscribe(&connection).await {
                Ok(events) => return Ok(Scenes(events)),
                Err(Error::ArbiterGone) => {
                    warn!("no call arbiter is on the bus; waiting for one");
                    connection.arbiter().await?;
                }
                Err(error) => return Err(error).context("the calls cannot be followed"),
            }
        }
    }

    /// Tells everybody, until the bus is gone; `arrived` is done for each arbiter that is there.
    pub async fn tell(mut self, audience: &Audience, arrived: impl AsyncFn()) {
        arrived().await;
        audience.tell(Change::Resynced, self.0.snapshot());
        while let Some(change) = self.0.next().await {
            match change {
                Change::ArbiterGone => info!("the arbiter is gone; calls go on without it"),
                Change::ArbiterBack => arrived().await,
                _ => {}
            }
            audience.tell(change, self.0.snapshot());
        }
    }
}
