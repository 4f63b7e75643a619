//! The way to a provider over HTTP: one kept client each, bounded in time and size. It shows nobody the key or the address.

use std::fmt;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::IDEMPOTENCY_KEY;
use agentry_config::secret::Secret;
use bytes::Bytes;
use eventsource_stream::{EventStream, EventStreamError};
use futures::{FutureExt, Stream, StreamExt, stream};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::draft::{Draft, unavailable};
use super::retry::retry_after_ms;
use super::{ANSWER_MAX_BYTES, Finished};
use crate::config::is_loopback;

/// A line of a stream; the longest that providers send are encrypted thoughts.
const LINE_MAX_BYTES: usize = 1024 * 1024;

/// How much of a stream the parser gets at once: it copies the rest of its input for each line.
const PIECE_BYTES: usize = 4096;

/// How much of a provider's complaint is read.
const COMPLAINT_MAX_BYTES: usize = 16 * 1024;

/// How much of a provider's complaint is passed on.
const COMPLAINT_SHOWN_CHARS: usize = 300;

/// How long the end of a finished stream may take, so that its connection can be used again.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// For a connection.
    pub(crate) connect: Duration,
    /// For the next byte, the first included.
    pub(crate) idle: Duration,
}

/// One address that questions are posted to.
pub(super) struct Endpoint {
    client: OnceLock<Result<Client, String>>,
    url: Url,
    headers: HeaderMap,
    patience: Patience,
    /// Why nothing can be asked here: the key is not to be had.
    unset: Option<String>,
    /// Words that no guest may see, in whatever a provider says.
    hidden: Vec<String>,
}

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The caller has had enough.
    Cancelled,
    /// This host lacks what it takes to ask.
    Unset(String),
    /// There was no connection, so nothing was asked.
    Unreached(String),
    /// The provider refused. Refused calls are not billed.
    Refused { status: StatusCode, retry_after_ms: Option<u64>, complaint: Complaint },
    /// The provider failed in the middle of its answer, in its own words.
    Failed { retry: bool, complaint: Complaint },
    /// It did not say a byte for this long.
    Silent(Duration),
    /// The connection broke.
    Broken(String),
    /// What came is no answer.
    Garbage(String),
}

/// What a provider says is wrong.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Complaint {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) message: String,
    n_prompt_tokens: Option<u64>,
    n_ctx: Option<u64>,
}

#[derive(Deserialize)]
struct Wrapped {
    error: serde_json::Value,
}

/// The events of an answer.
pub(super) struct Events {
    stream: Pin<Box<EventStream<Pieces>>>,
}

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Trouble>> + Send>>;

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            Self::Unset(why) | Self::Unreached(why) | Self::Broken(why) | Self::Garbage(why) => f.write_str(why),
            Self::Refused { status, complaint, .. } => write!(f, "{status}: {}", complaint.message),
            Self::Failed { complaint, .. } => f.write_str(&complaint.message),
            Self::Silent(patience) => write!(f, "no byte for {patience:?}"),
        }
    }
}

impl Endpoint {
    /// The address `base` and `path` together, for questions to a provider's `model`.
    pub(super) fn new(base: &str, path: &str, patience: Patience, model: &str) -> Self {
        let url = Url::parse(&format!("{base}{path}")).expect("the configuration's reader has parsed the base");
        let mut hidden = vec![url.to_string(), base.to_owned(), model.to_owned()];
        hidden.extend(url.host_str().map(str::to_owned));
        let mut endpoint =
            Self { client: OnceLock::new(), url, headers: HeaderMap::new(), patience, unset: None, hidden: Vec::new() };
        hidden.into_iter().for_each(|word| endpoint.hide(word));
        endpoint
    }

    /// Shows this key in a header of this name, after the word `before`. Without a key that was to be there nothing is asked.
    pub(super) fn with_key(mut self, name: &'static str, before: &str, key: Result<Option<Secret>, String>) -> Self {
        match key {
            Ok(None) => {}
            Ok(Some(secret)) => {
                let value = HeaderValue::from_str(&format!("{before}{}", secret.reveal()));
                let mut value = value.expect("a secret is visible ASCII, as its reader saw to");
                value.set_sensitive(true);
                self.headers.insert(HeaderName::from_static(name), value);
                self.hide(secret.reveal().to_owned());
            }
            Err(why) => self.unset = Some(why),
        }
        self
    }

    /// Longer words first, so that no half of one stays.
    fn hide(&mut self, word: String) {
        if word.len() >= 3 {
            self.hidden.push(word);
            self.hidden.sort_by_key(|word| std::cmp::Reverse(word.len()));
        }
    }

