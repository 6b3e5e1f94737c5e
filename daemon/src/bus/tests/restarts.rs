//! A router that goes on from what another one left.

use std::collections::HashSet;

use super::*;
use crate::{
    bus::{
        peers::SavedPeer,
        permits::SavedWord,
        saved::{Life, Unusable},
    },
    store::Records,
};

const NOW: Now = Now { mono: Time(1_000_000), wall: 1_000_000 };

type Kept = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a store would have: changed by what is said to have changed, and by nothing else.
#[derive(Default)]
struct Ledger(Kept);

impl Ledger {
    fn note(&mut self, router: &mut Router) {
        self.note_at(NOW, router);
    }

    fn note_at(&mut self, now: Now, router: &mut Router) {
        let mut keys = Vec::new();
        router.take_unsaved(now, &mut keys);
        for key in keys {
            let (name, value) = record(router, key);
            match value {
                Some(value) => self.0.insert(name, value),
                None => self.0.remove(&name),
            };
        }
        assert_eq!(self.0, listed(router), "something changed and was not said to have");
    }
}

fn record(router: &Router, key: Key) -> (Vec<u8>, Option<Vec<u8>>) {
    let (mut name, mut value) = (Vec::new(), Vec::new());
    router.write_key(key, &mut name);
    let lives = router.write_value(key, &mut value);
    (name, lives.then_some(value))
}

/// All there is, by slices.
fn listed(router: &Router) -> Kept {
    let (mut all, mut keys) = (Kept::new(), Vec::new());
    let mut after = None;
    loop {
        keys.clear();
        router.keys_after(after, 3, &mut keys);
        assert!(
            keys.is_sorted() && after < keys.first().copied().or(Some(Key::Life))
                || keys.is_empty()
        );
        for key in &keys {
            let (name, value) = record(router, *key);
            assert!(
                all.insert(name, value.expect("it is listed")).is_none(),
                "{key:?} comes twice"
            );
        }
        if keys.len() < 3 {
            return all;
        }
        after = keys.last().copied();
    }
}

const HERE: &str = "0123456789abcdef0123456789abcdef";

fn bus_with_ledger() -> (Bus, Ledger) {
    let mut bus = Bus::new();
    bus.router.begin_on(HERE.to_owned(), bus.now);
    let mut ledger = Ledger::default();
    ledger.note(&mut bus.router);
    (bus, ledger)
}

impl Bus {
    /// The daemon is killed and started again, on this bus, where these connections are.
    fn restart(&mut self, bus: &str, kept: Kept, present: &[&str]) -> Result<(), Unusable> {
        let mut router = Bus::router(None);
        router.begin_on(bus.to_owned(), self.now);
        router.restore(kept, self.now)?;
        self.router = router;
        self.delivered.clear();
        let present: HashSet<String> = present.iter().map(|name| (*name).to_owned()).collect();
        let mut out = Vec::new();
        self.router.restarted(self.now, &present, &mut out);
        self.delivered = out.iter().map(|message| message.read().unwrap()).collect();
        Ok(())
    }

    fn subscribe(&mut self, sender: &str) {
        let reply = self.call(sender, names::ROOT_PATH, names::MANAGER, "Subscribe", &no_options());
        assert_eq!(error_of(&reply), None);
    }
}

#[test]
fn every_change_is_said() {
    let (mut bus, mut ledger) = bus_with_ledger();
    let objects = populated(&mut bus);
    ledger.note(&mut bus.router);
    for watcher in [":1.102", ":1.103", ":1.201"] {
        bus.subscribe(watcher);
        ledger.note(&mut bus.router);
    }
    let (call, interface) = objects.iter().find(|(_, i)| *i == names::CALL).unwrap();
    bus.get_all(":1.104", call, interface);
    ledger.note(&mut bus.router);
    let reply = bus.call(":1.102", names::ROOT_PATH, names::MANAGER, "Unsubscribe", &());
    assert_eq!(error_of(&reply), None);
    ledger.note(&mut bus.router);
    let provider = objects.iter().find(|(_, i)| *i == names::PROVIDER).unwrap().0.clone();
    bus.end(":1.100", &provider);
    ledger.note(&mut bus.router);
    for name in [":1.103", ":1.100", ":1.101", ":1.201"] {
        bus.leave(name);
        ledger.note(&mut bus.router);
    }
    bus.wait(3601);
    ledger.note(&mut bus.router);
}

