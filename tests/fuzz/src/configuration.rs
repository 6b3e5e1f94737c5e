//! A configuration file of any bytes is read whole or refused with a sentence, the same each time.

use std::{cell::RefCell, fs, path::PathBuf};

use callarbiterd::config::Sources;
use tempfile::TempDir;

thread_local! {
    static DIRECTORY: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

/// One file.
pub fn run(data: &[u8]) {
    let file = file();
    fs::write(&file, data).unwrap();
    let sources = Sources::only(file.clone());
    let (first, again) = (sources.load(), sources.load());
    match (first, again) {
        (Ok(first), Ok(again)) => {
            assert_eq!(first, again);
            assert!(std::str::from_utf8(data).is_ok(), "no text, and yet it is a configuration");
        }
        (Err(first), Err(again)) => {
            let why = first.to_string();
            assert_eq!(why, again.to_string());
            assert!(why.contains(&*file.to_string_lossy()), "it does not say which file: {why}");
            let unprintable = |c: char| c.is_control() && c != '\n';
            assert!(!why.contains(unprintable), "no text for a terminal: {why:?}");
            assert!(why.len() < 64 * 1024, "a refusal of {} bytes", why.len());
        }
        (first, again) => panic!("{first:?}, and then {again:?}"),
    }
}

/// In memory where there is such a place: this runs a million times.
fn file() -> PathBuf {
    DIRECTORY.with_borrow_mut(|directory| {
        let directory = directory.get_or_insert_with(|| {
            tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
        });
        directory.path().join("callarbiter.toml")
    })
}
