//! Do-not-disturb: quiet or refused, who rings all the same, and what is left of a call that may not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn do_not_disturb(w: &mut World, mode: DoNotDisturb, allow: &[&str]) {
    let caller = w.caller(ALICE);
    w.handle(Input::TakeRoles { caller, roles: vec![Role::Dnd] }).unwrap();
    let allow = allow.iter().map(|handle| (*handle).into()).collect();
    w.handle(Input::SetDoNotDisturb { caller, mode, allow }).unwrap();
}

fn from(handle: &str) -> Update {
    Update { handle: Some(handle.into()), ..Update::default() }
}

fn is_refused(w: &mut World, app: App, n: u128, handle: &str) -> bool {
    match w.incoming_with(app, n, from(handle)).unwrap() {
        Reply::Filtered(_, why) => {
            assert_eq!(why.error, Error::FilteredByDoNotDisturb);
            assert!(why.message.contains("disturbed"), "{}", why.message);
            true
        }
        Reply::Call(_) => false,
        other => panic!("{other:?}"),
    }
}

fn silenced(w: &World, n: u128) -> Silenced {
    w.find(ALICE, n).unwrap().silenced
}

#[test]
fn it_shows_quietly_or_refuses() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    do_not_disturb(&mut w, DoNotDisturb::Quiet, &[]);
    w.incoming(a, 1).unwrap();
    assert_eq!(silenced(&w, 1), Silenced::DoNotDisturb);
    do_not_disturb(&mut w, DoNotDisturb::Refuse, &[]);
    assert!(is_refused(&mut w, a, 2, ""));
    assert!(matches!(w.incoming(a, 1), Ok(Reply::Call(_))), "a live call is the same call");
    let word = Word::Live {
        uuid: uuid(3),
        direction: Direction::Outgoing,
        state: CallState::Dialing,
        update: Update::default(),
    };
    assert!(matches!(w.say(a, word), Ok(Reply::Call(_))), "a fact is never refused");
}

/// Whoever shows calls can say that one was missed; nobody could have answered it.
#[test]
fn a_refused_call_appears_and_has_ended() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    do_not_disturb(&mut w, DoNotDisturb::Refuse, &[]);
    w.effects.clear();
    assert!(is_refused(&mut w, a, 1, "tel:1"));
    let told = w.effects.iter().filter_map(|e| match e {
        Effect::Publish { change, .. } => Some(change),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    let [Change::Added(Object::Call(call)), Change::Transition { old, new, .. }, removed] =
        told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!((*old, *new), (CallState::Screening, CallState::Ended));
    assert_eq!(removed, &Change::Removed(Object::Call(*call)));
    let gone = w.domain(ALICE).call(*call).expect("it can be read until the next input");
    let end = gone.end.as_ref().unwrap();
    assert_eq!((end.reason, end.detail.reveal()), (EndReason::Filtered, "do-not-disturb is on"));
    assert_eq!(gone.handle.reveal(), "tel:1");
    assert_eq!(w.end_of(1), Some(EndReason::Filtered), "the journal has it");
    assert_eq!(w.asked(ALICE), [], "its app knows by its reply");
    assert!(w.find(ALICE, 1).is_none());
    let word = Word::Incoming { uuid: uuid(1), update: Update::default() };
    w.refused_word(a, word, Error::AlreadyEnded, "has ended");
    w.refused_request(vec![answer(1)], Error::AlreadyEnded, "ended already");
}

#[test]
fn who_is_allowed_rings_all_the_same() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    let allow = ["+49 (30) 123-456", "ada@Example.org", ""];
    do_not_disturb(&mut w, DoNotDisturb::Refuse, &allow);
    assert!(!is_refused(&mut w, a, 1, "tel:+4930123456"));
    assert!(!is_refused(&mut w, a, 2, "sips:ada@example.org;transport=tls"));
    assert!(is_refused(&mut w, a, 3, "sip:grace@example.org"));
    assert!(is_refused(&mut w, a, 4, ""), "an unknown caller is nobody's friend");
    assert_eq!(silenced(&w, 1), Silenced::No);
    do_not_disturb(&mut w, DoNotDisturb::Quiet, &["ada@example.org"]);
    assert_eq!((silenced(&w, 1), silenced(&w, 2)), (Silenced::DoNotDisturb, Silenced::No));
    w.incoming_with(a, 5, from("sip:ada@example.org")).unwrap();
    w.incoming_with(a, 6, from("sip:alan@example.org")).unwrap();
    assert_eq!((silenced(&w, 5), silenced(&w, 6)), (Silenced::No, Silenced::DoNotDisturb));
}

