//! What a person reads about a call, and what a button of it does.
//!
//! Owns the words; pure. It says what the arbiter shows and never more: what answering would do is the
//! call's own `AnswerPlan`.

use callarbiter::{
    Action, Call, CallRef, CallState, Direction, EndReason, Snapshot, Verb, words::Silenced,
};

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

/// What is shown of a live call; none where there is nothing to show.
pub fn note(call: &Call, now: &Snapshot, failure: Option<&str>) -> Option<Note> {
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
    let lines = [Some(first), failure, Some(handle_line(call))];
    let lines: Vec<String> = lines.into_iter().flatten().filter(|line| !line.is_empty()).collect();
    Some(Note {
        body: lines.join("\n"),
        category: if rings { "call.incoming" } else { "call" },
        urgency: if aloud { 2 } else { 1 },
        lasting: true,
        buttons,
        ..about(call, now)
    })
}

/// What is left of a call that the user missed; none for every other.
pub fn missed(call: &Call, now: &Snapshot) -> Option<Note> {
    use EndReason::{Failed, Filtered, ProviderLost, RemoteEnded, TimedOut, Unanswered};
    let reason = call.end_reason.as_ref()?;
    let filtered = *reason == Filtered;
    let rang = matches!(reason, Failed | ProviderLost | RemoteEnded | TimedOut | Unanswered);
    let missed = rang || filtered;
    if call.direction != Direction::Incoming || call.connected_at != 0 || !missed {
        return None;
    }
    let lines: Vec<String> = ["Missed call".to_owned(), handle_line(call)].into();
    let lines: Vec<String> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    let note = Note { body: lines.join("\n"), category: "call.unanswered", ..about(call, now) };
    // Who does not want to be disturbed finds it later.
    Some(if filtered { Note { urgency: 0, ..note } } else { note })
}

/// What is left of a call that is over because what the user wanted of it failed.
pub fn failed(call: &Call, now: &Snapshot, why: &str) -> Note {
    Note { body: did_not_work(why), ..about(call, now) }
}

fn did_not_work(why: &str) -> String {
    format!("That did not work: {why}")
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
    let mut lines = vec!["Incoming call".to_owned()];
    let mut buttons = vec![];
    if let Some(error) = &plan.error {
        lines.push(format!("It cannot be answered now: {error}"));
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

fn about(call: &Call, now: &Snapshot) -> Note {
    let provider = now.provider_of(call);
    let name = provider.map(|provider| provider.display_name.as_str()).unwrap_or_default();
    let icon = provider.and_then(|provider| provider.configuration.icon.clone());
    Note {
        summary: who(call),
        body: String::new(),
        app: if name.is_empty() { call.app_id.clone() } else { name.to_owned() },
        icon: icon.unwrap_or_else(|| "call-start".to_owned()),
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
        .find(|name| !name.is_empty())
        .unwrap_or("Unknown caller")
        .to_owned()
}

/// The address of somebody who also has a name, which only the app claims.
fn handle_line(call: &Call) -> String {
    if call.display_name.is_empty() {
        String::new()
    } else {
        call.remote_handle.reveal().to_owned()
    }
}
