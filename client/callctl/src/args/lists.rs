//! The words for the user's lists: whom to block, whom to let through.
//!
//! Owns how a time is written on the command line. What an address is, the agent knows.

use std::path::{Path, PathBuf};

use callarbiter_lists::date;
use clap::{Args, Subcommand, ValueEnum};

use crate::session::now;

/// `callctl block` and `callctl allow`: an address alone is added.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Listing {
    /// Whom to add: an address, `tel:+4930*`, `sip:*@spam.example`, or `anonymous`; without one the list is shown
    pub address: Option<String>,
    #[command(flatten)]
    pub terms: Terms,
    #[command(subcommand)]
    pub what: Option<OnList>,
}

/// What is said of an entry.
#[derive(Debug, Default, Args)]
pub struct Terms {
    /// Why, for yourself: `callctl why` shows it
    #[arg(long, value_name = "TEXT", requires = "address")]
    pub reason: Option<String>,
    /// Until when: `30m`, `12h`, `3d`, `2w`, or a day or time in UTC, `2026-12-31`, `2026-12-31T18:30:00Z`
    #[arg(long, value_name = "WHEN", requires = "address", value_parser = until)]
    pub expires: Option<u64>,
    /// Only for calls through this application, by its id
    #[arg(long, value_name = "APP-ID", requires = "address")]
    pub app: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum OnList {
    /// Add somebody
    Add {
        /// Whom: an address, `tel:+4930*`, `sip:*@spam.example`, or `anonymous`
        address: String,
        #[command(flatten)]
        terms: Terms,
    },
    /// Show the list, what was added last first
    List {
        /// Only entries with this text in the address or the reason
        text: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Only entries that stand behind the one with this number
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
    },
    /// Take an entry off the list
    Remove {
        /// As it was added, however it is written
        address: String,
        /// The entry for this application; else the one for all
        #[arg(long, value_name = "APP-ID")]
        app: Option<String>,
    },
    /// Take all entries off the list
    Clear,
    /// Say what would happen to a call from somebody, and why
    Check {
        /// Whom; empty for somebody who withholds the address
        address: String,
        /// Through this application
        #[arg(long, value_name = "APP-ID")]
        app: Option<String>,
    },
    /// Add all entries of a table (CSV) or of an address book (vCard), or none if one is wrong
    Import {
        /// The file; `-` for the standard input
        file: PathBuf,
        /// What it is; else its beginning says
        #[arg(long)]
        format: Option<Format>,
    },
    /// Write the list to a file
    Export {
        /// The file; else, or with `-`, the standard output
        file: Option<PathBuf>,
        /// As what; else vCard where the file is called so (.vcf), and CSV
        #[arg(long)]
        format: Option<Format>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// A table: list, address, app, reason, expires
    Csv,
    /// Cards with the category `blocked` or `allowed`; patterns, and what is for one app or for a
    /// time, are left out
    Vcard,
}

impl Format {
    /// What a file of this name is.
    pub fn of_name(file: Option<&Path>) -> Format {
        let ending = file.and_then(Path::extension).unwrap_or_default();
        let is_card = ["vcf", "vcard"].iter().any(|card| ending.eq_ignore_ascii_case(card));
        if is_card { Format::Vcard } else { Format::Csv }
    }

    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Vcard => "vcard",
        }
    }
}

/// µs since the epoch.
fn until(text: &str) -> Result<u64, String> {
    const SECOND: u64 = 1_000_000;
    let wrong =
        || "it is `30m`, `12h`, `3d`, `2w`, a day as `2026-12-31`, or a time in UTC".to_owned();
    if let Some(at) = date::seconds(text) {
        let at = u64::from(at) * SECOND;
        return if at > now() { Ok(at) } else { Err("that is over already".to_owned()) };
    }
    let (count, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    let count: u32 = count.parse().map_err(|_| wrong())?;
    match count {
        1..=100_000 => Ok(now() + u64::from(count) * unit * SECOND),
        _ => Err(wrong()),
    }
}

pub const BLOCK: &str = "\
What decides:
  The most specific entry of both lists: an address before a prefix, a prefix before a domain, the
  longer before the shorter, all before `anonymous`; then one for an application before one for all;
  then `allow` before `block`. An address is on one list: what is said later counts.

Examples:
  callctl block +49301234 --reason 'sells wine'
  callctl block 'tel:+4930*' --expires 2w
  callctl block 'sip:*@spam.example'
  callctl block anonymous --app org.example.Phone
  callctl block check +49301234
  callctl block remove +49301234
  callctl block import spam.csv
  callctl block list wine";

pub const ALLOW: &str = "\
Who is allowed rings through do-not-disturb, too; `callctl block --help` says which entry decides.

Examples:
  callctl allow sip:ada@example.org
  callctl allow 'matrix:u/*:example.org' --expires 2026-12-31
  callctl allow import family.vcf
  callctl allow export allowed.csv";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let in_two_weeks = until("2w").unwrap_or_default();
        assert!((1_209_599..=1_209_600).contains(&((in_two_weeks - now()) / 1_000_000)));
        assert_eq!(until("2100-01-01"), Ok(4_102_444_800_000_000));
        for wrong in ["", "w", "2", "0d", "2y", "2020-01-01", "ö"] {
            assert!(until(wrong).is_err(), "{wrong}");
        }
    }
}
