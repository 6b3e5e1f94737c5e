//! What is left of calls: one record each, for whoever keeps the history, until it is kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

fn recording(records: Records) -> Configuration {
    Configuration { records, display_name: "Phone".into(), ..Configuration::default() }
}

fn world() -> (World, App) {
    let mut w = World::default();
    let a = w.app_with(ALICE, "a", recording(Records::Full));
    (w, a)
}

fn from(handle: &str) -> Update {
    Update { handle: Some(handle.into()), name: Some("Someone".into()), ..Update::default() }
}

/// The records that this agent was offered since effects were last taken, with the requests.
fn offered(w: &World, agent: Caller) -> Vec<(RequestId, u128)> {
    let number = |ask: &AgentAsk| match ask {
        AgentAsk::Record { number } => Some(*number),
        _ => None,
    };
    let uuid = |number| w.domain(agent.uid).record(number).unwrap().uuid.as_u128();
    let errands = w.errands(agent).into_iter();
    errands.filter_map(|(request, ask)| Some((request, uuid(number(&ask)?)))).collect()
}

/// The same, answered: kept, or not.
fn answer_all(w: &mut World, agent: Caller, kept: bool) -> Vec<u128> {
    let all = offered(w, agent);
    w.effects.clear();
    for (request, _) in &all {
        let error = (!kept).then(|| "the disk is full".into());
        w.agent_says(agent, *request, AgentAnswer { error, ..AgentAnswer::default() }).unwrap();
    }
    all.into_iter().map(|(_, n)| n).collect()
}

fn waiting(w: &World) -> Vec<u128> {
    w.domain(ALICE).records().map(|r| r.uuid.as_u128()).collect()
}

fn last(w: &World) -> &Record {
    w.domain(ALICE).records().last().unwrap()
}

#[test]
fn a_call_leaves_all_that_its_app_lets_the_user_keep() {
    for (records, left) in [(Records::Full, 1), (Records::Opaque, 1), (Records::None, 0)] {
        let mut w = World::default();
        let a = w.app_with(ALICE, "a", recording(records));
        w.incoming_with(a, 1, from("tel:1")).unwrap();
        w.pass(Millis::secs(7));
        w.request(ALICE, vec![answer(1)]).unwrap();
        w.fulfil_all(&[a]);
        w.pass(Millis::secs(60));
        let detail = "their words".into();
        let reason = EndReason::RemoteEnded;
        w.say(a, Word::Ended { uuid: uuid(1), reason, detail }).unwrap();
        assert_eq!(waiting(&w).len(), left);
        let Some(record) = w.domain(ALICE).records().next() else { continue };
        assert_eq!((&*record.app, &*record.provider_name), ("a", "Phone"));
        assert_eq!((record.direction, record.reason), (Direction::Incoming, reason));
        assert_eq!((record.missed, record.lost), (None, 0));
        let began = record.created_at;
        assert_eq!(record.connected_at, began + 7_000_000);
        assert_eq!(record.ended_at, began + 67_000_000);
        let whole = records == Records::Full;
        for (text, open) in
            [(&record.handle, "tel:1"), (&record.name, "Someone"), (&record.detail, "their words")]
        {
            assert_eq!(text.reveal(), if whole { open } else { "" });
        }
        assert_eq!(record.id().to_string(), format!("{}.{began}.1", uuid(1)));
        assert!(!format!("{record:?}").contains("Someone"));
    }
}

#[test]
fn the_users_own_word_for_somebody_is_kept() {
    let (mut w, a) = world();
    let agent = w.agent(ALICE, &[Role::Contacts]);
    w.incoming_with(a, 1, from("tel:1")).unwrap();
    let request = w.errands(agent)[0].0;
    let (name, contact) = (Some("Ada".into()), Some("book/1".into()));
    w.agent_says(agent, request, AgentAnswer { name, contact, ..AgentAnswer::default() }).unwrap();
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    let record = last(&w);
    assert_eq!((record.name.reveal(), record.contact.reveal()), ("Ada", "book/1"));
}

