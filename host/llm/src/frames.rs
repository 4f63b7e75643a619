//! The bytes of an answer cut into events, whatever the server calls them: an event stream, Amazon's frames, JSON values by line, or one
//! JSON value. It believes what comes and no content type, and holds no more than an answer may have.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::slice;

use flate2::write::{MultiGzDecoder, ZlibDecoder};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::sse::{BYTE_ORDER_MARK, Decoder, Event, Malformed};
use super::trouble::Trouble;
use super::wire::shorten;
use super::{ANSWER_MAX_BYTES, amazon};

/// How much of something that is no answer the admin is shown.
const SHOWN_CHARS: usize = 120;

/// How much is unpacked at once.
const UNPACKED_AT_ONCE_BYTES: usize = 16 * 1024;

/// Packings that nobody asks for and nothing here unpacks.
const PACKINGS: [&str; 5] = ["br", "zstd", "compress", "gzip", "deflate"];

/// No text begins so.
const GZIP_FIRST_BYTE: u8 = 0x1f;

/// What the bytes of one answer have become.
pub(crate) struct Frames {
    form: Form,
    packing: Packing,
    /// Whether a byte has come, packed or not.
    is_fed: bool,
    ready: VecDeque<Event>,
    /// All bytes that came, unpacked.
    bytes: usize,
    /// Whether there was an event.
    any: bool,
    /// What came before it can be said what it is.
    begin: Vec<u8>,
    /// Whether it is behind the place where a mark can stand.
    has_begun: bool,
    /// What it begins with, for the admin.
    head: Vec<u8>,
    kind: String,
}

enum Form {
    /// Nothing but white space came.
    Unknown,
    Events(Decoder),
    Amazon(amazon::Decoder),
    /// JSON, as far as it came.
    Json {
        buffer: Vec<u8>,
        /// How much of it holds no end of a line.
        seen: usize,
        /// Whether each line so far was a value of its own.
        by_line: bool,
    },
    /// HTML, which answers nothing.
    Page,
}

/// How a server packed it although nobody asked for that.
enum Packing {
    None,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Deflate(Box<ZlibDecoder<Vec<u8>>>),
    Unknown(String),
}

