//! What each method does, one file an interface. Each parses its arguments, asks the core, and replies.

mod apps;
mod call;
mod manager;
mod provider;
pub mod standard;
