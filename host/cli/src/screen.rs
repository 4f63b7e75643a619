//! What the command prints, and how. Nothing that a guest, a package or a model wrote reaches the terminal unescaped.

pub mod about;
pub mod amounts;
pub mod answer;
pub mod flow;
pub mod fold;
pub mod given;
mod hints;
pub mod inquiry;
pub mod live;
pub mod question;
pub mod receipt;
pub mod report;
pub mod rows;
pub mod span;
pub mod status;
pub mod stream;
pub mod table;
pub mod text;
pub mod units;
pub mod waterfall;
pub mod when;

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result};
use serde::Serialize;

/// Names and headings.
pub const BOLD: Style = Style::new().bold();
/// What is beside the point.
pub const DIM: Style = Style::new().dimmed();
/// It went well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// It did not.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What to do about it.
pub const HINT: Style = AnsiColor::Cyan.on_default();

/// `text` in this style; the streams take it out again where colours have no place.
pub fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Writes to stdout. A reader that has gone away is not an error: it has seen enough.
pub fn print(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    quiet_if_gone(out.write_all(text::at_the_door(text).as_bytes()).and_then(|()| out.flush()))
        .context("cannot write to stdout")
}

/// Writes a page for people to stdout, on lines that fit the screen.
pub fn page(text: &str) -> Result<()> {
    match fold::columns() {
        Some(columns) => print(&fold::fold(text, columns)),
        None => print(text),
    }
}

/// Writes a text that an agent gave to stdout: words stay whole on a screen, and where nobody looks nothing is changed.
pub fn prose(text: &str) -> Result<()> {
    let Some(columns) = fold::columns() else { return print(text) };
    let mut flow = flow::Flow::new(Some(columns));
    let mut lines = flow.take(text);
    lines.push_str(&flow.rest());
    print(&lines)
}

/// Writes one JSON document and a line break to stdout.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string(value).context("cannot write the answer as JSON")?;
    text = text::json(&text);
    text.push('\n');
    print(&text)
}

/// Writes to stderr; what cannot be said there cannot be said.
pub fn say(text: &str) {
    let mut out = anstream::stderr().lock();
    let _ = out.write_all(text::at_the_door(text).as_bytes()).and_then(|()| out.flush());
}

/// Says what went wrong and what to do about it.
pub fn complain(error: &anyhow::Error) {
    let (what, hints) = text::explain(error);
    tell(&format!("{}: {what}\n", styled(BAD, "error")));
    for hint in hints {
        tell(&format!("{}: {}\n", styled(HINT, "hint"), given::completed(&hint)));
    }
}

/// Says what is probably not meant, in an error's words, and goes on.
pub fn warn(told: &str) {
    let mut parts = told.split("\nhint: ");
    tell(&format!("{}: {}\n", styled(HINT, "warning"), parts.next().unwrap_or_default()));
    for hint in parts {
        tell(&format!("{}: {}\n", styled(HINT, "hint"), given::completed(hint)));
    }
}

/// What is wrong with something that a table lists, and what to do, in lines below its row.
pub fn trouble(trouble: &str) -> String {
    let mut lines = trouble.lines().map(text::line);
    let mut told = format!("  {} {}\n", styled(BAD, "✗"), lines.next().unwrap_or_default());
    for line in lines {
        let line = line
            .strip_prefix("hint: ")
            .map_or_else(|| line.clone(), |hint| format!("{}: {}", styled(HINT, "hint"), given::completed(hint)));
        told.push_str(&format!("    {line}\n"));
    }
    told
}

/// Says whole lines to stderr, so that they fit the screen.
pub fn tell(text: &str) {
    match fold::columns_of_stderr() {
        Some(columns) => say(&fold::fold(text, columns)),
        None => say(text),
    }
}

fn quiet_if_gone(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}
