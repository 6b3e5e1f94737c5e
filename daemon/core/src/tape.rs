//! A tape: everything that the arbiter heard of one user's calls, written down so that it can be heard again.
//!
//! Owns the lines of a tape and how one is begun and played. The state comes first, as it is saved, then each input with
//! its time: the core is pure, so the same inputs have the same effects. What must not be told is replaced by whoever
//! writes ([`callarbiter_records::Words`]); here every text is as it is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    AgentAsk, Arbiter, Contacts, Error, Handles, Input, Peer, Private, Rule, SavedRecord, Settings,
    Time, Uid,
};

pub use crate::choice::Use;

/// One line; whoever writes it only has a look at its larger parts. New variants come last.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line<I = Box<Input>, S = Box<Settings>> {
    /// The first: whose tape it is, and the rules in force.
    Begin {
        /// The format of what follows: [`TAPE_VERSION`].
        version: u32,
        /// The version of the arbiter that wrote it.
        build: String,
        /// Whose calls.
        uid: Uid,
        /// When, by the clock that decides deadlines.
        mono: Time,
        /// When, in µs since the epoch.
        wall: u64,
        /// The number of the last change before.
        revision: u64,
        /// The rules.
        settings: S,
    },
    /// A part of the state at the beginning.
    Saved(SavedRecord),
    /// Through which apps people were talked to, the latest last: what is remembered and not saved.
    Uses(Vec<Use>),
    /// A handle that is like this pattern of the rules: neither says so itself any more.
    Like {
        #[serde(with = "crate::private::stored")]
        pattern: Private,
        #[serde(with = "crate::private::stored")]
        handle: Private,
    },
    /// What happened.
    Input {
        /// When, by the clock that decides deadlines.
        mono: Time,
        /// When, in µs since the epoch.
        wall: u64,
        /// What.
        input: I,
    },
    /// What came of it.
    Outcome {
        /// The number of the last change afterwards.
        revision: u64,
        /// It was refused.
        refused: Option<Error>,
    },
    /// The last, where the arbiter ended it.
    End {
        /// Why: `size`, `time`, `unread`, `seat`, `denied`.
        reason: String,
    },
}

/// The format that is written.
pub const TAPE_VERSION: u32 = 1;

impl Input {
    /// Whether it can change anything of a user's calls. Of a connection that is lost only the arbiter knows.
    pub fn concerns(&self, user: Uid) -> bool {
        match self {
            Input::Register { caller, .. }
            | Input::Provider { caller, .. }
            | Input::Request { caller, .. }
            | Input::Cancel { caller, .. }
            | Input::TakeRoles { caller, .. }
            | Input::SetDoNotDisturb { caller, .. }
            | Input::SetPreferences { caller, .. }
            | Input::AgentReply { caller, .. }
            | Input::SetEndpoints { caller, .. }
            | Input::SelectEndpoint { caller, .. }
            | Input::ReportViolation { caller, .. }
            | Input::SetAuthorization { caller, .. }
            | Input::ForgetCalls { caller, .. } => caller.uid == user,
            Input::Seats { uid, .. } | Input::Locked { uid, .. } => *uid == user,
            Input::PeerLost { .. } | Input::Tick => false,
            Input::Restarted { .. }
            | Input::Foreground { .. }
            | Input::Suspend(_)
            | Input::Settings(_) => true,
        }
    }
}

impl Arbiter {
    /// Whose calls a registered connection has to do with.
    pub fn user_of(&self, peer: Peer) -> Option<Uid> {
        self.peers.get(&peer).copied()
    }

    /// What the state of a user names that is nobody's: ids of apps, the schemes of their handles, seats.
    pub fn names_of(&self, user: Uid, keep: &mut dyn FnMut(&str)) {
        self.shared.seats.keys().for_each(|seat| keep(seat));
        let Some(domain) = self.domains.get(&user) else { return };
        domain.desktop.seats.iter().for_each(|seat| keep(seat));
        for provider in domain.providers.values() {
            keep(&provider.app);
            provider.configuration.schemes.iter().for_each(|scheme| keep(scheme));
        }
        domain.decisions.values().for_each(|decision| keep(decision.app()));
        domain.suppressed.values().for_each(|call| keep(call.app()));
        domain.records.values().for_each(|record| keep(&record.app));
        domain.whys.over.values().for_each(|over| keep(&over.app));
        domain.uses.all().for_each(|known| keep(&known.app));
        domain.tombstones.apps().for_each(|app| keep(app));
        for errand in domain.errands.values() {
            if let AgentAsk::Consent { app, .. } | AgentAsk::Launch { app, .. } = &errand.ask {
                keep(app);
            }
        }
    }

    /// Through which apps this user talked to people, the latest last.
    pub fn uses_of(&self, uid: Uid) -> Vec<Use> {
        self.domains.get(&uid).map(|d| d.uses.all().cloned().collect()).unwrap_or_default()
    }

    /// What a tape says beside the state from which this arbiter was restored.
    pub fn remember(&mut self, uid: Uid, uses: Vec<Use>, alike: &[(Private, Private)]) {
        if let Some(domain) = self.domains.get_mut(&uid) {
            domain.uses.again(uses);
            know_alike(&mut domain.preferences.get_mut().rules, alike);
        }
    }

    /// Whether another user's call is in the way of this one's: what follows depends on more than one user.
    pub fn is_gated_by_others(&self, uid: Uid) -> bool {
        self.domains.get(&uid).is_some_and(|domain| domain.desktop.audio_gate)
    }
}

/// Of a tape: each of these handles is like the pattern beside it ([`Line::Like`]).
pub fn know_alike(rules: &mut Arc<[Rule]>, alike: &[(Private, Private)]) {
    let mut own = rules.to_vec();
    for contacts in own.iter_mut().map(|rule| &mut rule.when.contacts) {
        let are = |contact: &Contacts, pattern: &Private| matches!(contact, Contacts::Handle(handles) if handles.pattern() == pattern);
        let handles = alike
            .iter()
            .filter(|(pattern, _)| contacts.iter().any(|contact| are(contact, pattern)))
            .map(|(_, handle)| Contacts::Handle(Handles::like(handle.reveal())))
            .collect::<Vec<_>>();
        contacts.extend(handles);
    }
    *rules = Arc::from(own);
}
