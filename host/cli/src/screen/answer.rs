//! What a model says, as a person who watches sees it come: each line stands behind a bar, so that none can be taken for a line of ours. It
//! writes nothing itself, and must never be asked about what nobody saw.

use super::flow::Flow;
use super::{DIM, styled};

/// Stands before each line.
const BAR: &str = "  │ ";

/// So much of an answer is remembered, as long as the longest that models give; of a longer one nobody can say that it was seen whole.
const REMEMBERED_MAX_BYTES: usize = 1024 * 1024;

/// The answer that is shown, or was shown last.
#[derive(Debug)]
pub struct Answer {
    flow: Flow,
    /// Whether the line has its bar.
    begun: bool,
    text: String,
    /// Whether what comes next is another answer.
    over: bool,
}

impl Answer {
    /// None yet, for a screen of so many columns.
    pub fn new(columns: Option<usize>) -> Self {
        let columns = columns.map(|columns| columns.saturating_sub(BAR.chars().count()));
        Self { flow: Flow::new(columns), begun: false, text: String::new(), over: false }
    }

    /// What can be written now that this piece has come.
    pub fn take(&mut self, piece: &str) -> String {
        if std::mem::take(&mut self.over) {
            self.text.clear();
        }
        if self.text.len() <= REMEMBERED_MAX_BYTES {
            self.text.push_str(piece);
        }
        let words = self.flow.take(piece);
        self.barred(&words)
    }

    /// The end of the line that it stands on, if it stands on one.
    pub fn break_line(&mut self) -> String {
        let rest = self.flow.rest();
        let mut out = self.barred(&rest);
        if std::mem::take(&mut self.begun) {
            out.push('\n');
        }
        self.flow.line_ended();
        out
    }

    /// No more of it comes.
    pub fn end(&mut self) {
        self.over = true;
    }

    /// Whether the line has something on it, written or held back.
    pub fn is_in_line(&self) -> bool {
        self.begun || self.flow.is_in_line()
    }

    /// Whether this is what was shown last, all of it.
    pub fn was(&self, text: &str) -> bool {
        let text = text.trim();
        !text.is_empty() && self.text.len() <= REMEMBERED_MAX_BYTES && self.text.trim() == text
    }

    fn barred(&mut self, words: &str) -> String {
        let mut out = String::with_capacity(words.len() + BAR.len());
        for part in words.split_inclusive('\n') {
            let (line, ends) = part.strip_suffix('\n').map_or((part, false), |line| (line, true));
            if !self.begun {
                out.push_str(&styled(DIM, if line.is_empty() { BAR.trim_end() } else { BAR }));
            }
            out.push_str(line);
            if ends {
                out.push('\n');
            }
            self.begun = !ends;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(columns: usize, pieces: &[&str]) -> String {
        let mut answer = Answer::new(Some(columns));
        let mut out: String = pieces.iter().map(|piece| answer.take(piece)).collect();
        out.push_str(&answer.break_line());
        out.push_str(&answer.break_line());
        anstream::adapter::strip_str(&out).to_string()
    }

    #[test]
    fn each_line_stands_behind_a_bar_and_an_answer_leaves_none_without_words() {
        assert_eq!(shown(15, &["one t", "wo thr", "ee four"]), "  │ one two\n  │ three four\n");
        assert_eq!(shown(80, &["done in 1 s\n", "\nalarm: none"]), "  │ done in 1 s\n  │\n  │ alarm: none\n");
        assert_eq!(shown(80, &["all\n"]), "  │ all\n");
        assert_eq!(shown(80, &[]), "");
    }

    #[test]
    fn what_was_shown_is_the_last_answer_as_a_whole() {
        let mut answer = Answer::new(None);
        assert!(!answer.was(""), "nothing was shown");
        answer.take("One ");
        assert!(!answer.was("One two."));
        answer.take("two.\n");
        assert!(answer.was("One two."));
        answer.end();
        assert!(answer.was(" One two."));
        answer.take("Three.");
        assert!(answer.was("Three.") && !answer.was("One two."));
    }
}
