//! vCards 2.1, 3.0 and 4.0 as phones, webmailers and address books write them: who it is, and by which
//! addresses.
//!
//! Owns the format. Everything else in a card, pictures above all, is passed over unread.

use std::borrow::Cow;

use thiserror::Error;

use crate::{
    entry::{Entry, List},
    handle::is_scheme,
    pattern::Pattern,
};

/// One person or organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    pub name: String,
    pub id: String,
    /// Telephone numbers as they are written, and URIs.
    pub addresses: Vec<Address>,
    /// Of its categories, `blocked` and `allowed` are read; one of both is allowed.
    pub list: Option<List>,
}

/// By what somebody can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Phone(String),
    /// With its scheme.
    Uri(String),
}

/// What is wrong with a file; never what it says.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Broken {
    #[error("line {0}: a card begins and does not end; the last line of each is END:VCARD")]
    Unended(usize),
    #[error("there is no card in it")]
    NoCard,
}

/// The cards of a file. What can be read of a broken one is there all the same.
pub fn read(bytes: &[u8]) -> (Vec<Card>, Option<Broken>) {
    let text = text(bytes);
    let mut lines = Lines { text: text.strip_prefix('\u{feff}').unwrap_or(&text), number: 0 };
    let (mut cards, mut broken) = (Vec::new(), None);
    let mut begun: Option<(Draft, usize)> = None;
    // Cards within a card (AGENT in 2.1) are other people.
    let mut within = 0;
    while let Some(line) = lines.next() {
        if is(line, "BEGIN:VCARD") {
            match &begun {
                None => begun = Some((Draft::default(), lines.number)),
                Some((draft, _)) if draft.agent => within += 1,
                // The one before was cut off.
                Some((_, number)) => {
                    broken = broken.or(Some(Broken::Unended(*number)));
                    begun = Some((Draft::default(), lines.number));
                }
            }
        } else if is(line, "END:VCARD") {
            if within > 0 {
                within -= 1;
            } else if let Some((draft, _)) = begun.take() {
                cards.extend(draft.card());
            }
        } else if let Some((draft, _)) = begun.as_mut().filter(|_| within == 0) {
            draft.take(line, &mut lines);
        }
    }
    if let Some((_, number)) = begun {
        broken = broken.or(Some(Broken::Unended(number)));
    } else if cards.is_empty() && lines.number > 0 && broken.is_none() {
        broken = Some(Broken::NoCard).filter(|_| !text.trim().is_empty() && !begun_any(&text));
    }
    (cards, broken)
}

/// Cards without a name or an address are no mistake.
fn begun_any(text: &str) -> bool {
    text.lines().any(|line| is(line.trim_end(), "BEGIN:VCARD"))
}

fn is(line: &str, word: &str) -> bool {
    line.eq_ignore_ascii_case(word)
}

/// UTF-8, and Latin-1 in the lines that are not: what old phones write.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    let latin = |line: &[u8]| line.iter().copied().map(char::from).collect::<String>();
    let line = |line| std::str::from_utf8(line).map_or_else(|_| latin(line), str::to_owned);
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.split_inclusive(|byte| *byte == b'\n').map(line).collect()),
    }
}

/// The lines as they stand; folded ones are put together only where somebody reads them.
struct Lines<'a> {
    text: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        if self.text.is_empty() {
            return None;
        }
        let (line, rest) = self.text.split_once('\n').unwrap_or((self.text, ""));
        (self.text, self.number) = (rest, self.number + 1);
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    /// What continues the line that was read: lines that begin with a space or a tab.
    fn folded(&mut self, line: &'a str) -> Cow<'a, str> {
        let mut whole = Cow::Borrowed(line);
        while self.text.starts_with([' ', '\t']) {
            let more = self.next().unwrap_or_default();
            whole.to_mut().push_str(more.get(1..).unwrap_or_default());
        }
        whole
    }
}

/// A card that is being read.
#[derive(Default)]
struct Draft {
    formatted: String,
    structured: String,
    nickname: String,
    organisation: String,
    id: String,
    addresses: Vec<Address>,
    list: Option<List>,
    agent: bool,
}

impl Draft {
    fn take<'a>(&mut self, line: &'a str, lines: &mut Lines<'a>) {
        let end = line.find([':', ';']).unwrap_or(line.len());
        let name = line.get(..end).unwrap_or_default();
        // `item1.TEL`: groups name nothing that matters here.
        let name = name.rsplit_once('.').map_or(name, |(_, name)| name).to_ascii_uppercase();
        self.agent = name == "AGENT";
        if !READ.contains(&name.as_str()) {
            return;
        }
        let whole = lines.folded(line);
        let Some((parameters, value)) = parts(whole.get(end..).unwrap_or_default()) else { return };
        let value = decoded(parameters, value, lines);
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        let uri = |scheme: &str| match has_scheme(value) {
            true => Address::Uri(unescaped(value)),
            false => Address::Uri(format!("{scheme}:{}", unescaped(value))),
        };
        let first = |kept: &mut String, value: String| {
            if kept.is_empty() {
                *kept = value;
            }
        };
        match name.as_str() {
            "FN" => first(&mut self.formatted, unescaped(value)),
            "N" => first(&mut self.structured, structured(value)),
            "NICKNAME" => first(&mut self.nickname, unescaped(value)),
            "ORG" => first(
                &mut self.organisation,
                components(value).into_iter().next().unwrap_or_default(),
            ),
            "CATEGORIES" => {
                let named = value.split(',').filter_map(|name| List::of_name(name.trim()));
                self.list = self.list.into_iter().chain(named).min();
            }
            "UID" => first(&mut self.id, unescaped(value)),
            "TEL" => self.addresses.push(telephone(value)),
            "EMAIL" => self.addresses.push(uri("mailto")),
            "X-SIP" | "X-EVOLUTION-SIP" => self.addresses.push(uri("sip")),
            "X-JABBER" => self.addresses.push(uri("xmpp")),
            "X-MATRIX" => self.addresses.push(uri("matrix")),
            // `IMPP;X-SERVICE-TYPE=Jabber:xmpp:ada@example.org`.
            "IMPP" if has_scheme(value) => self.addresses.push(uri("")),
            _ => {}
        }
    }

    /// None for one of whom nothing could be said.
    fn card(self) -> Option<Card> {
        let names = [self.formatted, self.structured, self.nickname, self.organisation];
        let name = names.into_iter().find(|name| !name.is_empty());
        // Whoever is on a list needs no name.
        let name = name.or(self.list.map(|_| String::new()))?;
        let card = Card { name, id: self.id, addresses: self.addresses, list: self.list };
        (!card.addresses.is_empty()).then_some(card)
    }
}

