//! The order in which a call passes: what rules, screeners, do-not-disturb and limits are to each other, and that
//! screeners change none of it but their own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn ruled(when: When, then: Then) -> Settings {
    let mut settings = settings();
    settings.policy.rules = vec![Rule { name: "night".into(), when, then }].into();
    settings
}

fn rings(ring: Ring) -> Then {
    Then { ring: Some(ring), ..Then::default() }
}

fn known() -> When {
    When { contacts: vec![Contacts::Known], ..When::default() }
}

fn from(handle: &str) -> Update {
    Update { handle: Some(handle.into()), ..Update::default() }
}

/// A call comes in, and is looked at.
fn looked_at(w: &mut World, app: App, n: u128) -> CallId {
    match w.incoming_with(app, n, from("tel:1")) {
        Ok(Reply::Screening(call)) => call,
        other => panic!("{other:?}"),
    }
}

/// The screener says so of what it was asked last.
fn says(w: &mut World, screener: Caller, answer: AgentAnswer) {
    let screens = |(_, ask): &(RequestId, AgentAsk)| matches!(ask, AgentAsk::Screen { .. });
    let (request, _) = w.errands(screener).into_iter().rfind(screens).unwrap();
    w.agent_says(screener, request, answer).unwrap();
}

fn allows() -> AgentAnswer {
    AgentAnswer { verdict: Some(Verdict::Allow), ..AgentAnswer::default() }
}

fn disturb(w: &mut World, agent: Caller, mode: DoNotDisturb) {
    w.handle(Input::SetDoNotDisturb { caller: agent, mode, allow: vec![] }).unwrap();
}

fn causes(w: &World, call: CallId) -> Vec<&'static str> {
    w.domain(ALICE).why(call).unwrap().steps().map(|step| step.cause.name()).collect()
}

fn heard(w: &World) -> Vec<std::result::Result<(), Error>> {
    let outcome = |e: &Effect| match e {
        Effect::Screened { outcome, .. } => Some(outcome.clone().map_err(|why| why.error)),
        _ => None,
    };
    w.effects.iter().filter_map(outcome).collect()
}

#[test]
fn an_administrators_no_needs_no_screener() {
    let mut w = World::with(ruled(When::default(), rings(Ring::Reject)));
    let screener = w.agent(ALICE, &[Role::Screening]);
    let a = w.app(ALICE, "a");
    let Ok(Reply::Filtered(call, why)) = w.incoming_with(a, 1, from("tel:1")) else { panic!() };
    assert_eq!(why.error, Error::FilteredByScreening);
    assert!(w.errands(screener).is_empty(), "nobody hears who called");
    assert!(heard(&w).is_empty());
    assert!(causes(&w, call).contains(&"rule"));
}

#[test]
fn rules_look_once_when_it_comes_in() {
    let locked = When { locked: Some(true), ..When::default() };
    let mut then = rings(Ring::Silence);
    then.ring_time = Some(Millis::secs(7));
    let mut w = World::with(ruled(locked, then));
    let screener = w.agent(ALICE, &[Role::Screening]);
    let a = w.app(ALICE, "a");
    w.handle(Input::Locked { uid: ALICE, locked: true }).unwrap();
    let call = looked_at(&mut w, a, 1);
    w.pass(Millis::secs(2));
    w.handle(Input::Locked { uid: ALICE, locked: false }).unwrap();
    says(&mut w, screener, allows());
    assert_eq!(w.find(ALICE, 1).unwrap().silenced, Silenced::Rule);
    assert_eq!(
        causes(&w, call),
        ["reported", "authorization", "rule", "agent", "screened", "became"]
    );
    // What a rule says of the ringing begins with it.
    w.pass(Millis(6999));
    assert_eq!(w.state_of(ALICE, 1), CallState::Ringing);
    w.pass(Millis(1));
    assert_eq!(w.end_of(1), Some(EndReason::Unanswered));
}

