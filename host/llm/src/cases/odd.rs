//! What servers write against their own documentation, where it is certain all the same what they mean, and where it is not. Mostly read
//! from their bytes alone.

use super::others::Right::{Fails, Says};
use super::others::{LOOK, NONE, Right, TWO, check, lines, sse};
use super::*;
use crate::reading::Interface;

/// Each of these streams, as it was written, is right in this way.
#[track_caller]
fn all_are(interface: Interface, streams: &[(&str, Vec<u8>)], right: &Right) {
    for (what, bytes) in streams {
        check(interface, what, bytes, right);
    }
}

const HELLO: Right = Says("Hello", NONE, StopReason::End);

/// These lines of data between the two halves of an answer.
fn between(lines: &str) -> Vec<u8> {
    let data = |value: Value| format!("data: {value}\n\n");
    let end = format!("{}{}data: [DONE]\n\n", data(stop("stop")), data(counted()));
    format!("{}{lines}{}{end}", data(text("Hel")), data(text("lo"))).into_bytes()
}

#[test]
fn what_keeps_a_connection_open_says_nothing() {
    let beats = [
        "event: ping\ndata: ping\n\n",
        "event: heartbeat\ndata: 2026-08-04T08:52:19Z\n\n",
        "event: Keep-Alive\ndata: {\"choices\": 7}\n\n",
        "data: ping\n\n",
        "data: \"keepalive\"\n\n",
        "data: null\n\n",
        "data: 7\n\ndata: true\n\ndata: \"\"\n\n",
    ];
    all_are(Interface::Chat, &beats.map(|beat| (beat, between(beat))), &HELLO);
    check(Interface::Chat, "words", &between("data: oops\n\n"), &Fails("no chunk"));
}

#[test]
fn the_last_word_is_one_in_every_spelling() {
    let said = |word: &str| format!("data: {}\n\ndata: {word}\n\n", text("Hello")).into_bytes();
    all_are(Interface::Chat, &["[DONE]", "\"[DONE]\"", "[done]", " [DONE] "].map(|word| (word, said(word))), &HELLO);
    check(Interface::Chat, "another word", &said("[STOP]"), &Fails(""));
}

#[test]
fn json_that_strict_readers_refuse_is_read_where_it_is_certain() {
    let odd = [
        r#"{"choices":[{"delta":{},"logprobs":{"content":[{"logprob":-Infinity},{"logprob":NaN}]}}]}"#,
        r#"{"choices":[{"delta":{"content":"","content":""},"finish_reason":null,"finish_reason":null}]}"#,
        r#"{"choices":[{"delta":[]}],"usage":[]}"#,
        r#"{"choices":[],"error":0,"errors":[],"detail":null}"#,
        r#"{"choices":[],"base_resp":{"status_code":0,"status_msg":""}}"#,
    ];
    all_are(Interface::Chat, &odd.map(|line| (line, between(&format!("data: {line}\n\n")))), &HELLO);
    let halves = [
        &b"data: {\"choices\":[{\"delta\":{\"content\":\"\\ud83d\"}}]}\n\n"[..],
        &b"data: {\"choices\":[{\"delta\":{\"content\":\"\xf0\x9f\"}}]}\n\n"[..],
    ];
    let line = [&b"{\"message\":{\"content\":\"\xf0\x9f\"},\"done\":false}\n"[..], b"{\"done\":true,\"eval_count\":3}"]
        .concat();
    check(Interface::Ollama, "half a letter", &line, &Says("\u{fffd}", NONE, StopReason::End));
    for half in halves {
        let bytes = [half, &between("")].concat();
        check(Interface::Chat, "half a letter", &bytes, &Says("\u{fffd}Hello", NONE, StopReason::End));
    }
}

#[test]
fn of_several_answers_the_first_is_read() {
    let of = |index: u64, text: &str, word: Value| json!({"choices": [{"index": index, "delta": {"content": text}, "finish_reason": word}]});
    let both = |first: (u64, &str), second: (u64, &str)| {
        let choice = |(index, text): (u64, &str)| json!({"index": index, "delta": {"content": text}});
        json!({"choices": [choice(first), choice(second)]})
    };
    let streams = [
        (
            "a chunk each",
            vec![
                of(0, "Hel", Value::Null),
                of(1, "Bye", Value::Null),
                of(0, "lo", Value::Null),
                of(1, "", json!("length")),
                of(0, "", json!("stop")),
            ],
        ),
        ("one chunk", vec![both((0, "Hello"), (1, "Bye")), stop("stop")]),
        ("one chunk, the other way about", vec![both((1, "Bye"), (0, "Hello")), stop("stop")]),
        ("it has another number", vec![of(3, "Hello", Value::Null), of(3, "", json!("stop"))]),
    ];
    all_are(Interface::Chat, &streams.map(|(what, chunks)| (what, sse(&chunks))), &HELLO);
    let candidate = |index: u64, text: &str| json!({"index": index, "content": {"parts": [{"text": text}]}, "finishReason": "STOP"});
    let chunks = [json!({"candidates": [candidate(1, "Bye")]}), json!({"candidates": [candidate(0, "Hello")]})];
    check(Interface::Gemini, "candidates", &sse(&chunks), &HELLO);
}

