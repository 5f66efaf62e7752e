//! The terminal: taken over for a while, and given back however the view ends.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use crossterm::cursor::{Hide, Show};
use crossterm::terminal::{
    DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use super::super::paint::Paint;
use super::grid::Line;

type Hook = Arc<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync>;

/// The alternate screen of the terminal. Dropping it gives the terminal back; so does a panic, before it is told.
pub(super) struct Screen {
    paint: Paint,
    hook: Hook,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it is none, or went away.
    pub(super) fn take(paint: Paint) -> io::Result<Self> {
        let hook: Hook = Arc::from(std::panic::take_hook());
        let told = Arc::clone(&hook);
        std::panic::set_hook(Box::new(move |info| {
            give_back();
            told(info);
        }));
        let screen = Self { paint, hook };
        enable_raw_mode()?;
        crossterm::execute!(io::stdout(), EnterAlternateScreen, Hide, DisableLineWrap)?;
        Ok(screen)
    }

    /// Columns and rows that can be filled. Erasing to the end of a row that is full takes its last character away, so
    /// the last column stays empty.
    pub(super) fn size() -> (usize, usize) {
        let (columns, rows) = crossterm::terminal::size().unwrap_or((80, 24));
        (usize::from(columns.saturating_sub(1)).max(1), usize::from(rows).max(1))
    }

    /// Shows these rows and nothing else, in one write: a terminal never shows half a frame.
    ///
    /// # Errors
    /// When the terminal went away.
    pub(super) fn show(&self, lines: &[Line]) -> io::Result<()> {
        let text = compose(lines, self.paint);
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
        // The hook cannot be changed by a thread that panics.
        if !std::thread::panicking() {
            let before = Arc::clone(&self.hook);
            std::panic::set_hook(Box::new(move |info| before(info)));
        }
    }
}

/// A terminal that is gone needs nothing back.
fn give_back() {
    let _ = crossterm::execute!(io::stdout(), EnableLineWrap, Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// Every row is put at its place and erased to its end, so that nothing scrolls and nothing is cleared first. Terminals
/// that know synchronized output (`CSI ? 2026 h`) show all of it at once; the others ignore the marks.
fn compose(lines: &[Line], paint: Paint) -> String {
    let mut text = String::from("\u{1b}[?2026h\u{1b}[H");
    for (number, line) in lines.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write!(text, "\u{1b}[{};1H{}\u{1b}[K", number + 1, paint.apply(line.look, &line.text));
    }
    text.push_str("\u{1b}[J\u{1b}[?2026l");
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::paint::Look;
    use super::*;

    #[test]
    fn a_frame_is_rows_at_their_places_without_a_newline() {
        let lines = [Line::new(Look::Bold, "head"), Line::new(Look::Plain, "row\n\u{1b}[2J")];
        let text = compose(&lines, Paint::default());
        assert!(text.starts_with("\u{1b}[?2026h\u{1b}[H\u{1b}[1;1Hhead\u{1b}[K\u{1b}[2;1Hrow"), "{text:?}");
        assert!(text.ends_with("\u{1b}[K\u{1b}[J\u{1b}[?2026l") && !text.contains('\n'), "{text:?}");
        assert!(!text.contains("\u{1b}[2J"), "a name of a queue cannot clear the screen: {text:?}");
    }
}
