//! Query strings: every parameter is known, given once and well formed, or the request is refused.

use std::fmt::Display;

use crate::api::ErrorCode;

use super::error::ApiError;

/// The parameters of one request.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// # Errors
    /// When a parameter is not in `known` or stands twice.
    pub(super) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, ApiError> {
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
        for (i, (key, _)) in pairs.iter().enumerate() {
            let name = crate::domain::clip_text(key, 64);
            if !known.contains(&key.as_str()) {
                return Err(refuse(&name, "is not a parameter of this path"));
            }
            if pairs[..i].iter().any(|(other, _)| other == key) {
                return Err(refuse(&name, "is given twice"));
            }
        }
        Ok(Self(pairs))
    }

    /// The parameter as text; an empty one counts as absent.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The parameter parsed by its rule, whose message goes to the client.
    pub(super) fn parsed<T, E: Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ApiError> {
        self.text(name).map(|text| parse(text).map_err(|e| refuse(name, &e.to_string()))).transpose()
    }
}

fn refuse(name: &str, detail: &str) -> ApiError {
    ApiError::at(ErrorCode::InvalidQuery, name, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        assert!(Query::parse(Some("a=1&b=2"), &["a", "b"]).is_ok());
        assert!(Query::parse(Some("a=1&c=2"), &["a", "b"]).is_err());
        assert!(Query::parse(Some("a=1&%61=2"), &["a"]).is_err());
        assert!(Query::parse(None, &[]).is_ok());
    }

    #[test]
    fn values_are_decoded_and_parsed() {
        let query = Query::parse(Some("a=x%20y&n=5&e="), &["a", "n", "e"]).expect("known");
        assert_eq!((query.text("a"), query.text("e")), (Some("x y"), None));
        assert_eq!(query.parsed("n", str::parse::<u32>).ok(), Some(Some(5)));
        assert!(query.parsed("a", str::parse::<u32>).is_err());
    }
}
