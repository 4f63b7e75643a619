//! Strangers' words made harmless, as this command shows them: all of it goes through the kernel's `text`. No control character, no escape
//! sequence and nothing invisible leaves here, and what is one line stays one.

use std::fmt::{Display, Write};

use agentry_kernel::text::{self, deceives, nearest};

use super::hints;

/// What stands before each line of a stranger's text that has several. No line of ours begins so.
const MARGIN: &str = "  │ ";

/// A text on exactly one line, whoever wrote it: see [`text::line`].
pub fn line(text: &str) -> String {
    text::line(text)
}

/// A text that may have a hint below it, on one line.
pub fn with_hint(text: &str) -> String {
    line(&text.replace("\nhint: ", "; "))
}

/// A text of ours on several lines: see [`text::ours`].
pub fn ours(text: &str) -> String {
    text::ours(text)
}

/// A stranger's text on lines of its own, each behind a margin, so that none can be taken for a line of ours.
pub fn quoted(text: &str) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(|line| format!("{MARGIN}{}", self::line(line))).collect();
    if lines.is_empty() { MARGIN.trim_end().to_owned() } else { lines.join("\n") }
}

/// A stranger's text that begins on a line of ours, each further line of it behind a margin.
pub fn whole(text: &str) -> String {
    match text.trim_end().split_once('\n') {
        Some((first, rest)) => format!("{}\n{}", line(first), quoted(rest)),
        None => line(text.trim_end()),
    }
}

/// What an agent gave, on a stream that has nothing else: its line breaks and tabs stay.
pub fn output(text: &str) -> String {
    text.split_inclusive('\n').map(ours).collect()
}

/// JSON that means the same and shows nothing but itself: what would move the cursor is written as an escape of JSON. Outside of its
/// texts JSON has no such letters, if it stands on one line.
pub fn json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        if deceives(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(letter);
        }
    }
    out
}

/// What leaves for a terminal, whoever wrote it down: colours of ours and the taking back of a waiting line do what they do, and all else
/// that would move the cursor or hide is shown. The last of two doors: what a screen forgot to escape breaks lines here at most.
pub fn at_the_door(text: &str) -> std::borrow::Cow<'_, str> {
    let harmless = |letter: char| !deceives(letter) || letter == '\n';
    if text.chars().all(harmless) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let whole = own_sequence(rest).unwrap_or(letter.len_utf8());
        let (now, then) = rest.split_at(whole);
        if harmless(letter) || letter == '\t' || whole > letter.len_utf8() || now == "\r" && then.starts_with(ERASE) {
            out.push_str(now);
        } else {
            out.push_str(&line(now));
        }
        rest = then;
    }
    out.into()
}

/// Takes a waiting line away.
const ERASE: &str = "\x1b[K";

/// How long the sequence is that begins here, if it is one of those that this command writes.
fn own_sequence(text: &str) -> Option<usize> {
    if text.starts_with(ERASE) {
        return Some(ERASE.len());
    }
    let numbers = text.strip_prefix("\x1b[")?;
    let end = numbers.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
    numbers[end..].starts_with('m').then_some("\x1b[".len() + end + 1)
}

/// One line of at most `columns` letters; what was cut shows as `…`.
pub fn cut(text: &str, columns: usize) -> String {
    let line = line(text);
    if line.chars().count() <= columns {
        return line;
    }
    let mut short: String = line.chars().take(columns.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// A path as one word of a shell: see [`text::word`].
pub fn word(path: impl Display) -> String {
    text::word(path)
}

/// What to say of a name that nobody has: the one that was probably meant, or this.
pub fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>, otherwise: impl Into<String>) -> String {
    nearest(name, known).map_or_else(|| otherwise.into(), |near| format!("did you mean `{}`?", line(near)))
}

/// An error and its causes in one line, and the hints of all of them.
pub fn explain(error: &anyhow::Error) -> (String, Vec<String>) {
    let mut what = String::new();
    let mut told: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = ours(&cause.to_string());
        let mut parts = text.split("\nhint: ");
        let head = parts.next().unwrap_or_default();
        for hint in parts.map(str::to_owned).chain(hints::of(cause).map(|hint| ours(&hint))) {
            if !told.contains(&hint) {
                told.push(hint);
            }
        }
        // Many errors repeat their cause in their own words.
        if !what.contains(head) {
            if !what.is_empty() {
                what.push_str(": ");
            }
            // Set in: no second line of it looks like a hint of ours.
            let mut lines = head.split('\n');
            what.push_str(lines.next().unwrap_or_default());
            for line in lines {
                what.push_str(if line.starts_with("  ") { "\n" } else { "\n  " });
                what.push_str(line);
            }
        }
    }
    (what, told)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn an_escape_sequence_is_shown_and_does_nothing() {
        assert_eq!(line("\x1b[2Jgone\r\n"), "\\u{1b}[2Jgone\\r\\n");
        assert_eq!(quoted("a\nhint: b\x07\n"), "  │ a\n  │ hint: b\\u{7}");
        assert_eq!(output("a\n\tb\x07"), "a\n\tb\\u{7}");
    }

    #[test]
    fn text_that_runs_backwards_or_hides_is_shown_as_what_it_is() {
        assert_eq!(line("safe\u{202e}exe.txt"), "safe\\u{202e}exe.txt");
        assert_eq!(line("pay\u{200b}pal"), "pay\\u{200b}pal");
        assert_eq!(line("größe 漢字 🦀"), "größe 漢字 🦀");
    }

    #[test]
    fn json_means_the_same_and_moves_no_cursor() {
        let strange = serde_json::json!({ "a\u{9b}2J": ["\u{202e}x\u{7f}", "\u{e0041}", "größe 🦀\n"] });
        let shown = json(&strange.to_string());
        assert!(!shown.chars().any(deceives), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("it is JSON still"), strange);
    }

    #[test]
    fn colours_pass_the_door_and_nothing_else_that_moves() {
        let coloured = crate::screen::styled(crate::screen::BAD, "error");
        assert_eq!(at_the_door(&coloured), coloured);
        assert_eq!(at_the_door("\r\x1b[Kwaits\n\tx"), "\r\x1b[Kwaits\n\tx");
        for (bad, shown) in [
            ("\x1b[2J", "\\u{1b}[2J"),
            ("a\rb", "a\\rb"),
            ("\u{202e}", "\\u{202e}"),
            ("\x1b]0;t\x07", "\\u{1b}]0;t\\u{7}"),
        ] {
            assert_eq!(at_the_door(bad), shown);
        }
    }

    #[test]
    fn a_cut_line_says_so_and_keeps_its_width() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abcde…");
    }

    #[test]
    fn an_error_is_one_line_and_its_hints_come_after() {
        let error = anyhow!("no such file\nhint: make one").context("cannot read x\nhint: make one\nhint: or name y");
        let (what, hints) = explain(&error);
        assert_eq!(what, "cannot read x: no such file");
        assert_eq!(hints, ["make one", "or name y"]);
    }

    #[test]
    fn a_cause_that_was_told_already_is_not_told_again() {
        let cause = anyhow!("disk full");
        let error = Err::<(), _>(cause).context("cannot write: disk full").expect_err("made so");
        assert_eq!(explain(&error).0, "cannot write: disk full");
    }
}
