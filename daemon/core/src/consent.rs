//! Whether an app may provide calls, where the administrator leaves that to the user.
//!
//! Owns what the user decided, as the consent agent told it, and when that agent is asked. The agent remembers for
//! good; what is kept here is enough to know whether an app that is not there may be started.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    AgentAsk, Authorization, Caller, Decider, Domain, Error, Provider, ProviderId, Refusal, Reply,
    Result, Role, errand::AgentAnswer, memory::next_of,
};

/// Apps about which the user's word is kept: nobody has so many that call. Beyond it the oldest is asked about
/// again.
pub(crate) const DECISIONS: usize = 256;

/// What the user said of an app.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Decision {
    app: Arc<str>,
    allowed: bool,
}

impl Decision {
    pub(crate) fn app(&self) -> &Arc<str> {
        &self.app
    }
}

impl Domain {
    /// Whether an app may provide calls, as far as anybody has decided.
    pub(crate) fn authorization_of(&self, app: &str) -> Authorization {
        self.authorized_by(app).map_or(Authorization::NotDetermined, |(word, _)| word)
    }

    /// The word that counts, and whose it is; none: nobody has decided.
    pub(crate) fn authorized_by(&self, app: &str) -> Option<(Authorization, Decider)> {
        let said = |allowed| match allowed {
            true => Authorization::Authorized,
            false => Authorization::Denied,
        };
        if let Some(decided) = self.decided_above_the_user(app) {
            return Some(decided);
        }
        if let Some(allowed) = self.users_word(app) {
            return Some((said(allowed), Decider::User));
        }
        let packaged = self.settings.policy.packaged.get(app)?;
        Some((said(*packaged), Decider::Packaged))
    }

    /// The administrator decided against it.
    pub(crate) fn is_restricted(&self, app: &str) -> bool {
        matches!(self.decided_above_the_user(app), Some((Authorization::Restricted, _)))
    }

    /// Whether a call may be placed through an app. Whether somebody gets help is no question of consent: of an app that
    /// the administrator lists for emergencies, only the administrator's own refusal counts.
    pub(crate) fn may_place(&self, provider: &Provider, emergency: bool) -> Result<()> {
        if emergency && !self.is_restricted(&provider.app) {
            return Ok(());
        }
        self.is_authorized(provider)
    }

    /// The apps of which the user said something.
    pub fn apps_decided(&self) -> impl Iterator<Item = &Arc<str>> {
        self.decisions.values().map(|decision| &decision.app)
    }

    /// What the user said of an app.
    pub fn users_word(&self, app: &str) -> Option<bool> {
        self.decisions.values().find(|d| &*d.app == app).map(|d| d.allowed)
    }

    /// The administrator's configuration, then the administrator's rules of polkit.
    fn decided_above_the_user(&self, app: &str) -> Option<(Authorization, Decider)> {
        let configured = self.administrators_word(app).map(|word| (word, Decider::Administrator));
        configured.or_else(|| Some((self.polkits_word(app)?, Decider::Polkit)))
    }

    /// Of connections of one app polkit says the same, unless its rules look at them: then a refusal counts.
    fn polkits_word(&self, app: &str) -> Option<Authorization> {
        let words = self.providers.values().filter(|p| &*p.app == app).filter_map(|p| p.preset);
        words.min().map(|allowed| match allowed {
            true => Authorization::Authorized,
            false => Authorization::Restricted,
        })
    }

    fn administrators_word(&self, app: &str) -> Option<Authorization> {
        use crate::AuthorizationPolicy::*;
        let policy = &self.settings.policy;
        match (policy.apps.get(app), policy.authorization) {
            (Some(true), _) | (None, Allow) => Some(Authorization::Authorized),
            (Some(false), _) => Some(Authorization::Restricted),
            (None, Ask) => None,
        }
    }

    /// `SetAuthorization`: the user changed their mind.
    pub(crate) fn set_authorization(
        &mut self,
        caller: Caller,
        app: &Arc<str>,
        wanted: Authorization,
    ) -> Result<Reply> {
        if !self.holds(caller, Role::Consent) {
            let why = "only the holder of role `consent` says what the user decided";
            return Err(Refusal::new(Error::AccessDenied, why));
        }
        let above = self.decided_above_the_user(app).filter(|(word, _)| *word != wanted);
        if let Some((word, by)) = above {
            let whose = match by {
                Decider::Polkit => "polkit's rules decide",
                _ => "the administrator's configuration decides",
            };
            let why = format!("{whose} about {app}: {}", word.name());
            return Err(Refusal::new(Error::AccessDenied, why));
        }
        self.drop_errands(|e| matches!(&e.ask, AgentAsk::Consent { app: of, .. } if of == app));
        self.decide(app, wanted);
        Ok(Reply::Done)
    }

    /// The agent answered.
    pub(crate) fn consent_answered(&mut self, app: &Arc<str>, answer: &AgentAnswer) {
        // Else not now, or it could not ask: the next registration asks again.
        let word = answer.authorization.filter(|_| answer.error.is_none());
        if let Some(word @ (Authorization::Authorized | Authorization::Denied)) = word {
            self.decide(app, word);
        }
    }

    fn decide(&mut self, app: &Arc<str>, word: Authorization) {
        let known = self.decisions.iter().find(|(_, d)| d.app == *app).map(|(n, _)| *n);
        if let Some(known) = known {
            self.decisions.remove(&known);
        }
        let allowed = match word {
            Authorization::Authorized => Some(true),
            Authorization::Denied => Some(false),
            Authorization::NotDetermined | Authorization::Restricted => None,
        };
        if let Some(allowed) = allowed {
            let decision = Decision { app: app.clone(), allowed };
            self.decisions.insert(next_of(&self.decisions), decision);
        }
        if self.decisions.len() > DECISIONS {
            self.decisions.pop_first();
        }
        self.authorize_again();
    }

    /// An app registered, or asks for itself: the user is asked if nobody has decided.
    pub(crate) fn ask_consent(&mut self, provider: ProviderId) {
        let Some(known) = self.providers.get(&provider) else { return };
        if known.authorization != Authorization::NotDetermined {
            return;
        }
        let app = known.app.clone();
        let same = |ask: &AgentAsk| matches!(ask, AgentAsk::Consent { app: of, .. } if *of == app);
        if !self.is_asked_of_agents(same) {
            self.ask_agent(AgentAsk::Consent { app, provider });
        }
    }

    pub(crate) fn ask_about_the_undecided(&mut self) {
        let here = self.providers.values().filter(|p| p.peer.is_some());
        let here: Vec<ProviderId> = here.map(|p| p.id).collect();
        here.into_iter().for_each(|id| self.ask_consent(id));
    }
}
