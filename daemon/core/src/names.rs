//! Which properties of an object differ: a set of names, as on the bus, in one word.
//!
//! Owns the type. Which names an object has, and when one differs, is [`crate::shown`]'s.

use std::fmt;

/// Names of properties, in the order of the table that they are from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Names {
    of: &'static [&'static str],
    set: u32,
}

impl Names {
    /// Those whose places in `of` are set.
    pub(crate) fn from_bits(of: &'static [&'static str], set: u32) -> Names {
        Names { of, set }
    }

    /// The names.
    pub fn iter(&self) -> Iter {
        Iter(*self)
    }

    /// Whether this name is one of them.
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|known| *known == name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.set.count_ones() as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.set == 0
    }
}

/// The names, one after another.
#[derive(Clone, Debug)]
pub struct Iter(Names);

impl Iterator for Iter {
    type Item = &'static &'static str;

    fn next(&mut self) -> Option<Self::Item> {
        let Names { of, set } = &mut self.0;
        let name = of.get(set.trailing_zeros() as usize)?;
        *set &= *set - 1;
        Some(name)
    }
}

impl IntoIterator for &Names {
    type Item = &'static &'static str;
    type IntoIter = Iter;

    fn into_iter(self) -> Iter {
        self.iter()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<const N: usize> PartialEq<[&str; N]> for Names {
    fn eq(&self, other: &[&str; N]) -> bool {
        self.iter().eq(other)
    }
}
