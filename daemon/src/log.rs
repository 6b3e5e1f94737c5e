//! The log: where events go and which of them.
//!
//! Owns the choice between the journal and stderr, and the names of the journal's fields. What is worth
//! an event, each module decides; people's names and numbers are in no event at all.
//!
//! On stderr a line says when what it tells happened ([`time`]), and lines can leave together ([`lines`]). In the
//! journal each is an entry of its own, whose time is when journald got it: no sender can set that.
//!
//! Fields with a meaning of their own in the journal, by their names in `tracing`: `message_id` (one of
//! [`ids`]), `call_id` (the UUID), `provider` (the app id), `uid`.

pub mod ids;
pub mod lines;
pub mod time;

use std::{
    fmt,
    fs::File,
    io::{self, IsTerminal},
    os::{fd::AsFd, unix::fs::MetadataExt},
    str::FromStr,
};

use tracing::{Subscriber, field::Field, level_filters::LevelFilter};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{
    filter::Targets,
    fmt::format::{self, Writer},
    layer::{Layer, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// Which events are logged: a level, and levels of single modules.
#[derive(Clone, Debug)]
pub struct Filter(Targets);

/// Why a text is no filter.
pub type FilterError = tracing_subscriber::filter::ParseError;

impl Default for Filter {
    fn default() -> Self {
        Filter(Targets::new().with_default(LevelFilter::INFO))
    }
}

impl FromStr for Filter {
    type Err = FilterError;
    fn from_str(text: &str) -> Result<Self, FilterError> {
        text.parse().map(Filter)
    }
}

/// Starts logging; once, before the first event.
pub fn start(filter: Filter) {
    let filtered = tracing_subscriber::registry().with(filter.0);
    match journal() {
        Some(journal) => filtered.with(journal).init(),
        None => filtered.with(readable(io::stderr().is_terminal())).init(),
    }
}

/// The journal, if that is where stderr would end anyway: lines without fields would be a loss.
fn journal() -> Option<tracing_journald::Layer> {
    if !leads_to_journal(&std::env::var("JOURNAL_STREAM").ok()?) {
        return None;
    }
    let priorities = PriorityMappings {
        info: Priority::Informational,
        debug: Priority::Debug,
        ..PriorityMappings::new()
    };
    let journal = tracing_journald::layer().ok()?;
    Some(journal.with_field_prefix(None).with_priority_mappings(priorities))
}

/// systemd sets `$JOURNAL_STREAM` to device and inode of the stream, for a service that may have
/// redirected its stderr since, or passed the variable on.
fn leads_to_journal(stream: &str) -> bool {
    let stderr = io::stderr().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    let is = |stderr: std::fs::Metadata| stream == format!("{}:{}", stderr.dev(), stderr.ino());
    stderr.is_ok_and(is)
}

/// Lines for people.
fn readable<S: Subscriber + for<'span> LookupSpan<'span>>(ansi: bool) -> impl Layer<S> {
    tracing_subscriber::fmt::layer()
        .compact()
        .with_timer(time::Stamp)
        .fmt_fields(format::debug_fn(write_field))
        .with_ansi(ansi)
        .with_writer(lines::Stderr)
}

/// The message, which comes first, and the fields, without the numbers that only the journal understands.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message_id" => Ok(()),
        "message" => write!(writer, "{value:?}"),
        name => write!(writer, " {name}={value:?}"),
    }
}
