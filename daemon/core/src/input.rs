//! Everything that can happen to the arbiter, as data.
//!
//! Owns the inputs and their payloads, already parsed: texts are within their bounds, UUIDs are
//! UUIDs. Who the caller is, is in the input; whether it may, the core decides.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AgentAnswer, Authorization, CallId, CallState, Capabilities, Direction, EndReason, Endpoint,
    Peer, Preferences, Private, ProviderId, RecordId, RequestId, Settings, TransactionId, Uid,
};

/// One thing that happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Input {
    /// An app registers (or registers again: same peer, same identity).
    Register { caller: Caller, registration: Registration },
    /// A registered provider speaks.
    Provider { caller: Caller, provider: ProviderId, word: Word },
    /// A controller requests; the reply is the transaction.
    Request { caller: Caller, actions: Vec<Requested>, token: Option<Uuid> },
    /// A controller stops a transaction.
    Cancel { caller: Caller, transaction: TransactionId },
    /// An agent takes roles, from others where a role has one holder.
    TakeRoles { caller: Caller, roles: Vec<Role> },
    /// The holder of role `dnd` says what the desktop shows; these handles ring all the same.
    SetDoNotDisturb {
        caller: Caller,
        mode: DoNotDisturb,
        #[serde(with = "crate::private::stored_list")]
        allow: Vec<Private>,
    },
    /// The holder of role `preferences` says what the user wants, all of it.
    SetPreferences { caller: Caller, preferences: Preferences },
    /// An agent answers what it was asked.
    AgentReply { caller: Caller, request: RequestId, answer: AgentAnswer },
    /// The holder of role `audio` says where the sound can go, and where it goes.
    SetEndpoints { caller: Caller, endpoints: Vec<Endpoint>, current: Arc<str> },
    /// Somebody wants the sound to go there.
    SelectEndpoint { caller: Caller, endpoint: Arc<str> },
    /// The holder of role `audio` says that an app streams without having the audio.
    ReportViolation { caller: Caller, provider: ProviderId },
    /// The holder of role `consent` says what the user decided about an app.
    SetAuthorization { caller: Caller, app: Arc<str>, authorization: Authorization },
    /// The arbiter was restored, and this is the first that it hears: these connections are gone, and all
    /// others are still there. `again`: soon after another restart, so that nobody is given more time once
    /// more; a deadline must not be put off for ever.
    Restarted { lost: Vec<Peer>, again: bool },
    /// A connection left the bus.
    PeerLost { peer: Peer },
    /// The seats on which this user has sessions; none: a domain that is always in the foreground.
    Seats { uid: Uid, seats: Vec<Arc<str>> },
    /// Who has a seat now.
    Foreground { seat: Arc<str>, uid: Option<Uid> },
    /// This user's session is locked, or not any more.
    Locked { uid: Uid, locked: bool },
    /// The machine is about to sleep (true) or is awake again (false).
    Suspend(bool),
    /// The configuration was read again; calls are not touched.
    Settings(Box<Settings>),
    /// A deadline may have passed.
    Tick,
    /// The holder of role `history` says that the user erased what is left of these calls.
    ForgetCalls { caller: Caller, records: Vec<RecordId> },
}

/// Who speaks: from the bus's own credentials, never declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The user.
    pub uid: Uid,
    /// The connection.
    pub peer: Peer,
    /// It runs in a sandbox.
    pub sandboxed: bool,
    /// It may see and control other apps' calls (unsandboxed ones always may).
    pub control: bool,
    /// It may place calls through other apps (unsandboxed ones always may).
    pub place_call: bool,
    /// It may take agent roles.
    pub agent: bool,
}

/// A provider's registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// The app.
    pub app: Arc<str>,
    /// Where the app id comes from.
    pub source: AppIdSource,
    /// Tells several of one app apart.
    pub instance: Arc<str>,
    /// What it told about itself.
    pub configuration: Configuration,
    /// Whether polkit's rules let this connection provide calls; none where they leave it to the user.
    #[serde(default)]
    pub preset: Option<bool>,
}

