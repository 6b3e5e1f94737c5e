//! What a wish needs: pure questions about the present state. Changes nothing.
//!
//! Owns validation of transactions as a whole, the implicit steps that make room, and the limits of
//! groups. Used before accepting, again at each step's turn, and to tell what answering would do.

use std::collections::BTreeMap;

use crate::{
    Action, AnswerPlan, Busy, Call, CallId, CallRef, CallState, Caller, Direction, Domain, Error,
    GroupId, Private, ProviderId, Refusal, Requested, Result, Treatment, WhenBusy,
    choice::Through,
    rights,
    treatment::{class, insists},
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
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    pub targets: Vec<Target>,
    /// It moves the focus.
    pub focus: bool,
    pub emergency: bool,
    pub steps: Vec<PlannedStep>,
}

/// A transaction while it is checked, action by action.
#[derive(Debug, Default)]
struct Draft {
    accepted: Accepted,
    ahead: Ahead,
    /// It would have its turn at once.
    next: bool,
    /// One of its actions so far is a start.
    starts: bool,
}

impl Draft {
    fn note(&mut self, room: &Room) {
        note_room(room, &mut self.accepted.steps, &mut self.ahead);
    }
}

/// What an action is about.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Call(CallId),
    New(Through),
}

impl Domain {
    /// Checks a transaction as a whole: every action against what the earlier ones would leave. The
    /// steps are written down if they are to be told.
    pub(crate) fn validate(
        &self,
        caller: Caller,
        requested: &[Requested],
        tell: bool,
    ) -> Result<Accepted> {
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
        let next = self.lane.running.is_none() && self.lane.queue.is_empty();
        let mut draft = Draft { next, ..Draft::default() };
        for one in requested {
            draft.accepted.focus |= moves_focus(&one.action);
            let target = match one.action.call() {
                None => self.draft_start(&mut draft, caller, &one.action)?,
                Some(call) => self.draft_other(&mut draft, caller, call, one, requested)?,
            };
            draft.accepted.targets.push(target);
            if tell {
                let step = PlannedStep { action: one.action.clone(), implicit: false };
                draft.accepted.steps.push(step);
            }
        }
        Ok(draft.accepted)
    }

    fn draft_start(&self, draft: &mut Draft, caller: Caller, action: &Action) -> Result<Target> {
        let Action::Start { uuid, handle, provider, video } = action else {
            return Err(Refusal::new(Error::InvalidArgument, "the action names no call"));
        };
        let way = self.start_through(caller, handle, provider.as_deref())?;
        let app = match &way {
            Through::Here(id) => self.providers.get(id).map(|p| &p.app),
            Through::Launched(app) => Some(app),
        };
        let emergency = app.is_some_and(|app| self.is_emergency(app, handle));
        draft.accepted.emergency |= emergency;
        self.may_start(&way, *uuid, *video, emergency)?;
        if emergency && let Some(other) = self.calls.values().find(|c| c.emergency) {
            return Err(protected(other));
        }
        if let Some(why) = self.background_refusal(emergency) {
            return Err(why);
        }
        if std::mem::replace(&mut draft.starts, true) {
            let why = "a call being placed cannot be held for the next one: start one at a time";
            return Err(Refusal::new(Error::CannotHold, why));
        }
        let ruled = app.and_then(|app| self.treatment_of(app, handle, Direction::Outgoing, false));
        let ruled = ruled.as_deref();
        app.map_or(Ok(()), |app| self.may_have_more(app, ruled))?;
        if draft.next {
            let room = self.room_by(CallId(0), None, emergency, ruled, &draft.ahead)?;
            draft.note(&room);
            if let Through::Here(id) = way {
                self.group_room(id, CallId(0), emergency, ruled, &draft.ahead)?;
            }
        }
        Ok(Target::New(way))
    }

    /// An action on a call that is there.
    fn draft_other(
        &self,
        draft: &mut Draft,
        caller: Caller,
        named: CallRef,
        Requested { action, expected }: &Requested,
        all: &[Requested],
    ) -> Result<Target> {
        let call = self.named(named)?;
        self.may_control(caller, call)?;
        let earlier = draft.ahead.get(&call.id).copied();
        let state = earlier.unwrap_or(call.state);
        if let Some(expected) = expected.filter(|e| earlier.is_none() && *e != state) {
            return Err(rights::stale(expected, state));
        }
        self.queue_has_room(call, action)?;
        self.fits_in(call, state, action)?;
        let after = match action {
            Action::Answer { .. } | Action::SetHeld { held: false, .. } => {
                if let Some(why) = self.background_refusal(call.emergency) {
                    return Err(why);
                }
                if draft.next && state != CallState::Active {
                    draft.note(&self.room(call.id, call.group, call.emergency, &draft.ahead)?);
                    if call.group.is_none() {
                        self.group_room(
                            call.provider,
                            call.id,
                            false,
                            call.treatment(),
                            &draft.ahead,
                        )?;
                    }
                }
                CallState::Active
            }
            Action::SetHeld { held: true, .. } => {
                if call.emergency && all.iter().any(|r| takes_focus(&r.action)) {
                    return Err(protected(call));
                }
                CallState::Held
            }
            Action::End { .. } => CallState::Ended,
            Action::SetGroup { with, .. } => {
                self.may_regroup(caller, call, *with)?;
                if with.is_none() && state == CallState::Active {
                    draft.note(&Room { holds: self.leave_room(call.id)?, ends: Vec::new() });
                    self.group_room(call.provider, call.id, false, call.treatment(), &draft.ahead)?;
                }
                return Ok(Target::Call(call.id));
            }
            _ => return Ok(Target::Call(call.id)),
        };
        // A group is held and resumed whole.
        let whole = call.group.filter(|_| matches!(action, Action::SetHeld { .. }));
        let members = whole.into_iter().flat_map(|g| self.members(g)).map(|c| c.id);
        if all.len() > 1 {
            draft.ahead.extend(members.chain([call.id]).map(|id| (id, after)));
        }
        Ok(Target::Call(call.id))
    }

