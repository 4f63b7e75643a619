//! `agentry approvals`: what people are asked. It reads, and answers nothing.

use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use agentry_config::policies;
use agentry_drivers::tools::config::{ToolLine, ToolsConfig};
use agentry_kernel::policy::SiteRule;
use agentry_serve::api::Paused;
use agentry_serve::error::Kind;
use agentry_serve::socket;
use agentry_store::rows::approval::{Question, State};
use anyhow::Result;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::home::HomeArgs;
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
    let about = if questions.is_empty() { About::default() } else { About::of(home.path(), &home.policies()) };
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

/// What the admin's files say of what is asked, as they are now: what a tool does, and why a rule asks. A yes rests on the call alone.
#[derive(Default)]
struct About {
    tools: Vec<ToolLine>,
    rules: Vec<SiteRule>,
}

impl About {
    /// Files that cannot be read say nothing here; whoever uses them is told.
    fn of(home: &Path, policies: &Path) -> Self {
        let tools = ToolsConfig::load(home).map(|known| known.tools).unwrap_or_default();
        let rules = policies::load(policies).map(|policy| policy.rules).unwrap_or_default();
        Self { tools: tools.into_iter().map(|known| known.tool).collect(), rules }
    }

    fn tool(&self, question: &Question) -> Option<&ToolLine> {
        let name = question.title.strip_prefix("tools.call ")?;
        self.tools.iter().find(|tool| tool.name == name)
    }

    fn why(&self, question: &Question) -> Option<&str> {
        let rule = self.rules.iter().find(|rule| rule.rule.id == question.rule.id)?;
        (!rule.why.is_empty()).then_some(&rule.why)
    }

    fn page(&self, question: &Question) -> String {
        let line = |name: &str, said: &str| format!("  {name:<7} {}\n", text::cut(said, LINE_LETTERS));
        let does = self.tool(question).map(|tool| format!("{} ({})", tool.description, tool.effect.word()));
        let does = does.map_or_else(String::new, |does| line("does", &does));
        does + &self.why(question).map_or_else(String::new, |why| line("why", why))
    }

    fn as_json(&self, question: &Question) -> Value {
        let mut object = question::as_json(question);
        object["effect"] = json!(self.tool(question).map(|tool| tool.effect.word()));
        object["description"] = json!(self.tool(question).map(|tool| &tool.description));
        object["why"] = json!(self.why(question));
        object
    }
}

/// Letters of what an admin wrote that are shown beside a question.
const LINE_LETTERS: usize = 300;

/// That nothing is asked; without a host, what will be.
fn nothing(left: u64) -> String {
    if left == 0 {
        return "nothing is asked\n".to_owned();
    }
    let (count, is) = (units::plural(left, "question"), if left == 1 { "is" } else { "are" });
    let command = styled(HINT, "agentry serve");
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
