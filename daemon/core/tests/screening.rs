//! Screeners: asked before the user is told, all at once, and never for long.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn world() -> (World, App, Caller) {
    let mut w = World::default();
    let screener = w.agent(ALICE, &[Role::Screening]);
    let a = w.app(ALICE, "a");
    (w, a, screener)
}

fn from(handle: &str) -> Update {
    Update { handle: Some(handle.into()), ..Update::default() }
}

/// What this screener was asked last.
fn asked(w: &World, screener: Caller) -> (RequestId, String) {
    match w.errands(screener).pop() {
        Some((request, AgentAsk::Screen { handle, .. })) => (request, handle.reveal().to_owned()),
        other => panic!("{other:?}"),
    }
}

fn says(verdict: Verdict) -> AgentAnswer {
    AgentAnswer { verdict: Some(verdict), ..AgentAnswer::default() }
}

fn rejects(ground: Ground) -> AgentAnswer {
    AgentAnswer { ground, detail: "tel:+4930*".into(), ..says(Verdict::Reject) }
}

/// What its app hears of its report, if it heard anything.
fn heard(w: &World) -> Option<std::result::Result<(), Error>> {
    let mut heard = w.effects.iter().filter_map(|e| match e {
        Effect::Screened { outcome, .. } => Some(outcome.clone().map_err(|why| why.error)),
        _ => None,
    });
    let first = heard.next();
    assert!(heard.next().is_none(), "told twice");
    first
}

fn causes(w: &World, call: CallId) -> Vec<&'static str> {
    let steps = w.domain(ALICE).why(call).unwrap().steps();
    steps.into_iter().map(|step| step.cause.name()).collect()
}

#[test]
fn without_a_screener_a_call_rings_at_once() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    assert!(matches!(w.incoming(a, 1), Ok(Reply::Call(_))));
    assert_eq!((w.state_of(ALICE, 1), heard(&w)), (CallState::Ringing, None));
}

#[test]
fn a_call_waits_for_its_screener_and_rings() {
    let (mut w, a, screener) = world();
    let Ok(Reply::Screening(call)) = w.incoming_with(a, 1, from("tel:1")) else { panic!() };
    assert_eq!((w.state_of(ALICE, 1), heard(&w)), (CallState::Screening, None));
    assert_eq!(w.incoming_with(a, 1, from("tel:1")), Ok(Reply::Screening(call)));
    let (request, handle) = asked(&w, screener);
    assert_eq!(handle, "tel:1");
    w.pass(Millis::secs(4));
    w.agent_says(screener, request, says(Verdict::Allow)).unwrap();
    assert_eq!((w.state_of(ALICE, 1), heard(&w)), (CallState::Ringing, Some(Ok(()))));
    assert!(causes(&w, call).contains(&"screened"));
    // It rings for as long as one that nobody looked at.
    w.pass(Millis::secs(59));
    assert_eq!(w.state_of(ALICE, 1), CallState::Ringing);
    w.pass(Millis::secs(1));
    assert_eq!(w.end_of(1), Some(EndReason::Unanswered));
}

#[test]
fn the_first_that_turns_it_away_decides() {
    for (ground, error, missed, cause) in [
        (Ground::List, Error::FilteredByBlockList, Missed::Blocked, "listed"),
        (Ground::Anonymous, Error::FilteredByBlockList, Missed::Blocked, "listed"),
        (Ground::Screening, Error::FilteredByScreening, Missed::Screened, "screened"),
    ] {
        let (mut w, a, screener) = world();
        let slow = w.agent(ALICE, &[Role::Screening]);
        let full = Configuration { records: Records::Full, ..Configuration::default() };
        w.say(a, Word::Configure(full)).unwrap();
        let Ok(Reply::Screening(call)) = w.incoming(a, 1) else { panic!() };
        let (request, _) = asked(&w, screener);
        let (late, _) = asked(&w, slow);
        w.agent_says(screener, request, rejects(ground)).unwrap();
        assert_eq!(heard(&w), Some(Err(error)));
        assert_eq!(w.end_of(1), Some(EndReason::Filtered));
        assert_eq!(w.domain(ALICE).records().last().unwrap().missed, Some(missed));
        let why = causes(&w, call);
        assert_eq!(why.first().copied(), Some("reported"));
        assert!(why.contains(&cause), "{why:?}");
        let refused = w.agent_says(slow, late, says(Verdict::Allow)).unwrap_err();
        assert_eq!(refused.error, Error::TimedOut);
        assert_eq!(w.incoming(a, 1).unwrap_err().error, Error::AlreadyEnded);
    }
}

