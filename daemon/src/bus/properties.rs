//! The one table from properties to values: for reading, for snapshots, for what changed.
//!
//! Owns what each property of the interface files is. `open` is false for readers that may not know
//! with whom: what tells it is empty for them.

use std::collections::BTreeMap;

use callarbiter_core::{
    AppIdSource, Call, Configuration, Group, HoldModel, Object, Private, Provider, Records, Ringer,
    Transaction,
};
use callarbiter_dbus::{Dict, limits, names, words};
use zbus::ObjectPath;

use super::{
    fault, parse,
    views::{Value, View},
};

/// The value of a property; none where the object has no such property.
pub fn value(
    view: &View<'_>,
    object: Object,
    interface: &str,
    name: &str,
    open: bool,
) -> Option<Value> {
    let domain = view.domain;
    match (interface, object) {
        (names::MANAGER, Object::Audio) => manager(view, name),
        (names::AUDIO_SESSION, Object::Audio) => audio(view, name),
        (names::PROVIDER, Object::Provider(id)) => provider(domain?.provider(id)?, name),
        (names::CALL, Object::Call(id)) => call(view, domain?.call(id)?, name, open),
        (names::GROUP, Object::Group(id)) => group(view, domain?.group(id)?, name),
        (names::TRANSACTION, Object::Transaction(id)) => {
            transaction(view, domain?.transaction(id)?, name, open)
        }
        _ => None,
    }
}

fn manager(view: &View<'_>, name: &str) -> Option<Value> {
    Some(match name {
        "Version" => env!("CARGO_PKG_VERSION").into(),
        "Epoch" => view.epoch.to_owned().into(),
        "Features" => features().into(),
        "Limits" => allowed(view).into(),
        "Usage" => usage(view).into(),
        "Revision" => view.revision().into(),
        _ => return None,
    })
}

/// What this version understands, beyond what the interfaces show.
fn features() -> Vec<String> {
    let actions = callarbiter_dbus::Verb::NAMES.iter().map(|name| format!("action:{name}"));
    let roles = words::Role::KNOWN.iter().map(|name| format!("role:{name}"));
    actions.chain(roles).collect()
}

fn allowed(view: &View<'_>) -> BTreeMap<&'static str, u32> {
    let limits = &view.arbiter.settings().limits;
    let mut all: BTreeMap<&'static str, u32> = limits::PUBLISHED.iter().copied().collect();
    all.extend([
        ("calls", limits.calls),
        ("ringing-per-provider", limits.ringing_per_provider),
        ("groups-per-provider", limits.groups_per_provider),
        ("calls-per-group", limits.calls_per_group),
        ("providers", limits.providers),
        ("transactions", limits.transactions),
        ("actions", limits.actions),
        ("requests-per-call", limits.requests_per_call),
        ("tombstones", limits.tombstones),
        ("tokens", limits.tokens),
        ("reports-per-second", limits.reports_per_second),
        ("subscriptions", super::admission::SUBSCRIPTIONS_PER_USER as u32),
        ("unread-bytes", super::admission::UNREAD_BYTES_PER_USER as u32),
    ]);
    all
}

fn usage(view: &View<'_>) -> BTreeMap<&'static str, u32> {
    let mut all: BTreeMap<&'static str, u32> =
        view.domain.into_iter().flat_map(|domain| domain.usage()).collect();
    all.insert("subscriptions", u32::try_from(view.subscriptions).unwrap_or(u32::MAX));
    all
}

fn audio(view: &View<'_>, name: &str) -> Option<Value> {
    let idle = callarbiter_core::AudioSession::default();
    let audio = view.domain.map_or(&idle, |domain| domain.audio());
    let endpoints: Vec<Dict> = Vec::new();
    Some(match name {
        "Holder" => audio.holder.map_or_else(no_object, |id| names::group_path(id.0)).into(),
        "Phase" => audio.phase.name().into(),
        "Generation" => audio.generation.into(),
        "Since" => audio.since.into(),
        "Enforced" => audio.enforced.into(),
        "Endpoints" => endpoints.into(),
        "Endpoint" => "".into(),
        "Revision" => audio.revision.into(),
        _ => return None,
    })
}

fn provider(provider: &Provider, name: &str) -> Option<Value> {
    Some(match name {
        "AppId" => text(&provider.app),
        "AppIdSource" => source(provider.source).into(),
        "Instance" => text(&provider.instance),
        "DisplayName" => text(&provider.configuration.display_name),
        "Authorization" => provider.authorization.name().into(),
        "Configuration" => configuration(&provider.configuration).into(),
        "Attached" => provider.peer.is_some().into(),
        "Responsive" => provider.responsive.into(),
        "Revision" => provider.revision.into(),
        _ => return None,
    })
}

fn call(view: &View<'_>, call: &Call, name: &str, open: bool) -> Option<Value> {
    let app = || view.domain.and_then(|domain| domain.provider(call.provider)).map(|p| &p.app);
    let end = call.end.as_ref();
    Some(match name {
        "Id" => call.uuid.to_string().into(),
        "Provider" => names::provider_path(call.provider.0).into(),
        "AppId" => app().map_or_else(|| "".into(), text),
        "Direction" => direction(call.direction).into(),
        "State" => call.state.name().into(),
        "Reason" => call.reason.into(),
        "RemoteHandle" => personal(&call.handle, open),
        "DisplayName" => personal(&call.name, open),
        "HasVideo" => call.video.into(),
        "Muted" => call.muted.into(),
        // Silencing the capture of a muted call is the agent's, which is not there yet.
        "MuteEnforced" => false.into(),
        "HeldBy" => call.held_by.names().collect::<Vec<_>>().into(),
        "RemoteHeld" => call.remote_held.into(),
        "Group" => call.group.map_or_else(no_object, |id| names::group_path(id.0)).into(),
        "Capabilities" => capabilities(call).into(),
        "Waiting" => call.waiting.into(),
        "Silenced" => call.silenced.name().into(),
        "Orphaned" => call.orphaned.into(),
        "Emergency" => call.emergency.into(),
        "Encrypted" => call.encrypted.into(),
        "CreatedAt" => call.created_at.into(),
        "ConnectedAt" => call.connected_at.into(),
        "EndedAt" => call.ended_at.into(),
        "EndReason" => end.map_or("", |end| end.reason.name()).into(),
        "EndDetail" => end.map_or_else(|| "".into(), |end| personal(&end.detail, open)),
        "RingDeadline" => call.ring_deadline_wall.into(),
        "AnswerPlan" => answer_plan(view, call, open).into(),
        "Revision" => call.revision.into(),
        _ => return None,
    })
}

fn capabilities(call: &Call) -> Vec<&'static str> {
    [(call.can.hold, "hold"), (call.can.group, "group"), (call.can.dtmf, "dtmf")]
        .into_iter()
        .filter_map(|(can, name)| can.then_some(name))
        .collect()
}

fn answer_plan(view: &View<'_>, call: &Call, open: bool) -> BTreeMap<&'static str, Value> {
    let plan = &call.answer_plan;
    let paths = |ids: &[callarbiter_core::CallId]| -> Vec<ObjectPath<'static>> {
        ids.iter().map(|id| view.path_of_call(*id)).collect()
    };
    let mut entries: BTreeMap<&'static str, Value> =
        BTreeMap::from([("holds", paths(&plan.holds).into()), ("ends", paths(&plan.ends).into())]);
    if let Some(refusal) = &plan.refused {
        entries.insert("error", fault::kind(refusal.error).name().into());
        entries.insert(
            "error-message",
            if open { refusal.message.clone() } else { String::new() }.into(),
        );
    }
    entries
}

fn group(view: &View<'_>, group: &Group, name: &str) -> Option<Value> {
    let calls = || -> Vec<ObjectPath<'static>> {
        group.calls.iter().map(|id| view.path_of_call(*id)).collect()
    };
    Some(match name {
        "Calls" => calls().into(),
        "Provider" => names::provider_path(group.provider.0).into(),
        "State" => view.domain.map_or("", |domain| domain.group_state(group.id)).into(),
        "Audio" => group.audio.into(),
        "Revision" => group.revision.into(),
        _ => return None,
    })
}

