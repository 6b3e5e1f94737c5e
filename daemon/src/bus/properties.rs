//! The one table from properties to values: for reading, for snapshots, for what changed.
//!
//! Owns what each property of the interface files is. `open` is false for readers that may not know
//! with whom: what tells it is empty for them.

use std::collections::BTreeMap;

use callarbiter_core::{
    AnswerPlan, AppIdSource, AudioSession, Call, CallId, Configuration, Domain, Group, HoldModel,
    Object, Private, Provider, Ringer, Transaction, gathered,
};
use callarbiter_dbus::{Dict, Entries, limits, names, words};
use callarbiter_wire::Body;
use uuid::Uuid;
use zbus::{ObjectPath, Variant};

use super::{
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
    Entries(Entries),
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
            Value::Entries(entries) => body.an_entries(entries),
            Value::Other(value) => body.variant(value),
        }
    }
}

/// The properties of an interface, in the order of its file, each with how it is read.
type Table<T> = &'static [(&'static str, Read<T>)];
/// From the view, the object and whether the reader may know with whom.
type Read<T> = for<'a> fn(&View<'a>, &'a T, bool) -> Value<'a>;

/// The value of a property; none where the object has no such property.
pub fn value<'a>(
    view: &View<'a>,
    object: Object,
    interface: &str,
    name: &str,
    open: bool,
) -> Option<Value<'a>> {
    fn one<'a, T>(
        table: Table<T>,
        name: &str,
        view: &View<'a>,
        it: &'a T,
        open: bool,
    ) -> Option<Value<'a>> {
        table.iter().find(|(own, _)| *own == name).map(|(_, read)| read(view, it, open))
    }
    let domain = view.domain;
    match (interface, object) {
        (names::MANAGER, Object::Audio) => one(MANAGER, name, view, &(), open),
        (names::AUDIO_SESSION, Object::Audio) => one(AUDIO, name, view, &(), open),
        (names::PROVIDER, Object::Provider(id)) => {
            one(PROVIDER, name, view, domain?.provider(id)?, open)
        }
        (names::CALL, Object::Call(id)) => one(CALL, name, view, domain?.call(id)?, open),
        (names::GROUP, Object::Group(id)) => one(GROUP, name, view, domain?.group(id)?, open),
        (names::TRANSACTION, Object::Transaction(id)) => {
            one(TRANSACTION, name, view, domain?.transaction(id)?, open)
        }
        _ => None,
    }
}

/// All properties of an interface of an object.
pub fn each<'a>(
    view: &View<'a>,
    object: Object,
    interface: &str,
    open: bool,
    mut take: impl FnMut(&'static str, Value<'a>),
) {
    let mut all = All { view, open, take: &mut take };
    let domain = view.domain;
    match (interface, object) {
        (names::MANAGER, Object::Audio) => all.of(MANAGER, Some(&())),
        (names::AUDIO_SESSION, Object::Audio) => all.of(AUDIO, Some(&())),
        (names::PROVIDER, Object::Provider(id)) => {
            all.of(PROVIDER, domain.and_then(|domain| domain.provider(id)));
        }
        (names::CALL, Object::Call(id)) => all.of(CALL, domain.and_then(|it| it.call(id))),
        (names::GROUP, Object::Group(id)) => all.of(GROUP, domain.and_then(|it| it.group(id))),
        (names::TRANSACTION, Object::Transaction(id)) => {
            all.of(TRANSACTION, domain.and_then(|domain| domain.transaction(id)));
        }
        _ => {}
    }
}

struct All<'v, 'a, F> {
    view: &'v View<'a>,
    open: bool,
    take: &'v mut F,
}

impl<'a, F: FnMut(&'static str, Value<'a>)> All<'_, 'a, F> {
    fn of<T>(&mut self, table: Table<T>, it: Option<&'a T>) {
        let Some(it) = it else { return };
        for (name, read) in table {
            (self.take)(name, read(self.view, it, self.open));
        }
    }
}

const MANAGER: Table<()> = &[
    ("Version", |_, (), _| Value::Str(env!("CARGO_PKG_VERSION"))),
    ("Epoch", |view, (), _| Value::Str(view.epoch)),
    ("Features", |_, (), _| Value::Other(features().into())),
    ("Limits", |view, (), _| Value::Other(allowed(view).into())),
    ("Usage", |view, (), _| Value::Other(usage(view).into())),
    ("Revision", |view, (), _| Value::U64(view.revision())),
];

