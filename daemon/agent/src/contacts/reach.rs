//! Whether two ways of writing an address reach the same person.
//!
//! Owns the comparison. Telephone numbers are the same if they are the same in full (E.164). Where one of them
//! lacks what would make it whole, an area code or, with no region known, the country, it must be the end of the
//! other and have seven digits at least, as telephones do it. A SIP address is its user and host, whatever
//! its parameters say.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use callarbiter_lists::{
    handle::{phone_of, user_of, without_port},
    phone::{Phone, phone},
    region::Region,
    vcard::Address,
};

/// What an address reaches: a telephone, an account, or both (`sip:+4930123456@example.org`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    phone: Option<Phone>,
    account: Option<Account>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Account {
    scheme: String,
    /// `user@host`, the host in lower case; for other schemes all that follows.
    at: String,
}

/// How sure it is, the surest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// One number is the end of the other.
    Ending,
    /// The same user and host by another scheme: people's SIP address is often their mail's.
    Account,
    Same,
}

/// The least that an ending has: local numbers of large towns.
const ENDING: usize = 7;

impl Reach {
    /// Of a handle, or of what stands in a card as a URI.
    pub fn of_uri(uri: &str, region: Option<Region>) -> Reach {
        let Some((scheme, rest)) = uri.split_once(':') else { return Reach::of_phone(uri, region) };
        let scheme = scheme.to_ascii_lowercase();
        match scheme.as_str() {
            "tel" | "callto" => Reach::of_phone(rest, region),
            "sip" | "sips" | "xmpp" | "mailto" | "im" | "pres" | "h323" => {
                of_account(scheme, rest, region)
            }
            _ => Reach { phone: None, account: Some(Account { scheme, at: rest.to_owned() }) },
        }
    }

    /// Of a number, however it is written.
    pub fn of_phone(text: &str, region: Option<Region>) -> Reach {
        Reach { phone: phone(text, region), account: None }
    }

    /// As a card says it.
    pub fn of(address: &Address, region: Option<Region>) -> Reach {
        match address {
            Address::Phone(text) => Reach::of_phone(text, region),
            Address::Uri(uri) => Reach::of_uri(uri, region),
        }
    }

    /// Where to look: whoever is like it in any way has one of these in common with it.
    pub fn keys(&self) -> impl Iterator<Item = u64> {
        let phone = self.phone.as_ref().map(|phone| hash(ending(&phone.digits)));
        let account = self.account.as_ref().map(|account| hash(&account.at));
        phone.into_iter().chain(account)
    }

    /// One text for all ways of writing it, the number's before the account's; empty for nobody.
    pub fn person(&self) -> String {
        match (&self.phone, &self.account) {
            (Some(Phone { digits, whole }), _) => {
                format!("tel:{}{digits}", if *whole { "+" } else { "" })
            }
            (None, Some(Account { scheme, at })) => format!("{scheme}:{at}"),
            (None, None) => String::new(),
        }
    }

    /// The last digits of a number; shorter ones are looked for as they are.
    pub fn ending(&self) -> Option<&str> {
        self.phone.as_ref().map(|phone| ending(&phone.digits))
    }

    /// The account, without its scheme.
    pub fn account(&self) -> Option<&str> {
        self.account.as_ref().map(|account| account.at.as_str())
    }

    /// Whether both reach the same.
    pub fn likeness(&self, other: &Reach, region: Option<Region>) -> Option<Likeness> {
        let phones = self.phone.as_ref().zip(other.phone.as_ref());
        let phones = phones.and_then(|(one, other)| alike(one, other, region));
        let accounts = self.account.as_ref().zip(other.account.as_ref());
        let accounts = accounts.filter(|(one, other)| one.at == other.at).map(|(one, other)| {
            if one.scheme == other.scheme { Likeness::Same } else { Likeness::Account }
        });
        phones.max(accounts)
    }
}

/// The same in every index of one process.
fn hash(text: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(text)
}

fn ending(digits: &str) -> &str {
    digits.get(digits.len().saturating_sub(ENDING)..).unwrap_or(digits)
}

fn of_account(scheme: String, rest: &str, region: Option<Region>) -> Reach {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (at, parameters) = rest.split_at(rest.find([';', '?', '/']).unwrap_or(rest.len()));
    let Some((user, host)) = at.rsplit_once('@') else {
        return Reach {
            phone: None,
            account: Some(Account { scheme, at: at.to_ascii_lowercase() }),
        };
    };
    let user = user_of(user);
    let phone = phone_of(&user, parameters, region);
    // `sips` is the way, not the person; neither is the case of a mail's user.
    let scheme = if scheme == "sips" { "sip".to_owned() } else { scheme };
    let at = format!("{user}@{}", without_port(host)).to_lowercase();
    Reach { phone, account: Some(Account { scheme, at }) }
}

fn alike(one: &Phone, other: &Phone, region: Option<Region>) -> Option<Likeness> {
    if one.digits == other.digits {
        return Some(if one.whole == other.whole { Likeness::Same } else { Likeness::Ending });
    }
    let (short, long) =
        if one.digits.len() < other.digits.len() { (one, other) } else { (other, one) };
    // Two whole numbers that differ are two; and what is whole is the end of nothing.
    if short.whole || short.digits.len() < ENDING || !long.digits.ends_with(&short.digits) {
        return None;
    }
    // A number that lacks its area is of the user's own country.
    let at_home = |region: Region| !long.whole || long.digits.starts_with(region.code);
    region.is_none_or(at_home).then_some(Likeness::Ending)
}

#[cfg(test)]
mod tests;
