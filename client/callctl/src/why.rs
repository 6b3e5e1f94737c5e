//! `callctl why`: the causes of a call as sentences, each with how long after the first it came.
//!
//! Owns the sentences, and who is asked: the arbiter, and the history about calls that it does not remember any more.
//! Which causes there are the arbiter says; one that this version does not know is shown by its words.

use callarbiter::Cause;
use callarbiter_dbus::names::{CallPath, Object};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    args::Global,
    board::parameters,
    failure::Failure,
    history,
    names::{self, Name, Unit},
    output::Output,
    paint::{Line, Style, Table},
    session::Session,
    table::timestamp,
};

pub async fn run(name: Option<&Name>, global: &Global, output: &Output) -> Result<(), Failure> {
    let causes = match name {
        // An id that only the history gives.
        Some(Name::Prefix(id)) if id.contains('.') => history::explain(Some(id), global).await?,
        _ => match of_the_arbiter(name, &global.bus).await {
            Err(failure) if is_forgotten(&failure) => of_the_history(name, failure, global).await?,
            told => told?,
        },
    };
    output.show(&Causes { causes: causes.iter().map(CauseView::of).collect() }, || lines(&causes));
    Ok(())
}

async fn of_the_arbiter(name: Option<&Name>, bus: &str) -> Result<Vec<Cause>, Failure> {
    let session = Session::open(bus).await?;
    let asked = match name {
        None => String::new(),
        Some(name @ Name::Path(path)) => {
            let board = session.board().await?;
            name.resolve(&board, Unit::Call).map_or_else(|_| path.clone(), |call| call.path.clone())
        }
        // It may be one that is over, which only the arbiter knows.
        Some(name @ Name::Prefix(prefix)) => {
            let board = session.board().await?;
            match name.resolve(&board, Unit::Call) {
                Ok(call) => call.path.clone(),
                Err(_) => names::hyphenated(prefix),
            }
        }
        Some(name) => name.resolve(&session.board().await?, Unit::Call)?.path.clone(),
    };
    session.explain(&asked).await
}

/// What is over for more than an hour only the history has, and it has it without an arbiter, too.
fn is_forgotten(failure: &Failure) -> bool {
    failure.kind() == Some("UnknownCall") || matches!(failure, Failure::Unreachable { .. })
}

async fn of_the_history(
    name: Option<&Name>,
    failure: Failure,
    global: &Global,
) -> Result<Vec<Cause>, Failure> {
    let beginning = match name {
        None => None,
        Some(Name::Prefix(prefix)) => Some(prefix.clone()),
        Some(Name::Path(path)) => match Object::parse(path) {
            Some(Object::Call(CallPath { uuid, .. })) => Some(uuid.to_string()),
            _ => return Err(failure),
        },
        // Only a call that is there is active, ringing or held.
        Some(_) => return Err(failure),
    };
    let told = history::explain(beginning.as_deref(), global).await;
    told.map_err(|other| failure.and(&format!("in the history: {other}")))
}

#[derive(Serialize)]
struct Causes {
    causes: Vec<CauseView>,
}

#[derive(Serialize)]
pub struct CauseView {
    at: u64,
    cause: String,
    /// What somebody said: a message, a detail, an entry of a list, a name.
    #[serde(skip_serializing_if = "String::is_empty")]
    said: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by: Vec<String>,
    #[serde(flatten)]
    facts: Map<String, Value>,
    sentence: String,
}

impl CauseView {
    pub fn of(cause: &Cause) -> Self {
        CauseView {
            at: cause.at,
            cause: cause.name.clone(),
            said: cause.said.clone(),
            by: cause.words("by").into_iter().map(str::to_owned).collect(),
            facts: parameters(&cause.facts),
            sentence: sentence(cause),
        }
    }
}

/// A sentence for each.
pub fn lines(causes: &[Cause]) -> Vec<Line> {
    let Some(first) = causes.first() else {
        return vec![Line::new().with(Style::Faint, "Nothing is known of it.")];
    };
    let mut table = Table::new(&["AFTER", "WHY"]);
    for cause in causes {
        table.row(vec![
            Line::new().with(Style::Faint, after(cause.at.saturating_sub(first.at))),
            Line::new().with(style(cause), sentence(cause)),
        ]);
    }
    let began = format!("Since {}:", timestamp(first.at));
    let mut lines = vec![Line::new().with(Style::Faint, began)];
    lines.extend(table.lines());
    lines
}

