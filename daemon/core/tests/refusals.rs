//! Refusals: each kind, the message that names what is in the way, and nothing changed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn limited(limits: Limits) -> World {
    World::with(Settings { limits, ..settings() })
}

fn incoming(n: u128) -> Word {
    Word::Incoming { uuid: uuid(n), update: Update::default() }
}

fn tones(n: u128) -> Action {
    Action::PlayDtmf { call: of(n), tones: "1".into(), length: Millis(200) }
}

fn video(n: u128, video: bool) -> Action {
    Action::SetVideo { call: of(n), video }
}

fn by(caller: Caller, action: Action) -> Input {
    let actions = vec![Requested { action, expected: None }];
    Input::Request { caller, actions, token: None }
}

fn registration(app: &str) -> Registration {
    Registration {
        app: app.into(),
        source: AppIdSource::Declared,
        instance: "".into(),
        configuration: Configuration::default(),
        preset: None,
    }
}

#[test]
fn not_authorized_names_the_app_and_what_would_help() {
    let mut policy = settings().policy;
    policy.authorization = AuthorizationPolicy::Ask;
    policy.apps.insert("denied".into(), false);
    let mut w = World::with(Settings { policy, ..settings() });
    let (a, d) = (w.app(ALICE, "a"), w.app(ALICE, "denied"));
    w.refused_word(a, incoming(1), Error::NotAuthorized, "not-determined");
    w.refused_word(a, incoming(1), Error::NotAuthorized, "(`callctl apps allow a`), or an");
    w.refused_word(d, incoming(1), Error::NotAuthorized, "(restricted); an administrator");
    w.refused_request(vec![start_on(1, "a")], Error::NotAuthorized, "[apps]");
}

#[test]
fn consent_that_is_revoked_spares_live_calls() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let mut revoked = settings();
    revoked.policy.apps.insert("a".into(), false);
    w.handle(Input::Settings(Box::new(revoked))).unwrap();
    let told = |e: &Effect| {
        matches!(e, Effect::AuthorizationSet { authorization: Authorization::Restricted, .. })
    };
    assert!(w.effects.iter().any(told));
    w.refused_word(a, incoming(2), Error::NotAuthorized, "a is not allowed");
    assert_eq!(w.audio(ALICE), Some(uuid(1)));
    w.request(ALICE, vec![hold(1)]).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!(w.held_by(ALICE, 1), HeldBy::USER);
}

#[test]
fn access_denied_says_whose_call_it_is() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.refused(by(b.caller, end(1)), Error::AccessDenied, "its own calls only");
    w.refused(by(b.caller, start_on(2, "a")), Error::AccessDenied, "through itself");
    let sandboxed = Caller {
        sandboxed: true,
        control: false,
        place_call: false,
        agent: false,
        ..w.caller(ALICE)
    };
    w.refused(by(sandboxed, end(1)), Error::AccessDenied, "callctl apps allow APP --control");
    w.refused(by(sandboxed, start_on(2, "a")), Error::AccessDenied, "sandboxed");
    let roles = vec![Role::Ui];
    w.refused(Input::TakeRoles { caller: sandboxed, roles }, Error::AccessDenied, "[agents]");
    let stranger = App { id: a.id, caller: w.caller(ALICE) };
    w.refused_word(stranger, incoming(3), Error::AccessDenied, "registered");
    let t = w.request(ALICE, vec![tones(1)]).unwrap();
    let cancel = Input::Cancel { caller: b.caller, transaction: t };
    w.refused(cancel, Error::AccessDenied, "its own calls only");
    w.handle(by(a.caller, mute(1, true))).expect("its own");
}

#[test]
fn invalid_argument_says_which() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let busy =
        Action::End { call: of(1), reason: Some(EndReason::Busy), message: Private::default() };
    w.refused_request(vec![busy], Error::InvalidArgument, "`busy`");
    w.refused_request(vec![join(1, 1)], Error::InvalidArgument, "itself");
    let word = Word::Fulfil { request: RequestId(4711), calls: None };
    w.refused_word(a, word, Error::InvalidArgument, "never sent");
    let word = Word::Progress { request: RequestId(4711), extend: Millis(1) };
    w.refused_word(a, word, Error::InvalidArgument, "never sent");
    let caller = w.caller(ALICE);
    let cancel = Input::Cancel { caller, transaction: TransactionId(4711) };
    w.refused(cancel, Error::InvalidArgument, "no such transaction");
}

#[test]
fn another_apps_request_is_nobody_elses() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.incoming(a, 1).unwrap();
    w.request(ALICE, vec![answer(1)]).unwrap();
    let request = w.open[&ALICE][0].request;
    w.refused_word(b, Word::Fulfil { request, calls: None }, Error::InvalidArgument, "never sent");
    w.fulfil(a, "Answer");
    w.refused_word(b, Word::Fulfil { request, calls: None }, Error::InvalidArgument, "never sent");
}

