//! How providers say no: in every shape, as a status, as an answer, in the middle of one. The guest learns what it can act on, the admin
//! the provider's own words.

use super::*;

/// How a guest is told.
#[derive(Clone, Debug, PartialEq)]
enum Recordable {
    Invalid(String),
    Unavailable(String, Option<u64>),
    Other,
}

fn told(case: &Case) -> Recordable {
    match case.why() {
        Error::Invalid(text) => Recordable::Invalid(text.clone()),
        Error::Unavailable(why) => Recordable::Unavailable(why.reason.clone(), why.retry_after_ms),
        _ => Recordable::Other,
    }
}

fn away(reason: &str, ms: Option<u64>) -> Recordable {
    Recordable::Unavailable(reason.to_owned(), ms)
}

async fn refused(line: &str, headers: &str, body: &Value) -> Case {
    played("openai-compatible", vec![Step::Send(status(line, headers, &body.to_string()))]).await
}

const BUSY: &str = "the model's provider takes no more calls now";
const USED_UP: &str = "what this host may use of the model's provider is used up";
const BROKE_OFF: &str = "the model's provider broke off its answer";

#[tokio::test]
async fn a_prompt_that_is_too_long_is_told_in_the_providers_words() {
    let words = "4096 tokens are the most";
    let shapes = [
        json!({"error": {"message": words, "type": "invalid_request_error", "code": "context_length_exceeded"}}),
        json!({"object": "error", "message": words, "type": "BadRequestError", "code": 400}),
        json!([{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}]),
        json!({"detail": words}),
        json!({"detail": [{"loc": ["body"], "msg": words}]}),
        json!({"error": words}),
        json!({"message": words}),
        json!({"error": {"message": "x", "metadata": {"raw": words}}}),
        json!({"error": {"message": json!({"error": {"message": words}}).to_string()}}),
        json!({"errors": [{"message": words}]}),
        json!(words),
    ];
    for shape in shapes {
        let case = refused("400 Bad Request", "", &shape).await;
        let Recordable::Invalid(text) = told(&case) else { panic!("{shape}: {:?}", case.why()) };
        assert!(text.contains(words) && case.note().contains(words), "{shape}: {text}");
        assert_eq!(case.finished.usage, Usage::default());
    }
    let sizes = json!({"error": {"code": 400, "message": "x", "n_prompt_tokens": 5000, "n_ctx": 4096}});
    let text = "the prompt has 5000 tokens, and the model's window 4096".to_owned();
    assert_eq!(told(&refused("400 Bad Request", "", &sizes).await), Recordable::Invalid(text));
}

#[tokio::test]
async fn permanent_used_up_and_passing_are_told_apart() {
    let error = |kind: &str| json!({"error": {"message": "no", "type": kind, "code": kind}});
    let lines = [
        ("429 Too Many Requests", error("insufficient_quota"), away(USED_UP, None)),
        ("402 Payment Required", json!({"error": {"message": "Insufficient Balance"}}), away(USED_UP, None)),
        ("429 Too Many Requests", error("rate_limit_exceeded"), away(BUSY, Some(2000))),
        ("408 Request Timeout", json!({}), away(BUSY, Some(2000))),
        ("529 Overloaded", error("overloaded_error"), away("the model's provider has a problem", Some(2000))),
        ("503 Service Unavailable", json!({}), away("the model's provider has a problem", Some(2000))),
        ("401 Unauthorized", error("x"), away("the model is not set up rightly on this host", None)),
        ("404 Not Found", error("x"), away("the model is not set up rightly on this host", None)),
    ];
    for (line, body, expected) in lines {
        assert_eq!(told(&refused(line, "retry-after: 2\r\n", &body).await), expected, "{line} {body}");
    }
}

