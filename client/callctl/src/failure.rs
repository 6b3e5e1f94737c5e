//! How a command ends: the exit status, and what a person reads when it did not do what was asked.
//!
//! Owns the wording of failures and their advice. Handles and digits appear only where the arbiter's
//! own message to this caller holds them.

use std::fmt;

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Refused by the arbiter, or failed while being done.
    Refused { error: Option<String>, message: String },
    /// Refused by the agent of this session; its message says what would help.
    Declined { error: String, message: String },
    /// The words make no sense, whatever the calls are.
    Usage(String),
    /// No arbiter, or no bus, there.
    Unreachable { bus: String, message: String },
    /// No agent in this session, or no session bus.
    NoAgent { message: String },
}

impl Failure {
    pub fn refused(message: impl Into<String>) -> Self {
        Failure::Refused { error: None, message: message.into() }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Failure::Usage(message.into())
    }

    /// With what was tried instead, and did not help either.
    #[must_use]
    pub fn and(mut self, what: &str) -> Self {
        match &mut self {
            Failure::Refused { message, .. }
            | Failure::Declined { message, .. }
            | Failure::Usage(message)
            | Failure::Unreachable { message, .. }
            | Failure::NoAgent { message } => *message = format!("{message}\n{what}"),
        }
        self
    }

    pub fn exit_status(&self) -> u8 {
        match self {
            Failure::Refused { .. } | Failure::Declined { .. } => 1,
            Failure::Usage(_) => 2,
            Failure::Unreachable { .. } | Failure::NoAgent { .. } => 3,
        }
    }

    /// The last part of the D-Bus error's name.
    pub fn kind(&self) -> Option<&str> {
        match self {
            Failure::Refused { error: Some(error), .. } | Failure::Declined { error, .. } => {
                Some(kind(error))
            }
            _ => None,
        }
    }

    /// What would help.
    pub fn advice(&self) -> Option<String> {
        match self {
            Failure::Usage(_) => Some("see `callctl --help`".to_owned()),
            Failure::Refused { .. } => advice(self.kind()?).map(str::to_owned),
            Failure::Declined { .. } => None,
            Failure::NoAgent { .. } => Some(
                "start it with `systemctl --user start callarbiter-agent`, or name the bus with \
                 --session-bus"
                    .to_owned(),
            ),
            Failure::Unreachable { bus, .. } => Some(match bus.as_str() {
                "system" => {
                    "start it with `systemctl start callarbiter`, read why it stopped with \
                             `journalctl -u callarbiter`, or see it work without installing \
                             anything: `callctl demo`"
                        .to_owned()
                }
                "session" => "start it with `systemctl --user start callarbiter-user` or \
                              `callarbiterd --bus session`; the one on the system bus is \
                              `callctl --bus system`"
                    .to_owned(),
                _ => "is it the bus that the arbiter serves? `callarbiterd --bus embedded` prints \
                      the address of its own, which lives as long as it runs"
                    .to_owned(),
            }),
        }
    }

    /// The failure as a JSON object.
    pub fn json(&self) -> serde_json::Value {
        let (error, message) = match self {
            Failure::Refused { error, message } => (error.clone(), message),
            Failure::Declined { error, message } => (Some(error.clone()), message),
            Failure::Usage(message) => (Some("usage".to_owned()), message),
            Failure::Unreachable { message, .. } | Failure::NoAgent { message } => {
                (Some("unreachable".to_owned()), message)
            }
        };
        serde_json::json!({ "error": error, "message": message })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused { message, .. } if !message.is_empty() => f.write_str(message),
            Failure::Refused { error, .. } => {
                f.write_str(error.as_deref().map_or("refused without a reason", kind))
            }
            Failure::Declined { message, .. }
            | Failure::Usage(message)
            | Failure::Unreachable { message, .. }
            | Failure::NoAgent { message } => f.write_str(message),
        }
    }
}

impl std::error::Error for Failure {}

/// `org.callarbiter.Calls1.Error.CannotHold` → `CannotHold`.
pub fn kind(error: &str) -> &str {
    error.rsplit('.').next().unwrap_or(error)
}

/// What helps against an error, where the message alone leaves a person without a next step.
fn advice(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "CannotHold" | "MaximumCallGroupsReached" => {
            "end the call in the way and do what you wanted in one step: \
             callctl transaction end:CALL answer:CALL"
        }
        "StaleState" | "InvalidState" | "AlreadyEnded" | "UnknownCall" => {
            "`callctl list` shows the calls as they are now"
        }
        "UnknownProvider" => "`callctl providers` lists the applications that can call",
        "NotAuthorized" => "`callctl apps` shows who may provide calls, and who decided that",
        "AccessDenied" => {
            "a sandboxed program needs the permission to control calls; run callctl outside of it"
        }
        "Background" => {
            "another user's session is in the foreground of this seat: switch back first"
        }
        "CallProtected" => "an emergency call is never held, ended or silenced for another",
        "TimedOut" => {
            "the application did not answer in time; `callctl list` shows what became of it, \
             `callctl providers` whether it responds"
        }
        "ProviderGone" => "the application of this call is not running; start it again",
        "LimitExceeded" => "`callctl limits` shows the limits and what of them is used",
        "NotSupported" => "`callctl show CALL` lists what this call can do",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn each_kind_has_its_exit_status() {
        let unreachable = Failure::Unreachable { bus: "system".into(), message: "no".into() };
        let all = [Failure::refused("no"), Failure::usage("what?"), unreachable];
        assert_eq!(all.map(|failure| failure.exit_status()), [1, 2, 3]);
    }

    #[test]
    fn what_the_agent_refuses_needs_no_advice() {
        let error = "org.callarbiter.Calls1.Error.AccessDenied".to_owned();
        let message = "when-busy is the administrator's".to_owned();
        let declined = Failure::Declined { error: error.clone(), message: message.clone() };
        assert_eq!((declined.advice(), declined.kind()), (None, Some("AccessDenied")));
        assert_eq!(declined.json()["error"], *error);
        assert!(Failure::Refused { error: Some(error), message }.advice().is_some());
    }

    #[test]
    fn an_arbiter_that_does_not_run_comes_with_the_line_that_starts_it() {
        let failure = Failure::Unreachable { bus: "system".into(), message: "gone".into() };
        assert_eq!(failure.to_string(), "gone");
        assert!(failure.advice().unwrap().contains("systemctl start callarbiter"));
    }

    #[test]
    fn a_refusal_is_the_arbiters_own_words_and_a_next_step() {
        let failure = Failure::Refused {
            error: Some("org.callarbiter.Calls1.Error.CannotHold".into()),
            message: "the call cannot be held".into(),
        };
        assert_eq!(failure.to_string(), "the call cannot be held");
        assert_eq!(failure.kind(), Some("CannotHold"));
        assert!(failure.advice().unwrap().contains("callctl transaction"));
        assert_eq!(failure.json()["error"], "org.callarbiter.Calls1.Error.CannotHold");
    }
}
