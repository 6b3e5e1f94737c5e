//! What the arbiter says to a delegate, read.
//!
//! Owns the form of its calls. A call that cannot be read is refused; nothing is guessed.

use std::collections::HashMap;

use callarbiter_dbus::{
    Action, Dict, Entries, PerformOptions, ReconciledCalls, Verb, names, words::Authorization,
};
use uuid::Uuid;
use zbus::Message;

use crate::call::id_of;

/// A call of the delegate's object.
#[derive(Debug)]
pub(super) enum Incoming {
    Ask(Ask),
    TimedOut { request: String, call: Option<Uuid>, action: String },
    Authorization(Authorization),
    Reset,
}

/// Something that must be answered.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub request: String,
    pub what: What,
    pub options: PerformOptions,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// One action on one call.
    Action(Uuid, Action),
    /// The steps of one plan.
    Transaction(Vec<Action>),
    AudioActivated(Vec<Uuid>),
    AudioDeactivated(Vec<Uuid>),
    Reconcile(ReconciledCalls),
}

/// What is performed one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    Call(Uuid),
    Audio,
}

impl What {
    /// What has to be free before it is performed.
    pub fn lanes(&self) -> Vec<Lane> {
        match self {
            What::Action(call, action) => {
                let with = match &action.verb {
                    Verb::SetGroup { with: Some(with), .. } => Some(Lane::Call(id_of(with))),
                    _ => None,
                };
                [Lane::Call(*call)].into_iter().chain(with).collect()
            }
            What::Transaction(steps) => steps
                .iter()
                .filter_map(|step| step.verb.call())
                .map(|call| Lane::Call(id_of(&call)))
                .collect(),
            What::AudioActivated(_) | What::AudioDeactivated(_) => vec![Lane::Audio],
            What::Reconcile(_) => Vec::new(),
        }
    }

    /// What it does to calls.
    pub fn actions(&self) -> &[Action] {
        match self {
            What::Action(_, action) => std::slice::from_ref(action),
            What::Transaction(steps) => steps,
            _ => &[],
        }
    }

    /// The call that it hangs up.
    pub fn ends(&self) -> Option<Uuid> {
        match self {
            What::Action(call, Action { verb: Verb::End { .. }, .. }) => Some(*call),
            _ => None,
        }
    }

    /// Whether it is about this call before all others.
    pub fn is_about(&self, call: Uuid) -> bool {
        matches!(self, What::Action(about, _) if *about == call)
    }
}

impl Incoming {
    pub fn read(message: &Message) -> Result<Incoming, String> {
        let header = message.header();
        let member = header.member().map_or("", |member| member.as_str());
        let body = message.body();
        let unreadable = |error: zbus::Error| format!("the arguments of {member}: {error}");
        match member {
            "ActionTimedOut" => {
                let (request, call, action): (String, &str, String) =
                    body.deserialize().map_err(unreadable)?;
                return Ok(Incoming::TimedOut { request, call: names::uuid(call), action });
            }
            "AuthorizationSet" => {
                let word: &str = body.deserialize().map_err(unreadable)?;
                return Ok(Incoming::Authorization(word.into()));
            }
            "Reset" => return Ok(Incoming::Reset),
            _ => {}
        }
        read_ask(message, member).map_err(unreadable)?.map(Incoming::Ask)
    }
}

fn read_ask(message: &Message, member: &str) -> zbus::Result<Result<Ask, String>> {
    let body = message.body();
    let (request, what, options): (String, Result<What, String>, Dict) = match member {
        "PerformStart" => {
            let (request, call, handle, options): (_, &str, String, Dict) = body.deserialize()?;
            let has_video = PerformOptions::from_dict(&options).has_video;
            let start = |call| Verb::Start { handle, provider: None, call: Some(call), has_video };
            (request, on(call, start), options)
        }
        "PerformAnswer" => {
            let (request, call, options): (_, &str, Dict) = body.deserialize()?;
            (request, on(call, |call| Verb::Answer { call: call.into() }), options)
        }
        "PerformEnd" => {
            let (request, call, options): (_, &str, Dict) = body.deserialize()?;
            let PerformOptions { reason, message, .. } = PerformOptions::from_dict(&options);
            (request, on(call, |call| Verb::End { call: call.into(), reason, message }), options)
        }
        "PerformSetHeld" => {
            let (request, call, held, options): (_, &str, bool, Dict) = body.deserialize()?;
            (request, on(call, |call| Verb::SetHeld { call: call.into(), held }), options)
        }
        "PerformSetMuted" => {
            let (request, call, muted, options): (_, &str, bool, Dict) = body.deserialize()?;
            (request, on(call, |call| Verb::SetMuted { call: call.into(), muted }), options)
        }
        "PerformSetGroup" => {
            let (request, call, with, options): (_, &str, &str, Dict) = body.deserialize()?;
            let with = match with {
                "" => Ok(None),
                with => one(with).map(|with| Some(with.into())),
            };
            let what =
                with.and_then(|with| on(call, |call| Verb::SetGroup { call: call.into(), with }));
            (request, what, options)
        }
        "PerformPlayDtmf" => {
            let (request, call, digits, options): (_, &str, String, Dict) = body.deserialize()?;
            (request, on(call, |call| Verb::PlayDtmf { call: call.into(), digits }), options)
        }
        "PerformSetVideo" => {
            let (request, call, video, options): (_, &str, bool, Dict) = body.deserialize()?;
            (request, on(call, |call| Verb::SetVideo { call: call.into(), video }), options)
        }
        "PerformTransaction" => {
            let (request, steps, options): (_, Entries, Dict) = body.deserialize()?;
            let steps: Result<Vec<_>, _> =
                steps.iter().map(|(name, dict)| Action::from_wire(name, dict)).collect();
            (request, steps.map(What::Transaction).map_err(|error| error.message), options)
        }
        "AudioActivated" | "AudioDeactivated" => {
            let (request, calls, _, options): (_, Vec<&str>, u64, Dict) = body.deserialize()?;
            let calls: Result<Vec<Uuid>, _> = calls.into_iter().map(one).collect();
            let what = calls.map(match member {
                "AudioActivated" => What::AudioActivated,
                _ => What::AudioDeactivated,
            });
            (request, what, options)
        }
        "Reconcile" => {
            let (request, calls): (_, HashMap<String, Dict>) = body.deserialize()?;
            (request, Ok(What::Reconcile(ReconciledCalls::from_wire(&calls))), Dict::new())
        }
        other => return Ok(Err(format!("a request {other} is unknown to this version"))),
    };
    let options = PerformOptions::from_dict(&options);
    Ok(what.map(|what| Ask { request, what, options }))
}

fn on(call: &str, verb: impl FnOnce(Uuid) -> Verb) -> Result<What, String> {
    one(call).map(|call| What::Action(call, verb(call).into()))
}

fn one(call: &str) -> Result<Uuid, String> {
    names::uuid(call).ok_or_else(|| "a call is named by what is no UUID".to_owned())
}
