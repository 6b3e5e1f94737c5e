//! Random operations: what happens often is often drawn, what is nonsense sometimes.
//!
//! Owns a small generator of numbers, so that a history is its seed on every machine, and the weights.

use callarbiter_core::{Authorization, CallState, DoNotDisturb, EndReason, Role};

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

/// What the generator looks at: a random name is mostly the name of nothing.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// App, number and state of each live call of the first user.
    pub calls: Vec<(u8, u8, CallState)>,
    /// An agent was asked something.
    pub agent: bool,
}

/// How a history of this seed begins: with its apps.
pub fn opening(rng: &mut Rng) -> (Theme, Vec<Op>) {
    let theme = if rng.one_in(3) { Theme::Wild } else { Theme::Calm };
    let mut ops: Vec<Op> = (0..BOBS).map(|app| Op::Register { app }).collect();
    if rng.one_in(4) {
        // Apps that are not there are started, and an agent knows people.
        ops.truncate(2);
        let roles = [Role::Dnd, Role::Launch, Role::Consent, Role::Contacts];
        ops.extend(roles.map(|role| Op::TakeRole { by: By::Shell, role }));
    }
    if rng.one_in(3) {
        ops.push(Op::TakeRole { by: By::Shell, role: Role::Audio });
        ops.push(Op::SetEndpoints { by: By::Shell, count: 2 });
    }
    if rng.one_in(3) {
        ops.push(Op::TakeRole { by: By::Shell, role: Role::History });
    }
    if rng.one_in(3) {
        ops.push(Op::TakeRole { by: By::Shell, role: Role::Screening });
        if rng.one_in(2) {
            ops.push(Op::TakeRole { by: By::Program, role: Role::Screening });
        }
    }
    if rng.one_in(6) {
        ops.push(Op::TakeRole { by: By::Shell, role: Role::Preferences });
        ops.push(Op::Prefer { by: By::Shell, what: rng.pick(&[Prefers::Own, Prefers::Eager]) });
    }
    if rng.one_in(4) {
        ops.push(Op::Register { app: BOBS });
        ops.extend([0, 1].map(|user| Op::Seats { user, seated: true }));
        ops.push(Op::Foreground { user: Some(0) });
    }
    if rng.one_in(8) {
        ops.push(Op::Rules {
            rules: rng.pick(&[
                Rules::Eager,
                Rules::Strict,
                Rules::Tight,
                Rules::Asking,
                Rules::Ruled,
                Rules::Ruled,
            ]),
        });
    }
    (theme, ops)
}

