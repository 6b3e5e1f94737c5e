//! All orders of any three operations, from situations that matter: short enough to be exhaustive.
//!
//! Owns the situations and the operations. The laws are the model's; after each triple the history is
//! ended and nothing may be left pending.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod model;
mod world;
