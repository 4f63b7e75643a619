//! What providers are asked: models that take less than others, what admins change, keys that change, and refusals that teach.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::fixtures::{Server, Step, asks, events, open, permit, says, status, text_of};
use super::{Entry, Finished, Sink};
use agentry_abi::bindings::agentry::agent::llm::{
    Effort, Media, MediaSource, OutputForm, Part, Reasoning, Request, ResultPart, Role, Tool, ToolCall, ToolChoice,
    ToolResult,
};
use agentry_abi::bindings::agentry::agent::types::Error;

const CHAT: [&str; 3] = [
    r#"{"choices":[{"delta":{"content":"yes"}}]}"#,
    r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#,
    "[DONE]",
];

const MESSAGE: [&str; 5] = [
    r#"{"type":"message_start","message":{"usage":{"input_tokens":9,"output_tokens":1}}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"yes"}}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#,
    r#"{"type":"message_stop"}"#,
];

/// A model of this name behind a server, with more lines for its provider and for itself.
pub(super) fn model(home: &Path, kind: &str, url: &str, name: &str, (provider, model): (&str, &str)) -> Arc<Entry> {
    let key = home.join("key");
    if !key.exists() {
        write_key(&key, "sk-the-first-key");
    }
    let text = format!(
        "[providers.p]\nkind = \"{kind}\"\nbase_url = \"{url}\"\nkey = {{ file = \"{}\" }}\nidle_timeout_ms = 2000\n\
         {provider}\n[models.small]\nprovider = \"p\"\nmodel = \"{name}\"\n{model}\n",
        key.display()
    );
    Arc::clone(open(&text).get("small").unwrap())
}

