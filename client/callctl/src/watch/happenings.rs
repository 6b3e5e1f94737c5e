//! What happened between two moments, as typed events: for the log, for one-line output, for JSON.
//!
//! Derived by comparing what was shown with what is shown now, so nothing a person sees can change
//! without a line, and a resynchronisation reads like the changes it stands for. The JSON is an
//! interface for scripts: fields are added, never renamed.

use serde::Serialize;

use crate::{
    paint::{Line, Style},
    table,
    view::{Board, CallView, ProviderView},
};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Happening {
    /// A call is there that was not.
    Call { call: String, app: String, with: String, state: String },
    /// A call moved on.
    State { call: String, app: String, old: String, new: String, reason: String },
    /// Something else about a call changed, in words.
    Detail { call: String, app: String, detail: String },
    /// The audio session moved or its phase did; `app` and `calls` are the holder's.
    Audio { phase: String, app: String, calls: Vec<String> },
    /// An application came, went, or stopped responding.
    Provider { app: String, state: String },
    /// The arbiter tells the user something that needs attention: of which call, if of one.
    Notice { kind: String, call: String, app: String, message: String },
    /// The arbiter went away or is back.
    Arbiter { running: bool },
}

/// An event with its time, as `watch --json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stamped {
    pub at: u64,
    pub revision: u64,
    #[serde(flatten)]
    pub what: Happening,
}

/// Where changes of state come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum States {
    /// The arbiter tells each by itself.
    Told,
    /// They have to be found by comparing.
    Compared,
}

/// What happened between `before` and `after`: calls first, the audio last.
pub fn between(before: &Board, after: &Board, states: States) -> Vec<Happening> {
    let mut found = Vec::new();
    for provider in &after.providers {
        let old = before.providers.iter().find(|old| old.path == provider.path);
        provider_changes(old, provider, &mut found);
    }
    for gone in
        before.providers.iter().filter(|p| !after.providers.iter().any(|q| q.path == p.path))
    {
        found.push(Happening::Provider { app: provider_name(gone), state: "gone".to_owned() });
    }
    for call in &after.calls {
        match before.call_at(&call.path) {
            Some(old) => call_changes(after, old, call, states, &mut found),
            None => found.push(Happening::Call {
                call: call.id.clone(),
                app: after.app_name(call).to_owned(),
                with: table::with_whom(call),
                state: call.state.clone(),
            }),
        }
    }
    for gone in before.calls.iter().filter(|call| after.call_at(&call.path).is_none()) {
        if gone.state != "ended" && states == States::Compared {
            found.push(state_change(before, gone, &gone.state, "ended", ""));
        }
    }
    let (was, is) = (&before.audio, &after.audio);
    if (&was.holder, &was.phase) != (&is.holder, &is.phase) {
        let holders: Vec<&CallView> = after.audible().collect();
        found.push(Happening::Audio {
            phase: is.phase.clone(),
            app: holders.first().map(|call| after.app_name(call).to_owned()).unwrap_or_default(),
            calls: holders.iter().map(|call| call.id.clone()).collect(),
        });
    }
    found
}

fn call_changes(
    board: &Board,
    old: &CallView,
    new: &CallView,
    states: States,
    found: &mut Vec<Happening>,
) {
    if old.state != new.state && states == States::Compared {
        let reason = if new.state == "ended" { &new.end_reason } else { &new.reason };
        found.push(state_change(board, new, &old.state, &new.state, reason));
    }
    let mut detail = |text: String| {
        found.push(Happening::Detail {
            call: new.id.clone(),
            app: board.app_name(new).to_owned(),
            detail: text,
        });
    };
    let mut flag = |was: bool, is: bool, on: &str, off: &str| {
        if was != is {
            detail(if is { on } else { off }.to_owned());
        }
    };
    flag(old.muted, new.muted, "muted", "unmuted");
    flag(old.remote_held, new.remote_held, "the far end holds", "the far end is back");
    flag(old.orphaned, new.orphaned, "its app is gone", "its app is back");
    flag(old.has_video, new.has_video, "video on", "video off");
    if old.held_by != new.held_by && new.state == old.state {
        detail(match new.held_by.as_slice() {
            [] => "held by nobody".to_owned(),
            by => format!("held by {}", by.join(", ")),
        });
    }
    if old.silenced != new.silenced && !new.silenced.is_empty() {
        detail(format!("silenced: {}", new.silenced));
    }
    if table::with_whom(old) != table::with_whom(new) {
        detail(table::with_whom(new));
    }
}

fn state_change(board: &Board, call: &CallView, old: &str, new: &str, reason: &str) -> Happening {
    Happening::State {
        call: call.id.clone(),
        app: board.app_name(call).to_owned(),
        old: old.to_owned(),
        new: new.to_owned(),
        reason: reason.to_owned(),
    }
}

fn provider_changes(old: Option<&ProviderView>, new: &ProviderView, found: &mut Vec<Happening>) {
    let word = |provider: &ProviderView| match (provider.attached, provider.responsive) {
        (true, true) => "running",
        (true, false) => "does not respond",
        (false, _) => "not running",
    };
    let mut say = |state: &str| {
        found.push(Happening::Provider { app: provider_name(new), state: state.to_owned() });
    };
    if old.map(word) != Some(word(new)) {
        say(word(new));
    }
    if old.is_some_and(|old| old.authorization != new.authorization) {
        say(&new.authorization);
    }
}

