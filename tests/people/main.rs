//! What the arbiter asks about people, and for them: who may disturb.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod quiet;
