//! Histories of the arbiter, and what must hold in all of them.
//!
//! `op` is everything that can happen, small enough to write down, and `meaning` says it to the core;
//! `harness` carries a history out, and `judge` holds every turn against laws (`observer`, `laws`) that
//! know nothing of the core's inside; `rest` is what must be true once nothing is pending; `store`
//! keeps what the arbiter writes; `reference`
//! restates arbitration much more simply.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod apps;
pub mod harness;
pub mod history;
pub mod judge;
pub mod laws;
pub mod meaning;
pub mod observer;
pub mod op;
pub mod random;
pub mod reference;
pub mod rest;
pub mod store;
