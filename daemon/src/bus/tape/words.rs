//! Other texts for those of a recording: nothing in it says who calls whom, and what was the same still is.
//!
//! Owns which texts stay (ids of apps, schemes, names of rules and seats, emergency numbers) and what stands for all
//! others: a number in the order in which they were met, in a form for which the core decides as it does for the text
//! itself. Nothing leads back: the numbers say nothing, and what they stand for is forgotten with the recording.

use std::rc::Rc;

use callarbiter_core::{
    Contacts, EVERY_CALL, Handles, Preferences, Private, Rule, Settings, handle_key, is_anonymous,
};
use callarbiter_records::Words;

use crate::bus::admission;

/// Schemes that say nothing about anybody.
const SCHEMES: [&str; 12] = [
    "tel", "sip", "sips", "xmpp", "matrix", "mailto", "im", "callto", "h323", "skype", "sms", "urn",
];

/// The handle of those who do not say who they are, as the core knows it.
const ANONYMOUS: &str = "sip:anonymous@anonymous.invalid";

/// The texts of one recording and what stands for each.
#[derive(Debug, Default)]
pub struct Pseudonyms {
    texts: Others,
    /// By what all spellings of a handle have in common: what stands for that.
    handles: Others,
    emergency: Vec<Box<str>>,
    patterns: Vec<Handles>,
    own_patterns: Vec<Handles>,
    /// Handles that are like a pattern of the rules, both as they are written, and not told yet.
    alike: Vec<(Private, Private)>,
}

impl Pseudonyms {
    /// A text that stays as it is; unless it was met before, and has another already.
    pub fn keep(&mut self, text: &str) {
        self.texts.or_add(text, || text.into());
    }

    /// What of the rules stays, and which patterns they have.
    pub fn follow(&mut self, settings: &Settings) {
        let policy = &settings.policy;
        self.keep("");
        self.keep(ANONYMOUS);
        policy.apps.keys().for_each(|app| self.keep(app));
        policy.correlated.iter().flatten().for_each(|app| self.keep(app));
        policy.emergency.providers.iter().for_each(|app| self.keep(app));
        for handle in &policy.emergency.handles {
            self.keep(handle);
            self.emergency.push((&**handle).into());
            let key = handle_key(&Private::from(&**handle));
            let own = key.reveal().split_once(':').map_or(key.reveal(), |(_, rest)| rest);
            self.handles.or_add(key.reveal(), || own.into());
        }
        policy.rules.iter().for_each(|rule| self.keep(&rule.name));
        self.patterns = self.patterns_of(&policy.rules);
        self.compare_all();
    }

    /// The same of the user's own rules, whose names may be anybody's.
    pub fn prefer(&mut self, preferences: &Preferences) {
        self.keep(EVERY_CALL);
        self.own_patterns = self.patterns_of(&preferences.rules);
        self.compare_all();
    }

    fn patterns_of(&mut self, rules: &[Rule]) -> Vec<Handles> {
        let mut patterns = Vec::new();
        for when in rules.iter().map(|rule| &rule.when) {
            when.apps.iter().for_each(|app| self.keep(app.text()));
            for contact in &when.contacts {
                if let Contacts::Handle(handles) = contact {
                    patterns.push(handles.clone());
                }
            }
        }
        patterns
    }

    fn compare_all(&mut self) {
        for (text, other) in self.texts.0.clone() {
            self.compare(&text, &other);
        }
    }

    /// What was found to be alike since this was last asked.
    pub fn take_alike(&mut self) -> Vec<(Private, Private)> {
        std::mem::take(&mut self.alike)
    }

    /// There are more texts than can be told apart.
    pub fn are_too_many(&self) -> bool {
        self.texts.0.len() > admission::RECORDING_TEXTS
    }

    fn compare(&mut self, text: &str, other: &str) {
        let patterns = || self.patterns.iter().chain(&self.own_patterns);
        if text == other || patterns().next().is_none() {
            return;
        }
        let key = handle_key(&text.into());
        let alike: Vec<Handles> =
            patterns().filter(|pattern| pattern.have(&key)).cloned().collect();
        for pattern in alike {
            let pattern = self.instead_of(pattern.pattern().reveal());
            self.alike.push((pattern.as_str().into(), other.into()));
        }
    }

