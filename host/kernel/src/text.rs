//! Text from packages, guests, models and files: which characters a name may have, and how what may lie is shown. The one place that makes
//! a stranger's text fit for a screen or a log. Nothing is repaired.

use alloc::string::{String, ToString as _};
use core::fmt::{self, Write as _};

use unicode_normalization::char::is_combining_mark;

use crate::limits::{LABEL_MAX_BYTES, NAME_MAX_BYTES, TEXT_MAX_BYTES};

/// What a name or a text must not be; reads after "the name".
pub(crate) type TextFlaw = &'static str;

/// How many characters of a guest's text are shown.
const SHOWN_MAX_CHARS: usize = 80;

/// How many characters of a text stand on one line of a screen or a log: what is longer says so.
pub const LINE_MAX_CHARS: usize = 4_000;

/// Marks that may stand on one letter. Languages need three; with hundreds a letter covers the lines above and below.
const MARKS_MAX: usize = 4;

/// A text on exactly one line: with everything escaped that does not print as itself, line breaks too, and cut where it is long.
pub fn line(text: &str) -> String {
    show_up_to(LINE_MAX_CHARS, text)
}

/// A path as one word of a shell, for a line that a person copies; one that no line of a terminal can carry is shown, and cannot be copied.
pub fn word(path: impl fmt::Display) -> String {
    let path = path.to_string();
    match shlex::try_quote(&path) {
        Ok(word) if line(&word) == word => word.into_owned(),
        Ok(_) | Err(_) => line(&path),
    }
}

/// A text of ours on several lines: its strangers' parts went through [`line`] where they were put in. Line breaks and tabs stay; should a
/// part have been forgotten, it does nothing but break a line.
pub fn ours(text: &str) -> String {
    escaped(text, usize::MAX, |char| matches!(char, '\n' | '\t'))
}

/// A text as it is safe to print on one line: cut, and with everything escaped that does not print as itself.
pub(crate) fn show(text: &str) -> String {
    show_up_to(SHOWN_MAX_CHARS, text)
}

/// The same, cut elsewhere.
pub fn show_up_to(chars_max: usize, text: &str) -> String {
    escaped(text, chars_max, |_| false)
}

fn escaped(text: &str, chars_max: usize, stays: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len().min(chars_max));
    // A mark that has no letter of the text before it would stand on what stands before the text.
    let mut marks = MARKS_MAX;
    for (count, char) in text.chars().enumerate() {
        if count == chars_max {
            shown.push('…');
            break;
        }
        marks = if !char.is_ascii() && is_combining_mark(char) { marks.saturating_add(1) } else { 0 };
        match char {
            char if stays(char) => {
                marks = MARKS_MAX;
                shown.push(char);
            }
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            char if deceives(char) || marks > MARKS_MAX => {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(char));
            }
            char => shown.push(char),
        }
    }
    shown
}

/// The text, or its beginning and `…` where it is longer than `max` bytes.
pub fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max.saturating_sub('…'.len_utf8())));
        text.push('…');
    }
    text
}

/// True for what moves the cursor, turns the direction of writing or cannot be seen: controls, separators of lines, and all of Unicode's
/// `Default_Ignorable_Code_Point` (DerivedCoreProperties of Unicode 16, held against the tables of ICU by a test), variation selectors, marks
/// of direction and tags among them; the anchors of annotations and the pattern of Braille without a dot as well.
pub fn deceives(char: char) -> bool {
    char.is_control()
        || matches!(u32::from(char),
            0x00AD | 0x034F | 0x061C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F
            | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x2800 | 0x3164 | 0xFE00..=0xFE0F
            | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
}

/// A publisher, an agent or a root: lowercase letters, digits and `-`, so that no two look alike.
pub(crate) fn label(text: &str) -> Result<(), TextFlaw> {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if text.is_empty() {
        return Err("is empty");
    }
    if text.len() > LABEL_MAX_BYTES {
        return Err("is longer than 64 bytes");
    }
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !text.bytes().all(known) {
        return Err("may have lowercase letters, digits and `-` only");
    }
    if !edge(text.bytes().next()) || !edge(text.bytes().last()) {
        return Err("begins and ends with a letter or a digit");
    }
    Ok(())
}

/// Any name that a guest passes: an alias, a key, a tool.
pub(crate) fn name(text: &str) -> Result<(), TextFlaw> {
    if text.is_empty() {
        return Err("is empty");
    }
    prefix(text)
}

/// The beginning of a name; it may be empty.
pub(crate) fn prefix(text: &str) -> Result<(), TextFlaw> {
    if text.len() > NAME_MAX_BYTES {
        return Err("is longer than 1024 bytes");
    }
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    if text.chars().any(deceives) { Err("has a control character or one that cannot be seen") } else { Ok(()) }
}

/// Names with `/` between them. What a file system would resolve is refused, never resolved.
pub(crate) fn path(text: &str) -> Result<(), TextFlaw> {
    name(text)?;
    if text.contains('\\') {
        return Err("has a backslash; names are separated by `/`");
    }
    for part in text.split('/') {
        match part {
            "" if text.starts_with('/') => return Err("begins with `/`; it is relative"),
            "" => return Err("has an empty name"),
            "." | ".." => return Err("has `.` or `..`"),
            _ => {}
        }
    }
    Ok(())
}

/// A text for people, on one line.
pub(crate) fn sentence(text: &str) -> Result<(), TextFlaw> {
    if text.len() > TEXT_MAX_BYTES {
        return Err("is longer than 4096 bytes");
    }
    if text.chars().any(deceives) {
        return Err("has a line break, a control character or one that cannot be seen");
    }
    Ok(())
}

/// The word of `words` that `word` was probably meant to be.
pub fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let far = if word.len() <= 3 { 1 } else { 2 };
    words.map(|known| (distance(word, known), known)).filter(|(d, _)| *d <= far).min().map(|(_, known)| known)
}

