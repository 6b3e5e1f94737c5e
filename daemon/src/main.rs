//! The daemon.
mod bus {
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Access {
        pub agent_units: std::collections::BTreeSet<String>,
        pub agents_anywhere: bool,
        pub controllers: std::collections::BTreeSet<String>,
    }
}
mod cli;
mod config;
#[cfg(feature = "embedded")]
mod embedded;
mod log;
mod platform;
fn main() {}
