//! Numbers as people write them, against handles as networks write them.
#![allow(clippy::unwrap_used)]

use super::*;
use callarbiter_lists::region::of_country;

fn like(handle: &str, written: &str, country: &str) -> Option<Likeness> {
    let region = of_country(country);
    let address = match written.contains(':') {
        true => Address::Uri(written.to_owned()),
        false => Address::Phone(written.to_owned()),
    };
    let (one, other) = (Reach::of_uri(handle, region), Reach::of(&address, region));
    let likeness = one.likeness(&other, region);
    assert_eq!(likeness, other.likeness(&one, region), "{handle} {written}");
    let met = one.keys().any(|key| other.keys().any(|other| key == other));
    assert!(met || likeness.is_none(), "{handle} and {written} are alike and would not be found");
    likeness
}

#[test]
fn numbers_are_the_same_in_full() {
    for (handle, written, country) in [
        ("tel:+493012345678", "+49 30 123 456-78", ""),
        ("tel:+493012345678", "+49 (0)30 / 12345678", ""),
        ("tel:+493012345678", "0049 30 12345678", ""),
        ("tel:+493012345678", "030 12345678", "DE"),
        ("tel:030-12345678", "+49 30 12345678", "DE"),
        ("tel:12345678;phone-context=+4930", "+49 30 12345678", ""),
        ("tel:+442079460000", "020 7946 0000", "GB"),
        ("tel:+12125551234", "(212) 555-1234", "US"),
        ("tel:+12125551234", "1-212-555-1234 ext. 77", "CA"),
        ("tel:+390612345678", "06 1234 5678", "IT"),
        ("tel:+34912345678", "912 34 56 78", "ES"),
        ("tel:+36301234567", "06 30 123 4567", "HU"),
        ("tel:+79161234567", "8 (916) 123-45-67", "RU"),
        ("tel:+819012345678", "０９０-1234-5678", "JP"),
        ("tel:+989121234567", "۰۹۱۲ ۱۲۳ ۴۵۶۷", "IR"),
        ("tel:+493012345678", "011 49 30 12345678", "US"),
        ("tel:110", "110", "DE"),
        ("sip:+493012345678@voip.example;user=phone", "030 12345678", "DE"),
        ("sip:03012345678@voip.example;user=phone", "+493012345678", "DE"),
        ("+493012345678", "030 12345678", "DE"),
    ] {
        assert_eq!(
            like(handle, written, country),
            Some(Likeness::Same),
            "{handle} {written} {country}"
        );
    }
}

#[test]
fn what_is_not_whole_must_be_the_end() {
    for (handle, written, country) in [
        // No region is known.
        ("tel:+493012345678", "030 12345678", ""),
        ("tel:03012345678", "12345678", ""),
        // No area.
        ("tel:+493012345678", "12345678", "DE"),
        ("tel:+12125551234", "555-1234", "US"),
    ] {
        assert_eq!(
            like(handle, written, country),
            Some(Likeness::Ending),
            "{handle} {written} {country}"
        );
    }
}

#[test]
fn others_are_others() {
    for (handle, written, country) in [
        ("tel:+493012345678", "+43 30 12345678", ""),
        ("tel:+493012345678", "+49 40 12345678", ""),
        ("tel:+493012345678", "345678", ""),
        ("tel:+493012345678", "5678", "DE"),
        // The local number of another country.
        ("tel:+442079460000", "946 0000", "US"),
        ("tel:+43112", "112", "DE"),
        ("tel:110", "0110", "DE"),
        ("sip:03012345678@voip.example", "030 12345678", "DE"),
        ("tel:", "030 12345678", "DE"),
    ] {
        assert_eq!(like(handle, written, country), None, "{handle} {written} {country}");
    }
}

#[test]
fn accounts() {
    use Likeness::{Account, Same};
    for (handle, written, expected) in [
        ("sip:ada@example.org", "sip:ada@example.org", Some(Same)),
        ("sip:ada@Example.ORG:5060;transport=tls?x=y", "sips:ada@example.org", Some(Same)),
        ("sip:ada:secret@example.org", "sip:ada@example.org", Some(Same)),
        ("sip:%61da@example.org", "sip:ada@example.org;gr=1", Some(Same)),
        ("sip:ada@example.org", "mailto:Ada@example.org", Some(Account)),
        ("xmpp:ada@example.org/phone", "xmpp:ada@example.org", Some(Same)),
        ("matrix:u/ada:example.org", "matrix:u/ada:example.org", Some(Same)),
        ("sip:ada@example.org:5070", "sip:ada@example.org", None),
        ("sip:ada@example.org", "sip:ada@example.com", None),
        ("sip:example.org", "sip:ada@example.org", None),
    ] {
        assert_eq!(like(handle, written, "DE"), expected, "{handle} {written}");
    }
}
