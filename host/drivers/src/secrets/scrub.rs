//! Takes secrets out of what comes back from outside: as they are, in base64 at any offset, in hexadecimal, and with bytes of them escaped
//! as URLs, JSON, HTML and C escape them.
//!
//! It is the second fence and no proof: who may see a secret at all is decided before it is sent. What was compressed, encrypted or
//! turned around passes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What stands in its place.
pub(super) const MARK: &str = "[secret]";

/// A shorter secret cannot be told from other words, and its encoded middle is shorter still.
pub const SECRET_MIN_BYTES: usize = 8;

/// Knows some secrets, and takes them out of texts.
#[derive(Clone, Default)]
pub struct Scrub {
    /// Longer ones first, so that no half of one stays.
    patterns: Vec<Vec<u8>>,
    /// Which patterns begin with a byte.
    beginning: Vec<Vec<usize>>,
}

impl Scrub {
    /// Knows these secrets, which are ASCII.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns: Vec<Vec<u8>> = secrets.into_iter().flat_map(forms).collect();
        patterns.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        patterns.dedup();
        let mut beginning = vec![Vec::new(); 256];
        for (index, pattern) in patterns.iter().enumerate() {
            if let Some(list) = pattern.first().and_then(|first| beginning.get_mut(usize::from(*first))) {
                list.push(index);
            }
        }
        Self { patterns, beginning }
    }

    /// The text without secrets.
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes().to_vec())).into_owned()
    }

    /// The bytes without secrets; untouched, and not copied, if there is none in them.
    pub fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        let mut clean = Vec::new();
        let (mut from, mut at) = (0, 0);
        while at < bytes.len() {
            match self.found(&bytes[at..]) {
                Some(length) => {
                    clean.extend_from_slice(&bytes[from..at]);
                    clean.extend_from_slice(MARK.as_bytes());
                    at += length;
                    from = at;
                }
                None => at += 1,
            }
        }
        if from == 0 {
            return bytes;
        }
        clean.extend_from_slice(&bytes[from..]);
        clean
    }

    /// How many bytes at the beginning are a secret.
    fn found(&self, bytes: &[u8]) -> Option<usize> {
        let first = *bytes.first()?;
        let escaped = unescaped(bytes).map(|(byte, _)| byte);
        let candidates = [Some(first), escaped.filter(|byte| *byte != first)];
        candidates.into_iter().flatten().find_map(|byte| {
            let patterns = self.beginning.get(usize::from(byte))?;
            patterns.iter().find_map(|index| {
                let pattern = self.patterns.get(*index)?;
                // A secret may itself hold what looks like an escape, so each way of reading has its turn.
                matched(bytes, pattern, false).or_else(|| matched(bytes, pattern, true))
            })
        })
    }
}

/// The ways in which a secret is written before any escaping.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let mut forms = vec![bytes.to_vec()];
    for offset in 0..3 {
        let mut shifted = vec![0; offset];
        shifted.extend_from_slice(bytes);
        // The letters at both ends hold bits of what stands beside.
        let (from, unsure) = (offset * 8 / 6 + usize::from(offset > 0), usize::from(shifted.len() * 8 % 6 != 0));
        for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            forms.push(encoded.as_bytes()[from..encoded.len() - unsure].to_vec());
        }
    }
    forms.push(bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect());
    forms.push(bytes.iter().flat_map(|byte| format!("{byte:02X}").into_bytes()).collect());
    forms
}

/// How many bytes of `bytes` are the pattern, each byte of it as it is or escaped, and with line breaks anywhere.
fn matched(bytes: &[u8], pattern: &[u8], escapes_first: bool) -> Option<usize> {
    let mut at = 0;
    for (index, wanted) in pattern.iter().enumerate() {
        while index > 0 && at < bytes.len() {
            match bytes.get(at..)? {
                [b'\r' | b'\n', ..] if !matches!(wanted, b'\r' | b'\n') => at += 1,
                [b'\\', b'r' | b'n', ..] if *wanted != b'\\' => at += 2,
                _ => break,
            }
        }
        let rest = bytes.get(at..)?;
        let plain = (rest.first() == Some(wanted)).then_some(1);
        let escaped = unescaped(rest).filter(|(byte, _)| byte == wanted).map(|(_, length)| length);
        at += if escapes_first { escaped.or(plain) } else { plain.or(escaped) }?;
    }
    Some(at)
}

/// The byte that an escape at the beginning stands for, and the escape's length.
fn unescaped(bytes: &[u8]) -> Option<(u8, usize)> {
    match bytes {
        [b'%', b'2', b'5', high, low, ..] if hex(*high).is_some() && hex(*low).is_some() => {
            Some((hex(*high)? << 4 | hex(*low)?, 5))
        }
        [b'%', high, low, ..] => Some((hex(*high)? << 4 | hex(*low)?, 3)),
        [b'\\', b'u', b'0', b'0', high, low, ..] => Some((hex(*high)? << 4 | hex(*low)?, 6)),
        [b'\\', b'x', high, low, ..] => Some((hex(*high)? << 4 | hex(*low)?, 4)),
        [b'\\', byte @ (b'/' | b'"' | b'\\' | b'\''), ..] => Some((*byte, 2)),
        [b'&', rest @ ..] => entity(rest),
        _ => None,
    }
}

