//! What the core decides while a recording is played, for people and for programs.
//!
//! Owns the words of decisions. Causes have those of `callctl why`.

use callarbiter::{Cause, Dict};
use callarbiter_core::{
    CallId, Change, Domain, Effect, Error, Fact, Notice, Object, ProviderId, WhyStep,
};
use serde::Serialize;
use uuid::Uuid;
use zbus::{OwnedVariant, Variant};

use crate::{paint::Style, why};

/// One thing that the core decided.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Decision {
    /// `asked`, `added`, `changed`, `transition` …
    pub what: &'static str,
    /// The number of a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The call that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<Uuid>,
    /// Or another object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// What of it changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<&'static str>,
    /// From which state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<&'static str>,
    /// To which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<&'static str>,
    pub sentence: String,
    #[serde(skip)]
    pub style: Style,
    /// It follows from the others, and only programs want to know.
    #[serde(skip)]
    pub detail: bool,
}

pub fn decision(domain: Option<&Domain>, effect: &Effect) -> Option<Decision> {
    let domain = domain?;
    let told = match effect {
        Effect::Ask { provider, ask, deadline_ms, origin, .. } => Decision {
            what: "asked",
            sentence: format!(
                "asks {} for {} ({}), and waits {} s",
                app(domain, *provider),
                ask.action(),
                origin.name(),
                f64::from(*deadline_ms) / 1000.0
            ),
            style: Style::Attention,
            ..Decision::default()
        },
        Effect::AskAgent { ask, .. } => Decision {
            what: "asked-agent",
            sentence: format!("asks the agent for {}", ask.role().name()),
            style: Style::Attention,
            ..Decision::default()
        },
        Effect::AgentAnswered { outcome, .. } => Decision {
            what: "agent-answered",
            sentence: match outcome {
                Ok(()) => "the agent did it".to_owned(),
                Err(refusal) => format!("the agent could not: {:?}", refusal.error),
            },
            ..Decision::default()
        },
        Effect::TimedOut { provider, action, uuid, .. } => Decision {
            what: "timed-out",
            call: *uuid,
            sentence: format!("{} was too late for {action}", app(domain, *provider)),
            style: Style::Bad,
            ..Decision::default()
        },
        Effect::AuthorizationSet { provider, authorization, .. } => Decision {
            what: "authorization",
            sentence: format!("{} is {}", app(domain, *provider), authorization.name()),
            ..Decision::default()
        },
        Effect::RoleLost { role, .. } => Decision {
            what: "role-lost",
            sentence: format!("an agent loses the role {}", role.name()),
            ..Decision::default()
        },
        Effect::RoleFree { role, .. } => Decision {
            what: "role-free",
            sentence: format!("nobody has the role {} any more", role.name()),
            ..Decision::default()
        },
        Effect::Publish { revision, change, .. } => {
            Decision { revision: Some(*revision), ..published(domain, change) }
        }
        Effect::Screened { outcome: Err(refusal), .. } => filtered(refusal.error),
        Effect::Screened { outcome: Ok(()), .. } => return None,
        Effect::Finished { .. } | Effect::Logged(_) => return None,
    };
    Some(told)
}