impl Frames {
    /// For an answer that the server describes with these two headers.
    pub(crate) fn new(content_type: &str, content_encoding: &str) -> Self {
        let packing = match content_encoding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Packing::gzip(),
            "deflate" => Packing::Deflate(Box::new(ZlibDecoder::new(Vec::new()))),
            other if PACKINGS.iter().any(|name| other.contains(name)) => Packing::Unknown(shorten(other, SHOWN_CHARS)),
            // Some write the letters' encoding there.
            _ => Packing::None,
        };
        Self {
            form: Form::Unknown,
            packing,
            is_fed: false,
            ready: VecDeque::new(),
            bytes: 0,
            any: false,
            begin: Vec::new(),
            has_begun: false,
            head: Vec::new(),
            kind: shorten(content_type, SHOWN_CHARS),
        }
    }

    /// The next event that is there.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// If they are no part of an answer, or too many.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        // Some say that it is packed and it is not, or the other way about.
        if let Some(first) = bytes.first().filter(|_| !std::mem::replace(&mut self.is_fed, true)) {
            match (&self.packing, *first == GZIP_FIRST_BYTE) {
                (Packing::Gzip(_), false) => self.packing = Packing::None,
                (Packing::None, true) => self.packing = Packing::gzip(),
                _ => {}
            }
        }
        if matches!(self.packing, Packing::None) {
            return self.take(bytes);
        }
        // What is packed well is large: it is unpacked by and by.
        for piece in bytes.chunks(UNPACKED_AT_ONCE_BYTES / 16) {
            let (unpacked, whole) = self.packing.unpack(piece);
            self.take(&unpacked)?;
            whole?;
        }
        Ok(())
    }

    /// The answer has ended, or broken off: what is whole of the rest counts.
    ///
    /// # Errors
    /// If what came is no answer at all.
    pub(crate) fn end(&mut self) -> Result<(), Trouble> {
        let rest = self.packing.finish();
        self.take(&rest)?;
        let (ready, any) = (&mut self.ready, &mut self.any);
        match &mut self.form {
            Form::Events(decoder) => decoder.end(is_whole, &mut |event| {
                *any = true;
                ready.push_back(event);
            })?,
            Form::Json { buffer, .. } => {
                let buffer = std::mem::take(buffer);
                self.whole(&buffer)?;
            }
            // A frame that is not whole says nothing.
            Form::Unknown | Form::Page | Form::Amazon(_) => {}
        }
        if self.any { Ok(()) } else { Err(self.no_answer()) }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.bytes += bytes.len();
        if self.bytes > ANSWER_MAX_BYTES {
            return Err(Malformed::Endless.into());
        }
        if !matches!(self.form, Form::Unknown) {
            return self.go_on(bytes);
        }
        self.begin.extend_from_slice(bytes);
        if !self.has_begun && BYTE_ORDER_MARK.starts_with(&self.begin) {
            return Ok(());
        }
        let begin = std::mem::take(&mut self.begin);
        // It marks the very beginning; behind white space it is text.
        let marked = if self.has_begun { None } else { begin.strip_prefix(BYTE_ORDER_MARK) };
        let begin = marked.unwrap_or(&begin).trim_ascii_start();
        self.has_begun = true;
        self.form = match begin.first() {
            None => return Ok(()),
            Some(b'{' | b'[') => Form::Json { buffer: Vec::new(), seen: 0, by_line: true },
            Some(b'<') => Form::Page,
            // The length of a frame; no text begins so.
            Some(0) => Form::Amazon(amazon::Decoder::default()),
            Some(_) => Form::Events(Decoder::default()),
        };
        self.go_on(begin)
    }

    fn go_on(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let room = (4 * SHOWN_CHARS).saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let (ready, any) = (&mut self.ready, &mut self.any);
        match &mut self.form {
            Form::Events(decoder) => decoder.feed(bytes, &mut |event| {
                *any = true;
                ready.push_back(event);
            })?,
            Form::Amazon(decoder) => decoder.feed(bytes, &mut |event| {
                *any = true;
                ready.push_back(event);
            })?,
            Form::Json { buffer, seen, by_line } => {
                buffer.extend_from_slice(bytes);
                while *by_line {
                    let end = buffer[*seen..].iter().position(|byte| *byte == b'\n');
                    let Some(end) = end.map(|end| *seen + end) else {
                        *seen = buffer.len();
                        break;
                    };
                    *seen = 0;
                    let line: Vec<u8> = buffer.drain(..=end).collect();
                    // Half a letter takes nothing else away, as in a stream of events.
                    let text = String::from_utf8_lossy(&line);
                    let text = text.trim();
                    if is_whole(text) {
                        *any = true;
                        ready.push_back(Event { name: String::new(), data: text.to_owned() });
                    } else if !text.is_empty() {
                        // One value over several lines.
                        *by_line = false;
                        buffer.splice(0..0, line);
                    }
                }
            }
            Form::Unknown => {}
            Form::Page if room == 0 => return Err(self.no_answer()),
            Form::Page => {}
        }
        Ok(())
    }

    /// One JSON value, or several: an answer, or pieces of one, in a list or without.
    fn whole(&mut self, buffer: &[u8]) -> Result<(), Trouble> {
        let text = String::from_utf8_lossy(buffer);
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        let is_list = text.starts_with('[');
        let mut rest = text.strip_prefix('[').unwrap_or(text);
        // Values of a list, or one behind the other: what is whole of them counts, wherever they break off.
        loop {
            rest = rest.trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace());
            if rest.is_empty() || (is_list && rest.starts_with(']')) {
                break;
            }
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
            match values.next() {
                Some(Ok(value)) => {
                    self.any = true;
                    self.ready.push_back(Event { name: String::new(), data: value.get().to_owned() });
                }
                Some(Err(why)) if !why.is_eof() => {
                    return Err(Trouble::Garbage(format!("the answer is no JSON: {why}")));
                }
                Some(Err(_)) | None => return Err(cut_off()),
            }
            rest = rest.get(values.byte_offset()..).unwrap_or_default();
        }
        if is_list && rest.is_empty() { Err(cut_off()) } else { Ok(()) }
    }

    fn no_answer(&self) -> Trouble {
        let head = String::from_utf8_lossy(&self.head);
        let head = head.split_whitespace().collect::<Vec<_>>().join(" ");
        match head.is_empty() {
            true => Trouble::Broken("the answer is empty".to_owned()),
            false => Trouble::Garbage(format!(
                "the answer is `{}` and no event stream: {}",
                self.kind,
                shorten(&head, SHOWN_CHARS)
            )),
        }
    }
}

