//! A map of few entries, in the order of their keys: two rows, one of keys and one of values.
//!
//! Owns where an entry stands. Most keys here are numbers that grow: what is new comes last, what goes is one of the
//! first, and what is asked for is one of the last. Then nothing is moved, a search looks at a few neighbouring keys
//! however large the values are, and there is less of it in machine code than of a tree. Not for many entries whose
//! keys come in any order: each moves half of what is before or behind it.

use std::{
    cmp::Ordering,
    collections::{VecDeque, vec_deque},
    iter::Zip,
    ops::{Bound, RangeBounds},
};

/// A sorted map.
#[derive(Debug)]
pub(crate) struct Row<K, V> {
    keys: VecDeque<K>,
    values: VecDeque<V>,
}

pub(crate) type Iter<'a, K, V> = Zip<vec_deque::Iter<'a, K>, vec_deque::Iter<'a, V>>;

/// Room that is kept for new entries although there are few.
const SPARE: usize = 16;

impl<K: Ord, V> Row<K, V> {
    pub fn get(&self, key: &K) -> Option<&V> {
        self.values.get(self.find(key).ok()?)
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key).ok()?;
        self.values.get_mut(at)
    }

    pub fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }

    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => self.values.get_mut(at).map(|old| std::mem::replace(old, value)),
            Err(at) => {
                self.make_room();
                self.keys.insert(at, key);
                self.values.insert(at, value);
                None
            }
        }
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find(key).ok()?;
        self.keys.remove(at);
        let value = self.values.remove(at);
        self.give_back();
        value
    }

    pub fn pop_first(&mut self) -> Option<(K, V)> {
        let first = self.keys.pop_front().zip(self.values.pop_front());
        self.give_back();
        first
    }

    pub fn first_key(&self) -> Option<&K> {
        self.keys.front()
    }

    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        self.keys.back().zip(self.values.back())
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub fn keys(&self) -> vec_deque::Iter<'_, K> {
        self.keys.iter()
    }

    pub fn values(&self) -> vec_deque::Iter<'_, V> {
        self.values.iter()
    }

    pub fn iter(&self) -> Iter<'_, K, V> {
        self.keys.iter().zip(self.values.iter())
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.keys.iter().zip(self.values.iter_mut())
    }

    pub fn range(&self, range: impl RangeBounds<K>) -> Iter<'_, K, V> {
        let before = |key: &K| self.keys.partition_point(|k| k < key);
        let through = |key: &K| self.keys.partition_point(|k| k <= key);
        let from = match range.start_bound() {
            Bound::Included(key) => before(key),
            Bound::Excluded(key) => through(key),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(key) => through(key),
            Bound::Excluded(key) => before(key),
            Bound::Unbounded => self.len(),
        };
        let within = from..to.max(from);
        self.keys.range(within.clone()).zip(self.values.range(within))
    }

    /// Where it is, or would be.
    fn find(&self, key: &K) -> Result<usize, usize> {
        match self.keys.back().map(|last| key.cmp(last)) {
            None | Some(Ordering::Greater) => Err(self.len()),
            Some(Ordering::Equal) => Ok(self.len() - 1),
            Some(Ordering::Less) => self.find_before_last(key),
        }
    }

    #[inline(never)]
    fn find_before_last(&self, key: &K) -> Result<usize, usize> {
        match self.keys.front().map(|first| key.cmp(first)) {
            None | Some(Ordering::Less) => Err(0),
            Some(Ordering::Equal) => Ok(0),
            Some(Ordering::Greater) => self.keys.binary_search(key),
        }
    }

    /// A quarter more, since values are large.
    fn make_room(&mut self) {
        let len = self.values.len();
        if len == self.values.capacity() {
            let more = len / 4 + 4;
            self.keys.reserve_exact(more);
            self.values.reserve_exact(more);
        }
    }

    /// What many entries needed is not kept for few.
    fn give_back(&mut self) {
        let len = self.values.len();
        if len + SPARE < self.values.capacity() / 4 {
            self.keys.shrink_to(len + SPARE);
            self.values.shrink_to(len + SPARE);
        }
    }
}

impl<K, V> Default for Row<K, V> {
    fn default() -> Self {
        Row { keys: VecDeque::new(), values: VecDeque::new() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        collections::BTreeMap,
        ops::Bound::{Excluded, Included, Unbounded},
    };

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What a tree answers.
        #[test]
        fn is_a_map(changes in prop::collection::vec((0u8..5, 0u8..80), 0..400)) {
            let (mut row, mut tree) = (Row::default(), BTreeMap::new());
            for (number, (change, key)) in changes.into_iter().enumerate() {
                match change {
                    0..3 => prop_assert_eq!(row.insert(key, number), tree.insert(key, number)),
                    3 => prop_assert_eq!(row.remove(&key), tree.remove(&key)),
                    _ => prop_assert_eq!(row.pop_first(), tree.pop_first()),
                }
                prop_assert!(row.iter().eq(tree.iter()));
                prop_assert!(row.keys().eq(tree.keys()) && row.values().eq(tree.values()));
                prop_assert_eq!(row.get(&key), tree.get(&key));
                prop_assert_eq!(row.contains_key(&key), tree.contains_key(&key));
                prop_assert_eq!(row.first_key(), tree.keys().next());
                prop_assert_eq!(row.last_key_value(), tree.last_key_value());
                prop_assert_eq!((row.len(), row.is_empty()), (tree.len(), tree.is_empty()));
                for range in [
                    (Excluded(key), Unbounded),
                    (Included(key), Unbounded),
                    (Unbounded, Excluded(key)),
                    (Included(key / 2), Included(key)),
                ] {
                    prop_assert!(row.range(range).eq(tree.range(range)));
                }
            }
        }
    }

    #[test]
    fn gives_back_what_many_needed() {
        let mut row = Row::default();
        for n in 0..1000 {
            row.insert(n, n);
        }
        assert!(row.values.capacity() < 1300);
        while row.len() > 10 {
            row.pop_first();
        }
        assert!(row.values.capacity() < 200, "{}", row.values.capacity());
    }
}
