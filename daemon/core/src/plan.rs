//! What a wish needs: pure questions about the present state. Changes nothing.
//!
//! Owns validation of transactions as a whole, the implicit steps that make room, and the limits of
//! groups. Used before accepting, again at each step's turn, and to tell what answering would do.

use std::collections::BTreeMap;

use crate::{
    Action, AnswerPlan, Authorization, Call, CallId, CallRef, CallState, Caller, Domain, EndReason,
    Error, GroupId, Origin, Private, Provider, ProviderId, Refusal, Requested, Result, WhenBusy,
};

/// A step of a plan, asked for or implied.
#[derive(Clone, Debug)]
pub struct PlannedStep {
    /// What would be done; calls are named by their numbers.
    pub action: Action,
    /// Nobody asked for it: it makes room.
    pub implicit: bool,
}

/// States as they would be after earlier actions of the same transaction.
pub(crate) type Ahead = BTreeMap<CallId, CallState>;

/// What must happen before a call can have the focus.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub holds: Vec<CallId>,
    pub ends: Vec<CallId>,
}

impl Room {
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty() && self.ends.is_empty()
    }
}

/// A transaction that can be accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub targets: Vec<Target>,
    /// It moves the focus.
    pub focus: bool,
    pub emergency: bool,
    pub steps: Vec<PlannedStep>,
}

/// What an action is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Call(CallId),
    New(ProviderId),
}

impl Domain {
    /// Checks a transaction as a whole: every action against what the earlier ones would leave.
    pub(crate) fn validate(&self, caller: Caller, requested: &[Requested]) -> Result<Accepted> {
        if requested.is_empty() {
            let help = "a transaction needs at least one action";
            return Err(Refusal::new(Error::EmptyTransaction, help));
        }
        let limit = self.settings.limits.actions;
        if requested.len() > limit as usize {
            return Err(Refusal::new(
                Error::LimitExceeded,
                format!("a transaction has at most {limit} actions, this one {}", requested.len()),
            ));
        }
        // With others before it in the lane, only its turn shows what room it needs.
        let known = self.lane.running.is_none() && self.lane.queue.is_empty();
        let mut accepted =
            Accepted { targets: Vec::new(), focus: false, emergency: false, steps: Vec::new() };
        let mut ahead = Ahead::new();
        let mut starts = 0;
        for Requested { action, expected } in requested {
            accepted.focus |= moves_focus(action);
            let implicit = accepted.steps.len();
            if let Action::Start { uuid, handle, provider, video } = action {
                let provider = self.start_through(caller, handle, provider.as_deref())?;
                let emergency = self.is_emergency(provider, handle);
                accepted.emergency |= emergency;
                self.may_start(provider, *uuid, *video, emergency, starts)?;
                starts += 1;
                if let Some(why) = self.background_refusal(emergency) {
                    return Err(why);
                }
                if starts > 1 {
                    let why =
                        "a call being placed cannot be held for the next one: start one at a time";
                    return Err(Refusal::new(Error::CannotHold, why));
                }
                if known {
                    let room = self.room(CallId(0), None, emergency, &ahead)?;
                    note_room(&room, &mut accepted.steps, &mut ahead);
                    self.group_room(provider.id, CallId(0), emergency, &ahead)?;
                }
                accepted.targets.push(Target::New(provider.id));
                accepted.steps.push(PlannedStep { action: action.clone(), implicit: false });
                continue;
            }
            let Some(named) = action.call() else { continue };
            let call = self.named(named)?;
            self.may_control(caller, call)?;
            let state = *ahead.get(&call.id).unwrap_or(&call.state);
            if let Some(expected) =
                expected.filter(|e| !ahead.contains_key(&call.id) && *e != state)
            {
                return Err(stale(expected, state));
            }
            if call.orphaned && !matches!(action, Action::End { .. } | Action::Silence { .. }) {
                return Err(gone());
            }
            self.queue_has_room(call, action)?;
            let mut seen = call.clone();
            seen.state = state;
            self.fits(&seen, action)?;
            let after = match action {
                Action::Answer { .. } | Action::SetHeld { held: false, .. } => {
                    if let Some(why) = self.background_refusal(call.emergency) {
                        return Err(why);
                    }
                    if known && state != CallState::Active {
                        let room = self.room(call.id, call.group, call.emergency, &ahead)?;
                        note_room(&room, &mut accepted.steps, &mut ahead);
                        if call.group.is_none() {
                            self.group_room(call.provider, call.id, false, &ahead)?;
                        }
                    }
                    Some(CallState::Active)
                }
                Action::End { .. } => Some(CallState::Ended),
                Action::SetHeld { held: true, .. } => Some(CallState::Held),
                Action::SetGroup { with, .. } => {
                    self.may_regroup(caller, call, *with)?;
                    if with.is_none() && state == CallState::Active {
                        let rest = self.leave_room(call.id)?;
                        let room = Room { holds: rest, ends: Vec::new() };
                        note_room(&room, &mut accepted.steps, &mut ahead);
                        self.group_room(call.provider, call.id, false, &ahead)?;
                    }
                    None
                }
                _ => None,
            };
            if let Some(after) = after {
                let whole = matches!(action, Action::SetHeld { .. });
                let members = call.group.filter(|_| whole);
                ahead.extend(
                    members.into_iter().flat_map(|g| self.members(g)).map(|c| (c.id, after)),
                );
                ahead.insert(call.id, after);
            }
            debug_assert!(implicit <= accepted.steps.len());
            accepted.targets.push(Target::Call(call.id));
            accepted.steps.push(PlannedStep { action: action.clone(), implicit: false });
        }
        Ok(accepted)
    }

