//! Names from the user's address book: asked for, never waited for, and before what apps claim.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn world() -> (World, App, Caller) {
    let mut w = World::default();
    let agent = w.agent(ALICE, &[Role::Contacts]);
    let a = w.app(ALICE, "a");
    (w, a, agent)
}

fn from(handle: &str, name: &str) -> Update {
    let name = Some(name).filter(|name| !name.is_empty()).map(Into::into);
    Update { handle: Some(handle.into()), name, ..Update::default() }
}

fn asked(w: &World, agent: Caller) -> Vec<(RequestId, String)> {
    let asked = w.errands(agent).into_iter().map(|(request, ask)| match ask {
        AgentAsk::LookUp { handle, .. } => (request, handle.reveal().to_owned()),
        other => panic!("{other:?}"),
    });
    asked.collect()
}

fn known_as(name: &str, id: &str) -> AgentAnswer {
    AgentAnswer { name: Some(name.into()), contact: Some(id.into()), ..AgentAnswer::default() }
}

/// Name, source and contact.
fn shown(w: &World, n: u128) -> (String, &'static str, String) {
    let call = w.find(ALICE, n).unwrap();
    let id = call.known.as_ref().map(|known| known.id.reveal().to_owned());
    (call.shown_name().reveal().to_owned(), call.name_source(), id.unwrap_or_default())
}

fn is(name: &str, source: &'static str, id: &str) -> (String, &'static str, String) {
    (name.to_owned(), source, id.to_owned())
}

#[test]
fn a_call_rings_at_once_and_gets_its_name_later() {
    let (mut w, a, agent) = world();
    w.incoming_with(a, 1, from("tel:1", "Bank")).unwrap();
    assert_eq!(w.state_of(ALICE, 1), CallState::Ringing);
    assert_eq!(shown(&w, 1), is("Bank", "claimed", ""));
    let [(request, handle)] = &asked(&w, agent)[..] else { panic!() };
    assert_eq!(handle, "tel:1");
    let request = *request;
    w.effects.clear();
    w.agent_says(agent, request, known_as("Ada", "uid-1")).unwrap();
    assert_eq!(shown(&w, 1), is("Ada", "contacts", "uid-1"));
    let names = w.effects.iter().find_map(|e| match e {
        Effect::Publish { change: Change::Changed(Object::Call(_), names), .. } => Some(*names),
        _ => None,
    });
    assert_eq!(names.unwrap(), ["DisplayName", "NameSource", "ContactId", "Revision"]);
    // What the app says later changes nothing that people see.
    w.effects.clear();
    let word = Word::Update { uuid: uuid(1), update: from("tel:1", "Your bank") };
    w.say(a, word).unwrap();
    assert_eq!(shown(&w, 1), is("Ada", "contacts", "uid-1"));
    assert!(w.effects.is_empty(), "{:?}", w.effects);
}

#[test]
fn every_new_call_with_a_handle_is_looked_up() {
    let (mut w, a, agent) = world();
    w.incoming(a, 1).unwrap();
    assert_eq!((asked(&w, agent), shown(&w, 1)), (vec![], is("", "", "")));
    w.say(a, Word::Update { uuid: uuid(1), update: from("tel:1", "") }).unwrap();
    w.request(ALICE, vec![start(2, "tel:2")]).unwrap();
    let word = Word::Live {
        uuid: uuid(3),
        direction: Direction::Outgoing,
        state: CallState::Dialing,
        update: from("tel:3", ""),
    };
    w.say(a, word).unwrap();
    let handles: Vec<String> = asked(&w, agent).into_iter().map(|(_, handle)| handle).collect();
    assert_eq!(handles, ["tel:1", "tel:2", "tel:3"]);
}

