//! A question to a model as a person reads it: JSON with sorted keys, one message a line, in which nothing but JSON's own escapes moves
//! a cursor or turns text around.
//!
//! What is long is cut, and what is no text is counted: then the message says how many bytes it has and their digest in the journal, which
//! is what a yes is bound to.

use std::fmt::Write as _;

use agentry_abi::bindings::agentry::agent::llm::{
    Class, MediaSource, Message, OutputForm, Part, Request, ResultPart, Role, Tool, ToolChoice,
};
use agentry_kernel::call::Completion;
use agentry_kernel::digest::Digest;
use agentry_kernel::text::deceives;
use agentry_store::content::Content;
use agentry_store::limits::QUESTION_TEXT_MAX_BYTES;
use serde_json::{Map, Value, json};

/// What is shown of each text if there is room for it; halved until all of them fit.
const TEXT_SHOWN_MAX_BYTES: usize = QUESTION_TEXT_MAX_BYTES / 2;
/// Less than this of a text tells nothing.
const TEXT_SHOWN_MIN_BYTES: usize = 64;
/// Room for the title.
const TITLE_MAX_BYTES: usize = 2 * 1024;

/// The question; none if there is too much of it to be read even where each text is cut.
pub(super) fn text(ask: &Completion, contents: &[Content]) -> Option<String> {
    let found = |digest: &Digest| contents.iter().find(|content| content.digest == *digest);
    let mut settings: Request = postcard::from_bytes(&found(&ask.settings)?.bytes).ok()?;
    // The one that is asked, whatever word the guest has for it.
    settings.model.clone_from(&ask.model);
    let messages = ask.messages.iter().map(|digest| {
        let content = found(digest)?;
        Some((content, postcard::from_bytes::<Message>(&content.bytes).ok()?))
    });
    let messages = messages.collect::<Option<Vec<_>>>()?;
    let mut max = TEXT_SHOWN_MAX_BYTES;
    while max >= TEXT_SHOWN_MIN_BYTES {
        let text = written(&settings, &messages, max);
        if text.len() + TITLE_MAX_BYTES <= QUESTION_TEXT_MAX_BYTES {
            return Some(text);
        }
        max /= 2;
    }
    None
}

/// One JSON object: what goes for all of the question, then a line for each message. It stops where nobody would read on.
fn written(settings: &Request, messages: &[(&Content, Message)], max: usize) -> String {
    let mut text = String::from("{\"messages\":[");
    for (place, (content, message)) in messages.iter().enumerate() {
        if text.len() > QUESTION_TEXT_MAX_BYTES {
            break;
        }
        text.push_str(if place == 0 { "\n" } else { ",\n" });
        text.push_str(&escaped(&self::message(content, message, max)));
    }
    let mut rest = escaped(&Value::Object(shared(settings, max)));
    rest.replace_range(..1, ",");
    text.push_str("\n]");
    text.push_str(&rest);
    text
}

fn message(content: &Content, message: &Message, max: usize) -> Value {
    let mut whole = true;
    let parts: Vec<Value> = message.parts.iter().map(|part| self::part(part, max, &mut whole)).collect();
    let mut shown = json!({"role": role(message.role), "parts": parts});
    if !whole {
        shown["not_whole"] = json!({"bytes": content.bytes.len(), "sha256": content.digest.to_string()});
    }
    shown
}

fn part(part: &Part, max: usize, whole: &mut bool) -> Value {
    match part {
        Part::Text(text) => json!({"text": cut(text, max, whole)}),
        Part::Media(media) => self::media(&media.mime, &media.source, max, whole),
        Part::Reasoning(reasoning) => {
            *whole &= reasoning.opaque.is_none();
            json!({"reasoning": reasoning.text.as_deref().map(|text| cut(text, max, whole))})
        }
        Part::ToolCall(call) => json!({"tool_call": {
            "id": cut(&call.id, max, whole),
            "name": cut(&call.name, max, whole),
            "arguments": cut(&call.arguments_json, max, whole),
        }}),
        Part::ToolResult(result) => {
            let mut result_part = |part: &ResultPart| match part {
                ResultPart::Text(text) => json!({"text": cut(text, max, whole)}),
                ResultPart::Json(text) => json!({"json": cut(text, max, whole)}),
                ResultPart::Media(media) => self::media(&media.mime, &media.source, max, whole),
            };
            let parts: Vec<Value> = result.parts.iter().map(&mut result_part).collect();
            json!({"tool_result": {"call": cut(&result.call_id, max, whole), "failed": result.failed, "parts": parts}})
        }
    }
}

fn media(mime: &str, source: &MediaSource, max: usize, whole: &mut bool) -> Value {
    let source = match source {
        MediaSource::Bytes(bytes) => {
            *whole = false;
            json!(format!("{} bytes", bytes.len()))
        }
        MediaSource::Url(url) => cut(url, max, whole),
    };
    json!({"media": cut(mime, max, whole), "source": source})
}