    /// What answering this ringing call now would do.
    pub(crate) fn answer_plan(&self, id: CallId) -> AnswerPlan {
        let Some(call) = self.calls.get(&id) else { return AnswerPlan::default() };
        let room = match self.background_refusal(false) {
            Some(why) => Err(why),
            None => self.room(id, None, false, &Ahead::new()),
        };
        let room = room.and_then(|room| {
            let mut ahead = Ahead::new();
            note_room(&room, &mut Vec::new(), &mut ahead);
            self.group_room(call.provider, id, false, &ahead).map(|()| room)
        });
        match room {
            Ok(Room { holds, ends }) => AnswerPlan { holds, ends, refused: None },
            Err(why) => AnswerPlan { refused: Some(why), ..AnswerPlan::default() },
        }
    }

    /// Which other calls must be held, or ended, before `target` can have the focus.
    pub(crate) fn room(
        &self,
        target: CallId,
        group: Option<GroupId>,
        emergency: bool,
        ahead: &Ahead,
    ) -> Result<Room> {
        let mut room = Room::default();
        let may_end = emergency || self.settings.policy.when_busy == WhenBusy::End;
        for call in self.calls.values() {
            let own = call.id == target || (group.is_some() && call.group == group);
            if own || call.orphaned {
                continue;
            }
            let state = *ahead.get(&call.id).unwrap_or(&call.state);
            let being_set_up = state.is_dialing()
                || matches!(state, CallState::Starting | CallState::Answering)
                    && self.is_asked_to_connect(call);
            if state != CallState::Active && !being_set_up {
                continue;
            }
            if call.emergency {
                let why = format!("call {} is an emergency call; nothing interrupts it", call.uuid);
                return Err(Refusal::new(Error::CallProtected, why));
            }
            let holdable = state == CallState::Active && call.can.hold;
            if holdable && !(emergency && call.left_active) {
                room.holds.push(call.id);
            } else if may_end {
                room.ends.push(call.id);
            } else {
                let why = match state {
                    CallState::Active => "cannot be put on hold",
                    _ => "is still being set up and cannot be put on hold",
                };
                let why =
                    format!("call {} {why}; end it first, or in the same transaction", call.uuid);
                return Err(Refusal::new(Error::CannotHold, why));
            }
        }
        Ok(room)
    }

