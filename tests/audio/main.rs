//! Audio priority on real sound servers, measured where it is heard: at the loudspeaker and in recordings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod caller;
mod crashes;
#[path = "../agent/desk.rs"]
#[expect(dead_code, reason = "the tests of the agent's other parts have uses for all of it")]
mod desk;
mod endpoints;
mod priority;
mod scene;
mod sound;

/// The same tests on every server.
macro_rules! on {
    ($server:ident, $kind:ident: $($part:ident: [$($test:ident)*])*) => {
        mod $server {
            use crate::{$($part),*, sound::Kind};

            $($(
                #[tokio::test]
                async fn $test() -> anyhow::Result<()> {
                    $part::$test(Kind::$kind).await
                }
            )*)*
        }
    };
}

on!(wireplumber_0_5, New:
    priority: [
        music_is_quiet_in_a_call_and_as_loud_as_before_after_it
        music_that_begins_when_a_call_ends_is_heard
        who_is_held_is_not_heard_and_hears_nothing
        a_muted_call_speaks_into_silence
        who_streams_without_the_session_is_named
        from_the_grant_to_quiet
        without_a_call_the_agent_sleeps
    ]
    crashes: [
        the_agent_is_killed
        the_agent_ends_in_a_call
        the_arbiter_is_killed
        the_session_manager_is_killed
        a_call_ends_without_the_session_manager
        all_three_are_killed
        the_server_is_killed
        a_server_that_comes_late_is_used
        a_stream_that_cannot_be_quiet_is_said
    ]
    endpoints: [
        a_call_is_heard_where_the_user_chose
        the_choice_is_there_for_the_next_call_and_agent
        an_output_that_is_pulled_out_in_a_call
    ]
);

on!(wireplumber_0_4, Old:
    priority: [
        music_is_quiet_in_a_call_and_as_loud_as_before_after_it
        music_that_begins_when_a_call_ends_is_heard
        who_is_held_is_not_heard_and_hears_nothing
        a_muted_call_speaks_into_silence
    ]
    crashes: [
        the_agent_is_killed
        the_arbiter_is_killed
        the_session_manager_is_killed_and_all_is_started_again
        the_server_is_killed
        a_server_that_comes_late_is_used
    ]
    endpoints: [
        a_call_is_heard_where_the_user_chose
        the_choice_is_there_for_the_next_call_and_agent
        an_output_that_is_pulled_out_in_a_call
        it_rings_and_is_heard_where_the_user_prefers
    ]
);

on!(pulseaudio, Pulse:
    priority: [
        music_is_quiet_in_a_call_and_as_loud_as_before_after_it
        who_is_held_is_not_heard_and_hears_nothing
        a_muted_call_speaks_into_silence
        from_the_grant_to_quiet
    ]
    crashes: [
        the_agent_is_killed
        the_agent_ends_in_a_call
        the_arbiter_is_killed
        the_server_is_killed
        a_server_that_comes_late_is_used
        a_microphone_that_is_turned_on_again_is_said
    ]
    endpoints: [
        a_call_is_heard_where_the_user_chose
        the_choice_is_there_for_the_next_call_and_agent
        an_output_that_is_pulled_out_in_a_call
        it_rings_and_is_heard_where_the_user_prefers
    ]
);
