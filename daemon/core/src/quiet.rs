//! Do-not-disturb: who is told so, and who rings all the same.
//!
//! Owns the exceptions: handles that the desktop allows, and the caller who tries again at once. What becomes of a
//! call that may not disturb is [`crate::incoming`]'s.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Call, CallState, Caller, Cause, DoNotDisturb, Domain, Error, Exception, Private, ProviderId,
    Refusal, Reply, Result, Role, Silenced, Time, handle, memory::next_of,
};

/// Suppressed calls that are remembered for who tries again: within three minutes nobody is called by so many
/// people, and a flood only makes its own later calls ring.
pub(crate) const SUPPRESSED: usize = 64;

/// Handles that ring all the same, each as [`handle::key`] has it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Allowed(#[serde(with = "crate::private::stored_list")] pub(crate) Vec<Private>);

impl Allowed {
    /// If there are any.
    pub(crate) fn some(&self) -> Option<&Allowed> {
        Some(self).filter(|allowed| !allowed.0.is_empty())
    }
}

/// A call that was not to disturb.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Suppressed {
    app: Arc<str>,
    #[serde(with = "crate::private::stored")]
    key: Private,
    /// Until then another one is urgent.
    until: Time,
}

impl Suppressed {
    pub(crate) fn app(&self) -> &Arc<str> {
        &self.app
    }
}

impl Domain {
    /// `SetDoNotDisturb`.
    pub(crate) fn set_do_not_disturb(
        &mut self,
        caller: Caller,
        mode: DoNotDisturb,
        allow: &[Private],
    ) -> Result<Reply> {
        if !self.holds(caller, Role::Dnd) {
            let why = "only the holder of role `dnd` says what the desktop's do-not-disturb is";
            return Err(Refusal::new(Error::AccessDenied, why));
        }
        let mut keys: Vec<Private> = allow.iter().map(handle::key).collect();
        keys.retain(|key| !key.is_empty());
        self.disturb(mode, keys);
        let mode = self.disturbs();
        if mode == DoNotDisturb::Off {
            return Ok(Reply::Done);
        }
        let aloud = |c: &&Call| {
            // What the user or a screener wanted stays when do-not-disturb is over.
            let theirs = matches!(c.silenced, Silenced::User | Silenced::Screening);
            let rings = c.state == CallState::Ringing && !theirs;
            let passes = || self.is_emergency(&self.app_of(c.id), &c.handle);
            let allowed = || self.is_allowed(&handle::key(&c.handle));
            rings && !c.rings_aloud() && !allowed() && !passes()
        };
        for id in self.calls.values().filter(aloud).map(|c| c.id).collect::<Vec<_>>() {
            if let Some(call) = self.call_mut(id) {
                call.silenced = Silenced::DoNotDisturb;
            }
            self.because(id, Cause::DoNotDisturb { mode });
        }
        Ok(Reply::Done)
    }

    /// Nobody could say any more that it is over, and calls would be refused for ever.
    pub(crate) fn disturb_again(&mut self) {
        self.disturb(DoNotDisturb::Off, Vec::new());
    }

    fn disturb(&mut self, mode: DoNotDisturb, allowed: Vec<Private>) {
        self.desktop.get_mut().do_not_disturb = mode;
        if self.allowed.get().0 != allowed {
            self.allowed.get_mut().0 = allowed;
        }
    }

    /// What do-not-disturb makes of a call that its app reports now, and why it lets one through.
    pub(crate) fn disturbance(
        &mut self,
        provider: ProviderId,
        handle: &Private,
    ) -> (DoNotDisturb, Option<Exception>) {
        let mode = self.disturbs();
        if mode == DoNotDisturb::Off {
            return (DoNotDisturb::Off, None);
        }
        let key = handle::key(handle);
        let Some(app) = self.providers.get(&provider).map(|p| p.app.clone()) else {
            return (mode, None);
        };
        let again = |s: &Suppressed| s.app == app && s.key == key && s.until > self.now.mono;
        if self.is_emergency(&app, handle) {
            // They call back.
            return (DoNotDisturb::Off, Some(Exception::Emergency));
        }
        if self.is_allowed(&key) {
            return (DoNotDisturb::Off, Some(Exception::Allowed));
        }
        // Two who do not say who they are are not the same caller.
        if handle::is_anonymous(&key) {
            return (mode, None);
        }
        if self.suppressed.values().any(again) {
            return (DoNotDisturb::Off, Some(Exception::Repeated));
        }
        let until = self.now.mono + self.settings.deadlines.repeated;
        self.suppressed.insert(next_of(&self.suppressed), Suppressed { app, key, until });
        if self.suppressed.len() > SUPPRESSED {
            self.suppressed.pop_first();
        }
        (mode, None)
    }

    /// What it makes of a call that a screener let through it.
    pub(crate) fn urgently(&self) -> (DoNotDisturb, Option<Exception>) {
        let disturbs = self.disturbs() != DoNotDisturb::Off;
        (DoNotDisturb::Off, disturbs.then_some(Exception::Allowed))
    }

    pub(crate) fn is_allowed(&self, key: &Private) -> bool {
        !key.is_empty() && self.allowed.get().0.contains(key)
    }
}
