//! Changing `preferences.toml` for somebody who does not open it: what they wrote beside it stays, comments too.
//!
//! Owns where a key goes in a text. What it means is [`crate::preferences`]'.

use toml::Value as Toml;

use crate::{
    file::{Value, Values},
    preferences::{RULES, Written},
    problem::Problem,
};

/// The text with this choice for every call.
pub fn set(text: &str, key: &str, value: &Toml) -> Result<String, Problem> {
    let choices: Values = toml::from_str(text)?;
    if let Some(old) = named(&choices, key) {
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
pub fn unset(text: &str, key: &str) -> Result<String, Problem> {
    let choices: Values = toml::from_str(text)?;
    let found = choices.iter().find(|(name, _)| is(name.get_ref(), key));
    let Some((name, value)) = found else { return Ok(text.to_owned()) };
    let before = text.get(..name.span().start).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Ok(spliced(text, start..line_end(text, value.span().end), ""))
}

/// A text of its own for all of it.
pub fn written(all: &Written) -> String {
    let mut text = lines(&all.choices);
    for rule in &all.rules {
        text += "\n[[rule]]\n";
        text += &lines(rule.get_ref());
    }
    text
}

fn lines(values: &Values) -> String {
    values.iter().map(|(key, value)| format!("{} = {}\n", key.get_ref(), value.get_ref())).collect()
}

fn named<'a>(choices: &'a Values, key: &str) -> Option<&'a Value> {
    choices.iter().find(|(name, _)| is(name.get_ref(), key)).map(|(_, value)| value)
}

fn is(written: &str, key: &str) -> bool {
    written.replace('_', "-") == key
}

fn line_end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.find('\n').map_or(text.len(), |newline| at + newline + 1)
}

fn spliced(text: &str, at: std::ops::Range<usize>, new: &str) -> String {
    let part = |part: Option<&str>| part.unwrap_or_default().to_owned();
    part(text.get(..at.start)) + new + text.get(at.end..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::preferences::parse;

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
        assert_eq!(
            unset(text, "when-busy").unwrap(),
            text.replace("when_busy = 'end' # so it is\n", "")
        );
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
    fn what_was_given_as_a_whole_is_written_so_that_it_reads_the_same() {
        let text =
            "ringing = 1\n\n[[rule]]\napps = [\"a.*\"]\nname = \"x \\\" y\"\nring = \"silence\"\n";
        let (all, meaning) = parse(text).unwrap();
        assert_eq!(parse(&written(&all)).unwrap().1, meaning);
    }
}
