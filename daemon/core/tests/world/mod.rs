//! A little world for the core's tests: one arbiter, a clock that the test moves, providers that
//! answer when told to. Owns no expectations.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod restart;

use std::collections::BTreeMap;

use callarbiter_core::*;
use uuid::Uuid;

/// A registered provider: its id and connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct App {
    pub id: ProviderId,
    pub caller: Caller,
}

/// A request that a provider was sent and has not answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub provider: ProviderId,
    pub request: RequestId,
    pub ask: Ask,
    pub deadline_ms: u32,
    pub origin: Origin,
}

pub struct World {
    pub arbiter: Arbiter,
    pub now: Now,
    /// Everything that came out since it was last taken.
    pub effects: Vec<Effect>,
    /// Requests that wait for an answer, by user.
    pub open: BTreeMap<Uid, Vec<Asked>>,
    peers: u64,
}

pub const ALICE: Uid = Uid(1000);
pub const BOB: Uid = Uid(1001);

pub fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub fn of(n: u128) -> CallRef {
    CallRef::Uuid(uuid(n))
}

pub fn answer(n: u128) -> Action {
    Action::Answer { call: of(n) }
}
pub fn end(n: u128) -> Action {
    Action::End { call: of(n), reason: None, message: Private::default() }
}
pub fn hold(n: u128) -> Action {
    Action::SetHeld { call: of(n), held: true }
}
pub fn unhold(n: u128) -> Action {
    Action::SetHeld { call: of(n), held: false }
}
pub fn mute(n: u128, muted: bool) -> Action {
    Action::SetMuted { call: of(n), muted }
}
pub fn join(n: u128, with: u128) -> Action {
    Action::SetGroup { call: of(n), with: Some(of(with)) }
}
pub fn leave(n: u128) -> Action {
    Action::SetGroup { call: of(n), with: None }
}
pub fn start(n: u128, handle: &str) -> Action {
    Action::Start { uuid: uuid(n), handle: handle.into(), provider: None, video: false }
}
pub fn start_on(n: u128, app: &str) -> Action {
    Action::Start {
        uuid: uuid(n),
        handle: "tel:1".into(),
        provider: Some(app.into()),
        video: false,
    }
}

/// Settings under which everybody may provide calls.
pub fn settings() -> Settings {
    let policy = Policy { authorization: AuthorizationPolicy::Allow, ..Policy::default() };
    Settings { policy, ..Settings::default() }
}

impl Default for World {
    fn default() -> Self {
        World::with(settings())
    }
}

impl World {
    pub fn with(settings: Settings) -> Self {
        World {
            arbiter: Arbiter::new(settings),
            now: Now { mono: Time(1_000_000), wall: 1_700_000_000_000_000 },
            effects: Vec::new(),
            open: BTreeMap::new(),
            peers: 0,
        }
    }

    /// A new connection of this user.
    pub fn caller(&mut self, uid: Uid) -> Caller {
        self.peers += 1;
        Caller {
            uid,
            peer: Peer(self.peers),
            sandboxed: false,
            control: true,
            place_call: true,
            agent: true,
        }
    }

    pub fn handle(&mut self, input: Input) -> Result<Reply> {
        let mut effects = Vec::new();
        let reply = self.arbiter.handle(self.now, input, &mut effects);
        for effect in &effects {
            if let Effect::Ask { uid, provider, request, ask, deadline_ms, origin, .. } = effect {
                let (provider, request) = (*provider, *request);
                let (deadline_ms, origin) = (*deadline_ms, *origin);
                let asked = Asked { provider, request, ask: ask.clone(), deadline_ms, origin };
                let open = self.open.entry(*uid).or_default();
                // After a restart it is the same request again.
                open.retain(|a| a.request != request);
                open.push(asked);
            }
        }
        self.effects.extend(effects);
        reply
    }

    pub fn app(&mut self, uid: Uid, app: &str) -> App {
        self.app_with(uid, app, Configuration::default())
    }

    pub fn app_with(&mut self, uid: Uid, app: &str, configuration: Configuration) -> App {
        let caller = self.caller(uid);
        self.register(caller, app, configuration)
    }

    pub fn register(&mut self, caller: Caller, app: &str, configuration: Configuration) -> App {
        let registration = Registration {
            app: app.into(),
            source: AppIdSource::Declared,
            instance: "".into(),
            configuration,
            preset: None,
        };
        match self.handle(Input::Register { caller, registration }) {
            Ok(Reply::Provider(id)) => App { id, caller },
            other => panic!("not registered: {other:?}"),
        }
    }

