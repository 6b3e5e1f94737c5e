//! Maps by numbers that this process or the kernel gave out: users, connections, serials.
//!
//! Owns how such a number is hashed. Nobody outside can choose many of them, so none of the standard library's
//! protection against chosen keys is needed, which costs more than the rest of a look-up.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map by numbers of ours.
pub type ByNumber<K, V> = HashMap<K, V, BuildHasherDefault<Numbers>>;

/// Spreads a number over all bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers(u64);

/// 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Numbers {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(SPREAD);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_in_a_row_are_spread() {
        let hash = |number: u64| {
            let mut hasher = Numbers::default();
            hasher.write_u64(number);
            hasher.finish()
        };
        for shift in [0, 8, 16] {
            let hashes: Vec<u64> = (0..1024).map(|n| hash(n << shift)).collect();
            // A table takes the lowest bits for the place and the highest seven beside it.
            let places: HashSet<u64> = hashes.iter().map(|hash| hash & 1023).collect();
            let beside: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
            assert!(places.len() > 512, "{shift}: {}", places.len());
            assert!(beside.len() > 64, "{shift}: {}", beside.len());
        }
    }
}
