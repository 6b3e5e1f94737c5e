//! The words for what the session's agent keeps: calls that are over, favourites, decisions about apps, preferences.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Which calls that are over.
#[derive(Debug, Args)]
pub struct Which {
    /// Only those that nobody here answered
    #[arg(long)]
    pub missed: bool,
    /// Only those with this person, however the address is written
    #[arg(long, value_name = "HANDLE")]
    pub with: Option<String>,
    /// Only those of this application, by its id
    #[arg(long, value_name = "APP-ID")]
    pub app: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Past {
    /// Show everything that is known of a call, and why it was what it was
    Show {
        /// The beginning of the call's id, as `callctl history` prints it
        call: String,
    },
    /// Call somebody again, through the application of that call, which is started if need be
    Call {
        /// The beginning of the call's id, as `callctl history` prints it
        call: String,
        /// With video
        #[arg(long)]
        video: bool,
    },
    /// Erase calls for good; what is given must all fit
    #[command(group = clap::ArgGroup::new("said").required(true).multiple(true)
        .args(["all", "missed", "with", "app", "call", "older_than"]))]
    Erase {
        /// All of them
        #[arg(long, conflicts_with_all = ["missed", "with", "app", "call", "older_than"])]
        all: bool,
        #[command(flatten)]
        which: Which,
        /// Only this one, by the beginning of its id
        #[arg(long, value_name = "CALL")]
        call: Option<String>,
        /// Only those older than so many days
        #[arg(long, value_name = "DAYS")]
        older_than: Option<u32>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Favourite {
    /// Add somebody, or change what is known of them
    Add {
        /// Whom, as an application would call them: sip:bob@example.org, tel:+4930123456
        handle: String,
        /// Their name
        #[arg(long)]
        name: Option<String>,
        /// The application to call them with; else the one that was used last
        #[arg(long, value_name = "APP-ID")]
        provider: Option<String>,
    },
    /// Remove somebody
    Remove {
        /// Whom, however the address is written
        handle: String,
    },
    /// Call somebody
    Call {
        /// The beginning of their name, or their address
        who: String,
        /// With video
        #[arg(long)]
        video: bool,
    },
}

pub const HISTORY: &str = "\
Examples:
  callctl history --missed
  callctl history --with tel:+4930123456
  callctl history show 1f0c
  callctl history call 1f0c
  callctl history erase --older-than 30
  callctl history erase --all";

/// What the user decides about an app.
#[derive(Clone, Debug, Subcommand)]
pub enum AppDecision {
    /// It may provide calls; with --control or --place-call that, from inside its sandbox
    Allow {
        /// Its id, org.example.Phone for example
        app_id: String,
        #[command(flatten)]
        what: Permissions,
    },
    /// It may not provide calls; with --control or --place-call not that
    Deny {
        /// Its id
        app_id: String,
        #[command(flatten)]
        what: Permissions,
    },
    /// As if you had never been asked, about its calls or about what is given
    Forget {
        /// Its id
        app_id: String,
        #[command(flatten)]
        what: Permissions,
    },
}

/// What a sandbox keeps an app from.
#[derive(Clone, Debug, Args)]
pub struct Permissions {
    /// See and control the calls of other applications
    #[arg(long)]
    pub control: bool,
    /// Place calls through other applications
    #[arg(long)]
    pub place_call: bool,
}

pub const APPS: &str = "\
Examples:
  callctl apps
  callctl apps allow org.example.Phone
  callctl apps allow org.example.Panel --control --place-call
  callctl apps deny org.example.Panel --control

What the administrator decided ([apps] in /etc/callarbiter/callarbiter.toml, /etc/callarbiter/apps.d, polkit) is shown
and cannot be changed here; what a package says of its app (/usr/lib/callarbiter/apps.d) can.";

/// What the user wants of calls.
#[derive(Debug, Args)]
pub struct Preferences {
    /// The daemon's configuration, instead of the installed one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub what: Option<Preference>,
}

#[derive(Debug, Subcommand)]
pub enum Preference {
    /// Choose for every call; what is wrong, or not yours to choose, changes nothing
    Set {
        /// What: ring-ms, when-busy, … as `callctl preferences` lists it
        key: String,
        /// The choice
        value: String,
    },
    /// As if you had never chosen
    Unset {
        /// What: ring-ms, when-busy, …
        key: String,
    },
}

pub const PREFERENCES: &str = "\
Examples:
  callctl preferences
  callctl preferences set ring-ms 20000
  callctl preferences set do-not-disturb quiet
  callctl preferences unset ring-ms

They stand in ~/.config/callarbiter/preferences.toml, which you may edit as well: comments and the
rest of it stay when a choice is set here, and it counts as soon as it is saved. [[rule]]s are written
there by hand; `callctl policy check` says whether they are right. What is the administrator's is read
from the files that the daemon reads, and counts once the daemon has read them (systemctl reload
callarbiter).";