#[tokio::test]
async fn when_to_come_back_is_read_wherever_it_stands() {
    let at = json!({"error": {"message": "Please try again in 7.66s."}});
    let ways = [
        ("retry-after: 1.5\r\n", json!({}), 1500),
        ("retry-after-ms: 250\r\nretry-after: 9\r\n", json!({}), 250),
        ("x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 2m59.56s\r\n", at.clone(), 179_560),
        ("", at, 7660),
        ("", json!([{"error": {"code": 429, "message": "x", "details": [{"retryDelay": "34s"}]}}]), 34_000),
    ];
    for (headers, body, ms) in ways {
        let case = refused("429 Too Many Requests", headers, &body).await;
        assert_eq!(told(&case), away(BUSY, Some(ms)), "{headers}{body}");
    }
}

#[tokio::test]
async fn a_refusal_in_the_form_of_an_answer_is_one_and_costs_nothing() {
    let limit = json!({"error": {"message": "free-models-per-day", "code": 429}, "user_id": "u"});
    let wrong = json!({"id": "g", "choices": [], "error": {"code": 400, "message": "too long"}});
    let words = Recordable::Invalid("the model's provider refuses the request: too long".to_owned());
    let named = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nevent: error\ndata: {\"error\":{\"message\":\"too long\",\"type\":\"invalid_request_error\",\"code\":\"tool_use_failed\"}}\n\n";
    let ways = [
        (status("200 OK", "", &limit.to_string()), away(BUSY, None)),
        (all(&[limit.to_string()]), away(BUSY, None)),
        (all(&[wrong.to_string()]), words.clone()),
        (named.to_vec(), words),
        (all(&[chunk(json!({"role": "assistant", "content": ""})).to_string(), limit.to_string()]), away(BUSY, None)),
    ];
    for (bytes, expected) in ways {
        let case = played("openai-compatible", vec![Step::Send(bytes)]).await;
        assert_eq!(told(&case), expected, "{}", case.note());
        assert_eq!(case.finished.usage, Usage::default(), "{}", case.note());
        assert!(!case.note().is_empty());
    }
}

#[tokio::test]
async fn a_provider_that_fails_in_the_middle_is_paid_for_what_came() {
    let errors = [
        (json!({"error": {"code": 429, "message": "exhausted"}}), away(BROKE_OFF, None)),
        (json!([{"error": {"code": 503, "message": "exhausted", "status": "UNAVAILABLE"}}]), away(BROKE_OFF, None)),
        (
            json!({"object": "error", "message": "exhausted", "type": "InternalServerError", "code": 500}),
            away(BROKE_OFF, None),
        ),
        (
            json!({"error": {"code": 400, "message": "exhausted"}}),
            Recordable::Invalid("the model's provider refuses the request: exhausted".to_owned()),
        ),
    ];
    for (error, expected) in errors {
        let case = chat(&[text("Hel"), error.clone()]).await;
        assert_eq!((told(&case), case.partial().as_str(), case.note()), (expected, "Hel", "exhausted"), "{error}");
        assert!(case.finished.usage.output >= 3);
    }
    let overloaded =
        json!({"type": "error", "error": {"details": null, "type": "overloaded_error", "message": "Overloaded"}});
    let events: Vec<Value> = [start()].into_iter().chain(says("Par")).chain([overloaded]).collect();
    let case = messages(&events).await;
    assert_eq!((told(&case), case.partial().as_str()), (away(BROKE_OFF, None), "Par"));
}

#[tokio::test]
async fn the_admin_learns_status_reason_request_and_a_wrong_address() {
    let case = refused("500 Oops", "x-request-id: req_7\r\n", &json!({"error": {"message": "it burns"}})).await;
    assert_eq!(case.note(), "500 Internal Server Error: it burns (request req_7)");
    let case = refused("404 Not Found", "", &json!({"detail": "Not Found"})).await;
    assert_eq!(case.note(), "404 Not Found: Not Found (asked for `/chat/completions`)");
    let moved = refused("307 Temporary Redirect", "location: http://127.0.0.1:1/x\r\n", &json!({})).await;
    assert!(moved.note().starts_with("307 Temporary Redirect"), "{}", moved.note());
}

#[tokio::test]
async fn who_is_turned_away_comes_back_as_often_as_granted_under_the_same_key() {
    let busy = || Step::Send(status("503 Service Unavailable", "retry-after-ms: 1\r\n", r#"{"error":"busy"}"#));
    let in_answer =
        || Step::Send(status("200 OK", "", r#"{"error":{"code":429,"message":"Please try again in 1ms"}}"#));
    let answer = || Step::Send(all(&[text("Hello").to_string(), stop("stop").to_string(), counted().to_string()]));
    let wrong = || Step::Send(status("400 Bad Request", "", r#"{"error":"wrong"}"#));
    let cut = || Step::Send(all(&[text("Hel").to_string()]));
    let ways = [
        (vec![busy(), Step::Again, in_answer(), Step::Again, answer()], 3, true),
        (vec![busy(), Step::Again, busy(), Step::Again, busy()], 3, false),
        (vec![wrong(), Step::Again, answer()], 1, false),
        (vec![busy(), Step::Again, cut()], 2, false),
    ];
    for (steps, asked, comes) in ways {
        let server = Server::start(steps).await;
        let (_home, entry) = model_with("openai-compatible", &server.url, 700);
        let permit = permit_retrying(1000, 2);
        let finished = entry.ask(Instant::now(), &permit, asks("hello"), Sink::NONE, CancellationToken::new()).await;
        let requests = server.requests.lock().clone();
        assert_eq!((finished.asked, requests.len()), (asked, asked as usize), "{:?}", finished.note);
        assert_eq!(finished.result.is_ok(), comes, "{finished:?}");
        let key =
            |request: &String| request.lines().find(|line| line.starts_with("idempotency-key")).map(str::to_owned);
        assert!(key(&requests[0]).is_some() && requests.iter().all(|request| key(request) == key(&requests[0])));
        let told = finished.note.unwrap_or_default();
        assert_eq!(told.starts_with(&format!("asked {asked} times")), asked > 1, "{told}");
    }
}

#[tokio::test]
async fn a_form_that_a_server_passes_over_is_noticed() {
    use agentry_abi::bindings::agentry::agent::llm::OutputForm;
    let schema = r#"{"type":"object","required":["city"],"properties":{"city":{"type":"string"}}}"#;
    let forms = [
        (OutputForm::Schema(schema.to_owned()), r#"{"city":"Bonn"}"#, None),
        (OutputForm::Schema(schema.to_owned()), r#"{"town":"Bonn"}"#, Some("`answer` has no `city`")),
        (OutputForm::Schema(schema.to_owned()), "It is Bonn.", Some("it is no JSON")),
        (OutputForm::Json, "It is Bonn.", Some("it is no JSON")),
        (OutputForm::Json, "[1]", None),
        (OutputForm::Text, "It is Bonn.", None),
    ];
    for (form, said, lack) in forms {
        let data: Vec<String> = [text(said), stop("stop"), counted()].iter().map(Value::to_string).collect();
        let server = Server::start(vec![Step::Send(all(&data))]).await;
        let (_home, entry) = model_with("openai-compatible", &server.url, 700);
        let mut request = asks("where?");
        request.output = form;
        let finished = entry.ask(Instant::now(), &permit(1000), request, Sink::NONE, CancellationToken::new()).await;
        let case = Case { _server: server, finished, deltas: Vec::new(), took: Duration::ZERO };
        match lack {
            None => assert_eq!(case.says(), said),
            Some(lack) => {
                let Recordable::Unavailable(reason, None) = told(&case) else { panic!("{:?}", case.why()) };
                assert!(reason.ends_with(lack), "{reason}");
                assert_eq!(
                    (case.partial().as_str(), case.finished.usage.output),
                    (said, 3),
                    "it was written and is paid"
                );
            }
        }
    }
}
