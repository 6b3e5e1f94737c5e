//! Inputs and decisions of a recording, for people and for programs.
//!
//! Owns their words. Causes have those of `callctl why`.

use callarbiter::{Cause, Dict};
use callarbiter_core::{
    Action, CallId, CallRef, Change, DoNotDisturb, Domain, Effect, Error, Fact, Input, Notice,
    Object, Private, ProviderId, WhyStep, Word,
};
use serde::Serialize;
use uuid::Uuid;
use zbus::{OwnedVariant, Variant};

use super::{
    file::Heard,
    play::{Played, Player},
};
use crate::{
    paint::{Line, Style},
    why,
};

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
    style: Style,
    /// It follows from the others, and only programs want to know.
    #[serde(skip)]
    detail: bool,
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
        Effect::Publish { revision, change, .. } => {
            Decision { revision: Some(*revision), ..published(domain, change) }
        }
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

/// What the arbiter heard, in a sentence.
pub fn heard(heard: &Heard, player: &Player) -> String {
    let domain = player.arbiter.domain(player.uid);
    let of = |id: ProviderId| domain.map_or_else(String::new, |domain| app(domain, id));
    match &heard.input {
        Input::Register { registration, .. } => format!("{} registers", registration.app),
        Input::Provider { provider, word, .. } => said(&of(*provider), word, player),
        Input::Request { actions, .. } => {
            let wanted = actions.iter().map(|wanted| action(domain, &wanted.action));
            format!("somebody asks to {}", wanted.collect::<Vec<_>>().join(" and "))
        }
        Input::Cancel { transaction, .. } => format!("somebody stops transaction {transaction}"),
        Input::TakeRoles { roles, .. } => {
            let roles: Vec<&str> = roles.iter().map(|role| role.name()).collect();
            format!("an agent takes {}", roles.join(", "))
        }
        Input::SetDoNotDisturb { mode, allow, .. } => {
            let mode = match mode {
                DoNotDisturb::Off => "off",
                DoNotDisturb::Quiet => "on, quietly",
                DoNotDisturb::Refuse => "on",
            };
            match allow.len() {
                0 => format!("do-not-disturb is {mode}"),
                some => format!("do-not-disturb is {mode}, but for {some} handles"),
            }
        }
        Input::AgentReply { request, answer, .. } => {
            let role = player.question(*request).map_or("what it was asked", |asked| asked.action);
            let how = if answer.error.is_some() { "could not" } else { "answers" };
            format!("the agent {how}: {role}")
        }
        Input::SetEndpoints { endpoints, .. } => {
            format!("the sound can go to {} places", endpoints.len())
        }
        Input::SelectEndpoint { .. } => "somebody wants the sound elsewhere".to_owned(),
        Input::ReportViolation { provider, .. } => {
            format!("{} streams without the audio", of(*provider))
        }
        Input::SetAuthorization { app, authorization, .. } => {
            format!("the user decides that {app} is {}", authorization.name())
        }
        Input::Restarted { .. } => "the arbiter was restarted".to_owned(),
        Input::PeerLost { peer } => format!("connection {peer} leaves the bus"),
        Input::Seats { seats, .. } => match seats.len() {
            0 => "the user has no seat".to_owned(),
            _ => format!("the user has sessions on {}", seats.join(", ")),
        },
        Input::Foreground { seat, uid } => match uid {
            Some(uid) if *uid == player.uid => format!("the user has {seat}"),
            Some(_) => format!("another user has {seat}"),
            None => format!("nobody has {seat}"),
        },
        Input::Locked { locked: true, .. } => "the session is locked".to_owned(),
        Input::Locked { locked: false, .. } => "the session is not locked any more".to_owned(),
        Input::Suspend(true) => "the machine is about to sleep".to_owned(),
        Input::Suspend(false) => "the machine is awake".to_owned(),
        Input::Settings(_) => "the configuration was read again".to_owned(),
        Input::Tick => "time passes".to_owned(),
    }
}

fn said(app: &str, word: &Word, player: &Player) -> String {
    let from = |handle: &Option<Private>| match handle.as_ref().map(Private::reveal) {
        None | Some("") => "nobody knows whom".to_owned(),
        Some(handle) => handle.to_owned(),
    };
    let asked = |id| player.question(id).map_or("what it was asked", |asked| asked.action);
    match word {
        Word::Incoming { uuid, update } => {
            format!("{app} reports call {} from {}", short(*uuid), from(&update.handle))
        }
        Word::Live { uuid, state, update, .. } => {
            let with = from(&update.handle);
            format!("{app} has call {} with {with}: {}", short(*uuid), state.name())
        }
        Word::Update { uuid, .. } => format!("{app} tells more of call {}", short(*uuid)),
        Word::State { uuid, state: Some(state), .. } => {
            format!("{app} says that call {} is {}", short(*uuid), state.name())
        }
        Word::State { uuid, remote_held, .. } => {
            let held = if *remote_held == Some(true) { "holds" } else { "does not hold" };
            format!("{app} says that the far end {held} call {}", short(*uuid))
        }
        Word::Ended { uuid, reason, .. } => {
            format!("{app} says that call {} is over: {}", short(*uuid), reason.name())
        }
        Word::Fulfil { request, .. } => format!("{app} did it: {}", asked(*request)),
        Word::Fail { request, error, .. } => {
            format!("{app} could not: {} ({error:?})", asked(*request))
        }
        Word::Progress { request, .. } => format!("{app} needs more time: {}", asked(*request)),
        Word::Configure(_) => format!("{app} tells more of itself"),
        Word::Authorize => format!("{app} would like to be allowed"),
        Word::Unregister => format!("{app} leaves"),
    }
}

