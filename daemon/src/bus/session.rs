//! What logind says, told to the core: who has the seats, and sleep.
//!
//! Owns the way between [`crate::logind`] and a turn. Decides nothing.

use callarbiter_core::Now;
use callarbiter_wire::Outgoing;

use super::{router::Router, turn::Turn};
use crate::logind::Logind;

impl Router {
    /// Looks for logind on this bus, from now on.
    pub fn watch_logind(&mut self, now: Now, out: &mut Vec<Outgoing>) {
        let seated = self.arbiter.domains().map(|domain| (domain.uid(), domain.seats().to_vec()));
        let locked = self.arbiter.domains().filter(|domain| domain.is_locked());
        let locked = locked.map(|domain| domain.uid());
        self.logind = Some(Logind::find(now.mono, seated, locked));
        self.hear_logind(now, out, |_| {});
    }

    /// Something happened to it, or it said something.
    pub(super) fn hear_logind(
        &mut self,
        now: Now,
        out: &mut Vec<Outgoing>,
        happened: impl FnOnce(&mut Logind),
    ) {
        let Some(logind) = &mut self.logind else { return };
        happened(logind);
        let (questions, inputs) = logind.news();
        out.extend(questions.into_iter().map(Outgoing::from));
        if !inputs.is_empty() {
            let mut turn = Turn::new(now);
            for input in inputs {
                self.tell(&mut turn, input);
            }
            self.finish(turn, out);
        }
    }

    /// The machine sleeps as soon as all calls are held.
    pub(super) fn let_sleep(&mut self) {
        if let Some(logind) = self.logind.as_mut().filter(|logind| logind.delays_sleep())
            && self.arbiter.is_ready_to_sleep()
        {
            logind.let_sleep();
        }
    }
}
