//! Calls that come in: answered, declined, and refused.
//!
//! Owns how these rules are tried; each call is made by the command that the author gave.

use super::{app::App, rules, said::Word, trial::Trial};
use crate::{failure::Failure, view::CallView};

/// What the arbiter may answer to a report.
const REFUSALS: [&str; 3] = ["Busy", "FilteredByDoNotDisturb", "NotAuthorized"];

impl Trial<'_> {
    pub async fn incoming(&mut self) -> Result<(), Failure> {
        let Some(command) = self.options.incoming.clone() else {
            self.skip_all(&rules::INCOMING, "--incoming COMMAND would let it be tried");
            return Ok(());
        };
        if let Some(caller) = self.answered(&command).await? {
            caller.stop().await;
            self.clear().await;
            if self.report.may_try(&rules::DECLINES) {
                self.declined(&command).await?;
                self.new_uuids();
            }
            if self.report.may_try(&rules::CALLER_GONE) {
                self.caller_gone(&command).await?;
            }
            if self.report.may_try(&rules::LATE_ANSWER) {
                self.late_answer(&command).await?;
            }
            if self.report.may_try(&rules::DROPS) {
                self.refused(&command).await?;
            }
        }
        Ok(())
    }

    async fn answered(&mut self, command: &str) -> Result<Option<App>, Failure> {
        let (caller, rings) = self.ring(command).await?;
        let Some(call) = self.found(&rules::REPORTS, rings) else {
            caller.stop().await;
            return Ok(None);
        };
        let named = match call.remote_handle.is_empty() {
            true => Err("there was no remote-handle".to_owned()),
            false => Ok(()),
        };
        self.report.note(&rules::NAMES_CALLER, named);
        let answered = self.ask(&format!("answer:{}", call.id)).await;
        let answers = self.report.note(&rules::ANSWERS, answered);
        self.reported_once();
        if answers {
            self.repeat("PerformAnswer", &call.id).await;
            if !self.lived {
                self.live(&call.id).await;
            }
            self.remote_end(&call.id).await?;
        }
        Ok(Some(caller))
    }

    fn reported_once(&mut self) {
        let seen = match self.reports_since(self.rings.last().copied().unwrap_or(0)).len() {
            0 | 1 => Ok(()),
            n => Err(format!("one call of the far end was reported as {n} calls")),
        };
        self.report.note(&rules::REPORTS_ONCE, seen);
    }

    async fn declined(&mut self, command: &str) -> Result<(), Failure> {
        let (caller, rings) = self.ring(command).await?;
        if let Ok(call) = rings {
            let declined = self.ended(&call.id).await;
            self.report.note(&rules::DECLINES, declined);
        }
        caller.stop().await;
        self.clear().await;
        Ok(())
    }

    /// What the app does not do then is judged at the end of the trial.
    async fn refused(&mut self, command: &str) -> Result<(), Failure> {
        for refusal in REFUSALS {
            let since = self.relay.said.mark();
            self.relay.refuse_next(refusal);
            let caller = self.call(command)?;
            let reported =
                self.word(since, |word| word.from_app && word.name == "ReportIncomingCall").await;
            if let Ok(word) = reported {
                let after = self.relay.said.mark();
                self.refused.push((word.text(0).to_owned(), after));
            }
            caller.stop().await;
        }
        Ok(())
    }

    /// Has the far end call, and waits until the call rings.
    pub async fn ring(
        &mut self,
        command: &str,
    ) -> Result<(App, Result<CallView, String>), Failure> {
        let caller = self.call(command)?;
        let since = self.rings.last().copied().unwrap_or(0);
        let said = self.relay.said.clone();
        let reported = |call: &CallView| {
            let report = |word: &Word| {
                word.from_app && word.name == "ReportIncomingCall" && word.text(0) == call.id
            };
            call.state == "ringing" && said.find(since, report).is_some()
        };
        let rings = self
            .until("a ringing call", |board| {
                board.calls.iter().find(|call| reported(call)).cloned()
            })
            .await;
        Ok((caller, rings))
    }

    fn call(&mut self, command: &str) -> Result<App, Failure> {
        self.rings.push(self.relay.said.mark());
        App::shell(command, &self.relay.address, &self.app)
    }

    /// The UUIDs under which calls were reported since then.
    pub fn reports_since(&self, since: usize) -> Vec<String> {
        let mut calls = Vec::new();
        for word in self.relay.said.all().into_iter().skip(since) {
            let call = word.text(0).to_owned();
            if word.from_app && word.name == "ReportIncomingCall" && !calls.contains(&call) {
                calls.push(call);
            }
        }
        calls
    }
}
