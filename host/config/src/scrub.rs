//! Takes secrets out of what comes back from outside: as they are, in capital or small letters, in base64 at any offset and in base64 of
//! that, in hexadecimal, and with bytes of them escaped as URLs, JSON, HTML, mails and programs escape them.
//!
//! It is the second fence and no proof: who may see a secret at all is decided before it is sent. What was compressed, encrypted or
//! turned around passes.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What stands in its place.
pub const MARK: &str = "[secret]";

/// A shorter secret cannot be told from other words, and its encoded middle is shorter still.
pub const SECRET_MIN_BYTES: usize = 8;

/// How often a text is put into another one.
const SLASHES_MAX: usize = 16;

/// So much of a secret at the end of a piece of text may be its beginning: the rest is waited for.
const AWAITED_MIN_BYTES: usize = 4;

/// How much of what was let go is looked at again: a few letters, each escaped at length.
const SHOWN_KEPT_BYTES: usize = 32;

/// What begins an escape of URLs, of programs and JSON, of HTML, and of mails.
const ESCAPES: [u8; 4] = [b'%', b'\\', b'&', b'='];

/// The longest of them is no longer.
const ESCAPE_MAX_BYTES: usize = 10;

/// How far the bytes of a secret in hexadecimal may stand apart.
const APART_MAX_BYTES: usize = 4;

/// So much of a secret is nearly the secret: it is taken out of texts that others may have cut.
const PART_MIN_BYTES: usize = 16;

/// Knows some secrets, and takes them out of texts.
#[derive(Clone, Debug)]
pub struct Scrub {
    /// Longer ones first, so that no half of one stays.
    patterns: Vec<Pattern>,
    /// Which patterns begin with a byte.
    beginning: Vec<Vec<usize>>,
    mark: &'static str,
    /// Whether a long beginning of a secret is taken out as well.
    parts: bool,
}

#[derive(Clone, PartialEq, Eq)]
struct Pattern {
    bytes: Vec<u8>,
    kind: Kind,
}

/// What a pattern is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A secret as it is.
    Secret,
    /// A secret in letters that mean something else in the other case.
    Encoded,
    /// A secret in hexadecimal: its bytes may stand apart.
    Hexadecimal,
    /// A word.
    Word,
}

impl Kind {
    /// Whether capital letters are the same as small ones.
    fn is_any_case(self) -> bool {
        !matches!(self, Self::Encoded)
    }
}

/// Never the pattern itself.
impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// How far a pattern goes at a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    /// So many bytes of the text are so many of the pattern, and then come others.
    Other { text: usize, pattern: usize },
    /// The text ends within the pattern, behind so many bytes of it.
    Cut { pattern: usize },
    /// So many bytes of the text are the pattern.
    Whole { text: usize },
}

/// What stands at a place.
enum Found {
    Nothing,
    Secret(usize),
    /// Perhaps the beginning of one.
    Begins,
}

impl Default for Scrub {
    fn default() -> Self {
        Self { patterns: Vec::new(), beginning: vec![Vec::new(); 256], mark: MARK, parts: false }
    }
}

