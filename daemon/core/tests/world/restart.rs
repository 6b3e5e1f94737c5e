//! The end of an arbiter and its return. Owns no expectations.

use super::*;

impl World {
    /// The arbiter ends and comes back with what it wrote; these apps went away meanwhile. What the others were
    /// asked before never reached them.
    pub fn restart(&mut self, lost: &[App]) {
        self.restarted(lost, false);
    }

    /// The same, soon after another restart.
    pub fn restart_again(&mut self) {
        self.restarted(&[], true);
    }

    fn restarted(&mut self, lost: &[App], again: bool) {
        let mut keys = Vec::new();
        self.arbiter.keys_after(None, usize::MAX, &mut keys);
        let record = |key: Key| {
            let mut value = Vec::new();
            assert!(self.arbiter.save(key, &mut value));
            (key, value)
        };
        let records: Vec<_> = keys.into_iter().map(record).collect();
        self.arbiter = Arbiter::restore(self.arbiter.settings().clone(), records).unwrap();
        self.open.clear();
        self.effects.clear();
        let lost = lost.iter().map(|app| app.caller.peer).collect();
        self.handle(Input::Restarted { lost, again }).unwrap();
    }

    /// Where apps said that a call is not where the arbiter had it.
    pub fn differs(&self) -> Vec<(CallState, CallState)> {
        let differs = |e: &Effect| match e {
            Effect::Logged(Event { what: Happening::Differs { ours, theirs }, .. }) => {
                Some((*ours, *theirs))
            }
            _ => None,
        };
        self.effects.iter().filter_map(differs).collect()
    }
}
