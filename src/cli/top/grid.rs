//! Tables for a terminal of any width: columns as wide as their cells, and clipped by what a terminal shows.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::super::output::clean;
use super::super::paint::Look;

/// Narrower than this a column of text says nothing.
const LEAST: usize = 8;

/// One row of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its text, without colours.
    pub(super) text: String,
    /// How it is shown.
    pub(super) look: Look,
}

impl Line {
    /// A row of the screen; control characters are left out.
    pub(super) fn new(look: Look, text: impl AsRef<str>) -> Self {
        Self { text: clean(text.as_ref()), look }
    }
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    name: &'static str,
    right: bool,
    /// Gives way when the terminal is narrow.
    gives: bool,
}

/// A column of numbers.
pub(super) const fn number(name: &'static str) -> Column {
    Column { name, right: true, gives: false }
}

/// A column of words that are read whole.
pub(super) const fn word(name: &'static str) -> Column {
    Column { name, right: false, gives: false }
}

/// A column of text that may be clipped.
pub(super) const fn text(name: &'static str) -> Column {
    Column { name, right: false, gives: true }
}

/// The head and the rows, each with its look, for a terminal of `width` columns.
pub(super) fn grid(columns: &[Column], rows: Vec<(Look, Vec<String>)>, width: usize) -> Vec<Line> {
    let rows: Vec<(Look, Vec<String>)> =
        rows.into_iter().map(|(look, cells)| (look, cells.iter().map(|cell| clean(cell)).collect())).collect();
    let widths = widths(columns, &rows, width);
    let head = columns.iter().map(|column| column.name.to_owned()).collect();
    let lines = std::iter::once((Look::Bold, head)).chain(rows);
    lines
        .map(|(look, cells)| {
            let cells = cells.iter().zip(columns).zip(&widths);
            let padded: Vec<String> = cells.map(|((cell, column), width)| fit(cell, *width, column.right)).collect();
            Line { text: clip(padded.join(" ").trim_end(), width), look }
        })
        .collect()
}

fn widths(columns: &[Column], rows: &[(Look, Vec<String>)], width: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = columns.iter().map(|column| column.name.width()).collect();
    for (_, cells) in rows {
        for (most, cell) in widths.iter_mut().zip(cells) {
            *most = (*most).max(cell.width());
        }
    }
    let gaps = columns.len().saturating_sub(1);
    let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
    // The widest gives first, so that a long text does not cost a short name its end.
    while over > 0 {
        let giving = columns.iter().zip(&mut widths).filter(|(column, most)| column.gives && **most > LEAST);
        let Some((_, widest)) = giving.max_by_key(|(_, most)| **most) else { break };
        *widest -= 1;
        over -= 1;
    }
    widths
}

fn fit(cell: &str, width: usize, right: bool) -> String {
    let cell = clip(cell, width);
    let pad = " ".repeat(width.saturating_sub(cell.width()));
    if right { pad + &cell } else { cell + &pad }
}

/// The text in at most `width` columns of a terminal; what is cut off leaves an ellipsis.
pub(super) fn clip(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut clipped, mut taken) = (String::new(), 0);
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken + 1 > width {
            break;
        }
        clipped.push(c);
    }
    if width > 0 {
        clipped.push('…');
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_clipped_by_what_a_terminal_shows() {
        assert_eq!(clip("queue", 5), "queue");
        assert_eq!(clip("queue", 4), "que…");
        // Each of these takes two columns.
        assert_eq!(clip("日本語", 6), "日本語");
        assert_eq!(clip("日本語", 5), "日本…");
        assert_eq!(clip("日本語", 4), "日…");
        assert_eq!((clip("x", 0), clip("日", 1)), (String::new(), "…".to_owned()));
    }

    #[test]
    fn columns_line_up_and_long_text_gives_way() {
        let columns = [text("QUEUE"), number("DEPTH"), text("NOTE")];
        let row = |name: &str, note: &str| (Look::Plain, vec![name.to_owned(), "7".to_owned(), note.to_owned()]);
        let rows = vec![row("日本語", "short"), row("mail", &"long ".repeat(40))];
        let lines = grid(&columns, rows.clone(), 40);
        assert!(lines.iter().all(|line| line.text.width() <= 40), "{lines:?}");
        assert_eq!(lines[0].text, "QUEUE  DEPTH NOTE");
        assert_eq!(lines[1].text, "日本語     7 short");
        assert!(lines[2].text.starts_with("mail       7 long") && lines[2].text.ends_with('…'), "{lines:?}");
        let narrow = grid(&columns, rows, 12);
        assert!(narrow.iter().all(|line| line.text.width() <= 12), "{narrow:?}");
    }
}
