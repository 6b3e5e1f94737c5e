//! Local time as data: what the core needs so that rules about the time of day hold through summer time.
//!
//! Owns the way from a zone file to a table of changes. It is made when the configuration is read, and reaches so
//! far that no daemon runs beyond it.

use std::{
    env, io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use callarbiter_core::Zone;
use tz::TimeZone;

use crate::ConfigError;

/// What the system has for its own zone; without it, UTC.
const LOCAL: &str = "/etc/localtime";

const WEEK: i64 = 7 * 86_400;

/// So far back, and so far ahead: about a year, and forty.
const BEFORE: i64 = 52 * WEEK;
const AFTER: i64 = 40 * 52 * WEEK;

/// The zone of this machine, from the present on.
pub fn local() -> Result<Zone, ConfigError> {
    let named = env::var("TZ").ok().filter(|name| !name.is_empty());
    match named {
        Some(name) => of(&name, now()).map_err(|why| unusable(&name, why)),
        None if !Path::new(LOCAL).exists() => Ok(Zone::default()),
        None => of(&format!(":{LOCAL}"), now()).map_err(|why| unusable(LOCAL, why)),
    }
}

/// A zone by its name (`Europe/Berlin`), its file (`:/etc/localtime`) or its rules, as in the variable TZ; around
/// this second.
pub fn of(name: &str, around: i64) -> Result<Zone, tz::Error> {
    let zone = TimeZone::from_posix_tz(name)?;
    let ahead =
        |at: i64| -> Result<i32, tz::Error> { Ok(zone.find_local_time_type(at)?.ut_offset()) };
    let first = around.saturating_sub(BEFORE);
    let mut before = ahead(first)?;
    let mut found = Zone { ahead: before, ..Zone::default() };
    let mut changes = Vec::new();
    let mut at = first;
    // Nowhere do clocks change there and back within a week.
    while at < around.saturating_add(AFTER) {
        let (mut low, mut high) = (at, at + WEEK);
        let after = ahead(high)?;
        at = high;
        if after == before {
            continue;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match ahead(middle)? == before {
                true => low = middle,
                false => high = middle,
            }
        }
        changes.push((high, after));
        before = after;
    }
    found.changes = changes.into();
    Ok(found)
}

fn unusable(name: &str, why: tz::Error) -> ConfigError {
    ConfigError::unreadable(Path::new(name), io::Error::other(format!("no time zone: {why}")))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]

    use callarbiter_core::Moment;

    use super::*;

    /// The rules of Berlin, which need no zone file.
    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
    const MARCH_2024: i64 = 1_711_846_800;

    #[test]
    fn summer_time_begins_and_ends_to_the_second() {
        let zone = of(BERLIN, MARCH_2024).expect("a zone");
        let at = |seconds: i64| zone.moment((MARCH_2024 + seconds) as u64 * 1_000_000);
        assert_eq!(at(-1), Moment { day: 6, minute: 119 });
        assert_eq!(at(0), Moment { day: 6, minute: 180 });
        let october = 1_729_990_800 - MARCH_2024;
        assert_eq!(at(october - 1), Moment { day: 6, minute: 179 });
        assert_eq!(at(october), Moment { day: 6, minute: 120 });
        assert!((80..=82).contains(&zone.changes.len()), "{}", zone.changes.len());
    }

    #[test]
    fn a_zone_without_changes_has_none() {
        assert_eq!(of("UTC0", 0).expect("a zone"), Zone::default());
        assert!(of("Europe/Nowhere", 0).is_err());
    }
}
