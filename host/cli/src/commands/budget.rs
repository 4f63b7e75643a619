//! `agentry budget`: what the site and its agents may spend, have spent and hold. It asks the host that runs, or reads what the
//! last one left, and changes nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use agentry_kernel::Resource;
use agentry_kernel::budget::Window;
use agentry_kernel::kernel::{Standing, Statement};
use agentry_serve::balances;
use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, BAD, BOLD, DIM, styled, text, units};

/// Shows limits, what is spent and held of them, and when each refills
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry budget
  agentry budget reporter
  agentry budget --json | jq '.agents[].lines[] | select(.what == \"usd\")'")]
pub struct Args {
    /// Only this agent, below the site
    #[arg(value_name = "AGENT")]
    agent: Option<String>,
    #[command(flatten)]
    home: HomeArgs,
    /// Directory of policies [default: policies in the home]
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Prints the books, the site's first.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.resolve()?;
    let policies = args.policies.clone().unwrap_or_else(|| home.policies());
    let mut all = balances::read(home.path(), &policies)?;
    if let Some(agent) = &args.agent {
        all.retain(|statement| statement.agent.as_ref().is_none_or(|name| name == agent));
        if all.len() < 2 {
            bail!(
                "no agent `{}` ran here, and no policy file names it\nhint: `agentry budget` shows all that there are",
                text::cut(agent, 64)
            );
        }
    }
    if args.json {
        screen::print_json(&as_json(&all))?;
    } else {
        screen::page(&all.iter().map(table).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(Exit::Done.into())
}

fn as_json(all: &[Statement]) -> Value {
    let lines = |statement: &Statement| statement.lines.iter().map(line_as_json).collect::<Vec<_>>();
    let site = all.iter().find(|statement| statement.agent.is_none()).map(lines).unwrap_or_default();
    let agents = all
        .iter()
        .filter_map(|statement| Some(json!({ "agent": statement.agent.as_ref()?, "lines": lines(statement) })));
    json!({ "site": site, "agents": agents.collect::<Vec<_>>() })
}

/// Amounts in the resource's own unit: micro-USD, milliseconds, bytes, or a count.
fn line_as_json(line: &Standing) -> Value {
    json!({
        "what": line.what,
        "window": window(line),
        "limit": line.limit,
        "given": line.given,
        "spent": line.spent,
        "reserved": line.reserved,
        "refills_in_s": line.refills_in_s,
    })
}

/// How long a limit holds, in a word. What stands at a level is not refilled by any window.
fn window(line: &Standing) -> &'static str {
    match line.window {
        _ if line.what.is_level() => "always",
        Window::Run => "run",
        Window::Minute => "minute",
        Window::Day => "day",
    }
}

fn table(statement: &Statement) -> String {
    let whose = statement.agent.as_ref().map_or_else(|| "the site".to_owned(), |agent| format!("agent {agent}"));
    let head = format!(
        "{:<14}  {:<7}  {:>16}  {:>16}  {:>16}  refills in",
        text::cut(&whose, 30),
        "",
        "limit",
        "spent",
        "reserved"
    );
    let mut table = format!("{}\n", styled(BOLD, head));
    if statement.lines.is_empty() {
        table.push_str(&format!("{}\n", styled(DIM, "no limits, and nothing spent")));
    }
    for line in &statement.lines {
        let amount = |amount| show(line.what, amount);
        let limit = line.limit.map_or_else(|| "none".to_owned(), amount);
        let refills = line.refills_in_s.map_or_else(|| "-".to_owned(), |s| units::duration(s.saturating_mul(1000)));
        let full = line.limit.is_some_and(|limit| line.spent.saturating_add(line.reserved) >= limit);
        let spent = format!("{:>16}", amount(line.spent));
        let given = if line.given > 0 { format!("  {} of it by a person", amount(line.given)) } else { String::new() };
        table.push_str(&format!(
            "{:<14}  {:<7}  {limit:>16}  {}  {:>16}  {refills}{given}\n",
            line.what.name(),
            window(line),
            if full { styled(BAD, spent) } else { spent },
            amount(line.reserved),
        ));
    }
    table
}

fn show(what: Resource, amount: u64) -> String {
    match what {
        Resource::Usd => units::dollars(amount),
        Resource::WallTime => units::duration(amount),
        Resource::Memory | Resource::Storage | Resource::Egress => units::bytes(amount),
        _ => units::count(amount),
    }
}
