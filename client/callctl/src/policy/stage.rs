//! A scenario on the core itself: a clock that jumps, apps that do at once what they are asked.
//!
//! Owns what the sentences mean to the core, and what is told of its decisions.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use callarbiter_config::{preferences, zone};
use callarbiter_core::{
    Action, AgentAnswer, AgentAsk, AppIdSource, Arbiter, Ask, AuthorizationPolicy, CallId, CallRef,
    CallState, Caller, Change, Configuration, Effect, EndReason, Error, Input, Now, Object, Peer,
    Private, ProviderId, Registration, Reply, RequestId, Requested, Role, Settings, Time, Uid,
    Update, Word,
};
use uuid::Uuid;

use super::scenario::{Sentence, Wish};
use crate::failure::Failure;

const USER: Uid = Uid(1000);
const SOMEBODY_ELSE: Uid = Uid(1001);
const SEAT: &str = "seat0";
/// The connection of the agent that has the address book.
const ADDRESS_BOOK: u64 = 3;
const DAY: i64 = 86_400;
/// 30 November 2026, a Monday, if a scenario gives no date.
const SOME_DAY: i64 = 20_787;

pub struct Stage {
    arbiter: Arbiter,
    now: Now,
    /// The day that the scenario is in, and how late it is.
    day: i64,
    seconds: i64,
    apps: BTreeMap<String, (ProviderId, Caller)>,
    /// What was said of each call last, also of those that are over.
    calls: BTreeMap<u32, Seen>,
    /// Apps that cannot hold, and whom the address book has.
    stubborn: BTreeSet<ProviderId>,
    known: BTreeMap<String, bool>,
    told: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    id: Option<CallId>,
    app: String,
    state: String,
    silenced: String,
    rules: Vec<String>,
}

impl Stage {
    /// Every line in its order, and what was decided; the first that is wrong, or that expects something else, fails.
    pub fn play(
        file: &Path,
        settings: Settings,
        preferences: Option<&Path>,
    ) -> (Vec<String>, Result<(), Failure>) {
        let mut stage = Stage::empty(settings);
        let played = stage.through(file, preferences);
        (stage.told, played)
    }

    fn empty(mut settings: Settings) -> Stage {
        // Whoever tries a rule out has allowed its app.
        settings.policy.authorization = AuthorizationPolicy::Allow;
        let mut stage = Stage {
            arbiter: Arbiter::new(settings),
            now: Now::default(),
            day: SOME_DAY,
            seconds: 12 * 3600,
            apps: BTreeMap::new(),
            calls: BTreeMap::new(),
            stubborn: BTreeSet::new(),
            known: BTreeMap::new(),
            told: Vec::new(),
        };
        stage.move_clock();
        stage
    }

