//! An answer read from its bytes alone, the way that every answer goes: for those who look for bytes that it does not stand, and who
//! compare it with other clients. It asks nobody.

use std::sync::Arc;
use std::time::Duration;

use super::adapt::Known;
use super::anthropic::Anthropic;
use super::bedrock::Bedrock;
use super::capabilities::Capabilities;
use super::draft::Draft;
use super::embeddings::Form;
use super::frames::Frames;
use super::gemini::Gemini;
use super::http::{Endpoint, Patience};
use super::ollama::Ollama;
use super::openai::OpenAi;
use super::remote::Remote;
use super::responses::Responses;
use super::target::Target;
use super::{Finished, Sink};
use crate::config::Adjust;

pub use super::amazon::frame;
pub use super::form::lacks;

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

/// Reads an answer that is to hold one vector for each of so many texts, and the tokens that the provider counted. Of interfaces without
/// vectors, as OpenAI's.
///
/// # Errors
/// If it holds no such vectors; a sentence for the admin.
pub fn vectors(interface: Interface, pieces: &[&[u8]], texts: usize) -> Result<(Vec<Vec<f32>>, Option<u64>), String> {
    let form = match interface {
        Interface::Gemini => Form::Gemini,
        Interface::Ollama => Form::Ollama,
        Interface::Chat | Interface::Messages | Interface::Responses | Interface::Converse => Form::OpenAi,
    };
    let mut frames = Frames::new("", "");
    let fed = pieces.iter().try_for_each(|piece| frames.feed(piece)).and_then(|()| frames.end());
    match (frames.pop(), fed) {
        (Some(event), _) => form.read(event.data.as_bytes(), texts),
        (None, Err(trouble)) => Err(trouble.to_string()),
        (None, Ok(())) => Err("the answer is empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::amazon::event_frame;

    const KEY: &str = "sk-live-0123456789/abcdef+ghij";

    /// A stream of each interface, with all that there is.
    const STREAMS: [(Interface, &str); 6] = [
        (
            Interface::Chat,
            concat!(
                "\u{feff}: beat\r\n\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Grüße \"}}]}\r\n\r\n",
                "data: {\"choices\":[{\"delta\":{\"reasoning\":\"hm\",\"content\":[{\"type\":\"text\",\"text\":\"sk-live-0123456789\"}]}}]}\n\n",
                "data: {\"choices\":[{\"delta\":{\"content\":\"/abcdef+ghij\",\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"look\",\"arguments\":\"{\\\"x\\\"\"}}]}}]}\r\r",
                "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"},\"extra_content\":{\"s\":1}}]}}]}\n\n",
                "data: {\"choices\":null,\"error\":null}\n\ndata:\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
                "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12.0,\"completion_tokens\":3,\"total_tokens\":15}}\n\ndata: [DONE]\n\n",
            ),
        ),
        (
            Interface::Messages,
            concat!(
                "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n",
                "event: ping\ndata: {\"type\":\"ping\"}\n\n",
                "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}\n\n",
                "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"c2ln\"}}\n\n",
                "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"look\",\"input\":{}}}\n\n",
                "data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"x\\\":1}\"}}\n\n",
                "data: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n",
                "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":7}}\n\n",
                "data: {\"type\":\"message_stop\"}\n\n",
            ),
        ),
        (
            Interface::Responses,
            concat!(
                "data: {\"type\":\"response.created\",\"response\":{\"object\":\"response\",\"error\":null}}\n\n",
                "data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"x\"}}\n\n",
                "data: {\"type\":\"response.output_item.added\",\"output_index\":1,\"item\":{\"type\":\"function_call\",\"call_id\":\"a\",\"name\":\"look\",\"arguments\":\"\"}}\n\n",
                "data: {\"type\":\"response.function_call_arguments.delta\",\"output_index\":1,\"delta\":\"{\\\"x\\\":1}\"}\n\n",
                "data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"usage\":{\"input_tokens\":12,\"output_tokens\":3}}}\n\n",
            ),
        ),
        (
            Interface::Gemini,
            concat!(
                "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hm\",\"thought\":true}]}}]}\r\n\r\n",
                "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"look\",\"args\":{\"x\":1}},\"thoughtSignature\":\"c2ln\"}]}}]}\r\n\r\n",
                "data: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":3}}\r\n\r\n",
            ),
        ),
        (
            Interface::Ollama,
            concat!(
                "{\"message\":{\"role\":\"assistant\",\"content\":\"hm\",\"thinking\":\"so\"},\"done\":false}\n",
                "{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"look\",\"arguments\":{\"x\":1}}}]},\"done\":false}\n",
                "{\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":9,\"eval_count\":3}\n",
            ),
        ),
        (
            Interface::Converse,
            concat!(
                "{\"output\":{\"message\":{\"content\":[{\"reasoningContent\":{\"reasoningText\":{\"text\":\"hm\",\"signature\":\"c2ln\"}}},",
                "{\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"look\",\"input\":{\"x\":1}}}]}},\"stopReason\":\"tool_use\",",
                "\"usage\":{\"inputTokens\":9,\"outputTokens\":3}}",
            ),
        ),
    ];

    /// Numbers that look random, the same each time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % end.max(1)
        }
    }

    /// All of them as bytes, and a stream of Converse, which is no text.
    fn streams() -> Vec<(Interface, Vec<u8>)> {
        let converse = [
            event_frame("messageStart", r#"{"role":"assistant"}"#),
            event_frame("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm"}}}"#),
            event_frame(
                "contentBlockDelta",
                r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}"#,
            ),
            event_frame(
                "contentBlockStart",
                r#"{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"look"}}}"#,
            ),
            event_frame(
                "contentBlockDelta",
                r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"x\":1}"}},"p":"abc"}"#,
            ),
            event_frame("contentBlockStop", r#"{"contentBlockIndex":1}"#),
            event_frame("messageStop", r#"{"stopReason":"tool_use"}"#),
            event_frame("metadata", r#"{"usage":{"inputTokens":9,"outputTokens":3,"totalTokens":12}}"#),
        ];
        let texts = STREAMS.iter().map(|(interface, stream)| (*interface, stream.as_bytes().to_vec()));
        texts.chain([(Interface::Converse, converse.concat())]).collect()
    }

    fn told(interface: Interface, pieces: &[&[u8]]) -> String {
        let finished = read(interface, KEY, pieces, 1000, Sink::NONE);
        let mut told = format!("{finished:?}");
        if let Ok(response) = &finished.result {
            write!(told, "{:?}", response.parts).unwrap();
        }
        told
    }

    #[test]
    fn however_the_bytes_are_cut_the_answer_is_the_same_and_holds_no_key() {
        let mut dice = Dice(1);
        for (interface, stream) in streams() {
            let whole = told(interface, &[&stream]);
            assert!(whole.contains("look") && whole.contains("ToolCalls"), "{whole}");
            assert!(!whole.contains(KEY), "{whole}");
            for _ in 0..200 {
                let (mut pieces, mut rest) = (Vec::new(), stream.as_slice());
                while !rest.is_empty() {
                    let (piece, behind) = rest.split_at(1 + dice.below(rest.len().min(90)));
                    pieces.push(piece);
                    rest = behind;
                }
                assert_eq!(told(interface, &pieces), whole);
            }
        }
    }

    #[test]
    fn no_bytes_break_a_reader() {
        let (mut dice, streams) = (Dice(2), streams());
        for round in 0..4000 {
            let (interface, mut bytes) = streams[round % streams.len()].clone();
            for _ in 0..=dice.below(6) {
                let at = dice.below(bytes.len());
                match dice.below(5) {
                    0 => drop(bytes.drain(at..(at + dice.below(40)).min(bytes.len()))),
                    1 => bytes.insert(at, [b'"', b'{', b'}', b'\r', b'\n', b':', 0xff, b'\\'][dice.below(8)]),
                    2 => bytes.truncate(at),
                    3 => {
                        let more = bytes[at..(at + dice.below(200)).min(bytes.len())].to_vec();
                        bytes.splice(at..at, more);
                    }
                    _ => {
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte = dice.below(256) as u8;
                        }
                    }
                }
                if bytes.is_empty() {
                    break;
                }
            }
            let finished = read(interface, KEY, &[&bytes], 1000, Sink::NONE);
            assert!(!format!("{finished:?}").contains(KEY));
        }
    }
}