#[test]
fn all_must_have_looked_but_not_for_longer_than_five_seconds() {
    let (mut w, a, quick) = world();
    let slow = w.agent(ALICE, &[Role::Screening]);
    let Ok(Reply::Screening(call)) = w.incoming(a, 1) else { panic!() };
    let (request, _) = asked(&w, quick);
    w.agent_says(quick, request, says(Verdict::Allow)).unwrap();
    assert_eq!(w.state_of(ALICE, 1), CallState::Screening);
    w.pass(Millis(4999));
    assert_eq!(w.state_of(ALICE, 1), CallState::Screening);
    w.pass(Millis(1));
    assert_eq!((w.state_of(ALICE, 1), heard(&w)), (CallState::Ringing, Some(Ok(()))));
    assert!(causes(&w, call).contains(&"deadline"));
    let (late, _) = asked(&w, slow);
    let refused = w.agent_says(slow, late, rejects(Ground::List)).unwrap_err();
    assert_eq!(refused.error, Error::TimedOut);
}

#[test]
fn one_that_fails_or_goes_away_lets_the_call_pass() {
    let (mut w, a, screener) = world();
    w.incoming(a, 1).unwrap();
    let (request, _) = asked(&w, screener);
    let failed = AgentAnswer { error: Some("no list".into()), ..rejects(Ground::List) };
    w.agent_says(screener, request, failed).unwrap();
    assert_eq!(w.state_of(ALICE, 1), CallState::Ringing);
    w.incoming(a, 2).unwrap();
    w.handle(Input::PeerLost { peer: screener.peer }).unwrap();
    assert_eq!(w.state_of(ALICE, 2), CallState::Ringing);
    assert!(matches!(w.incoming(a, 3), Ok(Reply::Call(_))));
}

#[test]
fn an_urgent_call_rings_through_do_not_disturb_and_others_do_not() {
    for (urgent, expected) in [(true, None), (false, Some(Error::FilteredByDoNotDisturb))] {
        let (mut w, a, screener) = world();
        let dnd = w.agent(ALICE, &[Role::Dnd]);
        let mode = DoNotDisturb::Refuse;
        w.handle(Input::SetDoNotDisturb { caller: dnd, mode, allow: vec![] }).unwrap();
        let Ok(Reply::Screening(call)) = w.incoming_with(a, 1, from("tel:1")) else { panic!() };
        let (request, _) = asked(&w, screener);
        let answer = AgentAnswer { urgent, ground: Ground::List, ..says(Verdict::Allow) };
        w.agent_says(screener, request, answer).unwrap();
        assert_eq!(heard(&w), Some(expected.map_or(Ok(()), Err)));
        let why = causes(&w, call);
        assert_eq!(why.contains(&"let-through"), urgent, "{why:?}");
    }
}

#[test]
fn a_screener_can_have_it_ring_silently() {
    let (mut w, a, screener) = world();
    w.incoming(a, 1).unwrap();
    let (request, _) = asked(&w, screener);
    w.agent_says(screener, request, says(Verdict::Silence)).unwrap();
    let call = w.find(ALICE, 1).unwrap();
    assert_eq!((call.state, call.silenced), (CallState::Ringing, Silenced::Screening));
}

