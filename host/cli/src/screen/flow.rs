//! Text that comes in pieces, on lines that fit the screen: a word is held back until it is whole, and goes on the next line if it has no
//! room on this one. It changes nothing but where lines end.

/// A text on its way to a terminal of so many columns; none if lines need not fit.
#[derive(Debug)]
pub struct Flow {
    columns: Option<usize>,
    /// How much of the line is written.
    column: usize,
    /// Spaces behind what is written, and the word behind them.
    spaces: usize,
    word: String,
}

impl Flow {
    /// Nothing yet.
    pub fn new(columns: Option<usize>) -> Self {
        Self { columns, column: 0, spaces: 0, word: String::new() }
    }

    /// What can be written now that this piece has come.
    pub fn take(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(piece.len());
        for letter in piece.chars() {
            match letter {
                '\n' => {
                    self.put(&mut out);
                    out.push('\n');
                    (self.column, self.spaces) = (0, 0);
                }
                ' ' => {
                    self.put(&mut out);
                    self.spaces += 1;
                }
                letter => self.word.push(letter),
            }
        }
        out
    }

    /// The last word, which nothing follows.
    pub fn rest(&mut self) -> String {
        let mut out = String::new();
        self.put(&mut out);
        self.spaces = 0;
        out
    }

    /// Whether the line has something on it, written or held back.
    pub fn is_in_line(&self) -> bool {
        self.column > 0 || !self.word.is_empty()
    }

    /// Whoever writes the end of the line says so.
    pub fn line_ended(&mut self) {
        self.column = 0;
    }

    fn put(&mut self, out: &mut String) {
        let letters = self.word.chars().count();
        if letters == 0 {
            return;
        }
        let fits = self.columns.is_none_or(|columns| self.column + self.spaces + letters <= columns);
        if fits || self.column == 0 {
            out.extend(std::iter::repeat_n(' ', self.spaces));
            self.column += self.spaces + letters;
        } else {
            out.push('\n');
            self.column = letters;
        }
        out.push_str(&self.word);
        // The terminal itself breaks a word that is longer than a line.
        if let Some(columns) = self.columns.filter(|columns| self.column > *columns) {
            self.column = (self.column - 1) % columns + 1;
        }
        self.word.clear();
        self.spaces = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flowed(columns: usize, pieces: &[&str]) -> String {
        let mut flow = Flow::new(Some(columns));
        let mut out: String = pieces.iter().map(|piece| flow.take(piece)).collect();
        out.push_str(&flow.rest());
        out
    }

    #[test]
    fn lines_end_between_words_wherever_the_pieces_end() {
        assert_eq!(flowed(11, &["one t", "wo thr", "ee four", "\nfi", "ve"]), "one two\nthree four\nfive");
        assert_eq!(flowed(11, &["  set in deep", "  er "]), "  set in\ndeep  er");
        assert_eq!(flowed(4, &["a", "bcdefghij k"]), "abcdefghij k");
        let mut flow = Flow::new(None);
        assert_eq!(flow.take("as long as it is "), "as long as it is");
    }

    #[test]
    fn a_word_is_held_back_until_it_is_whole() {
        let mut flow = Flow::new(Some(80));
        assert_eq!((flow.take("he").as_str(), flow.is_in_line()), ("", true));
        assert_eq!(flow.take("llo "), "hello");
        assert_eq!((flow.take("you").as_str(), flow.rest().as_str()), ("", " you"));
        flow.line_ended();
        assert!(!flow.is_in_line());
    }
}
