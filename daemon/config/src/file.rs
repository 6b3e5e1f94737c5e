//! One configuration file: reading it, and laying it over what is already decided.
//!
//! Owns the keys and their types. A list replaces the list below it; what is said of apps is in [`apps`], what becomes
//! of rules in [`rules`].

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use callarbiter_core::{AfterRemoteEnd, Allowance, AuthorizationPolicy, WhenBusy, gathered};
use callarbiter_dbus::limits;
use serde::Deserialize;
use toml::Spanned;

use super::{
    Config, ConfigError,
    apps::{self, Apps, By},
    bounds::{DEADLINES, LIMITS, Number, PREFERENCES},
    problem::Problem,
    rules::{self, each},
};

/// Far above a file of ten thousand decisions: nothing that was written by hand.
const LONGEST: u64 = 1024 * 1024;
/// Of one list: each entry is compared for each connection or each call.
const LONGEST_LIST: usize = 256;
/// In a list of units: every process outside a sandbox.
const ANY: &str = "*";
/// A unit's name, as systemd bounds it.
const LONGEST_UNIT: usize = 255;

/// Lays the file over `config`; at an error, `config` is half-changed and must be dropped.
pub fn merge(file: &Path, config: &mut Config) -> Result<(), ConfigError> {
    let text = read(file).map_err(|error| ConfigError::unreadable(file, error))?;
    merge_text(&text, config).map_err(|problem| ConfigError::within(file, &text, problem))
}

/// The same for a file of `apps.d`.
pub fn merge_apps(file: &Path, by: By, config: &mut Config) -> Result<(), ConfigError> {
    let text = read(file).map_err(|error| ConfigError::unreadable(file, error))?;
    let merged = toml::from_str(&text).map_err(Problem::from);
    let merged = merged.and_then(|OnlyApps { apps }| apps::merge(apps, by, config));
    merged.map_err(|problem| ConfigError::within(file, &text, problem))
}

pub(crate) fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("it is longer than {LONGEST} bytes")));
    }
    Ok(text)
}

fn merge_text(text: &str, config: &mut Config) -> Result<(), Problem> {
    let document: Document = toml::from_str(text)?;
    document.merge(config)
}

pub(crate) type Strings = Spanned<Vec<Spanned<String>>>;
pub(crate) type Value = Spanned<toml::Value>;
pub(crate) type Values = BTreeMap<Spanned<String>, Value>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    authorization: Option<Value>,
    #[serde(default)]
    apps: Apps,
    #[serde(default)]
    deadlines: Values,
    #[serde(default)]
    limits: Values,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    preferences: Values,
    #[serde(default)]
    emergency: Emergency,
    #[serde(default)]
    agents: Agents,
    #[serde(default, deserialize_with = "rules::tables")]
    rule: Vec<Spanned<Values>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnlyApps {
    #[serde(default)]
    apps: Apps,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Policy {
    #[serde(alias = "after_remote_end")]
    after_remote_end: Option<Value>,
    #[serde(alias = "when_busy")]
    when_busy: Option<Value>,
    correlated: Option<Vec<Strings>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Emergency {
    handles: Option<Strings>,
    providers: Option<Strings>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Agents {
    units: Option<Strings>,
    control: Option<Strings>,
}

impl Document {
    fn merge(self, config: &mut Config) -> Result<(), Problem> {
        merge_allowance(&self.preferences, config)?;
        for (key, value) in &self.deadlines {
            merge_number("deadlines", &[], DEADLINES, key, value, config)?;
        }
        for (key, value) in &self.limits {
            merge_number("limits", &[], LIMITS, key, value, config)?;
        }
        apps::merge(self.apps, By::Administrator, config)?;
        let policy = &mut config.settings.policy;
        if let Some(value) = self.authorization {
            policy.authorization = word("authorization", &value, AUTHORIZATION)?;
        }
        if let Some(value) = self.policy.after_remote_end {
            policy.after_remote_end = word("after-remote-end", &value, AFTER_REMOTE_END)?;
        }
        if let Some(value) = self.policy.when_busy {
            policy.when_busy = word("when-busy", &value, WHEN_BUSY)?;
        }
        if let Some(groups) = self.policy.correlated {
            policy.correlated = groups.iter().map(correlated).collect::<Result<_, _>>()?;
        }
        if let Some(handles) = self.emergency.handles {
            policy.emergency.handles = list(&handles, handle)?;
        }
        if let Some(providers) = self.emergency.providers {
            policy.emergency.providers = list(&providers, app_id)?;
        }
        policy.rules = rules::over(&policy.rules, &self.rule)?;
        if let Some(units) = self.agents.units {
            let units: BTreeSet<String> = gathered(list(&units, unit)?);
            config.access.agents_anywhere = units.contains(ANY);
            config.access.agent_units = units;
            config.access.agent_units.remove(ANY);
        }
        if let Some(apps) = self.agents.control {
            let apps = list(&apps, app_id)?;
            config.access.controllers = gathered(apps.iter().map(|app| app.to_string()));
        }
        Ok(())
    }
}

/// `[preferences]`: what users may decide, and within which bounds.
fn merge_allowance(table: &Values, config: &mut Config) -> Result<(), Problem> {
    for (key, value) in table {
        if key.get_ref() == "allow" {
            let nothing = value.get_ref().as_array().is_some_and(Vec::is_empty);
            let choices = if nothing { Vec::new() } else { each("allow", value, choice)? };
            config.settings.allowance.choices = choices;
        } else {
            merge_number("preferences", &["allow"], PREFERENCES, key, value, config)?;
        }
    }
    let Allowance { ring_least: least, ring_most: most, .. } = &config.settings.allowance;
    match table.keys().find(|key| key.get_ref().starts_with("ring")) {
        Some(key) if least > most => {
            let (least, most) = (least.0, most.0);
            let message = format!("ring-ms-min ({least}) must not be above ring-ms-max ({most})");
            Err(Problem::at(key.span(), message))
        }
        _ => Ok(()),
    }
}

fn choice(text: &str) -> Result<&'static str, &'static str> {
    Allowance::all().find(|known| *known == text).ok_or(
        "what users may decide is wanted: ring, ring-ms, answer-after-ms, priority, when-busy, after-remote-end, \
         when-hold-fails, ringing, calls, groups, do-not-disturb",
    )
}

fn merge_number(
    table: &str,
    others: &[&str],
    numbers: &[Number],
    key: &Spanned<String>,
    value: &Value,
    config: &mut Config,
) -> Result<(), Problem> {
    // Both spellings are in use elsewhere; refusing one would only cost a second try.
    let name = key.get_ref().replace('_', "-");
    let Some(number) = numbers.iter().find(|number| number.key == name) else {
        let known = numbers.iter().map(|number| number.key);
        let known: Vec<&str> = others.iter().copied().chain(known).collect();
        let message = format!(
            "[{table}] has no key {key:?}; it has {}",
            known.join(", "),
            key = key.get_ref()
        );
        return Err(Problem::at(key.span(), message));
    };
    let given = value.get_ref();
    match given.as_integer().and_then(|given| u32::try_from(given).ok()) {
        Some(value) if number.range.contains(&value) => {
            *(number.place)(config) = value;
            Ok(())
        }
        _ => {
            let (least, most) = (number.range.start(), number.range.end());
            let message = format!("{name} is {given}, but must be a number from {least} to {most}");
            Err(Problem::at(value.span(), message))
        }
    }
}

pub(crate) type Words<T> = &'static [(&'static str, T)];

const AUTHORIZATION: Words<AuthorizationPolicy> =
    &[("ask", AuthorizationPolicy::Ask), ("allow", AuthorizationPolicy::Allow)];
pub(crate) const AFTER_REMOTE_END: Words<AfterRemoteEnd> =
    &[("keep", AfterRemoteEnd::Keep), ("resume", AfterRemoteEnd::Resume)];
pub(crate) const WHEN_BUSY: Words<WhenBusy> =
    &[("refuse", WhenBusy::Refuse), ("end", WhenBusy::End)];

pub(crate) fn word<T: Copy>(key: &str, value: &Value, words: Words<T>) -> Result<T, Problem> {
    let given = value.get_ref();
    let found = words.iter().find(|(word, _)| given.as_str() == Some(word));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let known: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let message = format!("{key} is {given}, but must be {}", known.join(" or "));
        Problem::at(value.span(), message)
    })
}

