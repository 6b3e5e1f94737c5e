//! `callctl watch`: the calls as they are, live for people, line by line for programs.
//!
//! Owns the loops. What happened is found by `tracker`, the picture is `frame`'s and `calls`', a key's meaning
//! `keys`', the terminal's state `screen`'s.

mod calls;
mod frame;
pub mod happenings;
mod keys;
mod screen;
mod tracker;

use std::time::Duration;

use callarbiter::Events;
use crossterm::event::{Event, EventStream};
use futures_util::{FutureExt, StreamExt};
use serde::Serialize;
use tokio::sync::mpsc;

use self::{
    frame::{Answer, Frame},
    happenings::{Happening, Stamped, States, between},
    keys::Intent,
    screen::Screen,
    tracker::Tracker,
};
use crate::{
    failure::Failure,
    interrupt::Interrupt,
    output::Output,
    paint::{Line, Style},
    session::{self, Session, now},
    table,
    view::Board,
    words::Word,
};

/// Durations count in seconds; twice as often looks even.
const REDRAW: Duration = Duration::from_millis(500);

pub async fn run(session: Session, output: &Output) -> Result<(), Failure> {
    let events = session.events().await?;
    match output.terminal && !output.json {
        true => live(session, events, output).await,
        false => lines(session, events, output).await,
    }
}

/// One line for each thing that happens, beginning with what there is.
async fn lines(session: Session, mut events: Events, output: &Output) -> Result<(), Failure> {
    let mut tracker = Tracker::new(events.snapshot());
    let mut interrupt = Interrupt::listen()?;
    if output.json {
        output.json(&Beginning { at: now(), event: "snapshot", board: &tracker.board });
    } else {
        print(output, &tracker.board, between(&Board::default(), &tracker.board, States::Compared));
    }
    loop {
        tokio::select! {
            change = events.next() => {
                let Some(change) = change else { return Err(closed(&session)) };
                let found = tracker.follow(&change, events.snapshot());
                print(output, &tracker.board, found);
            }
            () = interrupt.arrived() => return Ok(()),
            () = output.deserted() => return Ok(()),
        }
    }
}

#[derive(Serialize)]
struct Beginning<'a> {
    at: u64,
    event: &'static str,
    #[serde(flatten)]
    board: &'a Board,
}

fn print(output: &Output, board: &Board, found: Vec<Happening>) {
    for what in found {
        let stamped = Stamped { at: now(), revision: board.revision, what };
        output.show(&stamped, || {
            let mut line = Line::new().with(Style::Faint, table::timestamp(stamped.at) + "  ");
            line.append(stamped.what.line());
            vec![line]
        });
    }
}

/// A picture redrawn in place, and keys.
async fn live(session: Session, mut events: Events, output: &Output) -> Result<(), Failure> {
    let mut tracker = Tracker::new(events.snapshot());
    let mut frame = Frame::new(tracker.board.clone());
    let mut interrupt = Interrupt::listen()?;
    let mut screen = Screen::open(output.paint).map_err(terminal_failure)?;
    let mut keys = EventStream::new();
    let mut redraw = tokio::time::interval(REDRAW);
    let (answers, mut answered) = mpsc::unbounded_channel();
    loop {
        screen
            .draw(&frame.lines(now(), screen.rows(), screen.columns()))
            .map_err(terminal_failure)?;
        tokio::select! {
            // What a key did is in the picture before it is said to be done.
            biased;
            () = interrupt.arrived() => return Ok(()),
            change = events.next() => {
                let mut next = Some(change);
                // Everything that is there already goes into one picture.
                while let Some(change) = next {
                    let Some(change) = change else { return Err(closed(&session)) };
                    for what in tracker.follow(&change, events.snapshot()) {
                        frame.record(now(), what);
                    }
                    next = events.next().now_or_never();
                }
                frame.connected = events.is_current();
                frame.board = tracker.board.clone();
                frame.forget_lost_selection();
            }
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) => match keys::intent(key) {
                    Some(Intent::Quit) => return Ok(()),
                    Some(Intent::Select { down }) => frame.select(down),
                    Some(Intent::Act(act)) => {
                        match act.words(&frame.board, frame.selected.as_deref()) {
                            Ok(words) => {
                                frame.answer = Some(Answer::Asked(act.name().to_owned()));
                                let (session, board) = (session.clone(), frame.board.clone());
                                let answers = answers.clone();
                                tokio::spawn(async move {
                                    let answer = perform(session, board, words).await;
                                    // The picture is gone when nobody listens.
                                    let _ = answers.send(answer);
                                });
                            }
                            Err(failure) => frame.answer = Some(Answer::Refused(unclear(&failure))),
                        }
                    }
                    None => {}
                },
                Some(Ok(Event::Resize(..))) => screen.resized().map_err(terminal_failure)?,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(terminal_failure(error)),
                None => return Ok(()),
            },
            answer = answered.recv() => frame.answer = answer,
            _ = redraw.tick() => {}
        }
    }
}

/// Does what a key means, and tells what became of it.
async fn perform(session: Session, board: Board, words: Vec<Word>) -> Answer {
    match session.perform(&board, &words).await {
        Ok(steps) => match session::first_failure(&steps) {
            None => {
                let done: Vec<String> = steps.iter().map(|step| step.describe(&board)).collect();
                Answer::Done(done.join(", "))
            }
            Some(failure) => Answer::Refused(told(&failure)),
        },
        Err(failure) => Answer::Refused(told(&failure)),
    }
}

fn told(failure: &Failure) -> String {
    match failure.advice() {
        Some(advice) => format!("{failure}\n  hint: {advice}"),
        None => failure.to_string(),
    }
}

/// Which calls there are is above it in the picture.
fn unclear(failure: &Failure) -> String {
    let text = failure.to_string();
    let what = text.split(';').next().unwrap_or_default();
    format!("{what}; ↑ and ↓ select the call that a key is for")
}

fn closed(session: &Session) -> Failure {
    session.failure(callarbiter::Error::Closed)
}

fn terminal_failure(error: std::io::Error) -> Failure {
    Failure::refused(format!("the terminal cannot be used: {error}"))
}
