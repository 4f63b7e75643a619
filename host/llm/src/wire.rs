//! What the providers' formats have in common: checked JSON, images, words that are cut.

use std::borrow::Cow;

use agentry_abi::bindings::agentry::agent::llm::{Media, MediaSource};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

/// The text as a JSON object, written on as it is; an empty text is an empty object.
///
/// # Errors
/// If it is not a JSON object; the text names `what` it should be.
pub(super) fn object<'a>(json: &'a str, what: &str) -> Result<&'a RawValue, String> {
    let json = if json.trim().is_empty() { "{}" } else { json };
    let raw: &RawValue = serde_json::from_str(json).map_err(|why| format!("{what} is not JSON: {why}"))?;
    if raw.get().starts_with('{') { Ok(raw) } else { Err(format!("{what} is not a JSON object")) }
}

/// The image's bytes in base 64.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Where the image is: a `data:` URL if it is here.
pub(super) fn data_url(media: &Media) -> Cow<'_, str> {
    match &media.source {
        MediaSource::Url(url) => Cow::Borrowed(url),
        MediaSource::Bytes(bytes) => Cow::Owned(format!("data:{};base64,{}", media.mime, base64(bytes))),
    }
}

/// One line of printable characters, cut.
pub(super) fn shorten(text: &str, chars: usize) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(chars).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
