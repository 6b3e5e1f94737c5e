//! Actions: what a controller can ask for, as `(sa{sv})`.
//!
//! Owns their form in both directions. Whether an action makes sense for a call, the arbiter decides.

use std::fmt;

use uuid::Uuid;

use crate::{
    Dict, EndOptions, Error, ErrorKind, Fields,
    fields::{Writer, debug_keys, missing},
    limits,
    names::{self, CallPath, Object},
    options::app_id,
    words::{CallState, EndReason},
};

/// How a controller names a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallRef {
    /// By its UUID; `InvalidArgument` where two live calls of the user have it.
    Uuid(Uuid),
    /// By its object.
    Object(CallPath),
}

impl CallRef {
    /// A UUID or the path of a call.
    pub fn parse(text: &str) -> Option<CallRef> {
        if let Some(uuid) = names::uuid(text) {
            return Some(CallRef::Uuid(uuid));
        }
        match Object::parse(text)? {
            Object::Call(path) => Some(CallRef::Object(path)),
            _ => None,
        }
    }
}

impl From<Uuid> for CallRef {
    fn from(uuid: Uuid) -> Self {
        CallRef::Uuid(uuid)
    }
}

impl From<CallPath> for CallRef {
    fn from(path: CallPath) -> Self {
        CallRef::Object(path)
    }
}

impl fmt::Display for CallRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallRef::Uuid(uuid) => uuid.fmt(f),
            CallRef::Object(path) => path.fmt(f),
        }
    }
}

/// One action of a transaction.
#[derive(Clone, PartialEq, Eq)]
pub struct Action {
    /// What to do.
    pub verb: Verb,
    /// The call must be in this state, else `StaleState` and nothing happens.
    pub expected_state: Option<CallState>,
}

/// What to do.
#[derive(Clone, PartialEq, Eq)]
pub enum Verb {
    /// Place a call.
    Start {
        /// Whom to call.
        handle: String,
        /// The app id of the provider; absent: chosen by the handle.
        provider: Option<String>,
        /// The call's UUID; absent: the arbiter makes one.
        call: Option<Uuid>,
        /// With video.
        has_video: bool,
    },
    /// Answer a ringing call.
    Answer {
        /// Which.
        call: CallRef,
    },
    /// Hang up, decline, or cancel.
    End {
        /// Which.
        call: CallRef,
        /// Why; absent: what fits the call's state.
        reason: Option<EndReason>,
        /// A sentence for the far end, where the network carries one.
        message: Option<String>,
    },
    /// Hold or resume.
    SetHeld {
        /// Which.
        call: CallRef,
        /// Hold (true) or resume.
        held: bool,
    },
    /// Mute or unmute the microphone.
    SetMuted {
        /// Which.
        call: CallRef,
        /// Mute (true) or unmute.
        muted: bool,
    },
    /// Join the group of another call, or leave one's own.
    SetGroup {
        /// Which.
        call: CallRef,
        /// A member of the group to join; absent: leave.
        with: Option<CallRef>,
    },
    /// Play tones.
    PlayDtmf {
        /// Which.
        call: CallRef,
        /// `0-9 * # A-D`, and pauses.
        digits: String,
    },
    /// Turn video on or off.
    SetVideo {
        /// Which.
        call: CallRef,
        /// On (true) or off.
        video: bool,
    },
    /// Stop the ringing, not the call.
    Silence {
        /// Which.
        call: CallRef,
    },
}

