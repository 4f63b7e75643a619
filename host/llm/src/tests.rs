//! Providers against servers that keep to the protocol and servers that do not. Each way to misbehave has its test.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use agentry_abi::bindings::agentry::agent::llm::{
    Effort, Media, MediaSource, OutputForm, Part, Reasoning, ResultPart, Role, StopReason, Tool, ToolCall, ToolResult,
};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_kernel::model::Usage;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::fixtures::{Server, Step, asks, events, open, permit, says, status, text_of};
use super::*;

pub(super) const KEY: &str = "sk-this-is-the-key";

/// A model behind this server, with a key in a file and little patience.
fn model(kind: &str, url: &str) -> (tempfile::TempDir, Arc<Entry>) {
    model_with(kind, url, 300)
}

/// The same, with patience for a real model on a busy machine.
fn patient_model(kind: &str, url: &str) -> (tempfile::TempDir, Arc<Entry>) {
    model_with(kind, url, 120_000)
}

pub(super) fn model_with(kind: &str, url: &str, idle_timeout_ms: u64) -> (tempfile::TempDir, Arc<Entry>) {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("key");
    std::fs::write(&key, KEY).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "format = 1\n[providers.p]\nkind = \"{kind}\"\nbase_url = \"{url}\"\nkey = {{ file = \"{}\" }}\n\
         idle_timeout_ms = {idle_timeout_ms}\n[models.small]\nprovider = \"p\"\nmodel = \"vendor-model-7\"\nmedia = true\n\
         price = {{ input = 1_000_000, output = 2_000_000 }}\n",
        key.display()
    );
    let models = open(&text);
    let entry = Arc::clone(models.get("small").unwrap());
    (home, entry)
}

async fn ask(kind: &str, url: &str, request: Request) -> Finished {
    let (_home, entry) = model(kind, url);
    entry.ask(Instant::now(), &permit(100), request, Sink::NONE, CancellationToken::new()).await
}

async fn ask_server(kind: &str, steps: Vec<Step>) -> (Server, Finished) {
    let server = Server::start(steps).await;
    let finished = ask(kind, &server.url, asks("hello")).await;
    (server, finished)
}

fn reason(finished: &Finished) -> String {
    let failure = finished.result.as_ref().unwrap_err();
    match &failure.why {
        Error::Unavailable(why) => format!("{} {:?}", why.reason, why.retry_after_ms),
        other => format!("{other:?}"),
    }
}

/// No word that a guest gets may tell who answers, where, or with which key.
fn assert_nothing_leaks(server: &Server, finished: &Finished) {
    let seen = format!("{:?}", finished.result);
    let host = server.url.trim_start_matches("http://");
    for secret in [KEY, host, "127.0.0.1", "vendor-model-7"] {
        assert!(!seen.contains(secret), "{secret} in {seen}");
    }
    assert!(!format!("{finished:?}").contains(KEY), "the admin does not see the key either");
}

const TEXT: &str = r#"{"choices":[{"delta":{"role":"assistant","content":"Hel"}}]}"#;
const MORE: &str = r#"{"choices":[{"delta":{"content":"lo \u00e4"},"finish_reason":null}]}"#;
const STOP: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":1}}}"#;

#[tokio::test]
async fn openai_text_comes_in_pieces_and_with_its_bill() {
    let server = Server::start(vec![Step::Send(events(&[TEXT, MORE, STOP, USAGE, "[DONE]"]))]).await;
    let (_home, entry) = model("openai", &server.url);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    let sink = Sink::new(move |delta| ear.lock().push(delta.clone()));
    let finished = entry.ask(Instant::now(), &permit(100), asks("hello"), sink, CancellationToken::new()).await;
    let response = finished.result.clone().unwrap();
    assert_eq!(text_of(&response), "Hello ä");
    assert_eq!(*heard.lock(), [Delta::Text("Hel".to_owned()), Delta::Text("lo ä".to_owned())]);
    assert_eq!((response.stop.clone(), response.model.as_str()), (StopReason::End, "small"));
    let usage = Usage { input_fresh: 8, cache_read: 4, output: 3, reasoning: 1, ..Usage::default() };
    assert_eq!(finished.usage, usage);
    assert_eq!(response.cost.microusd, 8 + 4 + 6);
    assert_nothing_leaks(&server, &finished);
}

