//! The one table from properties to values: for reading, for snapshots, for what changed.
//!
//! Owns what each property of the interface files is. `open` is false for readers that may not know
//! with whom: what tells it is empty for them.

use std::collections::BTreeMap;

use callarbiter_core::{
    AnswerPlan, AppIdSource, Call, CallId, Configuration, Domain, Group, HoldModel, Object, Private,
    Provider, Records, Ringer, Transaction,
};
use callarbiter_dbus::{Dict, limits, names, words};
use uuid::Uuid;
use zbus::Variant;

use super::{
    encode::Body,
    fault, parse,
    views::{View, call_path},
};

/// The value of a property, not yet written anywhere.
pub enum Value<'a> {
    Str(&'a str),
    Id(Uuid),
    Path(names::Object),
    /// The path that stands for none.
    NoObject,
    Calls(&'a Domain, &'a [CallId]),
    /// At most four words; an empty one is none.
    Words([&'static str; 4]),
    Bool(bool),
    U64(u64),
    Plan(&'a Domain, &'a AnswerPlan, bool),
    /// What is asked for seldom.
    Other(Variant<'static>),
}

impl Value<'_> {
    /// Writes it as a variant.
    pub fn write(&self, body: &mut Body) {
        match self {
            Value::Str(text) => body.a_str(text),
            Value::Id(uuid) => body.an_id(*uuid),
            Value::Path(object) => body.a_shown_path(object),
            Value::NoObject => body.a_path(names::NO_OBJECT),
            Value::Calls(domain, calls) => body.paths(paths(domain, calls)),
            Value::Words(words) => body.strs(words.iter().copied().filter(|it| !it.is_empty())),
            Value::Bool(value) => body.a_bool(*value),
            Value::U64(value) => body.a_u64(*value),
            Value::Plan(domain, plan, open) => {
                body.dict(|body| write_plan(body, domain, plan, *open));
            }
            Value::Other(value) => body.any(value),
        }
    }
}

/// The value of a property; none where the object has no such property.
pub fn value<'a>(
    view: &View<'a>,
    object: Object,
    interface: &str,
    name: &str,
    open: bool,
) -> Option<Value<'a>> {
    let domain = view.domain;
    match (interface, object) {
        (names::MANAGER, Object::Audio) => manager(view, name),
        (names::AUDIO_SESSION, Object::Audio) => audio(view, name),
        (names::PROVIDER, Object::Provider(id)) => provider(domain?.provider(id)?, name),
        (names::CALL, Object::Call(id)) => call(domain?, domain?.call(id)?, name, open),
        (names::GROUP, Object::Group(id)) => group(domain?, domain?.group(id)?, name),
        (names::TRANSACTION, Object::Transaction(id)) => {
            transaction(domain?, domain?.transaction(id)?, name, open)
        }
        _ => None,
    }
}

fn manager<'a>(view: &View<'a>, name: &str) -> Option<Value<'a>> {
    Some(match name {
        "Version" => Value::Str(env!("CARGO_PKG_VERSION")),
        "Epoch" => Value::Str(view.epoch),
        "Features" => Value::Other(features().into()),
        "Limits" => Value::Other(allowed(view).into()),
        "Usage" => Value::Other(usage(view).into()),
        "Revision" => Value::U64(view.revision()),
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
    all.insert("subscriptions", u32::try_from(view.subscriptions()).unwrap_or(u32::MAX));
    all
}

fn audio<'a>(view: &View<'a>, name: &str) -> Option<Value<'a>> {
    let idle = callarbiter_core::AudioSession::default();
    let audio = view.domain.map_or(&idle, |domain| domain.audio());
    let endpoints: Vec<Dict> = Vec::new();
    Some(match name {
        "Holder" => audio.holder.map_or(Value::NoObject, |id| Value::Path(names::Object::Group(id.0))),
        "Phase" => Value::Str(audio.phase.name()),
        "Generation" => Value::U64(audio.generation),
        "Since" => Value::U64(audio.since),
        "Enforced" => Value::Bool(audio.enforced),
        "Endpoints" => Value::Other(endpoints.into()),
        "Endpoint" => Value::Str(""),
        "Revision" => Value::U64(audio.revision),
        _ => return None,
    })
}

fn provider<'a>(provider: &'a Provider, name: &str) -> Option<Value<'a>> {
    Some(match name {
        "AppId" => Value::Str(&provider.app),
        "AppIdSource" => Value::Str(source(provider.source)),
        "Instance" => Value::Str(&provider.instance),
        "DisplayName" => Value::Str(&provider.configuration.display_name),
        "Authorization" => Value::Str(provider.authorization.name()),
        "Configuration" => Value::Other(configuration(&provider.configuration).into()),
        "Attached" => Value::Bool(provider.peer.is_some()),
        "Responsive" => Value::Bool(provider.responsive),
        "Revision" => Value::U64(provider.revision),
        _ => return None,
    })
}

