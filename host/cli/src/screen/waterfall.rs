//! A run as a person reads it: each syscall in its place on the run's time, with the decision and the cost.

use std::fmt::Write;

use agentry_kernel::Millis;

use super::rows::{Decision, Row};
use super::{BAD, DIM, GOOD, HINT, amounts, styled, text, units};

/// Columns of the picture.
const COLUMNS: u64 = 24;
/// Letters of a call's arguments.
const DETAIL: usize = 40;
/// What stands in a line before the arguments: number, times, a mark, and what is between them.
const BEFORE: usize = 31;
/// What stands in a line beside picture and arguments, where a bill follows.
const BESIDE: usize = BEFORE + 19;
/// The narrowest that arguments are cut to before the picture goes.
const DETAIL_MIN: usize = 24;

/// How wide the picture and the arguments are on a screen of so many columns.
fn widths(columns: Option<usize>) -> (u64, usize) {
    let Some(columns) = columns else { return (COLUMNS, DETAIL) };
    let left = columns.saturating_sub(BESIDE);
    match [COLUMNS, COLUMNS / 2].into_iter().find(|picture| left >= *picture as usize + DETAIL_MIN) {
        Some(picture) => (picture, (left - picture as usize).min(DETAIL)),
        None => (0, left.clamp(12, DETAIL)),
    }
}

/// The span of a run.
#[derive(Clone, Copy)]
pub struct Span {
    /// Its first entry.
    pub began: Millis,
    /// Its last.
    pub ended: Millis,
}

/// One line a syscall, and below it what was wrong with it; it fits a screen of so many columns.
pub fn picture(rows: &[Row], span: Span, columns: Option<usize>) -> String {
    let mut picture = String::new();
    let (width, detail) = widths(columns);
    for row in rows {
        let at = units::duration(row.at.since(span.began));
        let took = row.until.map_or_else(|| "?".to_owned(), |until| units::duration(until.since(row.at)));
        let what = format!("{} {}", row.name, text::line(&row.detail));
        let bill = amounts::bill(&row.spent);
        // Where no bill follows, a screen has room for more.
        let bar_width = if width == 0 { 0 } else { width as usize + 2 };
        let room = columns
            .filter(|_| bill.is_empty())
            .map_or(detail, |columns| columns.saturating_sub(BEFORE + bar_width).max(detail));
        let what = text::cut(what.trim_end(), room);
        let what = if bill.is_empty() { what } else { format!("{what:<detail$}  {bill}") };
        let _ =
            writeln!(picture, "{:>4}  {at:>9}  {}{took:>9}  {}  {what}", row.call.0, bar(row, span, width), mark(row),);
        if let Some(shadow_denied) = &row.shadow_denied {
            let line = format!("      would be {}", shadow_denied.replace('\n', "\n      "));
            let _ = writeln!(picture, "{}", styled(HINT, text::ours(&line)));
        }
        if !row.gained.is_empty() {
            let _ = writeln!(picture, "      {}", styled(HINT, format_args!("labels gained: {}", row.gained)));
        }
        trouble(row, &mut picture);
        if let Some(note) = &row.note {
            let _ = writeln!(picture, "      {}", styled(HINT, text::with_hint(note)));
        }
    }
    picture
}

fn mark(row: &Row) -> String {
    match row.decision {
        Decision::Done => styled(GOOD, "✓"),
        Decision::Open | Decision::Waits => styled(DIM, "?"),
        Decision::Broke { .. } | Decision::Refused(_) => styled(BAD, "✗"),
    }
}

fn trouble(row: &Row, picture: &mut String) {
    let story = match &row.decision {
        _ if !row.approved_by.is_empty() => text::line(&format!("allowed by {}", row.approved_by.join(", "))),
        Decision::Waits => "people were asked, and have not answered".to_owned(),
        Decision::Open | Decision::Done => return,
        Decision::Broke { kind, text } if text.is_empty() => text::line(kind),
        Decision::Broke { kind, text } => text::line(&format!("{kind}: {text}")),
        Decision::Refused(refusal) => text::ours(&refusal.to_string()),
    };
    for line in story.lines() {
        let _ = writeln!(picture, "      {}", styled(DIM, line));
    }
}

/// Where in the run it was: `·····███···············`
fn bar(row: &Row, span: Span, width: u64) -> String {
    if width == 0 {
        return String::new();
    }
    let whole = span.ended.since(span.began).max(1);
    let column = |at: Millis| (at.since(span.began).min(whole) * width / whole).min(width - 1);
    let (from, to) = (column(row.at), column(row.until.unwrap_or(span.ended)));
    let bar: String = (0..width).map(|place| if (from..=to).contains(&place) { '█' } else { '·' }).collect();
    format!("{}  ", styled(DIM, bar))
}

#[cfg(test)]
mod tests {
    use agentry_kernel::{Amounts, CallId};

    use super::*;

    fn row(at: u64, until: u64) -> Row {
        Row {
            call: CallId(1),
            at: Millis(at),
            until: Some(Millis(until)),
            name: "files.read".to_owned(),
            detail: "docs:\x1b[2J.txt".to_owned(),
            decision: Decision::Done,
            held: Amounts::ZERO,
            spent: Amounts::ZERO,
            gained: agentry_kernel::Labels::NONE,
            shadow_denied: None,
            approved_by: Vec::new(),
            raised: Vec::new(),
            note: None,
            basis: None,
            arguments: agentry_kernel::Digest::default(),
            contents: Vec::new(),
        }
    }

    #[test]
    fn a_call_stands_where_it_was_in_the_run_and_its_arguments_are_harmless() {
        let span = Span { began: Millis(1_000), ended: Millis(2_000) };
        let picture = anstream::adapter::strip_str(&picture(&[row(1_500, 1_750)], span, None)).to_string();
        assert!(picture.contains("············███████·····  "), "{picture}");
        assert!(picture.contains("files.read docs:\\u{1b}[2J.txt"), "{picture}");
    }

    #[test]
    fn a_line_fits_the_screen_that_it_is_for() {
        let span = Span { began: Millis(1_000), ended: Millis(2_000) };
        for columns in [60, 80, 120] {
            let mut long = row(1_500, 1_750);
            long.detail = "x".repeat(100);
            let picture = anstream::adapter::strip_str(&picture(&[long], span, Some(columns))).to_string();
            assert!(picture.lines().all(|line| line.trim_end().chars().count() <= columns), "{columns}:\n{picture}");
        }
    }
}
