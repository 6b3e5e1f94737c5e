//! Time as data. The shell reads the clocks; the core only compares and adds.

use std::{fmt, ops::Add};

use serde::{Deserialize, Serialize};

/// A point on the boot-time clock (it goes on during suspend and never jumps), in microseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Time(pub u64);

/// A length of time in milliseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Millis(pub u32);

/// What the clocks said when an input arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Decides deadlines.
    pub mono: Time,
    /// Shown to people: microseconds since the epoch. Decides nothing.
    pub wall: u64,
}

impl Add<Millis> for Time {
    type Output = Time;
    fn add(self, length: Millis) -> Time {
        Time(self.0.saturating_add(length.micros()))
    }
}

impl Time {
    /// How long after another it is, in whole milliseconds.
    pub(crate) fn since(self, earlier: Time) -> Millis {
        let millis = self.0.saturating_sub(earlier.0) / 1000;
        Millis(u32::try_from(millis).unwrap_or(u32::MAX))
    }
}

impl Now {
    /// The wall-clock time that a deadline will have, for display.
    pub fn wall_at(self, at: Time) -> u64 {
        self.wall.saturating_add(at.0.saturating_sub(self.mono.0))
    }
}

impl Millis {
    fn micros(self) -> u64 {
        u64::from(self.0) * 1000
    }

    /// `n` seconds.
    pub const fn secs(n: u32) -> Millis {
        Millis(n * 1000)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{} s", self.0 / 1000)
        } else {
            write!(f, "{} ms", self.0)
        }
    }
}
