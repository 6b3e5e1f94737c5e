//! What logind says, message by message, and what the core hears of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{collections::HashMap, os::fd::OwnedFd};

use zbus::{Fd, ObjectPath, Variant};

use super::*;

const OWNER: &str = ":1.7";
const ALICE: Uid = Uid(1000);
const BOB: Uid = Uid(1001);
const HOLD: Millis = Millis(2500);

/// A logind on a bus, and those who listen to it.
struct Seen {
    logind: Logind,
    now: Time,
    asked: Vec<Message>,
    told: Vec<Input>,
}

impl Seen {
    /// Nobody has answered anything.
    fn waiting(seated: &[(Uid, Vec<Arc<str>>)]) -> Seen {
        let logind = Logind::find(Time(0), seated.to_vec(), []);
        Seen { logind, now: Time(0), asked: Vec::new(), told: Vec::new() }.listen()
    }

    /// It is root's, and asked for sessions.
    fn present() -> Seen {
        let mut seen = Seen::waiting(&[]);
        seen.answer("GetNameOwner", &OWNER);
        seen.answer("GetConnectionUnixUser", &0u32);
        seen
    }

    /// With these sessions: name, user, seat, class, active.
    fn with(sessions: &[(&str, Uid, &str, &str, bool)]) -> Seen {
        let mut seen = Seen::present();
        seen.list(sessions);
        for session in sessions {
            seen.session(session);
        }
        seen
    }

    fn listen(mut self) -> Seen {
        self.news();
        self
    }

    fn news(&mut self) {
        let (asked, told) = self.logind.news();
        self.asked.extend(asked);
        self.told.extend(told);
    }

    fn question(&mut self, member: &str) -> Message {
        let is = |ask: &Message| ask.header().member().unwrap().as_str() == member;
        let at = self.asked.iter().position(is).unwrap_or_else(|| panic!("{member} is not asked"));
        self.asked.remove(at)
    }

    fn is_asked(&self, member: &str) -> bool {
        self.asked.iter().any(|ask| ask.header().member().unwrap().as_str() == member)
    }

    fn answer<B: serde::Serialize + zbus::DynamicType>(&mut self, member: &str, body: &B) {
        let question = self.question(member);
        let answer = Message::method_return(&question.header()).build(body).unwrap();
        self.deliver(&question, &answer);
    }

    fn refuse(&mut self, member: &str) {
        let question = self.question(member);
        let error = Message::error(&question.header(), "org.freedesktop.DBus.Error.Failed");
        self.deliver(&question, &error.build(&"no").unwrap());
    }

    fn deliver(&mut self, question: &Message, answer: &Message) {
        let serial = question.primary_header().serial_num();
        assert!(self.logind.answered(self.now, serial, answer));
        assert!(!self.logind.answered(self.now, serial, answer), "answered once");
        self.news();
    }

    fn list(&mut self, sessions: &[(&str, Uid, &str, &str, bool)]) {
        let all = sessions.iter().map(|(name, uid, seat, ..)| {
            (name.to_string(), uid.0, "somebody", seat.to_string(), path(name))
        });
        self.answer("ListSessions", &all.collect::<Vec<_>>());
    }

    fn session(&mut self, session: &(&str, Uid, &str, &str, bool)) {
        self.session_locked(session, false);
    }

    fn session_locked(
        &mut self,
        (name, uid, seat, class, active): &(&str, Uid, &str, &str, bool),
        locked: bool,
    ) {
        let at = self.asked.iter().position(|ask| ask.header().path() == Some(&path(name)));
        let question = self.asked.remove(at.unwrap());
        let nowhere = ObjectPath::try_from("/").unwrap();
        let properties = HashMap::from([
            ("User", Variant::from((uid.0, nowhere.clone()))),
            ("Seat", Variant::from((*seat, nowhere))),
            ("Class", Variant::from(*class)),
            ("Active", Variant::from(*active)),
            ("LockedHint", Variant::from(locked)),
            ("State", Variant::from(if *active { "active" } else { "online" })),
            ("Name", Variant::from("somebody")),
        ]);
        let answer = Message::method_return(&question.header()).build(&properties).unwrap();
        self.deliver(&question, &answer);
    }

