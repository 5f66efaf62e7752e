//! The providers of language models: those of the environment by their usual names, then those of the
//! settings file.

use std::time::Duration;

use secrecy::SecretString;

use super::catalogue as c;
use super::layers::Resolved;
use super::prices::Prices;
use super::providers::{KINDS, with_default};
use super::{Problem, Setting};
use crate::domain::ProviderName;
use crate::domain::llm::{ProviderInfo, Quota};
use crate::executors::llm::{Balancing, ProviderOptions};

/// Providers of language models, and how calls are spread over them.
#[derive(Clone, Debug)]
pub struct LlmConfig {
    /// At least one; the first is the default one unless another is named.
    pub providers: Vec<ProviderOptions>,
    /// The one that is named as the default.
    pub default_provider: Option<ProviderName>,
    /// Whether a call that a provider cannot carry out may go to another.
    pub fallback: bool,
    /// Which provider a job begins with.
    pub balancing: Balancing,
    /// Output tokens of jobs that do not say.
    pub max_output_tokens: u32,
    /// Run deadline of an attempt of a job that names none.
    pub timeout: Duration,
    /// Limits of a workspace that has none of its own.
    pub workspace: Quota,
    /// The day of the compiled-in prices.
    pub prices: String,
}

impl LlmConfig {
    /// The providers without addresses and keys: what the API may show.
    #[must_use]
    pub fn infos(&self) -> Vec<ProviderInfo> {
        self.providers.iter().map(|provider| provider.info.clone()).collect()
    }

    /// `None` when no provider is configured. `listed` are those of the settings file.
    pub(super) fn of(r: &Resolved) -> Result<Option<Self>, Vec<Problem>> {
        let prices = Prices::compiled_in().map_err(|problem| vec![problem])?;
        let mut providers = usual(r, &prices).map_err(|e| vec![Problem::plain(e.to_string())])?;
        providers.extend(r.providers(&prices)?);
        let mut problems = Vec::new();
        for (at, own) in providers.iter().enumerate() {
            let name = &own.info.name;
            if providers[..at].iter().any(|other| other.info.name == *name) {
                problems.push(Problem::plain(format!("two providers are named `{name}`")));
            }
        }
        let default_provider = default_provider(r, &providers).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let word = r.text(&c::LLM_LOAD_BALANCING).unwrap_or_default();
        let balancing = Balancing::ALL.iter().find(|(_, known)| *known == word).map(|(policy, _)| *policy);
        Ok((!providers.is_empty()).then(|| Self {
            providers,
            default_provider,
            fallback: r.flag(&c::LLM_ENABLE_FALLBACK),
            balancing: balancing.unwrap_or_default(),
            max_output_tokens: r.number(&c::AI_MAX_OUTPUT_TOKENS),
            timeout: r.seconds(&c::LLM_TIMEOUT_SECONDS),
            workspace: workspace(r),
            prices: prices.version().to_owned(),
        }))
    }
}

fn default_provider(r: &Resolved, providers: &[ProviderOptions]) -> Result<Option<ProviderName>, Problem> {
    let Some(name) = r.text(&c::LLM_DEFAULT_PROVIDER).filter(|_| !providers.is_empty()) else { return Ok(None) };
    if let Some(found) = providers.iter().find(|p| p.info.name.as_str() == name) {
        return Ok(Some(found.info.name.clone()));
    }
    let names: Vec<&str> = providers.iter().map(|p| p.info.name.as_str()).collect();
    let message =
        format!("`{}` is not configured; the providers are {}", crate::domain::clip_text(&name, 64), names.join(", "));
    Err(Problem::of(&c::LLM_DEFAULT_PROVIDER, r.origin(&c::LLM_DEFAULT_PROVIDER), message))
}

/// The providers that settings of their own name: a server of one's own first, as it always won.
fn usual(r: &Resolved, prices: &Prices) -> Result<Vec<ProviderOptions>, crate::domain::NameError> {
    let text = |setting: &Setting| r.text(setting);
    let mut found = Vec::new();
    let mut add = |name: &str, kind, base_url: Option<String>, api_key: Option<SecretString>, model: Option<String>| {
        let (kind, address) = KINDS.iter().find(|(known, _)| *known == kind).copied().unwrap_or_default();
        let model = model.or_else(|| text(&c::AI_MODEL)).unwrap_or_default();
        let info = ProviderInfo {
            name: ProviderName::new(name)?,
            kind,
            models: with_default(Vec::new(), Some(&model), (kind, true), prices).unwrap_or_default(),
            open_models: true,
            quota: Quota::default(),
        };
        let base_url = base_url.unwrap_or_else(|| address.to_owned());
        found.push(ProviderOptions { info, base_url, api_key, lacks: Vec::new() });
        Ok(())
    };
    if let Some(url) = text(&c::LLM_URL) {
        add("local", "compatible", Some(url), r.secret(&c::LLM_API_KEY), text(&c::LLM_MODEL))?;
    }
    let (key, url) = (r.secret(&c::OPENAI_API_KEY), text(&c::OPENAI_BASE_URL));
    if r.flag(&c::OPENAI_ENABLED) && (key.is_some() || url.is_some()) {
        add("openai", "openai", url, key, text(&c::OPENAI_DEFAULT_MODEL))?;
    }
    if let Some(key) = r.secret(&c::GROK_API_KEY).filter(|_| r.flag(&c::GROK_ENABLED)) {
        add("grok", "grok", text(&c::GROK_BASE_URL), Some(key), text(&c::GROK_DEFAULT_MODEL))?;
    }
    if r.flag(&c::OLLAMA_ENABLED) {
        add("ollama", "ollama", ollama_host(r), None, text(&c::OLLAMA_DEFAULT_MODEL))?;
    }
    Ok(found)
}

/// Ollama itself takes an address without a scheme.
pub(super) fn ollama_host(r: &Resolved) -> Option<String> {
    let host = r.text(&c::OLLAMA_HOST)?;
    Some(if host.contains("://") { host } else { format!("http://{host}") })
}

/// 0 is no limit.
fn workspace(r: &Resolved) -> Quota {
    let limit = |setting: &Setting| Some(r.integer(setting)).filter(|limit| *limit > 0);
    Quota {
        requests_per_minute: limit(&c::LLM_WORKSPACE_REQUESTS_PER_MINUTE),
        tokens_per_minute: limit(&c::LLM_WORKSPACE_TOKENS_PER_MINUTE),
        concurrency: limit(&c::LLM_WORKSPACE_CONCURRENCY),
        nano_usd_per_day: Some(r.nano_usd(&c::LLM_WORKSPACE_USD_PER_DAY)).filter(|usd| *usd > 0),
    }
}

#[cfg(test)]
mod tests;