/// A body that is here whole, or its beginning, unpacked; as it is if that cannot be done.
pub(crate) fn unpacked(content_encoding: &str, body: &[u8]) -> Vec<u8> {
    let mut frames = Frames::new("", content_encoding);
    let mut packing = std::mem::replace(&mut frames.packing, Packing::None);
    if body.first() != Some(&GZIP_FIRST_BYTE) && matches!(packing, Packing::Gzip(_)) {
        return body.to_vec();
    }
    let (mut unpacked, Ok(())) = packing.unpack(body) else { return body.to_vec() };
    unpacked.extend(packing.finish());
    unpacked
}

impl Packing {
    fn gzip() -> Self {
        Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))
    }

    /// What these bytes are unpacked, as far as they can be.
    fn unpack(&mut self, bytes: &[u8]) -> (Vec<u8>, Result<(), Trouble>) {
        let (written, unpacked) = match self {
            Self::None => return (bytes.to_vec(), Ok(())),
            Self::Gzip(decoder) => (write_each(decoder, bytes), decoder.get_mut()),
            Self::Deflate(decoder) => (write_each(decoder, bytes), decoder.get_mut()),
            Self::Unknown(name) => {
                let why = format!("the answer is packed as `{name}`, which nobody asked for");
                return (Vec::new(), Err(Trouble::Garbage(why)));
            }
        };
        let whole =
            written.map_err(|why| Trouble::Garbage(format!("the answer is packed, and cannot be unpacked: {why}")));
        (std::mem::take(unpacked), whole)
    }

    fn finish(&mut self) -> Vec<u8> {
        match self {
            Self::None | Self::Unknown(_) => Vec::new(),
            // What is missing was cut off; what came is there.
            Self::Gzip(decoder) => {
                let _ = decoder.try_finish();
                std::mem::take(decoder.get_mut())
            }
            Self::Deflate(decoder) => {
                let _ = decoder.try_finish();
                std::mem::take(decoder.get_mut())
            }
        }
    }
}

/// One by one: of several at once a decoder gives nothing if one of them is wrong, and how many come at once says the network.
fn write_each(decoder: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    bytes.iter().try_for_each(|byte| decoder.write_all(slice::from_ref(byte)))?;
    decoder.flush()
}

fn cut_off() -> Trouble {
    Trouble::Broken("the answer ends in the middle of its JSON".to_owned())
}

fn is_whole(data: &str) -> bool {
    data.trim() == "[DONE]" || serde_json::from_str::<IgnoredAny>(data).is_ok()
}

