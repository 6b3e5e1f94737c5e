//! Others keep quiet while a call has the audio: what the agent is told, when, and what its word is worth.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

/// What the agent was told last, and by which request.
fn told(w: &World, agent: Caller) -> (RequestId, AudioPicture) {
    let pictures = w.errands(agent).into_iter().filter_map(|(request, ask)| match ask {
        AgentAsk::Audio(picture) => Some((request, picture)),
        _ => None,
    });
    pictures.last().expect("the agent was told nothing")
}

fn times_told(w: &World, agent: Caller) -> usize {
    w.errands(agent).iter().filter(|(_, ask)| matches!(ask, AgentAsk::Audio(_))).count()
}

/// The apps of the last picture: whose they are, whether they have the audio, whether they are silenced.
fn apps(w: &World, agent: Caller) -> Vec<(ProviderId, bool, bool)> {
    told(w, agent).1.apps.iter().map(|app| (app.provider, app.audio, app.silence)).collect()
}

fn done(silent: &[App]) -> AgentAnswer {
    let silent = silent.iter().map(|app| app.id).collect();
    AgentAnswer { enforced: true, silent, ..AgentAnswer::default() }
}

/// The agent does what it was told last.
fn obey(w: &mut World, agent: Caller) {
    let (request, _) = told(w, agent);
    w.agent_says(agent, request, done(&[])).unwrap();
}

fn phase(w: &World) -> Phase {
    w.domain(ALICE).audio().phase
}

fn enforced(w: &World) -> bool {
    w.domain(ALICE).audio().enforced
}

fn answered(w: &mut World, app: App, n: u128) {
    w.incoming(app, n).unwrap();
    w.request(ALICE, vec![answer(n)]).unwrap();
    w.fulfil(app, "Answer");
}

fn activated(w: &World) -> bool {
    w.asks(ALICE).iter().any(|ask| ask.0 == "AudioActivated")
}

#[test]
fn without_an_agent_the_grant_is_immediate_and_says_so() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    answered(&mut w, a, 1);
    assert_eq!((phase(&w), enforced(&w)), (Phase::Granting, false));
    assert!(!w.effects.iter().any(|e| matches!(e, Effect::AskAgent { .. })));
}

#[test]
fn the_grant_waits_until_others_are_quiet() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Audio]);
    assert_eq!(told(&w, agent).1, AudioPicture::default(), "what was before it is undone");
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.incoming(b, 2).unwrap();
    answered(&mut w, a, 1);
    assert_eq!((phase(&w), activated(&w)), (Phase::Idle, false));
    assert_eq!(told(&w, agent).1.generation, 1);
    assert_eq!(apps(&w, agent), [(a.id, true, false), (b.id, false, false)]);
    obey(&mut w, agent);
    assert_eq!((phase(&w), enforced(&w), activated(&w)), (Phase::Granting, true, true));
    w.fulfil(a, "AudioActivated");
    let before = times_told(&w, agent);
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    assert_eq!(times_told(&w, agent), before, "it may still speak until it gave the audio back");
    w.fulfil(a, "AudioDeactivated");
    assert_eq!((phase(&w), enforced(&w)), (Phase::Idle, false));
    assert_eq!(apps(&w, agent), [], "everything is as it was before");
}

#[test]
fn a_silent_agent_is_waited_for_half_a_second() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Audio]);
    let a = w.app(ALICE, "a");
    answered(&mut w, a, 1);
    w.pass(Millis(499));
    assert_eq!(phase(&w), Phase::Idle);
    w.pass(Millis(1));
    assert_eq!((phase(&w), enforced(&w)), (Phase::Granting, false));
    w.fulfil(a, "AudioActivated");
    let (request, _) = told(&w, agent);
    w.agent_says(agent, request, done(&[])).unwrap();
    assert!(enforced(&w), "late, and true");
    w.agent_says(agent, request, AgentAnswer::default()).unwrap();
    assert!(!enforced(&w), "it may say that it is not so any more");
    let (request, stranger) = (told(&w, agent).0, w.caller(ALICE));
    let input = Input::AgentReply { caller: stranger, request, answer: done(&[]) };
    w.refused(input, Error::TimedOut, "over");
}

