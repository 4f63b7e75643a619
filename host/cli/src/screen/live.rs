//! A run while it runs, on stderr: tokens as they come where a person looks, log lines and refusals everywhere.

use std::io::IsTerminal;
use std::time::Instant;

use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_kernel::Resource;
use agentry_runtime::run::events::Event;

use super::{BAD, BOLD, DIM, HINT, amounts, inquiry, question, say, styled, text, units};

/// What is on the screen, so that the next piece goes to the right place.
pub struct Live {
    /// Whether a person looks.
    watched: bool,
    /// Whether the cursor is behind a token.
    in_line: bool,
    /// Whether the waiting line is shown.
    waiting: bool,
    begun: Instant,
    last: Instant,
}

/// Seconds without news after which a person wants to know that it still runs.
const SILENCE_S: u64 = 2;

impl Live {
    /// For the stderr of this process.
    pub fn on_stderr() -> Self {
        let now = Instant::now();
        Self { watched: std::io::stderr().is_terminal(), in_line: false, waiting: false, begun: now, last: now }
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        self.clear();
        self.last = Instant::now();
        match event {
            Event::Started { run, package, .. } if self.watched => {
                let run = styled(DIM, format_args!("run {run}"));
                self.line(&format!("{} {run}", styled(BOLD, text::line(package))));
            }
            Event::Token(piece) if self.watched => {
                let piece = text::block(piece);
                self.in_line = !piece.ends_with('\n');
                say(&styled(DIM, piece));
            }
            Event::Log { level, line } => self.log(*level, line),
            Event::Notice(text) => self.line(&styled(BOLD, text::block(text))),
            Event::Alarm(text) => self.line(&format!("{}: {}", styled(BAD, "alarm"), text::block(text))),
            Event::Refused(refusal) => self.line(&styled(BAD, text::block(&refusal.to_string()))),
            Event::Call { name, duration_ms, spent, error, .. } if self.watched => {
                // Only calls that somebody waited for, or paid for, are news.
                if error.is_some() || spent[Resource::Tokens] > 0 {
                    let story = format!(
                        "{name}  {}  {}  {}",
                        units::duration(*duration_ms),
                        amounts::bill(spent),
                        error.as_deref().unwrap_or("")
                    );
                    self.line(&styled(DIM, text::line(story.trim_end())));
                }
            }
            Event::Asked(question) => self.line(&question::asks(question)),
            Event::Inquired(asked) => self.line(&inquiry::page(asked)),
            Event::Said(notice) => self.line(&inquiry::notice(notice)),
            Event::Started { .. } | Event::Token(_) | Event::Call { .. } => {}
        }
    }

    /// Called about once a second: says that it still runs, if nothing else did.
    pub fn tick(&mut self) {
        let silent = self.last.elapsed().as_secs() >= SILENCE_S;
        if self.watched && silent && !self.in_line {
            say(&format!("\r{}", styled(DIM, format_args!("… {} s", self.begun.elapsed().as_secs()))));
            self.waiting = true;
        }
    }

    /// Leaves the cursor at the beginning of a line.
    pub fn end(&mut self) {
        self.clear();
        self.finish_line();
    }

    fn log(&mut self, level: Level, line: &str) {
        let style = match level {
            Level::Debug => return,
            Level::Info => DIM,
            Level::Warn => HINT,
            Level::Error => BAD,
        };
        self.line(&format!("{} {}", styled(style, "·"), text::line(line.trim_end())));
    }

    fn line(&mut self, line: &str) {
        self.finish_line();
        say(&format!("{line}\n"));
    }

    fn finish_line(&mut self) {
        if std::mem::take(&mut self.in_line) {
            say("\n");
        }
    }

    /// Takes the waiting line away.
    fn clear(&mut self) {
        if std::mem::take(&mut self.waiting) {
            say("\r\x1b[K");
        }
    }
}
