//! Whether apps may provide calls: who is asked, when, and whose word counts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use Authorization::{Authorized, Denied, NotDetermined, Restricted};
use callarbiter_core::*;
use world::*;

fn asks_first() -> World {
    World::with(Settings::default())
}

fn authorization(w: &World, app: App) -> Authorization {
    w.domain(app.caller.uid).provider(app.id).unwrap().authorization
}

/// The apps about which this agent was asked, with the requests.
fn asked(w: &World, agent: Caller) -> Vec<(RequestId, String)> {
    let asked = w.errands(agent).into_iter().filter_map(|(request, ask)| match ask {
        AgentAsk::Consent { app, .. } => Some((request, app.to_string())),
        _ => None,
    });
    asked.collect()
}

fn apps(w: &World, agent: Caller) -> Vec<String> {
    asked(w, agent).into_iter().map(|(_, app)| app).collect()
}

fn answer(w: &mut World, agent: Caller, request: RequestId, word: Authorization) -> Result<Reply> {
    let answer = AgentAnswer { authorization: Some(word), ..AgentAnswer::default() };
    w.agent_says(agent, request, answer)
}

fn set(w: &mut World, caller: Caller, app: &str, word: Authorization) -> Result<Reply> {
    w.handle(Input::SetAuthorization { caller, app: app.into(), authorization: word })
}

fn told(w: &World, app: App) -> Vec<Authorization> {
    let told = |e: &Effect| match e {
        Effect::AuthorizationSet { provider, authorization, .. } if *provider == app.id => {
            Some(*authorization)
        }
        _ => None,
    };
    w.effects.iter().filter_map(told).collect()
}

#[test]
fn the_user_is_asked_once_and_the_app_hears_the_answer() {
    for word in [Authorized, Denied] {
        let mut w = asks_first();
        let agent = w.agent(ALICE, &[Role::Consent]);
        let a = w.app(ALICE, "a");
        let [(request, app)] = &asked(&w, agent)[..] else { panic!() };
        assert_eq!((app.as_str(), authorization(&w, a)), ("a", NotDetermined));
        let incoming = Word::Incoming { uuid: uuid(1), update: Update::default() };
        w.refused_word(a, incoming, Error::NotAuthorized, "not-determined");
        let request = *request;
        answer(&mut w, agent, request, word).unwrap();
        assert_eq!((authorization(&w, a), told(&w, a)), (word, vec![word]));
        assert_eq!(w.incoming(a, 1).is_ok(), word == Authorized);
        let again = answer(&mut w, agent, request, Denied).unwrap_err();
        assert_eq!(again.error, Error::TimedOut, "answered already");
        assert_eq!(authorization(&w, a), word);
        w.say(a, Word::Authorize).unwrap();
        w.register(a.caller, "a", Configuration::default());
        w.lose(a);
        let b = w.app(ALICE, "a");
        assert_eq!((authorization(&w, b), apps(&w, agent).len()), (word, 1), "it is known");
    }
}

#[test]
fn one_question_for_all_instances_and_connections() {
    let mut w = asks_first();
    let agent = w.agent(ALICE, &[Role::Consent]);
    let a = w.app(ALICE, "a");
    let caller = w.caller(ALICE);
    let registration = Registration {
        app: "a".into(),
        source: AppIdSource::Declared,
        instance: "tab".into(),
        configuration: Configuration::default(),
        preset: None,
    };
    w.handle(Input::Register { caller, registration }).unwrap();
    w.say(a, Word::Authorize).unwrap();
    w.lose(a);
    let a = w.app(ALICE, "a");
    assert_eq!(apps(&w, agent), ["a"]);
    let request = asked(&w, agent)[0].0;
    answer(&mut w, agent, request, Authorized).unwrap();
    let all = w.domain(ALICE).providers().map(|p| p.authorization).collect::<Vec<_>>();
    assert_eq!(all, [Authorized, Authorized]);
    w.incoming(a, 1).unwrap();
}

#[test]
fn not_now_is_no_decision() {
    let mut w = asks_first();
    let agent = w.agent(ALICE, &[Role::Consent]);
    let a = w.app(ALICE, "a");
    let request = asked(&w, agent)[0].0;
    answer(&mut w, agent, request, NotDetermined).unwrap();
    assert_eq!((authorization(&w, a), told(&w, a)), (NotDetermined, vec![]));
    w.register(a.caller, "a", Configuration::default());
    assert_eq!(apps(&w, agent).len(), 1, "the same registration");
    w.say(a, Word::Authorize).unwrap();
    assert_eq!(apps(&w, agent).len(), 2, "it asks for itself");
    let request = asked(&w, agent)[1].0;
    let error = Some("nobody is at the screen".into());
    let authorization_word = Some(Authorized);
    let answer = AgentAnswer { error, authorization: authorization_word, ..AgentAnswer::default() };
    w.agent_says(agent, request, answer).unwrap();
    assert_eq!(authorization(&w, a), NotDetermined, "an error decides nothing");
    w.say(a, Word::Authorize).unwrap();
    w.pass(Millis::secs(300));
    let request = asked(&w, agent)[2].0;
    let late = AgentAnswer { authorization: Some(Authorized), ..AgentAnswer::default() };
    assert_eq!(w.agent_says(agent, request, late).unwrap_err().error, Error::TimedOut);
    w.lose(a);
    w.app(ALICE, "a");
    assert_eq!(apps(&w, agent).len(), 4, "a new registration");
}

