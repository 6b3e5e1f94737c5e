//! Parking, and what an identity is worth.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::collections::BTreeSet;

use super::*;
use crate::bus::tests::received;
use callarbiter_identity::Sandbox;

fn call(n: usize) -> Parked {
    let call = Message::method_call("/", "Ping").sender(":1.5").build(&vec![0u8; n]);
    Parked::Call(received(&call.unwrap()))
}

#[test]
fn parks_in_order_and_asks_once() {
    let mut peers = Peers::default();
    let (first, second) = (call(1), call(2));
    let Admission::Parked(Some(question)) = peers.admit(":1.5", first.clone()) else { panic!() };
    assert!(matches!(peers.admit(":1.5", second.clone()), Admission::Parked(None)));
    let credentials = HashMap::from([("UnixUserID", Variant::from(1000u32))]);
    let answer = Message::method_return(&question.header()).build(&credentials).unwrap();
    let serial = question.primary_header().serial_num();
    let identified = peers.answered(serial, &answer, &Permits::default()).unwrap();
    let Identified::Walled(name, None) = identified else { panic!("nothing is known, so trusted") };
    assert!(matches!(peers.admit(":1.5", first.clone()), Admission::Parked(None)));
    let (client, parked) = peers.let_in(&name, Granted::default(), &Permits::default()).unwrap();
    assert_eq!(client.caller.uid, Uid(1000));
    assert!(client.caller.sandboxed && !client.sees_all());
    let sizes: Vec<usize> = parked.iter().map(Parked::bytes).collect();
    assert_eq!(sizes, [&first, &second, &first].map(Parked::bytes));
    assert_eq!(peers.parked, Accounts::default());
    assert!(
        peers.let_in(&name, Granted::default(), &Permits::default()).is_none(),
        "it is decided once"
    );
    assert!(matches!(peers.admit(":1.5", first.clone()), Admission::Known(_)));
    assert!(peers.answered(serial, &answer, &Permits::default()).is_none());
}

#[test]
fn refuses_what_is_too_much_before_it_knows_who() {
    let mut peers = Peers::default();
    for _ in 0..admission::PARKED_PER_PEER {
        assert!(matches!(peers.admit(":1.5", call(1)), Admission::Parked(_)));
    }
    assert!(matches!(peers.admit(":1.5", call(1)), Admission::Refused));
    assert!(peers.left(":1.5").is_none());
    assert_eq!(peers.parked, Accounts::default());
}

/// A provider's ringtone comes with its registration, once.
#[test]
fn one_file_of_each_waits() {
    let mut peers = Peers::default();
    let file = std::fs::File::open("/dev/null").unwrap();
    let file = zbus::Fd::from(std::os::fd::OwnedFd::from(file));
    let with_file = Message::method_call("/", "Ping").sender(":1.5").build(&file).unwrap();
    let with_file = Parked::Call(received(&with_file));
    for name in [":1.5", ":1.6"] {
        assert!(matches!(peers.admit(name, call(1)), Admission::Parked(_)));
        assert!(matches!(peers.admit(name, with_file.clone()), Admission::Parked(_)));
        assert!(matches!(peers.admit(name, with_file.clone()), Admission::Refused));
        assert!(matches!(peers.admit(name, call(1)), Admission::Parked(_)));
    }
}

#[test]
fn a_flood_of_strangers_keeps_nobody_out() {
    let mut peers = Peers::default();
    let mut refused = 0;
    for n in 0..2 * admission::PARKED / admission::PARKED_PER_PEER {
        let name = UniqueName::try_from(format!(":1.{n}")).unwrap();
        for _ in 0..admission::PARKED_PER_PEER {
            refused += usize::from(matches!(peers.admit(&name, call(1)), Admission::Refused));
        }
    }
    assert!(refused > 0);
    let late = UniqueName::try_from(":2.1").unwrap();
    assert!(matches!(peers.admit(&late, call(1)), Admission::Parked(Some(_))));
    assert!(matches!(peers.admit(&late, call(1)), Admission::Refused));
    let large = UniqueName::try_from(":2.2").unwrap();
    let large_call = call(admission::PARKED_FIRST_BYTES);
    assert!(matches!(peers.admit(&large, large_call), Admission::Refused));
}

#[test]
fn nobody_is_heard_after_it_left() {
    let mut peers = Peers::default();
    let Admission::Parked(Some(question)) = peers.admit(":1.5", call(1)) else { panic!() };
    peers.left(":1.5");
    let credentials = HashMap::from([("UnixUserID", Variant::from(1000u32))]);
    let answer = Message::method_return(&question.header()).build(&credentials).unwrap();
    let serial = question.primary_header().serial_num();
    let identified = peers.answered(serial, &answer, &Permits::default());
    assert!(matches!(identified, Some(Identified::Nobody)));
}

#[test]
fn who_comes_back_is_judged_by_the_rules_of_the_day() {
    let before = Access {
        agent_units: BTreeSet::from(["panel.service".to_owned()]),
        controllers: BTreeSet::from(["org.x.Panel".to_owned()]),
        ..Access::default()
    };
    let judged = |access: &Access, sandboxed: bool, granted: bool| {
        let mut peers = Peers::default();
        let saved = SavedPeer {
            name: ":1.5".to_owned(),
            uid: Uid(1000),
            unit: Some("panel.service".to_owned()),
            sandboxed,
            app: Some("org.x.Panel".to_owned()),
            granted,
            pid: None,
            places: false,
        };
        peers.restore(Peer(7), saved, access).unwrap();
        peers.judge_again(&Permits::new(access.clone()));
        let client = peers.client(Peer(7)).unwrap();
        assert_eq!(peers.name(Peer(7)).unwrap().as_str(), ":1.5");
        (client.caller.agent, client.caller.control)
    };
    let after = Access::default();
    assert_eq!(judged(&before, false, false), (true, true));
    assert_eq!(judged(&after, false, false), (false, true));
    assert_eq!(judged(&before, true, false), (false, true));
    assert_eq!(judged(&after, true, false), (false, false));
    assert_eq!(judged(&after, true, true), (false, true), "polkit said so");
    let mut peers = Peers::default();
    let nameless = SavedPeer {
        name: "org.x".to_owned(),
        uid: Uid(1),
        unit: None,
        sandboxed: false,
        app: None,
        granted: false,
        pid: None,
        places: false,
    };
    assert!(peers.restore(Peer(7), nameless, &after).is_none());
}

#[test]
fn a_wall_keeps_from_roles_and_from_others_unless_the_administrator_says_so() {
    let name: OwnedUniqueName = UniqueName::try_from(":1.5").unwrap().into();
    let access = Access {
        agent_units: BTreeSet::from(["callarbiter-agent.service".to_owned()]),
        agents_anywhere: false,
        controllers: BTreeSet::from(["org.x.Panel".to_owned()]),
        ..Access::default()
    };
    let who = |identity: &Identity| {
        let mut client = client(Peer(0), Uid(1), name.clone(), identity, &access);
        client.judge(&Permits::new(access.clone()));
        client
    };
    let agent =
        Identity { unit: Some("callarbiter-agent.service".to_owned()), ..Identity::default() };
    assert!(who(&agent).caller.agent && who(&agent).sees_all());
    assert!(!who(&Identity::default()).caller.agent);
    let panel = Identity {
        sandbox: Some(Sandbox::Flatpak),
        app: Some("org.x.Panel".to_owned()),
        ..Identity::default()
    };
    assert!(who(&panel).sees_all() && !who(&panel).caller.agent);
    assert!(!who(&Identity { app: None, ..panel }).sees_all());
}
