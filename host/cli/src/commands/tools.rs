//! `agentry tools`: the registry of this home, what each tool does to the world and whether it could be called right now. It calls none.

use std::process::ExitCode;

use agentry_drivers::tools::config::ToolsConfig;
use agentry_drivers::tools::{Entry, Registry, Tools};
use agentry_runtime::config::Config;
use anyhow::Result;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::table::{Table, left, right};
use crate::screen::{self, DIM, styled, text, units};

/// Lists the tools that agents can be granted
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry tools
  agentry tools --json

They stand in tools.toml of the home:
  format = 1
  [tools.\"files.count\"]
  description = \"Counts the lines of a file.\"
  effect = \"read\"
  schema = '{\"type\": \"object\", \"properties\": {\"path\": {\"type\": \"string\"}}, \"required\": [\"path\"]}'
  command = { program = \"/usr/bin/wc\", args = [\"-l\", \"--\", \"{path}\"] }")]
pub struct Args {
    #[command(flatten)]
    home: HomeArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let (config, registry) = (Config::load(home.path())?, ToolsConfig::load(home.path())?);
    let tools = Tools::registered(&config.secrets, config.hosts.clone(), registry).registry();
    if args.json {
        let list: Vec<Value> = tools.list().map(as_json).collect();
        screen::print_json(&list)?;
    } else if tools.list().next().is_none() {
        screen::tell("no tools: `agentry tools --help` shows a first tools.toml\n");
    } else {
        screen::page(&table(&tools))?;
    }
    Ok(Exit::Done.into())
}

fn table(tools: &Registry) -> String {
    let columns = [left("tool"), left("effect"), left("labels").goes(2), right("price").goes(1), left("where").goes(3)];
    let mut table = Table::new(columns);
    for tool in tools.list() {
        let labels = tool.labels().join(", ");
        let price = match tool.price_microusd() {
            0 => "free".to_owned(),
            price => units::dollars(price),
        };
        let (kind, place) = tool.reach();
        let mut below = format!("  {}\n", styled(DIM, text::cut(tool.description(), 100)));
        if let Some(trouble) = &tool.trouble {
            below.push_str(&screen::trouble(trouble));
        }
        let cells = [
            text::cut(tool.name(), 32).into(),
            tool.effect().word().into(),
            text::cut(if labels.is_empty() { "none" } else { &labels }, 24).into(),
            price.into(),
            format!("{kind} {}", text::cut(&place, 48)).into(),
        ];
        table.row(cells, below);
    }
    table.show(screen::fold::columns())
}

fn as_json(tool: &Entry) -> Value {
    let (kind, place) = tool.reach();
    json!({
        "name": tool.name(),
        "description": tool.description(),
        "effect": tool.effect().word(),
        "labels": tool.labels(),
        "schema": serde_json::from_str::<Value>(tool.schema()).unwrap_or_default(),
        "timeout_ms": tool.timeout_ms(),
        "output_max_bytes": tool.output_max_bytes(),
        "price_microusd": tool.price_microusd(),
        "kind": kind,
        "where": place,
        "trouble": tool.trouble,
    })
}
