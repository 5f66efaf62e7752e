//! The reader: recursive descent over bytes.

use std::collections::HashSet;

use super::{DEPTH, Json, JsonError, JsonErrorKind, push_index, push_pointer};

/// Reads one document.
///
/// # Errors
/// The first violation.
pub fn read(bytes: &[u8]) -> Result<Json, JsonError> {
    let mut reader = Reader::new(bytes)?;
    let value = reader.document()?;
    reader.violation.take().map_or(Ok(value), Err)
}

/// Reads an array whose items stand for themselves: a duplicate key or a number out of range
/// spoils its item only. Pointers are relative to the item.
///
/// # Errors
/// When the text is not JSON, is nested too deeply, or is not an array (`Ok(None)`).
pub fn items(bytes: &[u8]) -> Result<Option<Vec<Result<Json, JsonError>>>, JsonError> {
    let mut reader = Reader::new(bytes)?;
    reader.space();
    if reader.peek() != Some(b'[') {
        reader.document()?;
        return Ok(None);
    }
    reader.at += 1;
    let mut out = Vec::new();
    reader.space();
    if reader.peek() == Some(b']') {
        reader.at += 1;
    } else {
        loop {
            let value = reader.value(1)?;
            out.push(reader.violation.take().map_or(Ok(value), Err));
            if reader.next_or_end(b']')? {
                break;
            }
        }
    }
    reader.end()?;
    Ok(Some(out))
}

/// Reads newline-delimited JSON: one document per line, blank lines skipped. Every line stands
/// for itself.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = Result<Json, JsonError>> {
    bytes.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).map(read)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Tokens from the root to the value being read.
    path: Vec<Token>,
    /// The first violation that does not end the parse.
    violation: Option<JsonError>,
}

enum Token {
    Key(String),
    Index(usize),
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|e| JsonError {
            kind: JsonErrorKind::Syntax { what: "bytes that are not UTF-8", offset: e.valid_up_to() },
            pointer: String::new(),
        })?;
        Ok(Self { text, at: 0, path: Vec::new(), violation: None })
    }

    fn document(&mut self) -> Result<Json, JsonError> {
        let value = self.value(0)?;
        self.end()?;
        Ok(value)
    }

    fn end(&mut self) -> Result<(), JsonError> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { self.syntax("text after the document") }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn syntax<T>(&self, what: &'static str) -> Result<T, JsonError> {
        Err(JsonError { kind: JsonErrorKind::Syntax { what, offset: self.at }, pointer: self.pointer() })
    }

    fn pointer(&self) -> String {
        let mut out = String::new();
        for token in &self.path {
            match token {
                Token::Key(key) => push_pointer(&mut out, key),
                Token::Index(index) => push_index(&mut out, *index),
            }
        }
        out
    }

    fn note(&mut self, kind: JsonErrorKind) {
        if self.violation.is_none() {
            self.violation = Some(JsonError { kind, pointer: self.pointer() });
        }
    }

    /// `depth` is the number of arrays and objects around the value.
    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.space();
        match self.peek() {
            Some(b'{' | b'[') if depth == DEPTH => {
                Err(JsonError { kind: JsonErrorKind::TooDeep, pointer: self.pointer() })
            }
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(_) => self.syntax("a character that starts no value"),
            None => self.syntax("an early end"),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return self.syntax("an unknown word");
        }
        self.at += word.len();
        Ok(value)
    }

    /// After an element: true at the closing bracket, false after a comma.
    fn next_or_end(&mut self, close: u8) -> Result<bool, JsonError> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(false)
            }
            Some(c) if c == close => {
                self.at += 1;
                Ok(true)
            }
            Some(_) => self.syntax("a missing comma or bracket"),
            None => self.syntax("an early end"),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            self.path.push(Token::Index(items.len()));
            items.push(self.value(depth + 1)?);
            self.path.pop();
            if self.next_or_end(b']')? {
                return Ok(Json::Array(items));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut members: Vec<(String, Json)> = Vec::new();
        let mut seen = HashSet::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return self.syntax("a missing key");
            }
            let key = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return self.syntax("a missing colon");
            }
            self.at += 1;
            self.path.push(Token::Key(key.clone()));
            if !seen.insert(key.clone()) {
                self.note(JsonErrorKind::DuplicateKey);
            }
            let value = self.value(depth + 1)?;
            self.path.pop();
            members.push((key, value));
            if self.next_or_end(b'}')? {
                return Ok(Json::Object(members));
            }
        }
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => {
                self.digits();
            }
            _ => return self.syntax("a number without digits"),
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            self.at += 1;
            whole = false;
            if !self.digits() {
                return self.syntax("a number without digits after its point");
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            whole = false;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if !self.digits() {
                return self.syntax("a number without digits in its exponent");
            }
        }
        let text = &self.text[start..self.at];
        let fits = if whole {
            text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok()
        } else {
            text.parse::<f64>().is_ok_and(f64::is_finite)
        };
        if !fits {
            self.note(JsonErrorKind::NumberOutOfRange);
        }
        Ok(Json::Number(text.into()))
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at > start
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(stop) = rest.bytes().position(|b| b == b'"' || b == b'\\' || b < 0x20) else {
                self.at = self.text.len();
                return self.syntax("a string without end");
            };
            out.push_str(&rest[..stop]);
            self.at += stop;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return self.syntax("a raw control character in a string"),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        self.at += 1;
        let c = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return self.syntax("an unknown escape"),
        };
        self.at += 1;
        Ok(c)
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.hex4()?;
        let code = match first {
            0xd800..=0xdbff => {
                if !self.text[self.at..].starts_with("\\u") {
                    return self.syntax("a lone surrogate");
                }
                self.at += 2;
                let second = self.hex4()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return self.syntax("a lone surrogate");
                }
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            code => code,
        };
        char::from_u32(code).map_or_else(|| self.syntax("a lone surrogate"), Ok)
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        if digits.len() != 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return self.syntax("a broken \\u escape");
        }
        let code = digits.iter().fold(0, |code, d| (code << 4) | (*d as char).to_digit(16).unwrap_or(0));
        self.at += 4;
        Ok(code)
    }
}