impl Scrub {
    /// Knows these secrets, which are ASCII.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        secrets.into_iter().fold(Self::default(), Self::hiding)
    }

    /// Puts this in the place of a secret, and of a long beginning of one too: for texts that others may have cut.
    pub fn marking(mut self, mark: &'static str) -> Self {
        (self.mark, self.parts) = (mark, true);
        self
    }

    /// Knows another secret.
    pub fn hiding(mut self, secret: &str) -> Self {
        self.patterns.extend(forms(secret).into_iter().map(|(kind, bytes)| Pattern { bytes, kind }));
        self.sorted()
    }

    /// Knows words as well, which are taken out in capital and small letters; those of less than three letters are none.
    pub fn hiding_words<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        let words = words.into_iter().filter(|word| word.len() >= 3);
        self.patterns.extend(words.map(|word| Pattern { bytes: word.as_bytes().to_vec(), kind: Kind::Word }));
        self.sorted()
    }

    fn sorted(mut self) -> Self {
        self.patterns.sort_by(|a, b| b.bytes.len().cmp(&a.bytes.len()).then_with(|| a.bytes.cmp(&b.bytes)));
        self.patterns.dedup();
        self.beginning = vec![Vec::new(); 256];
        for (index, pattern) in self.patterns.iter().enumerate() {
            let Some(first) = pattern.bytes.first() else { continue };
            let mut firsts = vec![*first];
            if pattern.kind.is_any_case() {
                firsts.extend([first.to_ascii_lowercase(), first.to_ascii_uppercase()].iter().filter(|b| *b != first));
            }
            for first in firsts {
                if let Some(list) = self.beginning.get_mut(usize::from(first)) {
                    list.push(index);
                }
            }
        }
        self
    }

    /// The text without secrets.
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes().to_vec())).into_owned()
    }

    /// The bytes without secrets; untouched, and not copied, if there is none in them.
    pub fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        match self.split(&bytes, 0, true) {
            Some((clean, _)) => clean,
            None => bytes,
        }
    }

    /// Knows nothing.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The bytes behind the first `shown`, without secrets, and how many at their end may be a part of one, if more is to come.
    fn split(&self, bytes: &[u8], shown: usize, is_all: bool) -> Option<(Vec<u8>, usize)> {
        let mut clean = None;
        let (mut from, mut at) = (shown, 0);
        while let Some(next) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| self.begins(*byte))) {
            at += next;
            match self.found(&bytes[at..], is_all) {
                Found::Secret(length) => {
                    let clean = clean.get_or_insert_with(Vec::new);
                    clean.extend_from_slice(bytes.get(from..at).unwrap_or_default());
                    clean.extend_from_slice(self.mark.as_bytes());
                    at += length;
                    from = at.max(shown);
                }
                Found::Begins => {
                    let mut clean = clean.unwrap_or_default();
                    clean.extend_from_slice(bytes.get(from..at).unwrap_or_default());
                    return Some((clean, bytes.len() - at.max(from)));
                }
                Found::Nothing => at += 1,
            }
        }
        let mut clean = clean?;
        clean.extend_from_slice(&bytes[from..]);
        Some((clean, 0))
    }

    /// Whether a secret may begin with this byte, as it is or escaped.
    fn begins(&self, byte: u8) -> bool {
        ESCAPES.contains(&byte) || self.beginning.get(usize::from(byte)).is_some_and(|list| !list.is_empty())
    }

    fn found(&self, bytes: &[u8], is_all: bool) -> Found {
        let Some(first) = bytes.first().copied() else { return Found::Nothing };
        let escaped = unescaped(bytes).map(|(byte, _)| byte);
        let candidates = [Some(first), escaped.filter(|byte| *byte != first)];
        let (mut begins, mut part) = (false, None);
        for byte in candidates.into_iter().flatten() {
            for index in self.beginning.get(usize::from(byte)).into_iter().flatten() {
                let Some(pattern) = self.patterns.get(*index) else { continue };
                // A secret may itself hold what looks like an escape, so each way of reading has its turn.
                for escapes_first in [false, true] {
                    let is_part = |length: usize| self.parts && pattern.kind != Kind::Word && length >= PART_MIN_BYTES;
                    match matched(bytes, pattern, escapes_first) {
                        Match::Whole { text } => return Found::Secret(text),
                        Match::Other { text, pattern } if is_part(pattern) => part = part.max(Some(text)),
                        Match::Cut { pattern } if is_all && is_part(pattern) => part = Some(bytes.len()),
                        Match::Cut { pattern } => begins |= !is_all && pattern >= AWAITED_MIN_BYTES,
                        Match::Other { .. } => {}
                    }
                }
            }
        }
        // Read in another way, it may go on.
        if begins { Found::Begins } else { part.map_or(Found::Nothing, Found::Secret) }
    }
}

/// Takes secrets out of a text that comes in pieces. Of a piece it keeps back what may be a part of one until more has come; the first
/// letters of a secret have gone by then, for they begin many words.
#[derive(Default)]
pub struct ScrubPieces {
    /// The end of what was let go.
    shown: Vec<u8>,
    held: Vec<u8>,
}

