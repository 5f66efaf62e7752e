//! Data on stdout: tables for people, JSON for scripts.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

use super::args::Format;
use super::failure::{Code, Failure};
use super::paint::{Look, Paint};
use super::span;

/// Where data goes and how it looks.
#[derive(Debug)]
pub struct Output {
    format: Format,
    terminal: bool,
    paint: Paint,
    closed: bool,
}

impl Output {
    /// Data in this format on stdout.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format, terminal: io::stdout().is_terminal(), paint: Paint::default(), closed: false }
    }

    /// The same in these colours.
    #[must_use]
    pub fn painted(self, paint: Paint) -> Self {
        Self { paint, ..self }
    }

    /// The same as for a pipe.
    #[must_use]
    pub fn plain(self) -> Self {
        Self { terminal: false, ..self }
    }

    /// Whether people read this on a terminal.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.terminal && !self.is_json()
    }

    /// The colours.
    #[must_use]
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// Whether the reader of stdout has left (`| head`): what goes on by itself should end.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Prints `data` as JSON, or as the table that `rows` makes of it.
    ///
    /// # Errors
    /// When stdout cannot be written, a closed pipe excepted.
    pub fn table<T: Serialize>(
        &mut self,
        data: &T,
        header: &[&str],
        rows: impl FnOnce(&T) -> Vec<Vec<String>>,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json(data),
            Format::Table => {
                let mut rows = rows(data);
                if rows.is_empty() {
                    return self.note("(none)");
                }
                // In a list on a terminal how long ago is what people want to know. Scripts get RFC 3339.
                if self.terminal {
                    rows.iter_mut().flatten().for_each(|cell| *cell = span::ago(cell));
                }
                let text = render(header, rows);
                match text.split_once('\n') {
                    Some((head, rest)) if !header.is_empty() => {
                        self.print(&format!("{}\n{rest}", self.paint.apply(Look::Bold, head)))
                    }
                    _ => self.print(&text),
                }
            }
        }
    }

    /// Prints `data` as JSON, or as the text that `text` makes of it.
    ///
    /// # Errors
    /// When stdout cannot be written, a closed pipe excepted.
    pub fn text<T: Serialize>(&mut self, data: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json(data),
            Format::Table => self.print(&text(data)),
        }
    }

    /// Whether scripts read this.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints one JSON document.
    ///
    /// # Errors
    /// When stdout cannot be written, a closed pipe excepted.
    pub fn json<T: Serialize>(&mut self, data: &T) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(data).map_err(|e| Failure::new(Code::Failure, e))?;
        self.print(&text)
    }

    /// Prints text on stdout. A reader that left (`| head`) is no error.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.write(&[text.as_bytes(), b"\n"])
    }

    /// Prints a piece of a text that goes on, without the control characters that could move a terminal's cursor.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn piece(&mut self, text: &str) -> Result<(), Failure> {
        let plain: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        self.write(&[plain.as_bytes()])
    }

    fn write(&mut self, pieces: &[&[u8]]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = pieces.iter().try_for_each(|piece| stdout.write_all(piece)).and_then(|()| stdout.flush());
        self.closed |= matches!(&written, Err(error) if error.kind() == io::ErrorKind::BrokenPipe);
        accept_closed_pipe(written)
    }

    /// Says on stderr what was done; scripts get `data` on stdout.
    ///
    /// # Errors
    /// When stdout cannot be written, a closed pipe excepted.
    pub fn done<T: Serialize>(&mut self, data: &T, text: &str) -> Result<(), Failure> {
        self.note(text)?;
        if self.is_json() { self.json(data) } else { Ok(()) }
    }

    /// Says something to people, on stderr, where it never mixes with data.
    ///
    /// # Errors
    /// When stderr cannot be written.
    pub fn note(&mut self, text: &str) -> Result<(), Failure> {
        accept_closed_pipe(writeln!(io::stderr().lock(), "{text}"))
    }
}

fn accept_closed_pipe(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Code::Failure, format_args!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

/// What is known of one thing, a line each: a name, and what it is, without control characters.
pub(super) fn facts(rows: &[(&str, String)]) -> String {
    let line = |(name, value): &(&str, String)| format!("{name:<10} {}", clean(value));
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A table without frames: easy to read, and to cut with the usual tools. The header may be empty.
#[must_use]
pub fn render(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !header.is_empty() {
        table.set_header(header.to_vec());
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| clean(cell)));
    }
    // The style pads every cell with a blank on both sides; the first one only indents.
    let text = table.trim_fmt();
    text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// Text from elsewhere as one line without control characters.
#[must_use]
pub fn clean(text: &str) -> String {
    crate::domain::clip_text(text, 2048).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_one_line_without_control_characters() {
        let text = render(&["A", "B"], vec![vec!["x\ny\u{1b}[31m".to_owned(), "z".to_owned()]]);
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
