//! Cuts documents into passages that know their lines. A passage is small enough that a few of them fit a small model's prompt.

/// Words of a passage; a paragraph that is longer is cut at the end of a line.
const WORDS_MAX: usize = 80;

/// A piece of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    /// Its lines, as they stand in the document.
    pub(crate) lines: Vec<String>,
}

impl Passage {
    /// Its words on one line.
    pub(crate) fn text(&self) -> String {
        let words: Vec<&str> = self.lines.iter().flat_map(|line| line.split_whitespace()).collect();
        words.join(" ")
    }
}

/// All passages of a document.
pub(crate) fn cut(file: &str, text: &str) -> Vec<Passage> {
    let mut passages: Vec<Passage> = Vec::new();
    let mut lines: Vec<String> = Vec::new();
    let (mut start, mut words) = (1, 0);
    let mut close = |lines: &mut Vec<String>, start: usize| {
        if !lines.is_empty() {
            passages.push(Passage { file: file.to_owned(), line: start, lines: std::mem::take(lines) });
        }
    };
    for (index, line) in text.lines().enumerate() {
        let count = line.split_whitespace().count();
        if count == 0 || words + count > WORDS_MAX || is_heading(line) {
            close(&mut lines, start);
            words = 0;
        }
        // A heading says what follows is about, and answers nothing by itself.
        if count == 0 || is_heading(line) {
            continue;
        }
        if lines.is_empty() {
            start = index + 1;
        }
        words += count;
        lines.push(line.to_owned());
    }
    close(&mut lines, start);
    passages
}

fn is_heading(line: &str) -> bool {
    line.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_knows_its_lines() {
        let found = cut("a.md", "# Title\n\none\ntwo\n\nthree\n");
        let places: Vec<(usize, String)> = found.iter().map(|passage| (passage.line, passage.text())).collect();
        assert_eq!(places, [(3, "one two".to_owned()), (6, "three".to_owned())]);
    }

    #[test]
    fn a_long_paragraph_is_cut_at_the_end_of_a_line() {
        let text = vec!["ten words are in this line and no more today"; 20].join("\n");
        let found = cut("a.md", &text);
        assert_eq!(found.len(), 3);
        assert_eq!(found[1].line, 9);
    }
}
