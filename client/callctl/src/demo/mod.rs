//! `callctl demo`: the arbiter's main job, shown on a bus of its own and checked step by step.
//!
//! Owns the story. It shows nothing that it did not see: each step ends when the arbiter shows what was
//! announced and the apps were asked what was announced, or the demo fails.

mod apps;
mod checks;
mod process;
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
    stage::Stage,
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
    let scaled = |length: Duration| length.div_f64(speed);
    // An app that takes longer than a second to hold looks broken, however slowly the story is told.
    let network = scaled(Duration::from_millis(250)).min(Duration::from_secs(1));
    let pace = Pace { network, person: network * 3 };

    output.note(
        Style::Plain,
        "Two calling apps, one audio: what the call arbiter does, live and checked.",
    );
    let (began, address) = (Instant::now(), arbiter.address.clone());
    let started = format!("{} (process {})", arbiter.program.display(), arbiter.pid);
    let session = Session::open(&address).await?;
    let controller = Controller::new(session.connection());
    let (heard, journal) = mpsc::unbounded_channel();
    let events = session.events().await?;
    let patience = pace.network * 8 + pace.person;
    let mut stage = Stage::new(output, events, journal, arbiter, began, patience);

    stage.announce(
        "Two apps register with the arbiter",
        &format!(
            "{started}\nserves a bus of its own, {address}\n\
             Each app has its own connection to it, as two programs on a desktop have."
        ),
    );
    let journal = Journal { began, heard };
    let speakerbox = app(SPEAKERBOX, SPEAKERBOX_ID, &session, &address, pace, &journal).await?;
    let chatter = app(CHATTER, CHATTER_ID, &session, &address, pace, &journal).await?;
    stage
        .until("both may provide calls", |board, _| {
            checks::apps_are_ready(board, &[SPEAKERBOX, CHATTER])
        })
        .await?;
    stage.pause(scaled(READING)).await?;

    stage.announce(
        "The user calls Alice with Speakerbox",
        "The arbiter asks the app to place the call, and gives it the audio: nobody else has it.",
    );
    let alice = Uuid::new_v4();
    let id = alice.to_string();
    let options = StartOptions {
        provider: Some(SPEAKERBOX_ID.to_owned()),
        call: Some(alice),
        wait: true,
        ..StartOptions::default()
    };
    let start = controller.start_call("sip:alice@example.org", options);
    let talks = stage.until(
        "the call is active, and its app was told to open the audio",
        |board, heard| {
            checks::call_is(board, &id, "Alice", "active", &[])?;
            checks::audio_is_with(board, &id, "Alice")?;
            checks::in_order(
                heard,
                &[
                    (SPEAKERBOX, Asked(Start)),
                    (SPEAKERBOX, Done(Start)),
                    (SPEAKERBOX, Reported("active")),
                ],
            )?;
            checks::in_order(heard, &[(SPEAKERBOX, Done(AudioActivated))])
        },
    );
    tokio::try_join!(async { start.await.map_err(|e| session.failure(e)) }, talks)?;
    stage.pause(scaled(READING)).await?;

    stage.announce(
        "Bob calls Chatter",
        "Alice's call goes on undisturbed. Bob's call waits, and says what answering it would do.",
    );
    let bob = Uuid::new_v4();
    let bob_id = bob.to_string();
    chatter.ring(bob, "Bob", "tel:+4930123456").await?;
    stage
        .until(
            "it rings, Alice keeps the audio, and answering would hold Alice's call",
            |board, heard| {
                checks::call_is(board, &bob_id, "Bob", "ringing", &[])?;
                checks::waits_and_would_hold(board, &bob_id, "Bob", &id)?;
                checks::call_is(board, &id, "Alice", "active", &[])?;
                checks::audio_is_with(board, &id, "Alice")?;
                checks::nobody_was_asked(heard)
            },
        )
        .await?;
    stage.pause(scaled(READING)).await?;

    stage.announce(
        "The user answers Bob",
        "Only one call may be active. So Speakerbox holds first; only when it has, Chatter is asked to\n\
         answer; and the audio changes hands only when Speakerbox has let go of it.",
    );
    let answer = controller.answer(bob);
    let moves =
        stage.until("held first, answered then, and the audio moved last", |board, heard| {
            checks::call_is(board, &id, "Alice", "held", &["arbiter"])?;
            checks::call_is(board, &bob_id, "Bob", "active", &[])?;
            checks::audio_is_with(board, &bob_id, "Bob")?;
            checks::in_order(
                heard,
                &[
                    (SPEAKERBOX, Asked(Hold)),
                    (SPEAKERBOX, Done(Hold)),
                    (CHATTER, Asked(Answer)),
                    (CHATTER, Done(Answer)),
                    (CHATTER, Asked(AudioActivated)),
                    (CHATTER, Done(AudioActivated)),
                ],
            )?;
            checks::in_order(
                heard,
                &[
                    (SPEAKERBOX, Done(Hold)),
                    (SPEAKERBOX, Asked(AudioDeactivated)),
                    (SPEAKERBOX, Done(AudioDeactivated)),
                    (CHATTER, Asked(AudioActivated)),
                ],
            )
        });
    tokio::try_join!(async { answer.await.map_err(|e| session.failure(e)) }, moves)?;
    stage.pause(scaled(READING)).await?;

    stage.announce(
        "The user hangs up on Bob",
        "Alice's call was held by the arbiter, not by the user: so the arbiter brings it back.",
    );
    let end = controller.end(bob);
    let returns = stage.until(
        "Bob's call is over, and Alice's is active again with the audio",
        |board, heard| {
            checks::call_is_gone(board, &bob_id, "Bob")?;
            checks::call_is(board, &id, "Alice", "active", &[])?;
            checks::audio_is_with(board, &id, "Alice")?;
            checks::in_order(
                heard,
                &[
                    (CHATTER, Asked(End)),
                    (CHATTER, Done(End)),
                    (SPEAKERBOX, Asked(Resume)),
                    (SPEAKERBOX, Done(Resume)),
                    (SPEAKERBOX, Done(AudioActivated)),
                ],
            )?;
            checks::in_order(
                heard,
                &[(CHATTER, Done(AudioDeactivated)), (SPEAKERBOX, Asked(AudioActivated))],
            )
        },
    );
    tokio::try_join!(async { end.await.map_err(|e| session.failure(e)) }, returns)?;

    if !once {
        stay(&mut stage, &address, &chatter).await?;
    }
    drop(speakerbox);
    output.note(Style::Good, "\nEvery step was checked; the arbiter did what it promises.");
    Ok(())
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

/// Leaves everything running to try out; ends only by an interrupt or a failure.
async fn stay(stage: &mut Stage<'_>, address: &str, chatter: &App) -> Result<(), Failure> {
    let output = stage.output;
    output.show(&json!({ "running": true, "address": address }), || try_lines(address));
    let mut enter = enter_keys();
    loop {
        tokio::select! {
            followed = stage.follow() => followed?,
            Some(()) = enter.recv() => chatter.ring(Uuid::new_v4(), "Bob", "tel:+4930123456").await?,
        }
    }
}

fn try_lines(address: &str) -> Vec<Line> {
    let own = std::env::args().next().unwrap_or_else(|| "callctl".to_owned());
    let address = quoted(address);
    let bus = "org.callarbiter.Calls1";
    let mut lines = vec![
        Line::new(),
        Line::new().with(Style::Good, "Every step was checked; the arbiter did what it promises."),
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
