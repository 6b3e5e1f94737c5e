//! What the far end does by itself: it holds the call, resumes it, hangs up, and gives up before the answer.
//!
//! Owns how these rules are tried; the far end acts by the commands that the author gave.

use super::{app::App, rules, said::Word, trial::Trial};
use crate::failure::Failure;

impl Trial<'_> {
    /// The call is active, and is so afterwards.
    pub async fn remote_hold(&mut self, call: &str) {
        let (Some(hold), Some(resume)) =
            (self.options.remote_hold.clone(), self.options.remote_resume.clone())
        else {
            let why = "--remote-hold COMMAND and --remote-resume COMMAND would let it be tried";
            return self.skip_all(&[&rules::REMOTE_HOLDS, &rules::REMOTE_RESUMES], why);
        };
        let held = self.remote_held(call, &hold, true).await;
        let kept = self.report.note(&rules::REMOTE_HOLDS, held);
        let resumed = self.remote_held(call, &resume, false).await;
        if kept {
            self.report.note(&rules::REMOTE_RESUMES, resumed);
        }
        if self.board().call_with_id(call).is_some_and(|call| call.state == "held") {
            // What follows is about holds at this end.
            let _ = self.ask(&format!("unhold:{call}")).await;
        }
    }

    async fn remote_held(&mut self, call: &str, command: &str, held: bool) -> Result<(), String> {
        let since = self.relay.said.mark();
        let acting = App::shell(command, &self.relay.address, &self.app);
        let acting = acting.map_err(|error| error.to_string())?;
        let tells = |word: &Word| {
            let told = word.entry(2, "remote-held").is_some() || word.text(1) == "held";
            word.name == "ReportState" && word.is_report_of(call) && told
        };
        let reported = self.word(since, tells).await;
        acting.stop().await;
        let word = reported.map_err(|why| format!("ReportState was not said {why}"))?;
        match word.entry(2, "remote-held").and_then(|value| bool::try_from(value).ok()) {
            Some(said) if said == held && word.text(1) != "held" => {
                let shown = self.until("the hold by the far end", |board| {
                    let call = board.call_with_id(call)?;
                    (call.remote_held == held && call.state == "active").then_some(())
                });
                shown.await
            }
            Some(said) if said != held => Err(format!("remote-held was reported as {said}")),
            _ => Err(format!("it was reported as the state {} of the call itself", word.text(1))),
        }
    }

    pub async fn remote_end(&mut self, call: &str) -> Result<(), Failure> {
        let Some(reason) = self.hung_up(call).await? else {
            let rules = [&rules::REMOTE_ENDS, &rules::END_REASON, &rules::CALLER_GONE];
            self.skip_all(&rules, "--remote-end COMMAND would let it be tried");
            self.end(call).await;
            return Ok(());
        };
        if let Some(reason) = self.found(&rules::REMOTE_ENDS, reason) {
            let seen = match reason.as_str() {
                "remote-ended" => Ok(()),
                other => Err(format!("the reason was {other}")),
            };
            self.report.note(&rules::END_REASON, seen);
        }
        Ok(())
    }

    pub async fn caller_gone(&mut self, command: &str) -> Result<(), Failure> {
        let (caller, rings) = self.ring(command).await?;
        if let Ok(call) = rings
            && let Some(reason) = self.hung_up(&call.id).await?
        {
            let seen = match reason.as_deref() {
                Ok("unanswered" | "remote-ended") => Ok(()),
                Ok(other) => Err(format!("the reason was {other}")),
                Err(why) => Err(why.to_owned()),
            };
            self.report.note(&rules::CALLER_GONE, seen);
        }
        caller.stop().await;
        self.clear().await;
        Ok(())
    }

    /// The reason with which the end is reported once the far end was made to hang up; none where nobody can
    /// make it.
    async fn hung_up(&mut self, call: &str) -> Result<Option<Result<String, String>>, Failure> {
        let Some(command) = self.options.remote_end.clone() else { return Ok(None) };
        let since = self.relay.said.mark();
        let ender = App::shell(&command, &self.relay.address, &self.app)?;
        let reported = self
            .word(since, |word| word.is_end_of(call))
            .await
            .map_err(|why| format!("ReportEnded was not said {why}"));
        ender.stop().await;
        if reported.is_ok() {
            // The next call is not to meet this one.
            let _ = self
                .until("the end", |board| board.call_with_id(call).is_none().then_some(()))
                .await;
        }
        Ok(Some(reported.map(|word| word.text(1).to_owned())))
    }
}
