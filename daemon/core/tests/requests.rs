//! Requests of controllers: tokens, expected states, origins, duplicates.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn expecting(action: Action, state: CallState) -> Vec<Requested> {
    vec![Requested { action, expected: Some(state) }]
}

#[test]
fn the_same_token_gets_the_same_answer_for_an_hour() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    let token = Some(uuid(99));
    let ask = |w: &mut World, n| {
        let caller = w.caller(ALICE);
        let actions = vec![Requested { action: start(n, "tel:1"), expected: None }];
        w.handle(Input::Request { caller, actions, token })
    };
    let first = ask(&mut w, 1).unwrap();
    assert_eq!(ask(&mut w, 1).unwrap(), first);
    w.fulfil(a, "Start");
    w.ended(a, 1, EndReason::Busy).unwrap();
    assert_eq!(ask(&mut w, 1).unwrap(), first, "also when it is long over");
    assert_eq!(w.asks(ALICE).iter().filter(|a| a.0 == "Start").count(), 0);
    w.pass(Millis::secs(3600));
    assert_ne!(ask(&mut w, 2).unwrap(), first);
}

#[test]
fn a_token_belongs_to_its_user() {
    let mut w = World::default();
    w.app(ALICE, "a");
    w.app(BOB, "a");
    for uid in [ALICE, BOB] {
        let caller = w.caller(uid);
        let actions = vec![Requested { action: start(1, "tel:1"), expected: None }];
        w.handle(Input::Request { caller, actions, token: Some(uuid(9)) }).unwrap();
        assert_eq!(w.asks(uid), [("Start", 1)]);
    }
}

#[test]
fn a_call_in_another_state_than_expected_is_left_alone() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let caller = w.caller(ALICE);
    let actions = expecting(end(1), CallState::Ringing);
    w.refused(Input::Request { caller, actions, token: None }, Error::StaleState, "active");
}

#[test]
fn the_expected_state_is_looked_at_again_when_its_turn_comes() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.pair(a, b);
    w.incoming(b, 3).unwrap();
    w.request(ALICE, vec![answer(3)]).unwrap();
    let caller = w.caller(ALICE);
    let actions = expecting(unhold(1), CallState::Held);
    let Ok(Reply::Transaction(t, _)) = w.handle(Input::Request { caller, actions, token: None })
    else {
        panic!()
    };
    w.fulfil(b, "SetHeld");
    w.report(a, 1, CallState::Active).unwrap();
    w.fulfil_all(&[b]);
    assert_eq!(w.outcomes(ALICE, t), ["cancelled"]);
    assert_eq!(w.error(ALICE, t, 0), Some(Error::StaleState));
}

#[test]
fn answering_with_an_expected_state_works_though_the_call_is_already_answering() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    let caller = w.caller(ALICE);
    let actions = expecting(answer(1), CallState::Ringing);
    w.handle(Input::Request { caller, actions, token: None }).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
}

#[test]
fn the_origin_is_derived_from_the_connection() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let ui = w.caller(ALICE);
    w.handle(Input::TakeRoles { caller: ui, roles: vec![Role::Ui] }).unwrap();
    let headset = w.caller(ALICE);
    w.handle(Input::TakeRoles { caller: headset, roles: vec![Role::Headset] }).unwrap();
    let other = w.caller(ALICE);
    let origins = [
        (ui, Origin::UserInterface),
        (headset, Origin::Headset),
        (a.caller, Origin::App),
        (other, Origin::Controller),
    ];
    for (n, (caller, origin)) in origins.into_iter().enumerate() {
        let actions = vec![Requested { action: mute(1, n % 2 == 0), expected: None }];
        w.handle(Input::Request { caller, actions, token: None }).unwrap();
        assert_eq!(w.fulfil(a, "SetMuted").origin, origin);
    }
}

