//! `windlass providers …`.

use clap::Subcommand;

use super::failure::{Code, Failure};
use super::output::Output;
use crate::api::provider::{
    HealthView, LimitView, LimitsView, ModelView, OfferedModel, ProviderList, ProviderModels, ProviderView,
};
use crate::client::Client;

/// Show and test the providers of language models.
#[derive(Debug, Subcommand)]
pub enum ProvidersCommand {
    /// List providers and models: whether they are called, and what is left of their limits
    List,
    /// Have a worker ask a provider for its models now, which costs nothing; fails when it is not well
    Test {
        /// The provider's name
        provider: String,
    },
    /// List the models that a provider offers, and which of them are configured
    Models {
        /// The provider's name
        provider: String,
    },
}

/// Runs one of the commands.
pub(super) async fn run(command: ProvidersCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    match command {
        ProvidersCommand::List => {
            let list = client.providers().await?;
            let header = [
                "PROVIDER",
                "MODEL",
                "HEALTH",
                "BREAKER",
                "CALLS/MIN",
                "FAILED",
                "AVERAGE",
                "UNDER WAY",
                "TODAY",
                "LEFT",
            ];
            out.table(&list, &header, rows)
        }
        ProvidersCommand::Test { provider } => {
            let found = client.test_provider(&provider).await?;
            out.text(&found, |found| format!("{provider}: {}", health_text(found)))?;
            match found.reason {
                Some(reason) if !found.ok => {
                    Err(Failure::new(Code::Failure, format!("{provider} is not well: {reason}")))
                }
                _ => Ok(()),
            }
        }
        ProvidersCommand::Models { provider } => {
            let models = client.provider_models(&provider).await?;
            if models.health.as_ref().is_none_or(|health| health.models.is_none()) {
                out.note("the provider has not said what it offers; these are the configured models")?;
            }
            out.table(&models, &["MODEL", "OFFERED", "CONFIGURED"], model_rows)
        }
    }
}

fn health_text(found: &HealthView) -> String {
    let state = found.reason.as_deref().unwrap_or("ok");
    let plural = if found.models == Some(1) { "" } else { "s" };
    let models = found.models.map(|models| format!(", {models} model{plural}")).unwrap_or_default();
    format!("{state} in {} ms, {} s ago{models}", found.latency_ms, found.age_seconds)
}

fn model_rows(models: &ProviderModels) -> Vec<Vec<String>> {
    let word = |yes: bool| if yes { "yes" } else { "no" };
    let row = |model: &OfferedModel| {
        vec![model.name.clone(), model.offered.map_or("unknown", word).to_owned(), word(model.configured).to_owned()]
    };
    models.models.iter().map(row).collect()
}

/// A row for each provider as a whole, and one for each of its models.
fn rows(list: &ProviderList) -> Vec<Vec<String>> {
    let of = |provider: &ProviderView| {
        let models = provider.models.iter().map(|model| model_row(&provider.name, model));
        std::iter::once(provider_row(provider)).chain(models).collect::<Vec<_>>()
    };
    list.providers.iter().flat_map(of).collect()
}

fn provider_row(provider: &ProviderView) -> Vec<String> {
    let models = if provider.open_models { "(all, and others)" } else { "(all)" };
    vec![
        provider.name.clone(),
        models.to_owned(),
        provider.health.as_ref().map_or_else(|| "unknown".to_owned(), health_text),
        String::new(),
        provider.usage.requests.to_string(),
        String::new(),
        average(provider.usage.average_ms),
        provider.usage.under_way.to_string(),
        usd(provider.usage.spent_nano_usd),
        left(&provider.limits),
    ]
}

fn model_row(provider: &str, model: &ModelView) -> Vec<String> {
    let until = model.cooling_until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
    let why = model.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let spent = if model.priced { usd(model.usage.spent_nano_usd) } else { "unpriced".to_owned() };
    vec![
        provider.to_owned(),
        model.name.clone(),
        String::new(),
        format!("{}{until}{why}", model.breaker),
        model.usage.requests.to_string(),
        model.failures_last_minute.to_string(),
        average(model.usage.average_ms),
        model.usage.under_way.to_string(),
        spent,
        left(&model.limits),
    ]
}