/// What to write instead of a letter that stands here, if it is one that a person pastes out of a document and no file takes: a quote as typesetters
/// have them, or a space that is none.
pub fn pasted(text: &str, at: usize) -> Option<&'static str> {
    match text.get(at..)?.chars().next()? {
        '“' | '”' | '„' | '‘' | '’' | '‚' | '«' | '»' => {
            Some("texts stand in straight quotes: \"small\"")
        }
        '\u{a0}' | '\u{2000}'..='\u{200f}' | '\u{202f}' | '\u{2060}' | '\u{3000}' | '\u{feff}' => {
            Some("what stands here looks like a space and is none, as pages and documents have them: type a plain one")
        }
        _ => None,
    }
}

/// How many letters must change to get from one word to the other, be they small or large; two that swapped places are one change.
/// (Optimal string alignment, see Damerau, CACM 7(3), 1964.)
fn distance(a: &str, b: &str) -> usize {
    const LONG: usize = 32;
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() > LONG || b.len() > LONG {
        return usize::MAX;
    }
    let mut rows = [[0usize; LONG + 1]; 3];
    rows[1] = core::array::from_fn(|j| j);
    for i in 1..=a.len() {
        rows[2][0] = i;
        for j in 1..=b.len() {
            let same = a[i - 1].eq_ignore_ascii_case(&b[j - 1]);
            let mut best = (rows[1][j] + 1).min(rows[2][j - 1] + 1).min(rows[1][j - 1] + usize::from(!same));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[0][j - 2] + 1);
            }
            rows[2][j] = best;
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_out_of_a_document_is_told_by_what_to_type() {
        for (text, at, told) in [
            ("agent =\u{a0}\"x\"", 7, Some("a plain one")),
            ("agent\u{200b} = \"x\"", 5, Some("a plain one")),
            ("agent = “x”", 8, Some("straight quotes")),
            ("agent = \"x\"", 8, None),
            ("agent", 5, None),
            ("é", 1, None),
        ] {
            let hint = pasted(text, at);
            assert_eq!(hint.is_some(), told.is_some(), "{text}");
            assert!(told.is_none_or(|told| hint.is_some_and(|hint| hint.contains(told))), "{text}");
        }
    }

    #[test]
    fn a_path_that_a_shell_would_take_apart_is_quoted() {
        for (path, shown) in [
            ("/srv/a-b/x.toml", "/srv/a-b/x.toml"),
            ("/srv/x.toml~", "'/srv/x.toml~'"),
            ("ü/1", "'ü/1'"),
            ("", "''"),
            ("~/x", "'~/x'"),
            ("a b", "'a b'"),
            ("it's", "\"it's\""),
            ("$(x)", "'$(x)'"),
            ("a\nb", "a\\nb"),
        ] {
            assert_eq!(word(path), shown);
        }
    }

    #[test]
    fn a_path_that_could_leave_its_root_is_refused() {
        for bad in ["/etc", "..", "a/../b", "a//b", "a/", "./a", "a\\b", "a\0b", "", "a/."] {
            assert!(path(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a/b", "..a", "a.b/…", "ä/ö"] {
            assert_eq!(path(good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn what_is_shown_cannot_move_the_cursor() {
        assert_eq!(show("a\x1b[2J\u{202e}b"), "a\\u{1b}[2J\\u{202e}b");
        assert_eq!(show(&"x".repeat(1000)).chars().count(), SHOWN_MAX_CHARS + 1);
    }

    #[test]
    fn a_line_stays_one_and_a_letter_carries_few_marks() {
        assert_eq!(line("a\nb\r\tc"), "a\\nb\\r\\tc");
        assert_eq!(ours("a\nb\u{1b}"), "a\nb\\u{1b}");
        assert_eq!(line("größe 漢字 🦀 e\u{301}"), "größe 漢字 🦀 e\u{301}");
        assert_eq!(line("\u{301}x"), "\\u{301}x", "it has no letter to stand on");
        let zalgo = line(&alloc::format!("e{}", "\u{301}".repeat(100)));
        assert_eq!(zalgo.matches('\u{301}').count(), MARKS_MAX, "{zalgo}");
        assert_eq!(line(&"x".repeat(5000)).chars().count(), LINE_MAX_CHARS + 1);
    }

    #[test]
    fn all_that_unicode_calls_ignorable_is_shown() {
        let ignorable = icu_properties::CodePointSetData::new::<icu_properties::props::DefaultIgnorableCodePoint>();
        let turns = icu_properties::CodePointSetData::new::<icu_properties::props::BidiControl>();
        for char in '\0'..=char::MAX {
            if ignorable.contains(char) || turns.contains(char) {
                assert!(deceives(char), "U+{:04X}", u32::from(char));
            }
        }
        let known = |char: &char| deceives(*char) && !char.is_control() && !ignorable.contains(*char);
        let more: String =
            ('\0'..=char::MAX).filter(known).map(|char| alloc::format!("{:04X} ", u32::from(char))).collect();
        assert_eq!(
            more, "2028 2029 2800 FFF9 FFFA FFFB ",
            "separators of lines, anchors of annotations, and what has no ink and is no space"
        );
    }

    #[test]
    fn the_nearest_word_is_found() {
        let words = || ["models", "max_tokens", "class", "why"].into_iter();
        assert_eq!(nearest("model", words()), Some("models"));
        assert_eq!(nearest("max_tokesn", words()), Some("max_tokens"));
        assert_eq!(nearest("wyh", words()), Some("why"));
        assert_eq!(nearest("elephant", words()), None);
        assert_eq!(nearest(&"x".repeat(5000), words()), None);
    }
}
