//! What a server answers, read as the one response of JSON-RPC that was asked for, or as why there is none. All of it is a stranger's: whatever is
//! told of it is short.

use serde_json::Value;

use crate::client::Reply;
use crate::events;

/// The longest text of a server that is told of a failure, in characters.
const TOLD_MAX_CHARS: usize = 1_000;

/// What only servers say in whose version each request stands for itself: headers that do not fit, capabilities that are missing.
const OF_THE_NEWEST: [i64; 2] = [-32020, -32021];

/// Why there is no result.
pub(crate) enum No<E> {
    /// No answer came.
    Lost(E),
    /// An answer came.
    Answered {
        /// The status code of HTTP.
        status: u16,
        /// The code of JSON-RPC, if it is an error of that.
        code: Option<i64>,
        /// In words.
        why: String,
    },
}

impl<E> No<E> {
    /// An answer that makes no sense.
    pub(crate) fn nonsense(why: String) -> Self {
        Self::Answered { status: 200, code: None, why }
    }

    /// An answer that says no by its status alone.
    pub(crate) fn status(reply: &Reply) -> Self {
        let why = match reply.status {
            300..=399 => "leads elsewhere",
            401 => "wants to know who asks",
            403 => "does not let this one ask",
            404 => "has nothing there",
            429 => "is asked too often",
            500.. => "is out of order",
            _ => "does not take this",
        };
        Self::Answered { status: reply.status, code: None, why: format!("the server {why}: status {}", reply.status) }
    }

    /// Whether a server may say so which knows older versions alone.
    pub(crate) fn may_be_older(&self) -> bool {
        match self {
            Self::Lost(_) => false,
            Self::Answered { code: Some(code), .. } if OF_THE_NEWEST.contains(code) => false,
            Self::Answered { status, .. } => {
                matches!(status, 200..=299) || matches!(status, 400..=499) && ![401, 403, 429].contains(status)
            }
        }
    }

    /// Whether there is nothing where it was asked for: no session of that name.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Answered { status: 404, .. })
    }

    /// As the failure of a way.
    pub(crate) fn told(self) -> E
    where
        E: From<String>,
    {
        match self {
            Self::Lost(error) => error,
            Self::Answered { why, .. } => E::from(why),
        }
    }
}

/// The result of the request of this id.
pub(crate) fn result<E>(reply: &Reply, id: u64) -> Result<Value, No<E>> {
    let is_success = (200..300).contains(&reply.status);
    let kind = reply.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let messages = match kind.as_str() {
        "application/json" => read(&reply.body).map(one_or_several),
        "text/event-stream" => in_events(&reply.body),
        _ if is_success => {
            let kind = cut(&kind);
            Err(No::nonsense(format!("the server answers with `{kind}`, which is neither JSON nor an event stream")))
        }
        _ => return Err(No::status(reply)),
    };
    let answer = messages.and_then(|messages| response(messages, id, is_success));
    match answer {
        Ok(answer) => told(reply.status, answer),
        Err(_) if !is_success => Err(No::status(reply)),
        Err(no) => Err(no),
    }
}

fn read<E>(bytes: &[u8]) -> Result<Value, No<E>> {
    serde_json::from_slice(bytes).map_err(|error| No::nonsense(format!("the server's answer is no JSON: {error}")))
}

/// Version 2025-03-26 has answers in arrays.
fn one_or_several(message: Value) -> Vec<Value> {
    match message {
        Value::Array(messages) => messages,
        message => vec![message],
    }
}

fn in_events<E>(bytes: &[u8]) -> Result<Vec<Value>, No<E>> {
    let text = str::from_utf8(bytes).map_err(|_| No::nonsense("the server's stream is no UTF-8".to_owned()))?;
    let read = events::data(text).into_iter().map(|data| read(data.as_bytes()).map(one_or_several));
    Ok(read.collect::<Result<Vec<_>, _>>()?.concat())
}

/// The one response among these messages. A server's own requests and what it notes on the way are none: to a client without capabilities it
/// may put no question, and a stream that was read to its end takes no answer.
fn response<E>(messages: Vec<Value>, id: u64, is_success: bool) -> Result<Value, No<E>> {
    for message in messages {
        if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(No::nonsense("the server's answer is no message of JSON-RPC".to_owned()));
        }
        if message.get("method").is_some() {
            continue;
        }
        match message.get("id") {
            Some(of) if of.as_u64() == Some(id) => return Ok(message),
            // A server that could not read a request does not know its id, and some have a word of their own for that.
            None | Some(Value::Null) if message.get("error").is_some() => return Ok(message),
            _ if !is_success && message.get("error").is_some() => return Ok(message),
            of => {
                let of = of.map_or_else(|| "none".to_owned(), |of| cut(&of.to_string()));
                return Err(No::nonsense(format!("the server answers request {of}, and {id} was asked")));
            }
        }
    }
    Err(No::nonsense(format!("the server's answer ends without a response to request {id}")))
}