    /// What answering this ringing call now would do.
    pub(crate) fn answer_plan(&self, id: CallId) -> AnswerPlan {
        let Some(call) = self.calls.get(&id) else { return AnswerPlan::default() };
        let away = call.orphaned.then(crate::rights::gone);
        let room = match away.or_else(|| self.background_refusal(false)) {
            Some(why) => Err(why),
            None => self.room(id, None, false, &Ahead::new()),
        };
        let room = room.and_then(|room| {
            let mut ahead = Ahead::new();
            note_room(&room, &mut Vec::new(), &mut ahead);
            let ruled = call.treatment();
            self.group_room(call.provider, id, false, ruled, &ahead).map(|()| room)
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
        let ruled = self.calls.get(&target).and_then(Call::treatment);
        self.room_by(target, group, emergency, ruled, ahead)
    }

    /// The same for a call of which rules decided this.
    fn room_by(
        &self,
        target: CallId,
        group: Option<GroupId>,
        emergency: bool,
        ruled: Option<&Treatment>,
        ahead: &Ahead,
    ) -> Result<Room> {
        let mut room = Room::default();
        let ends = match ruled.and_then(|t| t.then.when_busy) {
            Some(busy) => busy == Busy::End,
            None => self.settings.policy.when_busy == WhenBusy::End,
        };
        let (own_class, insists) = (class(ruled), insists(ruled));
        for call in self.busy_ahead(ahead) {
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
                return Err(protected(call));
            }
            let holdable = state == CallState::Active && call.can.hold;
            let lower = class(call.treatment()) <= own_class;
            let stubborn = call.left_active && (emergency || insists && lower);
            if holdable && !stubborn {
                room.holds.push(call.id);
            } else if emergency || lower && (ends || stubborn) {
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

    /// Calls that are neither ringing nor on hold, now or after earlier actions, in the order of their numbers.
    fn busy_ahead<'a>(&'a self, ahead: &'a Ahead) -> impl Iterator<Item = &'a Call> {
        let mut busy = self.index.busy.iter().peekable();
        let mut later = ahead.keys().copied().peekable();
        let next = move || match (busy.peek(), later.peek()) {
            (Some(a), Some(b)) if a == b => {
                later.next();
                busy.next()
            }
            (Some(a), Some(b)) if a < b => busy.next(),
            (_, Some(_)) => later.next(),
            (_, None) => busy.next(),
        };
        std::iter::from_fn(next).filter_map(|id| self.calls.get(&id))
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
    pub(crate) fn group_room(
        &self,
        provider: ProviderId,
        joining: CallId,
        emergency: bool,
        ruled: Option<&Treatment>,
        ahead: &Ahead,
    ) -> Result<()> {
        let Some(provider) = self.providers.get(&provider).filter(|_| !emergency) else {
            return Ok(());
        };
        let own = provider.configuration.maximum_call_groups.unwrap_or(u32::MAX);
        let ruled = ruled.and_then(|t| t.then.groups).unwrap_or(u32::MAX);
        let most = self.settings.limits.groups_per_provider.min(own).min(ruled);
        let stays = |c: &&Call| {
            let state = *ahead.get(&c.id).unwrap_or(&c.state);
            let counts = match state {
                CallState::Ended
                | CallState::Ringing
                | CallState::Screening
                | CallState::Launching => false,
                CallState::Starting | CallState::Answering => self.is_asked_to_connect(c),
                _ => true,
            };
            c.id != joining && counts
        };
        // A call that is being answered or placed will be a group of its own.
        let (ringing, busy) = (self.calls_in(&self.index.ringing), self.calls_in(&self.index.busy));
        let single = ringing.chain(busy).filter(|c| c.provider == provider.id && c.group.is_none());
        let single = single.filter(stays).count();
        let groups = self.index.groups_of(provider.id);
        if groups.len() + single < most as usize {
            return Ok(());
        }
        let left = groups.iter().filter(|(_, g)| self.members(*g).any(|c| stays(&c))).count();
        if left + single < most as usize {
            return Ok(());
        }
        let by = if most == ruled { " (`groups` of a rule)" } else { "" };
        let app = &provider.app;
        let why = format!("{app} has {most} call groups already{by}; end or merge one first");
        Err(Refusal::new(Error::MaximumCallGroupsReached, why))
    }
}

fn protected(call: &Call) -> Refusal {
    let why = format!("call {} is an emergency call; nothing interrupts it", call.uuid);
    Refusal::new(Error::CallProtected, why)
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

/// Beside such an action, a hold makes room: it counts as arbitration.
pub(crate) fn takes_focus(action: &Action) -> bool {
    matches!(
        action,
        Action::Start { .. } | Action::Answer { .. } | Action::SetHeld { held: false, .. }
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
