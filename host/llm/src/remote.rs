//! A model behind somebody's server: one way from a question to its answer, whatever words its interface uses. It decides nothing.
//!
//! A dialect is one file (or two: what is asked, what is answered) that knows the words of one interface. All else is here, once:
//! sending, reading, when an answer is whole, what becomes of it if it breaks off.

use std::sync::Arc;
use std::time::Duration;

use agentry_kernel::Permit;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::Request as HttpRequest;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::adapt::{AGAIN_MAX, Lesson};
use super::draft::{Draft, unavailable};
use super::embeddings::Embeddings;
use super::frames::Frames;
use super::http::{Endpoint, Incoming};
use super::sse::Event;
use super::target::Target;
use super::trouble::{Complaint, Trouble, TroubleKind};
use super::{Embedded, Finished, Provider, Sink, count, form, loose, retry};
use agentry_abi::bindings::agentry::agent::llm::{Failure, OutputForm, Request};
use agentry_abi::bindings::agentry::agent::types::Error;

/// How long an answer that is whole and counted waits for its last word, so that its connection can be used again.
const LAST_WORD_MAX: Duration = Duration::from_secs(1);

/// How long an answer that is whole waits to be counted.
const COUNT_MAX: Duration = Duration::from_secs(3);

/// The words of one interface.
pub(crate) trait Dialect: Send + Sync + 'static {
    /// Reads the events of one answer.
    type Answer: Answer;

    /// The model that it asks.
    fn target(&self) -> &Target;

    /// What is posted, for an answer of at most so many tokens.
    ///
    /// # Errors
    /// What in the request this interface cannot be told; a sentence for the guest.
    fn body(&self, request: &Request, output_tokens_max: u64) -> Result<Vec<u8>, String>;

    /// Changes what is posted just before it leaves, for example to sign it.
    ///
    /// # Errors
    /// What this host lacks for it; a sentence for the admin.
    fn sign(&self, _question: &mut HttpRequest) -> Result<(), String> {
        Ok(())
    }

    /// A reader for the answer to one question.
    fn answer(&self) -> Self::Answer;
}

/// Reads the events of one answer, in order. It is given no complaints and no `[DONE]`: these are the same everywhere.
pub(crate) trait Answer: Send {
    /// Puts one event into the draft.
    ///
    /// # Errors
    /// If it is no part of an answer, or says that there will be none.
    fn take(&mut self, event: &Event, draft: &mut Draft) -> Result<Heard, Trouble>;

    /// No more events will come; puts what it kept back into the draft.
    ///
    /// # Errors
    /// If something came that is no part of an answer after all.
    fn end(&mut self, _draft: &mut Draft) -> Result<(), Trouble> {
        Ok(())
    }
}

/// What an event was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A piece; more may come.
    More,
    /// The last word.
    Last,
}

/// A model that is asked in some dialect.
pub(crate) struct Remote<D> {
    endpoint: Endpoint,
    dialect: D,
    /// How it is asked for vectors, if its interface has them.
    embeddings: Option<Embeddings>,
}

impl<D: Dialect> Remote<D> {
    /// The model behind this endpoint.
    pub(crate) fn new(endpoint: Endpoint, dialect: D) -> Self {
        Self { endpoint, dialect, embeddings: None }
    }

    /// The same, which makes vectors as well.
    pub(super) fn with_embeddings(self, embeddings: Embeddings) -> Self {
        Self { embeddings: Some(embeddings), ..self }
    }

    /// As all who ask it see it.
    pub(super) fn shared(self) -> Arc<dyn Provider> {
        Arc::new(self)
    }

