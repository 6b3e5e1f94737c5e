//! Arbitration restated: what must hold where every app holds each call by itself and always does at
//! once what it is asked.
//!
//! Owns a model without requests, deadlines, lanes or groups: a list of calls, who has the focus, who
//! holds whom. It shares no code with the core; after each operation the two must agree.

use std::collections::BTreeMap;

use callarbiter_core::{CallState, EndReason, Error};

#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub app: u8,
    pub state: CallState,
    pub by_user: bool,
    pub by_arbiter: bool,
    pub muted: bool,
    outgoing: bool,
    held_at: u32,
}

/// One user's calls as they must be.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    pub calls: BTreeMap<u8, Told>,
    pub focus: Option<u8>,
    clock: u32,
    /// How each call ended, in order.
    pub ends: Vec<(u8, EndReason)>,
}

/// The operations of which the model knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Simple {
    Incoming {
        app: u8,
        n: u8,
    },
    Answer {
        n: u8,
    },
    Start {
        app: u8,
        n: u8,
    },
    /// The far end of a call being placed picks up.
    Connects {
        n: u8,
    },
    End {
        n: u8,
    },
    RemoteEnd {
        n: u8,
    },
    Hold {
        n: u8,
    },
    Unhold {
        n: u8,
    },
    Swap {
        hold: u8,
        unhold: u8,
    },
    Mute {
        n: u8,
        muted: bool,
    },
    /// Nobody answers any of them.
    RingOut,
}

const GROUPS_PER_APP: usize = 2;

impl Reference {
    /// What the operation does, or the error that refuses it.
    pub fn apply(&mut self, op: Simple) -> Result<(), Error> {
        self.clock += 1;
        match op {
            Simple::Incoming { app, n } => {
                if self.is_over(n) {
                    return Err(Error::AlreadyEnded);
                }
                match self.calls.get(&n) {
                    Some(call) if call.outgoing => return Err(Error::UuidInUse),
                    Some(_) => {}
                    None => {
                        self.calls.insert(n, told(app, CallState::Ringing));
                    }
                }
                Ok(())
            }
            Simple::Answer { n } => {
                let call = self.known(n)?;
                if call.state != CallState::Ringing {
                    return Err(Error::InvalidState);
                }
                self.room(n)?;
                self.group_room(call.app)?;
                self.hold_others(n);
                self.activate(n);
                Ok(())
            }
            Simple::Start { app, n } => {
                if self.calls.contains_key(&n) {
                    return Err(Error::UuidInUse);
                }
                if self.is_over(n) {
                    return Err(Error::AlreadyEnded);
                }
                self.room(n)?;
                self.group_room(app)?;
                self.hold_others(n);
                self.calls.insert(n, Told { outgoing: true, ..told(app, CallState::Dialing) });
                self.focus = Some(n);
                Ok(())
            }
            Simple::Connects { n } => {
                let call = self.known(n)?;
                if call.state == CallState::Dialing {
                    self.call(n).state = CallState::Active;
                }
                Ok(())
            }
            Simple::End { n } => {
                self.known(n)?;
                let ringing = self.calls[&n].state == CallState::Ringing;
                let reason = if ringing { EndReason::Declined } else { EndReason::LocalEnded };
                self.end(n, reason);
                Ok(())
            }
            Simple::RemoteEnd { n } => {
                self.known(n)?;
                self.end(n, EndReason::RemoteEnded);
                Ok(())
            }
            Simple::RingOut => {
                let ringing = |c: &Told| c.state == CallState::Ringing;
                let all: Vec<u8> =
                    self.calls.iter().filter(|(_, c)| ringing(c)).map(|(n, _)| *n).collect();
                for n in all {
                    self.end(n, EndReason::Unanswered);
                }
                Ok(())
            }
            Simple::Hold { n } => {
                let clock = self.clock;
                match self.known(n)?.state {
                    CallState::Active => {
                        let call = self.call(n);
                        (call.state, call.by_user, call.held_at) = (CallState::Held, true, clock);
                        if self.focus == Some(n) {
                            self.focus = None;
                            self.keep_held();
                        }
                        Ok(())
                    }
                    CallState::Held => {
                        self.call(n).by_user = true;
                        Ok(())
                    }
                    _ => Err(Error::InvalidState),
                }
            }
            Simple::Unhold { n } => match self.known(n)?.state {
                CallState::Active | CallState::Held => self.unhold(n),
                _ => Err(Error::InvalidState),
            },
            Simple::Swap { hold, unhold } => {
                let connected = |c: Told| match c.state {
                    CallState::Active | CallState::Held => Ok(c),
                    _ => Err(Error::InvalidState),
                };
                connected(self.known(hold)?)?;
                let b = connected(self.known(unhold)?)?;
                if b.state == CallState::Held {
                    self.room(unhold)?;
                }
                let clock = self.clock;
                let call = self.call(hold);
                if call.state == CallState::Active {
                    (call.state, call.held_at) = (CallState::Held, clock);
                }
                call.by_arbiter = true;
                self.unhold(unhold)
            }
            Simple::Mute { n, muted } => match self.known(n)?.state {
                CallState::Ringing => Err(Error::InvalidState),
                _ => {
                    self.call(n).muted = muted;
                    Ok(())
                }
            },
        }
    }