#[test]
fn why_it_was_missed() {
    use EndReason::*;
    let (mut w, a) = world();
    let mut n = 0;
    let mut ends = |w: &mut World, rings: u32, reason| {
        n += 1;
        w.incoming(a, n).unwrap();
        w.pass(Millis::secs(rings));
        w.ended(a, n, reason).unwrap();
        last(w).missed.map_or("", Missed::name)
    };
    for (rings, reason, missed) in [
        (20, RemoteEnded, "unanswered"),
        (4, RemoteEnded, "short-ring"),
        (5, RemoteEnded, "unanswered"),
        (20, AnsweredElsewhere, "answered-elsewhere"),
        (20, DeclinedElsewhere, "declined-elsewhere"),
        (20, Busy, "busy"),
        (20, Failed, "failed"),
        (2, Declined, ""),
        (2, LocalEnded, ""),
    ] {
        assert_eq!(ends(&mut w, rings, reason), missed, "{reason:?} after {rings} s");
    }
    w.incoming(a, 50).unwrap();
    w.request(ALICE, vec![Action::Silence { call: of(50) }]).unwrap();
    w.pass(Millis::secs(60));
    assert_eq!((last(&w).missed, last(&w).silenced), (Some(Missed::Silenced), Silenced::User));
    w.incoming(a, 51).unwrap();
    w.pass(Millis::secs(60));
    assert_eq!((last(&w).missed, last(&w).reason), (Some(Missed::Unanswered), Unanswered));
    w.incoming(a, 52).unwrap();
    w.request(ALICE, vec![end(52)]).unwrap();
    w.fulfil_all(&[a]);
    assert_eq!((last(&w).uuid, last(&w).missed), (uuid(52), None));
    w.talking(a, 53);
    w.lose(a);
    w.pass(Millis::secs(10));
    assert_eq!((last(&w).missed, last(&w).reason), (None, ProviderLost), "it was answered");
    let a = w.app_with(ALICE, "a", recording(Records::Full));
    w.incoming(a, 54).unwrap();
    w.lose(a);
    w.pass(Millis::secs(10));
    assert_eq!(last(&w).missed, Some(Missed::ProviderLost));
}

#[test]
fn what_was_turned_away_is_recorded_too() {
    let mut settings = settings();
    settings.limits.ringing_per_provider = 1;
    settings.policy.apps.insert("c".into(), false);
    let mut w = World::with(settings);
    let a = w.app_with(ALICE, "a", recording(Records::Full));
    let c = w.app_with(ALICE, "c", recording(Records::Full));
    let dnd = w.agent(ALICE, &[Role::Dnd]);
    w.incoming(a, 1).unwrap();
    assert!(matches!(w.incoming_with(a, 2, from("tel:2")), Ok(Reply::Filtered(..))));
    assert_eq!((last(&w).missed, last(&w).handle.reveal()), (Some(Missed::Busy), "tel:2"));
    // The app hears that it is over when it insists; and nothing more is recorded.
    let again = w.incoming(a, 2).unwrap_err();
    assert_eq!((again.error, waiting(&w).len()), (Error::Busy, 1));
    w.ended(a, 1, EndReason::Declined).unwrap();
    let mode = DoNotDisturb::Refuse;
    w.handle(Input::SetDoNotDisturb { caller: dnd, mode, allow: vec![] }).unwrap();
    assert!(matches!(w.incoming(a, 3), Ok(Reply::Filtered(..))));
    let record = last(&w);
    assert_eq!((record.missed, record.reason), (Some(Missed::DoNotDisturb), EndReason::Filtered));
    let mode = DoNotDisturb::Quiet;
    w.handle(Input::SetDoNotDisturb { caller: dnd, mode, allow: vec![] }).unwrap();
    w.incoming(a, 4).unwrap();
    w.pass(Millis::secs(60));
    assert_eq!(last(&w).missed, Some(Missed::DoNotDisturb));
    w.incoming(c, 5).unwrap_err();
    assert_eq!(waiting(&w).len(), 4, "an app that may not call leaves nothing");
}

#[test]
fn an_outgoing_call_is_never_missed() {
    let (mut w, a) = world();
    w.request(ALICE, vec![start(1, "tel:1")]).unwrap();
    w.ended(a, 1, EndReason::Busy).unwrap();
    let record = last(&w);
    assert_eq!((record.direction, record.missed), (Direction::Outgoing, None));
    assert_eq!((record.reason, record.handle.reveal()), (EndReason::Busy, "tel:1"));
}

#[test]
fn each_is_offered_until_it_is_kept_a_few_at_once() {
    let (mut w, a) = world();
    for n in 1..=7 {
        w.incoming(a, n).unwrap();
        w.ended(a, n, EndReason::RemoteEnded).unwrap();
    }
    assert_eq!((waiting(&w).len(), w.arbiter.next_deadline()), (7, None), "nobody is there");
    let agent = w.agent(ALICE, &[Role::History]);
    let all = offered(&w, agent);
    assert_eq!(all.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [1, 2, 3, 4]);
    w.effects.clear();
    w.agent_says(agent, all[1].0, AgentAnswer::default()).unwrap();
    assert_eq!(waiting(&w), [1, 3, 4, 5, 6, 7]);
    assert_eq!(offered(&w, agent).len(), 1);
    assert_eq!(answer_all(&mut w, agent, true), [5]);
    for (request, _) in [all[0], all[2], all[3]] {
        w.agent_says(agent, request, AgentAnswer::default()).unwrap();
    }
    assert_eq!(answer_all(&mut w, agent, true), [6, 7]);
    assert_eq!((waiting(&w).len(), w.arbiter.next_deadline()), (0, None));
    let twice = w.agent_says(agent, all[1].0, AgentAnswer::default()).unwrap_err();
    assert_eq!(twice.error, Error::TimedOut);
    // One that ends now is offered at once.
    w.incoming(a, 8).unwrap();
    w.ended(a, 8, EndReason::RemoteEnded).unwrap();
    assert_eq!(answer_all(&mut w, agent, true), [8]);
}