#[test]
fn a_word_that_gives_no_reason_or_a_bad_one_is_no_reason() {
    for word in ["None", "null", "undefined", "FINISH_REASON_UNSPECIFIED"] {
        let cut = sse(&[text("Hel"), stop(word)]);
        check(Interface::Chat, word, &cut, &Fails(""));
        let piece = json!({"candidates": [{"content": {"parts": [{"text": "Hel"}]}, "finishReason": word}]});
        check(Interface::Gemini, word, &sse(&[piece]), &Fails(""));
    }
    for word in ["timed_out", "interrupted", "exception", "overloaded", "connection_reset", "network_error"] {
        check(Interface::Chat, word, &sse(&[text("Hel"), stop(word)]), &Fails(word));
        let events: Vec<Value> = [start()].into_iter().chain(says("Hel")).chain([ends(word, json!(3))]).collect();
        check(Interface::Messages, word, &sse(&events), &Fails(word));
        let upper = word.to_uppercase();
        let piece = json!({"candidates": [{"content": {"parts": [{"text": "Hel"}]}, "finishReason": upper}]});
        assert!(read_fails(Interface::Gemini, &sse(&[piece])), "{upper}");
        let end = json!({"message": {"content": "Hel"}, "done": true, "done_reason": word});
        check(Interface::Ollama, word, &lines(&[end]), &Fails(word));
        let stop = [
            event_frame("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"Hel"}}"#),
            event_frame("messageStop", &json!({"stopReason": word}).to_string()),
        ];
        check(Interface::Converse, word, &stop.concat(), &Fails(word));
        let details = json!({"type": "response.incomplete", "response": {"status": "incomplete", "incomplete_details": {"reason": word}}});
        let say = json!({"type": "response.output_text.delta", "output_index": 0, "delta": "Hel"});
        check(Interface::Responses, word, &sse(&[say, details]), &Fails(word));
    }
    let loaded = json!({"message": {"content": ""}, "done": true, "done_reason": "load"});
    check(Interface::Ollama, "a model that was only loaded", &lines(&[loaded]), &Fails("load"));
    let broken = json!({"choices": [{"index": 0, "delta": {}, "error": {"code": 502, "message": "it burns"}}]});
    check(Interface::Chat, "an error without a reason", &sse(&[text("Hel"), broken]), &Fails("it burns"));
    let call = json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look", "arguments": "{\"x\":1}"}}]});
    let hyphen = sse(&[chunk(call), stop("tool-calls")]);
    check(Interface::Chat, "a hyphen", &hyphen, &Says("", LOOK, StopReason::ToolCalls));
}

fn read_fails(interface: Interface, bytes: &[u8]) -> bool {
    crate::reading::read(interface, KEY, &[bytes], 1000, Sink::NONE).result.is_err()
}

#[test]
fn places_for_calls_without_a_call_are_none() {
    let empty = [
        json!({"content": "Hel", "tool_calls": [{}]}),
        json!({"content": "lo", "function_call": {"name": "", "arguments": ""}}),
        json!({"tool_calls": [{"index": 0, "id": "", "function": {"name": null, "arguments": ""}}]}),
    ];
    let chunks: Vec<Value> = empty.into_iter().map(chunk).chain([stop("stop"), counted()]).collect();
    check(Interface::Chat, "empty places", &sse(&chunks), &HELLO);
}

#[test]
fn messages_are_read_where_types_are_missing_and_input_comes_twice() {
    let block = |input: Value| json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "look", "input": input}});
    let piece = |json: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": json}});
    let done = || json!({"type": "content_block_stop", "index": 0});
    let call = Says("", LOOK, StopReason::ToolCalls);
    let end = || ends("tool_use", json!(3));
    let streams = [
        ("both", vec![start(), block(json!({"x": 1})), piece("{\"x\""), piece(":1}"), done(), end()]),
        ("an empty piece", vec![start(), block(json!({"x": 1})), piece(""), done(), end()]),
        ("no end of the block", vec![start(), block(json!({"x": 1})), end()]),
        ("no end at all", vec![start(), end(), block(json!({"x": 1}))]),
    ];
    all_are(Interface::Messages, &streams.map(|(what, events)| (what, sse(&events))), &call);
    let untyped = json!({"type": "content_block_delta", "index": 0, "delta": {"text": "Hello"}});
    let events = [start(), untyped, ends("end_turn", json!(3))];
    check(Interface::Messages, "a piece without a type", &sse(&events), &HELLO);
    let usage = check(
        Interface::Messages,
        "counted behind its arguments",
        &sse(&[start(), block(json!({"x": 1})), end()]),
        &call,
    );
    assert_eq!((usage.output, usage.estimated), (3, false));
    let whole = json!({"type": "message", "content": "Hello", "stop_reason": "end_turn"});
    check(Interface::Messages, "a text for the blocks", whole.to_string().as_bytes(), &HELLO);
}