/// Where an app id comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppIdSource {
    /// The app said so.
    Declared,
    /// The name of its unit.
    Unit,
    /// The metadata of its sandbox.
    Sandbox,
}

/// What a provider tells about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// Its name for people.
    pub display_name: Arc<str>,
    /// An icon name of the icon theme, or empty.
    pub icon: Arc<str>,
    /// The name of a ringtone of the sound theme, or empty.
    pub ringtone: Arc<str>,
    /// Shown when the user is asked whether it may provide calls.
    pub usage_description: Arc<str>,
    /// Whether its calls may have video.
    pub supports_video: bool,
    /// The schemes of handles that it can call: `tel`, `sip` …
    pub schemes: Vec<Arc<str>>,
    /// Its own limit of groups, if lower than the arbiter's.
    pub maximum_call_groups: Option<u32>,
    /// Its own limit of calls in a group, if lower than the arbiter's.
    pub maximum_calls_per_group: Option<u32>,
    /// How its network holds calls.
    pub hold_model: HoldModel,
    /// It performs the steps of one plan whole.
    pub transactions: bool,
    /// What may be recorded of its calls.
    pub records: Records,
    /// Who rings.
    pub ringer: Ringer,
    /// It brought a sound of its own to ring with, which the shell has; nothing of it outlives the shell.
    #[serde(skip)]
    pub own_ringtone: bool,
}

impl Default for Configuration {
    fn default() -> Self {
        let empty: Arc<str> = "".into();
        Configuration {
            display_name: empty.clone(),
            icon: empty.clone(),
            ringtone: empty.clone(),
            usage_description: empty,
            supports_video: false,
            schemes: Vec::new(),
            maximum_call_groups: None,
            maximum_calls_per_group: None,
            hold_model: HoldModel::PerCall,
            transactions: false,
            records: Records::None,
            ringer: Ringer::Arbiter,
            own_ringtone: false,
        }
    }
}

/// How a provider's network holds calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldModel {
    /// Each call by itself.
    #[default]
    PerCall,
    /// All of them as the network does it (GSM: answering holds the active one).
    ProviderWide,
}

/// What may be recorded of a provider's calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Records {
    /// Nothing.
    #[default]
    None,
    /// That there was a call, not with whom.
    Opaque,
    /// All of it.
    Full,
}

impl Records {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Records::None => "none",
            Records::Opaque => "opaque",
            Records::Full => "full",
        }
    }
}

/// Who rings for a provider's calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ringer {
    /// The desktop: one ringer for all.
    #[default]
    Arbiter,
    /// The app itself.
    Itself,
}

/// What a registered provider can say.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Word {
    /// A call comes in.
    Incoming { uuid: Uuid, update: Update },
    /// An outgoing or already live call is there.
    Live { uuid: Uuid, direction: Direction, state: CallState, update: Update },
    /// Details of a call changed; only what is given.
    Update { uuid: Uuid, update: Update },
    /// A call is in this state now: a fact.
    State { uuid: Uuid, state: Option<CallState>, remote_held: Option<bool> },
    /// A call is over: a fact.
    Ended {
        uuid: Uuid,
        reason: EndReason,
        #[serde(with = "crate::private::stored")]
        detail: Private,
    },
    /// A request was carried out; `calls` answers a reconciliation.
    Fulfil { request: RequestId, calls: Option<Vec<Claim>> },
    /// A request could not be carried out.
    Fail {
        request: RequestId,
        error: crate::Error,
        #[serde(with = "crate::private::stored")]
        message: Private,
    },
    /// A request takes longer.
    Progress { request: RequestId, extend: crate::Millis },
    /// It tells more about itself.
    Configure(Configuration),
    /// It would like to be allowed.
    Authorize,
    /// It leaves; its live calls end.
    Unregister,
}

/// Details of a call; `None` leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Update {
    #[serde(default, with = "crate::private::stored_option")]
    pub handle: Option<Private>,
    #[serde(default, with = "crate::private::stored_option")]
    pub name: Option<Private>,
    pub video: Option<bool>,
    pub can_hold: Option<bool>,
    pub can_group: Option<bool>,
    pub can_dtmf: Option<bool>,
    pub ring_timeout: Option<crate::Millis>,
    pub correlation: Option<Arc<str>>,
    #[serde(default, with = "crate::private::stored_option")]
    pub contact: Option<Private>,
    pub encrypted: Option<bool>,
}

