//! What effects must obey whatever happens, seen from outside.
//!
//! Owns ledgers: requests to providers and agents, the audio of each user, accepted transactions. None of
//! them looks into the core.

use std::collections::{BTreeMap, BTreeSet};

use callarbiter_core::*;

use super::history::History;

/// A group's app was told that it has the audio.
#[derive(Debug)]
struct Grant {
    provider: ProviderId,
    generation: u64,
    /// It was asked to stop.
    release: Option<RequestId>,
}

#[derive(Default)]
pub struct Laws {
    attached: BTreeMap<(Uid, ProviderId), Peer>,
    asked: BTreeSet<(Uid, RequestId)>,
    grants: BTreeMap<Uid, Grant>,
    generations: BTreeMap<Uid, u64>,
    /// What the agent of a user who has one was told last about the audio.
    pictures: BTreeMap<Uid, (Peer, AudioPicture)>,
    /// Requests to agents for which somebody waits.
    awaited: BTreeSet<(Uid, RequestId)>,
    /// Calls whose apps wait for what screeners say.
    screened: BTreeSet<(Uid, CallId)>,
    accepted: BTreeSet<(Uid, TransactionId)>,
    finished: BTreeSet<(Uid, TransactionId)>,
    seats: BTreeMap<Uid, bool>,
    pub history: History,
}

impl Laws {
    pub fn attached(&mut self, uid: Uid, provider: ProviderId, peer: Peer) {
        self.attached.insert((uid, provider), peer);
    }

    /// Nothing may be asked of it from now on, and its audio is over.
    pub fn detached(&mut self, peer: Peer) {
        self.pictures.retain(|_, (agent, _)| *agent != peer);
        let gone: Vec<_> =
            self.attached.iter().filter(|(_, p)| **p == peer).map(|(k, _)| *k).collect();
        for (uid, provider) in gone {
            self.attached.remove(&(uid, provider));
            if self.grants.get(&uid).is_some_and(|g| g.provider == provider) {
                self.grants.remove(&uid);
            }
        }
    }

    /// What was asked may be asked once more.
    pub fn restarted(&mut self) {
        self.asked.clear();
        self.awaited.clear();
    }

    pub fn seated(&mut self, uid: Uid, seated: bool) {
        self.seats.insert(uid, seated);
    }

    /// A provider answered.
    pub fn answered(&mut self, uid: Uid, request: RequestId) {
        if self.grants.get(&uid).is_some_and(|g| g.release == Some(request)) {
            self.grants.remove(&uid);
        }
    }

    pub fn accepted(&mut self, uid: Uid, transaction: TransactionId) {
        self.accepted.insert((uid, transaction));
    }

    /// A report is answered later.
    pub fn screening(&mut self, uid: Uid, call: CallId) {
        self.screened.insert((uid, call));
    }

