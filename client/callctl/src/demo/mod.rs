//! `callctl demo`: the arbiter's main job, shown on a bus of its own and checked step by step.
//!
//! Owns the story. It shows nothing that it did not see: each step ends when the arbiter shows what was
//! announced and the apps were asked what was announced, or the demo fails.

mod apps;
mod checks;
pub mod process;
mod stage;

use std::{
    io::{IsTerminal, stdin},
    time::{Duration, Instant},
};

use callarbiter::{Connection, Controller, StartOptions, Uuid};
use serde_json::json;
use tokio::sync::mpsc;

use self::{
    apps::{App, Journal, Pace},
    checks::{
        Request::{Answer, AudioActivated, AudioDeactivated, End, Hold, Resume, Start},
        Word::{Asked, Done, Reported},
    },
    process::Arbiter,
    stage::{Scene, Stage},
};
use crate::{
    failure::Failure,
    interrupt::Interrupt,
    output::Output,
    paint::{Line, Style},
    session::Session,
};

const SPEAKERBOX: &str = "Speakerbox";
const CHATTER: &str = "Chatter";
const SPEAKERBOX_ID: &str = "org.callarbiter.demo.Speakerbox";
const CHATTER_ID: &str = "org.callarbiter.demo.Chatter";
const BOB: &str = "Bob";
const BOBS_HANDLE: &str = "tel:+4930123456";
/// What signalling there and back takes in the simulated network, at speed 1.
const NETWORK: Duration = Duration::from_millis(250);
/// Time to read a step, at speed 1.
const READING: Duration = Duration::from_millis(3500);

pub async fn run(once: bool, speed: f64, output: &Output) -> Result<(), Failure> {
    let mut interrupt = Interrupt::listen()?;
    let mut arbiter = tokio::select! {
        started = Arbiter::start() => started?,
        () = interrupt.arrived() => return Ok(()),
    };
    let ended = tokio::select! {
        told = tell(once, speed, output, &mut arbiter) => told,
        () = interrupt.arrived() => {
            output.note(Style::Faint, "\nStopped; the arbiter and both apps are gone.");
            Ok(())
        }
        () = output.deserted() => Ok(()),
    };
    arbiter.stop().await;
    ended
}

async fn tell(
    once: bool,
    speed: f64,
    output: &Output,
    arbiter: &mut Arbiter,
) -> Result<(), Failure> {
    output.note(
        Style::Plain,
        "Two calling apps, one audio: what the call arbiter does, live and checked.",
    );
    let mut story = Story::begin(speed, output, arbiter).await?;
    story.alice_is_called().await?;
    story.bob_rings().await?;
    story.bob_is_answered().await?;
    story.bob_is_gone().await?;
    output.note(Style::Good, "\nEvery step was checked; the arbiter did what it promises.");
    match once {
        true => Ok(()),
        false => story.stay().await,
    }
}

/// What the story is told with. The apps live as long as it does.
struct Story<'a> {
    stage: Stage<'a>,
    session: Session,
    controller: Controller,
    _speakerbox: App,
    chatter: App,
    alice: Uuid,
    bob: Uuid,
    reading: Duration,
}

impl<'a> Story<'a> {
    async fn begin(
        speed: f64,
        output: &'a Output,
        arbiter: &'a mut Arbiter,
    ) -> Result<Self, Failure> {
        // An app that takes longer than a second to hold looks broken, however slowly it is told.
        let network = NETWORK.div_f64(speed).min(Duration::from_secs(1));
        let pace = Pace { network, person: network * 3 };
        let address = arbiter.address.clone();
        let why = format!(
            "{} (process {})\nserves a bus of its own, {address}\n\
             Each app has its own connection to it, as two programs on a desktop have.",
            arbiter.program.display(),
            arbiter.pid
        );
        let session = Session::open(&address).await?;
        let (heard, journal) = mpsc::unbounded_channel();
        let journal_of_apps = Journal { began: Instant::now(), heard };
        let scene = Scene {
            events: session.events().await?,
            journal,
            began: journal_of_apps.began,
            patience: pace.network * 8 + pace.person,
        };
        let mut stage = Stage::new(output, arbiter, scene);
        stage.announce("Two apps register with the arbiter", &why);
        let register = |name, id| app(name, id, &session, &address, pace, &journal_of_apps);
        let speakerbox = register(SPEAKERBOX, SPEAKERBOX_ID).await?;
        let chatter = register(CHATTER, CHATTER_ID).await?;
        stage
            .until("both may provide calls", |board, _| {
                checks::apps_are_ready(board, &[SPEAKERBOX, CHATTER])
            })
            .await?;
        Ok(Story {
            stage,
            controller: Controller::new(session.connection()),
            session,
            _speakerbox: speakerbox,
            chatter,
            alice: Uuid::new_v4(),
            bob: Uuid::new_v4(),
            reading: READING.div_f64(speed),
        })
    }

