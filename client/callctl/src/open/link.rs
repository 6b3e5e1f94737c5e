//! Links that stand for a call: `tel:`, `sip:`, `sips:`, `callto:`.
//!
//! Owns what of a link is dialled and what is refused: whoever wrote it is a stranger. Must not ask anybody
//! or start anything. The handle of a link is one that no parameter of the link can send elsewhere.

use std::str::FromStr;

/// As long as the longest handle of the arbiter; what is longer is no address.
const LONGEST: usize = 256;

/// Digits of what only a network itself understands: 112, 911, 110.
const SERVICE_DIGITS: usize = 3;

/// What a link asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whom to call: `tel:+4930123456`, `sip:ada@example.org`.
    pub handle: String,
    /// Digits for the far end's own exchange, once it has answered.
    pub extension: Option<String>,
}

impl Link {
    /// `tel`, `sip`, `sips`.
    pub fn scheme(&self) -> &str {
        self.handle.split(':').next().unwrap_or_default()
    }
}

impl FromStr for Link {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(format!("the link has {} bytes; at most {LONGEST}", text.len()));
        }
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(
                "a link begins with its scheme: tel:+4930123456, sip:ada@example.org".into()
            );
        };
        let scheme = scheme.to_ascii_lowercase();
        // Not in any standard, but in many pages.
        let rest = rest.trim_start_matches('/');
        match scheme.as_str() {
            "tel" => telephone(rest),
            "sip" | "sips" => address(&scheme, rest),
            "callto" if rest.contains('@') => address("sip", rest),
            "callto" => telephone(rest).map_err(|why| format!("{why}; a callto: link is a number or ada@example.org")),
            _ => Err("only tel:, sip:, sips: and callto: links are opened; any other address is called by \
                      `callctl start`"
                .into()),
        }
    }
}

/// RFC 3966.
fn telephone(text: &str) -> Result<Link, String> {
    let text = decoded(text)?;
    let mut parts = text.split('?').next().unwrap_or_default().split(';');
    let whole = parts.next().unwrap_or_default();
    let (number, after) = whole.split_once(',').unwrap_or((whole, ""));
    let number = digits(number, "number")?;
    let after = tones(after)?;
    let (mut context, mut extension) = (None, None);
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let slot = match name.to_ascii_lowercase().as_str() {
            "phone-context" => &mut context,
            "ext" => &mut extension,
            // `isub` and what later standards add: nothing that changes who is called.
            _ => continue,
        };
        if slot.replace(value.to_owned()).is_some() {
            return Err(format!("the link says `{name}` twice"));
        }
    }
    let number = match context.as_deref() {
        // The prefix that makes a local number a global one; a domain names whose number it is, no more.
        Some(prefix) if prefix.starts_with('+') => {
            within(&digits(prefix, "phone-context")?, &number)?
        }
        _ => number,
    };
    let extension = match extension {
        Some(digits_of) => {
            Some(digits(&digits_of, "ext")?).filter(|digits| !digits.starts_with('+'))
        }
        None => None,
    };
    if extension.is_some() && after.is_some() {
        return Err("the link has an extension and digits behind a pause; which are meant?".into());
    }
    Ok(Link { handle: format!("tel:{number}"), extension: extension.or(after) })
}

/// What stands behind a pause, as invitations to conferences have it: `+4930123456,,7042%23`. The far end hears it, no
/// network obeys it, so * and # are tones there.
fn tones(text: &str) -> Result<Option<String>, String> {
    let tones: String = text.chars().filter(|c| !is_separator(*c)).collect();
    let tones = tones.trim_matches(',');
    match tones.chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '#' | ',')) {
        true => Ok((!tones.is_empty()).then(|| tones.to_owned())),
        false => {
            Err("what stands behind a pause (,) in the link is no tones: digits, * and #".into())
        }
    }
}

/// There for the eye.
fn is_separator(c: char) -> bool {
    matches!(c, '-' | '.' | '(' | ')' | ' ' | '\u{a0}')
}

fn within(prefix: &str, number: &str) -> Result<String, String> {
    if number.starts_with('+') {
        return Err("a number that begins with + has no phone-context".into());
    }
    // An emergency number stays itself wherever it is valid.
    let service = number.len() <= SERVICE_DIGITS;
    Ok(if service { number.to_owned() } else { format!("{prefix}{number}") })
}

/// The digits of a number without what is there for the eye.
fn digits(text: &str, what: &str) -> Result<String, String> {
    let dialled: String = text.chars().filter(|c| !is_separator(*c)).collect();
    let plain = dialled.strip_prefix('+').unwrap_or(&dialled);
    if plain.contains(['*', '#']) {
        return Err(format!(
            "the link's {what} is a service code (* and #), which changes what the telephone or the network does; \
             a link cannot dial one, `callctl start` can"
        ));
    }
    if plain.is_empty() || !plain.chars().all(|c| c.is_ascii_digit()) {
        return Err(format!(
            "the link's {what} is no telephone number: digits, with a + before a country's code"
        ));
    }
    Ok(dialled)
}

