//! Why there is no answer, or no more of it: what providers say is wrong, read in all their shapes and sorted. It tells nobody; what may
//! be told to whom is the endpoint's affair.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::draft::NoCall;
use super::sse::{Decoder, Event};
use agentry_abi::bindings::agentry::agent::llm::StopReason;

/// Sentences that are put together of a list of mistakes are no longer than these.
const MISTAKES_MAX: usize = 8;

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The caller has had enough.
    Cancelled,
    /// This host lacks what it takes to ask.
    Unset(String),
    /// There was no connection, so nothing was asked.
    Unreached(String),
    /// The provider refused. Refused calls are not billed.
    Refused {
        /// Its status; of a refusal that came as an answer, the one that it names.
        status: StatusCode,
        /// When it says that asking again makes sense.
        retry_after_ms: Option<u64>,
        /// In its words.
        complaint: Box<Complaint>,
        /// What it calls this request.
        request: Option<String>,
        /// The path that was asked, of an address that nobody knows there.
        path: Option<String>,
    },
    /// The provider failed in the middle of its answer, in its own words.
    Failed(Box<Complaint>),
    /// It did not say a byte for this long.
    Silent(Duration),
    /// The connection broke.
    Broken(String),
    /// What came is no answer.
    Garbage(String),
}

/// What kind of no it is, which is what a guest can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TroubleKind {
    /// The request is wrong; asked again, it is wrong again.
    Invalid,
    /// Key, address or name of the model are wrong.
    Setup,
    /// What the host may use of this provider is used up.
    Quota,
    /// Too much for now.
    Busy,
    /// The provider has a problem.
    Down,
    /// Something that is neither an answer nor a reason.
    Unclear,
}

/// What a provider says is wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Complaint {
    /// In its words.
    pub(crate) message: String,
    /// All that it said, as it said it: what it names may stand anywhere.
    pub(crate) raw: String,
    /// Its words for the kind of mistake, all that there are, in lower case.
    words: Vec<String>,
    /// A status that it names.
    status: Option<u16>,
    /// When it says that asking again makes sense, as it says it.
    pub(crate) retry_after: Option<String>,
    /// Tokens of a prompt that is too long, and of the window.
    sizes: Option<(u64, u64)>,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            Self::Unset(why) | Self::Unreached(why) | Self::Broken(why) | Self::Garbage(why) => f.write_str(why),
            Self::Refused { status, complaint, request, path, .. } => {
                write!(f, "{status}: {}", complaint.message)?;
                path.as_ref().map_or(Ok(()), |path| write!(f, " (asked for `{path}`)"))?;
                request.as_ref().map_or(Ok(()), |request| write!(f, " (request {request})"))
            }
            Self::Failed(complaint) => f.write_str(&complaint.message),
            Self::Silent(patience) => write!(f, "no byte for {patience:?}"),
        }
    }
}

impl From<NoCall> for Trouble {
    fn from(why: NoCall) -> Self {
        Self::Garbage(why.to_string())
    }
}

impl Complaint {
    /// One in these words.
    pub(crate) fn saying(message: String) -> Self {
        Self { message, ..Self::default() }
    }