#[test]
fn a_second_agent_takes_a_single_role_over_and_the_first_is_told() {
    let mut w = World::default();
    let (first, second) = (w.caller(ALICE), w.caller(ALICE));
    for caller in [first, second] {
        w.handle(Input::TakeRoles { caller, roles: vec![Role::Ui, Role::Dnd] }).unwrap();
    }
    let lost = Effect::RoleLost { uid: ALICE, peer: first.peer, role: Role::Dnd };
    assert_eq!(w.effects.iter().filter(|e| **e == lost).count(), 1);
    let mode = DoNotDisturb::Quiet;
    w.refused(
        Input::SetDoNotDisturb { caller: first, mode, allow: vec![] },
        Error::AccessDenied,
        "dnd",
    );
    w.handle(Input::SetDoNotDisturb { caller: second, mode, allow: vec![] }).unwrap();
    // One that had lost it leaves nothing free; with the holder goes what only it had.
    let free = |w: &mut World, peer| {
        w.effects.clear();
        w.handle(Input::PeerLost { peer }).unwrap();
        let role = |e: &Effect| match e {
            Effect::RoleFree { uid: ALICE, role } => Some(*role),
            _ => None,
        };
        w.effects.iter().filter_map(role).collect::<Vec<_>>()
    };
    assert_eq!(free(&mut w, first.peer), []);
    assert_eq!(free(&mut w, second.peer), [Role::Dnd]);
}

#[test]
fn a_role_is_free_for_its_holder_and_where_nobody_has_it_and_a_shared_one_for_everybody() {
    let mut w = World::default();
    let (first, second) = (w.caller(ALICE), w.caller(ALICE));
    w.handle(Input::TakeRoles { caller: first, roles: vec![Role::Ui, Role::Dnd] }).unwrap();
    let free = |w: &World, caller| {
        w.domain(ALICE).free_for(caller, vec![Role::Ui, Role::Dnd, Role::Audio])
    };
    assert_eq!(free(&w, first), [Role::Ui, Role::Dnd, Role::Audio]);
    assert_eq!(free(&w, second), [Role::Ui, Role::Audio]);
    w.handle(Input::PeerLost { peer: first.peer }).unwrap();
    assert_eq!(free(&w, second), [Role::Ui, Role::Dnd, Role::Audio]);
}

#[test]
fn what_is_so_already_is_a_success_and_asks_nobody() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    for action in [answer(1), unhold(1), mute(1, false), leave(1)] {
        let t = w.request(ALICE, vec![action]).unwrap();
        assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
        assert_eq!(w.asks(ALICE), []);
    }
    w.request(ALICE, vec![hold(1)]).unwrap();
    w.fulfil_all(&[a]);
    let t = w.request(ALICE, vec![hold(1)]).unwrap();
    assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    assert_eq!(w.asks(ALICE), []);
}

#[test]
fn silencing_stops_the_ringing_and_not_the_call() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    for _ in 0..2 {
        let t = w.request(ALICE, vec![Action::Silence { call: of(1) }]).unwrap();
        assert_eq!(w.outcomes(ALICE, t), ["fulfilled"]);
    }
    let call = w.find(ALICE, 1).unwrap();
    assert_eq!((call.state, call.silenced), (CallState::Ringing, Silenced::User));
    assert_eq!(w.asks(ALICE), []);
}

#[test]
fn a_finished_transaction_can_be_read_for_a_minute() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let t = w.request(ALICE, vec![mute(1, true)]).unwrap();
    w.fulfil_all(&[a]);
    w.pass(Millis(59_999));
    assert!(w.domain(ALICE).transaction(t).is_some());
    w.pass(Millis(1));
    w.handle(Input::Tick).unwrap();
    assert!(w.domain(ALICE).transactions().next().is_none());
}

#[test]
fn an_app_that_fails_to_hang_up_is_unresponsive_until_its_next_word() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.request(ALICE, vec![end(1)]).unwrap();
    w.fail(a, "End");
    assert_eq!(w.end_of(1), Some(EndReason::LocalEnded), "the user's word is final");
    assert!(!w.domain(ALICE).provider(a.id).unwrap().responsive);
    w.incoming(a, 2).unwrap();
    assert!(w.domain(ALICE).provider(a.id).unwrap().responsive);
}

#[test]
fn an_apps_own_error_reaches_whoever_asked() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let t = w.request(ALICE, vec![hold(1)]).unwrap();
    let asked = w.take(ALICE, |asked| asked.ask.action() == "SetHeld").unwrap();
    let (request, error) = (asked.request, Error::NotSupported);
    w.say(a, Word::Fail { request, error, message: "not by this network".into() }).unwrap();
    let outcome = w.transaction(ALICE, t).actions[0].outcome.clone().unwrap();
    let why = outcome.refusal().unwrap();
    assert_eq!(why.error, Error::NotSupported);
    assert!(why.message.contains("not by this network"));
}
