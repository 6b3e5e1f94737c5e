//! The user's directories, as the XDG base directory specification has them.
//!
//! Owns the variables and what stands for them where they are not set. A path that is not absolute counts as not set.

use std::{env, path::PathBuf};

/// `$XDG_CONFIG_HOME`.
pub fn configuration() -> Option<PathBuf> {
    place("XDG_CONFIG_HOME", ".config")
}

/// `$XDG_DATA_HOME`.
pub fn data() -> Option<PathBuf> {
    place("XDG_DATA_HOME", ".local/share")
}

/// `$XDG_STATE_HOME`.
pub fn state() -> Option<PathBuf> {
    place("XDG_STATE_HOME", ".local/state")
}

/// `$XDG_DATA_DIRS`, the most important first.
pub fn everybodys_data() -> Vec<PathBuf> {
    let set = env::var_os("XDG_DATA_DIRS").filter(|value| !value.is_empty());
    let set = set.unwrap_or_else(|| "/usr/local/share:/usr/share".into());
    env::split_paths(&set).filter(|place| place.is_absolute()).collect()
}

/// `~/…` in a configuration file.
pub fn at_home(path: &str) -> Option<PathBuf> {
    match path.strip_prefix("~/") {
        Some(rest) => Some(variable("HOME")?.join(rest)),
        None => Some(PathBuf::from(path)).filter(|path| path.is_absolute()),
    }
}

fn place(name: &str, at_home: &str) -> Option<PathBuf> {
    variable(name).or_else(|| Some(variable("HOME")?.join(at_home)))
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}
