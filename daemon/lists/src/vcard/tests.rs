//! Cards in the style of those who write them, with people who never lived or are long dead.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::entry::Rule;

fn phone(text: &str) -> Address {
    Address::Phone(text.to_owned())
}

fn uri(text: &str) -> Address {
    Address::Uri(text.to_owned())
}

fn one(text: &str) -> Card {
    let (cards, broken) = read(text.as_bytes());
    assert_eq!((cards.len(), broken), (1, None), "{cards:?}");
    cards.into_iter().next().unwrap()
}

#[test]
fn android() {
    let card = one(concat!(
        "BEGIN:VCARD\r\nVERSION:2.1\r\n",
        "N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=47=C3=B6=64=65=6C;=4B=75=72=74;;;\r\n",
        "FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=4B=75=72=74=20=47=C3=B6=64=\r\n",
        "=65=6C\r\n",
        "TEL;CELL;PREF:+43 660 1234567\r\nTEL;X-=44=75=72=63=68:05\r\nEMAIL;HOME:kurt@example.org\r\n",
        "PHOTO;ENCODING=BASE64;JPEG:/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQE\r\n",
        " BQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUE\r\n\r\nEND:VCARD\r\n"
    ));
    assert_eq!(card.name, "Kurt Gödel");
    assert_eq!(
        card.addresses,
        [phone("+43 660 1234567"), phone("05"), uri("mailto:kurt@example.org")]
    );
}

#[test]
fn iphone() {
    let card = one(concat!(
        "BEGIN:VCARD\nVERSION:3.0\nPRODID:-//Apple Inc.//iPhone OS 17.1//EN\nN:Lovelace;Ada;;Countess;\n",
        "FN:Countess Ada Lovelace\nitem1.TEL;type=pref:+44 20 7946 0000\nitem1.X-ABLabel:_$!<Main>!$_\n",
        "TEL;type=CELL;type=VOICE:(020) 7946-0001\n",
        "IMPP;X-SERVICE-TYPE=Jabber;type=HOME;type=pref:xmpp:ada@example.org\nIMPP:x-apple:ada\nEND:VCARD\n"
    ));
    assert_eq!(card.name, "Countess Ada Lovelace");
    let numbers = [phone("+44 20 7946 0000"), phone("(020) 7946-0001")];
    assert_eq!(card.addresses[..2], numbers);
    assert_eq!(card.addresses[2..], [uri("xmpp:ada@example.org"), uri("x-apple:ada")]);
}

#[test]
fn evolution_and_khard_and_nextcloud() {
    let evolution = one(concat!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:pas-id-5F1B3C0000000000\r\nN:Noether;Emmy;;;\r\n",
        "FN:Emmy\\, Prof. Noether\r\nTEL;X-EVOLUTION-UI-SLOT=1;TYPE=\"WORK,VOICE\":09131 85-0\r\n",
        "X-SIP;X-EVOLUTION-UI-SLOT=2;TYPE=OTHER:emmy@sip.example.org\r\nEMAIL;TYPE=WORK:emmy@example\r\n",
        " .org\r\nEND:VCARD"
    ));
    assert_eq!(
        (evolution.name.as_str(), evolution.id.as_str()),
        ("Emmy, Prof. Noether", "pas-id-5F1B3C0000000000")
    );
    let addresses =
        [phone("09131 85-0"), uri("sip:emmy@sip.example.org"), uri("mailto:emmy@example.org")];
    assert_eq!(evolution.addresses, addresses);

    let nextcloud = one(concat!(
        "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:urn:uuid:4fbe8971\r\nFN:Grace Hopper\r\n",
        "TEL;VALUE=uri;PREF=1;TYPE=\"voice,home\":tel:+1-555-555-5555;ext=5555\r\n",
        "TEL;VALUE=uri:sip:grace@navy.example\r\nIMPP;LABEL=\"a:b;c\":sips:grace@example.org\r\nEND:VCARD\r\n"
    ));
    let addresses = [
        phone("+1-555-555-5555;ext=5555"),
        uri("sip:grace@navy.example"),
        uri("sips:grace@example.org"),
    ];
    assert_eq!(nextcloud.addresses, addresses);
}

