//! Who may ask for what, and whether it makes sense: the questions about one action.
//!
//! Owns authority, capabilities, and the fit of an action to a state. Changes nothing. What an action
//! needs of other calls is [`crate::plan`]'s.

use crate::{
    Action, Authorization, Call, CallRef, CallState, Caller, Domain, EndReason, Error, Origin,
    Provider, Refusal, Result,
};

impl Domain {
    pub(crate) fn queue_has_room(&self, call: &Call, action: &Action) -> Result<()> {
        let limit = self.settings.limits.requests_per_call;
        let ends = matches!(action, Action::End { .. });
        if ends || call.requests.len() < limit as usize {
            return Ok(());
        }
        Err(Refusal::new(
            Error::LimitExceeded,
            format!("{limit} requests wait for call {} already; try again later", call.uuid),
        ))
    }

    /// Whether an action makes sense for a call in its present state.
    pub(crate) fn fits(&self, call: &Call, action: &Action) -> Result<()> {
        self.fits_in(call, call.state, action)
    }

    /// The same for a call that will be in this state then.
    pub(crate) fn fits_in(&self, call: &Call, state: CallState, action: &Action) -> Result<()> {
        use CallState::*;
        if call.orphaned && !matches!(action, Action::End { .. } | Action::Silence { .. }) {
            return Err(gone());
        }
        let connected = matches!(state, Active | Held);
        let ok = match action {
            Action::Start { .. } => true,
            Action::Answer { .. } => {
                matches!(state, Ringing | Answering)
                    || connected && call.direction == crate::Direction::Incoming
            }
            Action::End { .. } => state != Ended,
            Action::SetHeld { .. } => connected,
            Action::SetMuted { .. } => connected || state.is_dialing(),
            Action::SetGroup { .. } => connected,
            Action::PlayDtmf { .. } => state == Active,
            Action::SetVideo { .. } => connected,
            Action::Silence { .. } => state == Ringing,
        };
        if !ok {
            return Err(Refusal::new(
                if state == Ended { Error::AlreadyEnded } else { Error::InvalidState },
                format!("call {} is {}; {}", call.uuid, state.name(), wants(action)),
            ));
        }
        if let Action::End { reason: Some(reason), .. } = action {
            let fitting = match state.is_incoming_pending() {
                true => matches!(reason, EndReason::Declined | EndReason::LocalEnded),
                false => *reason == EndReason::LocalEnded,
            };
            if !fitting {
                return Err(Refusal::new(
                    Error::InvalidArgument,
                    format!(
                        "`{}` is no reason to end a call that is {}; leave it out, or say \
                         `declined` while it rings and `local-ended` afterwards",
                        reason.name(),
                        state.name()
                    ),
                ));
            }
        }
        self.can_do(call, state, action)
    }

    fn can_do(&self, call: &Call, state: CallState, action: &Action) -> Result<()> {
        let video =
            || self.providers.get(&call.provider).is_some_and(|p| p.configuration.supports_video);
        // Holding a member holds the group, so one that cannot be held is in the way of all.
        let stays = |c: &&Call| !c.can.hold && c.state == CallState::Active;
        let active = state == CallState::Active;
        let stuck = Some(call).filter(|c| active && !c.can.hold).or_else(|| {
            let group = call.group.filter(|_| active)?;
            self.members(group).filter(|c| c.id != call.id).find(stays)
        });
        if let (Action::SetHeld { held: true, .. }, Some(stuck)) = (action, stuck) {
            let why = format!("its app says that call {} cannot be put on hold", stuck.uuid);
            return Err(Refusal::new(Error::CannotHold, why));
        }
        let (error, what) = match action {
            Action::SetGroup { .. } if !call.can.group => (Error::NotSupported, "be grouped"),
            Action::PlayDtmf { .. } if !call.can.dtmf => (Error::NotSupported, "play tones"),
            Action::SetVideo { video: true, .. } if !video() => (Error::NotSupported, "have video"),
            _ => return Ok(()),
        };
        let why = format!("its app says that call {} cannot {what}", call.uuid);
        Err(Refusal::new(error, why))
    }

    pub(crate) fn may_regroup(
        &self,
        caller: Caller,
        call: &Call,
        with: Option<CallRef>,
    ) -> Result<()> {
        let Some(with) = with else { return Ok(()) };
        let other = self.named(with)?;
        self.may_control(caller, other)?;
        self.can_join(call, other)
    }

    /// Whether these two can be in one group now.
    pub(crate) fn can_join(&self, call: &Call, other: &Call) -> Result<()> {
        if other.provider != call.provider {
            let why = "calls of different apps cannot be grouped yet; swap between them instead";
            return Err(Refusal::new(Error::NotSupported, why));
        }
        self.fits(other, &Action::SetGroup { call: CallRef::Id(other.id), with: None })?;
        if other.id == call.id {
            let why = "a call cannot join itself; name two different calls";
            return Err(Refusal::new(Error::InvalidArgument, why));
        }
        let own = self.providers.get(&call.provider);
        let own = own.and_then(|p| p.configuration.maximum_calls_per_group).unwrap_or(u32::MAX);
        let most = self.settings.limits.calls_per_group.min(own);
        let members = other.group.map_or(1, |g| self.members(g).count());
        if call.group != other.group && members >= most as usize {
            return Err(Refusal::new(
                Error::MaximumCallsPerGroupReached,
                format!("a group of this app has at most {most} calls"),
            ));
        }
        Ok(())
    }

