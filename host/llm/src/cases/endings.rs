//! How answers end: with a reason, with a last word, in the middle, or not at all.

use super::*;

fn ending(field: &str, word: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": null, field: word}]})
}

#[tokio::test]
async fn an_answer_is_one_only_with_a_reason_or_a_last_word() {
    let whole = [
        ("empty reasons first", vec![ending("finish_reason", json!("")), text("lo"), stop("stop")], StopReason::End),
        ("empty reasons alone", vec![text("lo"), ending("finish_reason", json!(""))], StopReason::End),
        ("Gemini's name", vec![text("lo"), ending("finishReason", json!("STOP"))], StopReason::End),
        ("no reason", vec![text("lo")], StopReason::End),
        ("another spelling", vec![text("lo"), stop("MAX_TOKENS")], StopReason::MaxOutput),
        ("the window is full", vec![text("lo"), stop("model_length")], StopReason::ContextFull),
        ("a filter", vec![text("lo"), stop("SAFETY")], StopReason::Filtered),
        ("a word of its own", vec![text("lo"), stop("cosmic_ray")], StopReason::Other("cosmic_ray".to_owned())),
    ];
    for (what, chunks, reason) in whole {
        let chunks: Vec<Value> = [text("Hel")].into_iter().chain(chunks).chain([counted()]).collect();
        let case = chat(&chunks).await;
        assert_eq!((case.says().as_str(), &case.answer().stop), ("Hello", &reason), "{what}");
    }
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let cut = |chunks: Vec<Value>| {
        let data: Vec<String> = chunks.iter().map(Value::to_string).collect();
        played("openai-compatible", vec![Step::Send(all(&data))])
    };
    for end in [None, Some(ending("finish_reason", json!(""))), Some(counted())] {
        let case = cut([text("Transfer 10")].into_iter().chain(end).collect()).await;
        assert!(matches!(case.why(), Error::Unavailable(_)), "{:?}", case.why());
        assert_eq!(case.partial(), "Transfer 10");
        assert!(case.finished.usage.output >= 11);
    }
    for word in ["error", "abort", "network_error", "insufficient_system_resource"] {
        let mut end = stop(word);
        end["choices"][0]["error"] = json!({"code": 502, "message": "upstream died"});
        let case = chat(&[text("Transfer 10"), end]).await;
        assert_eq!((case.partial().as_str(), case.note()), ("Transfer 10", "upstream died"), "{word}");
    }
    let open = chunk(
        json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "pay", "arguments": "{\"sum\": 10"}}]}),
    );
    assert!(chat(&[open]).await.finished.result.is_err(), "half a call is no call, whatever the last word");
    assert!(chat(&[]).await.finished.result.is_err(), "nothing is no answer");
}

#[tokio::test]
async fn whatever_comes_behind_a_whole_answer_does_not_take_it_away() {
    let whole: Vec<String> = [text("Hello"), stop("stop"), counted()].iter().map(Value::to_string).collect();
    let beat = || [Step::Wait(Duration::from_millis(100)), Step::Send(b": beat\n\n".to_vec())];
    let beats: Vec<Step> = (0..100).flat_map(|_| beat()).collect();
    let error = json!({"error": {"code": 500, "message": "too late"}}).to_string();
    let with = |more: &str| all(&[whole.clone(), vec![more.to_owned()]].concat());
    let ends = [
        ("it hangs", vec![Step::Send(all(&whole)), Step::Hang]),
        ("it beats", [vec![Step::Send(all(&whole))], beats].concat()),
        ("it closes", vec![Step::Send(all(&whole))]),
        ("it breaks", vec![Step::Send(with("{\"cho"))]),
        ("an error", vec![Step::Send(with(&error))]),
        ("nonsense", vec![Step::Send(with("this is not JSON"))]),
    ];
    for (what, steps) in ends {
        let case = played("openai-compatible", steps).await;
        assert_eq!((case.says().as_str(), case.finished.usage.output), ("Hello", 3), "{what}");
        assert!(case.took < Duration::from_secs(2), "{what}: {:?}", case.took);
    }
    let mut bytes =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let body: String = whole.iter().map(|data| format!("data: {data}\n\n")).collect();
    bytes.extend_from_slice(format!("{:x}\r\n{body}\r\n", body.len()).as_bytes());
    assert_eq!(played("openai-compatible", vec![Step::Send(bytes)]).await.says(), "Hello");
}

#[tokio::test]
async fn a_whole_answer_waits_a_while_to_be_counted() {
    let whole: Vec<String> = [text("Hello"), stop("stop")].iter().map(Value::to_string).collect();
    let count = format!("data: {}\n\ndata: [DONE]\n\n", counted()).into_bytes();
    let late = vec![Step::Send(all(&whole)), Step::Wait(Duration::from_millis(400)), Step::Send(count)];
    assert_eq!(played("openai-compatible", late).await.finished.usage.output, 3);
    let beats = (0..80).flat_map(|_| [Step::Wait(Duration::from_millis(100)), Step::Send(b": beat\n\n".to_vec())]);
    let never: Vec<Step> = [Step::Send(all(&whole))].into_iter().chain(beats).collect();
    let case = played("openai-compatible", never).await;
    assert!(case.says() == "Hello" && case.finished.usage.estimated && case.took < Duration::from_secs(5));
}

#[tokio::test]
async fn messages_end_with_their_reason() {
    let whole: Vec<Value> = [start()].into_iter().chain(says("Hello")).chain([ends("end_turn", json!(7))]).collect();
    let data: Vec<String> = whole.iter().map(Value::to_string).collect();
    let done = [data.clone(), vec!["[DONE]".to_owned()]].concat();
    let ping = b"event: ping\ndata: {\"type\": \"ping\"}\n\n".to_vec();
    let pings: Vec<Step> =
        (0..50).flat_map(|_| [Step::Wait(Duration::from_millis(100)), Step::Send(ping.clone())]).collect();
    let ends_so = [
        ("it closes", vec![Step::Send(all(&data))]),
        ("another's last word", vec![Step::Send(all(&done))]),
        ("it hangs", vec![Step::Send(all(&data)), Step::Hang]),
        ("it pings", [vec![Step::Send(all(&data))], pings].concat()),
    ];
    for (what, steps) in ends_so {
        let case = played("anthropic", steps).await;
        assert_eq!((case.says().as_str(), case.finished.usage.output), ("Hello", 7), "{what}");
        assert!(case.took < Duration::from_secs(2), "{what}: {:?}", case.took);
    }
    let words = [
        ("refusal", StopReason::Filtered),
        ("pause_turn", StopReason::Other("pause_turn".to_owned())),
        ("model_context_window_exceeded", StopReason::ContextFull),
        ("stop_sequence", StopReason::Sequence(String::new())),
    ];
    for (word, reason) in words {
        let events: Vec<Value> = [start()].into_iter().chain(says("Hello")).chain([ends(word, json!(7))]).collect();
        assert_eq!(messages(&events).await.answer().stop, reason, "{word}");
    }
    let empty = messages(&[start(), ends("end_turn", json!(2))]).await;
    assert!(empty.answer().parts.is_empty(), "a model may have nothing to say");
}
