//! Emergency calls: room is made whatever it takes, and nothing takes it away.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn world() -> (World, App, App) {
    let mut settings = settings();
    settings.policy.emergency =
        Emergency { handles: vec!["112".into()], providers: vec!["modem".into()] };
    let mut w = World::with(settings);
    let (modem, other) = (w.app(ALICE, "modem"), w.app(ALICE, "other"));
    (w, modem, other)
}

fn emergency(n: u128) -> Action {
    let provider = Some("modem".into());
    Action::Start { uuid: uuid(n), handle: "tel:112".into(), provider, video: false }
}

fn calling(w: &mut World, modem: App) {
    w.request(ALICE, vec![emergency(9)]).unwrap();
    w.fulfil_all(&[modem]);
    w.report(modem, 9, CallState::Active).unwrap();
    assert_eq!(w.audio(ALICE), Some(uuid(9)));
}

#[test]
fn only_a_listed_handle_through_a_listed_app_is_an_emergency() {
    let (mut w, _, _) = world();
    w.request(ALICE, vec![emergency(9)]).unwrap();
    assert!(w.find(ALICE, 9).unwrap().emergency);
    let (mut w, _, _) = world();
    let elsewhere = Action::Start {
        uuid: uuid(9),
        handle: "tel:112".into(),
        provider: Some("other".into()),
        video: false,
    };
    w.request(ALICE, vec![elsewhere]).unwrap();
    assert!(!w.find(ALICE, 9).unwrap().emergency);
}

#[test]
fn however_it_is_written_it_is_the_same_number() {
    let dialed = |listed: &str, dialed: &str| {
        let mut settings = settings();
        settings.policy.emergency =
            Emergency { handles: vec![listed.into()], providers: vec!["modem".into()] };
        let mut w = World::with(settings);
        w.app(ALICE, "modem");
        let provider = Some("modem".into());
        let start = Action::Start { uuid: uuid(9), handle: dialed.into(), provider, video: false };
        w.request(ALICE, vec![start]).unwrap();
        w.find(ALICE, 9).unwrap().emergency
    };
    for handle in ["112", "tel:112", "TEL:1-1-2", "tel:112;phone-context=+49", "sip:112"] {
        assert!(dialed("112", handle), "{handle}");
    }
    assert!(dialed("tel:112", "112"));
    assert!(dialed("urn:service:sos", "urn:service:sos"));
    for handle in ["1120", "tel:+112", "sip:112@example.org", "tel:11"] {
        assert!(!dialed("tel:112", handle), "{handle}");
    }
}

#[test]
fn its_start_has_no_deadline() {
    let (mut w, modem, _) = world();
    w.request(ALICE, vec![emergency(9)]).unwrap();
    w.pass(Millis::secs(3600));
    assert_eq!(w.state_of(ALICE, 9), CallState::Starting);
    assert_eq!(w.fulfil(modem, "Start").deadline_ms, 0);
}

#[test]
fn others_are_held_else_ended() {
    let (mut w, modem, other) = world();
    w.talking(other, 1);
    w.request(ALICE, vec![emergency(9)]).unwrap();
    assert_eq!(w.asks(ALICE), [("SetHeld", 1)]);
    w.fail(other, "SetHeld");
    assert!(w.asks(ALICE).contains(&("End", 1)), "{:?}", w.asks(ALICE));
    w.fulfil_all(&[modem, other]);
    assert_eq!(w.audio(ALICE), Some(uuid(9)));
}

#[test]
fn a_hold_that_times_out_becomes_an_end() {
    let (mut w, modem, other) = world();
    w.talking(other, 1);
    w.request(ALICE, vec![emergency(9)]).unwrap();
    w.ignore(other, "SetHeld");
    w.pass(Millis::secs(5));
    assert!(w.asks(ALICE).contains(&("End", 1)), "{:?}", w.asks(ALICE));
    w.fulfil_all(&[modem, other]);
    assert_eq!(w.audio(ALICE), Some(uuid(9)));
    assert_eq!(w.end_of(1), Some(EndReason::LocalEnded));
}

#[test]
fn what_cannot_be_held_or_is_dialing_is_ended() {
    let (mut w, modem, other) = world();
    w.request(ALICE, vec![start_on(1, "other")]).unwrap();
    w.fulfil_all(&[other]);
    w.request(ALICE, vec![emergency(9)]).unwrap();
    assert!(w.asks(ALICE).contains(&("End", 1)));
    w.fulfil_all(&[modem, other]);
    assert_eq!(w.audio(ALICE), Some(uuid(9)));
}

