//! Text to tokens and back, and messages to a prompt. What a message says can never end its turn or begin another.

use std::borrow::Cow;
use std::sync::OnceLock;

use agentry_abi::bindings::agentry::agent::llm::{Message, Part, ResultPart, Role};
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::tokenizer::TokenizerFromGguf;
use minijinja::{Environment, context};
use tokenizers::Tokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

/// The format of turns that a model without a template of its own is asked in.
const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + \
                      '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// Names of tokens that end an answer, over models.
const ENDS: [&str; 5] = ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "</s>"];

/// Stands for what a message says while the template is filled in: characters that no text uses.
const PLACE: (char, char) = ('\u{10FFF0}', '\u{10FFF1}');

/// A model's words.
pub(super) struct Vocabulary {
    /// Reads the template's own text, where `<|im_end|>` is a mark.
    marks: Tokenizer,
    /// Reads what messages say, where it is eleven characters.
    plain: Tokenizer,
    template: String,
    ends: Vec<u32>,
    /// The bytes of each token, once they are needed.
    bytes: OnceLock<Vec<Vec<u8>>>,
}

impl Vocabulary {
    /// Reads it from a model's metadata.
    pub(super) fn read(content: &Content) -> candle_core::Result<Self> {
        let mut marks = Tokenizer::from_gguf(content)?;
        let text = |key: &str| content.metadata.get(key).and_then(|value| value.to_string().ok());
        if text("tokenizer.ggml.pre").is_some_and(|pre| pre == "smollm") {
            // Digits stand alone, and no space is put before a text.
            let split = vec![Digits::new(true).into(), ByteLevel::new(false, true, true).into()];
            marks.with_pre_tokenizer(Some(Sequence::new(split)));
        }
        let mut plain = marks.clone();
        plain.set_encode_special_tokens(true);
        let said = content.metadata.get("tokenizer.ggml.eos_token_id").and_then(|value: &Value| value.to_u32().ok());
        let ends = said.into_iter().chain(ENDS.iter().filter_map(|name| marks.token_to_id(name))).collect();
        let template = text("tokenizer.chat_template").map_or(CHATML, String::as_str).to_owned();
        Ok(Self { marks, plain, template, ends, bytes: OnceLock::new() })
    }

    /// Whether this token ends an answer.
    pub(super) fn ends(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// The prompt, in tokens.
    ///
    /// # Errors
    /// If the model's template does not take these messages; the text says why.
    pub(super) fn prompt(&self, messages: &[Message]) -> Result<Vec<u32>, String> {
        let contents: Vec<String> = messages.iter().map(said).collect();
        let turns: Vec<_> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| {
                context! { role => role(message.role), content => format!("{}{index}{}", PLACE.0, PLACE.1) }
            })
            .collect();
        // An answer that the agent began itself is gone on with.
        let goes_on = messages.last().is_some_and(|message| message.role == Role::Assistant);
        let text = Environment::new()
            .render_str(&self.template, context! { messages => turns, add_generation_prompt => !goes_on })
            .map_err(|why| format!("the model's template does not take these messages: {why}"))?;
        let text = if goes_on { text.rfind(PLACE.1).map_or(&*text, |end| &text[..=end + 3]) } else { &text };
        let mut tokens = Vec::new();
        for (index, piece) in text.split(PLACE.0).enumerate() {
            let template = match piece.split_once(PLACE.1) {
                Some((number, rest)) if index > 0 => {
                    let content = number.parse().ok().and_then(|number: usize| contents.get(number));
                    let content = content.ok_or("the model's template changed a message")?;
                    encode(&self.plain, content, &mut tokens)?;
                    rest
                }
                _ => piece,
            };
            encode(&self.marks, template, &mut tokens)?;
        }
        Ok(tokens)
    }

    /// The bytes that a token stands for; none for a mark.
    pub(super) fn bytes(&self, token: u32) -> &[u8] {
        let all = self.bytes.get_or_init(|| {
            let marks = self.marks.get_added_tokens_decoder();
            let bytes = |token| match self.marks.id_to_token(token) {
                Some(text) if !marks.contains_key(&token) => text.chars().filter_map(byte).collect(),
                _ => Vec::new(),
            };
            (0..self.marks.get_vocab_size(true) as u32).map(bytes).collect()
        });
        all.get(token as usize).map_or(&[], Vec::as_slice)
    }
}

fn encode(tokenizer: &Tokenizer, text: &str, tokens: &mut Vec<u32>) -> Result<(), String> {
    if !text.is_empty() {
        let encoding = tokenizer.encode_fast(text, false).map_err(|why| why.to_string())?;
        tokens.extend_from_slice(encoding.get_ids());
    }
    Ok(())
}

/// The byte behind a letter of byte-level BPE: the printable ones stand for themselves, the others for 256 and up.
fn byte(letter: char) -> Option<u8> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let code = u32::from(letter);
    match u8::try_from(code) {
        Ok(byte) => printable(byte).then_some(byte),
        Err(_) => (0..=u8::MAX).filter(|byte| !printable(*byte)).nth(code as usize - 256),
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    }
}

/// What a message says, as one text. Parts that are not text are refused before or left out: thoughts are not for a second reading.
fn said(message: &Message) -> String {
    let texts = message.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(Cow::Borrowed(text.as_str())),
        // As it would write the call again.
        Part::ToolCall(call) => {
            let name = serde_json::Value::from(call.name.as_str());
            Some(Cow::Owned(format!("{{\"name\": {name}, \"arguments\": {}}}", call.arguments_json)))
        }
        Part::ToolResult(result) => {
            let texts = result.parts.iter().filter_map(|part| match part {
                ResultPart::Text(text) | ResultPart::Json(text) => Some(text.as_str()),
                ResultPart::Media(_) => None,
            });
            Some(Cow::Owned(texts.collect::<Vec<_>>().join("\n")))
        }
        Part::Media(_) | Part::Reasoning(_) => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}
