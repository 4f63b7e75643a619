//! An answer read from its bytes alone, the way that every answer goes: for those who look for bytes that it does not stand, and who
//! compare it with other clients. It asks nobody.

use std::time::Duration;

use super::anthropic::Anthropic;
use super::draft::Draft;
use super::http::{Endpoint, Patience};
use super::openai::{OpenAi, Whose};
use super::remote::{Dialect, Remote};
use super::{Finished, Sink};

/// Whose words they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// Chat completions.
    Chat,
    /// Anthropic's messages.
    Messages,
}

/// Reads an answer of at most so many tokens, whose bytes come in these pieces, to a prompt of at most 1000 tokens; `key` is the
/// key that it was asked with.
pub fn read(interface: Interface, key: &str, pieces: &[&[u8]], output_tokens_max: u64, sink: Sink) -> Finished {
    let patience = Patience { connect: Duration::from_secs(1), idle: Duration::from_secs(1) };
    let endpoint = Endpoint::new("http://127.0.0.1:1/v1", "/answers", patience, "vendor-model-7").hiding(key);
    let (model, origin) = ("vendor-model-7".to_owned(), "small@1".to_owned());
    let draft = Draft::new(sink, &origin, "run-1", (1000, output_tokens_max));
    match interface {
        Interface::Chat => {
            read_in(OpenAi { model, origin: origin.clone(), whose: Whose::Compatible }, endpoint, origin, pieces, draft)
        }
        Interface::Messages => read_in(Anthropic { model, origin: origin.clone() }, endpoint, origin, pieces, draft),
    }
}

fn read_in<D: Dialect>(dialect: D, endpoint: Endpoint, origin: String, pieces: &[&[u8]], draft: Draft) -> Finished {
    Remote::new(endpoint, origin, dialect).read_pieces(pieces, draft)
}
