//! What the shell must do, in this order: ask providers, publish changes, wake those who wait.
//!
//! Owns the effects. A published change names an object and the properties that differ; the values
//! are read from the domain, which still knows what was removed until its next input.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AgentAsk, CallId, CallState, Direction, EndReason, GroupId, Names, Peer, Private, ProviderId,
    Refusal, RequestId, Role, TransactionId, Uid,
};

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask a provider; it answers with `Fulfil` or `Fail`.
    Ask {
        uid: Uid,
        peer: Peer,
        provider: ProviderId,
        request: RequestId,
        ask: Ask,
        deadline_ms: u32,
        origin: Origin,
    },
    /// Ask an agent; it answers with `AgentReply`.
    AskAgent { uid: Uid, peer: Peer, request: RequestId, ask: AgentAsk, deadline_ms: u32 },
    /// What somebody asked of an agent is done, or is not: they can be answered.
    AgentAnswered { uid: Uid, request: RequestId, outcome: Result<(), Refusal> },
    /// Screeners have looked at a call, or it is over: whoever reported it can be answered.
    Screened { uid: Uid, call: CallId, outcome: Result<(), Refusal> },
    /// Tell a provider that it was too late.
    TimedOut {
        uid: Uid,
        peer: Peer,
        provider: ProviderId,
        request: RequestId,
        uuid: Option<Uuid>,
        action: &'static str,
    },
    /// Tell a provider what it is allowed.
    AuthorizationSet { uid: Uid, peer: Peer, provider: ProviderId, authorization: Authorization },
    /// Something visible changed; each change has its own revision, without gaps.
    Publish { uid: Uid, revision: u64, change: Change },
    /// A transaction is finished: whoever waits for it can be answered.
    Finished { uid: Uid, transaction: TransactionId },
    /// An agent lost a role to another.
    RoleLost { uid: Uid, peer: Peer, role: Role },
    /// The agent that had a role is gone, and nobody has it: agents that wait for it can take it.
    RoleFree { uid: Uid, role: Role },
    /// For the log: what happened to a call, without a word about people.
    Logged(Event),
}

/// What a provider is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the contract's ProviderDelegate interface says what each one means"
)]
pub enum Ask {
    Start {
        uuid: Uuid,
        #[serde(with = "crate::private::stored")]
        handle: Private,
        video: bool,
    },
    Answer {
        uuid: Uuid,
    },
    End {
        uuid: Uuid,
        reason: EndReason,
        #[serde(with = "crate::private::stored")]
        message: Private,
    },
    SetHeld {
        uuid: Uuid,
        held: bool,
    },
    SetMuted {
        uuid: Uuid,
        muted: bool,
    },
    SetGroup {
        uuid: Uuid,
        with: Option<Uuid>,
    },
    PlayDtmf {
        uuid: Uuid,
        #[serde(with = "crate::private::stored")]
        tones: Private,
    },
    SetVideo {
        uuid: Uuid,
        video: bool,
    },
    /// The steps of one plan, whole; only the kinds above.
    #[serde(deserialize_with = "crate::saved::steps")]
    Transaction(Vec<Ask>),
    AudioActivated {
        uuids: Vec<Uuid>,
        generation: u64,
    },
    AudioDeactivated {
        uuids: Vec<Uuid>,
        generation: u64,
    },
    /// What the arbiter remembers of the provider's calls.
    Reconcile {
        calls: Vec<(Uuid, CallState)>,
    },
}

impl Ask {
    /// The name of the action, as in transactions.
    pub fn action(&self) -> &'static str {
        match self {
            Ask::Start { .. } => "Start",
            Ask::Answer { .. } => "Answer",
            Ask::End { .. } => "End",
            Ask::SetHeld { .. } => "SetHeld",
            Ask::SetMuted { .. } => "SetMuted",
            Ask::SetGroup { .. } => "SetGroup",
            Ask::PlayDtmf { .. } => "PlayDtmf",
            Ask::SetVideo { .. } => "SetVideo",
            Ask::Transaction(_) => "Transaction",
            Ask::AudioActivated { .. } => "AudioActivated",
            Ask::AudioDeactivated { .. } => "AudioDeactivated",
            Ask::Reconcile { .. } => "Reconcile",
        }
    }
}

/// Whose wish it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// The holder of role `ui`: the user, through the desktop.
    UserInterface,
    /// The holder of role `headset`.
    Headset,
    /// The app itself.
    App,
    /// Any other program of the user.
    Controller,
    /// The arbiter's rules.
    Policy,
}

impl Origin {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Origin::UserInterface => "user-interface",
            Origin::Headset => "headset",
            Origin::App => "app",
            Origin::Controller => "controller",
            Origin::Policy => "policy",
        }
    }
}

/// Whether an app may provide calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authorization {
    /// Nobody has decided.
    #[default]
    NotDetermined,
    /// It may.
    Authorized,
    /// The user said no.
    Denied,
    /// The administrator said no.
    Restricted,
}

impl Authorization {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Authorization::NotDetermined => "not-determined",
            Authorization::Authorized => "authorized",
            Authorization::Denied => "denied",
            Authorization::Restricted => "restricted",
        }
    }
}

/// A visible object of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Object {
    Audio,
    Provider(ProviderId),
    Call(CallId),
    Group(GroupId),
    Transaction(TransactionId),
}

/// One visible change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A new object, with all its properties.
    Added(Object),
    /// These properties of it differ, `Revision` included.
    Changed(Object, Names),
    /// It is gone.
    Removed(Object),
    /// A call went from one state to another.
    Transition { call: CallId, old: CallState, new: CallState, reason: &'static str },
    /// A transaction is finished; its outcomes are its property `Actions`.
    Finished(TransactionId),
    /// Something that the user should be told.
    Notice { kind: Notice, call: CallId },
}

/// What the user should be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Room could not be made: this call could not be held.
    HoldFailed,
    /// This call could not be resumed; it stays held.
    ResumeFailed,
    /// This call stays on hold until the user resumes it.
    StaysHeld,
    /// This call is connected but has no audio: another one has it.
    ActiveWithoutAudio,
    /// The app of this call plays or records without having the audio.
    StreamingWithoutAudio,
    /// This call is about to be answered by a rule.
    AnswersItself,
}

impl Notice {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Notice::HoldFailed => "hold-failed",
            Notice::ResumeFailed => "resume-failed",
            Notice::StaysHeld => "stays-held",
            Notice::ActiveWithoutAudio => "active-without-audio",
            Notice::StreamingWithoutAudio => "streaming-without-audio",
            Notice::AnswersItself => "answers-itself",
        }
    }
}

/// One line for the log: identifiers and closed words only.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub uid: Uid,
    pub provider: ProviderId,
    pub app: Arc<str>,
    pub call: Option<Uuid>,
    pub what: Happening,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Happening {
    /// There is a call that was not there before.
    Began { direction: Direction, state: CallState },
    /// A call changed its state.
    Transition { old: CallState, new: CallState, reason: &'static str },
    /// A provider registered.
    Registered,
    /// A provider's connection is gone.
    Lost,
    /// A provider did not keep a deadline.
    Unresponsive { action: &'static str },
    /// After the arbiter was away, a provider said that a call is not where it was.
    Differs { ours: CallState, theirs: CallState },
    /// The audio was given to a group of this provider.
    AudioGranted,
    /// The audio was taken from it.
    AudioReleased,
}
