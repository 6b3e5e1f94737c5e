//! Text for a terminal: styled pieces, lines clipped to a width, and text from strangers made harmless.
//!
//! Owns how a style looks and how wide text is. Must not know about calls.

use std::{fmt::Write, io::IsTerminal};

use crate::args::Colour;

/// What a piece of text means; the colour follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    #[default]
    Plain,
    Heading,
    Faint,
    Good,
    Attention,
    Quiet,
    Bad,
    Emphasis,
}

impl Style {
    /// The select-graphic-rendition parameters: the sixteen colours, which every theme makes readable.
    fn parameters(self) -> &'static str {
        match self {
            Style::Plain => "",
            Style::Heading => "1;4",
            Style::Faint => "2",
            Style::Good => "32;1",
            Style::Attention => "33;1",
            Style::Quiet => "36",
            Style::Bad => "31;1",
            Style::Emphasis => "1",
        }
    }
}

/// Whether styles are written out or dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    pub on: bool,
}

impl Paint {
    /// As asked; `auto` follows the stream that is written to, and <https://no-color.org>.
    pub fn choose(colour: Colour, stream: &impl IsTerminal) -> Self {
        let on = match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                stream.is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        };
        Paint { on }
    }

    pub fn text(self, style: Style, text: &str) -> String {
        match style.parameters() {
            parameters if self.on && !parameters.is_empty() => {
                format!("\x1b[{parameters}m{text}\x1b[0m")
            }
            _ => text.to_owned(),
        }
    }
}

/// One line of styled pieces, without its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pieces: Vec<(Style, String)>,
}

impl Line {
    pub fn new() -> Self {
        Line::default()
    }

    #[must_use]
    pub fn with(mut self, style: Style, text: impl AsRef<str>) -> Self {
        self.push(style, text);
        self
    }

    /// Adds text; whatever it holds, it moves no cursor and starts no line.
    pub fn push(&mut self, style: Style, text: impl AsRef<str>) {
        self.pieces.push((style, harmless(text.as_ref())));
    }

    pub fn append(&mut self, other: Line) {
        self.pieces.extend(other.pieces);
    }

    pub fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| width(text)).sum()
    }

    pub fn pad_to(&mut self, columns: usize) {
        let missing = columns.saturating_sub(self.width());
        if missing > 0 {
            self.pieces.push((Style::Plain, " ".repeat(missing)));
        }
    }

    /// The line in as many as it takes, broken at blanks; those after the first are set in.
    pub fn folded(&self, columns: usize, indent: usize) -> Vec<Line> {
        let (mut folded, mut line) = (Vec::new(), Line::new());
        let mut breaks = false;
        for (style, text) in &self.pieces {
            for word in text.split_inclusive(' ') {
                if breaks && line.width() + width(word.trim_end_matches(' ')) >= columns {
                    if let Some((_, last)) = line.pieces.last_mut() {
                        last.truncate(last.trim_end_matches(' ').len());
                    }
                    folded.push(std::mem::take(&mut line));
                    line.pad_to(indent);
                }
                // Never before the first word of a line, which nothing makes shorter.
                breaks = word.ends_with(' ') && line.width() + width(word) > indent;
                line.pieces.push((*style, word.to_owned()));
            }
        }
        folded.push(line);
        folded
    }

    /// The line as text, clipped to `columns` with an ellipsis; trailing blanks are dropped.
    pub fn render(&self, paint: Paint, columns: usize) -> String {
        let mut left = if self.width() > columns { columns.saturating_sub(1) } else { columns };
        let clipped = self.width() > columns;
        let mut out = String::new();
        let mut blanks = String::new();
        for (style, text) in &self.pieces {
            let text = clip(text, left);
            left -= width(text);
            let core = text.trim_end_matches(' ');
            if !core.is_empty() {
                out.push_str(&std::mem::take(&mut blanks));
                out.push_str(&paint.text(*style, core));
            }
            blanks.extend(std::iter::repeat_n(' ', text.len() - core.len()));
            if left == 0 {
                break;
            }
        }
        if clipped && columns > 0 {
            let _ = write!(out, "{blanks}…");
        }
        out
    }
}

