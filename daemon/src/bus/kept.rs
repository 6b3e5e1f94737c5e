//! A map whose entries outlive the process: each entry that may have changed is remembered by its key.
//!
//! Owns the marks alone. What an entry looks like when it is written is [`super::saved`]'s.

use std::{collections::BTreeMap, ops::RangeBounds};

/// A `BTreeMap` that knows which entries may differ from what was last written.
#[derive(Debug)]
pub struct Kept<K, V> {
    map: BTreeMap<K, V>,
    changed: Vec<K>,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Kept { map: BTreeMap::new(), changed: Vec::new() }
    }
}

impl<K: Ord + Copy, V> Kept<K, V> {
    pub fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key)
    }

    pub fn insert(&mut self, key: K, value: V) {
        self.changed.push(key);
        self.map.insert(key, value);
    }

    /// Only where there is none.
    pub fn insert_first(&mut self, key: K, value: V) {
        if !self.map.contains_key(&key) {
            self.insert(key, value);
        }
    }

    pub fn remove(&mut self, key: &K) {
        if self.map.remove(key).is_some() {
            self.changed.push(*key);
        }
    }

    pub fn remove_where(&mut self, which: impl Fn(&V) -> bool) {
        let changed = &mut self.changed;
        self.map.retain(|key, value| {
            let goes = which(value);
            if goes {
                changed.push(*key);
            }
            !goes
        });
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.map.keys()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.map.iter()
    }

    pub fn range(&self, range: impl RangeBounds<K>) -> impl Iterator<Item = (&K, &V)> {
        self.map.range(range)
    }

    /// An entry as it was written.
    pub fn restore(&mut self, key: K, value: V) {
        self.map.insert(key, value);
    }

    /// The keys of what may have changed since this was last emptied, some perhaps twice.
    pub fn changed(&mut self) -> &mut Vec<K> {
        &mut self.changed
    }
}
