//! What happens in each scenario, and where its calls stand in the end.
//!
//! Owns the list. A step is over when nothing is pending, so that every point of a scenario lies within one step.

use harness::{
    Action,
    Mood::{self, *},
    action,
};
use uuid::Uuid;

/// A call: the app that has it, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Line(pub usize, pub u8);

pub const A: Line = Line(0, 1);
pub const A2: Line = Line(0, 2);
pub const B: Line = Line(1, 1);

/// What a program asks for, in one transaction with a token.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    Answer(Line),
    End(Line),
    Hold(Line),
    Unhold(Line),
    Mute(Line),
    Tones(Line),
    Join(Line, Line),
    Leave(Line),
    Silence(Line),
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Rings(Line),
    /// It is refused, by this error.
    Refused(Line, &'static str),
    Lives(Line, &'static str),
    Says(Line, &'static str),
    Hears(Line),
    Renamed(Line),
    Ends(Line, &'static str),
    Asks(&'static [Act]),
    /// `StartCall` with a token, by this app; the handle says whether it is an emergency.
    Starts(Line, &'static str),
    /// The same by an app that is not there: an agent is asked to start it, and it comes.
    Launches(Line, &'static str),
    /// `Call.End`, which has no token.
    Declines(Line),
    Turns(usize, Mood),
    /// And nobody waits for what follows.
    Dies(usize),
    Rests,
    Returns(usize),
    Unregisters(usize),
    TakesRole(&'static str),
    Disturbs(bool),
    AgentLeaves,
    Watches,
    Unwatches,
    /// More than one state file takes.
    Grows(Line),
}

pub struct Scenario {
    pub name: &'static str,
    pub steps: &'static [Step],
    /// Calls that are there in the end, and their states.
    pub end: &'static [(Line, &'static str)],
    /// Somebody hangs: deadlines are short.
    pub short: bool,
}

use Act::*;
use Step::*;

const fn of(
    name: &'static str,
    steps: &'static [Step],
    end: &'static [(Line, &'static str)],
) -> Scenario {
    Scenario { name, steps, end, short: false }
}

const fn short(
    name: &'static str,
    steps: &'static [Step],
    end: &'static [(Line, &'static str)],
) -> Scenario {
    Scenario { name, steps, end, short: true }
}

pub const SCENARIOS: &[Scenario] = &[
    of("a call is answered", &[Rings(A), Asks(&[Answer(A)])], &[(A, "active")]),
    of("a call is declined", &[Rings(A), Rings(B), Declines(A)], &[(B, "ringing")]),
    of("a call is ended by the user", &[Rings(A), Asks(&[Answer(A)]), Asks(&[End(A)])], &[]),
    of(
        "a call is ended by the far end",
        &[Rings(A), Asks(&[Answer(A)]), Ends(A, "remote-ended"), Refused(A, "AlreadyEnded")],
        &[],
    ),
    of(
        "hold and resume",
        &[Rings(A), Asks(&[Answer(A)]), Asks(&[Hold(A)]), Asks(&[Unhold(A)])],
        &[(A, "active")],
    ),
    of(
        "hold and answer, and back",
        &[Rings(A), Asks(&[Answer(A)]), Rings(B), Asks(&[Answer(B)]), Asks(&[End(B)])],
        &[(A, "active")],
    ),
    of(
        "swap",
        &[Rings(A), Asks(&[Answer(A)]), Rings(B), Asks(&[Answer(B)]), Asks(&[Hold(B), Unhold(A)])],
        &[(A, "active"), (B, "held")],
    ),
    of(
        "end and answer",
        &[Rings(A), Asks(&[Answer(A)]), Rings(B), Asks(&[End(A), Answer(B)])],
        &[(B, "active")],
    ),
    of(
        "a call is placed",
        &[Starts(A, "sip:hatter@example.org"), Says(A, "alerting"), Says(A, "active")],
        &[(A, "active")],
    ),
    of(
        "an app is started for a call",
        &[
            TakesRole("launch"),
            Unregisters(0),
            Launches(A, "sip:hatter@example.org"),
            Says(A, "active"),
        ],
        &[(A, "active")],
    ),
    of(
        "an app is started for a call beside another",
        &[
            TakesRole("launch"),
            Unregisters(0),
            Rings(B),
            Asks(&[Answer(B)]),
            Launches(A, "sip:hatter@example.org"),
            Says(A, "active"),
        ],
        &[(A, "active"), (B, "held")],
    ),
    of(
        "an emergency call takes the audio",
        &[Rings(B), Asks(&[Answer(B)]), Starts(A, "tel:112"), Says(A, "active")],
        &[(A, "active"), (B, "held")],
    ),
    of(
        "join and leave",
        &[
            Rings(A),
            Asks(&[Answer(A)]),
            Rings(A2),
            Asks(&[Answer(A2)]),
            Asks(&[Join(A, A2)]),
            Asks(&[Leave(A)]),
        ],
        &[(A, "active"), (A2, "held")],
    ),
    of(
        "tones and mute",
        &[Rings(A), Asks(&[Answer(A)]), Asks(&[Mute(A)]), Asks(&[Tones(A)])],
        &[(A, "active")],
    ),
    of("ringing is silenced", &[Rings(A), Asks(&[Silence(A)])], &[(A, "ringing")]),
    of(
        "a provider dies and claims its calls",
        &[Rings(A), Asks(&[Answer(A)]), Rings(A2), Dies(0), Returns(0)],
        &[(A, "active"), (A2, "ringing")],
    ),
    short(
        "a provider dies for good",
        &[Rings(A), Asks(&[Answer(A)]), Rings(B), Dies(0), Rests],
        &[(B, "ringing")],
    ),
    of(
        "a provider leaves",
        &[Rings(A), Asks(&[Answer(A)]), Rings(B), Unregisters(0)],
        &[(B, "ringing")],
    ),
    short(
        "a provider hangs",
        &[Rings(A), Asks(&[Answer(A)]), Rings(B), Turns(1, Hangs), Asks(&[Answer(B)])],
        &[(A, "active")],
    ),
    of(
        "a provider refuses",
        &[Rings(A), Asks(&[Answer(A)]), Rings(B), Turns(1, Refuses), Asks(&[Answer(B)])],
        &[(A, "active")],
    ),
    of(
        "what a phone does by itself",
        &[Lives(A, "dialing"), Says(A, "active"), Hears(A), Says(A, "held"), Renamed(A)],
        &[(A, "held")],
    ),
    of(
        "an agent reads do-not-disturb",
        &[
            TakesRole("dnd"),
            Disturbs(true),
            Refused(A, "FilteredByDoNotDisturb"),
            Disturbs(false),
            Rings(B),
        ],
        &[(B, "ringing")],
    ),
    of(
        "an agent dies",
        &[TakesRole("ui"), Rings(A), Asks(&[Answer(A)]), AgentLeaves],
        &[(A, "active")],
    ),
    // An agent that says nothing has no call wait: the audio was granted before.
    of(
        "an agent for the audio comes and dies",
        &[Rings(A), Asks(&[Answer(A)]), TakesRole("audio"), Asks(&[Mute(A)]), AgentLeaves],
        &[(A, "active")],
    ),
    of("a subscription", &[Watches, Rings(A), Unwatches, Ends(A, "remote-ended")], &[]),
    of("a late push", &[Ends(A, "remote-ended"), Refused(A, "AlreadyEnded")], &[]),
    of(
        "the file is written anew",
        &[Rings(A), Asks(&[Answer(A)]), Grows(A), Asks(&[Hold(A)])],
        &[(A, "held")],
    ),
];

/// What the arbiter is asked.
pub fn action_of(act: Act) -> Action {
    let on = |name, line: Line| action(name, [("call", uuid_of(line).into())]);
    let held = |line: Line, held: bool| {
        action("SetHeld", [("call", uuid_of(line).into()), ("held", held.into())])
    };
    match act {
        Act::Answer(line) => on("Answer", line),
        Act::End(line) => on("End", line),
        Act::Silence(line) => on("Silence", line),
        Act::Hold(line) => held(line, true),
        Act::Unhold(line) => held(line, false),
        Act::Mute(line) => {
            action("SetMuted", [("call", uuid_of(line).into()), ("muted", true.into())])
        }
        Act::Tones(line) => {
            action("PlayDtmf", [("call", uuid_of(line).into()), ("digits", "1".into())])
        }
        Act::Join(line, with) => {
            action("SetGroup", [("call", uuid_of(line).into()), ("with", uuid_of(with).into())])
        }
        Act::Leave(line) => {
            action("SetGroup", [("call", uuid_of(line).into()), ("with", "".into())])
        }
    }
}

/// The call of a line.
pub fn uuid_of(line: Line) -> String {
    Uuid::from_u128(0xca11 << 64 | (line.0 as u128) << 8 | u128::from(line.1)).to_string()
}
