//! Ends: of a call, of one that has ended, and of the app.
//!
//! Owns how these rules are tried.

use super::{app::STOP_DEADLINE, rules, trial::Trial};

impl Trial<'_> {
    /// Ends a call; the first end is the one that is judged.
    pub async fn end(&mut self, call: &str) {
        let ended = self.ended(call).await;
        if self.report.has(&rules::ENDS) {
            return;
        }
        if self.report.note(&rules::ENDS, ended) {
            self.repeat("PerformEnd", call).await;
            let again = self.ask_again("PerformEnd", call, None).await;
            let again = again.map_err(|why| format!("the end of a call that is over {why}"));
            self.report.note(&rules::ENDS_ENDED, again);
        }
    }

    /// Whatever the app does, the call ends for the user; what the app made of it shows in whether it counts
    /// as responsive at that moment.
    pub async fn ended(&mut self, call: &str) -> Result<(), String> {
        self.ask(&format!("end:{call}")).await?;
        let did = self.until("the end of the call", |board| {
            let over = board.call_with_id(call).is_none();
            over.then(|| board.providers.iter().all(|provider| provider.responsive))
        });
        match did.await? {
            true => Ok(()),
            false => Err("it was refused, or not answered within 5 s; the arbiter ended the call \
                          without the app"
                .to_owned()),
        }
    }

    /// All that is left of a round.
    pub async fn clear(&mut self) {
        let calls: Vec<String> = self.board().calls.into_iter().map(|call| call.id).collect();
        for call in calls {
            // Judged elsewhere.
            let _ = self.ended(&call).await;
        }
    }

    pub async fn leaves(&mut self) {
        let since = self.relay.said.mark();
        let seen = match self.app.has_ended() {
            true => Err("the app had ended by itself before it was asked to".to_owned()),
            false => match self.app.leave().await {
                false => {
                    let seconds = STOP_DEADLINE.as_secs();
                    Err(format!("it was still there {seconds} s after SIGTERM"))
                }
                true => Ok(()),
            },
        };
        let took_leave =
            self.relay.said.find(since, |word| word.from_app && word.name == "Unregister");
        let seen = seen.and_then(|()| match took_leave {
            Some(_) => Ok(()),
            None => {
                Err("it ended without Unregister: the user's calls hang in the air for 10 s"
                    .to_owned())
            }
        });
        self.report.note(&rules::UNREGISTERS, seen);
    }
}
