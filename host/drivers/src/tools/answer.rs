//! What a tool said, as an agent gets it. Nothing here asks a tool.

use agentry_abi::bindings::agentry::agent::llm::{Media, MediaSource, ResultPart};
use agentry_kernel::json;

/// What a tool said.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// True if `parts` tell what went wrong.
    pub failed: bool,
    /// In order.
    pub parts: Vec<ResultPart>,
    /// What left this machine.
    pub egress_bytes: u64,
}

impl Said {
    /// One text, and nothing left this machine.
    pub fn text(text: impl Into<String>) -> Self {
        Self { failed: false, parts: vec![self::text(text)], egress_bytes: 0 }
    }
}

/// A sentence.
pub(super) fn text(text: impl Into<String>) -> ResultPart {
    ResultPart::Text(text.into())
}

/// Bytes as JSON where they are that, strictly; else as text, or as what they say they are.
pub(super) fn part(bytes: Vec<u8>, mime: Option<&str>) -> ResultPart {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let mime = mime.unwrap_or("application/octet-stream").to_owned();
            return ResultPart::Media(Media { mime, source: MediaSource::Bytes(error.into_bytes()) });
        }
    };
    let looks_like_it = text.trim_start().starts_with(['{', '[']);
    match looks_like_it.then(|| json::parse(text.trim())) {
        Some(Ok(value)) => ResultPart::Json(value.to_string()),
        _ => ResultPart::Text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_json_is_given_as_such_and_bytes_as_bytes() {
        assert_eq!(part(b" {\"b\": 1, \"a\": 2}\n".to_vec(), None), ResultPart::Json("{\"a\":2,\"b\":1}".to_owned()));
        assert_eq!(part(b"{\"a\": 1, \"a\": 2}".to_vec(), None), text("{\"a\": 1, \"a\": 2}"));
        assert_eq!(part(b"hello".to_vec(), Some("text/plain")), text("hello"));
        assert!(
            matches!(part(vec![0xff, 0xd8], Some("image/jpeg")), ResultPart::Media(media) if media.mime == "image/jpeg")
        );
    }
}