#[test]
fn old_phones_and_outlook() {
    let nokia = b"BEGIN:VCARD\r\nVERSION:2.1\r\nN:M\xfcller;J\xfcrgen\r\nTEL;CELL:0170 1234567\r\nEND:VCARD\r\n";
    let (cards, broken) = read(nokia);
    assert_eq!((cards[0].name.as_str(), broken), ("Jürgen Müller", None));
    let latin = one(
        "BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCller;Anna\nTEL:1\nEND:VCARD\n",
    );
    assert_eq!(latin.name, "Anna Müller");
    let outlook = one(concat!(
        "\u{feff}BEGIN:VCARD\nVERSION:2.1\nN;LANGUAGE=en-us:;;;;\nORG:Analytical Engines;Sales\nTEL;WORK;VOICE:030/123456\n",
        "AGENT:\nBEGIN:VCARD\nVERSION:2.1\nFN:Somebody else\nTEL:999\nEND:VCARD\nTEL;HOME:030 / 777\nEND:VCARD\n"
    ));
    assert_eq!(outlook.name, "Analytical Engines");
    assert_eq!(outlook.addresses, [phone("030/123456"), phone("030 / 777")]);
}

#[test]
fn several_cards_and_broken_ones() {
    let (cards, broken) = read(b"BEGIN:VCARD\nFN:A\nTEL:1\nEND:VCARD\n\nBEGIN:VCARD\nFN:B\nTEL:2\nBEGIN:VCARD\nFN:C\nTEL:3\nEND:VCARD\n");
    let names: Vec<&str> = cards.iter().map(|card| card.name.as_str()).collect();
    assert_eq!((names, broken), (vec!["A", "C"], Some(Broken::Unended(6))));
    assert_eq!(read(b"BEGIN:VCARD\nFN:A\nTEL:1\n").1, Some(Broken::Unended(1)));
    assert_eq!(read(b"id,name\n1,Ada\n").1, Some(Broken::NoCard));
    for nothing in ["", "\n\n", "BEGIN:VCARD\nFN:Nobody to call\nEND:VCARD\n"] {
        assert_eq!(read(nothing.as_bytes()), (vec![], None), "{nothing:?}");
    }
}

#[test]
fn any_bytes_are_survived() {
    let card = "BEGIN:VCARD\r\nFN;ENCODING=QUOTED-PRINTABLE:=C3=B6=\r\n=41\r\nTEL;TYPE=\"x:+1\\\r\n 2\r\nN:a\\;b;ö\r\nEND:VCARD\r\n";
    for end in 0..card.len() {
        read(&card.as_bytes()[..end]);
        let mut bytes = card.as_bytes().to_vec();
        for other in [0, b'=', b';', b':', b'"', b' ', 0xff] {
            bytes[end] = other;
            read(&bytes);
        }
    }
}

#[test]
fn lists_are_categories() {
    let card = |categories: &str| {
        one(&format!("BEGIN:VCARD\nFN:A\nTEL:1\nCATEGORIES:{categories}\nEND:VCARD\n")).list
    };
    assert_eq!(card("Friends,Blocked"), Some(List::Block));
    assert_eq!(card("blocked,allowed"), Some(List::Allow));
    assert_eq!(card("Friends"), None);
    let nameless = one("BEGIN:VCARD\nCATEGORIES:blocked\nTEL:+491\nEND:VCARD\n");
    assert_eq!((nameless.name.as_str(), nameless.list), ("", Some(List::Block)));
}

#[test]
fn what_is_written_is_read() {
    let pattern = |text| Pattern::parse(text, None).unwrap();
    for (text, address) in [
        ("tel:+49301", phone("+49301")),
        ("mailto:ada@example.org", uri("mailto:ada@example.org")),
        ("sip:a;b@example.org", uri("sip:a;b@example.org")),
        ("matrix:u/ada:example.org", uri("matrix:u/ada:example.org")),
    ] {
        let rule = Rule {
            list: List::Block,
            pattern: Pattern::Exact(text.into()),
            app: String::new(),
            expires: 0,
        };
        let entry = Entry { rule, reason: "Wine; cheap, \\o/".into() };
        let card = one(&written(&entry).unwrap());
        assert_eq!((card.name.as_str(), card.list), ("Wine; cheap, \\o/", Some(List::Block)));
        assert_eq!(card.addresses, [address]);
    }
    for (text, app, expires) in
        [("tel:+4930*", "", 0), ("tel:+49301", "org.example.Phone", 0), ("tel:+49301", "", 1)]
    {
        let rule = Rule { list: List::Block, pattern: pattern(text), app: app.into(), expires };
        assert_eq!(written(&Entry { rule, reason: String::new() }), None, "{text} {app} {expires}");
    }
}

#[test]
fn what_is_shown_has_no_control_characters() {
    let card = one("BEGIN:VCARD\r\nFN:A\\\u{1b}d\ta\\n\\\\\\\r\nTEL:1\r\nEND:VCARD\r\n");
    assert_eq!(card.name, "A d a \\");
}
