//! A map whose entries survive the arbiter: whatever may have changed one is remembered by its key.
//!
//! Owns the marks alone. What an entry looks like when it is written is [`crate::saved`]'s.

use std::{
    collections::vec_deque,
    fmt,
    ops::{Deref, RangeBounds},
};

use crate::row::{Iter, Row};

/// A map that knows which entries may differ from what was last written.
pub(crate) struct Kept<K, V> {
    map: Row<K, V>,
    changed: Vec<K>,
}

impl<K: Ord + Copy, V> Kept<K, V> {
    pub fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key)
    }

    /// An entry that is about to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let value = self.map.get_mut(key)?;
        mark(&mut self.changed, *key);
        Some(value)
    }

    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        mark(&mut self.changed, key);
        self.map.insert(key, value)
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let value = self.map.remove(key)?;
        mark(&mut self.changed, *key);
        Some(value)
    }

    pub fn pop_first(&mut self) -> Option<(K, V)> {
        let (key, value) = self.map.pop_first()?;
        mark(&mut self.changed, key);
        Some((key, value))
    }

    /// The first of those, about to change.
    pub fn find_mut(&mut self, which: impl Fn(&V) -> bool) -> Option<&mut V> {
        let (key, value) = self.map.iter_mut().find(|(_, v)| which(v))?;
        mark(&mut self.changed, *key);
        Some(value)
    }

    pub fn contains_key(&self, key: &K) -> bool {
        self.map.contains_key(key)
    }

    pub fn len(&self) -> usize {
        self.map.len()
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub fn keys(&self) -> vec_deque::Iter<'_, K> {
        self.map.keys()
    }

    pub fn values(&self) -> vec_deque::Iter<'_, V> {
        self.map.values()
    }

    pub fn iter(&self) -> Iter<'_, K, V> {
        self.map.iter()
    }

    pub fn range(&self, range: impl RangeBounds<K>) -> Iter<'_, K, V> {
        self.map.range(range)
    }

    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        self.map.last_key_value()
    }

    /// Something that is written with this entry has changed.
    pub fn mark(&mut self, key: K) {
        mark(&mut self.changed, key);
    }

    /// What may have changed since this was last emptied; a key may be there more than once.
    pub fn changed(&mut self) -> &mut Vec<K> {
        &mut self.changed
    }
}

/// One thing that survives the arbiter as a whole, and is written where it may have changed.
#[derive(Default)]
pub(crate) struct Whole<T> {
    value: T,
    changed: bool,
}

impl<T> Whole<T> {
    pub fn get(&self) -> &T {
        &self.value
    }

    /// It is about to change.
    pub fn get_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.value
    }

    /// Something that is written with it has changed.
    pub fn mark(&mut self) {
        self.changed = true;
    }

    /// Whether it may have changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

impl<T> Deref for Whole<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Whole<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// The same entry is often changed several times in a row.
fn mark<K: PartialEq>(changed: &mut Vec<K>, key: K) {
    if changed.last() != Some(&key) {
        changed.push(key);
    }
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Kept { map: Row::default(), changed: Vec::new() }
    }
}

impl<'a, K: Ord + Copy, V> IntoIterator for &'a Kept<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.map.iter()
    }
}

impl<K: Ord + fmt::Debug, V: fmt::Debug> fmt::Debug for Kept<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.map.iter()).finish()
    }
}