    /// The call that a caller named.
    pub(crate) fn named(&self, call: CallRef) -> Result<&Call> {
        if let Some(call) = self.find(call) {
            return Ok(call);
        }
        let (CallRef::Uuid(uuid) | CallRef::Of(_, uuid)) = call else {
            return Err(Refusal::new(Error::UnknownCall, "there is no such call"));
        };
        if matches!(call, CallRef::Uuid(_)) && self.of_uuid(uuid).count() > 1 {
            let why = "two apps have a call of this UUID; name it by its object path";
            return Err(Refusal::new(Error::InvalidArgument, why));
        }
        if self.tombstones.any(uuid, self.now.mono) {
            let why = format!("call {uuid} has ended already");
            return Err(Refusal::new(Error::AlreadyEnded, why));
        }
        Err(Refusal::new(Error::UnknownCall, format!("there is no call {uuid}")))
    }

    /// Whether a caller may act on a call.
    pub(crate) fn may_control(&self, caller: Caller, call: &Call) -> Result<()> {
        let own = self.providers.get(&call.provider).is_some_and(|p| p.peer == Some(caller.peer));
        if own {
            return Ok(());
        }
        let why = "a sandboxed program acts on its own calls only, until the user \
             (`callctl apps allow APP --control`), the administrator (`control` under [apps]) or a \
             polkit rule lets it control others";
        self.may_act_for_others(caller, caller.control, why)
    }

    /// Whether a caller may place calls through an app that it is not.
    pub(crate) fn may_place_calls(&self, caller: Caller) -> Result<()> {
        let why = "a sandboxed program places calls through itself only, until the user \
             (`callctl apps allow APP --place-call`), the administrator (`place-call` under [apps]) \
             or a polkit rule lets it place them through other apps";
        self.may_act_for_others(caller, caller.place_call, why)
    }

    /// Whether a caller's word counts beyond the provider that it registered.
    fn may_act_for_others(&self, caller: Caller, permitted: bool, walled: &str) -> Result<()> {
        let why = if !permitted {
            walled
        } else if self.origin(caller) == Origin::App {
            "an app acts on its own calls only, and places calls through itself; a second \
             connection acts as a controller"
        } else {
            return Ok(());
        };
        Err(Refusal::new(Error::AccessDenied, why))
    }

    pub(crate) fn is_authorized(&self, provider: &Provider) -> Result<()> {
        if provider.authorization == Authorization::Authorized {
            return Ok(());
        }
        let app = &provider.app;
        let user = match provider.authorization {
            Authorization::Restricted => String::new(),
            _ => format!("the user allows it (`callctl apps allow {app}`), or "),
        };
        let why = format!(
            "{app} is not allowed to provide calls ({}); {user}an administrator does with `\"{app}\" = \"allow\"` \
             under [apps] in the arbiter's configuration",
            provider.authorization.name()
        );
        Err(Refusal::new(Error::NotAuthorized, why))
    }

    /// A UUID is used once.
    pub(crate) fn is_fresh(&self, provider: &Provider, uuid: uuid::Uuid) -> Result<()> {
        if self.of_uuid(uuid).any(|c| c.provider == provider.id) {
            let why = format!("call {uuid} is live; choose a new UUID for a new call");
            return Err(Refusal::new(Error::UuidInUse, why));
        }
        if self.tombstones.has(uuid, &provider.app, &provider.instance, self.now.mono) {
            let why = format!("call {uuid} has ended; choose a new UUID for a new call");
            return Err(Refusal::new(Error::AlreadyEnded, why));
        }
        Ok(())
    }

    pub(crate) fn background_refusal(&self, emergency: bool) -> Option<Refusal> {
        (self.desktop.background && !emergency).then(|| {
            let why = "another user has the seat; switch to this session first";
            Refusal::new(Error::Background, why)
        })
    }
}

impl Action {
    /// The call that it is about; none for a start.
    pub fn call(&self) -> Option<CallRef> {
        match self {
            Action::Start { .. } => None,
            Action::Answer { call }
            | Action::End { call, .. }
            | Action::SetHeld { call, .. }
            | Action::SetMuted { call, .. }
            | Action::SetGroup { call, .. }
            | Action::PlayDtmf { call, .. }
            | Action::SetVideo { call, .. }
            | Action::Silence { call } => Some(*call),
        }
    }
}

pub(crate) fn stale(expected: CallState, state: CallState) -> Refusal {
    Refusal::new(
        Error::StaleState,
        format!("the call is {}, not {}; look again", state.name(), expected.name()),
    )
}

pub(crate) fn gone() -> Refusal {
    Refusal::new(
        Error::ProviderGone,
        "the call's app is away; it can only be ended until the app is back",
    )
}

fn wants(action: &Action) -> &'static str {
    match action {
        Action::Start { .. } => "a start needs a new call",
        Action::Answer { .. } => "only a ringing call can be answered",
        Action::End { .. } => "it is over",
        Action::SetHeld { .. } => "only a connected call can be held or resumed",
        Action::SetMuted { .. } => "only a call with audio can be muted",
        Action::SetGroup { .. } => "only connected calls can be grouped",
        Action::PlayDtmf { .. } => "tones need an active call",
        Action::SetVideo { .. } => "only a connected call can have video",
        Action::Silence { .. } => "only a ringing call can be silenced",
    }
}
