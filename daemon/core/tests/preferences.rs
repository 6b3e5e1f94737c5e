//! The user's own preferences: they count behind the administrator's rules, and within what is left to users.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn rule(name: &str, then: Then) -> Rule {
    Rule { name: name.into(), when: When::default(), then }
}

fn ring(ring: Ring) -> Then {
    Then { ring: Some(ring), ..Then::default() }
}

fn rings_for(length: Millis) -> Then {
    Then { ring_time: Some(length), ..Then::default() }
}

fn by_rules(rules: Vec<Rule>) -> Preferences {
    Preferences { rules: rules.into(), do_not_disturb: None }
}

/// Alice's agent, and what she prefers.
fn prefers(w: &mut World, own: Preferences) -> Caller {
    let agent = w.agent(ALICE, &[Role::Preferences]);
    w.handle(Input::SetPreferences { caller: agent, preferences: own }).unwrap();
    agent
}

/// Which rule decided this effect of the call, and whose it is.
fn by<'a>(w: &'a World, n: u128, effect: &str) -> Option<(&'a str, Decider)> {
    let treatment = w.find(ALICE, n)?.treatment()?;
    let found = treatment.rules().find(|(word, ..)| *word == effect);
    found.map(|(_, rule, by)| (rule, by))
}

fn silenced(w: &World, n: u128) -> Silenced {
    w.find(ALICE, n).unwrap().silenced
}

#[test]
fn they_count_behind_the_administrators_rules() {
    let mut settings = settings();
    settings.policy.rules = vec![rule("house", ring(Ring::Aloud))].into();
    let mut w = World::with(settings);
    let then = Then { ring_time: Some(Millis::secs(10)), ..ring(Ring::Silence) };
    prefers(&mut w, by_rules(vec![rule("mine", then)]));
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    assert_eq!(by(&w, 1, "ring"), Some(("house", Decider::Administrator)));
    assert_eq!(by(&w, 1, "ring-ms"), Some(("mine", Decider::User)));
    assert_eq!(silenced(&w, 1), Silenced::No);
    let why = w.domain(ALICE).why(w.find(ALICE, 1).unwrap().id).unwrap();
    let rules: Vec<_> = why
        .steps()
        .filter(|step| step.cause.name() == "rule")
        .map(|step| (step.text.reveal().to_owned(), step.cause.facts().collect::<Vec<_>>()))
        .collect();
    let whose = |word| vec![("by", Fact::Word(word))];
    assert_eq!(
        rules,
        [("house".to_owned(), whose("administrator")), ("mine".to_owned(), whose("user"))]
    );
    w.pass(Millis::secs(10));
    assert_eq!(w.end_of(1), Some(EndReason::Unanswered));
}

#[test]
fn what_is_chosen_for_every_call_counts_before_the_settings() {
    let mut w = World::default();
    let every = Then {
        when_busy: Some(Busy::End),
        after_end: Some(AfterRemoteEnd::Resume),
        ..Then::default()
    };
    let own = Then { when_busy: Some(Busy::Refuse), ..Then::default() };
    let careful = Rule {
        when: When { apps: vec![Pattern::of("c")], ..When::default() },
        ..rule("careful", own)
    };
    prefers(&mut w, by_rules(vec![careful, rule(EVERY_CALL, every)]));
    let (a, b, c) = (w.app(ALICE, "a"), w.app(ALICE, "b"), w.app(ALICE, "c"));
    w.pair(a, b);
    w.ended(b, 2, EndReason::RemoteEnded).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Active, "resumed");
    let stiff = Update { can_hold: Some(false), ..Update::default() };
    w.say(a, Word::Update { uuid: uuid(1), update: stiff }).unwrap();
    w.incoming(c, 3).unwrap();
    w.refused_request(vec![answer(3)], Error::CannotHold, "");
    w.incoming(b, 4).unwrap();
    w.request(ALICE, vec![answer(4)]).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!((w.state_of(ALICE, 1), w.state_of(ALICE, 4)), (CallState::Ended, CallState::Active));
}

#[test]
fn a_call_that_a_rule_of_the_user_rejects_does_not_tell_its_app_which() {
    let mut w = World::default();
    prefers(&mut w, by_rules(vec![rule("my ex", ring(Ring::Reject))]));
    let a = w.app(ALICE, "a");
    let reply = w.incoming(a, 1).unwrap();
    let Reply::Filtered(call, why) = reply else { panic!("{reply:?}") };
    assert_eq!(why.error, Error::FilteredByScreening);
    assert!(!why.message.contains("ex") && why.message.contains("own"), "{}", why.message);
    let end = w.domain(ALICE).call(call).unwrap().end.clone().unwrap();
    assert_eq!(end.detail.reveal(), "rule my ex");
}

