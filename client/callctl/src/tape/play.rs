//! One core that hears a recording: what it decides at each input.
//!
//! Owns the comparison of two such cores. Under another configuration an app is asked other things: its recorded answers
//! go to the questions that are the same, and what only the other configuration asks it does at once.

use std::{collections::BTreeMap, sync::Arc};

use callarbiter_core::{
    AgentAsk, Arbiter, Ask, CallId, Caller, Contacts, Effect, Error, Input, Now, Peer, ProviderId,
    Reply, RequestId, Rule, Settings, Uid, Word, know_alike,
};

use super::{
    file::{Heard, Tape},
    tell::{self, Decision},
};
use crate::failure::Failure;

/// Answers to what only one configuration asks, at one input.
const AT_ONCE: usize = 64;

pub struct Player {
    pub arbiter: Arbiter,
    pub uid: Uid,
    /// The rules are not those of the recording.
    own_rules: bool,
    alike: Vec<(callarbiter_core::Private, callarbiter_core::Private)>,
    /// What was asked, each question in its order.
    asked: BTreeMap<Question, Vec<RequestId>>,
    questions: BTreeMap<RequestId, (Question, usize)>,
    /// How many causes of each call were told.
    told: BTreeMap<CallId, usize>,
}

/// What somebody is asked, whatever its number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    peer: Peer,
    provider: Option<ProviderId>,
    pub action: &'static str,
    about: String,
}

/// What came of one input.
#[derive(Debug, Default)]
pub struct Played {
    pub revision: u64,
    pub refused: Option<Error>,
    pub decisions: Vec<Decision>,
}

impl Played {
    /// Whether the same was decided; numbers of changes are no decisions.
    pub fn decides_like(&self, other: &Played) -> bool {
        let words = |played: &Played| -> Vec<String> {
            played.decisions.iter().map(|decision| decision.sentence.clone()).collect()
        };
        self.refused == other.refused && words(self) == words(other)
    }
}

impl Player {
    /// At the beginning of a recording, under its own rules or others.
    pub fn new(tape: &Tape, rules: Option<Settings>) -> Result<Player, Failure> {
        let own_rules = rules.is_some();
        let mut settings = match rules {
            Some(mut rules) => {
                mean_the_same(&mut rules, &tape.settings);
                rules
            }
            None => tape.settings.clone(),
        };
        know_alike(&mut settings.policy.rules, &tape.alike);
        let saved = tape.saved.iter().map(|record| (record.key, record.value.clone()));
        let mut arbiter = Arbiter::restore(settings, saved)
            .map_err(|unreadable| tape.unsound(&unreadable.to_string()))?;
        arbiter.remember(tape.uid, tape.uses.clone(), &tape.alike);
        let mut player = Player {
            arbiter,
            uid: tape.uid,
            own_rules,
            alike: tape.alike.clone(),
            asked: BTreeMap::new(),
            questions: BTreeMap::new(),
            told: BTreeMap::new(),
        };
        player.causes(&mut Vec::new());
        Ok(player)
    }

    /// What the recording says happened.
    pub fn play(&mut self, heard: &Heard) -> Played {
        let input = self.prepared(heard);
        self.input(heard.now, input)
    }

    fn prepared(&self, heard: &Heard) -> Input {
        let mut input = heard.input.clone();
        match &mut input {
            Input::Settings(settings) => know_alike(&mut settings.policy.rules, &self.alike),
            Input::SetPreferences { preferences, .. } => {
                know_alike(&mut preferences.rules, &self.alike);
            }
            _ => {}
        }
        input
    }

    /// The same where `first` played it already, under other rules.
    pub fn play_instead(&mut self, heard: &Heard, first: &Player, played: &Played) -> Played {
        let mut input = self.prepared(heard);
        if self.own_rules && matches!(input, Input::Settings(_)) {
            return Played {
                refused: played.refused,
                decisions: played.decisions.clone(),
                ..Played::default()
            };
        }
        let request = match &mut input {
            Input::Provider { word: Word::Fulfil { request, .. }, .. }
            | Input::Provider { word: Word::Fail { request, .. }, .. }
            | Input::Provider { word: Word::Progress { request, .. }, .. }
            | Input::AgentReply { request, .. } => Some(request),
            _ => None,
        };
        if let Some(request) = request {
            match first.questions.get(request).map(|(question, at)| self.asked_as(question, *at)) {
                Some(Some(own)) => *request = own,
                Some(None) => {
                    let refused = Some(Error::InvalidArgument);
                    return Played {
                        refused,
                        decisions: vec![tell::not_asked()],
                        ..Played::default()
                    };
                }
                // It was asked before the recording began, or by nobody.
                None => {}
            }
        }
        let before = self.questions.keys().next_back().copied();
        let mut all = self.input(heard.now, input);
        for _ in 0..AT_ONCE {
            let new = self.questions.iter().filter(|(id, _)| Some(**id) > before);
            let only_here = |(_, (question, at)): &(&RequestId, &(Question, usize))| {
                question.provider.is_some()
                    && question.action != "Reconcile"
                    && first.asked_as(question, *at).is_none()
            };
            let Some((id, (question, at))) =
                new.filter(only_here).map(|(id, asked)| (*id, asked.clone())).next()
            else {
                break;
            };
            let Some(provider) = question.provider else { break };
            let (uid, peer) = (self.uid, question.peer);
            let caller = Caller {
                uid,
                peer,
                sandboxed: false,
                control: true,
                place_call: true,
                agent: false,
            };
            let word = Word::Fulfil { request: id, calls: None };
            all.decisions.push(tell::at_once(question.action));
            let more = self.input(heard.now, Input::Provider { caller, provider, word });
            all.decisions.extend(more.decisions);
            all.revision = more.revision;
            // Answered: not looked at again.
            self.questions.remove(&id);
            if let Some(own) = self.asked.get_mut(&question).and_then(|all| all.get_mut(at)) {
                *own = id;
            }
        }
        all
    }

