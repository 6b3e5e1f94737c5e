//! The service manager: readiness, one line of status, the watchdog.
//!
//! Owns the `sd_notify` protocol. Without a manager (`$NOTIFY_SOCKET` unset) everything here does
//! nothing. The watchdog must be fed by the loop that serves the bus, so that a loop that hangs is seen.

use std::sync::{Mutex, PoisonError};

use callarbiter_core::Millis;
use sd_notify::NotifyState;
use tracing::debug;

/// The line for `systemctl status` when nothing is degraded.
pub const OK: &str = "ok";

/// What does not work, for as long as it does not.
static DEGRADED: Mutex<Option<String>> = Mutex::new(None);

/// Calls can come, the name is owned; also the end of a reload. `status` is [`OK`], or what is degraded
/// and why; nothing about people, since every user may read it.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(&with_degraded(status))]);
}

/// Something does not work from now on, or all does again.
pub fn degraded(why: Option<String>) {
    *DEGRADED.lock().unwrap_or_else(PoisonError::into_inner) = why;
    send(&[NotifyState::Status(&with_degraded(OK))]);
}

fn with_degraded(status: &str) -> String {
    match DEGRADED.lock().unwrap_or_else(PoisonError::into_inner).as_deref() {
        None => status.to_owned(),
        Some(why) if status == OK => why.to_owned(),
        Some(why) => format!("{status}; {why}"),
    }
}

/// The configuration is being read again; [`ready`] follows in any case.
pub fn reloading() {
    // systemd orders reloads by this clock and fails one that comes without (Type=notify-reload).
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => debug!(%error, "no monotonic clock to tell the service manager"),
    }
}

/// The daemon is leaving; the status says why.
pub fn stopping(status: &str) {
    send(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// The loop is alive.
pub fn feed_watchdog() {
    send(&[NotifyState::Watchdog]);
}

/// How often the watchdog wants to be fed, if there is one: half of its patience, as sd_watchdog_enabled(3)
/// recommends, so that one late turn is not fatal.
pub fn watchdog_interval() -> Option<Millis> {
    let mut patience = 0;
    // The environment stays as it is: changing it is unsafe while other threads may read it.
    (sd_notify::watchdog_enabled(false, &mut patience) && patience > 0)
        .then(|| Millis(u32::try_from(patience / 2000).unwrap_or(u32::MAX).max(1)))
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        debug!(%error, "the service manager did not take a notification");
    }
}