    /// Reads the body of a refusal in the ways of the providers; a body of another form is the message itself.
    pub(crate) fn read(body: &[u8]) -> Self {
        let raw = String::from_utf8_lossy(body).into_owned();
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self { raw, ..Self::within(&value).unwrap_or_else(|| Self::of(&value)) },
            Err(_) => {
                let message = raw.trim().to_owned();
                Self::in_stream(body).map_or_else(|| Self { message, ..Self::default() }, |said| Self { raw, ..said })
            }
        }
    }

    /// The first complaint of a refusal that came as a stream of events, as the answer would have come.
    fn in_stream(body: &[u8]) -> Option<Self> {
        let (mut decoder, mut found) = (Decoder::default(), None);
        let mut heard = |event: Event| {
            let value = || serde_json::from_str::<Value>(&event.data).ok().filter(Value::is_object);
            found = found.take().or_else(|| Self::in_event(&event)).or_else(|| value().map(|value| Self::of(&value)));
        };
        decoder.feed(body, &mut heard).and_then(|()| decoder.end(|_| true, &mut heard)).ok()?;
        found
    }

    /// What an event says in words where it holds nothing of an answer. It may be only a word of how things go, so it counts if no answer
    /// comes at all.
    pub(crate) fn instead(event: &Event) -> Option<Self> {
        let value: Value = serde_json::from_str(&event.data).ok()?;
        let has = |name: &str| value.get(name).is_some_and(|said| !is_empty(said));
        let says = |name: &str| has(name) && value.get(name).is_some_and(Value::is_string);
        let is_told = ["message", "msg", "Message", "detail"].into_iter().any(says);
        (is_told && !has("choices")).then(|| Self::of(&value))
    }

    /// What an event complains of, if that is all it does.
    pub(crate) fn in_event(event: &Event) -> Option<Self> {
        let named = event.name == "error";
        // Most events are pieces of an answer, and those are read once.
        if !named && !["\"error", "\"base_resp\""].iter().any(|word| event.data.contains(word)) {
            return None;
        }
        match serde_json::from_str::<Value>(&event.data) {
            Ok(value) => Self::within(&value).or_else(|| named.then(|| Self::of(&value))),
            Err(_) => named.then(|| Self { message: event.data.clone(), ..Self::default() }),
        }
    }

    /// What a value complains of: `{"error": …}`, `{"object": "error", …}`, `{"errors": […]}`, `{"detail": …}` without anything else, or
    /// the first of a list that does. None if it is something else.
    pub(crate) fn within(value: &Value) -> Option<Self> {
        match value {
            Value::Array(items) => items.iter().find_map(Self::within),
            Value::Object(fields) => {
                let filled = |name: &str| fields.get(name).filter(|value| !is_empty(value));
                if let Some(error) = filled("error") {
                    // What stands beside it may say more than a bare word.
                    let (mut complaint, beside) = (Self::of(error), Self::of_fields(value));
                    complaint.words.extend(beside.words);
                    complaint.status = complaint.status.or(beside.status);
                    complaint.retry_after = complaint.retry_after.or(beside.retry_after);
                    if error.is_string() && !beside.message.is_empty() {
                        complaint.message = format!("{}: {}", complaint.message, beside.message);
                    }
                    return Some(complaint);
                }
                let is_error = |name: &str| fields.get(name).and_then(Value::as_str) == Some("error");
                let is_detail = filled("detail").is_some() && !fields.contains_key("choices");
                if is_error("object") || is_error("type") || is_detail {
                    return Some(Self::of(value));
                }
                // MiniMax says it beside each answer, with the code 0 where all is well.
                if let Some(base) =
                    filled("base_resp").filter(|base| base.get("status_code").is_some_and(|c| !is_empty(c)))
                {
                    return Some(Self::of(base));
                }
                filled("errors").and_then(Value::as_array).and_then(|errors| errors.first()).map(Self::of)
            }
            _ => None,
        }
    }

    /// Reads what stands under `error`.
    pub(crate) fn of(error: &Value) -> Self {
        match error {
            Value::String(text) => match serde_json::from_str::<Value>(text) {
                // The reason of somebody behind, passed on as it came.
                Ok(inner @ Value::Object(_)) => Self::within(&inner).unwrap_or_else(|| Self::of(&inner)),
                Ok(_) | Err(_) => Self { message: text.clone(), ..Self::default() },
            },
            Value::Object(_) => {
                let mut complaint = Self::of_fields(error);
                if complaint.message.is_empty() {
                    complaint.message = error.to_string();
                }
                complaint
            }
            other => Self { message: other.to_string(), ..Self::default() },
        }
    }

    fn of_fields(error: &Value) -> Self {
        let text = |name: &str| error.get(name).map(sentence).filter(|text| !text.is_empty());
        let mut message =
            ["message", "msg", "detail", "error_message", "Message", "status_msg"].into_iter().find_map(text);
        // A router's own sentence says less than that of whom it asked.
        let behind = error.get("metadata").and_then(|metadata| metadata.get("raw")).map(sentence);
        if let Some(behind) = behind.filter(|behind| !behind.is_empty()) {
            message = Some(message.map_or(behind.clone(), |message| format!("{message}: {behind}")));
        }
        let mut words = Vec::new();
        let mut status = None;
        for name in ["type", "code", "status", "reason", "__type", "status_code", "error_type"] {
            match error.get(name) {
                Some(Value::String(word)) => {
                    status = status.or_else(|| word.parse().ok());
                    words.push(word.to_ascii_lowercase());
                }
                Some(Value::Number(number)) => {
                    status = status.or_else(|| u16::try_from(number.as_f64()? as i64).ok());
                }
                _ => {}
            }
        }
        let number = |name: &str| error.get(name).and_then(Value::as_u64);
        let retry = |detail: &Value| detail.get("retryDelay").and_then(Value::as_str).map(str::to_owned);
        let details = error.get("details").and_then(Value::as_array);
        Self {
            message: message.unwrap_or_default(),
            raw: String::new(),
            words,
            status: status.filter(|status| (400..600).contains(status)),
            retry_after: details.and_then(|details| details.iter().find_map(retry)).or_else(|| retry_field(error)),
            sizes: number("n_prompt_tokens").zip(number("n_ctx")),
        }
    }

    /// What kind of no it is, said with this status or in the middle of an answer.
    pub(crate) fn kind(&self, status: Option<StatusCode>) -> TroubleKind {
        let says = |parts: &[&str]| self.words.iter().any(|word| parts.iter().any(|part| word.contains(part)));
        // Some refuse for good with the status of a passing load.
        if says(&["insufficient_quota", "billing", "insufficient_balance", "credit", "payment_required"]) {
            return TroubleKind::Quota;
        }
        let status = status.map(|status| status.as_u16()).filter(|status| *status != 200).or(self.status);
        match status {
            Some(400 | 413 | 422) => TroubleKind::Invalid,
            Some(402) => TroubleKind::Quota,
            Some(401 | 403 | 404 | 405) => TroubleKind::Setup,
            Some(408 | 409 | 425 | 429) => TroubleKind::Busy,
            Some(500..) => TroubleKind::Down,
            Some(_) => TroubleKind::Unclear,
            None if says(&["rate_limit", "resource_exhausted", "throttl", "too_many", "overloaded", "timeout"]) => {
                TroubleKind::Busy
            }
            None if says(&["authentication", "permission", "unauthenticated", "not_found", "unauthorized"]) => {
                TroubleKind::Setup
            }
            None if says(&["invalid", "badrequest", "bad_request", "context_length", "too_large", "validation"]) => {
                TroubleKind::Invalid
            }
            None => TroubleKind::Down,
        }
    }

    /// The status that it names, of a refusal that came as an answer.
    pub(crate) fn status(&self) -> StatusCode {
        let by_kind = match self.kind(None) {
            TroubleKind::Invalid => StatusCode::BAD_REQUEST,
            TroubleKind::Setup => StatusCode::UNAUTHORIZED,
            TroubleKind::Quota => StatusCode::PAYMENT_REQUIRED,
            TroubleKind::Busy => StatusCode::TOO_MANY_REQUESTS,
            TroubleKind::Down | TroubleKind::Unclear => StatusCode::INTERNAL_SERVER_ERROR,
        };
        self.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(by_kind)
    }

    /// The sizes that an overlong prompt is told with, as a sentence; else the provider's own words.
    pub(crate) fn sentence(&self) -> String {
        match self.sizes {
            Some((prompt, window)) => format!("the prompt has {prompt} tokens, and the model's window {window}"),
            None => self.message.clone(),
        }
    }

    /// All that it said; its message if that is all that is known.
    pub(crate) fn said(&self) -> &str {
        if self.raw.is_empty() { &self.message } else { &self.raw }
    }

    /// Whether [`sentence`](Self::sentence) is ours.
    pub(crate) fn has_sizes(&self) -> bool {
        self.sizes.is_some()
    }
}

