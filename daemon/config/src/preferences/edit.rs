//! Changing `preferences.toml` for somebody who does not open it: what they wrote beside it stays, comments too.
//!
//! Owns where a key goes in a text. What it means is the parent's.

use std::{io, ops::Range, path::Path};

use callarbiter_dbus::{Dict, Error, ErrorKind};
use toml::Value as Toml;
use zbus::Variant;

use super::{KEYS, RULES, Written, from_wire, parse, plain, variant};
use crate::{
    ConfigError,
    file::{self, Value, Values},
    problem::Problem,
};

/// The text of the file with this choice for every call, or without one, and all that it says then.
pub fn choose(
    file: &Path,
    key: &str,
    value: Option<&Variant<'_>>,
) -> Result<(String, Written), Error> {
    let failed = |why: String| Error::new(ErrorKind::ActionFailed, why);
    let new = value.map(|value| alone(key, value)).transpose()?;
    if new.is_none() && !KEYS.contains(&key) {
        let known = KEYS.join(", ");
        return Err(Error::invalid_argument(format!("there is no such choice; there are {known}")));
    }
    let text = match file::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(format!("{} cannot be read: {error}", file.display()))),
        Ok(text) => text,
    };
    let mistake = |problem| {
        let place = ConfigError::within(file, &text, problem);
        Error::invalid_argument(format!("{place}; mend the file first"))
    };
    let (before, _) = parse(&text).map_err(mistake)?;
    let (mut wanted, rules) = before.to_wire();
    wanted.remove(key);
    let text = match new {
        Some((toml, choice)) => {
            wanted.extend(choice);
            set(&text, key, &toml)
        }
        None => unset(&text, key),
    };
    let text = text.map_err(|problem| failed(problem.message))?;
    match parse(&text) {
        Ok((written, _)) if written.to_wire() == (wanted, rules) => Ok((text, written)),
        _ => Err(failed(format!("{} cannot be changed line by line; edit it", file.display()))),
    }
}

/// One choice, if it is one.
fn alone(key: &str, value: &Variant<'_>) -> Result<(Toml, Dict), Error> {
    let owned = value.try_to_owned().map_err(|error| Error::invalid_argument(error.to_string()))?;
    from_wire(&Dict::from([(key.to_owned(), owned)]), &[])?;
    let toml = plain(value).and_then(|toml| Some((variant(&toml)?.try_into_owned().ok()?, toml)));
    let (value, toml) =
        toml.ok_or_else(|| Error::invalid_argument(format!("{key:?} is too large a number")))?;
    Ok((toml, Dict::from([(key.to_owned(), value)])))
}

/// The text with this choice for every call.
fn set(text: &str, key: &str, value: &Toml) -> Result<String, Problem> {
    let choices: Values = toml::from_str(text)?;
    if let Some((_, old)) = named(&choices, key) {
        return Ok(spliced(text, old.span(), &value.to_string()));
    }
    let others = choices.iter().filter(|(other, _)| other.get_ref() != RULES);
    let last = others.map(|(_, value)| value.span().end).max();
    let line = format!("{key} = {value}\n");
    Ok(match last.map(|last| line_end(text, last)) {
        Some(end) if text.get(..end).is_some_and(|before| before.ends_with('\n')) => {
            spliced(text, end..end, &line)
        }
        Some(end) => spliced(text, end..end, &format!("\n{line}")),
        None => format!("{line}{text}"),
    })
}

/// The text without it.
fn unset(text: &str, key: &str) -> Result<String, Problem> {
    let choices: Values = toml::from_str(text)?;
    let Some((name, value)) = named(&choices, key) else { return Ok(text.to_owned()) };
    let before = text.get(..name).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Ok(spliced(text, start..line_end(text, value.span().end), ""))
}

/// Where it begins, and its value.
fn named<'a>(choices: &'a Values, key: &str) -> Option<(usize, &'a Value)> {
    let found = choices.iter().find(|(name, _)| name.get_ref().replace('_', "-") == key);
    found.map(|(name, value)| (name.span().start, value))
}

fn line_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.find('\n').map_or(text.len(), |newline| at + newline + 1)
}

fn spliced(text: &str, at: Range<usize>, new: &str) -> String {
    let part = |part: Option<&str>| part.unwrap_or_default().to_owned();
    part(text.get(..at.start)) + new + text.get(at.end..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_stands_beside_it_stays() {
        let text = "# mine\nwhen_busy = 'end' # so it is\n\n[[rule]]\nname = \"a\"\nringing = 1\n";
        let word = |word: &str| Toml::String(word.to_owned());
        let changed = set(text, "when-busy", &word("refuse")).unwrap();
        assert_eq!(changed, text.replace("'end'", "\"refuse\""));
        let more = set(text, "ring-ms", &Toml::Integer(9000)).unwrap();
        assert_eq!(more, text.replace("is\n", "is\nring-ms = 9000\n"));
        parse(&more).unwrap();
        assert_eq!(unset(&more, "ring-ms").unwrap(), text);
        assert_eq!(unset(text, "ring-ms").unwrap(), text);
        let without = text.replace("when_busy = 'end' # so it is\n", "");
        assert_eq!(unset(text, "when-busy").unwrap(), without);
    }

    #[test]
    fn a_text_without_choices_gets_its_first() {
        let rule = "[[rule]]\nname = \"a\"\nringing = 1";
        let first = set(rule, "ringing", &Toml::Integer(1)).unwrap();
        assert_eq!(first, format!("ringing = 1\n{rule}"));
        let open = set("ringing = 1", "ring-ms", &Toml::Integer(9000)).unwrap();
        assert_eq!(open, "ringing = 1\nring-ms = 9000\n");
    }

    #[test]
    fn a_file_is_changed_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("preferences.toml");
        let (text, _) = choose(&file, "ring-ms", Some(&9000u32.into())).unwrap();
        assert_eq!(text, "ring-ms = 9000\n");
        std::fs::write(&file, "ringing = 1 # one\n[[rule]]\nname = \"a\"\nring = \"silence\"\n")
            .unwrap();
        let (text, written) = choose(&file, "ringing", None).unwrap();
        assert!(!text.contains("one") && written.to_wire().1.len() == 1, "{text}");
        for (key, value, words) in [
            ("ring", Some("silence"), "is for a [[rule]]"),
            ("when-busy", Some("wait"), "\"refuse\" or \"end\" or \"reject\""),
            ("rings", None, "there is no such choice; there are when-busy"),
        ] {
            let refused = choose(&file, key, value.map(Variant::from).as_ref()).unwrap_err();
            assert!(refused.message.contains(words), "{}", refused.message);
        }
        std::fs::write(&file, "ringing = 'one'\n").unwrap();
        let refused = choose(&file, "ring-ms", Some(&9000u32.into())).unwrap_err();
        assert!(refused.message.contains("preferences.toml:1:11: "), "{}", refused.message);
    }
}
