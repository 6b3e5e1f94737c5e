//! The rules that an administrator may change: deadlines, limits, policy.
//!
//! Owns the defaults and why they are what they are. Reading them from a file is the shell's work.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Allowance, Millis, Rule, Zone};

/// Everything that configuration decides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How long things may take.
    pub deadlines: Deadlines,
    /// How many there may be.
    pub limits: Limits,
    /// What to do where more than one thing would be right.
    pub policy: Policy,
    /// What of that users decide for themselves.
    pub allowance: Allowance,
    /// What local time is, for rules about the time of day.
    pub zone: Zone,
}

/// How long each thing may take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deadlines {
    /// A provider's time to place a call: it may have to wake a modem or a connection.
    pub start: Millis,
    /// A provider's time to answer.
    pub answer: Millis,
    /// A provider's time to hang up; the user's word is final after it.
    pub end: Millis,
    /// A provider's time to hold or resume: a re-INVITE and its answer.
    pub set_held: Millis,
    /// A provider's time to play tones, on top of the tones themselves.
    pub play_dtmf: Millis,
    /// A provider's time for mute, group, video, reconciliation.
    pub other: Millis,
    /// How long a call rings unless its provider says otherwise.
    pub ringing: Millis,
    /// The least that a call rings again after an answer that could not be carried out.
    pub ringing_again: Millis,
    /// An app that is started for a call must have registered.
    pub launching: Millis,
    /// Dialing to connected without any progress.
    pub dialing: Millis,
    /// Calls of a provider that is gone wait this long for it.
    pub grace: Millis,
    /// Releasing the audio.
    pub audio_release: Millis,
    /// Taking the audio.
    pub audio_grant: Millis,
    /// An agent's time to make others keep quiet before it; people notice a longer silence after they answer.
    pub enforcement: Millis,
    /// Holding everything before the machine sleeps: half of logind's default 5 s.
    pub suspend: Millis,
    /// A UUID is remembered this long after its call, and a token after its request.
    pub memory: Millis,
    /// An end reported for an unknown UUID is remembered this long: a push that comes late never rings.
    pub late_push: Millis,
    /// A finished transaction can be read this long.
    pub transaction: Millis,
    /// The user is asked whether an app may provide calls.
    pub consent: Millis,
    /// The user's address book is asked who somebody is; a call does not wait for it.
    pub look_up: Millis,
    /// The history is asked to keep a record; a disk may have to spin up, and nothing waits for it.
    pub record: Millis,
    /// All screeners' time together: the far end hears nothing yet.
    pub screening: Millis,
    /// Who calls again so soon after a call that do-not-disturb kept away rings: it is urgent.
    pub repeated: Millis,
}

impl Default for Deadlines {
    fn default() -> Self {
        Deadlines {
            start: Millis::secs(20),
            answer: Millis::secs(10),
            end: Millis::secs(5),
            set_held: Millis::secs(5),
            play_dtmf: Millis::secs(5),
            other: Millis::secs(5),
            ringing: Millis::secs(60),
            ringing_again: Millis::secs(10),
            launching: Millis::secs(30),
            dialing: Millis::secs(120),
            grace: Millis::secs(10),
            audio_release: Millis::secs(2),
            audio_grant: Millis::secs(2),
            enforcement: Millis(500),
            suspend: Millis(2500),
            memory: Millis::secs(3600),
            late_push: Millis::secs(120),
            transaction: Millis::secs(60),
            consent: Millis::secs(300),
            look_up: Millis::secs(2),
            record: Millis::secs(20),
            screening: Millis::secs(5),
            repeated: Millis::secs(180),
        }
    }
}

/// How many of each there may be, per domain unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Live calls.
    pub calls: u32,
    /// Ringing calls of one provider.
    pub ringing_per_provider: u32,
    /// Groups of one provider; its own configuration may lower it.
    pub groups_per_provider: u32,
    /// Calls in one group; the provider's own configuration may lower it.
    pub calls_per_group: u32,
    /// Registered providers, those in their grace included.
    pub providers: u32,
    /// Unfinished transactions.
    pub transactions: u32,
    /// Actions in one transaction.
    pub actions: u32,
    /// Requests that wait for one call.
    pub requests_per_call: u32,
    /// Ended UUIDs that are remembered; the oldest is forgotten first.
    pub tombstones: u32,
    /// Tokens that are remembered; the oldest is forgotten first.
    pub tokens: u32,
    /// Reports of all providers together; the shell refuses more. A call tells of itself some ten times, and
    /// nobody has dozens that begin at once.
    pub reports_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            calls: 256,
            ringing_per_provider: 8,
            groups_per_provider: 2,
            calls_per_group: 5,
            providers: 64,
            transactions: 128,
            actions: 32,
            requests_per_call: 16,
            tombstones: 4096,
            tokens: 1024,
            reports_per_second: 200,
        }
    }
}

/// What to do where more than one thing would be right.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Who may provide calls.
    pub authorization: AuthorizationPolicy,
    /// Decisions for single apps, by app id; they win over `authorization`.
    pub apps: BTreeMap<Arc<str>, bool>,
    /// What packages say of their apps; the user's own word wins over it.
    pub packaged: BTreeMap<Arc<str>, bool>,
    /// What becomes of calls held by arbitration when the active one is ended by the far end.
    pub after_remote_end: AfterRemoteEnd,
    /// Answer or start while the active call cannot be held.
    pub when_busy: WhenBusy,
    /// Groups of app ids that may carry the same call (their `correlation-id` is believed).
    pub correlated: Vec<Vec<Arc<str>>>,
    /// Emergency numbers.
    pub emergency: Emergency,
    /// Rules, the first first; they refine what is said above.
    pub rules: Arc<[Rule]>,
}

/// Whether an app must be allowed before it may provide calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthorizationPolicy {
    /// The user is asked; until there is an answer, calls are refused.
    #[default]
    Ask,
    /// Everybody may.
    Allow,
}

/// What becomes of calls held by arbitration after a remote end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterRemoteEnd {
    /// They stay held, now by the user, who is told: nobody is overheard.
    #[default]
    Keep,
    /// The newest is resumed.
    Resume,
}

/// Answer or start while the active call cannot be held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhenBusy {
    /// Refused with `CannotHold`; the user ends the other call explicitly.
    #[default]
    Refuse,
    /// The call in the way is ended.
    End,
}

/// Which calls are never refused for lack of room.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Emergency {
    /// Handles, however they are written.
    pub handles: Vec<Arc<str>>,
    /// App ids of the providers through which they may go.
    pub providers: Vec<Arc<str>>,
}
