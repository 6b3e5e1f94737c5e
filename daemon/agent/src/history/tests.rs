//! The file against a real SQLite: once, for good, within bounds, and whatever is wrong with it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{fs, os::unix::fs::PermissionsExt};

use callarbiter_dbus::{
    Dict, Fields,
    words::{Direction, EndReason, Missed, Records, Silenced},
};
use tempfile::TempDir;
use zbus::Variant;

use super::{
    calls::{FAVOURITES, Favourite, Filter},
    *,
};
use crate::database::{damaged_at, now};

fn history(top: &TempDir) -> History {
    let region = region::of_country("DE");
    let store = Store::at(&top.path().join("callarbiter"), &store::FORM);
    History { store, region, wishes: config::History::default(), erased: Erased::default() }
}

/// The `n`th call, a minute after the one before.
fn call(n: u64, handle: &str) -> Record {
    let created_at = now() - 1_000_000_000 + n * 60_000_000;
    Record {
        id: format!("call-{n}"),
        call: format!("uuid-{n}"),
        app_id: "org.example.Phone".to_owned(),
        provider_name: "Phone".to_owned(),
        direction: Direction::Incoming,
        handle: handle.to_owned(),
        display_name: "Ada".to_owned(),
        contact_id: String::new(),
        created_at,
        connected_at: 0,
        ended_at: created_at + 7,
        reason: EndReason::RemoteEnded,
        detail: String::new(),
        missed: Some(Missed::Unanswered),
        silenced: Silenced::No,
        emergency: false,
        has_video: false,
        records: Records::Full,
        lost: 0,
        why: vec![cause("reported", ""), cause("failed", "the teapot is full")],
    }
}

fn cause(name: &str, message: &str) -> Dict {
    let text = |text: &str| Variant::from(text.to_owned()).try_into_owned().unwrap();
    let all = [("cause", name), ("message", message)].into_iter().filter(|(_, t)| !t.is_empty());
    all.map(|(key, word)| (key.to_owned(), text(word))).collect()
}

fn why(history: &History, id: &str) -> Option<Vec<Dict>> {
    history.store.change(|file| calls::explain(file, id)).unwrap()
}

fn ids(history: &History, filter: &Filter) -> Vec<String> {
    let found = history.store.change(|file| calls::find(file, filter, 100)).unwrap();
    found.into_iter().map(|record| record.id).collect()
}

fn all(history: &History) -> Vec<String> {
    ids(history, &Filter::default())
}

#[test]
fn a_call_is_kept_once_and_comes_back_as_it_was() {
    let top = TempDir::new().unwrap();
    let history = history(&top);
    let first = call(1, "tel:+4930123456");
    for _ in 0..3 {
        history.write(&first).unwrap();
    }
    let found = history.store.change(|file| calls::find(file, &Filter::default(), 9)).unwrap();
    assert!(found == [Record { why: vec![], ..first.clone() }], "a list has no causes");
    assert_eq!(why(&history, "call-1"), Some(first.why.clone()));
    history.write(&Record { lost: 4, why: vec![], ..first.clone() }).unwrap();
    assert_eq!(why(&history, "call-1"), Some(first.why));
    let found = history.store.change(|file| calls::find(file, &Filter::default(), 9)).unwrap();
    assert_eq!((found.len(), found[0].lost), (1, 4));
    let folder = top.path().join("callarbiter");
    let paths = [(folder.clone(), 0o700), (folder.join("history.sqlite"), 0o600)];
    for opened in [false, true] {
        for (path, mode) in &paths {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, *mode, "{opened}");
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        all(&history);
    }
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "no journal is left");
}

#[test]
fn a_call_is_kept_with_no_more_causes_than_there_can_be() {
    let top = TempDir::new().unwrap();
    let history = history(&top);
    let longest = vec![cause("failed", &"x".repeat(512)); 64];
    history.write(&Record { why: longest.clone(), ..call(1, "") }).unwrap();
    assert_eq!(why(&history, "call-1"), Some(longest));
    history.write(&Record { why: vec![cause("failed", "x"); 10_000], ..call(2, "") }).unwrap();
    history.write(&Record { why: vec![], ..call(3, "") }).unwrap();
    assert_eq!((why(&history, "call-2"), why(&history, "call-3")), (Some(vec![]), Some(vec![])));
    assert_eq!(why(&history, "call-4"), None);
}

