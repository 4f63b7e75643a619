//! Each dialect against a server that answers with what its vendor's documentation shows: what is asked, what comes of it, and that what a
//! model thought goes back as it came.

use std::sync::Arc;

use agentry_kernel::model::Usage;
use serde_json::{Value, json};

use super::amazon::{event_frame, frame};
use super::asked::{ask, body, model};
use super::fixtures::{Server, Step, asks, events, says, status, text_of};
use super::{Entry, Finished};
use agentry_abi::bindings::agentry::agent::llm::{
    Effort, Media, MediaSource, OutputForm, Part, Reasoning, Request, Response, ResultPart, Role, StopReason, Tool,
    ToolCall, ToolChoice, ToolResult,
};
use agentry_abi::bindings::agentry::agent::types::Error;

/// A model behind a server that answers each connection so.
async fn behind(kind: &str, name: &str, answer: Vec<u8>) -> (Server, tempfile::TempDir, Arc<Entry>) {
    let server = Server::start(vec![Step::Send(answer)]).await;
    let home = tempfile::tempdir().unwrap();
    let entry = model(home.path(), kind, &server.url, name, ("", ""));
    (server, home, entry)
}

fn look() -> Tool {
    let schema_json = r#"{"type":"object","properties":{"city":{"type":"string"}}}"#.to_owned();
    Tool { name: "get_weather".to_owned(), description: "Looks.".to_owned(), schema_json }
}

/// A question that uses all of an interface.
fn whole() -> Request {
    let mut request = asks("what is this?");
    request.messages.insert(0, says(Role::System, "Be brief."));
    let image = Media { mime: "image/png".to_owned(), source: MediaSource::Bytes(vec![1, 2, 3]) };
    request.messages[1].parts.push(Part::Media(image));
    request.tools.push(look());
    request.tool_choice = ToolChoice::Named("get_weather".to_owned());
    request.effort = Some(Effort::Low);
    request
}

/// The turn of an answer, the result of its first call, and the next question.
fn next(mut request: Request, response: Response) -> Request {
    let id = response
        .parts
        .iter()
        .find_map(|part| if let Part::ToolCall(call) = part { Some(call.id.clone()) } else { None });
    let mut turn = says(Role::Assistant, "");
    turn.parts = response.parts;
    request.messages.push(turn);
    let mut result = says(Role::Tool, "");
    let parts = vec![ResultPart::Text("21 °C".to_owned())];
    result.parts = vec![Part::ToolResult(ToolResult { call_id: id.unwrap(), failed: false, parts })];
    request.messages.push(result);
    request
}

fn calls(response: &Response) -> Vec<(&str, &str)> {
    let call = |part| {
        if let &Part::ToolCall(ToolCall { ref name, ref arguments_json, .. }) = part {
            Some((&**name, &**arguments_json))
        } else {
            None
        }
    };
    response.parts.iter().filter_map(call).collect()
}

fn last_body(server: &Server) -> Value {
    body(server.requests.lock().last().unwrap())
}

fn failed(finished: Finished) -> Error {
    finished.result.unwrap_err().why
}

const THOUGHT: &str = r#"{"id":"rs_6820f383","type":"reasoning","summary":[{"type":"summary_text","text":"**Looking**"}],"encrypted_content":"gAAAAABo+x="}"#;

fn response_events() -> Vec<String> {
    let done = format!(r#"{{"type":"response.output_item.done","output_index":0,"item":{THOUGHT}}}"#);
    [
        r#"{"type":"response.created","response":{"id":"resp_67ca","object":"response","status":"in_progress","error":null,"output":[],"usage":null}}"#,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"rs_6820f383","type":"reasoning","summary":[]}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","item_id":"rs_6820f383","output_index":0,"summary_index":0,"delta":"**Looking**"}"#,
        &done,
        r#"{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","id":"fc_1234","call_id":"call_1234","name":"get_weather","arguments":""}}"#,
        r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1234","output_index":1,"delta":"{\"city\":"}"#,
        r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1234","output_index":1,"delta":"\"Paris\"}"}"#,
        r#"{"type":"response.function_call_arguments.done","item_id":"fc_1234","output_index":1,"arguments":"{\"city\":\"Paris\"}"}"#,
        r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","id":"fc_1234","call_id":"call_1234","name":"get_weather","arguments":"{\"city\":\"Paris\"}"}}"#,
        r#"{"type":"response.completed","response":{"id":"resp_67ca","object":"response","status":"completed","error":null,"output":[],"usage":{"input_tokens":291,"input_tokens_details":{"cached_tokens":200},"output_tokens":23,"output_tokens_details":{"reasoning_tokens":12},"total_tokens":314}}}"#,
    ]
    .map(str::to_owned)
    .to_vec()
}

