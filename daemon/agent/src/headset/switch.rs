//! A switch of a headset that the computer can set as well, by a light: hook and microphone.
//!
//! Owns telling a hand from an echo: told that it is off the hook, a headset says so itself, and that must not
//! answer or end anything, or the two would talk for ever. Pure; time is given.

use std::time::Duration;

/// A switch that goes back faster than this is a key that was let go.
const KEY: Duration = Duration::from_millis(400);

/// One of them.
#[derive(Debug, Default)]
pub struct Switch {
    /// Where it is: as the light was set last, or as a hand put it since.
    on: bool,
    /// When a hand turned it on, on a clock of the caller's.
    since: Option<Duration>,
    /// It is a key.
    key: bool,
}

impl Switch {
    /// The light is set.
    pub fn set(&mut self, on: bool) {
        (self.on, self.since) = (on, None);
    }

    /// Whether it is there already.
    pub fn is(&self, on: bool) -> bool {
        self.on == on
    }

    /// The headset says where it is; where that was a hand, where to.
    pub fn turned(&mut self, on: bool, now: Duration) -> Option<bool> {
        if self.on == on {
            return None;
        }
        let let_go = !on && self.since.is_some_and(|since| now.saturating_sub(since) < KEY);
        self.key |= let_go;
        if self.key && !on && self.since.take().is_some() {
            return None;
        }
        self.on = on;
        self.since = on.then_some(now);
        Some(on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn an_echo_is_no_hand() {
        let mut hook = Switch::default();
        hook.set(true);
        assert_eq!(hook.turned(true, AT(5)), None);
        assert_eq!(hook.turned(false, AT(9000)), Some(false));
        hook.set(false);
        assert_eq!(hook.turned(false, AT(9100)), None);
        assert_eq!(hook.turned(true, AT(10_000)), Some(true));
        hook.set(true);
        assert_eq!(hook.turned(true, AT(12_000)), None, "it says so again");
        assert_eq!(hook.turned(false, AT(12_100)), Some(false), "soon, and yet a hand");
    }

    #[test]
    fn a_key_that_looks_like_a_switch_is_pressed_once() {
        let mut hook = Switch::default();
        // It rings: pressed and let go.
        assert_eq!(hook.turned(true, AT(0)), Some(true));
        assert_eq!(hook.turned(false, AT(90)), None);
        // The call goes on, pressed again: its release ends it.
        hook.set(true);
        assert_eq!(hook.turned(true, AT(5000)), None);
        assert_eq!(hook.turned(false, AT(5090)), Some(false));
    }
}
