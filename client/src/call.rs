//! A call, as the arbiter shows it.

use callarbiter_dbus::{
    AnswerPlan, CallRef, Dict,
    names::CallPath,
    words::{CallState, Capability, Direction, EndReason, Holder, NameSource, Silenced},
};
use uuid::Uuid;

use crate::{
    Private,
    properties::{Properties, group_number, provider_number},
};

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its object: what names it without doubt.
    pub object: CallPath,
    /// The UUID that its provider chose.
    pub id: Uuid,
    /// The number of its provider.
    pub provider: Option<u32>,
    /// The app id of its provider.
    pub app_id: String,
    /// Who called whom.
    pub direction: Direction,
    /// Where it stands.
    pub state: CallState,
    /// Why it came to this state, in a few words.
    pub reason: String,
    /// The far end's address; empty where this client may not know.
    pub remote_handle: Private,
    /// The far end's name; `name_source` says who gave it.
    pub display_name: Private,
    /// Where the name comes from: the user's own address book, or only the app.
    pub name_source: NameSource,
    /// The entry of the user's address book; empty for none.
    pub contact_id: Private,
    /// Whether it has video.
    pub has_video: bool,
    /// Whether the microphone is muted.
    pub muted: bool,
    /// Whether the capture is silenced below the app as well.
    pub mute_enforced: bool,
    /// Who holds it; empty if nobody.
    pub held_by: Vec<Holder>,
    /// Whether the far end holds it.
    pub remote_held: bool,
    /// The number of its group; none while it rings.
    pub group: Option<u32>,
    /// What its provider can do with it.
    pub capabilities: Vec<Capability>,
    /// It rings behind another call.
    pub waiting: bool,
    /// Why it makes no sound while it rings.
    pub silenced: Silenced,
    /// Its app is gone, for now.
    pub orphaned: bool,
    /// An emergency call.
    pub emergency: bool,
    /// The app says that its media is encrypted.
    pub encrypted: bool,
    /// When it was reported or requested, µs since the epoch.
    pub created_at: u64,
    /// When it was first active, µs since the epoch; 0 for never.
    pub connected_at: u64,
    /// When it ended, µs since the epoch; 0 while it lives.
    pub ended_at: u64,
    /// Why it ended; none while it lives.
    pub end_reason: Option<EndReason>,
    /// Which rule, deadline or provider's words ended it.
    pub end_detail: Private,
    /// When it stops ringing, µs since the epoch; 0 for never.
    pub ring_deadline: u64,
    /// What answering it now would do.
    pub answer_plan: AnswerPlan,
    /// The revision of its last change.
    pub revision: u64,
}

impl From<&Call> for CallRef {
    fn from(call: &Call) -> Self {
        call.object.into()
    }
}

impl Call {
    /// Whether its provider can do this with it.
    pub fn can(&self, capability: &Capability) -> bool {
        self.capabilities.contains(capability)
    }

