//! What an answer is held to, and what it becomes: a text, JSON of a form, or the call of a tool. It chooses no words.

use agentry_abi::bindings::agentry::agent::llm::{Message, OutputForm, Part, Request, Role, ToolChoice};
use agentry_llm::draft::Draft;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::automaton::Automaton;
use super::schema::{NodeId, Schema};

/// The forms that an answer may have.
pub(super) struct Forms {
    schema: Schema,
    /// None if any text is one.
    root: Option<NodeId>,
    /// Whether a text is one as well, unless it begins as an object.
    or_text: bool,
    tools: Vec<String>,
}

/// An answer while it is written.
pub(super) struct Held<'a> {
    forms: &'a Forms,
    automaton: Option<Automaton<'a>>,
    /// What came of it, where it may be a call.
    written: Vec<u8>,
}

/// A call as the model writes it.
#[derive(Deserialize)]
struct Call<'a> {
    name: String,
    #[serde(borrow)]
    arguments: &'a RawValue,
}

impl Forms {
    /// Of the answers to this request.
    ///
    /// # Errors
    /// What a model cannot be held to; a sentence for the guest.
    pub(super) fn of(request: &Request) -> Result<Self, String> {
        let mut schema = Schema::default();
        let mut roots = match &request.output {
            OutputForm::Text => Vec::new(),
            OutputForm::Json => vec![schema.json()],
            OutputForm::Schema(text) => vec![schema.read(text)?],
        };
        let mut or_text = roots.is_empty();
        let mut tools = Vec::new();
        for tool in called(request) {
            let arguments = if tool.schema_json.trim().is_empty() { "{}" } else { &tool.schema_json };
            let arguments = schema.read(arguments).map_err(|why| format!("tool `{}`: {why}", tool.name))?;
            roots.push(schema.call(&tool.name, arguments));
            tools.push(tool.name.clone());
        }
        if matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Named(_)) && !request.tools.is_empty() {
            or_text = false;
            roots.drain(..roots.len() - tools.len());
        }
        let root = match roots.as_slice() {
            [] => None,
            [root] => Some(*root),
            _ => Some(schema.choice(roots)),
        };
        Ok(Self { schema, root, or_text, tools })
    }

    /// Whether any text is an answer, unless it begins as a call.
    pub(super) fn may_be_text(&self) -> bool {
        self.or_text
    }

    /// An answer's beginning.
    pub(super) fn begin(&self) -> Held<'_> {
        Held { forms: self, automaton: self.root.map(|root| Automaton::new(&self.schema, root)), written: Vec::new() }
    }
}

/// The tools that the answer may call.
fn called(request: &Request) -> impl Iterator<Item = &agentry_abi::bindings::agentry::agent::llm::Tool> {
    request.tools.iter().filter(|tool| match &request.tool_choice {
        ToolChoice::Named(name) => tool.name == *name,
        ToolChoice::None => false,
        ToolChoice::Automatic | ToolChoice::Required => true,
    })
}

/// The messages, and what the model is told of the forms that its answer may have.
pub(super) fn told(request: &Request) -> Vec<Message> {
    let mut words = String::new();
    let tools: Vec<_> = called(request).collect();
    if !tools.is_empty() {
        words.push_str("These tools can be called:\n");
        for tool in tools {
            words.push_str(&format!("{}: {} Arguments: {}\n", tool.name, tool.description, tool.schema_json));
        }
        words.push_str(
            "To call one, answer with {\"name\": its name, \"arguments\": its arguments} and nothing else.\n",
        );
    }
    match &request.output {
        OutputForm::Text => {}
        OutputForm::Json => words.push_str("Answer with JSON and nothing else.\n"),
        OutputForm::Schema(schema) => words.push_str(&format!("Answer with JSON of this schema: {schema}\n")),
    }
    let mut messages = request.messages.clone();
    if words.is_empty() {
        return messages;
    }
    let words = Part::Text(words.trim_end().to_owned());
    match messages.first_mut().filter(|first| first.role == Role::System) {
        Some(first) => first.parts.push(words),
        None => messages.insert(0, Message { role: Role::System, parts: vec![words], cache: false }),
    }
    messages
}

impl Held<'_> {
    /// Whether every byte may come.
    pub(super) fn is_free(&self) -> bool {
        self.automaton.is_none()
    }

    /// Whether these bytes may come next.
    pub(super) fn allows(&self, bytes: &[u8]) -> bool {
        let Some(automaton) = &self.automaton else { return true };
        let begins_free = self.forms.or_text && self.written.is_empty() && bytes.first() != Some(&b'{');
        !bytes.is_empty() && (begins_free || automaton.allows(bytes))
    }

    /// Whether the answer may end here.
    pub(super) fn may_end(&self) -> bool {
        let begins_free = self.forms.or_text && self.written.is_empty();
        self.automaton.as_ref().is_none_or(|automaton| begins_free || automaton.may_end())
    }

    /// Whether nothing more may come.
    pub(super) fn is_over(&self) -> bool {
        self.automaton.as_ref().is_some_and(Automaton::is_over)
    }

    /// Takes the bytes that came, which were allowed, and gives back those that can be shown: all of a text, nothing of what may be a call.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(automaton) = &mut self.automaton else { return bytes.to_vec() };
        if self.forms.or_text && self.written.is_empty() && bytes.first() != Some(&b'{') {
            self.automaton = None;
            return bytes.to_vec();
        }
        automaton.push(bytes);
        if self.forms.tools.is_empty() {
            return bytes.to_vec();
        }
        self.written.extend_from_slice(bytes);
        Vec::new()
    }

    /// What was kept back comes out as the call that it is, or as text.
    pub(super) fn end(self, draft: &mut Draft) {
        let written = String::from_utf8_lossy(&self.written);
        let call = serde_json::from_str::<Call<'_>>(&written).ok();
        match call.filter(|call| self.forms.tools.contains(&call.name)) {
            Some(call) => {
                if let Ok(index) = draft.call("", &call.name) {
                    draft.arguments(index, call.arguments.get());
                }
            }
            None => draft.text(&written),
        }
    }
}