fn average(ms: Option<u64>) -> String {
    ms.map(|ms| format!("{ms} ms")).unwrap_or_default()
}

fn left(limits: &LimitsView) -> String {
    let part =
        |what: &str, limit: Option<LimitView>| limit.map(|limit| format!("{} of {} {what}", limit.left, limit.limit));
    let money = limits.nano_usd_per_day.map(|limit| format!("{} of {} a day", usd(limit.left), usd(limit.limit)));
    let parts = [
        part("requests", limits.requests_per_minute),
        part("tokens", limits.tokens_per_minute),
        part("at once", limits.concurrency),
        money,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Nano-USD for people: two places at least, and no more than the amount has.
pub(super) fn usd(nano: u64) -> String {
    let text = format!("${}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
    let kept = text.trim_end_matches('0').len().max(text.len() - 7);
    text[..kept].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> HealthView {
        HealthView {
            at: "2027-01-15T08:00:00.000Z".into(),
            age_seconds: 4,
            ok: false,
            reason: Some("refused".into()),
            latency_ms: 80,
            models: None,
        }
    }

    #[test]
    fn a_health_is_one_line() {
        assert_eq!(health_text(&refused()), "refused in 80 ms, 4 s ago");
        let well = |models| HealthView { ok: true, reason: None, models: Some(models), ..refused() };
        assert_eq!(health_text(&well(1)), "ok in 80 ms, 4 s ago, 1 model");
        assert_eq!(health_text(&well(12)), "ok in 80 ms, 4 s ago, 12 models");
    }

    fn provider() -> ProviderView {
        let usage = serde_json::json!({"requests": 3, "tokens": 200, "under_way": 1, "booked": 0,
            "spent_nano_usd": 2_000_000, "reserved_nano_usd": 0, "average_ms": 1_400});
        let limits = |limit: Option<LimitView>, money: Option<LimitView>| LimitsView {
            requests_per_minute: limit,
            tokens_per_minute: None,
            concurrency: None,
            nano_usd_per_day: money,
        };
        let usage: crate::api::provider::MeterView = serde_json::from_value(usage).expect("a meter");
        let model = ModelView {
            name: "gpt".into(),
            aliases: Vec::new(),
            context_window: None,
            priced: false,
            breaker: "open".into(),
            cooling_until: Some("2027-01-15T08:00:30.000Z".into()),
            reason: Some("timeout".into()),
            calls_last_minute: 9,
            failures_last_minute: 5,
            limits: limits(Some(LimitView { limit: 10, left: 7 }), None),
            usage,
        };
        ProviderView {
            name: "openai".into(),
            kind: "openai".into(),
            open_models: true,
            health: Some(refused()),
            limits: limits(None, Some(LimitView { limit: 5_000_000_000, left: 4_500_000_000 })),
            usage,
            models: vec![model],
        }
    }

    #[test]
    fn providers_and_their_models_are_rows() {
        let expected = [
            [
                "openai",
                "(all, and others)",
                "refused in 80 ms, 4 s ago",
                "",
                "3",
                "",
                "1400 ms",
                "1",
                "$0.002",
                "$4.50 of $5.00 a day",
            ],
            [
                "openai",
                "gpt",
                "",
                "open until 2027-01-15T08:00:30.000Z (timeout)",
                "3",
                "5",
                "1400 ms",
                "1",
                "unpriced",
                "7 of 10 requests",
            ],
        ];
        assert_eq!(rows(&ProviderList { providers: vec![provider()] }), expected);
    }

    #[test]
    fn money_is_exact_and_short() {
        for (nano, text) in [
            (0, "$0.00"),
            (1, "$0.000000001"),
            (500_000_000, "$0.50"),
            (12_345_000_000, "$12.345"),
            (1_000_000_000_000, "$1000.00"),
        ] {
            assert_eq!(usd(nano), text);
        }
    }
}
