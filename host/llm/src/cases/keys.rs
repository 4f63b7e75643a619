//! A key that a provider, or a proxy before it, sends back: nobody gets to see it, in no spelling and no place.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::*;

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn spellings() -> Vec<String> {
    vec![
        KEY.to_owned(),
        format!("Bearer {KEY}"),
        percent(KEY),
        percent(KEY).to_lowercase(),
        KEY.replace('-', "%2d"),
        KEY.bytes().map(|byte| format!("\\u00{byte:02x}")).collect(),
        KEY.bytes().map(|byte| format!("&#{byte};")).collect(),
        STANDARD.encode(KEY),
        STANDARD.encode(format!("user:{KEY}")),
        URL_SAFE_NO_PAD.encode(format!("ab{KEY}")),
        KEY.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ]
}

/// No more of it than its first letters, which stand in many a word.
#[track_caller]
fn is_hidden(seen: &str, written: &str) {
    let half = &written[written.len() / 2..];
    assert!(!seen.contains(half) && !seen.contains(KEY), "{written} in {seen}");
}

#[tokio::test]
async fn the_key_is_in_no_answer() {
    for written in spellings() {
        let halves = written.split_at(written.len() / 2);
        let call = json!({"tool_calls": [{"index": 0, "id": written, "function": {"name": "look", "arguments": json!({"k": written}).to_string()}}]});
        let places = [
            vec![text(&format!("You sent {written} here"))],
            vec![text("You sent "), text(halves.0), text(halves.1), text(" here")],
            written.chars().map(|letter| text(&letter.to_string())).collect(),
            vec![chunk(json!({"reasoning_content": written}))],
            vec![chunk(call)],
            vec![chunk(
                json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": written, "arguments": "{}"}}]}),
            )],
            vec![chunk(json!({"reasoning_details": [{"type": "reasoning.text", "text": written}]}))],
        ];
        for chunks in places {
            let chunks: Vec<Value> = chunks.into_iter().chain([stop(&written), counted()]).collect();
            let case = chat(&chunks).await;
            let parts = format!("{:?}", case.answer());
            let opaque = case.answer().parts.iter().filter_map(|part| match part {
                Part::Reasoning(thought) => {
                    thought.opaque.clone().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                }
                _ => None,
            });
            is_hidden(&format!("{parts} {:?} {}", case.deltas, opaque.collect::<String>()), &written);
        }
    }
}

#[tokio::test]
async fn the_key_is_in_no_error() {
    for written in spellings() {
        let body = json!({"error": {"message": format!("bad key {written}")}});
        let lines = ["400 Bad Request", "401 Unauthorized", "429 Too Many Requests", "500 Oops"];
        let mut ways: Vec<Vec<u8>> = lines.iter().map(|line| status(line, "", &body.to_string())).collect();
        ways.push(status("400 Bad Request", "", &written));
        ways.push(status("400 Bad Request", &format!("x-request-id: {written}\r\n"), "{}"));
        ways.push(all(&[body.to_string()]));
        ways.push(all(&[text("Hel").to_string(), body.to_string()]));
        ways.push(all(&[format!("{{\"choices\": \"{written}\"}}")]));
        ways.push(status("200 OK", "", &written));
        for bytes in ways {
            let case = played("openai", vec![Step::Send(bytes)]).await;
            is_hidden(&format!("{:?}", case.finished), &written);
        }
    }
}

#[tokio::test]
async fn the_address_and_the_model_are_in_no_error_and_the_address_in_no_answer() {
    let case = played_at(|url| {
        let message = format!("upstream {}/V1 refused VENDOR-MODEL-7", url.to_uppercase());
        status("400 Bad Request", "", &json!({"error": {"message": message}}).to_string())
    })
    .await;
    let seen = format!("{:?}", case.why()).to_lowercase();
    assert!(!seen.contains("127.0.0.1") && !seen.contains("vendor-model-7"), "{seen}");
    let case = played_at(|url| all(&[text(&format!("I am at {url}/v1.")).to_string(), stop("stop").to_string()])).await;
    assert!(!case.says().contains("127.0.0.1"), "{}", case.says());
    assert_eq!(
        chat(&[text("Listen on 127.0.0.1, as vendor-model-7."), stop("stop")]).await.says(),
        "Listen on 127.0.0.1, as vendor-model-7."
    );
}

/// Asks a server that knows its own address.
async fn played_at(answer: impl Fn(&str) -> Vec<u8>) -> Case {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let steps = vec![Step::Send(answer(&format!("http://{address}")))];
    let server = Server::at(&address.to_string(), steps).await;
    let (_home, entry) = model_with("openai", &server.url, 700);
    let finished = entry.ask(Instant::now(), &permit(1000), asks("hello"), Sink::NONE, CancellationToken::new()).await;
    Case { _server: server, finished, deltas: Vec::new(), took: Duration::ZERO }
}