    fn through(&mut self, file: &Path, preferences: Option<&Path>) -> Result<(), Failure> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::refused(format!("{}: {error}", file.display())))?;
        if let Some(preferences) = preferences {
            self.prefer(preferences)?;
        }
        for (at, line) in text.lines().enumerate() {
            let place = |why| Failure::refused(format!("{}:{}: {why}", file.display(), at + 1));
            if let Some(sentence) = Sentence::read(line).map_err(place)? {
                self.perform(sentence).map_err(place)?;
            }
        }
        Ok(())
    }

    /// As the agent tells of the file, and the daemon takes it.
    fn prefer(&mut self, file: &Path) -> Result<(), Failure> {
        let (written, _) =
            preferences::read(file).map_err(|error| Failure::refused(error.to_string()))?;
        let (choices, rules) = written.to_wire();
        let place = |why| Failure::refused(format!("{}: {why}", file.display()));
        let taken = preferences::from_wire(&choices, &rules);
        let (_, preferences) = taken.map_err(|error| place(error.message))?;
        let caller = caller(1);
        let roles = Input::TakeRoles { caller, roles: vec![Role::Preferences] };
        let prefer = Input::SetPreferences { caller, preferences };
        [roles, prefer].into_iter().try_for_each(|input| self.input(input).map(drop)).map_err(place)
    }

    fn perform(&mut self, sentence: Sentence) -> Result<(), String> {
        match sentence {
            Sentence::Zone(name) => {
                let mut settings = self.arbiter.settings().clone();
                let around = self.day * DAY;
                settings.zone = zone::of(&name, around).map_err(|why| format!("{name}: {why}"))?;
                self.input(Input::Settings(Box::new(settings)))?;
                self.move_clock();
            }
            Sentence::Date { days } => {
                self.day = days;
                self.move_clock();
            }
            Sentence::At { seconds } => {
                if seconds < self.seconds {
                    self.day += 1;
                }
                self.seconds = seconds;
                self.move_clock();
                self.pass()?;
            }
            Sentence::Locked(locked) => {
                self.input(Input::Locked { uid: USER, locked })?;
            }
            Sentence::DoNotDisturb(mode) => {
                let caller = caller(1);
                self.input(Input::TakeRoles { caller, roles: vec![Role::Dnd] })?;
                self.input(Input::SetDoNotDisturb { caller, mode, allow: Vec::new() })?;
            }
            Sentence::Foreground(here) => {
                let seat: Arc<str> = SEAT.into();
                self.input(Input::Seats { uid: USER, seats: vec![seat.clone()] })?;
                let uid = if here { USER } else { SOMEBODY_ELSE };
                self.input(Input::Foreground { seat, uid: Some(uid) })?;
            }
            Sentence::Known { handle, known } => {
                let roles = vec![Role::Contacts];
                self.input(Input::TakeRoles { caller: caller(ADDRESS_BOOK), roles })?;
                self.known.insert(key(&handle), known);
            }
            Sentence::Holds { app, can } => {
                let (provider, _) = self.app(&app)?;
                match can {
                    true => self.stubborn.remove(&provider),
                    false => self.stubborn.insert(provider),
                };
            }
            Sentence::Starts { call, handle, app } => self.start(call, handle, app)?,
            Sentence::Answers { call } => {
                let app = self.app_of(call)?;
                let (state, uuid) = (Some(CallState::Active), uuid(call));
                self.word(&app, Word::State { uuid, state, remote_held: None })?;
            }
            Sentence::Reports { app, call, handle } => self.report(&app, call, handle)?,
            Sentence::Wants { what, call } => self.want(what, call)?,
            Sentence::HangsUp { call } => {
                let app = self.app_of(call)?;
                let (reason, detail) = (EndReason::RemoteEnded, Private::default());
                self.word(&app, Word::Ended { uuid: uuid(call), reason, detail })?;
            }
            Sentence::Expect { call, state, silenced, rule } => {
                self.expect(call, &state, silenced.as_deref(), rule.as_deref())?;
            }
        }
        Ok(())
    }

    fn report(&mut self, app: &str, call: u32, handle: Private) -> Result<(), String> {
        self.calls.insert(call, Seen { app: app.to_owned(), ..Seen::default() });
        let update = Update { handle: Some(handle), ..Update::default() };
        let reply = self.word(app, Word::Incoming { uuid: uuid(call), update })?;
        if let Reply::Filtered(_, why) = reply {
            self.tell(format!("{app} is told {:?}: {}", why.error, why.message));
        }
        Ok(())
    }

    fn app_of(&self, call: u32) -> Result<String, String> {
        let seen = self.calls.get(&call).ok_or_else(|| format!("nobody reported call {call}"))?;
        Ok(seen.app.clone())
    }

    /// Through an app that is named, or through the one that the arbiter chooses of those that were named before.
    fn start(&mut self, call: u32, handle: Private, app: Option<String>) -> Result<(), String> {
        if let Some(app) = &app {
            self.app(app)?;
        }
        self.calls.insert(call, Seen { app: app.clone().unwrap_or_default(), ..Seen::default() });
        let provider = app.as_deref().map(Arc::from);
        let action = Action::Start { uuid: uuid(call), handle, provider, video: false };
        self.request(call, action);
        let domain = self.arbiter.domain(USER);
        let placed = domain.and_then(|domain| domain.find(CallRef::Uuid(uuid(call))));
        let by = placed.and_then(|placed| {
            self.apps.iter().find(|(_, (id, _))| *id == placed.provider).map(|(app, _)| app.clone())
        });
        if let (Some(by), Some(seen)) = (by, self.calls.get_mut(&call)) {
            seen.app = by;
        }
        Ok(())
    }

    fn want(&mut self, what: Wish, call: u32) -> Result<(), String> {
        let of = CallRef::Uuid(uuid(call));
        let action = match what {
            Wish::Answer => Action::Answer { call: of },
            Wish::End => Action::End { call: of, reason: None, message: Private::default() },
            Wish::Hold => Action::SetHeld { call: of, held: true },
            Wish::Unhold => Action::SetHeld { call: of, held: false },
        };
        self.request(call, action);
        Ok(())
    }

    fn request(&mut self, call: u32, action: Action) {
        let actions = vec![Requested { action, expected: None }];
        let requested = self.input(Input::Request { caller: caller(2), actions, token: None });
        if let Err(why) = requested {
            self.tell(format!("call {call}: refused: {why}"));
        }
    }

    fn word(&mut self, app: &str, word: Word) -> Result<Reply, String> {
        let (provider, caller) = self.app(app)?;
        self.input(Input::Provider { caller, provider, word })
    }

    /// An app, which registers when it is named first.
    fn app(&mut self, app: &str) -> Result<(ProviderId, Caller), String> {
        match self.apps.get(app).copied() {
            Some(known) => Ok(known),
            None => {
                let caller = caller(10 + self.apps.len() as u64);
                let registration = Registration {
                    app: app.into(),
                    source: AppIdSource::Declared,
                    instance: "".into(),
                    configuration: Configuration::default(),
                    preset: None,
                };
                let Reply::Provider(id) = self.input(Input::Register { caller, registration })?
                else {
                    return Err(format!("{app} cannot register"));
                };
                self.apps.insert(app.to_owned(), (id, caller));
                Ok((id, caller))
            }
        }
    }

    /// Deadlines in their order, up to the present.
    fn pass(&mut self) -> Result<(), String> {
        let until = self.now;
        while let Some((at, _)) = self.arbiter.next_deadline().filter(|(at, _)| *at <= until.mono) {
            self.now.wall = until.wall - (until.mono.0 - at.0.min(until.mono.0));
            self.now.mono = at;
            self.input(Input::Tick)?;
        }
        self.now = until;
        Ok(())
    }

    fn input(&mut self, input: Input) -> Result<Reply, String> {
        let mut effects = Vec::new();
        let reply = self.arbiter.handle(self.now, input, &mut effects);
        self.look(&effects);
        for effect in effects {
            match effect {
                Effect::Ask { provider, request, ask, .. } => self.obey(provider, request, &ask)?,
                Effect::AskAgent { request, ask: AgentAsk::LookUp { handle, .. }, .. } => {
                    self.look_up(request, &handle)?;
                }
                _ => {}
            }
        }
        reply.map_err(|refusal| refusal.message)
    }

    /// An app does at once what it is asked.
    fn obey(&mut self, provider: ProviderId, request: RequestId, ask: &Ask) -> Result<(), String> {
        let app = self.apps.values().find(|(id, _)| *id == provider).copied();
        let Some((provider, caller)) = app else { return Ok(()) };
        if matches!(ask, Ask::Reconcile { .. }) {
            return Ok(());
        }
        let word = match ask {
            Ask::SetHeld { .. } if self.stubborn.contains(&provider) => Word::Fail {
                request,
                error: Error::ActionFailed,
                message: "the app holds no call".into(),
            },
            _ => Word::Fulfil { request, calls: None },
        };
        self.input(Input::Provider { caller, provider, word }).map(|_| ())
    }

    /// The address book answers at once; whom no line made known is not in it.
    fn look_up(&mut self, request: RequestId, handle: &Private) -> Result<(), String> {
        let known = self.known.get(&key(handle)).copied().unwrap_or_default();
        let name = known.then(|| Private::from("somebody"));
        let answer = AgentAnswer { name, ..AgentAnswer::default() };
        let caller = caller(ADDRESS_BOOK);
        self.input(Input::AgentReply { caller, request, answer }).map(drop)
    }

    /// Remembers what can be seen of each call, and tells what is new.
    fn look(&mut self, effects: &[Effect]) {
        let mut lines = Vec::new();
        let Some(domain) = self.arbiter.domain(USER) else { return };
        let touched = |id: CallId| {
            effects.iter().any(|effect| match effect {
                Effect::Publish { change, .. } => match change {
                    Change::Added(object) | Change::Removed(object) => *object == Object::Call(id),
                    Change::Changed(object, _) => *object == Object::Call(id),
                    Change::Transition { call, .. } => *call == id,
                    _ => false,
                },
                _ => false,
            })
        };
        for (number, seen) in &mut self.calls {
            let live = domain.find(CallRef::Uuid(uuid(*number)));
            let call = live.or_else(|| domain.call(seen.id?));
            let over = effects.iter().find_map(|effect| match effect {
                Effect::Publish { change: Change::Removed(Object::Call(id)), .. } => {
                    domain.call(*id).filter(|call| call.uuid == uuid(*number))
                }
                _ => None,
            });
            let Some(call) = call.or(over) else { continue };
            let before = seen.clone();
            seen.id = Some(call.id);
            seen.state = call.state.name().to_owned();
            seen.silenced = call.silenced.name().to_owned();
            let why = domain.why(call.id);
            let rule = |cause: callarbiter_core::WhyStep<'_>| {
                (cause.cause.name() == "rule").then(|| cause.text.reveal().to_owned())
            };
            if let Some(why) = why {
                seen.rules = why.steps().filter_map(rule).collect();
            }
            if !touched(call.id)
                || (&before.state, &before.silenced, &before.rules)
                    == (&seen.state, &seen.silenced, &seen.rules)
            {
                continue;
            }
            let silenced = match &*seen.silenced {
                "" => String::new(),
                silenced => format!(", silenced {silenced}"),
            };
            let by = match seen.rules.is_empty() {
                true => String::new(),
                false => format!(", by {}", seen.rules.join(" and ")),
            };
            let end = call.end.as_ref().map(|end| format!(" ({})", end.reason.name()));
            let end = end.unwrap_or_default();
            lines.push(format!("call {number}: {}{end}{silenced}{by}", seen.state));
        }
        lines.into_iter().for_each(|line| self.tell(line));
    }

    fn expect(
        &mut self,
        call: u32,
        state: &str,
        silenced: Option<&str>,
        rule: Option<&str>,
    ) -> Result<(), String> {
        let seen = self.calls.get(&call).ok_or_else(|| format!("nobody reported call {call}"))?;
        let mut wrong = Vec::new();
        if seen.state != state {
            wrong.push(format!("- {state}\n+ {}", seen.state));
        }
        if let Some(silenced) = silenced.filter(|silenced| *silenced != seen.silenced) {
            wrong.push(format!("- silenced {silenced}\n+ silenced {:?}", seen.silenced));
        }
        if let Some(rule) = rule.filter(|rule| !seen.rules.iter().any(|by| by == rule)) {
            wrong.push(format!("- by {rule}\n+ by {:?}", seen.rules));
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(format!("call {call} is not what is expected:\n{}", wrong.join("\n"))),
        }
    }

    fn tell(&mut self, what: String) {
        let moment = self.arbiter.settings().zone.moment(self.now.wall);
        let seconds = self.now.wall / 1_000_000 % 60;
        let (hours, minutes) = (moment.minute / 60, moment.minute % 60);
        self.told.push(format!("{hours:02}:{minutes:02}:{seconds:02} {what}"));
    }

    /// To the local time of the scenario; where clocks show it twice, the first.
    fn move_clock(&mut self) {
        let local = self.day * DAY + self.seconds;
        let zone = &self.arbiter.settings().zone;
        let ahead = |at: i64| {
            let passed = zone.changes.partition_point(|(since, _)| *since <= at);
            let change = passed.checked_sub(1).and_then(|last| zone.changes.get(last));
            i64::from(change.map_or(zone.ahead, |(_, ahead)| *ahead))
        };
        let utc = local - ahead(local - ahead(local));
        let wall = u64::try_from(utc).unwrap_or_default() * 1_000_000;
        let passed = wall.saturating_sub(self.now.wall);
        self.now = Now { mono: Time(self.now.mono.0 + passed.max(1)), wall };
    }
}

/// However it is written.
fn key(handle: &Private) -> String {
    callarbiter_core::handle_key(handle).reveal().to_owned()
}

fn caller(peer: u64) -> Caller {
    Caller {
        uid: USER,
        peer: Peer(peer),
        sandboxed: false,
        control: true,
        place_call: true,
        agent: true,
    }
}

fn uuid(call: u32) -> Uuid {
    Uuid::from_u128(call.into())
}
