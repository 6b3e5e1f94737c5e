//! The user's wishes: `agent.toml`.
//!
//! Owns its form and where it lies. A wrong file is refused with its line; no file means the defaults.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use callarbiter_lists::region::Region;
use serde::Deserialize;

use crate::places;

/// All of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub players: Players,
    #[serde(rename = "do-not-disturb")]
    pub do_not_disturb: DoNotDisturb,
    pub ring: Ring,
    pub audio: Audio,
    pub power: Power,
    pub contacts: Contacts,
    pub history: History,
    pub headset: Headset,
}

/// `[players]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Players {
    /// Whether players that were paused for a call go on after the last one.
    pub resume: bool,
}

/// `[ring]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ring {
    /// The ringtone for every call: the name of a sound of the theme, or the path of a file. Else it is
    /// the app's, or the theme's.
    pub sound: Option<String>,
    /// The sound theme, if not the desktop's.
    pub theme: Option<String>,
}

/// `[audio]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audio {
    /// Where the sound of calls goes until the user chooses: the first of these that is there, each a kind
    /// (`bluetooth`, `headset`, `headphones`, `speaker`, `hdmi`, `other`) or an id that `callctl endpoints` lists.
    /// Else where all other sound goes.
    pub outputs: Vec<String>,
    /// The same for ringing.
    pub ring: Vec<String>,
}

/// `[contacts]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Contacts {
    /// Folders with vCard files, and folders of such; else `$XDG_DATA_HOME/contacts`.
    pub folders: Option<Vec<String>>,
    /// The country in which numbers are written, `DE`; else the locale's.
    pub region: Option<Region>,
}

/// `[do-not-disturb]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DoNotDisturb {
    /// Calls are shown without a sound; else they are refused, and what they leave is a silent note.
    pub quiet: bool,
    /// Handles of people who ring all the same.
    pub allow: Vec<String>,
    /// Modes of mako that mean it.
    pub modes: Vec<String>,
}

/// `[power]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Power {
    /// Whether a call goes on when the lid is closed.
    pub lid: bool,
}

/// `[history]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// How long calls are kept.
    pub days: u32,
    /// How many calls are kept; 0: none.
    pub calls: u32,
}

impl Default for History {
    /// A year, and more calls than most people have in one: some ten megabytes with their causes.
    fn default() -> Self {
        History { days: 365, calls: 10_000 }
    }
}

/// `[headset]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Headset {
    /// Where `dev` and `sys` are.
    pub root: PathBuf,
}

impl Default for Headset {
    fn default() -> Self {
        Headset { root: "/".into() }
    }
}

impl Default for Power {
    fn default() -> Self {
        Power { lid: true }
    }
}

impl Default for DoNotDisturb {
    fn default() -> Self {
        let modes = ["do-not-disturb", "dnd"].map(str::to_owned).to_vec();
        DoNotDisturb { quiet: true, allow: vec![], modes }
    }
}

impl Default for Players {
    fn default() -> Self {
        Players { resume: true }
    }
}

/// Reads the file that was named, which must be there, or the user's own, which need not.
pub fn load(named: Option<&Path>) -> Result<Config> {
    let Some(path) = named.map(Path::to_owned).or_else(own) else { return Ok(Config::default()) };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    toml::from_str(&text).map_err(|error| anyhow!("{}: {}", path.display(), mistake(&text, &error)))
}

/// Where it is, and what is wrong. This gets into a log: of what the user wrote there, keys only.
fn mistake(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let message = error.message();
    let quoted = message.split_once("string \"");
    match quoted.and_then(|(before, rest)| Some((before, rest.rsplit_once('"')?.1))) {
        Some((before, after)) => format!("line {line}: {before}a text{after}"),
        None => format!("line {line}: {message}"),
    }
}

fn own() -> Option<PathBuf> {
    Some(places::configuration()?.join("callarbiter/agent.toml"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_not_said_has_its_default() {
        assert!(toml::from_str::<Config>("").unwrap().players.resume);
        assert!(!toml::from_str::<Config>("[players]\nresume = false").unwrap().players.resume);
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let said = |text: &str| mistake(text, &toml::from_str::<Config>(text).unwrap_err());
        let error = said("[players]\nresum = true");
        assert!(error.contains("line 2") && error.contains("resum"), "{error}");
        let region = |text: &str| toml::from_str::<Config>(text).unwrap().contacts.region;
        assert_eq!(
            region("[contacts]\nregion = \"de\""),
            callarbiter_lists::region::of_country("DE")
        );
        let error = said("[contacts]\nregion = \"Germany\"");
        assert!(error.contains("line 2") && error.contains("no country"), "{error}");
        for wrong in [
            "allow = \"tel:+4930123456\"",
            "allow = [\"tel:+4930123456\"",
            "quiet = \"tel:+4930123456\"",
        ] {
            let error = said(&format!("[do-not-disturb]\n{wrong}"));
            assert!(error.contains("line 2") && !error.contains("4930123456"), "{error}");
        }
    }
}