pub fn op(rng: &mut Rng, theme: Theme, view: &View) -> Op {
    let awaited = view.calls.iter().find(|(.., state)| *state == CallState::Launching);
    if let Some((app, ..)) = awaited.filter(|_| rng.one_in(4)) {
        return Op::Register { app: *app };
    }
    if view.agent && rng.one_in(8) {
        return errand(rng);
    }
    let rare = theme == Theme::Wild || rng.one_in(6);
    match rng.below(if rare { 100 } else { 70 }) {
        0..22 => Op::Reply { nth: rng.below(6) as u8, how: how(rng, theme) },
        22..40 => request(rng, view),
        40..60 => say(rng, theme, view),
        60..66 => Op::Pass { ms: rng.pick(&[0, 1, 100, 1000, 2500, 5000, 10_000, 60_000]) },
        66..70 => Op::PassDeadline,
        70..74 => Op::Register { app: app(rng) },
        74 => Op::RegisterTwice { app: app(rng) },
        75..79 => Op::Lose { app: app(rng) },
        79 => Op::LosePrograms { user: rng.below(2) as u8 },
        80..83 => Op::ReplyLate { nth: rng.below(8) as u8, how: how(rng, theme) },
        83..86 => Op::Cancel { by: by(rng), nth: rng.below(4) as u8 },
        86 => Op::TakeRole { by: by(rng), role: rng.pick(&ROLES) },
        87 if rng.one_in(3) => Op::Prefer {
            by: if rng.one_in(3) { by(rng) } else { By::Shell },
            what: rng.pick(&[
                Prefers::Nothing,
                Prefers::Own,
                Prefers::Eager,
                Prefers::Eager,
                Prefers::TooMuch,
            ]),
        },
        87 => Op::Disturb {
            by: by(rng),
            mode: rng.pick(&[DoNotDisturb::Off, DoNotDisturb::Quiet, DoNotDisturb::Refuse]),
            allow: rng.one_in(3),
        },
        88 if rng.one_in(2) => errand(rng),
        88 => sound(rng),
        89 if rng.one_in(2) => {
            let by = if rng.one_in(2) { by(rng) } else { By::Shell };
            Op::Forget { by, nth: rng.below(3) as u8 }
        }
        89 => Op::Authorize {
            by: by(rng),
            app: app(rng),
            word: rng.pick(&[
                Authorization::Authorized,
                Authorization::Denied,
                Authorization::NotDetermined,
            ]),
        },
        90 => Op::Seats { user: rng.below(2) as u8, seated: !rng.one_in(4) },
        91..93 => Op::Foreground { user: rng.pick(&[Some(0), Some(0), Some(1), None]) },
        93 => Op::Suspend { asleep: rng.one_in(2) },
        94 => match rng.one_in(3) {
            true => Op::Locked { user: rng.below(2) as u8, locked: rng.one_in(2) },
            false => Op::Suspend { asleep: rng.one_in(2) },
        },
        95 => Op::Rules {
            rules: rng.pick(&[
                Rules::Usual,
                Rules::Eager,
                Rules::Strict,
                Rules::Tight,
                Rules::Asking,
                Rules::Ruled,
                Rules::Ruled,
            ]),
        },
        96 => Op::AlmostDeadline,
        97 => restart(rng),
        _ => Op::PassDeadline,
    }
}

pub fn restart(rng: &mut Rng) -> Op {
    match rng.below(4) {
        0 => Op::Reload,
        1 => Op::Restart { lost: Some(app(rng)), heard: rng.one_in(2) },
        _ => Op::Restart { lost: None, heard: rng.one_in(2) },
    }
}

fn sound(rng: &mut Rng) -> Op {
    let by = if rng.one_in(3) { by(rng) } else { By::Shell };
    match rng.below(3) {
        0 => Op::SetEndpoints { by, count: rng.below(4) as u8 },
        1 => Op::SelectEndpoint { by, nth: rng.below(3) as u8 },
        _ => Op::ReportViolation { by, app: app(rng) },
    }
}

fn errand(rng: &mut Rng) -> Op {
    Op::AgentReply {
        nth: rng.below(3) as u8,
        by: rng.one_in(6).then(|| by(rng)),
        how: rng.pick(&[Errand::Done, Errand::Done, Errand::No, Errand::Later, Errand::Fail]),
    }
}

fn app(rng: &mut Rng) -> u8 {
    rng.pick(&[0, 0, 0, 1, 1, 2, 3, 3, 4]) % CAST.len() as u8
}

fn call(rng: &mut Rng) -> u8 {
    1 + rng.below(u64::from(CALLS)) as u8
}