#[test]
fn limits_do_not_refuse_it() {
    let (mut w, modem, _) = world();
    let mut settings = w.arbiter.settings().clone();
    settings.limits =
        Limits { calls: 1, groups_per_provider: 1, transactions: 0, ..Limits::default() };
    w.talking(modem, 1);
    w.handle(Input::Settings(Box::new(settings))).unwrap();
    w.request(ALICE, vec![emergency(9)]).unwrap();
    w.fulfil_all(&[modem]);
    assert_eq!(w.audio(ALICE), Some(uuid(9)));
}

#[test]
fn it_cancels_the_running_plan_and_goes_before_those_that_wait() {
    let (mut w, modem, other) = world();
    let third = w.app(ALICE, "third");
    w.talking(other, 1);
    w.incoming(third, 2).unwrap();
    w.incoming(third, 3).unwrap();
    let running = w.request(ALICE, vec![answer(2)]).unwrap();
    let waiting = w.request(ALICE, vec![answer(3)]).unwrap();
    w.request(ALICE, vec![emergency(9)]).unwrap();
    assert_eq!(w.outcomes(ALICE, running), ["cancelled"]);
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
    w.fulfil_all(&[modem, other, third]);
    assert_eq!(w.audio(ALICE), Some(uuid(9)));
    assert_eq!(w.error(ALICE, waiting, 0), Some(Error::CallProtected));
    assert_eq!(w.state_of(ALICE, 3), CallState::Ringing);
}

#[test]
fn it_stops_an_answer_that_was_asked() {
    let (mut w, modem, other) = world();
    w.incoming(other, 1).unwrap();
    let t = w.request(ALICE, vec![answer(1)]).unwrap();
    w.request(ALICE, vec![emergency(9)]).unwrap();
    assert_eq!(w.outcomes(ALICE, t), ["timed-out"]);
    assert_eq!(w.asks(ALICE), [("Answer", 1), ("End", 1), ("Start", 9)]);
    w.open.clear();
    assert_eq!(w.state_of(ALICE, 9), CallState::Starting);
    let _ = modem;
}

#[test]
fn it_calls_off_a_resume() {
    let (mut w, modem, other) = world();
    w.pair(other, other);
    w.request(ALICE, vec![end(2)]).unwrap();
    w.fulfil(other, "End");
    let resume = w.ignore(other, "SetHeld");
    w.request(ALICE, vec![emergency(9)]).unwrap();
    assert!(w.asks(ALICE).contains(&("Start", 9)));
    assert!(w.late(other, &resume).is_err());
    w.fulfil_all(&[modem, other]);
    assert_eq!(w.audio(ALICE), Some(uuid(9)));
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
}

#[test]
fn nothing_takes_the_audio_from_it() {
    let (mut w, modem, other) = world();
    calling(&mut w, modem);
    w.incoming(other, 1).unwrap();
    let id = uuid(9).to_string();
    w.refused_request(vec![answer(1)], Error::CallProtected, &id);
    w.refused_request(vec![start_on(2, "other")], Error::CallProtected, &id);
    w.refused_request(vec![emergency(3)], Error::CallProtected, &id);
    w.refused_request(vec![hold(9), answer(1)], Error::CallProtected, &id);
    let plan = w.find(ALICE, 1).unwrap().answer_plan.refused.clone().unwrap();
    assert_eq!(plan.error, Error::CallProtected);
}

#[test]
fn a_second_one_does_not_stop_the_first_while_it_makes_room() {
    let (mut w, _, other) = world();
    w.talking(other, 1);
    let t = w.request(ALICE, vec![emergency(9)]).unwrap();
    w.refused_request(vec![emergency(8)], Error::CallProtected, &uuid(9).to_string());
    assert_eq!(w.outcomes(ALICE, t), [""]);
}

#[test]
fn neither_sleep_nor_a_user_switch_holds_or_silences_it() {
    let (mut w, modem, _) = world();
    w.handle(Input::Seats { uid: ALICE, seats: vec!["seat0".into()] }).unwrap();
    w.handle(Input::Foreground { seat: "seat0".into(), uid: Some(ALICE) }).unwrap();
    calling(&mut w, modem);
    w.handle(Input::Suspend(true)).unwrap();
    w.handle(Input::Foreground { seat: "seat0".into(), uid: Some(BOB) }).unwrap();
    assert_eq!(w.asks(ALICE), []);
    assert_eq!(w.audio(ALICE), Some(uuid(9)));
}

#[test]
fn it_can_be_started_in_the_background() {
    let (mut w, modem, _) = world();
    w.handle(Input::Seats { uid: ALICE, seats: vec!["seat0".into()] }).unwrap();
    w.handle(Input::Foreground { seat: "seat0".into(), uid: Some(BOB) }).unwrap();
    calling(&mut w, modem);
}

