//! What the shell's store does, in memory: records that changed are written over the old ones.
//!
//! Owns the comparison of an arbiter with the one that comes back from them.

use std::collections::BTreeMap;

use callarbiter_core::*;

/// The records as they would be read after a crash.
#[derive(Default)]
pub struct Store {
    records: BTreeMap<Key, Vec<u8>>,
    keys: Vec<Key>,
}

impl Store {
    /// After each input; how many bytes it wrote. Thoroughly: nothing is missing that changed, so what would come back
    /// after a crash at this moment is what is there.
    pub fn append(&mut self, arbiter: &mut Arbiter, thorough: bool) -> usize {
        let mut written = 0;
        self.keys.clear();
        arbiter.take_unsaved(&mut self.keys);
        assert!(self.keys.is_sorted_by(|a, b| a < b), "a key twice: {:?}", self.keys);
        for key in &self.keys {
            let mut value = Vec::new();
            // A key is a few bytes more.
            let kept = arbiter.save(*key, &mut value);
            written += value.len() + 4;
            if kept {
                self.records.insert(*key, value);
            } else {
                assert!(value.is_empty());
                self.records.remove(key);
            }
        }
        if thorough {
            compare(&self.records, &whole(arbiter));
            self.restored(arbiter);
        }
        written
    }

    /// The arbiter that comes back, the same as the one that wrote.
    pub fn reload(&mut self, arbiter: &mut Arbiter) -> Arbiter {
        self.append(arbiter, false);
        compare(&self.records, &whole(arbiter));
        self.restored(arbiter)
    }

    fn restored(&mut self, arbiter: &Arbiter) -> Arbiter {
        let settings = arbiter.settings().clone();
        let restored = Arbiter::restore(settings, self.records.clone());
        let mut restored = restored.unwrap_or_else(|why| panic!("not restored: {why}"));
        compare(&self.records, &whole(&restored));
        assert_eq!(restored.next_deadline(), arbiter.next_deadline());
        for domain in arbiter.domains() {
            let back = restored.domain(domain.uid()).expect("each domain");
            assert_eq!(dump(back), dump(domain), "restored otherwise");
        }
        self.keys.clear();
        restored.take_unsaved(&mut self.keys);
        assert_eq!(self.keys, [], "all of it was written already");
        restored
    }
}

fn compare(written: &BTreeMap<Key, Vec<u8>>, real: &BTreeMap<Key, Vec<u8>>) {
    let stale: Vec<&Key> =
        written.iter().filter(|r| real.get(r.0) != Some(r.1)).map(|r| r.0).collect();
    let missing: Vec<&Key> = real.keys().filter(|key| !written.contains_key(key)).collect();
    assert!(stale.is_empty() && missing.is_empty(), "stale: {stale:?}, missing: {missing:?}");
}

/// All records, in slices of different lengths.
pub fn whole(arbiter: &Arbiter) -> BTreeMap<Key, Vec<u8>> {
    let mut keys = Vec::new();
    let mut slice = 1;
    loop {
        let (from, last) = (keys.len(), keys.last().copied());
        arbiter.keys_after(last, slice, &mut keys);
        assert!(keys.len() <= from + slice, "a longer slice than was wanted");
        if keys.len() < from + slice {
            break;
        }
        slice = slice % 7 + 1;
    }
    assert!(keys.is_sorted_by(|a, b| a < b), "keys out of order: {keys:?}");
    let record = |key: Key| {
        let mut value = Vec::new();
        assert!(arbiter.save(key, &mut value), "{key:?} has no value");
        (key, value)
    };
    keys.into_iter().map(record).collect()
}

/// All that a domain is, but for the clock and what its last turn did.
fn dump(domain: &Domain) -> String {
    let all = format!("{domain:?}");
    let (state, _) = all.split_once(" turn: Turn {").expect("the field `turn`");
    let (before, rest) = state.split_once(" now: Now {").expect("the field `now`");
    let (_, after) = rest.split_once("},").expect("its end");
    format!("{before}{after}")
}
