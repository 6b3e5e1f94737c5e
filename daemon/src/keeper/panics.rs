//! A state that the daemon cannot live with: it panics, is started again, finds the same, and panics again.
//!
//! Owns the memory of that, a file beside the state. A kill is no panic, whoever kills it and however often.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    panic,
    path::{Path, PathBuf},
};

use callarbiter_core::{Millis, Time};

use crate::platform::clock;

/// So many panics within [`SPAN`] are no accident; systemd gives up after five starts.
const TOO_MANY: usize = 3;
const SPAN: Millis = Millis::secs(60);

/// Notes every panic from now on, besides what is done about it anyway.
pub fn watch(directory: &Path) {
    let file = file_in(directory);
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        note(&file, clock::now().mono);
        tell(panic);
    }));
}

/// Whether the state had better not be tried once more. Asking forgets what is long ago.
pub fn are_too_many(directory: &Path, now: Time) -> bool {
    let file = file_in(directory);
    let Ok(noted) = fs::read_to_string(&file) else { return false };
    let times = noted.lines().filter_map(|line| line.parse().ok().map(Time));
    let recent = times.filter(|at| *at <= now && now < *at + SPAN).count();
    if recent == 0 || recent >= TOO_MANY {
        // What stays is asked again at the next start, when it is older.
        let _ = fs::remove_file(&file);
    }
    recent >= TOO_MANY
}

fn note(file: &Path, at: Time) {
    let mut options = OpenOptions::new();
    let opened = options.create(true).append(true).mode(0o600).open(file);
    if let Ok(mut file) = opened {
        let _ = writeln!(file, "{}", at.0);
    }
}

fn file_in(directory: &Path) -> PathBuf {
    directory.join("panics")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn three_within_a_minute_are_too_many() {
        let directory = TempDir::new().unwrap();
        let file = file_in(directory.path());
        let second = |n: u64| Time(n * 1_000_000);
        assert!(!are_too_many(directory.path(), second(1)));
        for n in [1, 30, 100] {
            note(&file, second(n));
            assert!(!are_too_many(directory.path(), second(n)));
        }
        note(&file, second(110));
        assert!(!are_too_many(directory.path(), second(110)));
        note(&file, second(120));
        assert!(are_too_many(directory.path(), second(120)));
        assert!(!are_too_many(directory.path(), second(120)), "the next state is another");
        note(&file, second(130));
        assert!(!are_too_many(directory.path(), second(5)), "the machine was started again");
        assert!(!file.exists());
    }
}