    pub fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Ask { uid, peer, provider, request, ask, .. } => {
                let attached = self.attached.get(&(*uid, *provider));
                assert_eq!(attached, Some(peer), "{} asked of an app that is gone", ask.action());
                assert!(self.asked.insert((*uid, *request)), "asked twice");
                self.audio(*uid, *provider, *request, ask);
            }
            Effect::AskAgent { uid, peer, request, ask, .. } => {
                assert!(self.asked.insert((*uid, *request)), "asked twice");
                match ask {
                    AgentAsk::Audio(picture) => {
                        let having = picture.apps.iter().filter(|app| app.audio).count();
                        assert_eq!(having, usize::from(!picture.apps.is_empty()));
                        self.pictures.insert(*uid, (*peer, picture.clone()));
                    }
                    AgentAsk::SelectEndpoint { .. } => {
                        self.awaited.insert((*uid, *request));
                    }
                    _ => {}
                }
            }
            Effect::AgentAnswered { uid, request, .. } => {
                let awaited = self.awaited.remove(&(*uid, *request));
                // Those who waited for it may be gone with an arbiter that was before.
                assert!(awaited || !self.asked.contains(&(*uid, *request)), "answered twice");
            }
            Effect::Screened { uid, call, .. } => {
                assert!(self.screened.remove(&(*uid, *call)), "a verdict for which nobody waits");
            }
            Effect::RoleLost { uid, role: Role::Audio, .. } => {
                self.pictures.remove(uid);
            }
            Effect::TimedOut { uid, request, .. } => self.answered(*uid, *request),
            Effect::Finished { uid, transaction } => {
                assert!(self.finished.insert((*uid, *transaction)), "finished twice");
            }
            Effect::AuthorizationSet { uid, peer, provider, .. } => {
                assert_eq!(self.attached.get(&(*uid, *provider)), Some(peer));
            }
            Effect::Publish { .. }
            | Effect::RoleLost { .. }
            | Effect::RoleFree { .. }
            | Effect::Logged(_) => {}
        }
    }

    fn audio(&mut self, uid: Uid, provider: ProviderId, request: RequestId, ask: &Ask) {
        match ask {
            Ask::AudioActivated { uuids, generation } => {
                assert!(!uuids.is_empty(), "the audio for nobody");
                let mine = self.grants.get(&uid);
                if let Some(grant) = mine {
                    let same = (grant.provider, grant.generation) == (provider, *generation);
                    assert!(same && grant.release.is_none(), "two have the audio: {grant:?}");
                    return;
                }
                let last = self.generations.insert(uid, *generation).unwrap_or(0);
                assert!(last < *generation, "a generation came again");
                let seated = |uid: Uid| self.seats.get(&uid) == Some(&true);
                if seated(uid) {
                    let other = self.grants.keys().find(|other| **other != uid && seated(**other));
                    assert_eq!(other, None, "another user of the seat still has the audio");
                }
                if let Some((_, picture)) = self.pictures.get(&uid) {
                    assert_eq!(picture.generation, *generation, "others were not quietened first");
                    let quiet = picture.apps.iter().find(|app| app.audio).map(|app| app.provider);
                    assert_eq!(quiet, Some(provider), "others were quietened for somebody else");
                }
                let grant = Grant { provider, generation: *generation, release: None };
                self.grants.insert(uid, grant);
            }
            Ask::AudioDeactivated { generation, .. } => {
                let grant = self.grants.get_mut(&uid).expect("a release without a grant");
                assert_eq!((grant.provider, grant.generation), (provider, *generation));
                let before = grant.release.replace(request);
                assert!(before.is_none_or(|before| before == request), "released twice");
            }
            _ => {}
        }
    }

    /// After each turn: an effect says it finished, and only then it is.
    pub fn compare(&mut self, domain: &Domain, uid: Uid) {
        let screened = domain.calls().filter(|c| c.state == CallState::Screening);
        let waiting = self.screened.iter().filter(|(of, _)| *of == uid);
        assert!(screened.map(|c| (uid, c.id)).eq(waiting.copied()), "screened and waited for");
        for transaction in domain.transactions() {
            let key = (uid, transaction.id);
            if transaction.origin == Origin::Policy {
                let [step] = &transaction.actions[..] else { panic!("{transaction:?}") };
                assert!(
                    matches!(step.action, Action::Answer { .. }),
                    "a rule answers, and no more"
                );
                self.accepted.insert(key);
            }
            assert!(self.accepted.contains(&key), "a transaction nobody asked for");
            assert_eq!(transaction.finished, self.finished.contains(&key), "finished unsaid");
            let all = transaction.actions.iter().all(|s| s.outcome.is_some());
            assert_eq!(transaction.finished, all, "finished, or not: {transaction:?}");
        }
    }

    /// At rest everything that was accepted is finished, and nobody waits for an agent.
    pub fn all_finished(&self) {
        self.history.has_all();
        assert!(self.awaited.is_empty(), "an agent is waited for for ever");
        assert!(self.screened.is_empty(), "an app waits for a verdict for ever");
        assert_eq!(self.accepted, self.finished, "accepted and finished differ");
    }
}