#[test]
fn it_goes_on_with_everybody_who_is_still_there() {
    let (mut bus, mut ledger) = bus_with_ledger();
    let objects = populated(&mut bus);
    bus.subscribe(":1.103");
    ledger.note(&mut bus.router);
    let (epoch, kept) = (bus.router.epoch.clone(), ledger.0.clone());
    let everybody = [":1.100", ":1.101", ":1.103"];
    bus.restart(HERE, ledger.0.clone(), &everybody).unwrap();

    assert_eq!(bus.router.epoch, epoch);
    let told = bus.signals_to(":1.103");
    assert_eq!(told.iter().map(member).collect::<Vec<_>>(), ["ResyncNeeded"]);
    let asked = bus.asks();
    assert!(asked.iter().any(|ask| member(ask) == "Reconcile"));
    assert!(asked.iter().all(|ask| ask.header().destination().unwrap().as_str() == ":1.100"));
    // Nobody has to be identified again, and everything is where it was.
    for (path, interface) in &objects {
        bus.get(":1.103", path, interface, "Revision");
    }
    assert_eq!(bus.asks().len(), 0);
    ledger.note(&mut bus.router);
    let same = |key: &Vec<u8>| kept.get(key) == ledger.0.get(key);
    assert!(kept.keys().filter(|key| !same(key)).count() < kept.len() / 2);
}

#[test]
fn a_requester_without_a_subscription_hears_the_end_again() {
    let (mut bus, mut ledger) = bus_with_ledger();
    populated(&mut bus);
    let finished = |bus: &mut Bus, name: &str| {
        let signals = bus.signals_to(name);
        signals.iter().filter(|signal| member(signal) == "Finished").count()
    };
    assert_eq!(finished(&mut bus, ":1.101"), 1);
    ledger.note(&mut bus.router);
    bus.restart(HERE, ledger.0.clone(), &[":1.100", ":1.101"]).unwrap();
    assert_eq!(finished(&mut bus, ":1.101"), 1);
    // A subscriber reads it instead.
    bus.subscribe(":1.101");
    ledger.note(&mut bus.router);
    bus.restart(HERE, ledger.0, &[":1.100", ":1.101"]).unwrap();
    assert_eq!(finished(&mut bus, ":1.101"), 0);
}

#[test]
fn whoever_left_is_lost_and_on_another_bus_everybody() {
    for (bus_id, present) in [(HERE, &[":1.101", ":1.103"][..]), ("another", &[":1.100", ":1.103"])]
    {
        let (mut bus, mut ledger) = bus_with_ledger();
        let objects = populated(&mut bus);
        bus.subscribe(":1.103");
        ledger.note(&mut bus.router);
        bus.restart(bus_id, ledger.0.clone(), present).unwrap();
        assert_eq!(bus.asks().len(), 0, "its app is gone");
        let resynced = bus.signals_to(":1.103").len();
        assert_eq!(resynced, usize::from(bus_id == HERE));
        ledger.note(&mut bus.router);
        let call = &objects.iter().find(|(_, i)| *i == names::CALL).unwrap().0;
        let orphaned = bus.get(":1.104", call, names::CALL, "Orphaned");
        assert!(bool::try_from(Variant::from(orphaned)).unwrap());
        // A number is never another connection's, as long as anything has it.
        ledger.note(&mut bus.router);
        bus.restart(bus_id, ledger.0, &[":1.103", ":1.104"]).unwrap();
    }
}

#[test]
fn a_state_of_before_the_machine_was_started_is_none() {
    let (mut bus, mut ledger) = bus_with_ledger();
    populated(&mut bus);
    ledger.note(&mut bus.router);
    bus.now = Now { mono: Time(500_000), wall: bus.now.wall + 60_000_000 };
    let refused = bus.restart("another", ledger.0.clone(), &[]);
    assert!(matches!(refused, Err(Unusable::OtherBoot)), "{refused:?}");
    bus.now = Now { mono: Time(2_000_000), wall: 3_600_000_000 };
    let refused = bus.restart("another", ledger.0.clone(), &[]);
    assert!(matches!(refused, Err(Unusable::OtherBoot)), "{refused:?}");
    // On the same bus it is a clock that was set.
    bus.restart(HERE, ledger.0.clone(), &[]).unwrap();
    // The same on another, if the daemon lived to see it.
    ledger.note_at(bus.now, &mut bus.router);
    bus.restart("another", ledger.0, &[]).unwrap();
}