fn transaction(
    view: &View<'_>,
    transaction: &Transaction,
    name: &str,
    open: bool,
) -> Option<Value> {
    Some(match name {
        "State" => if transaction.finished { "finished" } else { "running" }.into(),
        "Origin" => transaction.origin.name().into(),
        "Actions" => parse::outcomes(view.domain, transaction, open).into(),
        "CreatedAt" => transaction.created_at.into(),
        "Revision" => transaction.revision.into(),
        _ => return None,
    })
}

/// A provider's configuration as it would write it.
pub fn configuration(configuration: &Configuration) -> Dict {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    callarbiter_dbus::Configuration {
        display_name: some(&configuration.display_name),
        icon: some(&configuration.icon),
        ringtone: some(&configuration.ringtone),
        usage_description: some(&configuration.usage_description),
        supports_video: Some(configuration.supports_video),
        supported_schemes: Some(configuration.schemes.iter().map(|s| s.as_ref().into()).collect()),
        maximum_call_groups: configuration.maximum_call_groups,
        maximum_calls_per_group: configuration.maximum_calls_per_group,
        hold_model: Some(match configuration.hold_model {
            HoldModel::PerCall => words::HoldModel::PerCall,
            HoldModel::ProviderWide => words::HoldModel::ProviderWide,
        }),
        transactions: Some(configuration.transactions),
        records: Some(match configuration.records {
            Records::None => words::Records::None,
            Records::Opaque => words::Records::Opaque,
            Records::Full => words::Records::Full,
        }),
        ringer: Some(match configuration.ringer {
            Ringer::Arbiter => words::Ringer::Arbiter,
            Ringer::Itself => words::Ringer::Itself,
        }),
        instance: None,
    }
    .to_dict()
}

fn direction(direction: callarbiter_core::Direction) -> &'static str {
    match direction {
        callarbiter_core::Direction::Incoming => "incoming",
        callarbiter_core::Direction::Outgoing => "outgoing",
    }
}

fn source(source: AppIdSource) -> &'static str {
    match source {
        AppIdSource::Declared => "declared",
        AppIdSource::Unit => "unit",
        AppIdSource::Sandbox => "sandbox",
    }
}

fn personal(text: &Private, open: bool) -> Value {
    if open { text.reveal().to_owned() } else { String::new() }.into()
}

fn text(text: &std::sync::Arc<str>) -> Value {
    text.as_ref().to_owned().into()
}

fn no_object() -> ObjectPath<'static> {
    ObjectPath::default()
}