    /// What a recorded answer answers.
    pub fn question(&self, request: RequestId) -> Option<&Question> {
        self.questions.get(&request).map(|(question, _)| question)
    }

    fn asked_as(&self, question: &Question, at: usize) -> Option<RequestId> {
        self.asked.get(question)?.get(at).copied()
    }

    fn input(&mut self, now: Now, input: Input) -> Played {
        let mut effects = Vec::new();
        let reply = self.arbiter.handle(now, input, &mut effects);
        for effect in &effects {
            if let Some((question, request)) = question(effect) {
                let all = self.asked.entry(question.clone()).or_default();
                self.questions.insert(request, (question, all.len()));
                all.push(request);
            }
        }
        let domain = self.arbiter.domain(self.uid);
        let mut decisions: Vec<Decision> =
            effects.iter().filter_map(|effect| tell::decision(domain, effect)).collect();
        if let Ok(Reply::Filtered(_, refusal)) = &reply {
            decisions.push(tell::filtered(refusal.error));
        }
        self.causes(&mut decisions);
        Played {
            revision: self.arbiter.domain(self.uid).map_or(0, |domain| domain.revision()),
            refused: reply.err().map(|refusal| refusal.error),
            decisions,
        }
    }

    /// Causes that were not told yet.
    fn causes(&mut self, decisions: &mut Vec<Decision>) {
        let Some(domain) = self.arbiter.domain(self.uid) else { return };
        let live = domain.calls().map(|call| (call.id, call.uuid));
        let over = domain.all_over().map(|(id, over)| (id, over.uuid));
        let mut told = BTreeMap::new();
        for (id, uuid) in live.chain(over) {
            let Some(why) = domain.why(id) else { continue };
            let steps: Vec<_> = why.steps().collect();
            let count = steps.len() + why.dropped() as usize;
            let new = count.saturating_sub(self.told.get(&id).copied().unwrap_or_default());
            let new = steps.len().saturating_sub(new)..;
            let causes = steps.get(new).unwrap_or_default();
            decisions.extend(causes.iter().map(|step| tell::because(domain, uuid, step)));
            told.insert(id, count);
        }
        self.told = told;
    }
}

/// A recording names no handles: a rule that has the name of a recorded one, and as many handles, means the same.
fn mean_the_same(rules: &mut Settings, recorded: &Settings) {
    let handles = |rule: &Rule| -> Vec<Contacts> {
        let of = rule.when.contacts.iter();
        of.filter(|contact| matches!(contact, Contacts::Handle(_))).cloned().collect()
    };
    let mut own = rules.policy.rules.to_vec();
    for rule in &mut own {
        let Some(known) = recorded.policy.rules.iter().find(|known| known.name == rule.name) else {
            continue;
        };
        let (known, count) = (handles(known), handles(rule).len());
        if known.len() == count {
            rule.when.contacts.retain(|contact| !matches!(contact, Contacts::Handle(_)));
            rule.when.contacts.extend(known);
        }
    }
    rules.policy.rules = Arc::from(own);
}

fn question(effect: &Effect) -> Option<(Question, RequestId)> {
    match effect {
        Effect::Ask { peer, provider, request, ask, .. } => {
            let (peer, provider) = (*peer, Some(*provider));
            Some((Question { peer, provider, action: ask.action(), about: about(ask) }, *request))
        }
        Effect::AskAgent { peer, request, ask, .. } => {
            let (peer, action, about) = (*peer, ask.role().name(), agents(ask));
            Some((Question { peer, provider: None, action, about }, *request))
        }
        _ => None,
    }
}

fn about(ask: &Ask) -> String {
    match ask {
        Ask::Start { uuid, .. }
        | Ask::Answer { uuid }
        | Ask::End { uuid, .. }
        | Ask::PlayDtmf { uuid, .. } => uuid.to_string(),
        Ask::SetHeld { uuid, held: on }
        | Ask::SetMuted { uuid, muted: on }
        | Ask::SetVideo { uuid, video: on } => format!("{uuid} {on}"),
        Ask::SetGroup { uuid, with } => format!("{uuid} {with:?}"),
        Ask::Transaction(steps) => steps.iter().map(about).collect::<Vec<_>>().join(" "),
        Ask::AudioActivated { uuids, .. } | Ask::AudioDeactivated { uuids, .. } => {
            format!("{uuids:?}")
        }
        Ask::Reconcile { .. } => String::new(),
    }
}

fn agents(ask: &AgentAsk) -> String {
    match ask {
        AgentAsk::Consent { app, .. } => app.to_string(),
        AgentAsk::Launch { call, .. }
        | AgentAsk::LookUp { call, .. }
        | AgentAsk::Screen { call, .. } => call.to_string(),
        AgentAsk::SelectEndpoint { endpoint } => endpoint.to_string(),
        _ => String::new(),
    }
}
