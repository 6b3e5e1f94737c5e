//! What is decided about apps beforehand: `[apps]` of a configuration, and files of nothing else in `apps.d`.
//!
//! Owns their form, and whose word a file is: a package's is where its app begins, and the user may decide
//! otherwise; the administrator's is final.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use toml::Spanned;

use super::{
    Config, Permits,
    file::{Value, Values, app_id, word},
    problem::Problem,
};

/// Whose word it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The package that brought the app.
    Package,
    /// The administrator.
    Administrator,
}

/// `[apps]`, app by app.
pub(crate) type Apps = BTreeMap<Spanned<String>, Spanned<Said>>;

/// What is said of an app: one word about its calls, or one for each thing that it may do.
#[derive(Debug)]
pub(crate) enum Said {
    Word(toml::Value),
    Each(Values),
}

const ALLOWED: super::file::Words<bool> = &[("allow", true), ("deny", false)];
const KEYS: [&str; 3] = ["calls", "control", "place-call"];

/// Lays what is said over what was said before, app by app.
pub(crate) fn merge(apps: Apps, by: By, config: &mut Config) -> Result<(), Problem> {
    for (app, said) in apps {
        let span = said.span();
        match said.into_inner() {
            Said::Word(value) => {
                let value = Spanned::new(span, value);
                let allowed = word(app.get_ref(), &value, ALLOWED)?;
                may_call(app_id(&app)?.as_ref(), allowed, by, config);
            }
            Said::Each(values) => each(&app, &values, by, config)?,
        }
    }
    Ok(())
}

fn each(
    app: &Spanned<String>,
    values: &Values,
    by: By,
    config: &mut Config,
) -> Result<(), Problem> {
    for (key, value) in values {
        if value.get_ref().is_table() {
            let message = "an app id in [apps] needs quotes: \"org.example.App\" = \"allow\"";
            return Err(Problem::at(app.span(), message.to_owned()));
        }
        // Both spellings are in use elsewhere.
        let name = key.get_ref().replace('_', "-");
        if !KEYS.contains(&name.as_str()) {
            let known = KEYS.join(", ");
            let message =
                format!("of an app there is no {:?} to decide, only {known}", key.get_ref());
            return Err(Problem::at(key.span(), message));
        }
        let allowed = word(&name, value, ALLOWED)?;
        let id = app_id(app)?;
        if name == "calls" {
            may_call(&id, allowed, by, config);
            continue;
        }
        let said = match by {
            By::Package => &mut config.access.packaged,
            By::Administrator => &mut config.access.apps,
        };
        let permits: &mut Permits = said.entry(id.to_string()).or_default();
        match name.as_str() {
            "control" => permits.control = Some(allowed),
            _ => permits.place_call = Some(allowed),
        }
    }
    Ok(())
}

fn may_call(app: &str, allowed: bool, by: By, config: &mut Config) {
    let policy = &mut config.settings.policy;
    let said = match by {
        By::Package => &mut policy.packaged,
        By::Administrator => &mut policy.apps,
    };
    said.insert(app.into(), allowed);
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Said, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

/// A table keeps the places of its entries, as nothing else needs to.
struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"allow\", \"deny\" or a table of {}", KEYS.join(", "))
    }

    fn visit_str<E>(self, text: &str) -> Result<Said, E> {
        Ok(Said::Word(text.into()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Said, E> {
        Ok(Said::Word(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Said, E> {
        Ok(Said::Word(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Said, E> {
        Ok(Said::Word(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, entries: A) -> Result<Said, A::Error> {
        let list = Vec::deserialize(SeqAccessDeserializer::new(entries))?;
        Ok(Said::Word(toml::Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Said, A::Error> {
        let mut values = Values::new();
        while let Some((key, value)) = entries.next_entry::<Spanned<String>, Value>()? {
            values.insert(key, value);
        }
        Ok(Said::Each(values))
    }
}

#[cfg(test)]
mod tests;
