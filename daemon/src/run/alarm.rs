//! A timer on the clock that goes on while the machine sleeps, so that deadlines pass when they should.
//!
//! Owns one timerfd; tokio's own timers stand still during suspend.

use std::{io, os::fd::OwnedFd};

use callarbiter_core::Time;
use rustix::{
    io::Errno,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};
use tokio::io::{Interest, unix::AsyncFd};

/// The one alarm of the loop.
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
    set: Option<Time>,
}

impl Alarm {
    /// Not set.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Boottime, flags)?;
        #[expect(
            deprecated,
            reason = "it is unsound for types that may close what they lend; OwnedFd does not"
        )]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Alarm { timer, set: None })
    }

    /// Goes off at this time, or before: one that is set to an earlier time stays so. Nearly every turn has deadlines
    /// that the next one takes back, and to be woken for nothing once is less than a call into the kernel for each.
    pub fn set(&mut self, at: Option<Time>) -> io::Result<()> {
        let Some(at) = at.filter(|at| self.set.is_none_or(|set| *at < set)) else { return Ok(()) };
        // Zero would switch it off.
        let micros = at.0.max(1);
        let it_value = Timespec {
            tv_sec: i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(micros % 1_000_000 * 1000).unwrap_or(0),
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Itimerspec { it_interval, it_value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &value)?;
        self.set = Some(at);
        Ok(())
    }

    /// Until it goes off; for ever if it is not set.
    pub async fn rings(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.timer.readable().await?;
            let mut expirations = [0; 8];
            match rustix::io::read(ready.get_inner(), &mut expirations) {
                Ok(_) => {
                    self.set = None;
                    return Ok(());
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use callarbiter_core::Millis;

    use super::*;
    use crate::platform::clock;

    #[tokio::test]
    async fn rings_at_its_time_and_at_once_for_one_that_has_passed() {
        let mut alarm = Alarm::new().unwrap();
        let at = clock::now().mono + Millis(20);
        alarm.set(Some(at)).unwrap();
        alarm.rings().await.unwrap();
        assert!(clock::now().mono >= at);
        alarm.set(Some(at)).unwrap();
        alarm.rings().await.unwrap();
        alarm.set(Some(Time(0))).unwrap();
        alarm.rings().await.unwrap();
    }

    #[tokio::test]
    async fn of_several_times_the_first_counts() {
        let mut alarm = Alarm::new().unwrap();
        let now = clock::now().mono;
        alarm.set(Some(now + Millis::secs(3600))).unwrap();
        alarm.set(Some(now + Millis(20))).unwrap();
        alarm.set(Some(now + Millis::secs(60))).unwrap();
        alarm.set(None).unwrap();
        alarm.rings().await.unwrap();
        assert!(clock::now().mono >= now + Millis(20));
    }
}