#[test]
fn what_do_not_disturb_means_is_the_users_choice() {
    for (own, expected) in [
        (DoNotDisturb::Off, Some(Silenced::No)),
        (DoNotDisturb::Quiet, Some(Silenced::DoNotDisturb)),
        (DoNotDisturb::Refuse, None),
    ] {
        let mut w = World::default();
        let agent = w.agent(ALICE, &[Role::Dnd]);
        prefers(&mut w, Preferences { do_not_disturb: Some(own), ..Preferences::default() });
        let a = w.app(ALICE, "a");
        w.incoming(a, 1).unwrap();
        let mode = DoNotDisturb::Refuse;
        w.handle(Input::SetDoNotDisturb { caller: agent, mode, allow: vec![] }).unwrap();
        w.incoming(a, 2).unwrap();
        assert_eq!(w.find(ALICE, 2).map(|call| call.silenced), expected, "{own:?}");
        let rings = own == DoNotDisturb::Off;
        assert_eq!(silenced(&w, 1) == Silenced::No, rings, "one that rang already");
        w.handle(Input::SetDoNotDisturb { caller: agent, mode: DoNotDisturb::Off, allow: vec![] })
            .unwrap();
        w.incoming(a, 3).unwrap();
        assert_eq!(silenced(&w, 3), Silenced::No, "it is off");
    }
}

#[test]
fn what_is_not_the_users_is_refused_whole_and_says_by_which_setting() {
    let mut settings = settings();
    settings.allowance = Allowance {
        choices: vec!["ring", "ring-ms", "answer-after-ms", "priority"],
        rules: 2,
        priority_most: 5,
        ..Allowance::default()
    };
    let mut w = World::with(settings);
    let before = by_rules(vec![rule("mine", ring(Ring::Silence))]);
    let agent = prefers(&mut w, before.clone());
    let busy = Then { when_busy: Some(Busy::End), ..Then::default() };
    let answer = |after| {
        let answer = Some(AutoAnswer { after, beside: false });
        rule("door", Then { answer, ..Then::default() })
    };
    let priority = Then { priority: Some(6), ..Then::default() };
    let good = || rule("good", ring(Ring::Aloud));
    let contacts =
        (0..2000).map(|n| Contacts::Handle(Handles::like(&format!("tel:{n}")))).collect();
    let long = Rule { when: When { contacts, ..When::default() }, ..good() };
    for (own, error, words) in [
        (
            by_rules(vec![good(), rule("b", busy)]),
            Error::AccessDenied,
            &["rule \"b\": when-busy", "`allow`", "ring, ring-ms"][..],
        ),
        (
            by_rules(vec![good(), rule(EVERY_CALL, busy)]),
            Error::AccessDenied,
            &["when-busy is"][..],
        ),
        (
            by_rules(vec![rule("b", rings_for(Millis::secs(300)))]),
            Error::AccessDenied,
            &["300000", "5000 to 120000", "ring-ms-max"],
        ),
        (
            by_rules(vec![rule("b", rings_for(Millis::secs(1)))]),
            Error::AccessDenied,
            &["1000", "ring-ms-min"],
        ),
        (
            by_rules(vec![answer(Millis(0))]),
            Error::AccessDenied,
            &["1000 or more", "answer-after-ms-min"],
        ),
        (by_rules(vec![rule("b", priority)]), Error::AccessDenied, &["5 or less", "priority-max"]),
        (by_rules(vec![good(), good(), good()]), Error::LimitExceeded, &["`rules`", "2"]),
        (by_rules(vec![long]), Error::LimitExceeded, &["1024"]),
        (
            Preferences { do_not_disturb: Some(DoNotDisturb::Quiet), ..Preferences::default() },
            Error::AccessDenied,
            &["do-not-disturb is the administrator's"],
        ),
    ] {
        let input = Input::SetPreferences { caller: agent, preferences: own };
        let refused = w.handle(input).unwrap_err();
        assert_eq!(refused.error, error, "{}", refused.message);
        words
            .iter()
            .for_each(|word| assert!(refused.message.contains(word), "{}", refused.message));
        assert_eq!(*w.domain(ALICE).preferences(), before);
    }
}