    /// The names of the properties that are not as they were.
    pub(crate) fn changed_since(&self, old: &Call) -> Vec<&'static str> {
        let mut names = vec![
            ("AnswerPlan", self.answer_plan != old.answer_plan),
            ("AppId", self.app_id != old.app_id),
            ("Capabilities", self.capabilities != old.capabilities),
            ("ConnectedAt", self.connected_at != old.connected_at),
            ("ContactId", self.contact_id != old.contact_id),
            ("CreatedAt", self.created_at != old.created_at),
            ("Direction", self.direction != old.direction),
            ("DisplayName", self.display_name != old.display_name),
            ("Emergency", self.emergency != old.emergency),
            ("Encrypted", self.encrypted != old.encrypted),
            ("EndDetail", self.end_detail != old.end_detail),
            ("EndReason", self.end_reason != old.end_reason),
            ("EndedAt", self.ended_at != old.ended_at),
            ("Group", self.group != old.group),
            ("HasVideo", self.has_video != old.has_video),
            ("HeldBy", self.held_by != old.held_by),
            ("MuteEnforced", self.mute_enforced != old.mute_enforced),
            ("Muted", self.muted != old.muted),
            ("NameSource", self.name_source != old.name_source),
            ("Orphaned", self.orphaned != old.orphaned),
            ("Provider", self.provider != old.provider),
            ("Reason", self.reason != old.reason),
            ("RemoteHandle", self.remote_handle != old.remote_handle),
            ("RemoteHeld", self.remote_held != old.remote_held),
            ("Revision", self.revision != old.revision),
            ("RingDeadline", self.ring_deadline != old.ring_deadline),
            ("Silenced", self.silenced != old.silenced),
            ("State", self.state != old.state),
            ("Waiting", self.waiting != old.waiting),
        ];
        names.retain(|(_, changed)| *changed);
        names.into_iter().map(|(name, _)| name).collect()
    }

    pub(crate) fn new(object: CallPath, properties: &Dict) -> Self {
        let mut call = Call {
            object,
            id: object.uuid,
            provider: object.provider,
            app_id: String::new(),
            direction: Direction::Other(String::new()),
            state: CallState::Other(String::new()),
            reason: String::new(),
            remote_handle: Private::default(),
            display_name: Private::default(),
            name_source: NameSource::None,
            contact_id: Private::default(),
            has_video: false,
            muted: false,
            mute_enforced: false,
            held_by: Vec::new(),
            remote_held: false,
            group: None,
            capabilities: Vec::new(),
            waiting: false,
            silenced: Silenced::No,
            orphaned: false,
            emergency: false,
            encrypted: false,
            created_at: 0,
            connected_at: 0,
            ended_at: 0,
            end_reason: None,
            end_detail: Private::default(),
            ring_deadline: 0,
            answer_plan: AnswerPlan::default(),
            revision: 0,
        };
        call.apply(properties);
        call
    }

    pub(crate) fn apply(&mut self, properties: &Dict) {
        let read = Properties(properties);
        read.word("Direction", &mut self.direction);
        read.word("State", &mut self.state);
        read.word("Silenced", &mut self.silenced);
        read.text("AppId", &mut self.app_id);
        read.text("Reason", &mut self.reason);
        read.word("RemoteHandle", &mut self.remote_handle);
        read.word("DisplayName", &mut self.display_name);
        read.word("NameSource", &mut self.name_source);
        read.word("ContactId", &mut self.contact_id);
        read.word("EndDetail", &mut self.end_detail);
        read.words("HeldBy", &mut self.held_by);
        read.words("Capabilities", &mut self.capabilities);
        for (name, flag) in [
            ("HasVideo", &mut self.has_video),
            ("Muted", &mut self.muted),
            ("MuteEnforced", &mut self.mute_enforced),
            ("RemoteHeld", &mut self.remote_held),
            ("Waiting", &mut self.waiting),
            ("Orphaned", &mut self.orphaned),
            ("Emergency", &mut self.emergency),
            ("Encrypted", &mut self.encrypted),
        ] {
            read.flag(name, flag);
        }
        for (name, time) in [
            ("CreatedAt", &mut self.created_at),
            ("ConnectedAt", &mut self.connected_at),
            ("EndedAt", &mut self.ended_at),
            ("RingDeadline", &mut self.ring_deadline),
            ("Revision", &mut self.revision),
        ] {
            read.time(name, time);
        }
        if let Some(path) = read.path("Provider") {
            self.provider = provider_number(path);
        }
        if let Some(path) = read.path("Group") {
            self.group = group_number(path);
        }
        if let Some(reason) = read.text_of("EndReason") {
            self.end_reason = (!reason.is_empty()).then(|| EndReason::from(reason));
        }
        if let Some(plan) = read.dict("AnswerPlan") {
            self.answer_plan = AnswerPlan::from_dict(&plan);
        }
    }
}

/// The UUID in a call's name.
pub(crate) fn id_of(call: &CallRef) -> Uuid {
    match call {
        CallRef::Uuid(uuid) => *uuid,
        CallRef::Object(path) => path.uuid,
    }
}
