//! Models that a person has already and has not configured: keys in the environment, servers on this machine. It looks, reads no key, and
//! asks nobody elsewhere.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::redirect;
use serde_json::Value;

use crate::config::ModelsConfig;

/// A server on this machine answers sooner, or not at all.
const LOOK_MAX: Duration = Duration::from_millis(400);

/// A longer list of models is none.
const LIST_MAX_BYTES: u64 = 1024 * 1024;

/// Something that could be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noticed {
    /// What it is, for people: `OPENAI_API_KEY is set`.
    pub what: String,
    /// A model of it in short: `openai=MODEL`, as [`lines_of`] reads it.
    pub model: String,
    /// The lines of `agentry.toml` that make a model of it.
    pub lines: String,
}

struct ByKey {
    variable: &'static str,
    provider: &'static str,
    kind: &'static str,
    base_url: Option<&'static str>,
    model: &'static str,
}

/// Keys under the names that the providers' own tools have for them, and a model of each that the shipped lists know.
const BY_KEY: [ByKey; 8] = [
    ByKey {
        variable: "OPENAI_API_KEY",
        provider: "openai",
        kind: "openai-responses",
        base_url: None,
        model: "gpt-5.4-mini",
    },
    ByKey {
        variable: "ANTHROPIC_API_KEY",
        provider: "anthropic",
        kind: "anthropic",
        base_url: None,
        model: "claude-haiku-4-5",
    },
    ByKey { variable: "GEMINI_API_KEY", provider: "google", kind: "gemini", base_url: None, model: "gemini-3.5-flash" },
    ByKey {
        variable: "MISTRAL_API_KEY",
        provider: "mistral",
        kind: "openai-compatible",
        base_url: Some("https://api.mistral.ai/v1"),
        model: "mistral-small-latest",
    },
    ByKey {
        variable: "GROQ_API_KEY",
        provider: "groq",
        kind: "openai-compatible",
        base_url: Some("https://api.groq.com/openai/v1"),
        model: "openai/gpt-oss-20b",
    },
    ByKey {
        variable: "DEEPSEEK_API_KEY",
        provider: "deepseek",
        kind: "openai-compatible",
        base_url: Some("https://api.deepseek.com"),
        model: "deepseek-v4-flash",
    },
    ByKey {
        variable: "XAI_API_KEY",
        provider: "xai",
        kind: "openai-compatible",
        base_url: Some("https://api.x.ai/v1"),
        model: "grok-4.3",
    },
    ByKey {
        variable: "OPENROUTER_API_KEY",
        provider: "openrouter",
        kind: "openai-compatible",
        base_url: Some("https://openrouter.ai/api/v1"),
        model: "openai/gpt-oss-20b",
    },
];

/// A server that people run on their own machine, where it listens by default.
struct ByPort {
    name: &'static str,
    provider: &'static str,
    kind: &'static str,
    /// Where its interface begins.
    path: &'static str,
    port: u16,
}

const BY_PORT: [ByPort; 3] = [
    ByPort { name: "Ollama", provider: "ollama", kind: "ollama", path: "", port: 11434 },
    ByPort { name: "llama.cpp", provider: "llama", kind: "openai-compatible", path: "/v1", port: 8080 },
    ByPort { name: "LM Studio", provider: "lmstudio", kind: "openai-compatible", path: "/v1", port: 1234 },
];

/// What there is beside what `config` has. `set` says whether a variable of the environment has a value.
pub async fn nearby(config: &ModelsConfig, set: impl Fn(&str) -> bool) -> Vec<Noticed> {
    let mut noticed: Vec<Noticed> =
        BY_KEY.iter().filter(|key| set(key.variable) && !config.uses_key(key.variable)).map(by_key).collect();
    for server in &BY_PORT {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port));
        if config.uses_port(server.port) {
            continue;
        }
        if let Some(models) = models_at(address).await {
            noticed.push(by_port(server, &models));
        }
    }
    noticed
}

/// Names of providers that [`lines_of`] knows.
pub fn known() -> impl Iterator<Item = &'static str> {
    BY_KEY.iter().map(|key| key.provider).chain(BY_PORT.iter().map(|server| server.provider))
}

/// The lines of `agentry.toml` that make a model of a provider's, where it is at home or listens by default; none of an unknown provider's.
/// `model` goes into TOML as it stands, as a text.
pub fn lines_of(provider: &str, model: &str) -> Option<String> {
    let key = BY_KEY.iter().find(|key| key.provider == provider).map(|key| key.lines(model));
    key.or_else(|| BY_PORT.iter().find(|server| server.provider == provider).map(|server| server.lines(model)))
}