#[test]
fn the_user_may_be_busy_by_the_time_it_was_looked_at() {
    let then = Then { when_busy: Some(Busy::Reject), ..Then::default() };
    let mut w = World::with(ruled(When::default(), then));
    let screener = w.agent(ALICE, &[Role::Screening]);
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    looked_at(&mut w, a, 1);
    let live = Word::Live {
        uuid: uuid(2),
        direction: Direction::Outgoing,
        state: CallState::Active,
        update: Update::default(),
    };
    w.say(b, live).unwrap();
    says(&mut w, screener, allows());
    assert_eq!(heard(&w), [Err(Error::Busy)]);
    assert_eq!(w.end_of(1), Some(EndReason::Filtered));
}

#[test]
fn a_rule_lets_it_ring_through_do_not_disturb_after_screeners_too() {
    let mut w = World::with(ruled(When::default(), rings(Ring::Aloud)));
    let agent = w.agent(ALICE, &[Role::Screening, Role::Dnd]);
    let a = w.app(ALICE, "a");
    disturb(&mut w, agent, DoNotDisturb::Refuse);
    looked_at(&mut w, a, 1);
    says(&mut w, agent, allows());
    assert_eq!(w.find(ALICE, 1).unwrap().silenced, Silenced::No);
    // A screener's no stands before it.
    looked_at(&mut w, a, 2);
    says(&mut w, agent, AgentAnswer { verdict: Some(Verdict::Reject), ..AgentAnswer::default() });
    assert_eq!(w.end_of(2), Some(EndReason::Filtered));
}

#[test]
fn do_not_disturb_is_asked_when_screeners_have_looked() {
    for (mode, silenced) in
        [(DoNotDisturb::Quiet, Some(Silenced::DoNotDisturb)), (DoNotDisturb::Refuse, None)]
    {
        let mut w = World::default();
        let agent = w.agent(ALICE, &[Role::Screening, Role::Dnd]);
        let a = w.app(ALICE, "a");
        looked_at(&mut w, a, 1);
        disturb(&mut w, agent, mode);
        says(&mut w, agent, allows());
        assert_eq!(w.find(ALICE, 1).map(|call| call.silenced), silenced);
        assert_eq!(heard(&w).len(), 1);
        // Who tries again is urgent, screened or not.
        looked_at(&mut w, a, 2);
        says(&mut w, agent, allows());
        assert_eq!(w.find(ALICE, 2).unwrap().silenced, Silenced::No);
    }
}

#[test]
fn an_urgent_call_rings_on_when_do_not_disturb_begins() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Screening, Role::Dnd]);
    let a = w.app(ALICE, "a");
    looked_at(&mut w, a, 1);
    says(&mut w, agent, AgentAnswer { urgent: true, ..allows() });
    looked_at(&mut w, a, 2);
    says(&mut w, agent, allows());
    w.restart(&[]);
    disturb(&mut w, agent, DoNotDisturb::Quiet);
    let silenced = |n| w.find(ALICE, n).unwrap().silenced;
    assert_eq!((silenced(1), silenced(2)), (Silenced::No, Silenced::DoNotDisturb));
}

#[test]
fn whom_the_address_book_knows_meanwhile_is_known_when_it_rings() {
    let mut w = World::with(ruled(known(), rings(Ring::Silence)));
    let agent = w.agent(ALICE, &[Role::Screening, Role::Contacts]);
    let a = w.app(ALICE, "a");
    looked_at(&mut w, a, 1);
    let looks_up = |(_, ask): &(RequestId, AgentAsk)| matches!(ask, AgentAsk::LookUp { .. });
    let (request, _) = w.errands(agent).into_iter().find(looks_up).unwrap();
    let ada = AgentAnswer { name: Some("Ada".into()), ..AgentAnswer::default() };
    w.agent_says(agent, request, ada).unwrap();
    assert_eq!(w.state_of(ALICE, 1), CallState::Screening);
    says(&mut w, agent, allows());
    assert_eq!(w.find(ALICE, 1).unwrap().silenced, Silenced::Rule);
}