    async fn ask(&self, permit: &Permit, request: Request, sink: Sink, cut: CancellationToken) -> Finished {
        let output_tokens_max = permit.output_tokens_max();
        let key = permit.key();
        let input_tokens_max = self.input_tokens_max(&request);
        let target = self.dialect.target();
        let mut draft = Draft::new(sink, &target.origin, &key, (input_tokens_max, output_tokens_max))
            .scrubbed(self.endpoint.scrub());
        let mut body = match self.dialect.body(&request, output_tokens_max) {
            Ok(body) => Bytes::from(body),
            Err(why) => return Finished::unasked(Error::Invalid(why)),
        };
        let form = request.output.clone();
        let sign = |question: &mut HttpRequest| self.dialect.sign(question);
        let (mut asked, mut lessons) = (0, Vec::new());
        loop {
            let mut answer = self.dialect.answer();
            // What is asked again in other words is another question.
            let key = if lessons.is_empty() { key.clone() } else { format!("{key}-{}", lessons.len()) };
            let heard = match self.endpoint.post(&key, body.clone(), &sign, &cut).await {
                Ok(incoming) => read(incoming, &mut answer, &mut draft, &cut).await,
                Err(trouble) => Err(trouble),
            };
            if let Err(Trouble::Refused { status, complaint, .. }) = &heard
                && lessons.len() < AGAIN_MAX
                && draft.is_untouched()
                && complaint.kind(Some(*status)) == TroubleKind::Invalid
                && let Some(lesson) = target.known.learn(complaint.said(), &body)
                && let Ok(again) = self.dialect.body(&request, output_tokens_max)
            {
                (body, lessons) = (Bytes::from(again), [lessons, vec![lesson]].concat());
                continue;
            }
            asked += 1;
            let pause = match heard {
                Err(ref trouble) if asked <= permit.retries() && draft.is_untouched() => retry::pause(asked, trouble),
                _ => None,
            };
            if !waited(pause, &cut).await {
                return left_out(&lessons, self.conclude(heard, answer, draft, &form)).asked(asked);
            }
        }
    }

    /// What becomes of an answer that has ended in this way.
    fn conclude(
        &self,
        heard: Result<Heard, Trouble>,
        mut answer: D::Answer,
        mut draft: Draft,
        form: &OutputForm,
    ) -> Finished {
        let heard = match answer.end(&mut draft) {
            // What lacks something at the end was never whole, whatever the last word was.
            Err(lacking) if heard.is_ok() || draft.has_stopped() => return self.endpoint.unanswered(lacking, draft),
            Ok(()) | Err(_) => heard,
        };
        let finished = match heard {
            Ok(Heard::Last | Heard::More) => draft.finish(),
            Err(Trouble::Cancelled) if draft.has_stopped() => draft.finish(),
            // The answer is whole: what broke behind it is for the admin alone.
            Err(trouble) if draft.has_stopped() => {
                let note = format!("after the answer: {}", self.endpoint.note(&trouble));
                draft.finish().noting(note)
            }
            Err(trouble) => self.endpoint.unanswered(trouble, draft),
        };
        in_form(form, finished)
    }

    /// What becomes of an answer whose bytes come in these pieces and then end: the way of every answer, without the network.
    pub(crate) fn read_pieces(&self, pieces: &[&[u8]], draft: Draft) -> Finished {
        let (mut frames, mut answer) = (Frames::new("", ""), self.dialect.answer());
        let mut draft = draft.scrubbed(self.endpoint.scrub());
        let mut heard = Ok(Heard::More);
        let mut end = None;
        for piece in pieces.iter().map(Some).chain([None]) {
            let fed = match piece {
                Some(piece) => frames.feed(piece),
                None => frames.end(),
            };
            while matches!(heard, Ok(Heard::More))
                && let Some(event) = frames.pop()
            {
                heard = take(&event, &mut answer, &mut draft);
            }
            if fed.is_err() {
                end = fed.err();
                break;
            }
        }
        if matches!(heard, Ok(Heard::More)) {
            heard = end.map_or(heard, Err);
        }
        self.conclude(heard, answer, draft, &OutputForm::Text)
    }
}

/// Tells the admin what was left out so that the model takes the rest.
fn left_out(lessons: &[Lesson], finished: Finished) -> Finished {
    if lessons.is_empty() {
        return finished;
    }
    let names = lessons.iter().map(Lesson::to_string).collect::<Vec<_>>().join(", ");
    let note = finished.note.as_ref().map_or_else(String::new, |note| format!("; {note}"));
    finished.noting(format!("the model does not take {names}: asked again without{note}"))
}

/// False if there is nothing to wait for, or whoever waits has gone.
async fn waited(pause: Option<Duration>, cut: &CancellationToken) -> bool {
    let Some(pause) = pause else { return false };
    tokio::select! {
        biased;
        () = cut.cancelled() => false,
        () = tokio::time::sleep(pause) => true,
    }
}

