//! Audio priority on real sound servers, measured where it is heard: at the loudspeaker and in recordings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod caller;
#[path = "../agent/desk.rs"]
#[expect(dead_code, reason = "the tests of the agent's other parts have uses for all of it")]
mod desk;
mod priority;
mod sound;

/// The same tests on every server. WirePlumber 0.4 does not link again what played when it was killed, agent or
/// not.
macro_rules! on {
    ($server:ident, $kind:ident: $($test:ident)*) => {
        mod $server {
            use crate::{priority, sound::Kind};

            $(
                #[tokio::test]
                async fn $test() -> anyhow::Result<()> {
                    priority::$test(Kind::$kind).await
                }
            )*
        }
    };
}

on!(wireplumber_0_5, New:
    music_is_quiet_in_a_call_and_as_loud_as_before_after_it
    who_is_held_is_not_heard_and_hears_nothing
    a_muted_call_speaks_into_silence
    the_agent_is_killed
    the_agent_ends_in_a_call
    the_arbiter_is_killed
    the_session_manager_is_killed
    a_server_that_comes_late_is_used
    who_streams_without_the_session_is_named
    from_the_grant_to_quiet
    without_a_call_the_agent_sleeps
);

on!(wireplumber_0_4, Old:
    music_is_quiet_in_a_call_and_as_loud_as_before_after_it
    who_is_held_is_not_heard_and_hears_nothing
    a_muted_call_speaks_into_silence
    the_agent_is_killed
    a_server_that_comes_late_is_used
);

on!(pulseaudio, Pulse:
    music_is_quiet_in_a_call_and_as_loud_as_before_after_it
    who_is_held_is_not_heard_and_hears_nothing
    a_muted_call_speaks_into_silence
    the_agent_is_killed
    the_agent_ends_in_a_call
    a_server_that_comes_late_is_used
    from_the_grant_to_quiet
);
