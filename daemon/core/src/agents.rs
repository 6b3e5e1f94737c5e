//! Agents: which connections hold which roles.
//!
//! Owns roles, and whose wish a request is by them.

use crate::{Caller, Domain, Effect, Error, Origin, Peer, Refusal, Reply, Result, Role};

/// Connections that may hold a shared role at once: a desktop has a few, more is a program in a loop.
pub(crate) const HOLDERS: usize = 64;

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
        let full = |role: &&Role| {
            let holders = self.desktop.roles.get(role).map_or(&[][..], Vec::as_slice);
            role.is_shared() && !holders.contains(&caller.peer) && holders.len() >= HOLDERS
        };
        if let Some(role) = roles.iter().find(full) {
            let why = format!(
                "{HOLDERS} connections hold role `{}` already; close one of them",
                role.name()
            );
            return Err(Refusal::new(Error::LimitExceeded, why));
        }
        for role in roles {
            let holders = self.desktop.get_mut().roles.entry(*role).or_default();
            if holders.contains(&caller.peer) {
                continue;
            }
            let (uid, role) = (self.uid, *role);
            let before = if role.is_shared() { Vec::new() } else { std::mem::take(holders) };
            holders.push(caller.peer);
            for peer in before {
                self.turn.effects.push(Effect::RoleLost { uid, peer, role });
                self.role_is_lost(peer, role);
            }
            self.role_is_taken(role);
        }
        Ok(Reply::Done)
    }

    /// Those of these roles that no other connection holds alone.
    pub fn free_for(&self, caller: Caller, mut roles: Vec<Role>) -> Vec<Role> {
        let is_others = |role: &Role| {
            let holders = self.desktop.roles.get(role).map_or(&[][..], Vec::as_slice);
            !role.is_shared() && holders.iter().any(|peer| *peer != caller.peer)
        };
        roles.retain(|role| !is_others(role));
        roles
    }

    /// Roles end with the connection.
    pub(crate) fn lose_roles(&mut self, peer: Peer) {
        let mut lost = Vec::new();
        for (role, holders) in &mut self.desktop.get_mut().roles {
            if holders.contains(&peer) {
                holders.retain(|p| *p != peer);
                lost.push(*role);
            }
        }
        for role in lost {
            self.role_is_lost(peer, role);
            if !role.is_shared() {
                self.turn.effects.push(Effect::RoleFree { uid: self.uid, role });
            }
        }
        if self.desktop.roles.get(&Role::Dnd).is_none_or(Vec::is_empty) {
            self.disturb_again();
        }
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

    pub fn holds(&self, caller: Caller, role: Role) -> bool {
        self.desktop.roles.get(&role).is_some_and(|holders| holders.contains(&caller.peer))
    }
}
