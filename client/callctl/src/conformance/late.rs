//! What an app says too late, and what it cannot do: a start or an answer whose time was over, a start that fails.
//!
//! Owns how these rules are tried.

use super::{
    rules::{self, Rule},
    said::Word as Said,
    trial::Trial,
};
use crate::{
    failure::Failure,
    words::{Verb, Word},
};

impl Trial<'_> {
    pub async fn late_start(&mut self) {
        let start = Word {
            verb: Verb::Start {
                handle: self.options.handle.clone(),
                provider: self.app_id.clone(),
                video: false,
            },
            expected: None,
        };
        self.late(&rules::LATE_START, "PerformStart", start).await;
    }

    pub async fn late_answer(&mut self, command: &str) -> Result<(), Failure> {
        let (caller, rings) = self.ring(command).await?;
        match rings.and_then(|call| format!("answer:{}", call.id).parse()) {
            Ok(answer) => self.late(&rules::LATE_ANSWER, "PerformAnswer", answer).await,
            Err(why) => self.report.skip(&rules::LATE_ANSWER, &why),
        }
        caller.stop().await;
        self.clear().await;
        Ok(())
    }

    /// The network says in its own way that it cannot be done.
    pub async fn fails_start(&mut self) {
        let Some(handle) = self.options.unreachable.clone() else {
            let why = "--unreachable HANDLE of nobody would let it be tried";
            return self.skip_all(&[&rules::FAILS_START, &rules::TELLS_WHY], why);
        };
        let over = self.cannot_place(&handle).await;
        if let Some(word) = self.found(&rules::FAILS_START, over) {
            let seen = match (word.name.as_str(), word.text(1)) {
                ("Fail", _) if word.text(2).is_empty() => {
                    Err("it failed the start with an empty message".to_owned())
                }
                ("Fail", _) | (_, "failed" | "busy" | "unanswered" | "declined") => Ok(()),
                (_, reason) => Err(format!("its end was reported as {reason}")),
            };
            self.report.note(&rules::TELLS_WHY, seen);
        }
    }

    pub async fn tells_busy(&mut self) {
        let Some(handle) = self.options.busy.clone() else {
            let why = "--busy HANDLE of somebody who is busy would let it be tried";
            return self.report.skip(&rules::TELLS_BUSY, why);
        };
        let seen = match self.cannot_place(&handle).await {
            Ok(word) => match (word.name.as_str(), word.text(1)) {
                ("ReportEnded", "busy") => Ok(()),
                ("ReportEnded", reason) => Err(format!("its end was reported as {reason}")),
                (_, error) if error.ends_with(".Error.Busy") => Ok(()),
                (_, error) => Err(format!("its start failed with {error}")),
            },
            Err(why) => Err(why),
        };
        self.report.note(&rules::TELLS_BUSY, seen);
    }

    /// The word by which a call to there is over.
    async fn cannot_place(&mut self, handle: &str) -> Result<Said, String> {
        let since = self.relay.said.mark();
        let call = self.start_to(handle, false, false).await?;
        let over = self.over_by_itself(&call, since).await;
        self.clear().await;
        over
    }

    async fn over_by_itself(&mut self, call: &str, since: usize) -> Result<Said, String> {
        let asks = |word: &Said| !word.from_app && word.name == "PerformStart";
        let asked = self.word(since, asks).await;
        let asked = asked.map_err(|why| format!("the arbiter did not ask for it: {why}"))?;
        let over = |word: &Said| {
            word.name == "Fail" && word.is_answer_to(asked.text(0)) || word.is_end_of(call)
        };
        let over = self.word(since, over).await;
        let over = over.map_err(|why| format!("it said neither Fail nor ReportEnded {why}"))?;
        self.forgets(call).await?;
        Ok(over)
    }

    /// The answer is under way when its time is over: the line of the app is slow.
    async fn late(&mut self, rule: &'static Rule, member: &'static str, word: Word) {
        let since = self.relay.said.mark();
        self.relay.slow_down(member);
        let asked = self.over_meanwhile(member, word, since).await;
        let arrived = self.relay.arrive().await;
        match asked.and_then(|call| arrived.map(|()| call)) {
            Ok(call) => {
                self.late.push(call.clone());
                let ended = self.ends_what_was_late(&call, since).await;
                self.report.note(rule, ended);
            }
            Err(why) => self.report.skip(rule, &why),
        }
        self.clear().await;
    }

    /// The call.
    async fn over_meanwhile(
        &mut self,
        member: &'static str,
        word: Word,
        since: usize,
    ) -> Result<String, String> {
        let failed = |error: Failure| error.to_string();
        let begun = self.session.begin(&self.board(), &[word]).await.map_err(failed)?;
        let asks = |word: &Said| !word.from_app && word.name == member;
        let asked = self.word(since, asks).await?;
        self.word(since, |word| word.is_answer_to(asked.text(0))).await?;
        let quicker = "the app reported the call before the time of the request could be over";
        begun.cancel().await.map_err(|_| quicker.to_owned())?;
        let told = |word: &Said| !word.from_app && word.name == "ActionTimedOut";
        self.word(since, told).await.map_err(|why| format!("ActionTimedOut was not said {why}"))?;
        Ok(asked.text(1).to_owned())
    }

    async fn ends_what_was_late(&mut self, call: &str, since: usize) -> Result<(), String> {
        let ends =
            |word: &Said| !word.from_app && word.name == "PerformEnd" && word.text(1) == call;
        let end = self.word(since, ends).await;
        let end = end.map_err(|why| format!("the arbiter did not ask to end the call: {why}"))?;
        let answers = |word: &Said| word.is_answer_to(end.text(0)) || word.is_end_of(call);
        match self.word(since, answers).await {
            Ok(word) if word.name == "Fail" => {
                Err(format!("the end after the time-out was answered with Fail: {}", word.text(2)))
            }
            Ok(_) => self.forgets(call).await,
            Err(why) => Err(format!("the end after the time-out was not answered {why}")),
        }
    }
}
