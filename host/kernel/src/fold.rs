//! What different spellings have in common: the form in which rules that *forbid* compare. A grant never uses it, so that
//! folding two texts together can take something away and never give it.
//!
//! Nobody knows how whoever acts on a text will read it, so a path has several readings, and a rule covers it if it covers
//! one of them: as it is spelt, with its escapes undone, and with `..` resolved besides.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

use crate::text::deceives;

/// Escapes are undone so often: servers decode once, some twice.
const DECODED_MAX: usize = 2;

/// Whether two texts are the same but for capitals, escapes, Unicode forms, space around them and characters that cannot be seen.
pub(crate) fn same(one: &str, other: &str) -> bool {
    text(one) == text(other) || spelt(one.trim()) == spelt(other.trim())
}

/// Whether a text begins so, compared in the same way and besides without marks: one more mark on the last letter would come to
/// stand before the others.
pub(crate) fn begins(whole: &str, beginning: &str) -> bool {
    if is_folded(whole) && is_folded(beginning) {
        return whole.starts_with(beginning);
    }
    let undone = unmarked(&decoded(whole)).starts_with(&unmarked(&decoded(beginning)));
    undone || unmarked(whole).starts_with(&unmarked(beginning))
}

/// A text without its marks, accents among them.
fn unmarked(text: &str) -> String {
    spelt(text.trim()).chars().filter(|char| canonical_combining_class(*char) == 0).collect()
}

/// A text with its escapes undone.
fn text(text: &str) -> Cow<'_, str> {
    if is_folded(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(spelt(decoded(text).trim()))
}

/// Whether some reading of a path is some reading of `top` or lies below it: a rule may name what looks like an escape, too. Both
/// may begin with `/` or not.
pub(crate) fn covers(top: &str, path: &str) -> bool {
    let mut covered = false;
    readings(top, |top| readings(path, |path| covered |= lies_below(top, path)));
    covered
}

/// Calls `read` with each reading of a path: names between single slashes, none at either end.
pub(crate) fn readings(path: &str, mut read: impl FnMut(&str)) {
    let bare = path.trim_matches('/');
    if is_folded(bare) && !bare.contains('\\') && (bare.is_empty() || bare.split('/').all(is_plain)) {
        return read(bare);
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

/// Compatibility forms taken apart, capitals made small, what cannot be seen left out.
fn spelt(text: &str) -> String {
    let lower = text.nfkd().flat_map(char::to_uppercase).flat_map(char::to_lowercase).filter(|char| !deceives(*char));
    lower.nfkd().collect()
}

fn resolved(path: &str) -> String {
    joined(path, true)
}

/// Without doubled and backward slashes, `.`, spaces around names and dots at their end; with `..` resolved or left out.
fn joined(path: &str, resolve: bool) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split(['/', '\\']) {
        match part.trim_end_matches(['.', ' ']).trim_start() {
            "" if resolve && part.trim() == ".." => {
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
    fn a_text_is_the_same_however_it_is_spelt() {
        for spelling in ["100% Rabatt", "100% RABATT ", "100%25 rabatt", "１００％ Ｒabatt", "100% ra\u{ad}batt"] {
            assert!(same("100% Rabatt", spelling) && begins(spelling, "100% R"), "{spelling:?}");
        }
        // What looks like an escape may be meant as it stands.
        assert!(same("hi%daT", "ｈｉ%ｄａT") && begins("ｈｉ%ｄａT!", "hi%da"));
        assert!(!same("100%", "10%") && !begins("10%", "100"));
        // A dot below the last letter sorts before its accent.
        assert!(begins("À\u{323} la carte", "À") && begins("%C3%80\u{323}", "À") && !begins("B", "À"));
    }

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
            " team/ secret",
            "team/x/ .. /secret",
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
        // A rule that names what looks like an escape, or what is taken for dots, means it in each way.
        assert!(
            covers("/hi%daT", "ｈｉ%ｄａT") && covers("/hi%daT", "hi%daT") && covers("a/\u{2025}/b", "a/\u{2025}/b/c")
        );
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
            // What leaves the top again stands below it only if nobody resolves it.
            if !spelt(&decoded(&below)).contains("..") {
                let around = alloc::format!("/./x/..//{path}");
                prop_assert!(covers(&top, &around));
            }
        }

        #[test]
        fn a_beginning_stays_one(beginning in any::<String>(), rest in any::<String>()) {
            let whole = alloc::format!("{beginning}{rest}");
            prop_assert!(begins(&whole, &beginning));
        }
    }
}
