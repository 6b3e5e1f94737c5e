//! The user's own preferences: rules and choices that count where the administrator's rules say nothing.
//!
//! Owns what the administrator leaves to users, that nothing else is taken, and that nothing else counts: who is allowed
//! less from today on keeps what they asked for, and only what is allowed of it has an effect. How rules add up is
//! [`crate::policy`]'s. They are kept until they are said again, whatever becomes of the agent that said them: a crash
//! must not change how calls are treated.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    Caller, DoNotDisturb, Domain, Error, Millis, Refusal, Reply, Result, Role, Rule, Then,
    policy::{WORDS, When},
};

/// The name of the rule that holds what a user chose for every call, behind their other rules.
pub const EVERY_CALL: &str = "preferences";

/// Texts in all lists of one user's rules together: each is compared for each of their calls, and kept for ever.
pub(crate) const TEXTS: usize = 1024;

/// What a user prefers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Preferences {
    /// Rules, the first first; they stand behind all of the administrator's.
    pub rules: Arc<[Rule]>,
    /// What do-not-disturb means for calls, whatever the desktop says; none: as the desktop says.
    pub do_not_disturb: Option<DoNotDisturb>,
}

/// What the administrator leaves to users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Allowance {
    /// What they may decide, by the names of [`Allowance::choices`].
    #[serde(deserialize_with = "choices")]
    pub choices: Vec<&'static str>,
    /// How many rules they may have.
    pub rules: u32,
    /// The least that their calls ring.
    pub ring_least: Millis,
    /// The longest that they ring.
    pub ring_most: Millis,
    /// The least that a call rings before it answers itself: somebody hears it, and can leave the room.
    pub answer_least: Millis,
    /// The highest class of a call.
    pub priority_most: u32,
}

impl Default for Allowance {
    fn default() -> Self {
        Allowance {
            choices: Allowance::all().collect(),
            rules: 64,
            ring_least: Millis::secs(5),
            ring_most: Millis::secs(120),
            answer_least: Millis::secs(1),
            priority_most: 9,
        }
    }
}

fn choices<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Vec<&'static str>, D::Error> {
    let given = Vec::<String>::deserialize(from)?;
    Ok(Allowance::all().filter(|choice| given.iter().any(|known| known == choice)).collect())
}

const DO_NOT_DISTURB: &str = "do-not-disturb";

impl Allowance {
    /// Everything that can be left to users: the effects of rules, and what do-not-disturb means.
    pub fn all() -> impl Iterator<Item = &'static str> {
        WORDS.iter().copied().chain([DO_NOT_DISTURB])
    }

    fn allows(&self, choice: &str) -> bool {
        self.choices.contains(&choice)
    }

    /// What of a user's rule counts.
    pub fn within(&self, then: Then) -> Then {
        let mut then = then.only(|word| self.allows(word));
        if let Some(rings) = &mut then.ring_time {
            *rings = (*rings).min(self.ring_most).max(self.ring_least);
        }
        if let Some(answer) = &mut then.answer {
            answer.after = answer.after.max(self.answer_least);
        }
        if let Some(priority) = &mut then.priority {
            let most = u8::try_from(self.priority_most).unwrap_or(u8::MAX);
            *priority = (*priority).min(most);
        }
        then
    }

    /// What one rule may not say, and which setting says so.
    fn check(&self, then: &Then) -> std::result::Result<(), String> {
        then.given().try_for_each(|word| self.must_allow(word))?;
        let bound = |what: &str, value: u32, least: u32, most: u32, settings: &str| {
            let fits = (least..=most).contains(&value);
            let only = match (least, most) {
                (least, u32::MAX) => format!("{least} or more"),
                (0, most) => format!("{most} or less"),
                (least, most) => format!("{least} to {most}"),
            };
            let why = || {
                format!(
                    "{what} is {value}, but may be {only} ({settings} in [preferences] of callarbiter.toml)"
                )
            };
            if fits { Ok(()) } else { Err(why()) }
        };
        if let Some(Millis(rings)) = then.ring_time {
            let (least, most) = (self.ring_least.0, self.ring_most.0);
            bound("ring-ms", rings, least, most, "ring-ms-min and ring-ms-max")?;
        }
        if let Some(answer) = then.answer {
            let least = self.answer_least.0;
            bound("answer-after-ms", answer.after.0, least, u32::MAX, "answer-after-ms-min")?;
        }
        match then.priority {
            None => Ok(()),
            Some(own) => bound("priority", own.into(), 0, self.priority_most, "priority-max"),
        }
    }

    fn must_allow(&self, choice: &str) -> std::result::Result<(), String> {
        if self.allows(choice) {
            return Ok(());
        }
        let left = match &self.choices[..] {
            [] => "nothing".to_owned(),
            choices => choices.join(", "),
        };
        Err(format!(
            "{choice} is the administrator's; `allow` in [preferences] of callarbiter.toml leaves to users: {left}"
        ))
    }
}