#[test]
fn unknown_calls_and_providers_are_named() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.refused_request(vec![answer(1)], Error::UnknownCall, &uuid(1).to_string());
    let word = Word::Update { uuid: uuid(1), update: Update::default() };
    w.refused_word(a, word, Error::UnknownCall, "report it first");
    w.refused_request(vec![start_on(1, "nobody")], Error::UnknownProvider, "nobody");
    let gone = App { id: ProviderId(99), caller: a.caller };
    w.refused_word(gone, incoming(1), Error::UnknownProvider, "no such provider");
    w.lose(a);
    w.refused_request(vec![start(1, "sip:x")], Error::UnknownProvider, "`sip:`");
}

#[test]
fn already_registered_names_the_app_and_the_way_out() {
    let mut w = World::default();
    w.app(ALICE, "a");
    let caller = w.caller(ALICE);
    let input = Input::Register { caller, registration: registration("a") };
    w.refused(input, Error::AlreadyRegistered, "`instance`");
}

#[test]
fn uuid_in_use_and_already_ended_ask_for_a_new_one() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.request(ALICE, vec![start(1, "tel:1")]).unwrap();
    w.refused_word(a, incoming(1), Error::UuidInUse, "outgoing");
    w.refused_request(vec![start(1, "tel:1")], Error::UuidInUse, "new UUID");
    w.ended(a, 1, EndReason::Busy).unwrap();
    w.refused_request(vec![start(1, "tel:1")], Error::AlreadyEnded, "new UUID");
    let state = Word::State { uuid: uuid(1), state: Some(CallState::Active), remote_held: None };
    w.refused_word(a, state, Error::AlreadyEnded, "ended");
    w.refused_request(vec![end(1)], Error::AlreadyEnded, "ended");
}

#[test]
fn invalid_state_says_where_the_call_stands() {
    let mut w = World::default();
    let a = w.app_with(ALICE, "a", Configuration { supports_video: true, ..Default::default() });
    w.incoming(a, 1).unwrap();
    for action in [hold(1), unhold(1), mute(1, true), leave(1), tones(1), video(1, true)] {
        w.refused_request(vec![action], Error::InvalidState, "ringing");
    }
    w.request(ALICE, vec![answer(1)]).unwrap();
    w.fulfil_all(&[a]);
    w.refused_request(vec![Action::Silence { call: of(1) }], Error::InvalidState, "active");
    w.request(ALICE, vec![hold(1)]).unwrap();
    w.fulfil_all(&[a]);
    w.refused_request(vec![tones(1)], Error::InvalidState, "held");
    w.request(ALICE, vec![end(1)]).unwrap();
    w.refused_request(vec![unhold(1)], Error::InvalidState, "ending");
    w.fulfil_all(&[a]);
    w.request(ALICE, vec![start(2, "tel:1")]).unwrap();
    w.refused_request(vec![answer(2)], Error::InvalidState, "starting");
}

#[test]
fn a_transaction_is_refused_as_a_whole() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.refused_request(vec![hold(1), end(2)], Error::UnknownCall, &uuid(2).to_string());
    w.refused_request(vec![end(1), mute(1, true)], Error::AlreadyEnded, "ended");
    w.refused_request(vec![start(2, "tel:1"), start(3, "tel:2")], Error::CannotHold, "");
    w.refused_request(vec![], Error::EmptyTransaction, "at least one");
}

#[test]
fn cannot_hold_says_what_its_app_said() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let update = Update { can_hold: Some(false), ..Update::default() };
    w.say(a, Word::Update { uuid: uuid(1), update }).unwrap();
    w.refused_request(vec![hold(1)], Error::CannotHold, &uuid(1).to_string());
}

#[test]
fn not_supported_says_what() {
    let mut w = World::default();
    let configuration = Configuration { schemes: vec!["sip".into()], ..Default::default() };
    let (a, b) = (w.app_with(ALICE, "a", configuration), w.app(ALICE, "b"));
    w.pair(b, a);
    let update = Update { can_group: Some(false), can_dtmf: Some(false), ..Update::default() };
    w.refused_request(vec![join(1, 2)], Error::NotSupported, "different apps");
    w.say(a, Word::Update { uuid: uuid(2), update }).unwrap();
    w.refused_request(vec![tones(2)], Error::NotSupported, "tones");
    w.refused_request(vec![leave(2)], Error::NotSupported, "grouped");
    w.refused_request(vec![video(2, true)], Error::NotSupported, "video");
    w.refused_request(vec![start_on(3, "a")], Error::NotSupported, "`tel:`");
    let provider = Some("b".into());
    let start = Action::Start { uuid: uuid(3), handle: "tel:1".into(), provider, video: true };
    w.refused_request(vec![start], Error::NotSupported, "video");
}