#[test]
fn what_an_earlier_version_wrote_goes_on() {
    let top = TempDir::new().unwrap();
    let history = history(&top);
    let folder = top.path().join("callarbiter");
    fs::create_dir(&folder).unwrap();
    let file = rusqlite::Connection::open(folder.join("history.sqlite")).unwrap();
    file.execute_batch(store::FORM.steps[0]).unwrap();
    file.execute_batch(
        "PRAGMA user_version = 1;
         INSERT INTO calls (id, call, app, provider, direction, handle, person, name, contact, created, connected,
             ended, reason, detail, silenced, emergency, video, records, lost)
         VALUES ('old', 'uuid-old', 'a', 'A', 'incoming', 'tel:1', '1', 'Ada', '', unixepoch() * 1000000 - 4000000000,
             0, 5, 'remote-ended', '', 'no', 0, 0, 'full', 0);",
    )
    .unwrap();
    drop(file);
    assert_eq!((all(&history), why(&history, "old")), (vec!["old".to_owned()], Some(vec![])));
    history.write(&call(1, "tel:1")).unwrap();
    assert_eq!(all(&history), ["call-1", "old"]);
    assert_eq!(why(&history, "call-1").map(|why| why.len()), Some(2));
}

#[test]
fn it_is_found_by_what_people_look_for() {
    let top = TempDir::new().unwrap();
    let history = history(&top);
    for (n, handle) in
        [(1, "tel:+4930123456"), (2, "sip:ada@example.org"), (3, "030/123456"), (4, "")]
    {
        history.write(&call(n, handle)).unwrap();
    }
    let answered = Record {
        missed: None,
        connected_at: 9,
        app_id: "other".into(),
        ..call(5, "tel:+4930123456")
    };
    history.write(&answered).unwrap();
    assert_eq!(all(&history), ["call-5", "call-4", "call-3", "call-2", "call-1"]);
    let with =
        |handle: &str| Filter { person: Some(history.person_of(handle)), ..Filter::default() };
    assert_eq!(ids(&history, &with("tel:030123456")), ["call-5", "call-3", "call-1"]);
    assert_eq!(ids(&history, &with("sips:ada@EXAMPLE.org;x=y")), ["call-2"]);
    assert_eq!(
        ids(&history, &Filter { app: Some("other".into()), ..Filter::default() }),
        ["call-5"]
    );
    let missed = Filter { missed: true, after: Some("call-3".into()), ..Filter::default() };
    assert_eq!(ids(&history, &missed), ["call-2", "call-1"]);
    let called = |call: &str| Filter { call: Some(call.into()), ..Filter::default() };
    assert_eq!(ids(&history, &called("uuid-4")), ["call-4"]);
    assert_eq!(ids(&history, &called("call-4")), ["call-4"]);
    assert_eq!(ids(&history, &called("uuid")).len(), 5);
    let person = history.person_of("030 123456");
    let last = history.store.change(|file| calls::last_use(file, &person)).unwrap();
    assert_eq!(last.as_deref(), Some("other"));
}

#[test]
fn what_is_erased_is_gone_and_does_not_come_again() {
    let top = TempDir::new().unwrap();
    let history = history(&top);
    let secret =
        Record { display_name: "Countess of Lovelace".into(), ..call(1, "tel:+4930123456") };
    history.write(&secret).unwrap();
    history.write(&Record { why: vec![], ..call(2, "sip:grace@example.org") }).unwrap();
    let erase = |filter: &Filter| history.store.change(|file| calls::erase(file, filter)).unwrap();
    let person = Some(history.person_of("tel:+49 30 123456"));
    assert_eq!(erase(&Filter { person, ..Filter::default() }), 1);
    let bytes = fs::read(top.path().join("callarbiter/history.sqlite")).unwrap();
    for word in ["Countess", "+4930123456", "call-1", "teapot"] {
        assert!(!bytes.windows(word.len()).any(|part| part == word.as_bytes()), "{word}");
    }
    // The arbiter did not hear that it was kept.
    history.write(&secret).unwrap();
    assert_eq!(all(&history), ["call-2"]);
    assert_eq!(erase(&Filter::default()), 1);
}