impl Preferences {
    /// Whether all of it is within what the administrator leaves to users; the refusal names the first that is not.
    pub fn check(&self, allowance: &Allowance) -> Result<()> {
        let own = |rule: &&Rule| &*rule.name != EVERY_CALL;
        let rules = self.rules.iter().filter(own).count();
        if rules > allowance.rules as usize {
            let most = allowance.rules;
            let why = format!(
                "these are {rules} rules, but there may be {most} (`rules` in [preferences] of callarbiter.toml)"
            );
            return Err(Refusal::new(Error::LimitExceeded, why));
        }
        let texts = self.texts();
        if texts > TEXTS {
            let why = format!(
                "all lists of the rules together have {texts} entries, but may have {TEXTS}"
            );
            return Err(Refusal::new(Error::LimitExceeded, why));
        }
        let denied = |why| Refusal::new(Error::AccessDenied, why);
        if self.do_not_disturb.is_some() {
            allowance.must_allow(DO_NOT_DISTURB).map_err(denied)?;
        }
        for rule in &*self.rules {
            allowance.check(&rule.then).map_err(|why| match &*rule.name {
                EVERY_CALL => denied(why),
                name => denied(format!("rule {name:?}: {why}")),
            })?;
        }
        Ok(())
    }

    /// In all lists of all rules.
    pub(crate) fn texts(&self) -> usize {
        let of = |When { apps, contacts, .. }: &When| apps.len() + contacts.len();
        self.rules.iter().map(|rule| of(&rule.when)).sum()
    }

    /// If there are any.
    pub(crate) fn some(&self) -> Option<&Preferences> {
        Some(self).filter(|own| !own.rules.is_empty() || own.do_not_disturb.is_some())
    }
}

impl Domain {
    /// What the user prefers, as it was said last.
    pub fn preferences(&self) -> &Preferences {
        self.preferences.get()
    }

    /// `SetPreferences`: all of it, or nothing.
    pub(crate) fn set_preferences(&mut self, caller: Caller, own: Preferences) -> Result<Reply> {
        if !self.holds(caller, Role::Preferences) {
            let why = "only the holder of role `preferences` says what the user prefers";
            return Err(Refusal::new(Error::AccessDenied, why));
        }
        own.check(&self.settings.allowance)?;
        if *self.preferences.get() != own {
            *self.preferences.get_mut() = own;
        }
        Ok(Reply::Done)
    }

    /// What do-not-disturb is for calls that come now.
    pub(crate) fn disturbs(&self) -> DoNotDisturb {
        let own = self.preferences.get().do_not_disturb;
        match self.desktop.do_not_disturb {
            DoNotDisturb::Off => DoNotDisturb::Off,
            desktop => {
                own.filter(|_| self.settings.allowance.allows(DO_NOT_DISTURB)).unwrap_or(desktop)
            }
        }
    }
}