impl ByKey {
    fn lines(&self, model: &str) -> String {
        let Self { variable, provider, kind, base_url, .. } = self;
        let base_url = base_url.map(|url| format!("base_url = \"{url}\"\n")).unwrap_or_default();
        format!(
            "[providers.{provider}]\nkind = \"{kind}\"\n{base_url}key = {{ env = \"{variable}\" }}\n\n\
             [models.{provider}]\nprovider = \"{provider}\"\nmodel = {model:?}\n"
        )
    }
}

impl ByPort {
    fn lines(&self, model: &str) -> String {
        let Self { provider, kind, path, port, .. } = self;
        format!(
            "[providers.{provider}]\nkind = \"{kind}\"\nbase_url = \"http://127.0.0.1:{port}{path}\"\n\n\
             [models.{provider}]\nprovider = \"{provider}\"\nmodel = {model:?}\nlocal = true\n"
        )
    }
}

fn by_key(key: &ByKey) -> Noticed {
    let ByKey { variable, provider, model, .. } = key;
    Noticed { what: format!("{variable} is set"), model: format!("{provider}={model}"), lines: key.lines(model) }
}

fn by_port(server: &ByPort, models: &[String]) -> Noticed {
    let ByPort { name, provider, port, .. } = server;
    let model = models.first().map_or("NAME", String::as_str);
    let has = match models {
        [] => ", without a model yet".to_owned(),
        [one] => format!(" with `{one}`"),
        [one, more @ ..] => format!(" with `{one}` and {} more", more.len()),
    };
    let what = format!("{name} answers at 127.0.0.1:{port}{has}");
    Noticed { what, model: format!("{provider}={model}"), lines: server.lines(model) }
}

/// The models of a server that speaks as OpenAI does; none if nothing is there, or something else.
async fn models_at(address: SocketAddr) -> Option<Vec<String>> {
    let client =
        reqwest::Client::builder().no_proxy().timeout(LOOK_MAX).redirect(redirect::Policy::none()).build().ok()?;
    let response = client.get(format!("http://{address}/v1/models")).send().await.ok()?;
    if !response.status().is_success() || response.content_length().is_some_and(|bytes| bytes > LIST_MAX_BYTES) {
        return None;
    }
    let mut body = Vec::new();
    let mut response = response;
    while let Some(chunk) = response.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() as u64 > LIST_MAX_BYTES {
            return None;
        }
    }
    let list: Value = serde_json::from_slice(&body).ok()?;
    let names = list.get("data")?.as_array().map(|models| {
        let names = models.iter().filter_map(|model| model.get("id")?.as_str());
        // It goes into a file that is read as TOML.
        let plain = |name: &&str| {
            name.len() <= 128 && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        };
        names.filter(plain).take(64).map(str::to_owned).collect()
    });
    Some(names.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Server, Step, parsed, status};
    use super::*;
    use crate::prices::listed;

    #[test]
    fn the_lines_for_each_key_are_a_configuration_with_a_price() {
        for key in &BY_KEY {
            let noticed = by_key(key);
            let (provider, model) = noticed.model.split_once('=').expect("a provider and its model");
            assert_eq!(lines_of(provider, model).as_ref(), Some(&noticed.lines));
            let config = parsed(&noticed.lines);
            assert_eq!(config.default, key.provider);
            assert!(config.uses_key(key.variable));
            assert!(key.provider == "openrouter" || listed(key.provider, key.model).is_some(), "{}", key.model);
        }
    }

    #[test]
    fn the_lines_for_a_server_are_a_configuration() {
        let noticed = by_port(&BY_PORT[0], &["qwen3:8b".to_owned(), "gemma3".to_owned()]);
        assert_eq!(noticed.what, "Ollama answers at 127.0.0.1:11434 with `qwen3:8b` and 1 more");
        let config = parsed(&noticed.lines);
        assert!(config.uses_port(11434) && !config.uses_port(8080));
    }

    #[tokio::test]
    async fn a_server_is_asked_for_its_models_and_what_is_none_is_passed_over() {
        let body = r#"{"object":"list","data":[{"id":"qwen3:8b"},{"id":"a\"b"},{"id":7}]}"#;
        let server = Server::start(vec![Step::Send(status("200 OK", "connection: close\r\n", body))]).await;
        let address = server.url.trim_start_matches("http://").parse().unwrap();
        assert_eq!(models_at(address).await, Some(vec!["qwen3:8b".to_owned()]));
        assert!(server.requests.lock()[0].starts_with("GET /v1/models "));
        let other = Server::start(vec![Step::Send(status("200 OK", "connection: close\r\n", "<html>"))]).await;
        assert_eq!(models_at(other.url.trim_start_matches("http://").parse().unwrap()).await, None);
        let silent = Server::start(vec![Step::Hang]).await;
        assert_eq!(models_at(silent.url.trim_start_matches("http://").parse().unwrap()).await, None);
    }
}