impl ScrubPieces {
    /// More of the text; gives what can be let go.
    pub fn push<'a>(&mut self, scrub: &Scrub, more: &'a str) -> Cow<'a, str> {
        if scrub.is_empty() { Cow::Borrowed(more) } else { self.go_on(scrub, more, false) }
    }

    /// There is no more of it; gives the rest.
    pub fn end(&mut self, scrub: &Scrub) -> String {
        let rest = self.go_on(scrub, "", true).into_owned();
        self.shown.clear();
        rest
    }

    fn go_on<'a>(&mut self, scrub: &Scrub, more: &'a str, is_all: bool) -> Cow<'a, str> {
        let shown = self.shown.len();
        let mut bytes = std::mem::take(&mut self.shown);
        bytes.append(&mut self.held);
        let was_held = bytes.len() > shown;
        bytes.extend_from_slice(more.as_bytes());
        let out = match scrub.split(&bytes, shown, is_all) {
            // Patterns are ASCII, so no letter is cut.
            Some((clean, rest)) => {
                self.held = bytes[bytes.len() - rest..].to_vec();
                bytes.truncate(shown);
                bytes.extend_from_slice(&clean);
                Cow::Owned(String::from_utf8_lossy(&clean).into_owned())
            }
            None if was_held => Cow::Owned(String::from_utf8_lossy(&bytes[shown..]).into_owned()),
            None => Cow::Borrowed(more),
        };
        let from = bytes.len().saturating_sub(SHOWN_KEPT_BYTES);
        self.shown = bytes.split_off(from);
        out
    }
}

/// The ways in which a secret is written before any escaping.
fn forms(secret: &str) -> Vec<(Kind, Vec<u8>)> {
    let bytes = secret.as_bytes();
    let once = base64s(bytes);
    let twice: Vec<Vec<u8>> = once.iter().flat_map(|encoded| base64s(encoded)).collect();
    let hexadecimal = bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
    let mut forms = vec![(Kind::Secret, bytes.to_vec()), (Kind::Hexadecimal, hexadecimal)];
    forms.extend(once.into_iter().chain(twice).map(|encoded| (Kind::Encoded, encoded)));
    forms
}

/// What is certain of the bytes in base64, wherever they begin in what was encoded.
fn base64s(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for offset in 0..3 {
        let mut shifted = vec![0; offset];
        shifted.extend_from_slice(bytes);
        // The letters at both ends hold bits of what stands beside.
        let (from, unsure) = (offset * 8 / 6 + usize::from(offset > 0), usize::from(shifted.len() * 8 % 6 != 0));
        for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            forms.push(encoded.as_bytes()[from..encoded.len() - unsure].to_vec());
        }
    }
    forms
}

/// How far `bytes` are the pattern, each byte of it as it is or escaped, and with line breaks anywhere.
fn matched(bytes: &[u8], pattern: &Pattern, escapes_first: bool) -> Match {
    let is = |byte: u8, wanted: u8| byte == wanted || pattern.kind.is_any_case() && byte.eq_ignore_ascii_case(&wanted);
    let mut at = 0;
    for (index, wanted) in pattern.bytes.iter().enumerate() {
        let before = at;
        while index > 0 && at < bytes.len() {
            match &bytes[at..] {
                [b'\r' | b'\n', ..] if !matches!(wanted, b'\r' | b'\n') => at += 1,
                [b'\\', b'r' | b'n', ..] if *wanted != b'\\' => at += 2,
                // A line of a mail goes on behind it.
                [b'=', b'\r' | b'\n', ..] if *wanted != b'=' => at += 1,
                rest if pattern.kind == Kind::Hexadecimal && index % 2 == 0 && at - before < APART_MAX_BYTES => {
                    match rest {
                        [b':' | b' ' | b'-' | b',', ..] => at += 1,
                        [b'0', b'x', ..] => at += 2,
                        _ => break,
                    }
                }
                _ => break,
            }
        }
        let rest = &bytes[at..];
        let is_cut = || may_escape(rest) && (rest.is_empty() || unescaped(rest).is_none());
        if escapes_first && is_cut() {
            return Match::Cut { pattern: index };
        }
        let plain = rest.first().filter(|byte| is(**byte, *wanted)).map(|_| 1);
        let escaped = unescaped(rest).filter(|(byte, _)| is(*byte, *wanted)).map(|(_, length)| length);
        at += match if escapes_first { escaped.or(plain) } else { plain.or(escaped) } {
            Some(length) => length,
            None if may_escape(rest) => return Match::Cut { pattern: index },
            None => return Match::Other { text: before, pattern: index },
        };
    }
    Match::Whole { text: at }
}

