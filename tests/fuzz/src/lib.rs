//! What bytes from outside may become, and what must hold whatever they are.
//!
//! Owns one function for each way in: it takes any bytes and panics on a finding. libFuzzer drives them
//! (`tests/fuzz/run`), and an ordinary test without it (`tests/smoke.rs`). They must not depend on anything but
//! their bytes: an input that fails, fails again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod bytes;
pub mod configuration;
pub mod core;
pub mod headset;
mod ops;
pub mod router;
pub mod state;
mod values;

// The histories of the core's own tests, with their laws.
#[path = "../../../daemon/core/tests/model/mod.rs"]
mod model;
#[path = "../../../daemon/core/tests/world/mod.rs"]
mod world;

/// A way in.
pub type Target = fn(&[u8]);

/// All of them, by name: a directory of the corpus each.
pub const TARGETS: &[(&str, Target)] = &[
    ("core", core::run),
    ("router", router::run),
    ("configuration", configuration::run),
    ("state", state::run),
    ("headset", headset::run),
];
