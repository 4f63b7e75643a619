//! `agentry approvals`: what people are asked. It reads, and answers nothing.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use agentry_serve::api::Paused;
use agentry_serve::error::Kind;
use agentry_serve::socket;
use agentry_store::rows::approval::{Question, State};
use anyhow::Result;
use serde_json::json;

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::about::{About, AdminFiles};
use crate::screen::{self, BAD, HINT, question, styled, text, units};

/// Lists what people are asked, and what came of it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry approvals
  agentry approvals --all
  agentry approvals --json | jq -r '.questions[].id'")]
pub struct Args {
    #[command(flatten)]
    home: HomeArgs,
    /// Also those that are closed
    #[arg(long)]
    all: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Reads the questions, and prints them oldest first.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let history = home.history()?;
    let paused = match socket::ask(home.path(), Paused) {
        Err(error) if error.kind == Kind::NoHost => None,
        paused => Some(paused?),
    };
    let mut questions = history.map_or(Ok(Vec::new()), |history| history.questions())?;
    let open = questions.iter().filter(|question| question.state == State::Open).count() as u64;
    let left = if paused.is_none() { open } else { 0 };
    if paused.is_none() {
        questions.iter_mut().for_each(left_behind);
    }
    questions.retain(|question| args.all || question.state == State::Open);
    let paused = paused.unwrap_or_default();
    let about =
        if questions.is_empty() { About::default() } else { AdminFiles::at(home.path(), home.policies()).read() };
    if args.json {
        let paused: Vec<_> = paused.iter().map(|(agent, until)| json!({"agent": agent, "until_ms": until.0})).collect();
        let questions: Vec<_> = questions.iter().map(|question| about.as_json(question)).collect();
        screen::print_json(&json!({"questions": questions, "paused": paused}))?;
        return Ok(Exit::Done.into());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    for question in &questions {
        screen::page(&format!("{}{}{}\n", question::page(question, now_ms), about.page(question), hint(question)))?;
    }
    for (agent, until) in &paused {
        let left = units::duration(until.0.saturating_sub(now_ms));
        let line = format!("agent {agent} asked too much: it is paused until somebody answers it, at most for {left}");
        screen::page(&format!("{}\n", styled(BAD, text::line(&line))))?;
    }
    if questions.is_empty() {
        screen::tell(&nothing(left));
    }
    Ok(Exit::Done.into())
}

/// That nothing is asked; without a host, what will be.
fn nothing(left: u64) -> String {
    if left == 0 {
        return "nothing is asked\n".to_owned();
    }
    let (count, is) = (units::plural(left, "question"), if left == 1 { "is" } else { "are" });
    let command = styled(HINT, screen::given::completed("agentry serve"));
    format!("nothing is asked while no host runs; {count} {is} {}  {command}\n", question::ASKED_AGAIN)
}

fn hint(question: &Question) -> String {
    if question.state == State::Open { format!("{}\n", question::answers(question)) } else { String::new() }
}

/// Without a host nothing waits: the run that asked is gone.
fn left_behind(question: &mut Question) {
    if question.state == State::Open {
        question.state = State::Gone;
    }
}
