//! The picture that `watch` shows on a terminal: table, log, keys.
//!
//! Pure: what is shown follows from what is given. Must not write to the terminal (`screen`).

use std::collections::VecDeque;

use crate::{
    paint::{Line, Style},
    table,
    view::Board,
    watch::{
        calls::{self, INDENT},
        happenings::Happening,
    },
};

/// How many lines of the log are kept; the picture shows as many as fit.
const LOG_LINES: usize = 8;

/// A terminal with fewer rows has none to leave empty above the keys.
const LOW: usize = 10;

/// Everything the picture shows.
#[derive(Debug, Default)]
pub struct Frame {
    pub board: Board,
    /// Whether the arbiter is there; what it said last stays readable.
    pub connected: bool,
    /// The path of the selected call.
    pub selected: Option<String>,
    /// What became of the last key.
    pub answer: Option<Answer>,
    log: VecDeque<(u64, Happening)>,
}

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Asked(String),
    Done(String),
    Refused(String),
}

impl Frame {
    pub fn new(board: Board) -> Self {
        Frame { board, connected: true, ..Frame::default() }
    }

    pub fn record(&mut self, at: u64, happening: Happening) {
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back((at, happening));
    }

    /// Moves the selection; before the first use and past the ends it wraps around.
    pub fn select(&mut self, down: bool) {
        let count = self.board.calls.len();
        let position = self.selected_position();
        let next = match (position, down) {
            (_, _) if count == 0 => None,
            (None, true) => Some(0),
            (None, false) => Some(count - 1),
            (Some(at), true) => Some((at + 1) % count),
            (Some(at), false) => Some((at + count - 1) % count),
        };
        self.selected = next.and_then(|at| self.board.calls.get(at)).map(|call| call.path.clone());
    }

    /// A selection ends with its call: a key pressed twice must not meet the next one.
    pub fn forget_lost_selection(&mut self) {
        if self.selected_position().is_none() {
            self.selected = None;
        }
    }

    fn selected_position(&self) -> Option<usize> {
        let selected = self.selected.as_deref()?;
        self.board.calls.iter().position(|call| call.path == selected)
    }

    /// The lines of the picture, at most `rows`: the log gives way first, then calls far from the selected one. The
    /// keys are always there, in as many lines as they need in `columns`.
    pub fn lines(&self, now: u64, rows: usize, columns: usize) -> Vec<Line> {
        let mut foot = Vec::new();
        if rows >= LOW {
            foot.push(Line::new());
        }
        foot.extend(keys_help(columns));
        let answer = self.answer.iter().flat_map(answer_lines);
        foot.extend(answer.flat_map(|line| line.folded(columns, 2)));
        let mut lines = Vec::new();
        if !self.connected {
            let gone =
                "The arbiter is gone; this is what it said last. Waiting for it to come back.";
            lines.extend(Line::new().with(Style::Bad, gone).folded(columns, 0));
        }
        let audio = table::audio(&self.board, now).folded(columns, INDENT);
        let room = rows.saturating_sub(foot.len() + audio.len() + lines.len());
        lines.extend(calls::fitting(&self.board, now, self.selected.as_deref(), room, columns));
        lines.extend(audio);
        lines.truncate(rows.saturating_sub(foot.len()));
        let room = rows.saturating_sub(lines.len() + foot.len() + 1);
        let log: Vec<Line> = self.log_lines(now, room);
        if !log.is_empty() {
            lines.push(Line::new());
            lines.extend(log);
        }
        lines.extend(foot);
        lines.truncate(rows);
        lines
    }

    fn log_lines(&self, now: u64, room: usize) -> Vec<Line> {
        let skipped = self.log.len().saturating_sub(room);
        let line = |(at, happening): &(u64, Happening)| {
            let ago = table::duration(now, *at);
            let mut line = Line::new().with(Style::Faint, format!("{ago:>7} ago  "));
            line.append(happening.line());
            line
        };
        self.log.iter().skip(skipped).map(line).collect()
    }
}

fn answer_lines(answer: &Answer) -> Vec<Line> {
    let (style, mark, text) = match answer {
        Answer::Asked(text) => (Style::Attention, "… ", text),
        Answer::Done(text) => (Style::Good, "✓ ", text),
        Answer::Refused(text) => (Style::Bad, "✗ ", text),
    };
    let line = |(position, text): (usize, &str)| match position {
        0 => Line::new().with(style, mark).with(Style::Plain, text),
        _ => Line::new().with(Style::Plain, text),
    };
    text.lines().enumerate().map(line).collect()
}

