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
        if self.report.may_try(&rules::ENDS_HELD) {
            self.ends_held().await;
        }
        if self.report.may_try(&rules::STARTS_VIDEO) {
            self.starts_video().await;
        }
        if self.report.may_try(&rules::FAILS_START) {
            self.fails_start().await;
        }
        if self.report.may_try(&rules::LATE_START) {
            self.late_start().await;
        }
    }

    /// Whether the far end was quicker does not matter: the word of the user is the last.
    async fn cancels(&mut self) {
        let cancelled = self.begun_and_ended().await;
        self.report.note(&rules::CANCELS, cancelled);
    }

    async fn begun_and_ended(&mut self) -> Result<(), String> {
        let handle = self.options.handle.clone();
        let call = self.start_to(&handle, false, false).await?;
        self.shows(&call).await?;
        self.ended(&call).await
    }

    async fn ends_held(&mut self) {
        match self.held().await {
            Ok(call) => {
                let ended = self.ended(&call).await;
                self.report.note(&rules::ENDS_HELD, ended);
            }
            Err(why) => self.report.skip(&rules::ENDS_HELD, &why),
        }
        self.clear().await;
    }

    /// A new call that the user holds.
    async fn held(&mut self) -> Result<String, String> {
        let call = self.start().await?;
        self.in_state(&call, "active").await?;
        if !self.can(&call, "hold") {
            return Err("the call says that it cannot be held".to_owned());
        }
        self.ask(&format!("hold:{call}")).await?;
        Ok(call)
    }

    async fn starts_video(&mut self) {
        if self.configured("supports-video") != Some(true) {
            return self.report.skip(&rules::STARTS_VIDEO, "the app says that it has no video");
        }
        let handle = self.options.handle.clone();
        let started = self.start_to(&handle, true, true).await;
        if let Some(call) = self.found(&rules::STARTS_VIDEO, started)
            && self.shows(&call).await.is_ok()
        {
            self.end(&call).await;
        }
    }

    async fn shows(&mut self, call: &str) -> Result<(), String> {
        self.until("the call", |board| board.call_with_id(call).map(drop)).await
    }

    /// A call that the app places, as soon as the network has taken it.
    pub async fn start(&mut self) -> Result<String, String> {
        let handle = self.options.handle.clone();
        self.start_to(&handle, true, false).await
    }

    pub async fn start_to(
        &mut self,
        handle: &str,
        wait: bool,
        has_video: bool,
    ) -> Result<String, String> {
        let provider = self.app_id.clone();
        let options = StartOptions { provider, wait, has_video, ..StartOptions::default() };
        self.session.start(handle, options).await.map_err(|error| error.to_string())
    }
}
