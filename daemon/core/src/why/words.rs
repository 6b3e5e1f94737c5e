//! The closed words of causes, and what each cause has beside its name.
//!
//! Owns how a cause reads on the bus, in a record of the history and in a replay: one list for all of them.

use super::{AgentSaid, Cause, Deadline, Decider, Exception, Verb, Verdict};
use crate::{CallId, DoNotDisturb, Error, HeldBy, TransactionId};

/// What a cause has beside its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A closed word.
    Word(&'static str),
    /// The name of an error.
    Error(Error),
    /// Milliseconds.
    Milliseconds(u32),
    /// Yes or no.
    Flag(bool),
    /// Another call.
    Call(CallId),
    /// The transaction of a request.
    Transaction(TransactionId),
    /// Who holds a call.
    Holders(HeldBy),
}

impl Cause {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Reported { .. } => "reported",
            Cause::Requested { .. } => "requested",
            Cause::Asked { .. } => "asked",
            Cause::Fulfilled { .. } => "fulfilled",
            Cause::Failed { .. } => "failed",
            Cause::TimedOut { .. } => "timed-out",
            Cause::CalledOff { .. } => "called-off",
            Cause::NotDone { .. } => "not-done",
            Cause::Became { .. } => "became",
            Cause::Told { .. } => "told",
            Cause::Claimed { .. } => "claimed",
            Cause::Deadline { .. } => "deadline",
            Cause::RoomFor { .. } => "room-for",
            Cause::NoRoom { .. } => "no-room",
            Cause::Held { .. } => "held",
            Cause::Away { .. } => "away",
            Cause::Back { .. } => "back",
            Cause::FocusBack => "focus-back",
            Cause::StaysHeld => "stays-held",
            Cause::DoNotDisturb { .. } => "do-not-disturb",
            Cause::LetThrough { .. } => "let-through",
            Cause::Listed { .. } => "listed",
            Cause::Screened { .. } => "screened",
            Cause::Rule | Cause::OwnRule => "rule",
            Cause::Authorization { .. } => "authorization",
            Cause::Limit => "limit",
            Cause::Agent { .. } => "agent",
            Cause::AudioGranted { .. } => "audio-granted",
            Cause::AudioReleased => "audio-released",
            Cause::ProviderLost => "provider-lost",
            Cause::ProviderBack => "provider-back",
            Cause::Restarted => "arbiter-restarted",
            Cause::Ended { .. } => "ended",
        }
    }

    /// The key under which its text is given.
    pub fn text_key(self) -> &'static str {
        match self {
            Cause::Rule | Cause::OwnRule | Cause::Limit => "name",
            Cause::Listed { .. } => "entry",
            Cause::Ended { .. } | Cause::Screened { .. } => "detail",
            _ => "message",
        }
    }

    /// What it has beside its name, each with its key.
    pub fn facts(self) -> impl Iterator<Item = (&'static str, Fact)> {
        use Fact::{Call, Flag, Holders, Milliseconds, Transaction, Word};
        let facts: [Option<(&'static str, Fact)>; 3] = match self {
            Cause::Reported { state }
            | Cause::Became { state }
            | Cause::Told { state }
            | Cause::Claimed { state } => [Some(("state", Word(state.name()))), None, None],
            Cause::Requested { origin, action, transaction } => [
                Some(("action", Word(action.name()))),
                Some(("origin", Word(origin.name()))),
                Some(("transaction", Transaction(transaction))),
            ],
            Cause::Asked { action, origin } => {
                [Some(("action", Word(action.name()))), Some(("origin", Word(origin.name()))), None]
            }
            Cause::Fulfilled { action } => [Some(("action", Word(action.name()))), None, None],
            Cause::Failed { action, error }
            | Cause::CalledOff { action, error }
            | Cause::NotDone { action, error } => {
                [Some(("action", Word(action.name()))), Some(("error", Fact::Error(error))), None]
            }
            Cause::TimedOut { action, after } => [
                Some(("action", Word(action.name()))),
                Some(("after-ms", Milliseconds(after))),
                None,
            ],
            Cause::Deadline { which } => [Some(("deadline", Word(which.name()))), None, None],
            Cause::RoomFor { call } | Cause::NoRoom { call } => {
                [Some(("call", Call(call))), None, None]
            }
            Cause::Held { by } | Cause::Away { by } | Cause::Back { by } => {
                [Some(("by", Holders(by))), None, None]
            }
            Cause::DoNotDisturb { mode } => [Some(("mode", Word(mode_name(mode)))), None, None],
            Cause::LetThrough { exception } => {
                [Some(("exception", Word(exception.name()))), None, None]
            }
            Cause::Listed { verdict } | Cause::Screened { verdict } => {
                [Some(("verdict", Word(verdict.name()))), None, None]
            }
            Cause::Authorization { authorization, decider } => [
                Some(("authorization", Word(authorization.name()))),
                Some(("by", Word(decider.name()))),
                None,
            ],
            Cause::Agent { role, said } => {
                [Some(("role", Word(role.name()))), Some(("answer", Word(said.name()))), None]
            }
            Cause::Rule => [Some(("by", Word(Decider::Administrator.name()))), None, None],
            Cause::OwnRule => [Some(("by", Word(Decider::User.name()))), None, None],
            Cause::AudioGranted { enforced } => [Some(("enforced", Flag(enforced))), None, None],
            Cause::Ended { reason } => [Some(("reason", Word(reason.name()))), None, None],
            Cause::FocusBack
            | Cause::StaysHeld
            | Cause::Limit
            | Cause::AudioReleased
            | Cause::ProviderLost
            | Cause::ProviderBack
            | Cause::Restarted => [None; 3],
        };
        facts.into_iter().flatten()
    }
}

fn mode_name(mode: DoNotDisturb) -> &'static str {
    match mode {
        DoNotDisturb::Off => "off",
        DoNotDisturb::Quiet => "quiet",
        DoNotDisturb::Refuse => "refuse",
    }
}

impl Verb {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Start => "start",
            Verb::Answer => "answer",
            Verb::End => "end",
            Verb::Hold => "hold",
            Verb::Resume => "resume",
            Verb::Mute => "mute",
            Verb::Unmute => "unmute",
            Verb::Join => "join",
            Verb::Leave => "leave",
            Verb::PlayTones => "play-tones",
            Verb::StartVideo => "start-video",
            Verb::StopVideo => "stop-video",
            Verb::Silence => "silence",
            Verb::Plan => "plan",
            Verb::TakeAudio => "take-audio",
            Verb::GiveAudio => "give-audio",
            Verb::Reconcile => "reconcile",
        }
    }
}

impl Deadline {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Deadline::Ringing => "ringing",
            Deadline::Dialing => "dialing",
            Deadline::Launching => "launching",
            Deadline::Grace => "grace",
            Deadline::Screening => "screening",
        }
    }
}

impl Exception {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Exception::Allowed => "allowed",
            Exception::Repeated => "repeated",
            Exception::Emergency => "emergency",
        }
    }
}

impl Verdict {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Allow => "allow",
            Verdict::Reject => "reject",
            Verdict::Silence => "silence",
        }
    }
}

impl Decider {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Decider::Administrator => "administrator",
            Decider::User => "user",
            Decider::Packaged => "packaged",
            Decider::Polkit => "polkit",
        }
    }
}

impl AgentSaid {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            AgentSaid::Asked => "asked",
            AgentSaid::Done => "done",
            AgentSaid::Failed => "failed",
            AgentSaid::TimedOut => "timed-out",
            AgentSaid::Nobody => "nobody",
        }
    }
}
