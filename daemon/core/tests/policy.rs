//! The administrator's rules: for which calls they hold, what they do, and what they never touch.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use std::sync::Arc;

use callarbiter_core::*;
use world::*;

fn rule(name: &str, when: When, then: Then) -> Rule {
    Rule { name: name.into(), when, then }
}

fn ruled(rules: Vec<Rule>) -> Settings {
    let mut settings = settings();
    settings.policy.rules = rules.into();
    settings.policy.emergency =
        Emergency { handles: vec!["tel:112".into()], providers: vec!["sos".into()] };
    settings
}

/// Whatever matches is silent.
fn silent(when: When) -> World {
    World::with(ruled(vec![rule("quiet", when, ring(Ring::Silence))]))
}

fn ring(ring: Ring) -> Then {
    Then { ring: Some(ring), ..Then::default() }
}

fn from(handle: &str) -> Update {
    Update { handle: Some(handle.into()), ..Update::default() }
}

/// Which rule decided this effect of the call.
fn by<'a>(w: &'a World, n: u128, effect: &str) -> Option<&'a str> {
    let treatment = w.find(ALICE, n)?.treatment()?;
    treatment.rules().find(|(word, ..)| *word == effect).map(|(_, rule, _)| rule)
}

fn silenced(w: &World, n: u128) -> Silenced {
    w.find(ALICE, n).unwrap().silenced
}

fn is_silent(w: &mut World, app: App, n: u128, handle: &str) -> bool {
    w.incoming_with(app, n, from(handle)).unwrap();
    let silent = silenced(w, n) == Silenced::Rule;
    assert_eq!(silent, by(w, n, "ring") == Some("quiet"));
    silent
}

/// Noon of a Monday in UTC, and so many minutes later.
fn at(w: &mut World, minutes: u64) {
    w.now.wall = (1_704_110_400 + minutes * 60) * 1_000_000;
}

#[test]
fn apps_are_named_with_stars() {
    let when =
        When { apps: vec![Pattern::of("org.example.*"), Pattern::of("b")], ..When::default() };
    let mut w = silent(when);
    for (n, (app, silent)) in
        [("org.example.Phone", true), ("b", true), ("a", false)].into_iter().enumerate()
    {
        let app = w.app(ALICE, app);
        assert_eq!(is_silent(&mut w, app, n as u128, "tel:1"), silent);
    }
}

#[test]
fn people_are_named_by_their_handles() {
    let contacts = vec![
        Contacts::Anonymous,
        Contacts::Handle(Handles::like("tel:+49-900*")),
        Contacts::Handle(Handles::like("sip:*@spam.example")),
    ];
    let mut w = silent(When { contacts, ..When::default() });
    let a = w.app(ALICE, "a");
    for (n, (handle, silent)) in [
        ("", true),
        ("tel:+49 900 123", true),
        ("tel:+49 30 123", false),
        ("sip:x@SPAM.example", true),
        ("sip:x@example.org", false),
        ("sip:anonymous@anonymous.invalid", true),
        ("sip:Anonymous@gateway.example;x=y", true),
        ("tel:anonymous", true),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(is_silent(&mut w, a, n as u128, handle), silent, "{handle}");
    }
}

#[test]
fn who_turns_out_to_be_known_rings_after_all() {
    let mut w = silent(When { contacts: vec![Contacts::Unknown], ..When::default() });
    let agent = w.agent(ALICE, &[Role::Contacts]);
    let a = w.app(ALICE, "a");
    assert!(is_silent(&mut w, a, 1, "tel:1"));
    let (request, _) = w.errands(agent)[0].clone();
    let answer = AgentAnswer { name: Some("Ada".into()), ..AgentAnswer::default() };
    w.agent_says(agent, request, answer).unwrap();
    assert_eq!(silenced(&w, 1), Silenced::No);
    assert_eq!(by(&w, 1, "ring"), None);
}