    pub fn say(&mut self, app: App, word: Word) -> Result<Reply> {
        self.handle(Input::Provider { caller: app.caller, provider: app.id, word })
    }

    pub fn incoming(&mut self, app: App, n: u128) -> Result<Reply> {
        self.incoming_with(app, n, Update::default())
    }

    pub fn incoming_with(&mut self, app: App, n: u128, update: Update) -> Result<Reply> {
        self.say(app, Word::Incoming { uuid: uuid(n), update })
    }

    pub fn report(&mut self, app: App, n: u128, state: CallState) -> Result<Reply> {
        self.say(app, Word::State { uuid: uuid(n), state: Some(state), remote_held: None })
    }

    pub fn ended(&mut self, app: App, n: u128, reason: EndReason) -> Result<Reply> {
        self.say(app, Word::Ended { uuid: uuid(n), reason, detail: Private::default() })
    }

    /// A request of some controller of this user.
    pub fn request(&mut self, uid: Uid, actions: Vec<Action>) -> Result<TransactionId> {
        let caller = self.caller(uid);
        let actions =
            actions.into_iter().map(|action| Requested { action, expected: None }).collect();
        match self.handle(Input::Request { caller, actions, token: None })? {
            Reply::Transaction(id, _) => Ok(id),
            other => panic!("no transaction: {other:?}"),
        }
    }

    /// The open requests of a user in the order in which they were sent.
    pub fn asked(&self, uid: Uid) -> Vec<Ask> {
        self.open.get(&uid).into_iter().flatten().map(|a| a.ask.clone()).collect()
    }

    /// The oldest open request about which `which` says yes; it is no longer open.
    pub fn take(&mut self, uid: Uid, which: impl Fn(&Asked) -> bool) -> Option<Asked> {
        let open = self.open.get_mut(&uid)?;
        let at = open.iter().position(which)?;
        Some(open.remove(at))
    }

    /// The app fulfils its oldest open request of this action.
    pub fn fulfil(&mut self, app: App, action: &str) -> Asked {
        let asked = self
            .take(app.caller.uid, |a| a.provider == app.id && a.ask.action() == action)
            .unwrap_or_else(|| panic!("{action} was not asked: {:?}", self.open));
        let word = Word::Fulfil { request: asked.request, calls: None };
        self.say(app, word).unwrap();
        asked
    }

    /// The app fails its oldest open request of this action.
    pub fn fail(&mut self, app: App, action: &str) -> Asked {
        let asked = self
            .take(app.caller.uid, |a| a.provider == app.id && a.ask.action() == action)
            .unwrap_or_else(|| panic!("{action} was not asked: {:?}", self.open));
        let word = Word::Fail {
            request: asked.request,
            error: Error::ActionFailed,
            message: "it did not work".into(),
        };
        self.say(app, word).unwrap();
        asked
    }

    /// Every app fulfils everything it is asked until nothing is open.
    pub fn fulfil_all(&mut self, apps: &[App]) {
        for _ in 0..1000 {
            let found = apps.iter().find_map(|app| {
                let asked = self.take(app.caller.uid, |a| a.provider == app.id)?;
                Some((*app, asked))
            });
            let Some((app, asked)) = found else { return };
            let calls = match &asked.ask {
                Ask::Reconcile { calls } => Some(
                    calls
                        .iter()
                        .map(|(uuid, state)| Claim { uuid: *uuid, state: *state })
                        .collect(),
                ),
                _ => None,
            };
            let _ = self.say(app, Word::Fulfil { request: asked.request, calls });
        }
        panic!("they never finish");
    }

    /// Time passes; deadlines are met in their order.
    pub fn pass(&mut self, length: Millis) {
        let until = self.now.mono + length;
        while let Some((at, _)) = self.arbiter.next_deadline().filter(|(at, _)| *at <= until) {
            self.move_to(at.max(self.now.mono));
            self.handle(Input::Tick).unwrap();
        }
        self.move_to(until);
        self.handle(Input::Tick).unwrap();
    }

    pub fn move_to(&mut self, at: Time) {
        self.now.wall += at.0 - self.now.mono.0;
        self.now.mono = at;
    }

    pub fn domain(&self, uid: Uid) -> &Domain {
        self.arbiter.domain(uid).expect("a domain")
    }

