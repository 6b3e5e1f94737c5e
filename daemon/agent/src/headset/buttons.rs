//! The table of buttons: what a press does with the calls that there are, and what the lights show of them.
//!
//! Owns the table; pure. Whether it can be done, the arbiter decides.

use callarbiter::{Action, Call, CallRef, CallState, Snapshot, Verb, words::Silenced};
use callarbiter_hid::Lights;

use crate::scene::goes_on;

/// What a hand did, whatever the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// The button for calls, shortly; or the hook switch, put on.
    Short,
    /// The button for calls, for a while.
    Long,
    /// Off the hook.
    PickUp,
    /// The button that ends calls.
    HangUp,
    /// The button for the other call.
    Flash,
    /// The button that declines.
    Reject,
    /// The button for the microphone.
    Mute,
    /// The switch of the microphone.
    SetMuted(bool),
}

/// What it asks for; nothing where it means nothing now.
pub fn meaning(press: Press, now: &Snapshot) -> Vec<Action> {
    let hand = Hand::over(now);
    match press {
        Press::Short => hand.answer().or(|| hand.swap()).or(|| hand.end()).or(|| hand.resume()),
        Press::Long => hand.decline().or(|| hand.mute(!hand.muted())),
        Press::PickUp if hand.talking.is_empty() => hand.answer().or(|| hand.resume()),
        Press::PickUp => hand.answer(),
        Press::HangUp => hand.end().or(|| hand.decline()),
        Press::Flash => hand.answer().or(|| hand.swap()).or(|| hand.hold()).or(|| hand.resume()),
        Press::Reject => hand.decline(),
        Press::Mute => hand.mute(!hand.muted()),
        Press::SetMuted(muted) if muted == hand.muted() => vec![],
        Press::SetMuted(muted) => hand.mute(muted),
    }
}

/// What the lights show.
pub fn lights(now: &Snapshot) -> Lights {
    let hand = Hand::over(now);
    Lights {
        off_hook: !hand.talking.is_empty() || hand.held.is_some(),
        // Many a headset rings with it: not where nothing is to be heard.
        ring: hand.rings_aloud,
        mute: hand.muted(),
        hold: hand.talking.is_empty() && hand.held.is_some(),
    }
}

/// The calls, by what a button could do with them.
struct Hand<'a> {
    /// The one that rings first.
    ringing: Option<&'a Call>,
    /// One that rings is to be heard.
    rings_aloud: bool,
    /// Those that are heard, or will be: one, or a conference.
    talking: Vec<&'a Call>,
    /// The one that was held last.
    held: Option<&'a Call>,
}

impl<'a> Hand<'a> {
    fn over(now: &'a Snapshot) -> Hand<'a> {
        let calls = || now.calls.values();
        let ringing = || calls().filter(|call| call.state == CallState::Ringing);
        let audio = now.audio_group().map(|group| group.number);
        let heard = |call: &&Call| audio.is_some() && call.group == audio && goes_on(call);
        let talking: Vec<&Call> = calls().filter(heard).collect();
        let talking = if talking.is_empty() {
            calls().filter(|call| goes_on(call)).take(1).collect()
        } else {
            talking
        };
        let held = calls().filter(|call| call.state == CallState::Held);
        Hand {
            ringing: ringing().min_by_key(|call| (call.waiting, call.created_at)),
            rings_aloud: ringing().any(|call| call.silenced == Silenced::No),
            talking,
            held: held.max_by_key(|call| call.revision),
        }
    }

    fn muted(&self) -> bool {
        let mut concerned = self.talking.iter().chain(&self.held).peekable();
        concerned.peek().is_some_and(|call| call.muted)
    }

    fn answer(&self) -> Vec<Action> {
        let answer = |call: &Call| Action::from(Verb::Answer { call: call.into() });
        self.ringing.map(answer).into_iter().collect()
    }

    /// One that was answered meanwhile is left alone.
    fn decline(&self) -> Vec<Action> {
        self.ringing.map(|call| end(call).expecting(CallState::Ringing)).into_iter().collect()
    }

    fn swap(&self) -> Vec<Action> {
        match (self.talking.first(), self.held) {
            (Some(active), Some(other)) if active.state == CallState::Active => {
                vec![set_held(active, true), set_held(other, false)]
            }
            _ => vec![],
        }
    }

    fn hold(&self) -> Vec<Action> {
        let active = self.talking.first().filter(|call| call.state == CallState::Active);
        active.map(|call| set_held(call, true)).into_iter().collect()
    }

    fn resume(&self) -> Vec<Action> {
        self.held.map(|call| set_held(call, false)).into_iter().collect()
    }

    fn end(&self) -> Vec<Action> {
        self.talking.iter().map(|call| end(call)).collect()
    }

    fn mute(&self, muted: bool) -> Vec<Action> {
        let set = |call: &&Call| Verb::SetMuted { call: CallRef::from(*call), muted }.into();
        self.talking.iter().map(set).collect()
    }
}

fn end(call: &Call) -> Action {
    Verb::End { call: call.into(), reason: None, message: None }.into()
}

fn set_held(call: &Call, held: bool) -> Action {
    Verb::SetHeld { call: call.into(), held }.into()
}

/// The first that is something.
trait Or {
    fn or(self, other: impl FnOnce() -> Self) -> Self;
}

impl Or for Vec<Action> {
    fn or(self, other: impl FnOnce() -> Self) -> Self {
        if self.is_empty() { other() } else { self }
    }
}
