//! From what the client library knows to what callctl shows.
//!
//! Owns the translation only; decides nothing and renders nothing.

use callarbiter::{
    AudioSession, Call, CallPath, CallState, Dict, Group, Object, ProviderInfo, Snapshot,
};
use serde_json::{Map, Value};
use zbus::Variant;

use crate::view::{
    AnswerPlanView, AudioView, Board, CallView, GroupView, LimitsView, ProviderView,
};

pub fn board(snapshot: &Snapshot) -> Board {
    let holder = snapshot.audio.holder;
    let mut calls: Vec<CallView> = snapshot.calls.values().map(|one| call(one, holder)).collect();
    // Oldest first, so that a table keeps its order while calls come and go.
    calls.sort_by(|a, b| (a.created_at, &a.path).cmp(&(b.created_at, &b.path)));
    Board {
        revision: snapshot.revision,
        audio: audio(&snapshot.audio),
        calls,
        groups: snapshot.groups.values().map(group).collect(),
        providers: snapshot.providers.values().map(provider).collect(),
    }
}

pub fn limits(snapshot: &Snapshot) -> LimitsView {
    LimitsView {
        version: snapshot.manager.version.clone(),
        limits: snapshot.manager.limits.clone(),
        usage: snapshot.manager.usage.clone(),
    }
}

fn call(call: &Call, audio: Option<u32>) -> CallView {
    CallView {
        id: call.id.to_string(),
        path: call.object.to_string(),
        app_id: call.app_id.clone(),
        provider: path(Object::Provider, call.provider).unwrap_or_default(),
        direction: call.direction.to_string(),
        state: call.state.to_string(),
        reason: call.reason.clone(),
        remote_handle: call.remote_handle.reveal().to_owned(),
        display_name: call.display_name.reveal().to_owned(),
        name_source: call.name_source.to_string(),
        contact_id: call.contact_id.reveal().to_owned(),
        has_video: call.has_video,
        muted: call.muted,
        mute_enforced: call.mute_enforced,
        held_by: call.held_by.iter().map(ToString::to_string).collect(),
        remote_held: call.remote_held,
        group: path(Object::Group, call.group),
        audio: call.group.is_some() && call.group == audio,
        capabilities: call.capabilities.iter().map(ToString::to_string).collect(),
        waiting: call.waiting,
        silenced: call.silenced.to_string(),
        orphaned: call.orphaned,
        emergency: call.emergency,
        encrypted: call.encrypted,
        created_at: call.created_at,
        connected_at: call.connected_at,
        ended_at: call.ended_at,
        end_reason: call.end_reason.as_ref().map(ToString::to_string).unwrap_or_default(),
        end_detail: call.end_detail.reveal().to_owned(),
        ring_deadline: call.ring_deadline,
        answer_plan: answer_plan(call),
        revision: call.revision,
    }
}

/// Only a ringing call has one.
fn answer_plan(call: &Call) -> Option<AnswerPlanView> {
    if call.state != CallState::Ringing {
        return None;
    }
    let plan = &call.answer_plan;
    let id = |path: &str| match Object::parse(path)? {
        Object::Call(CallPath { uuid, .. }) => Some(uuid.to_string()),
        _ => None,
    };
    Some(AnswerPlanView {
        holds: plan.holds.iter().filter_map(|path| id(path.as_str())).collect(),
        ends: plan.ends.iter().filter_map(|path| id(path.as_str())).collect(),
        error: plan.error.as_ref().map(|error| error.name.to_string()),
        message: plan.error.as_ref().map(|error| error.message.clone()),
    })
}

fn group(group: &Group) -> GroupView {
    GroupView {
        path: Object::Group(group.number).to_string(),
        provider: path(Object::Provider, group.provider).unwrap_or_default(),
        calls: group.calls.iter().map(|call| call.uuid.to_string()).collect(),
        state: group.state.to_string(),
        audio: group.audio,
    }
}

fn provider(provider: &ProviderInfo) -> ProviderView {
    ProviderView {
        path: Object::Provider(provider.number).to_string(),
        app_id: provider.app_id.clone(),
        app_id_source: provider.app_id_source.to_string(),
        instance: provider.instance.clone(),
        display_name: provider.display_name.clone(),
        authorization: provider.authorization.to_string(),
        attached: provider.attached,
        responsive: provider.responsive,
    }
}

fn audio(audio: &AudioSession) -> AudioView {
    AudioView {
        holder: path(Object::Group, audio.holder),
        phase: audio.phase.to_string(),
        generation: audio.generation,
        since: audio.since,
        enforced: audio.enforced,
        endpoint: audio.endpoint.clone(),
    }
}

fn path(object: fn(u32) -> Object, number: Option<u32>) -> Option<String> {
    number.map(|number| object(number).to_string())
}

/// An action's parameters as JSON; a type that no action has today is left out.
pub fn parameters(dict: &Dict) -> Map<String, Value> {
    let json = |value: &Variant<'_>| match value {
        Variant::Str(text) => Some(Value::from(text.as_str())),
        Variant::Bool(flag) => Some(Value::from(*flag)),
        Variant::U32(number) => Some(Value::from(*number)),
        Variant::U64(number) => Some(Value::from(*number)),
        _ => None,
    };
    dict.iter().filter_map(|(key, value)| Some((key.clone(), json(value)?))).collect()
}
