//! Calls that the user makes: one that is answered, and one that is cancelled.
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
            self.skip_all(&rules::PAIR, NO_ANSWER);
            self.end(&call).await;
            return;
        }
        self.repeat("PerformStart", &call).await;
        self.live(&call).await;
        if self.report.may_try(&rules::WHOLE) {
            self.two_calls(&call).await;
        }
        self.end(&call).await;
        if self.report.may_try(&rules::CANCELS) {
            self.cancels().await;
        }
    }

    /// Whether the far end was quicker does not matter: the word of the user is the last.
    async fn cancels(&mut self) {
        let cancelled = self.begun_and_ended().await;
        self.report.note(&rules::CANCELS, cancelled);
    }

    async fn begun_and_ended(&mut self) -> Result<(), String> {
        let call = self.start_with(false).await?;
        self.until("the call", |board| board.call_with_id(&call).map(drop)).await?;
        self.ended(&call).await
    }

    /// A call that the app places, as soon as the network has taken it.
    pub async fn start(&mut self) -> Result<String, String> {
        self.start_with(true).await
    }

    async fn start_with(&mut self, wait: bool) -> Result<String, String> {
        let provider = self.app_id.clone();
        let options = StartOptions { provider, wait, ..StartOptions::default() };
        let handle = self.options.handle.clone();
        self.session.start(&handle, options).await.map_err(|error| error.to_string())
    }
}
