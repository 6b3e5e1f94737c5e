//! The records in which the arbiter survives: their format, which never changes unseen, their size, and what any
//! other bytes do, which is nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod model;
mod world;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use callarbiter_core::*;
use model::{
    harness::Harness,
    random::{Rng, op, opening},
    store::{Store, whole},
};
use world::*;

type Records = BTreeMap<Key, Vec<u8>>;

/// Something of every kind of record, in the middle of things.
fn everything() -> World {
    let mut settings = settings();
    settings.policy.emergency =
        Emergency { handles: vec!["112".into()], providers: vec!["sos".into()] };
    let mut w = World::with(settings);
    let (a, b, sos) = (w.app(ALICE, "a"), w.app(ALICE, "b"), w.app(ALICE, "sos"));
    let shell = w.caller(ALICE);
    let roles = vec![Role::Ui, Role::Dnd, Role::Headset];
    w.handle(Input::TakeRoles { caller: shell, roles }).unwrap();
    let mode = DoNotDisturb::Quiet;
    let allow = vec!["sip:friend@example.org".into()];
    w.handle(Input::SetDoNotDisturb { caller: shell, mode, allow }).unwrap();
    w.handle(Input::Seats { uid: ALICE, seats: vec!["seat0".into()] }).unwrap();
    w.handle(Input::Foreground { seat: "seat0".into(), uid: Some(ALICE) }).unwrap();
    w.ended(a, 99, EndReason::RemoteEnded).unwrap();
    w.conference(a);
    w.request(ALICE, vec![mute(1, true)]).unwrap();
    w.fulfil_all(&[a]);
    let update = Update {
        handle: Some("sip:someone@example.org".into()),
        name: Some("Someone".into()),
        correlation: Some("same".into()),
        contact: Some("contact".into()),
        ..Update::default()
    };
    w.incoming_with(b, 3, update).unwrap();
    w.incoming(b, 4).unwrap();
    let tones = Action::PlayDtmf { call: of(1), tones: "12".into(), length: Millis(400) };
    w.request(ALICE, vec![tones]).unwrap();
    w.request(ALICE, vec![mute(2, true)]).unwrap();
    w.fail(a, "SetMuted");
    let actions = vec![Requested { action: answer(3), expected: Some(CallState::Ringing) }];
    let token = Some(uuid(1000));
    w.handle(Input::Request { caller: shell, actions, token }).unwrap();
    w.request(ALICE, vec![end(4)]).unwrap();
    let m = w.app(BOB, "a");
    w.talking(m, 1);
    w.lose(m);
    let agent = w.agent(ALICE, &[Role::Contacts, Role::Audio]);
    let (known, _) = w.errands(agent)[0].clone();
    let ada = AgentAnswer { name: Some("Ada".into()), ..AgentAnswer::default() };
    w.agent_says(agent, known, ada).unwrap();
    let endpoint = |id: &str| Endpoint { id: id.into(), name: id.into(), kind: "speaker".into() };
    let endpoints = vec![endpoint("one"), endpoint("two")];
    w.handle(Input::SetEndpoints { caller: agent, endpoints, current: "two".into() }).unwrap();
    w.handle(Input::ReportViolation { caller: agent, provider: b.id }).unwrap();
    let _ = sos;
    w
}

/// Something of every kind of record that is about people, in the middle of things.
fn people() -> World {
    let mut settings = Settings::default();
    settings.policy.apps.insert("a".into(), true);
    let mut w = World::with(settings);
    let roles = [Role::Dnd, Role::Launch, Role::Consent, Role::Identity, Role::Contacts];
    let agent = w.agent(ALICE, &roles);
    let a = w.app(ALICE, "a");
    let (mode, allow) = (DoNotDisturb::Refuse, vec!["tel:+49 30 1".into()]);
    w.handle(Input::SetDoNotDisturb { caller: agent, mode, allow }).unwrap();
    let from = |handle: &str| Update { handle: Some(handle.into()), ..Update::default() };
    w.incoming_with(a, 1, from("tel:2")).unwrap();
    w.incoming_with(a, 2, from("tel:+49301")).unwrap();
    let asked = w.errands(agent).pop().unwrap().0;
    let (name, contact) = (Some("Ada".into()), Some("book/1".into()));
    w.agent_says(agent, asked, AgentAnswer { name, contact, ..AgentAnswer::default() }).unwrap();
    for (app, authorization) in [("b", Authorization::Authorized), ("c", Authorization::Denied)] {
        let app = app.into();
        w.handle(Input::SetAuthorization { caller: agent, app, authorization }).unwrap();
    }
    w.app(ALICE, "d");
    w.request(ALICE, vec![start_on(3, "b")]).unwrap();
    w
}

