//! What an entry covers: one address, all that begin alike, all of a domain, or callers who withhold their address.
//!
//! Owns how people write it, and what is refused.

use std::fmt;

use thiserror::Error;

use crate::{
    handle::{Keys, is_scheme},
    region::Region,
};

/// The longest pattern, in bytes: as handles on the bus.
pub const LONGEST: usize = 512;

/// What an entry covers, in normal form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// `tel:+4930123456`, `sip:ada@example.org`.
    Exact(String),
    /// `tel:+4930*`: all that begin so.
    Prefix(String),
    /// `sip:*@spam.example`, as `sip:spam.example`: everybody there and on its subdomains.
    Domain(String),
    /// Callers that withhold who they are.
    Anonymous,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Wrong {
    #[error("it is empty; write an address as `tel:+4930123456`, or `anonymous`")]
    Empty,
    #[error("it has more than {LONGEST} bytes")]
    Long,
    #[error("it has a control character")]
    Control,
    #[error(
        "`*` stands at the end (`tel:+4930*`) or for all users of a domain (`sip:*@spam.example`)"
    )]
    Star,
    #[error("a prefix of numbers begins with its country, as `tel:+4930*`")]
    National,
    #[error("`*` needs a scheme before it, as `tel:+4930*`")]
    Scheme,
    #[error("it would cover everybody; write what those callers have in common, as `tel:+4930*`")]
    Everybody,
}

/// What kind of pattern, the most specific first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Exact,
    Prefix,
    Domain,
    Anonymous,
}

impl Kind {
    /// All of them, each at the place of its number in files.
    pub const ALL: [Kind; 4] = [Kind::Exact, Kind::Prefix, Kind::Domain, Kind::Anonymous];
}

impl Pattern {
    /// As a person writes it.
    pub fn parse(text: &str, region: Option<Region>) -> Result<Pattern, Wrong> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("anonymous") {
            return Ok(Pattern::Anonymous);
        }
        match text.matches('*').count() {
            0 => Pattern::exact(text, region),
            1 => starred(bounded(text)?),
            _ => Err(Wrong::Star),
        }
    }

    /// Of an address, whatever is in it.
    pub fn exact(text: &str, region: Option<Region>) -> Result<Pattern, Wrong> {
        let text = bounded(text.trim())?;
        match text.strip_suffix(':') {
            Some(scheme) if is_scheme(scheme) => Err(Wrong::Empty),
            _ => Ok(Pattern::Exact(exact(text, region).ok_or(Wrong::Empty)?)),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Pattern::Exact(_) => Kind::Exact,
            Pattern::Prefix(_) => Kind::Prefix,
            Pattern::Domain(_) => Kind::Domain,
            Pattern::Anonymous => Kind::Anonymous,
        }
    }

    /// What it is looked up by.
    pub fn key(&self) -> &str {
        match self {
            Pattern::Exact(key) | Pattern::Prefix(key) | Pattern::Domain(key) => key,
            Pattern::Anonymous => "",
        }
    }

    /// Of both, which came from a pattern.
    pub fn of(kind: Kind, key: String) -> Pattern {
        match kind {
            Kind::Exact => Pattern::Exact(key),
            Kind::Prefix => Pattern::Prefix(key),
            Kind::Domain => Pattern::Domain(key),
            Kind::Anonymous => Pattern::Anonymous,
        }
    }
}

/// As [`Pattern::parse`] reads it.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Exact(key) => f.write_str(key),
            Pattern::Prefix(key) => write!(f, "{key}*"),
            Pattern::Anonymous => f.write_str("anonymous"),
            Pattern::Domain(key) => match key.split_once(':') {
                Some(("matrix", host)) => write!(f, "matrix:u/*:{host}"),
                Some((scheme, host)) => write!(f, "{scheme}:*@{host}"),
                None => f.write_str(key),
            },
        }
    }
}

fn bounded(text: &str) -> Result<&str, Wrong> {
    match text {
        "" => Err(Wrong::Empty),
        _ if text.len() > LONGEST => Err(Wrong::Long),
        _ if text.chars().any(char::is_control) => Err(Wrong::Control),
        _ => Ok(text),
    }
}

/// A SIP address that is a number as well is listed as the address: its owner may leave the gateway.
fn exact(text: &str, region: Option<Region>) -> Option<String> {
    let Keys { address, number } = Keys::of(text, region);
    address.or(number)
}

