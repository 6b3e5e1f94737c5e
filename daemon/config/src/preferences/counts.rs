//! What counts for every call of a user, and whose word that is: theirs, the administrator's, or nobody's.
//!
//! Owns how it is spelled, and what may be chosen. Rules with conditions stand before all of this, and are not in here:
//! they are about some calls.

use std::fmt::Display;

use callarbiter_core::{Allowance, EVERY_CALL, Settings, Then, When};
use callarbiter_dbus::{Dict, Error};

use super::{DO_NOT_DISTURB, DO_NOT_DISTURBS, KEYS, from_wire};
use crate::{
    file::{self, AFTER_REMOTE_END, Words},
    rules::{HOLD_FAILED, RING_MS, RINGING, WHEN_BUSY},
};

/// One choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Its key.
    pub key: &'static str,
    /// What counts; none: as the desktop says.
    pub value: Option<String>,
    /// Who says so.
    pub source: Source,
    /// What the user chose, whether it counts or not.
    pub chosen: Option<String>,
    /// Whether the administrator leaves it to users.
    pub allowed: bool,
    /// What a user may choose.
    pub may_be: String,
}

/// Whose word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The user's.
    User,
    /// The administrator's: a rule for every call, or a setting.
    Administrator,
    /// Nobody said anything.
    Usual,
}

/// For each of [`KEYS`], with the choices as a bus carries them.
pub fn counts(choices: &Dict, settings: &Settings) -> Result<Vec<Counts>, Error> {
    let (_, own) = from_wire(choices, &[])?;
    let every = own.rules.iter().find(|rule| &*rule.name == EVERY_CALL);
    let chosen = every.map(|rule| rule.then).unwrap_or_default();
    let within = settings.allowance.within(chosen);
    let of_all = settings.policy.rules.iter().filter(|rule| rule.when == When::default());
    let quiet = own.do_not_disturb.map(|word| spelled(DO_NOT_DISTURBS, word));
    let one = |key: &&'static str| {
        let allowed = settings.allowance.choices.contains(key);
        let (chosen, counts) = match *key {
            DO_NOT_DISTURB => (quiet.clone(), quiet.clone().filter(|_| allowed)),
            key => (effect(key, &chosen), effect(key, &within)),
        };
        let ruled = of_all.clone().find_map(|rule| effect(key, &rule.then));
        let (value, source) = match ruled.map(|value| (value, Source::Administrator)) {
            Some((value, source)) => (Some(value), source),
            None if counts.is_some() => (counts, Source::User),
            None => {
                let (set, usual) = (setting(key, settings), setting(key, &Settings::default()));
                let source = if set == usual { Source::Usual } else { Source::Administrator };
                (set, source)
            }
        };
        let may_be = may_be(key, &settings.allowance);
        Counts { key, value, source, chosen, allowed, may_be }
    };
    Ok(KEYS.iter().map(one).collect())
}

fn effect(key: &str, then: &Then) -> Option<String> {
    match key {
        "when-busy" => then.when_busy.map(|word| spelled(WHEN_BUSY, word)),
        "after-remote-end" => then.after_end.map(|word| spelled(AFTER_REMOTE_END, word)),
        "when-hold-fails" => then.hold_failed.map(|word| spelled(HOLD_FAILED, word)),
        "ring-ms" => then.ring_time.map(|time| time.0.to_string()),
        "ringing" => then.ringing.map(|most| most.to_string()),
        _ => None,
    }
}

/// What counts where no rule says anything.
fn setting(key: &str, settings: &Settings) -> Option<String> {
    let policy = &settings.policy;
    Some(match key {
        "when-busy" => spelled(file::WHEN_BUSY, policy.when_busy),
        "after-remote-end" => spelled(AFTER_REMOTE_END, policy.after_remote_end),
        "when-hold-fails" => spelled(HOLD_FAILED, callarbiter_core::HoldFailed::Keep),
        "ring-ms" => settings.deadlines.ringing.0.to_string(),
        "ringing" => settings.limits.ringing_per_provider.to_string(),
        _ => return None,
    })
}

fn may_be(key: &str, allowance: &Allowance) -> String {
    let range = |least: &dyn Display, most: &dyn Display| format!("{least} to {most}");
    match key {
        "when-busy" => either(WHEN_BUSY),
        "after-remote-end" => either(AFTER_REMOTE_END),
        "when-hold-fails" => either(HOLD_FAILED),
        "ring-ms" => {
            let least = allowance.ring_least.0.max(*RING_MS.start());
            range(&least, &allowance.ring_most.0.min(*RING_MS.end()))
        }
        "ringing" => range(RINGING.start(), RINGING.end()),
        _ => either(DO_NOT_DISTURBS),
    }
}

fn either<T>(words: Words<T>) -> String {
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    words.join(", ")
}

fn spelled<T: PartialEq>(words: Words<T>, value: T) -> String {
    let found = words.iter().find(|(_, meaning)| *meaning == value);
    found.map(|(word, _)| (*word).to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use callarbiter_core::{AfterRemoteEnd, Busy, Millis, Rule};

    use super::{super::parse, *};

    fn of<'a>(counts: &'a [Counts], key: &str) -> &'a Counts {
        counts.iter().find(|counts| counts.key == key).unwrap()
    }

    #[test]
    fn each_choice_says_whose_word_counts() {
        let text = "when-busy = 'reject'\nring-ms = 90000\nringing = 3\ndo-not-disturb = 'ring'";
        let (choices, _) = parse(text).unwrap().0.to_wire();
        let mut settings = Settings::default();
        settings.policy.after_remote_end = AfterRemoteEnd::Resume;
        settings.allowance.ring_most = Millis(20_000);
        settings.allowance.choices.retain(|choice| *choice != "ringing");
        let then = Then { when_busy: Some(Busy::End), ..Then::default() };
        let rule = Rule { name: "all".into(), when: When::default(), then };
        settings.policy.rules = [rule].into();

        let counts = counts(&choices, &settings).unwrap();
        let told = |key: &str| {
            let of = of(&counts, key);
            (of.value.as_deref(), of.source, of.chosen.as_deref())
        };
        assert_eq!(told("when-busy"), (Some("end"), Source::Administrator, Some("reject")));
        assert_eq!(told("after-remote-end"), (Some("resume"), Source::Administrator, None));
        assert_eq!(told("when-hold-fails"), (Some("keep"), Source::Usual, None));
        assert_eq!(told("ring-ms"), (Some("20000"), Source::User, Some("90000")));
        let usual = Settings::default().limits.ringing_per_provider.to_string();
        assert_eq!(told("ringing"), (Some(&*usual), Source::Usual, Some("3")));
        assert_eq!(told("do-not-disturb"), (Some("ring"), Source::User, Some("ring")));
        assert!(!of(&counts, "ringing").allowed && of(&counts, "ring-ms").allowed);
        assert_eq!(of(&counts, "ring-ms").may_be, "5000 to 20000");
        assert_eq!(of(&counts, "when-busy").may_be, "refuse, end, reject");
    }

    #[test]
    fn nobody_has_to_say_anything() {
        let counts = counts(&Dict::new(), &Settings::default()).unwrap();
        assert!(counts.iter().all(|of| of.source == Source::Usual && of.allowed));
        assert_eq!(of(&counts, "do-not-disturb").value, None);
        assert_eq!(counts.len(), KEYS.len());
    }
}
