//! Why a call is what it is: the chain of causes, from its report to its end.
//!
//! Owns the causes, their closed words, and the chain of one call: compact and bounded, because every call carries one
//! and every step of the hot path may add to it. It explains and decides nothing: no rule reads it. Chains of all
//! calls, and of those that are over, are in [`kept`].

mod kept;
mod words;

use std::mem::size_of;

use serde::{Deserialize, Serialize};

use crate::{
    Action, Ask, Authorization, CallId, CallState, DoNotDisturb, EndReason, Error, HeldBy, Origin,
    Private, Role, TransactionId,
};
pub use kept::Over;
pub(crate) use kept::{Chunk, Whys};
pub use words::Fact;

/// Steps of one chain. What comes between the first and the last of them is dropped, and counted.
pub const STEPS: usize = 64;
/// How a call began is kept whatever happens to it later.
const FIRST: usize = 16;
/// So many steps have room from the beginning.
const USUAL: usize = 8;

/// One cause. What a step says in somebody's words (a rule's name, a provider's message) is beside it in its
/// [`WhyStep::text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// Its app reported it.
    Reported { state: CallState },
    /// Somebody asked for this.
    Requested { origin: Origin, action: Verb, transaction: TransactionId },
    /// Its app was asked.
    Asked { action: Verb, origin: Origin },
    /// Its app did it.
    Fulfilled { action: Verb },
    /// Its app could not; the text is its message.
    Failed { action: Verb, error: Error },
    /// Its app did not answer in so many milliseconds.
    TimedOut { action: Verb, after: u32 },
    /// What its app was asked no longer mattered.
    CalledOff { action: Verb, error: Error },
    /// An action was not even begun, or not to its end; the text says why.
    NotDone { action: Verb, error: Error },
    /// It came to this state.
    Became { state: CallState },
    /// Its app said by itself that it is so.
    Told { state: CallState },
    /// Its app, back after a while, still has it.
    Claimed { state: CallState },
    /// This deadline passed.
    Deadline { which: Deadline },
    /// It was to make room for another call.
    RoomFor { call: CallId },
    /// Another call would not make room for it; the text says why.
    NoRoom { call: CallId },
    /// It is held by these.
    Held { by: HeldBy },
    /// The user, or the machine, went away: it is to be held by that.
    Away { by: HeldBy },
    /// That is over.
    Back { by: HeldBy },
    /// The focus came back to it, so it is resumed.
    FocusBack,
    /// The focus rule leaves it on hold, for the user to decide.
    StaysHeld,
    /// What the desktop's do-not-disturb made of it.
    DoNotDisturb { mode: DoNotDisturb },
    /// It rings through do-not-disturb all the same.
    LetThrough { exception: Exception },
    /// A list of the user's; the text is the entry.
    Listed { verdict: Verdict },
    /// A screener; the text is what it said.
    Screened { verdict: Verdict },
    /// A rule of the administrator's applied; the text is its name.
    Rule,
    /// Whether its app may provide calls, and who said so.
    Authorization { authorization: Authorization, decider: Decider },
    /// A limit was reached; the text is its name.
    Limit,
    /// What came of a question to an agent of the session; the text may be its sentence.
    Agent { role: Role, said: AgentSaid },
    /// Its group has the audio.
    AudioGranted { enforced: bool },
    /// Its group gives the audio back.
    AudioReleased,
    /// Its app went away.
    ProviderLost,
    /// Its app is back.
    ProviderBack,
    /// The arbiter itself was away.
    Restarted,
    /// It is over; the text is the detail.
    Ended { reason: EndReason },
    /// A rule of the user's own applied; the text is its name.
    OwnRule,
}

/// What is done to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the contract's actions, each said in one word")]
pub enum Verb {
    Start,
    Answer,
    End,
    Hold,
    Resume,
    Mute,
    Unmute,
    Join,
    Leave,
    PlayTones,
    StartVideo,
    StopVideo,
    Silence,
    /// Several in one step, as its network does it.
    Plan,
    TakeAudio,
    GiveAudio,
    Reconcile,
}

/// What passed without a word of anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deadline {
    /// Nobody answered.
    Ringing,
    /// It came no nearer to the far end.
    Dialing,
    /// Its app was not started.
    Launching,
    /// Its app did not come back.
    Grace,
    /// Screeners did not answer.
    Screening,
}

/// Why a call rings through do-not-disturb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exception {
    /// The desktop lets this caller through.
    Allowed,
    /// The same caller tries again at once.
    Repeated,
    /// It is an emergency.
    Emergency,
}

/// What a list or a screener says of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the contract's closed words")]
pub enum Verdict {
    Allow,
    Reject,
    Silence,
}

/// Who decided: whether an app may provide calls, or by a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is named by what it is")]
pub enum Decider {
    #[default]
    Administrator,
    User,
    Packaged,
    Polkit,
}

/// What came of a question to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentSaid {
    /// It was asked.
    Asked,
    /// It did it.
    Done,
    /// It could not.
    Failed,
    /// It did not answer in time.
    TimedOut,
    /// Nobody holds the role.
    Nobody,
}

impl Cause {
    /// A rule of theirs applied.
    pub(crate) fn rule_of(by: Decider) -> Cause {
        match by {
            Decider::Administrator | Decider::Packaged | Decider::Polkit => Cause::Rule,
            Decider::User => Cause::OwnRule,
        }
    }
}

