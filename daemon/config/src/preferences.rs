//! `preferences.toml`: what one user wants of their calls, and the same as it travels on a bus.
//!
//! Owns the keys for every call, what may stand there, and that they become the last of the rules. Rules are read as
//! the administrator's are, changes of the file are made in `edit`, and
//! what counts in the end is in `counts`. What users may decide is the core's `Allowance`;
//! who follows the file is the agent.

mod counts;
mod edit;

use std::path::Path;

use callarbiter_core::{DoNotDisturb, EVERY_CALL, Preferences, Rule, Then, When};
use callarbiter_dbus::{Dict, Error};
use serde::Deserialize;
use toml::{Spanned, Value as Toml};
use zbus::{OwnedVariant, Variant};

use crate::{
    ConfigError,
    file::{self, Value, Values, Words, word},
    problem::{Problem, harmless},
    rules,
};

pub use counts::{Counts, Source, counts};
pub use edit::choose;

/// How the file is called, in the user's directory.
pub const FILE: &str = "preferences.toml";

/// What may be chosen for every call.
pub const KEYS: &[&str] =
    &["when-busy", "after-remote-end", "when-hold-fails", "ring-ms", "ringing", DO_NOT_DISTURB];

const DO_NOT_DISTURB: &str = "do-not-disturb";
const DO_NOT_DISTURBS: Words<DoNotDisturb> = &[
    ("ring", DoNotDisturb::Off),
    ("quiet", DoNotDisturb::Quiet),
    ("refuse", DoNotDisturb::Refuse),
];
const RULES: &str = "rule";

/// What a bus brings is told in the error about it, so it is short; no key and no word is longer.
const LONGEST_KEY: usize = 64;
const LONGEST_TEXT: usize = 256;

/// Preferences as they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    choices: Values,
    rules: Vec<Spanned<Values>>,
}

/// Reads a file that must be there.
pub fn read(file: &Path) -> Result<(Written, Preferences), ConfigError> {
    let text = file::read(file).map_err(|error| ConfigError::unreadable(file, error))?;
    parse(&text).map_err(|problem| ConfigError::within(file, &text, problem))
}

fn parse(text: &str) -> Result<(Written, Preferences), Problem> {
    #[derive(Deserialize)]
    struct Rules {
        #[serde(default, deserialize_with = "rules::tables")]
        rule: Vec<Spanned<Values>>,
    }
    let mut choices: Values = toml::from_str(text)?;
    choices.retain(|key, _| key.get_ref() != RULES);
    let Rules { rule } = toml::from_str(text)?;
    let written = Written { choices, rules: rule };
    let preferences = written.meaning()?;
    Ok((written, preferences))
}

/// What a bus has brought.
pub fn from_wire(choices: &Dict, rules: &[Dict]) -> Result<(Written, Preferences), Error> {
    let nowhere = |dict: &Dict| {
        let entry = |(key, value): (&String, &OwnedVariant)| {
            if key.len() > LONGEST_KEY {
                let message = format!("the key of a preference has at most {LONGEST_KEY} bytes");
                return Err(Error::invalid_argument(message));
            }
            if key.contains('_') {
                let message =
                    format!("there is no {key:?}; the words of a key have - between them");
                return Err(Error::invalid_argument(message));
            }
            if matches!(&**value, Variant::Str(text) if text.len() > LONGEST_TEXT) {
                let message = format!("{key:?} is longer than {LONGEST_TEXT} bytes");
                return Err(Error::invalid_argument(message));
            }
            let value = plain(value).ok_or_else(|| {
                let help =
                    "it must be a text (s), a truth (b), a number (u) or a list of texts (as)";
                Error::invalid_argument(format!(
                    "{key:?} has a type that no preference has; {help}"
                ))
            })?;
            Ok((Spanned::new(0..0, key.clone()), Spanned::new(0..0, value)))
        };
        dict.iter().map(entry).collect::<Result<Values, Error>>()
    };
    let rule = |rule| Ok::<_, Error>(Spanned::new(0..0, nowhere(rule)?));
    let rules = rules.iter().map(rule).collect::<Result<_, _>>()?;
    let written = Written { choices: nowhere(choices)?, rules };
    match written.meaning() {
        Ok(preferences) => Ok((written, preferences)),
        Err(problem) => Err(Error::invalid_argument(harmless(&problem.message))),
    }
}

