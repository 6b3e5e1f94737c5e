//! The lists against a real SQLite file, and what is said to the arbiter.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{fs, os::unix::fs::PermissionsExt};

use callarbiter_dbus::limits;
use tempfile::TempDir;

use super::*;

fn lists(top: &TempDir) -> Lists {
    let lists = Lists::at(&top.path().join("callarbiter"), region::of_country("DE"));
    lists.load().unwrap();
    lists
}

fn put(lists: &Lists, list: List, address: &str, reason: &str) {
    let pattern = Pattern::parse(address, lists.region).unwrap();
    let rule = Rule { list, pattern, app: String::new(), expires: 0 };
    let entry = callarbiter_lists::entry::Entry { rule: rule.clone(), reason: reason.to_owned() };
    let put = |file: &Transaction<'_>| Ok((entries::put(file, &entry)?, rule.clone()));
    lists.change(put, |table, rule| table.insert(rule)).unwrap();
}

fn screened(
    lists: &Lists,
    handle: &str,
) -> (Option<Verdict>, bool, Option<Ground>, Option<String>) {
    let screen = Screen { handle: handle.to_owned(), app_id: "org.example.Phone".to_owned() };
    let AgentAnswer { verdict, urgent, reason, detail, .. } = lists.screen(&screen);
    (verdict, urgent, reason, detail)
}

#[test]
fn a_user_without_lists_has_no_file() {
    let top = TempDir::new().unwrap();
    let lists = lists(&top);
    assert!(!*lists.filled.borrow() && !top.path().join("callarbiter").exists());
    assert_eq!(screened(&lists, "tel:+491"), (Some(Verdict::Allow), false, None, None));
}

#[test]
fn what_was_said_last_counts_and_survives() {
    let top = TempDir::new().unwrap();
    let one = lists(&top);
    put(&one, List::Block, "030 123456", "wine");
    put(&one, List::Block, "sip:*@spam.example", "");
    put(&one, List::Block, "anonymous", "");
    put(&one, List::Allow, "tel:+4940*", "");
    assert!(*one.filled.borrow());
    put(&one, List::Allow, "+49 40 1", "");
    put(&one, List::Block, "+49 40 1", "");
    let file = top.path().join("callarbiter/lists.sqlite");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let again = lists(&top);
    assert_eq!(again.table().len(), 5);
    for (handle, verdict, urgent, ground, detail) in [
        ("tel:+4930123456", Verdict::Reject, false, Ground::List, "tel:+4930123456: wine"),
        ("sip:a@b.spam.example", Verdict::Reject, false, Ground::List, "sip:*@spam.example"),
        ("", Verdict::Reject, false, Ground::Anonymous, "anonymous"),
        ("tel:+49401", Verdict::Reject, false, Ground::List, "tel:+49401"),
        ("tel:+49402", Verdict::Allow, true, Ground::List, "tel:+4940*"),
    ] {
        let expected = (Some(verdict), urgent, Some(ground), Some(detail.to_owned()));
        assert_eq!(screened(&again, handle), expected, "{handle}");
    }
}

#[test]
fn a_damaged_file_is_set_aside() {
    let top = TempDir::new().unwrap();
    put(&lists(&top), List::Block, "tel:+491", "");
    let path = top.path().join("callarbiter/lists.sqlite");
    fs::write(&path, "no database at all, whatever it was before").unwrap();
    let again = lists(&top);
    assert!(again.table().is_empty());
    assert!(again.store.change(database::damaged_at).unwrap().is_some());
    put(&again, List::Block, "tel:+491", "");
    assert_eq!(lists(&top).table().len(), 1);
}

#[test]
fn who_finds_it_damaged_at_the_same_time_does_not_set_the_new_one_aside() {
    let top = TempDir::new().unwrap();
    put(&lists(&top), List::Block, "tel:+491", "");
    let folder = top.path().join("callarbiter");
    fs::write(folder.join("lists.sqlite"), "no database").unwrap();
    let store = Store::at(&folder, &entries::FORM);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| store.change(database::damaged_at).unwrap());
        }
    });
    let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> = names.filter(|path| path.to_string_lossy().contains("damaged")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(fs::read_to_string(&aside[0]).unwrap(), "no database");
}

/// Whatever came into the file: an answer that the arbiter does not take is none.
#[test]
fn what_is_said_of_a_caller_can_be_said() {
    let top = TempDir::new().unwrap();
    let one = lists(&top);
    put(&one, List::Block, "tel:+491", &format!("two\nlines{}", "é".repeat(600)));
    let (verdict, _, _, detail) = screened(&one, "tel:+491");
    assert_eq!(verdict, Some(Verdict::Reject));
    assert!(limits::text_fits(&detail.unwrap(), limits::MESSAGE_BYTES));
}

#[test]
fn nobody_who_calls_waits_while_the_file_is_changed() {
    let top = TempDir::new().unwrap();
    let lists = lists(&top);
    put(&lists, List::Block, "030 123456", "wine");
    let told = |lists: &Lists| {
        let (verdict, .., detail) = screened(lists, "tel:+4930123456");
        assert_eq!(verdict, Some(Verdict::Reject));
        detail.unwrap()
    };
    // What would have to be waited for is left out; who is blocked stays it.
    let meanwhile = lists.change(|_| Ok((told(&lists), ())), |_, ()| {}).unwrap();
    assert_eq!(meanwhile, "tel:+4930123456");
    assert_eq!(told(&lists), "tel:+4930123456: wine");
}

#[test]
fn what_is_there_already_takes_no_room_and_what_has_none_changes_nothing() {
    let top = TempDir::new().unwrap();
    let lists = Lists { most: 3, ..lists(&top) };
    let import = |text: &str| {
        let path = top.path().join("some.csv");
        fs::write(&path, text).unwrap();
        let file = fs::File::open(path).unwrap().into();
        lists.import(file, None, Some(List::Block)).map(|counts| counts.entries)
    };
    let all = "address,reason\ntel:+491,wine\ntel:+492,\ntel:+493,\n";
    assert_eq!(import(all), Ok(3));
    assert_eq!(import(&all.replace("wine", "beer")), Ok(3));
    let error = import("address,reason\ntel:+491,tea\ntel:+494,\n").unwrap_err();
    assert_eq!(error.kind(), Some(callarbiter_dbus::ErrorKind::LimitExceeded), "{error}");
    let (verdict, .., detail) = screened(&lists, "tel:+491");
    assert_eq!((verdict, detail), (Some(Verdict::Reject), Some("tel:+491: beer".to_owned())));
    assert_eq!(screened(&lists, "tel:+494").0, Some(Verdict::Allow));
    let add = |address: &str| lists.add("block", address, &callarbiter_dbus::Dict::new());
    assert!(add("tel:+493").is_ok() && add("tel:+494").is_err());
}
