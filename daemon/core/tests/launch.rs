//! Calls through apps that are not there yet, and which app a call goes through.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use CallState::*;
use callarbiter_core::*;
use world::*;

/// Somebody starts apps; only these may provide calls.
fn world(allowed: &[&str]) -> (World, Caller) {
    let mut settings = Settings::default();
    settings.policy.apps = allowed.iter().map(|app| ((*app).into(), true)).collect();
    let mut w = World::with(settings);
    let agent = w.agent(ALICE, &[Role::Launch]);
    (w, agent)
}

fn for_schemes(schemes: &[&str]) -> Configuration {
    let schemes = schemes.iter().map(|scheme| (*scheme).into()).collect();
    Configuration { schemes, ..Configuration::default() }
}

fn provider_of(w: &World, n: u128) -> Provider {
    let call = w.find(ALICE, n).unwrap();
    w.domain(ALICE).provider(call.provider).unwrap().clone()
}

fn detail_of(w: &World, n: u128) -> String {
    let domain = w.domain(ALICE);
    let gone = w.effects.iter().find_map(|e| match e {
        Effect::Publish { change: Change::Removed(Object::Call(id)), .. } => domain.call(*id),
        _ => None,
    });
    let gone = gone.filter(|c| c.uuid == uuid(n)).expect("it has just ended");
    gone.end.as_ref().unwrap().detail.reveal().to_owned()
}

#[test]
fn an_app_that_is_not_there_is_started_and_then_asked() {
    let (mut w, _) = world(&["a"]);
    let t = w.request(ALICE, vec![start_on(1, "a")]).unwrap();
    assert_eq!(w.state_of(ALICE, 1), Launching);
    let provider = provider_of(&w, 1);
    assert_eq!((&*provider.app, provider.peer), ("a", None));
    assert_eq!(w.outcomes(ALICE, t), [""]);
    let a = w.app(ALICE, "a");
    assert_eq!(a.id, provider.id, "the same object");
    assert_eq!(w.asks(ALICE), [("Start", 1)]);
    assert_eq!(w.state_of(ALICE, 1), Starting);
    w.fulfil(a, "Start");
    assert_eq!((w.state_of(ALICE, 1), w.outcomes(ALICE, t)), (Dialing, vec!["fulfilled"]));
    w.fulfil_all(&[a]);
    w.report(a, 1, Active).unwrap();
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
    w.request(ALICE, vec![start_on(2, "a")]).unwrap();
    assert_eq!(w.state_of(ALICE, 2), Starting, "it is there now");
}

