//! The model in process: a GGUF file on the CPU, private, without key or server. It reads one file and reaches nothing else.
//!
//! Where a form is asked for, or tools are, it chooses among those tokens alone with which the answer can have the form.
//!
//! Nothing is read before the first call. One call runs at a time, on a thread of its own, and looks after each token whether
//! it is still wanted.

mod automaton;
pub mod fetch;
mod held;
mod llama;
mod sampler;
mod schema;
mod vocabulary;
mod writer;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use agentry_abi::bindings::agentry::agent::llm::{Request, StopReason};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_kernel::Permit;
use agentry_kernel::model::{Model, Price, Usage};
use agentry_llm::config::EMBEDDED;
use agentry_llm::draft::{Draft, unavailable};
use agentry_llm::models::Skills;
use agentry_llm::{Entry, Finished, Provider, Sink, count};
use candle_core::quantized::gguf_file::Content;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::held::{Forms, Held};
use self::llama::{Llama, Shape};
use self::sampler::Sampler;
use self::vocabulary::Vocabulary;
use self::writer::{Writer, Written};

/// The weights' file in `HOME/models`.
pub const WEIGHTS_FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// Names another file of weights.
pub const WEIGHTS_VARIABLE: &str = "AGENTRY_EMBEDDED_GGUF";

/// Tokens of the default weights' window.
pub const CONTEXT_TOKENS: u64 = 8192;

/// The longest answer that it gives: at the speed of a CPU, minutes.
pub const OUTPUT_TOKENS_MAX: u64 = 2048;

/// A prompt that can be longer is not even taken apart: it fits no window that these models have, and a tokenizer takes long and asks
/// nobody whether to go on.
const PROMPT_MAX_BYTES: u64 = 1024 * 1024;

/// Tokens that are looked at one by one before one is chosen, instead of behind it.
const FEW_TOKENS: usize = 8192;

/// Tokens of a prompt that are read at once; between two such pieces a call can be cut.
const PREFILL_TOKENS: usize = 256;

/// A model that runs in this process.
pub struct Embedded {
    weights: Arc<Weights>,
    /// The network, once it was needed; who holds it answers.
    network: Arc<Mutex<Option<Llama>>>,
}

struct Weights {
    file: PathBuf,
    words: OnceLock<Result<Words, String>>,
}

struct Words {
    vocabulary: Vocabulary,
    shape: Shape,
}

/// Where the weights are, or are to be put: the file that the environment names, else the one in `home`.
pub fn weights_file(home: &Path) -> PathBuf {
    std::env::var_os(WEIGHTS_VARIABLE)
        .filter(|file| !file.is_empty())
        .map_or_else(|| home.join("models").join(WEIGHTS_FILE), PathBuf::from)
}

/// What the admin can do if the file is not there.
pub fn missing(file: &Path) -> String {
    format!(
        "the embedded model's weights are not at {}\nhint: `agentry models --fetch` gets them; or put {WEIGHTS_FILE} there yourself",
        file.display()
    )
}

/// The model as the registry of a host knows it.
pub fn entry(home: &Path) -> Entry {
    let file = weights_file(home);
    let model = Model {
        alias: EMBEDDED.to_owned(),
        price: Some(Price::default()),
        context_tokens: CONTEXT_TOKENS,
        output_tokens_max: OUTPUT_TOKENS_MAX,
        slots: 1,
        local: true,
    };
    let trouble = (!file.exists()).then(|| missing(&file));
    let skills = Skills { tools: true, schema_output: true, ..Skills::default() };
    let entry = Entry::new(model, skills, Arc::new(Embedded::new(file)));
    entry.in_trouble(trouble)
}

impl Embedded {
    /// A model of these weights; nothing is read yet.
    pub fn new(file: PathBuf) -> Self {
        Self { weights: Arc::new(Weights { file, words: OnceLock::new() }), network: Arc::default() }
    }

