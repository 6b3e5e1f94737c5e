//! What must be true at each step of the demo, and what to say when it is not.
//!
//! Pure: looks at what the arbiter shows and at what it asked the sample apps to do. A step counts
//! only if both agree; nothing here may be lenient, or the demo would lie.

use std::time::Duration;

use crate::view::{Board, CallView};

/// What a sample app heard from the arbiter or answered to it, in the order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Since the demo began.
    pub at: Duration,
    pub app: &'static str,
    pub what: Word,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A request arrived.
    Asked(Request),
    /// The app did it and says so.
    Done(Request),
    /// The app told a fact by itself: the network rings, the far end answered.
    Reported(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Start,
    Answer,
    End,
    Hold,
    Resume,
    Mute,
    Unmute,
    Tones,
    Group,
    AudioActivated,
    AudioDeactivated,
}

impl Request {
    /// The delegate's member, as `busctl monitor` shows it.
    pub fn member(self) -> &'static str {
        match self {
            Request::Start => "PerformStart",
            Request::Answer => "PerformAnswer",
            Request::End => "PerformEnd",
            Request::Hold => "PerformSetHeld true",
            Request::Resume => "PerformSetHeld false",
            Request::Mute => "PerformSetMuted true",
            Request::Unmute => "PerformSetMuted false",
            Request::Tones => "PerformPlayDtmf",
            Request::Group => "PerformSetGroup",
            Request::AudioActivated => "AudioActivated",
            Request::AudioDeactivated => "AudioDeactivated",
        }
    }
}

/// Whether it is true yet, else what is missing.
pub type Check = Result<(), String>;