#[test]
fn responses_are_read_where_places_or_pieces_are_missing() {
    let call = |id: &str, name: &str, json: &str| json!({"type": "function_call", "call_id": id, "name": name, "arguments": json});
    let item = |event: &str, item: Value| json!({"type": format!("response.output_item.{event}"), "item": item});
    let piece = |json: &str| json!({"type": "response.function_call_arguments.delta", "delta": json});
    let end =
        |output: Value| json!({"type": "response.completed", "response": {"status": "completed", "output": output}});
    let two = [("a", "look", r#"{"x":1}"#), ("b", "wait", r#"{"s":2}"#)];
    let pieces = two.iter().flat_map(|(id, name, json)| {
        [item("added", call(id, name, "")), piece(json), item("done", call(id, name, json))]
    });
    let whole = two.iter().map(|(id, name, json)| item("done", call(id, name, json)));
    let output: Vec<Value> = two.iter().map(|(id, name, json)| call(id, name, json)).collect();
    let streams = [
        ("pieces", pieces.chain([end(json!(output))]).collect::<Vec<_>>()),
        ("whole", whole.chain([end(json!([]))]).collect()),
        ("at the end alone", vec![end(json!(output))]),
    ];
    let both = Says("", TWO, StopReason::ToolCalls);
    all_are(Interface::Responses, &streams.map(|(what, events)| (what, sse(&events))), &both);
    let message = || json!([{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}]);
    let thought = json!({"type": "response.reasoning_text.delta", "delta": "hm"});
    let say = json!({"type": "response.output_text.delta", "output_index": 0, "delta": "Hello"});
    let streams = [("behind a thought", vec![thought, end(message())]), ("not twice", vec![say, end(message())])];
    all_are(Interface::Responses, &streams.map(|(what, events)| (what, sse(&events))), &HELLO);
}

#[test]
fn gemini_is_read_in_its_other_case_and_the_larger_count_counts() {
    let snake = json!({
        "candidates": [{"content": {"parts": [{"function_call": {"name": "look", "args": {"x": 1}}, "thought_signature": "c2ln"}]}, "finish_reason": "STOP"}],
        "usage_metadata": {"prompt_token_count": 12, "candidates_token_count": 3, "total_token_count": 95},
    });
    let usage = check(Interface::Gemini, "snakes", &sse(&[snake]), &Says("", LOOK, StopReason::ToolCalls));
    assert_eq!((usage.input_fresh, usage.output, usage.estimated), (12, 83, false));
}

#[tokio::test]
async fn what_a_provider_says_instead_of_an_answer_is_told() {
    let shapes = [
        json!({"detail": "it burns"}),
        json!({"code": "Throttling", "message": "it burns", "request_id": "x"}),
        json!({"msg": "it burns", "success": false}),
        json!({"base_resp": {"status_code": 1004, "status_msg": "it burns"}, "choices": null}),
    ];
    for shape in shapes {
        let case = played("openai-compatible", vec![Step::Send(status("200 OK", "", &shape.to_string()))]).await;
        assert!(case.note().contains("it burns"), "{shape}: {}", case.note());
        assert_eq!(case.finished.usage, Usage::default(), "{shape}");
    }
    let queued = json!({"status": "queued", "message": "you are third"});
    assert_eq!(chat(&[queued, text("Hello"), stop("stop"), counted()]).await.says(), "Hello");
}

#[tokio::test]
async fn a_refusal_is_read_however_it_is_packed() {
    use std::io::Write as _;
    let body =
        json!({"error": {"message": "it burns", "type": "invalid_request_error", "retry_after": 2.5}}).to_string();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let head = |line: &str| format!("HTTP/1.1 {line}\r\nconnection: close\r\n");
    let gzip = [format!("{}content-encoding: gzip\r\n\r\n", head("400 Bad Request")).into_bytes(), packed].concat();
    let stream = status("400 Bad Request", "", &format!("event: error\ndata: {body}\n\ndata: [DONE]\n\n"));
    for bytes in [gzip, stream] {
        let case = played("openai-compatible", vec![Step::Send(bytes)]).await;
        let Error::Invalid(words) = case.why() else { panic!("{:?}", case.why()) };
        assert!(words.ends_with(": it burns"), "{words}");
    }
    for (field, value) in [("retry_after", json!(2.5)), ("retry_after_ms", json!(2500)), ("retryAfter", json!("2.5s"))]
    {
        let body = json!({"error": {"message": "slow", field: value}}).to_string();
        let case = played("openai-compatible", vec![Step::Send(status("429 Too Many Requests", "", &body))]).await;
        let Error::Unavailable(why) = case.why() else { panic!("{:?}", case.why()) };
        assert_eq!(why.retry_after_ms, Some(2500), "{field}");
    }
}
