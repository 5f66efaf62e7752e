//! Where traces go, by the names that OpenTelemetry's SDKs share.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use super::Problem;
use super::catalogue as c;
use super::checks::is_http_url;
use super::layers::Resolved;
use crate::engine::Sampling;

/// Traces.
#[derive(Clone, Debug)]
pub struct TracesConfig {
    /// Where spans are posted; without it there are none.
    pub endpoint: Option<String>,
    /// Headers for that, mostly a key.
    pub headers: BTreeMap<String, SecretString>,
    /// What the processes are called, instead of `windlass-api` and `windlass-worker`.
    pub service: Option<String>,
    /// Which traces are recorded.
    pub sampling: Sampling,
}

impl TracesConfig {
    pub(super) fn of(r: &Resolved) -> Result<Self, Vec<Problem>> {
        let endpoint = r.text(&c::OTEL_EXPORTER_OTLP_ENDPOINT);
        let mut problems = Vec::new();
        let mut wrong = |setting: &c::Setting, what: &str| problems.push(Problem::of(setting, r.origin(setting), what));
        if endpoint.as_deref().is_some_and(|url| !is_http_url(url)) {
            wrong(&c::OTEL_EXPORTER_OTLP_ENDPOINT, "must be an http:// or https:// URL");
        }
        let headers = r.secret(&c::OTEL_EXPORTER_OTLP_HEADERS);
        let headers = headers.map(|text| headers_of(text.expose_secret()));
        if matches!(headers, Some(None)) {
            wrong(&c::OTEL_EXPORTER_OTLP_HEADERS, "must be names and values such as `x-key=abc,x-other=def`");
        }
        let sampler = r.text(&c::OTEL_TRACES_SAMPLER).unwrap_or_default();
        let argument = r.text(&c::OTEL_TRACES_SAMPLER_ARG).map_or(Ok(1.0), |text| text.parse::<f64>());
        if !argument.as_ref().is_ok_and(|share| (0.0..=1.0).contains(share)) {
            wrong(&c::OTEL_TRACES_SAMPLER_ARG, "must be a share from 0 to 1");
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            endpoint,
            headers: headers.flatten().unwrap_or_default(),
            service: r.text(&c::OTEL_SERVICE_NAME),
            sampling: sampling(&sampler, argument.unwrap_or(1.0)),
        })
    }
}

/// The samplers of the specification.
fn sampling(name: &str, argument: f64) -> Sampling {
    let share = match name.trim_start_matches("parentbased_") {
        "always_off" => 0.0,
        "traceidratio" => argument,
        _ => 1.0,
    };
    Sampling { share, follow_clients: name.starts_with("parentbased_") }
}

/// `name=value,name=value`, values perhaps percent-encoded, as in W3C Baggage.
fn headers_of(text: &str) -> Option<BTreeMap<String, SecretString>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let name = name.trim().to_ascii_lowercase();
            // A query of one pair, in which a plus is a plus.
            let query = format!("v={}", value.trim().replace('+', "%2B").replace('&', "%26"));
            let value = url::form_urlencoded::parse(query.as_bytes()).next()?.1.into_owned();
            http::HeaderName::from_bytes(name.as_bytes()).ok()?;
            http::HeaderValue::from_str(&value).ok()?;
            Some((name, value.into()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_are_those_of_the_specification() {
        for (name, share, follow_clients) in [
            ("always_on", 1.0, false),
            ("always_off", 0.0, false),
            ("traceidratio", 0.5, false),
            ("parentbased_always_on", 1.0, true),
            ("parentbased_always_off", 0.0, true),
            ("parentbased_traceidratio", 0.5, true),
        ] {
            assert_eq!(sampling(name, 0.5), Sampling { share, follow_clients }, "{name}");
        }
    }

    #[test]
    fn headers_are_pairs() {
        let found = headers_of("X-Key=a%20b=+&c, authorization=Basic%20eA==,").expect("headers");
        let plain: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(plain, [("authorization", "Basic eA=="), ("x-key", "a b=+&c")]);
        for bad in ["key", "k y=1", "=1", "key=a%0Ab"] {
            assert!(headers_of(bad).is_none(), "{bad}");
        }
    }
}
