//! The edges of what a call passes on its way in, each by itself: who is counted, what is said of whom, and until when.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn ruled(rules: Vec<Rule>) -> Settings {
    let mut settings = settings();
    settings.policy.emergency =
        Emergency { handles: vec!["112".into()], providers: vec!["sos".into()] };
    settings.policy.rules = rules.into();
    settings
}

fn rule(name: &str, when: When, then: Then) -> Rule {
    Rule { name: name.into(), when, then }
}

fn through(app: &str) -> When {
    When { apps: vec![Pattern::of(app)], ..When::default() }
}

fn of(who: Contacts) -> When {
    When { contacts: vec![who], ..When::default() }
}

fn ring(ring: Ring) -> Then {
    Then { ring: Some(ring), ..Then::default() }
}

fn from(handle: &str) -> Update {
    Update { handle: Some(handle.into()), ..Update::default() }
}

/// What this screener was asked last is answered so.
fn says(w: &mut World, screener: Caller, verdict: Verdict, urgent: bool) {
    let screens = |(_, ask): &(RequestId, AgentAsk)| matches!(ask, AgentAsk::Screen { .. });
    let (request, _) = w.errands(screener).into_iter().rfind(screens).unwrap();
    let answer = AgentAnswer { verdict: Some(verdict), urgent, ..AgentAnswer::default() };
    w.agent_says(screener, request, answer).unwrap();
}

fn is_known(w: &mut World, agent: Caller) {
    let looks_up = |(_, ask): &(RequestId, AgentAsk)| matches!(ask, AgentAsk::LookUp { .. });
    let (request, _) = w.errands(agent).into_iter().rfind(looks_up).unwrap();
    let ada = AgentAnswer { name: Some("Ada".into()), ..AgentAnswer::default() };
    w.agent_says(agent, request, ada).unwrap();
}

fn disturb(w: &mut World, caller: Caller, mode: DoNotDisturb) {
    w.handle(Input::SetDoNotDisturb { caller, mode, allow: vec![] }).unwrap();
}

fn silenced(w: &World, n: u128) -> Silenced {
    w.find(ALICE, n).unwrap().silenced
}

#[test]
fn a_call_that_was_looked_at_is_not_counted_against_itself() {
    let then = Then { ringing: Some(1), ..Then::default() };
    let mut w = World::with(ruled(vec![rule("one", When::default(), then)]));
    let screener = w.agent(ALICE, &[Role::Screening]);
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    says(&mut w, screener, Verdict::Allow, false);
    assert_eq!(w.state_of(ALICE, 1), CallState::Ringing);
}

#[test]
fn who_answered_elsewhere_meanwhile_has_answered() {
    let mut settings = ruled(vec![]);
    settings.policy.correlated = vec![vec!["a".into(), "b".into()]];
    let mut w = World::with(settings);
    let screener = w.agent(ALICE, &[Role::Screening]);
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    let same = Update { correlation: Some("x".into()), ..Update::default() };
    w.incoming_with(b, 2, same.clone()).unwrap();
    let live = Word::Live {
        uuid: uuid(1),
        direction: Direction::Incoming,
        state: CallState::Active,
        update: same,
    };
    w.say(a, live).unwrap();
    says(&mut w, screener, Verdict::Allow, false);
    assert_eq!(w.end_of(2), Some(EndReason::AnsweredElsewhere));
}

#[test]
fn of_an_app_that_may_not_call_nothing_was_missed() {
    let mut settings = ruled(vec![]);
    settings.limits.calls = 0;
    settings.policy.apps.insert("a".into(), false);
    let mut w = World::with(settings);
    let a = w.app(ALICE, "a");
    assert_eq!(w.incoming(a, 1).unwrap_err().error, Error::Busy);
}

#[test]
fn what_one_said_of_the_old_address_is_forgotten() {
    for (again, expected) in
        [(Verdict::Allow, Silenced::No), (Verdict::Silence, Silenced::Screening)]
    {
        let mut w = World::default();
        let (one, other) = (w.agent(ALICE, &[Role::Screening]), w.agent(ALICE, &[Role::Screening]));
        let a = w.app(ALICE, "a");
        w.incoming_with(a, 1, from("tel:1")).unwrap();
        says(&mut w, one, Verdict::Silence, false);
        w.say(a, Word::Update { uuid: uuid(1), update: from("tel:2") }).unwrap();
        says(&mut w, one, again, false);
        // What one wants, another who lets it pass does not take back.
        says(&mut w, other, Verdict::Allow, false);
        assert_eq!(silenced(&w, 1), expected);
    }
}

#[test]
fn only_what_is_allowed_is_urgent() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Screening, Role::Dnd]);
    let a = w.app(ALICE, "a");
    disturb(&mut w, agent, DoNotDisturb::Refuse);
    w.incoming_with(a, 1, from("tel:1")).unwrap();
    says(&mut w, agent, Verdict::Silence, true);
    assert_eq!(w.end_of(1), Some(EndReason::Filtered));
}