    async fn alice_is_called(&mut self) -> Result<(), Failure> {
        self.stage.pause(self.reading).await?;
        self.stage.announce(
            "The user calls Alice with Speakerbox",
            "The arbiter asks the app to place the call, and gives it the audio: nobody else has it.",
        );
        let options = StartOptions {
            provider: Some(SPEAKERBOX_ID.to_owned()),
            call: Some(self.alice),
            wait: true,
            ..StartOptions::default()
        };
        let start = self.controller.start_call("sip:alice@example.org", options);
        let alice = self.alice.to_string();
        let announced = "the call is active, and its app was told to open the audio";
        let seen = self.stage.until(announced, |board, heard| {
            checks::call_is(board, &alice, "Alice", "active", &[])?;
            checks::audio_is_with(board, &alice, "Alice")?;
            let placed = [Asked(Start), Done(Start), Reported("active")];
            checks::in_order(heard, &placed.map(|word| (SPEAKERBOX, word)))?;
            checks::in_order(heard, &[(SPEAKERBOX, Done(AudioActivated))])
        });
        both(&self.session, start, seen).await
    }

    async fn bob_rings(&mut self) -> Result<(), Failure> {
        self.stage.pause(self.reading).await?;
        self.stage.announce(
            "Bob calls Chatter",
            "Alice's call goes on undisturbed. Bob's call waits, and says what answering would do.",
        );
        let (alice, bob) = (self.alice.to_string(), self.bob.to_string());
        self.chatter.ring(self.bob, BOB, BOBS_HANDLE).await?;
        let announced = "it rings, Alice keeps the audio, and answering would hold Alice's call";
        self.stage
            .until(announced, |board, heard| {
                checks::call_is(board, &bob, BOB, "ringing", &[])?;
                checks::waits_and_would_hold(board, &bob, BOB, &alice)?;
                checks::call_is(board, &alice, "Alice", "active", &[])?;
                checks::audio_is_with(board, &alice, "Alice")?;
                checks::nobody_was_asked(heard)
            })
            .await
    }

    async fn bob_is_answered(&mut self) -> Result<(), Failure> {
        self.stage.pause(self.reading).await?;
        self.stage.announce(
            "The user answers Bob",
            "Only one call may be active. So Speakerbox holds first; only when it has, Chatter is\n\
             asked to answer; and the audio moves only when Speakerbox has let go of it.",
        );
        let answer = self.controller.answer(self.bob);
        let (alice, bob) = (self.alice.to_string(), self.bob.to_string());
        let announced = "held first, answered then, and the audio moved last";
        let seen = self.stage.until(announced, |board, heard| {
            checks::call_is(board, &alice, "Alice", "held", &["arbiter"])?;
            checks::call_is(board, &bob, BOB, "active", &[])?;
            checks::audio_is_with(board, &bob, BOB)?;
            let calls = [
                (SPEAKERBOX, Asked(Hold)),
                (SPEAKERBOX, Done(Hold)),
                (CHATTER, Asked(Answer)),
                (CHATTER, Done(Answer)),
                (CHATTER, Asked(AudioActivated)),
                (CHATTER, Done(AudioActivated)),
            ];
            checks::in_order(heard, &calls)?;
            let audio = [
                (SPEAKERBOX, Done(Hold)),
                (SPEAKERBOX, Asked(AudioDeactivated)),
                (SPEAKERBOX, Done(AudioDeactivated)),
                (CHATTER, Asked(AudioActivated)),
            ];
            checks::in_order(heard, &audio)
        });
        both(&self.session, answer, seen).await
    }

