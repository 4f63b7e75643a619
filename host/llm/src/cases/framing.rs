//! How the bytes come: line ends, comments, marks, other content types, packed, whole instead of in pieces.

use super::*;

const HEAD: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n";

fn lines(end: &str) -> String {
    let chunks = [text("Hel"), text("lo"), stop("stop"), counted()];
    chunks.iter().map(|chunk| format!("data: {chunk}{end}{end}")).collect()
}

async fn answered(what: &str, bytes: Vec<u8>) {
    let case = played("openai-compatible", vec![Step::Send(bytes)]).await;
    assert_eq!(case.says(), "Hello", "{what}");
    assert_eq!((case.finished.usage.output, case.finished.usage.estimated), (3, false), "{what}");
}

#[tokio::test]
async fn an_answer_is_read_however_its_lines_are_written() {
    let bodies = [
        ("a byte order mark", format!("\u{feff}{}", lines("\n"))),
        ("carriage returns alone", lines("\r")),
        ("both", lines("\r\n")),
        ("no space behind the colon and no last word", lines("\n").replace("data: ", "data:")),
        ("comments before, between and behind", format!(": A\n\n: B\n\n{}: C\n\n", lines("\n: beat\n"))),
        (
            "events without data, other fields",
            format!("retry: 9\n\nid: 7\n\ndata:\n\nevent: ping\ndata: \n\n{}", lines("\n")),
        ),
        ("no empty line at the end", lines("\n").trim_end().to_owned()),
        ("names", lines("\n").replace("data: ", "event: chunk\ndata: ")),
    ];
    for (what, body) in bodies {
        answered(what, format!("{HEAD}{body}").into_bytes()).await;
    }
}

#[tokio::test]
async fn an_answer_is_what_comes_and_not_what_it_is_called() {
    let kinds = ["application/json", "Text/Event-Stream; charset=UTF-8", "text/html", "application/octet-stream", ""];
    for kind in kinds {
        answered(kind, format!("{}{}", HEAD.replace("text/event-stream", kind), lines("\n")).into_bytes()).await;
    }
    answered("no type", format!("HTTP/1.1 200 OK\r\n\r\n{}", lines("\n")).into_bytes()).await;
    answered(
        "hints before",
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n{HEAD}{}", lines("\n"))
            .into_bytes(),
    )
    .await;
    answered("another success", format!("{}{}", HEAD.replace("200 OK", "201 Created"), lines("\n")).into_bytes()).await;
}

#[tokio::test]
async fn an_answer_that_comes_whole_is_the_same_answer() {
    let whole = json!({"id": "x", "object": "chat.completion", "usage": {"prompt_tokens": 12, "completion_tokens": 3},
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}]});
    let bodies = [
        ("one value", whole.to_string()),
        ("over several lines", serde_json::to_string_pretty(&whole).unwrap()),
        ("a list", format!("[{whole}]")),
        ("a line each", format!("{}\n{}\n{}\n", text("Hello"), stop("stop"), counted())),
    ];
    for (what, body) in bodies {
        answered(what, status("200 OK", "connection: close\r\n", &body)).await;
    }
    let mut unsaid = whole;
    unsaid["choices"][0]["finish_reason"] = Value::Null;
    answered("without a reason", status("200 OK", "", &unsaid.to_string())).await;
    let message = json!({"type": "message", "role": "assistant", "stop_reason": "tool_use", "stop_sequence": null,
        "content": [{"type": "text", "text": "Hello"}, {"type": "tool_use", "id": "t", "name": "look", "input": {"x": 1}}],
        "usage": {"input_tokens": 9, "output_tokens": 3}});
    let case = played("anthropic", vec![Step::Send(status("200 OK", "", &message.to_string()))]).await;
    assert_eq!((case.says().as_str(), case.calls()), ("Hello", vec![("look", r#"{"x":1}"#)]));
}

#[tokio::test]
async fn letters_and_chunks_may_come_in_halves() {
    let body = format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", text("Grüße 😀"), stop("stop"));
    let head = HEAD.replace("connection: close", "transfer-encoding: chunked");
    let mut bytes = head.into_bytes();
    for byte in body.as_bytes() {
        bytes.extend_from_slice(b"1\r\n");
        bytes.extend_from_slice(&[*byte, b'\r', b'\n']);
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(played("openai-compatible", vec![Step::Send(bytes)]).await.says(), "Grüße 😀");
}

#[tokio::test]
async fn a_line_of_nearly_a_mebibyte_is_an_answer_and_a_longer_one_is_refused() {
    let long = "x".repeat(1000 * 1024);
    assert_eq!(chat(&[text(&long), stop("stop"), counted()]).await.says(), long);
    let longer = chat(&[text("Hello"), text(&"x".repeat(1536 * 1024)), stop("stop")]).await;
    assert_eq!((longer.partial().as_str(), longer.note()), ("Hello", "the answer has no end"));
}

#[tokio::test]
async fn an_answer_that_is_packed_unasked_is_unpacked() {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(lines("\n").as_bytes()).unwrap();
    let body = encoder.finish().unwrap();
    let head = HEAD.replace("connection: close", "connection: close\r\ncontent-encoding: gzip");
    answered("gzip", [head.into_bytes(), body].concat()).await;
}

#[tokio::test]
async fn what_is_no_answer_is_told_to_the_admin_with_its_beginning() {
    let page = status("200 OK", "", "<html><body>Login</body></html>").into_iter().collect();
    let case = played("openai", vec![Step::Send(page)]).await;
    assert!(matches!(case.why(), Error::Unavailable(_)));
    assert!(case.note().contains("<html><body>Login"), "{}", case.note());
}
