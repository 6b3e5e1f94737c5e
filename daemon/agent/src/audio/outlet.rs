//! What is known of the outputs, and who is told: the arbiter, the ringer, and who chose one.
//!
//! Owns that each is told once, and that a choice that could not be carried out is taken back.

use callarbiter_dbus::{Dict, ErrorKind};
use tokio::{sync::watch, time::Instant};

use super::{
    SELECT_WITHIN,
    endpoints::{Choice, Outputs, Route},
};
use crate::{arbiter::Desk, orders::Reply};

pub struct Outlet {
    choice: Choice,
    outputs: Option<Outputs>,
    /// For the ringer.
    route: watch::Sender<Route>,
    /// What the arbiter was told last.
    told: Option<(Outputs, String)>,
    /// It has given the role.
    arbiter: bool,
    selecting: Option<Selecting>,
}

/// A choice that is being carried out.
struct Selecting {
    reply: Reply,
    id: String,
    /// What was chosen before it.
    before: Option<String>,
    until: Instant,
}

impl Outlet {
    pub fn new(choice: Choice, route: watch::Sender<Route>) -> Outlet {
        Outlet { choice, outputs: None, route, told: None, arbiter: false, selecting: None }
    }

    /// Another arbiter, or the same one that missed something.
    pub fn tell_again(&mut self) {
        (self.arbiter, self.told) = (true, None);
    }

    /// As the server has them now.
    pub fn learn(&mut self, outputs: Outputs) {
        self.outputs = Some(outputs);
    }

    pub fn route(&self) -> Route {
        self.outputs.as_ref().map(|outputs| self.choice.route(outputs)).unwrap_or_default()
    }

    /// A newer choice calls off an older, whose reply nobody waits for any more.
    pub fn choose(&mut self, id: String, reply: Reply) {
        let before = self.choice.choose(Some(id.clone()));
        let before = self.selecting.take().map_or(before, |older| older.before);
        // What is there is looked at first.
        self.outputs = None;
        let until = Instant::now() + SELECT_WITHIN;
        self.selecting = Some(Selecting { reply, id, before, until });
    }

    /// Until when a choice must be carried out.
    pub fn until(&self) -> Option<Instant> {
        self.selecting.as_ref().map(|selecting| selecting.until)
    }

    /// Says what is not said yet; `routed`: what calls play goes where it is to be heard.
    pub async fn tell(&mut self, desk: &Desk, routed: bool) {
        let (chosen, failed) = self.outcome(routed);
        if let Some(Selecting { before, .. }) = &failed {
            self.choice.choose(before.clone());
        }
        if chosen.is_some() {
            self.choice.keep();
        }
        let route = self.route();
        self.route.send_if_modified(|old| {
            *old != route && {
                *old = route;
                true
            }
        });
        if let (Some(outputs), true) = (&self.outputs, self.arbiter) {
            let now = (outputs.clone(), self.choice.current(outputs));
            if self.told.as_ref() != Some(&now) {
                desk.set_endpoints(&now.0.list, &now.1).await;
                self.told = Some(now);
            }
        }
        if let Some(Selecting { reply, .. }) = chosen {
            reply.send(Dict::new()).await;
        }
        if let Some(Selecting { reply, .. }) = failed {
            let why = "the sound of the call does not go there; it stays where it was";
            reply.fail(ErrorKind::ActionFailed, why.to_owned()).await;
        }
    }

    fn outcome(&mut self, routed: bool) -> (Option<Selecting>, Option<Selecting>) {
        let Some(outputs) = &self.outputs else { return (None, None) };
        let there = |selecting: &Selecting| outputs.has(&selecting.id);
        let chosen = self.selecting.take_if(|selecting| routed && there(selecting));
        let failed = self
            .selecting
            .take_if(|selecting| !there(selecting) || selecting.until <= Instant::now());
        (chosen, failed)
    }
}