fn call<'a>(domain: &'a Domain, call: &'a Call, name: &str, open: bool) -> Option<Value<'a>> {
    let end = call.end.as_ref();
    Some(match name {
        "Id" => Value::Id(call.uuid),
        "Provider" => Value::Path(names::Object::Provider(call.provider.0)),
        "AppId" => Value::Str(domain.provider(call.provider).map_or("", |provider| &provider.app)),
        "Direction" => Value::Str(direction(call.direction)),
        "State" => Value::Str(call.state.name()),
        "Reason" => Value::Str(call.reason),
        "RemoteHandle" => personal(&call.handle, open),
        "DisplayName" => personal(&call.name, open),
        "HasVideo" => Value::Bool(call.video),
        "Muted" => Value::Bool(call.muted),
        // Silencing the capture of a muted call is the agent's, which is not there yet.
        "MuteEnforced" => Value::Bool(false),
        "HeldBy" => {
            let mut words = [""; 4];
            words.iter_mut().zip(call.held_by.names()).for_each(|(word, name)| *word = name);
            Value::Words(words)
        }
        "RemoteHeld" => Value::Bool(call.remote_held),
        "Group" => call.group.map_or(Value::NoObject, |id| Value::Path(names::Object::Group(id.0))),
        "Capabilities" => Value::Words(capabilities(call)),
        "Waiting" => Value::Bool(call.waiting),
        "Silenced" => Value::Str(call.silenced.name()),
        "Orphaned" => Value::Bool(call.orphaned),
        "Emergency" => Value::Bool(call.emergency),
        "Encrypted" => Value::Bool(call.encrypted),
        "CreatedAt" => Value::U64(call.created_at),
        "ConnectedAt" => Value::U64(call.connected_at),
        "EndedAt" => Value::U64(call.ended_at),
        "EndReason" => Value::Str(end.map_or("", |end| end.reason.name())),
        "EndDetail" => end.map_or(Value::Str(""), |end| personal(&end.detail, open)),
        "RingDeadline" => Value::U64(call.ring_deadline_wall),
        "AnswerPlan" => Value::Plan(domain, &call.answer_plan, open),
        "Revision" => Value::U64(call.revision),
        _ => return None,
    })
}

fn capabilities(call: &Call) -> [&'static str; 4] {
    let word = |can: bool, name| if can { name } else { "" };
    [word(call.can.hold, "hold"), word(call.can.group, "group"), word(call.can.dtmf, "dtmf"), ""]
}

/// Empty for a call that does not ring.
fn write_plan(body: &mut Body, domain: &Domain, plan: &AnswerPlan, open: bool) {
    if *plan == AnswerPlan::default() {
        return;
    }
    if let Some(refusal) = &plan.refused {
        body.key("error");
        body.a_str(fault::kind(refusal.error).name());
        body.key("error-message");
        body.a_str(if open { &refusal.message } else { "" });
    }
    for (key, calls) in [("ends", &plan.ends), ("holds", &plan.holds)] {
        body.key(key);
        body.paths(paths(domain, calls));
    }
}

/// The paths of calls, without those that are forgotten.
fn paths<'a>(domain: &'a Domain, calls: &'a [CallId]) -> impl Iterator<Item = names::Object> + 'a {
    calls.iter().filter_map(|id| Some(names::Object::Call(call_path(domain.call(*id)?))))
}

fn group<'a>(domain: &'a Domain, group: &'a Group, name: &str) -> Option<Value<'a>> {
    Some(match name {
        "Calls" => Value::Calls(domain, &group.calls),
        "Provider" => Value::Path(names::Object::Provider(group.provider.0)),
        "State" => Value::Str(domain.group_state(group.id)),
        "Audio" => Value::Bool(group.audio),
        "Revision" => Value::U64(group.revision),
        _ => return None,
    })
}

fn transaction<'a>(
    domain: &'a Domain,
    transaction: &'a Transaction,
    name: &str,
    open: bool,
) -> Option<Value<'a>> {
    Some(match name {
        "State" => Value::Str(if transaction.finished { "finished" } else { "running" }),
        "Origin" => Value::Str(transaction.origin.name()),
        "Actions" => Value::Other(parse::outcomes(Some(domain), transaction, open).into()),
        "CreatedAt" => Value::U64(transaction.created_at),
        "Revision" => Value::U64(transaction.revision),
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

fn personal(text: &Private, open: bool) -> Value<'_> {
    Value::Str(if open { text.reveal() } else { "" })
}