/// RFC 3261: `user@host:port`. Headers are for mail-like programs, and parameters can send the call elsewhere.
fn address(scheme: &str, text: &str) -> Result<Link, String> {
    let bare = text.split([';', '?']).next().unwrap_or_default();
    let (user, host) = match bare.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, bare),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err("the link holds a password; take out what is between : and @".into());
    }
    let in_user = |c: char| c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,/%#".contains(c);
    if user.is_some_and(|user| user.is_empty() || !user.chars().all(in_user)) {
        return Err(
            "what stands before @ in the link is no name: letters, digits and -_.!~*'()&=+$,/"
                .into(),
        );
    }
    let in_host = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    if !host.chars().any(|c| c.is_ascii_alphanumeric()) || !host.chars().all(in_host) {
        return Err("the link names no host: sip:ada@example.org".into());
    }
    let host = host.to_ascii_lowercase();
    let handle = match user {
        Some(user) => format!("{scheme}:{user}@{host}"),
        None => format!("{scheme}:{host}"),
    };
    Ok(Link { handle, extension: None })
}

/// Percent signs read: a browser writes the space of a number as `%20`, and + as `%2B`.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let value = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        bytes.push(value.ok_or("a % in the link is not followed by two hexadecimal digits")?);
    }
    String::from_utf8(bytes).map_err(|_| "the link is no text".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    fn handle(text: &str) -> String {
        text.parse::<Link>().unwrap_or_else(|why| panic!("{text}: {why}")).handle
    }

    #[test]
    fn a_number_is_what_is_dialled_however_it_is_written() {
        for (link, expected) in [
            ("tel:+49-30-123.456", "tel:+4930123456"),
            ("TEL:+49%20(30)%20123456", "tel:+4930123456"),
            ("tel:%2B4930123456", "tel:+4930123456"),
            ("tel://+4930123456", "tel:+4930123456"),
            (" tel:+4930123456?call ", "tel:+4930123456"),
            ("tel:030123456", "tel:030123456"),
            ("callto:+49 30 123456", "tel:+4930123456"),
            ("callto://030123456", "tel:030123456"),
        ] {
            assert_eq!(handle(link), expected, "{link}");
        }
    }

    #[test]
    fn a_local_number_is_completed_by_its_context() {
        assert_eq!(handle("tel:7042;phone-context=+1-914-784"), "tel:+19147847042");
        assert_eq!(handle("tel:7042;phone-context=example.com"), "tel:7042");
        assert_eq!(handle("tel:112;phone-context=+49"), "tel:112");
        assert!("tel:+4930;phone-context=+49".parse::<Link>().is_err());
    }

    #[test]
    fn an_extension_is_no_part_of_the_number() {
        let link: Link = "tel:+4930123456;ext=1-2;isub=9".parse().unwrap();
        let expected = Link { handle: "tel:+4930123456".into(), extension: Some("12".into()) };
        assert_eq!(link, expected);
        assert_eq!(
            "tel:+4930123456;ext=1;ext=2".parse::<Link>(),
            Err("the link says `ext` twice".into())
        );
    }

    #[test]
    fn digits_behind_a_pause_are_for_the_far_end() {
        for (link, tones) in [
            ("tel:+4930123456,,7042%23", Some("7042#")),
            ("tel:+4930123456,,70-42#,,*1", Some("7042#,,*1")),
            ("tel:+4930123456,", None),
        ] {
            let expected =
                Link { handle: "tel:+4930123456".into(), extension: tones.map(str::to_owned) };
            assert_eq!(link.parse(), Ok(expected), "{link}");
        }
        for wrong in ["tel:+49301,x", "tel:,1", "tel:*31#,1", "tel:+49301,2;ext=3", "tel:+49301,+2"]
        {
            assert!(wrong.parse::<Link>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_in_an_address_sends_the_call_elsewhere() {
        for (link, expected) in [
            ("sip:Ada@Example.org", "sip:Ada@example.org"),
            (
                "sip:ada@example.org;maddr=10.0.0.1;method=MESSAGE?Route=sip:x",
                "sip:ada@example.org",
            ),
            ("SIPS:ada@[2001:db8::1]:5061", "sips:ada@[2001:db8::1]:5061"),
            ("sip:example.org", "sip:example.org"),
            ("callto:ada@example.org?subject=x", "sip:ada@example.org"),
        ] {
            assert_eq!(handle(link), expected, "{link}");
        }
    }

    #[test]
    fn what_no_link_may_do_is_refused_with_a_reason() {
        for (link, reason) in [
            ("tel:*%2306%23", "service code"),
            ("tel:**21*+49301#", "service code"),
            ("tel:+4930123456;ext=*21#", "service code"),
            ("tel:", "no telephone number"),
            ("tel:+49-FLOWERS", "no telephone number"),
            ("tel:+49\u{202e}30", "no telephone number"),
            ("tel:+49%3", "two hexadecimal digits"),
            ("tel:%ff", "no text"),
            ("sip:ada:secret@example.org", "password"),
            ("sip:ada@", "no host"),
            ("sip:a b@example.org", "no name"),
            ("callto:ada", "ada@example.org"),
            ("https://example.org", "only tel:"),
            ("+4930123456", "begins with its scheme"),
            (&format!("tel:{}", "1".repeat(300)), "at most 256"),
        ] {
            let why = link.parse::<Link>().unwrap_err();
            assert!(why.contains(reason), "{link}: {why}");
        }
    }
}