#[test]
fn an_agent_that_could_not_delays_nothing() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Audio]);
    let a = w.app(ALICE, "a");
    answered(&mut w, a, 1);
    let (request, _) = told(&w, agent);
    let error = Some("no audio server".into());
    w.agent_says(agent, request, AgentAnswer { error, ..done(&[a]) }).unwrap();
    assert_eq!((phase(&w), enforced(&w)), (Phase::Granting, false));
    assert!(!w.find(ALICE, 1).unwrap().mute_enforced);
}

#[test]
fn a_picture_that_changes_puts_the_grant_off_no_longer() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Audio]);
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    answered(&mut w, a, 1);
    let (first, _) = told(&w, agent);
    for n in 10..14 {
        w.pass(Millis(100));
        w.incoming(b, n).unwrap();
        w.ended(b, n, EndReason::RemoteEnded).unwrap();
    }
    assert_eq!(phase(&w), Phase::Idle);
    let late = w.agent_says(agent, first, done(&[])).unwrap_err();
    assert_eq!((late.error, phase(&w)), (Error::TimedOut, Phase::Idle), "about what is over");
    w.pass(Millis(100));
    assert_eq!((phase(&w), enforced(&w)), (Phase::Granting, false));
}

#[test]
fn the_word_about_an_older_grant_is_ignored() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Audio]);
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    answered(&mut w, a, 1);
    let (older, _) = told(&w, agent);
    w.pass(Millis(500));
    w.fulfil(a, "AudioActivated");
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.fulfil(a, "SetHeld");
    w.fulfil(b, "Answer");
    w.fulfil(a, "AudioDeactivated");
    assert_eq!(apps(&w, agent), [(a.id, false, false), (b.id, true, false)]);
    assert_eq!(w.agent_says(agent, older, done(&[])).unwrap_err().error, Error::TimedOut);
    assert_eq!((phase(&w), enforced(&w)), (Phase::Idle, false));
    obey(&mut w, agent);
    assert_eq!((phase(&w), enforced(&w)), (Phase::Granting, true));
}

#[test]
fn the_grant_after_an_orphan_waits_too() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Audio]);
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    answered(&mut w, a, 1);
    obey(&mut w, agent);
    w.fulfil(a, "AudioActivated");
    w.lose(a);
    assert_eq!((phase(&w), enforced(&w)), (Phase::Idle, false));
    answered(&mut w, b, 2);
    assert_eq!(
        (phase(&w), apps(&w, agent)),
        (Phase::Idle, vec![(a.id, false, false), (b.id, true, false)])
    );
    obey(&mut w, agent);
    assert_eq!((phase(&w), enforced(&w)), (Phase::Granting, true));
}

#[test]
fn an_emergency_call_waits_no_longer_than_others() {
    let mut settings = settings();
    settings.policy.emergency =
        Emergency { handles: vec!["tel:112".into()], providers: vec!["a".into()] };
    let mut w = World::with(settings);
    let shell = w.agent(ALICE, &[Role::Ui, Role::Audio]);
    let a = w.app(ALICE, "a");
    let action = start(1, "tel:112");
    let actions = vec![Requested { action, expected: None }];
    w.handle(Input::Request { caller: shell, actions, token: None }).unwrap();
    w.fulfil(a, "Start");
    assert!(w.find(ALICE, 1).unwrap().emergency);
    assert_eq!((phase(&w), apps(&w, shell)), (Phase::Idle, vec![(a.id, true, false)]));
    w.pass(Millis(500));
    assert_eq!((phase(&w), enforced(&w)), (Phase::Granting, false));
}

#[test]
fn an_agent_that_comes_in_mid_call_is_told_and_believed() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let agent = w.agent(ALICE, &[Role::Audio]);
    assert_eq!(apps(&w, agent), [(a.id, true, false)]);
    assert_eq!((phase(&w), enforced(&w)), (Phase::Granted, false));
    obey(&mut w, agent);
    assert_eq!((phase(&w), enforced(&w)), (Phase::Granted, true));
}

