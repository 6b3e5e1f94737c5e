//! The file of a user's preferences, and what is known of it: what was right last, what the arbiter took last, and why
//! the file does not count as it is.
//!
//! Owns that the arbiter keeps what it was told before where the file has a mistake, and that a choice is written only
//! once the arbiter has taken it. How a text is changed, the crate `callarbiter-config` knows.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use callarbiter_config::{
    ConfigError,
    preferences::{self, Written},
};
use callarbiter_dbus::{Dict, Error, ErrorKind};
use tokio::{sync::Mutex, task::spawn_blocking};
use tracing::{info, warn};
use zbus::Variant;

use crate::arbiter::Desk;

/// One user's file.
pub struct Keeper {
    file: PathBuf,
    desk: Desk,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was right last.
    known: Option<Written>,
    /// What the arbiter took last.
    taken: Option<Written>,
    /// Why the file does not count as it is; empty while it does.
    problem: String,
}

impl Keeper {
    /// The file need not be there.
    pub fn of(file: PathBuf, desk: Desk) -> Keeper {
        Keeper { file, desk, state: Mutex::default() }
    }

    /// The file may have changed. `again`: the arbiter may have forgotten what it was told.
    pub async fn look(&self, again: bool) {
        let mut state = self.state.lock().await;
        let mistake = match written(&self.file) {
            Ok(written) if state.known.as_ref() != Some(&written) => {
                state.known = Some(written);
                None
            }
            Ok(_) if again || !state.problem.is_empty() => None,
            Ok(_) => return,
            Err(error) => {
                // What is wrong quotes what the user wrote, which is not for a log.
                warn!("{} has a mistake, so what it said before stays", error.place());
                Some(error.to_string())
            }
        };
        let known = state.known.clone().filter(|_| mistake.is_none() || again);
        let refused = match known {
            None => None,
            Some(known) => match self.tell(&known).await {
                Ok(()) => {
                    info!("the arbiter knows what the user prefers");
                    state.taken = Some(known);
                    None
                }
                Err(error) => {
                    let (file, name) = (self.file.display(), error.name.as_str());
                    warn!("{file}: the arbiter keeps what it was told before: {name}");
                    Some(error.message)
                }
            },
        };
        state.problem = mistake.or(refused).unwrap_or_default();
    }

    /// One choice for every call, or none any more. The arbiter is asked first: what it refuses is not written.
    pub async fn choose(&self, key: &str, value: Option<&Variant<'_>>) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        let (text, new) = preferences::choose(&self.file, key, value)?;
        self.tell(&new).await?;
        let file = self.file.clone();
        let kept = spawn_blocking(move || write(&file, &text)).await.map_err(io::Error::other);
        if let Err(error) = kept.flatten() {
            if let Some(before) = &state.taken {
                self.tell(before).await?;
            }
            let why = format!("{} cannot be written: {error}", self.file.display());
            return Err(Error::new(ErrorKind::ActionFailed, why));
        }
        *state = State { known: Some(new.clone()), taken: Some(new), problem: String::new() };
        Ok(())
    }

    /// What the arbiter took, and about the file.
    pub async fn told(&self) -> (Dict, Vec<Dict>, Dict) {
        let state = self.state.lock().await;
        let (choices, rules) = state.taken.as_ref().map(Written::to_wire).unwrap_or_default();
        let problem = Some(state.problem.clone()).filter(|problem| !problem.is_empty());
        let about = [
            ("file", Some(Variant::from(self.file.display().to_string()))),
            ("told", Some(state.taken.is_some().into())),
            ("problem", problem.map(Variant::from)),
        ];
        let about = about.into_iter().filter_map(|(key, value)| {
            // Fails only for file descriptors.
            Some((key.to_owned(), value?.try_into_owned().ok()?))
        });
        (choices, rules, about.collect())
    }

    async fn tell(&self, written: &Written) -> Result<(), Error> {
        self.desk.set_preferences(written).await.map_err(|error| {
            Error::from_zbus(&error).filter(|refused| refused.kind().is_some()).unwrap_or_else(
                || {
                    let why = format!("the arbiter was not told what the user prefers: {error}");
                    Error::new(ErrorKind::ActionFailed, why)
                },
            )
        })
    }
}

/// No file is no preferences.
fn written(file: &Path) -> Result<Written, ConfigError> {
    match file.try_exists() {
        Ok(false) => Ok(Written::default()),
        _ => preferences::read(file).map(|(written, _)| written),
    }
}

/// Whole or not at all; where it is a link, what it leads to. One that was there keeps its mode, a new one is the
/// user's alone.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let new = file.with_extension("toml.new");
    let mode = fs::metadata(&file).map_or(0o600, |known| known.permissions().mode() & 0o777);
    let mut open =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    open.set_permissions(Permissions::from_mode(mode))?;
    open.write_all(text.as_bytes())?;
    open.sync_all()?;
    fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_new_file_is_the_users_alone_and_one_that_was_there_keeps_its_mode_and_place() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("config/callarbiter/preferences.toml");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        write(&file, "ringing = 1\n").unwrap();
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));

        let (real, link) = (top.path().join("mine.toml"), top.path().join("preferences.toml"));
        fs::write(&real, "").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o644)).unwrap();
        symlink(&real, &link).unwrap();
        write(&link, "ringing = 2\n").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "ringing = 2\n");
        assert!(link.is_symlink() && mode(&real) == 0o644);
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 3, "nothing else is left");
    }
}
