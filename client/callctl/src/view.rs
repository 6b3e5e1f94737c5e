//! What callctl shows: calls, providers, groups and the audio at one moment, and their JSON shape.
//!
//! The JSON is an interface for scripts: fields are added, never renamed. Must not render text for
//! people (`table`) or talk to the bus (`arbiter`).

use std::collections::BTreeMap;

use serde::Serialize;

/// Everything this session's arbiter shows, at one revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Board {
    pub revision: u64,
    pub audio: AudioView,
    pub calls: Vec<CallView>,
    pub groups: Vec<GroupView>,
    pub providers: Vec<ProviderView>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CallView {
    pub id: String,
    pub path: String,
    pub app_id: String,
    pub provider: String,
    pub direction: String,
    pub state: String,
    pub reason: String,
    pub remote_handle: String,
    pub display_name: String,
    /// `contacts`, `claimed`, or empty where there is no name.
    pub name_source: String,
    pub contact_id: String,
    pub has_video: bool,
    pub muted: bool,
    pub mute_enforced: bool,
    pub held_by: Vec<String>,
    pub remote_held: bool,
    pub group: Option<String>,
    /// Whether the call's group holds the audio session.
    pub audio: bool,
    pub capabilities: Vec<String>,
    pub waiting: bool,
    pub silenced: String,
    pub orphaned: bool,
    pub emergency: bool,
    pub encrypted: bool,
    /// Times are microseconds since 1970, 0 where it has not happened.
    pub created_at: u64,
    pub connected_at: u64,
    pub ended_at: u64,
    pub end_reason: String,
    pub end_detail: String,
    pub ring_deadline: u64,
    pub answer_plan: Option<AnswerPlanView>,
    pub revision: u64,
}

/// What answering a ringing call would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AnswerPlanView {
    /// UUIDs of the calls that would be put on hold.
    pub holds: Vec<String>,
    /// UUIDs of the calls that would be ended.
    pub ends: Vec<String>,
    /// The error that answering would be refused with, and its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GroupView {
    pub path: String,
    pub provider: String,
    /// UUIDs.
    pub calls: Vec<String>,
    pub state: String,
    pub audio: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProviderView {
    pub path: String,
    pub app_id: String,
    pub app_id_source: String,
    pub instance: String,
    pub display_name: String,
    pub authorization: String,
    pub attached: bool,
    pub responsive: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AudioView {
    /// The group that holds the audio session.
    pub holder: Option<String>,
    pub phase: String,
    pub generation: u64,
    pub since: u64,
    pub enforced: bool,
    pub endpoint: String,
}

/// The arbiter's bounds, and what of them this user uses.
/// Where calls can be heard.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointView {
    pub id: String,
    pub name: String,
    pub kind: String,
    /// They are heard there.
    pub current: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LimitsView {
    pub version: String,
    pub limits: BTreeMap<String, u32>,
    pub usage: BTreeMap<String, u32>,
}

impl Board {
    pub fn call_at(&self, path: &str) -> Option<&CallView> {
        self.calls.iter().find(|call| call.path == path)
    }

    pub fn call_with_id(&self, id: &str) -> Option<&CallView> {
        self.calls.iter().find(|call| call.id == id)
    }

    /// The calls whose audio is on.
    pub fn audible(&self) -> impl Iterator<Item = &CallView> {
        self.calls.iter().filter(|call| call.audio)
    }

    /// What the provider calls itself, else its app id.
    pub fn app_name<'a>(&'a self, call: &'a CallView) -> &'a str {
        let provider = self.providers.iter().find(|provider| provider.path == call.provider);
        provider.map(|p| p.display_name.as_str()).filter(|n| !n.is_empty()).unwrap_or(&call.app_id)
    }

    /// The shortest beginning of the id that a person can type, eight digits at least; the path
    /// where two calls have the same id.
    pub fn handle_for_typing<'a>(&self, call: &'a CallView) -> &'a str {
        let others = || self.calls.iter().filter(|other| other.path != call.path);
        if others().any(|other| other.id == call.id) {
            return &call.path;
        }
        let starts = |prefix: &str| others().any(|other| other.id.starts_with(prefix));
        (8..call.id.len())
            .filter_map(|end| call.id.get(..end))
            .find(|prefix| !prefix.ends_with('-') && !starts(prefix))
            .unwrap_or(&call.id)
    }
}

impl CallView {
    /// Active or on its way to be: what a person means by "the call" while nothing else is said.
    pub fn is_current(&self) -> bool {
        matches!(
            self.state.as_str(),
            "active"
                | "answering"
                | "launching"
                | "starting"
                | "dialing"
                | "alerting"
                | "connecting"
        )
    }

