//! `agentry policy diff`: whether a new policy allows more than an old one, with a call that shows it. It changes nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use agentry_kernel::inquiry::{Change, Diff as Found, DiffVerdict, diff, show_call};
use anyhow::Result;
use serde_json::{Value, json};

use super::scenario::{self, call_as_json, place, rule_as_json, verdict_as_json};
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, BAD, BOLD, DIM, GOOD, styled, text};

/// Says whether a new policy is narrower, the same or wider, and shows a call that is newly allowed
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry policy diff policies/ new-policies/
  agentry policy diff old.toml new.toml --json

Exit code 1 if the new one is wider, so that a pipeline can stop and ask.")]
pub struct Diff {
    /// The policy as it was: a directory or a file
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The policy as it will be
    #[arg(value_name = "NEW")]
    new: PathBuf,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Compares them.
pub fn run(args: &Diff) -> Result<ExitCode> {
    let home = args.home.resolve()?;
    let old = scenario::scenario(&home, &scenario::files(&args.old)?)?;
    let new = scenario::scenario(&home, &scenario::files(&args.new)?)?;
    let found = diff(&old, &new);
    if args.json {
        screen::print_json(&as_json(&found))?;
    } else {
        screen::page(&page(&found))?;
    }
    Ok(if found.verdict() == DiffVerdict::Wider { Exit::Failed } else { Exit::Done }.into())
}

/// What became possible and what no longer is.
pub fn page(found: &Found) -> String {
    let mut page = String::new();
    for (title, changes, more) in [("newly allowed", &found.opened, true), ("no longer allowed", &found.closed, false)]
    {
        if changes.is_empty() {
            continue;
        }
        page.push_str(&format!("{}\n", styled(BOLD, title)));
        for change in changes {
            page.push_str(&told(change, more));
        }
        page.push('\n');
    }
    let style = if found.verdict() == DiffVerdict::Wider { BAD } else { GOOD };
    page.push_str(&styled(style, found.verdict().word()));
    let blocked: Vec<String> = found.blocked().into_iter().map(|rule| rule.id.clone()).collect();
    if !blocked.is_empty() {
        let verb = if blocked.len() == 1 { "forbids" } else { "forbid" };
        page.push_str(&format!(", but nothing new passes because {} {verb} it", text::line(&blocked.join(" and "))));
    }
    page.push('\n');
    page
}

fn told(change: &Change, more: bool) -> String {
    // What a site lets nobody have more of, all agents share; what one of its rules does, the rule itself says.
    let agent = match &change.agent {
        Some(agent) => format!("{agent} "),
        None if change.what.starts_with("may ") => "all agents together ".to_owned(),
        None => String::new(),
    };
    let mut lines = format!("  {}\n", text::line(&format!("{agent}{}", change.what)));
    if let Some(rule) = &change.rule {
        lines.push_str(&format!("    {}\n", styled(DIM, text::line(&place(rule)))));
    }
    if let Some(rule) = &change.blocked {
        let line = format!("nothing new passes: {} forbids it, in {}:{}", rule.id, rule.file, rule.line);
        lines.push_str(&format!("    {}\n", text::line(&line)));
    }
    let Some(example) = &change.example else { return lines };
    let labels = if example.labels.is_empty() { String::new() } else { format!(" having read {}", example.labels) };
    let answers = if more {
        format!("was {}, is {}", example.less.word(), example.more.word())
    } else {
        format!("was {}, is {}", example.more.word(), example.less.word())
    };
    let call = text::cut(&show_call(&example.call).to_string(), 400);
    lines.push_str(&format!("    {call}{labels}: {answers}\n"));
    lines
}

/// The same for other programs.
pub fn as_json(found: &Found) -> Value {
    let change = |change: &Change| {
        let example = change.example.as_ref().map(|example| {
            json!({
                "call": call_as_json(&example.call),
                "labels": example.labels.iter().collect::<Vec<_>>(),
                "less": verdict_as_json(&example.less),
                "more": verdict_as_json(&example.more),
            })
        });
        json!({"agent": change.agent, "what": change.what, "rule": rule_as_json(change.rule.as_ref()), "example": example,
            "blocked_by": rule_as_json(change.blocked.as_ref())})
    };
    json!({
        "verdict": found.verdict().word(),
        "opened": found.opened.iter().map(change).collect::<Vec<_>>(),
        "closed": found.closed.iter().map(change).collect::<Vec<_>>(),
    })
}