/// Aligned to the right: `0.250 s`, `1:04.000`.
pub fn after(micros: u64) -> String {
    let (seconds, millis) = (micros / 1_000_000, micros / 1000 % 1000);
    let text = match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}.{millis:03} s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}.{millis:03} "),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02} "),
    };
    format!("{text:>9}")
}

fn style(cause: &Cause) -> Style {
    match cause.name.as_str() {
        "failed" | "timed-out" | "no-room" | "provider-lost" | "deadline" => Style::Bad,
        "rule" | "limit" | "listed" | "screened" | "do-not-disturb" | "not-done" => {
            Style::Attention
        }
        "ended" => Style::Emphasis,
        "became" | "audio-granted" => Style::Good,
        "dropped" => Style::Faint,
        _ => Style::Plain,
    }
}

/// One cause for people.
pub fn sentence(cause: &Cause) -> String {
    let (state, said) = (cause.word("state"), cause.said.as_str());
    let action = action(cause.word("action"));
    let told = |text: String| if said.is_empty() { text } else { format!("{text}: {said}") };
    match cause.name.as_str() {
        "reported" => format!("its app reported it as {state}"),
        "told" => format!("its app said by itself that it is {state}"),
        "claimed" => format!("its app still has it: {state}"),
        "became" => format!("it is {state} now"),
        "requested" => format!("{} asked to {action}", who(cause.word("origin"))),
        "asked" => match cause.word("origin") {
            "policy" => format!("the arbiter asked its app to {action}"),
            _ => format!("its app was asked to {action}"),
        },
        "fulfilled" => format!("its app did so: {action}"),
        "failed" => told(format!("its app could not {action} ({})", short(cause.word("error")))),
        "timed-out" => {
            let after = f64::from(cause.number("after-ms").unwrap_or_default()) / 1000.0;
            format!("its app did not answer whether it could {action}; it had {after} s")
        }
        "called-off" => format!("no longer wanted: to {action}"),
        "not-done" => told(format!("it could not {action} ({})", short(cause.word("error")))),
        "deadline" => deadline(cause.word("deadline")),
        "room-for" => format!("it is to make room for call {}", call(cause)),
        "no-room" => told(format!("call {} would not make room for it", call(cause))),
        "held" => format!("held by {}", holders(cause)),
        "away" => match cause.words("by").first() {
            Some(&"suspend") => "the machine is about to sleep".to_owned(),
            _ => "the user's session left the screen".to_owned(),
        },
        "back" => match cause.words("by").first() {
            Some(&"suspend") => "the machine is awake again".to_owned(),
            _ => "the user's session is on the screen again".to_owned(),
        },
        "focus-back" => "it has the focus again, so it is resumed".to_owned(),
        "stays-held" => "it stays on hold until the user resumes it".to_owned(),
        "do-not-disturb" => match cause.word("mode") {
            "refuse" => "do-not-disturb is on: calls are refused".to_owned(),
            _ => "do-not-disturb is on: it makes no sound".to_owned(),
        },
        "let-through" => match cause.word("exception") {
            "allowed" => "it may disturb: the desktop lets this caller through".to_owned(),
            "repeated" => "it may disturb: the same caller tried again at once".to_owned(),
            other => format!("it may disturb: {other}"),
        },
        "listed" => told(format!("a list of the user says {}", cause.word("verdict"))),
        "screened" => told(format!("the screening says {}", cause.word("verdict"))),
        "rule" => format!("the rule {said} applies"),
        "limit" => told("a limit was reached".to_owned()),
        "authorization" => {
            let who = match cause.word("by") {
                "administrator" => "the administrator's configuration",
                _ => "the user",
            };
            format!("its app is {} to provide calls, says {who}", cause.word("authorization"))
        }
        "agent" => told(agent(cause.word("role"), cause.word("answer"))),
        "audio-granted" if cause.flag("enforced") => {
            "it has the audio, all else is quiet".to_owned()
        }
        "audio-granted" => "it has the audio".to_owned(),
        "audio-released" => "it gave the audio back".to_owned(),
        "provider-lost" => "its app went away".to_owned(),
        "provider-back" => "its app is back".to_owned(),
        "arbiter-restarted" => "the arbiter was restarted".to_owned(),
        "ended" => told(format!("it ended: {}", cause.word("reason"))),
        "dropped" => format!("… {} causes are not kept", cause.number("count").unwrap_or_default()),
        other => unknown(other, cause),
    }
}

