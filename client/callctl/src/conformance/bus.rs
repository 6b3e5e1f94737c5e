//! The whole bus goes and comes back: the app ends, or is there again with its calls.
//!
//! Owns how that rule is tried, last of all: nothing of the trial but the record is of use afterwards.

use super::{app::App, rules, said::Word, trial::Trial};
use crate::failure::Failure;

impl Trial<'_> {
    pub async fn bus_gone(&mut self) -> Result<(), Failure> {
        if !self.report.may_try(&rules::BUS) {
            return Ok(());
        }
        let since = self.relay.said.mark();
        let again = App::start(&self.options.command, &self.relay.address)?;
        std::mem::replace(&mut self.app, again).stop().await;
        if let Err(why) = self.word(since, registers).await {
            self.report.skip(&rules::BUS, &format!("started again it did not register {why}"));
            return Ok(());
        }
        let call = self.some_call().await?;
        let since = self.relay.said.mark();
        self.stage.restart_bus().await?;
        let seen = self.comes_back(call.as_deref(), since).await;
        self.report.note(&rules::BUS, seen);
        Ok(())
    }

    async fn comes_back(&mut self, call: Option<&str>, since: usize) -> Result<(), String> {
        match (self.word(since, registers).await, call) {
            (Err(_), _) if self.app.has_ended() => Ok(()),
            (Err(why), _) => Err(format!("it neither ended nor registered again {why}")),
            (Ok(_), None) => Ok(()),
            (Ok(_), Some(call)) => {
                let tells = |word: &Word| {
                    let reports = word.name == "ReportCall" && word.is_report_of(call);
                    word.from_app && (reports || word.listed().iter().any(|of| of == call))
                };
                let told = self.word(since, tells).await;
                told.map(drop).map_err(|why| {
                    format!("it registered again, and did not say that its call goes on {why}")
                })
            }
        }
    }
}

fn registers(word: &Word) -> bool {
    word.from_app && word.name == "RegisterProvider"
}
