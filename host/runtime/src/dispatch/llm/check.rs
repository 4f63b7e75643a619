//! Whether a request to a model makes sense, before anything is held for it. What providers differ in is theirs to check.

use agentry_abi::bindings::agentry::agent::llm::{
    Media, MediaSource, Message, OutputForm, Part, Request, ResultPart, Role, Tool, ToolChoice, ToolResult,
};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::fault::invalid;
use agentry_kernel::json;
use agentry_store::limits::{
    LLM_MESSAGES_MAX, LLM_PARTS_MAX, LLM_REQUEST_MAX_BYTES, LLM_STOP_MAX_BYTES, LLM_STOPS_MAX, LLM_TEXTS_MAX,
    LLM_TOOL_NAME_MAX_BYTES, LLM_TOOLS_MAX, SLEEP_MAX_MS,
};

/// The size of a request that makes sense.
pub(super) fn request(request: &Request) -> Result<usize, Error> {
    at_most("messages", request.messages.len(), LLM_MESSAGES_MAX)?;
    at_most("tools", request.tools.len(), LLM_TOOLS_MAX)?;
    at_most("stop", request.stop.len(), LLM_STOPS_MAX)?;
    if request.messages.is_empty() {
        return Err(invalid("messages is empty"));
    }
    within("temperature", request.temperature, 2.0)?;
    within("top-p", request.top_p, 1.0)?;
    if request.max_output_tokens == Some(0) {
        return Err(invalid("max-output-tokens is 0"));
    }
    if request.deadline_ms.is_some_and(|ms| ms > SLEEP_MAX_MS) {
        return Err(invalid(format!("deadline-ms is over {SLEEP_MAX_MS}")));
    }
    let mut bytes = request.model.len();
    for text in &request.stop {
        if text.is_empty() || text.len() > LLM_STOP_MAX_BYTES {
            return Err(invalid(format!("a text of stop has 1 to {LLM_STOP_MAX_BYTES} bytes")));
        }
        bytes += text.len();
    }
    for (index, one) in request.messages.iter().enumerate() {
        bytes += message(one).map_err(|why| invalid(format!("message {index}: {why}")))?;
    }
    for tool in &request.tools {
        bytes += self::tool(tool)?;
    }
    if let OutputForm::Schema(schema) = &request.output {
        json_object("the output schema", schema)?;
        bytes += schema.len();
    }
    if let ToolChoice::Named(name) = &request.tool_choice
        && !request.tools.iter().any(|tool| tool.name == *name)
    {
        return Err(invalid(format!("tool-choice names `{name}`, which is not among tools")));
    }
    at_most("bytes of the request", bytes, LLM_REQUEST_MAX_BYTES)?;
    Ok(bytes)
}

/// The size of texts that vectors can be asked for.
pub(super) fn texts(texts: &[String]) -> Result<usize, Error> {
    at_most("texts", texts.len(), LLM_TEXTS_MAX)?;
    if texts.is_empty() || texts.iter().any(String::is_empty) {
        return Err(invalid("a text is empty, or there is none"));
    }
    let bytes = texts.iter().fold(0_usize, |sum, text| sum.saturating_add(text.len()));
    at_most("bytes of the request", bytes, LLM_REQUEST_MAX_BYTES)?;
    Ok(bytes)
}

fn at_most(what: &str, number: usize, max: usize) -> Result<(), Error> {
    if number > max {
        return Err(invalid(format!("{what}: {number} is over {max}")));
    }
    Ok(())
}

fn within(what: &str, value: Option<f32>, max: f32) -> Result<(), Error> {
    match value {
        // Not a number is in no range.
        Some(value) if !(0.0..=max).contains(&value) => Err(invalid(format!("{what} is not from 0.0 to {max:.1}"))),
        _ => Ok(()),
    }
}

fn message(message: &Message) -> Result<usize, String> {
    if message.parts.is_empty() {
        return Err("it has no parts".to_owned());
    }
    if message.parts.len() > LLM_PARTS_MAX {
        return Err(format!("it has over {LLM_PARTS_MAX} parts"));
    }
    let mut bytes = 0;
    for part in &message.parts {
        bytes += match (part, message.role) {
            (Part::Text(text), _) => text.len(),
            (Part::Media(media), Role::User | Role::Tool | Role::Assistant) => self::media(media)?,
            (Part::Reasoning(reasoning), Role::Assistant) => {
                reasoning.text.as_ref().map_or(0, String::len)
                    + reasoning.opaque.as_ref().map_or(0, Vec::len)
                    + reasoning.origin.len()
            }
            // Arguments are what a model wrote, which may be no JSON; whoever sends them back need not mend them.
            (Part::ToolCall(call), Role::Assistant) => call.id.len() + call.name.len() + call.arguments_json.len(),
            (Part::ToolResult(result), Role::Tool | Role::User) => tool_result(result)?,
            (part, role) => return Err(format!("{} does not speak in {}", speaker(role), name(part))),
        };
    }
    Ok(bytes)
}

fn speaker(role: Role) -> &'static str {
    match role {
        Role::System => "the system",
        Role::User => "a user",
        Role::Assistant => "an assistant",
        Role::Tool => "a tool",
    }
}

fn name(part: &Part) -> &'static str {
    match part {
        Part::Text(_) => "text",
        Part::Media(_) => "media",
        Part::Reasoning(_) => "reasoning",
        Part::ToolCall(_) => "tool calls",
        Part::ToolResult(_) => "tool results",
    }
}