/// When to come back, where it stands in a field of its own: in seconds, unless its name or its value says otherwise.
fn retry_field(error: &Value) -> Option<String> {
    let fields = [
        ("retry_after_ms", "ms"),
        ("retry_after", "s"),
        ("retry_after_seconds", "s"),
        ("retryAfter", "s"),
        ("retry-after", "s"),
    ];
    fields.into_iter().find_map(|(name, unit)| match error.get(name)? {
        Value::Number(number) => Some(format!("{number}{unit}")),
        Value::String(text) if text.trim().parse::<f64>().is_ok() => Some(format!("{}{unit}", text.trim())),
        Value::String(text) => Some(text.clone()),
        _ => None,
    })
}

/// Parts of words that say that something broke: `network_error`, `malformed_function_call`, `insufficient_system_resource`.
const BREAKS: [&str; 17] = [
    "error",
    "abort",
    "cancel",
    "fail",
    "timeout",
    "timed_out",
    "malformed",
    "unexpected",
    "insufficient",
    "exception",
    "interrupt",
    "disconnect",
    "connection",
    "overload",
    "unavailable",
    "crash",
    "killed",
];

/// Whether a word for why an answer ended, in small letters, says that it broke off.
pub(crate) fn is_break(word: &str) -> bool {
    BREAKS.iter().any(|part| word.contains(part))
}

/// Whether a word for why an answer ended says nothing.
pub(crate) fn is_no_reason(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    ["", "null", "none", "nil", "undefined"].contains(&word.as_str()) || word.ends_with("unspecified")
}

/// Why an answer ended whose word no table has.
///
/// # Errors
/// If the word says that it broke off; `more` is what was said beside.
pub(crate) fn other_reason(word: &str, more: &str) -> Result<StopReason, Trouble> {
    if !is_break(&word.to_ascii_lowercase()) {
        return Ok(StopReason::Other(word.to_owned()));
    }
    Err(broken_off(word, more))
}