/// Rows in aligned columns, two blanks apart; a column that is empty throughout is left out.
#[derive(Debug, Default)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Line>>,
}

impl Table {
    pub fn new(headings: &[&'static str]) -> Self {
        Table { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// `row` has one cell for each heading.
    pub fn row(&mut self, row: Vec<Line>) {
        self.rows.push(row);
    }

    /// The heading and the rows.
    pub fn lines(&self) -> Vec<Line> {
        let widths: Vec<Option<usize>> = (0..self.headings.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                let widest = cells.map(Line::width).max().unwrap_or(0);
                let heading = self.headings.get(column).map_or(0, |text| width(text));
                (widest > 0).then(|| widest.max(heading))
            })
            .collect();
        let heading =
            self.headings.iter().map(|text| Line::new().with(Style::Heading, text)).collect();
        std::iter::once(heading)
            .chain(self.rows.iter().cloned())
            .map(|row| {
                let mut line = Line::new();
                let mut end = 0;
                for (cell, columns) in row.into_iter().zip(&widths) {
                    if let Some(columns) = columns {
                        line.pad_to(end);
                        line.append(cell);
                        end += columns + 2;
                    }
                }
                line
            })
            .collect()
    }
}

/// Text that a stranger chose, without what could move the cursor or turn the line around.
pub fn harmless(text: &str) -> String {
    let spoofs = |c: char| {
        c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    text.chars().map(|c| if spoofs(c) { '\u{fffd}' } else { c }).collect()
}

/// The columns that text takes on a terminal.
pub fn width(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// Close enough to wcwidth for names: marks take none, East Asian wide letters and emoji two.
fn columns_of(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// The beginning of the text that fits.
fn clip(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        taken += columns_of(c);
        if taken > columns {
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFF: Paint = Paint { on: false };

    #[test]
    fn columns_align_whatever_letters_they_hold() {
        let mut table = Table::new(&["NAME", "EMPTY", "STATE"]);
        for (name, state) in [("Zoë", "active"), ("山田", "held"), ("e\u{301}", "x")] {
            table.row(vec![
                Line::new().with(Style::Plain, name),
                Line::new(),
                Line::new().with(Style::Good, state),
            ]);
        }
        let text: Vec<String> = table.lines().iter().map(|line| line.render(OFF, 80)).collect();
        assert_eq!(text, ["NAME  STATE", "Zoë   active", "山田  held", "e\u{301}     x"]);
    }

    #[test]
    fn a_line_is_clipped_to_the_terminal_and_says_so() {
        let line = Line::new().with(Style::Plain, "one ").with(Style::Bad, "two three");
        assert_eq!(line.render(OFF, 13), "one two three");
        assert_eq!(line.render(OFF, 9), "one two …");
        assert_eq!(line.render(OFF, 1), "…");
        assert_eq!(line.render(OFF, 0), "");
        assert_eq!(line.render(Paint { on: true }, 6), "one \x1b[31;1mt\x1b[0m…");
    }

    #[test]
    fn what_is_too_long_goes_on_below_at_a_blank() {
        let line = Line::new().with(Style::Plain, "muted, ").with(Style::Bad, "held by the user");
        let folded = |columns| -> Vec<String> {
            line.folded(columns, 2).iter().map(|line| line.render(OFF, columns)).collect()
        };
        assert_eq!(folded(80), ["muted, held by the user"]);
        assert_eq!(folded(15), ["muted, held by", "  the user"]);
        assert_eq!(folded(4), ["mut…", "  h…", "  by", "  t…", "  u…"]);
    }

    #[test]
    fn text_from_strangers_moves_no_cursor() {
        let line = Line::new().with(Style::Plain, "a\x1b[2Jb\r\nc\u{202e}d");
        assert_eq!(line.render(OFF, 80), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}d");
    }
}
