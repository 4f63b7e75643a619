//! `agentry mail`: letters that wait in mailboxes, those that nobody took, and how one is thrown away. It answers none.

use std::process::ExitCode;

use agentry_serve::api::Discard;
use agentry_serve::offline;
use agentry_store::rows::mail::Listed;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::target;
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::table::{Cell, Table, left, right};
use crate::screen::{self, DIM, GOOD, styled, text, units};

/// Lists letters that wait, or dead ones; throws one away
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  agentry mail
  agentry mail calendar --json
  agentry mail --dead
  agentry mail drop calendar/12"
)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Whose mailbox; all of them, if none is named
    #[arg(value_name = "AGENT")]
    agent: Option<String>,
    /// Those that nobody took in time
    #[arg(long)]
    dead: bool,
    #[command(flatten)]
    home: HomeArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Verb {
    Drop(Drop),
}

/// Throws a letter away, waiting or dead
#[derive(clap::Args)]
struct Drop {
    /// Its id, as `agentry mail` prints it
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    home: HomeArgs,
}

/// Lists letters, or does what the second verb says.
pub fn run(args: Args) -> Result<ExitCode> {
    if let Some(Verb::Drop(drop)) = args.verb {
        return discard(&drop);
    }
    let home = args.home.existing()?;
    let history = home.history()?;
    let letters = history.map_or(Ok(Vec::new()), |history| history.mail(args.agent.as_deref(), args.dead))?;
    if args.json {
        screen::print_json(&letters.iter().map(as_json).collect::<Vec<_>>())?;
    } else if letters.is_empty() {
        // An agent that nobody knows has no empty mailbox.
        if let Some(told) = args.agent.as_deref().map_or(Ok(None), |agent| target::unknown(&home, agent))? {
            bail!(told);
        }
        screen::tell(if args.dead { "no dead letters\n" } else { "no letters wait\n" });
    } else {
        screen::page(&table(&letters, screen::fold::columns()))?;
    }
    Ok(Exit::Done.into())
}

fn discard(drop: &Drop) -> Result<ExitCode> {
    let home = drop.home.existing()?;
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    threads.block_on(offline::act(home.path(), Discard { letter: drop.id.clone() }))?;
    screen::tell(&format!("{}  letter {}\n", styled(GOOD, "thrown away"), text::line(&drop.id)));
    Ok(Exit::Done.into())
}

/// A line a letter, and what else is known of it below.
pub fn table(letters: &[Listed], columns: Option<usize>) -> String {
    let heads =
        [left("letter"), left("from").goes(1), left("sent (UTC)").goes(3), right("size").goes(2), left("subject")];
    let mut table = Table::new(heads);
    for Listed { id, letter, dead, .. } in letters {
        let cells = [
            text::cut(id, 28).into(),
            text::cut(&letter.sender, 16).into(),
            Cell::of(DIM, units::moment(letter.at.0)),
            units::bytes(letter.bytes()).into(),
            text::cut(&letter.subject, 60).into(),
        ];
        let mut below = String::new();
        if !letter.labels.is_empty() {
            below.push_str(&format!("  {}\n", styled(DIM, format_args!("labels {}", letter.labels))));
        }
        if let Some(dead) = dead {
            below.push_str(&format!("  {}\n", styled(DIM, text::cut(&dead.why, 100))));
        }
        table.row(cells, below);
    }
    table.show(columns)
}

fn as_json(Listed { id, mailbox, letter, dead }: &Listed) -> Value {
    json!({
        "id": id,
        "mailbox": mailbox,
        "sender": letter.sender,
        "run": letter.run.to_string(),
        "subject": letter.subject,
        "body": serde_json::from_str::<Value>(&letter.body).unwrap_or_default(),
        "labels": letter.labels,
        "sent_ms": letter.at.0,
        "dead_ms": dead.as_ref().map(|dead| dead.at.0),
        "why": dead.as_ref().map(|dead| dead.why.clone()),
    })
}
