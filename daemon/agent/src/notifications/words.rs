//! What a person reads about a call, and what a button of it does.
//!
//! Owns the words; pure. It says what the arbiter shows and never more: what answering would do is the
//! call's own `AnswerPlan`.

use callarbiter::{
    Action, Call, CallRef, CallState, Direction, EndReason, NoticeKind, Snapshot, Verb,
    words::{DISTURBS, NO_ROOM, NameSource, Silenced},
};
use callarbiter_dbus::limits::reorders_or_hides;

/// A notification, before a server's ways are known.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    pub summary: String,
    /// Plain text.
    pub body: String,
    pub app: String,
    pub icon: String,
    pub desktop_entry: String,
    pub category: &'static str,
    /// 1 normal, 2 critical: shown over everything, also in do-not-disturb.
    pub urgency: u8,
    /// It stays until the call moves on.
    pub lasting: bool,
    /// Key and label.
    pub buttons: Vec<(&'static str, &'static str)>,
}

/// An app as the desktop knows it; empty where it does not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Face {
    pub name: String,
    pub icon: String,
}

/// Of an app that the desktop does not know.
pub const ICON: &str = "call-start";

/// What is shown of a live call; none where there is nothing to show.
pub fn note(call: &Call, now: &Snapshot, face: &Face, failure: Option<&str>) -> Option<Note> {
    let (first, mut buttons) = match &call.state {
        CallState::Ringing => ringing(call, now),
        CallState::Answering => ("Answering …".to_owned(), vec![]),
        CallState::Launching | CallState::Starting | CallState::Dialing => {
            ("Calling …".to_owned(), vec![])
        }
        CallState::Alerting => ("It rings there …".to_owned(), vec![]),
        CallState::Connecting => ("Connecting …".to_owned(), vec![]),
        CallState::Active if call.muted => {
            ("In a call, microphone muted".to_owned(), vec![("unmute", "Unmute")])
        }
        CallState::Active => ("In a call".to_owned(), vec![("mute", "Mute")]),
        CallState::Held => ("On hold".to_owned(), vec![("resume", "Resume")]),
        _ => return None,
    };
    let rings = call.state == CallState::Ringing;
    if !rings {
        buttons.insert(0, ("end", "Hang up"));
    }
    let aloud = rings && call.silenced != Silenced::DoNotDisturb;
    let failure = failure.map(did_not_work);
    let about = about(call, now, face);
    let more = [failure, Some(handle_line(call, &about.app))].into_iter().flatten();
    Some(Note {
        body: body(&first, &about.app, more),
        category: if rings { "call.incoming" } else { "call" },
        urgency: if aloud { 2 } else { 1 },
        lasting: true,
        buttons,
        ..about
    })
}

/// What is left of a call that the user missed; none for every other.
pub fn missed(call: &Call, now: &Snapshot, face: &Face) -> Option<Note> {
    use EndReason::{Failed, Filtered, ProviderLost, RemoteEnded, TimedOut, Unanswered};
    let reason = call.end_reason.as_ref()?;
    let filtered = *reason == Filtered;
    let first = match (reason, call.end_detail.reveal()) {
        (Filtered, DISTURBS) => "Missed call: you did not want to be disturbed",
        (Filtered, NO_ROOM) => "Missed call: there were too many at once",
        // Whom the user does not want to hear of; the history has it.
        (Filtered, _) => return None,
        (Failed | ProviderLost | RemoteEnded | TimedOut | Unanswered, _) => "Missed call",
        _ => return None,
    };
    if call.direction != Direction::Incoming || call.connected_at != 0 {
        return None;
    }
    let about = about(call, now, face);
    let body = body(first, &about.app, [handle_line(call, &about.app)]);
    let note = Note { body, category: "call.unanswered", ..about };
    // Who does not want to be disturbed finds it later.
    Some(if filtered { Note { urgency: 0, ..note } } else { note })
}

/// What is left of a call that is over because what the user wanted of it failed.
pub fn failed(call: &Call, now: &Snapshot, face: &Face, why: &str) -> Note {
    Note { body: did_not_work(why), ..about(call, now, face) }
}

/// What the arbiter wants the user to know; none where there is nothing to add.
pub fn notice(
    kind: &NoticeKind,
    call: &Call,
    now: &Snapshot,
    face: &Face,
    message: &str,
) -> Option<Note> {
    let message = plain(message, SENTENCE);
    let urgency = match kind {
        // It is heard by nobody, and the far end waits.
        NoticeKind::ActiveWithoutAudio => 2,
        _ => 1,
    };
    (!message.is_empty()).then(|| Note { body: message, urgency, ..about(call, now, face) })
}

fn did_not_work(why: &str) -> String {
    format!("That did not work: {}", plain(why, SENTENCE))
}

