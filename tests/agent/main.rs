//! The agent in a session: real players and a real notification server on a private bus, real daemon, no screen.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod apps;
mod consent;
mod contacts;
mod desk;
mod dunst;
mod gnome;
mod headset;
mod history;
mod identity;
mod kept;
mod launch;
mod links;
mod lists;
mod machine;
mod manager;
mod missed;
mod mpris;
mod notifications;
mod own_ringtone;
mod pictures;
mod plain;
mod players;
mod power;
mod preferences;
mod program;
mod quiet;
mod recalled;
mod replaced;
mod ringing;
mod screen;
mod screened;
mod servers;
mod shell;
mod speakers;
mod window;
