//! The picture of the house: one box a crate, its layers inside, lines to what it builds on. Only this file knows how that looks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::{Crate, ROOT};

const BOX_WIDTH: usize = 268;
const GAP_X: usize = 36;
const GAP_Y: usize = 64;
const MARGIN: usize = 32;
const LINE: usize = 17;
/// Letters of one line inside a box.
const LETTERS_MAX: usize = 40;

/// A crate's place on the sheet.
struct Placed<'a> {
    of: &'a Crate,
    lines: Vec<String>,
    x: usize,
    y: usize,
}

impl Placed<'_> {
    fn height(&self) -> usize {
        52 + self.lines.len() * LINE
    }

    fn middle(&self) -> usize {
        self.x + BOX_WIDTH / 2
    }
}

/// The crates as SVG: those that know others stand above these.
pub fn svg(crates: &[Crate]) -> String {
    let placed = place(crates);
    let width = placed.iter().map(|of| of.x + BOX_WIDTH).max().unwrap_or(0) + MARGIN;
    let height = placed.iter().map(|of| of.y + of.height()).max().unwrap_or(0) + MARGIN;
    let mut svg = String::new();
    let mut put = |line: String| writeln!(svg, "{line}").expect("a string grows");
    put(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">"
    ));
    put("<!-- Made by `cargo xtask house` from the code; `cargo xtask tidy` says when it is out of date. -->"
        .to_owned());
    put(STYLE.to_owned());
    put(format!("<rect class=\"sheet\" width=\"{width}\" height=\"{height}\"/>"));
    for above in &placed {
        let direct = direct(above.of, crates);
        for below in placed.iter().filter(|below| direct.contains(below.of.name.as_str())) {
            let (x1, y1, x2, y2) = (above.middle(), above.y + above.height(), below.middle(), below.y);
            let bend = (y1 + y2) / 2;
            put(format!("<path class=\"arrow\" d=\"M{x1} {y1} C{x1} {bend} {x2} {bend} {x2} {y2}\"/>"));
        }
    }
    for of in &placed {
        put(format!(
            "<rect class=\"crate\" x=\"{}\" y=\"{}\" width=\"{BOX_WIDTH}\" height=\"{}\" rx=\"6\"/>",
            of.x,
            of.y,
            of.height()
        ));
        put(text("name", of.x + 14, of.y + 24, &of.of.name));
        put(text("purpose", of.x + 14, of.y + 40, &verb(&of.of.purpose)));
        for (index, line) in of.lines.iter().enumerate() {
            put(text("layer", of.x + 14, of.y + 60 + index * LINE, line));
        }
    }
    svg.push_str("</svg>\n");
    svg
}

const STYLE: &str = "\
<style>
text { font-family: ui-monospace, monospace; font-size: 11px; fill: #333 }
.name { font-size: 15px; font-weight: 600; fill: #111 }
.purpose { fill: #666 }
.sheet { fill: #fff }
.crate { fill: #f6f5f1; stroke: #8a8473 }
.arrow { fill: none; stroke: #b9b29e; stroke-width: 1.3 }
</style>";

fn text(class: &str, x: usize, y: usize, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{words}</text>")
}

/// The first words of a description: `Decides` of `Decides: policy, budgets.`
fn verb(purpose: &str) -> String {
    let words = purpose.split([':', '.']).next().unwrap_or_default();
    words.chars().take(LETTERS_MAX).collect()
}

/// Rows from the top: a crate stands above all that it knows.
fn place(crates: &[Crate]) -> Vec<Placed<'_>> {
    let mut levels: BTreeMap<&str, usize> = BTreeMap::new();
    for of in crates {
        let below = of.knows.iter().filter_map(|name| levels.get(name.as_str())).max();
        levels.insert(&of.name, below.map_or(0, |level| level + 1));
    }
    let top = levels.values().copied().max().unwrap_or(0);
    let widest = (0..=top).map(|level| levels.values().filter(|of| **of == level).count()).max().unwrap_or(1);
    let (mut placed, mut y) = (Vec::new(), MARGIN);
    for level in (0..=top).rev() {
        let row: Vec<&Crate> = crates.iter().filter(|of| levels[of.name.as_str()] == level).collect();
        let indent = (widest - row.len()) * (BOX_WIDTH + GAP_X) / 2;
        let first = placed.len();
        for (column, of) in row.into_iter().enumerate() {
            let x = MARGIN + indent + column * (BOX_WIDTH + GAP_X);
            placed.push(Placed { of, lines: layers(of), x, y });
        }
        let tallest = placed[first..].iter().map(Placed::height).max().unwrap_or(0);
        y += tallest + GAP_Y;
    }
    placed
}

/// The layers of a crate from the top, one or more lines each.
fn layers(of: &Crate) -> Vec<String> {
    let mut lines = Vec::new();
    for layer in of.layers.iter().rev() {
        let mut line = String::new();
        for name in layer.iter().filter(|name| *name != ROOT) {
            if !line.is_empty() && line.len() + 3 + name.len() > LETTERS_MAX {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push_str(" · ");
            }
            line.push_str(name);
        }
        lines.extend((!line.is_empty()).then_some(line));
    }
    lines
}

/// What a crate knows and reaches by no other that it knows: the rest would only be ink.
fn direct<'a>(of: &'a Crate, crates: &'a [Crate]) -> BTreeSet<&'a str> {
    let find = |name: &str| crates.iter().find(|other| other.name == name);
    let reached = |name: &str| -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&str> = find(name).into_iter().flat_map(|of| &of.knows).map(String::as_str).collect();
        while let Some(name) = next.pop() {
            if reached.insert(name) {
                next.extend(find(name).into_iter().flat_map(|of| &of.knows).map(String::as_str));
            }
        }
        reached
    };
    let by_others: BTreeSet<&str> = of.knows.iter().flat_map(|name| reached(name)).collect();
    of.knows.iter().map(String::as_str).filter(|name| !by_others.contains(name)).collect()
}