/// One value of a bus as a file has it; none for types that no preference has.
fn plain(value: &Variant<'_>) -> Option<Toml> {
    match value {
        Variant::Str(text) => Some(Toml::String(text.as_str().to_owned())),
        Variant::Bool(truth) => Some(Toml::Boolean(*truth)),
        Variant::U32(number) => Some(Toml::Integer(i64::from(*number))),
        Variant::Array(list) => {
            let texts = list.iter().map(|entry| match entry {
                Variant::Str(_) => plain(entry),
                _ => None,
            });
            texts.collect::<Option<_>>().map(Toml::Array)
        }
        _ => None,
    }
}

impl Written {
    /// For every call, and rule by rule, as a bus carries them.
    pub fn to_wire(&self) -> (Dict, Vec<Dict>) {
        let dict = |values: &Values| {
            let entry = |(key, value): (&Spanned<String>, &Value)| {
                let value = variant(value.get_ref())?.try_into_owned().ok()?;
                Some((key.get_ref().replace('_', "-"), value))
            };
            values.iter().filter_map(entry).collect::<Dict>()
        };
        (dict(&self.choices), self.rules.iter().map(|rule| dict(rule.get_ref())).collect())
    }

    fn meaning(&self) -> Result<Preferences, Problem> {
        let mut rules: Vec<Rule> = rules::over(&[], &self.rules)?.to_vec();
        let taken = rules.iter().position(|rule| &*rule.name == EVERY_CALL);
        if let Some(table) = taken.and_then(|at| self.rules.get(at)) {
            let message = format!(
                "what is chosen for every call is called {EVERY_CALL:?}; name the rule otherwise"
            );
            return Err(Problem::at(table.span(), message));
        }
        let (mut then, mut do_not_disturb) = (Then::default(), None);
        for (key, value) in &self.choices {
            match &*key.get_ref().replace('_', "-") {
                DO_NOT_DISTURB => {
                    do_not_disturb = Some(word(DO_NOT_DISTURB, value, DO_NOT_DISTURBS)?);
                }
                name if KEYS.contains(&name) => {
                    rules::effect(name, value, &mut then)?;
                }
                name => {
                    let of_rules = rules::KEYS.contains(&name);
                    let known = KEYS.join(", ");
                    let message = match of_rules {
                        true => {
                            format!("{name} is for a [[rule]]; for every call there are {known}")
                        }
                        false => format!(
                            "there is no {:?}; there are {known} and [[rule]]",
                            key.get_ref()
                        ),
                    };
                    return Err(Problem::at(key.span(), message));
                }
            }
        }
        if then != Then::default() {
            rules.push(Rule { name: EVERY_CALL.into(), when: When::default(), then });
        }
        Ok(Preferences { rules: rules.into(), do_not_disturb })
    }
}

