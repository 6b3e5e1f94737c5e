//! A domain: one user's calls, providers, groups, transactions and audio. Nothing crosses.
//!
//! Owns the data and how readers see it. What happens to it is decided in the modules beside this
//! one, each an `impl Domain` about one subject; what changed in a turn is collected in
//! [`crate::turn`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AudioSession, Call, CallId, CallRef, CallState, DoNotDisturb, Group, GroupId, Millis, Now,
    Object, Peer, Preferences, Provider, ProviderId, Record, RequestId, Role, Settings,
    Transaction, TransactionId, Uid,
    batch::Batch,
    choice::Uses,
    consent::Decision,
    enforce::Enforcement,
    errand::Errand,
    focus::Vacated,
    index::Index,
    kept::{Kept, Whole},
    lane::Lane,
    memory::{Tokens, Tombstones},
    quiet::{Allowed, Suppressed},
    record::Recording,
    request::{Past, Request},
    saved::Written,
    timers::{Due, Timers},
    turn::Turn,
    why::Whys,
};

/// One user's state. What was removed can be read until the next input.
#[derive(Debug, Default)]
pub struct Domain {
    pub(crate) uid: Uid,
    pub(crate) settings: Arc<Settings>,
    pub(crate) now: Now,
    pub(crate) revision: u64,
    pub(crate) providers: Kept<ProviderId, Provider>,
    pub(crate) calls: Kept<CallId, Call>,
    pub(crate) by_uuid: BTreeSet<(Uuid, CallId)>,
    pub(crate) groups: Kept<GroupId, Group>,
    pub(crate) transactions: Kept<TransactionId, Transaction>,
    pub(crate) unfinished: u32,
    pub(crate) lane: Lane,
    pub(crate) focus: Option<GroupId>,
    pub(crate) vacated: Option<Vacated>,
    pub(crate) audio: AudioSession,
    /// The provider was told that these have the audio; and the request that waits for its word.
    pub(crate) audio_told: Option<(ProviderId, Vec<Uuid>)>,
    pub(crate) audio_request: Option<RequestId>,
    pub(crate) enforcement: Whole<Enforcement>,
    pub(crate) requests: Kept<RequestId, Request>,
    pub(crate) past: Kept<u64, Past>,
    pub(crate) batches: Kept<u32, Batch>,
    pub(crate) timers: Timers,
    pub(crate) tombstones: Tombstones,
    pub(crate) tokens: Tokens,
    pub(crate) desktop: Whole<Desktop>,
    pub(crate) allowed: Whole<Allowed>,
    /// The user's own rules and choices.
    pub(crate) preferences: Whole<Preferences>,
    /// Calls that were not to disturb, the oldest first.
    pub(crate) suppressed: Kept<u64, Suppressed>,
    /// What the user said about apps, the oldest first.
    pub(crate) decisions: Kept<u64, Decision>,
    pub(crate) errands: Kept<RequestId, Errand>,
    /// Calls that are over and not in the user's history yet, the oldest first.
    pub(crate) records: Kept<u64, Record>,
    pub(crate) recording: Whole<Recording>,
    /// Calls of which another contact may be known than was last written.
    pub(crate) contacts_changed: Vec<CallId>,
    /// Why each call is what it is.
    pub(crate) whys: Whys,
    pub(crate) next: Next,
    /// Derived from the maps above.
    pub(crate) index: Index,
    pub(crate) turn: Turn,
    pub(crate) uses: Uses,
    pub(crate) written: Written,
}

/// What the desktop says; saved as a whole, so it changes by the rule of [`callarbiter_records`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Desktop {
    pub roles: BTreeMap<Role, Vec<Peer>>,
    pub do_not_disturb: DoNotDisturb,
    pub seats: Vec<Arc<str>>,
    pub background: bool,
    pub suspended: bool,
    /// Another domain of the seat still has the audio.
    pub audio_gate: bool,
    #[serde(default)]
    pub locked: bool,
}

/// Numbers that were never used.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Next {
    pub provider: u32,
    pub call: u32,
    pub group: u32,
    pub transaction: u32,
    pub request: u64,
    pub batch: u32,
    pub held: u64,
}

impl Next {
    pub fn provider(&mut self) -> ProviderId {
        self.provider += 1;
        ProviderId(self.provider)
    }
    pub fn call(&mut self) -> CallId {
        self.call += 1;
        CallId(self.call)
    }
    pub fn group(&mut self) -> GroupId {
        self.group += 1;
        GroupId(self.group)
    }
    pub fn transaction(&mut self) -> TransactionId {
        self.transaction += 1;
        TransactionId(self.transaction)
    }
    pub fn request(&mut self) -> RequestId {
        self.request += 1;
        RequestId(self.request)
    }
    pub fn batch(&mut self) -> u32 {
        self.batch += 1;
        self.batch
    }
    pub fn held(&mut self) -> u64 {
        self.held += 1;
        self.held
    }
    /// Whether this request was ever made.
    pub fn knows(&self, request: RequestId) -> bool {
        (1..=self.request).contains(&request.0)
    }
}

impl Domain {
    pub(crate) fn new(uid: Uid, settings: Arc<Settings>) -> Self {
        Domain { uid, settings, ..Domain::default() }
    }

