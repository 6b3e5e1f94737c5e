//! What a key means: a request on the call it concerns, or something of the picture itself.
//!
//! Pure. Every request names its call and the state in which it was seen, so that a key meets the
//! call that was on the screen or nothing.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::{
    failure::Failure,
    names::{Name, Unit},
    view::{Board, CallView},
    words::{Verb, Word},
};

/// What a key asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    Quit,
    Select { down: bool },
    Act(Act),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Answer,
    Decline,
    Silence,
    End,
    Hold,
    Mute,
    Swap,
    Tone(char),
}

/// The meaning of a key, if it has one.
pub fn intent(key: KeyEvent) -> Option<Intent> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(key.code, KeyCode::Char('c' | 'd')).then_some(Intent::Quit);
    }
    Some(match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Intent::Quit,
        KeyCode::Up | KeyCode::Char('k') => Intent::Select { down: false },
        KeyCode::Down | KeyCode::Char('j') => Intent::Select { down: true },
        KeyCode::Char('a') => Intent::Act(Act::Answer),
        KeyCode::Char('d') => Intent::Act(Act::Decline),
        KeyCode::Char('x') => Intent::Act(Act::Silence),
        KeyCode::Char('e') => Intent::Act(Act::End),
        KeyCode::Char('h') => Intent::Act(Act::Hold),
        KeyCode::Char('m') => Intent::Act(Act::Mute),
        KeyCode::Char('s') => Intent::Act(Act::Swap),
        KeyCode::Char(tone @ ('0'..='9' | '*' | '#')) => Intent::Act(Act::Tone(tone)),
        _ => return None,
    })
}

impl Act {
    pub fn name(self) -> &'static str {
        match self {
            Act::Answer => "answer",
            Act::Decline => "decline",
            Act::Silence => "silence",
            Act::End => "end",
            Act::Hold => "hold or resume",
            Act::Mute => "mute or unmute",
            Act::Swap => "swap",
            Act::Tone(_) => "tone",
        }
    }

    /// The actions to request: on the selected call, else on the only call that fits.
    pub fn words(self, board: &Board, selected: Option<&str>) -> Result<Vec<Word>, Failure> {
        let find = |name: Name, unit: Unit| match selected.and_then(|path| board.call_at(path)) {
            Some(call) => Ok(call),
            None => name.resolve(board, unit),
        };
        Ok(match self {
            Act::Answer => vec![on(find(Name::Ringing, Unit::Call)?, Verb::Answer)],
            Act::Decline => {
                let end = |call| Verb::End { call, reason: Some("declined".into()), message: None };
                vec![on(find(Name::Ringing, Unit::Call)?, end)]
            }
            Act::Silence => vec![on(find(Name::Ringing, Unit::Call)?, Verb::Silence)],
            Act::End => {
                let end = |call| Verb::End { call, reason: None, message: None };
                vec![on(find(Name::Current, Unit::Call)?, end)]
            }
            Act::Hold => {
                let name = if board.calls.iter().any(|call| call.state == "active") {
                    Name::Active
                } else {
                    Name::Held
                };
                let call = find(name, Unit::Group)?;
                let held = call.state != "held";
                vec![on(call, |name| Verb::SetHeld(name, held))]
            }
            Act::Mute => {
                let call = find(Name::Active, Unit::Call)?;
                vec![on(call, |name| Verb::SetMuted(name, !call.muted))]
            }
            Act::Swap => {
                let active = Name::Active.resolve(board, Unit::Group)?;
                let held = match selected.and_then(|path| board.call_at(path)) {
                    Some(call) if call.state == "held" => call,
                    _ => Name::Held.resolve(board, Unit::Group)?,
                };
                vec![
                    on(active, |name| Verb::SetHeld(name, true)),
                    on(held, |name| Verb::SetHeld(name, false)),
                ]
            }
            // Tones go to the conversation, whatever is selected: that is the call they are heard in.
            Act::Tone(tone) => {
                let active = Name::Active.resolve(board, Unit::Call)?;
                vec![on(active, |call| Verb::Dtmf { call, digits: tone.to_string() })]
            }
        })
    }
}

fn on(call: &CallView, verb: impl FnOnce(Name) -> Verb) -> Word {
    Word { verb: verb(Name::Path(call.path.clone())), expected: Some(call.state.clone()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;
    use crate::view::sample;

    fn key(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    fn path(board: &Board, at: usize) -> Name {
        Name::Path(board.calls[at].path.clone())
    }

    #[test]
    fn keys_mean_what_the_help_line_says() {
        assert_eq!(intent(key(KeyCode::Char('a'))), Some(Intent::Act(Act::Answer)));
        assert_eq!(intent(key(KeyCode::Char('#'))), Some(Intent::Act(Act::Tone('#'))));
        assert_eq!(intent(key(KeyCode::Down)), Some(Intent::Select { down: true }));
        assert_eq!(intent(key(KeyCode::Char('x'))), Some(Intent::Act(Act::Silence)));
        assert_eq!(intent(key(KeyCode::Char('z'))), None);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(intent(interrupt), Some(Intent::Quit));
    }

    #[test]
    fn without_a_selection_the_only_call_that_fits_is_meant() {
        let board = sample::two_calls();
        let words = Act::Answer.words(&board, None).unwrap();
        let expected =
            Word { verb: Verb::Answer(path(&board, 1)), expected: Some("ringing".to_owned()) };
        assert_eq!(words, [expected]);
        let error = Act::Swap.words(&board, None).unwrap_err();
        assert!(error.to_string().starts_with("no call is held"));
    }

    #[test]
    fn a_selection_is_taken_at_its_word() {
        let board = sample::two_calls();
        let words = Act::End.words(&board, Some(&board.calls[1].path)).unwrap();
        let verb = Verb::End { call: path(&board, 1), reason: None, message: None };
        assert_eq!(words, [Word { verb, expected: Some("ringing".to_owned()) }]);
    }

    #[test]
    fn hold_and_mute_turn_around_what_is() {
        let mut board = sample::two_calls();
        board.calls[0].muted = true;
        let mute = Act::Mute.words(&board, None).unwrap();
        assert_eq!(mute[0].verb, Verb::SetMuted(path(&board, 0), false));
        let hold = Act::Hold.words(&board, None).unwrap();
        assert_eq!(hold[0].verb, Verb::SetHeld(path(&board, 0), true));
        board.calls[0].state = "held".to_owned();
        let hold = Act::Hold.words(&board, None).unwrap();
        assert_eq!(hold[0].verb, Verb::SetHeld(path(&board, 0), false));
    }

    #[test]
    fn swap_holds_first() {
        let mut board = sample::two_calls();
        board.calls[1].state = "held".to_owned();
        let verbs: Vec<Verb> =
            Act::Swap.words(&board, None).unwrap().into_iter().map(|word| word.verb).collect();
        assert_eq!(
            verbs,
            [Verb::SetHeld(path(&board, 0), true), Verb::SetHeld(path(&board, 1), false)]
        );
    }
}