#[test]
fn who_comes_later_is_asked_about_those_who_are_there() {
    let mut w = asks_first();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    let gone = w.app(ALICE, "gone");
    w.lose(gone);
    w.app(BOB, "bobs");
    let first = w.agent(ALICE, &[Role::Consent]);
    assert_eq!(apps(&w, first), ["a", "b"]);
    let requests = asked(&w, first);
    answer(&mut w, first, requests[0].0, Authorized).unwrap();
    let second = w.agent(ALICE, &[Role::Consent]);
    assert_eq!(apps(&w, second), ["b"]);
    let why = answer(&mut w, first, requests[1].0, Authorized).unwrap_err();
    assert_eq!(why.error, Error::TimedOut, "its role is another's");
    let request = asked(&w, second)[0].0;
    let why = answer(&mut w, first, request, Authorized).unwrap_err();
    assert_eq!(why.error, Error::InvalidArgument, "it was not asked");
    assert_eq!((authorization(&w, a), authorization(&w, b)), (Authorized, NotDetermined));
}

#[test]
fn the_administrator_decides_first() {
    let mut settings = Settings::default();
    settings.policy.apps.insert("good".into(), true);
    settings.policy.apps.insert("bad".into(), false);
    let mut w = World::with(settings);
    let agent = w.agent(ALICE, &[Role::Consent]);
    let (good, bad) = (w.app(ALICE, "good"), w.app(ALICE, "bad"));
    assert_eq!(asked(&w, agent), []);
    let change = |w: &World, app: &str, word| {
        let app = app.into();
        let _ = w;
        Input::SetAuthorization { caller: agent, app, authorization: word }
    };
    let input = change(&w, "good", Denied);
    w.refused(input, Error::AccessDenied, "good: authorized");
    let input = change(&w, "bad", Authorized);
    w.refused(input, Error::AccessDenied, "bad: restricted");
    assert_eq!((authorization(&w, good), authorization(&w, bad)), (Authorized, Restricted));
    set(&mut w, agent, "good", Authorized).expect("that is so");
    let stranger = w.caller(ALICE);
    let input =
        Input::SetAuthorization { caller: stranger, app: "x".into(), authorization: Authorized };
    w.refused(input, Error::AccessDenied, "role `consent`");
    // The user said yes, then the administrator no, then nothing any more.
    set(&mut w, agent, "x", Authorized).unwrap();
    let x = w.app(ALICE, "x");
    assert_eq!(authorization(&w, x), Authorized, "before it ever registered");
    for (word, then) in [(Some(false), Restricted), (None, Authorized)] {
        let mut settings = w.arbiter.settings().clone();
        settings.policy.apps.remove("x");
        settings.policy.apps.extend(word.map(|word| ("x".into(), word)));
        w.handle(Input::Settings(Box::new(settings))).unwrap();
        assert_eq!(authorization(&w, x), then);
    }
}

#[test]
fn a_changed_mind_spares_live_calls() {
    let mut w = asks_first();
    let agent = w.agent(ALICE, &[Role::Consent]);
    let a = w.app(ALICE, "a");
    set(&mut w, agent, "a", Authorized).unwrap();
    let open = asked(&w, agent)[0].0;
    let why = answer(&mut w, agent, open, Denied).unwrap_err();
    assert_eq!(why.error, Error::TimedOut, "the question was settled");
    w.talking(a, 1);
    set(&mut w, agent, "a", Denied).unwrap();
    assert_eq!(told(&w, a), [Authorized, Denied]);
    let incoming = Word::Incoming { uuid: uuid(2), update: Update::default() };
    w.refused_word(a, incoming, Error::NotAuthorized, "denied");
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
    set(&mut w, agent, "a", NotDetermined).unwrap();
    assert_eq!(authorization(&w, a), NotDetermined);
    w.say(a, Word::Authorize).unwrap();
    assert_eq!(apps(&w, agent), ["a", "a"], "asked again");
}

#[test]
fn the_answer_and_the_question_survive_the_arbiter() {
    let mut w = asks_first();
    let agent = w.agent(ALICE, &[Role::Consent, Role::Launch]);
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    let requests = asked(&w, agent);
    answer(&mut w, agent, requests[0].0, Authorized).unwrap();
    w.lose(a);
    w.restart(&[]);
    assert_eq!(asked(&w, agent), [requests[1].clone()], "asked again, under its number");
    answer(&mut w, agent, requests[1].0, Denied).unwrap();
    assert_eq!(authorization(&w, b), Denied);
    w.request(ALICE, vec![start_on(1, "a")]).unwrap();
    assert_eq!(w.state_of(ALICE, 1), CallState::Launching, "it may be started");
    w.lose(b);
    w.refused_request(vec![start_on(2, "b")], Error::UnknownProvider, "only one that is allowed");
    // Another user decides for itself.
    w.refused_request(vec![start_on(2, "c")], Error::UnknownProvider, "c is not registered");
    let bobs = w.app(BOB, "a");
    assert_eq!(authorization(&w, bobs), NotDetermined);
}
