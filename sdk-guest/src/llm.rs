//! Asking models. The types are those of `wit/llm.wit`; what is added here only makes them pleasant to fill in and to read.

use std::borrow::Borrow;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::{Stream, StreamExt};

use crate::bindings::agentry::agent::llm as wit;
use crate::call::Call;
use crate::types::Error;

pub use wit::{
    CallFragment, CallStart, Class, Delta, Effort, Failure, Media, MediaSource, Message, ModelInfo, OutputForm, Part,
    Privacy, Reasoning, Request, Response, ResultPart, Role, StopReason, Tool, ToolCall, ToolChoice, ToolResult, Usage,
};

/// The alias of the model that the admin chose.
pub const DEFAULT_MODEL: &str = "default";

/// Asks the default model one question and gives the text of its answer.
///
/// ```no_run
/// # async fn ask() -> Result<(), agentry::Failure> {
/// let answer = agentry::llm::ask("What is the capital of France? One word.").await?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// As [`complete`].
pub async fn ask(prompt: impl Into<String>) -> Result<String, Failure> {
    Ok(complete(Request::new().user(prompt)).await?.text())
}

/// Asks and waits for the whole answer.
///
/// ```no_run
/// # async fn ask() -> Result<(), agentry::Failure> {
/// use agentry::llm::{self, Request};
/// let (one, two) = agentry::futures::try_join!(
///     llm::complete(Request::new().user("A word for red?")),
///     llm::complete(Request::new().user("A word for blue?")),
/// )?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// Why the model did not answer, with what it had said by then.
pub fn complete(request: impl Borrow<Request>) -> Call<Response, Failure> {
    Call::new(wit::complete(request.borrow()))
}

/// Asks and takes tokens as they come.
///
/// ```no_run
/// # async fn ask() -> Result<(), agentry::Failure> {
/// use agentry::llm::{self, Delta, Request};
/// let mut answer = llm::stream(Request::new().user("Count to ten."));
/// while let Some(delta) = answer.next().await {
///     if let Delta::Text(text) = delta {
///         agentry::log::debug(text);
///     }
/// }
/// let response = answer.finish().await?;
/// # Ok(()) }
/// ```
pub fn stream(request: impl Borrow<Request>) -> Answer {
    let (deltas, end) = wit::stream(request.borrow());
    Answer { deltas: Box::pin(deltas.into_stream()), end: Call::new(end) }
}

/// The models that this agent may use, the default one first.
///
/// # Errors
/// `denied` if the agent may use none.
pub fn models() -> Result<Vec<ModelInfo>, Error> {
    wit::models()
}

/// One vector a text, all of one length.
///
/// # Errors
/// `unavailable` where the model makes no vectors.
pub fn embed(model: &str, texts: &[String]) -> Call<Vec<Vec<f32>>> {
    Call::new(wit::embed(model, texts))
}

/// An upper bound of the tokens that this prompt takes, without asking the model.
///
/// # Errors
/// `not-found` if there is no such model.
pub fn count_tokens(request: impl Borrow<Request>) -> Result<u64, Error> {
    wit::count_tokens(request.borrow())
}

/// An answer that is being written: a stream of [`Delta`], and the whole at its end. Dropping it cancels the call.
#[must_use = "dropping an answer cancels the call"]
pub struct Answer {
    deltas: Pin<Box<dyn Stream<Item = Delta>>>,
    end: Call<Response, Failure>,
}

impl Answer {
    /// The next piece; none when the model has stopped, for whatever reason.
    pub async fn next(&mut self) -> Option<Delta> {
        self.deltas.next().await
    }

    /// Waits for the whole answer; pieces that were not taken are in it too.
    ///
    /// # Errors
    /// Why the model did not finish, with what it had said by then.
    pub async fn finish(self) -> Result<Response, Failure> {
        drop(self.deltas);
        self.end.await
    }
}

impl Stream for Answer {
    type Item = Delta;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delta>> {
        self.deltas.as_mut().poll_next(context)
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

impl Default for Request {
    fn default() -> Self {
        Self {
            model: DEFAULT_MODEL.into(),
            messages: Vec::new(),
            tools: Vec::new(),
            tool_choice: ToolChoice::Automatic,
            output: OutputForm::Text,
            max_output_tokens: None,
            temperature: None,
            top_p: None,
            seed: None,
            stop: Vec::new(),
            effort: None,
            class: Class::Normal,
            privacy: Privacy::Any,
            deadline_ms: None,
            max_cost_microusd: None,
        }
    }
}

impl Request {
    /// An empty question to the default model.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the model of this alias.
    #[must_use]
    pub fn model(mut self, alias: impl Into<String>) -> Self {
        self.model = alias.into();
        self
    }

    /// Adds what the model is told about its task.
    #[must_use]
    pub fn system(self, text: impl Into<String>) -> Self {
        self.message(Message::new(Role::System, text))
    }

    /// Adds what a person says.
    #[must_use]
    pub fn user(self, text: impl Into<String>) -> Self {
        self.message(Message::new(Role::User, text))
    }

    /// Adds what the model said, or what its answer is to begin with.
    #[must_use]
    pub fn assistant(self, text: impl Into<String>) -> Self {
        self.message(Message::new(Role::Assistant, text))
    }

    /// Adds a turn.
    #[must_use]
    pub fn message(mut self, message: Message) -> Self {
        self.messages.push(message);
        self
    }

    /// Lets the model ask for this tool.
    #[must_use]
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// The longest answer, in tokens.
    #[must_use]
    pub const fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_output_tokens = Some(tokens);
        self
    }

    /// 0.0 for the likeliest word, up to 2.0.
    #[must_use]
    pub const fn temperature(mut self, temperature: f32) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// Ends the answer where this text would come.
    #[must_use]
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.stop.push(text.into());
        self
    }

    /// Says who waits for the answer; [`Class::Batch`] if nobody does.
    #[must_use]
    pub const fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// Asks for any JSON.
    #[must_use]
    pub fn json(mut self) -> Self {
        self.output = OutputForm::Json;
        self
    }

    /// Asks for JSON of this JSON Schema.
    #[must_use]
    pub fn schema(mut self, schema_json: impl Into<String>) -> Self {
        self.output = OutputForm::Schema(schema_json.into());
        self
    }

    /// As [`complete`].
    ///
    /// # Errors
    /// As [`complete`].
    pub fn complete(&self) -> Call<Response, Failure> {
        complete(self)
    }

    /// As [`stream()`].
    pub fn stream(&self) -> Answer {
        stream(self)
    }
}

impl Message {
    /// A turn of plain text.
    #[must_use]
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self { role, parts: vec![Part::Text(text.into())], cache: false }
    }
}

impl Response {
    /// The text of the answer, without thoughts and tool calls.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// What the model asks of tools.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.parts.iter().filter_map(|part| match part {
            Part::ToolCall(call) => Some(call),
            _ => None,
        })
    }

    /// The turn to add to the conversation before the next question.
    #[must_use]
    pub fn into_message(self) -> Message {
        Message { role: Role::Assistant, parts: self.parts, cache: false }
    }
}
