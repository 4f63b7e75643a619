//! The same kinds of answers in the words of the other interfaces: Gemini, Ollama, Converse, and what is left of chat completions and messages.
//! Read from their bytes alone.

use super::*;
use crate::reading::{Interface, read};

/// What is right: text, tool calls, and why it ended; or a part of the note where there is no answer.
pub(super) enum Right {
    Says(&'static str, &'static [(&'static str, &'static str)], StopReason),
    Fails(&'static str),
}
use Right::{Fails, Says};

pub(super) const LOOK: &[(&str, &str)] = &[("look", r#"{"x":1}"#)];
pub(super) const TWO: &[(&str, &str)] = &[("look", r#"{"x":1}"#), ("wait", r#"{"s":2}"#)];
pub(super) const NONE: &[(&str, &str)] = &[];

#[track_caller]
pub(super) fn check(interface: Interface, what: &str, bytes: &[u8], right: &Right) -> Usage {
    let finished = read(interface, KEY, &[bytes], 10_000, Sink::NONE);
    let note = finished.note.clone().unwrap_or_default();
    match (right, &finished.result) {
        (Says(text, calls, stop), Ok(response)) => {
            let case = |part: &Part| match part {
                Part::ToolCall(call) => Some((call.name.clone(), call.arguments_json.clone())),
                _ => None,
            };
            let came: Vec<_> = response.parts.iter().filter_map(case).collect();
            let calls: Vec<_> = calls.iter().map(|(name, json)| ((*name).to_owned(), (*json).to_owned())).collect();
            assert_eq!((text_of(response).as_str(), came, &response.stop), (*text, calls, stop), "{what}");
        }
        (Fails(words), Err(_)) => assert!(note.contains(words), "{what}: {note}"),
        (Says(..), Err(why)) => panic!("{what}: {why:?} {note}"),
        (Fails(_), Ok(answer)) => panic!("{what}: {answer:?}"),
    }
    finished.usage
}

pub(super) fn sse(events: &[Value]) -> Vec<u8> {
    events.iter().flat_map(|event| format!("data: {event}\n\n").into_bytes()).collect()
}

pub(super) fn lines(values: &[Value]) -> Vec<u8> {
    values.iter().flat_map(|value| format!("{value}\n").into_bytes()).collect()
}

fn candidate(parts: Value, more: Value) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    candidate.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"candidates": [candidate], "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 3, "totalTokenCount": 15}})
}

#[test]
fn geminis_answers_are_read_in_every_shape() {
    let stop = || json!({"finishReason": "STOP"});
    let hello = || json!([{"text": "Hello"}]);
    let ends = |word: &str| vec![candidate(hello(), json!({"finishReason": word}))];
    let shapes = [
        (
            "parts that say nothing",
            vec![candidate(
                json!([{"text": null, "thought": null}, {"text": "Hello", "thoughtSignature": null}]),
                stop(),
            )],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "no parts",
            vec![candidate(Value::Null, json!({})), candidate(hello(), stop())],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "a call whose arguments are a text",
            vec![candidate(json!([{"functionCall": {"name": "look", "args": "{\"x\":1}"}}]), stop())],
            Says("", LOOK, StopReason::ToolCalls),
        ),
        (
            "a call without arguments",
            vec![candidate(json!([{"functionCall": {"name": "look", "args": null}}]), stop())],
            Says("", &[("look", "{}")], StopReason::ToolCalls),
        ),
        (
            "two calls of one id",
            vec![candidate(
                json!([{"functionCall": {"id": "a", "name": "look", "args": {"x": 1}}}, {"functionCall": {"id": "a", "name": "wait", "args": {"s": 2}}}]),
                stop(),
            )],
            Says("", TWO, StopReason::ToolCalls),
        ),
        (
            "a call without a name",
            vec![candidate(json!([{"functionCall": {"args": {}}}]), stop())],
            Fails("a tool call without a name"),
        ),
        ("a small word", ends("stop"), Says("Hello", NONE, StopReason::End)),
        ("a filter for pictures", ends("IMAGE_PROHIBITED_CONTENT"), Says("Hello", NONE, StopReason::Filtered)),
        ("Vertex' filter", ends("MODEL_ARMOR"), Says("Hello", NONE, StopReason::Filtered)),
        ("a call that went wrong", ends("MALFORMED_FUNCTION_CALL"), Fails("MALFORMED_FUNCTION_CALL")),
        (
            "a prompt that is filtered",
            vec![json!({"promptFeedback": {"blockReason": "SAFETY"}, "candidates": []})],
            Says("", NONE, StopReason::Filtered),
        ),
        ("no reason", vec![candidate(hello(), json!({}))], Fails("")),
        (
            "an unspecified reason",
            vec![candidate(hello(), json!({"finishReason": "FINISH_REASON_UNSPECIFIED"}))],
            Fails(""),
        ),
        (
            "an error behind a part",
            vec![
                candidate(hello(), json!({})),
                json!({"error": {"code": 503, "message": "it burns", "status": "UNAVAILABLE"}}),
            ],
            Fails("it burns"),
        ),
    ];
    for (what, events, right) in shapes {
        check(Interface::Gemini, what, &sse(&events), &right);
    }
    let pieces = [candidate(json!([{"text": "Hel"}]), json!({})), candidate(json!([{"text": "lo"}]), stop())];
    let list = format!("[{},\r\n{}\r\n]", pieces[0], pieces[1]);
    check(Interface::Gemini, "a list", list.as_bytes(), &Says("Hello", NONE, StopReason::End));
    let usage = check(
        Interface::Gemini,
        "half a list",
        format!("[{},\r\n{{\"cand", pieces[0]).as_bytes(),
        &Fails("in the middle of its JSON"),
    );
    assert!(usage.output >= 3, "what came of it is paid");
    let counted = |line: Value| {
        let mut piece = candidate(hello(), stop());
        piece["usageMetadata"] = line;
        check(Interface::Gemini, "counts", &sse(&[piece]), &Says("Hello", NONE, StopReason::End))
    };
    let thinking = counted(
        json!({"promptTokenCount": 12, "candidatesTokenCount": 3, "thoughtsTokenCount": 40, "totalTokenCount": 55}),
    );
    assert_eq!((thinking.output, thinking.reasoning, thinking.estimated), (43, 40, false));
    let sum = counted(json!({"promptTokenCount": 12, "totalTokenCount": 55}));
    assert_eq!((sum.output, sum.estimated), (43, false), "some count the sum alone");
    assert!(counted(json!([])).estimated && counted(Value::Null).estimated);
}

#[test]
fn ollamas_answers_are_read_in_every_shape() {
    let says = |text: Value| json!({"message": {"role": "assistant", "content": text}, "done": false});
    let end = |more: Value| {
        let mut line = json!({"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop", "prompt_eval_count": 12, "eval_count": 3});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    let call = |function: Value| json!({"message": {"content": null, "tool_calls": [{"id": "", "function": function}]}, "done": null});
    let shapes = [
        (
            "nothing in between",
            vec![says(json!("Hel")), says(Value::Null), says(json!("lo")), end(json!({}))],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "an object",
            vec![call(json!({"name": "look", "arguments": {"x": 1}})), end(json!({}))],
            Says("", LOOK, StopReason::ToolCalls),
        ),
        (
            "a text",
            vec![call(json!({"name": "look", "arguments": "{\"x\":1}"})), end(json!({}))],
            Says("", LOOK, StopReason::ToolCalls),
        ),
        (
            "none",
            vec![call(json!({"name": "look"})), end(json!({}))],
            Says("", &[("look", "{}")], StopReason::ToolCalls),
        ),
        (
            "no name",
            vec![call(json!({"name": null, "arguments": {}})), end(json!({}))],
            Fails("a tool call without a name"),
        ),
        (
            "the longest answer",
            vec![says(json!("Hel")), end(json!({"done_reason": "length"}))],
            Says("Hel", NONE, StopReason::MaxOutput),
        ),
        (
            "no reason",
            vec![says(json!("Hello")), end(json!({"done_reason": null, "message": null}))],
            Says("Hello", NONE, StopReason::End),
        ),
        ("an error", vec![says(json!("Hel")), json!({"error": "it burns"})], Fails("it burns")),
        ("cut", vec![says(json!("Hel"))], Fails("")),
    ];
    for (what, values, right) in shapes {
        check(Interface::Ollama, what, &lines(&values), &right);
    }
}

#[test]
fn converse_is_read_in_every_shape() {
    let piece = |kind: &str, at: Value, field: &str, value: Value| {
        event_frame(kind, &json!({"contentBlockIndex": at, field: value}).to_string())
    };
    let say = |text: &str| piece("contentBlockDelta", json!(0), "delta", json!({"text": text}));
    let begin = |at: u64, id: &str, name: &str| {
        piece("contentBlockStart", json!(at), "start", json!({"toolUse": {"toolUseId": id, "name": name}}))
    };
    let input =
        |at: u64, input: Value| piece("contentBlockDelta", json!(at), "delta", json!({"toolUse": {"input": input}}));
    let stop = |word: &str| event_frame("messageStop", &json!({"stopReason": word}).to_string());
    let count = || event_frame("metadata", r#"{"usage":{"inputTokens":12,"outputTokens":3}}"#);
    let damaged = {
        let mut frame = say("lo");
        let last = frame.len() - 6;
        frame[last] ^= 1;
        frame
    };
    let exception = frame(
        &[(":message-type", "exception"), (":exception-type", "modelStreamErrorException")],
        r#"{"message":"it burns"}"#,
    );
    let shapes = [
        ("text", vec![say("Hel"), say("lo"), stop("end_turn"), count()], Says("Hello", NONE, StopReason::End)),
        ("no counts", vec![say("Hello"), stop("end_turn")], Says("Hello", NONE, StopReason::End)),
        ("counts first", vec![count(), say("Hello"), stop("max_tokens")], Says("Hello", NONE, StopReason::MaxOutput)),
        (
            "two calls",
            vec![
                begin(0, "a", "look"),
                begin(1, "b", "wait"),
                input(0, json!("{\"x\":")),
                input(1, json!("{\"s\":2}")),
                input(0, json!("1}")),
                stop("tool_use"),
                count(),
            ],
            Says("", TWO, StopReason::ToolCalls),
        ),
        (
            "an object",
            vec![begin(0, "a", "look"), input(0, json!({"x": 1})), stop("tool_use"), count()],
            Says("", LOOK, StopReason::ToolCalls),
        ),
        (
            "no name",
            vec![say("Hel"), begin(1, "a", ""), stop("tool_use"), count()],
            Fails("a tool call without a name"),
        ),
        (
            "a filter",
            vec![say("Hello"), stop("guardrail_intervened"), count()],
            Says("Hello", NONE, StopReason::Filtered),
        ),
        (
            "a call that went wrong",
            vec![say("Hello"), stop("malformed_tool_use"), count()],
            Fails("malformed_tool_use"),
        ),
        ("an exception", vec![say("Hel"), exception], Fails("it burns")),
        ("damaged", vec![say("Hel"), damaged], Fails("damaged on its way")),
        ("cut in a frame", vec![say("Hel"), say("lo")[..20].to_vec()], Fails("")),
        ("no reason", vec![say("Hel"), count()], Fails("")),
    ];
    for (what, frames, right) in shapes {
        let usage = check(Interface::Converse, what, &frames.concat(), &right);
        assert!(usage.output > 0, "{what}");
    }
}

#[test]
fn what_is_left_of_chat_completions_is_read() {
    let call = json!({"index": 0, "id": "a", "function": {"name": "look", "arguments": "{\"x\":1}"}});
    let shapes = [
        (
            "choices of nothing",
            vec![json!({"choices": [null]}), text("Hello"), stop("stop")],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "calls of nothing",
            vec![chunk(json!({"tool_calls": [null, call]})), stop("tool_calls")],
            Says("", LOOK, StopReason::ToolCalls),
        ),
        (
            "counts are a text",
            vec![text("Hello"), stop("stop"), usage(json!("none"))],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "counts are a list",
            vec![text("Hello"), stop("stop"), usage(json!([]))],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "details are a list",
            vec![
                text("Hello"),
                stop("stop"),
                usage(json!({"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": []})),
            ],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "counts before a message",
            vec![
                usage(json!({"prompt_tokens": 12, "completion_tokens": 3})),
                json!({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}),
            ],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "one detail of a thought",
            vec![
                chunk(json!({"content": "Hello", "reasoning_details": {"type": "reasoning.text", "text": "x"}})),
                stop("stop"),
            ],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "a call that went wrong",
            vec![text("Hel"), stop("malformed_function_call")],
            Fails("malformed_function_call"),
        ),
        ("an error of its own", vec![text("Hel"), stop("engine_error")], Fails("engine_error")),
        ("poison", vec![text("Hello"), stop("ERROR_TOXIC")], Says("Hello", NONE, StopReason::Filtered)),
    ];
    for (what, events, right) in shapes {
        check(Interface::Chat, what, &sse(&events), &right);
    }
    let joined = format!("{}{}{}", text("Hel"), text("lo"), stop("stop"));
    check(Interface::Chat, "values without anything between", joined.as_bytes(), &Says("Hello", NONE, StopReason::End));
}

#[test]
fn what_is_left_of_messages_is_read() {
    let block = |content: Value| json!({"type": "content_block_start", "index": 0, "content_block": content});
    let delta = |delta: Value| json!({"type": "content_block_delta", "index": 0.0, "delta": delta});
    let look = || block(json!({"type": "tool_use", "id": null, "name": "look", "input": null}));
    let last = |stop: Value| json!({"type": "message_delta", "delta": stop, "usage": {"output_tokens": 3}});
    let ends = || last(json!({"stop_reason": "end_turn", "stop_sequence": null}));
    let hello = || delta(json!({"type": "text_delta", "text": "Hello"}));
    let shapes = [
        (
            "an object for a piece",
            vec![look(), delta(json!({"type": "input_json_delta", "partial_json": {"x": 1}})), ends()],
            Says("", LOOK, StopReason::ToolCalls),
        ),
        (
            "blocks and pieces of nothing",
            vec![block(Value::Null), delta(Value::Null), hello(), ends()],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "a beginning of nothing",
            vec![json!({"type": "message_start", "message": null}), hello(), ends()],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "counts are a text",
            vec![json!({"type": "message_start", "message": {"usage": "none"}}), hello(), ends()],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "a sequence that is no text",
            vec![hello(), last(json!({"stop_reason": "stop_sequence", "stop_sequence": 7}))],
            Says("Hello", NONE, StopReason::Sequence(String::new())),
        ),
        (
            "a reason that is no text",
            vec![hello(), last(json!({"stop_reason": {}})), ends()],
            Says("Hello", NONE, StopReason::End),
        ),
        (
            "no name",
            vec![block(json!({"type": "tool_use", "id": "a", "name": null})), ends()],
            Fails("a tool call without a name"),
        ),
        (
            "a thought without anything",
            vec![block(json!({"type": "redacted_thinking"})), hello(), ends()],
            Says("Hello", NONE, StopReason::End),
        ),
    ];
    for (what, events, right) in shapes {
        check(Interface::Messages, what, &sse(&events), &right);
    }
}