/// A state that the first version wrote, which every later one takes for what it was. What is missing in it has its
/// default, by the rule of `callarbiter-records`; so it is never written anew. A new one is made, of another name, by
/// `CALLARBITER_GOLDEN=name`.
fn golden(name: &str, world: impl Fn() -> World) -> Arbiter {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var("CALLARBITER_GOLDEN").is_ok_and(|what| what == name) {
        let records: Vec<_> = whole(&world().arbiter).into_iter().collect();
        let mut bytes = Vec::new();
        callarbiter_records::write(&records, &mut bytes);
        std::fs::write(&path, bytes).unwrap();
    }
    let bytes = std::fs::read(path).unwrap();
    let records: Vec<(Key, Vec<u8>)> = callarbiter_records::read(&bytes).unwrap();
    let restored = Arbiter::restore(settings(), records).unwrap_or_else(|why| {
        panic!("the state {name} of the first version is not read any more ({why}): calls would be lost in an upgrade")
    });
    let again = Arbiter::restore(settings(), whole(&restored)).unwrap();
    assert!(whole(&again) == whole(&restored), "what is restored is not what is written of it");
    restored
}

#[test]
fn what_the_first_version_knew_of_people_is_read_for_ever() {
    let restored = golden("first-people", people);
    let domain = restored.domain(ALICE).unwrap();
    let call = domain.find(of(2)).unwrap();
    assert_eq!((call.shown_name().reveal(), call.name_source()), ("Ada", "contacts"));
    assert_eq!(call.known.as_ref().unwrap().id.reveal(), "book/1");
    assert_eq!(domain.find(of(3)).unwrap().state, CallState::Launching);
    let mut w = World::with(Settings::default());
    w.arbiter = restored;
    w.now.mono = Time(2_000_000);
    w.handle(Input::Settings(Box::default())).unwrap();
    w.handle(Input::Restarted { lost: vec![], again: false }).unwrap();
    let asked = |e: &Effect| match e {
        Effect::AskAgent { ask, .. } => Some(ask.role()),
        _ => None,
    };
    let asked: Vec<Role> = w.effects.iter().filter_map(asked).collect();
    let again = [Role::Consent, Role::Contacts, Role::Launch];
    assert_eq!(asked, again, "what was open is asked again, in its order");
    w.app(ALICE, "b");
    let c = w.app(ALICE, "c");
    assert_eq!(w.domain(ALICE).provider(c.id).unwrap().authorization, Authorization::Denied);
    assert_eq!(w.state_of(ALICE, 3), CallState::Starting);
}

#[test]
fn the_first_version_is_read_for_ever() {
    let restored = golden("first", everything);
    let domain = restored.domain(ALICE).unwrap();
    let states: Vec<_> = domain.calls().map(|c| (c.uuid, c.state)).collect();
    use CallState::*;
    let told = [(1, Active), (2, Active), (3, Answering), (4, Ending)];
    assert_eq!(states, told.map(|(n, state)| (uuid(n), state)));
    let call = domain.find(of(3)).unwrap();
    assert_eq!(call.handle.reveal(), "sip:someone@example.org");
    assert_eq!((call.name.reveal(), call.contact.reveal()), ("Someone", "contact"));
    assert_eq!(call.reason, "answered here");
    assert!(domain.find(of(1)).unwrap().muted);
    assert_eq!(domain.do_not_disturb(), DoNotDisturb::Quiet);
    let audio = domain.audio();
    assert_eq!((audio.endpoints.len(), &*audio.endpoint), (2, "two"));
    assert!(restored.domain(BOB).unwrap().find(of(1)).unwrap().orphaned);
}

#[test]
fn what_a_later_version_wrote_is_told_apart_from_damage() {
    let records = whole(&everything().arbiter);
    for key in records.keys() {
        let mut newer = records.clone();
        newer.get_mut(key).unwrap()[0] += 1;
        let why = Arbiter::restore(settings(), newer).unwrap_err();
        assert!(
            why.is_newer() && why.to_string().contains("a later version of the arbiter wrote it"),
            "{why}"
        );
        let mut shorter = records.clone();
        shorter.get_mut(key).unwrap().pop();
        let why = Arbiter::restore(settings(), shorter).unwrap_err();
        assert!(!why.is_newer(), "{why}");
        assert!(!why.to_string().contains("someone"), "{why}");
    }
}

/// A turn writes what it changed, however much else there is.
#[test]
fn an_answer_writes_little() {
    let mut settings = settings();
    settings.limits.groups_per_provider = 200;
    let mut w = World::with(settings);
    let mut store = Store::default();
    let a = w.app(ALICE, "a");
    for n in 100..200 {
        let word = Word::Live {
            uuid: uuid(n),
            direction: Direction::Incoming,
            state: CallState::Held,
            update: Update::default(),
        };
        w.say(a, word).unwrap();
    }
    let update = Update {
        handle: Some("sip:someone.with.a.name@subdomain.example.org".into()),
        name: Some("Someone With A Name".into()),
        ..Update::default()
    };
    w.incoming_with(a, 1, update).unwrap();
    store.append(&mut w.arbiter, true);
    let shell = w.caller(ALICE);
    let actions = vec![Requested { action: answer(1), expected: None }];
    w.handle(Input::Request { caller: shell, actions, token: None }).unwrap();
    let first = store.append(&mut w.arbiter, true);
    w.fulfil(a, "Answer");
    let second = store.append(&mut w.arbiter, true);
    w.fulfil(a, "AudioActivated");
    let third = store.append(&mut w.arbiter, true);
    println!("answer: {first} + {second} + {third} bytes");
    assert!(first + second < 1024, "{first} + {second}");
    assert!(third < 256, "{third}");
}