    fn signal<B: serde::Serialize + zbus::DynamicType>(
        &mut self,
        sender: &str,
        (path, interface, member): (&ObjectPath<'_>, &str, &str),
        body: &B,
    ) {
        let signal = Message::signal(path.clone(), interface, member).sender(sender);
        let signal = signal.build(body).unwrap();
        self.logind.signalled(self.now, &signal, HOLD);
        self.news();
    }

    fn changed(&mut self, name: &str) {
        let nothing: (&str, HashMap<&str, Variant<'_>>, Vec<&str>) =
            ("org.freedesktop.login1.Session", HashMap::new(), Vec::new());
        let member = (&path(name), "org.freedesktop.DBus.Properties", "PropertiesChanged");
        self.signal(OWNER, member, &nothing);
    }

    fn manager<B: serde::Serialize + zbus::DynamicType>(&mut self, member: &str, body: &B) {
        let root = ObjectPath::try_from("/org/freedesktop/login1").unwrap();
        self.signal(OWNER, (&root, "org.freedesktop.login1.Manager", member), body);
    }

    fn gets_lock(&mut self) -> std::os::unix::net::UnixStream {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        self.answer("Inhibit", &Fd::from(OwnedFd::from(theirs)));
        ours.set_nonblocking(true).unwrap();
        ours
    }

    fn wait(&mut self, time: Millis) {
        self.now = self.now + time;
        self.logind.expired(self.now);
        self.news();
    }

    /// What the core was told, in its words: `+alice seat0` sits there, `seat0=alice` has it.
    fn told(&mut self) -> Vec<String> {
        let name = |uid: Uid| if uid == ALICE { "alice" } else { "bob" };
        let told = std::mem::take(&mut self.told).into_iter().map(|input| match input {
            Input::Seats { uid, seats } => format!("{} at {}", name(uid), seats.join("+")),
            Input::Foreground { seat, uid } => format!("{seat} {}", uid.map_or("-", name)),
            Input::Locked { uid, locked } => format!("{} locked {locked}", name(uid)),
            Input::Suspend(sleep) => format!("sleep {sleep}"),
            other => panic!("{other:?}"),
        });
        told.collect()
    }
}

fn path(session: &str) -> ObjectPath<'static> {
    ObjectPath::try_from(format!("/org/freedesktop/login1/session/{session}")).unwrap()
}

/// Whether the other end of a lock is closed.
fn released(lock: &mut std::os::unix::net::UnixStream) -> bool {
    std::io::Read::read(lock, &mut [0]).is_ok_and(|read| read == 0)
}

#[test]
fn the_user_in_front_has_the_seat() {
    let mut seen = Seen::with(&[
        ("1", ALICE, "seat0", "user", true),
        ("2", BOB, "seat0", "user", false),
        ("3", BOB, "", "user", true),
        ("c1", Uid(118), "seat0", "greeter", false),
        ("4", ALICE, "", "manager", false),
    ]);
    assert_eq!(seen.told(), ["seat0 alice", "alice at seat0", "bob at seat0"]);
    seen.changed("1");
    seen.changed("2");
    seen.session(&("1", ALICE, "seat0", "user", false));
    assert_eq!(seen.told(), [""; 0], "half a switch is none");
    seen.session(&("2", BOB, "seat0", "user", true));
    assert_eq!(seen.told(), ["seat0 bob"]);
}

#[test]
fn a_greeter_changes_nothing_and_a_login_does() {
    let mut seen = Seen::with(&[("1", ALICE, "seat0", "user", true)]);
    seen.told();
    seen.manager("SessionNew", &("c1", path("c1")));
    seen.session(&("c1", Uid(118), "seat0", "greeter", true));
    seen.changed("1");
    seen.session(&("1", ALICE, "seat0", "user", false));
    assert_eq!(seen.told(), [""; 0]);
    seen.manager("SessionNew", &("2", path("2")));
    seen.session(&("2", BOB, "seat0", "user", true));
    assert_eq!(seen.told(), ["seat0 bob", "bob at seat0"], "bob is never in the background");
    // Bob leaves; Alice's session is still behind the greeter.
    seen.manager("SessionRemoved", &("2", path("2")));
    assert_eq!(seen.told(), ["bob at ", "seat0 -"]);
    seen.changed("1");
    seen.session(&("1", ALICE, "seat0", "user", true));
    assert_eq!(seen.told(), ["seat0 alice"]);
}

#[test]
fn seats_from_before_a_restart_are_corrected() {
    let seat: Arc<str> = "seat0".into();
    let mut seen = Seen::waiting(&[(ALICE, vec![seat.clone()]), (BOB, vec![seat.clone()])]);
    seen.answer("GetNameOwner", &OWNER);
    seen.answer("GetConnectionUnixUser", &0u32);
    assert_eq!(seen.told(), [""; 0]);
    let sessions = [("2", BOB, "seat0", "user", true)];
    seen.list(&sessions);
    seen.session(&sessions[0]);
    assert_eq!(seen.told(), ["alice at ", "seat0 bob"]);

    // No logind: what it said once is not true for ever.
    let mut seen = Seen::waiting(&[(ALICE, vec![seat])]);
    seen.refuse("GetNameOwner");
    assert_eq!(seen.told(), ["alice at ", "sleep false"]);
    assert_eq!(seen.logind.next_deadline(), None, "and nobody waits");
}

#[test]
fn its_restart_moves_nobody() {
    let mut seen = Seen::with(&[("1", ALICE, "seat0", "user", true)]);
    seen.told();
    seen.logind.owned_by(seen.now, "");
    seen.wait(Millis(RESTART.0 - 1));
    assert_eq!(seen.told(), [""; 0]);
    seen.logind.owned_by(seen.now, OWNER);
    seen.asked.clear();
    seen.news();
    seen.answer("GetConnectionUnixUser", &0u32);
    let sessions = [("1", ALICE, "seat0", "user", true)];
    seen.list(&sessions);
    seen.session(&sessions[0]);
    assert_eq!(seen.told(), [""; 0]);
    // For good.
    seen.logind.owned_by(seen.now, "");
    seen.wait(RESTART);
    assert_eq!(seen.told(), ["alice at ", "seat0 -", "sleep false"]);
}

#[test]
fn sleep_waits_until_calls_are_held_or_too_long() {
    let mut seen = Seen::present();
    let mut lock = seen.gets_lock();
    assert!(!seen.logind.delays_sleep());
    seen.manager("PrepareForSleep", &true);
    assert!(seen.logind.delays_sleep() && !released(&mut lock));
    seen.logind.let_sleep();
    assert!(released(&mut lock));
    seen.manager("PrepareForSleep", &true);
    assert_eq!(seen.told(), ["sleep true"], "told once");
    seen.manager("PrepareForSleep", &false);
    assert_eq!(seen.told(), ["sleep false"]);

    // The next one, and somebody does not hold.
    let mut lock = seen.gets_lock();
    seen.manager("PrepareForSleep", &true);
    assert_eq!(seen.logind.next_deadline(), Some(seen.now + HOLD));
    seen.wait(HOLD);
    assert!(released(&mut lock));
    assert!(!seen.logind.delays_sleep());
}

#[test]
fn a_sleep_that_does_not_come_keeps_the_lock() {
    let mut seen = Seen::present();
    let mut lock = seen.gets_lock();
    seen.manager("PrepareForSleep", &true);
    seen.manager("PrepareForSleep", &false);
    assert!(!released(&mut lock) && !seen.is_asked("Inhibit"));
}

#[test]
fn it_does_without_a_lock() {
    let mut seen = Seen::present();
    seen.refuse("Inhibit");
    seen.manager("PrepareForSleep", &true);
    assert!(!seen.logind.delays_sleep());
    seen.manager("PrepareForSleep", &false);
    assert_eq!(seen.told(), ["sleep true", "sleep false"]);
    assert!(seen.is_asked("Inhibit"), "and tries again");
}

#[test]
fn a_restart_in_sleep_wakes_up() {
    let mut seen = Seen::present();
    seen.answer("Get", &Variant::from(false));
    assert_eq!(seen.told(), ["sleep false"]);
}

#[test]
fn only_root_is_believed() {
    let mut seen = Seen::waiting(&[]);
    seen.answer("GetNameOwner", &OWNER);
    seen.answer("GetConnectionUnixUser", &1000u32);
    assert!(!seen.is_asked("ListSessions"));
    seen.told();
    seen.manager("PrepareForSleep", &true);
    assert_eq!(seen.told(), [""; 0]);
    // Nor is anybody else while it is there.
    let mut seen = Seen::present();
    let root = ObjectPath::try_from("/org/freedesktop/login1").unwrap();
    let sleep = (&root, "org.freedesktop.login1.Manager", "PrepareForSleep");
    seen.signal(":1.8", sleep, &true);
    assert_eq!(seen.told(), [""; 0]);
}

#[test]
fn what_it_does_not_say_in_time_is_as_it_was() {
    let mut seen = Seen::with(&[("1", ALICE, "seat0", "user", true)]);
    seen.told();
    seen.changed("1");
    seen.manager("SessionNew", &("2", path("2")));
    seen.session(&("2", BOB, "seat0", "user", false));
    assert_eq!(seen.told(), [""; 0]);
    seen.wait(PATIENCE);
    assert_eq!(seen.told(), ["bob at seat0"]);
    // It lives on.
    seen.asked.clear();
    seen.changed("2");
    seen.session(&("2", BOB, "seat0", "user", true));
    assert_eq!(seen.told(), ["seat0 bob"]);
}

#[test]
fn odd_words_mean_nothing() {
    let mut seen = Seen::present();
    seen.answer("ListSessions", &"none");
    seen.answer("Get", &"no");
    seen.answer("Inhibit", &"a lock");
    seen.manager("PrepareForSleep", &"soon");
    seen.manager("SessionNew", &("1", ObjectPath::try_from("/elsewhere").unwrap()));
    seen.manager("SessionNew", &"1");
    seen.changed("1");
    seen.answer("GetAll", &HashMap::from([("User", Variant::from(1u8))]));
    seen.changed("2");
    seen.answer("GetAll", &HashMap::from([("User", Variant::from("alice"))]));
    assert_eq!(seen.told(), ["sleep false"]);
    assert_eq!(seen.logind.next_deadline(), None);
}

#[test]
fn a_flood_of_sessions_asks_little() {
    let mut seen = Seen::present();
    for n in 0..2 * SESSIONS {
        seen.changed(&n.to_string());
    }
    let questions = |seen: &Seen| {
        let of_session = |ask: &&Message| ask.header().member().unwrap().as_str() == "GetAll";
        seen.asked.iter().filter(of_session).count()
    };
    assert!(questions(&seen) <= QUESTIONS);
    assert!(seen.logind.unread.len() <= SESSIONS);
}

#[test]
fn a_user_is_locked_out_where_all_sessions_are_locked() {
    let (first, second) = (("1", ALICE, "seat0", "user", true), ("2", ALICE, "", "user", true));
    let mut seen = Seen::with(&[first, second]);
    seen.told();
    seen.changed("1");
    seen.session_locked(&first, true);
    assert_eq!(seen.told(), [""; 0], "the other is open");
    seen.changed("2");
    seen.session_locked(&second, true);
    assert_eq!(seen.told(), ["alice locked true"]);
    seen.changed("1");
    seen.session_locked(&first, false);
    assert_eq!(seen.told(), ["alice locked false"]);
}

/// After a restart the core knows what was, and hears what is.
#[test]
fn who_was_locked_before_a_restart_is_told_anew() {
    let logind = Logind::find(Time(0), [], [ALICE]);
    let mut seen = Seen { logind, now: Time(0), asked: Vec::new(), told: Vec::new() }.listen();
    seen.answer("GetNameOwner", &OWNER);
    seen.answer("GetConnectionUnixUser", &0u32);
    let session = ("1", ALICE, "", "user", true);
    seen.list(&[session]);
    seen.session(&session);
    assert_eq!(seen.told(), ["alice locked false"]);
}
