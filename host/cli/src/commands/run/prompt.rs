//! Questions of a run at its own terminal: one after another, each answered by a line. What is typed goes the way that
//! `agentry approve` goes; this decides nothing.

use std::collections::VecDeque;
use std::io::{BufRead, IsTerminal};

use agentry_kernel::approval::ApprovalId;
use agentry_runtime::approvals::{Effect, Question, Said, Saying, State};
use agentry_runtime::host::Host;
use anyhow::Result;
use tokio::sync::mpsc;

use crate::commands::approve::{say, story};
use crate::home::Home;
use crate::screen::{self, HINT, styled, text};

/// Lines that may be typed ahead.
const LINES_MAX: usize = 16;

/// A longer line is no answer.
const LINE_MAX_BYTES: u64 = 2 * 1024;

/// The questions that wait for this terminal.
pub struct Prompt {
    open: VecDeque<ApprovalId>,
    lines: Option<mpsc::Receiver<String>>,
}

/// Whose run it is: the host that takes the answers.
pub enum Hearer<'a> {
    /// This process.
    Here(&'a Host),
    /// The one that serves this home.
    There(&'a Home),
}

impl Hearer<'_> {
    async fn say(&self, saying: Saying) -> Result<Said> {
        match self {
            Self::Here(host) => Ok(host.say(saying).await?),
            Self::There(home) => tokio::task::block_in_place(|| say(home, saying)),
        }
    }

    /// The questions that are open; none if that cannot be told now.
    fn open(&self) -> Option<Vec<ApprovalId>> {
        let all = match self {
            Self::Here(host) => host.services().gate.questions(),
            Self::There(home) => tokio::task::block_in_place(|| home.history().ok()??.questions().ok())?,
        };
        Some(all.into_iter().filter(|question| question.state == State::Open).map(|question| question.id).collect())
    }
}

/// A line that was typed.
#[derive(Debug, PartialEq, Eq)]
enum Typed {
    Yes { name: Option<String>, code: Option<String> },
    No { because: String },
    Nothing,
}

impl Prompt {
    /// True if a person can be asked here.
    pub fn has_terminal() -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Nothing is asked yet, and nothing is read.
    pub fn new() -> Self {
        Self { open: VecDeque::new(), lines: None }
    }

    /// Asks this one when those before it are answered.
    pub fn ask(&mut self, question: &Question) {
        if !Self::has_terminal() || self.open.contains(&question.id) {
            return;
        }
        self.open.push_back(question.id);
        if self.open.len() == 1 {
            invite(question.id);
        }
        self.lines.get_or_insert_with(read_lines);
    }

    /// The next line that somebody types; never, if nothing is asked.
    pub async fn line(&mut self) -> String {
        match &mut self.lines {
            Some(lines) if !self.open.is_empty() => match lines.recv().await {
                Some(line) => line,
                // Nobody types any more; the questions can be answered from elsewhere.
                None => std::future::pending().await,
            },
            _ => std::future::pending().await,
        }
    }

    /// Takes a line as the answer to the question that is asked.
    pub async fn answer(&mut self, hearer: &Hearer<'_>, line: &str) {
        let Some(id) = self.open.front().copied() else { return };
        let question = id.to_string();
        let saying = match typed(line) {
            Typed::Yes { name, code } => Saying { question, name, code, no: None },
            Typed::No { because } => Saying { question, name: None, code: None, no: Some(because) },
            Typed::Nothing => return invite(id),
        };
        match hearer.say(saying).await {
            Ok(said) => {
                screen::say(&format!("{}\n", text::line(&story(&said))));
                if !matches!(said.answered, Effect::MoreWanted(_)) {
                    self.open.pop_front();
                }
            }
            Err(error) => screen::complain(&error),
        }
        self.forget_closed(hearer);
        if let Some(next) = self.open.front() {
            invite(*next);
        }
    }

    /// True if nothing is asked, so that other news may be shown where a person types.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Drops what was answered elsewhere, or expired.
    pub fn forget_closed(&mut self, hearer: &Hearer<'_>) {
        if self.open.is_empty() {
            return;
        }
        if let Some(open) = hearer.open() {
            self.open.retain(|id| open.contains(id));
        }
    }
}

fn invite(id: ApprovalId) {
    let line = format!("{id}: y = yes · NAME 123456 = yes, by code · n TEXT = no, because");
    screen::say(&format!("{}\n> ", styled(HINT, line)));
}

/// From now on, what is typed is an answer. The thread ends with the process.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(LINES_MAX);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let mut line = String::new();
            match std::io::Read::take(&mut stdin, LINE_MAX_BYTES).read_line(&mut line) {
                Ok(1..) if sender.blocking_send(line).is_ok() => {}
                _ => return,
            }
        }
    });
    receiver
}

fn typed(line: &str) -> Typed {
    let line = line.trim();
    let is_code = |word: &str| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit());
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match (first, rest.trim()) {
        ("y" | "yes", "") => Typed::Yes { name: None, code: None },
        ("n" | "no", "") => Typed::No { because: "no reason was given".to_owned() },
        ("n" | "no", because) => Typed::No { because: because.to_owned() },
        (code, "") if is_code(code) => Typed::Yes { name: None, code: Some(code.to_owned()) },
        (name, code) if is_code(code) => Typed::Yes { name: Some(name.to_owned()), code: Some(code.to_owned()) },
        _ => Typed::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_clearly_is_a_yes_is_one() {
        let yes = |name: Option<&str>, code: Option<&str>| Typed::Yes {
            name: name.map(str::to_owned),
            code: code.map(str::to_owned),
        };
        assert_eq!(typed("y\n"), yes(None, None));
        assert_eq!(typed("alice 123456"), yes(Some("alice"), Some("123456")));
        assert_eq!(typed(" 123456 "), yes(None, Some("123456")));
        assert_eq!(typed("n not for sale"), Typed::No { because: "not for sale".to_owned() });
        for line in ["", "yes please", "Y", "12345", "alice 1234567", "ok"] {
            assert_eq!(typed(line), Typed::Nothing, "{line:?}");
        }
    }
}