fn starred(text: &str) -> Result<Pattern, Wrong> {
    let (scheme, rest) = match text.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ if text.starts_with('+') => ("tel".to_owned(), text),
        _ if text.starts_with("*@") => ("sip".to_owned(), text),
        _ if text.starts_with('@') => ("matrix".to_owned(), text),
        _ => return Err(Wrong::Scheme),
    };
    let scheme = match scheme.as_str() {
        "sips" => "sip",
        "callto" => "tel",
        scheme => scheme,
    };
    // A matrix id is `u/ada:server` or `@ada:server`.
    let rest = match scheme {
        "matrix" => rest.strip_prefix("u/").or(rest.strip_prefix('@')).unwrap_or(rest),
        _ => rest,
    };
    if let Some(host) = rest.strip_prefix(if scheme == "matrix" { "*:" } else { "*@" }) {
        let host = host.trim_start_matches('.').to_lowercase();
        return match host.is_empty() {
            true => Err(Wrong::Everybody),
            false => Ok(Pattern::Domain(format!("{scheme}:{host}"))),
        };
    }
    let start = rest.strip_suffix('*').ok_or(Wrong::Star)?;
    let start = match scheme {
        "tel" if !start.trim_start().starts_with('+') => return Err(Wrong::National),
        "tel" => {
            let digits: String = start.chars().filter(char::is_ascii_digit).collect();
            if digits.is_empty() {
                return Err(Wrong::Everybody);
            }
            format!("+{digits}")
        }
        "xmpp" | "mailto" => start.to_lowercase(),
        // The host has no cases.
        "sip" => match start.rsplit_once('@') {
            Some((user, host)) => format!("{user}@{}", host.to_lowercase()),
            None => start.to_owned(),
        },
        "matrix" => match start.split_once(':') {
            Some((user, server)) => format!("u/{user}:{}", server.to_lowercase()),
            None if start.is_empty() => return Err(Wrong::Everybody),
            None => format!("u/{start}"),
        },
        _ => start.to_owned(),
    };
    match start.is_empty() {
        true => Err(Wrong::Everybody),
        false => Ok(Pattern::Prefix(format!("{scheme}:{start}"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::region::of_country;

    fn parse(text: &str) -> Result<Pattern, Wrong> {
        Pattern::parse(text, of_country("DE"))
    }

    #[test]
    fn what_people_write() {
        let shown = |text| parse(text).unwrap().to_string();
        for (text, normal) in [
            ("030 123456", "tel:+4930123456"),
            ("+49 30 *", "tel:+4930*"),
            ("tel:+49-30*", "tel:+4930*"),
            ("*@Spam.Example", "sip:*@spam.example"),
            ("sips:*@.spam.example", "sip:*@spam.example"),
            ("matrix:@*:Spam.Example", "matrix:u/*:spam.example"),
            ("Anonymous", "anonymous"),
            ("sip:+4930123456@gate.example", "sip:+4930123456@gate.example"),
            ("x-room:A*", "x-room:A*"),
            ("sip:Ada@Spam.Ex*", "sip:Ada@spam.ex*"),
            ("@*:spam.example", "matrix:u/*:spam.example"),
            ("@spam*", "matrix:u/spam*"),
        ] {
            assert_eq!(shown(text), normal);
            assert_eq!(parse(normal), parse(text), "it reads what it writes");
        }
    }

    #[test]
    fn what_would_block_everybody_or_nobody_is_refused() {
        for (text, wrong) in [
            (" ", Wrong::Empty),
            ("tel:", Wrong::Empty),
            ("SIP:", Wrong::Empty),
            ("*", Wrong::Scheme),
            ("030*", Wrong::Scheme),
            ("matrix:u/*", Wrong::Everybody),
            ("matrix:*:", Wrong::Everybody),
            ("tel:+*", Wrong::Everybody),
            ("sip:*", Wrong::Everybody),
            ("sip:*@", Wrong::Everybody),
            ("tel:030*", Wrong::National),
            ("sip:a*b@example.org", Wrong::Star),
            ("sip:*@*.example", Wrong::Star),
            ("tel:1\n2", Wrong::Control),
        ] {
            assert_eq!(parse(text), Err(wrong), "{text:?}");
        }
        assert_eq!(parse(&"x".repeat(LONGEST + 1)), Err(Wrong::Long));
    }
}