fn media(media: &Media) -> Result<usize, String> {
    let well_formed = media.mime.len() <= 128
        && media.mime.split_once('/').is_some_and(|(kind, name)| {
            let token = |text: &str| {
                !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b'"')
            };
            token(kind) && token(name)
        });
    if !well_formed {
        return Err("its media has no type such as `image/png`".to_owned());
    }
    Ok(media.mime.len()
        + match &media.source {
            MediaSource::Bytes(bytes) => bytes.len(),
            MediaSource::Url(url) => url.len(),
        })
}

fn tool_result(result: &ToolResult) -> Result<usize, String> {
    if result.call_id.is_empty() {
        return Err("a tool result has no call-id".to_owned());
    }
    if result.parts.len() > LLM_PARTS_MAX {
        return Err(format!("a tool result has over {LLM_PARTS_MAX} parts"));
    }
    let mut bytes = result.call_id.len();
    for part in &result.parts {
        bytes += match part {
            ResultPart::Text(text) => text.len(),
            ResultPart::Json(text) => {
                if json::check(text).is_err() {
                    return Err(format!("the result of `{}` is not the JSON that it says", shown(&result.call_id)));
                }
                text.len()
            }
            ResultPart::Media(media) => self::media(media)?,
        };
    }
    Ok(bytes)
}

fn tool(tool: &Tool) -> Result<usize, Error> {
    let letters = tool.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if tool.name.is_empty() || tool.name.len() > LLM_TOOL_NAME_MAX_BYTES || !letters {
        let name = shown(&tool.name);
        return Err(invalid(format!(
            "the tool name `{name}` is not 1 to {LLM_TOOL_NAME_MAX_BYTES} letters, digits, `_`, `-` and `.`"
        )));
    }
    json_object(&format!("the schema of tool `{}`", tool.name), &tool.schema_json)?;
    Ok(tool.name.len() + tool.description.len() + tool.schema_json.len())
}

fn json_object(what: &str, text: &str) -> Result<(), Error> {
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(invalid(format!("{what} is not a JSON object: {error}"))),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(LLM_TOOL_NAME_MAX_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use agentry_abi::bindings::agentry::agent::llm::{Class, Privacy, ToolCall};

    use super::*;

    fn question() -> Request {
        let parts = vec![Part::Text("why?".to_owned())];
        Request {
            model: "default".to_owned(),
            messages: vec![Message { role: Role::User, parts, cache: false }],
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

    #[track_caller]
    fn check_invalid(change: impl FnOnce(&mut Request), part: &str) {
        let mut changed = question();
        change(&mut changed);
        match request(&changed) {
            Err(Error::Invalid(text)) => assert!(text.contains(part), "{text}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_question_makes_sense() {
        assert_eq!(request(&question()), Ok("default".len() + "why?".len()));
    }

    #[test]
    fn what_makes_no_sense_is_said_in_words() {
        check_invalid(|r| r.messages.clear(), "messages is empty");
        check_invalid(|r| r.messages[0].parts.clear(), "message 0: it has no parts");
        check_invalid(|r| r.temperature = Some(f32::NAN), "temperature is not from 0.0 to 2.0");
        check_invalid(|r| r.temperature = Some(f32::INFINITY), "temperature");
        check_invalid(|r| r.temperature = Some(-0.1), "temperature");
        check_invalid(|r| r.top_p = Some(1.01), "top-p is not from 0.0 to 1.0");
        check_invalid(|r| r.stop = vec!["x".to_owned(); 9], "stop: 9 is over 8");
        check_invalid(|r| r.stop = vec![String::new()], "a text of stop");
        check_invalid(|r| r.max_output_tokens = Some(0), "max-output-tokens is 0");
        check_invalid(|r| r.output = OutputForm::Schema("{".to_owned()), "the output schema is not a JSON object");
        check_invalid(|r| r.tool_choice = ToolChoice::Named("dig".to_owned()), "names `dig`");
        check_invalid(|r| r.deadline_ms = Some(u64::MAX), "deadline-ms");
    }

    #[test]
    fn texts_for_vectors_are_some_and_none_is_empty() {
        assert_eq!(texts(&["one".to_owned(), "two".to_owned()]), Ok(6));
        for wrong in [vec![], vec![String::new()], vec!["x".to_owned(); 257], vec!["x".repeat(9 << 20)]] {
            assert!(matches!(texts(&wrong), Err(Error::Invalid(_))));
        }
    }

    #[test]
    fn a_request_over_8_mib_is_refused() {
        check_invalid(|r| r.messages[0].parts = vec![Part::Text("x".repeat(9 << 20))], "bytes of the request");
    }

    #[test]
    fn a_tool_needs_a_name_and_a_schema() {
        let tool = |name: &str, schema: &str| Tool {
            name: name.to_owned(),
            description: String::new(),
            schema_json: schema.to_owned(),
        };
        check_invalid(|r| r.tools = vec![tool("rm -rf", "{}")], "the tool name `rm -rf`");
        check_invalid(|r| r.tools = vec![tool("dig", "[]")], "the schema of tool `dig`");
        let mut asked = question();
        asked.tools = vec![tool("dig", "{}")];
        assert!(request(&asked).is_ok());
    }

    #[test]
    fn what_a_model_wrote_goes_back_as_it_is() {
        let call = ToolCall { id: "1".to_owned(), name: "dig".to_owned(), arguments_json: "{\"x\": ".to_owned() };
        let mut asked = question();
        asked.messages.push(Message { role: Role::Assistant, parts: vec![Part::ToolCall(call)], cache: false });
        assert!(request(&asked).is_ok());
    }

    #[test]
    fn a_user_calls_no_tool() {
        let call = ToolCall { id: "1".to_owned(), name: "dig".to_owned(), arguments_json: "{}".to_owned() };
        check_invalid(|r| r.messages[0].parts = vec![Part::ToolCall(call)], "a user does not speak in tool calls");
    }
}
