//! A subscriber that goes through the daemon's restarts: it takes a snapshot anew when it is told to, and
//! believes nothing but signals in between.
//!
//! Owns one connection whose replies and signals it reads in the order in which the bus sent them.

use std::num::NonZeroUsize;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{FutureExt, StreamExt};
use zbus::message::Type;
use zbus::{Message, MessageStream};

use crate::{Bus, Known, NAME, Options, Peer, ROOT, eventually, interface, is};

/// Far more than one test sends at a time: it must not hold up its own connection.
const UNREAD: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// Everything that one user's programs can see, from signals alone.
pub struct Witness {
    /// Its connection.
    pub peer: Peer,
    stream: MessageStream,
    known: Option<Known>,
    asked: Option<u32>,
    /// How often it was told to begin anew.
    pub resyncs: usize,
    /// How many changes it was told.
    pub changes: u64,
}

impl Witness {
    /// A new connection of the bus's ordinary user, which asks for its first snapshot.
    pub async fn subscribe(bus: &Bus) -> Result<Witness> {
        let mut witness = Witness::connect(bus).await?;
        witness.begin().await?;
        Ok(witness)
    }

    /// A new connection that knows nothing yet.
    pub async fn connect(bus: &Bus) -> Result<Witness> {
        let peer = bus.connect().await?;
        let mut stream = MessageStream::from(&peer.connection);
        stream.set_max_queued(UNREAD);
        let (known, asked) = (None, None);
        Ok(Witness { peer, stream, known, asked, resyncs: 0, changes: 0 })
    }

    /// What it knows; nothing while it waits for a snapshot.
    pub fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    /// Asks for a snapshot; what comes before it is of no interest.
    pub async fn begin(&mut self) -> Result<()> {
        let subscribe = Message::method_call(ROOT, "Subscribe").interface(interface("Manager"));
        let subscribe = subscribe.destination(NAME).build(&Options::new())?;
        self.asked = Some(subscribe.primary_header().serial_num().get());
        self.known = None;
        self.peer.connection.send(&subscribe).await?;
        Ok(())
    }

    /// Reads what is there.
    pub async fn read(&mut self) -> Result<()> {
        while let Some(Some(message)) = self.stream.next().now_or_never() {
            let message = message.context("its connection broke")?;
            self.take(&message).await.with_context(|| format!("{message:?}"))?;
        }
        Ok(())
    }

    async fn take(&mut self, message: &Message) -> Result<()> {
        let header = message.header();
        match message.message_type() {
            Type::MethodReturn if header.reply_serial().map(|n| n.get()) == self.asked => {
                let (revision, objects): (
                    u64,
                    std::collections::HashMap<zbus::OwnedObjectPath, _>,
                ) = message.body().deserialize()?;
                let objects = objects.into_iter().map(|(path, o)| (path.to_string(), o)).collect();
                self.known = Some(Known::from(crate::View { revision, objects }));
                self.asked = None;
            }
            // The daemon was killed before it answered; whoever killed it asks again.
            Type::Error if header.reply_serial().map(|n| n.get()) == self.asked => {
                self.asked = None;
            }
            Type::Signal if is(message, "Manager", "ResyncNeeded") => {
                self.resyncs += 1;
                self.begin().await?;
            }
            Type::Signal if header.path().is_some_and(|path| path.starts_with(ROOT)) => {
                if let Some(known) = &mut self.known {
                    known.apply(message)?;
                    self.changes += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads all that came; in the end it knows what anybody can read.
    pub async fn agrees(&mut self, with: &Peer) -> Result<()> {
        // A deadline may change something between the two: then they are compared again.
        for _ in 0..100 {
            let now = with.view().await?;
            let revision = now.revision;
            let mut read = Ok(());
            eventually("it has every change that is in the snapshot", async || {
                read = self.read().await;
                let reached = self.known.as_ref().is_some_and(|known| known.revision >= revision);
                (read.is_err() || reached).then_some(())
            })
            .await
            .with_context(|| format!("{revision} was reached; known: {:?}", self.revision()))?;
            read?;
            let Some(known) = self.known.as_ref().filter(|known| known.revision == revision) else {
                continue;
            };
            let differences = known.differences(&Known::from(now));
            ensure!(differences.is_empty(), "it believes otherwise: {differences:#?}");
            return Ok(());
        }
        bail!("it never comes to rest")
    }

    fn revision(&self) -> Option<u64> {
        self.known.as_ref().map(|known| known.revision)
    }
}
