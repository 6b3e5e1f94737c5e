//! Shell completions and manual pages, made from the command line's own description.

use std::{fs, io::Write, path::Path};

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::{args::Cli, failure::Failure};

pub fn completions(shell: Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "callctl", &mut std::io::stdout());
}

/// `callctl.1` and `callctl-SUBCOMMAND.1` into a directory, or `callctl.1` to standard output.
pub fn manual(dir: Option<&Path>) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::refused(format!("cannot write {}: {error}", path.display()))
    };
    let Some(dir) = dir else {
        let page = render(Cli::command());
        // A pager that was closed early has seen what it wanted.
        let _ = std::io::stdout().write_all(&page);
        return Ok(());
    };
    fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    for (name, command) in pages() {
        let path = dir.join(format!("{name}.1"));
        fs::write(&path, render(command)).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

fn pages() -> Vec<(String, Command)> {
    let mut whole = Cli::command();
    // Subcommands learn of the global options only when the whole is built.
    whole.build();
    let subcommands: Vec<(String, Command)> = whole
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
        .map(|sub| {
            let name = format!("callctl-{}", sub.get_name());
            (name.clone(), sub.clone().name(name))
        })
        .collect();
    std::iter::once(("callctl".to_owned(), whole)).chain(subcommands).collect()
}

fn render(command: Command) -> Vec<u8> {
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = clap_mangen::Man::new(command).section("1").render(&mut page);
    page
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn every_visible_subcommand_has_a_page() {
        let names: Vec<String> = pages().into_iter().map(|(name, _)| name).collect();
        for expected in ["callctl", "callctl-answer", "callctl-watch", "callctl-demo"] {
            assert!(names.iter().any(|name| name == expected), "{expected} in {names:?}");
        }
        assert!(!names.iter().any(|name| name == "callctl-man"));
    }

    #[test]
    fn pages_are_manual_pages_with_the_examples() {
        let page = String::from_utf8(render(Cli::command())).unwrap();
        assert!(page.contains(".TH callctl 1"), "{page}");
        assert!(page.contains("callctl plan answer:ringing"), "{page}");
    }
}
