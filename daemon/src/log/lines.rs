//! Lines on their way to stderr, and which of them leave together.
//!
//! Owns the bytes between what formats them and the write. A line leaves at once, unless it is logged
//! [`together`] with others. Whoever reads slowly is waited for, as for any line; what cannot be written is lost.

use std::{
    cell::Cell,
    io::{self, Write},
};

use tracing_subscriber::fmt::MakeWriter;

#[cfg(test)]
use pretended::put;

/// How many bytes leave in one write, unless a single line has more: `PIPE_BUF`, which a pipe takes as a whole
/// or not at all, so that no other program's words come into the middle of a line.
const MOST_BYTES: usize = 4096;

thread_local! {
    /// Those that wait for others.
    static WAITING: Cell<Option<Vec<u8>>> = const { Cell::new(None) };
}

/// What is logged in here leaves in one write, or few.
pub fn together(log: impl FnOnce()) {
    // There are some already if this is a panic in the middle of logging: they leave with these.
    let waiting = WAITING.take().unwrap_or_else(|| Vec::with_capacity(MOST_BYTES));
    WAITING.set(Some(waiting));
    log();
    put(&WAITING.take().unwrap_or_default());
}

/// Makes lines for stderr.
#[derive(Debug)]
pub struct Stderr;

/// One line.
#[derive(Debug)]
pub struct Line;

impl MakeWriter<'_> for Stderr {
    type Writer = Line;
    fn make_writer(&self) -> Line {
        Line
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match WAITING.take() {
            None => put(line),
            Some(mut waiting) => {
                if waiting.len() + line.len() > MOST_BYTES {
                    put(&waiting);
                    waiting.clear();
                }
                waiting.extend_from_slice(line);
                WAITING.set(Some(waiting));
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(not(test))]
fn put(lines: &[u8]) {
    if !lines.is_empty() {
        // Where could that be told?
        let _ = io::stderr().write_all(lines);
    }
}

#[cfg(test)]
pub mod pretended {
    use std::cell::RefCell;

    use tracing_subscriber::layer::SubscriberExt;

    thread_local! {
        static WRITTEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    pub fn put(lines: &[u8]) {
        if !lines.is_empty() {
            WRITTEN.with_borrow_mut(|all| all.push(String::from_utf8_lossy(lines).into_owned()));
        }
    }

    /// What this thread wrote since it was last asked, by writes.
    pub fn written() -> Vec<String> {
        WRITTEN.take()
    }

    /// Does something that is logged as it would be on stderr.
    pub fn logged<T>(doing: impl FnOnce() -> T) -> T {
        let subscriber = tracing_subscriber::registry().with(crate::log::readable(false));
        tracing::subscriber::with_default(subscriber, doing)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{pretended::written, *};

    fn log(line: &str) {
        Stderr.make_writer().write_all(line.as_bytes()).unwrap();
    }

    #[test]
    fn a_line_leaves_at_once_unless_it_is_together_with_others() {
        log("one\n");
        log("two\n");
        assert_eq!(written(), ["one\n", "two\n"]);
        together(|| {
            log("three\n");
            log("four\n");
            assert!(written().is_empty());
        });
        log("five\n");
        assert_eq!(written(), ["three\nfour\n", "five\n"]);
        together(|| {});
        assert!(written().is_empty());
    }

    #[test]
    fn a_write_has_whole_lines_and_is_no_longer_than_a_pipe_takes_as_a_whole() {
        let lines: Vec<String> = (0..100).map(|n| format!("{n:0300}\n")).collect();
        let long = format!("{}\n", "long".repeat(MOST_BYTES));
        together(|| {
            lines.iter().for_each(|line| log(line));
            log(&long);
            log("short\n");
        });
        let writes = written();
        assert_eq!(writes.concat(), format!("{}{long}short\n", lines.concat()));
        let (long, rest): (Vec<_>, Vec<_>) =
            writes.into_iter().partition(|write| write.starts_with("long"));
        assert_eq!(long.len(), 1);
        assert!(rest.iter().all(|write| write.ends_with('\n') && write.len() <= MOST_BYTES));
        assert_eq!(rest.len(), 100usize.div_ceil(MOST_BYTES / 301) + 1);
    }

    #[test]
    fn in_the_middle_of_others_nothing_waits_any_longer() {
        together(|| {
            log("before\n");
            together(|| log("a panic\n"));
            assert_eq!(written(), ["before\na panic\n"]);
        });
    }
}