    /// Sends this along with each question as well.
    pub(super) fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    fn client(&self) -> Result<&Client, Trouble> {
        if let Some(why) = &self.unset {
            return Err(Trouble::Unset(why.clone()));
        }
        let build = || {
            let builder = Client::builder()
                .connect_timeout(self.patience.connect)
                .tcp_nodelay(true)
                .redirect(redirect::Policy::none())
                .referer(false);
            // What runs on this machine is not asked through a proxy.
            let builder = if is_loopback(&self.url) { builder.no_proxy() } else { builder };
            builder.build().map_err(|why| why.to_string())
        };
        self.client.get_or_init(build).as_ref().map_err(|why| Trouble::Unreached(why.clone()))
    }

    /// Posts a question and gives the events of its answer. Under the same key it is the same question.
    pub(super) async fn post(&self, key: &str, body: Vec<u8>, cut: &CancellationToken) -> Result<Events, Trouble> {
        let request = self.client()?.post(self.url.clone()).headers(self.headers.clone());
        let request = request.header("content-type", "application/json").header("accept", "text/event-stream");
        let request = request.header(IDEMPOTENCY_KEY, key);
        let sent = tokio::time::timeout(self.patience.idle, request.body(body).send());
        let response = tokio::select! {
            biased;
            () = cut.cancelled() => return Err(Trouble::Cancelled),
            sent = sent => sent.map_err(|_| Trouble::Silent(self.patience.idle))?,
        };
        let response = response.map_err(|why| {
            let connect = why.is_connect();
            let why = causes(&why.without_url());
            if connect { Trouble::Unreached(why) } else { Trouble::Broken(why) }
        })?;
        if response.status() != StatusCode::OK {
            return Err(tokio::select! {
                biased;
                () = cut.cancelled() => Trouble::Cancelled,
                refused = self.refused(response) => refused,
            });
        }
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return Err(Trouble::Garbage(format!("the answer is `{}` and no event stream", shorten(kind, 60))));
        }
        Ok(Events { stream: Box::pin(EventStream::new(pieces(response, self.patience.idle))) })
    }

    async fn refused(&self, response: Response) -> Trouble {
        let status = response.status();
        let retry_after_ms = retry_after_ms(response.headers(), SystemTime::now());
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        let read = async {
            while let Some(Ok(chunk)) = chunks.next().await {
                body.extend_from_slice(&chunk[..chunk.len().min(COMPLAINT_MAX_BYTES - body.len())]);
                if body.len() == COMPLAINT_MAX_BYTES {
                    break;
                }
            }
        };
        // A complaint that does not come is none; the status says enough.
        let _ = tokio::time::timeout(self.patience.idle.min(Duration::from_secs(10)), read).await;
        Trouble::Refused { status, retry_after_ms, complaint: Complaint::read(&body) }
    }

    /// What came of a call that got into trouble before its answer began.
    pub(super) fn unanswered(&self, trouble: Trouble, draft: Draft) -> Finished {
        match trouble {
            Trouble::Unset(_) | Trouble::Unreached(_) | Trouble::Refused { .. } => {
                let note = self.note(&trouble);
                Finished::unasked(self.error(trouble)).noting(note)
            }
            _ => self.broken(trouble, draft),
        }
    }

    /// What came of a call whose answer broke off.
    pub(super) fn broken(&self, trouble: Trouble, draft: Draft) -> Finished {
        let note = self.note(&trouble);
        draft.fail(self.error(trouble)).noting(note)
    }

    /// For the admin, who knows the address but need not see the key.
    fn note(&self, trouble: &Trouble) -> String {
        shorten(&self.scrub(&trouble.to_string()), COMPLAINT_SHOWN_CHARS)
    }

    /// For the guest.
    fn error(&self, trouble: Trouble) -> Error {
        match trouble {
            Trouble::Cancelled => Error::Cancelled,
            Trouble::Unset(_) => unavailable("the model is not set up on this host", None),
            Trouble::Unreached(_) => unavailable("the model's provider cannot be reached", None),
            Trouble::Silent(_) => unavailable("the model's provider does not answer", None),
            Trouble::Broken(_) => unavailable("the model's answer was cut off", None),
            Trouble::Garbage(_) => unavailable("the model's provider sent something that is no answer", None),
            Trouble::Failed { retry: false, complaint } => Error::Invalid(self.complaint(&complaint)),
            Trouble::Failed { .. } => unavailable("the model's provider broke off its answer", None),
            Trouble::Refused { status, retry_after_ms, complaint } => match status.as_u16() {
                400 | 413 | 422 => Error::Invalid(self.complaint(&complaint)),
                401 | 403 | 404 => unavailable("the model is not set up rightly on this host", None),
                408 | 429 => unavailable("the model's provider takes no more calls now", retry_after_ms),
                500.. => unavailable("the model's provider has a problem", retry_after_ms),
                _ => unavailable("the model's provider sent something that is no answer", None),
            },
        }
    }

    fn complaint(&self, complaint: &Complaint) -> String {
        if let (Some(prompt), Some(window)) = (complaint.n_prompt_tokens, complaint.n_ctx) {
            return format!("the prompt has {prompt} tokens, and the model's window {window}");
        }
        let message = shorten(&self.scrub(&complaint.message), COMPLAINT_SHOWN_CHARS);
        format!("the model's provider refuses the request: {message}")
    }

    fn scrub(&self, text: &str) -> String {
        self.hidden.iter().fold(text.to_owned(), |text, word| text.replace(word, "…"))
    }
}

