//! What a host that serves says of itself: lines for people, or one JSON object a line for programs. Nothing of a run's input, output or log is in it but
//! what is told to people.

use agentry_runtime::run::events::Event;
use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::commands::starts::Fault;
use crate::screen::{self, BAD, BOLD, inquiry, styled, text, units};

/// How it says it: lines for people, or one JSON object a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

impl LogFormat {
    /// Says this on stderr: the word of what happened, what it is for people, and more of it for programs.
    pub fn say(self, level: &str, event: &str, words: &str, more: Value) {
        match self {
            Self::Text => screen::tell(&format!("{words}\n")),
            Self::Json => screen::say(&self.line(level, event, words, more)),
        }
    }

    /// That the host serves: the one line of stdout.
    pub fn serves(self, home: &str) -> Result<()> {
        let (version, process) = (env!("CARGO_PKG_VERSION"), std::process::id());
        let words = format!("agentry {version} serves {} (process {process})", text::line(home));
        match self {
            Self::Text => screen::print(&format!("{words}\n")),
            Self::Json => {
                screen::print(&self.line("info", "serves", &words, json!({ "home": home, "process": process })))
            }
        }
    }

    /// Which triggers could only fail, as they stand now.
    pub fn warns(self, faults: &[Fault]) {
        for Fault { told, .. } in faults {
            match self {
                Self::Text => screen::warn(told),
                Self::Json => self.say("warn", "trigger", told, Value::Null),
            }
        }
    }

    /// What befalls the host itself.
    pub fn show(self, event: &Event) {
        match event {
            Event::Notice(notice) => match self {
                Self::Text => screen::tell(&format!("{}\n", styled(BOLD, text::ours(notice)))),
                Self::Json => self.say("info", "notice", notice, Value::Null),
            },
            Event::Alarm(alarm) => match self {
                Self::Text => screen::tell(&format!("{}: {}\n", styled(BAD, "alarm"), text::ours(alarm))),
                Self::Json => self.say("error", "alarm", alarm, Value::Null),
            },
            Event::Inquired(asked) => match self {
                Self::Text => screen::tell(&format!("{}\n", inquiry::page(asked))),
                Self::Json => {
                    let more = json!({ "run": asked.run.to_string(), "call": asked.call.0, "agent": asked.agent });
                    self.say("info", "question", &asked.text, more);
                }
            },
            Event::Said(notice) => match self {
                Self::Text => screen::tell(&format!("{}\n", inquiry::notice(notice))),
                Self::Json => {
                    let more = json!({ "run": notice.run.to_string(), "call": notice.call.0, "agent": notice.agent });
                    self.say("info", "told", &notice.text, more);
                }
            },
            _ => {}
        }
    }

    fn line(self, level: &str, event: &str, words: &str, more: Value) -> String {
        let mut line = match more {
            Value::Object(more) => more,
            _ => Map::new(),
        };
        let now = units::now();
        line.insert("at".to_owned(), json!(format!("{}Z", units::moment(now.0).replace(' ', "T"))));
        line.insert("at_ms".to_owned(), json!(now.0));
        line.insert("level".to_owned(), json!(level));
        line.insert("event".to_owned(), json!(event));
        line.insert("text".to_owned(), json!(words));
        format!("{}\n", text::json(&Value::Object(line).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_said_is_one_object_on_one_line() {
        let words = "two\nlines \u{1b}[2J \u{202e}\u{2028}";
        let line = LogFormat::Json.line("error", "alarm", words, json!({ "run": "0gx3" }));
        assert!(line.ends_with('\n') && line.trim_end().lines().count() == 1 && line.is_ascii(), "{line:?}");
        let read: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&read["text"], &read["run"], &read["level"]), (&json!(words), &json!("0gx3"), &json!("error")));
        assert!(read["at"].as_str().is_some_and(|at| at.ends_with('Z') && at.contains('T')));
    }
}
