//! `agentry triggers list`: every trigger of `agents.toml`, when it comes next, and whether a person holds it.

use std::process::ExitCode;

use agentry_runtime::triggers::TriggerLook;
use agentry_serve::triggers;
use anyhow::Result;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, BOLD, DIM, HINT, styled, text, units};

/// Prints a line a trigger.
pub fn run(home: &HomeArgs, json: bool) -> Result<ExitCode> {
    let found = triggers::of_home(home.existing()?.path())?;
    if json {
        screen::print_json(&found.iter().map(as_json).collect::<Vec<_>>())?;
    } else if found.is_empty() {
        screen::tell("no agent of agents.toml has a trigger\n");
    } else {
        screen::page(&table(&found))?;
    }
    Ok(Exit::Done.into())
}

fn as_json(look: &TriggerLook) -> Value {
    let paused = look.paused.as_ref().map(|hold| json!({ "since_ms": hold.since.0, "because": hold.because }));
    json!({
        "id": look.id,
        "agent": look.agent,
        "starts": look.cause,
        "next_ms": look.next.map(|at| at.0),
        "paused": paused,
        "waiting": look.waiting,
        "dead": look.dead,
    })
}

/// A line a trigger, and below it what is to be known.
pub fn table(triggers: &[TriggerLook]) -> String {
    let head = format!("{:<8}  {:<16}  {:<19}  {}", "id", "agent", "next (UTC)", "starts at");
    let mut table = format!("{}\n", styled(BOLD, head));
    for look in triggers {
        let next = look.next.map_or_else(String::new, |at| units::moment(at.0));
        let line =
            format!("{:<8}  {:<16}  {next:<19}  {}", look.id, text::cut(&look.agent, 16), text::cut(&look.cause, 80));
        table.push_str(&format!("{}\n", line.trim_end()));
        if let Some(hold) = &look.paused {
            let why =
                if hold.because.is_empty() { String::new() } else { format!(": {}", text::cut(&hold.because, 80)) };
            let held = format!("held since {}{why}", units::moment(hold.since.0));
            table.push_str(&format!("          {}\n", styled(HINT, held)));
        }
        if look.waiting > 0 {
            let dead = if look.dead > 0 { format!(", {} of them for a person", look.dead) } else { String::new() };
            let waits = format!("{} waiting{dead}", units::plural(look.waiting, "cause"));
            table.push_str(&format!("          {}\n", styled(DIM, waits)));
        }
    }
    table
}