fn write_key(path: &Path, key: &str) {
    std::fs::write(path, key).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub(super) async fn ask(entry: &Entry, request: Request) -> Finished {
    entry.ask(Instant::now(), &permit(4000), request, Sink::NONE, CancellationToken::new()).await
}

pub(super) fn body(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// What a model of this kind and name is asked, and what comes of it.
async fn asked(kind: &str, name: &str, lines: (&str, &str), request: Request) -> (Finished, Vec<Value>) {
    let answer = if kind == "anthropic" { events(&MESSAGE) } else { events(&CHAT) };
    let server = Server::start(vec![Step::Send(answer)]).await;
    let home = tempfile::tempdir().unwrap();
    let finished = ask(&model(home.path(), kind, &server.url, name, lines), request).await;
    let bodies = server.requests.lock().iter().map(|request| body(request)).collect();
    (finished, bodies)
}

/// The one body that was sent, to a call that went well.
async fn sent(kind: &str, name: &str, lines: (&str, &str), request: Request) -> Value {
    let (finished, mut bodies) = asked(kind, name, lines, request).await;
    assert_eq!(text_of(&finished.result.unwrap()), "yes");
    assert_eq!(bodies.len(), 1);
    bodies.remove(0)
}

/// What a guest is told of a request that its model cannot be told.
async fn refused(kind: &str, name: &str, request: Request) -> String {
    let (finished, bodies) = asked(kind, name, ("", ""), request).await;
    assert!(bodies.is_empty(), "nobody was asked");
    match finished.result.unwrap_err().why {
        Error::Invalid(why) => why,
        other => panic!("{other:?}"),
    }
}

fn look() -> Tool {
    let schema_json = r#"{"type":"object"}"#.to_owned();
    Tool { name: "look".to_owned(), description: "Looks.".to_owned(), schema_json }
}

/// A question with everything that can be hinted at.
fn hints() -> Request {
    let (temperature, top_p, seed) = (Some(1.5), Some(0.5), Some(7));
    Request { temperature, top_p, seed, effort: Some(Effort::High), ..asks("hello") }
}

#[tokio::test]
async fn a_gpt_that_thinks_is_told_nothing_that_it_does_not_take() {
    let body = sent("openai", "gpt-5.2", ("", ""), hints()).await;
    assert_eq!(body.get("temperature").or(body.get("top_p")), None, "{body}");
    assert_eq!((&body["reasoning_effort"], &body["max_completion_tokens"]), (&json!("high"), &json!(4000)));
    let body = sent("openai", "gpt-4o", ("", ""), hints()).await;
    assert_eq!((body.get("reasoning_effort"), &body["temperature"]), (None, &json!(1.5)));
    let with_tool = Request { tools: vec![look()], ..hints() };
    let body = sent("openai", "gpt-5.6", ("", ""), with_tool.clone()).await;
    assert_eq!(body["reasoning_effort"], "none", "it thinks beside tools only where it is asked for responses");
    assert_eq!(sent("openai", "gpt-5-mini", ("", ""), with_tool).await["reasoning_effort"], "high");
}

#[tokio::test]
async fn what_matters_is_refused_by_its_name() {
    let stops = Request { stop: vec!["END".to_owned()], ..asks("hello") };
    assert!(refused("openai", "gpt-5.2", stops).await.contains("`stop`"));
    let mut begun = asks("hello");
    begun.messages.push(says(Role::Assistant, "It is"));
    assert!(refused("anthropic", "claude-opus-4-7", begun).await.contains("does not go on from an answer"));
    let forced = Request { tools: vec![look()], tool_choice: ToolChoice::Required, ..asks("hello") };
    assert!(refused("anthropic", "claude-sonnet-5-5", forced).await.contains("`tool-choice`"));
    let schema = OutputForm::Schema(r#"{"type":"object"}"#.to_owned());
    let shaped = Request { output: schema, ..asks("hello") };
    assert!(refused("anthropic", "claude-3-5-sonnet-20241022", shaped).await.contains("takes no output form but text"));
}

#[tokio::test]
async fn mistral_is_asked_in_its_own_words() {
    let lines = ("", "base_model = \"mistral/mistral-large-latest\"");
    let mut request = hints();
    let call =
        ToolCall { id: "call_long_and_foreign".to_owned(), name: "look".to_owned(), arguments_json: String::new() };
    let thought = Reasoning { text: Some("hm".to_owned()), opaque: None, origin: String::new() };
    let mut turn = says(Role::Assistant, "");
    turn.parts = vec![Part::Reasoning(thought), Part::ToolCall(call)];
    let mut answer = says(Role::Tool, "");
    let parts = vec![ResultPart::Text("42".to_owned())];
    answer.parts =
        vec![Part::ToolResult(ToolResult { call_id: "call_long_and_foreign".to_owned(), failed: false, parts })];
    request.messages.extend([turn, answer]);
    let body = sent("openai-compatible", "m", lines, request).await;
    assert_eq!((&body["random_seed"], &body["max_tokens"]), (&json!(7), &json!(4000)));
    for name in ["seed", "stream_options", "reasoning_effort", "max_completion_tokens"] {
        assert_eq!(body.get(name), None, "{name}");
    }
    let id = body["messages"][1]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_eq!(body["messages"][2]["tool_call_id"], id);
}

#[tokio::test]
async fn claude_thinks_in_the_form_that_each_generation_takes() {
    let body = sent("anthropic", "claude-opus-4-7", ("", ""), hints()).await;
    assert_eq!((&body["thinking"], &body["output_config"]), (&json!({"type": "adaptive"}), &json!({"effort": "high"})));
    assert_eq!(body.get("temperature").or(body.get("top_p")), None, "{body}");
    let body = sent("anthropic", "claude-sonnet-4-5", ("", ""), hints()).await;
    assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 3000}));
    assert_eq!(body.get("temperature").or(body.get("top_p")), None, "neither beside thinking");
    let body = sent("anthropic", "claude-sonnet-4-5", ("", ""), Request { effort: None, ..hints() }).await;
    assert_eq!(
        (&body["temperature"], body.get("top_p")),
        (&json!(1.0), None),
        "at most its highest, and one of the two"
    );
    for (name, thinking, effort) in [
        ("claude-sonnet-4-5", json!({"type": "disabled"}), None),
        ("claude-opus-4-8", Value::Null, None),
        ("claude-opus-5", json!({"type": "disabled"}), None),
        ("claude-sonnet-5-5", json!({"type": "between_tools"}), None),
        ("claude-opus-5-5", Value::Null, Some("low")),
        ("claude-3-5-sonnet-20241022", Value::Null, None),
    ] {
        let body = sent("anthropic", name, ("", ""), Request { effort: Some(Effort::Off), ..asks("hello") }).await;
        assert_eq!((&body["thinking"], body["output_config"]["effort"].as_str()), (&thinking, effort), "{name}");
    }
    let forced = Request { tools: vec![look()], tool_choice: ToolChoice::Required, ..hints() };
    let body = sent("anthropic", "claude-sonnet-4-5", ("", ""), forced).await;
    assert_eq!((&body["thinking"]["type"], &body["tool_choice"]["type"]), (&json!("disabled"), &json!("any")));
}

