//! Telephone numbers in full (E.164), however people write them.
//!
//! Owns the reading of one number. What two numbers have in common is not asked here.

use crate::region::{Region, Trunk};

/// A telephone number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phone {
    /// Its digits; without a `+`.
    pub digits: String,
    /// With its country's code.
    pub whole: bool,
}

/// The least that a number has which is taken as complete: local numbers of large towns.
const ENDING: usize = 7;

/// The number that this text means where the user lives, if it is one.
pub fn phone(text: &str, region: Option<Region>) -> Option<Phone> {
    let (number, parameters) = text.split_once(';').unwrap_or((text, ""));
    let number = number.trim();
    let plus = number.starts_with(['+', '＋']);
    // "+49 (0)30 …": the 0 is for those who call from there.
    let number = if plus { number.replacen("(0)", "", 1) } else { number.to_owned() };
    let mut digits = String::new();
    for letter in number.chars() {
        match digit(letter) {
            Some(digit) => digits.push(digit),
            // An extension, a pause, a word.
            None if letter.is_alphabetic() || matches!(letter, ',' | '#' | '*') => break,
            None => {}
        }
    }
    if digits.is_empty() || digits.len() > LONGEST {
        return None;
    }
    if plus {
        return Some(Phone { digits, whole: true });
    }
    // RFC 3966: where a local number is local.
    let context =
        parameters.split(';').find_map(|parameter| parameter.strip_prefix("phone-context=+"));
    if let Some(context) = context {
        let context: String = context.chars().filter(char::is_ascii_digit).collect();
        return Some(Phone { digits: context + &digits, whole: true });
    }
    Some(national(digits, region))
}

/// E.164 has fifteen; what is dialled before them has some more.
const LONGEST: usize = 24;

fn national(digits: String, region: Option<Region>) -> Phone {
    let part = |digits: &str| Phone { digits: digits.to_owned(), whole: false };
    let Some(region) = region else {
        return match digits.strip_prefix("00") {
            Some(whole) if whole.len() > ENDING => Phone { digits: whole.to_owned(), whole: true },
            _ => part(digits.trim_start_matches('0')),
        };
    };
    let whole =
        |national: &str| Phone { digits: format!("{}{national}", region.code), whole: true };
    if let Some(abroad) = digits.strip_prefix(region.abroad).filter(|rest| rest.len() > ENDING) {
        return Phone { digits: abroad.to_owned(), whole: true };
    }
    // Emergency calls and services are no part of a plan.
    if digits.len() < ENDING - 1 {
        return part(&digits);
    }
    match region.trunk {
        Trunk::None => whole(&digits),
        Trunk::Prefix(trunk) => match digits.strip_prefix(trunk) {
            Some(national) => whole(national),
            None => part(digits.trim_start_matches('0')),
        },
        Trunk::Ten => match (digits.len(), digits.strip_prefix('1')) {
            (11, Some(national)) => whole(national),
            (10, None) if !digits.starts_with('0') => whole(&digits),
            _ => part(digits.trim_start_matches('0')),
        },
    }
}

/// Text in which `%41` is an `A`. One that hides control characters so is left as it is: what is listed is shown to people,
/// and said to the arbiter.
pub fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(b'%'));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    let decoded = String::from_utf8_lossy(&bytes);
    if decoded.contains(char::is_control) { text.to_owned() } else { decoded.into_owned() }
}

/// Also as they are written in Arabic, Persian, and in the wide letters of Japanese.
fn digit(letter: char) -> Option<char> {
    let zero = match letter {
        '0'..='9' => return Some(letter),
        '\u{660}'..='\u{669}' => '\u{660}',
        '\u{6f0}'..='\u{6f9}' => '\u{6f0}',
        '\u{ff10}'..='\u{ff19}' => '\u{ff10}',
        _ => return None,
    };
    char::from_digit(u32::from(letter) - u32::from(zero), 10)
}
