//! What will happen, decided by a seed before anything does: the same seed decides the same.
//!
//! Owns the decisions and how often each is taken. Calls and apps are small numbers; what a decision means
//! when its call is not there any more, the stage says.

use harness::{Dice, Memory, Mood};

/// Apps, and programs that control calls.
pub const APPS: usize = 3;
pub const CONTROLLERS: usize = 2;
/// Calls that one app may have.
pub const CALLS: usize = 2;
/// Decisions of one case.
const LENGTH: usize = 100;

/// What a program asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Answer,
    End,
    Hold,
    Unhold,
    Mute,
    Tones,
    Join,
    Leave,
    Silence,
    Start,
    Swap,
    EndAndAnswer,
}

/// A call, by the app that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    pub app: usize,
    pub call: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It rings; said again, it is the same call.
    Rings(Line),
    /// A call that is there already.
    Lives(Line, &'static str),
    /// True or not.
    Says(Line, &'static str),
    Hears(Line),
    Ends(Line, &'static str),
    Turns(usize, Mood),
    Remembers(usize, Memory),
    /// It answers what it has kept.
    Answers(usize),
    /// It answers something long over.
    Repeats(usize),
    Dies(usize),
    Revives(usize),
    Unregisters(usize),
    Wants {
        controller: usize,
        wish: Wish,
        line: Line,
        other: Line,
        token: bool,
    },
    /// The same as its last one with a token, again.
    WantsAgain(usize),
    Leaves(usize),
    /// The daemon is killed. `at_once`: before what was said last is through.
    Kill {
        at_once: bool,
    },
    /// Everybody waits until nothing is pending.
    Rest,
}

pub fn of(seed: u64) -> Vec<Decision> {
    let mut dice = Dice(seed);
    let mut plan: Vec<Decision> = (0..APPS).map(Decision::Revives).collect();
    while plan.len() < LENGTH {
        plan.push(decision(&mut dice));
    }
    plan.push(Decision::Rest);
    plan
}

fn decision(dice: &mut Dice) -> Decision {
    use Decision::*;
    let app = dice.throw(APPS);
    match dice.throw(100) {
        0..17 => Rings(line(dice)),
        17..20 => Lives(line(dice), pick(dice, &["dialing", "active", "held", "ringing"])),
        20..26 => Says(line(dice), pick(dice, &["alerting", "connecting", "active", "held"])),
        26..28 => Hears(line(dice)),
        28..33 => Ends(line(dice), pick(dice, &["remote-ended", "failed", "busy", "declined"])),
        33..40 => Turns(app, mood(dice)),
        40..43 => Remembers(
            app,
            pick(dice, &[Memory::Truth, Memory::Echo, Memory::Nothing, Memory::Nonsense]),
        ),
        43..46 => Answers(app),
        46..48 => Repeats(app),
        48..50 => Dies(app),
        50..56 => Revives(app),
        56 if dice.throw(2) == 0 => Unregisters(app),
        56..87 => Wants {
            controller: dice.throw(CONTROLLERS),
            wish: wish(dice),
            line: line(dice),
            other: line(dice),
            token: dice.throw(3) == 0,
        },
        87 => WantsAgain(dice.throw(CONTROLLERS)),
        88 => Leaves(dice.throw(CONTROLLERS)),
        89..93 => Kill { at_once: dice.throw(2) == 0 },
        93..96 => Rest,
        _ => Answers(app),
    }
}

fn line(dice: &mut Dice) -> Line {
    Line { app: dice.throw(APPS), call: dice.throw(CALLS) }
}

fn mood(dice: &mut Dice) -> Mood {
    use Mood::*;
    pick(
        dice,
        &[Obeys, Obeys, Obeys, Refuses, Hangs, Forgets, Stutters, Waits, Shuffles, Lies, Dawdles],
    )
}

fn wish(dice: &mut Dice) -> Wish {
    use Wish::*;
    pick(
        dice,
        &[
            Answer,
            Answer,
            Answer,
            Answer,
            End,
            Hold,
            Hold,
            Unhold,
            Unhold,
            Mute,
            Tones,
            Join,
            Leave,
            Silence,
            Start,
            Swap,
            Swap,
            EndAndAnswer,
        ],
    )
}

fn pick<T: Copy>(dice: &mut Dice, from: &[T]) -> T {
    from[dice.throw(from.len())]
}