/// A rule shortens the ringing of strangers, and everybody is one until the address book has answered.
#[test]
fn who_turns_out_to_be_known_rings_as_long_as_usual() {
    let then = Then { ring_time: Some(Millis::secs(10)), ..Then::default() };
    let when = When { contacts: vec![Contacts::Unknown], ..When::default() };
    let mut w = World::with(ruled(vec![rule("strangers", when, then)]));
    let agent = w.agent(ALICE, &[Role::Contacts]);
    let a = w.app(ALICE, "a");
    for n in [1, 2] {
        w.incoming_with(a, n, from(&format!("tel:{n}"))).unwrap();
    }
    let (request, _) = w.errands(agent)[0].clone();
    let answer = AgentAnswer { name: Some("Ada".into()), ..AgentAnswer::default() };
    w.agent_says(agent, request, answer).unwrap();
    w.pass(Millis::secs(11));
    assert!(w.find(ALICE, 2).is_none(), "a stranger");
    assert_eq!(w.state_of(ALICE, 1), CallState::Ringing);
    w.pass(settings().deadlines.ringing);
    assert!(w.find(ALICE, 1).is_none(), "nobody answered");
}

#[test]
fn who_turns_out_to_be_known_rings_through_do_not_disturb() {
    let when = When { contacts: vec![Contacts::Known], ..When::default() };
    let mut w = World::with(ruled(vec![rule("friends", when, ring(Ring::Aloud))]));
    let agent = w.agent(ALICE, &[Role::Contacts, Role::Dnd]);
    let mode = DoNotDisturb::Quiet;
    w.handle(Input::SetDoNotDisturb { caller: agent, mode, allow: vec![] }).unwrap();
    let a = w.app(ALICE, "a");
    w.incoming_with(a, 1, from("tel:1")).unwrap();
    assert_eq!(silenced(&w, 1), Silenced::DoNotDisturb);
    let (request, _) = w.errands(agent)[0].clone();
    let answer = AgentAnswer { name: Some("Ada".into()), ..AgentAnswer::default() };
    w.agent_says(agent, request, answer).unwrap();
    assert_eq!(silenced(&w, 1), Silenced::No);
    w.handle(Input::SetDoNotDisturb { caller: agent, mode, allow: vec![] }).unwrap();
    assert_eq!(silenced(&w, 1), Silenced::No, "said again, it stays aloud");
}

#[test]
fn the_desktop_is_a_condition() {
    for (when, input) in [
        (
            When { locked: Some(true), ..When::default() },
            Input::Locked { uid: ALICE, locked: true },
        ),
        (
            When { foreground: Some(false), ..When::default() },
            Input::Seats { uid: ALICE, seats: vec!["seat0".into()] },
        ),
    ] {
        let mut w = silent(when);
        let a = w.app(ALICE, "a");
        w.incoming(a, 1).unwrap();
        assert_eq!(by(&w, 1, "ring"), None);
        w.handle(input).unwrap();
        w.incoming(a, 2).unwrap();
        assert_eq!(by(&w, 2, "ring"), Some("quiet"));
    }
    let mut w = silent(When { do_not_disturb: Some(false), ..When::default() });
    let a = w.app(ALICE, "a");
    assert!(is_silent(&mut w, a, 1, "tel:1"));
}

#[test]
fn a_time_over_midnight_belongs_to_the_day_on_which_it_began() {
    let time = Some(Hours { from: 22 * 60, to: 7 * 60 });
    // Monday.
    let days = Some(Days::default().with(0));
    let mut w = silent(When { time, days, ..When::default() });
    let a = w.app(ALICE, "a");
    const HOUR: u64 = 60;
    for (n, (hours, silent)) in [
        (0, false),
        (9, false),
        (10, true),
        (12, true),
        (18, true),
        (19, false),
        (7 * 24 - 6, false),
        (7 * 24 + 10, true),
    ]
    .into_iter()
    .enumerate()
    {
        at(&mut w, hours * HOUR);
        assert_eq!(is_silent(&mut w, a, n as u128, "tel:1"), silent, "{hours} hours later");
        w.ended(a, n as u128, EndReason::RemoteEnded).unwrap();
    }
    at(&mut w, 10 * HOUR - 1);
    assert!(!is_silent(&mut w, a, 20, "tel:1"), "to the minute");
}

