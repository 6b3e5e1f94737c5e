//! The log: where events go and which of them.
//!
//! Owns the choice between the journal and stderr, and the names of the journal's fields. What is worth
//! an event, each module decides; people's names and numbers are in no event at all.
//!
//! Fields with a meaning of their own in the journal, by their names in `tracing`: `message_id` (one of
//! [`ids`]), `call_id` (the UUID), `provider` (the app id), `uid`.

pub mod ids;

use std::{
    fmt,
    fs::File,
    io::{self, IsTerminal},
    os::{fd::AsFd, unix::fs::MetadataExt},
    str::FromStr,
};

use tracing::{field::Field, level_filters::LevelFilter};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{
    filter::Targets,
    fmt::format::{self, Writer},
    layer::{Layered, SubscriberExt},
    registry::Registry,
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
        None => on_stderr(filtered),
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

fn on_stderr(filtered: Layered<Targets, Registry>) {
    let layer = tracing_subscriber::fmt::layer()
        .compact()
        .fmt_fields(format::debug_fn(write_field))
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    filtered.with(layer).init();
}

/// The message, which comes first, and the fields, without the numbers that only the journal understands.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message_id" => Ok(()),
        "message" => write!(writer, "{value:?}"),
        name => write!(writer, " {name}={value:?}"),
    }
}
