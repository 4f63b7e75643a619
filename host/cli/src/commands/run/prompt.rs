//! Questions of a run at its own terminal: one after another, each answered by a line. What is typed goes the way that
//! `agentry approve` and `agentry answer` go; this decides nothing.

use std::collections::VecDeque;
use std::io::{BufRead, IsTerminal};

use agentry_kernel::approval::{ApprovalId, Factor};
use agentry_runtime::approvals::{Effect, Said, Saying};
use agentry_serve::error::OpError;
use agentry_serve::offline;
use agentry_store::rows::approval::{Question, State};

use agentry_runtime::host::Host;
use agentry_store::rows::question::{self, Answering, Inquiry, Reply};
use anyhow::Result;
use tokio::sync::mpsc;

use crate::commands::approve::{say, story};
use crate::commands::digits;
use crate::home::Home;
use crate::screen::{self, HINT, inquiry, styled, text, units};

/// Lines that may be typed ahead.
const LINES_MAX: usize = 16;

/// What a person types who does not want to answer.
const DECLINE: &str = "/decline";

/// What is said to whoever ends the input where something is asked.
const NOBODY_TYPES: &str = "it waits for an answer from elsewhere, by the line above; Ctrl-C stops the run";

/// A longer line is no answer.
const LINE_MAX_BYTES: u64 = 2 * 1024;

/// The questions that wait for this terminal.
pub struct Prompt {
    open: VecDeque<Open>,
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
            Self::Here(host) => Ok(host.say(saying).await.map_err(OpError::from)?),
            Self::There(home) => tokio::task::block_in_place(|| say(home, saying)),
        }
    }

    /// The questions that are open; none if that cannot be told now.
    fn open(&self) -> Option<Vec<Open>> {
        let history = match self {
            Self::Here(host) => host.history().clone(),
            Self::There(home) => tokio::task::block_in_place(|| home.history().ok().flatten())?,
        };
        let calls = match self {
            Self::Here(host) => host.services().drivers.gate.questions(),
            Self::There(_) => tokio::task::block_in_place(|| history.questions().ok())?,
        };
        let own = tokio::task::block_in_place(|| history.inquiries(units::now()).ok())?;
        let calls = calls.into_iter().filter(|question| question.state == State::Open);
        let own = own.into_iter().filter(|inquiry| inquiry.state == question::State::Open);
        Some(
            calls
                .map(|call| Open::Call(call.id, call.factor))
                .chain(own.map(|inquiry| Open::Inquiry(inquiry.id())))
                .collect(),
        )
    }

    async fn answer(&self, answering: Answering) -> Result<Inquiry> {
        match self {
            Self::Here(host) => Ok(host.services().drivers.human.answer(&answering).await.map_err(OpError::from)?),
            Self::There(home) => Ok(offline::act(home.path(), answering).await?),
        }
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Open {
    /// Whether a call may be made, and what a yes needs.
    Call(ApprovalId, Factor),
    /// Something of the agent's own, by its name.
    Inquiry(String),
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
        self.add(Open::Call(question.id, question.factor));
    }

    /// The same, for a question of the agent's own.
    pub fn inquire(&mut self, inquiry: &Inquiry) {
        self.add(Open::Inquiry(inquiry.id()));
    }

    fn add(&mut self, open: Open) {
        if !Self::has_terminal() || self.open.contains(&open) {
            return;
        }
        self.open.push_back(open.clone());
        if self.open.len() == 1 {
            invite(&open);
        }
        self.lines.get_or_insert_with(read_lines);
    }

    /// The next line that somebody types; never, if nothing is asked.
    pub async fn line(&mut self) -> String {
        match &mut self.lines {
            Some(lines) if !self.open.is_empty() => match lines.recv().await {
                Some(line) => line,
                // Nobody types any more; the questions can be answered from elsewhere, and the next one is asked here again.
                None => {
                    screen::tell(&format!("\n{}\n", styled(HINT, NOBODY_TYPES)));
                    self.lines = None;
                    std::future::pending().await
                }
            },
            _ => std::future::pending().await,
        }
    }

    /// Takes a line as the answer to the question that is asked.
    pub async fn answer(&mut self, hearer: &Hearer<'_>, line: &str) {
        let Some(open) = self.open.front().cloned() else { return };
        let done = match &open {
            Open::Call(id, factor) => Self::allow(*id, *factor, hearer, line).await,
            Open::Inquiry(id) => Self::reply(id, hearer, line).await,
        };
        match done {
            Ok(Some((told, closed))) => {
                screen::tell(&format!("{}\n", text::line(&told)));
                if closed {
                    self.open.pop_front();
                }
            }
            Ok(None) => {
                screen::tell("that is no answer\n");
                return invite(&open);
            }
            Err(error) => screen::complain(&error),
        }
        self.forget_closed(hearer);
        if let Some(next) = self.open.front() {
            invite(next);
        }
    }

    /// What came of the line, and whether the question is closed; none if it is no answer.
    async fn allow(id: ApprovalId, factor: Factor, hearer: &Hearer<'_>, line: &str) -> Result<Option<(String, bool)>> {
        let question = id.to_string();
        let saying = match typed(line) {
            Typed::Yes { code: None, .. } if factor == Factor::Totp => return Ok(None),
            Typed::Yes { name, code } => Saying { question, name, code, no: None },
            Typed::No { because } => Saying { question, name: None, code: None, no: Some(because) },
            Typed::Nothing => return Ok(None),
        };
        let said = hearer.say(saying).await?;
        Ok(Some((story(&said), !matches!(said.answered, Effect::MoreWanted(_)))))
    }

    async fn reply(id: &str, hearer: &Hearer<'_>, line: &str) -> Result<Option<(String, bool)>> {
        let reply = match line.trim() {
            "" => return Ok(None),
            DECLINE => Reply::Decline(String::new()),
            said => Reply::Text(said.to_owned()),
        };
        let answered = hearer.answer(Answering { question: id.to_owned(), reply }).await?;
        Ok(Some((inquiry::story(&answered), true)))
    }

    /// True if nothing is asked, so that other news may be shown where a person types.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Ends the line on which somebody was to type.
    pub fn leave(&self) {
        if !self.is_idle() {
            screen::tell("\n");
        }
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

fn invite(open: &Open) {
    let line = match open {
        Open::Call(id, Factor::Totp) => {
            format!("{id}: NAME 123456 = yes, by your name and the code of your app · n TEXT = no, because")
        }
        Open::Call(id, Factor::Confirm) => format!("{id}: y = yes · n TEXT = no, because"),
        Open::Inquiry(id) => format!("{id}: your answer in a line · {DECLINE} = none"),
    };
    screen::tell(&format!("{}\n> ", styled(HINT, line)));
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
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match (first, rest.trim()) {
        ("y" | "yes", "") => Typed::Yes { name: None, code: None },
        ("n" | "no", "") => Typed::No { because: "no reason was given".to_owned() },
        ("n" | "no", because) => Typed::No { because: because.to_owned() },
        _ => digits::named(line)
            .map_or(Typed::Nothing, |(name, code)| Typed::Yes { name: name.map(str::to_owned), code: Some(code) }),
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
        assert_eq!(typed("alice 123 456"), yes(Some("alice"), Some("123456")));
        assert_eq!(typed("n not for sale"), Typed::No { because: "not for sale".to_owned() });
        for line in ["", "yes please", "Y", "12345", "alice 1234567", "ok"] {
            assert_eq!(typed(line), Typed::Nothing, "{line:?}");
        }
    }
}