#[test]
fn what_was_lost_is_never_taken_for_what_is() {
    let (mut bus, mut ledger) = bus_with_ledger();
    populated(&mut bus);
    ledger.note(&mut bus.router);
    let (epoch, prefix) = (bus.router.epoch.clone(), bus.router.requests.prefix().to_owned());
    bus.restart(HERE, ledger.0.clone(), &[":1.100"]).unwrap();
    bus.router.begin_anew();
    assert_ne!(bus.router.epoch, epoch);
    assert_ne!(bus.router.requests.prefix(), prefix);
    ledger.note(&mut bus.router);
    let anew = bus.router.epoch.clone();
    bus.restart(HERE, ledger.0, &[":1.100"]).unwrap();
    assert_eq!(bus.router.epoch, anew);
}

#[test]
fn records_may_be_anything() {
    let (mut bus, mut ledger) = bus_with_ledger();
    populated(&mut bus);
    bus.subscribe(":1.103");
    ledger.note(&mut bus.router);
    let attempt = |kept: Kept| {
        let mut router = Bus::router(None);
        router.begin_on(HERE.to_owned(), Now::default());
        router.restore(kept, Now::default())
    };
    assert!(attempt(ledger.0.clone()).is_ok());
    for key in ledger.0.keys() {
        let mut without = ledger.0.clone();
        let value = without.remove(key).unwrap();
        let _ = attempt(without.clone());
        for length in 0..value.len() {
            without.insert(key.clone(), value[..length].to_vec());
            let _ = attempt(without.clone());
        }
        let newer = [&[value[0] + 1], &value[1..]].concat();
        without.insert(key.clone(), newer);
        let refused = attempt(without);
        assert!(refused.is_err_and(|why| why.is_newer()), "{key:?}");
    }
    let of_a_later_version = Kept::from([(vec![99], vec![1])]);
    assert!(attempt(of_a_later_version).is_err_and(|why| why.is_newer()));
    assert!(matches!(attempt(Kept::from([(vec![0xff], vec![1])])), Err(Unusable::Damaged(_))));
}

/// The shell's records as the first version wrote them: read by every later one.
#[test]
fn records_of_the_first_version_are_read_for_ever() {
    let bytes = |text: &str| -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|n| u8::from_str_radix(&text[n..n + 2], 16).unwrap())
            .collect()
    };
    let restored = |kept: Kept| {
        let mut router = Bus::router(None);
        router.begin_on(HERE.to_owned(), NOW);
        router.restore(kept, NOW).expect("calls would be lost in an upgrade");
        listed(&router)
    };
    let kept: Kept = FIRST.iter().map(|(key, value)| (bytes(key), bytes(value))).collect();
    let now = restored(kept.clone());
    assert_eq!(now.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>());
    assert_eq!(restored(now.clone()), now);
}

#[test]
fn the_saved_state_changes_by_the_rule() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/layout");
    let checked = callarbiter_records::layout::check(&golden, |all| {
        all.record::<Key>("the name of a record:");
        all.record::<Life>("0, the state as a whole:");
        all.record::<SavedPeer>("1, a connection:");
        all.record::<()>("2, a subscriber:");
        all.record::<String>("3, where a provider is asked:");
        all.record::<callarbiter_core::Peer>("4, who hears of the end of a transaction:");
        all.record::<String>("6, where an agent is asked:");
        all.record::<Vec<SavedWord>>("7, what a user said of apps behind walls:");
    });
    assert_eq!(checked, Ok(()));
}

const FIRST: [(&str, &str); 7] = [
    (
        "00",
        "0204203031323334353637383961626364656630313233343536373839616263646566243465373231\
         3633312d646466342d346237642d393238322d6131366532393863303836320c3930646136616330\
         37356531c0843dc0843d",
    ),
    ("0100", "0207063a312e313030000000000000"),
    ("0101", "0207063a312e313031e8070109782e736572766963650101096f72672e782e41707001012a"),
    ("0202e80701", "02"),
    ("0302e80702", "02042f617070"),
    ("0402e80703", "0201"),
    ("0503000000", "02020000"),
];
