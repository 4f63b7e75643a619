//! Asking models. The types are those of `wit/llm.wit`; what is added here only makes them pleasant to fill in and to read.

use std::borrow::Borrow;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::{Stream, StreamExt};

use crate::bindings::agentry::agent::llm as wit;
use crate::call::Call;
use crate::host;
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
    host::long(|| wit::complete(request.borrow()))
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
    if !host::IS_THERE {
        let end = host::long(|| std::future::ready(Err(host::none().into())));
        return Answer { deltas: Box::pin(futures::stream::empty()), end };
    }
    let (deltas, end) = wit::stream(request.borrow());
    Answer { deltas: Box::pin(deltas.into_stream()), end: Call::new(end) }
}

/// The models that this agent may use, the default one first.
///
/// # Errors
/// `denied` if the agent may use none.
pub fn models() -> Result<Vec<ModelInfo>, Error> {
    host::quick(wit::models)
}

/// One vector a text, all of one length.
///
/// # Errors
/// `unavailable` where the model makes no vectors.
pub fn embed(model: &str, texts: &[String]) -> Call<Vec<Vec<f32>>> {
    host::long(|| wit::embed(model, texts))
}

/// An upper bound of the tokens that this prompt takes, without asking the model.
///
/// # Errors
/// `not-found` if there is no such model.
pub fn count_tokens(request: impl Borrow<Request>) -> Result<u64, Error> {
    host::quick(|| wit::count_tokens(request.borrow()))
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

    /// As [`complete`]; an answer that is not of the form that was asked for is shown to the model once more, with what it lacks. That is a
    /// call of its own: it is decided on, counted and paid like any other.
    ///
    /// ```no_run
    /// # async fn ask() -> Result<(), agentry::Failure> {
    /// use agentry::llm::Request;
    /// let schema = r#"{"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}"#;
    /// let answer = Request::new().user("Where is the Louvre?").schema(schema).complete_or_repair().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`complete`], of the last call.
    pub async fn complete_or_repair(&self) -> Result<Response, Failure> {
        let failure = match self.complete().await {
            Ok(response) => return Ok(response),
            Err(failure) => failure,
        };
        match self.repairing(&failure) {
            Some(again) => again.complete().await,
            None => Err(failure),
        }
    }

    /// The question that shows the model what its answer to this one lacked; none if that is not why it failed.
    #[must_use]
    pub fn repairing(&self, failure: &Failure) -> Option<Self> {
        let answer = failure.partial.as_ref()?;
        let is_whole = matches!(answer.stop, StopReason::End | StopReason::Sequence(_));
        let Error::Unavailable(why) = &failure.why else { return None };
        if matches!(self.output, OutputForm::Text) || !is_whole {
            return None;
        }
        let turn = Message { role: Role::Assistant, parts: answer.parts.clone(), cache: false };
        let words = format!("{}. Answer again, with nothing but JSON of that form.", why.reason);
        Some(self.clone().message(turn).user(words))
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

/// The text without the code block that it stands in, if it does.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    inner.and_then(|inner| inner.split_once('\n')).map_or(text, |(_, inner)| inner.trim())
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

    /// The answer, read as JSON: `let plan: Plan = answer.json()?`. A model that was asked for a schema gives nothing else; what
    /// one without it puts around its JSON as a code block is taken off.
    ///
    /// # Errors
    /// If it is not JSON of this type; the failure names the field, and says if the answer was cut at its longest.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, crate::Failure> {
        let text = self.text();
        let json = unfenced(&text);
        let mut reader = serde_json::Deserializer::from_str(json);
        let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            let place = if path == "." { String::new() } else { format!(", field `{path}`") };
            format!("the model's answer{place}: {}", error.inner())
        });
        let read =
            read.and_then(|read| reader.end().map(|()| read).map_err(|error| format!("the model's answer: {error}")));
        // Where the text is at fault and not what stands in it, a place in it says little.
        let read = read.map_err(|why| match serde_json::from_str::<serde::de::IgnoredAny>(json) {
            Ok(_) => why,
            Err(_) if json.is_empty() => "the model's answer has no text".to_owned(),
            Err(_) => {
                let begins: String = json.chars().take(60).collect();
                format!("the model's answer is not JSON, it begins: {begins:?}; ask with `.schema(…)` or `.json()`")
            }
        });
        read.map_err(|why| match self.stop {
            StopReason::MaxOutput => crate::Failure::new(format!(
                "the model's answer reached max-output, {} tokens, and is cut; ask for more with `max_tokens` ({why})",
                self.usage.output
            )),
            _ => crate::Failure::new(why),
        })
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