#[test]
fn answers_that_do_not_count() {
    let (mut w, a, agent) = world();
    let stranger = w.caller(ALICE);
    let refused = |w: &mut World, by, request, error| {
        let why = w.agent_says(by, request, known_as("Eve", "x")).unwrap_err();
        assert_eq!(why.error, error, "{}", why.message);
    };
    w.incoming_with(a, 1, from("tel:1", "")).unwrap();
    let request = asked(&w, agent)[0].0;
    refused(&mut w, stranger, request, Error::InvalidArgument);
    refused(&mut w, a.caller, request, Error::InvalidArgument);
    refused(&mut w, agent, RequestId(4711), Error::InvalidArgument);
    w.pass(Millis::secs(2));
    refused(&mut w, agent, request, Error::TimedOut);
    assert_eq!(shown(&w, 1), is("", "", ""));
    // Nobody, and an error.
    w.incoming_with(a, 2, from("tel:2", "Claimed")).unwrap();
    w.incoming_with(a, 3, from("tel:3", "Claimed")).unwrap();
    let requests = asked(&w, agent);
    w.agent_says(agent, requests[1].0, AgentAnswer::default()).unwrap();
    let error = AgentAnswer { error: Some("no book".into()), ..known_as("Eve", "x") };
    w.agent_says(agent, requests[2].0, error).unwrap();
    assert_eq!(
        (shown(&w, 2), shown(&w, 3)),
        (is("Claimed", "claimed", ""), is("Claimed", "claimed", ""))
    );
    // Repeated, and about a call that is over.
    w.incoming_with(a, 4, from("tel:4", "")).unwrap();
    w.incoming_with(a, 5, from("tel:5", "")).unwrap();
    let requests = asked(&w, agent);
    w.agent_says(agent, requests[3].0, known_as("Ada", "")).unwrap();
    refused(&mut w, agent, requests[3].0, Error::TimedOut);
    assert_eq!(shown(&w, 4), is("Ada", "contacts", ""));
    w.ended(a, 5, EndReason::RemoteEnded).unwrap();
    refused(&mut w, agent, requests[4].0, Error::TimedOut);
}

#[test]
fn another_handle_is_somebody_else() {
    let (mut w, a, agent) = world();
    w.incoming_with(a, 1, from("tel:1", "Claimed")).unwrap();
    w.agent_says(agent, asked(&w, agent)[0].0, known_as("Ada", "1")).unwrap();
    w.say(a, Word::Update { uuid: uuid(1), update: from("tel:2", "Claimed") }).unwrap();
    assert_eq!(shown(&w, 1), is("Claimed", "claimed", ""), "transferred");
    let requests = asked(&w, agent);
    w.say(a, Word::Update { uuid: uuid(1), update: from("tel:3", "Claimed") }).unwrap();
    let late = w.agent_says(agent, requests[1].0, known_as("Grace", "2")).unwrap_err();
    assert_eq!(late.error, Error::TimedOut, "not wanted any more");
    w.agent_says(agent, asked(&w, agent)[2].0, known_as("Alan", "3")).unwrap();
    assert_eq!(shown(&w, 1), is("Alan", "contacts", "3"));
}

#[test]
fn who_comes_later_is_asked_about_calls_that_are_there() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming_with(a, 1, from("tel:1", "")).unwrap();
    let agent = w.agent(ALICE, &[Role::Contacts]);
    w.agent_says(agent, asked(&w, agent)[0].0, known_as("Ada", "1")).unwrap();
    w.incoming_with(a, 2, from("tel:2", "")).unwrap();
    let next = w.agent(ALICE, &[Role::Contacts]);
    let handles: Vec<String> = asked(&w, next).into_iter().map(|(_, handle)| handle).collect();
    assert_eq!(handles, ["tel:2"], "the other is known");
}

#[test]
fn a_name_survives_the_arbiter_and_is_gone_with_its_call() {
    let (mut w, a, agent) = world();
    w.incoming_with(a, 1, from("tel:1", "Claimed")).unwrap();
    w.incoming_with(a, 2, from("tel:2", "Claimed")).unwrap();
    let requests = asked(&w, agent);
    w.agent_says(agent, requests[0].0, known_as("Ada", "1")).unwrap();
    w.restart(&[]);
    assert_eq!(shown(&w, 1), is("Ada", "contacts", "1"));
    assert_eq!(asked(&w, agent), [requests[1].clone()], "asked again, under its number");
    w.reconcile(a, &[(1, CallState::Ringing), (2, CallState::Ringing)]);
    w.agent_says(agent, requests[1].0, known_as("Grace", "2")).unwrap();
    assert_eq!(shown(&w, 2), is("Grace", "contacts", "2"));
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    let gone = w.effects.iter().rev().find_map(|e| match e {
        Effect::Publish { change: Change::Removed(Object::Call(id)), .. } => Some(*id),
        _ => None,
    });
    let gone = w.domain(ALICE).call(gone.unwrap()).unwrap();
    assert_eq!(gone.shown_name().reveal(), "Ada", "whoever tells of it still knows");
    w.restart(&[]);
    assert_eq!(shown(&w, 2), is("Grace", "contacts", "2"));
}