#[tokio::test]
async fn responses_think_between_calls_and_get_their_thoughts_back_as_they_were() {
    let all = response_events();
    let lines: Vec<&str> = all.iter().map(String::as_str).collect();
    let (server, _home, entry) = behind("openai-responses", "gpt-5.2", events(&lines)).await;
    let mut request = whole();
    request.output = OutputForm::Schema(r#"{"type":"object"}"#.to_owned());
    let finished = ask(&entry, request.clone()).await;
    let usage = Usage { input_fresh: 91, cache_read: 200, output: 23, reasoning: 12, ..Usage::default() };
    assert_eq!(finished.usage, usage);
    let response = finished.result.unwrap();
    assert_eq!(
        (calls(&response), &response.stop),
        (vec![("get_weather", r#"{"city":"Paris"}"#)], &StopReason::ToolCalls)
    );
    assert!(server.requests.lock()[0].starts_with("POST /responses HTTP/1.1\r\n"));
    let expected = json!({
        "model": "gpt-5.2", "stream": true, "store": false, "max_output_tokens": 4000,
        "input": [
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "what is this?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AQID"},
            ]},
        ],
        "tools": [{"type": "function", "name": "get_weather", "description": "Looks.", "strict": false,
                   "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}],
        "tool_choice": {"type": "function", "name": "get_weather"},
        "text": {"format": {"type": "json_schema", "name": "answer", "strict": true, "schema": {"type": "object"}}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
    });
    assert_eq!(last_body(&server), expected);
    ask(&entry, next(request, response)).await.result.unwrap();
    assert!(server.requests.lock()[1].contains(THOUGHT), "byte for byte");
    let input = last_body(&server)["input"].clone();
    assert_eq!(
        input[3],
        json!({"type": "function_call", "call_id": "call_1234", "name": "get_weather", "arguments": "{\"city\":\"Paris\"}"})
    );
    assert_eq!(input[4], json!({"type": "function_call_output", "call_id": "call_1234", "output": "21 °C"}));
}

#[tokio::test]
async fn responses_that_end_early_or_fail_say_why() {
    let said =
        r#"{"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":"Hel"}"#;
    let incomplete = r#"{"type":"response.incomplete","response":{"object":"response","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"usage":{"input_tokens":9,"output_tokens":2}}}"#;
    let (_server, _home, entry) = behind("openai-responses", "gpt-5.2", events(&[said, incomplete])).await;
    let response = ask(&entry, asks("hello")).await.result.unwrap();
    assert_eq!((text_of(&response), response.stop), ("Hel".to_owned(), StopReason::MaxOutput));
    let broken = r#"{"type":"response.failed","response":{"object":"response","status":"failed","error":{"code":"server_error","message":"The model failed."}}}"#;
    let (_server, _home, entry) = behind("openai-responses", "gpt-5.2", events(&[said, broken])).await;
    let finished = ask(&entry, asks("hello")).await;
    assert!(finished.note.as_deref().is_some_and(|note| note.contains("The model failed.")), "{finished:?}");
    assert!(matches!(failed(finished), Error::Unavailable(_)));
    let (_server, _home, entry) = behind("openai-responses", "gpt-5.2", events(&[said])).await;
    assert!(matches!(failed(ask(&entry, asks("hello")).await), Error::Unavailable(_)), "a cut answer is none");
}

#[tokio::test]
async fn a_response_that_comes_at_once_is_read_as_well() {
    let whole = format!(
        r#"{{"id":"resp_1","object":"response","status":"completed","output":[{THOUGHT},{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":"Hello"}}]}}],"usage":{{"input_tokens":9,"output_tokens":2}}}}"#
    );
    let (_server, _home, entry) =
        behind("openai-responses", "gpt-5.2", status("200 OK", "connection: close\r\n", &whole)).await;
    let response = ask(&entry, asks("hello")).await.result.unwrap();
    assert_eq!((text_of(&response), response.usage.output), ("Hello".to_owned(), 2));
    assert!(
        matches!(&response.parts[0], Part::Reasoning(Reasoning { opaque: Some(opaque), .. }) if opaque == THOUGHT.as_bytes())
    );
}

const GEMINI: [&str; 3] = [
    r#"{"candidates":[{"content":{"parts":[{"text":"I should look.","thought":true}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":50,"totalTokenCount":50},"modelVersion":"gemini-3.5-flash"}"#,
    r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"get_weather","args":{"city":"Paris"}},"thoughtSignature":"CpcBAdHtim9"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":50,"totalTokenCount":60}}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":50,"cachedContentTokenCount":20,"candidatesTokenCount":15,"thoughtsTokenCount":30,"totalTokenCount":95}}"#,
];

#[tokio::test]
async fn gemini_calls_a_tool_and_gets_its_signature_back_on_that_call() {
    let (server, _home, entry) = behind("gemini", "gemini-3.5-flash", events(&GEMINI)).await;
    let finished = ask(&entry, whole()).await;
    let usage = Usage { input_fresh: 30, cache_read: 20, output: 45, reasoning: 30, ..Usage::default() };
    assert_eq!(finished.usage, usage, "thoughts are paid as what is written");
    let response = finished.result.unwrap();
    assert_eq!(
        (calls(&response), &response.stop),
        (vec![("get_weather", r#"{"city":"Paris"}"#)], &StopReason::ToolCalls)
    );
    let first = server.requests.lock()[0].clone();
    assert!(first.starts_with("POST /models/gemini-3.5-flash:streamGenerateContent?alt=sse HTTP/1.1\r\n"), "{first}");
    assert!(first.contains("\r\nx-goog-api-key: sk-the-first-key\r\n"), "{first}");
    let expected = json!({
        "contents": [{"role": "user", "parts": [
            {"text": "what is this?"}, {"inlineData": {"mimeType": "image/png", "data": "AQID"}},
        ]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"functionDeclarations": [{"name": "get_weather", "description": "Looks.",
            "parametersJsonSchema": {"type": "object", "properties": {"city": {"type": "string"}}}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}},
        "generationConfig": {"maxOutputTokens": 4000, "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": true}},
    });
    assert_eq!(last_body(&server), expected);
    ask(&entry, next(whole(), response)).await.result.unwrap();
    let contents = last_body(&server)["contents"].clone();
    let call =
        json!({"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}, "thoughtSignature": "CpcBAdHtim9"});
    assert_eq!(contents[1], json!({"role": "model", "parts": [call]}));
    let result = json!({"functionResponse": {"name": "get_weather", "response": {"output": "21 °C"}}});
    assert_eq!(contents[2], json!({"role": "user", "parts": [result]}));
}

#[tokio::test]
async fn gemini_is_told_what_it_takes_and_its_ends_are_understood() {
    let blocked = r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":9}}"#;
    let (server, _home, entry) = behind("gemini", "gemini-2.5-flash", events(&[blocked])).await;
    let mut request = asks("hello");
    request.output = OutputForm::Schema(r#"{"type":"object"}"#.to_owned());
    (request.effort, request.stop) = (Some(Effort::Off), vec!["END".to_owned()]);
    assert_eq!(ask(&entry, request).await.result.unwrap().stop, StopReason::Filtered);
    let config = json!({
        "maxOutputTokens": 4000, "stopSequences": ["END"], "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"}, "thinkingConfig": {"thinkingBudget": 0, "includeThoughts": false},
    });
    assert_eq!(last_body(&server)["generationConfig"], config);
    let broken =
        r#"{"candidates":[{"content":{},"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"print(x)"}]}"#;
    let (_server, _home, entry) = behind("gemini", "gemini-2.5-flash", events(&[broken])).await;
    assert!(
        ask(&entry, asks("hello"))
            .await
            .note
            .is_some_and(|note| note.contains("MALFORMED_FUNCTION_CALL: print(x)") || note.contains("print(x)"))
    );
    let cut = r#"{"candidates":[{"content":{"parts":[{"text":"Hel"}],"role":"model"},"index":0}]}"#;
    let (_server, _home, entry) = behind("gemini", "gemini-2.5-flash", events(&[cut])).await;
    assert!(matches!(failed(ask(&entry, asks("hello")).await), Error::Unavailable(_)), "a cut answer is none");
}

#[tokio::test]
async fn vertex_is_asked_with_a_token() {
    let (server, _home, entry) = behind("vertex", "gemini-3.5-flash", events(&GEMINI)).await;
    ask(&entry, asks("hello")).await.result.unwrap();
    let request = server.requests.lock()[0].clone();
    assert!(
        request.starts_with("POST /models/gemini-3.5-flash:streamGenerateContent?alt=sse HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nauthorization: Bearer sk-the-first-key\r\n"), "{request}");
}

fn lines(lines: &[&str]) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n";
    format!("{head}{}\n", lines.join("\n")).into_bytes()
}

#[tokio::test]
async fn ollama_is_loaded_with_its_window_and_answers_line_by_line() {
    let answer = lines(&[
        r#"{"model":"qwen3:8b","created_at":"2026-08-04T08:52:19Z","message":{"role":"assistant","content":"","thinking":"Hm."},"done":false}"#,
        r#"{"model":"qwen3:8b","created_at":"2026-08-04T08:52:19Z","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"get_weather","arguments":{"city":"Paris"}}}]},"done":false}"#,
        r#"{"model":"qwen3:8b","created_at":"2026-08-04T08:52:19Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":4883583458,"prompt_eval_count":26,"eval_count":28}"#,
    ]);
    let server = Server::start(vec![Step::Send(answer)]).await;
    let home = tempfile::tempdir().unwrap();
    let own = ("", "context_tokens = 16_384\nmedia = true\nextra_body = { keep_alive = \"1h\" }");
    let entry = model(home.path(), "ollama", &server.url, "qwen3:8b", own);
    let mut request = Request { tool_choice: ToolChoice::Automatic, temperature: Some(0.5), seed: Some(7), ..whole() };
    request.output = OutputForm::Schema(r#"{"type":"object"}"#.to_owned());
    let finished = ask(&entry, request.clone()).await;
    assert_eq!(finished.usage, Usage { input_fresh: 26, output: 28, ..Usage::default() });
    let response = finished.result.unwrap();
    assert_eq!(
        (calls(&response), &response.stop),
        (vec![("get_weather", r#"{"city":"Paris"}"#)], &StopReason::ToolCalls)
    );
    assert!(server.requests.lock()[0].starts_with("POST /api/chat HTTP/1.1\r\n"));
    let expected = json!({
        "model": "qwen3:8b", "stream": true, "keep_alive": "1h", "think": true, "format": {"type": "object"},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "what is this?", "images": ["AQID"]},
        ],
        "tools": [{"type": "function", "function": {"name": "get_weather", "description": "Looks.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}],
        "options": {"num_ctx": 16384, "num_predict": 4000, "temperature": 0.5, "seed": 7},
    });
    assert_eq!(last_body(&server), expected);
    ask(&entry, next(request, response)).await.result.unwrap();
    let messages = last_body(&server)["messages"].clone();
    let call = json!({"function": {"name": "get_weather", "arguments": {"city": "Paris"}}});
    assert_eq!(messages[2], json!({"role": "assistant", "content": "", "thinking": "Hm.", "tool_calls": [call]}));
    assert_eq!(messages[3], json!({"role": "tool", "content": "21 °C", "tool_name": "get_weather"}));
}

#[tokio::test]
async fn ollamas_complaints_and_cut_answers_are_told() {
    let cut = lines(&[r#"{"model":"m","message":{"role":"assistant","content":"Hel"},"done":false}"#]);
    let (_server, _home, entry) = behind("ollama", "m", cut).await;
    assert!(matches!(failed(ask(&entry, asks("hello")).await), Error::Unavailable(_)));
    let refused = status("404 Not Found", "connection: close\r\n", r#"{"error":"model 'm' not found"}"#);
    let (_server, _home, entry) = behind("ollama", "m", refused).await;
    let finished = ask(&entry, asks("hello")).await;
    assert!(finished.note.is_some_and(|note| note.contains("not found")));
}

#[tokio::test]
async fn bedrock_is_asked_for_a_signed_answer() {
    let whole_answer = r#"{"metrics":{"latencyMs":1000},"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"Hm.","signature":"c2ln"}}},{"text":"I look."},{"toolUse":{"toolUseId":"tooluse_kZJMlvQmRJ6eAyJE5GIl7Q","name":"get_weather","input":{"city":"Paris"}}}]}},"stopReason":"tool_use","usage":{"inputTokens":30,"outputTokens":40,"totalTokens":70,"cacheReadInputTokens":5}}"#;
    let server = Server::start(vec![Step::Send(status("200 OK", "connection: close\r\n", whole_answer))]).await;
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("key"), "AKIDEXAMPLE:a/secret+key").unwrap();
    std::fs::set_permissions(home.path().join("key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let name = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    let entry = model(home.path(), "bedrock", &server.url, name, ("", "media = true"));
    let request = Request { tool_choice: ToolChoice::Automatic, temperature: Some(0.5), ..whole() };
    let finished = ask(&entry, request.clone()).await;
    assert_eq!(finished.usage, Usage { input_fresh: 30, cache_read: 5, output: 40, ..Usage::default() });
    let response = finished.result.unwrap();
    assert_eq!(
        (calls(&response), &response.stop),
        (vec![("get_weather", r#"{"city":"Paris"}"#)], &StopReason::ToolCalls)
    );
    let first = server.requests.lock()[0].clone();
    assert!(
        first.starts_with("POST /model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream HTTP/1.1\r\n"),
        "{first}"
    );
    assert!(first.contains("\r\nauthorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{first}");
    assert!(first.contains("/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature="), "{first}");
    let expected = json!({
        "messages": [{"role": "user", "content": [
            {"text": "what is this?"}, {"image": {"format": "png", "source": {"bytes": "AQID"}}},
        ]}],
        "system": [{"text": "Be brief."}],
        "inferenceConfig": {"maxTokens": 4000},
        "toolConfig": {"tools": [{"toolSpec": {"name": "get_weather", "description": "Looks.",
            "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}}}}]},
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    });
    assert_eq!(last_body(&server), expected);
    ask(&entry, next(request, response)).await.result.unwrap();
    let messages = last_body(&server)["messages"].clone();
    let thought = json!({"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}});
    assert_eq!(messages[1]["content"][0], thought);
    let result = json!({"toolResult": {"toolUseId": "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "content": [{"text": "21 °C"}], "status": "success"}});
    assert_eq!(messages[2]["content"][0], result);
}

#[tokio::test]
async fn bedrock_streams_in_frames_and_breaks_off_in_words() {
    let answer = |frames: &[Vec<u8>]| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\nconnection: close\r\n\r\n";
        [&head[..], &frames.concat()].concat()
    };
    let text = |text: &str| {
        event_frame(
            "contentBlockDelta",
            &json!({"contentBlockIndex": 0, "delta": {"text": text}, "p": "abcdefg"}).to_string(),
        )
    };
    let input = |piece: &str| {
        event_frame(
            "contentBlockDelta",
            &json!({"contentBlockIndex": 1, "delta": {"toolUse": {"input": piece}}}).to_string(),
        )
    };
    let start = event_frame("messageStart", r#"{"role":"assistant","p":"ab"}"#);
    let all = [
        start.clone(),
        text("I "),
        text("look."),
        event_frame("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        event_frame(
            "contentBlockStart",
            r#"{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t1","name":"get_weather"}}}"#,
        ),
        input(r#"{"city":"#),
        input(r#""Paris"}"#),
        event_frame("messageStop", r#"{"stopReason":"tool_use"}"#),
        event_frame(
            "metadata",
            r#"{"usage":{"inputTokens":30,"outputTokens":9,"totalTokens":39},"metrics":{"latencyMs":5}}"#,
        ),
    ];
    let (_server, _home, entry) = behind("bedrock", "m", answer(&all)).await;
    let finished = ask(&entry, asks("hello")).await;
    assert_eq!(finished.usage, Usage { input_fresh: 30, output: 9, ..Usage::default() });
    let response = finished.result.unwrap();
    assert_eq!(
        (text_of(&response).as_str(), calls(&response)),
        ("I look.", vec![("get_weather", r#"{"city":"Paris"}"#)])
    );
    assert_eq!(response.stop, StopReason::ToolCalls);

    let (_server, _home, entry) = behind("bedrock", "m", answer(&all[..3])).await;
    let finished = ask(&entry, asks("hello")).await;
    let failure = finished.result.unwrap_err();
    assert_eq!(text_of(&failure.partial.unwrap()), "I look.");
    assert!(finished.usage.estimated && finished.usage.output >= 7);

    let exception =
        |kind: &str| frame(&[(":message-type", "exception"), (":exception-type", kind)], r#"{"message":"slow down"}"#);
    let (_server, _home, entry) = behind("bedrock", "m", answer(&[start, exception("throttlingException")])).await;
    let finished = ask(&entry, asks("hello")).await;
    assert_eq!(
        (finished.usage, finished.note.as_deref()),
        (Usage::default(), Some("429 Too Many Requests: slow down"))
    );
    let broken = [text("Hel"), exception("modelStreamErrorException")];
    let (_server, _home, entry) = behind("bedrock", "m", answer(&broken)).await;
    let finished = ask(&entry, asks("hello")).await;
    assert_eq!(finished.note.as_deref(), Some("slow down"));
    assert!(finished.usage.output >= 3);
}