fn by(rng: &mut Rng) -> By {
    match rng.below(24) {
        0..10 => By::Shell,
        10..20 => By::Program,
        20 => By::Sandboxed,
        21..23 => By::App(app(rng)),
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

/// A call, mostly one that is there, with its app and state.
fn meant(rng: &mut Rng, view: &View) -> (u8, u8, CallState) {
    if view.calls.is_empty() || rng.one_in(8) {
        return (app(rng), call(rng), CallState::Ended);
    }
    rng.pick(&view.calls)
}

fn say(rng: &mut Rng, theme: Theme, view: &View) -> Op {
    if rng.below(40) < 14 || view.calls.is_empty() {
        let (app, n) = (app(rng), call(rng));
        let kind = rng.pick(&[Kind::Plain, Kind::Plain, Kind::Linked, Kind::Brief]);
        return Op::Say { app, said: Said::Incoming { n, kind } };
    }
    let (app, n, _) = meant(rng, view);
    let said = match rng.below(26) {
        0..4 => Said::Live { n, out: rng.one_in(2), state: state(rng, theme) },
        4..14 => Said::State { n, state: state(rng, theme) },
        14..19 => {
            let reason = if rng.one_in(3) {
                rng.pick(&EndReason::ALL)
            } else {
                rng.pick(&[EndReason::RemoteEnded, EndReason::LocalEnded, EndReason::Busy])
            };
            Said::Ended { n, reason }
        }
        19..21 => Said::CanHold { n, can: rng.one_in(2) },
        21 => Said::Details { n },
        22 if rng.one_in(2) => Said::Authorize,
        22 => Said::RemoteHeld { n, held: rng.one_in(2) },
        23 => Said::Wide { wide: rng.one_in(2) },
        24 if rng.one_in(3) => Said::Unregister,
        _ => Said::State { n, state: CallState::Active },
    };
    Op::Say { app, said }
}

fn request(rng: &mut Rng, view: &View) -> Op {
    let one = |rng: &mut Rng| meant(rng, view).1;
    let acts = match rng.below(12) {
        // Swap, and make room by hand: what people do.
        0 => {
            let (a, b) = (one(rng), one(rng));
            vec![Act::Hold { n: a, held: true }, Act::Hold { n: b, held: false }]
        }
        1 => vec![Act::End { n: one(rng), reason: None }, Act::Answer { n: one(rng) }],
        2 => (0..rng.below(5)).map(|_| act(rng, view)).collect(),
        _ => vec![act(rng, view)],
    };
    let expected = rng.one_in(10).then(|| rng.pick(&STATES));
    let token = rng.one_in(10).then(|| rng.below(4) as u8);
    Op::Request { by: by(rng), acts, expected, token }
}

fn act(rng: &mut Rng, view: &View) -> Act {
    use CallState::*;
    let (_, n, state) = meant(rng, view);
    if view.calls.is_empty() || rng.one_in(6) {
        return Act::Start {
            n: call(rng),
            app: rng.one_in(2).then(|| app(rng)),
            handle: if rng.one_in(6) { Handle::Emergency } else { Handle::Usual },
        };
    }
    let end = Act::End { n, reason: rng.one_in(5).then(|| rng.pick(&EndReason::ALL)) };
    let (other, on) = (meant(rng, view).1, rng.one_in(2));
    let fitting = match state {
        Ringing | Answering | Screening => rng.pick(&[
            Act::Answer { n },
            Act::Answer { n },
            Act::Answer { n },
            Act::Silence { n },
            end,
        ]),
        Active => rng.pick(&[
            Act::Hold { n, held: true },
            Act::Hold { n, held: true },
            Act::Mute { n, muted: on },
            Act::Join { n, with: other },
            Act::Leave { n },
            Act::Tones { n },
            Act::Video { n, video: on },
            end,
        ]),
        Held => rng.pick(&[
            Act::Hold { n, held: false },
            Act::Hold { n, held: false },
            Act::Hold { n, held: true },
            Act::Join { n, with: other },
            Act::Leave { n },
            end,
        ]),
        _ => rng.pick(&[end, Act::Mute { n, muted: true }, Act::Hold { n, held: true }]),
    };
    if !rng.one_in(5) {
        return fitting;
    }
    rng.pick(&[
        Act::Answer { n },
        end,
        Act::Hold { n, held: false },
        Act::Hold { n, held: true },
        Act::Mute { n, muted: false },
        Act::Join { n, with: other },
        Act::Leave { n },
        Act::Tones { n },
        Act::Video { n, video: true },
        Act::Silence { n },
    ])
}
