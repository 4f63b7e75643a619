//! Images, documents and sound in a request: which kind each is, and whether it may be sent at all.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use agentry_abi::bindings::agentry::agent::llm::{Media, MediaSource, Part, Request, ResultPart};

/// What models may be able to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaKind {
    Image,
    Pdf,
    /// With the word that OpenAI has for its format.
    Audio(&'static str),
}

impl MediaKind {
    /// Its word in the lists and in `agentry.toml`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Pdf => "pdf",
            Self::Audio(_) => "audio",
        }
    }
}

/// What it is.
///
/// # Errors
/// If no model takes such, or it lies where no provider should be sent; a sentence for the guest.
pub(super) fn kind(media: &Media) -> Result<MediaKind, String> {
    if let MediaSource::Url(url) = &media.source
        && !url.starts_with("https://")
    {
        return Err("the address of media begins with `https://`".to_owned());
    }
    Ok(match media.mime.as_str() {
        "image/png" | "image/jpeg" | "image/gif" | "image/webp" => MediaKind::Image,
        "application/pdf" => MediaKind::Pdf,
        "audio/wav" | "audio/x-wav" => MediaKind::Audio("wav"),
        "audio/mpeg" | "audio/mp3" => MediaKind::Audio("mp3"),
        _ => {
            return Err(
                "media must be one of image/png, image/jpeg, image/gif, image/webp, application/pdf, audio/wav, \
                        audio/mpeg"
                    .to_owned(),
            );
        }
    })
}

/// Its bytes in base 64.
///
/// # Errors
/// If it is elsewhere: this provider fetches nothing of this kind.
pub(super) fn bytes(media: &Media) -> Result<String, String> {
    match &media.source {
        MediaSource::Bytes(bytes) => Ok(STANDARD.encode(bytes)),
        MediaSource::Url(_) => Err("this model takes such media only as bytes, not by their address".to_owned()),
    }
}

/// All media of a request.
pub(super) fn of(request: &Request) -> impl Iterator<Item = &Media> {
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    parts.flat_map(|part| {
        let (own, inner) = match part {
            Part::Media(media) => (Some(media), &[][..]),
            Part::ToolResult(result) => (None, &result.parts[..]),
            Part::Text(_) | Part::Reasoning(_) | Part::ToolCall(_) => (None, &[][..]),
        };
        let inner = inner.iter().filter_map(|part| match part {
            ResultPart::Media(media) => Some(media),
            ResultPart::Text(_) | ResultPart::Json(_) => None,
        });
        own.into_iter().chain(inner)
    })
}
