//! Days and times as people write them in files, `2026-12-31` and `2026-12-31T18:30:00Z`, always UTC.
//!
//! Owns the calendar. Which time it is, whoever asks knows.

const DAY: i64 = 86_400;

/// Days since the epoch, by the calendar of today.
pub fn days(text: &str) -> Option<i64> {
    let mut parts = text.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some()
        || !(1971..2500).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=length(year, month)).contains(&day)
    {
        return None;
    }
    // Years begin in March: then the day that is not in every year is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468)
}

/// The days of a month.
fn length(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Seconds since the epoch, until the year 2106; a date is its first second.
pub fn seconds(text: &str) -> Option<u32> {
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00:00:00"));
    let time = time.strip_suffix(['Z', 'z']).unwrap_or(time);
    let mut parts = time.split(':').map(|part| part.parse::<u32>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    if hour > 23 || minute > 59 || second > 59 || parts.next().is_some() {
        return None;
    }
    let of_day = i64::from(hour * 3600 + minute * 60 + second);
    u32::try_from(days(date)? * DAY + of_day).ok()
}

/// As [`seconds`] reads it.
pub fn written(seconds: u32) -> String {
    let (days, of_day) = (i64::from(seconds) / DAY, i64::from(seconds) % DAY);
    // The other way round: eras of 400 years from a first of March.
    let day = days + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + next;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_since_the_epoch() {
        assert_eq!(days("1971-01-01"), Some(365));
        assert_eq!(days("2024-02-29"), Some(19_782));
        assert_eq!(days("2024-03-31"), Some(19_813));
        for wrong in [
            "",
            "2024",
            "2024-13-01",
            "2024-01-32",
            "2024-02-30",
            "2025-02-29",
            "2024-04-31",
            "1970-01-01",
            "2024-01-01-01",
        ] {
            assert_eq!(days(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for (text, same) in [
            ("2026-12-31", "2026-12-31T00:00:00Z"),
            ("2026-12-31 18:30", "2026-12-31T18:30:00Z"),
            ("2024-02-29T23:59:59z", "2024-02-29T23:59:59Z"),
            ("2000-03-01", "2000-03-01T00:00:00Z"),
        ] {
            assert_eq!(seconds(text).map(written).as_deref(), Some(same));
        }
        for day in (365_u32..49_000).step_by(7) {
            let at = day * 86_400 + day % 86_400;
            assert_eq!(seconds(&written(at)), Some(at));
        }
        for wrong in ["tomorrow", "2026-12-31T24:00", "2026-12-31T1", "2107-01-01"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
