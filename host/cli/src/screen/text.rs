//! Strangers' words made harmless: no control character, no escape sequence and nothing invisible leaves here.

use std::fmt::Write;

use super::hints;

/// One line: line breaks and tabs are escaped too.
pub fn line(text: &str) -> String {
    escape(text, |_| false)
}

/// Several lines: line breaks and tabs stay.
pub fn block(text: &str) -> String {
    escape(text, |letter| matches!(letter, '\n' | '\t'))
}

/// JSON that means the same and shows nothing but itself: what would move the cursor is written as an escape of JSON. Outside of its
/// texts JSON has no such letters, if it stands on one line.
pub fn json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        if is_dangerous(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(letter);
        }
    }
    out
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

/// An error and its causes in one line, and the hints of all of them.
pub fn explain(error: &anyhow::Error) -> (String, Vec<String>) {
    let mut what = String::new();
    let mut told: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = block(&cause.to_string());
        let mut parts = text.split("\nhint: ");
        let head = parts.next().unwrap_or_default();
        for hint in parts.map(str::to_owned).chain(hints::of(cause).map(|hint| block(&hint))) {
            if !told.contains(&hint) {
                told.push(hint);
            }
        }
        // Many errors repeat their cause in their own words.
        if !what.contains(head) {
            if !what.is_empty() {
                what.push_str(": ");
            }
            what.push_str(head);
        }
    }
    (what, told)
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            letter if keep(letter) || !is_dangerous(letter) => out.push(letter),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            letter => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(letter));
            }
        }
    }
    out
}

/// Moves the cursor, turns the text around, or cannot be seen.
fn is_dangerous(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180e}'
            | '\u{3164}' | '\u{ffa0}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn an_escape_sequence_is_shown_and_does_nothing() {
        assert_eq!(line("\x1b[2Jgone\r\n"), "\\u{1b}[2Jgone\\r\\n");
        assert_eq!(block("a\n\tb\x07"), "a\n\tb\\u{7}");
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
        assert!(!shown.chars().any(is_dangerous), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("it is JSON still"), strange);
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