/// Berlin, 31 March 2024: at 02:00 clocks go to 03:00.
#[test]
fn summer_time_is_kept() {
    let time = Some(Hours { from: 3 * 60, to: 4 * 60 });
    let when = When { time, ..When::default() };
    let mut settings = ruled(vec![rule("quiet", when, ring(Ring::Silence))]);
    const CHANGE: i64 = 1_711_846_800;
    settings.zone = Zone { ahead: 3600, changes: Arc::new([(CHANGE, 7200)]) };
    let mut w = World::with(settings);
    let a = w.app(ALICE, "a");
    for (n, (seconds, silent)) in
        [(-1, false), (0, true), (3599, true), (3600, false)].into_iter().enumerate()
    {
        w.now.wall = (CHANGE + seconds) as u64 * 1_000_000;
        assert_eq!(is_silent(&mut w, a, n as u128, "tel:1"), silent, "{seconds}");
    }
}

#[test]
fn of_each_effect_the_first_rule_decides() {
    let all = When::default();
    let ring_time = Some(Millis::secs(5));
    let mut w = World::with(ruled(vec![
        rule("other app", When { apps: vec![Pattern::of("b")], ..all.clone() }, ring(Ring::Aloud)),
        rule("first", all.clone(), ring(Ring::Silence)),
        rule("second", all.clone(), Then { ring_time, ..ring(Ring::Reject) }),
    ]));
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    assert_eq!((by(&w, 1, "ring"), by(&w, 1, "ring-ms")), (Some("first"), Some("second")));
    w.pass(Millis::secs(5));
    assert_eq!(w.end_of(1), Some(EndReason::Unanswered));
}

#[test]
fn a_rejected_call_appears_ends_and_names_the_rule() {
    let when = When { direction: Some(Direction::Incoming), ..When::default() };
    let mut w = World::with(ruled(vec![rule("nobody", when, ring(Ring::Reject))]));
    let a = w.app(ALICE, "a");
    let reply = w.incoming(a, 1).unwrap();
    let Reply::Filtered(call, why) = reply else { panic!("{reply:?}") };
    assert_eq!(why.error, Error::FilteredByScreening);
    assert!(why.message.contains("\"nobody\""), "{}", why.message);
    let end = w.domain(ALICE).call(call).unwrap().end.clone().unwrap();
    assert_eq!((end.reason, end.detail.reveal()), (EndReason::Filtered, "rule nobody"));
    w.request(ALICE, vec![start_on(2, "a")]).unwrap();
    assert_eq!(w.state_of(ALICE, 2), CallState::Starting, "it is about incoming calls");
}

#[test]
fn a_waiting_call_is_told_busy_unless_its_class_is_higher() {
    let busy = Then { when_busy: Some(Busy::Reject), ..Then::default() };
    let when = When { apps: vec![Pattern::of("boss")], ..When::default() };
    let boss = Then { priority: Some(8), ..Then::default() };
    let mut w =
        World::with(ruled(vec![rule("boss", when, boss), rule("one", When::default(), busy)]));
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "boss"));
    w.talking(a, 1);
    let reply = w.incoming(a, 2).unwrap();
    let Reply::Filtered(_, why) = reply else { panic!("{reply:?}") };
    assert_eq!(why.error, Error::Busy);
    w.incoming(b, 3).unwrap();
    assert_eq!(w.state_of(ALICE, 3), CallState::Ringing);
}

#[test]
fn when_busy_end_ends_no_higher_class() {
    let end = Then { when_busy: Some(Busy::End), ..Then::default() };
    let app = |app: &str| When { apps: vec![Pattern::of(app)], ..When::default() };
    let mut w = World::with(ruled(vec![
        rule("low", app("low"), Then { priority: Some(1), ..Then::default() }),
        rule("high", app("high"), Then { priority: Some(9), ..Then::default() }),
        rule("end", When::default(), end),
    ]));
    let (low, a, high) = (w.app(ALICE, "low"), w.app(ALICE, "a"), w.app(ALICE, "high"));
    for (n, (there, ends)) in [(low, true), (a, true), (high, false)].into_iter().enumerate() {
        let n = 10 * n as u128;
        let stiff = Update { can_hold: Some(false), ..Update::default() };
        w.incoming_with(there, n, stiff).unwrap();
        w.request(ALICE, vec![answer(n)]).unwrap();
        w.fulfil_all(&[there]);
        w.incoming(a, n + 1).unwrap();
        let plan = w.find(ALICE, n + 1).unwrap().answer_plan.clone();
        assert_eq!(plan.ends.len(), usize::from(ends));
        let answered = w.request(ALICE, vec![answer(n + 1)]);
        assert_eq!(answered.is_ok(), ends);
        w.fulfil_all(&[low, a, high]);
        assert_eq!(w.state_of(ALICE, n) == CallState::Ended, ends);
        let _ = w.request(ALICE, vec![end_of(n)]);
        w.request(ALICE, vec![end_of(n + 1)]).unwrap();
        w.fulfil_all(&[low, a, high]);
    }
}