fn keys_help(columns: usize) -> Vec<Line> {
    let keys = [
        ("a", "answer"),
        ("d", "decline"),
        ("x", "silence"),
        ("e", "end"),
        ("h", "hold/resume"),
        ("m", "mute"),
        ("s", "swap"),
        ("0-9*#", "tones"),
        ("↑↓", "select"),
        ("q", "quit"),
    ];
    let mut lines: Vec<Line> = Vec::new();
    for (key, what) in keys {
        let one = Line::new().with(Style::Emphasis, key).with(Style::Faint, format!(" {what}"));
        match lines.last_mut() {
            Some(line) if line.width() + 2 + one.width() <= columns => {
                line.push(Style::Plain, "  ");
                line.append(one);
            }
            _ => lines.push(one),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;
    use crate::{
        paint::Paint,
        view::sample::{self, NOW},
    };

    fn text(frame: &Frame, rows: usize) -> Vec<String> {
        let lines = frame.lines(NOW, rows, 130);
        lines.iter().map(|line| line.render(Paint { on: false }, 130)).collect()
    }

    fn frame() -> Frame {
        let mut frame = Frame::new(sample::two_calls());
        frame.record(NOW - 84_500_000, Happening::Arbiter { running: true });
        frame.record(
            NOW - 2_000_000,
            Happening::Detail {
                call: sample::ALICE.into(),
                app: "Speakerbox".into(),
                detail: "unmuted".into(),
            },
        );
        frame
    }

    #[test]
    fn the_picture() {
        let mut frame = frame();
        frame.select(true);
        frame.answer = Some(Answer::Refused("no call is held".into()));
        assert_eq!(
            text(&frame, 24),
            [
                "   CALL      APP         WITH                                      STATE    FOR    NOTES",
                "›  1f0c9a2e  Speakerbox  from Alice Example sip:alice@example.org  active   01:12  ♪ audio",
                "   7be2d410  Chatter     from tel:+4930123456                      ringing  01:24  waiting, answering holds 1f0c9a2e, 48 s left",
                "Audio: ♪ Speakerbox, 1f0c9a2e, granted for 01:12",
                "",
                "  01:24 ago  the arbiter is running",
                "  00:02 ago  1f0c9a2e  Speakerbox  unmuted",
                "",
                "a answer  d decline  x silence  e end  h hold/resume  m mute  s swap  0-9*# tones  ↑↓ select  q quit",
                "✗ no call is held",
            ]
        );
    }

    #[test]
    fn in_a_narrow_terminal_every_key_is_there() {
        for columns in [1, 20, 80, 200] {
            let lines = frame().lines(NOW, 40, columns);
            let text: String = lines
                .iter()
                .map(|line| line.render(Paint { on: false }, columns.max(20)))
                .collect();
            assert!(text.contains("a answer") && text.contains("q quit"), "{columns}: {text}");
        }
    }

    #[test]
    fn in_a_low_terminal_the_log_gives_way_and_the_rest_stays() {
        let frame = frame();
        assert_eq!(text(&frame, 8).len(), 8);
        assert!(text(&frame, 8)[6].contains("unmuted"));
        assert_eq!(text(&frame, 6).len(), 5);
        for rows in 0..12 {
            assert!(text(&frame, rows).len() <= rows);
        }
    }

    #[test]
    fn the_selection_wraps_and_ends_with_its_call() {
        let mut frame = frame();
        frame.select(false);
        assert_eq!(frame.selected.as_deref(), Some(frame.board.calls[1].path.as_str()));
        frame.select(true);
        assert_eq!(frame.selected.as_deref(), Some(frame.board.calls[0].path.as_str()));
        frame.board.calls.remove(0);
        frame.forget_lost_selection();
        assert_eq!(frame.selected, None);
        frame.board.calls.clear();
        frame.select(true);
        assert_eq!(frame.selected, None);
    }

    #[test]
    fn a_lost_arbiter_is_said_above_what_was_known() {
        let mut frame = frame();
        frame.connected = false;
        assert!(text(&frame, 24)[0].starts_with("The arbiter is gone"));
    }
}
