//! The contract holds together: files, bindings made of them, and this crate say the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod codegen;
mod documentation;
mod files;
mod proxies;
mod wire;