const AUDIO: Table<()> = &[
    ("Holder", |view, (), _| match view.domain.and_then(|domain| domain.audio().holder) {
        Some(id) => Value::Path(names::Object::Group(id.0)),
        None => Value::NoObject,
    }),
    ("Phase", |view, (), _| Value::Str(audio(view).phase.name())),
    ("Generation", |view, (), _| Value::U64(audio(view).generation)),
    ("Since", |view, (), _| Value::U64(audio(view).since)),
    ("Enforced", |view, (), _| Value::Bool(audio(view).enforced)),
    ("Endpoints", |view, (), open| Value::Other(endpoints(&audio(view), open).into())),
    ("Endpoint", |view, (), _| Value::Str(view.domain.map_or("", |d| &d.audio().endpoint))),
    ("Revision", |view, (), _| Value::U64(audio(view).revision)),
];

const PROVIDER: Table<Provider> = &[
    ("AppId", |_, it, _| Value::Str(&it.app)),
    ("AppIdSource", |_, it, _| Value::Str(source(it.source))),
    ("Instance", |_, it, _| Value::Str(&it.instance)),
    ("DisplayName", |_, it, _| Value::Str(&it.configuration.display_name)),
    ("Authorization", |_, it, _| Value::Str(it.authorization.name())),
    ("Configuration", |_, it, _| Value::Other(configuration(&it.configuration).into())),
    ("Attached", |_, it, _| Value::Bool(it.peer.is_some())),
    ("Responsive", |_, it, _| Value::Bool(it.responsive)),
    ("Revision", |_, it, _| Value::U64(it.revision)),
];

const CALL: Table<Call> = &[
    ("Id", |_, it, _| Value::Id(it.uuid)),
    ("Provider", |_, it, _| Value::Path(names::Object::Provider(it.provider.0))),
    ("AppId", |view, it, _| {
        let provider = view.domain.and_then(|domain| domain.provider(it.provider));
        Value::Str(provider.map_or("", |provider| &provider.app))
    }),
    ("Direction", |_, it, _| Value::Str(it.direction.name())),
    ("State", |_, it, _| Value::Str(it.state.name())),
    ("Reason", |_, it, _| Value::Str(it.reason)),
    ("RemoteHandle", |_, it, open| personal(&it.handle, open)),
    ("DisplayName", |_, it, open| personal(it.shown_name(), open)),
    ("NameSource", |_, it, open| Value::Str(if open { it.name_source() } else { "" })),
    ("ContactId", |_, it, open| match &it.known {
        Some(known) => personal(&known.id, open),
        None => Value::Str(""),
    }),
    ("HasVideo", |_, it, _| Value::Bool(it.video)),
    ("Muted", |_, it, _| Value::Bool(it.muted)),
    ("MuteEnforced", |_, it, _| Value::Bool(it.mute_enforced)),
    ("HeldBy", |_, it, _| {
        let mut words = [""; 4];
        words.iter_mut().zip(it.held_by.names()).for_each(|(word, name)| *word = name);
        Value::Words(words)
    }),
    ("RemoteHeld", |_, it, _| Value::Bool(it.remote_held)),
    ("Group", |_, it, _| match it.group {
        Some(id) => Value::Path(names::Object::Group(id.0)),
        None => Value::NoObject,
    }),
    ("Capabilities", |_, it, _| Value::Words(capabilities(it))),
    ("Waiting", |_, it, _| Value::Bool(it.waiting)),
    ("Silenced", |_, it, _| Value::Str(it.silenced.name())),
    ("Orphaned", |_, it, _| Value::Bool(it.orphaned)),
    ("Emergency", |_, it, _| Value::Bool(it.emergency)),
    ("Encrypted", |_, it, _| Value::Bool(it.encrypted)),
    ("CreatedAt", |_, it, _| Value::U64(it.created_at)),
    ("ConnectedAt", |_, it, _| Value::U64(it.connected_at)),
    ("EndedAt", |_, it, _| Value::U64(it.ended_at)),
    ("EndReason", |_, it, _| Value::Str(it.end.as_ref().map_or("", |end| end.reason.name()))),
    ("EndDetail", |_, it, open| match &it.end {
        Some(end) => personal(&end.detail, open),
        None => Value::Str(""),
    }),
    ("RingDeadline", |_, it, _| Value::U64(it.ring_deadline_wall)),
    ("AnswerPlan", |view, it, open| match view.domain {
        Some(domain) => Value::Plan(domain, &it.answer_plan, open),
        None => Value::Other(Dict::new().into()),
    }),
    ("Revision", |_, it, _| Value::U64(it.revision)),
];

