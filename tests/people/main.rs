//! What the arbiter asks about people, and for them: who may disturb, which apps may call, which are started, whose
//! names are shown, and who screens them. The agent is the test's own; the one of a desktop is tried in `agent`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod consent;
mod contacts;
mod identity;
mod launch;
mod quiet;
mod screening;

/// The user is asked about every app, and any process of the user may be an agent.
const ASKING: &str = "[agents]\nunits = [\"*\"]\n";