impl From<Error> for Failure {
    fn from(why: Error) -> Self {
        Self { why, partial: None }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn answer(text: &str, stop: StopReason) -> Response {
        let usage = Usage { input_fresh: 0, cache_read: 0, cache_write: 0, output: 40, reasoning: 0, estimated: false };
        let cost = crate::types::Cost::default();
        Response { model: "m".into(), parts: vec![Part::Text(text.into())], stop, usage, cost, preemptions: 0 }
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Plan {
        steps: Vec<u32>,
    }

    #[test]
    fn an_answer_is_read_as_json_in_a_code_block_or_without() {
        for text in ["{\"steps\":[1,2]}", " ```json\n{\"steps\": [1, 2]}\n``` "] {
            assert_eq!(answer(text, StopReason::End).json(), Ok(Plan { steps: vec![1, 2] }), "{text}");
        }
    }

    #[test]
    fn an_answer_that_does_not_fit_names_the_field_and_one_that_was_cut_says_so() {
        let wrong = answer("{\"steps\":[1,\"two\"]}", StopReason::End).json::<Plan>().expect_err("it does not fit");
        assert!(wrong.message.starts_with("the model's answer, field `steps[1]`: "), "{wrong}");
        let text = answer("Well, two steps.", StopReason::End).json::<Plan>().expect_err("it is no JSON");
        assert!(text.message.starts_with("the model's answer is not JSON, it begins: \"Well, two"), "{text}");
        let none = answer("", StopReason::End).json::<Plan>().expect_err("it is empty");
        assert_eq!(none.message, "the model's answer has no text");
        let cut = answer("{\"steps\":[1,", StopReason::MaxOutput).json::<Plan>().expect_err("it is cut");
        assert!(cut.message.contains("reached max-output, 40 tokens"), "{cut}");
    }

    #[test]
    fn only_an_answer_of_another_form_is_worth_asking_again() {
        let why = || {
            Error::Unavailable(crate::types::Unavailability { reason: "it is no JSON".into(), retry_after_ms: None })
        };
        let failed = |stop| Failure { why: why(), partial: Some(answer("Bonn", stop)) };
        let request = Request::new().user("Where?").schema("{}");
        let again = request.repairing(&failed(StopReason::End)).expect("the answer was whole");
        assert_eq!(again.messages.len(), 3);
        assert!(matches!(&again.messages[1].parts[..], [Part::Text(text)] if text == "Bonn"));
        let [Part::Text(words)] = &again.messages[2].parts[..] else { panic!("{again:?}") };
        assert!(words.starts_with("it is no JSON. Answer again"), "{words}");
        assert!(
            request.repairing(&failed(StopReason::Cancelled)).is_none(),
            "half an answer is no answer of another form"
        );
        assert!(request.repairing(&Failure { why: why(), partial: None }).is_none());
        assert!(Request::new().user("Where?").repairing(&failed(StopReason::End)).is_none());
    }

    #[test]
    fn without_a_host_a_call_fails_and_nothing_aborts() {
        let at_once = "it is answered at once";
        let failed = ask("Who is there?").now_or_never().expect(at_once).expect_err("nobody answers");
        assert!(failed.why.to_string().contains("no host"), "{failed:?}");
        let mut streamed = stream(Request::new().user("x"));
        assert_eq!(streamed.next().now_or_never().expect(at_once), None);
        assert!(models().is_err());
        crate::log::info("this goes to the terminal");
        assert!(crate::timers::now() > 0);
    }
}