    async fn answer(
        &self,
        key: String,
        output_tokens_max: u64,
        request: Request,
        sink: Sink,
        cancelled: CancellationToken,
    ) -> Finished {
        let mut network = tokio::select! {
            biased;
            () = cancelled.cancelled() => return Finished::unasked(Error::Cancelled),
            network = Arc::clone(&self.network).lock_owned() => network,
        };
        let weights = Arc::clone(&self.weights);
        let cut = cancelled.child_token();
        let _cut_when_dropped = cut.clone().drop_guard();
        let call = Asked { key, request, output_tokens_max, sink, cut };
        let answer = tokio::task::spawn_blocking(move || weights.run(&mut network, call));
        answer.await.unwrap_or_else(|why| {
            Finished::unasked(unavailable("the embedded model broke off", None)).noting(why.to_string())
        })
    }
}

impl Weights {
    fn open(&self) -> Result<(Content, BufReader<File>), String> {
        let file = File::open(&self.file).map_err(|why| match why.kind() {
            std::io::ErrorKind::NotFound => missing(&self.file),
            _ => format!("cannot read {}: {why}", self.file.display()),
        })?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let content = Content::read(&mut reader).map_err(|why| self.broken(&why))?;
        Ok((content, reader))
    }

    fn broken(&self, why: &candle_core::Error) -> String {
        let why = why.to_string();
        let first = why.lines().next().unwrap_or_default();
        format!("{} is no model that can be run here: {first}", self.file.display())
    }

    /// The vocabulary, read at its first use.
    fn words(&self) -> Result<&Words, &str> {
        let read = || {
            let (content, _) = self.open()?;
            let vocabulary = Vocabulary::read(&content).map_err(|why| self.broken(&why))?;
            let shape = Shape::read(&content).map_err(|why| self.broken(&why))?;
            Ok(Words { vocabulary, shape })
        };
        self.words.get_or_init(read).as_ref().map_err(String::as_str)
    }

    fn load(&self) -> Result<Llama, String> {
        let (content, mut reader) = self.open()?;
        Llama::load(&content, &mut reader).map_err(|why| self.broken(&why))
    }

    /// The whole of one call, on a thread that may block.
    fn run(&self, network: &mut Option<Llama>, call: Asked) -> Finished {
        let absent = |note: String| {
            Finished::unasked(unavailable("the embedded model is not set up on this host", None)).noting(note)
        };
        let words = match self.words() {
            Ok(words) => words,
            Err(note) => return absent(note.to_owned()),
        };
        let asked = Forms::of(&call.request).and_then(|forms| Ok((forms, words.prompt(&call.request)?)));
        let (forms, prompt) = match asked {
            Ok(asked) => asked,
            Err(why) => return Finished::unasked(Error::Invalid(why)),
        };
        let llama = match network {
            Some(llama) => llama,
            None => match self.load() {
                Ok(llama) => network.insert(llama),
                Err(note) => return absent(note),
            },
        };
        answer(llama, words, &prompt, &forms, call)
    }
}

impl Words {
    /// The next token of those that the answer may go on with.
    fn choose(&self, sampler: &mut Sampler, scores: &mut [f32], held: &Held<'_>) -> Option<u32> {
        if held.is_free() {
            return sampler.choose(scores);
        }
        let may_end = held.may_end();
        let bytes = |token| self.vocabulary.bytes(token);
        let may_come = |token| match self.vocabulary.ends(token) {
            true => may_end,
            false => held.allows(bytes(token)),
        };
        // Most tokens fall with their first byte.
        let first: Vec<bool> = (0..=u8::MAX).map(|byte| held.allows(&[byte])).collect();
        let begins = |byte: &u8| first.get(usize::from(*byte)).copied().unwrap_or(false);
        let begins = |token| bytes(token).first().is_some_and(begins) || (may_end && self.vocabulary.ends(token));
        // Where few are left, most of them fall as well; where many are, hardly any does.
        let left = (0..).take(scores.len()).filter(|token| begins(*token)).count();
        for (token, score) in (0..).zip(scores.iter_mut()) {
            if !begins(token) || (left <= FEW_TOKENS && !may_come(token)) {
                *score = f32::NEG_INFINITY;
            }
        }
        sampler.choose_of(scores, may_come)
    }

