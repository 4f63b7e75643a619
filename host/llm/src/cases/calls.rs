//! Content and tool calls in the shapes that servers give them.

use super::*;

fn call(line: Value) -> Value {
    chunk(json!({"tool_calls": [line]}))
}

fn ids(case: &Case) -> Vec<&str> {
    let parts = case.answer().parts.iter();
    parts.filter_map(|part| if let Part::ToolCall(call) = part { Some(call.id.as_str()) } else { None }).collect()
}

fn thoughts(case: &Case) -> String {
    let thought = |part: &Part| if let Part::Reasoning(thought) = part { thought.text.clone() } else { None };
    case.answer().parts.iter().filter_map(thought).collect()
}

const TWO: [(&str, &str); 2] = [("look", r#"{"x":1}"#), ("wait", r#"{"s":2}"#)];

fn whole(more: Value, name: &str, arguments: Value) -> Value {
    let mut line = json!({"type": "function", "function": {"name": name, "arguments": arguments}});
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    call(line)
}

#[tokio::test]
async fn two_calls_are_two_however_they_are_numbered() {
    let numbered = [
        ("none has a number", json!({"id": "a"}), json!({"id": "b"})),
        ("both have the same", json!({"index": 0, "id": "a"}), json!({"index": 0, "id": "b"})),
        ("the same and no ids", json!({"index": 0, "id": ""}), json!({"index": 0, "id": ""})),
        ("neither number nor id", json!({}), json!({})),
        ("the numbers are texts", json!({"index": "0", "id": "a"}), json!({"index": "1", "id": "b"})),
        ("they begin below nothing", json!({"index": -1, "id": "a"}), json!({"index": 0, "id": "b"})),
        ("the ids are `null`", json!({"index": 0, "id": "null"}), json!({"index": 1, "id": "null"})),
        ("the same id", json!({"index": 0, "id": "a"}), json!({"index": 1, "id": "a"})),
    ];
    for (what, first, second) in numbered {
        let first = whole(first, "look", json!(r#"{"x":1}"#));
        let case = chat(&[first, whole(second, "wait", json!(r#"{"s":2}"#)), stop("tool_calls"), counted()]).await;
        assert_eq!(case.calls(), TWO, "{what}");
        let ids = ids(&case);
        assert!(ids[0] != ids[1] && ids.iter().all(|id| !id.is_empty() && *id != "null"), "{what}: {ids:?}");
        assert_eq!(case.answer().stop, StopReason::ToolCalls, "{what}");
    }
}

#[tokio::test]
async fn the_same_tool_may_be_called_twice() {
    for more in [json!({"index": 0, "id": "a"}), json!({"index": 0})] {
        let first = whole(more.clone(), "look", json!(r#"{"x":1}"#));
        let mut again = more;
        if again["id"] == "a" {
            again["id"] = json!("b");
        }
        let case = chat(&[first, whole(again, "look", json!(r#"{"x":2}"#)), stop("stop")]).await;
        assert_eq!(case.calls(), [("look", r#"{"x":1}"#), ("look", r#"{"x":2}"#)]);
    }
}

#[tokio::test]
async fn pieces_of_a_call_are_one_call() {
    let pieces = [
        (
            "the name comes late",
            vec![
                json!({"index": 0, "id": "a", "function": {"arguments": ""}}),
                json!({"index": 0, "function": {"name": "look"}}),
                json!({"index": 0, "function": {"arguments": "{\"x\":1}"}}),
            ],
        ),
        (
            "the arguments come before the name",
            vec![
                json!({"index": 0, "id": "a", "function": {"arguments": "{\"x\""}}),
                json!({"index": 0, "function": {"name": "look", "arguments": ":1}"}}),
            ],
        ),
        (
            "no numbers",
            vec![
                json!({"id": "a", "function": {"name": "look", "arguments": "{\"x\""}}),
                json!({"function": {"arguments": ":1}"}}),
            ],
        ),
        (
            "id and name are said again",
            vec![
                json!({"index": 0, "id": "a", "function": {"name": "look", "arguments": "{\"x\""}}),
                json!({"index": 0, "id": "a", "function": {"name": "look", "arguments": ":1}"}}),
                json!({"index": 0, "id": "a", "function": {"name": "look", "arguments": ""}}),
            ],
        ),
        (
            "another id with each piece",
            vec![
                json!({"index": 0, "id": "a", "function": {"name": "look", "arguments": "{\"x\""}}),
                json!({"index": 0, "id": "b", "function": {"name": "", "arguments": ":1}"}}),
            ],
        ),
        (
            "an empty object first",
            vec![
                json!({"index": 0, "id": "a", "function": {"name": "look", "arguments": {}}}),
                json!({"index": 0, "function": {"name": null, "arguments": "{\"x\":1}"}}),
            ],
        ),
        ("an object", vec![json!({"index": 0, "id": "a", "function": {"name": "look", "arguments": {"x": 1}}})]),
    ];
    for (what, lines) in pieces {
        let chunks: Vec<Value> = lines.into_iter().map(call).chain([stop("tool_calls"), counted()]).collect();
        assert_eq!(chat(&chunks).await.calls(), TWO[..1], "{what}");
    }
    let old = chunk(json!({"function_call": {"name": "look", "arguments": "{\"x\":1}"}}));
    assert_eq!(chat(&[old, stop("function_call")]).await.calls(), TWO[..1]);
}

#[tokio::test]
async fn a_call_without_arguments_has_none() {
    let empty = whole(json!({"index": 0, "id": "a"}), "look", json!(""));
    let null = whole(json!({"index": 1, "id": "b"}), "wait", Value::Null);
    assert_eq!(chat(&[empty, null, stop("tool_calls")]).await.calls(), [("look", "{}"), ("wait", "{}")]);
}

#[tokio::test]
async fn a_call_without_a_name_is_no_answer() {
    let case = chat(&[call(json!({"index": 0, "id": "a", "function": {"arguments": "{}"}})), stop("tool_calls")]).await;
    assert!(matches!(case.why(), Error::Unavailable(_)), "{:?}", case.why());
}

#[tokio::test]
async fn text_and_thoughts_are_told_apart_in_every_shape() {
    let thinking = json!([{"type": "thinking", "thinking": [{"type": "text", "text": "well"}]}]);
    let shapes = [
        (
            "pieces of both",
            vec![chunk(json!({"content": thinking})), chunk(json!({"content": [{"type": "text", "text": "Hello"}]}))],
        ),
        (
            "an empty one beside",
            vec![chunk(json!({"content": null, "reasoning_content": "", "reasoning": "well"})), text("Hello")],
        ),
        ("twice the same", vec![chunk(json!({"reasoning_content": "well", "reasoning": "well"})), text("Hello")]),
        (
            "an empty delta first",
            vec![json!({"choices": [{"index": 0, "delta": null}]}), chunk(json!({"reasoning": "well"})), text("Hello")],
        ),
        (
            "no choices meanwhile",
            vec![
                chunk(json!({"reasoning": "well"})),
                json!({"choices": null, "usage": null}),
                json!({}),
                text("Hello"),
            ],
        ),
    ];
    for (what, chunks) in shapes {
        let chunks: Vec<Value> = chunks.into_iter().chain([stop("stop"), counted()]).collect();
        let case = chat(&chunks).await;
        assert_eq!((case.says().as_str(), thoughts(&case).as_str()), ("Hello", "well"), "{what}");
    }
    assert_eq!(chat(&[chunk(json!({"refusal": "I cannot."})), stop("stop")]).await.says(), "I cannot.");
}

#[tokio::test]
async fn blocks_of_messages_are_put_together_however_they_are_numbered() {
    let block = |index: u64, id: &str, name: &str, input: Value| json!({"type": "content_block_start", "index": index, "content_block": {"type": "tool_use", "id": id, "name": name, "input": input}});
    let input = |index: u64, json: &str| json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": json}});
    let end = [ends("tool_use", json!(7)), json!({"type": "message_stop"})];
    let same = [
        start(),
        block(0, "a", "look", json!({})),
        input(0, ""),
        input(0, "{\"x\":1}"),
        block(0, "b", "wait", json!({})),
        input(0, "{\"s\":2}"),
    ];
    let whole = [start(), block(0, "a", "look", json!({"x": 1})), block(1, "b", "wait", json!({"s": 2}))];
    for events in [&same[..], &whole[..]] {
        let events: Vec<Value> = events.iter().chain(&end).cloned().collect();
        assert_eq!(messages(&events).await.calls(), TWO);
    }
}

#[tokio::test]
async fn events_and_blocks_that_are_new_are_passed_over() {
    let new = [
        json!({"type": "brand_new", "x": 1}),
        json!({"type": "content_block_start", "index": 7, "content_block": {"type": "server_tool_use", "id": "s", "name": "search", "input": {}}}),
        json!({"type": "content_block_delta", "index": 7, "delta": {"type": "input_json_delta", "partial_json": "{}"}}),
        json!({"type": "content_block_start", "index": 8, "content_block": {"type": "web_search_tool_result", "content": {"type": "web_search_tool_result_error", "error_code": "x"}}}),
        json!({"type": "content_block_delta", "index": 9, "delta": {"type": "citations_delta", "citation": {}}}),
    ];
    let events: Vec<Value> =
        [start()].into_iter().chain(new).chain(says("Hello")).chain([ends("end_turn", json!(7))]).collect();
    let case = messages(&events).await;
    assert_eq!((case.says().as_str(), case.answer().parts.len()), ("Hello", 1));
}
