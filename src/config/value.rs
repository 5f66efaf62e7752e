//! One value of one setting: parsed, checked against its kind, and shown without secrets.

use super::catalogue::{Kind, Setting};

/// A value that fits its setting's kind.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Integer(u64),
    Flag(bool),
    List(Vec<String>),
}

impl Value {
    /// Parses what a variable, a flag or a secret's file says. The error never repeats a secret.
    pub(super) fn from_text(setting: &Setting, text: &str) -> Result<Self, String> {
        let text = text.trim();
        match setting.kind {
            Kind::Text | Kind::Secret | Kind::SecretUrl => Ok(Self::Text(text.to_owned())),
            Kind::Integer(min, max) => match text.parse::<u64>() {
                Ok(number) => in_bounds(number, min, max),
                Err(_) => Err(format!("must be a whole number from {min} to {max}, not `{}`", shown(text))),
            },
            Kind::Usd(most) => usd(text.parse().ok(), most),
            Kind::Flag => match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(Self::Flag(true)),
                "false" | "0" | "no" | "off" => Ok(Self::Flag(false)),
                _ => Err(format!("must be true or false, not `{}`", shown(text))),
            },
            Kind::List => Ok(Self::List(words(text))),
            Kind::Choice(choices) => choice(text, choices),
        }
    }

    /// Checks what the file says. The error never repeats a secret.
    pub(super) fn from_toml(setting: &Setting, value: &toml::Value) -> Result<Self, String> {
        match (setting.kind, value) {
            (Kind::Integer(min, max), toml::Value::Integer(number)) => match u64::try_from(*number) {
                Ok(number) => in_bounds(number, min, max),
                Err(_) => Err(format!("must be a whole number from {min} to {max}, not `{number}`")),
            },
            (Kind::Usd(most), toml::Value::Integer(number)) => usd(Some(*number as f64), most),
            (Kind::Usd(most), toml::Value::Float(number)) => usd(Some(*number), most),
            (Kind::Flag, toml::Value::Boolean(flag)) => Ok(Self::Flag(*flag)),
            (Kind::List, toml::Value::Array(items)) => {
                let words: Option<Vec<String>> = items.iter().map(|i| i.as_str().map(str::to_owned)).collect();
                words.map(Self::List).ok_or_else(|| "must be a list of texts".to_owned())
            }
            (Kind::List, toml::Value::String(text)) => Ok(Self::List(words(text))),
            (Kind::Choice(choices), toml::Value::String(text)) => choice(text, choices),
            (Kind::Text | Kind::Secret | Kind::SecretUrl, toml::Value::String(text)) => Ok(Self::Text(text.clone())),
            (kind, other) => Err(format!("must be {}, not {}", expected(kind), other.type_str())),
        }
    }

    /// The value for people: secrets as `(set)`, passwords in URLs as `***`, nothing as `-`.
    pub(super) fn shown(&self, kind: Kind) -> String {
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::List(items) => items.join(","),
        };
        match kind {
            _ if text.is_empty() => "-".to_owned(),
            Kind::Secret => "(set)".to_owned(),
            Kind::SecretUrl => redacted_url(&text),
            _ => text,
        }
    }
}

impl std::fmt::Debug for Value {
    /// A value may be a secret, and only its setting knows.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Value(..)")
    }
}

/// A URL with its password replaced; a text that is no URL is not repeated at all, because a
/// password with an unescaped character is the usual reason.
pub(super) fn redacted_url(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(&crate::store::one_host_first(text)) else { return "(not a URL)".to_owned() };
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return "(set)".to_owned();
    }
    if url.query().is_some() {
        url.set_query(Some("***"));
    }
    url.into()
}

fn in_bounds(number: u64, min: u64, max: u64) -> Result<Value, String> {
    if (min..=max).contains(&number) {
        return Ok(Value::Integer(number));
    }
    Err(format!("must be from {min} to {max}, not {number}"))
}

/// Kept as text: the shortest that gives the same number again.
fn usd(amount: Option<f64>, most: u32) -> Result<Value, String> {
    let amount = amount.filter(|amount| (0.0..=f64::from(most)).contains(amount));
    amount.map(|a| Value::Text(a.to_string())).ok_or_else(|| format!("must be an amount from 0 to {most}"))
}

fn choice(text: &str, choices: &[&str]) -> Result<Value, String> {
    let word = text.to_ascii_lowercase();
    if choices.contains(&word.as_str()) {
        return Ok(Value::Text(word));
    }
    Err(format!("must be one of {}, not `{}`", choices.join(", "), shown(text)))
}

fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

fn shown(text: &str) -> String {
    crate::domain::clip_text(text, 60)
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer(..) => "a whole number",
        Kind::Usd(_) => "a number",
        Kind::Flag => "true or false",
        Kind::List => "a list of texts",
        Kind::Text | Kind::Secret | Kind::SecretUrl | Kind::Choice(_) => "a text",
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue;
    use super::*;

    #[test]
    fn a_password_in_a_url_is_hidden() {
        let value = Value::Text("redis://default:hunter2@host:6379/0".to_owned());
        assert_eq!(value.shown(Kind::SecretUrl), "redis://default:***@host:6379/0");
        assert_eq!(redacted_url("redis://:p#w@host"), "(not a URL)");
    }

    #[test]
    fn numbers_keep_to_their_bounds() {
        let parse = |text| Value::from_text(&catalogue::REDIS_POOL_SIZE, text);
        assert_eq!(parse(" 10 "), Ok(Value::Integer(10)));
        for bad in ["0", "11", "-1", "1.5", "many", "99999999999999999999999"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_come_with_commas_or_as_arrays() {
        let expected = Ok(Value::List(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(Value::from_text(&catalogue::ALLOW_ACTIONS_DEFAULT, " a, b,"), expected);
        let array = toml::Value::try_from(["a", "b"]).unwrap();
        assert_eq!(Value::from_toml(&catalogue::ALLOW_ACTIONS_DEFAULT, &array), expected);
    }
}