impl From<Malformed> for Trouble {
    fn from(why: Malformed) -> Self {
        Self::Garbage(why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn read(encoding: &str, pieces: &[&[u8]]) -> (Vec<String>, Option<String>) {
        let mut frames = Frames::new("text/html", encoding);
        let mut end = Ok(());
        for piece in pieces {
            end = end.and_then(|()| frames.feed(piece));
        }
        let end = end.and_then(|()| frames.end());
        (std::iter::from_fn(|| frames.pop()).map(|event| event.data).collect(), end.err().map(|why| why.to_string()))
    }

    /// However it is cut, it is the same.
    #[track_caller]
    fn check(bytes: &[u8], events: &[&str]) {
        for at in 0..bytes.len() {
            let (came, trouble) = read("", &[&bytes[..at], &bytes[at..]]);
            assert_eq!((came.iter().map(String::as_str).collect::<Vec<_>>(), trouble), (events.to_vec(), None), "{at}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read("", &single).0, events);
    }

    #[test]
    fn what_is_packed_and_wrong_from_some_byte_on_is_read_as_far_as_that_however_it_is_cut() {
        let text: String = (0..40).map(|n| format!("data: {{\"n\": {n}, \"w\": \"{}\"}}\n\n", n * n * 7919)).collect();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        let whole = encoder.finish().unwrap();
        for wrong in (20..whole.len()).step_by(37) {
            let mut packed = whole.clone();
            packed[wrong] ^= 0x5a;
            let first = read("gzip", &[&packed]);
            for at in (1..packed.len()).step_by(11) {
                assert_eq!(read("gzip", &[&packed[..at], &packed[at..]]), first, "wrong at {wrong}, cut at {at}");
            }
        }
    }

    #[test]
    fn what_comes_counts_and_not_what_it_is_called() {
        check(b"\r\n \n\ndata: {}\n\ndata: {\"a\":1}", &["{}", "{\"a\":1}"]);
        check(b"\n\ndata: {}\n\n: x\n\ndata: {\"a\":1}", &["{}", "{\"a\":1}"]);
        check("\u{feff}data: {}\n\n".as_bytes(), &["{}"]);
        check("\n\u{feff}data: {}\n\n".as_bytes(), &["{}"]);
        check("\n\u{feff}\u{feff}data: {}\n\ndata: 7\n\n".as_bytes(), &["7"]);
        check(b"{\"a\":1}", &["{\"a\":1}"]);
        check("\u{feff}{\"a\":1}".as_bytes(), &["{\"a\":1}"]);
        check(b"{\"a\":1}\n{\"b\":2}\n\n{\"c\":3}", &["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
        check(b"{\n \"a\":\n1\n}\n", &["{\n \"a\":\n1\n}"]);
        check(b"[{\"a\":1},\n{\"b\":2}\n]", &["{\"a\":1}", "{\"b\":2}"]);
        check(b"{\"a\":1}{\"b\":2} {\"c\":\n3}", &["{\"a\":1}", "{\"b\":2}", "{\"c\":\n3}"]);
    }

    #[test]
    fn what_is_whole_of_a_list_counts_although_it_breaks_off() {
        for (bytes, count) in [("[{\"a\":1},{\"b\":2}", 2), ("[{\"a\":1},{\"b\":", 1), ("[", 0), ("{\"a\":1}{\"b", 1)] {
            let (events, trouble) = read("", &[bytes.as_bytes()]);
            assert_eq!((events.len(), trouble.as_deref()), (count, Some("the answer ends in the middle of its JSON")));
        }
    }

    #[test]
    fn what_is_no_answer_is_told_with_its_beginning() {
        let told = |bytes: &[u8]| read("", &[bytes]).1.unwrap_or_default();
        let page = "the answer is `text/html` and no event stream: <html> <title>Login</title>";
        assert_eq!(told(b"<html>\n<title>Login</title>"), page);
        assert_eq!(told(b"upstream gone"), "the answer is `text/html` and no event stream: upstream gone");
        assert_eq!(told(b""), "the answer is empty");
        assert_eq!(told(b"{\"a\":"), "the answer ends in the middle of its JSON");
        assert!(told(b"{oops}").starts_with("the answer is no JSON"));
        assert_eq!(read("br", &[b"x"]).1.unwrap(), "the answer is packed as `br`, which nobody asked for");
        let damaged = read("gzip", &[b"\x1f\x8bdata: {}\n\n"]).1.unwrap();
        assert!(damaged.starts_with("the answer is packed, and cannot be unpacked"), "{damaged}");
    }

    #[test]
    fn what_is_packed_is_unpacked_and_bounded() {
        let packed = |bytes: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let bytes = packed(b"data: {\"a\":1}\n\ndata: {\"b\":2}\n\n");
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        let both = (vec!["{\"a\":1}".to_owned(), "{\"b\":2}".to_owned()], None);
        assert_eq!(read("gzip", &single), both);
        assert_eq!(read("", &single), both, "nobody said that it is packed");
        for encoding in ["gzip", "utf-8", "none", "identity"] {
            assert_eq!(read(encoding, &[b"data: {\"a\":1}\n\ndata: {\"b\":2}\n\n"]), both, "{encoding}");
        }
        assert_eq!(unpacked("gzip", &bytes), b"data: {\"a\":1}\n\ndata: {\"b\":2}\n\n");
        assert_eq!(unpacked("gzip", b"plain"), b"plain");
        let bomb = packed(&vec![b'\n'; 2 * ANSWER_MAX_BYTES]);
        assert_eq!(read("gzip", &[&bomb]).1.unwrap(), "the answer has no end");
    }
}
