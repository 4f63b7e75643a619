//! Each file by itself: it says what it is for, is short enough to hold in a head, and names no machine.

use super::{File, Findings, Tree};

/// Past this a file holds a second noun.
const LINES_MAX: usize = 500;

/// Words that promise work instead of doing it. Split, so that this file may hold them.
const PROMISES: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimple", "mented!"), concat!("to", "do!(")];

/// An agent whose work it is to find them in the code of others.
const LOOKS_FOR_PROMISES: &str = "example-agents/reviewer";

/// Where somebody's machine, or a registry that not everybody uses, would show.
const PLACES: [&str; 9] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("/tm", "p/w/"),
    concat!("pypi", ".org"),
    concat!("crates", ".io/"),
    concat!("npmjs", "."),
    concat!("hugging", "face.co"),
];

/// Where authors of agents read documentation: its examples are compiled by the tests, and those of no other crate are.
const HAS_EXAMPLES: &str = "sdk-guest";

/// What other documentation shows, and nobody compiles.
const OTHER_LANGUAGES: [&str; 4] = ["console", "json", "text", "toml"];

/// Checks every file.
pub fn check(tree: &Tree, findings: &mut Findings) {
    for file in tree.files() {
        if file.is_rust() {
            head(file, findings);
            examples(file, findings);
        }
        if !is_generated(file) {
            words(file, findings);
        }
    }
}

fn head(file: &File, findings: &mut Findings) {
    let first = file.text.lines().next().unwrap_or_default();
    if !first.starts_with("//! ") {
        findings.file(file, 1, "the first line does not say what the file is for (`//! …`)");
    }
    let lines = file.text.lines().count();
    if lines > LINES_MAX {
        findings.file(file, lines, format_args!("longer than {LINES_MAX} lines: find the second noun"));
    }
}

fn examples(file: &File, findings: &mut Findings) {
    if file.path.starts_with(HAS_EXAMPLES) {
        return;
    }
    let mut inside = false;
    for (number, line) in file.lines() {
        let line = line.trim_start();
        let fence = line.strip_prefix("/// ```").or_else(|| line.strip_prefix("//! ```"));
        let Some(language) = fence else { continue };
        inside = !inside;
        if inside && !OTHER_LANGUAGES.contains(&language) {
            findings.file(file, number, format_args!("no test compiles an example outside of {HAS_EXAMPLES}"));
        }
    }
}

fn words(file: &File, findings: &mut Findings) {
    for (number, line) in file.lines() {
        for promise in PROMISES {
            if line.contains(promise) && !file.path.starts_with(LOOKS_FOR_PROMISES) {
                findings.file(file, number, format_args!("`{promise}` promises work: do it, or open an issue"));
            }
        }
        for place in PLACES {
            if line.contains(place) {
                findings.file(file, number, format_args!("`{place}` belongs to one machine or one registry"));
            }
        }
    }
}

/// Lock files are written by tools, and name where things came from.
fn is_generated(file: &File) -> bool {
    file.path.file_name().is_some_and(|name| name == "Cargo.lock")
}