    async fn bob_is_gone(&mut self) -> Result<(), Failure> {
        self.stage.pause(self.reading).await?;
        self.stage.announce(
            "The user hangs up on Bob",
            "Alice's call was held by the arbiter, not by the user: so the arbiter brings it back.",
        );
        let end = self.controller.end(self.bob);
        let (alice, bob) = (self.alice.to_string(), self.bob.to_string());
        let announced = "Bob's call is over, and Alice's is active again with the audio";
        let seen = self.stage.until(announced, |board, heard| {
            checks::call_is_gone(board, &bob, BOB)?;
            checks::call_is(board, &alice, "Alice", "active", &[])?;
            checks::audio_is_with(board, &alice, "Alice")?;
            let calls = [
                (CHATTER, Asked(End)),
                (CHATTER, Done(End)),
                (SPEAKERBOX, Asked(Resume)),
                (SPEAKERBOX, Done(Resume)),
                (SPEAKERBOX, Done(AudioActivated)),
            ];
            checks::in_order(heard, &calls)?;
            let audio = [(CHATTER, Done(AudioDeactivated)), (SPEAKERBOX, Asked(AudioActivated))];
            checks::in_order(heard, &audio)
        });
        both(&self.session, end, seen).await
    }

    /// Leaves everything running to try out; ends only by an interrupt or a failure.
    async fn stay(mut self) -> Result<(), Failure> {
        let address = self.stage.arbiter.address.clone();
        let running = json!({ "running": true, "address": address });
        self.stage.output.show(&running, || try_lines(&address));
        let mut enter = enter_keys();
        loop {
            tokio::select! {
                followed = self.stage.follow() => followed?,
                Some(()) = enter.recv() => {
                    self.chatter.ring(Uuid::new_v4(), BOB, BOBS_HANDLE).await?;
                }
            }
        }
    }
}

/// The user's wish is done, and what was announced is seen; the first failure counts.
async fn both<T>(
    session: &Session,
    wish: impl Future<Output = Result<T, callarbiter::Error>>,
    seen: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let wish = async { wish.await.map_err(|error| session.failure(error)) };
    tokio::try_join!(wish, seen).map(drop)
}

/// A sample app on a connection of its own.
async fn app(
    name: &'static str,
    id: &str,
    session: &Session,
    address: &str,
    pace: Pace,
    journal: &Journal,
) -> Result<App, Failure> {
    let register = async {
        let connection = Connection::open(address).await?;
        App::register(name, id, &connection, pace, journal.clone()).await
    };
    register.await.map_err(|error| session.failure(error))
}

fn try_lines(address: &str) -> Vec<Line> {
    let own = std::env::args().next().unwrap_or_else(|| "callctl".to_owned());
    let address = quoted(address);
    let bus = "org.callarbiter.Calls1";
    let mut lines = vec![
        Line::new(),
        Line::new()
            .with(Style::Plain, "Everything keeps running until Ctrl-C. Try in another terminal:"),
    ];
    for command in [
        format!("{own} --bus {address} watch"),
        format!("{own} --bus {address} list"),
        format!("{own} --bus {address} start sip:carol@example.org"),
        format!("busctl --address={address} tree {bus}"),
        format!("busctl --address={address} introspect {bus} /org/callarbiter/Calls1"),
        format!("busctl --address={address} monitor"),
    ] {
        lines.push(Line::new().with(Style::Plain, "  ").with(Style::Emphasis, command));
    }
    if stdin().is_terminal() {
        lines.push(Line::new());
        lines.push(Line::new().with(Style::Plain, "Enter: Bob calls Chatter again."));
    }
    lines.push(Line::new());
    lines
}

/// For a shell, where the address has more than letters that no shell looks at.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Lines from a terminal. A thread of its own reads them: it may wait for ever without keeping the
/// program from ending.
fn enter_keys() -> mpsc::UnboundedReceiver<()> {
    let (enter, pressed) = mpsc::unbounded_channel();
    if stdin().is_terminal() {
        std::thread::spawn(move || {
            for line in stdin().lines() {
                if line.is_err() || enter.send(()).is_err() {
                    break;
                }
            }
        });
    }
    pressed
}
