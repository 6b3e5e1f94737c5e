//! Ringing: what a person hears of calls that ring.
//!
//! Owns that there is one ringer, and how long it is heard. Which call rings, waits or is silent, the arbiter
//! says; where a sound comes from is `theme`'s and `sound`'s, how it is played `pulse`'s.

mod pulse;
mod sound;
mod theme;
mod tone;

use std::{convert::Infallible, future::pending, path::Path, time::Duration};

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

use self::{pulse::Stream, sound::Sound, tone::Tone};
use crate::{audio::Route, config, scene::Told, settings};

/// How long it rings on while the arbiter is gone: one that was restarted is back by then, and without one
/// nobody would say when it is enough.
const ALONE: Duration = Duration::from_secs(10);

/// How soon an audio server is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What rings where no sound theme says otherwise.
const INCOMING: &str = "phone-incoming-call";

/// The desktop's sound theme.
const THEME: (&str, &str) = ("org.gnome.desktop.sound", "theme-name");

/// Until it is told nothing any more.
pub async fn run(
    session: Connection,
    mut told: UnboundedReceiver<Told>,
    wishes: config::Ring,
    route: watch::Receiver<Route>,
) {
    let mut theme = settings::Watched::follow(&session, THEME.0, THEME.1).await;
    let mut ringer = Ringing { route, heard: None, playing: None, until: None };
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
    route: watch::Receiver<Route>,
    heard: Option<Heard>,
    playing: Option<Playing>,
    until: Option<Instant>,
}

/// What is heard; at most one thing at a time.
#[derive(Clone, Debug, PartialEq)]
enum Heard {
    /// This call, aloud, with the ringtone that its app names.
    Call(CallPath, Option<String>),
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
            let ringtone = match &heard {
                Heard::Call(_, ringtone) => ringtone.clone(),
                Heard::Waiting => None,
            };
            let names = wishes.sound.clone().into_iter().chain(ringtone).collect();
            let theme = theme.map(str::to_owned);
            let route = self.route.clone();
            Playing(tokio::spawn(for_ever(heard, names, theme, route)).abort_handle())
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
    let ringtone = configuration(call).and_then(|known| known.ringtone.clone());
    Some(Heard::Call(call.object, ringtone.filter(|name| !name.is_empty())))
}

/// Plays it; once more from the start for each audio server that comes, and where it is to be heard from now on.
async fn for_ever(
    heard: Heard,
    names: Vec<String>,
    theme: Option<String>,
    mut route: watch::Receiver<Route>,
) -> Infallible {
    let mut told = false;
    loop {
        let output = heard.output(&route.borrow_and_update());
        let played = async {
            let (mut sound, role) = match heard {
                Heard::Call(..) => (ringtone(&names, theme.as_deref()), pulse::Role::Event),
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
        match told {
            true => debug!(%error, "ringing is still not heard"),
            false => warn!(%error, "ringing is not heard; the audio server is looked for again"),
        }
        told = true;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The first of these names that there is a sound for, else the theme's, else a tone.
fn ringtone(names: &[String], theme: Option<&str>) -> Sound {
    let bases = theme::bases();
    for name in names.iter().map(String::as_str).chain([INCOMING]) {
        let file = match Path::new(name).is_absolute() {
            true => Some(name.into()),
            false => theme::find(&bases, theme.unwrap_or(theme::FALLBACK), name),
        };
        match file.map(|file| Sound::open(&file).map_err(|error| (file, error))) {
            Some(Ok(sound)) => return sound,
            Some(Err((file, error))) => {
                warn!(%error, file = %file.display(), "a ringtone cannot be played");
            }
            None => debug!("a ringtone is in no sound theme"),
        }
    }
    Tone::RINGING.into()
}