fn action(domain: Option<&Domain>, wanted: &Action) -> String {
    let call = |of: &CallRef| match of {
        CallRef::Uuid(uuid) | CallRef::Of(_, uuid) => short(*uuid),
        CallRef::Id(id) => {
            domain.and_then(|domain| uuid_of(domain, *id)).map_or_else(String::new, short)
        }
    };
    match wanted {
        Action::Start { uuid, handle, .. } => {
            format!("call {} as {}", handle.reveal(), short(*uuid))
        }
        Action::Answer { call: of } => format!("answer {}", call(of)),
        Action::End { call: of, .. } => format!("end {}", call(of)),
        Action::SetHeld { call: of, held: true } => format!("hold {}", call(of)),
        Action::SetHeld { call: of, held: false } => format!("resume {}", call(of)),
        Action::SetMuted { call: of, muted: true } => format!("mute {}", call(of)),
        Action::SetMuted { call: of, muted: false } => format!("unmute {}", call(of)),
        Action::SetGroup { call: of, with: Some(with) } => {
            format!("join {} to {}", call(of), call(with))
        }
        Action::SetGroup { call: of, with: None } => format!("take {} out of its group", call(of)),
        Action::PlayDtmf { call: of, .. } => format!("play tones in {}", call(of)),
        Action::SetVideo { call: of, video: true } => format!("turn video on in {}", call(of)),
        Action::SetVideo { call: of, video: false } => format!("turn video off in {}", call(of)),
        Action::Silence { call: of } => format!("silence {}", call(of)),
    }
}

fn app(domain: &Domain, id: ProviderId) -> String {
    domain.provider(id).map_or_else(|| "an app".to_owned(), |provider| provider.app.to_string())
}

fn uuid_of(domain: &Domain, id: CallId) -> Option<Uuid> {
    let live = domain.call(id).map(|call| call.uuid);
    live.or_else(|| domain.over(id).map(|over| over.uuid))
}

/// As `callctl list` prints it.
fn short(uuid: Uuid) -> String {
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

/// One input with all that came of it.
#[derive(Serialize)]
pub struct View<'a> {
    line: u64,
    at: u64,
    heard: &'a str,
    input: &'a Input,
    revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// It ended as it did when it was recorded.
    as_recorded: bool,
    decisions: &'a [Decision],
    /// Under the other configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    instead: Option<Instead<'a>>,
}

#[derive(Serialize)]
struct Instead<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    decisions: &'a [Decision],
    differs: bool,
}

impl<'a> View<'a> {
    pub fn new(
        line: u64,
        heard: &'a Heard,
        text: &'a str,
        played: &'a Played,
        other: Option<&'a Played>,
        as_recorded: bool,
    ) -> Self {
        let refused = |refused: Option<Error>| refused.map(|error| format!("{error:?}"));
        View {
            line,
            at: heard.now.wall,
            heard: text,
            input: &heard.input,
            revision: played.revision,
            refused: refused(played.refused),
            as_recorded,
            decisions: &played.decisions,
            instead: other.map(|other| Instead {
                refused: refused(other.refused),
                decisions: &other.decisions,
                differs: !other.decides_like(played),
            }),
        }
    }

    /// What was heard, and below it what was decided; with another configuration as a difference of the two.
    pub fn lines(&self, began: u64) -> Vec<Line> {
        let after = why::after(self.at.saturating_sub(began));
        let first = Line::new().with(Style::Faint, format!("{after}  "));
        let mut lines = vec![first.with(Style::Emphasis, self.heard)];
        let mut row = |mark: (Style, &str), style: Style, text: &str| {
            let margin = Line::new().with(Style::Faint, " ".repeat(after.len()));
            lines.push(margin.with(mark.0, format!(" {} ", mark.1)).with(style, text));
        };
        const BOTH: (Style, &str) = (Style::Faint, " ");
        const ONLY_THEN: (Style, &str) = (Style::Bad, "-");
        const ONLY_NOW: (Style, &str) = (Style::Good, "+");
        let refusal = |error: &str| format!("refused: {error}");
        let now = self.instead.as_ref();
        let refused = (self.refused.as_deref(), now.map(|now| now.refused.as_deref()));
        if let Some(error) = refused.0 {
            let mark =
                if refused.1.is_some_and(|now| now != Some(error)) { ONLY_THEN } else { BOTH };
            row(mark, Style::Bad, &refusal(error));
        }
        if let Some(Some(error)) = refused.1.filter(|now| *now != refused.0) {
            row(ONLY_NOW, Style::Bad, &refusal(error));
        }
        let is_in =
            |all: &[Decision], one: &Decision| all.iter().any(|d| d.sentence == one.sentence);
        for decision in self.decisions.iter().filter(|decision| !decision.detail) {
            let gone = now.is_some_and(|now| !is_in(now.decisions, decision));
            row(if gone { ONLY_THEN } else { BOTH }, decision.style, &decision.sentence);
        }
        let others = now.map(|now| now.decisions).unwrap_or_default();
        for decision in others.iter().filter(|decision| !decision.detail) {
            if !is_in(self.decisions, decision) {
                row(ONLY_NOW, decision.style, &decision.sentence);
            }
        }
        if !self.as_recorded {
            row(BOTH, Style::Bad, "when it was recorded, it ended otherwise");
        }
        lines
    }
}