#[test]
fn a_lost_agent_enforces_nothing_and_calls_go_on() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Audio]);
    let a = w.app(ALICE, "a");
    answered(&mut w, a, 1);
    w.request(ALICE, vec![mute(1, true)]).unwrap();
    w.fulfil(a, "SetMuted");
    let (request, _) = told(&w, agent);
    w.agent_says(agent, request, done(&[a])).unwrap();
    w.fulfil_all(&[a]);
    assert!(enforced(&w) && w.find(ALICE, 1).unwrap().mute_enforced);
    w.handle(Input::PeerLost { peer: agent.peer }).unwrap();
    assert!(!enforced(&w) && !w.find(ALICE, 1).unwrap().mute_enforced);
    assert_eq!((phase(&w), w.state_of(ALICE, 1)), (Phase::Granted, CallState::Active));
}

#[test]
fn a_grant_that_waits_for_an_agent_goes_out_when_that_is_lost() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Audio]);
    let a = w.app(ALICE, "a");
    answered(&mut w, a, 1);
    assert_eq!(phase(&w), Phase::Idle);
    w.handle(Input::PeerLost { peer: agent.peer }).unwrap();
    assert_eq!((phase(&w), enforced(&w)), (Phase::Granting, false));
}

#[test]
fn a_shell_that_takes_the_role_is_told_instead() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Audio]);
    let a = w.app(ALICE, "a");
    answered(&mut w, a, 1);
    let (request, _) = told(&w, agent);
    let shell = w.agent(ALICE, &[Role::Audio]);
    assert_eq!((phase(&w), apps(&w, shell)), (Phase::Idle, vec![(a.id, true, false)]));
    w.agent_says(agent, request, done(&[])).unwrap_err();
    let (theirs, _) = told(&w, shell);
    w.agent_says(agent, theirs, done(&[])).unwrap_err();
    obey(&mut w, shell);
    assert_eq!((phase(&w), enforced(&w)), (Phase::Granting, true));
}

#[test]
fn a_mute_that_only_one_call_wants_is_enforced() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Audio]);
    let a = w.app(ALICE, "a");
    answered(&mut w, a, 1);
    obey(&mut w, agent);
    w.fulfil(a, "AudioActivated");
    w.request(ALICE, vec![mute(1, true)]).unwrap();
    w.fulfil(a, "SetMuted");
    assert_eq!(apps(&w, agent), [(a.id, true, true)]);
    assert!(enforced(&w), "nobody became louder meanwhile");
    let (request, _) = told(&w, agent);
    w.agent_says(agent, request, done(&[a])).unwrap();
    assert!(w.find(ALICE, 1).unwrap().mute_enforced);
    w.incoming(a, 2).unwrap();
    assert_eq!(apps(&w, agent), [(a.id, true, false)], "its other call may want to be heard");
    assert!(!w.find(ALICE, 1).unwrap().mute_enforced);
    w.ended(a, 2, EndReason::RemoteEnded).unwrap();
    w.request(ALICE, vec![mute(1, false)]).unwrap();
    w.fulfil(a, "SetMuted");
    assert_eq!(apps(&w, agent), [(a.id, true, false)]);
    w.request(ALICE, vec![mute(1, true)]).unwrap();
    w.fulfil(a, "SetMuted");
    let before = times_told(&w, agent);
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    assert_eq!((phase(&w), times_told(&w, agent)), (Phase::Releasing, before), "still silent");
    w.fulfil(a, "AudioDeactivated");
    assert_eq!(apps(&w, agent), []);
}

#[test]
fn a_restart_tells_only_what_was_not_answered_and_waits_as_long() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Audio]);
    let a = w.app(ALICE, "a");
    answered(&mut w, a, 1);
    let (request, picture) = told(&w, agent);
    w.effects.clear();
    w.restart(&[]);
    assert_eq!(told(&w, agent), (request, picture), "the same once more");
    assert_eq!(phase(&w), Phase::Idle);
    obey(&mut w, agent);
    assert_eq!((phase(&w), enforced(&w)), (Phase::Granting, true));
    w.fulfil_all(&[a]);
    w.effects.clear();
    w.restart(&[]);
    w.fulfil_all(&[a]);
    assert_eq!((phase(&w), enforced(&w)), (Phase::Granted, true), "it did not go away");
    assert_eq!(times_told(&w, agent), 0);
}

