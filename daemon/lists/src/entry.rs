//! What one entry of a list says.
//!
//! Owns the words for it. An address (for one app, or for all) is on one list: what is said later counts.

use crate::pattern::Pattern;

/// The longest reason, in bytes.
pub const REASON: usize = 256;
/// The longest id of an app, in bytes: as on the bus.
pub const APP: usize = 255;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// Calls reach the user, whatever else is blocked.
    Allow,
    /// Calls are turned away.
    Block,
}

/// What decides about a caller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    pub list: List,
    /// Whom it covers.
    pub pattern: Pattern,
    /// For calls through this app alone; empty for all.
    pub app: String,
    /// From then on it says nothing, in s since the epoch; 0 for never.
    pub expires: u32,
}

/// A rule, and why it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub rule: Rule,
    /// In the user's words.
    pub reason: String,
}

impl List {
    /// Its name, in files and on the bus.
    pub fn name(self) -> &'static str {
        match self {
            List::Allow => "allow",
            List::Block => "block",
        }
    }

    /// Of this name; what cards and other lists call it, too.
    pub fn of_name(name: &str) -> Option<List> {
        let is = |names: [&str; 3]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
        match () {
            () if is(["allow", "allowed", "white"]) => Some(List::Allow),
            () if is(["block", "blocked", "black"]) => Some(List::Block),
            () => None,
        }
    }
}

impl Rule {
    /// Whether it has said what it had to say, at this time in s since the epoch.
    pub fn is_over(&self, now: u32) -> bool {
        is_over(self.expires, now)
    }
}

/// The same of a mere time.
pub fn is_over(expires: u32, now: u32) -> bool {
    expires != 0 && expires <= now
}