fn end_of(n: u128) -> Action {
    world::end(n)
}

#[test]
fn what_cannot_be_held_after_all_is_ended_if_a_rule_says_so() {
    for rules in [true, false] {
        let then = Then { hold_failed: Some(HoldFailed::End), ..Then::default() };
        let when = When { apps: vec![Pattern::of("b")], ..When::default() };
        let list = if rules { vec![rule("insist", when, then)] } else { vec![] };
        let mut w = World::with(ruled(list));
        let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
        w.talking(a, 1);
        w.incoming(b, 2).unwrap();
        w.request(ALICE, vec![answer(2)]).unwrap();
        w.fail(a, "SetHeld");
        w.fulfil_all(&[a, b]);
        let (first, second) = (w.state_of(ALICE, 1), w.state_of(ALICE, 2));
        let expected = match rules {
            true => (CallState::Ended, CallState::Active),
            false => (CallState::Active, CallState::Ringing),
        };
        assert_eq!((first, second), expected);
    }
}

#[test]
fn what_was_held_for_it_is_resumed_if_a_rule_says_so() {
    let then = Then { after_end: Some(AfterRemoteEnd::Resume), ..Then::default() };
    let when = When { apps: vec![Pattern::of("b")], ..When::default() };
    let mut w = World::with(ruled(vec![rule("resume", when, then)]));
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    w.ended(b, 2, EndReason::RemoteEnded).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Active);
}

#[test]
fn an_app_rings_no_more_often_than_its_rule_allows() {
    let then = Then { ringing: Some(1), ..Then::default() };
    let mut w = World::with(ruled(vec![rule("one", When::default(), then)]));
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.incoming(a, 1).unwrap();
    assert!(matches!(w.incoming(a, 2), Ok(Reply::Filtered(_, why)) if why.error == Error::Busy));
    assert!(matches!(w.incoming(b, 3), Ok(Reply::Call(_))));
}

fn intercom(beside: bool) -> Settings {
    let answer = Some(AutoAnswer { after: Millis::secs(3), beside });
    let when = When { apps: vec![Pattern::of("door")], ..When::default() };
    ruled(vec![rule("intercom", when, Then { answer, ..Then::default() })])
}

#[test]
fn an_intercom_is_announced_and_answers_itself() {
    let mut w = World::with(intercom(false));
    let (a, door) = (w.app(ALICE, "a"), w.app(ALICE, "door"));
    w.incoming(door, 1).unwrap();
    assert_eq!(w.notices(), [Notice::AnswersItself]);
    w.pass(Millis(2999));
    assert_eq!(w.state_of(ALICE, 1), CallState::Ringing);
    w.pass(Millis(1));
    let asked = w.fulfil(door, "Answer");
    assert_eq!(asked.origin, Origin::Policy);
    w.fulfil_all(&[door]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Active);
    w.incoming(a, 2).unwrap();
    w.pass(Millis::secs(10));
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing, "no rule, no answer");
}

#[test]
fn it_answers_beside_another_call_only_if_its_rule_says_so() {
    for beside in [false, true] {
        let mut w = World::with(intercom(beside));
        let (a, door) = (w.app(ALICE, "a"), w.app(ALICE, "door"));
        w.talking(a, 1);
        w.incoming(door, 2).unwrap();
        w.pass(Millis::secs(3));
        w.fulfil_all(&[a, door]);
        let expected = if beside { CallState::Active } else { CallState::Ringing };
        assert_eq!(w.state_of(ALICE, 2), expected);
    }
}