#[test]
fn one_deadline_is_one_cause() {
    let mut w = World::default();
    w.agent(ALICE, &[Role::Screening]);
    w.agent(ALICE, &[Role::Screening]);
    let a = w.app(ALICE, "a");
    let Ok(Reply::Screening(call)) = w.incoming(a, 1) else { panic!() };
    w.pass(Millis::secs(5));
    let steps = w.domain(ALICE).why(call).unwrap().steps();
    assert_eq!(steps.filter(|step| step.cause.name() == "deadline").count(), 1);
}

#[test]
fn who_calls_for_help_or_is_about_to_talk_is_busy() {
    let reject = Then { when_busy: Some(Busy::Reject), priority: Some(9), ..Then::default() };
    let mut w = World::with(ruled(vec![rule("vip", through("a"), reject)]));
    let (a, sos) = (w.app(ALICE, "a"), w.app(ALICE, "sos"));
    w.request(ALICE, vec![start_on(1, "sos")]).unwrap();
    w.fulfil_all(&[sos]);
    w.report(sos, 1, CallState::Active).unwrap();
    assert!(matches!(w.incoming(a, 2), Ok(Reply::Call(_))), "of a lower class");
    let start = Action::Start {
        uuid: uuid(3),
        handle: "tel:112".into(),
        provider: Some("sos".into()),
        video: false,
    };
    w.request(ALICE, vec![start]).unwrap();
    w.fulfil_all(&[a, sos]);
    w.report(sos, 3, CallState::Active).unwrap();
    assert!(matches!(w.incoming(a, 4), Ok(Reply::Filtered(_, why)) if why.error == Error::Busy));

    let reject = Then { when_busy: Some(Busy::Reject), ..Then::default() };
    let mut w = World::with(ruled(vec![rule("one", through("a"), reject)]));
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.incoming(b, 1).unwrap();
    w.request(ALICE, vec![answer(1)]).unwrap();
    assert_eq!(w.state_of(ALICE, 1), CallState::Answering);
    assert!(matches!(w.incoming(a, 2), Ok(Reply::Filtered(_, why)) if why.error == Error::Busy));
}

#[test]
fn who_is_known_and_treated_as_before_does_not_ring_for_longer() {
    let away = When { locked: Some(true), ..of(Contacts::Known) };
    let short = Then { ring_time: Some(Millis::secs(10)), ..Then::default() };
    let rules =
        vec![rule("away", away, ring(Ring::Silence)), rule("short", When::default(), short)];
    let mut w = World::with(ruled(rules));
    let agent = w.agent(ALICE, &[Role::Contacts]);
    let a = w.app(ALICE, "a");
    w.incoming_with(a, 1, from("tel:1")).unwrap();
    w.pass(Millis::secs(1));
    is_known(&mut w, agent);
    w.pass(Millis::secs(9));
    assert_eq!(w.end_of(1), Some(EndReason::Unanswered));
}

#[test]
fn the_rule_that_is_named_is_the_one_that_decides_now() {
    let rules = vec![
        rule("strangers", of(Contacts::Unknown), ring(Ring::Silence)),
        rule("friends", of(Contacts::Known), ring(Ring::Silence)),
    ];
    let mut w = World::with(ruled(rules));
    let agent = w.agent(ALICE, &[Role::Contacts]);
    let a = w.app(ALICE, "a");
    w.incoming_with(a, 1, from("tel:1")).unwrap();
    is_known(&mut w, agent);
    let treatment = w.find(ALICE, 1).unwrap().treatment().unwrap();
    assert_eq!(treatment.rules().next().unwrap().1, "friends");
}

#[test]
fn no_call_answers_itself_while_another_is_resumed() {
    let answer = Some(AutoAnswer { after: Millis::secs(1), beside: false });
    let then = Then { answer, ..Then::default() };
    let mut w = World::with(ruled(vec![rule("door", through("door"), then)]));
    let (a, door) = (w.app(ALICE, "a"), w.app(ALICE, "door"));
    w.talking(a, 1);
    w.request(ALICE, vec![hold(1)]).unwrap();
    w.fulfil_all(&[a]);
    w.incoming(door, 2).unwrap();
    w.request(ALICE, vec![unhold(1)]).unwrap();
    w.pass(Millis::secs(1));
    assert_eq!((w.state_of(ALICE, 1), w.state_of(ALICE, 2)), (CallState::Held, CallState::Ringing));
}

#[test]
fn so_many_texts_and_rules_and_no_more() {
    let of = |texts: usize, name: &str| {
        let contacts = (0..texts).map(|n| Contacts::Handle(Handles::like(&format!("tel:{n}"))));
        let when = When { contacts: contacts.collect(), ..When::default() };
        rule(name, when, ring(Ring::Silence))
    };
    let mut settings = ruled(vec![]);
    settings.allowance.rules = 1;
    let mut w = World::with(settings);
    let caller = w.agent(ALICE, &[Role::Preferences]);
    // What is chosen for every call is no rule of those that are counted.
    for (rules, fits) in [
        (vec![of(1024, "a"), of(0, EVERY_CALL)], true),
        (vec![of(1025, "a")], false),
        (vec![of(1, "a"), of(1, "b")], false),
    ] {
        let preferences = Preferences { rules: rules.into(), do_not_disturb: None };
        let said = w.handle(Input::SetPreferences { caller, preferences });
        assert_eq!(said.is_ok(), fits);
    }
    let do_not_disturb = Some(DoNotDisturb::Off);
    let preferences = Preferences { rules: vec![].into(), do_not_disturb };
    w.handle(Input::SetPreferences { caller, preferences }).unwrap();
    w.restart(&[]);
    assert_eq!(w.domain(ALICE).preferences().do_not_disturb, do_not_disturb);
}

