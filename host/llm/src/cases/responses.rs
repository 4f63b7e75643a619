//! The same kinds of answers in the words of OpenAI's responses. Read from their bytes alone.

use super::others::Right::{Fails, Says};
use super::others::{LOOK, NONE, check, sse};
use super::*;
use crate::reading::Interface;

fn done(status: &str, more: Value) -> Value {
    let mut response = json!({"status": status, "output": [], "usage": {"input_tokens": 12, "output_tokens": 3}});
    response.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"type": format!("response.{status}"), "response": response})
}

fn item(at: Value, event: &str, item: Value) -> Value {
    json!({"type": format!("response.output_item.{event}"), "output_index": at, "item": item})
}

#[test]
fn responses_are_read_in_every_shape() {
    let say = |text: Value| json!({"type": "response.output_text.delta", "output_index": 0, "delta": text});
    let call = |more: Value| {
        let mut line = json!({"type": "function_call", "call_id": "a", "name": "look"});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    let message =
        json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]});
    let arguments = |event: &str, field: &str| json!({"type": format!("response.function_call_arguments.{event}"), "output_index": 1, field: "{\"x\":1}"});
    let end = || done("completed", json!({}));
    let shapes = [
        (
            "places are fractions",
            vec![item(json!(0.0), "added", call(json!({"arguments": "{\"x\":1}"}))), end()],
            Says("", LOOK, StopReason::ToolCalls),
        ),
        (
            "places are missing",
            vec![item(Value::Null, "added", call(json!({"arguments": "{\"x\":1}"}))), end()],
            Says("", LOOK, StopReason::ToolCalls),
        ),
        (
            "arguments are an object",
            vec![item(json!(0), "done", call(json!({"arguments": {"x": 1}}))), end()],
            Says("", LOOK, StopReason::ToolCalls),
        ),
        (
            "arguments are null",
            vec![item(json!(0), "added", call(json!({"arguments": null}))), end()],
            Says("", &[("look", "{}")], StopReason::ToolCalls),
        ),
        (
            "arguments come at the end alone",
            vec![item(json!(1), "added", call(json!({"arguments": ""}))), arguments("done", "arguments"), end()],
            Says("", LOOK, StopReason::ToolCalls),
        ),
        (
            "and with the item as well",
            vec![
                item(json!(1), "added", call(json!({}))),
                arguments("delta", "delta"),
                arguments("done", "arguments"),
                item(json!(1), "done", call(json!({"arguments": "{\"x\":1}"}))),
                end(),
            ],
            Says("", LOOK, StopReason::ToolCalls),
        ),
        (
            "a message in one piece",
            vec![item(json!(0), "done", message.clone()), end()],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "a message in pieces, then whole",
            vec![say(json!("Hel")), say(json!("lo")), item(json!(0), "done", message.clone()), end()],
            Says("Hello", NONE, StopReason::End),
        ),
        ("the end alone", vec![done("completed", json!({"output": [message]}))], Says("Hello", NONE, StopReason::End)),
        ("pieces of nothing", vec![say(Value::Null), say(json!("Hello")), end()], Says("Hello", NONE, StopReason::End)),
        (
            "a thought without a summary",
            vec![item(json!(0), "done", json!({"type": "reasoning", "summary": null})), say(json!("Hello")), end()],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "items of other kinds",
            vec![
                item(json!(0), "added", json!({"type": "web_search_call", "id": "w"})),
                item(json!(0), "done", json!({"type": "custom_tool_call", "name": "x", "input": "y"})),
                say(json!("Hello")),
                end(),
            ],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "counts are no counts",
            vec![say(json!("Hello")), done("completed", json!({"usage": "unknown"}))],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "the longest answer",
            vec![say(json!("Hel")), done("incomplete", json!({"incomplete_details": {"reason": "max_output_tokens"}}))],
            Says("Hel", NONE, StopReason::MaxOutput),
        ),
        (
            "incomplete without a reason",
            vec![say(json!("Hel")), done("incomplete", json!({"incomplete_details": null}))],
            Says("Hel", NONE, StopReason::Other("incomplete".to_owned())),
        ),
        (
            "incomplete without a status",
            vec![say(json!("Hel")), done("incomplete", json!({"status": null}))],
            Says("Hel", NONE, StopReason::Other("incomplete".to_owned())),
        ),
        (
            "failed without a status",
            vec![say(json!("Hel")), done("failed", json!({"status": null, "error": {"message": "it burns"}}))],
            Fails("it burns"),
        ),
        (
            "failed without an error",
            vec![say(json!("Hel")), done("failed", json!({"error": null}))],
            Fails("the response is `failed`"),
        ),
        ("cancelled", vec![say(json!("Hel")), done("cancelled", json!({}))], Fails("the response is `cancelled`")),
        (
            "a call without a name",
            vec![item(json!(0), "done", json!({"type": "function_call", "call_id": "a", "name": null})), end()],
            Fails("a tool call without a name"),
        ),
        ("nothing", vec![json!({})], Fails("")),
        (
            "an error event",
            vec![
                say(json!("Hel")),
                json!({"type": "error", "code": "server_error", "message": "it burns", "param": null}),
            ],
            Fails("it burns"),
        ),
    ];
    for (what, events, right) in shapes {
        check(Interface::Responses, what, &sse(&events), &right);
    }
}