const READ: [&str; 13] = [
    "FN",
    "N",
    "NICKNAME",
    "ORG",
    "CATEGORIES",
    "UID",
    "TEL",
    "EMAIL",
    "X-SIP",
    "X-EVOLUTION-SIP",
    "X-JABBER",
    "X-MATRIX",
    "IMPP",
];

/// Parameters and value: the first colon that is in no quotes divides them.
fn parts(rest: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let colon = rest.bytes().position(|byte| {
        quoted ^= byte == b'"';
        byte == b':' && !quoted
    });
    // A quote that is not closed is one as any letter.
    let colon = colon.or_else(|| rest.find(':'))?;
    Some((rest.get(..colon)?, rest.get(colon + 1..)?))
}

/// 2.1 writes what is not ASCII as quoted-printable; a `=` at the end of a line continues it.
fn decoded<'a>(parameters: &str, value: &'a str, lines: &mut Lines<'_>) -> Cow<'a, str> {
    let mut words =
        parameters.split(';').map(|word| word.rsplit_once('=').map_or(word, |(_, word)| word));
    if !words.any(|word| is(word, "QUOTED-PRINTABLE")) {
        return Cow::Borrowed(value);
    }
    let mut whole = value.to_owned();
    while whole.ends_with('=') {
        whole.pop();
        let Some(more) = lines.next() else { break };
        whole.push_str(more.trim_start_matches(['\t', ' ']));
    }
    let mut bytes = Vec::with_capacity(whole.len());
    let mut rest = whole.as_str();
    while let Some((before, after)) = rest.split_once('=') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match digits {
            Some(byte) => bytes.push(byte),
            None => bytes.push(b'='),
        }
        rest = if digits.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    Cow::Owned(text(&bytes).into_owned())
}

/// `Family;Given;Additional;Prefixes;Suffixes`, as it is said.
fn structured(value: &str) -> String {
    let parts = components(value);
    let part = |at: usize| parts.get(at).map(String::as_str).unwrap_or_default();
    let said: Vec<&str> = [part(3), part(1), part(2), part(0), part(4)]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    said.join(" ")
}

/// What semicolons divide, unless they are escaped.
fn components(value: &str) -> Vec<String> {
    let mut parts = vec![];
    let (mut begin, mut escaped) = (0, false);
    for (at, byte) in value.bytes().enumerate() {
        if byte == b';' && !escaped {
            parts.push(value.get(begin..at).unwrap_or_default());
            begin = at + 1;
        }
        escaped = byte == b'\\' && !escaped;
    }
    parts.push(value.get(begin..).unwrap_or_default());
    parts.into_iter().map(|part| unescaped(part.trim())).collect()
}

/// `\n`, `\,`, `\;`, `\:`, `\\`. A name of several lines is shown on one.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        let meant = match letter {
            '\\' => match letters.next() {
                Some('n' | 'N') => ' ',
                Some(other) => other,
                None => break,
            },
            _ => letter,
        };
        text.push(if meant.is_control() { ' ' } else { meant });
    }
    text
}

/// `tel:+49-30-123;ext=5` in 4.0, else as somebody wrote it.
fn telephone(value: &str) -> Address {
    match value.get(..4).is_some_and(|scheme| is(scheme, "tel:")) {
        true => Address::Phone(value.get(4..).unwrap_or_default().to_owned()),
        false if has_scheme(value) => Address::Uri(unescaped(value)),
        false => Address::Phone(unescaped(value)),
    }
}

fn has_scheme(value: &str) -> bool {
    value.split_once(':').is_some_and(|(scheme, rest)| !rest.is_empty() && is_scheme(scheme))
}

/// A card of somebody on a list, as [`read`] reads it. None for what no card can say: many addresses as one, for one app
/// only, until some day. Brought in again it would say more.
pub fn written(entry: &Entry) -> Option<String> {
    let Pattern::Exact(key) = &entry.rule.pattern else { return None };
    if !entry.rule.app.is_empty() || entry.rule.expires != 0 {
        return None;
    }
    let (scheme, rest) = key.split_once(':').unwrap_or(("", key));
    let address = match scheme {
        "tel" => format!("TEL;VALUE=uri:{key}"),
        "mailto" => format!("EMAIL:{}", escaped(rest)),
        "" => return None,
        _ => format!("IMPP:{}", escaped(key)),
    };
    let category = match entry.rule.list {
        List::Allow => "allowed",
        List::Block => "blocked",
    };
    let name = if entry.reason.is_empty() { key } else { &entry.reason };
    let name = escaped(name);
    Some(format!(
        "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:{name}\r\nCATEGORIES:{category}\r\n{address}\r\nEND:VCARD\r\n"
    ))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '\\' | ',' | ';') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests;