    /// The number of the last change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Live calls, in the order of their numbers.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.values()
    }

    /// One call.
    pub fn call(&self, id: CallId) -> Option<&Call> {
        self.calls.get(&id).or_else(|| self.turn.gone_calls.iter().find(|c| c.id == id))
    }

    /// A live call by what the bus calls it; none where two are meant.
    pub fn find(&self, call: CallRef) -> Option<&Call> {
        match call {
            CallRef::Id(id) => self.calls.get(&id),
            CallRef::Of(provider, uuid) => self.of_uuid(uuid).find(|c| c.provider == provider),
            CallRef::Uuid(uuid) => {
                let mut found = self.of_uuid(uuid);
                let first = found.next()?;
                found.next().is_none().then_some(first)
            }
        }
    }

    /// Providers, those in their grace included.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.providers.values()
    }

    /// One provider.
    pub fn provider(&self, id: ProviderId) -> Option<&Provider> {
        self.providers.get(&id).or_else(|| self.turn.gone_providers.iter().find(|p| p.id == id))
    }

    /// Groups, in the order of their numbers.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// One group.
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(&id).or_else(|| self.turn.gone_groups.iter().find(|g| g.id == id))
    }

    /// The state of a group in one word: that of its most engaged call.
    pub fn group_state(&self, id: GroupId) -> &'static str {
        let engaged = |call: &Call| match call.state {
            CallState::Active => 3,
            s if s.is_dialing() || s == CallState::Starting => 2,
            CallState::Held => 1,
            _ => 0,
        };
        match self.members(id).map(engaged).max() {
            Some(3) => "active",
            Some(2) => "dialing",
            Some(1) => "held",
            _ => "ending",
        }
    }

    /// Transactions that can be read.
    pub fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.transactions.values()
    }

    /// One transaction.
    pub fn transaction(&self, id: TransactionId) -> Option<&Transaction> {
        let gone = || self.turn.gone_transactions.iter().find(|t| t.id == id);
        self.transactions.get(&id).or_else(gone)
    }

    /// Who has the audio.
    pub fn audio(&self) -> &AudioSession {
        &self.audio
    }

    /// The group that has, or by right would have, the audio.
    pub fn focus(&self) -> Option<GroupId> {
        self.focus
    }

    /// What the desktop's do-not-disturb says.
    pub fn do_not_disturb(&self) -> DoNotDisturb {
        self.desktop.do_not_disturb
    }

    /// Whether this user has the seat, or needs none.
    pub fn is_foreground(&self) -> bool {
        !self.desktop.background
    }

    /// How many there are of what is bounded.
    pub fn usage(&self) -> [(&'static str, u32); 4] {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        [
            ("calls", count(self.calls.len())),
            ("providers", count(self.providers.len())),
            ("transactions", self.unfinished),
            ("tombstones", count(self.tombstones.len())),
        ]
    }

    /// The first deadline.
    pub fn next_deadline(&self) -> Option<(crate::Time, Due)> {
        self.timers.next()
    }

    pub(crate) fn of_uuid(&self, uuid: Uuid) -> impl Iterator<Item = &Call> {
        self.by_uuid
            .range((uuid, CallId(0))..=(uuid, CallId(u32::MAX)))
            .filter_map(|(_, id)| self.calls.get(id))
    }

    pub(crate) fn members(&self, group: GroupId) -> impl Iterator<Item = &Call> {
        let calls = self.groups.get(&group).map(|g| g.calls.as_slice()).unwrap_or_default();
        calls.iter().filter_map(|id| self.calls.get(id))
    }

    pub(crate) fn calls_of(&self, provider: ProviderId) -> impl Iterator<Item = &Call> {
        self.calls.values().filter(move |c| c.provider == provider)
    }

    pub(crate) fn call_ids_of(&self, provider: ProviderId) -> Vec<CallId> {
        self.calls_of(provider).map(|c| c.id).collect()
    }

    /// A call that is about to change: it will be published if it differs afterwards.
    pub(crate) fn call_mut(&mut self, id: CallId) -> Option<&mut Call> {
        let call = self.calls.get_mut(&id)?;
        self.turn.touch_call(call);
        Some(call)
    }

    /// A provider that is about to change.
    pub(crate) fn provider_mut(&mut self, id: ProviderId) -> Option<&mut Provider> {
        let provider = self.providers.get_mut(&id)?;
        self.turn.touch_provider(provider);
        Some(provider)
    }

    /// A group that is about to change, by itself or through one of its calls.
    pub(crate) fn group_mut(&mut self, id: GroupId) -> Option<&mut Group> {
        self.turn.touch(Object::Group(id));
        self.groups.get_mut(&id)
    }

    /// How long this provider has for an action.
    pub(crate) fn allowed(&self, ask: &crate::Ask, tones: Millis) -> Millis {
        use crate::Ask::*;
        let d = &self.settings.deadlines;
        match ask {
            Start { .. } => d.start,
            Answer { .. } => d.answer,
            End { .. } => d.end,
            SetHeld { .. } => d.set_held,
            PlayDtmf { .. } => Millis(d.play_dtmf.0.saturating_add(tones.0)),
            Transaction(steps) => {
                let longest = steps.iter().map(|s| self.allowed(s, tones).0).max();
                Millis(longest.unwrap_or(d.other.0))
            }
            AudioActivated { .. } => d.audio_grant,
            AudioDeactivated { .. } => d.audio_release,
            SetMuted { .. } | SetGroup { .. } | SetVideo { .. } | Reconcile { .. } => d.other,
        }
    }
}
