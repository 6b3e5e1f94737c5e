//! A call: its data and the words for its states.
//!
//! Owns the types. Who may change a state, and when, is decided in the modules named after what
//! happens: [`crate::report`], [`crate::lane`], [`crate::request`].

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    CallId, Contact, GroupId, Private, ProviderId, RequestId, Time, Treatment,
    saved::reasons::Reason, screening::Looked,
};

/// One call. Every field is public to readers; only the core writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Its name in this domain.
    #[serde(skip)]
    pub id: CallId,
    /// Its name, chosen by the provider.
    pub uuid: Uuid,
    /// Another provider of this domain had a live call of the same UUID: the path carries the provider.
    pub qualified: bool,
    /// Who carries it.
    pub provider: ProviderId,
    /// Who called whom.
    pub direction: Direction,
    /// Where it stands.
    pub state: CallState,
    /// Why it came to this state, in a few words.
    #[serde(with = "crate::saved::reasons")]
    pub reason: Reason,
    /// The far end's address.
    #[serde(with = "crate::private::stored")]
    pub handle: Private,
    /// The far end's name, as the app claims it; [`Call::shown_name`] is what people see.
    #[serde(with = "crate::private::stored")]
    pub name: Private,
    /// Whether it has video.
    pub video: bool,
    /// Whether the microphone is muted, as the provider confirmed.
    pub muted: bool,
    /// Its microphone carries silence, whatever its app does: the agent sees to it.
    #[serde(skip)]
    pub mute_enforced: bool,
    /// Who holds it.
    pub held_by: HeldBy,
    /// The far end holds it.
    pub remote_held: bool,
    /// Its group; none while it rings.
    pub group: Option<GroupId>,
    /// What its provider can do with it.
    pub can: Capabilities,
    /// It rings behind another call.
    pub waiting: bool,
    /// Why it does not ring aloud.
    pub silenced: Silenced,
    /// Its provider is gone, for now.
    pub orphaned: bool,
    /// An emergency call: never refused for room, held, ended or silenced by arbitration.
    pub emergency: bool,
    /// The provider says that its media is encrypted.
    pub encrypted: bool,
    /// When it was reported or requested, µs since the epoch.
    pub created_at: u64,
    /// When it was first active, µs since the epoch; 0 for never.
    pub connected_at: u64,
    /// When it ended, µs since the epoch; 0 while it lives.
    #[serde(skip)]
    pub ended_at: u64,
    /// Why it ended.
    #[serde(skip)]
    pub end: Option<End>,
    /// When it stops ringing.
    pub ring_deadline: Option<Time>,
    /// The same in µs since the epoch, 0 for never.
    pub ring_deadline_wall: u64,
    /// What answering it now would do.
    pub answer_plan: AnswerPlan,
    /// The same call, as other providers may carry it.
    pub correlation: Option<Arc<str>>,
    /// The app's own id of the contact.
    #[serde(with = "crate::private::stored")]
    pub contact: Private,
    /// The number of its last change.
    pub revision: u64,
    /// Who it is by the user's own address book.
    #[serde(skip)]
    pub known: Option<Arc<Contact>>,
    /// What is being asked of its provider, and what waits for it.
    pub(crate) requests: Vec<RequestId>,
    /// Until when it rings, if nobody tries to answer it; while screeners look at it, for how long it will.
    pub(crate) ring_until: Time,
    /// Why it will have ended, while it is ending.
    pub(crate) ending: Option<EndReason>,
    /// Its provider would not hold it: not asked again until the focus changes.
    pub(crate) left_active: bool,
    /// When it was last held: the newest is resumed first.
    pub(crate) held_at: u64,
    /// What rules decided of it, if they did.
    #[serde(default)]
    pub(crate) treatment: Option<Box<Treatment>>,
    /// Screeners look at it before the user is told: what those who answered say.
    #[serde(default)]
    pub(crate) screening: Option<Looked>,
    /// A screener lets it ring through do-not-disturb.
    #[serde(default)]
    pub(crate) urgent: bool,
}

impl Call {
    /// Whether its provider, back after a while, may say that it is in this state now.
    pub(crate) fn may_be_back_as(&self, stated: CallState) -> bool {
        use CallState::*;
        let connected = |s| matches!(s, Active | Held);
        self.direction.takes(stated)
            && (connected(stated) || !connected(self.state))
            && (stated != Ringing || self.state.is_incoming_pending())
    }
}

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    Incoming,
    Outgoing,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CallState {
    /// Incoming, being looked at by screeners; nobody has been told.
    Screening,
    /// Incoming, waiting for the user.
    Ringing,
    /// The user said yes; the provider has not yet.
    Answering,
    /// Outgoing, its app is being started.
    Launching,
    /// Outgoing, its provider is being asked.
    Starting,
    /// The provider has placed it.
    Dialing,
    /// The far end rings.
    Alerting,
    /// Answered, the media is being set up.
    Connecting,
    /// The two talk.
    Active,
    /// On hold at this end.
    Held,
    /// The user hung up; the provider has not confirmed.
    Ending,
    /// Over, for ever.
    Ended,
}

impl Direction {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Incoming => "incoming",
            Direction::Outgoing => "outgoing",
        }
    }

    /// Whether a provider may say that such a call is in this state.
    pub(crate) fn takes(self, state: CallState) -> bool {
        use CallState::*;
        match state {
            Connecting | Active | Held => true,
            Ringing => self == Direction::Incoming,
            Dialing | Alerting => self == Direction::Outgoing,
            Screening | Answering | Launching | Starting | Ending | Ended => false,
        }
    }
}