    fn prompt(&self, request: &Request) -> Result<Vec<u32>, String> {
        let window = self.shape.context_tokens;
        if count::input_tokens_max(request) > PROMPT_MAX_BYTES {
            return Err(format!(
                "the prompt has over {PROMPT_MAX_BYTES} bytes, and the model's window {window} tokens"
            ));
        }
        let prompt = self.vocabulary.prompt(&held::told(request))?;
        if prompt.is_empty() {
            return Err("there is no message".to_owned());
        }
        if prompt.len() >= window {
            return Err(format!("the prompt has {} tokens, and the model's window {window}", prompt.len()));
        }
        Ok(prompt)
    }
}

struct Asked {
    /// Names this call among all.
    key: String,
    request: Request,
    output_tokens_max: u64,
    sink: Sink,
    cut: CancellationToken,
}

fn answer(llama: &Llama, words: &Words, prompt: &[u32], forms: &Forms, call: Asked) -> Finished {
    let Asked { key, request, output_tokens_max, sink, cut } = call;
    let mut usage = Usage::default();
    let mut draft = Draft::new(sink, "embedded", &key, (prompt.len() as u64, output_tokens_max));
    // What must be of a form ends where the form does.
    let mut writer = Writer::new(if forms.may_be_text() { &request.stop } else { &[] });
    let mut held = forms.begin();
    let seed = request.seed.or_else(|| getrandom::u64().ok()).unwrap_or(0);
    let mut sampler = Sampler::new(request.temperature.unwrap_or(0.0), request.top_p.unwrap_or(1.0), seed);
    let mut attended = llama.begin();
    let mut scores = Vec::new();
    for piece in prompt.chunks(PREFILL_TOKENS) {
        if cut.is_cancelled() {
            draft.exact_usage(usage);
            return draft.fail(Error::Cancelled);
        }
        scores = match llama.read(piece, &mut attended) {
            Ok(scores) => scores,
            Err(why) => return broke(draft, usage, &why),
        };
        usage.input_fresh += piece.len() as u64;
    }
    let room = (llama.shape().context_tokens - prompt.len()) as u64;
    let stop = loop {
        if cut.is_cancelled() {
            draft.exact_usage(usage);
            return draft.fail(Error::Cancelled);
        }
        let Some(token) = words.choose(&mut sampler, &mut scores, &held) else {
            if held.is_free() {
                break StopReason::End;
            }
            draft.exact_usage(usage);
            return draft.fail(Error::Invalid("nothing fits the form that was asked for".to_owned()));
        };
        usage.output += 1;
        if words.vocabulary.ends(token) {
            break StopReason::End;
        }
        let shown = held.push(words.vocabulary.bytes(token));
        if let Written::Stopped(stop) = writer.push(&shown, |text| draft.text(text)) {
            break StopReason::Sequence(stop);
        }
        if held.is_over() {
            break StopReason::End;
        }
        if usage.output >= output_tokens_max {
            break StopReason::MaxOutput;
        }
        if usage.output >= room {
            break StopReason::ContextFull;
        }
        scores = match llama.read(&[token], &mut attended) {
            Ok(scores) => scores,
            Err(why) => return broke(draft, usage, &why),
        };
    };
    if !matches!(stop, StopReason::Sequence(_)) {
        writer.end(|text| draft.text(text));
    }
    held.end(&mut draft);
    draft.exact_usage(usage);
    draft.stop(stop);
    draft.finish()
}

fn broke(mut draft: Draft, usage: Usage, why: &candle_core::Error) -> Finished {
    draft.exact_usage(usage);
    draft.fail(unavailable("the embedded model broke off", None)).noting(why.to_string())
}

impl Provider for Embedded {
    /// Exact, if the file is there and the prompt is not far too long. The first call reads the vocabulary.
    fn input_tokens_max(&self, request: &Request) -> u64 {
        let bound = count::input_tokens_max(request);
        if bound > PROMPT_MAX_BYTES {
            return bound;
        }
        let exact = self.weights.words().ok().and_then(|words| words.vocabulary.prompt(&held::told(request)).ok());
        exact.map_or(bound, |prompt| prompt.len() as u64)
    }

    fn stream<'a>(
        &'a self,
        permit: &'a Permit,
        request: Request,
        sink: Sink,
        cancelled: CancellationToken,
    ) -> BoxFuture<'a, Finished> {
        self.answer(permit.key(), permit.output_tokens_max(), request, sink, cancelled).boxed()
    }
}

#[cfg(test)]
mod tests;
