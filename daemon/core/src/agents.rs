//! Agents: which connections hold which roles, and what they say of the desktop.
//!
//! Owns roles, whose wish a request is by them, and do-not-disturb as it was last told. What it does to
//! a call that is reported is [`crate::report`]'s.

use crate::{
    CallState, Caller, DoNotDisturb, Domain, Effect, Error, Origin, Peer, Refusal, Reply, Result,
    Role, Silenced,
};

/// Connections that may show calls at once: a desktop has a few, more is a program in a loop.
pub(crate) const SHELLS: usize = 64;

impl Domain {
    /// `RegisterAgent`: all of these roles, or none.
    pub(crate) fn take_roles(&mut self, caller: Caller, roles: &[Role]) -> Result<Reply> {
        if !caller.agent || caller.sandboxed {
            return Err(Refusal::new(
                Error::AccessDenied,
                "agents run unsandboxed in a user unit that the administrator lists under \
                 [agents] units",
            ));
        }
        let shells = self.roles.get(&Role::Ui).map_or(&[][..], Vec::as_slice);
        if roles.contains(&Role::Ui) && !shells.contains(&caller.peer) && shells.len() >= SHELLS {
            let why = format!("{SHELLS} connections hold role `ui` already; close one of them");
            return Err(Refusal::new(Error::LimitExceeded, why));
        }
        for role in roles {
            let holders = self.roles.entry(*role).or_default();
            if holders.contains(&caller.peer) {
                continue;
            }
            if *role != Role::Ui {
                let (uid, role) = (self.uid, *role);
                let lost = holders.drain(..).map(|peer| Effect::RoleLost { uid, peer, role });
                self.turn.effects.extend(lost);
            }
            holders.push(caller.peer);
        }
        Ok(Reply::Done)
    }

    /// Roles end with the connection.
    pub(crate) fn lose_roles(&mut self, peer: Peer) {
        for holders in self.roles.values_mut() {
            holders.retain(|p| *p != peer);
        }
        // Nobody could say any more that it is over, and calls would be refused for ever.
        if self.roles.get(&Role::Dnd).is_none_or(Vec::is_empty) {
            self.do_not_disturb = DoNotDisturb::Off;
        }
    }

    /// `SetDoNotDisturb`.
    pub(crate) fn set_do_not_disturb(
        &mut self,
        caller: Caller,
        mode: DoNotDisturb,
    ) -> Result<Reply> {
        if !self.holds(caller, Role::Dnd) {
            let why = "only the holder of role `dnd` says what the desktop's do-not-disturb is";
            return Err(Refusal::new(Error::AccessDenied, why));
        }
        self.do_not_disturb = mode;
        if mode == DoNotDisturb::Off {
            return Ok(Reply::Done);
        }
        let aloud =
            |c: &&crate::Call| c.state == CallState::Ringing && c.silenced != Silenced::User;
        for id in self.calls.values().filter(aloud).map(|c| c.id).collect::<Vec<_>>() {
            if let Some(call) = self.call_mut(id) {
                call.silenced = Silenced::DoNotDisturb;
            }
        }
        Ok(Reply::Done)
    }

    /// Whose wish this caller's requests are: derived, never declared.
    pub(crate) fn origin(&self, caller: Caller) -> Origin {
        if self.holds(caller, Role::Ui) {
            Origin::UserInterface
        } else if self.holds(caller, Role::Headset) {
            Origin::Headset
        } else if self.providers.values().any(|p| p.peer == Some(caller.peer)) {
            Origin::App
        } else {
            Origin::Controller
        }
    }

    fn holds(&self, caller: Caller, role: Role) -> bool {
        self.roles.get(&role).is_some_and(|holders| holders.contains(&caller.peer))
    }
}