/// The byte of an HTML entity behind its `&`.
fn entity(rest: &[u8]) -> Option<(u8, usize)> {
    const NAMED: [(&[u8], u8); 5] =
        [(b"amp;", b'&'), (b"lt;", b'<'), (b"gt;", b'>'), (b"quot;", b'"'), (b"apos;", b'\'')];
    if let Some((name, byte)) = NAMED.iter().find(|(name, _)| rest.starts_with(name)) {
        return Some((*byte, name.len() + 1));
    }
    let digits = rest.strip_prefix(b"#")?;
    let end = digits.iter().take(8).position(|byte| *byte == b';')?;
    let number = std::str::from_utf8(digits.get(..end)?).ok()?;
    let byte = match number.strip_prefix(['x', 'X']) {
        Some(number) => u8::from_str_radix(number, 16).ok()?,
        None => number.parse().ok()?,
    };
    Some((byte, end + 3))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    const SECRET: &str = "sk-9f/Zq+41%\"\\x&=~";

    fn clean(text: &str) -> String {
        Scrub::new([SECRET, "another-secret-of-ours"]).text(text)
    }

    fn is_taken_out(written: &str) {
        assert_eq!(clean(&format!("before {written} after")), format!("before {MARK} after"), "{written}");
    }

    fn escaped(escape: impl Fn(u8) -> String) -> String {
        SECRET.bytes().map(escape).collect()
    }

    #[test]
    fn a_secret_is_taken_out_as_it_is() {
        is_taken_out(SECRET);
        is_taken_out("another-secret-of-ours");
        assert_eq!(clean(&SECRET.repeat(3)), MARK.repeat(3));
    }

    #[test]
    fn a_secret_is_taken_out_however_it_is_escaped() {
        is_taken_out(&escaped(|byte| format!("%{byte:02X}")));
        is_taken_out(&escaped(|byte| format!("%{byte:02x}")));
        is_taken_out(&escaped(|byte| format!("%25{byte:02x}")));
        is_taken_out(&escaped(|byte| format!("\\u00{byte:02x}")));
        is_taken_out(&escaped(|byte| format!("\\x{byte:02x}")));
        is_taken_out(&escaped(|byte| format!("&#{byte};")));
        is_taken_out(&escaped(|byte| format!("&#x{byte:x};")));
        is_taken_out(&escaped(|byte| {
            if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("%{byte:02X}") }
        }));
        is_taken_out(&SECRET.replace('&', "&amp;").replace('"', "&quot;"));
        is_taken_out(serde_json::to_string(SECRET).expect("a string").trim_matches('"'));
        is_taken_out(&SECRET.replace('\\', "\\\\").replace('"', "\\\"").replace('/', "\\/"));
        is_taken_out(&format!("sk-9\\u0066%2f{}", &SECRET[6..]));
    }

    #[test]
    fn a_secret_is_taken_out_of_base64_at_any_offset() {
        for before in ["", "u", "us", "user:", "Bearer "] {
            for after in ["", "\n", "!!", "and more"] {
                let plain = format!("{before}{SECRET}{after}");
                for encoded in [STANDARD.encode(&plain), URL_SAFE.encode(&plain), STANDARD_NO_PAD.encode(&plain)] {
                    let clean = clean(&encoded);
                    assert!(clean.contains(MARK) && clean.len() < encoded.len(), "{plain:?}: {encoded} → {clean}");
                }
            }
        }
        let long = STANDARD.encode(SECRET);
        is_taken_out(&STANDARD_NO_PAD.encode(&SECRET[..SECRET.len()]).replace('/', "\\/"));
        let (head, tail) = long.split_at(7);
        assert!(clean(&format!("{head}\r\n{tail}")).contains(MARK), "base64 has lines");
    }

    #[test]
    fn a_secret_is_taken_out_of_hexadecimal() {
        is_taken_out(&escaped(|byte| format!("{byte:02x}")));
        is_taken_out(&escaped(|byte| format!("{byte:02X}")));
    }

    #[test]
    fn what_holds_no_secret_is_left_as_it_is() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(Scrub::new([SECRET]).bytes(all.clone()), all);
        for text in ["", "%", "%2", "\\u00", "&#", "&#99999999999;", "sk-9f/Zq+41%\"\\x&=", "&#x;", "\\"] {
            assert_eq!(clean(text), text);
        }
        assert_eq!(Scrub::default().text("anything"), "anything");
    }
}