/// A value as a bus carries it; what was accepted always is one.
fn variant(value: &Toml) -> Option<Variant<'static>> {
    Some(match value {
        Toml::String(text) => text.clone().into(),
        Toml::Boolean(truth) => (*truth).into(),
        Toml::Integer(number) => u32::try_from(*number).ok()?.into(),
        Toml::Array(list) => {
            let texts = list.iter().map(|text| text.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<String>>>()?.into()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use callarbiter_core::{AfterRemoteEnd, Busy, HoldFailed, Millis, Ring};

    use super::*;

    const TEXT: &str = r#"
        when_busy = "reject"
        after-remote-end = "resume"
        when-hold-fails = "end"
        ring-ms = 20_000
        ringing = 2
        do-not-disturb = "ring"
        [[rule]]
        name = "work"
        contacts = ["tel:+4930*", "anonymous"]
        locked = true
        ring = "silence"
        [[rule]]
        name = "door"
        apps = ["org.example.Door"]
        answer-after-ms = 2000
    "#;

    #[test]
    fn what_is_chosen_for_every_call_is_the_last_rule() {
        let (_, preferences) = parse(TEXT).unwrap();
        assert_eq!(preferences.do_not_disturb, Some(DoNotDisturb::Off));
        let names: Vec<&str> = preferences.rules.iter().map(|rule| &*rule.name).collect();
        assert_eq!(names, ["work", "door", EVERY_CALL]);
        assert_eq!(preferences.rules[0].then.ring, Some(Ring::Silence));
        let then = Then {
            when_busy: Some(Busy::Reject),
            after_end: Some(AfterRemoteEnd::Resume),
            hold_failed: Some(HoldFailed::End),
            ring_time: Some(Millis(20_000)),
            ringing: Some(2),
            ..Then::default()
        };
        let every = Rule { name: EVERY_CALL.into(), when: When::default(), then };
        assert_eq!(preferences.rules[2], every);
        assert_eq!(parse("").unwrap().1, Preferences::default());
    }

    #[test]
    fn a_bus_carries_all_of_it() {
        let (written, preferences) = parse(TEXT).unwrap();
        let (choices, rules) = written.to_wire();
        assert_eq!((choices.len(), rules.len()), (6, 2));
        assert_eq!(from_wire(&choices, &rules).unwrap().1, preferences);
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        #[rustfmt::skip]
        let cases = [
            ("when-busy = \"wait\"", "p:1:13: ", "\"refuse\" or \"end\" or \"reject\""),
            ("\nring = \"silence\"", "p:2:1: ", "is for a [[rule]]; for every call there are when-busy"),
            ("rings = 1", "p:1:1: ", "there is no \"rings\"; there are when-busy, after-remote-end"),
            ("do-not-disturb = true", "p:1:18: ", "\"ring\" or \"quiet\" or \"refuse\""),
            ("ringing = 1\n[[rule]]\nname = \"a\"\nring = 1", "p:4:8: ", "\"silence\""),
            ("[[rule]]\nname = \"preferences\"\nringing = 1", "p:1:1: ", "name the rule otherwise"),
            ("[rule]\nname = \"a\"", "p:1:1: ", "begins with [[rule]]"),
            ("ringing = ", "p:1:11: ", ""),
        ];
        for (text, place, words) in cases {
            let problem = parse(text).unwrap_err();
            let said = ConfigError::within(Path::new("p"), text, problem).to_string();
            assert!(said.starts_with(place) && said.contains(words), "{text}: {said}");
        }
    }

    #[test]
    fn what_a_bus_brings_may_be_nonsense() {
        let one = |key: &str, value: Variant<'static>| {
            Dict::from([(key.to_owned(), value.try_into_owned().unwrap())])
        };
        let none = Dict::new();
        for (choices, rules, words) in [
            (one("when-busy", 1u32.into()), vec![], "when-busy is 1"),
            (one("ring-ms", 1.5.into()), vec![], "\"ring-ms\" has a type"),
            (one("ring-ms", u64::MAX.into()), vec![], "\"ring-ms\" has a type"),
            (one("ring-ms", 20_000i32.into()), vec![], "\"ring-ms\" has a type"),
            (one("ring-ms", 20_000u64.into()), vec![], "a number (u)"),
            (one("ring-ms", 5u32.into()), vec![], "ring-ms is 5, but must be a number from 100"),
            (one("when_busy", "end".into()), vec![], "there is no \"when_busy\"; the words"),
            (none.clone(), vec![one("ring_ms", 20_000u32.into())], "there is no \"ring_ms\""),
            (one("when-busy", "a\nb".into()), vec![], "when-busy is"),
            (one("rule", "x".into()), vec![], "there is no \"rule\""),
            (one(&"x".repeat(100_000), 1u32.into()), vec![], "at most 64 bytes"),
            (one("when-busy", "x".repeat(100_000).into()), vec![], "longer than 256 bytes"),
            (none.clone(), vec![one("time", "x".repeat(100_000).into())], "longer than 256 bytes"),
            (none.clone(), vec![none.clone()], "needs a name"),
            (none.clone(), vec![one("name", vec![1u8].into())], "\"name\" has a type"),
        ] {
            let refused = from_wire(&choices, &rules).unwrap_err();
            assert!(refused.message.contains(words), "{}", refused.message);
            assert!(!refused.message.contains(char::is_control), "{}", refused.message);
            assert!(refused.message.len() < 500, "{} bytes", refused.message.len());
        }
    }
}