    /// Calls that must be held before this one can leave its group and stay active.
    pub(crate) fn leave_room(&self, id: CallId) -> Result<Vec<CallId>> {
        let group = self.calls.get(&id).and_then(|c| c.group);
        let rest = group.into_iter().flat_map(|g| self.members(g));
        let rest: Vec<&Call> =
            rest.filter(|c| c.id != id && c.state == CallState::Active && !c.orphaned).collect();
        match rest.iter().find(|c| !c.can.hold || c.emergency) {
            None => Ok(rest.into_iter().map(|c| c.id).collect()),
            Some(stuck) => Err(Refusal::new(
                Error::CannotHold,
                format!(
                    "call {} of the group cannot be put on hold while this one leaves",
                    stuck.uuid
                ),
            )),
        }
    }

    fn is_asked_to_connect(&self, call: &Call) -> bool {
        call.requests.iter().filter_map(|r| self.requests.get(r)).any(|r| {
            let last = match &r.ask {
                crate::Ask::Transaction(steps) => steps.last(),
                ask => Some(ask),
            };
            matches!(last, Some(crate::Ask::Start { .. } | crate::Ask::Answer { .. }))
        })
    }

    /// Whether a provider may have one group more.
    fn group_room(
        &self,
        provider: ProviderId,
        joining: CallId,
        emergency: bool,
        ahead: &Ahead,
    ) -> Result<()> {
        let Some(provider) = self.providers.get(&provider).filter(|_| !emergency) else {
            return Ok(());
        };
        let own = provider.configuration.maximum_call_groups.unwrap_or(u32::MAX);
        let most = self.settings.limits.groups_per_provider.min(own);
        let live = self.calls_of(provider.id).filter(|c| c.id != joining).filter(|c| {
            let state = *ahead.get(&c.id).unwrap_or(&c.state);
            !matches!(state, CallState::Ended | CallState::Ringing | CallState::Screening)
        });
        // A call that is being answered or placed will be a group of its own.
        let mut groups: Vec<_> = live.map(|c| c.group.ok_or(c.id)).collect();
        groups.sort_unstable();
        groups.dedup();
        if groups.len() < most as usize {
            return Ok(());
        }
        Err(Refusal::new(
            Error::MaximumCallGroupsReached,
            format!("{} has {most} call groups already; end or merge one first", provider.app),
        ))
    }

    fn queue_has_room(&self, call: &Call, action: &Action) -> Result<()> {
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
        use CallState::*;
        let state = call.state;
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
        self.can_do(call, action)
    }

    fn can_do(&self, call: &Call, action: &Action) -> Result<()> {
        let video =
            || self.providers.get(&call.provider).is_some_and(|p| p.configuration.supports_video);
        let (error, what) = match action {
            Action::SetHeld { held: true, .. }
                if !call.can.hold && call.state == CallState::Active =>
            {
                (Error::CannotHold, "be put on hold")
            }
            Action::SetGroup { .. } if !call.can.group => (Error::NotSupported, "be grouped"),
            Action::PlayDtmf { .. } if !call.can.dtmf => (Error::NotSupported, "play tones"),
            Action::SetVideo { video: true, .. } if !video() => (Error::NotSupported, "have video"),
            _ => return Ok(()),
        };
        let why = format!("its app says that call {} cannot {what}", call.uuid);
        Err(Refusal::new(error, why))
    }