    fn unhold(&mut self, n: u8) -> Result<(), Error> {
        if self.calls[&n].state == CallState::Active && self.focus == Some(n) {
            return Ok(());
        }
        self.room(n)?;
        self.hold_others(n);
        self.activate(n);
        Ok(())
    }

    fn known(&self, n: u8) -> Result<Told, Error> {
        if let Some(call) = self.calls.get(&n) {
            return Ok(call.clone());
        }
        Err(if self.is_over(n) { Error::AlreadyEnded } else { Error::UnknownCall })
    }

    fn is_over(&self, n: u8) -> bool {
        self.ends.iter().any(|(over, _)| *over == n)
    }

    fn call(&mut self, n: u8) -> &mut Told {
        self.calls.get_mut(&n).unwrap()
    }

    /// A call being placed cannot be held.
    fn room(&self, n: u8) -> Result<(), Error> {
        let dialing = |(other, c): (&u8, &Told)| *other != n && c.state == CallState::Dialing;
        if self.calls.iter().any(dialing) { Err(Error::CannotHold) } else { Ok(()) }
    }

    fn group_room(&self, app: u8) -> Result<(), Error> {
        let groups = |c: &&Told| c.app == app && c.state != CallState::Ringing;
        if self.calls.values().filter(groups).count() >= GROUPS_PER_APP {
            return Err(Error::MaximumCallGroupsReached);
        }
        Ok(())
    }

    fn hold_others(&mut self, n: u8) {
        let clock = self.clock;
        for (_, call) in self.calls.iter_mut().filter(|(other, _)| **other != n) {
            if call.state == CallState::Active {
                (call.state, call.by_arbiter, call.held_at) = (CallState::Held, true, clock);
            }
        }
    }

    fn activate(&mut self, n: u8) {
        let call = self.call(n);
        call.state = CallState::Active;
        (call.by_user, call.by_arbiter) = (false, false);
        self.focus = Some(n);
    }

    fn end(&mut self, n: u8, reason: EndReason) {
        let Some(call) = self.calls.remove(&n) else { return };
        self.ends.push((n, reason));
        if self.focus != Some(n) {
            return;
        }
        self.focus = None;
        self.free();
        if reason == EndReason::RemoteEnded && call.state != CallState::Dialing {
            return self.keep_held();
        }
        let waits = |c: &Told| c.state == CallState::Held && !c.by_user;
        let newest = self.calls.iter().filter(|(_, c)| waits(c)).max_by_key(|(_, c)| c.held_at);
        if let Some((newest, _)) = newest {
            self.activate(*newest);
        }
    }

    /// The arbiter holds under a focus only: what the user holds too is the user's alone.
    fn free(&mut self) {
        for call in self.calls.values_mut().filter(|c| c.by_user) {
            call.by_arbiter = false;
        }
    }

    /// Nobody is overheard: what arbitration held stays held, by the user.
    fn keep_held(&mut self) {
        self.free();
        for call in self.calls.values_mut().filter(|c| c.state == CallState::Held && !c.by_user) {
            (call.by_user, call.by_arbiter) = (true, false);
        }
    }
}

fn told(app: u8, state: CallState) -> Told {
    Told {
        app,
        state,
        by_user: false,
        by_arbiter: false,
        muted: false,
        outgoing: false,
        held_at: 0,
    }
}
