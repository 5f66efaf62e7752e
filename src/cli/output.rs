//! Data on stdout: tables for people, JSON for scripts.

use std::io::{self, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

use super::args::Format;
use super::failure::{Code, Failure};

/// Where data goes and how it looks.
#[derive(Debug)]
pub struct Output {
    format: Format,
}

impl Output {
    /// Data in this format on stdout.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format }
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
                let rows = rows(data);
                if rows.is_empty() {
                    return self.note("(none)");
                }
                self.print(&render(header, rows))
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
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(b"\n"));
        accept_closed_pipe(written.and_then(|()| stdout.flush()))
    }

    /// Prints a piece of a text that goes on, without the control characters that could move a terminal's cursor.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn piece(&mut self, text: &str) -> Result<(), Failure> {
        let plain: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        let mut stdout = io::stdout().lock();
        accept_closed_pipe(stdout.write_all(plain.as_bytes()).and_then(|()| stdout.flush()))
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
