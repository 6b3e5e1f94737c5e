//! The loop: one connection, one thread, one thing after the other.
//!
//! Owns the order in which messages, deadlines and commands are taken, and that what follows from them is
//! kept before it is told. What any of them means is in [`crate::bus`].

mod alarm;
mod arrival;

use std::{collections::VecDeque, future::ready, io};

use callarbiter_core::{Millis, Now, Time};
use callarbiter_dbus::names::BUS_NAME;
use callarbiter_wire::{Outgoing, Received};
use thiserror::Error;
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::debug;

use crate::{
    bus::{Fatal, Journal, Permissions, Router},
    config::Config,
    crash,
    keeper::Keeper,
    line::Line,
    platform::{clock, notify},
    store::Found,
};

use alarm::Alarm;
use arrival::{Arrival, Surroundings};

/// What the process asks of the loop.
#[derive(Debug)]
pub enum Control {
    /// New rules; calls are not touched.
    Configure(Box<Config>),
    /// Leave.
    Stop,
}

/// Why the daemon could not serve, or not any longer.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Somebody else serves here already.
    #[error(
        "the name {BUS_NAME} has an owner on this bus already; stop it first (busctl status {BUS_NAME} names it)"
    )]
    NameTaken,
    /// The bus refused something that the daemon cannot do without.
    #[error("the bus refused {what}: {source}")]
    Refused {
        /// What.
        what: &'static str,
        /// Why.
        source: zbus::Error,
    },
    /// The bus is gone.
    #[error("the connection to the bus is lost")]
    Disconnected,
    /// The bus does not take what we send.
    #[error("the bus takes no messages: {0}")]
    Send(io::Error),
    /// Deadlines cannot be kept.
    #[error("no timer: {0}")]
    Timer(#[from] io::Error),
    /// The router gave up.
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

/// Messages taken in one turn at most, so that deadlines and commands are not starved: what one read of
/// the socket usually brings.
const MESSAGES_PER_TURN: usize = 32;

/// Bytes to be sent after which a turn takes no more messages: whoever is next need not wait for many
/// snapshots to be put together.
const BYTES_PER_TURN: usize = 64 * 1024;

/// What is beside the loop.
#[derive(Debug)]
pub struct Surrounding {
    /// polkit may be on this bus.
    pub polkit: bool,
    /// logind may be on this bus.
    pub logind: bool,
    /// What keeps the state.
    pub keeper: Keeper,
    /// The state of an earlier run.
    pub found: Option<Found>,
    /// Where what happens to calls is noted.
    pub journal: Journal,
}

/// Serves until it is told to stop. `ready` is called when calls can come.
pub async fn serve(
    line: Line,
    config: Config,
    around: Surrounding,
    control: UnboundedReceiver<Control>,
    ready: impl FnOnce(),
) -> Result<(), ServeError> {
    let Surrounding { polkit, logind, mut keeper, found, journal } = around;
    let mut arrival = Arrival::on(line.clone());
    let router = || {
        let Config { settings, access } = config.clone();
        let permissions = polkit.then(Permissions::default);
        Router::new(settings, access, permissions, machine_id()).noting_in(journal.clone())
    };
    let mut out = Vec::new();
    let mut router = match found.filter(|_| keeper.keeps()) {
        None => {
            arrival.watch().await?;
            router()
        }
        Some(found) => {
            let Surroundings { bus, present } = arrival.look_around().await?;
            crash::point();
            let now = clock::now();
            let mut router = keeper.resume(now, found, || {
                let mut router = router();
                router.begin_on(bus.clone(), now);
                router
            });
            router.restarted(now, &present, &mut out);
            keeper.keep(now, &mut router);
            router
        }
    };
    crash::point();
    // Last: whoever sees the name finds everything behind it. What has to be told from before comes after
    // it: an app believes only the owner of the name.
    arrival.take_name().await?;
    crash::point();
    ready();
    let alarm = Alarm::new()?;
    if logind {
        router.watch_logind(clock::now(), &mut out);
    }
    let early = arrival.done();
    let now = clock::now();
    let watchdog = notify::watchdog_interval().map(|every| Watchdog { every, next: now.mono });
    Loop { line, early, router, keeper, journal, control, alarm, watchdog, now, out }.run().await
}

struct Loop {
    line: Line,
    /// Messages that came while the daemon arrived.
    early: VecDeque<Received>,
    router: Router,
    keeper: Keeper,
    journal: Journal,
    control: UnboundedReceiver<Control>,
    alarm: Alarm,
    watchdog: Option<Watchdog>,
    /// When this turn is; a clock is read once for each thing that happens.
    now: Now,
    out: Vec<Outgoing>,
}

/// Wants to hear now and then that the loop is alive.
struct Watchdog {
    every: Millis,
    next: Time,
}

enum Next {
    Message(io::Result<Received>),
    Deadline(io::Result<()>),
    Command(Option<Control>),
    Later,
}

impl Loop {
    async fn run(mut self) -> Result<(), ServeError> {
        for message in std::mem::take(&mut self.early) {
            self.router.receive(self.now, &message, &mut self.out)?;
        }
        loop {
            self.keep();
            self.send().await?;
            self.journal.write_due(self.now);
            let feed = self.watchdog.as_ref().map(|watchdog| watchdog.next);
            let (retry, journal) = (self.keeper.retry(), self.journal.deadline());
            let next = [self.router.next_deadline(), retry, journal, feed];
            self.alarm.set(next.into_iter().flatten().min())?;
            let next = tokio::select! {
                biased;
                command = self.control.recv() => Next::Command(command),
                rung = self.alarm.rings() => Next::Deadline(rung),
                message = self.line.next() => Next::Message(message),
                () = ready(()), if self.router.hears_later() => Next::Later,
            };
            self.now = clock::now();
            match next {
                Next::Message(message) => self.receive(message)?,
                Next::Deadline(rung) => {
                    rung?;
                    self.tick();
                }
                Next::Command(Some(Control::Configure(config))) => self.configure(*config),
                Next::Command(Some(Control::Stop) | None) => return self.stop().await,
                Next::Later => self.router.hear_later(self.now, &mut self.out),
            }
        }
    }

    /// Before anything of it is told: what a kill at any moment would leave behind is what others heard of.
    fn keep(&mut self) {
        self.keeper.keep(self.now, &mut self.router);
    }

    fn tick(&mut self) {
        if let Some(watchdog) = self.watchdog.as_mut().filter(|w| w.next <= self.now.mono) {
            watchdog.next = self.now.mono + watchdog.every;
            notify::feed_watchdog();
        }
        self.router.tick(self.now, &mut self.out);
    }

    /// The message, and those that are there already: their replies leave in one write, unless they are
    /// large.
    fn receive(&mut self, first: io::Result<Received>) -> Result<(), ServeError> {
        let mut next = first;
        let mut taken = 0;
        let (mut bytes, mut counted) = (0, self.out.len());
        loop {
            let message = next.map_err(|error| {
                debug!(%error, "the connection broke");
                ServeError::Disconnected
            })?;
            self.router.receive(self.now, &message, &mut self.out)?;
            taken += 1;
            bytes += self.out.iter().skip(counted).map(Outgoing::length).sum::<usize>();
            counted = self.out.len();
            let full = taken == MESSAGES_PER_TURN || bytes > BYTES_PER_TURN;
            match if full { None } else { self.line.next_at_once() } {
                Some(message) => next = message,
                None => break,
            }
            self.now = clock::now();
        }
        // Also where others go on asking: whoever waits for a view is not forgotten.
        self.router.hear_later(self.now, &mut self.out);
        Ok(())
    }

    async fn send(&mut self) -> Result<(), ServeError> {
        if crash::is_fine() {
            for message in self.out.drain(..) {
                crash::point();
                self.line.send(&[message]).await.map_err(ServeError::Send)?;
            }
            crash::point();
            return Ok(());
        }
        let sent = self.line.send(&self.out).await;
        self.out.clear();
        sent.map_err(ServeError::Send)
    }

    fn configure(&mut self, config: Config) {
        self.router.configure(self.now, config.settings, config.access, &mut self.out);
    }

    async fn stop(mut self) -> Result<(), ServeError> {
        // Where the state stays, apps keep their calls and find them again.
        if !self.keeper.leave(self.now, &mut self.router) {
            self.router.farewell(&mut self.out);
        }
        self.send().await?;
        self.line.close().map_err(ServeError::Send)
    }
}

/// For `Peer.GetMachineId`.
fn machine_id() -> Option<String> {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .into_iter()
        .find_map(|file| std::fs::read_to_string(file).ok())
        .map(|id| id.trim().to_owned())
}
