//! A run while it runs, on stderr: tokens as they come where a person looks, log lines and refusals everywhere.

use std::io::IsTerminal;
use std::time::Instant;

use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_kernel::Resource;
use agentry_runtime::run::events::Event;
use serde_json::Value;

use super::about::AdminFiles;
use super::answer::Answer;
use super::{BAD, BOLD, DIM, HINT, amounts, fold, given, inquiry, question, say, styled, tell, text, units};

/// What is on the screen, so that the next piece goes to the right place.
pub struct Live {
    /// Whether a person looks.
    watched: bool,
    /// What the model says, as it comes.
    answer: Answer,
    /// Whether the waiting line is shown.
    waiting: bool,
    begun: Instant,
    last: Instant,
    /// What it does that was told last, where no line can be written over.
    told: Option<String>,
    /// What is said of what people are asked.
    admin: AdminFiles,
}

/// Seconds without news after which a person wants to know what it does.
const SILENCE_S: u64 = 1;

impl Live {
    /// For the stderr of this process; the files of whoever says what is asked.
    pub fn on_stderr(admin: AdminFiles) -> Self {
        let now = Instant::now();
        Self {
            watched: std::io::stderr().is_terminal(),
            answer: Answer::new(fold::columns_of_stderr()),
            waiting: false,
            begun: now,
            last: now,
            told: None,
            admin,
        }
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
            Event::Token(piece) if self.watched => say(&self.answer.take(&text::output(piece))),
            Event::Log { level, line } => self.log(*level, line),
            Event::Notice(text) => self.line(&styled(BOLD, text::ours(text))),
            Event::Alarm(text) => self.line(&format!("{}: {}", styled(BAD, "alarm"), text::ours(text))),
            Event::Refused(refusal) => self.line(&styled(BAD, given::completed(&text::ours(&refusal.to_string())))),
            Event::Call { name, duration_ms, spent, error, .. } if self.watched => {
                if name.starts_with("llm.") {
                    self.answer.end();
                }
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
            Event::Asked(question) => self.line(&question::asks(question, &self.admin.read())),
            Event::Inquired(asked) => self.line(&inquiry::page(asked)),
            Event::Said(notice) => self.line(&inquiry::notice(notice)),
            Event::Started { .. } | Event::Token(_) | Event::Call { .. } => {}
        }
    }

    /// Called about once a second: says what it does, if nothing else was said. Where nobody looks each thing is told once.
    pub fn tick(&mut self, does: impl FnOnce() -> Option<String>) {
        if self.last.elapsed().as_secs() < SILENCE_S || self.answer.is_in_line() {
            return;
        }
        let does = does();
        if self.watched {
            let does = does.map_or_else(String::new, |does| format!(", {does}"));
            say(&format!("\r\x1b[K{}", styled(DIM, format_args!("… {} s{does}", self.begun.elapsed().as_secs()))));
            self.waiting = true;
        } else if does.is_some() && does != self.told {
            self.line(&format!("… {}", does.as_deref().unwrap_or_default()));
            self.told = does;
        }
    }

    /// Leaves the cursor at the beginning of a line.
    pub fn end(&mut self) {
        self.clear();
        say(&self.answer.break_line());
    }

    /// Whether the output of a run stands on the screen already, because it is what a model said last: where a person sees both streams, it is
    /// not shown twice.
    pub fn showed(&self, output: Option<&Value>) -> bool {
        let text = output.and_then(Value::as_str).map(text::output);
        std::io::stdout().is_terminal() && text.is_some_and(|text| self.answer.was(&text))
    }

    fn log(&mut self, level: Level, line: &str) {
        let style = match level {
            Level::Debug => return,
            Level::Info => DIM,
            Level::Warn => HINT,
            Level::Error => BAD,
        };
        let said = text::whole(line);
        self.line(&format!("{} {said}", styled(style, "·")));
    }

    fn line(&mut self, line: &str) {
        say(&self.answer.break_line());
        tell(&format!("{line}\n"));
    }

    /// Takes the waiting line away.
    fn clear(&mut self) {
        if std::mem::take(&mut self.waiting) {
            say("\r\x1b[K");
        }
    }
}
