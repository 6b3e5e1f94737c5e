//! From bytes to what happens. Owns the encoding: a byte says what, the next ones its parts, so that changing
//! one byte changes one thing. Half of the bytes draw what fits the calls that are there, from a seed.

use callarbiter_core::{Authorization, CallState, DoNotDisturb, EndReason};

use crate::{
    bytes::Bytes,
    model::{
        apps::{CALLS, CAST},
        op::*,
        random::{self, Rng, Theme, View},
    },
};

/// Mostly all apps are there.
pub fn opening(bytes: &mut Bytes<'_>) -> Vec<Op> {
    match bytes.byte() {
        0..16 => Vec::new(),
        seed => random::opening(&mut Rng(u64::from(seed))).1,
    }
}

pub fn op(bytes: &mut Bytes<'_>, view: &View) -> Op {
    let what = bytes.byte();
    if what >= 128 {
        let theme = if what >= 224 { Theme::Wild } else { Theme::Calm };
        let seed = u64::from(what) << 16 | u64::from(bytes.byte()) << 8 | u64::from(bytes.byte());
        return random::op(&mut Rng(seed), theme, view);
    }
    match what % 31 {
        0..5 => Op::Reply { nth: bytes.byte() % 8, how: how(bytes) },
        5..10 => Op::Request {
            by: by(bytes),
            acts: (0..1 + bytes.below(3)).map(|_| act(bytes)).collect(),
            expected: bytes.one_in(8).then(|| bytes.pick(&STATES)),
            token: bytes.one_in(4).then(|| bytes.byte() % 4),
        },
        10..14 => Op::Say { app: app(bytes), said: said(bytes) },
        14 => Op::Register { app: app(bytes) },
        15 => Op::RegisterTwice { app: app(bytes) },
        16 => Op::Lose { app: app(bytes) },
        17 => Op::LosePrograms { user: bytes.byte() % 2 },
        18 => Op::ReplyLate { nth: bytes.byte() % 8, how: how(bytes) },
        19 => Op::Cancel { by: by(bytes), nth: bytes.byte() % 4 },
        20 => Op::TakeRole { by: by(bytes), role: bytes.pick(&ROLES) },
        21 => Op::Disturb {
            by: by(bytes),
            mode: bytes.pick(&[DoNotDisturb::Off, DoNotDisturb::Quiet, DoNotDisturb::Refuse]),
            allow: bytes.one_in(3),
        },
        25 if bytes.one_in(4) => Op::Prefer {
            by: bytes.pick(&[By::Shell, By::Program]),
            what: bytes.pick(&[Prefers::Nothing, Prefers::Own, Prefers::Eager, Prefers::TooMuch]),
        },
        22 => Op::Seats { user: bytes.byte() % 2, seated: bytes.one_in(2) },
        23 => Op::Foreground { user: bytes.pick(&[None, Some(0), Some(1)]) },
        26 => Op::AgentReply {
            nth: bytes.byte() % 4,
            by: bytes.one_in(4).then(|| by(bytes)),
            how: bytes.pick(&[Errand::Done, Errand::No, Errand::Later, Errand::Fail]),
        },
        27 => Op::Authorize {
            by: by(bytes),
            app: app(bytes),
            word: bytes.pick(&[Authorization::Authorized, Authorization::Denied]),
        },
        28 => Op::SetEndpoints { by: by(bytes), count: bytes.byte() % 4 },
        29 => Op::SelectEndpoint { by: by(bytes), nth: bytes.byte() % 4 },
        30 => Op::ReportViolation { by: by(bytes), app: app(bytes) },
        24 => match bytes.below(3) {
            0 => Op::Suspend { asleep: bytes.one_in(2) },
            1 => Op::Rules {
                rules: bytes.pick(&[
                    Rules::Usual,
                    Rules::Eager,
                    Rules::Strict,
                    Rules::Tight,
                    Rules::Asking,
                    Rules::Ruled,
                ]),
            },
            _ => Op::Pass { ms: bytes.pick(&[0, 1, 100, 1000, 2500, 5000, 10_000, 60_000]) },
        },
        _ if bytes.one_in(2) => Op::AlmostDeadline,
        _ => Op::PassDeadline,
    }
}

fn app(bytes: &mut Bytes<'_>) -> u8 {
    bytes.byte() % CAST.len() as u8
}

fn call(bytes: &mut Bytes<'_>) -> u8 {
    1 + bytes.byte() % CALLS
}

fn by(bytes: &mut Bytes<'_>) -> By {
    match bytes.below(6) {
        0 | 1 => By::Program,
        2 => By::Shell,
        3 => By::Sandboxed,
        4 => By::App(app(bytes)),
        _ => By::Bob,
    }
}

fn how(bytes: &mut Bytes<'_>) -> How {
    match bytes.below(8) {
        0..3 => How::Fulfil,
        3 => How::Fail,
        4 => How::Without,
        5 => How::Claim(bytes.pick(&STATES)),
        6 => How::More { ms: bytes.pick(&[0, 500, 3000, 100_000]) },
        _ => How::Bare,
    }
}

fn said(bytes: &mut Bytes<'_>) -> Said {
    let (kind, n) = (bytes.below(13), call(bytes));
    let state = |bytes: &mut Bytes<'_>| {
        use CallState::*;
        let usual = [Alerting, Connecting, Active, Held];
        if bytes.one_in(4) { bytes.pick(&STATES) } else { bytes.pick(&usual) }
    };
    match kind {
        0..3 => Said::Incoming { n, kind: bytes.pick(&[Kind::Plain, Kind::Linked, Kind::Brief]) },
        3 => Said::Live { n, out: bytes.one_in(2), state: state(bytes) },
        4 => Said::CanHold { n, can: bytes.one_in(2) },
        5 => Said::Details { n },
        6 | 7 => Said::State { n, state: state(bytes) },
        8 => Said::RemoteHeld { n, held: bytes.one_in(2) },
        9 => Said::Ended { n, reason: bytes.pick(&EndReason::ALL) },
        10 => Said::Wide { wide: bytes.one_in(2) },
        11 => Said::Authorize,
        _ => Said::Unregister,
    }
}

fn act(bytes: &mut Bytes<'_>) -> Act {
    let (kind, n) = (bytes.below(12), call(bytes));
    match kind {
        0 | 1 => Act::Answer { n },
        2 => Act::Start {
            n,
            app: bytes.one_in(2).then(|| app(bytes)),
            handle: bytes.pick(&[Handle::Usual, Handle::Emergency]),
        },
        3 => Act::End { n, reason: bytes.one_in(2).then(|| bytes.pick(&EndReason::ALL)) },
        4 => Act::Hold { n, held: true },
        5 => Act::Hold { n, held: false },
        6 => Act::Mute { n, muted: bytes.one_in(2) },
        7 => Act::Join { n, with: call(bytes) },
        8 => Act::Leave { n },
        9 => Act::Tones { n },
        10 => Act::Video { n, video: bytes.one_in(2) },
        _ => Act::Silence { n },
    }
}
