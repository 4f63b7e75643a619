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

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const KEY: &str = "sk-live-0123456789/abcdef+ghij";

    /// A stream of chat completions with all that there is, and one of messages.
    const STREAMS: [(Interface, &str); 2] = [
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
    ];

    /// Numbers that look random, the same each time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % end.max(1)
        }
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
        for (interface, stream) in STREAMS {
            let whole = told(interface, &[stream.as_bytes()]);
            assert!(whole.contains("look") && whole.contains("ToolCalls"), "{whole}");
            assert!(!whole.contains(KEY), "{whole}");
            for _ in 0..300 {
                let (mut pieces, mut rest) = (Vec::new(), stream.as_bytes());
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
        let mut dice = Dice(2);
        for round in 0..4000 {
            let (interface, stream) = STREAMS[round % 2];
            let mut bytes = stream.as_bytes().to_vec();
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