/// An answer that ended with this word, and what was said beside.
pub(crate) fn broken_off(word: &str, more: &str) -> Trouble {
    let more = if more.is_empty() { String::new() } else { format!(": {more}") };
    Trouble::Failed(Box::new(Complaint::saying(format!("the answer ended with `{word}`{more}"))))
}

/// A text, the texts of a list of mistakes, or what else it is as JSON.
fn sentence(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ Value::Object(_)) => {
                Complaint::within(&inner).map_or_else(|| text.clone(), |complaint| complaint.message)
            }
            Ok(_) | Err(_) => text.clone(),
        },
        Value::Array(items) => {
            let texts = items.iter().take(MISTAKES_MAX).map(|item| {
                let place = item.get("loc").map(|place| format!("{place}: ")).unwrap_or_default();
                let text = ["msg", "message"].into_iter().find_map(|name| item.get(name)).map(sentence);
                format!("{place}{}", text.unwrap_or_else(|| sentence(item)))
            });
            texts.collect::<Vec<_>>().join("; ")
        }
        Value::Object(_) => Complaint::of(value).message,
        other => other.to_string(),
    }
}

/// Whether what stands in the place of an error is none.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(true) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, message: &str, kind: TroubleKind) {
        let complaint = Complaint::read(body.as_bytes());
        assert_eq!(complaint.sentence(), message);
        assert_eq!(complaint.kind(None), kind, "{complaint:?}");
    }

    #[test]
    fn a_complaint_is_read_in_the_shapes_of_all_providers() {
        check(
            r#"{"error":{"message":"a","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
            "a",
            TroubleKind::Invalid,
        );
        check(r#"{"type":"error","error":{"type":"overloaded_error","message":"a"}}"#, "a", TroubleKind::Busy);
        check(r#"[{"error":{"code":400,"message":"a","status":"INVALID_ARGUMENT"}}]"#, "a", TroubleKind::Invalid);
        check(r#"{"object":"error","message":"a","type":"InternalServerError","code":500}"#, "a", TroubleKind::Down);
        check(r#"{"error":"a"}"#, "a", TroubleKind::Down);
        check(r#"{"error":"a","message":"b","status":429}"#, "a: b", TroubleKind::Busy);
        check(r#"{"detail":"a"}"#, "a", TroubleKind::Down);
        check(r#"{"detail":[{"loc":["body","x"],"msg":"a"},{"msg":"b"}]}"#, r#"["body","x"]: a; b"#, TroubleKind::Down);
        check(r#"{"errors":[{"message":"a","code":"429"}]}"#, "a", TroubleKind::Busy);
        check(r#"{"message":"a","__type":"ThrottlingException"}"#, "a", TroubleKind::Busy);
        check(r#"{"error":{"message":"{\"error\":{\"message\":\"a\"}}","code":503}}"#, "a", TroubleKind::Down);
        check(
            r#"{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":"busy upstream"}}}"#,
            "Provider returned error: busy upstream",
            TroubleKind::Busy,
        );
        check("<html>oops</html>", "<html>oops</html>", TroubleKind::Down);
        check("", "", TroubleKind::Down);
        check("7", "7", TroubleKind::Down);
        check(
            r#"{"error":{"code":400,"n_prompt_tokens":5000,"n_ctx":4096}}"#,
            "the prompt has 5000 tokens, and the model's window 4096",
            TroubleKind::Invalid,
        );
    }

    #[test]
    fn what_is_used_up_is_no_passing_load() {
        let quota = r#"{"error":{"message":"a","type":"insufficient_quota","code":"insufficient_quota"}}"#;
        assert_eq!(Complaint::read(quota.as_bytes()).kind(Some(StatusCode::TOO_MANY_REQUESTS)), TroubleKind::Quota);
        let busy = r#"{"error":{"message":"a","type":"requests","code":"rate_limit_exceeded"}}"#;
        assert_eq!(Complaint::read(busy.as_bytes()).kind(Some(StatusCode::TOO_MANY_REQUESTS)), TroubleKind::Busy);
    }

    #[test]
    fn a_piece_of_an_answer_is_no_complaint() {
        let event = |name: &str, data: &str| Event { name: name.to_owned(), data: data.to_owned() };
        for data in [
            r#"{"choices":[{"delta":{"content":"an \"error\": x"}}]}"#,
            r#"{"choices":[],"error":null}"#,
            r#"{"type":"content_block_delta","error":{}}"#,
            "no JSON with \"error in it",
        ] {
            assert_eq!(Complaint::in_event(&event("", data)), None, "{data}");
        }
        assert_eq!(Complaint::in_event(&event("error", "gone")).unwrap().message, "gone");
        assert!(Complaint::in_event(&event("", r#"{"choices":[],"error":"gone"}"#)).is_some());
    }
}
