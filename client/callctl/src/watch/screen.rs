//! The terminal while `watch` runs: raw keys, no cursor, one picture redrawn in place.
//!
//! Owns the terminal's modes and puts them back however the program leaves. Takes no whole screen:
//! what was above stays, and the last picture remains when it quits.

use std::io::{self, Stdout, Write};

use crossterm::{
    cursor::{Hide, MoveTo, MoveToColumn, MoveUp, Show},
    queue,
    style::Print,
    terminal::{self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate},
};

use crate::paint::{Line, Paint};

pub struct Screen {
    out: Stdout,
    paint: Paint,
    /// Lines of the last picture above the cursor.
    drawn: u16,
}

impl Screen {
    pub fn open(paint: Paint) -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let mut screen = Screen { out: io::stdout(), paint, drawn: 0 };
        queue!(screen.out, Hide)?;
        screen.out.flush()?;
        Ok(screen)
    }

    /// How many lines a picture may have: one less than the terminal, for the cursor below it.
    pub fn rows(&self) -> usize {
        terminal::size().map_or(24, |(_, rows)| usize::from(rows)).saturating_sub(1)
    }

    /// How wide it may be. A narrow fallback where the size is unknown (a pipe of a test), as everywhere.
    pub fn columns(&self) -> usize {
        terminal::size().map_or(80, |(columns, _)| usize::from(columns))
    }

    pub fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let columns = self.columns();
        queue!(self.out, BeginSynchronizedUpdate)?;
        self.return_to_top()?;
        for line in lines {
            let text = line.render(self.paint, columns);
            queue!(self.out, Clear(ClearType::CurrentLine), Print(text), Print("\r\n"))?;
        }
        queue!(self.out, Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
        self.drawn = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        self.out.flush()
    }

    /// After a resize the terminal has wrapped the old picture in its own way: start over.
    pub fn resized(&mut self) -> io::Result<()> {
        self.drawn = 0;
        queue!(self.out, Clear(ClearType::All), MoveTo(0, 0))
    }

    fn return_to_top(&mut self) -> io::Result<()> {
        queue!(self.out, MoveToColumn(0))?;
        match self.drawn {
            0 => Ok(()),
            lines => queue!(self.out, MoveUp(lines)),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = queue!(self.out, Show);
        let _ = self.out.flush();
        let _ = terminal::disable_raw_mode();
    }
}