    fn may_regroup(&self, caller: Caller, call: &Call, with: Option<CallRef>) -> Result<()> {
        let Some(with) = with else { return Ok(()) };
        let other = self.named(with)?;
        self.may_control(caller, other)?;
        if other.provider != call.provider {
            let why = "calls of different apps cannot be grouped yet; swap between them instead";
            return Err(Refusal::new(Error::NotSupported, why));
        }
        if other.orphaned {
            return Err(gone());
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
        if own || caller.control && self.origin(caller) != Origin::App {
            return Ok(());
        }
        let why = if caller.control {
            "an app acts on its own calls only; a second connection acts as a controller"
        } else {
            "a sandboxed program acts on its own calls only, unless the administrator lists it \
             under `control`"
        };
        Err(Refusal::new(Error::AccessDenied, why))
    }

    /// The provider through which a call would go.
    fn start_through(
        &self,
        caller: Caller,
        handle: &Private,
        app: Option<&str>,
    ) -> Result<&Provider> {
        let attached = || self.providers.values().filter(|p| p.peer.is_some());
        let own = |p: &&Provider| p.peer == Some(caller.peer);
        let scheme = handle.reveal().split_once(':').map_or("", |(scheme, _)| scheme);
        let takes = |p: &&Provider| {
            let schemes = &p.configuration.schemes;
            schemes.is_empty() || schemes.iter().any(|s| s.eq_ignore_ascii_case(scheme))
        };
        let allowed = |p: &&Provider| p.authorization == Authorization::Authorized;
        let provider = match app {
            Some(app) => {
                let named = || attached().filter(|p| &*p.app == app);
                named().find(own).or_else(|| named().next()).ok_or_else(|| {
                    let why = format!("{app} is not registered; start the app first");
                    Refusal::new(Error::UnknownProvider, why)
                })?
            }
            None => {
                let fitting = || attached().filter(takes).filter(allowed);
                fitting().find(own).or_else(|| fitting().next()).ok_or_else(|| {
                    let why = format!("no registered app places calls to `{scheme}:` addresses");
                    Refusal::new(Error::UnknownProvider, why)
                })?
            }
        };
        if provider.peer != Some(caller.peer)
            && (!caller.control || self.origin(caller) == Origin::App)
        {
            let why = "an app places calls through itself only";
            return Err(Refusal::new(Error::AccessDenied, why));
        }
        if !takes(&provider) {
            let why = format!("{} does not place calls to `{scheme}:` addresses", provider.app);
            return Err(Refusal::new(Error::NotSupported, why));
        }
        Ok(provider)
    }

    fn is_emergency(&self, provider: &Provider, handle: &Private) -> bool {
        let emergency = &self.settings.policy.emergency;
        let dialed = handle.reveal();
        let bare = dialed.split_once(':').map_or(dialed, |(_, rest)| rest);
        emergency.providers.contains(&provider.app)
            && emergency.handles.iter().any(|h| &**h == dialed || &**h == bare)
    }

    fn may_start(
        &self,
        provider: &Provider,
        uuid: uuid::Uuid,
        video: bool,
        emergency: bool,
        before: usize,
    ) -> Result<()> {
        self.is_authorized(provider)?;
        self.is_fresh(provider, uuid)?;
        if video && !provider.configuration.supports_video {
            let why = format!("{} has no video; start without `has-video`", provider.app);
            return Err(Refusal::new(Error::NotSupported, why));
        }
        let limit = self.settings.limits.calls;
        if !emergency && self.calls.len() + before >= limit as usize {
            let why = format!("{limit} calls are live (limit `calls`); end one first");
            return Err(Refusal::new(Error::LimitExceeded, why));
        }
        Ok(())
    }

    pub(crate) fn is_authorized(&self, provider: &Provider) -> Result<()> {
        if provider.authorization == Authorization::Authorized {
            return Ok(());
        }
        Err(Refusal::new(
            Error::NotAuthorized,
            format!(
                "{0} is not allowed to provide calls ({1}); an administrator allows it with \
                 `\"{0}\" = \"allow\"` under [apps] in the arbiter's configuration",
                provider.app,
                provider.authorization.name()
            ),
        ))
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
        (self.background && !emergency).then(|| {
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

/// Only such transactions take turns.
fn moves_focus(action: &Action) -> bool {
    matches!(
        action,
        Action::Start { .. }
            | Action::Answer { .. }
            | Action::SetHeld { held: false, .. }
            | Action::SetGroup { .. }
    )
}

fn note_room(room: &Room, steps: &mut Vec<PlannedStep>, ahead: &mut Ahead) {
    for id in &room.holds {
        let action = Action::SetHeld { call: CallRef::Id(*id), held: true };
        steps.push(PlannedStep { action, implicit: true });
        ahead.insert(*id, CallState::Held);
    }
    for id in &room.ends {
        let (call, message) = (CallRef::Id(*id), Private::default());
        let action = Action::End { call, reason: None, message };
        steps.push(PlannedStep { action, implicit: true });
        ahead.insert(*id, CallState::Ended);
    }
}

pub(crate) fn stale(expected: CallState, state: CallState) -> Refusal {
    Refusal::new(
        Error::StaleState,
        format!("the call is {}, not {}; look again", state.name(), expected.name()),
    )
}

fn gone() -> Refusal {
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
