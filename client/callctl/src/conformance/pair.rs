//! Two calls at once: the second holds the first, they are swapped, and are in one group.
//!
//! Owns how these rules are tried.

use super::{rules, said::Word, trial::Trial};

impl Trial<'_> {
    /// The first is active.
    pub async fn two_calls(&mut self, first: &str) {
        if self.configured("maximum-call-groups") == Some(1_u32) {
            let why = "the app says that it carries one call: maximum-call-groups 1";
            return self.skip_all(&rules::PAIR, why);
        }
        let since = self.relay.said.mark();
        let started = self.start().await;
        if !self.performs_whole(since).await {
            if let Ok(second) = started {
                self.end(&second).await;
            }
            return;
        }
        let resumed = self.beside(first, started).await;
        if self.report.note(&rules::TWO_CALLS, resumed) {
            self.changes(first).await;
        }
    }

    /// The first is held while there is a second.
    async fn beside(&mut self, first: &str, second: Result<String, String>) -> Result<(), String> {
        let second = second?;
        let held = self.held_for(first, &second).await;
        self.end(&second).await;
        held?;
        self.in_state(first, "active").await
    }

    /// What two calls can be asked for; where something of it fails, nobody knows which of them is held.
    async fn changes(&mut self, first: &str) {
        let Ok(second) = self.start().await else { return };
        let swapped = match self.held_for(first, &second).await {
            Ok(()) => self.swaps(first, &second).await,
            failed => failed,
        };
        if self.report.note(&rules::SWAPS, swapped) {
            self.groups(first, &second).await;
        }
        self.end(&second).await;
    }

    /// What came of asking for the hold and the start in one, where the app wants that.
    async fn performs_whole(&mut self, since: usize) -> bool {
        let says = self.configured("transactions") == Some(true);
        let network = self.configured("hold-model") == Some("provider-wide".to_owned());
        let why = match (says, network) {
            (true, true) => {
                let asked = |word: &Word| !word.from_app && word.name == "PerformTransaction";
                let seen = match self.relay.said.find(since, asked) {
                    Some(asked) => self.answer_to(asked.text(0), since).await,
                    None => Err("was never said".to_owned()),
                };
                let seen = seen.map_err(|why| format!("PerformTransaction {why}"));
                return self.report.note(&rules::WHOLE, seen);
            }
            (false, _) => "the app does not say transactions in its configuration",
            (true, false) => {
                "the app holds each call by itself; plans are asked for whole where it says \
                 hold-model provider-wide"
            }
        };
        self.report.skip(&rules::WHOLE, why);
        true
    }

    async fn held_for(&mut self, held: &str, active: &str) -> Result<(), String> {
        self.in_state(held, "held").await?;
        self.in_state(active, "active").await
    }

    /// There and back again.
    async fn swaps(&mut self, first: &str, second: &str) -> Result<(), String> {
        self.swap(second, first).await?;
        self.swap(first, second).await
    }

    async fn swap(&mut self, active: &str, held: &str) -> Result<(), String> {
        self.ask(&format!("hold:{active} unhold:{held}")).await?;
        self.held_for(active, held).await
    }

    async fn groups(&mut self, first: &str, second: &str) {
        let grouped = self.can(first, "group") && self.can(second, "group");
        if !grouped || self.configured("maximum-calls-per-group") == Some(1_u32) {
            let rules = [&rules::JOINS, &rules::HOLDS_GROUP, &rules::LEAVES];
            return self.skip_all(&rules, "the app says that its calls cannot be grouped");
        }
        let joined = self.ask(&format!("join:{second}+{first}")).await;
        if self.report.note(&rules::JOINS, joined) {
            self.repeat("PerformSetGroup", second).await;
            let held = self.holds_group(first, second).await;
            if self.report.note(&rules::HOLDS_GROUP, held) {
                // The other is held before.
                let left = self.ask(&format!("leave:{second}")).await;
                self.report.note(&rules::LEAVES, left);
            }
        }
    }

    async fn holds_group(&mut self, first: &str, second: &str) -> Result<(), String> {
        for (verb, state) in [("hold", "held"), ("unhold", "active")] {
            self.ask(&format!("{verb}:{second}")).await?;
            self.in_state(first, state).await?;
            self.in_state(second, state).await?;
        }
        Ok(())
    }
}
