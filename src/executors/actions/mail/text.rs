//! Which characters may stand in one line of a mail's head.

/// Whether a character ends a line somewhere, or is otherwise not text: controls (CR, LF, NUL, NEL among them) and the
/// line and paragraph separators of Unicode.
fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a character turns the direction of text that follows, so that `fdp.exe` reads as `exe.pdf`.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Checks text that goes into one line of a head.
///
/// # Errors
/// A sentence that names the field.
pub(super) fn one_line(field: &str, text: &str, most: usize) -> Result<(), String> {
    if text.chars().any(breaks_a_line) {
        return Err(format!("{field}: line breaks and control characters are not allowed"));
    }
    if text.contains("=?") {
        return Err(format!("{field}: `=?` is not allowed; write the characters themselves, they are encoded here"));
    }
    if text.len() > most {
        return Err(format!("{field}: at most {most} bytes are allowed, it has {}", text.len()));
    }
    Ok(())
}

/// Like [`one_line`], for names that people decide by: not empty, and read the way they are written.
///
/// # Errors
/// A sentence that names the field.
pub(super) fn name(field: &str, text: &str, most: usize) -> Result<(), String> {
    one_line(field, text, most)?;
    if text.chars().any(turns_text) {
        return Err(format!("{field}: characters that turn the direction of text are not allowed"));
    }
    if text.trim().is_empty() { Err(format!("{field}: must not be blank")) } else { Ok(()) }
}

/// Checks a message id as RFC 5322 §3.6.4 has it: `<left@right>`, printable ASCII without blanks.
///
/// # Errors
/// A sentence that names the field.
pub(super) fn message_id(field: &str, text: &str) -> Result<(), String> {
    let inner = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or_default();
    let sides = inner.split_once('@').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty());
    let plain = inner.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b',' | b';'));
    if sides && plain && text.len() <= 250 && !text.contains("=?") {
        return Ok(());
    }
    Err(format!("{field}: must be a message id such as <id@example.org>, at most 250 bytes"))
}
