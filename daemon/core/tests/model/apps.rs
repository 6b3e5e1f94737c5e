//! The cast of every history: two users on one seat, and the apps that carry their calls.
//!
//! Owns who they are and the rules that apply to them.

use std::sync::Arc;

use callarbiter_core::*;

use super::op::{Prefers, Rules};
use crate::world::{ALICE, BOB};

/// An app that may register.
pub struct Cast {
    pub user: Uid,
    pub app: &'static str,
    /// Its network holds by itself, and takes whole plans.
    pub wide: bool,
    /// Its calls can be put on hold.
    pub holds: bool,
}

/// Holds each call by itself.
pub const PLAIN: u8 = 0;
/// Like GSM.
pub const WIDE: u8 = 1;
/// Cannot hold.
pub const STIFF: u8 = 2;
/// May place emergency calls; carries the same calls as `PLAIN`.
pub const SOS: u8 = 3;
/// The other user's.
pub const BOBS: u8 = 4;

pub const CAST: [Cast; 5] = [
    Cast { user: ALICE, app: "plain", wide: false, holds: true },
    Cast { user: ALICE, app: "wide", wide: true, holds: true },
    Cast { user: ALICE, app: "stiff", wide: false, holds: false },
    Cast { user: ALICE, app: "sos", wide: false, holds: true },
    Cast { user: BOB, app: "bobs", wide: false, holds: true },
];

/// How many calls histories are about.
pub const CALLS: u8 = 5;

pub fn configuration(app: u8, wide: bool) -> Configuration {
    Configuration {
        hold_model: if wide { HoldModel::ProviderWide } else { HoldModel::PerCall },
        transactions: wide && app == WIDE,
        supports_video: app == PLAIN,
        records: match app {
            STIFF => Records::None,
            WIDE => Records::Opaque,
            _ => Records::Full,
        },
        ..Configuration::default()
    }
}

pub fn settings(rules: Rules) -> Settings {
    let allow = |apps: &[&str]| apps.iter().map(|a| (Arc::from(*a), false)).collect();
    let mut policy = Policy {
        authorization: AuthorizationPolicy::Allow,
        correlated: vec![vec!["plain".into(), "sos".into()]],
        emergency: Emergency { handles: vec!["112".into()], providers: vec!["sos".into()] },
        ..Policy::default()
    };
    let mut limits = Limits::default();
    let mut allowance = Allowance::default();
    match rules {
        Rules::Usual => {}
        Rules::Eager => {
            policy.after_remote_end = AfterRemoteEnd::Resume;
            policy.when_busy = WhenBusy::End;
        }
        Rules::Ruled => {
            policy.rules = ruled();
            policy.after_remote_end = AfterRemoteEnd::Resume;
        }
        Rules::Strict => {
            policy.apps = allow(&["wide"]);
            allowance.choices = vec!["ring", "ring-ms"];
        }
        Rules::Asking => policy.authorization = AuthorizationPolicy::Ask,
        Rules::Tight => {
            limits = Limits {
                calls: 3,
                ringing_per_provider: 1,
                groups_per_provider: 1,
                calls_per_group: 2,
                providers: 3,
                transactions: 2,
                actions: 3,
                requests_per_call: 1,
                tombstones: 2,
                tokens: 1,
                ..Limits::default()
            }
        }
    }
    Settings { policy, limits, allowance, ..Settings::default() }
}

pub fn preferences(what: Prefers) -> Preferences {
    let every = |then: Then| Rule { name: EVERY_CALL.into(), when: When::default(), then };
    match what {
        Prefers::Nothing => Preferences::default(),
        Prefers::Own => Preferences { rules: ruled(), do_not_disturb: Some(DoNotDisturb::Quiet) },
        Prefers::Eager => {
            let then = Then {
                ring: Some(Ring::Aloud),
                ring_time: Some(Millis::secs(20)),
                answer: Some(AutoAnswer { after: Millis::secs(1), beside: true }),
                when_busy: Some(Busy::End),
                after_end: Some(AfterRemoteEnd::Resume),
                hold_failed: Some(HoldFailed::End),
                ..Then::default()
            };
            let do_not_disturb = Some(DoNotDisturb::Off);
            Preferences { rules: Arc::new([every(then)]), do_not_disturb }
        }
        Prefers::TooMuch => {
            let then = Then { ring_time: Some(Millis::secs(3600)), ..Then::default() };
            Preferences { rules: Arc::new([every(then)]), do_not_disturb: None }
        }
    }
}

/// Rules of every effect, among them some that would touch emergency calls if rules could.
fn ruled() -> Arc<[Rule]> {
    let rule = |name: &str, when: When, then: Then| Rule { name: name.into(), when, then };
    let app = |app: &str| When { apps: vec![Pattern::of(app)], ..When::default() };
    Arc::new([
        rule(
            "intercom",
            app("plain"),
            Then {
                answer: Some(AutoAnswer { after: Millis(1500), beside: true }),
                hold_failed: Some(HoldFailed::End),
                priority: Some(7),
                ..Then::default()
            },
        ),
        rule(
            "wide",
            app("w*"),
            Then { ring: Some(Ring::Silence), when_busy: Some(Busy::End), ..Then::default() },
        ),
        rule(
            "stiff",
            When { locked: Some(false), ..app("stiff") },
            Then {
                ringing: Some(1),
                ring_time: Some(Millis(6000)),
                calls: Some(2),
                groups: Some(1),
                ..Then::default()
            },
        ),
        rule(
            "all",
            When::default(),
            Then {
                when_busy: Some(Busy::Reject),
                after_end: Some(AfterRemoteEnd::Keep),
                ..Then::default()
            },
        ),
    ])
}
