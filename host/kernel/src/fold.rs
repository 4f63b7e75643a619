//! What different spellings have in common: the form in which rules that *forbid* compare. A grant never uses it, so that
//! folding two texts together can take something away and never give it.
//!
//! Nobody knows how whoever acts on a text will read it, so a path has several readings, and a rule covers it if it covers
//! one of them: as it is spelt, with its escapes undone, and with `..` resolved besides.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use unicode_normalization::UnicodeNormalization;

use crate::text::deceives;

/// Escapes are undone so often: servers decode once, some twice.
const DECODED_MAX: usize = 2;

/// A text without its capitals, escapes, Unicode forms and characters that cannot be seen.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    if is_folded(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(spelt(decoded(text).trim()))
}

/// Whether some reading of a path is `top` or lies below it. Both may begin with `/` or not.
pub(crate) fn covers(top: &str, path: &str) -> bool {
    let top = self::top(top);
    let mut covered = false;
    readings(path, |reading| covered |= lies_below(&top, reading));
    covered
}

/// A path that a rule names, as [`readings`] spells it.
pub(crate) fn top(path: &str) -> String {
    resolved(&spelt(&decoded(path)))
}

/// Calls `read` with each reading of a path: names between single slashes, none at either end.
pub(crate) fn readings(path: &str, mut read: impl FnMut(&str)) {
    if is_folded(path) && !path.contains('\\') && path.split('/').all(is_plain) {
        return read(path);
    }
    let decoded = spelt(&decoded(path));
    read(&joined(&spelt(path), false));
    read(&joined(&decoded, false));
    read(&resolved(&decoded));
}

fn lies_below(top: &str, path: &str) -> bool {
    match path.strip_prefix(top) {
        _ if top.is_empty() => true,
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

fn is_folded(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && byte != b'%')
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.ends_with('.')
}

/// Compatibility forms taken apart, so that the beginning of a text stays the beginning of its folded form.
fn spelt(text: &str) -> String {
    let lower = text.nfkd().flat_map(char::to_uppercase).flat_map(char::to_lowercase).filter(|char| !deceives(*char));
    lower.nfkd().collect()
}

fn resolved(path: &str) -> String {
    joined(path, true)
}

/// Without doubled and backward slashes, `.`, and dots and spaces at the end of names; with `..` resolved or left out.
fn joined(path: &str, resolve: bool) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split(['/', '\\']) {
        match part.trim_end_matches(['.', ' ']) {
            "" if resolve && part.trim_end() == ".." => {
                parts.pop();
            }
            "" => {}
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// `%41` is `A`, and so is `%2541`.
fn decoded(text: &str) -> Cow<'_, str> {
    let mut decoded = Cow::Borrowed(text);
    for _ in 0..DECODED_MAX {
        match decode(&decoded) {
            Some(once) => decoded = Cow::Owned(once),
            None => break,
        }
    }
    decoded
}

/// None if nothing is escaped.
fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.extend(u8::try_from(high * 16 + low));
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    (decoded.len() < bytes.len()).then(|| String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_covered_however_it_is_spelt() {
        let spellings = [
            "team/secret",
            "/team/secret",
            "TEAM/Secret/",
            "team//secret",
            "team/./secret",
            "team/x/../secret",
            "team\\secret",
            "team/secret.",
            "team/secret ",
            "team/sec\u{200b}ret",
            "team/%73ecret",
            "team/%2573ecret",
            "team%2fsecret",
            "team/ｓecret",
            "./team/secret/.",
            "../team/secret",
            "team/secret/../x",
            "team/secret/%2e%2e/x",
            "%ff/%2e%2e/team/secret",
            "team/secret%2f..%2fx",
            "TEAM%5Csecret\u{ad}/a",
        ];
        for spelling in spellings {
            assert!(covers("team/secret", spelling), "{spelling:?}");
        }
        assert!(covers("/Re\u{301}sume\u{301}", "RÉSUMÉ/a") && covers("", "x") && covers("/", ""));
        for other in ["team/secrets", "team/résumé", "team", "x/team/secret", "team/sec/ret"] {
            assert!(!covers("team/secret", other), "{other:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_stands_below_a_top_is_covered_whatever_it_is_called(top in "[^/\\\\.% ]{1,6}(/[^/\\\\.% ]{1,6})?", below in any::<String>()) {
            let path = alloc::format!("{top}/{below}");
            prop_assert!(covers(&top, &path));
            prop_assert!(covers(&top, &path.to_uppercase()));
            let around = alloc::format!("/./x/..//{path}");
            prop_assert!(covers(&top, &around));
        }

        #[test]
        fn a_beginning_stays_one(beginning in any::<String>(), rest in any::<String>()) {
            let whole = alloc::format!("{beginning}{rest}");
            prop_assert!(spelt(&whole).starts_with(&spelt(&beginning)));
        }
    }
}
