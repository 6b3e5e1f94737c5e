//! Everything that can happen to the arbiter, as data that prints as the code that makes it.
//!
//! Owns the operations and the lists by which a new input, word or action must be added here. What an
//! operation means in a given state is the harness's.

use callarbiter_core::{
    Action, Authorization, CallState, DoNotDisturb, EndReason, Input, Role, Word,
};

/// One thing that happens. Calls are small numbers, apps are [`super::apps`]' numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// From its own connection, or a new one if it has none.
    Register {
        app: u8,
    },
    /// The same identity from a second connection.
    RegisterTwice {
        app: u8,
    },
    /// Its connection is gone.
    Lose {
        app: u8,
    },
    /// The connections of the user's programs are gone.
    LosePrograms {
        user: u8,
    },
    Say {
        app: u8,
        said: Said,
    },
    /// An answer to the `nth` open request, the oldest first.
    Reply {
        nth: u8,
        how: How,
    },
    /// An answer to a request that is over, the newest first.
    ReplyLate {
        nth: u8,
        how: How,
    },
    Request {
        by: By,
        acts: Vec<Act>,
        expected: Option<CallState>,
        token: Option<u8>,
    },
    /// The `nth` newest transaction.
    Cancel {
        by: By,
        nth: u8,
    },
    TakeRole {
        by: By,
        role: Role,
    },
    Disturb {
        by: By,
        mode: DoNotDisturb,
        /// The far end of all incoming calls rings all the same.
        allow: bool,
    },
    /// What the user wants of their calls.
    Prefer {
        by: By,
        what: Prefers,
    },
    /// An answer to the `nth` newest thing that an agent was asked, by that agent or somebody else.
    AgentReply {
        nth: u8,
        by: Option<By>,
        how: Errand,
    },
    /// The user changed their mind about an app.
    Authorize {
        by: By,
        app: u8,
        word: Authorization,
    },
    /// The first so many places where the sound can go, the last of them in use.
    SetEndpoints {
        by: By,
        count: u8,
    },
    SelectEndpoint {
        by: By,
        nth: u8,
    },
    ReportViolation {
        by: By,
        app: u8,
    },
    /// The user erased the `nth` newest call that is over and can be explained.
    Forget {
        by: By,
        nth: u8,
    },
    Seats {
        user: u8,
        seated: bool,
    },
    Foreground {
        user: Option<u8>,
    },
    Suspend {
        asleep: bool,
    },
    Locked {
        user: u8,
        locked: bool,
    },
    Rules {
        rules: Rules,
    },
    /// The arbiter ends and another one begins with what it wrote. `lost`: an app that went away meanwhile;
    /// `heard`: what the apps were asked last has reached them.
    Restart {
        lost: Option<u8>,
        heard: bool,
    },
    /// The same, and nobody notices.
    Reload,
    Pass {
        ms: u32,
    },
    /// To the next deadline.
    PassDeadline,
    /// To a moment before the next deadline.
    AlmostDeadline,
}

/// What a provider says by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Said {
    Incoming { n: u8, kind: Kind },
    Live { n: u8, out: bool, state: CallState },
    CanHold { n: u8, can: bool },
    Details { n: u8 },
    State { n: u8, state: CallState },
    RemoteHeld { n: u8, held: bool },
    Ended { n: u8, reason: EndReason },
    Wide { wide: bool },
    Authorize,
    Unregister,
}

/// What is special about an incoming call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Plain,
    /// The far end has called through another app too.
    Linked,
    Brief,
}

/// How an agent answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Errand {
    /// It did it, or: yes.
    Done,
    /// No, or: nobody.
    No,
    Later,
    Fail,
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    /// A reconciliation claims all calls as they were.
    Fulfil,
    /// A reconciliation claims all calls in this state; other requests are fulfilled.
    Claim(CallState),
    /// A reconciliation claims nothing.
    Without,
    /// A reconciliation lacks its claims.
    Bare,
    Fail,
    More {
        ms: u32,
    },
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum By {
    Shell,
    Program,
    Sandboxed,
    App(u8),
    Bob,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    Start { n: u8, app: Option<u8>, handle: Handle },
    Answer { n: u8 },
    End { n: u8, reason: Option<EndReason> },
    Hold { n: u8, held: bool },
    Mute { n: u8, muted: bool },
    Join { n: u8, with: u8 },
    Leave { n: u8 },
    Tones { n: u8 },
    Video { n: u8, video: bool },
    Silence { n: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Handle {
    Usual,
    Emergency,
}

/// Configurations of an administrator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rules {
    Usual,
    /// After a remote end the newest is resumed; what cannot be held is ended.
    Eager,
    /// One app is no longer allowed.
    Strict,
    /// Everything is scarce.
    Tight,
    /// The user is asked about every app.
    Asking,
    /// Rules about single calls, of every effect.
    Ruled,
}

/// Preferences of a user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Prefers {
    Nothing,
    /// Every call is treated as usual, said by rules of every effect.
    Own,
    /// Calls answer themselves, end others, and ring through do-not-disturb.
    Eager,
    /// More than any administrator here allows.
    TooMuch,
}