fn action(word: &str) -> String {
    match word {
        "start" => "place it",
        "answer" => "answer it",
        "end" => "end it",
        "hold" => "hold it",
        "resume" => "resume it",
        "mute" => "mute it",
        "unmute" => "unmute it",
        "join" => "join a group",
        "leave" => "leave its group",
        "play-tones" => "play tones",
        "start-video" => "turn video on",
        "stop-video" => "turn video off",
        "silence" => "stop its ringing",
        "plan" => "do several things in one step",
        other => other,
    }
    .to_owned()
}

fn who(origin: &str) -> &str {
    match origin {
        "user-interface" => "the user",
        "headset" => "a headset button",
        "app" => "its app",
        "controller" => "a program of the user",
        "policy" => "the arbiter",
        other => other,
    }
}

fn deadline(word: &str) -> String {
    match word {
        "ringing" => "nobody answered in time",
        "dialing" => "it came no nearer to the far end in time",
        "launching" => "its app did not come in time",
        "grace" => "its app did not come back in time",
        "screening" => "the screening did not answer in time",
        other => return format!("the deadline {other} passed"),
    }
    .to_owned()
}

fn agent(role: &str, answer: &str) -> String {
    let what = match role {
        "launch" => "start its app",
        "audio" => "make all else quiet",
        other => return format!("the agent for {other}: {answer}"),
    };
    match answer {
        "asked" => format!("the session's agent was asked to {what}"),
        "done" => format!("the session's agent did: {what}"),
        "failed" => format!("the session's agent could not {what}"),
        "timed-out" => format!("the session's agent did not {what} in time"),
        _ => format!("no agent of the session could {what}"),
    }
}

/// What the error names of the contract end with.
fn short(error: &str) -> &str {
    error.rsplit('.').next().unwrap_or(error)
}

/// As `callctl list` prints it.
fn call(cause: &Cause) -> &str {
    let id = cause.word("call");
    if id.is_empty() { "that is forgotten" } else { id.get(..8).unwrap_or(id) }
}

fn holders(cause: &Cause) -> String {
    let name = |holder| match holder {
        "user" => "the user",
        "arbiter" => "the arbiter, for another call",
        "seat" => "the absence of the user's session",
        "suspend" => "the sleep of the machine",
        other => other,
    };
    cause.words("by").into_iter().map(name).collect::<Vec<_>>().join(" and ")
}

fn unknown(name: &str, cause: &Cause) -> String {
    let facts = parameters(&cause.facts);
    let facts =
        facts.iter().map(|(key, value)| format!("{key} {}", value.to_string().trim_matches('"')));
    let said = (!cause.said.is_empty()).then(|| cause.said.clone());
    std::iter::once(name.to_owned()).chain(facts).chain(said).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use callarbiter::Dict;
    use zbus::{OwnedVariant, Variant};

    use super::*;
    use crate::paint::Paint;

    fn cause(at: u64, name: &str, facts: &[(&str, &str)]) -> Cause {
        let text = |text: &str| OwnedVariant::try_from(Variant::from(text.to_owned())).unwrap();
        let mut dict: Dict =
            facts.iter().map(|(key, word)| ((*key).to_owned(), text(word))).collect();
        dict.insert("at".to_owned(), OwnedVariant::try_from(Variant::from(at)).unwrap());
        dict.insert("cause".to_owned(), text(name));
        Cause::from_dict(dict)
    }

    #[test]
    fn causes_are_aligned_sentences() {
        let causes = [
            cause(1_800_000_000_000_000, "reported", &[("state", "ringing")]),
            cause(
                1_800_000_000_250_000,
                "requested",
                &[("action", "answer"), ("origin", "headset")],
            ),
            cause(
                1_800_000_064_000_000,
                "ended",
                &[("reason", "failed"), ("detail", "the provider said: no network")],
            ),
        ];
        let text: Vec<String> =
            lines(&causes).iter().map(|l| l.render(Paint { on: false }, usize::MAX)).collect();
        assert_eq!(
            text,
            [
                "Since 2027-01-15T08:00:00.000Z:",
                "AFTER      WHY",
                "  0.000 s  its app reported it as ringing",
                "  0.250 s  a headset button asked to answer it",
                "1:04.000   it ended: failed: the provider said: no network",
            ]
        );
    }

    #[test]
    fn a_cause_of_a_later_version_is_shown_by_its_words() {
        let later = cause(1, "teleported", &[("place", "mars"), ("detail", "by beam")]);
        assert_eq!(sentence(&later), "teleported, place mars, by beam");
    }
}
