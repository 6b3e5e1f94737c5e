//! Handles in their normal form: one person is one key, however an app or a person writes the address.
//!
//! Owns the case rules of each scheme. A number is E.164 as far as the user's region makes it whole; of a SIP
//! address that is a number as well, both are keys.

use crate::{
    phone::{Phone, percent_decoded, phone},
    region::Region,
};

/// What a caller is looked up by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// `sip:ada@example.org`; none for a mere number.
    pub address: Option<String>,
    /// `tel:+4930123456`; without the `+` where it is not whole.
    pub number: Option<String>,
}

impl Keys {
    /// Of a handle.
    pub fn of(handle: &str, region: Option<Region>) -> Keys {
        let handle = handle.trim();
        match handle.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => {
                of_uri(&scheme.to_ascii_lowercase(), rest, region)
            }
            _ if handle.starts_with('@') => Keys::address(matrix(handle)),
            _ if handle.contains('@') => of_uri("sip", handle, region),
            _ => match number(handle, region) {
                None if !handle.is_empty() => Keys::address(handle.to_owned()),
                number => Keys { address: None, number },
            },
        }
    }

    fn address(address: String) -> Keys {
        Keys { address: Some(address), number: None }
    }

    /// Both, the number first: it is what people list.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        [&self.number, &self.address].into_iter().filter_map(Option::as_deref)
    }
}

/// Whether a caller withholds who it is (RFC 3323, and what networks send).
pub fn is_anonymous(handle: &str) -> bool {
    let handle = handle.trim().to_ascii_lowercase();
    let bare = handle.split_once(':').map_or(handle.as_str(), |(_, rest)| rest);
    let user = bare.split(['@', ';']).next().unwrap_or_default();
    let host = bare.split_once('@').map_or("", |(_, host)| host);
    bare.is_empty()
        || host.starts_with("anonymous.invalid")
        || matches!(user, "anonymous" | "unavailable" | "restricted" | "unknown" | "private")
}

/// Scheme and host of a key, without a port.
pub fn host_of(key: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = key.split_once(':')?;
    let host = match scheme {
        "matrix" => rest.split_once(':')?.1,
        _ => rest.rsplit_once('@')?.1,
    };
    // `[::1]:5060`
    let end = if host.starts_with('[') { host.find(']').map(|at| at + 1) } else { host.find(':') };
    Some((scheme, host.get(..end.unwrap_or(host.len())).unwrap_or(host)))
}