#[test]
fn it_does_not_answer_what_nobody_hears() {
    let silence: fn(&mut World) = |w| {
        w.request(ALICE, vec![Action::Silence { call: of(1) }]).unwrap();
    };
    let away: fn(&mut World) = |w| {
        w.handle(Input::Seats { uid: ALICE, seats: vec!["seat0".into()] }).unwrap();
    };
    let revoked: fn(&mut World) = |w| {
        let mut settings = intercom(true);
        settings.policy.apps.insert("door".into(), false);
        w.handle(Input::Settings(Box::new(settings))).unwrap();
    };
    for happens in [silence, away, revoked] {
        let mut w = World::with(intercom(true));
        let door = w.app(ALICE, "door");
        w.incoming(door, 1).unwrap();
        happens(&mut w);
        w.pass(Millis::secs(10));
        assert_eq!(w.state_of(ALICE, 1), CallState::Ringing);
        assert_eq!(w.asked(ALICE), []);
    }
}

/// Rules of every effect, for every call.
fn harsh() -> Vec<Rule> {
    let then = Then {
        ring: Some(Ring::Reject),
        ring_time: Some(Millis(100)),
        answer: Some(AutoAnswer { after: Millis(100), beside: true }),
        priority: Some(0),
        when_busy: Some(Busy::Reject),
        after_end: Some(AfterRemoteEnd::Resume),
        hold_failed: Some(HoldFailed::Keep),
        ringing: Some(0),
        calls: Some(0),
        groups: Some(0),
    };
    vec![rule("harsh", When::default(), then)]
}

/// Call 1, through an app that may carry it.
fn calls_for_help(w: &mut World) {
    let start = Action::Start {
        uuid: uuid(1),
        handle: "tel:112".into(),
        provider: Some("sos".into()),
        video: false,
    };
    w.request(ALICE, vec![start]).unwrap();
}

#[test]
fn emergency_calls_are_not_treated() {
    let mut w = World::with(ruled(harsh()));
    let sos = w.app(ALICE, "sos");
    calls_for_help(&mut w);
    assert!(w.find(ALICE, 1).unwrap().emergency);
    assert_eq!(w.find(ALICE, 1).unwrap().treatment(), None);
    // Those who call back are not kept away either.
    w.incoming_with(sos, 2, from("tel:112")).unwrap();
    assert_eq!(w.find(ALICE, 2).unwrap().treatment(), None);
    assert_eq!(silenced(&w, 2), Silenced::No);
}

#[test]
fn no_rule_ends_an_emergency_call_for_another() {
    let then = Then {
        hold_failed: Some(HoldFailed::End),
        when_busy: Some(Busy::End),
        priority: Some(9),
        ..Then::default()
    };
    let mut w = World::with(ruled(vec![rule("end", When::default(), then)]));
    let (a, sos) = (w.app(ALICE, "a"), w.app(ALICE, "sos"));
    calls_for_help(&mut w);
    w.fulfil_all(&[sos]);
    w.report(sos, 1, CallState::Active).unwrap();
    w.incoming(a, 2).unwrap();
    w.refused_request(vec![answer(2)], Error::CallProtected, "emergency");
}

#[test]
fn new_rules_do_not_touch_calls_that_are_there() {
    let mut w = World::with(intercom(true));
    let (a, door) = (w.app(ALICE, "a"), w.app(ALICE, "door"));
    w.talking(a, 1);
    w.incoming(door, 2).unwrap();
    w.effects.clear();
    w.handle(Input::Settings(Box::new(ruled(harsh())))).unwrap();
    assert_eq!(w.effects, []);
    assert_eq!(by(&w, 2, "answer-after-ms"), Some("intercom"));
    assert!(w.find(ALICE, 1).unwrap().treatment().is_none());
    w.pass(Millis::secs(3));
    w.fulfil_all(&[a, door]);
    assert_eq!(w.state_of(ALICE, 2), CallState::Active, "by the rule under which it came");
}