#[test]
fn what_waited_while_its_like_was_erased_is_not_kept() {
    let top = TempDir::new().unwrap();
    let history = history(&top);
    let person = Some(history.person_of("tel:+49 30 123456"));
    history.erased.begin(&Filter { person, ..Filter::default() });
    history.erased.begin(&Filter { id: Some("call-2".into()), ..Filter::default() });
    let other = "sip:grace@example.org";
    for (n, handle, kept) in
        [(1, "tel:+4930123456", Kept::Erased), (2, other, Kept::Erased), (3, other, Kept::New)]
    {
        assert_eq!(history.write(&call(n, handle)).unwrap(), kept);
    }
    // Whoever is talked to just now is somebody new.
    let ended_at = now() + 60_000_000;
    let next = Record { ended_at, ..call(4, "tel:+4930123456") };
    assert_eq!(history.write(&next).unwrap(), Kept::New);
    assert_eq!(all(&history), ["call-4", "call-3"]);
    assert_eq!(history.write(&next).unwrap(), Kept::Again);
}

#[test]
fn no_more_and_nothing_older_is_kept_than_is_wished() {
    let top = TempDir::new().unwrap();
    let wishes = config::History { days: 1, calls: 3 };
    let history = History { wishes, ..history(&top) };
    let old = now() - 2 * 86_400_000_000;
    history.write(&Record { created_at: old, ..call(1, "") }).unwrap();
    assert_eq!(all(&history), [""; 0]);
    for n in 2..=6 {
        history.write(&call(n, "")).unwrap();
    }
    assert_eq!(all(&history), ["call-6", "call-5", "call-4"]);
    let none = History { wishes: config::History { days: 1, calls: 0 }, ..self::history(&top) };
    none.write(&call(7, "")).unwrap();
    assert_eq!(all(&history).len(), 3);
}

#[test]
fn a_damaged_file_is_set_aside_and_told_until_all_is_erased() {
    let top = TempDir::new().unwrap();
    let history = history(&top);
    history.write(&call(1, "tel:1")).unwrap();
    let folder = top.path().join("callarbiter");
    fs::write(
        folder.join("history.sqlite"),
        "this was a database once, and much of it is not there",
    )
    .unwrap();
    history.write(&call(2, "tel:1")).unwrap();
    assert_eq!(all(&history), ["call-2"]);
    assert!(history.store.change(damaged_at).unwrap().is_some());
    let aside = || {
        let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().contains("damaged")).count()
    };
    assert_eq!(aside(), 1);
    history.store.forget_damaged().unwrap();
    assert_eq!(aside(), 0);
}

#[test]
fn what_a_later_version_wrote_is_left_alone() {
    let top = TempDir::new().unwrap();
    let history = history(&top);
    history.write(&call(1, "tel:1")).unwrap();
    let path = top.path().join("callarbiter/history.sqlite");
    let file = rusqlite::Connection::open(&path).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    let before = fs::read(&path).unwrap();
    let refused = history.write(&call(2, "tel:1")).unwrap_err();
    assert!(matches!(refused, StoreError::Newer(99)), "{refused}");
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn questions_are_read_strictly() {
    let top = TempDir::new().unwrap();
    let history = history(&top);
    let dict = |key: &str, value: Variant<'static>| {
        Dict::from([(key.to_owned(), value.try_into_owned().unwrap())])
    };
    for (wrong, about) in [
        (dict("missed", "yes".into()), "`missed`"),
        (dict("handle", "".into()), "nobody's address"),
        (dict("handle", "\u{1b}[2J".into()), "nobody's address"),
        (dict("before", 5u32.into()), "`before`"),
    ] {
        let refused = history.filter(Fields::bounded(&wrong).unwrap()).unwrap_err();
        assert!(refused.message.contains(about), "{}", refused.message);
    }
}

#[test]
fn where_there_are_no_more_favourites_those_that_are_can_be_changed() {
    let top = TempDir::new().unwrap();
    let history = history(&top);
    let one = |n: u32, name: &str| Favourite {
        person: format!("tel:{n}"),
        handle: format!("tel:{n}"),
        name: name.to_owned(),
        app: String::new(),
    };
    let added = history.store.change(|file| {
        let all = (0..FAVOURITES).map(|n| calls::add_favourite(file, &one(n, "")));
        let all = all.collect::<rusqlite::Result<Vec<bool>>>()?.into_iter().all(|added| added);
        let more = calls::add_favourite(file, &one(FAVOURITES, ""))?;
        Ok((all, more, calls::add_favourite(file, &one(7, "Ada"))?))
    });
    assert_eq!(added.unwrap(), (true, false, true));
    let all = history.store.change(calls::favourites).unwrap();
    assert_eq!((all.len(), all[7].name.as_str()), (FAVOURITES as usize, "Ada"));
}
