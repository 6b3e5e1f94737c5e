//! What the keeper of the history is given of a call that is over.

use callarbiter_dbus::{
    Cause, Record,
    words::{Direction, EndReason, Missed, Records, Silenced},
};

use super::*;

fn recorded(bus: &mut Bus) -> Vec<(String, Record)> {
    let asks = bus.asks().into_iter().filter(|ask| member(ask) == "Record");
    let read = |ask: Message| {
        assert_eq!(ask.header().destination().unwrap().as_str(), ":1.11");
        let (request, record, _): (String, Dict, Dict) = ask.body().deserialize().unwrap();
        (request, Record::from_dict(&record).unwrap())
    };
    asks.map(read).collect()
}

#[test]
fn a_call_that_is_over_is_given_until_it_is_kept() {
    let mut bus = Bus::new();
    let provider = bus.register(":1.100");
    let full = HashMap::from([("records", Variant::from("full"))]);
    let provider = provider.as_str();
    bus.call(":1.100", provider, names::PROVIDER, "UpdateConfiguration", &full);
    bus.incoming(":1.100", provider);
    bus.end(":1.100", provider);
    let path = OwnedObjectPath::try_from("/agent").unwrap();
    let registration = (path, vec!["history"], no_options());
    bus.call(":1.11", names::ROOT_PATH, names::MANAGER, "RegisterAgent", &registration);
    let [(request, record)] = &recorded(&mut bus)[..] else { panic!() };
    let began = record.created_at;
    assert!(began > 0 && record.ended_at >= began);
    let expected = Record {
        id: format!("{UUID}.{began}.1"),
        call: UUID.to_owned(),
        app_id: "org.example.Phone".to_owned(),
        provider_name: "Phone".to_owned(),
        direction: Direction::Incoming,
        handle: "tel:+123".to_owned(),
        display_name: "Mum".to_owned(),
        contact_id: String::new(),
        created_at: began,
        connected_at: 0,
        ended_at: record.ended_at,
        reason: EndReason::RemoteEnded,
        detail: String::new(),
        missed: Some(Missed::ShortRing),
        silenced: Silenced::No,
        emergency: false,
        has_video: false,
        records: Records::Full,
        lost: 0,
        why: record.why.clone(),
    };
    assert!(*record == expected);
    let causes: Vec<String> =
        record.why.iter().map(|cause| Cause::from_dict(cause.clone()).name).collect();
    assert_eq!(
        (causes.first().unwrap().as_str(), causes.last().unwrap().as_str()),
        ("reported", "ended")
    );
    let failed = HashMap::from([("error", Variant::from("org.example.Full"))]);
    let answer = (request, failed);
    bus.call(":1.11", names::ROOT_PATH, names::MANAGER, "AgentReply", &answer);
    assert_eq!(recorded(&mut bus).len(), 0);
    bus.wait(5);
    let [(request, again)] = &recorded(&mut bus)[..] else { panic!() };
    assert!(*again == expected);
    let answer = (request, no_options());
    let reply = bus.call(":1.11", names::ROOT_PATH, names::MANAGER, "AgentReply", &answer);
    assert_eq!(error_of(&reply), None);
    bus.wait(3600);
    assert_eq!(recorded(&mut bus).len(), 0);
}
