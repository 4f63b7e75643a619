//! Frames of Amazon's event streams, byte by byte: a length, headers and a payload under two checksums. Nothing that comes makes it panic,
//! and it never holds more than one frame of the largest size.
//!
//! Source: Smithy, "Amazon Event Stream Specification". Written here: it is one page over a checksum that is there anyway, where the crate
//! for it brings a type system and a clock.

use flate2::Crc;
use serde_json::{Map, Value};

use super::sse::{EVENT_MAX_BYTES, Event, Malformed};

/// Length of the frame, length of its headers, checksum of both.
const PRELUDE_BYTES: usize = 12;

/// A checksum.
const CHECKSUM_BYTES: usize = 4;

/// What a frame is besides headers and payload.
const FRAME_BYTES: usize = PRELUDE_BYTES + CHECKSUM_BYTES;

/// The longest headers, as the specification has it.
const HEADERS_MAX_BYTES: usize = 128 * 1024;

/// Turns bytes into events: each has its type as name and its payload as data. Exceptions are events named `error`.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    frame: Vec<u8>,
}

/// What the headers of a frame say.
#[derive(Default)]
struct Said<'a> {
    message: &'a str,
    event: &'a str,
    exception: &'a str,
    error: &'a str,
    reason: &'a str,
}

impl Decoder {
    /// Takes the next bytes and gives each event that they end to `heard`. Frames without a payload are passed over.
    ///
    /// # Errors
    /// If they are no frame, or one that is too long, damaged or no text. Events before it were given.
    pub(crate) fn feed(&mut self, bytes: &[u8], heard: &mut impl FnMut(Event)) -> Result<(), Malformed> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let wanted = self.wanted()?;
            let (more, behind) = rest.split_at(rest.len().min(wanted - self.frame.len()));
            self.frame.extend_from_slice(more);
            rest = behind;
            if self.frame.len() >= FRAME_BYTES && self.frame.len() == self.wanted()? {
                let frame = std::mem::take(&mut self.frame);
                if let Some(event) = event(&frame)? {
                    heard(event);
                }
                // Its memory serves the next frame.
                self.frame = frame;
                self.frame.clear();
            }
        }
        Ok(())
    }

    /// How long the frame at hand is; as far as its length can be read where that is not known yet.
    fn wanted(&self) -> Result<usize, Malformed> {
        let Some(prelude) = self.frame.get(..PRELUDE_BYTES) else { return Ok(PRELUDE_BYTES) };
        let (length, headers) = (number(prelude, 0), number(prelude, 4));
        if checksum(&prelude[..8]) != number(prelude, 8) {
            return Err(Malformed::Damaged);
        }
        if length > EVENT_MAX_BYTES || headers > HEADERS_MAX_BYTES {
            return Err(Malformed::Endless);
        }
        if length < FRAME_BYTES + headers { Err(Malformed::Damaged) } else { Ok(length) }
    }
}

/// Four bytes, the largest first; zero where there are none.
fn number(bytes: &[u8], at: usize) -> usize {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_be_bytes) as usize
}

fn checksum(bytes: &[u8]) -> usize {
    let mut sum = Crc::new();
    sum.update(bytes);
    sum.sum() as usize
}

/// What a whole frame says; none if nothing.
fn event(frame: &[u8]) -> Result<Option<Event>, Malformed> {
    let end = frame.len() - CHECKSUM_BYTES;
    if checksum(&frame[..end]) != number(frame, end) {
        return Err(Malformed::Damaged);
    }
    let (headers, payload) = frame[PRELUDE_BYTES..end].split_at(number(frame, 4));
    let said = read(headers).ok_or(Malformed::Damaged)?;
    let payload = std::str::from_utf8(payload).map_err(|_| Malformed::NotText)?;
    let failed = match said.message {
        "exception" => Some((said.exception, payload)),
        "error" => Some((said.error, said.reason)),
        _ => None,
    };
    Ok(match failed {
        Some((kind, words)) => Some(Event { name: "error".to_owned(), data: complaint(kind, words) }),
        None if payload.trim_ascii().is_empty() => None,
        None => Some(Event { name: said.event.to_owned(), data: payload.to_owned() }),
    })
}

/// An exception as other providers say it.
fn complaint(kind: &str, words: &str) -> String {
    let mut error = match serde_json::from_str(words) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => Map::from_iter([("message".to_owned(), words.into())]),
    };
    error.insert("type".to_owned(), kind.into());
    serde_json::json!({ "error": error }).to_string()
}

