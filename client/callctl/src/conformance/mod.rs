//! `callctl conformance`: an app's provider driven through a call by the real arbiter, on a private bus.
//!
//! Owns the order of the trial. It asks as any controller does and judges by what the arbiter shows; what
//! it could not try is said to be not tried.

mod app;
mod report;
mod rules;

use std::time::Duration;

use callarbiter::{Events, StartOptions};
use tokio::time::{Instant, timeout_at};

use self::{app::App, report::Report};
use crate::{
    args::Conformance,
    board::board,
    demo::process::Arbiter,
    failure::Failure,
    interrupt::Interrupt,
    output::Output,
    session::Session,
    view::{Board, CallView, ProviderView},
    words::Word,
};

/// For what the app does by itself: to start and register, to have its far end call or answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// In µs; when they are over the arbiter goes on without the app's word.
const AUDIO: u64 = 2_000_000;

pub async fn run(options: Conformance, output: &Output) -> Result<(), Failure> {
    if options.list {
        report::list(output);
        return Ok(());
    }
    let mut interrupt = Interrupt::listen()?;
    let arbiter = tokio::select! {
        started = Arbiter::start() => started?,
        () = interrupt.arrived() => return Err(Failure::refused("interrupted")),
    };
    let tried = tokio::select! {
        tried = on_bus(&options, &arbiter.address) => tried,
        () = interrupt.arrived() => Err(Failure::refused("interrupted")),
    };
    arbiter.stop().await;
    tried?.tell(output)
}

async fn on_bus(options: &Conformance, address: &str) -> Result<Report, Failure> {
    let session = Session::open(address).await?;
    let events = session.events().await?;
    let app = App::start(&options.command, address)?;
    let mut trial = Trial { session, events, app, report: Report::default() };
    let tried = trial.whole(options, address).await;
    trial.app.stop().await;
    tried.map(|()| trial.report)
}

struct Trial {
    session: Session,
    events: Events,
    app: App,
    report: Report,
}

impl Trial {
    async fn whole(&mut self, options: &Conformance, address: &str) -> Result<(), Failure> {
        let registered = self.until("a provider", |board| board.providers.first().cloned()).await;
        let app_id = registered.as_ref().map(|provider| provider.app_id.clone()).ok();
        if !self.report.note(&rules::REGISTERS, registered.and_then(|provider| named(&provider))) {
            return Ok(());
        }
        match &options.incoming {
            Some(command) => self.incoming(command, address).await?,
            None => {
                for rule in [&rules::REPORTS, &rules::ANSWERS] {
                    self.report.skip(rule, "--incoming COMMAND would try it");
                }
            }
        }
        self.outgoing(&options.handle, app_id, options.incoming.is_none()).await;
        Ok(())
    }

    async fn incoming(&mut self, command: &str, address: &str) -> Result<(), Failure> {
        let caller = App::shell(command, address)?;
        let rings = self.until("a ringing call", |board| in_state(board, "ringing")).await;
        if let Some(call) = self.found(&rules::REPORTS, rings) {
            let answered = self.ask(&format!("answer:{}", call.id)).await;
            if self.report.note(&rules::ANSWERS, answered) {
                self.audio(&rules::OPENS, "granting", "granted").await;
                self.live(&call.id).await;
            }
        }
        caller.stop().await;
        Ok(())
    }

    async fn outgoing(&mut self, handle: &str, provider: Option<String>, first: bool) {
        let options = StartOptions { provider, wait: true, ..StartOptions::default() };
        let started = self.session.start(handle, options).await.map_err(|error| error.to_string());
        let Some(id) = self.found(&rules::STARTS, started) else { return };
        if !first {
            // What a live call must do was seen with the incoming one.
            let _ = self.ask(&format!("end:{id}")).await;
            return;
        }
        self.audio(&rules::OPENS, "granting", "granted").await;
        let connected = self
            .until("an active call", |board| {
                board.call_with_id(&id).filter(|call| call.state == "active").cloned()
            })
            .await;
        match connected {
            Ok(_) => self.live(&id).await,
            Err(_) => {
                let why =
                    "the far end did not answer: --handle HANDLE of one that does would try it";
                for rule in rules::LIVE {
                    self.report.skip(rule, why);
                }
                let ended = self.end(&id).await;
                self.report.note(&rules::ENDS, ended);
            }
        }
    }