impl CallState {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            CallState::Screening => "screening",
            CallState::Ringing => "ringing",
            CallState::Answering => "answering",
            CallState::Launching => "launching",
            CallState::Starting => "starting",
            CallState::Dialing => "dialing",
            CallState::Alerting => "alerting",
            CallState::Connecting => "connecting",
            CallState::Active => "active",
            CallState::Held => "held",
            CallState::Ending => "ending",
            CallState::Ended => "ended",
        }
    }

    /// It may have the audio.
    pub fn is_eligible(self) -> bool {
        use CallState::*;
        matches!(self, Dialing | Alerting | Connecting | Active)
    }

    /// It is on its way out and not yet connected.
    pub fn is_dialing(self) -> bool {
        use CallState::*;
        matches!(self, Dialing | Alerting | Connecting)
    }

    /// It waits for the user to answer, or has just been answered.
    pub fn is_incoming_pending(self) -> bool {
        use CallState::*;
        matches!(self, Screening | Ringing | Answering)
    }
}

/// Why a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EndReason {
    /// This user hung up.
    LocalEnded,
    /// This user said no.
    Declined,
    /// The far end hung up.
    RemoteEnded,
    /// Nobody answered in time.
    Unanswered,
    /// The far end was busy.
    Busy,
    /// It could not be carried out.
    Failed,
    /// Another device or app of the user answered.
    AnsweredElsewhere,
    /// Another device or app of the user declined.
    DeclinedElsewhere,
    /// A block list, a screener, do-not-disturb or lack of room stopped it.
    Filtered,
    /// Its app went away and did not come back for it.
    ProviderLost,
    /// Its app did not say in time whether it could.
    TimedOut,
}

impl EndReason {
    /// All of them, for parsing.
    pub const ALL: [EndReason; 11] = [
        EndReason::LocalEnded,
        EndReason::Declined,
        EndReason::RemoteEnded,
        EndReason::Unanswered,
        EndReason::Busy,
        EndReason::Failed,
        EndReason::AnsweredElsewhere,
        EndReason::DeclinedElsewhere,
        EndReason::Filtered,
        EndReason::ProviderLost,
        EndReason::TimedOut,
    ];

    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            EndReason::LocalEnded => "local-ended",
            EndReason::Declined => "declined",
            EndReason::RemoteEnded => "remote-ended",
            EndReason::Unanswered => "unanswered",
            EndReason::Busy => "busy",
            EndReason::Failed => "failed",
            EndReason::AnsweredElsewhere => "answered-elsewhere",
            EndReason::DeclinedElsewhere => "declined-elsewhere",
            EndReason::Filtered => "filtered",
            EndReason::ProviderLost => "provider-lost",
            EndReason::TimedOut => "timed-out",
        }
    }
}

/// A call's end: what, and why in words.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// One of the closed set.
    pub reason: EndReason,
    /// Which rule, deadline or whose words; may be the provider's text.
    pub detail: Private,
}

/// A set of those who hold a call; it is unheld when the set becomes empty.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeldBy(u8);

impl HeldBy {
    /// Nobody.
    pub const NONE: HeldBy = HeldBy(0);
    /// The user, or the provider by itself: never resumed by the arbiter.
    pub const USER: HeldBy = HeldBy(1);
    /// Arbitration made room for another call.
    pub const ARBITER: HeldBy = HeldBy(2);
    /// The user's session left the foreground.
    pub const SEAT: HeldBy = HeldBy(4);
    /// The machine sleeps.
    pub const SUSPEND: HeldBy = HeldBy(8);

    /// Whether it has only members of the set.
    pub(crate) fn is_known(self) -> bool {
        self.0 < 16
    }
    /// Whether nobody holds it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Whether all of `other` hold it.
    pub fn contains(self, other: HeldBy) -> bool {
        self.0 & other.0 == other.0
    }
    /// With `other` too.
    #[must_use]
    pub fn with(self, other: HeldBy) -> HeldBy {
        HeldBy(self.0 | other.0)
    }
    /// Without `other`.
    #[must_use]
    pub fn without(self, other: HeldBy) -> HeldBy {
        HeldBy(self.0 & !other.0)
    }
    /// Their names on the bus.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [
            (HeldBy::USER, "user"),
            (HeldBy::ARBITER, "arbiter"),
            (HeldBy::SEAT, "seat"),
            (HeldBy::SUSPEND, "suspend"),
        ]
        .into_iter()
        .filter(move |(by, _)| self.contains(*by))
        .map(|(_, name)| name)
    }
}

impl fmt::Debug for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// What a provider can do with a call; all of it unless it says otherwise, as in CallKit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    pub hold: bool,
    pub group: bool,
    pub dtmf: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Capabilities { hold: true, group: true, dtmf: true }
    }
}

/// Why a ringing call makes no sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Silenced {
    /// It rings aloud (if it is not waiting).
    #[default]
    No,
    /// The user silenced it.
    User,
    /// Do-not-disturb shows it quietly.
    DoNotDisturb,
    /// Another user has the seat.
    Background,
    /// A rule of the administrator, or of the user's own.
    Rule,
    /// A screener wants it so.
    Screening,
}

impl Silenced {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Silenced::No => "",
            Silenced::User => "user",
            Silenced::DoNotDisturb => "dnd",
            Silenced::Background => "background",
            Silenced::Rule => "rule",
            Silenced::Screening => "screening",
        }
    }
}

/// What answering a ringing call now would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AnswerPlan {
    /// Calls that would be held first.
    pub holds: Vec<CallId>,
    /// Calls that would be ended first.
    pub ends: Vec<CallId>,
    /// Why it would be refused.
    pub refused: Option<crate::Refusal>,
}
