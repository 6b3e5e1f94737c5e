//! How a history ends: whatever providers do, in time nothing is pending.
//!
//! Owns the three endings and what must be true after each.

use callarbiter_core::*;

use super::{
    harness::Harness,
    op::{By, How, Op},
};
use crate::world::*;

/// What the apps do in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// They do everything they are asked.
    Obey,
    /// They never say a word again.
    Silence,
    /// Their connections are lost.
    Loss,
}

pub const ENDINGS: [Ending; 3] = [Ending::Obey, Ending::Silence, Ending::Loss];

impl Harness {
    /// The end of a history, and what is left then.
    pub fn finish(&mut self, ending: Ending) {
        self.keep_the_history();
        match ending {
            Ending::Obey => self.obey(),
            Ending::Silence => {
                // Only an emergency call waits for its provider as long as it takes.
                self.apply(&Op::Pass { ms: 600_000 });
                while self.answer_if(|a| matches!(a.ask, Ask::Start { .. }), How::Fail) {}
            }
            Ending::Loss => self.lose_all(),
        }
        self.hours_pass(ending == Ending::Obey);
        self.nothing_is_pending();
        if ending != Ending::Loss {
            self.lose_all();
            self.hours_pass(false);
            self.nothing_is_pending();
        }
        for domain in self.domains() {
            assert_eq!(domain.calls().count(), 0, "a call without an app");
            assert_eq!(domain.groups().count(), 0, "a group without calls");
            assert_eq!(domain.providers().count(), 0, "a provider that never comes back");
            assert_eq!(domain.focus(), None);
        }
    }

    /// From now on somebody writes down every call that is over.
    fn keep_the_history(&mut self) {
        for (by, uid) in [(By::Shell, ALICE), (By::Bob, BOB)] {
            if self.world.arbiter.domain(uid).is_some() {
                self.apply(&Op::TakeRole { by, role: Role::History });
            }
        }
        self.write_down();
    }

    fn write_down(&mut self) {
        while let Some((request, caller)) = self.laws.history.next() {
            let answer = AgentAnswer::default();
            let input = Input::AgentReply { caller, request, answer };
            let _ = self.input(Some(caller.uid), input);
            // What was offered to somebody else before is over.
            self.laws.history.forget(caller.uid, request);
        }
    }

    pub fn obey(&mut self) {
        let mut turns = 0;
        while self.answer_if(|_| true, How::Fulfil) {
            turns += 1;
            assert!(turns < 1000, "they never finish");
        }
    }

    /// Answers the oldest such request. False if there is none.
    pub fn answer_if(&mut self, which: impl Fn(&Asked) -> bool, how: How) -> bool {
        for uid in [ALICE, BOB] {
            let open = self.world.open.get(&uid).into_iter().flatten();
            let attached = |a: &&Asked| {
                self.apps.values().any(|app| app.caller.uid == uid && app.id == a.provider)
            };
            let found = open.filter(attached).find(|a| which(a)).cloned();
            if let Some(asked) = found {
                self.reply(uid, &asked, how);
                // A word that came too late is not asked for again.
                self.world.take(uid, |a| a.request == asked.request);
                return true;
            }
        }
        false
    }

    fn lose_all(&mut self) {
        let peers: Vec<Peer> = self.apps.values().map(|a| a.caller.peer).collect();
        for peer in peers {
            self.lose(peer);
        }
    }

    fn hours_pass(&mut self, obey: bool) {
        let mut wakes = 0;
        while self.world.arbiter.next_deadline().is_some() {
            self.apply(&Op::PassDeadline);
            self.write_down();
            if obey {
                self.obey();
            }
            wakes += 1;
            assert!(
                wakes < 1000,
                "it never comes to rest: {:?}",
                self.world.arbiter.next_deadline()
            );
        }
        self.apply(&Op::Pass { ms: 3_600_000 });
    }

    fn domains(&self) -> Vec<&Domain> {
        [ALICE, BOB].into_iter().filter_map(|uid| self.world.arbiter.domain(uid)).collect()
    }

    fn nothing_is_pending(&self) {
        assert_eq!(self.world.arbiter.next_deadline(), None);
        self.laws.all_finished();
        for domain in self.domains() {
            assert_eq!(domain.transactions().count(), 0, "a transaction is kept for ever");
            let audio = domain.audio();
            assert!(matches!(audio.phase, Phase::Idle | Phase::Granted), "{:?}", audio.phase);
            for call in domain.calls() {
                assert!(
                    matches!(call.state, CallState::Active | CallState::Held),
                    "for ever {:?}",
                    call.state
                );
                assert!(!call.orphaned, "an orphan for ever");
                assert_eq!(call.state == CallState::Held, !call.held_by.is_empty());
                if call.held_by == HeldBy::ARBITER {
                    // The focus itself waits only for the user, or the machine, to come back.
                    let away = self.asleep || !domain.is_foreground();
                    let living = domain.focus().is_some_and(|g| away || Some(g) != call.group);
                    assert!(living, "held by the arbiter and forgotten");
                }
            }
            let has_active = |group: GroupId| {
                let calls = domain.calls().filter(|c| c.group == Some(group));
                calls.into_iter().any(|c| c.state == CallState::Active)
            };
            if domain.is_foreground()
                && let Some(focus) = domain.focus().filter(|g| has_active(*g))
            {
                assert_eq!(audio.holder, Some(focus), "an active focus without the audio");
            }
            let silent =
                domain.focus().is_none() && domain.calls().any(|c| c.state == CallState::Active);
            assert!(!silent, "an active call, and nobody has the focus");
        }
    }
}
