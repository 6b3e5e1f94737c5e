//! When a line happened, as its first word: RFC 3339 in UTC with microseconds.
//!
//! Owns that text, and which time it is: now, unless whoever logs says that it was before. The calendar is a
//! library's.

use std::{
    cell::Cell,
    fmt::{self, Write},
};

use tracing_subscriber::fmt::{format::Writer, time::FormatTime};
use tz::UtcDateTime;

use crate::platform::clock;

thread_local! {
    /// When what is being logged happened, if that is not now.
    static BEFORE: Cell<Option<u64>> = const { Cell::new(None) };
    static LAST: Cell<Second> = const { Cell::new(Second { number: u64::MAX, text: String::new() }) };
}

/// What is logged in here happened at this time, in microseconds since the epoch.
pub fn at(wall: u64, log: impl FnOnce()) {
    BEFORE.set(Some(wall));
    log();
    BEFORE.set(None);
}

/// Writes the time of a line.
#[derive(Debug)]
pub struct Stamp;

impl FormatTime for Stamp {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write(BEFORE.get().unwrap_or_else(|| clock::now().wall), writer)
    }
}

/// A second, and how its lines begin: many have the same.
#[derive(Default)]
struct Second {
    number: u64,
    text: String,
}

impl Second {
    fn of(number: u64) -> Result<Second, fmt::Error> {
        let seconds = i64::try_from(number).map_err(|_| fmt::Error)?;
        let date = UtcDateTime::from_timespec(seconds, 0).map_err(|_| fmt::Error)?;
        let (year, month, day) = (date.year(), date.month(), date.month_day());
        let (hour, minute, second) = (date.hour(), date.minute(), date.second());
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.");
        Ok(Second { number, text })
    }
}

fn write(wall: u64, writer: &mut impl Write) -> fmt::Result {
    let (number, mut micros) = (wall / 1_000_000, wall % 1_000_000);
    let mut last = LAST.take();
    if last.number != number || last.text.is_empty() {
        last = Second::of(number)?;
    }
    writer.write_str(&last.text)?;
    LAST.set(last);
    let mut end = *b"000000Z";
    for digit in end.iter_mut().take(6).rev() {
        *digit += (micros % 10) as u8;
        micros /= 10;
    }
    writer.write_str(str::from_utf8(&end).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn text(wall: u64) -> String {
        let mut text = String::new();
        write(wall, &mut text).unwrap();
        text
    }

    #[test]
    fn known_instants() {
        let instants = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1, "1970-01-01T00:00:00.000001Z"),
            (951_782_399_999_999, "2000-02-28T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (951_868_800_000_000, "2000-03-01T00:00:00.000000Z"),
            (1_709_208_000_000_120, "2024-02-29T12:00:00.000120Z"),
            (1_735_689_599_100_000, "2024-12-31T23:59:59.100000Z"),
            (1_795_959_190_119_562, "2026-11-29T13:33:10.119562Z"),
            (1_795_959_190_119_563, "2026-11-29T13:33:10.119563Z"),
            (1_795_959_191_000_000, "2026-11-29T13:33:11.000000Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
            (0, "1970-01-01T00:00:00.000000Z"),
        ];
        for (wall, expected) in instants {
            assert_eq!(text(wall), expected);
        }
    }

    #[test]
    fn no_clock_is_too_wrong() {
        assert_eq!(text(253_402_300_799_999_999), "9999-12-31T23:59:59.999999Z");
        assert!(text(u64::MAX).ends_with("51615Z"), "{}", text(u64::MAX));
    }
}
