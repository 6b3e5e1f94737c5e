//! Which sound a call rings with: the user's, else its app's, else the theme's, else a tone.
//!
//! Owns that order, and that nothing of it keeps a call from ringing: what an app brings has to be there and to play
//! at once, and what breaks while it plays is not tried again.

use std::{fs::File, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use callarbiter::{ProviderInfo, Ringtone};
use tokio::{task::spawn_blocking, time::timeout};
use tracing::{debug, warn};

use super::{
    sound::{Sound, Source},
    theme,
    tone::Tone,
};
use crate::arbiter::Desk;

/// What rings where no sound theme says otherwise.
const INCOMING: &str = "phone-incoming-call";

/// An app's own sound that is not there by then is not waited for: nobody notices so short a silence before it rings.
const AT_ONCE: Duration = Duration::from_millis(200);

/// What an app wants its calls to ring with.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Whatever the desktop has.
    Desktop,
    /// A sound of the theme.
    Theme(String),
    /// What the provider with this number brought to the arbiter.
    Own(u32),
}

impl Wish {
    pub fn of(provider: &ProviderInfo) -> Wish {
        match &provider.configuration.ringtone {
            Some(Ringtone::Theme(name)) if !name.is_empty() => Wish::Theme(name.clone()),
            Some(Ringtone::Own) => Wish::Own(provider.number),
            _ => Wish::Desktop,
        }
    }
}

/// The sounds that there are for one ringing, in their order.
pub struct Choice {
    desk: Desk,
    turn: Turn,
    /// The app's own, once it is here.
    sealed: Option<Arc<File>>,
    /// Names, or paths of the user's.
    names: Vec<String>,
    theme: Option<String>,
}

/// Which kind has its turn.
#[derive(Clone, Copy)]
enum Turn {
    /// What this provider brought.
    Own(u32),
    Named,
    /// It is made, and cannot break.
    Made,
}

impl Choice {
    pub fn new(desk: Desk, users: Option<String>, wish: Wish, theme: Option<&str>) -> Choice {
        let (turn, theirs) = match wish {
            Wish::Own(provider) if users.is_none() => (Turn::Own(provider), None),
            Wish::Theme(name) => (Turn::Named, Some(name)),
            Wish::Own(_) | Wish::Desktop => (Turn::Named, None),
        };
        let names = users.into_iter().chain(theirs).collect();
        Choice { desk, turn, sealed: None, names, theme: theme.map(str::to_owned) }
    }

    /// The first that there is, from its beginning.
    pub async fn sound(&mut self) -> Sound {
        if let Turn::Own(provider) = self.turn {
            match timeout(AT_ONCE, self.own_sound(provider)).await.context("it takes too long") {
                Ok(Ok(sound)) => return sound,
                Ok(Err(error)) | Err(error) => self.is_broken(&error),
            }
        }
        match self.turn {
            Turn::Own(_) | Turn::Named => self.named_sound(),
            Turn::Made => Tone::RINGING.into(),
        }
    }

    /// What was played last is not played again.
    pub fn is_broken(&mut self, error: &anyhow::Error) {
        warn!("a ringtone cannot be played: {error:#}");
        self.turn = match self.turn {
            Turn::Own(_) => Turn::Named,
            Turn::Named | Turn::Made => Turn::Made,
        };
    }

    async fn own_sound(&mut self, provider: u32) -> Result<Sound> {
        let file = match &self.sealed {
            Some(file) => file.clone(),
            None => {
                let file = self.desk.open_ringtone(provider).await;
                Arc::new(File::from(file.context("the arbiter does not give it")?))
            }
        };
        self.sealed = Some(file.clone());
        // A file made to be slow is slow somewhere else.
        spawn_blocking(move || Sound::open(Source::Sealed(file))).await?
    }

    fn named_sound(&self) -> Sound {
        let bases = theme::bases();
        for name in self.names.iter().map(String::as_str).chain([INCOMING]) {
            let file = match Path::new(name).is_absolute() {
                true => Some(name.into()),
                false => {
                    theme::find(&bases, self.theme.as_deref().unwrap_or(theme::FALLBACK), name)
                }
            };
            match file.map(|file| Sound::open(Source::Path(file.clone())).map_err(|e| (file, e))) {
                Some(Ok(sound)) => return sound,
                Some(Err((file, error))) => {
                    warn!(%error, file = %file.display(), "a ringtone cannot be played");
                }
                None => debug!("a ringtone is in no sound theme"),
            }
        }
        Tone::RINGING.into()
    }
}