fn provider_name(provider: &ProviderView) -> String {
    match provider.display_name.as_str() {
        "" => provider.app_id.clone(),
        name => name.to_owned(),
    }
}

impl Happening {
    /// The event as one line for people.
    pub fn line(&self) -> Line {
        let call_line = |call: &str, app: &str| {
            let short = call.get(..8).unwrap_or(call);
            Line::new().with(Style::Plain, format!("{short}  {app}  "))
        };
        match self {
            Happening::Call { call, app, with, state } => call_line(call, app)
                .with(Style::Attention, state)
                .with(Style::Plain, format!("  {with}")),
            Happening::State { call, app, old, new, reason } => {
                let style = match new.as_str() {
                    "active" => Style::Good,
                    "held" => Style::Quiet,
                    "ended" | "ending" => Style::Faint,
                    _ => Style::Attention,
                };
                let mut line =
                    call_line(call, app).with(Style::Plain, format!("{old} → ")).with(style, new);
                if !reason.is_empty() {
                    line.push(Style::Faint, format!("  ({reason})"));
                }
                line
            }
            Happening::Detail { call, app, detail } => {
                call_line(call, app).with(Style::Plain, detail)
            }
            Happening::Audio { calls, .. } if calls.is_empty() => {
                Line::new().with(Style::Plain, "♪ audio  nobody has it")
            }
            Happening::Audio { phase, app, calls } => {
                let short: Vec<&str> = calls.iter().map(|c| c.get(..8).unwrap_or(c)).collect();
                Line::new()
                    .with(Style::Good, "♪ audio  ")
                    .with(Style::Plain, format!("{phase}: {app} {}", short.join(" and ")))
            }
            Happening::Provider { app, state } => {
                Line::new().with(Style::Plain, format!("{app}  {state}"))
            }
            Happening::Notice { call, app, message, .. } => {
                let of = if call.is_empty() { Line::new() } else { call_line(call, app) };
                of.with(Style::Bad, "! ").with(Style::Plain, message)
            }
            Happening::Arbiter { running: true } => {
                Line::new().with(Style::Good, "the arbiter is running")
            }
            Happening::Arbiter { running: false } => {
                Line::new().with(Style::Bad, "the arbiter is gone")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;
    use crate::{paint::Paint, view::sample};

    fn text(found: &[Happening]) -> Vec<String> {
        found.iter().map(|one| one.line().render(Paint { on: false }, 200)).collect()
    }

    #[test]
    fn nothing_happened_between_the_same_moments() {
        assert_eq!(between(&sample::two_calls(), &sample::two_calls(), States::Compared), []);
    }

    #[test]
    fn a_session_that_begins() {
        assert_eq!(
            text(&between(&Board::default(), &sample::two_calls(), States::Compared)),
            [
                "Speakerbox  running",
                "Chatter  running",
                "1f0c9a2e  Speakerbox  active  from Alice Example sip:alice@example.org",
                "7be2d410  Chatter  ringing  from tel:+4930123456",
                "♪ audio  granted: Speakerbox 1f0c9a2e",
            ]
        );
    }

    #[test]
    fn states_flags_and_audio_each_have_their_line() {
        let before = sample::two_calls();
        let mut after = before.clone();
        after.calls[0].state = "held".into();
        after.calls[0].reason = "held".into();
        after.calls[0].held_by = vec!["arbiter".into()];
        after.calls[0].audio = false;
        after.calls[1].muted = true;
        after.providers[1].attached = false;
        after.audio.holder = None;
        after.audio.phase = "idle".into();
        assert_eq!(
            text(&between(&before, &after, States::Compared)),
            [
                "Chatter  not running",
                "1f0c9a2e  Speakerbox  active → held  (held)",
                "7be2d410  Chatter  muted",
                "♪ audio  nobody has it",
            ]
        );
    }

    #[test]
    fn an_end_is_told_once() {
        let ringing = sample::two_calls();
        let mut ended = ringing.clone();
        ended.calls[1].state = "ended".into();
        ended.calls[1].end_reason = "unanswered".into();
        let mut gone = ended.clone();
        gone.calls.remove(1);
        assert_eq!(
            text(&between(&ringing, &ended, States::Compared)),
            ["7be2d410  Chatter  ringing → ended  (unanswered)"]
        );
        assert_eq!(between(&ended, &gone, States::Compared), []);
        assert_eq!(
            text(&between(&ringing, &gone, States::Compared)),
            ["7be2d410  Chatter  ringing → ended"]
        );
        assert_eq!(between(&ringing, &ended, States::Told), []);
        assert_eq!(between(&ringing, &gone, States::Told), []);
    }

    #[test]
    fn the_json_lines_are_what_scripts_rely_on() {
        let what = Happening::State {
            call: sample::BOB.into(),
            app: "Chatter".into(),
            old: "ringing".into(),
            new: "active".into(),
            reason: String::new(),
        };
        let json = serde_json::to_value(Stamped { at: 7, revision: 18, what }).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"at": 7, "revision": 18, "event": "state", "call": sample::BOB,
                "app": "Chatter", "old": "ringing", "new": "active", "reason": ""})
        );
    }
}