/// The name of each input: whoever adds one meets this match, and the test that it occurs.
pub fn name_of_input(input: &Input) -> &'static str {
    match input {
        Input::Register { .. } => "Register",
        Input::Provider { word, .. } => name_of_word(word),
        Input::Request { .. } => "Request",
        Input::Cancel { .. } => "Cancel",
        Input::TakeRoles { .. } => "TakeRoles",
        Input::SetDoNotDisturb { .. } => "SetDoNotDisturb",
        Input::SetPreferences { .. } => "SetPreferences",
        Input::AgentReply { .. } => "AgentReply",
        Input::SetAuthorization { .. } => "SetAuthorization",
        Input::SetEndpoints { .. } => "SetEndpoints",
        Input::SelectEndpoint { .. } => "SelectEndpoint",
        Input::ReportViolation { .. } => "ReportViolation",
        Input::ForgetCalls { .. } => "ForgetCalls",
        Input::PeerLost { .. } => "PeerLost",
        Input::Restarted { .. } => "Restarted",
        Input::Seats { .. } => "Seats",
        Input::Foreground { .. } => "Foreground",
        Input::Locked { .. } => "Locked",
        Input::Suspend(_) => "Suspend",
        Input::Settings(_) => "Settings",
        Input::Tick => "Tick",
    }
}

fn name_of_word(word: &Word) -> &'static str {
    match word {
        Word::Incoming { .. } => "Incoming",
        Word::Live { .. } => "Live",
        Word::Update { .. } => "Update",
        Word::State { .. } => "State",
        Word::Ended { .. } => "Ended",
        Word::Fulfil { .. } => "Fulfil",
        Word::Fail { .. } => "Fail",
        Word::Progress { .. } => "Progress",
        Word::Configure(_) => "Configure",
        Word::Authorize => "Authorize",
        Word::Unregister => "Unregister",
    }
}

pub fn name_of_action(action: &Action) -> &'static str {
    match action {
        Action::Start { .. } => "Start",
        Action::Answer { .. } => "Answer",
        Action::End { .. } => "End",
        Action::SetHeld { .. } => "SetHeld",
        Action::SetMuted { .. } => "SetMuted",
        Action::SetGroup { .. } => "SetGroup",
        Action::PlayDtmf { .. } => "PlayDtmf",
        Action::SetVideo { .. } => "SetVideo",
        Action::Silence { .. } => "Silence",
    }
}

/// All of the names above, calls that waited for their apps or were screened, and records: a test shows that
/// histories are accepted and refused in each of them.
pub const NAMES: [&str; 43] = [
    "Screened",
    "Launching",
    "Recorded",
    "Register",
    "Incoming",
    "Live",
    "Update",
    "State",
    "Ended",
    "Fulfil",
    "Fail",
    "Progress",
    "Configure",
    "Authorize",
    "Unregister",
    "Request",
    "Cancel",
    "TakeRoles",
    "SetDoNotDisturb",
    "SetPreferences",
    "AgentReply",
    "SetAuthorization",
    "SetEndpoints",
    "SelectEndpoint",
    "ReportViolation",
    "ForgetCalls",
    "PeerLost",
    "Restarted",
    "Seats",
    "Foreground",
    "Suspend",
    "Locked",
    "Settings",
    "Tick",
    "Start",
    "Answer",
    "End",
    "SetHeld",
    "SetMuted",
    "SetGroup",
    "PlayDtmf",
    "SetVideo",
    "Silence",
];

/// Every role.
pub const ROLES: [Role; 11] = [
    Role::Ui,
    Role::Dnd,
    Role::Headset,
    Role::Launch,
    Role::Consent,
    Role::Identity,
    Role::Contacts,
    Role::Audio,
    Role::History,
    Role::Screening,
    Role::Preferences,
];

/// Every state, sensible or not.
pub const STATES: [CallState; 12] = [
    CallState::Screening,
    CallState::Ringing,
    CallState::Answering,
    CallState::Launching,
    CallState::Starting,
    CallState::Dialing,
    CallState::Alerting,
    CallState::Connecting,
    CallState::Active,
    CallState::Held,
    CallState::Ending,
    CallState::Ended,
];