#[tokio::test]
async fn openai_is_asked_in_its_own_words() {
    let object = TEXT.replace("Hel", "{}");
    let server = Server::start(vec![Step::Send(events(&[&object, STOP, "[DONE]"]))]).await;
    let mut request = asks("what is this?");
    request.messages.insert(0, says(Role::System, "Be brief."));
    let image = Media { mime: "image/png".to_owned(), source: MediaSource::Bytes(vec![1, 2, 3]) };
    request.messages[1].parts.push(Part::Media(image));
    let foreign = Reasoning { text: Some("foreign thought".to_owned()), opaque: None, origin: "x@1".to_owned() };
    let call = ToolCall { id: "c1".to_owned(), name: "look".to_owned(), arguments_json: r#"{"b":1,"a":2}"#.to_owned() };
    let mut turn = says(Role::Assistant, "");
    turn.parts = vec![Part::Reasoning(foreign), Part::ToolCall(call)];
    request.messages.push(turn);
    let mut turn = says(Role::Tool, "");
    let parts = vec![ResultPart::Text("gone".to_owned())];
    turn.parts = vec![Part::ToolResult(ToolResult { call_id: "c1".to_owned(), failed: true, parts })];
    request.messages.push(turn);
    request.tools.push(Tool {
        name: "look".to_owned(),
        description: "Looks.".to_owned(),
        schema_json: r#"{"type":"object","properties":{"z":{},"a":{}}}"#.to_owned(),
    });
    request.output = OutputForm::Schema(r#"{"type":"object"}"#.to_owned());
    request.effort = Some(Effort::Low);
    ask("openai", &server.url, request).await.result.unwrap();
    let sent = server.requests.lock()[0].clone();
    assert!(sent.starts_with("POST /chat/completions HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains(&format!("authorization: Bearer {KEY}\r\n")), "{sent}");
    let body = sent.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(
        body,
        concat!(
            r#"{"model":"vendor-model-7","messages":[{"role":"system","content":"Be brief."},"#,
            r#"{"role":"user","content":[{"type":"text","text":"what is this?"},"#,
            r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AQID"}}]},"#,
            r#"{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","#,
            r#""function":{"name":"look","arguments":"{\"b\":1,\"a\":2}"}}]},"#,
            r#"{"role":"tool","content":"error: gone","tool_call_id":"c1"}],"#,
            r#""stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":100,"#,
            r#""tools":[{"type":"function","function":{"name":"look","description":"Looks.","#,
            r#""parameters":{"type":"object","properties":{"z":{},"a":{}}}}}],"#,
            r#""response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"#,
            r#""schema":{"type":"object"}}},"reasoning_effort":"low"}"#
        )
    );
}

#[tokio::test]
async fn openai_tool_calls_and_thoughts_are_put_together() {
    let data = [
        r#"{"choices":[{"delta":{"reasoning_content":"hm, "}}]}"#,
        r#"{"choices":[{"delta":{"reasoning_content":"so"}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"look","arguments":""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"wait","arguments":""}},{"index":0,"function":{"arguments":":1}"}}]}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ];
    let (_server, finished) = ask_server("openai-compatible", vec![Step::Send(events(&data))]).await;
    let response = finished.result.unwrap();
    assert_eq!(response.stop, StopReason::ToolCalls, "whatever the server calls it");
    let [Part::Reasoning(thought), Part::ToolCall(look), Part::ToolCall(wait)] = &response.parts[..] else {
        panic!("{response:?}")
    };
    assert_eq!(thought.text.as_deref(), Some("hm, so"));
    assert!(thought.origin.starts_with("small@"), "{}", thought.origin);
    assert_eq!((look.id.as_str(), look.arguments_json.as_str()), ("a", r#"{"x":1}"#));
    assert_eq!((wait.name.as_str(), wait.arguments_json.as_str()), ("wait", "{}"));
    assert!(finished.usage.estimated && finished.usage.output > 0, "{:?}", finished.usage);
}

const START: &str = r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":9,"cache_creation_input_tokens":2,"cache_read_input_tokens":5,"output_tokens":1}}}"#;
const THINK: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#;
const THOUGHT: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"well"}}"#;
const SIGNED: &str =
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}"#;
const USE: &str = r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t1","name":"look","input":{}}}"#;
const INPUT: &str =
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"x\":1}"}}"#;
const SAID: &str = r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Hello"}}"#;
const END: &str =
    r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":7}}"#;
const LAST: &str = r#"{"type":"message_stop"}"#;

#[tokio::test]
async fn anthropic_thoughts_are_kept_with_their_signature_and_sent_back() {
    let all = [START, r#"{"type":"ping"}"#, THINK, THOUGHT, SIGNED, USE, INPUT, END, LAST];
    let server = Server::start(vec![Step::Send(events(&all))]).await;
    let (_home, entry) = model("anthropic", &server.url);
    let mut request = asks("look");
    let ask = |request| entry.ask(Instant::now(), &PERMIT, request, Sink::NONE, CancellationToken::new());
    static PERMIT: std::sync::LazyLock<Permit> = std::sync::LazyLock::new(|| permit(100));
    let finished = ask(request.clone()).await;
    let response = finished.result.unwrap();
    assert_eq!(response.stop, StopReason::ToolCalls);
    let usage = Usage { input_fresh: 9, cache_read: 5, cache_write: 2, output: 7, reasoning: 0, estimated: false };
    assert_eq!(finished.usage, usage);
    let mut turn = says(Role::Assistant, "");
    turn.parts = response.parts;
    turn.parts.push(Part::Reasoning(Reasoning {
        text: Some("other".to_owned()),
        opaque: Some(vec![1]),
        origin: "b@2".to_owned(),
    }));
    turn.cache = true;
    request.messages.push(turn);
    ask(request).await.result.unwrap();
    let sent = server.requests.lock()[1].clone();
    assert!(
        sent.starts_with("POST /v1/messages HTTP/1.1\r\n") && sent.contains(&format!("x-api-key: {KEY}\r\n")),
        "{sent}"
    );
    assert!(sent.contains("anthropic-version: 2023-06-01\r\n"));
    assert_eq!(
        sent.split_once("\r\n\r\n").unwrap().1,
        concat!(
            r#"{"model":"vendor-model-7","max_tokens":100,"messages":[{"role":"user","content":[{"type":"text","text":"look"}]},"#,
            r#"{"role":"assistant","content":[{"type":"thinking","thinking":"well","signature":"c2ln"},"#,
            r#"{"type":"tool_use","id":"t1","name":"look","input":{"x":1},"cache_control":{"type":"ephemeral"}}]}],"stream":true}"#
        )
    );
}

#[tokio::test]
async fn a_cut_stream_gives_what_came_and_bills_no_less() {
    let (server, finished) = ask_server("openai", vec![Step::Send(events(&[TEXT, MORE]))]).await;
    let failure = finished.result.clone().unwrap_err();
    let partial = failure.partial.unwrap();
    assert_eq!((text_of(&partial), partial.stop), ("Hello ä".to_owned(), StopReason::Cancelled));
    assert!(matches!(failure.why, Error::Unavailable(_)));
    assert!(finished.usage.estimated && finished.usage.output >= 3 && finished.usage.input_fresh > 0);
    assert_nothing_leaks(&server, &finished);

    let (_server, finished) = ask_server("anthropic", vec![Step::Send(events(&[START, SAID]))]).await;
    assert_eq!((finished.usage.input_fresh, finished.usage.estimated), (9, true), "the provider said what it read");
    assert!(finished.usage.output >= 5, "but not yet what it wrote");
}

#[tokio::test]
async fn a_connection_that_breaks_within_a_chunk_is_a_cut_stream() {
    let mut bytes =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    bytes.extend_from_slice(format!("{:x}\r\ndata: {TEXT}\n\n\r\nfff\r\ndata: {{\"cho", TEXT.len() + 8).as_bytes());
    let (_server, finished) = ask_server("openai", vec![Step::Send(bytes)]).await;
    assert_eq!(reason(&finished), "the model's answer was cut off None");
    assert_eq!(text_of(finished.result.unwrap_err().partial.as_ref().unwrap()), "Hel");
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let began = Instant::now();
    let (_server, finished) = ask_server("openai", vec![Step::Hang]).await;
    assert_eq!(reason(&finished), "the model's provider does not answer None");
    let (_server, finished) = ask_server("openai", vec![Step::Send(events(&[TEXT])), Step::Hang]).await;
    assert_eq!(reason(&finished), "the model's provider does not answer None");
    assert!(finished.result.unwrap_err().partial.is_some());
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_slow_server_that_goes_on_is_not_given_up() {
    let wait = || Step::Wait(Duration::from_millis(200));
    let ping = || Step::Send(b": still thinking\n\n".to_vec());
    let rest = events(&[TEXT, STOP, "[DONE]"]).split_off(events(&[]).len());
    let steps = vec![Step::Send(events(&[])), wait(), ping(), wait(), ping(), wait(), Step::Send(rest)];
    let (_server, finished) = ask_server("openai", steps).await;
    assert_eq!(text_of(&finished.result.unwrap()), "Hel");
}

#[tokio::test]
async fn a_busy_provider_says_when_to_come_back_and_costs_nothing() {
    for line in ["429 Too Many Requests", "503 Service Unavailable"] {
        let answer = status(line, "retry-after: 2\r\n", r#"{"error":{"message":"slow down"}}"#);
        let (server, finished) = ask_server("openai", vec![Step::Send(answer)]).await;
        assert!(reason(&finished).ends_with("Some(2000)"), "{finished:?}");
        assert_eq!(finished.usage, Usage::default());
        assert!(finished.note.as_ref().unwrap().contains("slow down"), "{finished:?}");
        assert_nothing_leaks(&server, &finished);
    }
}

#[tokio::test]
async fn a_broken_provider_is_unavailable_and_costs_nothing() {
    let answer = status("500 Internal Server Error", "", "<html>oops</html>");
    let (_server, finished) = ask_server("anthropic", vec![Step::Send(answer)]).await;
    assert_eq!(reason(&finished), "the model's provider has a problem None");
    assert_eq!(finished.usage, Usage::default());
}

#[tokio::test]
async fn a_wrong_key_is_the_hosts_affair() {
    let body = format!(r#"{{"error":{{"message":"Incorrect API key provided: {KEY}"}}}}"#);
    let (server, finished) = ask_server("openai", vec![Step::Send(status("401 Unauthorized", "", &body))]).await;
    assert_eq!(reason(&finished), "the model is not set up rightly on this host None");
    assert_eq!(finished.note.as_deref(), Some("401 Unauthorized: Incorrect API key provided: …"));
    assert_nothing_leaks(&server, &finished);
}

#[tokio::test]
async fn a_refused_request_says_why_without_naming_the_provider() {
    let server = Server::start(vec![]).await;
    let body = format!(r#"{{"error":{{"message":"vendor-model-7 at {} takes no temperature"}}}}"#, server.url);
    let (server, finished) = ask_server("openai", vec![Step::Send(status("400 Bad Request", "", &body))]).await;
    let seen = reason(&finished);
    assert!(seen.contains("takes no temperature"), "{seen}");
    assert!(!seen.contains("vendor-model-7") && !seen.contains("127.0.0.1"), "{seen}");
    assert_nothing_leaks(&server, &finished);
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_told_with_its_counts() {
    let body = r#"{"error":{"code":400,"type":"exceed_context_size_error","message":"too big","n_prompt_tokens":9001,"n_ctx":4096}}"#;
    let (_server, finished) =
        ask_server("openai-compatible", vec![Step::Send(status("400 Bad Request", "", body))]).await;
    assert_eq!(reason(&finished), r#"Error::Invalid("the prompt has 9001 tokens, and the model's window 4096")"#);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Server::start(vec![Step::Send(events(&[TEXT, STOP]))]).await;
    let answer = status("307 Temporary Redirect", &format!("location: {}/x\r\n", target.url), "");
    let (_server, finished) = ask_server("openai", vec![Step::Send(answer)]).await;
    assert!(finished.result.is_err());
    assert_eq!(target.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_server_that_is_down_was_not_asked() {
    let finished = ask("openai", "http://127.0.0.1:1", asks("hello")).await;
    assert_eq!(reason(&finished), "the model's provider cannot be reached None");
    assert_eq!(finished.usage, Usage::default());
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_such() {
    let garbage = "the model's provider sent something that is no answer None";
    let html = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\nhello".to_vec();
    for bytes in [html, events(&["this is not JSON"]), events(&[r#"{"choices":7}"#])] {
        let (server, finished) = ask_server("openai", vec![Step::Send(bytes)]).await;
        assert_eq!(reason(&finished), garbage);
        assert_nothing_leaks(&server, &finished);
    }
    let mut broken = events(&[TEXT]);
    broken.extend_from_slice(b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\xfe\"}}]}\n\n");
    let (_server, finished) = ask_server("openai", vec![Step::Send(broken)]).await;
    assert_eq!(reason(&finished), "the model's answer was cut off None");
    assert_eq!(text_of(finished.result.unwrap_err().partial.as_ref().unwrap()), "Hel\u{fffd}\u{fffd}");
    let (_server, finished) = ask_server("openai", vec![Step::Send(b"\x00\x01garbage\r\n\r\n".to_vec())]).await;
    assert!(finished.result.is_err());
}

#[tokio::test]
async fn an_answer_without_end_does_not_grow_the_host() {
    let mut line = events(&[]);
    line.resize(line.len() + 2 * 1024 * 1024, b'x');
    let (_server, finished) = ask_server("openai", vec![Step::Send(line), Step::Hang]).await;
    assert_eq!(finished.note.as_deref(), Some("the answer has no end"));

    let piece =
        format!("data: {}\n\n", r#"{"choices":[{"delta":{"content":"X"}}]}"#.replace('X', &"x".repeat(64 * 1024)));
    let steps = [Step::Send(events(&[]))].into_iter().chain(vec![Step::Send(piece.into_bytes()); 600]).collect();
    let (_server, finished) = ask_server("openai", steps).await;
    assert_eq!(finished.note.as_deref(), Some("the answer has no end"));
    assert!(finished.usage.output <= 100, "no more is billed than was permitted");
}

#[tokio::test]
async fn an_error_within_the_stream_ends_it() {
    let error = r#"{"error":{"message":"out of memory","type":"server_error"}}"#;
    let (_server, finished) = ask_server("openai", vec![Step::Send(events(&[TEXT, error]))]).await;
    assert_eq!(reason(&finished), "the model's provider broke off its answer None");
    assert!(finished.result.unwrap_err().partial.is_some());
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let (_server, finished) = ask_server("anthropic", vec![Step::Send(events(&[START, error]))]).await;
    assert_eq!(reason(&finished), "the model's provider broke off its answer None");
    assert_eq!(finished.usage.input_fresh, 9);
}

async fn gone(server: &Server) -> Duration {
    let began = Instant::now();
    while server.left.load(Ordering::SeqCst) == 0 {
        assert!(began.elapsed() < Duration::from_secs(5), "the connection is still open");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    began.elapsed()
}

#[tokio::test]
async fn a_cancelled_call_hangs_up_at_once_and_keeps_what_came() {
    let server = Server::start(vec![Step::Send(events(&[TEXT])), Step::Hang]).await;
    let (_home, entry) = model("openai", &server.url);
    let cancelled = CancellationToken::new();
    let cancel = cancelled.clone();
    let sink = Sink::new(move |_| cancel.cancel());
    let finished = entry.ask(Instant::now(), &permit(100), asks("hello"), sink, cancelled).await;
    let failure = finished.result.unwrap_err();
    assert_eq!((failure.why, text_of(&failure.partial.unwrap())), (Error::Cancelled, "Hel".to_owned()));
    assert!(gone(&server).await < Duration::from_millis(100));
}

#[tokio::test]
async fn a_dropped_call_hangs_up_at_once() {
    let server = Server::start(vec![Step::Send(events(&[TEXT])), Step::Hang]).await;
    let (_home, entry) = model("openai", &server.url);
    let permit = permit(100);
    let call = entry.ask(Instant::now(), &permit, asks("hello"), Sink::NONE, CancellationToken::new());
    assert!(tokio::time::timeout(Duration::from_millis(100), call).await.is_err());
    assert!(gone(&server).await < Duration::from_millis(100));
}

#[tokio::test]
async fn the_requests_own_deadline_ends_it() {
    let server = Server::start(vec![Step::Send(events(&[TEXT])), Step::Hang]).await;
    let mut request = asks("hello");
    request.deadline_ms = Some(50);
    let finished = ask("openai", &server.url, request).await;
    let failure = finished.result.unwrap_err();
    assert_eq!(failure.why, Error::TimedOut);
    assert!(failure.partial.is_some());
}

#[tokio::test]
async fn one_connection_serves_many_calls() {
    let body = format!("data: {TEXT}\n\ndata: {STOP}\n\ndata: [DONE]\n\n");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = Step::Send(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes());
    let steps = (0..20).flat_map(|_| [answer.clone(), Step::Again]).collect();
    let server = Server::start(steps).await;
    let (_home, entry) = model("openai-compatible", &server.url);
    for _ in 0..10 {
        let permit = permit(100);
        let call = entry.ask(Instant::now(), &permit, asks("hello"), Sink::NONE, CancellationToken::new());
        assert_eq!(text_of(&call.await.result.unwrap()), "Hel");
    }
    // A second one only while the end of the answer before is still on its way.
    assert!(server.connections.load(Ordering::SeqCst) <= 2);
    assert!(server.requests.lock()[0].contains(r#""max_tokens":100"#), "compatible servers know the old name");
}

#[tokio::test]
async fn a_key_that_is_not_there_is_told_to_the_admin_alone() {
    let text = "format = 1\n[providers.p]\nkind = \"openai\"\nkey = { env = \"AGENTRY_TEST_NO_SUCH_KEY\" }\n\
                [models.small]\nprovider = \"p\"\nmodel = \"gpt-4o\"\n";
    let models = open(text);
    let entry = models.get("small").unwrap();
    let told = "the environment variable `AGENTRY_TEST_NO_SUCH_KEY` is not set\n\
                hint: set it where agents are run: export AGENTRY_TEST_NO_SUCH_KEY=…";
    assert_eq!(entry.trouble.as_deref(), Some(told));
    let finished = entry.ask(Instant::now(), &permit(9), asks("hi"), Sink::NONE, CancellationToken::new()).await;
    assert_eq!(reason(&finished), "the model is not set up on this host None");
    assert_eq!(finished.note.as_deref(), told.lines().next());
    assert_eq!(finished.usage, Usage::default());
}

#[tokio::test]
async fn what_a_model_cannot_take_is_refused_before_anybody_is_asked() {
    let server = Server::start(vec![Step::Hang]).await;
    let mut request = asks("hello");
    request.tools.push(Tool { name: "x".to_owned(), description: String::new(), schema_json: "[1]".to_owned() });
    let finished = ask("openai", &server.url, request).await;
    assert_eq!(reason(&finished), r#"Error::Invalid("the schema of a tool is not a JSON object")"#);
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

/// Set to the address of a llama.cpp server, such as `http://127.0.0.1:8080`, to ask a real one.
const SERVER_VARIABLE: &str = "AGENTRY_TEST_LLAMA_SERVER";

#[tokio::test]
async fn a_real_server_answers_in_both_tongues() {
    let Ok(url) = std::env::var(SERVER_VARIABLE) else {
        eprintln!("SKIPPED: {SERVER_VARIABLE} names no server, so no real one is asked");
        return;
    };
    for (kind, url) in [("openai-compatible", format!("{url}/v1")), ("anthropic", url.clone())] {
        let (_home, entry) = patient_model(kind, &url);
        let call = |request| async {
            entry.ask(Instant::now(), &permit(40), request, Sink::NONE, CancellationToken::new()).await
        };
        let mut request = asks("What is the capital of France? Answer with one word.");
        request.temperature = Some(0.0);
        let bound = entry.provider.input_tokens_max(&request);
        let finished = call(request.clone()).await;
        let response = finished.result.unwrap();
        assert!(text_of(&response).contains("Paris"), "{kind}: {response:?}");
        assert_eq!(response.stop, StopReason::End);
        assert!(!finished.usage.estimated && finished.usage.output > 0);
        let read = finished.usage.tokens() - finished.usage.output;
        assert!((1..=bound).contains(&read), "{kind}: {read} tokens read, at most {bound} expected");
        request.messages = vec![says(Role::User, &"word ".repeat(9000))];
        let finished = call(request).await;
        assert!(reason(&finished).starts_with("Error::Invalid("), "{kind}: {finished:?}");
        assert_eq!(finished.usage, Usage::default());
    }
    let (_home, entry) = patient_model("openai-compatible", &format!("{url}/v1"));
    let mut request = asks("Name a colour as JSON.");
    request.output = OutputForm::Schema(
        r#"{"type":"object","properties":{"colour":{"enum":["red","blue"]}},"required":["colour"],"additionalProperties":false}"#.to_owned(),
    );
    let response =
        entry.ask(Instant::now(), &permit(40), request, Sink::NONE, CancellationToken::new()).await.result.unwrap();
    let value: serde_json::Value = serde_json::from_str(&text_of(&response)).unwrap();
    assert!(value["colour"] == "red" || value["colour"] == "blue", "{value}");
}