#[test]
fn its_app_goes_on_speaking_meanwhile() {
    let (mut w, a, screener) = world();
    w.incoming(a, 1).unwrap();
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    assert_eq!(heard(&w), Some(Err(Error::AlreadyEnded)));
    assert!(w.domain(ALICE).calls().next().is_none());
    w.effects.clear();
    // Answered at the phone itself: a fact.
    w.incoming(a, 2).unwrap();
    w.report(a, 2, CallState::Active).unwrap();
    assert_eq!((w.state_of(ALICE, 2), heard(&w)), (CallState::Active, Some(Ok(()))));
    w.effects.clear();
    // That it rings already, as its app sees it, is nothing new.
    w.incoming_with(a, 3, from("tel:1")).unwrap();
    w.report(a, 3, CallState::Ringing).unwrap();
    assert_eq!((w.state_of(ALICE, 3), heard(&w)), (CallState::Screening, None));
    // Another caller than it was: what was thought of the old one does not count, and the time is not begun anew.
    let (first, _) = asked(&w, screener);
    w.pass(Millis::secs(3));
    w.say(a, Word::Update { uuid: uuid(3), update: from("tel:2") }).unwrap();
    let (second, handle) = asked(&w, screener);
    assert_eq!((first == second, handle.as_str()), (false, "tel:2"));
    assert!(w.agent_says(screener, first, rejects(Ground::List)).is_err());
    assert_eq!(w.state_of(ALICE, 3), CallState::Screening);
    w.pass(Millis::secs(2));
    assert_eq!(w.state_of(ALICE, 3), CallState::Ringing);
}

#[test]
fn a_call_may_lose_its_app_while_it_is_screened_and_find_it_again() {
    let (mut w, a, screener) = world();
    w.incoming(a, 1).unwrap();
    w.lose(a);
    assert!(w.find(ALICE, 1).unwrap().orphaned);
    let b = w.app(ALICE, "a");
    w.reconcile(b, &[(1, CallState::Ringing)]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Screening);
    let (request, _) = asked(&w, screener);
    w.agent_says(screener, request, rejects(Ground::List)).unwrap();
    assert_eq!(w.end_of(1), Some(EndReason::Filtered));
}

#[test]
fn a_call_is_screened_again_after_a_restart() {
    let (mut w, a, screener) = world();
    w.incoming_with(a, 1, from("tel:1")).unwrap();
    let (request, _) = asked(&w, screener);
    w.pass(Millis::secs(4));
    w.restart(&[]);
    assert_eq!(w.state_of(ALICE, 1), CallState::Screening);
    assert_eq!(asked(&w, screener), (request, "tel:1".to_owned()));
    w.pass(Millis::secs(4));
    assert_eq!(w.state_of(ALICE, 1), CallState::Screening);
    w.agent_says(screener, request, rejects(Ground::List)).unwrap();
    assert_eq!(w.end_of(1), Some(EndReason::Filtered));
}

#[test]
fn emergency_services_that_call_back_are_not_kept_waiting() {
    let mut settings = settings();
    let emergency = &mut settings.policy.emergency;
    *emergency = Emergency { handles: vec!["112".into()], providers: vec!["a".into()] };
    let mut w = World::with(settings);
    w.agent(ALICE, &[Role::Screening]);
    let a = w.app(ALICE, "a");
    assert!(matches!(w.incoming_with(a, 1, from("tel:112")), Ok(Reply::Call(_))));
}

#[test]
fn a_call_that_is_screened_has_its_place() {
    let mut settings = settings();
    settings.limits.ringing_per_provider = 1;
    let mut w = World::with(settings.clone());
    let screener = w.agent(ALICE, &[Role::Screening]);
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    assert!(matches!(w.incoming(a, 2), Ok(Reply::Filtered(_, why)) if why.error == Error::Busy));
    // The configuration allows less by the time it was looked at.
    let (request, _) = asked(&w, screener);
    w.effects.clear();
    settings.limits.calls = 0;
    w.handle(Input::Settings(Box::new(settings))).unwrap();
    w.agent_says(screener, request, says(Verdict::Allow)).unwrap();
    assert_eq!(heard(&w), Some(Err(Error::Busy)));
}

#[test]
fn apps_in_a_sandbox_screen_nobody() {
    let (mut w, _, screener) = world();
    let caller = Caller { sandboxed: true, ..w.caller(ALICE) };
    let roles = vec![Role::Screening];
    assert!(screener.agent && caller.agent);
    w.refused(Input::TakeRoles { caller, roles }, Error::AccessDenied, "unsandboxed");
}