fn published(domain: &Domain, change: &Change) -> Decision {
    let (object, what) = match change {
        Change::Added(object) => (*object, "added"),
        Change::Changed(object, _) => (*object, "changed"),
        Change::Removed(object) => (*object, "removed"),
        Change::Transition { call, .. } => (Object::Call(*call), "transition"),
        Change::Finished(id) => (Object::Transaction(*id), "finished"),
        Change::Notice { call, .. } => (Object::Call(*call), "notice"),
    };
    let known = match object {
        Object::Call(id) => domain.call(id),
        _ => None,
    };
    let name = name(domain, object);
    let mut told = Decision {
        what,
        call: known.map(|call| call.uuid),
        object: known.is_none().then(|| name.clone()),
        detail: true,
        ..Decision::default()
    };
    told.sentence = match change {
        Change::Added(_) => match known {
            Some(call) => {
                (told.new, told.detail) = (Some(call.state.name()), false);
                told.style = Style::Good;
                let silenced = match call.silenced.name() {
                    "" => String::new(),
                    why => format!(", silenced by {why}"),
                };
                format!("{name} is there, {}{silenced}", call.state.name())
            }
            None => format!("{name} is there"),
        },
        Change::Changed(_, names) => {
            told.properties = names.into_iter().copied().collect();
            let shown: Vec<&str> =
                told.properties.iter().copied().filter(|name| *name != "Revision").collect();
            format!("{name}: {}", shown.join(", "))
        }
        Change::Removed(_) => match known.and_then(|call| call.end.as_ref()) {
            Some(end) => {
                told.detail = false;
                format!("{name} is over: {}", end.reason.name())
            }
            None => format!("{name} is gone"),
        },
        Change::Transition { old, new, reason, .. } => {
            (told.old, told.new, told.detail) = (Some(old.name()), Some(new.name()), false);
            told.style = Style::Good;
            format!("{name}: {} → {} ({reason})", old.name(), new.name())
        }
        Change::Finished(id) => {
            told.detail = false;
            let steps = domain.transaction(*id).map(|done| done.actions.as_slice());
            let outcomes = steps
                .unwrap_or_default()
                .iter()
                .map(|step| step.outcome.as_ref().map_or("open", |outcome| outcome.name()));
            format!("{name} is finished: {}", outcomes.collect::<Vec<_>>().join(", "))
        }
        Change::Notice { kind, .. } => {
            (told.style, told.detail) = (Style::Attention, false);
            format!("{name}: the user is told {}", Notice::name(*kind))
        }
    };
    told
}

/// Why a call is what it is, from now on.
pub fn because(domain: &Domain, uuid: Uuid, step: &WhyStep<'_>) -> Decision {
    let mut dict = Dict::new();
    let mut put = |key: &str, value: Variant<'static>| {
        // Texts and numbers can always be owned.
        if let Ok(value) = OwnedVariant::try_from(value) {
            dict.insert(key.to_owned(), value);
        }
    };
    put("cause", step.cause.name().into());
    put("at", step.at.into());
    for (key, fact) in step.cause.facts() {
        match fact {
            Fact::Word(word) => put(key, word.into()),
            Fact::Error(error) => put(key, format!("{error:?}").into()),
            Fact::Milliseconds(number) => put(key, number.into()),
            Fact::Flag(flag) => put(key, flag.into()),
            Fact::Call(id) => put(key, uuid_of(domain, id).unwrap_or_default().to_string().into()),
            Fact::Transaction(id) => put(key, id.to_string().into()),
            Fact::Holders(by) => put(key, by.names().collect::<Vec<_>>().into()),
        }
    }
    if !step.text.is_empty() {
        put(step.cause.text_key(), step.text.reveal().to_owned().into());
    }
    Decision {
        what: "because",
        call: Some(uuid),
        sentence: format!("{}: {}", short(uuid), why::sentence(&Cause::from_dict(dict))),
        style: Style::Faint,
        ..Decision::default()
    }
}

/// The call is over, and its app may not let it ring.
pub fn filtered(error: Error) -> Decision {
    let sentence = format!("its app is told {error:?}");
    Decision { what: "filtered", sentence, style: Style::Bad, ..Decision::default() }
}

pub fn not_asked() -> Decision {
    let sentence = "this was not asked".to_owned();
    Decision { what: "not-asked", sentence, style: Style::Faint, ..Decision::default() }
}

pub fn at_once(action: &str) -> Decision {
    let sentence =
        format!("its app does {action} at once, as nobody knows what it would have done");
    Decision { what: "assumed", sentence, style: Style::Faint, ..Decision::default() }
}

pub fn app(domain: &Domain, id: ProviderId) -> String {
    domain.provider(id).map_or_else(|| "an app".to_owned(), |provider| provider.app.to_string())
}

pub fn uuid_of(domain: &Domain, id: CallId) -> Option<Uuid> {
    let live = domain.call(id).map(|call| call.uuid);
    live.or_else(|| domain.over(id).map(|over| over.uuid))
}

/// As `callctl list` prints it.
pub fn short(uuid: Uuid) -> String {
    uuid.to_string().get(..8).unwrap_or_default().to_owned()
}

fn name(domain: &Domain, object: Object) -> String {
    match object {
        Object::Audio => "the audio".to_owned(),
        Object::Provider(id) => format!("provider {id} ({})", app(domain, id)),
        Object::Call(id) => uuid_of(domain, id)
            .map_or_else(|| format!("call {id}"), |uuid| format!("call {}", short(uuid))),
        Object::Group(id) => format!("group {id}"),
        Object::Transaction(id) => format!("transaction {id}"),
    }
}