#[test]
fn an_app_that_streams_without_the_audio_is_told_of_once_a_grant() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Audio]);
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.incoming(b, 2).unwrap();
    answered(&mut w, a, 1);
    obey(&mut w, agent);
    let report = |app: App, caller| Input::ReportViolation { caller, provider: app.id };
    let times =
        |w: &World| w.notices().iter().filter(|n| **n == Notice::StreamingWithoutAudio).count();
    w.handle(report(a, agent)).unwrap();
    assert_eq!(times(&w), 0, "it has the audio");
    w.handle(report(b, agent)).unwrap();
    w.handle(report(b, agent)).unwrap();
    assert_eq!(times(&w), 1);
    w.refused(report(b, a.caller), Error::AccessDenied, "audio");
    let unknown = Input::ReportViolation { caller: agent, provider: ProviderId(99) };
    w.refused(unknown, Error::UnknownProvider, "no such provider");
}

fn endpoint(id: &str) -> Endpoint {
    Endpoint { id: id.into(), name: "Ada's headphones".into(), kind: "headphones".into() }
}

fn answers(w: &World) -> Vec<std::result::Result<(), Error>> {
    let of = |e: &Effect| match e {
        Effect::AgentAnswered { outcome, .. } => Some(outcome.clone().map_err(|r| r.error)),
        _ => None,
    };
    w.effects.iter().filter_map(of).collect()
}

#[test]
fn where_the_sound_goes_is_the_agents_word_and_the_users_choice() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    let person = w.caller(ALICE);
    let choose = |caller, id: &str| Input::SelectEndpoint { caller, endpoint: id.into() };
    w.refused(choose(person, "one"), Error::NotSupported, "agent");
    let agent = w.agent(ALICE, &[Role::Audio]);
    let both = vec![endpoint("one"), endpoint("two")];
    let set = |caller, endpoints: &[Endpoint], current: &str| Input::SetEndpoints {
        caller,
        endpoints: endpoints.to_vec(),
        current: current.into(),
    };
    w.refused(set(person, &both, "one"), Error::AccessDenied, "audio");
    w.refused(set(agent, &both, "three"), Error::InvalidArgument, "not in the list");
    let twice = [endpoint("one"), endpoint("one")];
    w.refused(set(agent, &twice, ""), Error::InvalidArgument, "twice");
    w.handle(set(agent, &both, "one")).unwrap();
    let audio = w.domain(ALICE).audio();
    assert_eq!((audio.endpoints.len(), &*audio.endpoint), (2, "one"));
    w.refused(choose(a.caller, "two"), Error::AccessDenied, "not an app's");
    let sandboxed = Caller { control: false, sandboxed: true, ..person };
    w.refused(choose(sandboxed, "two"), Error::AccessDenied, "user's choice");
    w.refused(choose(person, "three"), Error::InvalidArgument, "Endpoints");
    let Ok(Reply::Asked(request)) = w.handle(choose(person, "two")) else { panic!() };
    w.agent_says(agent, request, AgentAnswer::default()).unwrap();
    assert_eq!(answers(&w), [Ok(())]);
    w.handle(Input::PeerLost { peer: agent.peer }).unwrap();
    let audio = w.domain(ALICE).audio();
    assert_eq!((audio.endpoints.len(), &*audio.endpoint), (0, ""));
}

#[test]
fn a_choice_always_ends() {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Audio]);
    let person = w.caller(ALICE);
    let endpoints = vec![endpoint("one")];
    w.handle(Input::SetEndpoints { caller: agent, endpoints, current: "".into() }).unwrap();
    let choose = Input::SelectEndpoint { caller: person, endpoint: "one".into() };
    let Ok(Reply::Asked(first)) = w.handle(choose.clone()) else { panic!() };
    w.handle(choose.clone()).unwrap();
    assert_eq!(answers(&w), [Err(Error::Cancelled)], "the last word counts");
    w.agent_says(agent, first, AgentAnswer::default()).unwrap_err();
    w.pass(Millis::secs(5));
    let Ok(Reply::Asked(third)) = w.handle(choose.clone()) else { panic!() };
    let error = Some("it was pulled out".into());
    w.agent_says(agent, third, AgentAnswer { error, ..AgentAnswer::default() }).unwrap();
    w.handle(choose).unwrap();
    w.handle(Input::PeerLost { peer: agent.peer }).unwrap();
    let expected =
        [Error::Cancelled, Error::TimedOut, Error::ActionFailed, Error::Cancelled].map(Err);
    assert_eq!(answers(&w), expected);
}