    pub fn find(&self, uid: Uid, n: u128) -> Option<&Call> {
        self.domain(uid).find(of(n))
    }

    pub fn state_of(&self, uid: Uid, n: u128) -> CallState {
        self.find(uid, n).map_or(CallState::Ended, |c| c.state)
    }

    pub fn held_by(&self, uid: Uid, n: u128) -> HeldBy {
        self.find(uid, n).map_or(HeldBy::NONE, |c| c.held_by)
    }

    /// The call that has the audio, if it is one alone.
    pub fn audio(&self, uid: Uid) -> Option<Uuid> {
        let audio = self.domain(uid).audio();
        let group = audio.holder.filter(|_| audio.phase == Phase::Granted)?;
        let calls = &self.domain(uid).group(group)?.calls;
        self.domain(uid).call(*calls.first()?).map(|c| c.uuid)
    }

    pub fn transaction(&self, uid: Uid, id: TransactionId) -> &Transaction {
        self.domain(uid).transaction(id).expect("the transaction")
    }

    pub fn outcomes(&self, uid: Uid, id: TransactionId) -> Vec<&'static str> {
        let actions = &self.transaction(uid, id).actions;
        actions.iter().map(|s| s.outcome.as_ref().map_or("", Outcome::name)).collect()
    }

    /// An app whose call is active with the audio.
    pub fn talking(&mut self, app: App, n: u128) {
        self.incoming(app, n).unwrap();
        self.request(app.caller.uid, vec![answer(n)]).unwrap();
        self.fulfil_all(&[app]);
        assert_eq!(self.state_of(app.caller.uid, n), CallState::Active);
        assert_eq!(self.audio(app.caller.uid), Some(uuid(n)));
    }

    pub fn notices(&self) -> Vec<Notice> {
        let notice = |e: &Effect| match e {
            Effect::Publish { change: Change::Notice { kind, .. }, .. } => Some(*kind),
            _ => None,
        };
        self.effects.iter().filter_map(notice).collect()
    }

    /// Call 1 of `a` was answered, then 2 of `b`: 1 is held by the arbiter, 2 has the audio.
    pub fn pair(&mut self, a: App, b: App) {
        self.talking(a, 1);
        self.incoming(b, 2).unwrap();
        self.request(a.caller.uid, vec![answer(2)]).unwrap();
        self.fulfil_all(&[a, b]);
        assert_eq!(self.held_by(a.caller.uid, 1), HeldBy::ARBITER);
        assert_eq!(self.audio(a.caller.uid), Some(uuid(2)));
    }

    /// Calls 1 and 2 of one app, active in one group with the audio.
    pub fn conference(&mut self, app: App) {
        self.pair(app, app);
        self.request(app.caller.uid, vec![join(1, 2)]).unwrap();
        self.fulfil_all(&[app]);
        assert_eq!(self.state_of(app.caller.uid, 1), CallState::Active);
        assert_eq!(self.group_of(app.caller.uid, 1), self.group_of(app.caller.uid, 2));
    }

    pub fn group_of(&self, uid: Uid, n: u128) -> Option<GroupId> {
        self.find(uid, n).and_then(|c| c.group)
    }

    /// What is asked now, in short: the action and the call.
    pub fn asks(&self, uid: Uid) -> Vec<(&'static str, u128)> {
        let of = |ask: &Ask| match ask {
            Ask::Start { uuid, .. }
            | Ask::Answer { uuid }
            | Ask::End { uuid, .. }
            | Ask::SetHeld { uuid, .. }
            | Ask::SetMuted { uuid, .. }
            | Ask::SetGroup { uuid, .. }
            | Ask::PlayDtmf { uuid, .. }
            | Ask::SetVideo { uuid, .. } => uuid.as_u128(),
            _ => 0,
        };
        let open = self.open.get(&uid).into_iter().flatten();
        open.map(|a| (a.ask.action(), of(&a.ask))).collect()
    }

    /// Takes the oldest open request of this action away without answering it.
    pub fn ignore(&mut self, app: App, action: &str) -> Asked {
        self.take(app.caller.uid, |a| a.provider == app.id && a.ask.action() == action)
            .unwrap_or_else(|| panic!("{action} was not asked: {:?}", self.open))
    }

    /// A word about a request that was taken away before.
    pub fn late(&mut self, app: App, asked: &Asked) -> Result<Reply> {
        self.say(app, Word::Fulfil { request: asked.request, calls: None })
    }

    pub fn lose(&mut self, app: App) {
        if let Some(open) = self.open.get_mut(&app.caller.uid) {
            open.retain(|a| a.provider != app.id);
        }
        self.handle(Input::PeerLost { peer: app.caller.peer }).unwrap();
    }

    /// Answers the reconciliation with these calls.
    pub fn reconcile(&mut self, app: App, calls: &[(u128, CallState)]) {
        let asked = self.ignore(app, "Reconcile");
        let claims = calls.iter().map(|(n, state)| Claim { uuid: uuid(*n), state: *state });
        let calls = Some(claims.collect());
        self.say(app, Word::Fulfil { request: asked.request, calls }).unwrap();
    }

    /// How a call ended.
    pub fn end_of(&self, n: u128) -> Option<EndReason> {
        let ended = |e: &Effect| match e {
            Effect::Logged(Event {
                call: Some(call),
                what: Happening::Transition { new: CallState::Ended, reason, .. },
                ..
            }) if *call == uuid(n) => EndReason::ALL.into_iter().find(|r| r.name() == *reason),
            _ => None,
        };
        self.effects.iter().rev().find_map(ended)
    }

    /// An agent of this user that holds these roles.
    pub fn agent(&mut self, uid: Uid, roles: &[Role]) -> Caller {
        let caller = self.caller(uid);
        self.handle(Input::TakeRoles { caller, roles: roles.to_vec() }).unwrap();
        caller
    }

    /// What this agent was asked since effects were last taken, in order.
    pub fn errands(&self, agent: Caller) -> Vec<(RequestId, AgentAsk)> {
        let asked = |e: &Effect| match e {
            Effect::AskAgent { peer, request, ask, .. } if *peer == agent.peer => {
                Some((*request, ask.clone()))
            }
            _ => None,
        };
        self.effects.iter().filter_map(asked).collect()
    }

    pub fn agent_says(
        &mut self,
        agent: Caller,
        request: RequestId,
        answer: AgentAnswer,
    ) -> Result<Reply> {
        self.handle(Input::AgentReply { caller: agent, request, answer })
    }

    /// The names of the calls that are over and can be explained, the oldest first.
    pub fn over(&self, uid: Uid) -> Vec<RecordId> {
        let over = self.arbiter.domain(uid).into_iter().flat_map(Domain::all_over);
        let name = |(call, over): (CallId, &Over)| {
            RecordId::parse(&format!("{}.{}.{}", over.uuid, over.created_at, call.0))
        };
        over.map(|it| name(it).expect("a name")).collect()
    }

    /// The refusal in an outcome.
    pub fn error(&self, uid: Uid, id: TransactionId, at: usize) -> Option<Error> {
        let step = &self.transaction(uid, id).actions[at];
        step.outcome.as_ref().and_then(Outcome::refusal).map(|r| r.error)
    }

    /// This input is refused so, in words that contain `about`, and nothing changes.
    pub fn refused(&mut self, input: Input, error: Error, about: &str) {
        let uids: Vec<Uid> = [ALICE, BOB].into_iter().collect();
        let seen = |w: &World| -> Vec<_> {
            let domains = uids.iter().filter_map(|u| w.arbiter.domain(*u));
            domains.map(|d| (d.revision(), d.usage(), d.audio().clone(), d.focus())).collect()
        };
        let (before, effects, open) = (seen(self), self.effects.len(), self.open.clone());
        match self.handle(input) {
            Err(refusal) => {
                assert_eq!(refusal.error, error, "{}", refusal.message);
                assert!(refusal.message.contains(about), "{}", refusal.message);
            }
            Ok(reply) => panic!("accepted: {reply:?}"),
        }
        assert_eq!(self.effects.len(), effects, "{:?}", &self.effects[effects..]);
        assert_eq!((before, open), (seen(self), self.open.clone()));
    }

    /// Some controller's request is refused so.
    pub fn refused_request(&mut self, actions: Vec<Action>, error: Error, about: &str) {
        let caller = self.caller(ALICE);
        let actions =
            actions.into_iter().map(|action| Requested { action, expected: None }).collect();
        self.refused(Input::Request { caller, actions, token: None }, error, about);
    }

    pub fn refused_word(&mut self, app: App, word: Word, error: Error, about: &str) {
        let input = Input::Provider { caller: app.caller, provider: app.id, word };
        self.refused(input, error, about);
    }
}
