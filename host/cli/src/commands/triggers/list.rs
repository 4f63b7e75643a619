//! `agentry triggers list`: every trigger of `agents.toml`, when it comes next, and whether a person holds it.

use std::process::ExitCode;

use agentry_runtime::triggers::TriggerLook;
use agentry_serve::triggers;
use anyhow::Result;
use serde_json::{Value, json};

use crate::commands::starts;
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::table::{Table, left};
use crate::screen::{self, DIM, HINT, styled, text, units};

/// Prints a line a trigger.
pub fn run(home: &HomeArgs, json: bool) -> Result<ExitCode> {
    let home = home.existing()?;
    let found = triggers::of_home(home.path())?;
    if json {
        screen::print_json(&found.iter().map(as_json).collect::<Vec<_>>())?;
    } else if found.is_empty() {
        screen::tell("no agent of agents.toml has a trigger\n");
    } else {
        screen::page(&table(&found, screen::fold::columns()))?;
        for fault in starts::faults(&home)? {
            screen::page(&screen::trouble(&fault.told))?;
        }
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
fn table(triggers: &[TriggerLook], columns: Option<usize>) -> String {
    let mut table = Table::new([left("id"), left("agent"), left("next (UTC)").goes(1), left("starts at")]);
    for look in triggers {
        let cells = [
            look.id.as_str().into(),
            text::cut(&look.agent, 16).into(),
            look.next.map_or_else(String::new, |at| units::moment(at.0)).into(),
            text::cut(&look.cause, 80).into(),
        ];
        table.row(cells, below(look));
    }
    table.show(columns)
}

/// Who holds it, and what waits for it.
fn below(look: &TriggerLook) -> String {
    let mut below = String::new();
    if let Some(hold) = &look.paused {
        let why = if hold.because.is_empty() { String::new() } else { format!(": {}", text::cut(&hold.because, 80)) };
        let held = format!("held since {}{why}", units::moment(hold.since.0));
        below.push_str(&format!("  {}\n", styled(HINT, held)));
    }
    if look.waiting > 0 {
        let dead = if look.dead > 0 { format!(", {} of them for a person", look.dead) } else { String::new() };
        let waits = format!("{} waiting{dead}", units::plural(look.waiting, "cause"));
        below.push_str(&format!("  {}\n", styled(DIM, waits)));
    }
    below
}