fn told<E>(status: u16, mut answer: Value) -> Result<Value, No<E>> {
    if let Some(error) = answer.get("error") {
        let code = error.get("code").and_then(Value::as_i64);
        let said = cut(error.get("message").and_then(Value::as_str).unwrap_or_default());
        let why = format!("the server says no ({}): {said}", code.unwrap_or_default());
        return Err(No::Answered { status, code, why });
    }
    let result = answer.get_mut("result").map(Value::take).filter(Value::is_object);
    let result = result.ok_or_else(|| No::nonsense("the server's response has no result".to_owned()))?;
    match result.get("resultType").map(|kind| kind.as_str().unwrap_or_default()) {
        None | Some("complete") => Ok(result),
        Some("input_required") => {
            Err(No::nonsense("the server wants to ask somebody first, and nobody is here".to_owned()))
        }
        Some(kind) => {
            Err(No::nonsense(format!("the server's result is of the kind `{}`, which nobody knows", cut(kind))))
        }
    }
}

/// A server's text, or its beginning.
pub(crate) fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(TOLD_MAX_CHARS).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, content_type: &str, body: &str) -> Result<Value, String> {
        let reply = Reply { status, content_type: content_type.into(), body: body.into(), session: None };
        result::<String>(&reply, 7).map_err(No::told)
    }

    fn json(body: &str) -> Result<Value, String> {
        answer(200, "application/json; charset=utf-8", body)
    }

    #[test]
    fn one_response_is_found_as_json_and_behind_notes_in_a_stream() {
        let ours = r#"{"jsonrpc":"2.0","id":7,"result":{"a":1}}"#;
        let note = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#;
        let asks = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
        let found = Ok(serde_json::json!({"a": 1}));
        assert_eq!(json(ours), found);
        assert_eq!(json(&format!("[{note}, {ours}]")), found);
        assert_eq!(
            answer(200, "text/event-stream", &format!("data: {note}\n\ndata: {asks}\n\ndata: {ours}\n\n")),
            found
        );
    }

    #[test]
    fn what_is_no_response_to_this_request_says_what_it_is() {
        for (body, says) in [
            ("<html>", "no JSON"),
            ("[]", "without a response"),
            ("{}", "no message of JSON-RPC"),
            (r#"{"jsonrpc":"2.0","id":8,"result":{}}"#, "answers request 8, and 7 was asked"),
            (r#"{"jsonrpc":"2.0","id":"7","result":{}}"#, "answers request \"7\""),
            (r#"{"jsonrpc":"2.0","result":{}}"#, "answers request none"),
            (r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#, "without a response"),
            (r#"{"jsonrpc":"2.0","id":7}"#, "no result"),
            (r#"{"jsonrpc":"2.0","id":7,"result":[]}"#, "no result"),
            (r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"Unknown tool"}}"#, "(-32602): Unknown tool"),
            (r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required"}}"#, "nobody is here"),
            (r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"task"}}"#, "`task`"),
        ] {
            let told = json(body).expect_err(body);
            assert!(told.contains(says), "{body}: {told}");
        }
        let long =
            json(&format!(r#"{{"jsonrpc":"2.0","id":7,"error":{{"code":1,"message":"{}"}}}}"#, "x".repeat(99_999)));
        assert!(long.is_err_and(|told| told.len() < 1_100));
    }

    #[test]
    fn a_status_is_told_and_the_error_below_it_where_there_is_one() {
        assert!(answer(200, "text/html", "<p>").is_err_and(|told| told.contains("`text/html`")));
        assert!(answer(401, "", "").is_err_and(|told| told.contains("who asks: status 401")));
        assert!(answer(302, "text/html", "").is_err_and(|told| told.contains("elsewhere")));
        assert!(answer(500, "application/json", "{\"oops\":1}").is_err_and(|told| told.contains("status 500")));
        for id in ["null", "\"server-error\"", "7"] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32600,"message":"no session"}}}}"#);
            assert!(answer(400, "application/json", &body).is_err_and(|told| told.contains("no session")), "{id}");
        }
    }
}
