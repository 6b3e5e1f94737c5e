//! The numbers of the configuration: their keys, and between what they must lie.
//!
//! Owns the bounds and why they are there. The defaults are where the values are used.

use std::ops::RangeInclusive;

use callarbiter_core::{Allowance, Deadlines, Limits};

use super::Config;

/// A number that a file may set.
pub struct Number {
    /// Its key, with `-` between the words.
    pub key: &'static str,
    /// What it may be.
    pub range: RangeInclusive<u32>,
    /// Where it goes.
    pub place: fn(&mut Config) -> &mut u32,
}

macro_rules! numbers {
    ($($key:literal $range:expr => $at:expr;)*) => {
        &[$(Number { key: $key, range: $range, place: { fn place(config: &mut Config) -> &mut u32 { $at(config) } place } }),*]
    };
}

/// Nobody answers in less, and one that is meant in seconds is seen.
const SHORTEST: u32 = 100;
const MINUTE: u32 = 60_000;
const HOUR: u32 = 60 * MINUTE;

/// `[deadlines]`, all in milliseconds.
pub const DEADLINES: &[Number] = numbers! {
    // A controller's `wait` is answered after 20 s at the latest, so more than 2 min helps nobody.
    "start-ms" SHORTEST..=2 * MINUTE => |c| &mut deadlines(c).start.0;
    "answer-ms" SHORTEST..=MINUTE => |c| &mut deadlines(c).answer.0;
    "end-ms" SHORTEST..=MINUTE => |c| &mut deadlines(c).end.0;
    "set-held-ms" SHORTEST..=MINUTE => |c| &mut deadlines(c).set_held.0;
    "play-dtmf-ms" SHORTEST..=MINUTE => |c| &mut deadlines(c).play_dtmf.0;
    "other-ms" SHORTEST..=MINUTE => |c| &mut deadlines(c).other.0;
    // No network rings or dials longer.
    "ringing-ms" SHORTEST..=10 * MINUTE => |c| &mut deadlines(c).ringing.0;
    "ringing-again-ms" SHORTEST..=10 * MINUTE => |c| &mut deadlines(c).ringing_again.0;
    "dialing-ms" SHORTEST..=10 * MINUTE => |c| &mut deadlines(c).dialing.0;
    // Nobody looks longer at a call that does nothing.
    "launching-ms" SHORTEST..=2 * MINUTE => |c| &mut deadlines(c).launching.0;
    // A call without a provider is a line in a list that does nothing.
    "grace-ms" SHORTEST..=2 * MINUTE => |c| &mut deadlines(c).grace.0;
    // Meanwhile somebody is on the line and hears nothing.
    "audio-release-ms" SHORTEST..=10_000 => |c| &mut deadlines(c).audio_release.0;
    "audio-grant-ms" SHORTEST..=10_000 => |c| &mut deadlines(c).audio_grant.0;
    // The audio is granted after it, at the latest; so long nobody hears anything after they answered.
    "enforcement-ms" SHORTEST..=5_000 => |c| &mut deadlines(c).enforcement.0;
    // logind's InhibitDelayMaxSec is 5 s unless it was raised.
    "suspend-ms" SHORTEST..=30_000 => |c| &mut deadlines(c).suspend.0;
    "memory-ms" SHORTEST..=24 * HOUR => |c| &mut deadlines(c).memory.0;
    "late-push-ms" SHORTEST..=HOUR => |c| &mut deadlines(c).late_push.0;
    "transaction-ms" SHORTEST..=HOUR => |c| &mut deadlines(c).transaction.0;
    // A person reads and decides.
    "consent-ms" 10_000..=HOUR => |c| &mut deadlines(c).consent.0;
    "look-up-ms" SHORTEST..=10_000 => |c| &mut deadlines(c).look_up.0;
    "record-ms" SHORTEST..=MINUTE => |c| &mut deadlines(c).record.0;
    // The caller hears nothing yet, and an app waits 25 s for a reply.
    "screening-ms" SHORTEST..=15_000 => |c| &mut deadlines(c).screening.0;
    "repeated-ms" SHORTEST..=HOUR => |c| &mut deadlines(c).repeated.0;
};

/// `[limits]`, of one user: the upper ends keep one user's share of the memory below some tens of MB.
pub const LIMITS: &[Number] = numbers! {
    "calls" 1..=4096 => |c| &mut limits(c).calls;
    "ringing-per-provider" 1..=256 => |c| &mut limits(c).ringing_per_provider;
    "groups-per-provider" 1..=64 => |c| &mut limits(c).groups_per_provider;
    "calls-per-group" 1..=64 => |c| &mut limits(c).calls_per_group;
    "providers" 1..=1024 => |c| &mut limits(c).providers;
    "transactions" 1..=4096 => |c| &mut limits(c).transactions;
    "actions" 1..=256 => |c| &mut limits(c).actions;
    "requests-per-call" 1..=256 => |c| &mut limits(c).requests_per_call;
    "tombstones" 1..=65_536 => |c| &mut limits(c).tombstones;
    "tokens" 1..=65_536 => |c| &mut limits(c).tokens;
    // Far above what one CPU can do: no limit.
    "reports-per-second" 1..=1_000_000 => |c| &mut limits(c).reports_per_second;
};

/// `[preferences]`, beside what is left to users.
pub const PREFERENCES: &[Number] = numbers! {
    // Each is compared for each call of its user.
    "rules" 0..=128 => |c| &mut allowance(c).rules;
    "ring-ms-min" SHORTEST..=10 * MINUTE => |c| &mut allowance(c).ring_least.0;
    "ring-ms-max" SHORTEST..=10 * MINUTE => |c| &mut allowance(c).ring_most.0;
    "answer-after-ms-min" 0..=MINUTE => |c| &mut allowance(c).answer_least.0;
    "priority-max" 0..=9 => |c| &mut allowance(c).priority_most;
};

fn allowance(config: &mut Config) -> &mut Allowance {
    &mut config.settings.allowance
}

fn deadlines(config: &mut Config) -> &mut Deadlines {
    &mut config.settings.deadlines
}

fn limits(config: &mut Config) -> &mut Limits {
    &mut config.settings.limits
}
