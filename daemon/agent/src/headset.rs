//! Headsets: their buttons answer, swap, mute and end calls, and their lights show them.
//!
//! Owns when devices are open at all (while there are calls), what is short and what is long, and the order of
//! a press, what the arbiter made of it, and the lights. What a button means is [`buttons`]'; what a device
//! says is [`device`]'s; whether it is done, the arbiter decides.

mod buttons;
mod device;
mod devices;
mod evdev;
mod switch;

use std::{future::pending, io, path::PathBuf, pin::pin, sync::Arc, time::Duration};

use callarbiter::{Snapshot, words::Role};
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        watch,
    },
    time::{Instant, sleep_until},
};
use tracing::{debug, info, warn};

use self::{
    buttons::Press,
    device::{Said, Word},
    devices::Devices,
};
use crate::{arbiter::Desk, orders::Orders, scene::Told};

pub use self::devices::read_descriptor;

/// A press is long from then on.
const LONG: Duration = Duration::from_millis(800);

/// How long the arbiter's news may be behind its answer: until then a light is not set back to what it showed
/// before the press.
const SETTLE: Duration = Duration::from_millis(200);

/// Presses that wait for the arbiter: a hand makes a few, a broken device thousands.
const WAITING: usize = 8;

/// Until it is told nothing any more. The devices are below `root`.
///
/// The connection to the arbiter's bus is its own: what a button asks for is the headset's wish, not the screen's.
pub async fn run(mut told: UnboundedReceiver<Told>, bus: String, root: PathBuf) {
    let desk = match Desk::open(&bus, vec![Role::Headset]).await {
        Ok(desk) => desk,
        Err(error) => return warn!("headsets are not heard: {error:#}"),
    };
    let (mut roles, serving) = (desk.roles(), desk.clone());
    let mut serving = pin!(serving.serve(Orders::default()));
    let (words, mut heard) = unbounded_channel();
    let (done, mut results) = unbounded_channel();
    let mut headset = Headset::new(desk, root, words, done);
    loop {
        tokio::select! {
            biased;
            next = told.recv() => {
                let Some(next) = next else { break };
                headset.see(next).await;
            }
            // Somebody else reads the headsets from now on, or not any more.
            () = changes(&mut roles, headset.relieved) => headset.be_relieved().await,
            () = &mut serving => break,
            Some(()) = results.recv() => headset.settle(),
            Some((sign, word)) = heard.recv() => headset.hear(sign, word),
            () = at(headset.down) => headset.press_long(),
            () = at(headset.refresh) => headset.show(),
            followed = follow(&mut headset.devices) => if let Err(error) = followed {
                warn!(%error, "headsets are not heard any more in this call");
                headset.close().await;
            },
        }
    }
    headset.close().await;
}

struct Headset {
    desk: Desk,
    root: PathBuf,
    words: UnboundedSender<Said>,
    done: UnboundedSender<()>,
    now: Arc<Snapshot>,
    /// Another agent does it.
    relieved: bool,
    /// Open while there are calls.
    devices: Option<Devices>,
    /// The button for calls is down, and is a long press from then on.
    down: Option<Instant>,
    /// Presses of which the arbiter has not said what became of them.
    pending: usize,
    /// When the lights are set again.
    refresh: Option<Instant>,
}

impl Headset {
    fn new(
        desk: Desk,
        root: PathBuf,
        words: UnboundedSender<Said>,
        done: UnboundedSender<()>,
    ) -> Headset {
        let (now, devices, down, pending, refresh) = (Arc::default(), None, None, 0, None);
        let relieved = false;
        Headset { desk, root, words, done, now, relieved, devices, down, pending, refresh }
    }

    async fn see(&mut self, told: Told) {
        use callarbiter::Change::{ArbiterBack, Resynced};
        if matches!(told.change, ArbiterBack | Resynced) {
            self.desk.take_roles().await;
        }
        self.now = told.now;
        self.look().await;
    }

    async fn be_relieved(&mut self) {
        self.relieved = !self.relieved;
        self.look().await;
    }

    async fn look(&mut self) {
        if self.relieved || self.now.calls.is_empty() {
            return self.close().await;
        }
        if self.devices.is_none() {
            match Devices::look(&self.root, self.words.clone()) {
                Ok(devices) => self.devices = Some(devices),
                Err(error) => warn!(%error, "headsets are not heard"),
            }
        }
        if self.pending == 0 && self.refresh.is_none() {
            self.show();
        }
    }

    fn hear(&mut self, sign: u64, word: Option<Word>) {
        let Some(devices) = &mut self.devices else { return };
        let Some(word) = word else { return devices.forget(sign) };
        if !devices.counts(sign, word) {
            return;
        }
        match word {
            Word::Press(press) => self.press(press),
            Word::Call(true) => self.down = Some(Instant::now() + LONG),
            Word::Call(false) if self.down.take().is_some() => self.press(Press::Short),
            // It was long, and is done.
            Word::Call(false) => {}
        }
    }

    fn press_long(&mut self) {
        self.down = None;
        self.press(Press::Long);
    }

    fn press(&mut self, press: Press) {
        if self.pending >= WAITING {
            return;
        }
        let actions = buttons::meaning(press, &self.now);
        debug!(?press, actions = actions.len(), "a headset's button");
        self.pending += 1;
        let (desk, done) = (self.desk.clone(), self.done.clone());
        tokio::spawn(async move {
            if !actions.is_empty()
                && let Err(error) = desk.perform(actions).await
            {
                info!("a headset's button did not do what it says: {error}");
            }
            // Nobody listens any more when the agent ends.
            let _ = done.send(());
        });
    }

    /// The arbiter said what became of a press.
    fn settle(&mut self) {
        self.pending = self.pending.saturating_sub(1);
        if self.pending == 0 {
            self.refresh = Some(Instant::now() + SETTLE);
        }
    }

    fn show(&mut self) {
        self.refresh = None;
        if let Some(devices) = &mut self.devices {
            devices.show(buttons::lights(&self.now));
        }
    }

    async fn close(&mut self) {
        (self.down, self.refresh) = (None, None);
        if let Some(devices) = self.devices.take() {
            devices.leave().await;
        }
    }
}

/// At this moment; never, without one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

async fn changes(roles: &mut watch::Receiver<Vec<Role>>, relieved: bool) {
    if roles.wait_for(|roles| roles.is_empty() != relieved).await.is_err() {
        // The end of the desk, which is waited for as well.
        pending().await
    }
}

async fn follow(devices: &mut Option<Devices>) -> io::Result<()> {
    match devices {
        Some(devices) => devices.follow().await,
        None => pending().await,
    }
}