/// Some servers take a form and pass it over. Whoever asked for one is not told that this is it.
fn in_form(form: &OutputForm, mut finished: Finished) -> Finished {
    if let Ok(response) = &finished.result
        && let Some(lack) = form::lacks(form, response)
    {
        let why = format!("the model's answer is not of the form that was asked for: {lack}");
        let partial = finished.result.ok();
        finished.result = Err(Failure { why: unavailable(&why, None), partial });
        return finished.noting(why);
    }
    finished
}

/// Reads to the last word. A stream that ends without one was cut, which the draft knows.
async fn read(
    mut incoming: Incoming,
    answer: &mut impl Answer,
    draft: &mut Draft,
    cut: &CancellationToken,
) -> Result<Heard, Trouble> {
    let mut latest: Option<Instant> = None;
    let mut instead = None;
    while let Some(event) = incoming.next(cut, latest).await? {
        let bytes = draft.bytes();
        match take(&event, answer, draft) {
            Ok(Heard::More) => {}
            Ok(Heard::Last) => {
                incoming.done().await;
                return Ok(Heard::Last);
            }
            Err(Trouble::Failed(complaint)) if draft.is_untouched() => return Err(incoming.refused(*complaint)),
            Err(trouble) => return Err(trouble),
        }
        if instead.is_none() && draft.is_untouched() {
            instead = Complaint::instead(&event);
        }
        if draft.has_stopped() {
            let until = Instant::now() + if draft.is_counted() { LAST_WORD_MAX } else { COUNT_MAX };
            // Whoever goes on beating says nothing new, and is not waited for longer.
            latest = Some(latest.filter(|_| draft.bytes() == bytes).map_or(until, |latest| until.min(latest)));
        }
    }
    match instead.filter(|_| draft.is_untouched() && !draft.has_stopped()) {
        Some(complaint) => Err(incoming.refused(complaint)),
        None => Ok(Heard::More),
    }
}

/// Puts an event into the draft, if it is not one of those that are the same everywhere.
fn take(event: &Event, answer: &mut impl Answer, draft: &mut Draft) -> Result<Heard, Trouble> {
    if event.data.trim().trim_matches('"').eq_ignore_ascii_case("[DONE]") {
        answer.end(draft)?;
        draft.done();
        return Ok(Heard::Last);
    }
    if is_beat(event) {
        return Ok(Heard::More);
    }
    if let Some(complaint) = Complaint::in_event(event) {
        return Err(Trouble::Failed(Box::new(complaint)));
    }
    match answer.take(event, draft) {
        Err(Trouble::Garbage(why)) => match loose::repaired(&event.data, &why) {
            Some(data) => answer.take(&Event { name: event.name.clone(), data }, draft),
            None => Err(Trouble::Garbage(why)),
        },
        heard => heard,
    }
}

/// Names of events that only keep a connection open.
const BEATS: [&str; 5] = ["ping", "heartbeat", "keepalive", "keep-alive", "keep_alive"];

/// Whether an event says nothing: it is called so, or it is a bare value in which there is no place for words.
fn is_beat(event: &Event) -> bool {
    let is_one = |word: &str| BEATS.iter().any(|beat| word.eq_ignore_ascii_case(beat));
    let data = event.data.trim();
    if is_one(&event.name) || is_one(data) {
        return true;
    }
    // Nearly every event is an object, and read once.
    if data.starts_with('{') {
        return false;
    }
    match serde_json::from_str::<Value>(data) {
        Ok(Value::Null | Value::Bool(_) | Value::Number(_)) => true,
        Ok(Value::String(text)) => text.is_empty() || is_one(&text),
        Ok(Value::Array(_) | Value::Object(_)) | Err(_) => false,
    }
}

impl<D: Dialect> Provider for Remote<D> {
    fn input_tokens_max(&self, request: &Request) -> u64 {
        count::input_tokens_max(request)
    }

    fn stream<'a>(
        &'a self,
        permit: &'a Permit,
        request: Request,
        sink: Sink,
        cancelled: CancellationToken,
    ) -> BoxFuture<'a, Finished> {
        self.ask(permit, request, sink, cancelled).boxed()
    }

    fn embed<'a>(
        &'a self,
        permit: &'a Permit,
        texts: Vec<String>,
        cancelled: CancellationToken,
    ) -> BoxFuture<'a, Embedded> {
        match &self.embeddings {
            Some(embeddings) => async move { embeddings.ask(&permit.key(), &texts, &cancelled).await }.boxed(),
            None => std::future::ready(Embedded::none()).boxed(),
        }
    }
}
