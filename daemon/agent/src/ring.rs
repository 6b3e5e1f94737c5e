//! Ringing: what a person hears of calls that ring.
//!
//! Owns that there is one ringer, and how long it is heard. Which call rings, waits or is silent, the arbiter
//! says; which sound it is is `choice`'s, how it is decoded `sound`'s, how it is played `pulse`'s.

mod choice;
mod pulse;
mod sound;
mod theme;
mod tone;

use std::{convert::Infallible, future::pending, time::Duration};

use callarbiter::{
    Call, CallPath, CallState, Change, Snapshot,
    words::{Ringer, Silenced},
};
use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    task::AbortHandle,
    time::Instant,
};
use tracing::{debug, info, warn};
use zbus::Connection;

use self::{
    choice::{Choice, Wish},
    pulse::{Broken, Stream},
    sound::Sound,
    tone::Tone,
};
use crate::{arbiter::Desk, audio::Route, config, scene::Told, settings};

/// How long it rings on while the arbiter is gone: one that was restarted is back by then, and without one
/// nobody would say when it is enough.
const ALONE: Duration = Duration::from_secs(10);

/// How soon an audio server is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The desktop's sound theme.
const THEME: (&str, &str) = ("org.gnome.desktop.sound", "theme-name");

/// Until it is told nothing any more.
pub async fn run(
    session: Connection,
    mut told: UnboundedReceiver<Told>,
    desk: Desk,
    wishes: config::Ring,
    route: watch::Receiver<Route>,
) {
    let mut theme = settings::Watched::follow(&session, THEME.0, THEME.1).await;
    let mut ringer = Ringing { desk, route, heard: None, playing: None, until: None };
    loop {
        tokio::select! {
            biased;
            next = told.recv() => {
                let Some(mut newest) = next else { return };
                while let Ok(newer) = told.try_recv() {
                    newest = newer;
                }
                ringer.until = matches!(newest.change, Change::ArbiterGone).then(|| Instant::now() + ALONE);
                let theme = wishes.theme.as_deref().or(theme.text());
                ringer.play(heard(&newest.now), &wishes, theme);
            }
            () = theme.changed() => debug!("the desktop has another sound theme"),
            () = ringer.alone_for_too_long() => ringer.play(None, &wishes, None),
        }
    }
}

struct Ringing {
    desk: Desk,
    route: watch::Receiver<Route>,
    heard: Option<Heard>,
    playing: Option<Playing>,
    until: Option<Instant>,
}

/// What is heard; at most one thing at a time.
#[derive(Clone, Debug, PartialEq)]
enum Heard {
    /// This call, aloud, as its app wishes.
    Call(CallPath, Wish),
    /// That a call waits behind another one.
    Waiting,
}

impl Heard {
    /// Where it is heard: what waits, where the call is that it waits for.
    fn output(&self, route: &Route) -> Option<String> {
        match self {
            Heard::Call(..) => route.ring.clone(),
            Heard::Waiting => route.calls.clone(),
        }
    }
}

impl Ringing {
    fn play(&mut self, heard: Option<Heard>, wishes: &config::Ring, theme: Option<&str>) {
        if self.heard == heard {
            return;
        }
        self.playing = heard.clone().map(|heard| {
            info!(waiting = heard == Heard::Waiting, "it rings");
            let wish = match &heard {
                Heard::Call(_, wish) => wish.clone(),
                Heard::Waiting => Wish::Desktop,
            };
            let choice = Choice::new(self.desk.clone(), wishes.sound.clone(), wish, theme);
            Playing(tokio::spawn(for_ever(heard, choice, self.route.clone())).abort_handle())
        });
        if heard.is_none() {
            info!("it rings no more");
        }
        self.heard = heard;
    }

    async fn alone_for_too_long(&mut self) {
        match self.until {
            Some(until) => tokio::time::sleep_until(until).await,
            None => pending().await,
        }
        self.until = None;
    }
}

/// A sound that goes on until this is dropped.
struct Playing(AbortHandle);

impl Drop for Playing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What there is to hear now.
fn heard(now: &Snapshot) -> Option<Heard> {
    let rings = |call: &&Call| call.state == CallState::Ringing && call.silenced == Silenced::No;
    let configuration = |call: &Call| now.provider_of(call).map(|provider| &provider.configuration);
    let by_itself =
        |call: &Call| configuration(call).is_some_and(|known| known.ringer == Some(Ringer::Itself));
    let ours = now.calls.values().filter(rings).filter(|call| !by_itself(call));
    let call = ours.min_by_key(|call| (call.waiting, call.created_at))?;
    // A call that waits behind one which is silent rings for both.
    let other_heard = |other: &Call| match other.state {
        CallState::Ringing => rings(&other) && by_itself(other),
        CallState::Held | CallState::Screening | CallState::Ending | CallState::Ended => false,
        _ => true,
    };
    if call.waiting && now.calls.values().any(other_heard) {
        return Some(Heard::Waiting);
    }
    let wish = now.provider_of(call).map_or(Wish::Desktop, Wish::of);
    Some(Heard::Call(call.object, wish))
}

/// Plays it; once more from the start for each audio server that comes, and where it is to be heard from now on.
async fn for_ever(
    heard: Heard,
    mut choice: Choice,
    mut route: watch::Receiver<Route>,
) -> Infallible {
    let mut told = false;
    loop {
        let output = heard.output(&route.borrow_and_update());
        let played = async {
            let (mut sound, role) = match heard {
                Heard::Call(..) => (choice.sound().await, pulse::Role::Event),
                Heard::Waiting => (Sound::from(Tone::WAITING), pulse::Role::Phone),
            };
            let mut stream = Stream::open(sound.format(), role, output.as_deref()).await?;
            stream.play(&mut sound).await
        };
        let played = tokio::select! {
            Ok(_) = route.wait_for(|route| heard.output(route) != output) => continue,
            played = played => played,
        };
        let Err(error) = played;
        if error.is::<Broken>() {
            choice.is_broken(&error);
            continue;
        }
        match told {
            true => debug!(%error, "ringing is still not heard"),
            false => warn!(%error, "ringing is not heard; the audio server is looked for again"),
        }
        told = true;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
