//! An answer read from its bytes alone, the way that every answer goes: for those who look for bytes that it does not stand, and who
//! compare it with other clients. It asks nobody.

use std::sync::Arc;
use std::time::Duration;

use super::adapt::Known;
use super::anthropic::Anthropic;
use super::bedrock::Bedrock;
use super::capabilities::Capabilities;
use super::draft::Draft;
use super::gemini::Gemini;
use super::http::{Endpoint, Patience};
use super::ollama::Ollama;
use super::openai::OpenAi;
use super::remote::Remote;
use super::responses::Responses;
use super::target::Target;
use super::{Finished, Sink};
use crate::config::Adjust;

/// Whose words they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// Chat completions.
    Chat,
    /// Anthropic's messages.
    Messages,
    /// OpenAI's responses.
    Responses,
    /// Gemini's own.
    Gemini,
    /// Ollama's own.
    Ollama,
    /// Of Amazon Bedrock.
    Converse,
}

/// Reads an answer of at most so many tokens, whose bytes come in these pieces, to a prompt of at most 1000 tokens; `key` is the
/// key that it was asked with.
pub fn read(interface: Interface, key: &str, pieces: &[&[u8]], output_tokens_max: u64, sink: Sink) -> Finished {
    let patience = Patience { connect: Duration::from_secs(1), idle: Duration::from_secs(1) };
    let endpoint = Endpoint::new("http://127.0.0.1:1/v1", "/answers", patience, "vendor-model-7").hiding(key);
    let (model, origin) = ("vendor-model-7".to_owned(), "small@1".to_owned());
    let draft = Draft::new(sink, &origin, "run-1", (1000, output_tokens_max));
    let known = Arc::new(Known::new(&origin, Capabilities::default(), Vec::new()));
    let target = Target { model, origin, known, adjust: Adjust::default() };
    match interface {
        Interface::Chat => Remote::new(endpoint, OpenAi { target }).read_pieces(pieces, draft),
        Interface::Messages => Remote::new(endpoint, Anthropic { target }).read_pieces(pieces, draft),
        Interface::Responses => Remote::new(endpoint, Responses { target }).read_pieces(pieces, draft),
        Interface::Gemini => Remote::new(endpoint, Gemini { target }).read_pieces(pieces, draft),
        Interface::Ollama => Remote::new(endpoint, Ollama { target, context_tokens: 8192 }).read_pieces(pieces, draft),
        Interface::Converse => {
            let dialect = Bedrock { target, key: None, region: "us-east-1".to_owned() };
            Remote::new(endpoint, dialect).read_pieces(pieces, draft)
        }
    }
}
