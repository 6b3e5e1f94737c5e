//! What a part must undo even if the agent is killed: one small file a part, in memory.
//!
//! Owns the file's form. Its lines count on the same session bus only, since they name connections.

use std::{env, fs, io, path::PathBuf};

use tracing::warn;

/// One part's file.
#[derive(Clone, Debug)]
pub struct Trace {
    file: Option<PathBuf>,
    bus: String,
}

impl Trace {
    /// Of this part, on the session bus with this id. Without a runtime directory nothing is kept.
    pub fn of(part: &str, bus: &str) -> Trace {
        let directory = env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty());
        let directory =
            directory.map(|directory| PathBuf::from(directory).join("callarbiter-agent"));
        Trace { file: directory.map(|directory| directory.join(part)), bus: bus.to_owned() }
    }

    /// What the agent before this one left behind.
    pub fn found(&self) -> Vec<String> {
        let text = self.file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        let text = text.unwrap_or_default();
        let mut lines = text.lines();
        match lines.next() == Some(&self.bus) {
            true => lines.map(str::to_owned).collect(),
            false => Vec::new(),
        }
    }

    /// What there is to undo from now on; said before it is done.
    pub fn keep<'a>(&self, lines: impl IntoIterator<Item = &'a str>) {
        let text: String = lines.into_iter().flat_map(|line| ["\n", line]).collect();
        if let Err(error) = self.write(&text) {
            warn!(%error, "what must be undone after a crash cannot be kept");
        }
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        if text.is_empty() {
            return match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory)?;
        }
        let new = file.with_extension("new");
        fs::write(&new, format!("{}{text}", self.bus))?;
        fs::rename(new, file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_on_the_same_bus_until_they_are_undone() {
        let file = env::temp_dir().join(format!("callarbiter-trace-{}/part", uuid::Uuid::new_v4()));
        let on = |bus: &str| Trace { file: Some(file.clone()), bus: bus.to_owned() };
        assert_eq!(on("a").found(), [""; 0]);
        on("a").keep([":1.5", ":1.6"]);
        assert_eq!(on("a").found(), [":1.5", ":1.6"]);
        assert_eq!(on("b").found(), [""; 0]);
        on("a").keep([]);
        assert!(!file.exists());
        let _ = fs::remove_dir_all(file.with_file_name(""));
    }
}
