//! `[[providers]]` of the settings file: any number of model providers beyond those of the environment.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;

use super::checks::is_http_url;
use super::prices::Prices;
use crate::domain::ProviderName;
use crate::domain::llm::{ModelInfo, Price, ProviderInfo, Quota};
use crate::executors::llm::{Capability, ProviderOptions};

/// Kinds with their addresses; one without has to be told it.
pub(super) const KINDS: &[(&str, &str)] = &[
    ("openai", "https://api.openai.com/v1"),
    ("grok", "https://api.x.ai/v1"),
    ("ollama", "http://127.0.0.1:11434"),
    ("compatible", ""),
];

/// The most that a limit may be.
const MOST: u64 = 1_000_000_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    kind: String,
    base_url: Option<String>,
    api_key_file: Option<String>,
    default_model: Option<String>,
    open_models: Option<bool>,
    requests_per_minute: Option<u64>,
    tokens_per_minute: Option<u64>,
    concurrency: Option<u64>,
    usd_per_day: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    name: Arc<str>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
    context_window: Option<u64>,
    input_usd_per_million: Option<f64>,
    cached_input_usd_per_million: Option<f64>,
    output_usd_per_million: Option<f64>,
    requests_per_minute: Option<u64>,
    tokens_per_minute: Option<u64>,
    concurrency: Option<u64>,
    usd_per_day: Option<f64>,
}

/// Reads the whole list; every problem names its place, such as `providers[1].models[0]`.
pub(super) fn read(list: &toml::Value, prices: &Prices) -> Result<Vec<ProviderOptions>, Vec<String>> {
    let Some(items) = list.as_array() else {
        return Err(vec!["`providers` must be a list of tables: [[providers]]".to_owned()]);
    };
    let (mut providers, mut problems) = (Vec::new(), Vec::new());
    for (at, item) in items.iter().enumerate() {
        match provider(item, prices) {
            Ok(provider) => providers.push(provider),
            Err(problem) => problems.push(format!("providers[{at}]{problem}")),
        }
    }
    if problems.is_empty() { Ok(providers) } else { Err(problems) }
}

fn provider(item: &toml::Value, prices: &Prices) -> Result<ProviderOptions, String> {
    let mut table = item.as_table().cloned().ok_or(": must be a table")?;
    // Taken out first: a message of the parser may repeat a value.
    let key = table.remove("api_key");
    let listed = table.remove("models");
    let entry: Entry = typed(table)?;
    let field = |name: &str, message: String| format!(".{name}: {message}");
    let name = ProviderName::new(&entry.name).map_err(|e| field("name", e.to_string()))?;
    let Some((kind, address)) = KINDS.iter().find(|(kind, _)| *kind == entry.kind).copied() else {
        let known: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
        return Err(field("kind", format!("must be one of {}", known.join(", "))));
    };
    let base_url = entry.base_url.clone().unwrap_or_else(|| address.to_owned());
    if !is_http_url(&base_url) {
        return Err(field("base_url", "must be an http:// or https:// URL".to_owned()));
    }
    let (models, lacks) = models(listed.as_ref(), kind, prices)?;
    let open_models = entry.open_models.unwrap_or(models.is_empty());
    let models = with_default(models, entry.default_model.as_deref(), (kind, open_models), prices)
        .ok_or_else(|| field("default_model", "is needed, or a model in the list".to_owned()))?;
    let quota = quota((entry.requests_per_minute, entry.tokens_per_minute), (entry.concurrency, entry.usd_per_day))?;
    let info = ProviderInfo { name, kind, models, open_models, quota };
    let api_key = secret(key.as_ref(), entry.api_key_file.as_deref()).map_err(|m| field("api_key", m))?;
    Ok(ProviderOptions { info, base_url, api_key, lacks })
}

/// The default first, then the others; those that are well known at this kind of provider, if it is open.
pub(super) fn with_default(
    mut models: Vec<ModelInfo>,
    default: Option<&str>,
    (kind, open): (&str, bool),
    prices: &Prices,
) -> Option<Vec<ModelInfo>> {
    if let Some(name) = default {
        match models.iter().position(|model| &*model.name == name || model.aliases.iter().any(|a| a == name)) {
            Some(at) => models[..=at].rotate_right(1),
            None => models.insert(0, prices.model(kind, name)),
        }
    }
    if models.is_empty() {
        return None;
    }
    if open {
        let known: BTreeSet<Arc<str>> = models.iter().map(|model| Arc::clone(&model.name)).collect();
        models.extend(prices.of_kind(kind).filter(|model| !known.contains(&model.name)));
    }
    Some(models)
}

type Lacks = Vec<(Arc<str>, Capability)>;