/// As a URI's scheme begins (RFC 3986).
pub fn is_scheme(text: &str) -> bool {
    text.len() <= SCHEME
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// The longest scheme, in bytes: as on the bus.
const SCHEME: usize = 32;

fn of_uri(scheme: &str, rest: &str, region: Option<Region>) -> Keys {
    match scheme {
        "tel" | "callto" => match number(rest, region) {
            None => Keys::address(format!("tel:{rest}")),
            number => Keys { address: None, number },
        },
        "sip" | "sips" => sip(rest, region),
        // A JID is folded whole, and its resource is a device (RFC 7622).
        "xmpp" => Keys::address(format!("xmpp:{}", bare(rest, &['/', '?', ';']).to_lowercase())),
        // By the letter the user's part has cases; no provider has two that differ in them.
        "mailto" => Keys::address(format!("mailto:{}", bare(rest, &['?', ';']).to_lowercase())),
        "matrix" => Keys::address(matrix(rest)),
        other => Keys::address(format!("{other}:{rest}")),
    }
}

/// `sips` is the way, not the person. The user's part has cases, the host has none (RFC 3261, 19.1.4).
fn sip(rest: &str, region: Option<Region>) -> Keys {
    let (at, parameters) = rest.split_at(rest.find([';', '?']).unwrap_or(rest.len()));
    let Some((user, host)) = at.rsplit_once('@') else {
        return Keys::address(format!("sip:{}", at.to_lowercase()));
    };
    let user = user_of(user);
    let number = phone_of(&user, parameters, region).map(key_of);
    let host = without_port(host).to_lowercase();
    Keys { address: Some(format!("sip:{user}@{host}")), number }
}

/// The user of a SIP address; a password in it names nobody.
pub fn user_of(user: &str) -> String {
    percent_decoded(user.split(':').next().unwrap_or(user))
}

/// The host of an address, without the ports that are meant where none is said.
pub fn without_port(host: &str) -> &str {
    host.strip_suffix(":5060").or(host.strip_suffix(":5061")).unwrap_or(host)
}

/// The number that the user of a SIP address is, with what stands behind the address.
pub fn phone_of(user: &str, parameters: &str, region: Option<Region>) -> Option<Phone> {
    let is_phone = user.starts_with('+') || parameters.to_ascii_lowercase().contains("user=phone");
    if is_phone { phone(user, region) } else { None }
}

/// `@ada:example.org` and `matrix:u/ada:example.org` are one; ids have cases, servers have none.
fn matrix(rest: &str) -> String {
    let id = bare(rest, &['?']);
    let id = id.strip_prefix("u/").or(id.strip_prefix('@')).unwrap_or(id);
    match id.split_once(':') {
        Some((user, server)) => format!("matrix:u/{user}:{}", server.to_lowercase()),
        None => format!("matrix:u/{id}"),
    }
}

fn number(text: &str, region: Option<Region>) -> Option<String> {
    phone(text, region).map(key_of)
}

fn key_of(phone: Phone) -> String {
    format!("tel:{}{}", if phone.whole { "+" } else { "" }, phone.digits)
}

fn bare<'a>(text: &'a str, ends: &[char]) -> &'a str {
    text.split(ends).next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;
    use crate::region::of_country;

    fn keys(handle: &str) -> Vec<String> {
        Keys::of(handle, of_country("DE")).all().map(str::to_owned).collect()
    }

    #[test]
    fn one_number_is_one_key() {
        for written in [
            "tel:+49-30-123456",
            "030/123456",
            "0049 30 123456",
            "+49 (0)30 123456",
            "tel:030123456",
            "callto:+4930123456",
        ] {
            assert_eq!(keys(written), ["tel:+4930123456"], "{written}");
        }
        assert_eq!(
            keys("sip:+4930123456@Gate.Example;user=phone"),
            ["tel:+4930123456", "sip:+4930123456@gate.example"]
        );
        assert_eq!(keys("110"), ["tel:110"]);
    }

    #[test]
    fn each_scheme_has_its_own_cases() {
        for (one, other) in [
            ("sip:Ada@Example.ORG:5060;transport=tcp", "sips:Ada@example.org"),
            ("xmpp:Ada@Example.org/phone", "XMPP:ada@example.org"),
            ("mailto:Ada@Example.org", "mailto:ada@example.org"),
            ("@ada:Example.org", "matrix:u/ada:example.org"),
            ("Ada@example.org", "sip:Ada@EXAMPLE.org"),
        ] {
            assert_eq!(keys(one), keys(other), "{one}");
        }
        for (one, other) in [
            ("sip:Ada@example.org", "sip:ada@example.org"),
            ("@Ada:example.org", "@ada:example.org"),
            ("x-room:A", "x-room:a"),
            ("xmpp:ada@example.org", "sip:ada@example.org"),
        ] {
            assert_ne!(keys(one), keys(other), "{one}");
        }
        assert_eq!(keys("X-Room:A"), ["x-room:A"]);
        assert_eq!(keys("  "), [""; 0]);
    }

    /// Whoever reads a list at a terminal, and the arbiter, which takes no such text, see what was written.
    #[test]
    fn no_key_has_control_characters() {
        for handle in ["sip:a%1b[2J@x", "sip:a%0D%0Ab@x", "sip:a%+Ab@x", "sip:%C2%9Bm@x"] {
            let keys = keys(handle);
            assert!(!keys[0].contains(char::is_control), "{keys:?}");
        }
        assert_eq!(keys("sip:%41da@x"), ["sip:Ada@x"]);
        assert_eq!(keys("sip:a%1bb@x"), ["sip:a%1bb@x"]);
    }

    #[test]
    fn callers_that_withhold_who_they_are() {
        for handle in ["", "tel:", "sip:anonymous@anonymous.invalid", "Anonymous", "tel:unknown"] {
            assert!(is_anonymous(handle), "{handle}");
        }
        assert!(!is_anonymous("tel:110") && !is_anonymous("sip:anon@example.org"));
    }
}