impl Update {
    /// The capabilities with what the update says of them.
    pub(crate) fn capabilities(&self, before: Capabilities) -> Capabilities {
        Capabilities {
            hold: self.can_hold.unwrap_or(before.hold),
            group: self.can_group.unwrap_or(before.group),
            dtmf: self.can_dtmf.unwrap_or(before.dtmf),
        }
    }
}

/// A call that a provider still has after it was away.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// Which.
    pub uuid: Uuid,
    /// Where it stands now.
    pub state: CallState,
}

/// An action with what it must find.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Requested {
    /// What to do.
    pub action: Action,
    /// The call must be in this state, else `StaleState` and nothing happens.
    pub expected: Option<CallState>,
}

/// What a controller can ask for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Action {
    /// Place a call. The shell makes the UUID where the caller gave none, and `provider` is an app
    /// id or none: by the scheme of the handle.
    Start {
        uuid: Uuid,
        #[serde(with = "crate::private::stored")]
        handle: Private,
        provider: Option<Arc<str>>,
        video: bool,
    },
    /// Answer a ringing call.
    Answer { call: CallRef },
    /// Hang up, decline, or cancel.
    End {
        call: CallRef,
        reason: Option<EndReason>,
        #[serde(with = "crate::private::stored")]
        message: Private,
    },
    /// Hold or resume.
    SetHeld { call: CallRef, held: bool },
    /// Mute or unmute the microphone.
    SetMuted { call: CallRef, muted: bool },
    /// Join the group of another call, or leave one's own.
    SetGroup { call: CallRef, with: Option<CallRef> },
    /// Play tones; `tones` is validated by [`crate::tones`].
    PlayDtmf {
        call: CallRef,
        #[serde(with = "crate::private::stored")]
        tones: Private,
        length: crate::Millis,
    },
    /// Turn video on or off.
    SetVideo { call: CallRef, video: bool },
    /// Stop the ringing, not the call.
    Silence { call: CallRef },
}

/// How a controller names a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallRef {
    /// By the provider's UUID; ambiguous where two providers chose the same.
    Uuid(Uuid),
    /// By UUID and provider: the object path.
    Of(ProviderId, Uuid),
    /// By its number in the core.
    Id(CallId),
}

/// Roles of agents that this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// Shows calls and acts for the user; any number of agents.
    Ui,
    /// Reads do-not-disturb; one.
    Dnd,
    /// Reads headset buttons; one.
    Headset,
    /// Starts apps for calls; one.
    Launch,
    /// Asks the user whether apps may provide calls; one.
    Consent,
    /// Knows which app a process belongs to; one.
    Identity,
    /// Has the user's address book; one.
    Contacts,
    /// Makes other sound keep quiet while a call has the audio; one.
    Audio,
    /// Keeps the user's history of calls; one.
    History,
    /// Looks at incoming calls before the user is told; any number of agents.
    Screening,
    /// Has the user's own rules; one.
    Preferences,
}

impl Role {
    /// Its name on the bus.
    pub fn name(self) -> &'static str {
        match self {
            Role::Ui => "ui",
            Role::Dnd => "dnd",
            Role::Headset => "headset",
            Role::Launch => "launch",
            Role::Consent => "consent",
            Role::Identity => "identity",
            Role::Contacts => "contacts",
            Role::Audio => "audio",
            Role::History => "history",
            Role::Screening => "screening",
            Role::Preferences => "preferences",
        }
    }

    /// Several agents may hold it at once.
    pub(crate) fn is_shared(self) -> bool {
        matches!(self, Role::Ui | Role::Screening)
    }
}

/// What the desktop's do-not-disturb means for incoming calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DoNotDisturb {
    /// Calls ring.
    #[default]
    Off,
    /// Calls are shown, silently.
    Quiet,
    /// Calls are refused with `FilteredByDoNotDisturb`.
    Refuse,
}
