//! Carries a history out, one operation after another, and judges every turn.
//!
//! Owns what an operation means in the present state, and the laws about whole turns: a refusal changes
//! nothing, one user's input does nothing to another. What holds in the state itself the core verifies
//! after every input in debug builds.

use std::collections::BTreeMap;

use callarbiter_core::*;

use super::{
    apps::{self, CAST},
    laws::Laws,
    observer::Observer,
    op::*,
    random::View,
};
use crate::world::*;

pub struct Harness {
    pub world: World,
    pub laws: Laws,
    observers: BTreeMap<Uid, Observer>,
    /// The connection and number of each app while it is attached.
    pub apps: BTreeMap<u8, App>,
    programs: BTreeMap<&'static str, Caller>,
    past: Vec<(Uid, Asked)>,
    transactions: BTreeMap<Uid, Vec<TransactionId>>,
    seats: BTreeMap<Uid, bool>,
    pub asleep: bool,
    /// Compare the whole state around refusals: thorough and slow.
    pub thorough: bool,
    /// How often each kind of input was accepted and refused.
    pub counts: BTreeMap<&'static str, [u32; 2]>,
    pub inputs: u64,
    /// Why the last input was refused.
    pub refused: Option<Error>,
    /// How calls ended, in order: UUID and reason.
    pub ends: Vec<(u128, &'static str)>,
}

impl Default for Harness {
    fn default() -> Self {
        Harness {
            world: World::with(apps::settings(Rules::Usual)),
            laws: Laws::default(),
            observers: BTreeMap::new(),
            apps: BTreeMap::new(),
            programs: BTreeMap::new(),
            past: Vec::new(),
            transactions: BTreeMap::new(),
            seats: BTreeMap::new(),
            asleep: false,
            thorough: false,
            counts: BTreeMap::new(),
            inputs: 0,
            refused: None,
            ends: Vec::new(),
        }
    }
}

impl Harness {
    /// After all of these.
    pub fn after(ops: &[Op]) -> Self {
        let mut harness = Harness::default();
        for op in ops {
            harness.apply(op);
        }
        harness
    }

    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Register { app } => {
                let known = self.apps.get(app).map(|a| a.caller);
                let caller = known.unwrap_or_else(|| self.world.caller(cast(*app).user));
                self.register(*app, caller);
            }
            Op::RegisterTwice { app } => {
                let caller = self.world.caller(cast(*app).user);
                self.register(*app, caller);
            }
            Op::Lose { app } => {
                if let Some(gone) = self.apps.get(app).copied() {
                    self.lose(gone.caller.peer);
                }
            }
            Op::LosePrograms { user } => {
                let uid = user_of(*user);
                let gone: Vec<Caller> =
                    self.programs.values().filter(|c| c.uid == uid).copied().collect();
                self.programs.retain(|_, c| c.uid != uid);
                for caller in gone {
                    self.lose(caller.peer);
                }
            }
            Op::Say { app, said } => self.say(*app, *said),
            Op::Reply { nth, how } => {
                let open: Vec<(Uid, usize)> = self
                    .world
                    .open
                    .iter()
                    .flat_map(|(uid, asked)| (0..asked.len()).map(|at| (*uid, at)))
                    .collect();
                if !open.is_empty() {
                    let (uid, at) = open[usize::from(*nth) % open.len()];
                    let asked = self.world.open[&uid][at].clone();
                    self.reply(uid, &asked, *how);
                }
            }
            Op::ReplyLate { nth, how } => {
                if !self.past.is_empty() {
                    let back = usize::from(*nth) % self.past.len();
                    let (uid, asked) = self.past[self.past.len() - 1 - back].clone();
                    self.reply(uid, &asked, *how);
                }
            }
            Op::Request { by, acts, expected, token } => {
                let caller = self.caller(*by);
                let actions = acts
                    .iter()
                    .enumerate()
                    .map(|(at, act)| Requested {
                        action: self.action(*act),
                        expected: expected.filter(|_| at == 0),
                    })
                    .collect();
                let token = token.map(|t| uuid(1000 + u128::from(t)));
                let _ = self.input(Some(caller.uid), Input::Request { caller, actions, token });
            }
            Op::Cancel { by, nth } => {
                let caller = self.caller(*by);
                let known = self.transactions.get(&caller.uid).map_or(&[][..], Vec::as_slice);
                let back = usize::from(*nth) % known.len().max(1);
                let transaction =
                    known.iter().rev().nth(back).copied().unwrap_or(TransactionId(77));
                let _ = self.input(Some(caller.uid), Input::Cancel { caller, transaction });
            }
            Op::TakeRole { by, role } => {
                let caller = self.caller(*by);
                let roles = vec![*role];
                let _ = self.input(Some(caller.uid), Input::TakeRoles { caller, roles });
            }
            Op::Disturb { by, mode } => {
                let caller = self.caller(*by);
                let input = Input::SetDoNotDisturb { caller, mode: *mode };
                let _ = self.input(Some(caller.uid), input);
            }
            Op::Seats { user, seated } => {
                let uid = user_of(*user);
                let seats = if *seated { vec!["seat0".into()] } else { Vec::new() };
                self.seats.insert(uid, *seated);
                self.laws.seated(uid, *seated);
                let _ = self.input(None, Input::Seats { uid, seats });
            }
            Op::Foreground { user } => {
                let uid = user.map(user_of);
                let _ = self.input(None, Input::Foreground { seat: "seat0".into(), uid });
            }
            Op::Suspend { asleep } => {
                self.asleep = *asleep;
                let _ = self.input(None, Input::Suspend(*asleep));
            }
            Op::Rules { rules } => {
                let _ = self.input(None, Input::Settings(Box::new(apps::settings(*rules))));
            }
            Op::Pass { ms } => self.pass_until(self.world.now.mono + Millis(*ms)),
            Op::PassDeadline => {
                if let Some((at, _)) = self.world.arbiter.next_deadline() {
                    self.pass_until(at);
                }
            }
            Op::AlmostDeadline => {
                if let Some((Time(at), _)) = self.world.arbiter.next_deadline() {
                    self.pass_until(Time(at - 1).max(self.world.now.mono));
                }
            }
        }
    }

    /// What the generator may know.
    pub fn view(&self) -> View {
        let Some(domain) = self.world.arbiter.domain(ALICE) else { return View::default() };
        let known = |c: &Call| {
            let app = &domain.provider(c.provider)?.app;
            let app = CAST.iter().position(|cast| cast.app == &**app)?;
            Some((u8::try_from(app).ok()?, u8::try_from(c.uuid.as_u128()).ok()?, c.state))
        };
        View { calls: domain.calls().filter_map(known).collect() }
    }

    fn register(&mut self, app: u8, caller: Caller) {
        let cast = cast(app);
        let registration = Registration {
            app: cast.app.into(),
            source: AppIdSource::Declared,
            instance: "".into(),
            configuration: apps::configuration(app, cast.wide),
        };
        // It may be asked something before it hears its number.
        let known = self.world.arbiter.domain(cast.user).and_then(|d| {
            d.providers().find(|p| &*p.app == cast.app).filter(|p| p.peer.is_none()).map(|p| p.id)
        });
        if let Some(known) = known {
            self.laws.attached(cast.user, known, caller.peer);
        }
        let reply = self.input(Some(cast.user), Input::Register { caller, registration });
        if let Ok(Reply::Provider(id)) = reply {
            self.laws.attached(cast.user, id, caller.peer);
            self.apps.insert(app, App { id, caller });
        }
    }

    pub fn lose(&mut self, peer: Peer) {
        let uid = self.apps.values().find(|a| a.caller.peer == peer).map(|a| a.caller.uid);
        self.gone(peer);
        let _ = self.input(uid, Input::PeerLost { peer });
    }

    /// What it was asked is not asked any more; it may answer all the same, when it is back.
    fn gone(&mut self, peer: Peer) {
        let Some(App { id, caller }) = self.apps.values().find(|a| a.caller.peer == peer).copied()
        else {
            return;
        };
        self.apps.retain(|_, a| a.caller.peer != peer);
        self.laws.detached(peer);
        while let Some(asked) = self.world.take(caller.uid, |a| a.provider == id) {
            self.past.push((caller.uid, asked));
        }
    }

    fn say(&mut self, app: u8, said: Said) {
        let Some(App { id, caller }) = self.apps.get(&app).copied() else { return };
        let who = |n: u8| uuid(u128::from(n));
        let born = Update {
            can_hold: (!cast(app).holds).then_some(false),
            handle: Some("sip:someone@example.org".into()),
            ..Update::default()
        };
        let word = match said {
            Said::Incoming { n, kind } => {
                let update = match kind {
                    Kind::Plain => born,
                    Kind::Linked => Update { correlation: Some("same".into()), ..born },
                    Kind::Brief => Update { ring_timeout: Some(Millis(1000)), ..born },
                };
                Word::Incoming { uuid: who(n), update }
            }
            Said::Live { n, out, state } => {
                let direction = if out { Direction::Outgoing } else { Direction::Incoming };
                Word::Live { uuid: who(n), direction, state, update: born }
            }
            Said::CanHold { n, can } => {
                let update = Update { can_hold: Some(can), ..Update::default() };
                Word::Update { uuid: who(n), update }
            }
            Said::Details { n } => {
                let update = Update {
                    name: Some("Someone".into()),
                    video: Some(true),
                    encrypted: Some(true),
                    ring_timeout: Some(Millis(5000)),
                    ..Update::default()
                };
                Word::Update { uuid: who(n), update }
            }
            Said::State { n, state } => {
                Word::State { uuid: who(n), state: Some(state), remote_held: None }
            }
            Said::RemoteHeld { n, held } => {
                Word::State { uuid: who(n), state: None, remote_held: Some(held) }
            }
            Said::Ended { n, reason } => {
                Word::Ended { uuid: who(n), reason, detail: Private::default() }
            }
            Said::Wide { wide } => Word::Configure(apps::configuration(app, wide)),
            Said::Unregister => {
                self.gone(caller.peer);
                Word::Unregister
            }
        };
        let _ = self.input(Some(caller.uid), Input::Provider { caller, provider: id, word });
    }

    pub fn reply(&mut self, uid: Uid, asked: &Asked, how: How) {
        let request = asked.request;
        let caller = self.apps.values().find(|a| a.caller.uid == uid && a.id == asked.provider);
        let Some(caller) = caller.map(|a| a.caller) else { return };
        let claims = |state: Option<CallState>| match &asked.ask {
            Ask::Reconcile { calls } => Some(
                calls
                    .iter()
                    .map(|(uuid, was)| Claim { uuid: *uuid, state: state.unwrap_or(*was) })
                    .collect(),
            ),
            _ => None,
        };
        let word = match how {
            How::Fulfil => Word::Fulfil { request, calls: claims(None) },
            How::Claim(state) => Word::Fulfil { request, calls: claims(Some(state)) },
            How::Without => Word::Fulfil { request, calls: Some(Vec::new()) },
            How::Bare => Word::Fulfil { request, calls: None },
            How::Fail => Word::Fail { request, error: "x".into(), message: Private::default() },
            How::More { ms } => Word::Progress { request, extend: Millis(ms) },
        };
        let decided = !matches!(word, Word::Progress { .. });
        if decided {
            self.laws.answered(uid, request);
        }
        let input = Input::Provider { caller, provider: asked.provider, word };
        if self.input(Some(uid), input).is_ok() && decided {
            self.close(uid, request);
        }
    }

    /// No longer open, by its answer or its deadline.
    fn close(&mut self, uid: Uid, request: RequestId) {
        if let Some(asked) = self.world.take(uid, |a| a.request == request) {
            self.past.push((uid, asked));
        }
    }

    fn action(&self, act: Act) -> Action {
        let call = |n: u8| of(u128::from(n));
        match act {
            Act::Start { n, app, handle } => Action::Start {
                uuid: uuid(u128::from(n)),
                handle: match handle {
                    Handle::Usual => "tel:1".into(),
                    Handle::Emergency => "tel:112".into(),
                },
                provider: app.map(|a| cast(a).app.into()),
                video: false,
            },
            Act::Answer { n } => Action::Answer { call: call(n) },
            Act::End { n, reason } => {
                Action::End { call: call(n), reason, message: Private::default() }
            }
            Act::Hold { n, held } => Action::SetHeld { call: call(n), held },
            Act::Mute { n, muted } => Action::SetMuted { call: call(n), muted },
            Act::Join { n, with } => Action::SetGroup { call: call(n), with: Some(call(with)) },
            Act::Leave { n } => Action::SetGroup { call: call(n), with: None },
            Act::Tones { n } => {
                Action::PlayDtmf { call: call(n), tones: "1".into(), length: Millis(100) }
            }
            Act::Video { n, video } => Action::SetVideo { call: call(n), video },
            Act::Silence { n } => Action::Silence { call: call(n) },
        }
    }

    fn caller(&mut self, by: By) -> Caller {
        let (name, uid) = match by {
            By::App(app) => match self.apps.get(&app) {
                Some(app) => return app.caller,
                None => ("program", cast(app).user),
            },
            By::Shell => ("shell", ALICE),
            By::Program => ("program", ALICE),
            By::Sandboxed => ("sandboxed", ALICE),
            By::Bob => ("bob", BOB),
        };
        if let Some(caller) = self.programs.get(name).filter(|c| c.uid == uid) {
            return *caller;
        }
        let mut caller = self.world.caller(uid);
        if by == By::Sandboxed {
            caller = Caller { sandboxed: true, control: false, agent: false, ..caller };
        }
        self.programs.insert(name, caller);
        caller
    }

    fn pass_until(&mut self, until: Time) {
        while let Some((at, _)) = self.world.arbiter.next_deadline().filter(|(at, _)| *at <= until)
        {
            self.world.move_to(at.max(self.world.now.mono));
            let _ = self.input(None, Input::Tick);
        }
        self.world.move_to(until);
        let _ = self.input(None, Input::Tick);
    }

    /// One input, and everything that must be true of its turn. `of`: whose it is alone.
    fn input(&mut self, of: Option<Uid>, input: Input) -> Result<Reply> {
        let names = names(&input);
        let late = matches!(input, Input::Provider { word: Word::Fulfil { .. }, .. });
        let before = of.filter(|_| self.thorough).and_then(|uid| self.whole(uid));
        let reply = self.world.handle(input);
        self.inputs += 1;
        self.refused = reply.as_ref().err().map(|why| why.error);
        for name in names {
            self.counts.entry(name).or_default()[usize::from(reply.is_err())] += 1;
        }
        if let (Some(uid), Ok(Reply::Transaction(id, _))) = (of, &reply) {
            self.laws.accepted(uid, *id);
            let known = self.transactions.entry(uid).or_default();
            if !known.contains(id) {
                known.push(*id);
            }
        }
        let effects = std::mem::take(&mut self.world.effects);
        // Refused or not, a word shows that the app is there.
        let heard = |e: &Effect| {
            matches!(e, Effect::Publish { change: Change::Changed(Object::Provider(_), names), .. }
                if names == &["Responsive", "Revision"])
        };
        let noted = late && reply.as_ref().is_err_and(|why| why.error == Error::TimedOut);
        if reply.is_err() && !noted {
            assert!(effects.iter().all(heard), "refused ({reply:?}), and yet: {effects:?}");
        }
        for effect in &effects {
            let uid = user(effect);
            if of.is_some_and(|of| of != uid) {
                let shared =
                    self.seats.get(&ALICE) == Some(&true) && self.seats.get(&BOB) == Some(&true);
                assert!(shared && about_audio(effect), "of another user: {effect:?}");
            }
            self.laws.effect(effect);
            match effect {
                Effect::Publish { revision, change, .. } => {
                    let domain = self.world.arbiter.domain(uid).expect("a domain");
                    self.observers.entry(uid).or_default().see(domain, *revision, change);
                    if let Change::Transition { call, new: CallState::Ended, reason, .. } = change {
                        let uuid = domain.call(*call).expect("what has just ended").uuid;
                        self.ends.push((uuid.as_u128(), reason));
                    }
                }
                Effect::TimedOut { request, .. } => self.close(uid, *request),
                _ => {}
            }
        }
        for uid in [ALICE, BOB] {
            let Some(domain) = self.world.arbiter.domain(uid) else { continue };
            self.laws.compare(domain, uid);
            self.observers.entry(uid).or_default().compare(domain);
        }
        let refused = reply.is_err() && !noted && effects.is_empty();
        if let Some(before) = before.filter(|_| refused) {
            let after = self.whole(of.unwrap()).unwrap();
            let same = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
            let near = |text: &str| text[same.saturating_sub(200)..].chars().take(300).collect();
            let (was, is): (String, String) = (near(&before), near(&after));
            assert!(before == after, "refused ({reply:?}), and yet: {was}\n is now: {is}");
        }
        reply
    }

    /// All that a domain is, after a refusal that is known to change nothing.
    fn whole(&mut self, uid: Uid) -> Option<String> {
        self.world.arbiter.domain(uid)?;
        let caller = Caller { uid, peer: Peer(0), sandboxed: true, control: false, agent: false };
        let transaction = TransactionId(u32::MAX);
        self.world.handle(Input::Cancel { caller, transaction }).unwrap_err();
        assert!(self.world.effects.is_empty(), "a turn without reason: {:?}", self.world.effects);
        let all = format!("{:?}", self.world.arbiter.domain(uid)?);
        // What the last turn did is no state.
        Some(all.split_once(" turn: Turn {").expect("the field `turn`").0.to_owned())
    }
}

