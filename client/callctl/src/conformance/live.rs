//! What every live call is asked: audio, mute, tones, video, hold and resume, each also once more.
//!
//! Owns how these rules are tried.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;
use zbus::Variant;

use super::{
    rules::{self, Rule},
    said::Word,
    trial::{Trial, by_policy},
};

/// A comma among tones.
const PAUSE: Duration = Duration::from_secs(2);

/// In µs; when they are over the arbiter goes on without the app's word.
const AUDIO: u64 = 2_000_000;

impl Trial<'_> {
    /// The call has just become active.
    pub async fn live(&mut self, call: &str) {
        self.lived = true;
        if self.audio(&rules::OPENS, "granting", "granted").await {
            self.repeat("AudioActivated", call).await;
        }
        let muted = self.mutes(call).await;
        if self.report.may_try(&rules::STRANGERS) {
            let ignored = self.ignores_strangers(call).await;
            self.report.note(&rules::STRANGERS, ignored);
        }
        if self.report.may_try(&rules::ANSWERS_IN_ORDER) {
            let in_order = self.answers_in_order(call).await;
            self.report.note(&rules::ANSWERS_IN_ORDER, in_order);
        }
        self.tones(call).await;
        self.video(call).await;
        self.remote_hold(call).await;
        if !self.can(call, "hold") {
            let rules = [&rules::HOLDS, &rules::CLOSES, &rules::RESUMES, &rules::REOPENS];
            let rules = rules.iter().chain(&[&rules::SAME_STATE, &rules::TIME_OUT]);
            return self
                .skip_all(rules.chain(&rules::PAIR), "the call says that it cannot be held");
        }
        let held = self.holds(call).await;
        if self.report.may_try(&rules::SAME_STATE) {
            let same = muted.and(held);
            self.report.note(&rules::SAME_STATE, same);
        }
        if self.report.may_try(&rules::TIME_OUT) {
            self.takes_time_out(call).await;
        }
    }

    /// Where there was no such call.
    pub fn not_live(&mut self) {
        if !self.lived {
            let why = "no call was connected: --handle HANDLE of somebody who answers, or --incoming \
                       COMMAND, would let it be tried";
            self.skip_all(&rules::LIVE, why);
        }
    }

    /// What came of asking to mute what is muted.
    async fn mutes(&mut self, call: &str) -> Result<(), String> {
        let mut same = Ok(());
        let muted = match self.ask(&format!("mute:{call}")).await {
            Ok(()) => {
                self.repeat("PerformSetMuted", call).await;
                same = self.ask_again("PerformSetMuted", call, Some(true)).await;
                self.ask(&format!("unmute:{call}")).await
            }
            failed => failed,
        };
        self.report.note(&rules::MUTES, muted);
        same.map_err(|why| format!("mute of a call that is muted {why}"))
    }

    /// Somebody else on the bus asks, and then the arbiter: requests for one call are answered in order.
    async fn ignores_strangers(&mut self, call: &str) -> Result<(), String> {
        let since = self.relay.said.mark();
        let options: HashMap<&str, Variant> = HashMap::new();
        let asked =
            self.relay.ask_as_stranger("PerformSetMuted", |request| (request, call, true, options));
        let strange = asked.await?;
        self.ask_again("PerformSetMuted", call, Some(false))
            .await
            .map_err(|why| format!("after a request of a stranger that of the arbiter {why}"))?;
        match self.relay.said.find(since, |word| word.is_answer_to(&strange)) {
            None => Ok(()),
            Some(_) => Err("it muted a call for a program that is not the arbiter".to_owned()),
        }
    }

    /// Each is asked before the one before it is answered.
    async fn answers_in_order(&mut self, call: &str) -> Result<(), String> {
        let since = self.relay.said.mark();
        let mut asked = Vec::new();
        for muted in [true, false, true, false] {
            let options = by_policy();
            let ask = |request| (request, call, muted, options);
            asked.push(self.relay.ask("PerformSetMuted", ask).await?);
        }
        for request in &asked {
            let answered = self.answer_to(request, since).await;
            answered.map_err(|why| format!("one of four mutes and unmutes {why}"))?;
        }
        let words = self.relay.said.all();
        let turn = |word: &Word| asked.iter().position(|request| word.is_answer_to(request));
        match words.iter().skip(since).filter_map(turn).is_sorted() {
            true => Ok(()),
            false => Err("a later mute or unmute was answered before an earlier one".to_owned()),
        }
    }

    async fn tones(&mut self, call: &str) {
        if !self.can(call, "dtmf") {
            let rules = [&rules::TONES, &rules::PAUSES];
            return self.skip_all(&rules, "the call says that it has no dtmf");
        }
        let played = self.ask(&format!("dtmf:{call}:1")).await;
        if self.report.note(&rules::TONES, played) {
            self.repeat("PerformPlayDtmf", call).await;
            let paused = self.pauses(call).await;
            self.report.note(&rules::PAUSES, paused);
        }
    }

    /// A slow machine makes it longer only.
    async fn pauses(&mut self, call: &str) -> Result<(), String> {
        let began = Instant::now();
        self.ask(&format!("dtmf:{call}:1,2")).await?;
        match began.elapsed() {
            took if took < PAUSE => Err(format!("1,2 was fulfilled after {} ms", took.as_millis())),
            _ => Ok(()),
        }
    }

    async fn video(&mut self, call: &str) {
        if self.configured("supports-video") != Some(true) {
            return self.report.skip(&rules::VIDEO, "the app says that it has no video");
        }
        let turned = match self.ask(&format!("video:{call}")).await {
            Ok(()) => {
                self.repeat("PerformSetVideo", call).await;
                self.ask(&format!("novideo:{call}")).await
            }
            failed => failed,
        };
        self.report.note(&rules::VIDEO, turned);
    }

    /// What came of asking to hold what is held and to resume what is active.
    async fn holds(&mut self, call: &str) -> Result<(), String> {
        let held = self.ask(&format!("hold:{call}")).await;
        if !self.report.note(&rules::HOLDS, held) {
            return Ok(());
        }
        let closes = self.report.may_try(&rules::CLOSES)
            && self.audio(&rules::CLOSES, "releasing", "idle").await;
        if closes {
            self.repeat("AudioDeactivated", call).await;
        }
        self.repeat("PerformSetHeld", call).await;
        let same_hold = self.ask_again("PerformSetHeld", call, Some(true)).await;
        let resumed = self.ask(&format!("unhold:{call}")).await;
        let mut same_resume = Ok(());
        if self.report.note(&rules::RESUMES, resumed) {
            if self.report.may_try(&rules::REOPENS) {
                self.audio(&rules::REOPENS, "granting", "granted").await;
            }
            self.repeat("PerformSetHeld", call).await;
            same_resume = self.ask_again("PerformSetHeld", call, Some(false)).await;
        }
        same_hold
            .map_err(|why| format!("hold of a call that is held {why}"))
            .and(same_resume.map_err(|why| format!("resume of a call that is active {why}")))
    }

    /// The answer to a hold is kept from the arbiter, and the hold is taken back: for the app as if its time
    /// were over.
    async fn takes_time_out(&mut self, call: &str) {
        let since = self.relay.said.mark();
        self.relay.withhold(Some("PerformSetHeld"));
        let undone = self.undone(call, since).await;
        self.relay.withhold(None);
        match undone {
            Ok(true) => {
                let active = self.resumed(call, since).await;
                self.report.note(&rules::TIME_OUT, active);
            }
            Ok(false) => self
                .report
                .skip(&rules::TIME_OUT, "the app reported the hold before its time could be over"),
            Err(why) => {
                self.report.skip(&rules::TIME_OUT, &why);
            }
        }
    }

    async fn undone(&mut self, call: &str, since: usize) -> Result<bool, String> {
        let word = format!("hold:{call}").parse()?;
        let failed = |error: crate::failure::Failure| error.to_string();
        let hold = self.session.begin(&self.board(), &[word]).await.map_err(failed)?;
        self.word(since, |word| word.from_app && matches!(word.name.as_str(), "Fulfil" | "Fail"))
            .await?;
        if hold.cancel().await.is_err() {
            return Ok(false);
        }
        self.word(since, |word| !word.from_app && word.name == "ActionTimedOut").await?;
        Ok(true)
    }

    async fn resumed(&mut self, call: &str, since: usize) -> Result<(), String> {
        let told = self
            .word(since, |word| !word.from_app && word.name == "ActionTimedOut")
            .await
            .map_err(|why| format!("ActionTimedOut was not said: {why}"))?;
        let first = told.text(0).to_owned();
        let resume = self
            .word(since, |word| {
                !word.from_app && word.name == "PerformSetHeld" && word.text(0) != first
            })
            .await
            .map_err(|why| format!("the arbiter did not ask to resume the call: {why}"))?;
        self.answer_to(resume.text(0), since)
            .await
            .map_err(|why| format!("the resume after the time-out {why}"))?;
        self.in_state(call, "active").await
    }

    /// The audio got from the phase in which the app is asked to the next before the arbiter went on
    /// without it, by the arbiter's own clock.
    pub async fn audio(&mut self, rule: &'static Rule, asking: &str, done: &str) -> bool {
        let mut asked = None;
        let took = self
            .until(&format!("audio that is {done}"), |board| {
                let audio = &board.audio;
                if audio.phase == asking {
                    asked = Some(audio.since);
                }
                (audio.phase == done).then(|| asked.map(|asked| audio.since.saturating_sub(asked)))
            })
            .await;
        let seen = match took {
            Ok(None) => self.acknowledged(asking).await,
            Ok(Some(micros)) if micros < AUDIO => Ok(()),
            Ok(Some(_)) => Err("it was not fulfilled within 2 s".to_owned()),
            Err(missing) => Err(missing),
        };
        self.report.note(rule, seen)
    }

    /// The phases were over before they were looked at: what did the app say?
    async fn acknowledged(&mut self, asking: &str) -> Result<(), String> {
        let member = if asking == "granting" { "AudioActivated" } else { "AudioDeactivated" };
        let asked = self.relay.said.last(|word| !word.from_app && word.name == member);
        match asked {
            Some(asked) => self.answer_to(asked.text(0), 0).await,
            None => Err(format!("{member} was never said")),
        }
    }
}
