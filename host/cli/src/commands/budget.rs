//! `agentry budget`: what the site and its agents may spend, have spent and hold. It asks the host that runs, or reads what the
//! last one left, and changes nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use agentry_kernel::Resource;
use agentry_kernel::budget::Window;
use agentry_kernel::kernel::{BalanceLine, Statement};
use agentry_serve::balances;
use anstyle::Style;
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
    let home = args.home.existing()?;
    let policies = args.policies.clone().unwrap_or_else(|| home.policies());
    let mut all = balances::read(home.path(), &policies)?;
    if let Some(agent) = &args.agent {
        let known = all.iter().filter_map(|statement| statement.agent.as_deref());
        let hint = text::meant(agent, known, "`agentry budget` shows all that there are");
        all.retain(|statement| statement.agent.as_ref().is_none_or(|name| name == agent));
        if all.len() < 2 {
            bail!("no agent `{}` ran here, and no policy file names it\nhint: {hint}", text::cut(agent, 64));
        }
    }
    if args.json {
        screen::print_json(&as_json(&all))?;
    } else {
        screen::page(&tables(&all, screen::fold::columns()))?;
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
fn line_as_json(line: &BalanceLine) -> Value {
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
fn window(line: &BalanceLine) -> &'static str {
    match line.window {
        _ if line.what.is_level() => "always",
        Window::Run => "run",
        Window::Minute => "minute",
        Window::Day => "day",
    }
}

/// The tables of all, each column as wide as what stands in it. On a narrow screen what is reserved is left out where nothing is, and columns
/// stand closer.
fn tables(all: &[Statement], columns: Option<usize>) -> String {
    let tables: Vec<Vec<Row>> = all.iter().map(rows).collect();
    let reserves = all.iter().flat_map(|statement| &statement.lines).any(|line| line.reserved > 0);
    let wide = |shape: &Shape| shape.widths.iter().sum::<usize>() + shape.gap * (shape.widths.len() - 1);
    let shapes = [(true, 2), (reserves, 2), (reserves, 1)].map(|(reserved, gap)| Shape::of(&tables, reserved, gap));
    let fits = |shape: &&Shape| columns.is_none_or(|columns| wide(shape) <= columns);
    let shape = shapes.iter().find(fits).unwrap_or(&shapes[2]);
    let table = |rows: &Vec<Row>| rows.iter().map(|row| row.text(shape)).collect::<String>();
    let mut page = tables.iter().map(table).collect::<Vec<_>>().join("\n");
    if let (Some(columns), false) = (columns, shape.reserved) {
        let room = wide(&shapes[0]);
        let note = format!("not shown on {columns} columns: reserved; a screen of {room} has room, and so has --json");
        page.push_str(&format!("{}\n", styled(DIM, note)));
    }
    page
}

/// How all tables are laid out.
struct Shape {
    widths: [usize; 6],
    /// Between two columns.
    gap: usize,
    reserved: bool,
}

impl Shape {
    fn of(tables: &[Vec<Row>], reserved: bool, gap: usize) -> Self {
        let widest = |place: usize| tables.iter().flatten().map(|row| row.cells[place].chars().count()).max();
        let width = |place| if place == RESERVED && !reserved { 0 } else { widest(place).unwrap_or(0) };
        Self { widths: std::array::from_fn(width), gap, reserved }
    }
}

/// One line: what, window, limit, spent, reserved, refills in.
struct Row {
    cells: [String; 6],
    /// What stands behind all: what a person added.
    given: String,
    style: Option<Style>,
    head: bool,
}

impl Row {
    fn text(&self, shape: &Shape) -> String {
        let mut line = String::new();
        for (place, (cell, width)) in self.cells.iter().zip(shape.widths).enumerate() {
            let cell = match place {
                RESERVED if !shape.reserved => continue,
                0 | 1 => format!("{cell:<width$}"),
                5 => cell.clone(),
                _ => format!("{cell:>width$}"),
            };
            let shown = self.style.filter(|_| place == SPENT).map(|style| styled(style, &cell));
            line.extend(std::iter::repeat_n(' ', if place == 0 { 0 } else { shape.gap }));
            line.push_str(&shown.unwrap_or(cell));
        }
        let line = format!("{}{}", line.trim_end(), self.given);
        if self.head { format!("{}\n", styled(BOLD, line)) } else { format!("{line}\n") }
    }
}

const SPENT: usize = 3;
const RESERVED: usize = 4;

fn rows(statement: &Statement) -> Vec<Row> {
    let whose = statement.agent.as_ref().map_or_else(|| "the site".to_owned(), |agent| format!("agent {agent}"));
    let heads = ["", "limit", "spent", "reserved", "refills in"].map(str::to_owned);
    let [window, limit, spent, reserved, refills] = heads;
    let cells = [text::cut(&whose, 30), window, limit, spent, reserved, refills];
    let mut rows = vec![Row { cells, given: String::new(), style: None, head: true }];
    if statement.lines.is_empty() {
        let given = styled(DIM, "no limits, and nothing spent");
        rows.push(Row { cells: Default::default(), given, style: None, head: false });
    }
    rows.extend(statement.lines.iter().map(row));
    rows
}

fn row(line: &BalanceLine) -> Row {
    let amount = |amount| show(line.what, amount);
    let full = line.limit.is_some_and(|limit| line.spent.saturating_add(line.reserved) >= limit);
    let cells = [
        line.what.name().to_owned(),
        window(line).to_owned(),
        line.limit.map_or_else(|| "none".to_owned(), amount),
        amount(line.spent),
        amount(line.reserved),
        line.refills_in_s.map_or_else(|| "-".to_owned(), |s| units::duration(s.saturating_mul(1000))),
    ];
    let given = if line.given > 0 { format!("  {} of it by a person", amount(line.given)) } else { String::new() };
    Row { cells, given, style: full.then_some(BAD), head: false }
}

/// An amount of it in its unit.
pub(super) fn show(what: Resource, amount: u64) -> String {
    match what {
        Resource::Usd => units::dollars(amount),
        Resource::WallTime => units::duration(amount),
        Resource::Memory | Resource::Storage | Resource::Egress | Resource::Written => units::bytes(amount),
        Resource::Fuel => units::rough(amount),
        _ => units::count(amount),
    }
}
