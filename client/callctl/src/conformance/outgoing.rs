//! Calls that the user makes: one, a second one beside it, both in one group.
//!
//! Owns how these rules are tried.

use callarbiter::StartOptions;

use super::{rules, trial::Trial};

const NO_ANSWER: &str =
    "the far end did not answer: --handle HANDLE of somebody who does would let it be tried";

impl Trial<'_> {
    pub async fn outgoing(&mut self) {
        let started = self.start().await;
        let Some(call) = self.found(&rules::STARTS, started) else { return };
        if self.in_state(&call, "active").await.is_err() {
            self.far_end_is_silent();
            self.end(&call).await;
            return;
        }
        self.repeat("PerformStart", &call).await;
        self.live(&call).await;
        if self.report.may_try(&rules::TWO_CALLS) {
            self.two_calls(&call).await;
        }
        let active = self.board().call_with_id(&call).is_some_and(|call| call.state == "active");
        match active && self.report.has(&rules::ENDS) {
            true => self.live = Some(call),
            false => self.end(&call).await,
        }
    }

    /// A call that the app places, as soon as the network has taken it.
    pub async fn start(&mut self) -> Result<String, String> {
        let provider = self.app_id.clone();
        let options = StartOptions { provider, wait: true, ..StartOptions::default() };
        let handle = self.options.handle.clone();
        self.session.start(&handle, options).await.map_err(|error| error.to_string())
    }

    async fn two_calls(&mut self, first: &str) {
        if self.configured("maximum-call-groups") == Some(1) {
            let why = "the app says that it carries one call: maximum-call-groups 1";
            return self.report.skip(&rules::TWO_CALLS, why);
        }
        let second = match self.start().await {
            Ok(second) => second,
            Err(why) => {
                self.report.note(&rules::TWO_CALLS, Err(why));
                return;
            }
        };
        let both = match self.in_state(first, "held").await {
            Ok(()) => self.in_state(&second, "active").await,
            failed => failed,
        };
        if both.is_ok() {
            self.groups(first, &second).await;
        }
        self.end(&second).await;
        let resumed = match both {
            Ok(()) => self.in_state(first, "active").await,
            failed => failed,
        };
        self.report.note(&rules::TWO_CALLS, resumed);
    }

    async fn groups(&mut self, first: &str, second: &str) {
        let grouped = self.can(first, "group") && self.can(second, "group");
        if !grouped || self.configured("maximum-calls-per-group") == Some(1) {
            for rule in [&rules::JOINS, &rules::LEAVES] {
                self.report.skip(rule, "the app says that its calls cannot be grouped");
            }
            return;
        }
        let joined = self.ask(&format!("join:{second}+{first}")).await;
        if self.report.note(&rules::JOINS, joined) {
            self.repeat("PerformSetGroup", second).await;
            let left = self.ask(&format!("leave:{second}")).await;
            self.report.note(&rules::LEAVES, left);
        }
    }

    fn far_end_is_silent(&mut self) {
        for rule in rules::LIVE.into_iter().chain([&rules::TWO_CALLS, &rules::TIME_OUT]) {
            self.report.skip(rule, NO_ANSWER);
        }
    }
}