    /// What every live call is asked, and its end.
    async fn live(&mut self, id: &str) {
        let muted = match self.ask(&format!("mute:{id}")).await {
            Ok(()) => self.ask(&format!("unmute:{id}")).await,
            failed => failed,
        };
        self.report.note(&rules::MUTES, muted);
        match self.can(id, "dtmf") {
            true => {
                let played = self.ask(&format!("dtmf:{id}:1")).await;
                self.report.note(&rules::TONES, played);
            }
            false => self.report.skip(&rules::TONES, "the call says that it has no dtmf"),
        }
        match self.can(id, "hold") {
            true => self.hold(id).await,
            false => {
                for rule in [&rules::HOLDS, &rules::CLOSES, &rules::RESUMES] {
                    self.report.skip(rule, "the call says that it cannot be held");
                }
            }
        }
        let ended = self.end(id).await;
        self.report.note(&rules::ENDS, ended);
    }

    async fn hold(&mut self, id: &str) {
        let held = self.ask(&format!("hold:{id}")).await;
        if self.report.note(&rules::HOLDS, held) {
            self.audio(&rules::CLOSES, "releasing", "idle").await;
            let resumed = self.ask(&format!("unhold:{id}")).await;
            self.report.note(&rules::RESUMES, resumed);
        }
    }

    /// The audio got from the phase in which the app is asked to the next before the arbiter went on
    /// without it, by the arbiter's own clock.
    async fn audio(&mut self, rule: &'static rules::Rule, asking: &str, done: &str) {
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
            Ok(None) => return self.report.skip(rule, "the arbiter was not seen asking for it"),
            Ok(Some(micros)) if micros < AUDIO => Ok(()),
            Ok(Some(_)) => Err("it was not fulfilled within 2 s".to_owned()),
            Err(missing) => Err(missing),
        };
        self.report.note(rule, seen);
    }

    /// One action, and that the app fulfilled it.
    async fn ask(&mut self, words: &str) -> Result<(), String> {
        let word: Word = words.parse()?;
        let board = board(self.events.snapshot());
        let done =
            self.session.perform(&board, &[word]).await.map_err(|error| error.to_string())?;
        match done.iter().find(|step| !step.fulfilled()) {
            None => Ok(()),
            Some(step) => Err(format!("{} {}: {}", step.action, step.outcome, step.message)),
        }
    }

    /// Whatever the app does, the call ends for the user; what the app made of it shows in whether it counts as
    /// responsive at that moment.
    async fn end(&mut self, id: &str) -> Result<(), String> {
        self.ask(&format!("end:{id}")).await?;
        let did = self.until("the end of the call", |board| {
            let over = board.call_with_id(id).is_none();
            over.then(|| board.providers.iter().all(|provider| provider.responsive))
        });
        match did.await? {
            true => Ok(()),
            false => Err("it was refused, or not answered within 5 s; the arbiter ended the call \
                          without the app"
                .to_owned()),
        }
    }

    fn can(&self, id: &str, what: &str) -> bool {
        let board = board(self.events.snapshot());
        board.call_with_id(id).is_some_and(|call| call.capabilities.iter().any(|can| can == what))
    }

    fn found<T>(&mut self, rule: &'static rules::Rule, found: Result<T, String>) -> Option<T> {
        let (seen, found) = match found {
            Ok(found) => (Ok(()), Some(found)),
            Err(missing) => (Err(missing), None),
        };
        self.report.note(rule, seen);
        found
    }

    async fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&Board) -> Option<T>,
    ) -> Result<T, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(&board(self.events.snapshot())) {
                return Ok(found);
            }
            let next = async {
                tokio::select! {
                    change = self.events.next() => match change {
                        Some(_) => Ok(()),
                        None => Err("the arbiter's bus was closed".to_owned()),
                    },
                    status = self.app.ended() => Err(match status {
                        Some(status) => format!("the app ended by itself ({status})"),
                        None => "the app ended by itself".to_owned(),
                    }),
                }
            };
            match timeout_at(deadline, next).await {
                Ok(followed) => followed?,
                Err(_) => {
                    return Err(format!("{what} was not there within {} s", PATIENCE.as_secs()));
                }
            }
        }
    }
}

fn in_state(board: &Board, state: &str) -> Option<CallView> {
    board.calls.iter().find(|call| call.state == state).cloned()
}

fn named(provider: &ProviderView) -> Result<(), String> {
    match (provider.display_name.is_empty(), provider.authorization.as_str()) {
        (true, _) => Err("its configuration has no display-name".to_owned()),
        (_, "authorized") => Ok(()),
        (_, other) => Err(format!("its authorization is {other}")),
    }
}