#[tokio::test]
async fn a_call_is_made_again_without_the_hint_that_was_refused_and_that_is_remembered() {
    let refusal = |name: &str| {
        let body = json!({"error": {"message": format!("Unsupported parameter: '{name}'"), "param": name}}).to_string();
        Step::Send(status("400 Bad Request", "", &body))
    };
    let chunked = events(&CHAT);
    let steps = vec![refusal("temperature"), Step::Again, refusal("max_tokens"), Step::Again, Step::Send(chunked)];
    let server = Server::start(steps).await;
    let home = tempfile::tempdir().unwrap();
    let entry = model(home.path(), "openai-compatible", &server.url, "m", ("", ""));
    let finished = ask(&entry, Request { temperature: Some(0.0), top_p: Some(0.5), ..asks("hello") }).await;
    assert_eq!(text_of(finished.result.as_ref().unwrap()), "yes");
    assert_eq!(finished.note.as_deref(), Some("the model does not take temperature, max_tokens: asked again without"));
    let requests = server.requests.lock().clone();
    let bodies: Vec<Value> = requests.iter().map(|request| body(request)).collect();
    assert_eq!(bodies.len(), 3);
    assert_eq!((&bodies[0]["temperature"], bodies[1].get("temperature")), (&json!(0.0), None));
    assert_eq!((bodies[2].get("max_tokens"), &bodies[2]["max_completion_tokens"]), (None, &json!(4000)));
    assert_eq!(bodies[2]["top_p"], 0.5, "what was not refused is asked for");
    let keys: std::collections::BTreeSet<&str> = requests
        .iter()
        .filter_map(|request| request.lines().find(|line| line.starts_with("idempotency-key")))
        .collect();
    assert_eq!(keys.len(), 3, "another question has another key");
    assert_eq!(entry.known.as_ref().unwrap().lessons().len(), 2);
}

#[tokio::test]
async fn what_is_refused_in_earnest_is_told_once() {
    let body = json!({"error": {"message": "Invalid schema for response_format 'answer'"}}).to_string();
    let server = Server::start(vec![Step::Send(status("400 Bad Request", "connection: close\r\n", &body))]).await;
    let home = tempfile::tempdir().unwrap();
    let entry = model(home.path(), "openai-compatible", &server.url, "m", ("", ""));
    let finished = ask(&entry, hints()).await;
    assert!(matches!(finished.result.unwrap_err().why, Error::Invalid(why) if why.contains("Invalid schema")));
    assert_eq!(server.requests.lock().len(), 1);
}

#[tokio::test]
async fn an_admin_changes_how_requests_are_written() {
    let lines = (
        "extra_headers = { x-title = \"Agentry\" }\ndrop = [\"seed\"]",
        "extra_body = { service_tier = \"flex\" }\nmap = { max_tokens = \"max_new_tokens\" }",
    );
    let server = Server::start(vec![Step::Send(events(&CHAT))]).await;
    let home = tempfile::tempdir().unwrap();
    ask(&model(home.path(), "openai-compatible", &server.url, "m", lines), hints()).await.result.unwrap();
    let request = server.requests.lock()[0].clone();
    assert!(request.contains("\r\nx-title: Agentry\r\n"), "{request}");
    let body = body(&request);
    assert_eq!(
        (body.get("seed"), &body["service_tier"], &body["max_new_tokens"]),
        (None, &json!("flex"), &json!(4000))
    );
    assert_eq!(body.get("max_tokens"), None);
}

