//! Why a call is what it is: the chain of causes tells its whole story, stays bounded, and survives the arbiter.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use callarbiter_core::*;
use world::*;

/// The chain in words: `asked hold policy`.
fn told(w: &World, call: CallId) -> Vec<String> {
    let domain = w.domain(ALICE);
    let word = |fact: Fact| match fact {
        Fact::Word(word) => word.to_owned(),
        Fact::Error(error) => format!("{error:?}"),
        Fact::Milliseconds(number) => number.to_string(),
        Fact::Flag(flag) => flag.to_string(),
        Fact::Call(call) => call.to_string(),
        Fact::Transaction(id) => id.to_string(),
        Fact::Holders(by) => by.names().collect::<Vec<_>>().join("+"),
    };
    let line = |step: WhyStep<'_>| {
        let facts = step.cause.facts().map(|(_, fact)| word(fact));
        let said = Some(step.text.reveal().to_owned()).filter(|text| !text.is_empty());
        std::iter::once(step.cause.name().to_owned()).chain(facts).chain(said).collect::<Vec<_>>()
    };
    domain.why(call).unwrap().steps().map(|step| line(step).join(" ")).collect()
}

fn id(w: &World, n: u128) -> CallId {
    w.find(ALICE, n).unwrap().id
}

#[test]
fn a_call_that_made_room_and_came_back_tells_so() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    let first = id(&w, 1);
    w.incoming(b, 2).unwrap();
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.fulfil_all(&[a, b]);
    let second = id(&w, 2);
    w.ended(b, 2, EndReason::RemoteEnded).unwrap();
    let why = told(&w, first).join("\n");
    let room = format!("room-for {second}\nasked hold controller\nfulfilled hold");
    assert!(why.contains(&room), "{why}");
    assert!(why.contains("became held\nheld arbiter\naudio-released"), "{why}");
    assert!(why.ends_with("stays-held"), "{why}");
    let why = told(&w, second).join("\n");
    assert!(
        why.starts_with(
            "reported ringing\nauthorization authorized administrator\nrequested answer"
        ),
        "{why}"
    );
    assert!(why.contains("asked answer controller\nfulfilled answer\nbecame active"), "{why}");
    assert!(why.ends_with("told ended\nended remote-ended"), "over, and still explained: {why}");
}

#[test]
fn a_providers_answer_a_deadline_and_its_words_are_told() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.incoming(a, 1).unwrap();
    let call = id(&w, 1);
    w.request(ALICE, vec![answer(1)]).unwrap();
    w.fail(a, "Answer");
    let why = told(&w, call);
    assert!(why.iter().any(|line| line.starts_with("failed answer ActionFailed")), "{why:?}");
    w.incoming(a, 2).unwrap();
    let call = id(&w, 2);
    w.pass(Millis::secs(61));
    assert_eq!(
        told(&w, call)[2..],
        ["deadline ringing", "ended unanswered nobody answered in time"]
    );
}

#[test]
fn do_not_disturb_and_a_refused_hold_are_told() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let call = id(&w, 2);
    w.request(ALICE, vec![answer(2)]).unwrap();
    w.fail(a, "SetHeld");
    let why = told(&w, call).join("\n");
    assert!(why.contains(&format!("no-room {}", id(&w, 1))), "{why}");
    assert!(why.contains("not-done answer ActionFailed"), "{why}");
    let caller = w.caller(ALICE);
    w.handle(Input::TakeRoles { caller, roles: vec![Role::Dnd] }).unwrap();
    let (mode, allow) = (DoNotDisturb::Refuse, Vec::new());
    w.handle(Input::SetDoNotDisturb { caller, mode, allow }).unwrap();
    let Ok(Reply::Filtered(call, _)) = w.incoming(b, 3) else { panic!("not filtered") };
    let why = told(&w, call);
    assert_eq!(why[2..], ["do-not-disturb refuse", "ended filtered do-not-disturb is on"]);
}

#[test]
fn the_middle_of_a_long_chain_is_dropped_and_counted() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let call = id(&w, 1);
    for _ in 0..100 {
        for muted in [true, false] {
            w.request(ALICE, vec![mute(1, muted)]).unwrap();
            w.fulfil_all(&[a]);
        }
    }
    let why = w.domain(ALICE).why(call).unwrap();
    assert_eq!(why.steps().count(), STEPS);
    assert!(why.dropped() > 500);
    assert_eq!(why.before_gap(), 16);
    let before = told(&w, call);
    assert_eq!(before[0], "reported ringing", "how it began is kept");
    assert_eq!(before[STEPS - 1], "fulfilled unmute", "and what came last");
    let times: Vec<u64> = w.domain(ALICE).why(call).unwrap().steps().map(|s| s.at).collect();
    assert!(times.is_sorted());
    let dropped = w.domain(ALICE).why(call).unwrap().dropped();
    w.restart(&[]);
    let after = told(&w, call);
    assert_eq!(after[..16], before[..16], "in front of the gap");
    let at = after.iter().position(|line| line == "arbiter-restarted").unwrap();
    assert_eq!(after[16..at], before[STEPS + 16 - at..], "and behind it");
    // What the restart adds drops as many.
    let after = w.domain(ALICE).why(call).unwrap().dropped();
    assert!(after > dropped && after < dropped + 10, "{dropped} {after}");
}