/// Whether this is nothing, or the beginning of an escape whose end has not come.
fn may_escape(rest: &[u8]) -> bool {
    match rest {
        [] => true,
        [escape, more @ ..] if ESCAPES.contains(escape) => {
            let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'#' | b'{');
            more.len() < ESCAPE_MAX_BYTES && more.iter().all(is_part)
        }
        _ => false,
    }
}

/// The byte that an escape at the beginning stands for, and the escape's length.
fn unescaped(bytes: &[u8]) -> Option<(u8, usize)> {
    match bytes {
        [b'%', b'2', b'5', high, low, ..] if hex(*high).is_some() && hex(*low).is_some() => {
            Some((hex(*high)? << 4 | hex(*low)?, 5))
        }
        [b'%' | b'=', high, low, ..] => Some((hex(*high)? << 4 | hex(*low)?, 3)),
        [b'\\', ..] => {
            // What was escaped is escaped again by whoever puts it into a text of his own.
            let slashes = bytes.iter().take(SLASHES_MAX).take_while(|byte| **byte == b'\\').count();
            let pair = |high: u8, low: u8| Some(hex(high)? << 4 | hex(low)?);
            let (byte, length) = match bytes.get(slashes..)? {
                [b'u', b'0', b'0', high, low, ..] => (pair(*high, *low), 5),
                [b'U', b'0', b'0', b'0', b'0', b'0', b'0', high, low, ..] => (pair(*high, *low), 9),
                [b'u', b'{', high, low, b'}', ..] => (pair(*high, *low), 5),
                [high @ b'0'..=b'1', middle @ b'0'..=b'7', low @ b'0'..=b'7', ..] => {
                    (Some((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0')), 3)
                }
                [b'x', high, low, ..] => (pair(*high, *low), 3),
                [byte @ (b'/' | b'"' | b'\''), ..] => (Some(*byte), 1),
                _ => (None, 0),
            };
            byte.map(|byte| (byte, slashes + length)).or((slashes > 1).then_some((b'\\', 2)))
        }
        [b'&', rest @ ..] => entity(rest),
        _ => None,
    }
}

/// The byte of an HTML entity behind its `&`.
fn entity(rest: &[u8]) -> Option<(u8, usize)> {
    const NAMED: [(&[u8], u8); 14] = [
        (b"amp;", b'&'),
        (b"lt;", b'<'),
        (b"gt;", b'>'),
        (b"quot;", b'"'),
        (b"apos;", b'\''),
        (b"sol;", b'/'),
        (b"plus;", b'+'),
        (b"equals;", b'='),
        (b"period;", b'.'),
        (b"colon;", b':'),
        (b"lowbar;", b'_'),
        (b"dollar;", b'$'),
        (b"percnt;", b'%'),
        (b"num;", b'#'),
    ];
    if let Some((name, byte)) = NAMED.iter().find(|(name, _)| rest.starts_with(name)) {
        return Some((*byte, name.len() + 1));
    }
    let digits = rest.strip_prefix(b"#")?;
    let is_x = matches!(digits.first(), Some(b'x' | b'X'));
    // Readers of HTML do without the semicolon.
    let is_digit = |byte: &u8| byte.is_ascii_digit() || is_x && byte.is_ascii_hexdigit();
    let end =
        usize::from(is_x) + digits.iter().skip(usize::from(is_x)).take(8).take_while(|byte| is_digit(byte)).count();
    let semicolon = usize::from(digits.get(end)? == &b';');
    let number = std::str::from_utf8(digits.get(..end)?).ok()?;
    let byte = match number.strip_prefix(['x', 'X']) {
        Some(number) => u8::from_str_radix(number, 16).ok()?,
        None => number.parse().ok()?,
    };
    Some((byte, end + 2 + semicolon))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
