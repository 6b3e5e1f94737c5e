//! `[[rule]]`: the keys of a rule and what may stand there, the administrator's or a user's.
//!
//! Owns their spelling and their bounds, and how the rules of several files add up. What they do is the core's.

use std::{collections::BTreeSet, fmt, ops::RangeInclusive, sync::Arc};

use callarbiter_core::{
    AutoAnswer, Busy, Contacts, Days, Direction, Handles, HoldFailed, Hours, Millis, Pattern, Ring,
    Rule, Then,
};
use callarbiter_dbus::limits;
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use toml::Spanned;

use crate::{
    file::{AFTER_REMOTE_END, Value, Values, Words, word},
    problem::Problem,
};

/// In all files together: each is compared for each call.
const MOST: usize = 128;
/// Of one list.
const LONGEST_LIST: usize = 256;
const LONGEST_NAME: usize = 64;

pub const RING_MS: RangeInclusive<u32> = 100..=600_000;
pub const RINGING: RangeInclusive<u32> = 0..=256;

pub const KEYS: &[&str] = &[
    "name",
    "apps",
    "contacts",
    "direction",
    "time",
    "days",
    "locked",
    "do-not-disturb",
    "foreground",
    "ring",
    "ring-ms",
    "answer-after-ms",
    "answer-beside",
    "priority",
    "when-busy",
    "after-remote-end",
    "when-hold-fails",
    "ringing",
    "calls",
    "groups",
];

/// As a file has them; who writes `[rule]` reads that it takes two brackets.
pub fn tables<'de, D: Deserializer<'de>>(read: D) -> Result<Vec<Spanned<Values>>, D::Error> {
    struct Tables;
    impl<'de> Visitor<'de> for Tables {
        type Value = Vec<Spanned<Values>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("rules, each of which begins with [[rule]]")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, tables: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(tables))
        }
    }
    read.deserialize_seq(Tables)
}

/// The rules of a later file stand before those of earlier ones, and replace those of the same names.
pub fn over(below: &[Rule], tables: &[Spanned<Values>]) -> Result<Arc<[Rule]>, Problem> {
    let mut names = BTreeSet::new();
    let mut rules: Vec<Rule> = Vec::new();
    for table in tables {
        let rule = rule(table)?;
        if !names.insert(rule.name.clone()) {
            let message = format!("two rules are called {:?}; each needs its own name", rule.name);
            return Err(Problem::at(table.span(), message));
        }
        rules.push(rule);
    }
    rules.extend(below.iter().filter(|rule| !names.contains(&rule.name)).cloned());
    match tables.last() {
        Some(last) if rules.len() > MOST => {
            let message = format!("with this there are {} rules, but may be {MOST}", rules.len());
            Err(Problem::at(last.span(), message))
        }
        _ => Ok(rules.into()),
    }
}

fn rule(table: &Spanned<Values>) -> Result<Rule, Problem> {
    let mut rule = Rule::default();
    let mut beside = None;
    for (key, value) in table.get_ref() {
        let name = key.get_ref().replace('_', "-");
        if effect(&name, value, &mut rule.then)? {
            continue;
        }
        let when = &mut rule.when;
        match name.as_str() {
            "name" => rule.name = title(value)?.into(),
            "apps" => when.apps = each(&name, value, app)?,
            "contacts" => when.contacts = each(&name, value, contacts)?,
            "direction" => when.direction = Some(word(&name, value, DIRECTION)?),
            "time" => when.time = Some(hours(value)?),
            "days" => when.days = Some(days(value)?),
            "locked" => when.locked = Some(truth(&name, value)?),
            "do-not-disturb" => when.do_not_disturb = Some(truth(&name, value)?),
            "foreground" => when.foreground = Some(truth(&name, value)?),
            "answer-beside" => beside = Some((truth(&name, value)?, key.span())),
            _ => {
                let known = KEYS.join(", ");
                let message = format!("a rule has no key {:?}; it has {known}", key.get_ref());
                return Err(Problem::at(key.span(), message));
            }
        }
    }
    if let Some((beside, span)) = beside {
        match &mut rule.then.answer {
            Some(answer) => answer.beside = beside,
            None => {
                let message = "answer-beside needs answer-after-ms beside it in the rule";
                return Err(Problem::at(span, message.to_owned()));
            }
        }
    }
    sensible(&rule).map_err(|message| Problem::at(table.span(), message))?;
    Ok(rule)
}