#[test]
fn nobody_is_held_for_an_app_that_is_not_there_yet() {
    let (mut w, _) = world(&["a", "b", "c"]);
    let (b, c) = (w.app(ALICE, "b"), w.app(ALICE, "c"));
    w.talking(b, 1);
    w.request(ALICE, vec![start_on(2, "a")]).unwrap();
    assert_eq!((w.state_of(ALICE, 1), w.asked(ALICE)), (Active, vec![]));
    // An incoming call is answered meanwhile: it does not wait for a program to start.
    w.incoming(c, 3).unwrap();
    w.request(ALICE, vec![answer(3)]).unwrap();
    w.fulfil_all(&[b, c]);
    assert_eq!(w.audio(ALICE), Some(uuid(3)));
    let a = w.app(ALICE, "a");
    assert_eq!(w.asks(ALICE), [("SetHeld", 3)], "room is made as for any start");
    w.fulfil_all(&[a, b, c]);
    assert_eq!((w.state_of(ALICE, 2), w.held_by(ALICE, 3)), (Dialing, HeldBy::ARBITER));
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn an_app_that_does_not_come_fails_the_call() {
    let (mut w, _) = world(&["a"]);
    let t = w.request(ALICE, vec![start_on(1, "a")]).unwrap();
    w.pass(Millis(29_999));
    assert_eq!(w.state_of(ALICE, 1), Launching);
    w.effects.clear();
    w.pass(Millis(1));
    assert_eq!(w.end_of(1), Some(EndReason::Failed));
    assert_eq!(w.outcomes(ALICE, t), ["timed-out"]);
    assert_eq!(w.error(ALICE, t, 0), Some(Error::TimedOut));
    assert_eq!(w.domain(ALICE).providers().count(), 0);
    w.refused_request(vec![start_on(1, "a")], Error::AlreadyEnded, "new UUID");
    let a = w.app(ALICE, "a");
    assert_eq!(w.asked(ALICE), [], "it came too late");
    w.incoming(a, 2).unwrap();
}

#[test]
fn ending_it_while_its_app_starts_cancels() {
    let (mut w, _) = world(&["a"]);
    let started = w.request(ALICE, vec![start_on(1, "a")]).unwrap();
    w.effects.clear();
    let ended = w.request(ALICE, vec![end(1)]).unwrap();
    assert_eq!(w.end_of(1), Some(EndReason::LocalEnded));
    assert_eq!(detail_of(&w, 1), "cancelled before its app was there");
    assert_eq!(
        (w.outcomes(ALICE, started), w.outcomes(ALICE, ended)),
        (vec!["cancelled"], vec!["fulfilled"])
    );
    w.app(ALICE, "a");
    assert_eq!(w.asked(ALICE), []);
    // The same by the transaction.
    let (mut w, agent) = world(&["a"]);
    let started = w.request(ALICE, vec![start_on(1, "a")]).unwrap();
    w.handle(Input::Cancel { caller: agent, transaction: started }).unwrap();
    assert_eq!(
        (w.end_of(1), w.outcomes(ALICE, started)),
        (Some(EndReason::Failed), vec!["cancelled"])
    );
}

#[test]
fn what_the_app_cannot_do_is_known_only_when_it_is_there() {
    let (mut w, _) = world(&["a"]);
    let video = Action::Start {
        uuid: uuid(1),
        handle: "tel:1".into(),
        provider: Some("a".into()),
        video: true,
    };
    let t = w.request(ALICE, vec![video]).unwrap();
    let u = w.request(ALICE, vec![start_on(2, "a")]).unwrap();
    w.app_with(ALICE, "a", for_schemes(&["sip"]));
    assert_eq!(
        (w.error(ALICE, t, 0), w.error(ALICE, u, 0)),
        (Some(Error::NotSupported), Some(Error::NotSupported))
    );
    assert_eq!((w.end_of(1), w.end_of(2)), (Some(EndReason::Failed), Some(EndReason::Failed)));
    assert_eq!(w.asked(ALICE), []);
}

#[test]
fn only_apps_that_may_provide_calls_are_started_and_by_somebody() {
    let (mut w, agent) = world(&["a"]);
    w.refused_request(
        vec![start_on(1, "stranger")],
        Error::UnknownProvider,
        "only one that is allowed",
    );
    w.handle(Input::PeerLost { peer: agent.peer }).unwrap();
    w.refused_request(vec![start_on(1, "a")], Error::UnknownProvider, "role `launch`");
    let (mut w, _) = world(&["a"]);
    let sandboxed = Caller {
        sandboxed: true,
        control: false,
        place_call: false,
        agent: false,
        ..w.caller(ALICE)
    };
    let actions = vec![Requested { action: start_on(1, "a"), expected: None }];
    let input = Input::Request { caller: sandboxed, actions, token: None };
    w.refused(input, Error::AccessDenied, "sandboxed");
    w.request(ALICE, vec![start_on(1, "a")]).unwrap();
    let mut revoked = w.arbiter.settings().clone();
    revoked.policy.apps.insert("a".into(), false);
    w.handle(Input::Settings(Box::new(revoked))).unwrap();
    w.app(ALICE, "a");
    assert_eq!(w.end_of(1), Some(EndReason::Failed), "revoked meanwhile");
}

#[test]
fn several_wait_for_one_app_and_one_of_a_group_of_instances_takes_them() {
    let (mut w, _) = world(&["a"]);
    w.request(ALICE, vec![start_on(1, "a")]).unwrap();
    w.request(ALICE, vec![start_on(2, "a")]).unwrap();
    assert_eq!(w.domain(ALICE).providers().count(), 1);
    w.refused_request(vec![start_on(2, "a")], Error::UuidInUse, "new UUID");
    w.refused_request(vec![hold(2)], Error::InvalidState, "launching");
    let caller = w.caller(ALICE);
    let registration = Registration {
        app: "a".into(),
        source: AppIdSource::Unit,
        instance: "tab".into(),
        configuration: Configuration::default(),
        preset: None,
    };
    let reply = w.handle(Input::Register { caller, registration }).unwrap();
    let provider = provider_of(&w, 1);
    assert_eq!(reply, Reply::Provider(provider.id));
    assert_eq!((&*provider.instance, provider.source), ("tab", AppIdSource::Unit));
    assert_eq!(w.asks(ALICE), [("Start", 1)], "one after the other");
    let app = App { id: provider.id, caller };
    w.fulfil(app, "Start");
    assert_eq!(w.state_of(ALICE, 2), Ended, "the first is still being set up");
}

#[test]
fn it_survives_the_arbiter() {
    let (mut w, _) = world(&["a"]);
    let t = w.request(ALICE, vec![start_on(1, "a")]).unwrap();
    w.pass(Millis::secs(20));
    w.restart(&[]);
    assert_eq!(w.state_of(ALICE, 1), Launching);
    w.pass(Millis(9_999));
    let a = w.app(ALICE, "a");
    assert_eq!(w.asks(ALICE), [("Start", 1)]);
    w.restart(&[]);
    w.reconcile(a, &[]);
    assert_eq!(w.asks(ALICE), [("Start", 1)], "it may never have heard of it");
    w.fulfil(a, "Start");
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
}

#[test]
fn an_app_that_went_away_is_started_again_and_keeps_its_calls() {
    let (mut w, _) = world(&["a"]);
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    w.lose(a);
    w.request(ALICE, vec![start_on(2, "a")]).unwrap();
    assert_eq!(w.state_of(ALICE, 2), Launching);
    let back = w.register(a.caller, "a", Configuration::default());
    assert_eq!(back.id, a.id);
    let asked = w.take(ALICE, |asked| asked.ask.action() == "Reconcile").unwrap();
    let Ask::Reconcile { calls } = asked.ask else { panic!() };
    assert_eq!(calls, [(uuid(1), Ringing)], "of the other it never heard");
    assert_eq!(w.asks(ALICE), [("Start", 2)]);
}

#[test]
fn an_emergency_call_waits_for_its_app_as_well() {
    let (mut w, _) = world(&["sos", "b"]);
    let mut settings = w.arbiter.settings().clone();
    settings.policy.emergency =
        Emergency { handles: vec!["112".into()], providers: vec!["sos".into()] };
    w.handle(Input::Settings(Box::new(settings))).unwrap();
    let b = w.app(ALICE, "b");
    w.talking(b, 1);
    let call = Action::Start {
        uuid: uuid(2),
        handle: "tel:112".into(),
        provider: Some("sos".into()),
        video: false,
    };
    w.request(ALICE, vec![call]).unwrap();
    assert_eq!((w.state_of(ALICE, 2), w.state_of(ALICE, 1)), (Launching, Active));
    let sos = w.app(ALICE, "sos");
    w.fulfil_all(&[b, sos]);
    assert!(w.find(ALICE, 2).unwrap().emergency);
    assert_eq!(w.audio(ALICE), Some(uuid(2)));
}

#[test]
fn a_call_goes_the_way_of_the_last_one() {
    let (mut w, _) = world(&["a", "b"]);
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    let through = |w: &mut World, n: u128, handle: &str| {
        w.request(ALICE, vec![start(n, handle)]).unwrap();
        let app = provider_of(w, n).app.to_string();
        w.fulfil_all(&[a, b]);
        w.request(ALICE, vec![end(n)]).unwrap();
        w.fulfil_all(&[a, b]);
        app
    };
    assert_eq!(through(&mut w, 1, "tel:+49-30-1"), "a", "the first that fits");
    let update = Update { handle: Some("tel:+49302".into()), ..Update::default() };
    w.incoming_with(b, 2, update).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.fulfil_all(&[a, b]);
    w.ended(b, 2, EndReason::RemoteEnded).unwrap();
    w.fulfil_all(&[a, b]);
    assert_eq!(through(&mut w, 3, "tel:+49 30 2"), "b", "as it came");
    assert_eq!(through(&mut w, 4, "tel:+49301"), "a", "as before");
    assert_eq!(
        through(&mut w, 5, "tel:+49303"),
        "a",
        "the last that was used for telephone numbers"
    );
    assert_eq!(through(&mut w, 6, "sip:x@y"), "a", "nobody was called so yet");
}

#[test]
fn the_app_of_last_time_is_started_if_it_is_gone() {
    let (mut w, _) = world(&["a", "b"]);
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.request(ALICE, vec![start_on(1, "b")]).unwrap();
    w.fulfil_all(&[a, b]);
    w.request(ALICE, vec![end(1)]).unwrap();
    w.fulfil_all(&[a, b]);
    w.lose(b);
    w.request(ALICE, vec![start(2, "tel:1")]).unwrap();
    assert_eq!((w.state_of(ALICE, 2), &*provider_of(&w, 2).app), (Launching, "b"));
    w.request(ALICE, vec![end(2)]).unwrap();
    w.request(ALICE, vec![start(3, "sip:x@y")]).unwrap();
    assert_eq!(&*provider_of(&w, 3).app, "a", "others need nobody who is not there");
}

/// The one errand of this agent.
fn errand(w: &World, agent: Caller) -> RequestId {
    match &w.errands(agent)[..] {
        [(request, AgentAsk::Launch { app, handle, .. })] => {
            assert_eq!((&**app, handle.reveal()), ("a", "tel:1"));
            *request
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_agent_is_asked_once_and_says_that_it_could_not() {
    let (mut w, agent) = world(&["a"]);
    let t = w.request(ALICE, vec![start_on(1, "a")]).unwrap();
    let request = errand(&w, agent);
    w.effects.clear();
    let error = Some("no such desktop file".into());
    w.agent_says(agent, request, AgentAnswer { error, ..AgentAnswer::default() }).unwrap();
    assert_eq!((w.end_of(1), w.outcomes(ALICE, t)), (Some(EndReason::Failed), vec!["failed"]));
    assert_eq!(detail_of(&w, 1), "a could not be started: no such desktop file");
    let again = w.agent_says(agent, request, AgentAnswer::default()).unwrap_err();
    assert_eq!(again.error, Error::TimedOut);
}

#[test]
fn a_started_app_may_still_take_its_time() {
    let (mut w, agent) = world(&["a"]);
    w.request(ALICE, vec![start_on(1, "a")]).unwrap();
    w.agent_says(agent, errand(&w, agent), AgentAnswer::default()).unwrap();
    w.pass(Millis::secs(25));
    assert_eq!(w.state_of(ALICE, 1), Launching);
    w.app(ALICE, "a");
    assert_eq!(w.asks(ALICE), [("Start", 1)]);
}

#[test]
fn another_agent_is_asked_when_the_first_is_gone() {
    let (mut w, agent) = world(&["a"]);
    w.request(ALICE, vec![start_on(1, "a")]).unwrap();
    let first = errand(&w, agent);
    w.pass(Millis::secs(10));
    w.handle(Input::PeerLost { peer: agent.peer }).unwrap();
    assert_eq!(w.state_of(ALICE, 1), Launching, "the app may be on its way");
    let next = w.agent(ALICE, &[Role::Launch]);
    let second = errand(&w, next);
    assert_ne!(first, second);
    let why = w.agent_says(agent, second, AgentAnswer::default()).unwrap_err();
    assert_eq!(why.error, Error::InvalidArgument, "it is not its request");
    w.restart(&[]);
    assert_eq!(errand(&w, next), second, "sent again, under its number");
    w.app(ALICE, "a");
    let why = w.agent_says(next, second, AgentAnswer::default()).unwrap_err();
    assert_eq!(why.error, Error::TimedOut, "it is there already");
}

/// Found by random histories: the End that was dropped ended the call all the same, and its start was nobody's.
#[test]
fn a_transaction_that_fails_leaves_the_launch_of_another_alone() {
    let (mut w, agent) = world(&["a", "b"]);
    let b = w.app(ALICE, "b");
    let t = w.request(ALICE, vec![start_on(1, "a")]).unwrap();
    let expecting = |action| Requested { action, expected: Some(Ended) };
    let actions = vec![expecting(start_on(2, "b")), Requested { action: end(1), expected: None }];
    w.handle(Input::Request { caller: agent, actions, token: None }).unwrap();
    w.fulfil_all(&[b]);
    assert_eq!((w.state_of(ALICE, 1), w.outcomes(ALICE, t)), (Launching, vec![""]));
    let a = w.app(ALICE, "a");
    w.fulfil(a, "Start");
    assert_eq!((w.state_of(ALICE, 1), w.outcomes(ALICE, t)), (Dialing, vec!["fulfilled"]));
}