/// Both sample apps are there and may provide calls.
pub fn apps_are_ready(board: &Board, apps: &[&str]) -> Check {
    for app in apps {
        let found = board.providers.iter().find(|provider| provider.display_name == *app);
        match found {
            None => return Err(format!("{app} is not shown as a provider")),
            Some(provider) if !provider.attached => return Err(format!("{app} is not attached")),
            Some(provider) if provider.authorization != "authorized" => {
                return Err(format!("{app} is {}, not authorized", provider.authorization));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The call is there, in this state, held by exactly these.
pub fn call_is(board: &Board, id: &str, who: &str, state: &str, held_by: &[&str]) -> Check {
    let call = find(board, id, who)?;
    if call.state != state {
        return Err(format!("{who}'s call is {}, not {state}", call.state));
    }
    if call.held_by != held_by {
        return Err(format!(
            "{who}'s call is held by [{}], not [{}]",
            call.held_by.join(", "),
            held_by.join(", ")
        ));
    }
    Ok(())
}

/// The call is over and gone.
pub fn call_is_gone(board: &Board, id: &str, who: &str) -> Check {
    match board.call_with_id(id) {
        None => Ok(()),
        Some(call) => Err(format!("{who}'s call is still there, {}", call.state)),
    }
}

/// The call's group, and nobody else, has the audio, and has it for good.
pub fn audio_is_with(board: &Board, id: &str, who: &str) -> Check {
    let call = find(board, id, who)?;
    if board.audio.holder.is_none() || board.audio.holder != call.group {
        return Err(format!("the audio is not with {who}'s call"));
    }
    if board.audio.phase != "granted" {
        return Err(format!("the audio is {}, not granted", board.audio.phase));
    }
    match board.audible().find(|other| other.id != id) {
        Some(other) => Err(format!("{} is shown with audio too", other.id)),
        None => Ok(()),
    }
}

/// The ringing call waits, and announces that answering holds exactly the other.
pub fn waits_and_would_hold(board: &Board, id: &str, who: &str, other: &str) -> Check {
    let call = find(board, id, who)?;
    if !call.waiting {
        return Err(format!("{who}'s call is not marked as waiting"));
    }
    match &call.answer_plan {
        Some(plan) if plan.error.is_none() && plan.holds == [other] && plan.ends.is_empty() => {
            Ok(())
        }
        plan => Err(format!("{who}'s call announces another plan: {plan:?}")),
    }
}

/// At no moment of the story may two groups be active.
pub fn one_at_most_is_active(board: &Board) -> Check {
    let mut groups: Vec<_> =
        board.calls.iter().filter(|call| call.state == "active").map(|call| &call.group).collect();
    groups.dedup();
    match groups.len() {
        0 | 1 => Ok(()),
        count => Err(format!("{count} calls are active at the same time")),
    }
}

/// The words came in this order; others may stand between. What came more than once counts from the
/// first time, so that a second, right one does not excuse a first, wrong one.
pub fn in_order(journal: &[Heard], expected: &[(&str, Word)]) -> Check {
    let mut reached = None;
    for (app, what) in expected {
        let first = journal.iter().position(|heard| heard.app == *app && heard.what == *what);
        match first {
            None => return Err(format!("{} did not come", describe(app, what))),
            Some(at) if Some(at) < reached => {
                return Err(format!("{} came too early", describe(app, what)));
            }
            Some(at) => reached = Some(at),
        }
    }
    Ok(())
}

/// The apps were left alone in this step.
pub fn nobody_was_asked(journal: &[Heard]) -> Check {
    match journal.iter().find(|heard| matches!(heard.what, Word::Asked(_))) {
        None => Ok(()),
        Some(heard) => Err(format!("there was {}", describe(heard.app, &heard.what))),
    }
}

/// "`PerformAnswer` to Chatter".
fn describe(app: &str, what: &Word) -> String {
    match what {
        Word::Asked(request) => format!("`{}` to {app}", request.member()),
        Word::Done(request) => format!("{app}'s answer to `{}`", request.member()),
        Word::Reported(fact) => format!("{app}'s report `{fact}`"),
    }
}

fn find<'a>(board: &'a Board, id: &str, who: &str) -> Result<&'a CallView, String> {
    board.call_with_id(id).ok_or_else(|| format!("{who}'s call is not there"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;
    use crate::view::sample::{self, ALICE, BOB};

    fn heard(app: &'static str, what: Word) -> Heard {
        Heard { at: Duration::ZERO, app, what }
    }

    #[test]
    fn what_is_right_passes() {
        let board = sample::two_calls();
        apps_are_ready(&board, &["Speakerbox", "Chatter"]).unwrap();
        call_is(&board, ALICE, "Alice", "active", &[]).unwrap();
        audio_is_with(&board, ALICE, "Alice").unwrap();
        waits_and_would_hold(&board, BOB, "Bob", ALICE).unwrap();
        one_at_most_is_active(&board).unwrap();
    }

    #[test]
    fn every_lie_is_noticed() {
        let truth = sample::two_calls();
        let lie = |change: fn(&mut Board)| {
            let mut board = truth.clone();
            change(&mut board);
            board
        };
        let two_active = lie(|board| {
            board.calls[1].state = "active".into();
            board.calls[1].group = Some("/g/2".into());
        });
        assert!(one_at_most_is_active(&two_active).is_err());
        assert!(audio_is_with(&lie(|b| b.audio.phase = "granting".into()), ALICE, "A").is_err());
        assert!(audio_is_with(&lie(|b| b.audio.holder = None), ALICE, "A").is_err());
        assert!(audio_is_with(&lie(|b| b.calls[1].audio = true), ALICE, "A").is_err());
        assert!(audio_is_with(&truth, BOB, "Bob").is_err());
        let held = lie(|b| b.calls[0].held_by = vec!["user".into()]);
        assert!(call_is(&held, ALICE, "Alice", "active", &[]).is_err());
        assert!(call_is(&truth, ALICE, "Alice", "held", &["arbiter"]).is_err());
        assert!(call_is_gone(&truth, ALICE, "Alice").is_err());
        let no_plan = lie(|b| b.calls[1].answer_plan = None);
        assert!(waits_and_would_hold(&no_plan, BOB, "Bob", ALICE).is_err());
        let alone = lie(|b| b.calls[1].waiting = false);
        assert!(waits_and_would_hold(&alone, BOB, "Bob", ALICE).is_err());
        let denied = lie(|b| b.providers[0].authorization = "denied".into());
        assert!(apps_are_ready(&denied, &["Speakerbox"]).is_err());
    }

    #[test]
    fn the_order_of_requests_counts() {
        let (hold, answer) = (Word::Asked(Request::Hold), Word::Asked(Request::Answer));
        let expected = [("Speakerbox", hold.clone()), ("Chatter", answer.clone())];
        let right = [heard("Speakerbox", hold.clone()), heard("Chatter", answer.clone())];
        let wrong = [heard("Chatter", answer.clone()), heard("Speakerbox", hold.clone())];
        in_order(&right, &expected).unwrap();
        assert_eq!(
            in_order(&wrong, &expected).unwrap_err(),
            "`PerformAnswer` to Chatter came too early"
        );
        let twice = [wrong[0].clone(), right[0].clone(), right[1].clone()];
        assert!(in_order(&twice, &expected).is_err());
        assert_eq!(
            in_order(&right[..1], &expected).unwrap_err(),
            "`PerformAnswer` to Chatter did not come"
        );
    }
}