    /// A new text's other, which the core takes for the same handle as that of every other spelling, and for no other.
    fn name(&mut self, text: &str) -> String {
        let bare = match text.split_once(':') {
            Some((scheme, rest)) if self.is_scheme(scheme) => rest,
            _ => text,
        };
        if self.emergency.iter().any(|listed| **listed == *bare) {
            return text.to_owned();
        }
        let key = handle_key(&text.into());
        let withheld = is_anonymous(&key);
        let key = key.reveal();
        let scheme = |of: &str| match of.split_once(':') {
            Some((scheme, _)) if self.is_scheme(scheme) => scheme.to_owned(),
            _ => String::new(),
        };
        let (written, meant) = (scheme(text.trim()), scheme(key));
        let next = self.handles.0.len() + 1;
        let own = self.handles.or_add(key, || match &*meant {
            _ if withheld => withheld_as(key, next).into(),
            // There is no country 0.
            "tel" => format!("+0{next}").into(),
            "sip" if key.contains('@') => format!("#{next}@x").into(),
            _ => format!("#{next}").into(),
        });
        if key == text {
            return joined(&meant, &own);
        }
        // Another spelling, of which each has its own: by a parameter, or by what nobody reads.
        let n = self.texts.0.len();
        let unread = |zero: &str, one: &str| format!("{n:b}").replace('0', zero).replace('1', one);
        match (&*meant, &*written) {
            ("tel", "") => format!("{own}{}", unread(".", "-")),
            ("tel" | "sip", _) => format!("{};{n}", joined(&written, &own)),
            ("", _) => format!("{}{own}", unread(" ", "\t")),
            _ => joined(&written, &own),
        }
    }

    fn is_scheme(&self, scheme: &str) -> bool {
        let is = |known: &&str| known.eq_ignore_ascii_case(scheme);
        SCHEMES.iter().any(is) || self.texts.get(scheme).is_some_and(|kept| kept == scheme)
    }
}

impl Words for Pseudonyms {
    fn instead_of(&mut self, text: &str) -> String {
        if let Some(known) = self.texts.get(text) {
            return known.to_string();
        }
        let other = self.name(text);
        self.texts.or_add(text, || other.as_str().into());
        self.compare(text, &other);
        other
    }
}

/// Texts, each with its other, in their order.
#[derive(Debug, Default)]
struct Others(Vec<(Box<str>, Rc<str>)>);

impl Others {
    fn get(&self, text: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(text)).ok()?;
        self.0.get(at).map(|(_, other)| &**other)
    }

    /// The other of a text, which is this one if it had none.
    fn or_add(&mut self, text: &str, other: impl FnOnce() -> Rc<str>) -> Rc<str> {
        let found = self.0.binary_search_by(|(known, _)| (**known).cmp(text));
        let other = match found {
            Ok(at) => return self.0.get(at).map_or_else(other, |(_, other)| other.clone()),
            Err(_) => other(),
        };
        self.0.insert(found.unwrap_or_else(|at| at), (text.into(), other.clone()));
        other
    }
}

/// Rules know those who do not say who they are by these words; not so the network that they call from.
fn withheld_as(key: &str, next: usize) -> String {
    let bare = key.split_once(':').map_or(key, |(_, rest)| rest);
    match bare.split_once('@') {
        Some(_) => format!("anonymous@{next}.x"),
        None => bare.to_owned(),
    }
}

