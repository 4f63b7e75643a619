//! Vectors of texts, in the forms of OpenAI (and all who follow it: Cohere, Mistral, vLLM), Ollama and Gemini: what is asked, and what came.
//! A list that is not one vector a text, all of one length, is no answer.
//!
//! Source: OpenAI API reference, "Embeddings"; Ollama documentation, `POST /api/embed`; Gemini API reference, `batchEmbedContents`.

use agentry_kernel::model::Usage;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::Embedded;
use super::http::Endpoint;
use super::loose::{self, Count};
use super::trouble::{Complaint, Trouble};

/// The longest vector that any model in use makes is a third of this.
const DIMENSIONS_MAX: usize = 12_288;

/// How vectors are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    OpenAi,
    Ollama,
    Gemini,
}

/// Where a model is asked for vectors.
pub(crate) struct Embeddings {
    endpoint: Endpoint,
    form: Form,
    model: String,
}

#[derive(Serialize)]
struct Many<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding_format: Option<&'static str>,
}

#[derive(Serialize)]
struct Requests<'a> {
    requests: Vec<One<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    model: String,
    content: Content<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Text<'a>; 1],
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

#[derive(Deserialize)]
struct OpenAiAnswer {
    data: Vec<Indexed>,
    #[serde(default, deserialize_with = "loose::if_it_is_one")]
    usage: Option<OpenAiUsage>,
}

#[derive(Deserialize)]
struct Indexed {
    #[serde(default)]
    index: Count,
    embedding: Vector,
}

/// Numbers, or their bytes in base 64, which some servers send whatever they are asked for.
#[derive(Deserialize)]
#[serde(untagged)]
enum Vector {
    Numbers(Vec<f32>),
    Bytes(String),
}

impl Vector {
    fn numbers(self) -> Vec<f32> {
        match self {
            Self::Numbers(numbers) => numbers,
            Self::Bytes(text) => {
                let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() % 4 == 0).unwrap_or_default();
                bytes.chunks_exact(4).filter_map(|four| four.try_into().ok()).map(f32::from_le_bytes).collect()
            }
        }
    }
}

#[derive(Default, Deserialize)]
struct OpenAiUsage {
    #[serde(default)]
    prompt_tokens: Count,
    #[serde(default)]
    total_tokens: Count,
}

#[derive(Deserialize)]
struct OllamaAnswer {
    embeddings: Vec<Vec<f32>>,
    #[serde(default)]
    prompt_eval_count: Count,
}

#[derive(Deserialize)]
struct GeminiAnswer {
    embeddings: Vec<Values>,
}

#[derive(Deserialize)]
struct Values {
    values: Vec<f32>,
}

impl Embeddings {
    /// Of this model, at this endpoint.
    pub(super) fn new(endpoint: Endpoint, form: Form, model: &str) -> Self {
        Self { endpoint, form, model: model.to_owned() }
    }

    /// Asks for one vector a text. Under the same key it is the same question.
    pub(super) async fn ask(&self, key: &str, texts: &[String], cut: &CancellationToken) -> Embedded {
        let bytes = texts.iter().fold(0_u64, |sum, text| sum.saturating_add(text.len() as u64));
        let body = Bytes::from(self.form.body(&self.model, texts));
        let came = async {
            let mut incoming = self.endpoint.post(key, body, &|_| Ok(()), cut).await?;
            let event = incoming.next(cut, None).await?;
            let event = event.ok_or_else(|| Trouble::Garbage("the answer is empty".to_owned()))?;
            if let Some(complaint) = Complaint::in_event(&event) {
                return Err(incoming.refused(complaint));
            }
            incoming.done().await;
            self.form.read(event.data.as_bytes(), texts.len()).map_err(Trouble::Garbage)
        };
        let trouble = match came.await {
            Ok((vectors, tokens)) => return Embedded { result: Ok(vectors), usage: usage(tokens, bytes), note: None },
            Err(trouble) => trouble,
        };
        // Whoever began to work is paid.
        let unasked = matches!(trouble, Trouble::Unset(_) | Trouble::Unreached(_) | Trouble::Refused { .. });
        let usage = if unasked { Usage::default() } else { usage(None, bytes) };
        let note = Some(self.endpoint.note(&trouble));
        Embedded { result: Err(self.endpoint.error(trouble)), usage, note }
    }
}

impl Form {
    /// What is posted.
    pub(super) fn body(self, model: &str, texts: &[String]) -> Vec<u8> {
        let written = match self {
            Self::OpenAi => serde_json::to_vec(&Many { model, input: texts, encoding_format: Some("float") }),
            Self::Ollama => serde_json::to_vec(&Many { model, input: texts, encoding_format: None }),
            Self::Gemini => {
                let one = |text| One { model: format!("models/{model}"), content: Content { parts: [Text { text }] } };
                serde_json::to_vec(&Requests { requests: texts.iter().map(|text| one(text)).collect() })
            }
        };
        written.expect("texts have a form in JSON")
    }

