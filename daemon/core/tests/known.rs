//! Rules about who it is look again when the address book has answered: what a screener, do-not-disturb, the seat or
//! the app said of the ringing meanwhile stays what it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn ruled(who: Contacts, then: Then) -> World {
    let mut settings = settings();
    let when = When { contacts: vec![who], ..When::default() };
    settings.policy.rules = vec![Rule { name: "who".into(), when, then }].into();
    World::with(settings)
}

fn ring(ring: Ring) -> Then {
    Then { ring: Some(ring), ..Then::default() }
}

fn from(handle: &str) -> Update {
    Update { handle: Some(handle.into()), ..Update::default() }
}

fn disturb(w: &mut World, caller: Caller, mode: DoNotDisturb, allow: &[&str]) {
    let allow = allow.iter().map(|handle| (*handle).into()).collect();
    w.handle(Input::SetDoNotDisturb { caller, mode, allow }).unwrap();
}

/// The address book has whoever was asked about last.
fn is_known(w: &mut World, agent: Caller) {
    let looks_up = |(_, ask): &(RequestId, AgentAsk)| matches!(ask, AgentAsk::LookUp { .. });
    let (request, _) = w.errands(agent).into_iter().rfind(looks_up).unwrap();
    let ada = AgentAnswer { name: Some("Ada".into()), ..AgentAnswer::default() };
    w.agent_says(agent, request, ada).unwrap();
}

fn silenced(w: &World, n: u128) -> Silenced {
    w.find(ALICE, n).unwrap().silenced
}

#[test]
fn whom_do_not_disturb_lets_through_rings_when_no_rule_is_against_it() {
    let mut w = ruled(Contacts::Unknown, ring(Ring::Silence));
    let agent = w.agent(ALICE, &[Role::Contacts, Role::Dnd]);
    let a = w.app(ALICE, "a");
    disturb(&mut w, agent, DoNotDisturb::Quiet, &["tel:1"]);
    // One is on the desktop's list, two tries again.
    for (n, handle) in [(1, "tel:1"), (2, "tel:2"), (3, "tel:2")] {
        w.incoming_with(a, n, from(handle)).unwrap();
        is_known(&mut w, agent);
    }
    assert_eq!(silenced(&w, 1), Silenced::No);
    assert_eq!(silenced(&w, 2), Silenced::DoNotDisturb);
    assert_eq!(silenced(&w, 3), Silenced::No);
}

#[test]
fn a_stranger_after_all_is_kept_quiet_like_strangers() {
    for (allow, expected) in [(&[][..], Silenced::DoNotDisturb), (&["tel:2"], Silenced::No)] {
        let mut w = ruled(Contacts::Known, ring(Ring::Aloud));
        let agent = w.agent(ALICE, &[Role::Contacts, Role::Dnd]);
        let a = w.app(ALICE, "a");
        disturb(&mut w, agent, DoNotDisturb::Quiet, allow);
        w.incoming_with(a, 1, from("tel:1")).unwrap();
        is_known(&mut w, agent);
        assert_eq!(silenced(&w, 1), Silenced::No);
        // It was forwarded: its app knows better who it is.
        w.say(a, Word::Update { uuid: uuid(1), update: from("tel:2") }).unwrap();
        assert_eq!(silenced(&w, 1), expected);
    }
}

#[test]
fn do_not_disturb_that_begins_does_not_take_the_place_of_a_screener() {
    let mut w = ruled(Contacts::Known, Then { priority: Some(9), ..Then::default() });
    let agent = w.agent(ALICE, &[Role::Screening, Role::Contacts, Role::Dnd]);
    let a = w.app(ALICE, "a");
    w.incoming_with(a, 1, from("tel:1")).unwrap();
    let screens = |(_, ask): &(RequestId, AgentAsk)| matches!(ask, AgentAsk::Screen { .. });
    let (request, _) = w.errands(agent).into_iter().rfind(screens).unwrap();
    let silence = AgentAnswer { verdict: Some(Verdict::Silence), ..AgentAnswer::default() };
    w.agent_says(agent, request, silence).unwrap();
    disturb(&mut w, agent, DoNotDisturb::Quiet, &[]);
    disturb(&mut w, agent, DoNotDisturb::Off, &[]);
    is_known(&mut w, agent);
    assert_eq!(silenced(&w, 1), Silenced::Screening);
}

#[test]
fn a_rules_silence_is_there_when_the_user_is_back() {
    let mut w = ruled(Contacts::Known, ring(Ring::Silence));
    let agent = w.agent(ALICE, &[Role::Contacts]);
    let a = w.app(ALICE, "a");
    let seat: std::sync::Arc<str> = "seat0".into();
    w.handle(Input::Seats { uid: ALICE, seats: vec![seat.clone()] }).unwrap();
    w.incoming_with(a, 1, from("tel:1")).unwrap();
    assert_eq!(silenced(&w, 1), Silenced::Background);
    is_known(&mut w, agent);
    w.handle(Input::Foreground { seat, uid: Some(ALICE) }).unwrap();
    assert_eq!(silenced(&w, 1), Silenced::Rule);
}

#[test]
fn how_long_a_rule_lets_it_ring_counts_whatever_its_app_says() {
    let length = Some(Millis::secs(10));
    let mut w = ruled(Contacts::Unknown, Then { ring_time: length, ..Then::default() });
    let agent = w.agent(ALICE, &[Role::Contacts]);
    let a = w.app(ALICE, "a");
    let longer = Update { ring_timeout: Some(Millis::secs(90)), ..Update::default() };
    for n in [1, 2] {
        w.incoming_with(a, n, from(&format!("tel:{n}"))).unwrap();
        w.say(a, Word::Update { uuid: uuid(n), update: longer.clone() }).unwrap();
    }
    // What the app said counts where no rule does.
    is_known(&mut w, agent);
    w.pass(Millis::secs(10));
    assert_eq!(w.end_of(1), Some(EndReason::Unanswered));
    w.pass(Millis(79_999));
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
    w.pass(Millis(1));
    assert_eq!(w.end_of(2), Some(EndReason::Unanswered));
}