/// All of the request but its messages; what was left to the model's own choice is left out.
fn shared(request: &Request, max: usize) -> Map<String, Value> {
    let whole = &mut true;
    let mut shared = Map::new();
    let mut set = |key: &str, value: Value| {
        if !value.is_null() {
            shared.insert(key.to_owned(), value);
        }
    };
    set("model", cut(&request.model, max, whole));
    set("max_output_tokens", json!(request.max_output_tokens));
    set("max_cost_microusd", json!(request.max_cost_microusd));
    set("temperature", json!(request.temperature));
    set("top_p", json!(request.top_p));
    set("seed", json!(request.seed));
    set("deadline_ms", json!(request.deadline_ms));
    set("class", json!(class(request.class)));
    if !request.stop.is_empty() {
        set("stop", request.stop.iter().map(|stop| cut(stop, max, whole)).collect());
    }
    if !request.tools.is_empty() {
        set("tools", request.tools.iter().map(|tool| self::tool(tool, max, whole)).collect());
        let choice = match &request.tool_choice {
            ToolChoice::Automatic => json!("automatic"),
            ToolChoice::None => json!("none"),
            ToolChoice::Required => json!("required"),
            ToolChoice::Named(name) => json!({"named": cut(name, max, whole)}),
        };
        set("tool_choice", choice);
    }
    match &request.output {
        OutputForm::Text => {}
        OutputForm::Json => set("output", json!("json")),
        OutputForm::Schema(schema) => set("output", json!({"schema": cut(schema, max, whole)})),
    }
    shared
}

fn tool(tool: &Tool, max: usize, whole: &mut bool) -> Value {
    json!({
        "name": cut(&tool.name, max, whole),
        "description": cut(&tool.description, max, whole),
        "schema": cut(&tool.schema_json, max, whole),
    })
}

fn class(class: Class) -> &'static str {
    match class {
        Class::System => "system",
        Class::Interactive => "interactive",
        Class::Normal => "normal",
        Class::Batch => "batch",
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

/// The text, or its beginning with a note of how much there is.
fn cut(text: &str, max: usize, whole: &mut bool) -> Value {
    if text.len() <= max {
        return json!(text);
    }
    *whole = false;
    let shown = &text[..text.floor_char_boundary(max)];
    json!({"begins": shown, "cut": format!("{} of {} bytes are shown", shown.len(), text.len())})
}

/// JSON with an escape for every character that could lie about it.
fn escaped(value: &Value) -> String {
    let json = value.to_string();
    let mut text = String::with_capacity(json.len());
    for char in json.chars() {
        if deceives(char) {
            for unit in char.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(char);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use agentry_abi::bindings::agentry::agent::llm;
    use agentry_kernel::call;

    use super::*;

    fn request() -> Request {
        Request {
            model: "small".to_owned(),
            messages: Vec::new(),
            tools: Vec::new(),
            tool_choice: ToolChoice::Automatic,
            output: OutputForm::Text,
            stop: Vec::new(),
            max_output_tokens: Some(40),
            temperature: None,
            top_p: None,
            seed: None,
            effort: None,
            class: Class::Normal,
            privacy: llm::Privacy::Any,
            deadline_ms: None,
            max_cost_microusd: None,
        }
    }

    fn said(role: Role, parts: Vec<Part>) -> Message {
        Message { role, parts, cache: false }
    }

    fn shown(request: &Request, messages: &[Message]) -> Option<String> {
        let content = |bytes: Result<Vec<u8>, postcard::Error>| Content::of(bytes.unwrap());
        let mut contents: Vec<_> = messages.iter().map(|message| content(postcard::to_allocvec(message))).collect();
        let named = contents.iter().map(|content| content.digest).collect();
        contents.push(content(postcard::to_allocvec(request)));
        let ask = Completion {
            model: request.model.clone(),
            messages: named,
            settings: contents.last().unwrap().digest,
            input_tokens_max: 1,
            output_tokens_max: None,
            class: call::Class::Normal,
            local_only: false,
            microusd_max: None,
        };
        text(&ask, &contents)
    }

    #[test]
    fn each_message_is_a_line_with_its_role_and_its_words() {
        let messages = [
            said(Role::System, vec![Part::Text("Sell \"cars\".".to_owned())]),
            said(Role::User, vec![Part::Text("the\nblue one\u{202e}\u{1b}[2J".to_owned())]),
        ];
        let text = shown(&request(), &messages).unwrap();
        expect_test::expect![[r#"
            {"messages":[
            {"parts":[{"text":"Sell \"cars\"."}],"role":"system"},
            {"parts":[{"text":"the\nblue one\u202e\u001b[2J"}],"role":"user"}
            ],"class":"normal","max_output_tokens":40,"model":"small"}"#]]
        .assert_eq(&text);
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["messages"][1]["parts"][0]["text"], "the\nblue one\u{202e}\u{1b}[2J");
    }

    #[test]
    fn a_long_text_and_a_picture_are_not_whole_and_say_so_with_their_digest() {
        let picture = llm::Media { mime: "image/png".to_owned(), source: MediaSource::Bytes(vec![0xff; 9]) };
        let long = said(Role::User, vec![Part::Text("ä".repeat(QUESTION_TEXT_MAX_BYTES)), Part::Media(picture)]);
        let digest = Content::of(postcard::to_allocvec(&long).unwrap()).digest.to_string();
        let text = shown(&request(), &[long]).unwrap();
        assert!(text.len() <= QUESTION_TEXT_MAX_BYTES);
        let json: Value = serde_json::from_str(&text).unwrap();
        let message = &json["messages"][0];
        let cut = format!("{TEXT_SHOWN_MAX_BYTES} of {} bytes are shown", 2 * QUESTION_TEXT_MAX_BYTES);
        assert_eq!(
            (&message["parts"][0]["text"]["cut"], &message["not_whole"]["sha256"]),
            (&json!(cut), &json!(digest))
        );
        assert_eq!(message["parts"][1], json!({"media": "image/png", "source": "9 bytes"}));
    }

    #[test]
    fn what_nobody_could_read_to_its_end_is_not_shown() {
        let many = vec![said(Role::User, vec![Part::Text("x".repeat(70))]); 1000];
        assert_eq!(shown(&request(), &many), None);
    }
}
