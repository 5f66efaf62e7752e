//! Which providers settings make, in which order, and what is refused.

use std::path::Path;

use secrecy::ExposeSecret;

use crate::config::{Config, ConfigError, Environment, LlmConfig, Overrides};
use crate::domain::llm::{Price, Quota};
use crate::executors::llm::{Balancing, Capability};

fn load(file: &str, pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment: Environment = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Config::from_layers(Some((Path::new("w.toml"), file)), &environment, &Overrides::default())
}

fn llm(file: &str, pairs: &[(&str, &str)]) -> LlmConfig {
    load(file, pairs).unwrap().llm.unwrap()
}

fn shown(llm: &LlmConfig) -> Vec<String> {
    let show = |p: &crate::executors::llm::ProviderOptions| {
        let key = p.api_key.as_ref().map_or("-", |key| key.expose_secret());
        format!("{} {} {key} {}", p.info.name, p.base_url, p.info.models[0].name)
    };
    llm.providers.iter().map(show).collect()
}

#[test]
fn the_usual_names_make_the_usual_providers() {
    assert_eq!(shown(&llm("", &[("OPENAI_API_KEY", "k")])), ["openai https://api.openai.com/v1 k gpt-4o-mini"]);
    assert_eq!(shown(&llm("", &[("LLM_URL", "http://h"), ("LLM_MODEL", "m")])), ["local http://h - m"]);
    assert_eq!(shown(&llm("", &[("LLM_URL", "http://h")])), ["local http://h - gpt-4o-mini"]);
    let all = [
        ("OPENAI_API_KEY", "k"),
        ("OPENAI_DEFAULT_MODEL", "n"),
        ("GROK_API_KEY", "g"),
        ("OLLAMA_ENABLED", "true"),
        ("OLLAMA_DEFAULT_MODEL", "llama2"),
        ("LLM_URL", "http://h"),
        ("AI_MODEL", "usual"),
    ];
    let wanted = [
        "local http://h - usual",
        "openai https://api.openai.com/v1 k n",
        "grok https://api.x.ai/v1 g grok-4.3",
        "ollama http://127.0.0.1:11434 - llama2",
    ];
    assert_eq!(shown(&llm("", &all)), wanted);
    let ollama = [("OLLAMA_ENABLED", "1"), ("OLLAMA_HOST", "box:11434")];
    assert_eq!(shown(&llm("", &ollama)), ["ollama http://box:11434 - llama3.2"]);
    assert!(load("", &[("OLLAMA_HOST", ":::")]).is_ok(), "set for Ollama itself");
    assert!(load("", &[("OLLAMA_ENABLED", "1"), ("OLLAMA_HOST", ":::")]).is_err());
    assert!(load("", &[("LLM_WORKSPACE_USD_PER_DAY", "NaN")]).is_err());
    let off = [("OPENAI_API_KEY", "k"), ("OPENAI_ENABLED", "false"), ("GROK_API_KEY", "g"), ("GROK_ENABLED", "0")];
    assert!(load("", &off).unwrap().llm.is_none());
}

#[test]
fn routing_is_set_by_name() {
    let plain = llm("", &[("LLM_URL", "http://h")]);
    assert_eq!((plain.balancing, plain.fallback, plain.default_provider), (Balancing::Default, true, None));
    assert_eq!((plain.workspace, plain.timeout.as_secs()), (Quota::default(), 60));
    let set = llm(
        "",
        &[
            ("LLM_URL", "http://h"),
            ("OPENAI_API_KEY", "k"),
            ("LLM_DEFAULT_PROVIDER", "openai"),
            ("LLM_LOAD_BALANCING", "round-robin"),
            ("LLM_ENABLE_FALLBACK", "false"),
            ("LLM_WORKSPACE_REQUESTS_PER_MINUTE", "60"),
            ("LLM_WORKSPACE_USD_PER_DAY", "2.5"),
        ],
    );
    assert_eq!((set.balancing, set.fallback), (Balancing::RoundRobin, false));
    assert_eq!(set.default_provider.unwrap().as_str(), "openai");
    let quota = Quota { requests_per_minute: Some(60), nano_usd_per_day: Some(2_500_000_000), ..Quota::default() };
    assert_eq!(set.workspace, quota);
    let unknown = load("", &[("LLM_URL", "http://h"), ("LLM_DEFAULT_PROVIDER", "openai")]).unwrap_err();
    assert!(unknown.to_string().contains("`openai` is not configured; the providers are local"), "{unknown}");
}

const FARM: &str = r#"
[[providers]]
name = "farm"
kind = "compatible"
base_url = "http://10.0.0.7:8000/v1"
api_key = "sk-canary-farm"
default_model = "qwen"
requests_per_minute = 600
usd_per_day = 0.5