impl Complaint {
    /// Reads `{"error": {…}}` in the ways of the providers; else the text is the complaint.
    pub(super) fn read(body: &[u8]) -> Self {
        match serde_json::from_slice::<Wrapped>(body) {
            Ok(Wrapped { error }) => Self::of(error),
            Err(_) => Self { message: String::from_utf8_lossy(body).into_owned(), ..Self::default() },
        }
    }

    /// Reads what stands under `error`.
    pub(super) fn of(error: serde_json::Value) -> Self {
        if let serde_json::Value::String(message) = error {
            return Self { message, ..Self::default() };
        }
        let message = error.to_string();
        serde_json::from_value(error).unwrap_or(Self { message, ..Self::default() })
    }
}

impl Events {
    /// The data of the next event; none at the end.
    pub(super) async fn next(&mut self, cut: &CancellationToken) -> Result<Option<String>, Trouble> {
        let event = tokio::select! {
            biased;
            () = cut.cancelled() => return Err(Trouble::Cancelled),
            event = self.stream.next() => event,
        };
        match event {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event.data)),
            Some(Err(EventStreamError::Transport(trouble))) => Err(trouble),
            Some(Err(EventStreamError::Utf8(_))) => Err(Trouble::Garbage("the answer is not UTF-8".to_owned())),
            Some(Err(EventStreamError::Parser(_))) => Err(Trouble::Garbage("the answer is no event stream".to_owned())),
        }
    }

    /// The answer is whole: reads to the end of the stream, so that the connection can be used again.
    pub(super) async fn done(mut self) {
        // The connection's own task mostly has the end at hand.
        tokio::task::yield_now().await;
        if self.stream.next().now_or_never().is_none() {
            tokio::spawn(tokio::time::timeout(DRAIN_MAX, async move { while self.stream.next().await.is_some() {} }));
        }
    }
}

/// The body in small pieces: bounded in all, in the length of a line and in the time between two.
fn pieces(response: Response, idle: Duration) -> Pieces {
    type Body = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;
    struct State {
        body: Body,
        chunk: Bytes,
        all: usize,
        line: usize,
    }
    let state = State { body: Box::pin(response.bytes_stream()), chunk: Bytes::new(), all: 0, line: 0 };
    let next = move |mut state: State| async move {
        if state.chunk.is_empty() {
            match tokio::time::timeout(idle, state.body.next()).await {
                Err(_) => return Some((Err(Trouble::Silent(idle)), state)),
                Ok(None) => return None,
                Ok(Some(Err(why))) => return Some((Err(Trouble::Broken(causes(&why.without_url()))), state)),
                Ok(Some(Ok(chunk))) => state.chunk = chunk,
            }
        }
        let piece = state.chunk.split_to(state.chunk.len().min(PIECE_BYTES));
        state.all += piece.len();
        state.line = match piece.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => piece.len() - at - 1,
            None => state.line + piece.len(),
        };
        if state.all > ANSWER_MAX_BYTES || state.line > LINE_MAX_BYTES {
            return Some((Err(Trouble::Garbage("the answer has no end".to_owned())), state));
        }
        Some((Ok(piece), state))
    };
    Box::pin(stream::unfold(state, next))
}

/// An error and all that caused it, in one line.
fn causes(why: &dyn std::error::Error) -> String {
    let mut text = why.to_string();
    let mut cause = why.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// One line of printable characters, cut.
pub(super) fn shorten(text: &str, chars: usize) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(chars).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
