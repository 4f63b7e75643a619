//! Answers of models, from their bytes alone: no bytes break a reader, cut anywhere they say the same, and the key is in nothing that
//! comes out.

use agentry_llm::reading::{Interface, read};
use agentry_llm::{ANSWER_MAX_BYTES, Finished, Sink};

/// The key that all answers were asked with; inputs hold it too.
const KEY: &str = "sk-live-THE/KEY+that=must-not-leak-0123456789";

/// The longest answer that was allowed.
const OUTPUT_TOKENS_MAX: u64 = 1000;

/// Of chat completions.
pub fn chat(bytes: &[u8]) {
    holds(Interface::Chat, bytes);
}

/// Of Anthropic's messages.
pub fn messages(bytes: &[u8]) {
    holds(Interface::Messages, bytes);
}

/// Of OpenAI's responses.
pub fn responses(bytes: &[u8]) {
    holds(Interface::Responses, bytes);
}

/// Of Gemini.
pub fn gemini(bytes: &[u8]) {
    holds(Interface::Gemini, bytes);
}

/// Of Ollama.
pub fn ollama(bytes: &[u8]) {
    holds(Interface::Ollama, bytes);
}

/// Of Bedrock's Converse.
pub fn converse(bytes: &[u8]) {
    holds(Interface::Converse, bytes);
}

fn holds(interface: Interface, bytes: &[u8]) {
    let whole = read_all(interface, &[bytes]);
    // Where it is cut follows from it, so that the same input is tried in the same way.
    let at = bytes.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let (head, tail) = bytes.split_at(at % (bytes.len() + 1));
    assert_eq!(read_all(interface, &[head, tail]), whole, "cut at {}", head.len());
    assert!(!format!("{whole:?}").contains(KEY), "{whole:?}");
    assert!(bytes.len() <= ANSWER_MAX_BYTES);
}

fn read_all(interface: Interface, pieces: &[&[u8]]) -> Finished {
    read(interface, KEY, pieces, OUTPUT_TOKENS_MAX, Sink::NONE)
}
