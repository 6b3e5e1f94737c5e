//! Where the demo's story is played: what is announced, what is seen, and whether both agree.
//!
//! Owns watching the arbiter and the apps while a step runs, its deadline, and its output. What has to
//! be true is `checks`', what the steps are is the story's (`mod`).

use std::time::{Duration, Instant};

use callarbiter::Events;
use serde_json::json;
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{sleep_until, timeout_at},
};

use super::{
    checks::{Check, Heard, Word, one_at_most_is_active},
    process::Arbiter,
};
use crate::{
    board::board,
    failure::Failure,
    output::Output,
    paint::{Line, Style},
    session::now,
    table::{self, Selection},
    view::Board,
};

/// What a step may take beside the delays of the simulated network: the arbiter itself needs
/// milliseconds, a loaded machine may need a while.
const STEP_DEADLINE: Duration = Duration::from_secs(10);

/// What the stage watches, and how patiently.
pub struct Scene {
    pub events: Events,
    pub journal: UnboundedReceiver<Heard>,
    pub began: Instant,
    /// What the simulated people and networks take for one step, all in all.
    pub patience: Duration,
}

pub struct Stage<'a> {
    pub output: &'a Output,
    pub arbiter: &'a mut Arbiter,
    scene: Scene,
    step: Step,
}

/// The step that is being played.
#[derive(Default)]
struct Step {
    number: usize,
    title: &'static str,
    began: Duration,
    heard: Vec<Heard>,
}

impl<'a> Stage<'a> {
    pub fn new(output: &'a Output, arbiter: &'a mut Arbiter, scene: Scene) -> Self {
        Stage { output, arbiter, scene, step: Step::default() }
    }

    /// Begins the next step: what will happen, and why.
    pub fn announce(&mut self, title: &'static str, why: &str) {
        let number = self.step.number + 1;
        self.step = Step { number, title, began: self.scene.began.elapsed(), heard: Vec::new() };
        let step = json!({ "step": number, "title": title, "bus": self.arbiter.address });
        self.output.show(&step, || {
            let heading = Line::new().with(Style::Emphasis, format!("{number}. {title}"));
            let why = why.lines().map(|line| Line::new().with(Style::Plain, format!("   {line}")));
            [Line::new(), heading].into_iter().chain(why).collect()
        });
    }

    /// Waits until the announced is true; fails when it does not become true in time, or when what must
    /// never be is seen on the way.
    pub async fn until(
        &mut self,
        announced: &str,
        check: impl Fn(&Board, &[Heard]) -> Check,
    ) -> Result<(), Failure> {
        let deadline = tokio::time::Instant::now() + STEP_DEADLINE + self.scene.patience;
        loop {
            let board = board(self.scene.events.snapshot());
            one_at_most_is_active(&board).map_err(|seen| self.failure(&seen))?;
            match check(&board, &self.step.heard) {
                Ok(()) => {
                    self.succeed(announced, &board);
                    return Ok(());
                }
                Err(missing) => match timeout_at(deadline, self.follow()).await {
                    Ok(followed) => followed?,
                    Err(_) => return Err(self.failure(&missing)),
                },
            }
        }
    }

    /// Time to read; what happens meanwhile is still watched.
    pub async fn pause(&mut self, length: Duration) -> Result<(), Failure> {
        let end = tokio::time::Instant::now() + length;
        loop {
            tokio::select! {
                biased;
                () = sleep_until(end) => return Ok(()),
                followed = self.follow() => followed?,
            }
            one_at_most_is_active(&board(self.scene.events.snapshot()))
                .map_err(|seen| self.failure(&seen))?;
        }
    }

    /// Takes in the next thing that the arbiter shows or an app hears.
    pub async fn follow(&mut self) -> Result<(), Failure> {
        tokio::select! {
            change = self.scene.events.next() => match change {
                Some(_) => Ok(()),
                None => Err(self.failure("the connection to the arbiter's bus was closed")),
            },
            Some(heard) = self.scene.journal.recv() => {
                self.print_heard(&heard);
                self.step.heard.push(heard);
                Ok(())
            }
            ended = self.arbiter.ended() => Err(self.failure(&ended)),
        }
    }

    pub fn failure(&self, what: &str) -> Failure {
        if !self.output.json {
            let board = board(self.scene.events.snapshot());
            self.output.lines(&indented(state_lines(&board)));
        }
        Failure::refused(format!(
            "the demo failed at step {} ({}): the arbiter did not do what was announced: {what}",
            self.step.number, self.step.title
        ))
    }

    fn succeed(&self, announced: &str, board: &Board) {
        let heard: Vec<_> = self.step.heard.iter().map(heard_json).collect();
        let step = json!({
            "step": self.step.number, "title": self.step.title, "true": announced,
            "heard": heard, "board": board,
        });
        self.output.show(&step, || {
            let mut lines = indented(state_lines(board));
            let seen = Line::new().with(Style::Good, "   ✓ ").with(Style::Plain, announced);
            lines.push(seen);
            lines
        });
    }

    fn print_heard(&self, heard: &Heard) {
        if self.output.json {
            return;
        }
        let since = heard.at.saturating_sub(self.step.began);
        let (style, text) = match &heard.what {
            Word::Asked(request) => (Style::Attention, format!("is asked: {}", request.member())),
            Word::Done(request) => (Style::Faint, format!("has done: {}", request.member())),
            Word::Reported(fact) => (Style::Quiet, format!("reports:  {fact}")),
        };
        let line = Line::new()
            .with(Style::Faint, format!("   {:>6.2} s  ", since.as_secs_f64()))
            .with(Style::Plain, format!("{:<10}  ", heard.app))
            .with(style, text);
        self.output.lines(&[line]);
    }
}

fn heard_json(heard: &Heard) -> serde_json::Value {
    let (kind, what) = match &heard.what {
        Word::Asked(request) => ("asked", request.member()),
        Word::Done(request) => ("done", request.member()),
        Word::Reported(fact) => ("reported", *fact),
    };
    json!({ "ms": heard.at.as_millis(), "app": heard.app, "kind": kind, "what": what })
}

fn state_lines(board: &Board) -> Vec<Line> {
    if board.calls.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::new()];
    lines.extend(table::calls(board, now(), Selection::Absent));
    lines.push(table::audio(board, now()));
    lines.push(Line::new());
    lines
}

fn indented(lines: Vec<Line>) -> Vec<Line> {
    let indent = |line: Line| {
        let mut indented = Line::new().with(Style::Plain, "   ");
        indented.append(line);
        indented
    };
    lines.into_iter().map(indent).collect()
}
