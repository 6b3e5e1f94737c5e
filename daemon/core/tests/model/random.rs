//! Random operations: what happens often is often drawn, what is nonsense sometimes.
//!
//! Owns a small generator of numbers, so that a history is its seed on every machine, and the weights.

use callarbiter_core::{CallState, DoNotDisturb, EndReason, Role};

use super::{
    apps::{BOBS, CALLS, CAST},
    op::*,
};

/// SplitMix64.
#[derive(Clone)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let at = self.below(from.len() as u64) as usize;
        from[at]
    }
}

/// How a history goes: a theme makes deep states likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Apps answer mostly, and well.
    Calm,
    /// Everything that can happen, evenly.
    Wild,
}

/// A history of its seed: its apps are there at first.
pub fn history(seed: u64) -> Vec<Op> {
    let mut rng = Rng(seed);
    let theme = if rng.one_in(3) { Theme::Wild } else { Theme::Calm };
    let mut ops: Vec<Op> = (0..BOBS).map(|app| Op::Register { app }).collect();
    if rng.one_in(4) {
        ops.push(Op::Register { app: BOBS });
        ops.extend([0, 1].map(|user| Op::Seats { user, seated: true }));
        ops.push(Op::Foreground { user: Some(0) });
    }
    if rng.one_in(8) {
        ops.push(Op::Rules { rules: rng.pick(&[Rules::Eager, Rules::Strict, Rules::Tight]) });
    }
    let length = 5 + rng.below(60);
    ops.extend((0..length).map(|_| op(&mut rng, theme)));
    ops
}

pub fn op(rng: &mut Rng, theme: Theme) -> Op {
    let rare = theme == Theme::Wild || rng.one_in(6);
    match rng.below(if rare { 100 } else { 70 }) {
        0..22 => Op::Reply { nth: rng.below(6) as u8, how: how(rng, theme) },
        22..40 => request(rng),
        40..60 => Op::Say { app: app(rng), said: said(rng, theme) },
        60..66 => Op::Pass { ms: rng.pick(&[0, 1, 100, 1000, 2500, 5000, 10_000, 60_000]) },
        66..70 => Op::PassDeadline,
        70..74 => Op::Register { app: app(rng) },
        74 => Op::RegisterTwice { app: app(rng) },
        75..79 => Op::Lose { app: app(rng) },
        79 => Op::LosePrograms { user: rng.below(2) as u8 },
        80..83 => Op::ReplyLate { nth: rng.below(8) as u8, how: how(rng, theme) },
        83..86 => Op::Cancel { by: by(rng), nth: rng.below(4) as u8 },
        86 => Op::TakeRole { by: by(rng), role: rng.pick(&[Role::Ui, Role::Dnd, Role::Headset]) },
        87 => Op::Disturb {
            by: by(rng),
            mode: rng.pick(&[DoNotDisturb::Off, DoNotDisturb::Quiet, DoNotDisturb::Refuse]),
        },
        88 => Op::Seats { user: rng.below(2) as u8, seated: !rng.one_in(4) },
        89..92 => Op::Foreground { user: rng.pick(&[Some(0), Some(0), Some(1), None]) },
        92..95 => Op::Suspend { asleep: rng.one_in(2) },
        95 => Op::Rules {
            rules: rng.pick(&[Rules::Usual, Rules::Eager, Rules::Strict, Rules::Tight]),
        },
        96..98 => Op::AlmostDeadline,
        _ => Op::PassDeadline,
    }
}

fn app(rng: &mut Rng) -> u8 {
    rng.pick(&[0, 0, 0, 1, 1, 2, 3, 3, 4]) % CAST.len() as u8
}

fn call(rng: &mut Rng) -> u8 {
    1 + rng.below(u64::from(CALLS)) as u8
}

fn by(rng: &mut Rng) -> By {
    match rng.below(12) {
        0..4 => By::Shell,
        4..9 => By::Program,
        9 => By::Sandboxed,
        10 => By::App(app(rng)),
        _ => By::Bob,
    }
}

fn how(rng: &mut Rng, theme: Theme) -> How {
    if theme == Theme::Calm && !rng.one_in(5) {
        return How::Fulfil;
    }
    match rng.below(10) {
        0..3 => How::Fulfil,
        3..6 => How::Fail,
        6 => How::Without,
        7 => How::Claim(rng.pick(&STATES)),
        8 => How::More { ms: rng.pick(&[0, 500, 3000, 100_000]) },
        _ => How::Bare,
    }
}

fn state(rng: &mut Rng, theme: Theme) -> CallState {
    use CallState::*;
    if theme == Theme::Wild && rng.one_in(3) {
        return rng.pick(&STATES);
    }
    rng.pick(&[Alerting, Connecting, Active, Active, Active, Held, Held])
}

fn said(rng: &mut Rng, theme: Theme) -> Said {
    let n = call(rng);
    match rng.below(40) {
        0..14 => {
            let kind = rng.pick(&[Kind::Plain, Kind::Plain, Kind::Linked, Kind::Brief]);
            Said::Incoming { n, kind }
        }
        14..18 => Said::Live { n, out: rng.one_in(2), state: state(rng, theme) },
        18..29 => Said::State { n, state: state(rng, theme) },
        29..35 => {
            let reason = if rng.one_in(3) {
                rng.pick(&EndReason::ALL)
            } else {
                rng.pick(&[EndReason::RemoteEnded, EndReason::LocalEnded, EndReason::Busy])
            };
            Said::Ended { n, reason }
        }
        35 => Said::CanHold { n, can: rng.one_in(2) },
        36 => Said::Details { n },
        37 => Said::RemoteHeld { n, held: rng.one_in(2) },
        38 => Said::Wide { wide: rng.one_in(2) },
        _ if rng.one_in(3) => Said::Unregister,
        _ => Said::State { n, state: CallState::Active },
    }
}

fn request(rng: &mut Rng) -> Op {
    let acts = match rng.below(12) {
        // Swap, and make room by hand: what people do.
        0 => {
            let (a, b) = (call(rng), call(rng));
            vec![Act::Hold { n: a, held: true }, Act::Hold { n: b, held: false }]
        }
        1 => vec![Act::End { n: call(rng), reason: None }, Act::Answer { n: call(rng) }],
        2 => (0..rng.below(5)).map(|_| act(rng)).collect(),
        _ => vec![act(rng)],
    };
    let expected = rng.one_in(10).then(|| rng.pick(&STATES));
    let token = rng.one_in(10).then(|| rng.below(4) as u8);
    Op::Request { by: by(rng), acts, expected, token }
}

fn act(rng: &mut Rng) -> Act {
    let n = call(rng);
    match rng.below(40) {
        0..7 => Act::Start {
            n,
            app: rng.one_in(2).then(|| app(rng)),
            handle: if rng.one_in(6) { Handle::Emergency } else { Handle::Usual },
        },
        7..17 => Act::Answer { n },
        17..21 => {
            let reason = rng.one_in(5).then(|| rng.pick(&EndReason::ALL));
            Act::End { n, reason }
        }
        21..25 => Act::Hold { n, held: true },
        25..29 => Act::Hold { n, held: false },
        29..31 => Act::Mute { n, muted: rng.one_in(2) },
        31..35 => Act::Join { n, with: call(rng) },
        35..37 => Act::Leave { n },
        37 => Act::Tones { n },
        38 => Act::Video { n, video: rng.one_in(2) },
        _ => Act::Silence { n },
    }
}
