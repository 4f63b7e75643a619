//! What is wrong in a file that a person wrote, and where: with the line itself, and a caret under the place. It decides nothing.

use alloc::format;
use alloc::string::String;
use core::fmt;

use super::Source;
use crate::text;

/// How much of a line is shown.
const SHOWN_MAX_CHARS: usize = 160;

/// How much of a longer line is shown in front of the place.
const SHOWN_BEFORE_CHARS: usize = 100;

/// What is wrong in a file and where. Prints with the line and a caret under the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// The line itself; of a long one, what stands around the place.
    pub text: String,
    /// How much of `text` stands in front of the place, in characters.
    pub before: u32,
    /// What is wrong, lowercase, without a full stop.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Mistake {
    /// A mistake at a place of a file, in bytes.
    pub fn at(source: Source<'_>, place: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let Source { file, text } = source;
        let place = (0..=place.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let start = text[..place].rfind('\n').map_or(0, |at| at + 1);
        let before = text[start..place].chars().count();
        let skipped = if before < SHOWN_MAX_CHARS { 0 } else { before - SHOWN_BEFORE_CHARS };
        let line = text[start..].lines().next().unwrap_or_default();
        let shown = |char: char| if text::deceives(char) { ' ' } else { char };
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            file: file.into(),
            line: count(text[..start].bytes().filter(|byte| *byte == b'\n').count()).saturating_add(1),
            column: count(before).saturating_add(1),
            text: line.chars().skip(skipped).take(SHOWN_MAX_CHARS).map(shown).collect(),
            before: count(before - skipped),
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// A mistake in a line as a whole, from 1.
    pub fn in_line(source: Source<'_>, line: u32, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let before =
            source.text.split_inclusive('\n').take((line as usize).saturating_sub(1)).map(str::len).sum::<usize>();
        let whole = source.text[before..].lines().next().unwrap_or_default();
        // Where that line begins to say something.
        let place = before + whole.len() - whole.trim_start().len();
        Self { line, ..Self::at(source, place, message, hint) }
    }

    /// What is wrong and where, with the line, on three lines.
    pub fn told(&self) -> String {
        let file = text::line(&self.file);
        let Self { line, column, text, before, message, .. } = self;
        let (number, before) = (format!("{line}"), *before as usize);
        let gutter = number.len();
        format!("{file}:{line}:{column}: {message}\n  {number} | {text}\n  {:gutter$} | {:before$}^", "", "")
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told())?;
        if !self.hint.is_empty() {
            write!(f, "\n  hint: {}", self.hint)?;
        }
        Ok(())
    }
}

impl core::error::Error for Mistake {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place_also_in_a_long_line() {
        let text = format!("a = 1\nlist = [{}b]\n", "\"größe\", ".repeat(100));
        let place = text.find("b]").expect("it is there");
        let mistake = Mistake::at(Source { file: "x.toml", text: &text }, place, "m", "h");
        let shown = |text: &str, at: u32| text.chars().nth(at as usize);
        assert_eq!((mistake.line, mistake.column), (2, 909));
        assert_eq!(shown(&mistake.text, mistake.before), Some('b'));
        let told = mistake.told();
        let lines: alloc::vec::Vec<&str> = told.lines().collect();
        let column = lines[2].chars().position(|char| char == '^');
        assert_eq!(column.and_then(|at| lines[1].chars().nth(at)), Some('b'));
    }

    #[test]
    fn a_name_of_a_file_stays_on_its_line() {
        let told = Mistake::at(Source { file: "a\n\u{1b}[31m.toml", text: "a" }, 0, "m", "").told();
        assert!(told.starts_with("a\\n\\u{1b}[31m.toml:1:1: m\n"), "{told}");
    }

    #[test]
    fn a_place_behind_the_end_is_the_end() {
        let mistake = Mistake::at(Source { file: "x.toml", text: "a = \"é" }, 99, "m", "");
        assert_eq!(mistake.told(), "x.toml:1:7: m\n  1 | a = \"é\n    |       ^");
        assert_eq!(
            Mistake::at(Source { file: "x.toml", text: "" }, 0, "m", "").told(),
            "x.toml:1:1: m\n  1 | \n    | ^"
        );
    }
}