#[test]
fn what_cannot_be_kept_is_offered_again_ever_more_rarely() {
    let (mut w, a) = world();
    let agent = w.agent(ALICE, &[Role::History]);
    for n in 1..=2 {
        w.incoming(a, n).unwrap();
        w.ended(a, n, EndReason::RemoteEnded).unwrap();
    }
    for rest in [5, 10, 20, 40, 80, 160, 320, 600, 600] {
        assert_eq!(answer_all(&mut w, agent, false), [1, 2]);
        assert_eq!(waiting(&w), [1, 2]);
        w.pass(Millis(rest * 1000 - 1));
        assert_eq!(offered(&w, agent), []);
        // What ends meanwhile waits with the others.
        w.restart(&[]);
        w.pass(Millis(1));
    }
    assert_eq!(answer_all(&mut w, agent, true), [1, 2]);
    assert_eq!((waiting(&w).len(), w.arbiter.next_deadline()), (0, None));
    // An agent that says nothing is asked again as well, and its late word counts for nothing.
    w.incoming(a, 3).unwrap();
    w.ended(a, 3, EndReason::RemoteEnded).unwrap();
    let (request, _) = offered(&w, agent)[0];
    w.effects.clear();
    w.pass(Millis::secs(20));
    assert_eq!(offered(&w, agent), []);
    w.agent_says(agent, request, AgentAnswer::default()).unwrap_err();
    w.pass(Millis::secs(5));
    assert_eq!(answer_all(&mut w, agent, true), [3]);
}

#[test]
fn nobody_is_asked_where_nobody_keeps_it_and_another_one_is_offered_all() {
    let (mut w, a) = world();
    let agent = w.agent(ALICE, &[Role::History]);
    w.incoming(a, 1).unwrap();
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    assert_eq!(answer_all(&mut w, agent, false), [1]);
    w.handle(Input::PeerLost { peer: agent.peer }).unwrap();
    assert_eq!(w.arbiter.next_deadline(), None, "no wake-ups");
    let agent = w.agent(ALICE, &[Role::History]);
    assert_eq!(offered(&w, agent).len(), 1);
    let other = w.agent(ALICE, &[Role::History]);
    assert_eq!(answer_all(&mut w, other, true), [1]);
}

#[test]
fn it_survives_the_arbiter_and_is_offered_under_the_same_id() {
    let (mut w, a) = world();
    let agent = w.agent(ALICE, &[Role::History]);
    w.incoming_with(a, 1, from("tel:1")).unwrap();
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    let (before, id) = (offered(&w, agent), last(&w).id().to_string());
    w.restart(&[]);
    assert_eq!((offered(&w, agent), last(&w).id().to_string()), (before, id.clone()));
    assert_eq!(last(&w).handle.reveal(), "tel:1");
    w.restart(&[App { id: a.id, caller: agent }]);
    assert_eq!(w.arbiter.next_deadline(), None);
    assert_eq!(last(&w).id().to_string(), id);
    let agent = w.agent(ALICE, &[Role::History]);
    assert_eq!(answer_all(&mut w, agent, true), [1]);
    w.restart(&[]);
    assert_eq!(waiting(&w), []);
}

#[test]
fn the_oldest_is_lost_and_the_next_one_says_so() {
    let (mut w, a) = world();
    let agent = w.agent(ALICE, &[Role::History]);
    for n in 1..=262 {
        w.incoming(a, n).unwrap();
        w.ended(a, n, EndReason::RemoteEnded).unwrap();
    }
    // Four are being written down and stay.
    let all = waiting(&w);
    assert_eq!((all.len(), &all[..6]), (256, &[1, 2, 3, 4, 11, 12][..]));
    let lost: Vec<u32> = w.domain(ALICE).records().map(|r| r.lost).collect();
    assert_eq!((lost[4], lost.iter().sum::<u32>()), (6, 6));
    while !answer_all(&mut w, agent, true).is_empty() {}
    assert_eq!(waiting(&w), []);
}