fn cast(app: u8) -> &'static apps::Cast {
    &CAST[usize::from(app) % CAST.len()]
}

fn user_of(user: u8) -> Uid {
    if user == 0 { ALICE } else { BOB }
}

fn names(input: &Input) -> Vec<&'static str> {
    let mut names = vec![name_of_input(input)];
    if let Input::Request { actions, .. } = input {
        names.extend(actions.iter().map(|r| name_of_action(&r.action)));
    }
    names
}

fn user(effect: &Effect) -> Uid {
    match effect {
        Effect::Ask { uid, .. }
        | Effect::TimedOut { uid, .. }
        | Effect::AuthorizationSet { uid, .. }
        | Effect::Publish { uid, .. }
        | Effect::Finished { uid, .. }
        | Effect::RoleLost { uid, .. } => *uid,
        Effect::Logged(event) => event.uid,
    }
}

/// What the other user of a seat may see of one's turn: that the audio is free.
fn about_audio(effect: &Effect) -> bool {
    match effect {
        Effect::Ask { ask, .. } => {
            matches!(ask, Ask::AudioActivated { .. } | Ask::SetMuted { .. })
        }
        Effect::Publish { change, .. } => {
            matches!(change, Change::Changed(Object::Audio | Object::Group(_), _))
        }
        Effect::Logged(event) => event.what == Happening::AudioGranted,
        _ => false,
    }
}
