//! The arbiter's own restart: what was saved comes back as it was, and providers that are still there say
//! where their calls stand before anything is asked of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use std::collections::BTreeMap;

use callarbiter_core::*;
use world::*;

#[test]
fn an_empty_arbiter_comes_back() {
    let mut arbiter = Arbiter::new(settings());
    let mut keys = Vec::new();
    arbiter.take_unsaved(&mut keys);
    assert_eq!(keys.len(), 1, "{keys:?}");
    arbiter.take_unsaved(&mut keys);
    assert_eq!(keys.len(), 1, "nothing changed: {keys:?}");
    assert!(Arbiter::restore(settings(), []).is_ok());
}

#[test]
fn a_talking_call_comes_back() {
    let mut w = World::default();
    let a = w.app(ALICE, "a");
    w.talking(a, 1);
    let records = whole(&w.arbiter);
    let mut restored = Arbiter::restore(settings(), records.clone()).unwrap();
    assert_eq!(whole(&restored), records);
    let mut keys = Vec::new();
    restored.take_unsaved(&mut keys);
    assert_eq!(keys, [], "all of it is written already");
    let lost = vec![a.caller.peer];
    restored.handle(w.now, Input::Restarted { lost }, &mut Vec::new()).unwrap();
    assert!(restored.domain(ALICE).unwrap().find(of(1)).unwrap().orphaned);
}

fn whole(arbiter: &Arbiter) -> BTreeMap<Key, Vec<u8>> {
    let mut keys = Vec::new();
    arbiter.keys_after(None, usize::MAX, &mut keys);
    let record = |key: Key| {
        let mut value = Vec::new();
        assert!(arbiter.save(key, &mut value), "{key:?}");
        (key, value)
    };
    keys.into_iter().map(record).collect()
}