/// Bytes that nobody wrote so: refused, or an arbiter that is as sound as any.
#[test]
fn any_bytes_are_refused_or_sound() {
    let number = std::env::var("CALLARBITER_HISTORIES").map(|n| n.parse().expect("a number"));
    let (mut refused, mut taken) = (0, 0);
    for seed in 0..number.unwrap_or(300) {
        let mut rng = Rng(seed);
        let (older, present) = two_moments(&mut rng);
        for _ in 0..8 {
            let mut records = present.clone();
            for _ in 0..1 + rng.below(3) {
                damage(&mut rng, &mut records, &older);
            }
            let lives = AssertUnwindSafe(|| {
                let restored = Arbiter::restore(settings(), records.clone());
                restored.map(|arbiter| goes_on(&mut rng, arbiter))
            });
            match catch_unwind(lives) {
                Ok(Err(_)) => refused += 1,
                Ok(Ok(())) => taken += 1,
                Err(_) => {
                    let damaged = records.iter().filter(|r| present.get(r.0) != Some(r.1));
                    panic!("seed {seed}: {:?}", damaged.map(|r| r.0).collect::<Vec<_>>());
                }
            }
        }
    }
    println!("{refused} refused, {taken} taken");
    assert!(refused > 0 && taken > 0);
}

#[test]
fn noise_is_refused() {
    let mut rng = Rng(1);
    let keys: Vec<Key> = whole(&everything().arbiter).into_keys().collect();
    for _ in 0..20_000 {
        let length = rng.below(64);
        let mut value: Vec<u8> = (0..length).map(|_| rng.next() as u8).collect();
        if let Some(version) = value.first_mut() {
            *version = callarbiter_records::VERSION;
        }
        let key = rng.pick(&keys);
        let _ = Arbiter::restore(settings(), [(key, value)]);
    }
}

/// The records of one random history at two of its moments.
fn two_moments(rng: &mut Rng) -> (Records, Records) {
    let mut harness = Harness::default();
    let (theme, first) = opening(rng);
    first.iter().for_each(|op| harness.apply(op));
    let mut older = Records::new();
    for at in 0..30 {
        let next = op(rng, theme, &harness.view());
        harness.apply(&next);
        if at == 20 {
            older = whole(&harness.world.arbiter);
        }
    }
    (older, whole(&harness.world.arbiter))
}

fn damage(rng: &mut Rng, records: &mut Records, older: &Records) {
    let keys: Vec<Key> = records.keys().copied().collect();
    let key = rng.pick(&keys);
    let value = records.get_mut(&key).unwrap();
    match rng.below(6) {
        0..3 if !value.is_empty() => {
            let at = rng.below(value.len() as u64) as usize;
            value[at] ^= 1 << rng.below(8);
        }
        3 => drop(records.remove(&key)),
        4 => {
            let other = rng.pick(&keys);
            let taken = records[&other].clone();
            records.insert(key, taken);
        }
        // A record that is whole, and of another time.
        _ => match older.get(&key) {
            Some(old) => *value = old.clone(),
            None => drop(records.remove(&key)),
        },
    }
}

/// Apps answer, deadlines pass, and it comes to rest.
fn goes_on(rng: &mut Rng, arbiter: Arbiter) {
    let mut w = World::default();
    w.arbiter = arbiter;
    w.now.mono = Time(120_000_000);
    let peers = w.arbiter.domains().flat_map(|d| d.providers()).filter_map(|p| p.peer);
    let mut lost: Vec<Peer> = peers.filter(|_| rng.one_in(4)).collect();
    // Nobody answers for agents, and whoever keeps the history would be asked for ever.
    lost.extend(w.arbiter.domains().filter_map(|d| d.holder(Role::History)));
    w.handle(Input::Restarted { lost, again: false }).unwrap();
    for turn in 0..500 {
        let uids: Vec<Uid> = w.arbiter.domains().map(|d| d.uid()).collect();
        let asked = uids.iter().find_map(|uid| Some((*uid, w.take(*uid, |_| true)?)));
        match asked {
            Some((uid, asked)) if turn < 100 && !rng.one_in(5) => {
                let domain = w.arbiter.domain(uid).unwrap();
                let peer = domain.provider(asked.provider).and_then(|p| p.peer);
                let caller = Caller {
                    uid,
                    peer: peer.unwrap_or(Peer(0)),
                    sandboxed: false,
                    control: true,
                    place_call: true,
                    agent: true,
                };
                let app = App { id: asked.provider, caller };
                let how = rng.pick(&[model::op::How::Fulfil, model::op::How::Fail]);
                let _ = w.say(app, model::meaning::answer(&asked, how));
            }
            _ => match w.arbiter.next_deadline() {
                Some((at, _)) => {
                    w.move_to(at.max(w.now.mono));
                    w.handle(Input::Tick).unwrap();
                }
                None => return,
            },
        }
    }
    assert_eq!(w.arbiter.next_deadline(), None, "it never comes to rest");
}
