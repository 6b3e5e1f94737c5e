#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::*;

fn written<T: Serialize>(record: &T) -> Vec<u8> {
    let mut out = Vec::new();
    write(record, &mut out);
    out
}

fn same<T: Serialize + for<'de> Deserialize<'de> + PartialEq + Debug>(record: T) {
    let bytes = written(&record);
    assert_eq!(read::<T>(&bytes), Ok(record));
    for length in 0..bytes.len() {
        assert!(matches!(read::<T>(&bytes[..length]), Err(Fault::Damaged(_))), "{length}");
    }
    assert_eq!(read::<T>(&[&bytes[..], &[0]].concat()), Err(Fault::Damaged("it is too long")));
}

/// As the first version wrote it, and as a later one does.
mod early {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub struct Call {
        pub handle: String,
        pub state: State,
        pub turns: Vec<Turn>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub enum State {
        Ringing,
        Held { by: u8 },
        Active(u64, bool),
        Other(u32),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub struct Turn {
        pub at: u64,
    }
}

mod late {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub struct Call {
        pub handle: String,
        pub state: State,
        pub turns: Vec<Turn>,
        #[serde(default)]
        pub name: Option<String>,
        #[serde(default = "loud")]
        pub volume: u8,
    }

    fn loud() -> u8 {
        9
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub enum State {
        Ringing,
        Held {
            by: u8,
            #[serde(default)]
            since: u64,
        },
        Active(u64, bool),
        Other(u32),
        Screening,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub struct Turn {
        pub at: u64,
        #[serde(default)]
        pub lost: bool,
    }
}

fn call(state: early::State) -> early::Call {
    let turns = vec![early::Turn { at: 1 }, early::Turn { at: 300 }];
    early::Call { handle: "sip:a".to_owned(), state, turns }
}

fn seven_bits_a_byte(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[test]
fn what_is_written_is_read() {
    for n in [0, 1, 127, 128, 300, u64::from(u32::MAX), 1 << 56, u64::MAX] {
        same(n);
        same((n, true, 7_u8));
    }
    let around = |bits: u32| [-1, 0, 1].map(|by| (1_u64 << bits).wrapping_add_signed(by));
    for n in (0..64).flat_map(around).chain([0x0123_4567_89ab_cdef, 0x007f_0001_0000_4081]) {
        same(n);
        let mut written = Vec::new();
        write_key(&n, &mut written);
        assert_eq!(written, seven_bits_a_byte(n));
    }
    same("text".to_owned());
    same(Some(vec![Some(1_u16), None]));
    same(BTreeMap::from([(1_u32, BTreeSet::from(["a".to_owned()])), (2, BTreeSet::new())]));
    same(Uuid::from_u128(7));
    use early::State::*;
    for state in [Ringing, Held { by: 3 }, Active(1 << 40, true), Other(5)] {
        same(call(state));
    }
}

#[test]
fn its_bytes_never_change() {
    let bytes = written(&call(early::State::Held { by: 3 }));
    let expected = [2, 3, 5, b's', b'i', b'p', b':', b'a', 1, 1, 3, 2, 1, 1, 1, 0xac, 2];
    assert_eq!(bytes, expected);
}

#[test]
fn an_earlier_version_is_read_and_what_it_did_not_know_has_its_default() {
    let bytes = written(&call(early::State::Held { by: 3 }));
    let turn = |at| late::Turn { at, lost: false };
    let expected = late::Call {
        handle: "sip:a".to_owned(),
        state: late::State::Held { by: 3, since: 0 },
        turns: vec![turn(1), turn(300)],
        name: None,
        volume: 9,
    };
    assert_eq!(read::<late::Call>(&bytes).unwrap(), expected);
}

#[test]
fn a_later_version_is_told_apart_from_damage() {
    let turn = |lost| late::Turn { at: 1, lost };
    let late = |state, turns| late::Call {
        handle: String::new(),
        state,
        turns,
        name: Some("a".to_owned()),
        volume: 1,
    };
    let newer = [
        written(&late(late::State::Ringing, vec![])),
        written(&late::State::Screening),
        written(&late::State::Held { by: 1, since: 1 }),
    ];
    assert_eq!(read::<early::Call>(&newer[0]), Err(Fault::Newer));
    assert_eq!(read::<early::State>(&newer[1]), Err(Fault::Newer));
    assert_eq!(read::<early::State>(&newer[2]), Err(Fault::Newer));
    assert_eq!(read::<early::Turn>(&written(&turn(true))), Err(Fault::Newer));
    assert_eq!(read::<u8>(&[VERSION + 1, 0]), Err(Fault::Newer));
    for damaged in [&[][..], &[1, 0], &[VERSION], &[VERSION, 2]] {
        assert!(matches!(read::<bool>(damaged), Err(Fault::Damaged(_))), "{damaged:?}");
    }
    // A field that was always there.
    assert_eq!(read::<early::Turn>(&[VERSION, 0]), Err(NONSENSE));
}

#[test]
fn no_bytes_take_more_than_they_are() {
    let huge = [VERSION, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    assert_eq!(read::<u64>(&huge), Ok(u64::MAX));
    assert!(read::<Vec<u64>>(&huge).is_err());
    assert!(read::<Vec<()>>(&huge).is_err());
    assert!(read::<String>(&huge).is_err());
    assert!(read::<BTreeMap<u8, ()>>(&huge).is_err());
    assert!(read::<u64>(&[&huge[..10], &[2]].concat()).is_err(), "beyond 64 bits");
    assert!(read::<u64>(&[&[VERSION][..], &[0x80; 20]].concat()).is_err());
    assert!(read::<u32>(&huge).is_err());
}

#[cfg(feature = "layout")]
mod layout {
    use std::path::PathBuf;

    use super::{early, late};
    use crate::layout::{Layout, check};

    fn golden(test: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("callarbiter-{test}-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    const EARLY: &str =
        "What is in the saved state: fields are told by place, variants and records by number.

the records
    call Call

struct Call
    handle str
    state State
    turns list of Turn

enum State
    Ringing
    Held { by u8 }
    Active(u64, bool)
    Other(u32)

struct Turn
    at u64
";

    fn sentence(test: &str, past: &str, name: impl Fn(&mut Layout)) -> String {
        let golden = golden(test, past);
        let said = check(&golden, name).err().unwrap_or_default();
        std::fs::remove_file(golden).unwrap();
        said
    }

    #[test]
    fn what_did_not_change_is_right_and_what_was_added_by_the_rule_is_to_be_written_down() {
        let same = sentence("same", EARLY, |all| all.record::<early::Call>("call"));
        assert_eq!(same, "");
        let added = sentence("added", EARLY, |all| all.record::<late::Call>("call"));
        assert!(added.contains("CALLARBITER_GOLDEN=layout"), "{added}");
    }

    #[test]
    fn what_breaks_the_rule_is_told_with_what_to_do() {
        let early = |all: &mut Layout| all.record::<early::Call>("call");
        let moved =
            EARLY.replace("    handle str\n    state State\n", "    state State\n    handle str\n");
        let said = sentence("moved", &moved, early);
        assert!(
            said.contains("struct Call: where `state State` stood there is `handle str` now"),
            "{said}"
        );
        let removed =
            EARLY.replace("    turns list of Turn\n", "    turns list of Turn\n    name str\n");
        let said = sentence("removed", &removed, early);
        assert!(said.contains("where `name str` stood there is `nothing` now"), "{said}");
        let variant = EARLY.replace("Held { by u8 }", "Held { by u64 }");
        let said = sentence("variant", &variant, early);
        assert!(said.contains("enum State: where `Held { by u64 }` stood"), "{said}");
        let gone = EARLY.replace("struct Turn", "struct Tour");
        let said = sentence("gone", &gone, early);
        assert!(said.contains("struct Tour is in states that are on disks now"), "{said}");
    }

    #[test]
    fn a_field_without_a_default_is_told() {
        let fewer = EARLY.replace("    turns list of Turn\n", "");
        let said = sentence("fewer", &fewer, |all| all.record::<early::Call>("call"));
        assert!(said.contains("call cannot be read as earlier versions wrote it"), "{said}");
        assert!(said.contains("#[serde(default)]"), "{said}");
    }
}
