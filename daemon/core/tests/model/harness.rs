//! Carries a history out, one operation after another.
//!
//! Owns what an operation means in the present state: whose connection it comes from, which request it
//! answers. Every turn is handed to `judge`; what holds in the state itself the core verifies after
//! every input in debug builds.

use std::collections::BTreeMap;

use callarbiter_core::*;

use super::{
    apps::{self, CAST},
    laws::Laws,
    meaning::{action, answer, cast, endpoint, errand, word},
    observer::Observer,
    op::*,
    random::View,
    store::Store,
};
use crate::world::*;

pub struct Harness {
    pub world: World,
    pub laws: Laws,
    pub observers: BTreeMap<Uid, Observer>,
    /// The connection and number of each app while it is attached.
    pub apps: BTreeMap<u8, App>,
    programs: BTreeMap<&'static str, Caller>,
    pub past: Vec<(Uid, Asked)>,
    /// What agents were asked, answered or not.
    pub errands: Vec<(Caller, RequestId)>,
    pub transactions: BTreeMap<Uid, Vec<TransactionId>>,
    pub seats: BTreeMap<Uid, bool>,
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
    pub store: Store,
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
            errands: Vec::new(),
            transactions: BTreeMap::new(),
            seats: BTreeMap::new(),
            asleep: false,
            thorough: false,
            counts: BTreeMap::new(),
            inputs: 0,
            refused: None,
            ends: Vec::new(),
            store: Store::default(),
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
                        action: action(*act),
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
            Op::Disturb { by, mode, allow } => {
                let caller = self.caller(*by);
                let allow = allow.then(|| "SIPS:someone@EXAMPLE.org".into()).into_iter().collect();
                let input = Input::SetDoNotDisturb { caller, mode: *mode, allow };
                let _ = self.input(Some(caller.uid), input);
            }
            Op::Prefer { by, what } => {
                let caller = self.caller(*by);
                let preferences = apps::preferences(*what);
                let input = Input::SetPreferences { caller, preferences };
                let _ = self.input(Some(caller.uid), input);
            }
            Op::AgentReply { nth, by, how } => {
                let back = usize::from(*nth) % self.errands.len().max(1);
                let asked = self.errands.iter().rev().nth(back).copied();
                let Some((agent, request)) = asked else { return };
                let caller = by.map_or(agent, |by| self.caller(by));
                let answer = errand(*how);
                let input = Input::AgentReply { caller, request, answer };
                let _ = self.input(Some(caller.uid), input);
            }
            Op::Authorize { by, app, word } => {
                let caller = self.caller(*by);
                let app = cast(*app).app.into();
                let input = Input::SetAuthorization { caller, app, authorization: *word };
                let _ = self.input(Some(caller.uid), input);
            }
            Op::SetEndpoints { by, count } => {
                let caller = self.caller(*by);
                let endpoints: Vec<Endpoint> = (0..*count).map(endpoint).collect();
                let current = endpoints.last().map_or("".into(), |last| last.id.clone());
                let input = Input::SetEndpoints { caller, endpoints, current };
                let _ = self.input(Some(caller.uid), input);
            }
            Op::SelectEndpoint { by, nth } => {
                let caller = self.caller(*by);
                let input = Input::SelectEndpoint { caller, endpoint: endpoint(*nth).id };
                let _ = self.input(Some(caller.uid), input);
            }
            Op::ReportViolation { by, app } => {
                let caller = self.caller(*by);
                let provider = self.apps.get(app).map_or(ProviderId(77), |app| app.id);
                let input = Input::ReportViolation { caller, provider };
                let _ = self.input(Some(caller.uid), input);
            }
            Op::Forget { by, nth } => {
                let caller = self.caller(*by);
                let over = self.world.over(caller.uid);
                let records = over.iter().rev().nth(usize::from(*nth)).copied();
                let records = records.into_iter().collect();
                let _ = self.input(Some(caller.uid), Input::ForgetCalls { caller, records });
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
            Op::Locked { user, locked } => {
                let uid = user_of(*user);
                let _ = self.input(None, Input::Locked { uid, locked: *locked });
            }
            Op::Rules { rules } => {
                let _ = self.input(None, Input::Settings(Box::new(apps::settings(*rules))));
            }
            Op::Restart { lost, heard } => self.restart(*lost, *heard),
            Op::Reload => self.world.arbiter = self.store.reload(&mut self.world.arbiter),
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
        View { calls: domain.calls().filter_map(known).collect(), agent: !self.errands.is_empty() }
    }

    fn register(&mut self, app: u8, caller: Caller) {
        let cast = cast(app);
        let registration = Registration {
            app: cast.app.into(),
            source: AppIdSource::Declared,
            instance: "".into(),
            configuration: apps::configuration(app, cast.wide),
            preset: None,
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
        self.laws.detached(peer);
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

    fn restart(&mut self, lost: Option<u8>, heard: bool) {
        self.world.arbiter = self.store.reload(&mut self.world.arbiter);
        let lost = lost.and_then(|app| self.apps.get(&app)).map(|app| app.caller.peer);
        if let Some(peer) = lost {
            self.gone(peer);
        }
        if !heard {
            for (uid, open) in std::mem::take(&mut self.world.open) {
                self.past.extend(open.into_iter().map(|asked| (uid, asked)));
            }
        }
        self.laws.restarted();
        let _ =
            self.input(None, Input::Restarted { lost: lost.into_iter().collect(), again: false });
    }

    fn say(&mut self, app: u8, said: Said) {
        let Some(App { id, caller }) = self.apps.get(&app).copied() else { return };
        if said == Said::Unregister {
            self.gone(caller.peer);
        }
        let word = word(app, said);
        let _ = self.input(Some(caller.uid), Input::Provider { caller, provider: id, word });
    }

    pub fn reply(&mut self, uid: Uid, asked: &Asked, how: How) {
        let caller = self.apps.values().find(|a| a.caller.uid == uid && a.id == asked.provider);
        let Some(caller) = caller.map(|a| a.caller) else { return };
        let word = answer(&self.as_it_stands(uid, asked), how);
        let decided = !matches!(word, Word::Progress { .. });
        if decided {
            self.laws.answered(uid, asked.request);
        }
        let input = Input::Provider { caller, provider: asked.provider, word };
        if self.input(Some(uid), input).is_ok() && decided {
            self.close(uid, asked.request);
        }
    }

    /// An app that is asked where its calls stand knows what it has done since it was asked.
    fn as_it_stands(&self, uid: Uid, asked: &Asked) -> Asked {
        let mut asked = asked.clone();
        if let Ask::Reconcile { calls } = &mut asked.ask {
            let domain = self.world.domain(uid);
            for (uuid, state) in calls {
                let call = domain.find(CallRef::Of(asked.provider, *uuid));
                *state = call.map_or(*state, |c| c.state);
            }
        }
        asked
    }

    /// No longer open, by its answer or its deadline.
    pub fn close(&mut self, uid: Uid, request: RequestId) {
        if let Some(asked) = self.world.take(uid, |a| a.request == request) {
            self.past.push((uid, asked));
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
            caller = Caller {
                sandboxed: true,
                control: false,
                place_call: false,
                agent: false,
                ..caller
            };
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
}

fn user_of(user: u8) -> Uid {
    if user == 0 { ALICE } else { BOB }
}
