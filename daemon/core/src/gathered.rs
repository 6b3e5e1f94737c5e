//! Maps and sets of what an iterator gives, in as little machine code as there can be.
//!
//! Owns nothing but this one function, for this program's other crates too.

/// As `collect` into a map or set, which sorts first: 5 KiB of machine code for each type, to be quick where there
/// are many. There are never many here.
pub fn gathered<T, C: Default + Extend<T>>(items: impl IntoIterator<Item = T>) -> C {
    let mut all = C::default();
    all.extend(items);
    all
}
