//! Where commands print: text for people or JSON for programs, on standard output.
//!
//! Owns the choice between the two and the behaviour of a closed pipe (`callctl list | head -1`).

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use tokio::sync::watch;

use crate::{
    args::{Colour, Global},
    failure::Failure,
    paint::{Line, Paint, Style},
};

pub struct Output {
    pub json: bool,
    pub paint: Paint,
    pub terminal: bool,
    /// Whether the reader has left: nothing can be said any more.
    deserted: watch::Sender<bool>,
}

impl Output {
    pub fn new(global: &Global) -> Self {
        let stdout = io::stdout();
        Output {
            json: global.json,
            paint: Paint::choose(global.color, &stdout),
            terminal: stdout.is_terminal(),
            deserted: watch::Sender::new(false),
        }
    }

    /// Ends when the reader has left, as `head` does when it has seen enough and a terminal when it is
    /// closed: then a program that goes on by itself should end, and clean up behind it.
    pub async fn deserted(&self) {
        // Fails only without a sender, which `self` is.
        let _ = self.deserted.subscribe().wait_for(|deserted| *deserted).await;
    }

    /// JSON, or the lines where a person reads.
    pub fn show(&self, value: &impl Serialize, lines: impl FnOnce() -> Vec<Line>) {
        match self.json {
            true => self.json(value),
            false => self.lines(&lines()),
        }
    }

    pub fn json(&self, value: &impl Serialize) {
        // Views hold text, numbers and lists only: writing them as JSON cannot fail.
        if let Ok(text) = serde_json::to_string(value) {
            self.put(&text);
        }
    }

    /// Whole lines: a pager or a wider window can show what a cut would lose.
    pub fn lines(&self, lines: &[Line]) {
        for line in lines {
            self.put(&line.render(self.paint, usize::MAX));
        }
    }

    /// A remark for people only; blank lines before it where the text begins with them.
    pub fn note(&self, style: Style, text: &str) {
        if !self.json {
            let lines: Vec<Line> =
                text.split('\n').map(|line| Line::new().with(style, line)).collect();
            self.lines(&lines);
        }
    }

    fn put(&self, text: &str) {
        let mut stdout = io::stdout().lock();
        if writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_err() {
            self.deserted.send_replace(true);
        }
    }
}

/// Tells on standard error why a command did not do what was asked.
pub fn complain(failure: &Failure, json: bool, colour: Colour) {
    let mut stderr = io::stderr();
    if json {
        let _ = writeln!(stderr, "{}", failure.json());
        return;
    }
    let paint = Paint::choose(colour, &stderr);
    let mut text = String::new();
    for (position, line) in failure.to_string().lines().enumerate() {
        match position {
            0 => text.push_str(&paint.text(Style::Bad, "callctl: ")),
            _ => text.push('\n'),
        }
        text.push_str(&crate::paint::harmless(line));
    }
    if let Some(advice) = failure.advice() {
        text.push('\n');
        text.push_str(&paint.text(Style::Faint, &format!("  hint: {advice}")));
    }
    let _ = writeln!(stderr, "{text}");
}