fn models(list: Option<&toml::Value>, kind: &str, prices: &Prices) -> Result<(Vec<ModelInfo>, Lacks), String> {
    let (mut models, mut lacks, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    let items = match list {
        None => &[][..],
        Some(list) => list.as_array().ok_or(".models: must be a list of tables: [[providers.models]]")?,
    };
    for (at, item) in items.iter().enumerate() {
        let (model, missing) = model(item, kind, prices).map_err(|problem| format!(".models[{at}]{problem}"))?;
        for name in model.aliases.iter().map(String::as_str).chain([&*model.name]) {
            if !names.insert(name.to_owned()) {
                return Err(format!(".models[{at}]: `{name}` is named twice"));
            }
        }
        lacks.extend(missing.into_iter().map(|lack| (Arc::clone(&model.name), lack)));
        models.push(model);
    }
    Ok((models, lacks))
}

fn model(item: &toml::Value, kind: &str, prices: &Prices) -> Result<(ModelInfo, Vec<Capability>), String> {
    let own: Model = typed(item.as_table().cloned().ok_or(": must be a table")?)?;
    let is_name = |name: &str| !name.is_empty() && !name.chars().any(char::is_control);
    if !is_name(&own.name) || !own.aliases.iter().all(|alias| is_name(alias)) {
        return Err(".name: it and the aliases must not be empty or have control characters".to_owned());
    }
    let known = prices.model(kind, &own.name);
    let price = match (own.input_usd_per_million, own.output_usd_per_million) {
        (Some(input), Some(output)) => Some(Price {
            input: nano(input, "input_usd_per_million")?,
            cached_input: nano(own.cached_input_usd_per_million.unwrap_or(input), "cached_input_usd_per_million")?,
            output: nano(output, "output_usd_per_million")?,
        }),
        (None, None) if own.cached_input_usd_per_million.is_none() => known.price,
        _ => return Err(": input_usd_per_million and output_usd_per_million belong together".to_owned()),
    };
    let lack = |word: &String| {
        let known = Capability::ALL.iter().find(|(_, known)| known == word).map(|(lack, _)| *lack);
        known.ok_or_else(|| ".lacks: must be some of images, json_schema".to_owned())
    };
    let lacks = own.lacks.iter().map(lack).collect::<Result<_, _>>()?;
    let quota = quota((own.requests_per_minute, own.tokens_per_minute), (own.concurrency, own.usd_per_day))?;
    let context_window = limit(own.context_window, "context_window")?.or(known.context_window);
    Ok((ModelInfo { name: own.name, aliases: own.aliases, context_window, price, quota }, lacks))
}

fn typed<T: serde::de::DeserializeOwned>(table: toml::Table) -> Result<T, String> {
    toml::Value::Table(table).try_into().map_err(|error: toml::de::Error| format!(": {}", error.message()))
}

fn quota(
    (requests, tokens): (Option<u64>, Option<u64>),
    (concurrency, usd): (Option<u64>, Option<f64>),
) -> Result<Quota, String> {
    Ok(Quota {
        requests_per_minute: limit(requests, "requests_per_minute")?,
        tokens_per_minute: limit(tokens, "tokens_per_minute")?,
        concurrency: limit(concurrency, "concurrency")?,
        nano_usd_per_day: usd.map(|usd| nano(usd, "usd_per_day")).transpose()?,
    })
}

/// A limit of 0 would be no limit to some and a closed door to others.
fn limit(value: Option<u64>, name: &str) -> Result<Option<u64>, String> {
    match value {
        Some(number) if !(1..=MOST).contains(&number) => Err(format!(".{name}: must be from 1 to {MOST}")),
        other => Ok(other),
    }
}

/// US dollars in billionths, up to a million dollars.
fn nano(usd: f64, name: &str) -> Result<u64, String> {
    if !(0.0..=1e6).contains(&usd) {
        return Err(format!(".{name}: must be from 0 to 1000000"));
    }
    Ok((usd * 1e9).round() as u64)
}

fn secret(key: Option<&toml::Value>, file: Option<&str>) -> Result<Option<SecretString>, String> {
    let key = match key {
        Some(toml::Value::String(key)) => Some(key.as_str()).filter(|key| !key.is_empty()),
        Some(_) => return Err("must be a text".to_owned()),
        None => None,
    };
    match (key, file) {
        (Some(_), Some(_)) => Err("and api_key_file are both set; set one of them".to_owned()),
        (Some(key), None) => Ok(Some(key.into())),
        (None, Some(file)) => super::read_secret(Path::new(file)).map(|key| Some(key.into())),
        (None, None) => Ok(None),
    }
}
