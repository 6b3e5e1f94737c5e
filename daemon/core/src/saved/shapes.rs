//! What the records hold that are more than one entity: parts of a domain, and entities with their deadlines.
//!
//! Owns their fields. Each has two faces with the same fields in the same order: it is written from references and read
//! as a whole. They change by the rule of [`callarbiter_records`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AudioSession, Call, Endpoint, GroupId, Provider, ProviderId, RequestId, Time, Transaction,
    domain::Next, enforce::Enforcement, errand::Errand, focus::Vacated, lane::Lane,
    record::Recording, request::Request,
};

macro_rules! records {
    ($($(#[$about:meta])* $read:ident, $write:ident {
        $($(#[$how:meta])* $field:ident: $kind:ty,)*
    })*) => {$(
        $(#[$about])*
        #[derive(Serialize, Deserialize)]
        pub struct $read {
            $($(#[$how])* pub $field: $kind,)*
        }

        $(#[$about])*
        #[derive(Serialize)]
        pub struct $write<'a> {
            $(pub $field: &'a $kind,)*
        }
    )*};
}

records! {
    /// What nearly every turn changes.
    Course, WriteCourse {
        revision: u64,
        next: Next,
        focus: Option<GroupId>,
        vacated: Option<Vacated>,
        lane: Lane,
        audio: AudioSession,
        audio_told: Option<(ProviderId, Vec<Uuid>)>,
        audio_request: Option<RequestId>,
    }

    /// With the end of its grace.
    ProviderRecord, WriteProvider {
        provider: Provider,
        grace: Option<Time>,
    }

    /// With the end of its ringing, and of getting nowhere.
    CallRecord, WriteCall {
        call: Call,
        ring: Option<Time>,
        progress: Option<Time>,
        #[serde(default)]
        answer: Option<Time>,
    }

    /// With the time when it is forgotten.
    TransactionRecord, WriteTransaction {
        transaction: Transaction,
        forget: Option<Time>,
    }

    RequestRecord, WriteRequest {
        request: Request,
        until: Option<Time>,
    }

    ErrandRecord, WriteErrand {
        errand: Errand,
        until: Option<Time>,
    }

    /// With where the sound can go, as both change seldom.
    EnforcementRecord, WriteEnforcement {
        enforcement: Enforcement,
        endpoints: Arc<[Endpoint]>,
        endpoint: Arc<str>,
    }

    RecordingRecord, WriteRecording {
        recording: Recording,
        until: Option<Time>,
    }
}
