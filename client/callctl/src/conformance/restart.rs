//! The arbiter goes away: it is killed and comes back, comes back without its state, and takes leave by `Reset`.
//!
//! Owns how these rules are tried.

use std::{collections::HashMap, time::Duration};

use callarbiter::Uuid;
use tokio::time::{Instant, sleep};
use zbus::Variant;

use super::{
    rules,
    said::Word,
    trial::{PATIENCE, Trial},
};
use crate::failure::Failure;

/// Between two questions about what is left.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
const NO_CALL: &str =
    "there was no live call: --handle HANDLE of somebody who answers would let it be tried";

impl Trial<'_> {
    pub async fn restart(&mut self) -> Result<(), Failure> {
        let Some(call) = self.some_call().await? else {
            let rules = [&rules::RECONCILES, &rules::KEEPS, &rules::KEEPS_HELD, &rules::CLAIMS];
            self.skip_all(rules.iter().chain(&[&rules::REPORTS_AGAIN, &rules::RESETS]), NO_CALL);
            self.registers_again().await?;
            return Ok(());
        };
        self.reconciles(&call).await?;
        let state = self.keeps_held(&call).await?;
        self.registers_again().await?;
        if self.report.may_try(&rules::REPORTS_AGAIN) {
            let there = self.in_state(&call, state).await;
            self.report.note(&rules::REPORTS_AGAIN, there);
        }
        if self.report.may_try(&rules::RESETS) {
            let reset = self.resets(&call).await;
            self.report.note(&rules::RESETS, reset);
        }
        self.clear().await;
        Ok(())
    }

    /// A call that is active.
    pub async fn some_call(&mut self) -> Result<Option<String>, Failure> {
        if self.report.kept(&rules::STARTS)
            && let Ok(call) = self.start().await
        {
            if self.in_state(&call, "active").await.is_ok() {
                return Ok(Some(call));
            }
            self.end(&call).await;
        }
        if self.report.kept(&rules::ANSWERS)
            && self.report.kept(&rules::REPORTS_ONCE)
            && let Some(command) = self.options.incoming.clone()
            && let (caller, Ok(call)) = self.ring(&command).await?
        {
            let answered = self.ask(&format!("answer:{}", call.id)).await;
            caller.stop().await;
            return Ok(answered.ok().map(|()| call.id));
        }
        Ok(None)
    }

    async fn reconciles(&mut self, call: &str) -> Result<(), Failure> {
        let answered = self.asks_again().await?;
        if self.report.note(&rules::RECONCILES, answered.map(drop)) {
            let there = self.in_state(call, "active").await;
            let there = there.map_err(|why| {
                format!("it was active before; {why}, so that Reconcile did not list it as active")
            });
            self.report.note(&rules::KEEPS, there);
            let claims = self.claims_own().await;
            self.report.note(&rules::CLAIMS, claims);
        }
        Ok(())
    }

    /// The arbiter is restarted, and the app says what it has.
    async fn asks_again(&mut self) -> Result<Result<Word, String>, Failure> {
        let since = self.relay.said.mark();
        self.kill_arbiter().await;
        self.stage.start_arbiter()?;
        let asked = self.word(since, |word| !word.from_app && word.name == "Reconcile").await;
        let asked = match asked {
            Ok(asked) => asked,
            Err(why) => return Ok(Err(format!("the arbiter could not ask it: {why}"))),
        };
        Ok(match self.word(since, |word| word.is_answer_to(asked.text(0))).await {
            Ok(word) if word.name == "Fulfil" => Ok(word),
            Ok(word) => Err(format!("Reconcile was answered with Fail: {}", word.text(2))),
            Err(why) => Err(format!("Reconcile was not answered {why}")),
        })
    }

    /// Active before; the state in which it is left.
    async fn keeps_held(&mut self, call: &str) -> Result<&'static str, Failure> {
        if !self.report.may_try(&rules::KEEPS_HELD) {
            return Ok("active");
        }
        let held = match self.can(call, "hold") {
            true => self.ask(&format!("hold:{call}")).await,
            false => Err("the call says that it cannot be held".to_owned()),
        };
        if let Err(why) = held {
            self.report.skip(&rules::KEEPS_HELD, &why);
            return Ok("active");
        }
        let seen = match self.asks_again().await? {
            Ok(word) => match word.listed_as(call).as_deref() {
                Some("held") => self.in_state(call, "held").await,
                Some(other) => {
                    Err(format!("it was held before, and Reconcile listed it as {other}"))
                }
                None => Err("it was held before, and Reconcile did not list it".to_owned()),
            },
            Err(why) => Err(why),
        };
        if !self.report.note(&rules::KEEPS_HELD, seen) {
            return Ok("active");
        }
        // Whether it can be resumed beside other calls is judged elsewhere.
        let resumed = self.ask(&format!("unhold:{call}")).await;
        Ok(if resumed.is_ok() { "active" } else { "held" })
    }

    /// What it showed counts no more.
    async fn kill_arbiter(&mut self) {
        self.stage.kill_arbiter().await;
        while self.events.is_current() && self.events.next().await.is_some() {}
    }

    async fn registers_again(&mut self) -> Result<(), Failure> {
        self.kill_arbiter().await;
        self.stage.lose_state()?;
        let since = self.relay.said.mark();
        self.stage.start_arbiter()?;
        let registered =
            self.word(since, |word| word.from_app && word.name == "RegisterProvider").await;
        let seen = match registered {
            Ok(_) => self.until("the provider", |board| board.providers.first().map(drop)).await,
            Err(why) => Err(format!("RegisterProvider was not called {why}")),
        };
        self.report.note(&rules::AGAIN, seen);
        Ok(())
    }

    /// Told to the app alone, so that the arbiter can be asked what it hears of it.
    async fn resets(&mut self, call: &str) -> Result<(), String> {
        let since = self.relay.said.mark();
        self.relay.tell("Reset", &()).await?;
        self.forgets(call).await?;
        match self.relay.said.find(since, |word| word.is_report_of(call)) {
            Some(word) => Err(format!("it said {} about the call afterwards", word.name)),
            None => Ok(()),
        }
    }

    /// Hanging up takes its time. An app that cannot tell what it has is judged by other rules.
    pub async fn forgets(&mut self, call: &str) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let never = Uuid::new_v4().to_string();
        while let Ok(listed) = self.listed(&[call, &never]).await
            && listed.iter().any(|listed| listed == call)
            && !listed.contains(&never)
        {
            if Instant::now() > deadline {
                let seconds = PATIENCE.as_secs();
                return Err(format!("{seconds} s later it still listed the call in Reconcile"));
            }
            sleep(AGAIN_AFTER).await;
        }
        Ok(())
    }

    /// Asked about a call that nobody ever reported.
    async fn claims_own(&mut self) -> Result<(), String> {
        let never = Uuid::new_v4().to_string();
        match self.listed(&[&never]).await?.contains(&never) {
            true => Err("it listed a call that it never had".to_owned()),
            false => Ok(()),
        }
    }

    /// Which of these calls it says that it has.
    async fn listed(&mut self, calls: &[&str]) -> Result<Vec<String>, String> {
        let since = self.relay.said.mark();
        let active = || HashMap::from([("state", Variant::from("active"))]);
        let calls: HashMap<_, _> = calls.iter().map(|call| (*call, active())).collect();
        let request = self.relay.ask("Reconcile", |request| (request, calls)).await?;
        let answer = self.word(since, |word| word.is_answer_to(&request)).await;
        let answer = answer.map_err(|why| format!("Reconcile was not answered {why}"))?;
        Ok(answer.listed())
    }
}
