//! Calls that the user makes: one that is answered, one that is cancelled, one that the app dialled by itself.
//!
//! Owns how these rules are tried.

use callarbiter::StartOptions;

use super::{app::App, rules, said::Word, trial::Trial};
use crate::view::ProviderView;

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
        if self.report.may_try(&rules::TELLS_BUSY) {
            self.tells_busy().await;
        }
        if self.report.may_try(&rules::LATE_START) {
            self.late_start().await;
        }
        if self.report.may_try(&rules::REPORTS_OWN) {
            self.reports_own().await;
        }
        if self.report.may_try(&rules::KEEPS_REVOKED) {
            self.keeps_revoked().await;
        }
    }

    async fn reports_own(&mut self) {
        let Some(command) = self.options.dial.clone() else {
            let why = "--dial COMMAND would let it be tried";
            return self.report.skip(&rules::REPORTS_OWN, why);
        };
        let since = self.relay.said.mark();
        let seen = match App::shell(&command, &self.relay.address, &self.app) {
            Ok(dialling) => {
                let seen = self.dialled(since).await;
                dialling.stop().await;
                seen
            }
            Err(error) => Err(error.to_string()),
        };
        self.report.note(&rules::REPORTS_OWN, seen);
        self.clear().await;
    }

    async fn dialled(&mut self, since: usize) -> Result<(), String> {
        let reports = |word: &Word| word.name == "ReportCall" && word.is_report();
        let reported = self.word(since, reports).await;
        let reported = reported.map_err(|why| format!("ReportCall was not said {why}"))?;
        let call = self.until("the call that the app dialled", |board| {
            board
                .call_with_id(reported.text(0))
                .filter(|call| call.direction == "outgoing")
                .cloned()
        });
        let call = call.await?;
        if call.remote_handle.is_empty() {
            return Err("there was no remote-handle".to_owned());
        }
        self.ended(&call.id).await
    }

    async fn keeps_revoked(&mut self) {
        let seen = match self.active().await {
            Ok(call) => {
                let seen = self.revoked(&call).await;
                let _ = self.authorize("allow", "authorized").await;
                seen
            }
            Err(why) => return self.report.skip(&rules::KEEPS_REVOKED, &why),
        };
        self.report.note(&rules::KEEPS_REVOKED, seen);
        self.clear().await;
    }

    async fn revoked(&mut self, call: &str) -> Result<(), String> {
        let since = self.relay.said.mark();
        self.authorize("deny", "restricted").await?;
        self.word(since, |word| !word.from_app && word.name == "AuthorizationSet").await?;
        // The app has heard that before it is asked for this.
        for verb in ["mute", "unmute"] {
            let done = self.ask(&format!("{verb}:{call}")).await;
            done.map_err(|why| format!("after AuthorizationSet {verb} was not done: {why}"))?;
        }
        match self.relay.said.find(since, |word| word.is_end_of(call)) {
            Some(end) => Err(format!("it ended the call as {}", end.text(1))),
            None => self.in_state(call, "active").await,
        }
    }

    async fn authorize(&mut self, decision: &str, shown: &str) -> Result<(), String> {
        let app = self.app_id.clone().unwrap_or_default();
        let decided = self.stage.decide(&app, decision);
        decided.map_err(|failure| failure.to_string())?;
        let is_shown = |provider: &ProviderView| provider.authorization == shown;
        let what = format!("an app that is {shown}");
        self.until(&what, |board| board.providers.iter().any(is_shown).then_some(())).await
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

    async fn active(&mut self) -> Result<String, String> {
        let call = self.start().await?;
        self.in_state(&call, "active").await?;
        Ok(call)
    }

    /// A new call that the user holds.
    async fn held(&mut self) -> Result<String, String> {
        let call = self.active().await?;
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
