//! Handles as people mean them: one number is one number, however it is written.
//!
//! Owns the simple part of that: separators, the case of a host, parameters, a scheme that is left out. What
//! needs knowledge of a country or a network (prefixes, extensions) is not attempted: two handles that are the
//! same there only are two here.

use crate::Private;

/// What two spellings of the same handle have in common; empty for none.
pub fn key(handle: &Private) -> Private {
    let handle = handle.reveal().trim();
    let (scheme, rest) = match handle.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => (String::new(), handle),
    };
    let key = match scheme.as_str() {
        "tel" => number(rest),
        "" if is_number(rest) => number(rest),
        "sip" | "sips" => address(rest),
        "" if rest.contains('@') => address(rest),
        "" => rest.to_owned(),
        other => format!("{other}:{rest}"),
    };
    Private::from(key.as_str())
}

/// Whether somebody with this key does not say who they are: no handle, the one that RFC 3323 has for it, or what networks
/// and gateways write in the place of a name, whatever their own domain is.
pub fn is_anonymous(key: &Private) -> bool {
    let key = key.reveal();
    let bare = key.split_once(':').map_or(key, |(_, rest)| rest);
    let (user, host) = bare.split_once('@').unwrap_or((bare, ""));
    bare.is_empty()
        || host.starts_with("anonymous.invalid")
        || WITHHELD.iter().any(|word| user.eq_ignore_ascii_case(word))
}

const WITHHELD: [&str; 5] = ["anonymous", "unavailable", "restricted", "unknown", "private"];

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// The visual separators of RFC 3966, and the space that people write.
fn is_separator(c: char) -> bool {
    matches!(c, '-' | '.' | '(' | ')' | ' ')
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    digits.chars().any(|c| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || is_separator(c))
}

fn number(text: &str) -> String {
    let dialed = text.split(';').next().unwrap_or_default();
    let digits = dialed.chars().filter(|c| !is_separator(*c));
    format!("tel:{}", digits.collect::<String>())
}

fn address(text: &str) -> String {
    let bare = text.split([';', '?']).next().unwrap_or_default();
    match bare.rsplit_once('@') {
        Some((user, host)) => format!("sip:{user}@{}", host.to_ascii_lowercase()),
        None => format!("sip:{}", bare.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        key(&a.into()) == key(&b.into())
    }

    #[test]
    fn spellings_of_one_handle_are_the_same() {
        for (a, b) in [
            ("tel:+4930123456", "tel:+49-30-123456"),
            ("tel:+4930123456", "TEL:+49(30)123.456;phone-context=example.org"),
            ("tel:+4930123456", "+49 30 123456"),
            ("sip:ada@example.org", "sips:ada@EXAMPLE.org;transport=tls"),
            ("sip:ada@example.org", "ada@example.org"),
            ("sip:ada@example.org", " sip:ada@example.org?subject=x"),
            ("XMPP:ada@example.org", "xmpp:ada@example.org"),
            ("ada", "ada"),
        ] {
            assert!(same(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn others_are_not() {
        for (a, b) in [
            ("tel:+4930123456", "tel:4930123456"),
            ("sip:ada@example.org", "sip:Ada@example.org"),
            ("sip:ada@example.org", "xmpp:ada@example.org"),
            ("sip:1@example.org", "tel:1"),
            ("ada", "grace"),
        ] {
            assert!(!same(a, b), "{a} and {b}");
        }
        assert!(key(&"".into()).is_empty());
    }

    #[test]
    fn callers_that_withhold_who_they_are() {
        let is = |handle: &str| is_anonymous(&key(&handle.into()));
        for handle in [
            "",
            "tel:",
            "tel:anonymous",
            "Anonymous",
            "sip:anonymous@anonymous.invalid",
            "sip:Anonymous@Anonymous.Invalid;x=y",
            "sip:anonymous@gateway.example:5060",
            "sips:c8oqz84zk7z@anonymous.invalid",
            "tel:unknown",
        ] {
            assert!(is(handle), "{handle}");
        }
        for handle in ["tel:110", "sip:anon@example.org", "sip:ada@anonymous.example"] {
            assert!(!is(handle), "{handle}");
        }
    }
}
