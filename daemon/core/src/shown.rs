//! What readers see of an object, and which of it a turn changed.
//!
//! Owns the names of properties and what of an object is remembered while a turn changes it: what is cheap
//! to copy at once, what is not only when it is replaced. When a change is published is [`crate::turn`]'s.

use std::sync::Arc;

use crate::{
    AnswerPlan, AudioSession, Call, CallState, Capabilities, Contact, GroupId, HeldBy, Names,
    Private, Provider, Silenced, contacts::name_source,
};

/// Gives each name its bit, in order; the last one is the revision's, which is there where any other is.
macro_rules! differences {
    ($($name:literal: $differs:expr,)*) => {{
        const NAMES: &[&str] = &[$($name,)* "Revision"];
        let bits = [$($differs,)*].into_iter().rev().fold(0, |bits, b| bits << 1 | u32::from(b));
        let revision = u32::from(bits != 0) << (NAMES.len() - 1);
        Names::from_bits(NAMES, bits | revision)
    }};
}

/// What readers saw of a call.
#[derive(Debug)]
pub(crate) struct ShownCall {
    state: CallState,
    reason: &'static str,
    video: bool,
    muted: bool,
    mute_enforced: bool,
    held_by: HeldBy,
    remote_held: bool,
    group: Option<GroupId>,
    can: Capabilities,
    waiting: bool,
    silenced: Silenced,
    orphaned: bool,
    encrypted: bool,
    connected_at: u64,
    ended_at: u64,
    ring_deadline: u64,
    /// These only if they were replaced.
    pub handle: Option<Private>,
    pub name: Option<Private>,
    pub answer_plan: Option<AnswerPlan>,
    pub known: Option<Option<Arc<Contact>>>,
}

impl ShownCall {
    pub fn of(call: &Call) -> Self {
        ShownCall {
            state: call.state,
            reason: call.reason,
            video: call.video,
            muted: call.muted,
            mute_enforced: call.mute_enforced,
            held_by: call.held_by,
            remote_held: call.remote_held,
            group: call.group,
            can: call.can,
            waiting: call.waiting,
            silenced: call.silenced,
            orphaned: call.orphaned,
            encrypted: call.encrypted,
            connected_at: call.connected_at,
            ended_at: call.ended_at,
            ring_deadline: call.ring_deadline_wall,
            handle: None,
            name: None,
            answer_plan: None,
            known: None,
        }
    }

    pub fn differences(&self, now: &Call) -> Names {
        // A live call has not ended before.
        let ended = now.end.is_some();
        let was_known = self.known.as_ref().unwrap_or(&now.known).as_deref();
        let was_claimed = self.name.as_ref().unwrap_or(&now.name);
        let was_named = was_known.map_or(was_claimed, |known| &known.name);
        let id = |known: Option<&Contact>| known.map(|known| known.id.clone());
        differences! {
            "State": self.state != now.state,
            "Reason": self.reason != now.reason,
            "RemoteHandle": self.handle.as_ref().is_some_and(|was| *was != now.handle),
            "DisplayName": was_named != now.shown_name(),
            "NameSource": name_source(was_known, was_claimed) != now.name_source(),
            "ContactId": id(was_known) != id(now.known.as_deref()),
            "HasVideo": self.video != now.video,
            "Muted": self.muted != now.muted,
            "MuteEnforced": self.mute_enforced != now.mute_enforced,
            "HeldBy": self.held_by != now.held_by,
            "RemoteHeld": self.remote_held != now.remote_held,
            "Group": self.group != now.group,
            "Capabilities": self.can != now.can,
            "Waiting": self.waiting != now.waiting,
            "Silenced": self.silenced != now.silenced,
            "Orphaned": self.orphaned != now.orphaned,
            "Encrypted": self.encrypted != now.encrypted,
            "ConnectedAt": self.connected_at != now.connected_at,
            "EndedAt": self.ended_at != now.ended_at,
            "EndReason": ended,
            "EndDetail": ended,
            "RingDeadline": self.ring_deadline != now.ring_deadline_wall,
            "AnswerPlan": self.answer_plan.as_ref().is_some_and(|was| *was != now.answer_plan),
        }
    }
}

pub(crate) fn provider_differences(was: &Provider, now: &Provider) -> Names {
    let (a, b) = (&was.configuration, &now.configuration);
    differences! {
        "DisplayName": a.display_name != b.display_name,
        "Configuration": a != b,
        "AppIdSource": was.source != now.source,
        "Instance": was.instance != now.instance,
        "Authorization": was.authorization != now.authorization,
        "Attached": was.peer.is_some() != now.peer.is_some(),
        "Responsive": was.responsive != now.responsive,
    }
}

/// What readers see of a group that can change: the count of its changes of members, its state, its audio.
pub(crate) type ShownGroup = (u64, &'static str, bool);

pub(crate) fn group_differences(was: ShownGroup, now: ShownGroup) -> Names {
    differences! {
        "Calls": was.0 != now.0,
        "State": was.1 != now.1,
        "Audio": was.2 != now.2,
    }
}

/// A transaction that was touched has gained an outcome at least.
pub(crate) fn transaction_differences(finished: bool) -> Names {
    differences! {
        "State": finished,
        "Actions": true,
    }
}

pub(crate) fn audio_differences(was: &AudioSession, now: &AudioSession) -> Names {
    differences! {
        "Holder": was.holder != now.holder,
        "Phase": was.phase != now.phase,
        "Generation": was.generation != now.generation,
        "Since": was.since != now.since,
        "Enforced": was.enforced != now.enforced,
        "Endpoints": was.endpoints != now.endpoints,
        "Endpoint": was.endpoint != now.endpoint,
    }
}
