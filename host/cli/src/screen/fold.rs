//! Lines that fit a screen: what is longer goes on below, set in, broken between words. It changes no word and looks at none.

use std::io::IsTerminal;

use terminal_size::{Width, terminal_size_of};

/// A narrower screen is not believed.
const COLUMNS_MIN: usize = 20;

/// How far the rest of a line is set in behind its own beginning.
const SET_IN: usize = 4;

/// Columns of stdout: as `COLUMNS` says, or as the terminal does; none where nothing needs to fit.
pub fn columns() -> Option<usize> {
    said().or_else(|| columns_of(&std::io::stdout()))
}

/// The same of stderr.
pub fn columns_of_stderr() -> Option<usize> {
    said().or_else(|| columns_of(&std::io::stderr()))
}

fn said() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns >= COLUMNS_MIN)
}

fn columns_of(stream: &(impl IsTerminal + std::os::fd::AsFd)) -> Option<usize> {
    let (Width(columns), _) = terminal_size_of(stream.as_fd()).filter(|_| stream.is_terminal())?;
    Some(usize::from(columns)).filter(|columns| *columns >= COLUMNS_MIN)
}

/// The same text on lines of at most so many columns. Sequences of colours have none.
pub fn fold(text: &str, columns: usize) -> String {
    let mut folded = String::with_capacity(text.len() + text.len() / 16);
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        let indent = line.chars().take_while(|letter| *letter == ' ').count();
        let set_in = (indent + SET_IN).min(columns / 2);
        let mut rest = line;
        let mut room = columns;
        while let Some(cut) = place(rest, room) {
            folded.push_str(rest[..cut].trim_end());
            folded.push('\n');
            folded.extend(std::iter::repeat_n(' ', set_in));
            rest = rest[cut..].trim_start();
            room = columns - set_in;
        }
        folded.push_str(rest);
        folded.push_str(end);
    }
    folded
}

/// Where a line is to be cut so that what stands before has at most `room` columns; none if all of it has.
fn place(line: &str, room: usize) -> Option<usize> {
    let (mut seen, mut space, mut escape, mut words) = (0, None, false, false);
    for (at, letter) in line.char_indices() {
        match (escape, letter) {
            (true, letter) => escape = !letter.is_ascii_alphabetic(),
            (false, '\u{1b}') => escape = true,
            (false, letter) => {
                if seen == room {
                    // A word that is longer than a line is cut where the line ends.
                    return Some(space.unwrap_or(at));
                }
                seen += 1;
                words |= letter != ' ';
                if letter == ' ' && words {
                    space = Some(at);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_goes_on_below_set_in_and_no_word_is_broken() {
        let folded = fold("one two three four\n  five six seven eight\nshort\n", 12);
        assert_eq!(folded, "one two\n    three\n    four\n  five six\n      seven\n      eight\nshort\n");
        assert!(folded.lines().all(|line| line.chars().count() <= 12));
    }

    #[test]
    fn a_word_longer_than_a_line_is_cut_and_colours_take_no_room() {
        assert_eq!(fold("abcdefghij", 4), "abcd\n  ef\n  gh\n  ij");
        assert_eq!(fold("\u{1b}[1mab cd\u{1b}[0m", 5), "\u{1b}[1mab cd\u{1b}[0m");
        assert_eq!(fold("", 5), "");
    }
}