impl Verb {
    /// The names of the actions that this version knows; all others are `UnknownAction`.
    pub const NAMES: &'static [&'static str] = &[
        "Start", "Answer", "End", "SetHeld", "SetMuted", "SetGroup", "PlayDtmf", "SetVideo",
        "Silence",
    ];

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Verb::Start { .. } => "Start",
            Verb::Answer { .. } => "Answer",
            Verb::End { .. } => "End",
            Verb::SetHeld { .. } => "SetHeld",
            Verb::SetMuted { .. } => "SetMuted",
            Verb::SetGroup { .. } => "SetGroup",
            Verb::PlayDtmf { .. } => "PlayDtmf",
            Verb::SetVideo { .. } => "SetVideo",
            Verb::Silence { .. } => "Silence",
        }
    }

    /// The call it is about; none where it is still to be made.
    pub fn call(&self) -> Option<CallRef> {
        match self {
            Verb::Start { call, .. } => call.map(CallRef::Uuid),
            Verb::Answer { call }
            | Verb::End { call, .. }
            | Verb::SetHeld { call, .. }
            | Verb::SetMuted { call, .. }
            | Verb::SetGroup { call, .. }
            | Verb::PlayDtmf { call, .. }
            | Verb::SetVideo { call, .. }
            | Verb::Silence { call } => Some(*call),
        }
    }

    fn parameters(&self) -> Writer {
        let on = |call: &CallRef| Writer::default().text("call", Some(&call.to_string()));
        match self {
            Verb::Start { handle, provider, call, has_video } => Writer::default()
                .text("handle", Some(handle))
                .text("provider", provider.as_deref())
                .uuid("call", *call)
                .flag("has-video", *has_video),
            Verb::Answer { call } | Verb::Silence { call } => on(call),
            Verb::End { call, reason, message } => on(call)
                .text("reason", reason.as_ref().map(EndReason::as_str))
                .text("message", message.as_deref()),
            Verb::SetHeld { call, held } => on(call).put("held", Some(*held)),
            Verb::SetMuted { call, muted } => on(call).put("muted", Some(*muted)),
            Verb::SetGroup { call, with } => {
                let with = with.map(|call| call.to_string()).unwrap_or_default();
                on(call).text("with", Some(&with))
            }
            Verb::PlayDtmf { call, digits } => on(call).text("digits", Some(digits)),
            Verb::SetVideo { call, video } => on(call).put("video", Some(*video)),
        }
    }

    fn parse(name: &str, fields: Fields<'_>) -> Result<Verb, Error> {
        let call = || required_call(fields, "call");
        let flag = |key: &str| fields.flag(key)?.ok_or_else(|| missing(key));
        Ok(match name {
            "Start" => Verb::Start {
                handle: fields
                    .text("handle", limits::HANDLE_BYTES)?
                    .filter(|handle| !handle.is_empty())
                    .ok_or_else(|| missing("handle"))?
                    .to_owned(),
                provider: app_id(fields, "provider")?,
                call: fields.uuid("call")?,
                has_video: fields.flag("has-video")?.unwrap_or(false),
            },
            "Answer" => Verb::Answer { call: call()? },
            "End" => {
                let EndOptions { reason, message } = EndOptions::read(fields)?;
                Verb::End { call: call()?, reason, message }
            }
            "SetHeld" => Verb::SetHeld { call: call()?, held: flag("held")? },
            "SetMuted" => Verb::SetMuted { call: call()?, muted: flag("muted")? },
            "SetGroup" => Verb::SetGroup {
                call: call()?,
                with: match fields.any_text("with")? {
                    None => return Err(missing("with")),
                    Some("") => None,
                    Some(_) => Some(required_call(fields, "with")?),
                },
            },
            "PlayDtmf" => Verb::PlayDtmf {
                call: call()?,
                digits: fields
                    .text("digits", limits::DIGITS_BYTES)?
                    .ok_or_else(|| missing("digits"))?
                    .to_owned(),
            },
            "SetVideo" => Verb::SetVideo { call: call()?, video: flag("video")? },
            "Silence" => Verb::Silence { call: call()? },
            _ => {
                return Err(Error::new(
                    ErrorKind::UnknownAction,
                    format!("this version knows the actions {}", Verb::NAMES.join(", ")),
                ));
            }
        })
    }
}

impl Action {
    /// The action, if the call is still in that state at its turn.
    #[must_use]
    pub fn expecting(mut self, state: CallState) -> Action {
        self.expected_state = Some(state);
        self
    }

    /// `(sa{sv})`.
    pub fn to_wire(&self) -> (String, Dict) {
        let expected = self.expected_state.as_ref().map(CallState::as_str);
        let parameters = self.verb.parameters().text("expected-state", expected);
        (self.verb.name().to_owned(), parameters.done())
    }

    /// An action from a caller: unknown keys are skipped, everything known is checked.
    pub fn from_wire(name: &str, parameters: &Dict) -> Result<Action, Error> {
        let fields = Fields::bounded(parameters)?;
        let verb = Verb::parse(name, fields)?;
        let expected_state = match fields.any_text("expected-state")?.map(CallState::from) {
            Some(CallState::Other(_)) => {
                return Err(Error::invalid_argument(format!(
                    "`expected-state` must be one of {}",
                    CallState::KNOWN.join(", ")
                )));
            }
            state => state,
        };
        Ok(Action { verb, expected_state })
    }
}

impl From<Verb> for Action {
    fn from(verb: Verb) -> Self {
        Action { verb, expected_state: None }
    }
}

impl fmt::Debug for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_keys(f, self.name(), &self.parameters().done())
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, parameters) = self.to_wire();
        debug_keys(f, &name, &parameters)
    }
}

fn required_call(fields: Fields<'_>, key: &str) -> Result<CallRef, Error> {
    let text = fields.any_text(key)?.ok_or_else(|| missing(key))?;
    CallRef::parse(text).ok_or_else(|| {
        Error::invalid_argument(format!("`{key}` must be the UUID of a call or its object path"))
    })
}