const GROUP: Table<Group> = &[
    ("Calls", |view, it, _| match view.domain {
        Some(domain) => Value::Calls(domain, &it.calls),
        None => Value::Other(Vec::<ObjectPath<'_>>::new().into()),
    }),
    ("Provider", |_, it, _| Value::Path(names::Object::Provider(it.provider.0))),
    ("State", |view, it, _| Value::Str(view.domain.map_or("", |domain| domain.group_state(it.id)))),
    ("Audio", |_, it, _| Value::Bool(it.audio)),
    ("Revision", |_, it, _| Value::U64(it.revision)),
];

const TRANSACTION: Table<Transaction> = &[
    ("State", |_, it, _| Value::Str(if it.finished { "finished" } else { "running" })),
    ("Origin", |_, it, _| Value::Str(it.origin.name())),
    ("Actions", |view, it, open| Value::Entries(parse::outcomes(view.domain, it, open))),
    ("CreatedAt", |_, it, _| Value::U64(it.created_at)),
    ("Revision", |_, it, _| Value::U64(it.revision)),
];

/// What this version understands, beyond what the interfaces show.
fn features() -> Vec<String> {
    let actions = callarbiter_dbus::Verb::NAMES.iter().map(|name| format!("action:{name}"));
    let roles = words::Role::KNOWN.iter().map(|name| format!("role:{name}"));
    actions.chain(roles).collect()
}

fn allowed(view: &View<'_>) -> BTreeMap<&'static str, u32> {
    let limits = &view.arbiter.settings().limits;
    let mut all: BTreeMap<&'static str, u32> = gathered(limits::PUBLISHED.iter().copied());
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
        gathered(view.domain.into_iter().flat_map(|domain| domain.usage()));
    all.insert("subscriptions", u32::try_from(view.subscriptions()).unwrap_or(u32::MAX));
    all
}

fn audio(view: &View<'_>) -> AudioSession {
    view.domain.map(|domain| domain.audio().clone()).unwrap_or_default()
}

/// A headset is often named after its owner.
fn endpoints(audio: &AudioSession, open: bool) -> Vec<Dict> {
    let shown = |endpoint: &callarbiter_core::Endpoint| {
        let name = if open { endpoint.name.reveal() } else { "" };
        let (id, name) = (endpoint.id.to_string(), name.to_owned());
        let kind = words::EndpointKind::from(&*endpoint.kind);
        callarbiter_dbus::Endpoint { id, name, kind }.to_dict()
    };
    audio.endpoints.iter().map(shown).collect()
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

/// A provider's configuration as it would write it.
pub fn configuration(configuration: &Configuration) -> Dict {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    callarbiter_dbus::Configuration {
        display_name: some(&configuration.display_name),
        icon: some(&configuration.icon),
        ringtone: match configuration.own_ringtone {
            true => Some(callarbiter_dbus::Ringtone::Own),
            false => some(&configuration.ringtone).map(callarbiter_dbus::Ringtone::Theme),
        },
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
        records: Some(words::Records::from(configuration.records.name())),
        ringer: Some(match configuration.ringer {
            Ringer::Arbiter => words::Ringer::Arbiter,
            Ringer::Itself => words::Ringer::Itself,
        }),
        instance: None,
    }
    .to_dict()
}

pub fn source(source: AppIdSource) -> &'static str {
    match source {
        AppIdSource::Declared => "declared",
        AppIdSource::Unit => "unit",
        AppIdSource::Sandbox => "sandbox",
    }
}

fn personal(text: &Private, open: bool) -> Value<'_> {
    Value::Str(if open { text.reveal() } else { "" })
}

#[cfg(test)]
mod tests {
    use super::{super::contract, *};

    #[test]
    fn the_tables_are_the_interface_files() {
        fn same<T>(interface: &str, table: Table<T>) {
            let file = contract::interface(interface).map(|it| it.properties.as_slice());
            let file = file.unwrap_or_default().iter().map(|(name, _)| *name);
            assert!(file.eq(table.iter().map(|(name, _)| *name)), "{interface}");
        }
        same(names::MANAGER, MANAGER);
        same(names::AUDIO_SESSION, AUDIO);
        same(names::PROVIDER, PROVIDER);
        same(names::CALL, CALL);
        same(names::GROUP, GROUP);
        same(names::TRANSACTION, TRANSACTION);
    }
}