#[tokio::test]
async fn azure_is_asked_at_a_deployment_or_as_openai_is() {
    for (lines, path) in [
        ("api_version = \"2024-10-21\"", "/openai/deployments/mine/chat/completions?api-version=2024-10-21"),
        ("", "/openai/v1/chat/completions"),
    ] {
        let server = Server::start(vec![Step::Send(events(&CHAT))]).await;
        let home = tempfile::tempdir().unwrap();
        ask(&model(home.path(), "azure", &server.url, "mine", (lines, "")), hints()).await.result.unwrap();
        let request = server.requests.lock()[0].clone();
        assert!(request.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{request}");
        assert!(
            request.contains("\r\napi-key: sk-the-first-key\r\n") && !request.contains("authorization"),
            "{request}"
        );
        assert_eq!(body(&request)["max_completion_tokens"], 4000);
    }
}

#[tokio::test]
async fn a_key_file_that_changes_counts_for_the_next_call() {
    let server = Server::start(vec![Step::Send(events(&CHAT))]).await;
    let home = tempfile::tempdir().unwrap();
    let entry = model(home.path(), "openai-compatible", &server.url, "m", ("", ""));
    ask(&entry, asks("hello")).await.result.unwrap();
    write_key(&home.path().join("key"), "sk-another-key\n");
    ask(&entry, asks("hello")).await.result.unwrap();
    std::fs::remove_file(home.path().join("key")).unwrap();
    let finished = ask(&entry, asks("hello")).await;
    assert!(finished.note.is_some_and(|note| note.contains("cannot read the key file")));
    let requests = server.requests.lock().clone();
    assert_eq!(requests.len(), 2);
    assert!(requests[0].contains("Bearer sk-the-first-key\r\n") && requests[1].contains("Bearer sk-another-key\r\n"));
}

#[tokio::test]
async fn documents_and_sound_go_to_models_that_take_them() {
    let with = |mime: &str| {
        let mut request = asks("what is this?");
        let media = Media { mime: mime.to_owned(), source: MediaSource::Bytes(vec![1, 2, 3]) };
        request.messages[0].parts.push(Part::Media(media));
        request
    };
    let lines = ("", "base_model = \"openai/gpt-4o\"");
    let body = sent("openai-compatible", "m", lines, with("application/pdf")).await;
    let file =
        json!({"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,AQID"}});
    assert_eq!(body["messages"][0]["content"][1], file);
    let body = sent("anthropic", "claude-opus-4-5", ("", ""), with("application/pdf")).await;
    let source = json!({"type": "base64", "media_type": "application/pdf", "data": "AQID"});
    assert_eq!(body["messages"][0]["content"][1], json!({"type": "document", "source": source}));
    let lines = ("", "base_model = \"google/gemini-3.5-flash\"");
    let body = sent("openai-compatible", "m", lines, with("audio/wav")).await;
    let sound = json!({"type": "input_audio", "input_audio": {"data": "AQID", "format": "wav"}});
    assert_eq!(body["messages"][0]["content"][1], sound);
    assert!(refused("anthropic", "claude-opus-4-5", with("audio/wav")).await.contains("takes no audio (`audio/wav`)"));
    assert!(refused("openai", "o3-mini", with("image/png")).await.contains("takes no image"));
}

#[tokio::test]
async fn arguments_that_were_no_json_go_back_as_a_text() {
    let mut request = asks("look");
    let call = ToolCall { id: "a".to_owned(), name: "look".to_owned(), arguments_json: "{\"x\": ".to_owned() };
    request.messages.push(says(Role::Assistant, ""));
    request.messages[1].parts = vec![Part::ToolCall(call)];
    request.messages.push(says(Role::Tool, ""));
    let parts = vec![ResultPart::Text("that was no JSON".to_owned())];
    request.messages[2].parts = vec![Part::ToolResult(ToolResult { call_id: "a".to_owned(), failed: true, parts })];
    let body = sent("openai-compatible", "m", ("", ""), request.clone()).await;
    let arguments = body["messages"][1]["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
    assert_eq!(arguments, r#"{"invalid_json":"{\"x\": "}"#);
    let body = sent("anthropic", "claude-opus-4-5", ("", ""), request).await;
    assert_eq!(body["messages"][1]["content"][0]["input"], json!({"invalid_json": "{\"x\": "}));
}