    /// Since when the call is in what a person sees as its present part.
    pub fn since(&self) -> u64 {
        if self.connected_at > 0 { self.connected_at } else { self.created_at }
    }
}

/// Calls for the tests of everything that shows or names them.
#[cfg(test)]
pub mod sample {
    use super::*;

    pub const ALICE: &str = "1f0c9a2e-4b7d-4c1a-9e55-0a6f3b2c1d00";
    pub const BOB: &str = "7be2d410-93aa-4f0e-8d21-5c4b3a291807";
    /// The samples' present, 72.5 s after Alice's call was connected.
    pub const NOW: u64 = 1_800_000_072_500_000;

    /// Alice is active with audio, Bob rings.
    pub fn two_calls() -> Board {
        let group = "/org/callarbiter/Calls1/group/1".to_owned();
        Board {
            revision: 17,
            audio: AudioView {
                holder: Some(group.clone()),
                phase: "granted".to_owned(),
                generation: 3,
                since: NOW - 72_000_000,
                enforced: true,
                endpoint: String::new(),
            },
            calls: vec![
                CallView {
                    display_name: "Alice Example".to_owned(),
                    connected_at: NOW - 72_500_000,
                    group: Some(group.clone()),
                    audio: true,
                    ..call(ALICE, "org.example.Speakerbox", "sip:alice@example.org", "active")
                },
                CallView {
                    waiting: true,
                    ring_deadline: NOW + 48_000_000,
                    answer_plan: Some(AnswerPlanView {
                        holds: vec![ALICE.to_owned()],
                        ..AnswerPlanView::default()
                    }),
                    ..call(BOB, "org.example.Chatter", "tel:+4930123456", "ringing")
                },
            ],
            groups: vec![GroupView {
                path: group,
                provider: path("provider/org_example_Speakerbox"),
                calls: vec![ALICE.to_owned()],
                state: "active".to_owned(),
                audio: true,
            }],
            providers: vec![
                provider("org.example.Speakerbox", "Speakerbox"),
                provider("org.example.Chatter", "Chatter"),
            ],
        }
    }

    /// An incoming call, created 84.5 s before the present.
    pub fn call(id: &str, app: &str, handle: &str, state: &str) -> CallView {
        CallView {
            id: id.to_owned(),
            path: path(&format!("call/{}", id.replace('-', "_"))),
            app_id: app.to_owned(),
            provider: path(&format!("provider/{}", app.replace('.', "_"))),
            direction: "incoming".to_owned(),
            state: state.to_owned(),
            remote_handle: handle.to_owned(),
            created_at: NOW - 84_500_000,
            ..CallView::default()
        }
    }

    fn provider(app: &str, name: &str) -> ProviderView {
        ProviderView {
            path: path(&format!("provider/{}", app.replace('.', "_"))),
            app_id: app.to_owned(),
            app_id_source: "declared".to_owned(),
            display_name: name.to_owned(),
            authorization: "authorized".to_owned(),
            attached: true,
            responsive: true,
            ..ProviderView::default()
        }
    }

    fn path(tail: &str) -> String {
        format!("/org/callarbiter/Calls1/{tail}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn the_json_shape_is_what_scripts_rely_on() {
        let json = serde_json::to_value(sample::two_calls()).unwrap();
        assert_eq!(json["revision"], 17);
        assert_eq!(json["audio"]["holder"], "/org/callarbiter/Calls1/group/1");
        assert_eq!(json["audio"]["phase"], "granted");
        assert_eq!(json["calls"][0]["id"], sample::ALICE);
        assert_eq!(json["calls"][0]["audio"], true);
        assert_eq!(json["calls"][0]["answer_plan"], serde_json::Value::Null);
        assert_eq!(
            json["calls"][1]["answer_plan"],
            serde_json::json!({"holds": [sample::ALICE], "ends": []})
        );
        let fields: Vec<&String> = json["calls"][0].as_object().unwrap().keys().collect();
        assert_eq!(fields.len(), 32, "{fields:?}");
    }

    #[test]
    fn ids_are_shortened_no_further_than_they_stay_unique() {
        let mut board = sample::two_calls();
        assert_eq!(board.handle_for_typing(&board.calls[0]), "1f0c9a2e");
        board.calls[1].id = "1f0c9a2e-4c00-0000-0000-000000000000".to_owned();
        assert_eq!(board.handle_for_typing(&board.calls[0]), "1f0c9a2e-4b");
        board.calls[1].id = board.calls[0].id.clone();
        assert_eq!(board.handle_for_typing(&board.calls[0]), board.calls[0].path);
    }
}
