//! Tables for people: each column as wide as what stands in it, and on a narrow screen fewer of them, never without saying which are missing.
//! Whoever fills a cell has made its text harmless.

use anstyle::Style;

use super::{BOLD, DIM, styled};

/// Between two columns.
const GAP: usize = 2;

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    head: &'static str,
    right: bool,
    /// The first that goes when there is no room has the highest; 0 stays.
    goes: u8,
}

/// A column whose cells begin below its head.
pub const fn left(head: &'static str) -> Column {
    Column { head, right: false, goes: 0 }
}

/// A column whose cells end below its head: amounts.
pub const fn right(head: &'static str) -> Column {
    Column { head, right: true, goes: 0 }
}

impl Column {
    /// The same, which a narrow screen may do without: those with the highest number go first.
    pub const fn goes(self, goes: u8) -> Self {
        Self { goes, ..self }
    }
}

/// One cell: a text of one line and its style.
pub struct Cell(String, Option<Style>);

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self(text, None)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self(text.to_owned(), None)
    }
}

impl Cell {
    /// A text in this style.
    pub fn of(style: Style, text: impl Into<String>) -> Self {
        Self(text.into(), Some(style))
    }
}

/// Rows below a head.
pub struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<([Cell; N], String)>,
}

impl<const N: usize> Table<N> {
    /// Without rows.
    pub fn new(columns: [Column; N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// One more row, and whole lines of what else is known of it, which stand below.
    pub fn row(&mut self, cells: [Cell; N], below: String) {
        self.rows.push((cells, below));
    }

    /// All of it, on a screen of so many columns; none where lines need not fit.
    pub fn show(&self, room: Option<usize>) -> String {
        let widths: [usize; N] = std::array::from_fn(|at| self.width(at));
        let mut shown = [true; N];
        let wide = |shown: &[bool; N]| {
            let kept = || widths.iter().zip(shown).filter(|(_, shown)| **shown).map(|(width, _)| *width);
            kept().sum::<usize>() + GAP * kept().count().saturating_sub(1)
        };
        while room.is_some_and(|room| wide(&shown) > room) {
            let may_go = (0..N).filter(|at| shown[*at] && self.columns[*at].goes > 0);
            let Some(goes) = may_go.max_by_key(|at| self.columns[*at].goes) else { break };
            shown[goes] = false;
        }
        let heads: [Cell; N] = self.columns.map(|column| column.head.into());
        let mut page = format!("{}\n", styled(BOLD, self.line(&heads, &widths, &shown)));
        for (cells, below) in &self.rows {
            page.push_str(&format!("{}\n{below}", self.line(cells, &widths, &shown)));
        }
        let hidden: Vec<&str> = (0..N).filter(|at| !shown[*at]).map(|at| self.columns[at].head).collect();
        if let (Some(room), false) = (room, hidden.is_empty()) {
            let note = format!(
                "not shown on {room} columns: {}; a screen of {} has room, and so has --json",
                hidden.join(", "),
                wide(&[true; N])
            );
            page.push_str(&format!("{}\n", styled(DIM, note)));
        }
        page
    }

    fn width(&self, at: usize) -> usize {
        let cells = self.rows.iter().map(|(cells, _)| cells[at].0.chars().count());
        cells.chain([self.columns[at].head.chars().count()]).max().unwrap_or(0)
    }

    fn line(&self, cells: &[Cell; N], widths: &[usize; N], shown: &[bool; N]) -> String {
        let last = (0..N).rev().find(|at| shown[*at]).unwrap_or(0);
        let mut line = String::new();
        for at in (0..N).filter(|at| shown[*at]) {
            let Cell(text, style) = &cells[at];
            let pad = " ".repeat(widths[at].saturating_sub(text.chars().count()));
            let style = style.filter(|_| !text.is_empty());
            let text = style.map_or_else(|| text.clone(), |style| styled(style, text));
            if !line.is_empty() {
                line.push_str(&" ".repeat(GAP));
            }
            match (self.columns[at].right, at == last) {
                (true, _) => line.extend([pad, text]),
                (false, false) => line.extend([text, pad]),
                (false, true) => line.push_str(&text),
            }
        }
        line.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<4> {
        let mut table = Table::new([left("name"), right("amount").goes(1), left("began").goes(2), left("where")]);
        table.row(["a".into(), "1 000".into(), "2026-11-29".into(), "here".into()], "  below\n".into());
        table.row(["longer".into(), "2".into(), "-".into(), Cell::of(DIM, "")], String::new());
        table
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let shown = "name    amount  began       where\n\
                     a        1 000  2026-11-29  here\n  below\n\
                     longer       2  -\n";
        assert_eq!(plain(&table().show(None)), shown);
        assert_eq!(plain(&table().show(Some(33))), shown);
    }

    #[test]
    fn what_has_no_room_is_said() {
        let shown = plain(&table().show(Some(32)));
        assert!(shown.starts_with("name    amount  where\na        1 000  here\n"), "{shown}");
        assert!(
            shown.ends_with("not shown on 32 columns: began; a screen of 33 has room, and so has --json\n"),
            "{shown}"
        );
        let narrow = plain(&table().show(Some(12)));
        assert!(narrow.starts_with("name    where\n") && narrow.contains("amount, began"), "{narrow}");
    }
}
