//! From a line of the configuration to what answers: the words of an interface, where it is asked, and how it is shown the key. It makes no
//! connection.

use std::sync::Arc;

use super::Provider;
use super::anthropic::{Anthropic, VERSION};
use super::bedrock::{self, Bedrock};
use super::embeddings::{Embeddings, Form};
use super::gemini::Gemini;
use super::http::{Endpoint, Patience};
use super::ollama::Ollama;
use super::openai::OpenAi;
use super::remote::Remote;
use super::responses::Responses;
use super::target::Target;
use agentry_config::secret::LiveKey;

use crate::config::{Kind, ModelLine, ProviderLine};

/// What answers: the words of its interface, where it is asked, and how it is shown the key.
pub(super) fn provider(line: &ModelLine, target: Target, key: Option<Arc<LiveKey>>) -> Arc<dyn Provider> {
    let ProviderLine { kind, base_url, connect, idle, .. } = &line.provider;
    let patience = Patience { connect: *connect, idle: *idle };
    let model = path_segment(&line.model);
    let endpoint = |path: &str, header: &'static str, before: &'static str| {
        let endpoint = Endpoint::new(base_url, path, patience, &line.model).with_key(header, before, key.clone());
        let endpoint = match kind {
            Kind::Anthropic => endpoint.with_header("anthropic-version", VERSION),
            _ => endpoint,
        };
        line.adjust.headers.iter().fold(endpoint, |endpoint, (name, value)| endpoint.with_header(name, value))
    };
    let bearer = |path: &str| endpoint(path, "authorization", "Bearer ");
    match kind {
        Kind::OpenAi | Kind::OpenAiCompatible => {
            let vectors = Embeddings::new(bearer("/embeddings"), Form::OpenAi, &line.model);
            Remote::new(bearer("/chat/completions"), OpenAi { target }).with_embeddings(vectors).shared()
        }
        Kind::OpenAiResponses => {
            let vectors = Embeddings::new(bearer("/embeddings"), Form::OpenAi, &line.model);
            Remote::new(bearer("/responses"), Responses { target }).with_embeddings(vectors).shared()
        }
        Kind::Azure => {
            let azure = |call: &str| endpoint(&azure_path(line, call), "api-key", "");
            let vectors = Embeddings::new(azure("/embeddings"), Form::OpenAi, &line.model);
            Remote::new(azure("/chat/completions"), OpenAi { target }).with_embeddings(vectors).shared()
        }
        Kind::Anthropic => {
            // The address is given with or without the version, as other tools have it.
            let path = if base_url.ends_with("/v1") { "/messages" } else { "/v1/messages" };
            Remote::new(endpoint(path, "x-api-key", ""), Anthropic { target }).shared()
        }
        Kind::Gemini => {
            let path = format!("/models/{model}");
            let vectors = endpoint(&format!("{path}:batchEmbedContents"), "x-goog-api-key", "");
            let vectors = Embeddings::new(vectors, Form::Gemini, &line.model);
            let endpoint = endpoint(&format!("{path}:streamGenerateContent?alt=sse"), "x-goog-api-key", "");
            Remote::new(endpoint, Gemini { target }).with_embeddings(vectors).shared()
        }
        Kind::Vertex => {
            Remote::new(bearer(&format!("/models/{model}:streamGenerateContent?alt=sse")), Gemini { target }).shared()
        }
        Kind::Ollama => {
            let vectors = Embeddings::new(bearer("/api/embed"), Form::Ollama, &line.model);
            let dialect = Ollama { target, context_tokens: line.context_tokens };
            Remote::new(bearer("/api/chat"), dialect).with_embeddings(vectors).shared()
        }
        Kind::Bedrock => {
            // The key signs: it is never sent itself, unless it is one that is shown.
            let endpoint = endpoint(&format!("/model/{model}/converse-stream"), "", "");
            Remote::new(endpoint, Bedrock { target, key: key.clone(), region: bedrock::region(base_url) }).shared()
        }
    }
}

/// Azure's classic interface names the deployment in its path and has versions; its newer one is OpenAI's own under another name.
fn azure_path(line: &ModelLine, call: &str) -> String {
    let ProviderLine { api_version, base_url, .. } = &line.provider;
    match api_version {
        Some(version) => format!("/openai/deployments/{}{call}?api-version={version}", path_segment(&line.model)),
        None if base_url.ends_with("/openai/v1") => call.to_owned(),
        None => format!("/openai/v1{call}"),
    }
}

/// A name as one part of a path, whatever stands in it.
fn path_segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
