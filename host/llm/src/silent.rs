//! Which servers of configured models answer nobody right now. Each gets one look, all side by side and over within two seconds. No key is
//! shown to anyone, nothing is asked of a model, and nothing is paid.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use reqwest::redirect;
use serde_json::Value;

use crate::config::{Kind, ModelLine, ModelsConfig, ProviderLine};

/// Whoever has said nothing by then keeps an agent waiting.
const LOOK_MAX: Duration = Duration::from_millis(1_800);

/// A longer list of models is not looked through.
const LIST_MAX_BYTES: usize = 1024 * 1024;

/// What a look at a server found.
enum Found {
    /// It answers; the models that it says it has, if it says.
    Answers(Option<Vec<String>>),
    /// It does not: why, in words.
    Silent(String),
}

/// Of those models that `asked` is true for: whose server does not answer, or answers and has not got them. By alias, each with a hint.
pub async fn silent(config: &ModelsConfig, asked: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let models: Vec<&ModelLine> = config.models.iter().filter(|model| asked(&model.alias)).collect();
    let servers: BTreeMap<&str, &ProviderLine> =
        models.iter().map(|model| (model.provider.base_url.as_str(), &model.provider)).collect();
    let looks = servers.into_iter().map(async |(url, provider)| (url, look(provider).await));
    let found: BTreeMap<&str, Found> = join_all(looks).await.into_iter().collect();
    let told = models.into_iter().filter_map(|model| {
        let what = match found.get(model.provider.base_url.as_str())? {
            Found::Silent(why) => down(&model.provider, why),
            Found::Answers(Some(has)) if !has_model(has, &model.model) => lacks(model, has),
            Found::Answers(_) => return None,
        };
        Some((model.alias.clone(), what))
    });
    told.collect()
}

async fn look(provider: &ProviderLine) -> Found {
    match tokio::time::timeout(LOOK_MAX, ask(provider)).await {
        Ok(Ok(has)) => Found::Answers(has),
        Ok(Err(why)) => Found::Silent(why),
        Err(_) => Found::Silent(format!("has said nothing for {:.1} s", LOOK_MAX.as_secs_f64())),
    }
}

/// Whatever it answers, it answers. Ollama alone says what it has in names that are the ones to ask for.
async fn ask(provider: &ProviderLine) -> Result<Option<Vec<String>>, String> {
    let client = reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none()).build();
    let client = client.map_err(|error| innermost(&error))?;
    let path = match provider.kind {
        Kind::Ollama => "/api/tags",
        Kind::OpenAi | Kind::OpenAiCompatible | Kind::OpenAiResponses | Kind::Gemini => "/models",
        Kind::Azure | Kind::Anthropic | Kind::Vertex | Kind::Bedrock => "",
    };
    let asked = client.get(format!("{}{path}", provider.base_url)).send().await;
    let mut response = asked.map_err(|error| innermost(&error))?;
    if provider.kind != Kind::Ollama || !response.status().is_success() {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > LIST_MAX_BYTES {
            return Ok(None);
        }
    }
    let list: Value = serde_json::from_slice(&body).unwrap_or_default();
    let names = |models: &Vec<Value>| {
        models.iter().filter_map(|model| model.get("name")?.as_str()).map(str::to_owned).collect::<Vec<_>>()
    };
    Ok(list.get("models").and_then(Value::as_array).map(names))
}

/// The system's own words; what stands around them repeats the address.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or_default().to_lowercase();
    if error.is_connect() { format!("cannot be reached: {text}") } else { format!("is no server of a model: {text}") }
}

/// Names have a version behind a colon, `latest` where none is said.
fn has_model(has: &[String], wanted: &str) -> bool {
    has.iter().any(|name| name == wanted || name.strip_suffix(":latest") == Some(wanted))
}

fn down(provider: &ProviderLine, why: &str) -> String {
    let ProviderLine { name, base_url, kind, loopback, .. } = provider;
    let correct = format!("correct `base_url` below [providers.{name}] in agentry.toml");
    let hint = match (kind, loopback) {
        (Kind::Ollama, true) => format!("start it, `ollama serve`, or {correct}"),
        (_, true) => format!("start the server, or {correct}"),
        (_, false) => format!("see that this machine is online, or {correct}"),
    };
    format!("{base_url} {why}\nhint: {hint}")
}

fn lacks(model: &ModelLine, has: &[String]) -> String {
    let ModelLine { alias, model, provider, .. } = model;
    let listed = match has {
        [] => "it has none yet".to_owned(),
        has => format!("it has {}", has.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(", ")),
    };
    format!(
        "{} has no model `{model}`: {listed}\nhint: get it, `ollama pull {model}`, or correct `model` below [models.{alias}] in agentry.toml",
        provider.base_url
    )
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::fixtures::{Server, Step, parsed, status};
    use super::*;

    fn config(servers: &[(&str, &str, &str)]) -> ModelsConfig {
        let lines = servers.iter().map(|(name, kind, url)| {
            format!(
                "[providers.{name}]\nkind = \"{kind}\"\nbase_url = \"{url}\"\n[models.{name}]\nprovider = \"{name}\"\nmodel = \"qwen3\"\n"
            )
        });
        parsed(&lines.collect::<String>())
    }

    #[tokio::test]
    async fn servers_that_answer_nobody_are_told_at_once_with_a_remedy() {
        let not_found = || Step::Send(status("404 Not Found", "connection: close\r\n", "{}"));
        let list = r#"{"models":[{"name":"gemma3:latest"}]}"#;
        let ollama = Server::start(vec![Step::Send(status("200 OK", "connection: close\r\n", list))]).await;
        let (good, hangs, also) = (
            Server::start(vec![not_found()]).await,
            Server::start(vec![Step::Hang]).await,
            Server::start(vec![Step::Hang]).await,
        );
        let config = config(&[
            ("good", "openai-compatible", &good.url),
            ("hangs", "openai-compatible", &hangs.url),
            ("hangs-too", "anthropic", &also.url),
            ("ollama", "ollama", &ollama.url),
            ("down", "ollama", "http://127.0.0.1:1"),
            ("unasked", "openai-compatible", "http://127.0.0.1:2/v1"),
        ]);
        let began = Instant::now();
        let found = silent(&config, |alias| alias != "unasked").await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(found.keys().collect::<Vec<_>>(), ["down", "hangs", "hangs-too", "ollama"]);
        assert!(found["hangs"].contains("has said nothing for 1.8 s\nhint: start the server, or correct `base_url`"));
        assert!(found["down"].contains("connection refused\nhint: start it, `ollama serve`"), "{}", found["down"]);
        assert!(
            found["ollama"].contains("has no model `qwen3`: it has gemma3:latest\nhint: get it, `ollama pull qwen3`")
        );
        assert!(good.requests.lock()[0].starts_with("GET /models "));
        assert!(has_model(&["qwen3:latest".to_owned()], "qwen3") && !has_model(&["qwen3:8b".to_owned()], "qwen3"));
    }
}
