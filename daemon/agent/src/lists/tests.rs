//! The lists against a real SQLite file, and what is said to the arbiter.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{fs, os::unix::fs::PermissionsExt};

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