#[test]
fn who_tries_again_within_three_minutes_rings() {
    for mode in [DoNotDisturb::Refuse, DoNotDisturb::Quiet] {
        let mut w = World::default();
        let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
        do_not_disturb(&mut w, mode, &[]);
        let kept = |w: &mut World, app, n, handle| {
            let refused = is_refused(w, app, n, handle);
            refused || silenced(w, n) == Silenced::DoNotDisturb
        };
        assert!(kept(&mut w, a, 1, "tel:+49-30-1"));
        assert!(kept(&mut w, a, 2, "tel:+49302"), "somebody else");
        assert!(kept(&mut w, b, 3, "tel:+49301"), "through another app");
        w.pass(Millis::secs(179));
        assert!(!kept(&mut w, a, 4, "tel:+49301"));
        w.pass(Millis::secs(1));
        assert!(kept(&mut w, a, 5, "tel:+49301"), "the first was three minutes ago");
        assert!(!kept(&mut w, a, 6, "tel:+49301"));
        assert!(kept(&mut w, a, 7, "") && kept(&mut w, a, 8, ""), "nobody knows who it was");
    }
}

#[test]
fn the_exceptions_survive_the_arbiter() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    do_not_disturb(&mut w, DoNotDisturb::Refuse, &["tel:1"]);
    assert!(is_refused(&mut w, a, 1, "tel:2"));
    w.restart(&[]);
    assert!(!is_refused(&mut w, a, 2, "tel:1"));
    assert!(!is_refused(&mut w, a, 3, "tel:2"), "it was suppressed a moment ago");
    assert!(is_refused(&mut w, a, 4, "tel:3"));
}

#[test]
fn it_silences_what_already_rings() {
    for mode in [DoNotDisturb::Quiet, DoNotDisturb::Refuse] {
        let mut w = World::default();
        let a = w.app(ALICE, "a");
        w.incoming(a, 1).unwrap();
        w.incoming(a, 2).unwrap();
        w.request(ALICE, vec![Action::Silence { call: of(2) }]).unwrap();
        do_not_disturb(&mut w, mode, &[]);
        assert_eq!(silenced(&w, 1), Silenced::DoNotDisturb);
        assert_eq!(silenced(&w, 2), Silenced::User);
        assert_eq!(w.state_of(ALICE, 1), CallState::Ringing, "silenced, not refused");
    }
}

#[test]
fn it_is_over_with_the_agent_that_told_it() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    let agents = [w.caller(ALICE), w.caller(ALICE)];
    for caller in agents {
        w.handle(Input::TakeRoles { caller, roles: vec![Role::Dnd] }).unwrap();
    }
    let [replaced, caller] = agents;
    let mode = DoNotDisturb::Refuse;
    w.handle(Input::SetDoNotDisturb { caller, mode, allow: vec![] }).unwrap();
    w.handle(Input::PeerLost { peer: replaced.peer }).unwrap();
    assert!(is_refused(&mut w, a, 1, "tel:1"));
    w.handle(Input::PeerLost { peer: caller.peer }).unwrap();
    assert!(!is_refused(&mut w, a, 2, "tel:1"));
}

#[test]
fn two_who_do_not_say_who_they_are_are_not_one_who_tries_again() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    do_not_disturb(&mut w, DoNotDisturb::Refuse, &[]);
    let withheld = [
        "sip:anonymous@anonymous.invalid",
        "sip:anonymous@gateway.example",
        "tel:anonymous",
        "tel:Unknown",
    ];
    for (n, handle) in withheld.iter().chain(&withheld).enumerate() {
        assert!(is_refused(&mut w, a, n as u128, handle), "{handle}");
    }
}