    /// The vectors of so many texts, in their order, and the tokens that the provider counted.
    ///
    /// # Errors
    /// If it is no such answer; a sentence for the admin.
    pub(super) fn read(self, body: &[u8], texts: usize) -> Result<(Vec<Vec<f32>>, Option<u64>), String> {
        let no = |why: serde_json::Error| format!("the answer holds no vectors: {why}");
        let (vectors, tokens) = match self {
            Self::OpenAi => {
                let OpenAiAnswer { mut data, usage } = serde_json::from_slice(body).map_err(no)?;
                // Without numbers they stand in their order; the sort keeps it.
                data.sort_by_key(|one| one.index.0);
                let tokens = usage.and_then(|usage| usage.prompt_tokens.0.max(usage.total_tokens.0));
                (data.into_iter().map(|one| one.embedding.numbers()).collect(), tokens)
            }
            Self::Ollama => {
                let OllamaAnswer { embeddings, prompt_eval_count } = serde_json::from_slice(body).map_err(no)?;
                (embeddings, prompt_eval_count.0)
            }
            Self::Gemini => {
                let GeminiAnswer { embeddings } = serde_json::from_slice(body).map_err(no)?;
                (embeddings.into_iter().map(|one| one.values).collect::<Vec<_>>(), None)
            }
        };
        let length = vectors.first().map_or(0, Vec::len);
        let is_one = |vector: &Vec<f32>| vector.len() == length && vector.iter().all(|number| number.is_finite());
        if vectors.len() != texts || !(1..=DIMENSIONS_MAX).contains(&length) || !vectors.iter().all(is_one) {
            return Err(format!("the answer holds {} vectors for {texts} texts, not all of one length", vectors.len()));
        }
        Ok((vectors, tokens))
    }
}

/// What vectors of so many bytes took: what the provider counted if it can be true, else a byte a token, as was held.
pub(super) fn usage(tokens: Option<u64>, bytes: u64) -> Usage {
    let said = tokens.filter(|tokens| *tokens > 0);
    Usage { input_fresh: said.unwrap_or(bytes), estimated: said.is_none(), ..Usage::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_asked_in_its_own_words() {
        let texts = ["a".to_owned(), "b".to_owned()];
        let body = |form: Form| String::from_utf8(form.body("m", &texts)).unwrap();
        assert_eq!(body(Form::OpenAi), r#"{"model":"m","input":["a","b"],"encoding_format":"float"}"#);
        assert_eq!(body(Form::Ollama), r#"{"model":"m","input":["a","b"]}"#);
        assert_eq!(
            body(Form::Gemini),
            concat!(
                r#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"a"}]}},"#,
                r#"{"model":"models/m","content":{"parts":[{"text":"b"}]}}]}"#
            )
        );
    }

    #[test]
    fn vectors_come_in_the_order_of_their_texts() {
        let openai = br#"{"object":"list","data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":[1,2]}],"usage":{"prompt_tokens":5}}"#;
        assert_eq!(Form::OpenAi.read(openai, 2), Ok((vec![vec![1.0, 2.0], vec![3.0, 4.0]], Some(5))));
        let packed = br#"{"data":[{"index":0,"embedding":"AACAPwAAAEA="}],"usage":null}"#;
        assert_eq!(Form::OpenAi.read(packed, 1), Ok((vec![vec![1.0, 2.0]], None)));
        let sum = br#"{"data":[{"embedding":[1]}],"usage":{"total_tokens":5}}"#;
        assert_eq!(Form::OpenAi.read(sum, 1), Ok((vec![vec![1.0]], Some(5))));
        let ollama = br#"{"model":"m","embeddings":[[0.5]],"prompt_eval_count":8}"#;
        assert_eq!(Form::Ollama.read(ollama, 1), Ok((vec![vec![0.5]], Some(8))));
        let gemini = br#"{"embeddings":[{"values":[0.5]}]}"#;
        assert_eq!(Form::Gemini.read(gemini, 1), Ok((vec![vec![0.5]], None)));
    }

    #[test]
    fn what_is_no_vector_a_text_is_no_answer() {
        for body in [
            "",
            "{}",
            r#"{"data":[]}"#,
            r#"{"data":[{"embedding":[]},{"embedding":[]}]}"#,
            r#"{"data":[{"embedding":[1]},{"embedding":[1,2]}]}"#,
            r#"{"data":[{"embedding":[1e999]},{"embedding":[1]}]}"#,
            r#"{"data":[{"embedding":"AAAA"},{"embedding":[1]}]}"#,
            r#"{"data":[{"embedding":"?"},{"embedding":"?"}]}"#,
        ] {
            assert!(Form::OpenAi.read(body.as_bytes(), 2).is_err(), "{body}");
        }
    }

    #[test]
    fn tokens_that_nobody_counted_are_bytes() {
        assert_eq!(usage(Some(5), 20), Usage { input_fresh: 5, ..Usage::default() });
        assert_eq!(usage(Some(0), 20), Usage { input_fresh: 20, estimated: true, ..Usage::default() });
    }
}
