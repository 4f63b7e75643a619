//! Server-sent events, byte by byte (WHATWG HTML, 9.2). Nothing that comes makes it panic, and it never holds more than its limits.

use std::mem::take;

/// The longest line; the longest that providers send are encrypted thoughts and images.
pub const LINE_MAX_BYTES: usize = 1024 * 1024;

/// The longest event, of all its lines.
pub const EVENT_MAX_BYTES: usize = 2 * LINE_MAX_BYTES;

/// What a server may put before its first line although nobody needs it.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One event that says something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its `event` field; empty without one.
    pub name: String,
    /// Its `data` lines, joined.
    pub data: String,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A line or an event is over its limit.
    #[error("the answer has no end")]
    Endless,
    /// An event is no text.
    #[error("the answer is not UTF-8")]
    NotText,
    /// A checksum or a length is wrong.
    #[error("the answer was damaged on its way")]
    Damaged,
}

/// Turns bytes into events.
#[derive(Debug, Default)]
pub struct Decoder {
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    /// Whether the event at hand has a `data` line.
    has_data: bool,
    /// Whether the last byte was a carriage return: a line feed behind it ends no second line.
    after_return: bool,
    /// Whether the first line is behind.
    begun: bool,
}

impl Decoder {
    /// Takes the next bytes and gives each event that they end to `heard`. Comments, other fields and events without data are passed over.
    ///
    /// # Errors
    /// If a line or an event is too long. Events before it were given.
    pub fn feed(&mut self, bytes: &[u8], heard: &mut impl FnMut(Event)) -> Result<(), Malformed> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if take(&mut self.after_return) && rest.first() == Some(&b'\n') {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let more = &rest[..end.unwrap_or(rest.len())];
            if self.line.len() + more.len() >= LINE_MAX_BYTES {
                return Err(Malformed::Endless);
            }
            self.line.extend_from_slice(more);
            let Some(end) = end else { return Ok(()) };
            self.after_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            self.end_line(heard)?;
        }
        Ok(())
    }

    /// The stream has ended. An event that lacks its empty line is given if it is whole, which `is_whole` says.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub fn end(&mut self, is_whole: impl Fn(&str) -> bool, heard: &mut impl FnMut(Event)) -> Result<(), Malformed> {
        if !self.line.is_empty() {
            self.end_line(heard)?;
        }
        match std::str::from_utf8(&self.data) {
            Ok(data) if is_whole(data) => self.end_event(heard),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn end_line(&mut self, heard: &mut impl FnMut(Event)) -> Result<(), Malformed> {
        let line = take(&mut self.line);
        let mut text = line.as_slice();
        if !std::mem::replace(&mut self.begun, true) {
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        if text.is_empty() {
            self.end_event(heard)?;
        } else {
            self.field(text)?;
        }
        // Its memory serves the next line.
        self.line = line;
        self.line.clear();
        Ok(())
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                if self.data.len() + value.len() >= EVENT_MAX_BYTES {
                    return Err(Malformed::Endless);
                }
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            b"event" => self.name = value.to_vec(),
            _ => {}
        }
        Ok(())
    }

    fn end_event(&mut self, heard: &mut impl FnMut(Event)) -> Result<(), Malformed> {
        self.has_data = false;
        let (name, data) = (take(&mut self.name), take(&mut self.data));
        if data.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        // As the standard decodes: half a letter is no letter, and takes nothing else away.
        let text =
            |bytes| String::from_utf8(bytes).unwrap_or_else(|why| String::from_utf8_lossy(why.as_bytes()).into_owned());
        heard(Event { name: text(name), data: text(data) });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<(String, String)>, Malformed> {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        let mut heard = |event: Event| events.push((event.name, event.data));
        for piece in pieces {
            decoder.feed(piece, &mut heard)?;
        }
        decoder.end(|data| data.ends_with('}'), &mut heard)?;
        Ok(events)
    }

    /// However the bytes are cut, the events are the same.
    #[track_caller]
    fn check(stream: &[u8], expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect();
        assert_eq!(read(&[stream]).unwrap(), expected);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(read(&bytes).unwrap(), expected);
        for at in 0..stream.len() {
            assert_eq!(read(&[&stream[..at], &stream[at..]]).unwrap(), expected, "cut at {at}");
        }
    }

    #[test]
    fn lines_end_in_every_way_that_the_standard_knows() {
        for end in ["\n", "\r", "\r\n"] {
            let stream = format!("data: a{end}{end}event: x{end}data:b{end}data: c{end}{end}");
            check(stream.as_bytes(), &[("", "a"), ("x", "b\nc")]);
        }
        check(b"data: a\r\n\ndata: b\n\r\n", &[("", "a"), ("", "b")]);
    }

    #[test]
    fn a_byte_order_mark_stands_at_the_beginning_or_is_text() {
        check("\u{feff}data: a\n\ndata: \u{feff}\n\n".as_bytes(), &[("", "a"), ("", "\u{feff}")]);
        check("\u{feff}\n\ndata: a\n\n".as_bytes(), &[("", "a")]);
    }

    #[test]
    fn what_says_nothing_is_passed_over() {
        check(
            b": beat\n\ndata\n\ndata:\n\ndata: \n\nevent: ping\n\nid: 1\nretry: 5\nwhat\n\n:\n\ndata: a\n\n",
            &[("", "a")],
        );
        check(b"", &[]);
    }

    #[test]
    fn a_name_belongs_to_one_event() {
        check(b"event: x\ndata: a\n\ndata: b\n\nevent: y\n\ndata: c\n\n", &[("x", "a"), ("", "b"), ("", "c")]);
    }

    #[test]
    fn letters_may_come_in_halves() {
        check("data: Grüße 😀\n\n".as_bytes(), &[("", "Grüße 😀")]);
    }

    #[test]
    fn half_a_letter_takes_nothing_else_away() {
        check(b"data: {\"a\":\"\xf0\x9f\"}\n\ndata: \xff\n\n", &[("", "{\"a\":\"\u{fffd}\"}"), ("", "\u{fffd}")]);
    }

    #[test]
    fn the_last_event_counts_without_its_empty_line_if_it_is_whole() {
        check(b"data: {}", &[("", "{}")]);
        check(b"data: {}\n", &[("", "{}")]);
        check(b"data: {\"cut", &[]);
        check(b"data: {}\n\ndata: {\"cut\n", &[("", "{}")]);
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let line = vec![b'x'; LINE_MAX_BYTES];
        assert_eq!(read(&[&line]), Err(Malformed::Endless));
        let half = [b"data:".to_vec(), vec![b'x'; LINE_MAX_BYTES / 2], b"\n".to_vec()].concat();
        let pieces = vec![half.as_slice(); EVENT_MAX_BYTES / (LINE_MAX_BYTES / 2)];
        assert_eq!(read(&pieces), Err(Malformed::Endless));
    }
}