/// The headers that matter; none if they are not headers.
fn read(headers: &[u8]) -> Option<Said<'_>> {
    let (mut said, mut rest) = (Said::default(), headers);
    while let Some((length, behind)) = rest.split_first() {
        let (name, behind) = behind.split_at_checked(usize::from(*length))?;
        let (kind, behind) = behind.split_first()?;
        let (value, behind) = match kind {
            0 | 1 => (&[][..], behind),
            2 => behind.split_at_checked(1)?,
            3 => behind.split_at_checked(2)?,
            4 => behind.split_at_checked(4)?,
            5 | 8 => behind.split_at_checked(8)?,
            6 | 7 => {
                let (length, behind) = behind.split_first_chunk()?;
                behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))?
            }
            9 => behind.split_at_checked(16)?,
            _ => return None,
        };
        rest = behind;
        let place = match (name, kind) {
            (b":message-type", 7) => &mut said.message,
            (b":event-type", 7) => &mut said.event,
            (b":exception-type", 7) => &mut said.exception,
            (b":error-code", 7) => &mut said.error,
            (b":error-message", 7) => &mut said.reason,
            _ => continue,
        };
        *place = std::str::from_utf8(value).ok()?;
    }
    Some(said)
}

/// A frame with these headers, for those who play a server. A header longer than its form has room for is cut off.
pub fn frame(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
    let mut named = Vec::new();
    for (name, value) in headers {
        let (name, value) = (&name.as_bytes()[..name.len().min(0xff)], &value.as_bytes()[..value.len().min(0xffff)]);
        named.push(name.len() as u8);
        named.extend_from_slice(name);
        named.push(7);
        named.extend_from_slice(&(value.len() as u16).to_be_bytes());
        named.extend_from_slice(value);
    }
    let mut frame = ((FRAME_BYTES + named.len() + payload.len()) as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&(named.len() as u32).to_be_bytes());
    frame.extend_from_slice(&(checksum(&frame) as u32).to_be_bytes());
    frame.extend_from_slice(&named);
    frame.extend_from_slice(payload.as_bytes());
    let sum = checksum(&frame) as u32;
    frame.extend_from_slice(&sum.to_be_bytes());
    frame
}

/// An event as Bedrock sends it.
#[cfg(test)]
pub(crate) fn event_frame(kind: &str, payload: &str) -> Vec<u8> {
    frame(&[(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")], payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<(String, String)>, Malformed> {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.feed(piece, &mut |event| events.push((event.name, event.data)))?;
        }
        Ok(events)
    }

    #[test]
    fn frames_are_the_same_however_they_are_cut() {
        let stream = [
            event_frame("messageStart", r#"{"role":"assistant"}"#),
            event_frame("beat", " "),
            frame(
                &[(":message-type", "exception"), (":exception-type", "throttlingException")],
                r#"{"message":"slow"}"#,
            ),
            frame(&[(":message-type", "error"), (":error-code", "x"), (":error-message", "gone")], ""),
        ]
        .concat();
        let expected = [
            ("messageStart", r#"{"role":"assistant"}"#),
            ("error", r#"{"error":{"message":"slow","type":"throttlingException"}}"#),
            ("error", r#"{"error":{"message":"gone","type":"x"}}"#),
        ];
        let expected: Vec<_> = expected.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect();
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(read(&single).unwrap(), expected);
        for at in 0..=stream.len() {
            assert_eq!(read(&[&stream[..at], &stream[at..]]).unwrap(), expected, "cut at {at}");
        }
    }

    /// The examples that the specification and Amazon's own libraries are tested with.
    #[test]
    fn the_published_frames_are_read() {
        let empty = [0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff];
        assert_eq!(read(&[&empty]).unwrap(), []);
        let payload =
            [&[0, 0, 0, 0x1d, 0, 0, 0, 0, 0xfd, 0x52, 0x8c, 0x5a][..], b"{'foo':'bar'}", &[0xc3, 0x65, 0x39, 0x36]]
                .concat();
        assert_eq!(read(&[&payload]).unwrap(), [(String::new(), "{'foo':'bar'}".to_owned())]);
    }

    #[test]
    fn what_is_damaged_too_long_or_no_text_is_refused() {
        let whole = event_frame("x", "{}");
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert_eq!(read(&[&bytes]), Err(Malformed::Damaged), "at {at}");
        }
        let long = event_frame("x", &"y".repeat(EVENT_MAX_BYTES));
        assert_eq!(read(&[&long]), Err(Malformed::Endless));
        let mut no_text = whole[..whole.len() - 6].to_vec();
        no_text.extend_from_slice(&[0xff, 0xfe]);
        no_text.extend_from_slice(&(checksum(&no_text) as u32).to_be_bytes());
        assert_eq!(read(&[&no_text]), Err(Malformed::NotText));
        let half = frame(&[(":event-type", "x")], "{}");
        let headers = half[PRELUDE_BYTES..half.len() - 6].to_vec();
        assert!(super::read(&headers).is_some() && super::read(&headers[..headers.len() - 1]).is_none());
    }
}
