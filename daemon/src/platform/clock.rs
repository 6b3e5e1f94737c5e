//! The clocks. Owns reading them; deciding by them is the core's work.

use callarbiter_core::{Now, Time};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// What the clocks say. `CLOCK_BOOTTIME` decides, so that a call that rang before the machine slept
/// does not ring on after it; the wall clock is only shown.
pub fn now() -> Now {
    Now {
        mono: Time(micros(clock_gettime(ClockId::Boottime))),
        wall: micros(clock_gettime(ClockId::Realtime)),
    }
}

/// Before the epoch (a machine without a battery) counts as the epoch.
fn micros(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_nsec).unwrap_or(0) / 1000;
    seconds.saturating_mul(1_000_000).saturating_add(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_forward_and_agrees_with_the_standard_library() {
        let first = now();
        let second = now();
        assert!(second.mono >= first.mono);
        let std = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_micros() as u64);
        assert!(std.abs_diff(second.wall) < 60_000_000, "{std} {}", second.wall);
    }

    #[test]
    fn a_time_before_the_epoch_is_the_epoch() {
        assert_eq!(micros(Timespec { tv_sec: -1, tv_nsec: 5_000 }), 5);
        assert_eq!(micros(Timespec { tv_sec: 2, tv_nsec: 1_999 }), 2_000_001);
    }
}