/// Whatever is said first is said with the app's name: many servers do not show it by themselves.
fn body(first: &str, app: &str, more: impl IntoIterator<Item = String>) -> String {
    let (first, rest) = first.split_once('\n').unwrap_or((first, ""));
    let lines = [format!("{first} · {app}"), rest.to_owned()].into_iter().chain(more);
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// What a button does; none for one that there is not.
pub fn meaning(key: &str, call: &Call, now: &Snapshot) -> Option<Vec<Action>> {
    let it = CallRef::from(call);
    let end = |call: CallRef| Action::from(Verb::End { call, reason: None, message: None });
    let answer = || Action::from(Verb::Answer { call: it });
    Some(match key {
        "answer" => vec![answer()],
        "end-answer" => {
            let others = in_the_way(call, now).into_iter().map(|other| end(other.into()));
            others.chain([answer()]).collect()
        }
        // One that was answered meanwhile is left alone.
        "decline" => vec![end(it).expecting(CallState::Ringing)],
        "end" => vec![end(it)],
        "silence" => vec![Verb::Silence { call: it }.into()],
        "mute" | "unmute" => vec![Verb::SetMuted { call: it, muted: key == "mute" }.into()],
        "resume" => vec![Verb::SetHeld { call: it, held: false }.into()],
        _ => return None,
    })
}

fn ringing(call: &Call, now: &Snapshot) -> (String, Vec<(&'static str, &'static str)>) {
    let others: Vec<String> = in_the_way(call, now).into_iter().map(who).collect();
    let others = others.join(", ");
    let plan = &call.answer_plan;
    let first = if call.waiting { "Another call is coming in" } else { "Incoming call" };
    let mut lines = vec![first.to_owned()];
    let mut buttons = vec![];
    if let Some(error) = &plan.error {
        lines.push(format!("It cannot be answered now: {}", plain(&error.to_string(), SENTENCE)));
    } else if !plan.ends.is_empty() {
        lines.push(format!("Answering ends the call with {others}."));
        buttons.push(("answer", "End & Answer"));
    } else if !plan.holds.is_empty() {
        lines.push(format!("Answering holds the call with {others}."));
        buttons.push(("answer", "Hold & Answer"));
    } else {
        buttons.push(("answer", "Answer"));
    }
    if plan.ends.is_empty() && !others.is_empty() {
        buttons.push(("end-answer", "End & Answer"));
    }
    buttons.push(("decline", "Decline"));
    if call.silenced == Silenced::No {
        buttons.push(("silence", "Silence"));
    }
    (lines.join("\n"), buttons)
}

/// The calls that answering this one would hold or end; where it is refused, those that have the audio.
fn in_the_way<'a>(call: &Call, now: &'a Snapshot) -> Vec<&'a Call> {
    let plan = &call.answer_plan;
    let planned = |other: &Call| {
        plan.holds.iter().chain(&plan.ends).any(|path| path.as_str() == other.object.to_string())
    };
    let refused = plan.error.is_some();
    let audio = now.audio_group().filter(|_| refused).map(|group| group.calls.as_slice());
    let audio = audio.unwrap_or_default();
    let in_the_way = |other: &&Call| planned(other) || audio.contains(&other.object);
    now.calls.values().filter(in_the_way).filter(|other| !other.emergency).collect()
}

fn about(call: &Call, now: &Snapshot, face: &Face) -> Note {
    let provider = now.provider_of(call);
    let own = provider.map(|provider| provider.display_name.as_str()).unwrap_or_default();
    let icon = provider.and_then(|provider| provider.configuration.icon.as_deref());
    let first =
        |names: [&str; 3]| names.into_iter().find(|name| !name.is_empty()).map(str::to_owned);
    Note {
        summary: who(call),
        body: String::new(),
        app: plain(&first([own, &face.name, &call.app_id]).unwrap_or_default(), NAME),
        icon: first([icon.unwrap_or_default(), &face.icon, ICON]).unwrap_or_default(),
        desktop_entry: call.app_id.clone(),
        category: "call",
        urgency: 1,
        lasting: false,
        buttons: vec![],
    }
}

fn who(call: &Call) -> String {
    [call.display_name.reveal(), call.remote_handle.reveal()]
        .into_iter()
        .map(|name| plain(name, NAME))
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| "Unknown caller".to_owned())
}

/// The address of somebody who also has a name, and who gave that, if not the user: anybody can call themselves
/// anything.
fn handle_line(call: &Call, app: &str) -> String {
    if plain(call.display_name.reveal(), NAME).is_empty() {
        return String::new();
    }
    let handle = plain(call.remote_handle.reveal(), HANDLE);
    match (call.name_source == NameSource::Contacts, handle.is_empty()) {
        (true, _) => handle,
        (false, true) => format!("Name from {app}"),
        (false, false) => format!("{handle} · name from {app}"),
    }
}

/// Letters of a name, an address and a sentence: more is cut off by servers, in the wrong place.
const NAME: usize = 60;
const HANDLE: usize = 80;
const SENTENCE: usize = 240;

/// One line of what somebody else says: nothing in it can reorder or hide what stands beside it.
pub fn plain(text: &str, longest: usize) -> String {
    let shown = |letter: &char| !invisible(*letter);
    let spaced = text.chars().map(|letter| if letter.is_whitespace() { ' ' } else { letter });
    let text: String = spaced.filter(shown).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(longest) {
        None => text,
        Some(_) => text.chars().take(longest - 1).chain(['…']).collect(),
    }
}

/// Controls, marks of direction, and letters of no width; but for those that join letters and emoji.
fn invisible(letter: char) -> bool {
    letter.is_control()
        || reorders_or_hides(letter)
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_one_line_of_what_can_be_seen() {
        assert_eq!(plain("  Ada\tLovelace\n", NAME), "Ada Lovelace");
        assert_eq!(plain("\u{202e}knaB ruoY\u{202c}\u{2066}\u{200b}", NAME), "knaB ruoY");
        assert_eq!(plain("\u{202e}\u{200f}", NAME), "");
        assert_eq!(plain("علي", NAME), "علي");
        assert_eq!(plain("👩\u{200d}🔬", NAME), "👩\u{200d}🔬");
        assert_eq!(plain("a\u{2028}b", NAME), "a b");
        let long = plain(&"x".repeat(200), NAME);
        assert!(long.chars().count() == NAME && long.ends_with('…'), "{long}");
    }
}