#[test]
fn busy_names_the_limit() {
    let mut w = limited(Limits { ringing_per_provider: 1, calls: 2, ..Limits::default() });
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.incoming(a, 1).unwrap();
    let busy = |reply: Result<Reply>, about: &str| match reply {
        Ok(Reply::Filtered(_, why)) => {
            assert_eq!(why.error, Error::Busy);
            assert!(why.message.contains(about), "{}", why.message);
        }
        other => panic!("{other:?}"),
    };
    busy(w.incoming(a, 2), "ringing-per-provider");
    w.incoming(b, 3).unwrap();
    busy(w.incoming(b, 4), "`calls`");
    w.refused_request(vec![start(5, "tel:1")], Error::LimitExceeded, "`calls`");
    w.incoming(a, 1).expect("a live call is no new one");
}

#[test]
fn limit_exceeded_names_the_limit() {
    let mut w = limited(Limits {
        providers: 1,
        transactions: 1,
        actions: 2,
        requests_per_call: 1,
        ..Limits::default()
    });
    let a = w.app(ALICE, "a");
    let caller = w.caller(ALICE);
    let input = Input::Register { caller, registration: registration("b") };
    w.refused(input, Error::LimitExceeded, "`providers`");
    w.talking(a, 1);
    w.refused_request(vec![hold(1), hold(1), hold(1)], Error::LimitExceeded, "2 actions");
    w.request(ALICE, vec![tones(1)]).unwrap();
    w.refused_request(vec![mute(1, true)], Error::LimitExceeded, &uuid(1).to_string());
}

#[test]
fn shells_are_bounded_and_take_all_their_roles_or_none() {
    let mut w = World::default();
    let mut first = None;
    for _ in 0..64 {
        let caller = w.caller(ALICE);
        w.handle(Input::TakeRoles { caller, roles: vec![Role::Ui] }).unwrap();
        first.get_or_insert(caller);
    }
    let caller = w.caller(ALICE);
    let roles = vec![Role::Dnd, Role::Ui];
    let both = Input::TakeRoles { caller, roles };
    w.refused(both.clone(), Error::LimitExceeded, "`ui`");
    let mode = DoNotDisturb::Quiet;
    w.refused(Input::SetDoNotDisturb { caller, mode, allow: vec![] }, Error::AccessDenied, "`dnd`");
    w.handle(Input::TakeRoles { caller: first.unwrap(), roles: vec![Role::Ui] }).expect("its own");
    w.handle(Input::PeerLost { peer: first.unwrap().peer }).unwrap();
    w.handle(both).expect("there is room again");
}

#[test]
fn hanging_up_has_room_beyond_the_limit_of_transactions() {
    let mut w = limited(Limits { transactions: 1, ..Limits::default() });
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.request(ALICE, vec![tones(1)]).unwrap();
    w.refused_request(vec![mute(1, true)], Error::LimitExceeded, "`transactions`");
    w.refused_request(vec![tones(1), end(1)], Error::LimitExceeded, "`transactions`");
    w.request(ALICE, vec![end(1)]).unwrap();
    w.fulfil(a, "End");
    assert_eq!(w.end_of(1), Some(EndReason::LocalEnded));
}

#[test]
fn an_end_has_room_in_a_full_queue() {
    let mut w = limited(Limits { requests_per_call: 1, ..Limits::default() });
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    w.request(ALICE, vec![tones(1)]).unwrap();
    w.request(ALICE, vec![end(1)]).unwrap();
    w.fulfil(a, "End");
    assert_eq!(w.end_of(1), Some(EndReason::LocalEnded));
}

#[test]
fn planning_changes_nothing_and_tells_the_implicit_steps() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let (caller, revision) = (w.caller(ALICE), w.domain(ALICE).revision());
    let actions = [Requested { action: answer(2), expected: None }];
    let steps = w.arbiter.plan(caller, &actions).unwrap();
    assert_eq!(steps.iter().map(|s| s.implicit).collect::<Vec<_>>(), [true, false]);
    assert!(matches!(steps[0].action, Action::SetHeld { held: true, .. }));
    let actions = [Requested { action: answer(3), expected: None }];
    assert_eq!(w.arbiter.plan(caller, &actions).unwrap_err().error, Error::UnknownCall);
    assert_eq!(w.domain(ALICE).revision(), revision);
}

#[test]
fn a_refusal_never_prints_its_message() {
    let refusal = Refusal::new(Error::CannotHold, "tel:+4930");
    assert!(!format!("{refusal:?}").contains("4930"));
    assert!(!format!("{:?}", start(1, "tel:+4930")).contains("4930"));
}