fn joined(scheme: &str, rest: &str) -> String {
    if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}:{rest}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::sync::Arc;

    use callarbiter_core::{Emergency, Policy, When};

    use super::*;

    fn key(text: &str) -> String {
        handle_key(&text.into()).reveal().to_owned()
    }

    #[test]
    fn what_is_the_same_is_the_same_and_nothing_is_told() {
        let spellings = [
            "tel:+4930123456",
            "tel:+49-30-123456",
            "TEL:+49(30)123.456;phone-context=example.org",
            "+49 30 123456",
            "tel:+4930123457",
            "tel:110",
            "sip:ada@example.org",
            "sips:ada@EXAMPLE.org;transport=tls",
            "ada@example.org",
            "sip:Ada@example.org",
            "sip:ada",
            "XMPP:ada@example.org",
            "xmpp:ada@example.org",
            "xmpp:grace@example.org",
            "Ada: my sister",
            "Ada Lovelace",
            " Ada Lovelace",
            "ada",
            "tel:+49*",
            "#1",
            "+01",
            "sip:anonymous@gateway.example",
            "sip:Anonymous@gateway.example;x=1",
            "sips:anonymous@gateway.EXAMPLE",
            "tel:anonymous",
            "Unknown",
        ];
        let mut words = Pseudonyms::default();
        words.follow(&Settings::default());
        let others: Vec<String> = spellings.iter().map(|text| words.instead_of(text)).collect();
        for (a, of_a) in spellings.iter().zip(&others) {
            assert_eq!(words.instead_of(a), *of_a, "stable");
            for (b, of_b) in spellings.iter().zip(&others) {
                assert_eq!(key(a) == key(b), key(of_a) == key(of_b), "{a} {b}: {of_a} {of_b}");
                assert_eq!(a == b, of_a == of_b, "{a} {b}: {of_a} {of_b}");
            }
            let withheld = |text: &str| is_anonymous(&handle_key(&text.into()));
            assert_eq!(withheld(a), withheld(of_a), "{a} {of_a}");
            let scheme = |text: &str| {
                let scheme = text.split_once(':').map(|(scheme, _)| scheme.to_owned());
                scheme.filter(|scheme| words.is_scheme(scheme))
            };
            assert_eq!(scheme(a), scheme(of_a), "{a} {of_a}");
            assert_eq!(key(a) == *a, key(of_a) == *of_a, "{a} {of_a}");
        }
        let told = others.join("\n").to_lowercase();
        for word in ["ada", "grace", "lovelace", "sister", "example", "30", "123", "110", "context"]
        {
            assert!(!told.contains(word), "{word} in {told}");
        }
    }

    #[test]
    fn rules_about_handles_say_which_are_meant() {
        let contacts = ["tel:+49*", "tel:+331234"].map(Handles::like).map(Contacts::Handle);
        let when = When { contacts: contacts.to_vec(), ..When::default() };
        let rule = Rule { name: "abroad".into(), when, ..Rule::default() };
        let policy = Policy { rules: Arc::from([rule]), ..Policy::default() };
        let mut words = Pseudonyms::default();
        words.instead_of("tel:+49-30");
        words.follow(&Settings { policy, ..Settings::default() });
        for text in ["tel:+44", "+49 40", "tel:+33-1234"] {
            words.instead_of(text);
        }
        let alike = words.take_alike();
        let told = |pattern: &str, handle: &str| (key(pattern), handle.to_owned());
        let patterns = ["tel:+49*", "tel:+331234"].map(|pattern| words.instead_of(pattern));
        let of = |text: &str| words.texts.get(text).unwrap().to_owned();
        let expected = [
            told(&patterns[0], &of("tel:+49-30")),
            told(&patterns[0], &of("+49 40")),
            told(&patterns[1], &of("tel:+33-1234")),
        ];
        let found = alike
            .iter()
            .map(|(pattern, handle)| (pattern.reveal().to_owned(), handle.reveal().to_owned()));
        for expected in &expected {
            assert!(found.clone().any(|found| found == *expected), "{expected:?}");
        }
        assert_eq!(words.instead_of("abroad"), "abroad");
    }

    #[test]
    fn emergency_numbers_stay_what_they_are() {
        let emergency =
            Emergency { handles: vec!["tel:112".into(), "911".into()], providers: vec![] };
        let policy = Policy { emergency, ..Policy::default() };
        let mut words = Pseudonyms::default();
        words.follow(&Settings { policy, ..Settings::default() });
        for text in ["tel:112", "112", "tel:1-1-2", "tel:112;phone-context=+49", "911", "sip:911"] {
            assert_eq!(key(&words.instead_of(text)), key(text), "{text}");
        }
        assert!(!words.instead_of("tel:112;phone-context=+49").contains("49"));
        assert_eq!(words.instead_of("sip:911"), "sip:911", "as somebody dialled it");
    }
}
