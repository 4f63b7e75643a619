//! What is reviewed: pieces of code with the numbers of their lines, from a unified diff or from a whole file.

/// Lines of a piece of a file that is not a diff.
const PIECE_LINES: usize = 60;

/// Code that belongs together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) file: String,
    pub(crate) lines: Vec<Line>,
}

/// A line of the new text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// From 1, in the new file.
    pub(crate) number: usize,
    pub(crate) text: String,
    /// False for what only stands around a change.
    pub(crate) added: bool,
}

/// The hunks of a unified diff. What is no diff has none.
pub(crate) fn hunks(diff: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let (mut file, mut number, mut open) = (String::new(), 0, Open::default());
    for line in diff.lines() {
        if open.ended() {
            if let Some(path) = line.strip_prefix("+++ ") {
                file = path.split('\t').next().unwrap_or(path).trim_start_matches("b/").to_owned();
            } else if let Some((start, lines)) = header(line) {
                number = start;
                open = lines;
                pieces.push(Piece { file: file.clone(), lines: Vec::new() });
            }
            continue;
        }
        let Some(piece) = pieces.last_mut() else { continue };
        let (text, added) = match line.as_bytes().first() {
            Some(b'+') => (&line[1..], true),
            Some(b'-') => {
                open.old = open.old.saturating_sub(1);
                continue;
            }
            Some(b'\\') => continue,
            Some(b' ') => (&line[1..], false),
            _ => (line, false),
        };
        piece.lines.push(Line { number, text: text.to_owned(), added });
        number += 1;
        open.new = open.new.saturating_sub(1);
        if !added {
            open.old = open.old.saturating_sub(1);
        }
    }
    pieces
}

/// Lines of a hunk that are still to come, in the old and in the new file.
#[derive(Clone, Copy, Default)]
struct Open {
    old: usize,
    new: usize,
}

impl Open {
    const fn ended(self) -> bool {
        self.old == 0 && self.new == 0
    }
}

/// The first new line, and the lengths, of `@@ -1,2 +3,4 @@`.
fn header(line: &str) -> Option<(usize, Open)> {
    let (old, rest) = line.strip_prefix("@@ -")?.split_once(" +")?;
    let (_, old) = range(old)?;
    let (start, new) = range(rest.split(' ').next()?)?;
    Some((start, Open { old, new }))
}

fn range(text: &str) -> Option<(usize, usize)> {
    match text.split_once(',') {
        Some((start, length)) => Some((start.parse().ok()?, length.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    }
}

/// A whole file, all of it new, in pieces.
pub(crate) fn whole(file: &str, text: &str) -> Vec<Piece> {
    let lines = text.lines().enumerate();
    let lines: Vec<Line> =
        lines.map(|(index, line)| Line { number: index + 1, text: line.to_owned(), added: true }).collect();
    lines.chunks(PIECE_LINES).map(|lines| Piece { file: file.to_owned(), lines: lines.to_vec() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_lines_have_the_numbers_of_the_new_file() {
        let diff =
            "--- a/x.rs\n+++ b/x.rs\n@@ -1,3 +1,3 @@ fn a()\n one\n-two\n+TWO\n three\n@@ -9 +9,2 @@\n nine\n+ten\n";
        let pieces = hunks(diff);
        let added = |piece: &Piece| -> Vec<(usize, String)> {
            piece.lines.iter().filter(|line| line.added).map(|line| (line.number, line.text.clone())).collect()
        };
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[0].file, "x.rs");
        assert_eq!(added(&pieces[0]), [(2, "TWO".to_owned())]);
        assert_eq!(added(&pieces[1]), [(10, "ten".to_owned())]);
    }

    #[test]
    fn an_added_line_that_looks_like_a_header_is_a_line() {
        let pieces = hunks("+++ b/x\n@@ -0,0 +1,2 @@\n+++ counter\n+@@ -1 +1 @@\n");
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0].lines.len(), 2);
        assert!(hunks("no diff at all").is_empty());
    }
}
