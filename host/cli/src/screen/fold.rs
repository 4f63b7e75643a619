//! Lines that fit a screen: what is longer goes on below, set in, broken between words. It changes no word, and looks at one kind of line alone:
//! one of a file with a caret below, which is cut around the caret, for it would stand under another place otherwise.

use std::io::IsTerminal;

use terminal_size::{Width, terminal_size_of};

use super::given;

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
    let mut lines =
        text.split_inclusive('\n').map(|line| line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n")));
    let mut next = lines.next();
    while let Some((line, end)) = next {
        next = lines.next();
        if let Some((caret, behind)) = next
            && let Some((line, caret)) = around_the_caret(line, caret, columns)
        {
            folded.extend([line.as_str(), end, caret.as_str(), behind]);
            next = lines.next();
            continue;
        }
        let indent = line.chars().take_while(|letter| *letter == ' ').count();
        let set_in = (indent + SET_IN).min(columns / 2);
        let line = glued(line);
        let mut rest = line.as_str();
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
    folded.replace([IN_COMMAND, BEHIND_NUMBER], " ")
}

/// Stand for spaces while a text is folded: those of a command, which is copied whole or not at all, and of an amount before its unit.
const IN_COMMAND: char = '\u{e001}';
const BEHIND_NUMBER: char = '\u{e000}';

/// The same line, its commands and amounts each one word.
fn glued(line: &str) -> String {
    let mut glued = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("agentry ") {
        let (before, from) = rest.split_at(at);
        let length = given::command(before, from).unwrap_or("agentry ".len());
        let (command, behind) = from.split_at(length);
        glued.push_str(&amounts(before));
        match given::command(before, from) {
            Some(_) => glued.extend(command.chars().map(|letter| if letter == ' ' { IN_COMMAND } else { letter })),
            None => glued.push_str(command),
        }
        rest = behind;
    }
    glued + &amounts(rest)
}

/// The same text, each number with what it counts in behind it: `23 k fuel`, `10 min`, `8 000`.
fn amounts(text: &str) -> String {
    const UNIT_LETTERS_MAX: usize = 3;
    let mut glued = String::with_capacity(text.len());
    let mut last = ' ';
    for (at, letter) in text.char_indices() {
        let unit = || text[at + 1..].split([' ', ',', ')']).next().unwrap_or_default();
        let is_inside = letter == ' ' && last.is_ascii_digit() && (1..=UNIT_LETTERS_MAX).contains(&unit().len());
        glued.push(if is_inside && unit().is_ascii() { BEHIND_NUMBER } else { letter });
        last = letter;
    }
    glued
}

/// A line of a file, `  12 | key = value`, and the caret below it, cut to what has room around the caret; none if they are something else, or
/// have room as they are.
fn around_the_caret(line: &str, below: &str, columns: usize) -> Option<(String, String)> {
    const BETWEEN: &str = " | ";
    let (number, text) = line.split_once(BETWEEN)?;
    let (margin, caret) = below.split_once(BETWEEN)?;
    let is_caret = caret.trim_start() == "^" && margin.trim().is_empty() && margin.len() == number.len();
    let is_number = !number.trim().is_empty() && number.trim().bytes().all(|byte| byte.is_ascii_digit());
    let letters: Vec<char> = text.chars().collect();
    let room = columns.checked_sub(number.len() + BETWEEN.len()).filter(|room| *room > 2)?;
    if !is_caret || !is_number || letters.len().max(caret.len()) <= room {
        return None;
    }
    let place = caret.len() - 1;
    // The caret stands two thirds to the right, or where the line leaves it.
    let from =
        if place < room { 0 } else { (place - room * 2 / 3).min((letters.len().max(place + 1)).saturating_sub(room)) };
    let mut shown: Vec<char> = letters.iter().skip(from).take(room).copied().collect();
    if from > 0
        && let Some(first) = shown.first_mut()
    {
        *first = '…';
    }
    if letters.len() > from + room
        && let Some(last) = shown.last_mut()
    {
        *last = '…';
    }
    let line = format!("{number}{BETWEEN}{}", shown.into_iter().collect::<String>());
    Some((line, format!("{margin}{BETWEEN}{:1$}^", "", place - from)))
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
                    let word = &line[..line[at..].find(' ').map_or(line.len(), |end| at + end)];
                    return match space {
                        Some(space) => Some(space),
                        // A terminal breaks it, and whoever copies it has it whole.
                        None if word.contains(IN_COMMAND) => Some(word.len()).filter(|end| *end < line.len()),
                        // A word that is longer than a line is cut where the line ends.
                        None => Some(at),
                    };
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
    fn a_command_and_an_amount_stay_whole() {
        given::verbs(|| clap::Command::new("agentry").subcommand(clap::Command::new("install")));
        let hint = "hint: look: agentry install acme:clerk --root docs=DIR --consent 0123456789, or not";
        assert_eq!(
            fold(hint, 40),
            "hint: look:\n    agentry install acme:clerk --root docs=DIR --consent 0123456789,\n    or not"
        );
        assert_eq!(fold("another agentry is at work here now", 20), "another agentry is\n    at work here now");
        assert_eq!(fold("done · $0.00 · 23 k fuel", 18), "done · $0.00 ·\n    23 k fuel");
    }

    #[test]
    fn a_line_of_a_file_is_cut_around_its_caret_and_not_folded() {
        let letters: String = ('a'..='z').cycle().take(90).collect();
        for (place, columns) in [(0, 40), (30, 40), (60, 40), (89, 40), (90, 40), (50, 60), (89, 120)] {
            let text = format!("x.toml:7:1: wrong\n  7 | {letters}\n    | {:place$}^\n  hint: h\n", "");
            let folded = fold(&text, columns);
            let lines: Vec<&str> = folded.lines().collect();
            assert_eq!(lines.len(), 4, "{folded}");
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{folded}");
            let under = lines[2].chars().position(|letter| letter == '^').and_then(|at| lines[1].chars().nth(at));
            let meant = letters.chars().nth(place);
            assert!(under == meant || under == Some('…') && place == 89, "{folded}");
        }
        let short = "  7 | a = 1\n    | ^\n";
        assert_eq!(fold(short, 40), short);
    }

    #[test]
    fn a_word_longer_than_a_line_is_cut_and_colours_take_no_room() {
        assert_eq!(fold("abcdefghij", 4), "abcd\n  ef\n  gh\n  ij");
        assert_eq!(fold("\u{1b}[1mab cd\u{1b}[0m", 5), "\u{1b}[1mab cd\u{1b}[0m");
        assert_eq!(fold("", 5), "");
    }
}