/// One effect; false: there is no such effect.
pub fn effect(name: &str, value: &Value, then: &mut Then) -> Result<bool, Problem> {
    match name {
        "ring" => then.ring = Some(word(name, value, RING)?),
        "ring-ms" => then.ring_time = Some(Millis(number(name, value, RING_MS)?)),
        "answer-after-ms" => {
            let after = Millis(number(name, value, 0..=60_000)?);
            then.answer = Some(AutoAnswer { after, beside: false });
        }
        "priority" => {
            then.priority = Some(u8::try_from(number(name, value, 0..=9)?).unwrap_or_default());
        }
        "when-busy" => then.when_busy = Some(word(name, value, WHEN_BUSY)?),
        "after-remote-end" => then.after_end = Some(word(name, value, AFTER_REMOTE_END)?),
        "when-hold-fails" => then.hold_failed = Some(word(name, value, HOLD_FAILED)?),
        "ringing" => then.ringing = Some(number(name, value, RINGING)?),
        "calls" => then.calls = Some(number(name, value, 1..=256)?),
        "groups" => then.groups = Some(number(name, value, 1..=64)?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// What each key by itself cannot tell.
fn sensible(rule: &Rule) -> Result<(), String> {
    let name = &rule.name;
    if name.is_empty() {
        return Err("the rule needs a name, by which its decisions are told".to_owned());
    }
    if rule.then == Then::default() {
        return Err(format!("rule {name:?} decides nothing; give it ring = \"silence\", say"));
    }
    if rule.then.answer.is_some() && rule.when.apps.is_empty() {
        return Err(format!(
            "rule {name:?} lets calls answer themselves, so it must say of which apps: apps = \
             [\"org.example.Intercom\"]"
        ));
    }
    let turns_away = rule.then.ring == Some(Ring::Reject);
    if turns_away && rule.when.depends_on_contacts() {
        return Err(format!(
            "rule {name:?} rejects by \"known\" or \"unknown\", but the address book is asked while a call rings \
             already; use ring = \"silence\""
        ));
    }
    Ok(())
}

const DIRECTION: Words<Direction> =
    &[("incoming", Direction::Incoming), ("outgoing", Direction::Outgoing)];
const RING: Words<Ring> =
    &[("silence", Ring::Silence), ("reject", Ring::Reject), ("aloud", Ring::Aloud)];
pub const WHEN_BUSY: Words<Busy> =
    &[("refuse", Busy::Refuse), ("end", Busy::End), ("reject", Busy::Reject)];
pub const HOLD_FAILED: Words<HoldFailed> = &[("keep", HoldFailed::Keep), ("end", HoldFailed::End)];
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn title(value: &Value) -> Result<String, Problem> {
    let given = value.get_ref().as_str();
    let fits = |name: &&str| !name.is_empty() && limits::text_fits(name, LONGEST_NAME);
    given.filter(fits).map(str::to_owned).ok_or_else(|| {
        let message = format!("a name must be a text of 1 to {LONGEST_NAME} bytes");
        Problem::at(value.span(), message)
    })
}

fn truth(key: &str, value: &Value) -> Result<bool, Problem> {
    let given = value.get_ref();
    given.as_bool().ok_or_else(|| {
        Problem::at(value.span(), format!("{key} is {given}, but must be true or false"))
    })
}

fn number(key: &str, value: &Value, range: RangeInclusive<u32>) -> Result<u32, Problem> {
    let given = value.get_ref();
    let number = given.as_integer().and_then(|given| u32::try_from(given).ok());
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        let message = format!("{key} is {given}, but must be a number from {least} to {most}");
        Problem::at(value.span(), message)
    })
}

/// Each text of a list; what is wrong with one is told without it: it may be somebody's number.
pub fn each<T>(
    key: &str,
    value: &Value,
    entry: fn(&str) -> Result<T, &'static str>,
) -> Result<Vec<T>, Problem> {
    let wrong = |message: String| Problem::at(value.span(), message);
    let list = value.get_ref().as_array();
    let list = list.ok_or_else(|| wrong(format!("{key} must be a list of texts, [\"…\"]")))?;
    if list.is_empty() {
        return Err(wrong(format!(
            "{key} is empty, which no call fits; leave the key out for any"
        )));
    }
    if list.len() > LONGEST_LIST {
        let length = list.len();
        return Err(wrong(format!("{key} has {length} entries, but may have {LONGEST_LIST}")));
    }
    let texts = list.iter().enumerate().map(|(at, text)| {
        let parsed = text.as_str().ok_or("a text in quotes is wanted").and_then(entry);
        parsed.map_err(|help| wrong(format!("entry {} of {key}: {help}", at + 1)))
    });
    texts.collect()
}

fn app(text: &str) -> Result<Pattern, &'static str> {
    match limits::is_app_id(&text.replace('*', "x")) {
        true => Ok(Pattern::of(text)),
        false => Err("an app id is wanted, or a part of one with *: \"org.example.*\""),
    }
}

fn contacts(text: &str) -> Result<Contacts, &'static str> {
    match text {
        "known" => Ok(Contacts::Known),
        "unknown" => Ok(Contacts::Unknown),
        "anonymous" => Ok(Contacts::Anonymous),
        _ if text.contains(':') && limits::text_fits(text, limits::HANDLE_BYTES) => {
            Ok(Contacts::Handle(Handles::like(text)))
        }
        _ => Err(
            "known, unknown, anonymous or a handle with its scheme is wanted, where * is any text: \
             \"tel:+49900*\", \"sip:*@example.org\"",
        ),
    }
}

fn hours(value: &Value) -> Result<Hours, Problem> {
    let minute = |text: &str| {
        let (hours, minutes) = text.trim().split_once(':')?;
        let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
        (hours <= 24 && minutes < 60 && (hours < 24 || minutes == 0))
            .then_some(hours * 60 + minutes)
    };
    let parsed = value.get_ref().as_str().and_then(|text| text.split_once('-'));
    let parsed = parsed.and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
    match parsed {
        Some((from, to)) if from != to && from < 24 * 60 => Ok(Hours { from, to }),
        _ => {
            let message = format!(
                "time is {}, but must be two times of the day like \"22:00-07:00\"",
                value.get_ref()
            );
            Err(Problem::at(value.span(), message))
        }
    }
}

fn days(value: &Value) -> Result<Days, Problem> {
    let spans = each("days", value, |text| {
        let day = |name: &str| DAYS.iter().position(|day| *day == name.trim());
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        day(from).zip(day(to)).ok_or("a day is wanted, or two with - between: \"mon\", \"sat-sun\"")
    })?;
    let mut days = Days::default();
    for (from, to) in spans {
        for day in from..=if from <= to { to } else { to + 7 } {
            days = days.with(u8::try_from(day % 7).unwrap_or_default());
        }
    }
    Ok(days)
}