#[test]
fn a_restart_shows_the_same_chain_for_live_calls_and_for_those_that_are_over() {
    let mut w = World::default();
    let (a, b) = (w.app(ALICE, "a"), w.app(ALICE, "b"));
    w.talking(a, 1);
    w.incoming(b, 2).unwrap();
    let (live, over) = (id(&w, 1), id(&w, 2));
    w.request(ALICE, vec![end(2)]).unwrap();
    w.fulfil_all(&[a, b]);
    let before = (told(&w, live), told(&w, over));
    w.restart(&[]);
    let after = told(&w, live);
    assert_eq!(after[..before.0.len()], before.0);
    assert_eq!(after[before.0.len()], "arbiter-restarted");
    assert_eq!(told(&w, over), before.1);
}

#[test]
fn calls_that_are_over_are_remembered_for_an_hour_and_only_so_many() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    for n in 1..=70 {
        w.incoming(a, n).unwrap();
        w.ended(a, n, EndReason::RemoteEnded).unwrap();
    }
    let over = |w: &World| w.domain(ALICE).all_over().count();
    assert_eq!(over(&w), 64);
    assert!(w.domain(ALICE).why(CallId(1)).is_none());
    assert!(w.domain(ALICE).why(CallId(70)).is_some());
    w.pass(Millis::secs(3601));
    w.incoming(a, 71).unwrap();
    assert_eq!(over(&w), 0);
    assert!(w.domain(ALICE).why(CallId(70)).is_none());
}

#[test]
fn a_chain_stays_until_the_history_has_the_record() {
    let mut w = World::default();
    let records = Configuration { records: Records::Full, ..Configuration::default() };
    let (a, b) = (w.app_with(ALICE, "a", records), w.app(ALICE, "b"));
    for n in 1..=300 {
        w.incoming(a, n).unwrap();
        w.ended(a, n, EndReason::RemoteEnded).unwrap();
    }
    w.pass(Millis::secs(7200));
    let known = |w: &World| {
        let records = w.domain(ALICE).records();
        records.filter(|record| w.domain(ALICE).why(record.call).is_some()).count()
    };
    assert_eq!(known(&w), 256);
    w.restart(&[]);
    assert_eq!((known(&w), w.domain(ALICE).all_over().count()), (256, 0));
    let agent = w.agent(ALICE, &[Role::History]);
    loop {
        let asked = w.errands(agent);
        w.effects.clear();
        if asked.is_empty() {
            break;
        }
        for (request, _) in asked {
            w.agent_says(agent, request, AgentAnswer::default()).unwrap();
        }
    }
    w.incoming(b, 400).unwrap();
    w.ended(b, 400, EndReason::RemoteEnded).unwrap();
    assert!((1..=300).all(|n| w.domain(ALICE).why(CallId(n)).is_none()));
    assert_eq!(w.domain(ALICE).all_over().count(), 1);
}

#[test]
fn what_the_user_erased_nobody_is_told_any_more() {
    let mut w = World::default();
    let records = Configuration { records: Records::Full, ..Configuration::default() };
    let a = w.app_with(ALICE, "a", records);
    let agent = w.agent(ALICE, &[Role::History]);
    for n in 1..=3 {
        w.incoming(a, n).unwrap();
        w.ended(a, n, EndReason::RemoteEnded).unwrap();
    }
    w.talking(a, 4);
    let live = id(&w, 4);
    let known = |w: &World| {
        let known = (1..=4).filter(|n| w.domain(ALICE).why(CallId(*n)).is_some());
        (known.collect::<Vec<_>>(), w.domain(ALICE).all_over().count())
    };
    let mut records = w.over(ALICE);
    records.remove(0);
    // No call of these: one that lives, and others of the same number.
    let call = w.find(ALICE, 4).unwrap();
    for (uuid, created_at, call) in [
        (call.uuid, call.created_at, live),
        (uuid(1), 1, CallId(1)),
        (uuid(9), call.created_at, CallId(1)),
        (uuid(9), 9, CallId(9)),
    ] {
        records.push(RecordId::parse(&format!("{uuid}.{created_at}.{}", call.0)).unwrap());
    }
    let other = w.caller(ALICE);
    let erased = |caller| Input::ForgetCalls { caller, records: records.clone() };
    w.refused(erased(other), Error::AccessDenied, "history");
    assert_eq!(known(&w), (vec![1, 2, 3, 4], 3));
    w.handle(erased(agent)).unwrap();
    assert_eq!(known(&w), (vec![1, 4], 1));
    w.restart(&[]);
    assert_eq!(known(&w), (vec![1, 4], 1), "nor by what is written down");
    // Their records are kept all the same, and end like any.
    assert!(w.domain(ALICE).records().count() > 0);
    for (request, ask) in w.errands(agent) {
        if matches!(ask, AgentAsk::Record { .. }) {
            w.agent_says(agent, request, AgentAnswer::default()).unwrap();
        }
    }
    assert_eq!(w.domain(ALICE).records().count(), 0);
}

#[test]
fn the_name_of_a_record_is_read_as_it_is_written() {
    let mut w = World::default();
    let records = Configuration { records: Records::Opaque, ..Configuration::default() };
    let a = w.app_with(ALICE, "a", records);
    w.incoming(a, 1).unwrap();
    w.ended(a, 1, EndReason::RemoteEnded).unwrap();
    let name = w.domain(ALICE).records().next().unwrap().id();
    assert_eq!(RecordId::parse(&name.to_string()), Some(name));
    let uuid = uuid(1);
    for wrong in
        ["".into(), format!("{uuid}"), format!("{uuid}.1"), format!("{uuid}.1.2.3"), "1.2.3".into()]
    {
        assert_eq!(RecordId::parse(&wrong), None, "{wrong}");
    }
}