impl Verb {
    /// What a provider is asked.
    pub(crate) fn of_ask(ask: &Ask) -> Verb {
        match ask {
            Ask::Start { .. } => Verb::Start,
            Ask::Answer { .. } => Verb::Answer,
            Ask::End { .. } => Verb::End,
            Ask::SetHeld { held: true, .. } => Verb::Hold,
            Ask::SetHeld { held: false, .. } => Verb::Resume,
            Ask::SetMuted { muted: true, .. } => Verb::Mute,
            Ask::SetMuted { muted: false, .. } => Verb::Unmute,
            Ask::SetGroup { with: Some(_), .. } => Verb::Join,
            Ask::SetGroup { with: None, .. } => Verb::Leave,
            Ask::PlayDtmf { .. } => Verb::PlayTones,
            Ask::SetVideo { video: true, .. } => Verb::StartVideo,
            Ask::SetVideo { video: false, .. } => Verb::StopVideo,
            Ask::Transaction(_) => Verb::Plan,
            Ask::AudioActivated { .. } => Verb::TakeAudio,
            Ask::AudioDeactivated { .. } => Verb::GiveAudio,
            Ask::Reconcile { .. } => Verb::Reconcile,
        }
    }

    /// What a controller requests.
    pub(crate) fn of_action(action: &Action) -> Verb {
        match action {
            Action::Start { .. } => Verb::Start,
            Action::Answer { .. } => Verb::Answer,
            Action::End { .. } => Verb::End,
            Action::SetHeld { held: true, .. } => Verb::Hold,
            Action::SetHeld { held: false, .. } => Verb::Resume,
            Action::SetMuted { muted: true, .. } => Verb::Mute,
            Action::SetMuted { muted: false, .. } => Verb::Unmute,
            Action::SetGroup { with: Some(_), .. } => Verb::Join,
            Action::SetGroup { with: None, .. } => Verb::Leave,
            Action::PlayDtmf { .. } => Verb::PlayTones,
            Action::SetVideo { video: true, .. } => Verb::StartVideo,
            Action::SetVideo { video: false, .. } => Verb::StopVideo,
            Action::Silence { .. } => Verb::Silence,
        }
    }
}

/// One step as it is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    /// Milliseconds since the chain began.
    after: u32,
    cause: Cause,
}

const _: () = assert!(size_of::<Step>() <= 12, "every live call has dozens of them");

/// What few steps say in somebody's words: the place of the step, and its words. In order.
#[derive(Clone, Debug, Default, PartialEq)]
struct Texts(Vec<(usize, Private)>);

/// One step as it is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WhyStep<'a> {
    /// When, µs since the epoch.
    pub at: u64,
    /// What.
    pub cause: Cause,
    /// In somebody's words, where there are any: a name, a message, an entry of a list.
    pub text: &'a Private,
}

/// The chain of one call, the oldest step first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Why {
    /// When it began, µs since the epoch.
    since: u64,
    steps: Vec<Step>,
    /// Most calls have none.
    texts: Option<Box<Texts>>,
    /// How many steps there ever were.
    total: u32,
    /// The call has ended: nothing explains it further.
    over: bool,
}

impl Why {
    /// Its steps, the oldest first.
    pub fn steps(&self) -> impl Iterator<Item = WhyStep<'_>> {
        self.steps.iter().enumerate().map(|(place, step)| WhyStep {
            at: self.since.saturating_add(u64::from(step.after) * 1000),
            cause: step.cause,
            text: self.text(place),
        })
    }

    /// How many steps are missing behind the first [`Why::before_gap`].
    pub fn dropped(&self) -> u32 {
        self.total.saturating_sub(u32::try_from(self.steps.len()).unwrap_or(u32::MAX))
    }

    /// How many steps there are before those that were dropped, if any were.
    pub fn before_gap(&self) -> usize {
        self.steps.len().min(FIRST)
    }

    fn text(&self, place: usize) -> &Private {
        const NONE: &Private = &Private::NONE;
        let mut texts = self.texts.iter().flat_map(|texts| &texts.0);
        texts.find(|(of, _)| *of == place).map_or(NONE, |(_, text)| text)
    }

    /// The number that the step at `at` had when it came.
    fn number(&self, at: usize) -> u32 {
        let number = u32::try_from(at).unwrap_or(u32::MAX);
        if at < FIRST { number } else { number.saturating_add(self.dropped()) }
    }

    /// The step before told of this state already.
    fn says_already(&self, cause: Cause) -> bool {
        let Cause::Became { state: now } = cause else { return false };
        let last = self.steps.last().map(|step| step.cause);
        let told = |state: CallState| state == now;
        match last {
            Some(Cause::Reported { state } | Cause::Told { state } | Cause::Claimed { state }) => {
                told(state)
            }
            _ => false,
        }
    }

    /// Adds a step; the number of the one that was dropped for it, if one was.
    fn add(&mut self, now: u64, cause: Cause, text: Private) -> Option<u32> {
        // Clocks are set back; what follows came later all the same.
        let after = u32::try_from(now.saturating_sub(self.since) / 1000).unwrap_or(u32::MAX);
        let after = after.max(self.steps.last().map_or(0, |step| step.after));
        let dropped = (self.steps.len() >= STEPS).then(|| self.drop_one());
        if self.steps.is_empty() {
            // Most calls that wait or are held have no more; one that is talked on grows once or twice.
            self.steps.reserve_exact(USUAL);
        }
        self.push(after, cause, text);
        dropped
    }

    fn push(&mut self, after: u32, cause: Cause, text: Private) {
        if !text.is_empty() {
            self.texts.get_or_insert_default().0.push((self.steps.len(), text));
        }
        self.steps.push(Step { after, cause });
        self.total = self.total.saturating_add(1);
    }

    fn drop_one(&mut self) -> u32 {
        let number = self.number(FIRST);
        self.steps.remove(FIRST);
        if let Some(Texts(texts)) = self.texts.as_deref_mut() {
            texts.retain(|(of, _)| *of != FIRST);
            texts.iter_mut().filter(|(of, _)| *of > FIRST).for_each(|(of, _)| *of -= 1);
        }
        number
    }
}