[[providers.models]]
name = "small"
aliases = ["tiny"]

[[providers.models]]
name = "qwen2.5"
aliases = ["qwen"]
context_window = 32768
input_usd_per_million = 0.2
output_usd_per_million = 0.6
lacks = ["images"]
concurrency = 3

[[providers]]
name = "second"
kind = "openai"
default_model = "gpt-4o-mini"
"#;

#[test]
fn the_file_has_any_number_of_providers() {
    let llm = llm(FARM, &[("LLM_URL", "http://h")]);
    assert_eq!(
        shown(&llm)[1..],
        ["farm http://10.0.0.7:8000/v1 sk-canary-farm qwen2.5", "second https://api.openai.com/v1 - gpt-4o-mini"]
    );
    let (farm, second) = (&llm.providers[1], &llm.providers[2]);
    let model = &farm.info.models[0];
    assert_eq!(model.price, Some(Price { input: 200_000_000, cached_input: 200_000_000, output: 600_000_000 }));
    assert_eq!((model.context_window, model.quota.concurrency), (Some(32_768), Some(3)));
    assert_eq!(farm.info.quota.nano_usd_per_day, Some(500_000_000));
    assert_eq!(farm.lacks, [("qwen2.5".into(), Capability::Images)]);
    assert!(!farm.info.open_models && second.info.open_models);
    assert_eq!(second.info.models[0].price.map(|p| p.input), Some(150_000_000), "from the table");
    assert!(second.info.models.iter().any(|m| &*m.name == "gpt-4o"), "an open provider knows its maker's models");
    assert_eq!(llm.infos()[1], farm.info);
}

#[test]
fn a_key_of_the_file_is_never_shown() {
    let config = load(FARM, &[]).unwrap();
    let rows = config.provider_rows();
    assert_eq!((rows.len(), rows[0].0.as_str()), (2, "providers.farm"));
    assert!(rows[0].1.contains("key set") && rows[1].1.contains("no key"), "{rows:?}");
    assert!(!format!("{rows:?} {config:?}").contains("canary"));
    let wrong = FARM.replace("\"sk-canary-farm\"", "[\"sk-canary-farm\"]");
    let error = load(&wrong, &[]).unwrap_err().to_string();
    assert!(error.contains("w.toml: providers[0].api_key: must be a text") && !error.contains("canary"), "{error}");
}

#[test]
fn a_key_may_come_from_a_file_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "sk-filed\n").unwrap();
    let filed = format!("api_key_file = {:?}", path.to_str().unwrap());
    let text = FARM.replace("api_key = \"sk-canary-farm\"", &filed);
    assert_eq!(llm(&text, &[]).providers[0].api_key.as_ref().unwrap().expose_secret(), "sk-filed");
    let both = FARM.replace("api_key = \"sk", &format!("{filed}\napi_key = \"sk"));
    assert!(load(&both, &[]).unwrap_err().to_string().contains("both set"));
}

#[test]
fn mistakes_in_the_list_are_named_with_their_place() {
    let one = |line: &str| format!("[[providers]]\nname = \"a\"\nkind = \"openai\"\ndefault_model = \"m\"\n{line}");
    let model = |line: &str| one(&format!("[[providers.models]]\nname = \"m\"\n{line}"));
    for (text, wanted) in [
        (one("adress = 1"), "providers[0]: unknown field `adress`"),
        (one("base_url = \"localhost\""), "providers[0].base_url: must be an http"),
        (one("concurrency = 0"), "providers[0].concurrency: must be from 1"),
        (one("usd_per_day = -1"), "providers[0].usd_per_day: must be from 0"),
        (one("").replace("\"a\"", "\"A b\""), "providers[0].name: must match"),
        (one("").replace("openai", "bedrock"), "providers[0].kind: must be one of openai, grok"),
        (one("").replace("default_model = \"m\"", ""), "providers[0].default_model: is needed"),
        (one("").replace("openai", "compatible"), "providers[0].base_url"),
        (model("prize = 1"), "providers[0].models[0]: unknown field `prize`"),
        (model("input_usd_per_million = 1"), "belong together"),
        (model("lacks = [\"soul\"]"), "providers[0].models[0].lacks"),
        (model("[[providers.models]]\nname = \"b\"\naliases = [\"m\"]"), "models[1]: `m` is named twice"),
        (format!("{}{}", one(""), one("")), "two providers are named `a`"),
        ("providers = 1".to_owned(), "must be a list of tables"),
    ] {
        let error = load(&text, &[]).map(drop).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}\n{text}");
    }
}
