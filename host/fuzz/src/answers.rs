//! Answers of models, from their bytes alone: no bytes break a reader, cut anywhere they say the same, the key is in nothing that comes out,
//! whoever listens hears what is answered, and nothing that came is cheaper than it can be.

use std::sync::{Arc, Mutex};

use agentry_abi::bindings::agentry::agent::llm::{Delta, Part, Response, StopReason};
use agentry_llm::reading::{self, Interface, read};
use agentry_llm::{ANSWER_MAX_BYTES, Finished, Sink};

/// The key that all answers were asked with; inputs hold it too.
const KEY: &str = "sk-live-THE/KEY+that=must-not-leak-0123456789";

/// The longest answer that was allowed.
const OUTPUT_TOKENS_MAX: u64 = 1000;

/// No tokenizer has a longer token.
const TOKEN_MAX_BYTES: u64 = 128;

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

/// Of Bedrock's Converse, whole.
pub fn converse(bytes: &[u8]) {
    holds(Interface::Converse, bytes);
}

/// Of Bedrock's Converse, in frames: each line is one, its type before a space and its payload behind; with an exclamation mark it is an
/// exception. Whatever stands behind an empty line comes as it is.
pub fn amazon(bytes: &[u8]) {
    let mut stream = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let (line, behind) = (&rest[..end], &rest[(end + 1).min(rest.len())..]);
        if line.is_empty() {
            stream.extend_from_slice(behind);
            break;
        }
        if let Ok(line) = std::str::from_utf8(line) {
            let (kind, payload) = line.split_once(' ').unwrap_or((line, ""));
            let headers = match kind.strip_prefix('!') {
                Some(kind) => [(":message-type", "exception"), (":exception-type", kind)],
                None => [(":message-type", "event"), (":event-type", kind)],
            };
            stream.extend_from_slice(&reading::frame(&headers, payload));
        }
        rest = behind;
    }
    holds(Interface::Converse, &stream);
}

/// Of vectors, in each form: as many as were asked for, of one length, of numbers.
pub fn vectors(bytes: &[u8]) {
    for interface in [Interface::Chat, Interface::Gemini, Interface::Ollama] {
        let whole = reading::vectors(interface, &[bytes], 2);
        let (head, tail) = bytes.split_at(cut(bytes));
        assert_eq!(reading::vectors(interface, &[head, tail], 2), whole, "cut at {}", head.len());
        if let Ok((vectors, _)) = whole {
            assert!(vectors.len() == 2 && !vectors[0].is_empty() && vectors[0].len() == vectors[1].len());
            assert!(vectors.iter().flatten().all(|number| number.is_finite()));
        }
    }
}

/// Where it is cut follows from it, so that the same input is tried in the same way.
fn cut(bytes: &[u8]) -> usize {
    let sum = bytes.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    sum % (bytes.len() + 1)
}

fn holds(interface: Interface, bytes: &[u8]) {
    let (whole, heard) = read_all(interface, &[bytes]);
    let (head, tail) = bytes.split_at(cut(bytes));
    assert_eq!(read_all(interface, &[head, tail]).0, whole, "cut at {}", head.len());
    assert!(!format!("{whole:?} {heard:?}").contains(KEY), "{whole:?}");
    assert!(bytes.len() <= ANSWER_MAX_BYTES);
    if let Ok(response) = &whole.result {
        assert!(response.stop != StopReason::Cancelled, "{whole:?}");
    }
    let came = match &whole.result {
        Ok(response) => Some(response),
        Err(failure) => failure.partial.as_ref(),
    };
    let said = came.map(Said::of).unwrap_or_default();
    assert_eq!(Said::heard(&heard), said, "{whole:?}");
    said.is_sound();
    let usage = &whole.usage;
    let is_paid = usage.output.saturating_mul(TOKEN_MAX_BYTES) >= said.bytes() || usage.output >= OUTPUT_TOKENS_MAX;
    assert!(is_paid && usage.reasoning <= usage.output, "{whole:?}");
}

fn read_all(interface: Interface, pieces: &[&[u8]]) -> (Finished, Vec<Delta>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    let sink = Sink::new(move |delta| ear.lock().expect("nobody panics here").push(delta.clone()));
    let finished = read(interface, KEY, pieces, OUTPUT_TOKENS_MAX, sink);
    let heard = std::mem::take(&mut *heard.lock().expect("nobody panics here"));
    (finished, heard)
}

/// All that an answer says, without where one part ends and the next begins.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    thoughts: String,
    /// Ids, names and arguments.
    calls: Vec<(String, String, String)>,
}

impl Said {
    fn of(response: &Response) -> Self {
        let mut said = Self::default();
        for part in &response.parts {
            match part {
                Part::Text(text) => said.text.push_str(text),
                Part::Reasoning(thought) => said.thoughts.push_str(thought.text.as_deref().unwrap_or_default()),
                Part::ToolCall(call) => {
                    said.calls.push((call.id.clone(), call.name.clone(), call.arguments_json.clone()));
                }
                Part::Media(_) | Part::ToolResult(_) => panic!("no model says this: {part:?}"),
            }
        }
        said
    }

    fn heard(deltas: &[Delta]) -> Self {
        let mut said = Self::default();
        for delta in deltas {
            match delta {
                Delta::Text(text) => said.text.push_str(text),
                Delta::Reasoning(text) => said.thoughts.push_str(text),
                Delta::CallStart(start) => {
                    assert_eq!(start.index as usize, said.calls.len());
                    said.calls.push((start.id.clone(), start.name.clone(), String::new()));
                }
                Delta::Restarted => panic!("nothing is asked again here"),
                Delta::CallFragment(piece) => said.calls[piece.index as usize].2.push_str(&piece.arguments_json),
            }
        }
        // Who is given none is told so at the end.
        for (_, _, arguments) in &mut said.calls {
            if arguments.is_empty() {
                arguments.push_str("{}");
            }
        }
        said
    }

    fn is_sound(&self) {
        for (at, (id, name, _)) in self.calls.iter().enumerate() {
            assert!(!id.is_empty() && !name.is_empty(), "{self:?}");
            assert!(self.calls[..at].iter().all(|(other, _, _)| other != id), "two calls of one id: {self:?}");
        }
    }

    /// Less what every answer has of itself.
    fn bytes(&self) -> u64 {
        let calls = self.calls.iter().map(|(_, _, arguments)| arguments.len()).filter(|length| *length > 2);
        (self.text.len() + self.thoughts.len() + calls.sum::<usize>()) as u64
    }
}
