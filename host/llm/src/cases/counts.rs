//! What an answer costs: the provider's word where it can be true, and what came where it cannot.

use super::*;

async fn bill(chunks: &[Value]) -> Usage {
    chat(chunks).await.finished.usage
}

/// The counts of `Hello` with this line.
async fn counts(line: Value) -> Usage {
    bill(&[text("Hello"), stop("stop"), usage(line)]).await
}

fn exact(input_fresh: u64, cache_read: u64, cache_write: u64, output: u64) -> Usage {
    Usage { input_fresh, cache_read, cache_write, output, reasoning: 0, estimated: false }
}

#[tokio::test]
async fn counts_are_read_in_every_spelling() {
    let lines = [
        (json!({"prompt_tokens": 12.0, "completion_tokens": 3.0}), exact(12, 0, 0, 3)),
        (json!({"prompt_tokens": "12", "completion_tokens": 2.1}), exact(12, 0, 0, 3)),
        (
            json!({"prompt_tokens": 1000, "completion_tokens": 3, "prompt_cache_hit_tokens": 900, "prompt_cache_miss_tokens": 100}),
            exact(100, 900, 0, 3),
        ),
        (json!({"prompt_tokens": 1000, "completion_tokens": 3, "cached_tokens": 900}), exact(100, 900, 0, 3)),
        (
            json!({"prompt_tokens": 1000, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 900}, "cost": 0.1}),
            exact(100, 0, 900, 3),
        ),
        (
            json!({"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 500}}),
            exact(0, 12, 0, 3),
        ),
        (
            json!({"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": null, "completion_tokens_details": null}),
            exact(12, 0, 0, 3),
        ),
        (json!({"prompt_tokens": 12, "total_tokens": 15}), exact(12, 0, 0, 3)),
    ];
    for (line, usage) in lines {
        assert_eq!(counts(line.clone()).await, usage, "{line}");
    }
    let thought = json!({"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 115, "completion_tokens_details": {"reasoning_tokens": 100}});
    assert_eq!(
        counts(thought).await,
        Usage { reasoning: 100, ..exact(12, 0, 0, 103) },
        "some count thoughts in the sum alone"
    );
    let more =
        json!({"prompt_tokens": 12, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 500}});
    assert_eq!(counts(more).await, Usage { reasoning: 3, ..exact(12, 0, 0, 3) });
    let in_choice = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 12, "completion_tokens": 3}}]});
    assert_eq!(bill(&[text("Hello"), in_choice]).await, exact(12, 0, 0, 3));
    let twice = [text("Hello"), stop("stop"), counted(), counted()];
    assert_eq!(bill(&twice).await, exact(12, 0, 0, 3));
}

#[tokio::test]
async fn what_the_provider_does_not_count_is_counted_by_bytes() {
    let said = "Hello ".repeat(50);
    let lines = [
        Value::Null,
        json!({}),
        json!({"prompt_tokens": null, "completion_tokens": null, "total_tokens": null}),
        json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
        json!({"prompt_tokens": -1, "completion_tokens": -1}),
    ];
    for line in lines {
        let usage = bill(&[text(&said), stop("stop"), usage(line.clone())]).await;
        assert!(usage.estimated && usage.output == 300 && usage.input_fresh > 12, "{line}: {usage:?}");
    }
    let usage =
        bill(&[text(&said), stop("stop"), usage(json!({"prompt_tokens": 12, "completion_tokens": null}))]).await;
    assert_eq!((usage.input_fresh, usage.output, usage.estimated), (12, 300, true), "what it said counts");
    let usage =
        bill(&[text(&said), stop("stop"), super::usage(json!({"prompt_tokens": 12, "completion_tokens": 2}))]).await;
    assert_eq!((usage.output, usage.estimated), (300, true), "no token has 150 letters");
}

#[tokio::test]
async fn a_count_that_came_too_early_does_not_count() {
    let early = json!({"choices": [{"index": 0, "delta": {"content": ""}}], "usage": {"prompt_tokens": 12, "completion_tokens": 0}});
    let said = text(&"x".repeat(300));
    for end in [vec![stop("stop")], vec![]] {
        let chunks: Vec<Value> = [early.clone(), said.clone()].into_iter().chain(end).collect();
        let usage = bill(&chunks).await;
        assert_eq!((usage.input_fresh, usage.output, usage.estimated), (12, 300, true));
    }
    let running = json!({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 90}});
    let usage = bill(&[early, said, running, stop("stop")]).await;
    assert_eq!(usage, exact(12, 0, 0, 90), "the last one counts all that came");
    let smaller =
        [text("Hello"), stop("stop"), counted(), super::usage(json!({"prompt_tokens": 1, "completion_tokens": 1}))];
    assert_eq!(bill(&smaller).await, exact(12, 0, 0, 3), "of two counts the larger one");
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_settled_by_what_came() {
    let early = json!({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 0}});
    let bytes = all(&[early.to_string(), text(&"word ".repeat(100)).to_string()]);
    let server = Server::start(vec![Step::Send(bytes), Step::Hang]).await;
    let (_home, entry) = model_with("openai-compatible", &server.url, 60_000);
    let cancelled = CancellationToken::new();
    let cancel = cancelled.clone();
    let sink = Sink::new(move |_| cancel.cancel());
    let finished = entry.ask(Instant::now(), &permit(1000), asks("hello"), sink, cancelled).await;
    assert_eq!((finished.usage.input_fresh, finished.usage.output, finished.usage.estimated), (12, 500, true));
}

#[tokio::test]
async fn messages_are_counted_by_their_last_word() {
    let start = json!({"type": "message_start", "message": {"usage": {"input_tokens": 9, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 300, "output_tokens": 1}}});
    let last = |usage: Value| json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage});
    let lines = [
        (json!({"output_tokens": 7}), exact(9, 300, 20, 7)),
        (json!({"output_tokens": 7.0, "input_tokens": 9, "cache_creation_input_tokens": null}), exact(9, 300, 20, 7)),
        (json!({"output_tokens": 7, "input_tokens": 5000}), exact(5000, 300, 20, 7)),
        (json!({"output_tokens": 7, "input_tokens": 0, "cache_read_input_tokens": 0}), exact(9, 300, 20, 7)),
    ];
    for (line, usage) in lines {
        let events: Vec<Value> = [start.clone()].into_iter().chain(says("Hello")).chain([last(line.clone())]).collect();
        assert_eq!(messages(&events).await.finished.usage, usage, "{line}");
    }
    let events: Vec<Value> = [start].into_iter().chain(says(&"x".repeat(40))).chain([last(Value::Null)]).collect();
    let usage = messages(&events).await.finished.usage;
    assert_eq!((usage.input_fresh, usage.output, usage.estimated), (9, 40, true));
}
