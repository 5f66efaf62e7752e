//! Writing documents back: compact as sent, or canonical for hashing.

use super::Json;

impl Json {
    /// Compact text: members in the order sent, numbers as sent.
    #[must_use]
    pub fn compact(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, false, &[]);
        out
    }

    /// Compact text with sorted keys and without the top-level members named in `without`. Two
    /// documents that differ in white space, in the order of members or in how a character is
    /// escaped have the same canonical text; `1` and `1.0` do not.
    #[must_use]
    pub fn canonical(&self, without: &[&str]) -> String {
        let mut out = String::new();
        self.write(&mut out, true, without);
        out
    }

    fn write(&self, out: &mut String, sorted: bool, without: &[&str]) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(text) => out.push_str(text),
            Self::String(text) => write_string(text, out),
            Self::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write(out, sorted, &[]);
                }
                out.push(']');
            }
            Self::Object(members) => write_object(members, out, sorted, without),
        }
    }
}

fn write_object(members: &[(String, Json)], out: &mut String, sorted: bool, without: &[&str]) {
    let mut members: Vec<&(String, Json)> = members.iter().filter(|(k, _)| !without.contains(&k.as_str())).collect();
    if sorted {
        members.sort_by(|a, b| a.0.cmp(&b.0));
    }
    out.push('{');
    for (i, (key, value)) in members.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_string(key, out);
        out.push(':');
        value.write(out, sorted, &[]);
    }
    out.push('}');
}

fn write_string(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[from..at]);
        from = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte => {
                out.push_str("\\u00");
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    out.push_str(&text[from..]);
    out.push('"');
}