#[test]
fn a_flood_of_calls_makes_none_of_them_urgent() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Dnd]);
    let a = w.app(ALICE, "a");
    disturb(&mut w, agent, DoNotDisturb::Refuse);
    for n in 0..65 {
        w.incoming_with(a, n, from(&format!("tel:{n}"))).unwrap();
    }
    assert!(matches!(w.incoming_with(a, 99, from("tel:0")), Ok(Reply::Filtered(..))));
    assert!(matches!(w.incoming_with(a, 98, from("tel:64")), Ok(Reply::Call(_))));
}

#[test]
fn those_who_were_called_for_help_ring_on_when_do_not_disturb_begins() {
    let mut w = World::with(ruled(vec![]));
    let agent = w.agent(ALICE, &[Role::Dnd]);
    let (a, sos) = (w.app(ALICE, "a"), w.app(ALICE, "sos"));
    w.incoming_with(sos, 1, from("tel:112")).unwrap();
    w.incoming_with(a, 2, from("tel:112")).unwrap();
    disturb(&mut w, agent, DoNotDisturb::Quiet);
    assert_eq!((silenced(&w, 1), silenced(&w, 2)), (Silenced::No, Silenced::DoNotDisturb));
}

#[test]
fn an_emergency_goes_where_the_administrator_lets_it_and_where_it_is_taken() {
    let mut settings = ruled(vec![]);
    settings.policy.apps.insert("sos".into(), false);
    let mut w = World::with(settings);
    let (_, sos) = (w.app(ALICE, "a"), w.app(ALICE, "sos"));
    let through = |w: &World| w.find(ALICE, 1).map(|call| call.provider);
    let named = Action::Start {
        uuid: uuid(1),
        handle: "tel:112".into(),
        provider: Some("sos".into()),
        video: false,
    };
    w.refused_request(vec![named], Error::NotAuthorized, "sos");
    w.request(ALICE, vec![start(1, "tel:112")]).unwrap();
    assert_ne!(through(&w), Some(sos.id));

    let mut w = World::with(ruled(vec![]));
    w.agent(ALICE, &[Role::Launch]);
    let sip = Configuration { schemes: vec!["sip".into()], ..Configuration::default() };
    let (a, _) = (w.app(ALICE, "a"), w.app_with(ALICE, "sos", sip));
    w.request(ALICE, vec![start(1, "tel:112")]).unwrap();
    assert_eq!(through(&w), Some(a.id), "who is there is not started");
}

#[test]
fn an_app_has_no_more_calls_than_its_rule_allows() {
    let then = Then { calls: Some(2), ..Then::default() };
    let when = When { apps: vec![Pattern::of("a")], ..When::default() };
    let mut w = World::with(ruled(vec![rule("two", when, then)]));
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.incoming(a, 1).unwrap();
    w.incoming(a, 2).unwrap();
    let Ok(Reply::Filtered(_, why)) = w.incoming(a, 3) else { panic!("it rings") };
    assert_eq!(why.error, Error::Busy);
    assert!(why.message.contains("\"two\""), "{}", why.message);
    w.incoming(b, 4).unwrap();
    let start = |app: &str, call| Action::Start {
        uuid: uuid(call),
        handle: "sip:x@example.org".into(),
        provider: Some(app.into()),
        video: false,
    };
    w.refused_request(vec![start("a", 5)], Error::LimitExceeded, "2 calls of a are there");
    w.request(ALICE, vec![start("b", 6)]).unwrap();
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    w.incoming(a, 7).unwrap();
}

#[test]
fn an_app_has_no_more_groups_than_its_rule_allows() {
    let then = Then { groups: Some(1), ..Then::default() };
    let mut w = World::with(ruled(vec![rule("one", When::default(), then)]));
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    let answer = |call| Action::Answer { call: CallRef::Uuid(uuid(call)) };
    w.incoming(a, 1).unwrap();
    w.request(ALICE, vec![answer(1)]).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Active);
    w.incoming(a, 2).unwrap();
    let plan = w.find(ALICE, 2).unwrap().answer_plan.clone();
    assert_eq!(plan.refused.unwrap().error, Error::MaximumCallGroupsReached);
    w.refused_request(
        vec![answer(2)],
        Error::MaximumCallGroupsReached,
        "1 call groups already (`groups` of a rule)",
    );
    w.incoming(b, 3).unwrap();
    w.request(ALICE, vec![answer(3)]).unwrap();
}
