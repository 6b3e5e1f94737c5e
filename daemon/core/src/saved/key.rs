//! The name of a record. Owns its shape: a user, a kind, a number within both.

use serde::{Deserialize, Serialize};

use crate::Uid;

/// Which record; to its keeper nothing but a name with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename = "CoreKey")]
pub struct Key {
    uid: Uid,
    /// A [`Kind`], or one of another version.
    kind: u8,
    number: u64,
}

/// What a record is about. The numbers are written: they never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    /// What users share; of user 0.
    Arbiter = 0,
    /// Focus, audio, lane, counters: what nearly every turn changes.
    Course = 1,
    /// Roles, do-not-disturb, seats, sleep.
    Desktop = 2,
    Provider = 3,
    Call = 4,
    Group = 5,
    Transaction = 6,
    Request = 7,
    Past = 8,
    Batch = 9,
    Tombstone = 10,
    Token = 11,
    /// Handles that do-not-disturb lets through.
    Allowed = 12,
    Suppressed = 13,
    /// What the user said of an app.
    Decision = 14,
    /// What an agent is asked.
    Errand = 15,
    /// Who a call is with, by the user's address book; numbered as the call.
    Contact = 16,
    /// What the agent for the audio was told, what it made of it, and where the sound can go.
    Enforcement = 17,
    /// A call that is over and not in the user's history yet.
    Record = 18,
    /// How it goes with the agent that keeps the history.
    Recording = 19,
    /// A piece of the causes of a call; its number is the call's and the piece's.
    Why = 20,
    /// A call that is over and can still be explained; numbered as the call.
    Over = 21,
    /// The user's own rules and choices.
    Preferences = 22,
}

impl Kind {
    /// Each at the place of its number.
    pub const ALL: [Kind; 23] = [
        Kind::Arbiter,
        Kind::Course,
        Kind::Desktop,
        Kind::Provider,
        Kind::Call,
        Kind::Group,
        Kind::Transaction,
        Kind::Request,
        Kind::Past,
        Kind::Batch,
        Kind::Tombstone,
        Kind::Token,
        Kind::Allowed,
        Kind::Suppressed,
        Kind::Decision,
        Kind::Errand,
        Kind::Contact,
        Kind::Enforcement,
        Kind::Record,
        Kind::Recording,
        Kind::Why,
        Kind::Over,
        Kind::Preferences,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Arbiter => "the shared state",
            Kind::Course => "the course",
            Kind::Desktop => "the desktop",
            Kind::Provider => "provider",
            Kind::Call => "call",
            Kind::Group => "group",
            Kind::Transaction => "transaction",
            Kind::Request => "request",
            Kind::Past => "past request",
            Kind::Batch => "batch",
            Kind::Tombstone => "tombstone",
            Kind::Token => "token",
            Kind::Allowed => "allowed handles",
            Kind::Suppressed => "suppressed call",
            Kind::Decision => "decision",
            Kind::Errand => "errand",
            Kind::Contact => "contact",
            Kind::Enforcement => "the enforcement",
            Kind::Record => "record",
            Kind::Recording => "the recording",
            Kind::Why => "causes",
            Kind::Over => "call that is over",
            Kind::Preferences => "the preferences",
        }
    }
}

impl Key {
    pub(super) const ARBITER: Key = Key { uid: Uid(0), kind: Kind::Arbiter as u8, number: 0 };

    pub(super) fn new(uid: Uid, kind: Kind, number: u64) -> Key {
        Key { uid, kind: kind as u8, number }
    }

    pub(super) fn uid(self) -> Uid {
        self.uid
    }

    pub(super) fn kind(self) -> Option<Kind> {
        Kind::ALL.get(usize::from(self.kind)).copied()
    }

    pub(super) fn is_behind(self, kind: Kind) -> bool {
        self.kind > kind as u8
    }

    pub(super) fn number(self) -> u64 {
        self.number
    }
}
