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
        let bar_width = if width == 0 { 0 } else { width as usize + 2 };
        let room = columns.map_or(detail, |columns| columns.saturating_sub(BEFORE + bar_width).max(detail));
        let (what, below) = beside(what.trim_end(), &bill, room, detail);
        let _ =
            writeln!(picture, "{:>4}  {at:>9}  {}{took:>9}  {}  {what}", row.call.0, bar(row, span, width), mark(row),);
        if let Some(bill) = below {
            let _ = writeln!(picture, "      {bill}");
        }
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

/// A call and its bill on the rest of a line; the bill goes below where the line has no room for both and the call would be cut to nothing that
/// says what it was.
fn beside(what: &str, bill: &str, room: usize, detail: usize) -> (String, Option<String>) {
    let left = room.saturating_sub(bill.chars().count() + 2).max(detail.min(room));
    match what.chars().count() {
        _ if bill.is_empty() => (text::cut(what, room), None),
        letters if letters > left && left < DETAIL_MIN => (text::cut(what, room), Some(bill.to_owned())),
        _ => (format!("{:<detail$}  {bill}", text::cut(what, left)), None),
    }
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
    fn a_bill_stands_beside_its_call_or_below_it_where_the_call_could_not_be_told_any_more() {
        let line = |what: &str, columns: usize| {
            let (width, detail) = widths(Some(columns));
            let bar_width = if width == 0 { 0 } else { width as usize + 2 };
            beside(what, "190 tokens", columns - BEFORE - bar_width, detail)
        };
        let below = Some("190 tokens".to_owned());
        assert_eq!(line("tools.call money.send", 60), ("tools.call money.send".to_owned(), below));
        assert_eq!(line("llm.stream", 60), ("llm.stream    190 tokens".to_owned(), None));
        assert_eq!(
            line("llm.complete scripted, 1 message", 80),
            ("llm.complete scripted, 1 message  190 tokens".to_owned(), None)
        );
        let (told, none) = line(&"x".repeat(100), 120);
        assert!(told.chars().count() <= 120 - BEFORE - 26 && told.contains('…') && none.is_none(), "{told}");
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