#[test]
fn a_call_that_answers_itself_does_so_when_it_rang() {
    let answer = Some(AutoAnswer { after: Millis::secs(1), beside: false });
    let door = When { apps: vec![Pattern::of("door")], ..When::default() };
    let mut w = World::with(ruled(door, Then { answer, ..Then::default() }));
    let screener = w.agent(ALICE, &[Role::Screening]);
    let (door, other) = (w.app(ALICE, "door"), w.app(ALICE, "other"));
    looked_at(&mut w, door, 1);
    w.pass(Millis::secs(2));
    assert_eq!(w.state_of(ALICE, 1), CallState::Screening);
    says(&mut w, screener, allows());
    // One at which they still look is nobody's yet, and in nobody's way.
    looked_at(&mut w, other, 2);
    w.pass(Millis::secs(1));
    assert_eq!(w.state_of(ALICE, 1), CallState::Answering);
}

#[test]
fn its_app_says_how_long_it_will_ring() {
    let mut w = World::default();
    let screener = w.agent(ALICE, &[Role::Screening]);
    let a = w.app(ALICE, "a");
    looked_at(&mut w, a, 1);
    let update = Update { ring_timeout: Some(Millis::secs(20)), ..Update::default() };
    w.say(a, Word::Update { uuid: uuid(1), update }).unwrap();
    w.pass(Millis::secs(4));
    w.restart(&[]);
    says(&mut w, screener, allows());
    w.pass(Millis(19_999));
    assert_eq!(w.state_of(ALICE, 1), CallState::Ringing);
    w.pass(Millis(1));
    assert_eq!(w.end_of(1), Some(EndReason::Unanswered));
}

#[test]
fn it_turns_out_to_be_the_emergency_services() {
    let mut settings = settings();
    settings.policy.emergency =
        Emergency { handles: vec!["112".into()], providers: vec!["a".into()] };
    let mut w = World::with(settings);
    w.agent(ALICE, &[Role::Screening]);
    let a = w.app(ALICE, "a");
    looked_at(&mut w, a, 1);
    w.say(a, Word::Update { uuid: uuid(1), update: from("tel:112") }).unwrap();
    assert_eq!((w.state_of(ALICE, 1), heard(&w)), (CallState::Ringing, vec![Ok(())]));
}

#[test]
fn a_screener_that_is_gone_with_the_arbiter_costs_nothing() {
    let mut w = World::default();
    let screener = w.agent(ALICE, &[Role::Screening]);
    let a = w.app(ALICE, "a");
    looked_at(&mut w, a, 1);
    w.restart(&[]);
    w.handle(Input::PeerLost { peer: screener.peer }).unwrap();
    assert_eq!(w.state_of(ALICE, 1), CallState::Ringing);
}

#[test]
fn a_screeners_silence_stays_whoever_it_turns_out_to_be() {
    let mut w = World::with(ruled(known(), rings(Ring::Aloud)));
    let agent = w.agent(ALICE, &[Role::Screening, Role::Dnd, Role::Contacts]);
    let a = w.app(ALICE, "a");
    disturb(&mut w, agent, DoNotDisturb::Quiet);
    let call = looked_at(&mut w, a, 1);
    let silence = AgentAnswer { verdict: Some(Verdict::Silence), ..AgentAnswer::default() };
    says(&mut w, agent, silence);
    let looks_up = |(_, ask): &(RequestId, AgentAsk)| matches!(ask, AgentAsk::LookUp { .. });
    let (request, _) = w.errands(agent).into_iter().find(looks_up).unwrap();
    let answer = AgentAnswer { name: Some("Ada".into()), ..AgentAnswer::default() };
    w.agent_says(agent, request, answer).unwrap();
    let call = w.domain(ALICE).call(call).unwrap();
    assert!(call.known.is_some() && call.state == CallState::Ringing);
    assert_eq!(call.silenced, Silenced::Screening);
}