#[test]
fn only_the_holder_of_the_role_says_what_the_user_prefers() {
    let mut w = World::default();
    let agent = prefers(&mut w, Preferences::default());
    let caller = w.caller(ALICE);
    let preferences = by_rules(vec![rule("mine", ring(Ring::Silence))]);
    let set = |caller| Input::SetPreferences { caller, preferences: preferences.clone() };
    w.refused(set(caller), Error::AccessDenied, "`preferences`");
    let other = w.agent(ALICE, &[Role::Preferences]);
    w.refused(set(agent), Error::AccessDenied, "`preferences`");
    w.handle(set(other)).unwrap();
}

#[test]
fn who_is_allowed_less_from_now_on_has_what_is_left() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Dnd]);
    let then = Then {
        ring_time: Some(Millis::secs(100)),
        answer: Some(AutoAnswer { after: Millis::secs(2), beside: false }),
        priority: Some(9),
        ..ring(Ring::Silence)
    };
    let own = by_rules(vec![rule("mine", then)]);
    prefers(&mut w, Preferences { do_not_disturb: Some(DoNotDisturb::Off), ..own.clone() });
    let mut less = settings();
    less.allowance = Allowance {
        choices: vec!["ring-ms", "answer-after-ms", "priority"],
        ring_most: Millis::secs(20),
        answer_least: Millis::secs(10),
        priority_most: 3,
        ..Allowance::default()
    };
    w.handle(Input::Settings(Box::new(less))).unwrap();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    let then = w.find(ALICE, 1).unwrap().treatment().unwrap().then;
    assert_eq!((then.ring, then.ring_time, then.priority), (None, Some(Millis::secs(20)), Some(3)));
    assert_eq!(then.answer.map(|answer| answer.after), Some(Millis::secs(10)));
    let mode = DoNotDisturb::Quiet;
    w.handle(Input::SetDoNotDisturb { caller: agent, mode, allow: vec![] }).unwrap();
    assert_eq!(silenced(&w, 1), Silenced::DoNotDisturb, "that is the desktop's word again");
    w.handle(Input::Settings(Box::new(settings()))).unwrap();
    w.incoming(a, 2).unwrap();
    assert_eq!(by(&w, 2, "ring"), Some(("mine", Decider::User)), "and back");
}

#[test]
fn they_are_kept_over_the_loss_of_the_agent_and_over_a_restart() {
    let mut w = World::default();
    let people = When {
        contacts: vec![Contacts::Handle(Handles::like("tel:+49*")), Contacts::Anonymous],
        apps: vec![Pattern::of("a*")],
        time: Some(Hours { from: 0, to: 23 * 60 + 59 }),
        days: Some((0..7).fold(Days::default(), Days::with)),
        direction: Some(Direction::Incoming),
        ..When::default()
    };
    let own = by_rules(vec![Rule { when: people, ..rule("mine", ring(Ring::Silence)) }]);
    let own = Preferences { do_not_disturb: Some(DoNotDisturb::Quiet), ..own };
    let agent = prefers(&mut w, own.clone());
    w.handle(Input::PeerLost { peer: agent.peer }).unwrap();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    assert_eq!(silenced(&w, 1), Silenced::Rule);
    w.restart(&[]);
    assert_eq!(*w.domain(ALICE).preferences(), own);
    assert_eq!(by(&w, 1, "ring"), Some(("mine", Decider::User)));
    let caller = w.agent(ALICE, &[Role::Preferences]);
    let preferences = Preferences::default();
    w.handle(Input::SetPreferences { caller, preferences }).unwrap();
    w.incoming(a, 2).unwrap();
    assert_eq!(silenced(&w, 2), Silenced::No);
    w.restart(&[]);
    assert_eq!(*w.domain(ALICE).preferences(), Preferences::default());
}

#[test]
fn who_turns_out_to_be_known_is_treated_by_the_users_rules_too() {
    let mut w = World::default();
    let when = When { contacts: vec![Contacts::Unknown], ..When::default() };
    prefers(&mut w, by_rules(vec![Rule { when, ..rule("strangers", ring(Ring::Silence)) }]));
    let book = w.agent(ALICE, &[Role::Contacts]);
    let a = w.app(ALICE, "a");
    let update = Update { handle: Some("tel:1".into()), ..Update::default() };
    w.incoming_with(a, 1, update).unwrap();
    assert_eq!(silenced(&w, 1), Silenced::Rule);
    let (request, _) = w.errands(book)[0].clone();
    let answer = AgentAnswer { name: Some("Ada".into()), ..AgentAnswer::default() };
    w.agent_says(book, request, answer).unwrap();
    assert_eq!(silenced(&w, 1), Silenced::No);
}
