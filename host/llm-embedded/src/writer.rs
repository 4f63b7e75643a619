//! Bytes of tokens to text as it can be shown: whole characters only, and nothing of a stop text.

/// Text that is being written.
pub(super) struct Writer<'a> {
    stops: &'a [String],
    bytes: Vec<u8>,
    held: String,
}

/// Whether to write on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Yes.
    On,
    /// This stop text came.
    Stopped(String),
}

impl<'a> Writer<'a> {
    /// Ends before any of `stops`.
    pub(super) fn new(stops: &'a [String]) -> Self {
        Self { stops, bytes: Vec::new(), held: String::new() }
    }

    /// Adds the bytes of a token; `show` gets what is certain now.
    pub(super) fn push(&mut self, bytes: &[u8], show: impl FnOnce(&str)) -> Written {
        self.bytes.extend_from_slice(bytes);
        self.take_characters();
        let found = self.stops.iter().filter(|stop| !stop.is_empty());
        let found =
            found.filter_map(|stop| self.held.find(stop.as_str()).map(|at| (at, stop))).min_by_key(|(at, _)| *at);
        if let Some((at, stop)) = found {
            show(&self.held[..at]);
            self.held.clear();
            return Written::Stopped(stop.clone());
        }
        let certain = self.held.len() - self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        show(&self.held[..certain]);
        self.held.drain(..certain);
        Written::On
    }

    /// No more comes: what was held back is shown.
    pub(super) fn end(mut self, show: impl FnOnce(&str)) {
        let rest = std::mem::take(&mut self.bytes);
        self.held.push_str(&String::from_utf8_lossy(&rest));
        show(&self.held);
    }

    /// Moves whole characters from `bytes` to `held`; what can never be one becomes U+FFFD.
    fn take_characters(&mut self) {
        while !self.bytes.is_empty() {
            match std::str::from_utf8(&self.bytes) {
                Ok(text) => {
                    self.held.push_str(text);
                    self.bytes.clear();
                }
                Err(why) => {
                    let valid = why.valid_up_to();
                    self.held.push_str(&String::from_utf8_lossy(&self.bytes[..valid]));
                    let Some(wrong) = why.error_len() else {
                        self.bytes.drain(..valid);
                        return;
                    };
                    self.held.push(char::REPLACEMENT_CHARACTER);
                    self.bytes.drain(..valid + wrong);
                }
            }
        }
    }
}

/// How many bytes at the end of `text` could be the beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len().saturating_sub(1));
    (1..=longest).rev().find(|n| stop.is_char_boundary(*n) && text.ends_with(&stop[..*n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(stops: &[&str], pieces: &[&[u8]]) -> (Vec<String>, Written) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut writer = Writer::new(&stops);
        let mut shown = Vec::new();
        for piece in pieces {
            let written = writer.push(piece, |text| shown.push(text.to_owned()));
            if written != Written::On {
                return (shown, written);
            }
        }
        writer.end(|text| shown.push(text.to_owned()));
        (shown, Written::On)
    }

    #[test]
    fn a_character_of_two_tokens_is_shown_whole() {
        assert_eq!(write(&[], &[b"a\xc3", b"\xa4b"]).0, ["a", "äb", ""]);
    }

    #[test]
    fn bytes_that_are_no_character_do_not_hold_up_the_rest() {
        assert_eq!(write(&[], &[b"\xff\xfeok"]).0.concat(), "\u{fffd}\u{fffd}ok");
        assert_eq!(write(&[], &[b"cut\xc3"]).0.concat(), "cut\u{fffd}");
    }

    #[test]
    fn nothing_of_a_stop_text_is_shown_even_in_pieces() {
        let (shown, written) = write(&["END."], &[b"the E", b"N", b"D. more"]);
        assert_eq!(shown.concat(), "the ");
        assert_eq!(written, Written::Stopped("END.".to_owned()));
    }

    #[test]
    fn what_only_looked_like_a_stop_text_is_shown() {
        assert_eq!(write(&["END."], &[b"EN", b"Dless"]).0.concat(), "ENDless");
    }
}