fn correlated(group: &Strings) -> Result<Vec<Arc<str>>, Problem> {
    let apps = list(group, app_id)?;
    if apps.iter().all(|app| Some(app) == apps.first()) {
        let message = "a group of correlated apps must name two different ones or more";
        return Err(Problem::at(group.span(), message.to_owned()));
    }
    Ok(apps)
}

fn list<T>(
    list: &Strings,
    entry: fn(&Spanned<String>) -> Result<T, Problem>,
) -> Result<Vec<T>, Problem> {
    let entries = list.get_ref();
    if entries.len() > LONGEST_LIST {
        let message =
            format!("the list has {} entries, but may have {LONGEST_LIST}", entries.len());
        return Err(Problem::at(list.span(), message));
    }
    entries.iter().map(entry).collect()
}

pub(crate) fn app_id(text: &Spanned<String>) -> Result<Arc<str>, Problem> {
    if limits::is_app_id(text.get_ref()) {
        return Ok(text.get_ref().as_str().into());
    }
    let message = format!("{:?} is not an app id: {}", text.get_ref(), limits::APP_ID);
    Err(Problem::at(text.span(), message))
}

fn handle(text: &Spanned<String>) -> Result<Arc<str>, Problem> {
    let handle = text.get_ref();
    if !handle.is_empty() && limits::text_fits(handle, limits::HANDLE_BYTES) {
        if can_be_dialled(handle) {
            return Ok(handle.as_str().into());
        }
        let message = "an emergency number has digits, * and # alone, \"tel:112\" for example: this one is never dialled";
        return Err(Problem::at(text.span(), message.to_owned()));
    }
    let message = format!(
        "a handle must have from 1 to {} bytes and no control characters, \"tel:112\" for example",
        limits::HANDLE_BYTES
    );
    Err(Problem::at(text.span(), message))
}

/// Nobody notices a slip in an emergency number until it is needed.
fn can_be_dialled(handle: &str) -> bool {
    let number = match handle.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tel") => {
            rest.split(';').next().unwrap_or_default()
        }
        Some(_) => return true,
        None if handle.contains('@') => return true,
        None => handle,
    };
    number.contains(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_digit() || "+*#-.() ".contains(c))
}

fn unit(text: &Spanned<String>) -> Result<String, Problem> {
    let unit = text.get_ref();
    let named = unit.ends_with(".service") || unit.ends_with(".scope");
    let clean = !unit.contains(|c: char| "/*".contains(c) || c.is_whitespace() || c.is_control());
    if unit == ANY || (named && clean && unit.len() <= LONGEST_UNIT) {
        return Ok(unit.clone());
    }
    let message = format!(
        "{unit:?} is not a unit: the whole name of a user unit, \"callarbiter-agent.service\" for \
         example, or \"*\" alone for every process outside a sandbox"
    );
    Err(Problem::at(text.span(), message))
}