#[test]
fn a_call_that_becomes_active_beside_it_is_held() {
    let (mut w, modem, other) = world();
    calling(&mut w, modem);
    w.incoming(other, 1).unwrap();
    w.report(other, 1, CallState::Active).unwrap();
    w.fulfil_all(&[modem, other]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
    assert_eq!(w.audio(ALICE), Some(uuid(9)));
}

#[test]
fn it_takes_the_audio_back_when_its_app_returns() {
    let (mut w, modem, other) = world();
    calling(&mut w, modem);
    w.lose(modem);
    w.talking(other, 1);
    let modem = w.app(ALICE, "modem");
    w.reconcile(modem, &[(9, CallState::Active)]);
    w.fulfil_all(&[modem, other]);
    assert_eq!(w.audio(ALICE), Some(uuid(9)));
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
}

#[test]
fn the_user_can_end_it_and_what_was_held_is_resumed() {
    let (mut w, modem, other) = world();
    w.talking(other, 1);
    w.request(ALICE, vec![emergency(9)]).unwrap();
    w.fulfil_all(&[modem, other]);
    w.request(ALICE, vec![end(9)]).unwrap();
    w.fulfil_all(&[modem, other]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

fn dialled(w: &mut World, app: App, n: u128, state: CallState) -> Result<Reply> {
    let update = Update { handle: Some("tel:112".into()), ..Update::default() };
    let direction = Direction::Outgoing;
    w.say(app, Word::Live { uuid: uuid(n), direction, state, update })
}

#[test]
fn one_that_its_app_dialled_is_one_as_well() {
    let (mut w, modem, other) = world();
    w.talking(other, 1);
    dialled(&mut w, modem, 9, CallState::Dialing).unwrap();
    assert!(w.find(ALICE, 9).unwrap().emergency);
    w.fulfil_all(&[modem, other]);
    assert_eq!(w.audio(ALICE), Some(uuid(9)));
    assert_eq!(w.held_by(ALICE, 1), HeldBy::ARBITER);
    w.incoming(other, 2).unwrap();
    let id = uuid(9).to_string();
    w.refused_request(vec![answer(2)], Error::CallProtected, &id);
    w.refused_request(vec![unhold(1)], Error::CallProtected, &id);
    w.report(other, 2, CallState::Active).unwrap();
    w.fulfil_all(&[modem, other]);
    assert_eq!(w.audio(ALICE), Some(uuid(9)));
    w.request(ALICE, vec![end(9)]).unwrap();
    w.fulfil_all(&[modem, other]);
    assert_eq!(w.end_of(9), Some(EndReason::LocalEnded));
}

#[test]
fn one_that_its_app_dialled_needs_neither_room_nor_consent() {
    let mut settings = settings();
    settings.policy.authorization = AuthorizationPolicy::Ask;
    settings.policy.emergency =
        Emergency { handles: vec!["112".into()], providers: vec!["modem".into()] };
    settings.limits = Limits { calls: 0, ..Limits::default() };
    let mut w = World::with(settings);
    let (modem, other) = (w.app(ALICE, "modem"), w.app(ALICE, "other"));
    dialled(&mut w, modem, 9, CallState::Active).unwrap();
    w.fulfil_all(&[modem]);
    assert_eq!(w.audio(ALICE), Some(uuid(9)));
    assert!(dialled(&mut w, other, 8, CallState::Active).is_err());
}

#[test]
fn one_that_its_app_dialled_calls_off_what_runs() {
    let (mut w, modem, other) = world();
    let third = w.app(ALICE, "third");
    w.talking(other, 1);
    w.incoming(third, 2).unwrap();
    let running = w.request(ALICE, vec![answer(2)]).unwrap();
    dialled(&mut w, modem, 9, CallState::Alerting).unwrap();
    assert_eq!(w.outcomes(ALICE, running), ["cancelled"]);
    w.fulfil_all(&[modem, other, third]);
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
    assert_eq!(w.audio(ALICE), Some(uuid(9)));
}

#[test]
fn a_second_one_of_its_app_takes_nothing_from_the_first() {
    let (mut w, modem, _) = world();
    calling(&mut w, modem);
    dialled(&mut w, modem, 8, CallState::Active).unwrap();
    w.fulfil_all(&[modem]);
    assert_eq!(w.audio(ALICE), Some(uuid(9)));
    assert_eq!(w.state_of(ALICE, 8), CallState::Active);
    assert_eq!(w.state_of(ALICE, 9), CallState::Active);
}

#[test]
fn without_a_scheme_it_finds_the_telephone() {
    let (mut w, _, _) = world();
    let listed = &mut w.arbiter.settings().clone();
    listed.policy.emergency.providers = vec!["telephone".into()];
    w.handle(Input::Settings(Box::new(listed.clone()))).unwrap();
    let schemes = vec!["tel".into()];
    w.app_with(ALICE, "telephone", Configuration { schemes, ..Configuration::default() });
    w.request(ALICE, vec![start(9, "112")]).unwrap();
    assert!(w.find(ALICE, 9).unwrap().emergency);
}
