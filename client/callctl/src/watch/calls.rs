//! The calls in the picture: as wide as the terminal is, and as many as there is room for.
//!
//! Pure. Owns what gives way: in a narrow terminal notes, then whom a call is with, go below it; in a low one calls
//! far from the selected one are only counted. Never who calls and what state it is in.

use crate::{
    paint::{Line, Style},
    table::{self, Below, Selection},
    view::Board,
};

/// What stands below a call is set in behind the mark of the selected one.
pub const INDENT: usize = 5;

/// With less room than that for all of them, a call is worth more than what its columns are called.
const LOW: usize = 5;

/// At most so many lines, but for one call, which is there in any case with whom it is with.
pub fn fitting(
    board: &Board,
    now: u64,
    selected: Option<&str>,
    rows: usize,
    columns: usize,
) -> Vec<Line> {
    let table = |to| table::narrowed(board, now, Selection::On(selected), to);
    let fits = |to: &Below| table(*to).iter().all(|line| line.width() <= columns);
    let to = [Below::Nothing, Below::Notes].into_iter().find(fits).unwrap_or(Below::Most);
    let mut table = table(to).into_iter();
    let mut heading = table.next();
    let blocks: Vec<Vec<Line>> = table
        .zip(&board.calls)
        .map(|(row, call)| {
            let below = table::below(board, call, now, to);
            let below = below.iter().flat_map(|line| set_in(line).folded(columns, INDENT));
            std::iter::once(row).chain(below).collect()
        })
        .collect();
    let at = board.calls.iter().position(|call| Some(call.path.as_str()) == selected);
    if rows < LOW && blocks.iter().map(Vec::len).sum::<usize>() >= rows && !blocks.is_empty() {
        heading = None;
    }
    let room = rows.saturating_sub(heading.iter().count());
    let (first, count) = window(&blocks, at.unwrap_or(0), room);
    let hidden = blocks.len() - count;
    let more = (hidden > 0).then(|| {
        let calls = if hidden == 1 { "call" } else { "calls" };
        Line::new().with(Style::Faint, format!("   … {hidden} more {calls}; ↑ and ↓ go there"))
    });
    let shown = blocks.into_iter().skip(first).take(count).flatten();
    heading.into_iter().chain(shown).chain(more).collect()
}

fn set_in(line: &Line) -> Line {
    let mut whole = Line::new();
    whole.pad_to(INDENT);
    whole.append(line.clone());
    whole
}

/// Which blocks are shown, the one at `at` among them: from which on, and how many.
fn window(blocks: &[Vec<Line>], at: usize, rows: usize) -> (usize, usize) {
    if blocks.iter().map(Vec::len).sum::<usize>() <= rows {
        return (0, blocks.len());
    }
    // A line says how many are not shown.
    let rows = rows.saturating_sub(1);
    let fits = |left: &mut usize, block: &Vec<Line>| {
        *left = left.checked_sub(block.len())?;
        Some(())
    };
    let own = blocks.get(at).map_or(0, Vec::len);
    let before = blocks.iter().take(at).rev().scan(rows.saturating_sub(own), fits).count();
    let first = at - before;
    (first, blocks.iter().skip(first).scan(rows, fits).count().max(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::{
        paint::Paint,
        view::sample::{self, NOW},
    };

    fn text(board: &Board, selected: Option<&str>, rows: usize, columns: usize) -> Vec<String> {
        let lines = fitting(board, NOW, selected, rows, columns);
        lines.iter().map(|line| line.render(Paint { on: false }, columns)).collect()
    }

    #[test]
    fn in_a_narrow_terminal_nothing_is_lost() {
        let board = sample::two_calls();
        assert_eq!(
            text(&board, Some(&board.calls[1].path), 20, 90),
            [
                "   CALL      APP         WITH                                      STATE    FOR",
                "   1f0c9a2e  Speakerbox  from Alice Example sip:alice@example.org  active   01:12",
                "     ♪ audio",
                "›  7be2d410  Chatter     from tel:+4930123456                      ringing  01:24",
                "     waiting, answering holds 1f0c9a2e, 48 s left",
            ]
        );
        assert_eq!(
            text(&board, None, 20, 40),
            [
                "   CALL      APP         STATE    FOR",
                "   1f0c9a2e  Speakerbox  active   01:12",
                "     from Alice Example",
                "     sip:alice@example.org",
                "     ♪ audio",
                "   7be2d410  Chatter     ringing  01:24",
                "     from tel:+4930123456",
                "     waiting, answering holds 1f0c9a2e,",
                "     48 s left",
            ]
        );
    }

    #[test]
    fn in_a_low_one_the_selected_call_is_there_and_the_others_are_counted() {
        let mut board = sample::two_calls();
        let another =
            |nth: usize| sample::call(&format!("{nth}"), "org.example.Chatter", "tel:1", "held");
        board.calls.extend((0..8).map(another));
        for (at, call) in board.calls.iter().enumerate() {
            let shown = text(&board, Some(&call.path), 6, 200);
            assert_eq!(shown.len(), 6, "{shown:?}");
            assert_eq!(shown[5], "   … 6 more calls; ↑ and ↓ go there");
            let marked: Vec<&String> = shown.iter().filter(|line| line.starts_with('›')).collect();
            assert_eq!(marked.len(), 1, "{at}: {shown:?}");
        }
        assert_eq!(text(&board, None, 11, 200).len(), 11);
        let low = text(&board, None, 1, 200);
        assert_eq!(low.len(), 2, "{low:?}");
        assert!(low[0].contains("1f0c9a2e"), "one call in any case: {low:?}");
    }

    #[test]
    fn no_calls_are_said_at_any_width() {
        assert_eq!(text(&Board::default(), None, 20, 12), ["No calls."]);
    }
}
