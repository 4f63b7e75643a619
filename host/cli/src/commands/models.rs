//! `agentry models`: what this home can ask, and whether it could right now. It asks none of them.

use std::process::ExitCode;

use agentry_llm::{Entry, Models};
use agentry_runtime::config::Config;
use anyhow::Result;
use serde_json::{Value, json};

use crate::exit::{Exit, With};
use crate::home::{Home, HomeArgs};
use crate::screen::{self, BAD, BOLD, DIM, styled, text, units};

/// Lists the models that agents can be granted
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry models
  agentry models --fetch      # the weights of the embedded model, once: no key, no server

Others stand in agentry.toml of the home:
  format = 1
  [providers.near]
  kind = \"openai-compatible\"
  base_url = \"http://127.0.0.1:11434/v1\"
  [models.large]
  provider = \"near\"
  model = \"qwen3:8b\"")]
pub struct Args {
    #[command(flatten)]
    home: HomeArgs,
    /// Fetch the weights of the embedded model, if they are not there
    #[arg(long)]
    fetch: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.resolve()?;
    if args.fetch {
        fetch(&home)?;
    }
    let config = Config::load(home.path())?;
    let models = Models::open(&config.models, &home.models(), None)?;
    if args.json {
        let list: Vec<Value> = models.list().map(|entry| as_json(entry, &models)).collect();
        screen::print_json(&list)?;
    } else {
        screen::print(&table(&models))?;
    }
    Ok(Exit::Done.into())
}

#[cfg(feature = "embedded")]
fn fetch(home: &Home) -> Result<()> {
    let weights = agentry_llm_embedded::fetch::fetch_embedded(home.path(), |step| screen::say(&format!("{step}\n")));
    weights.map(drop).map_err(|error| With(Exit::Unavailable, error.into()).into())
}

#[cfg(not(feature = "embedded"))]
fn fetch(_: &Home) -> Result<()> {
    anyhow::bail!("this agentry was built without the embedded model\nhint: name a model of a server in agentry.toml")
}

fn table(models: &Models) -> String {
    let head =
        format!("{:<16}  {:>9}  {:>9}  {:>22}  {}", "model", "window", "answer", "price of 1 M in / out", "where");
    let mut table = format!("{}\n", styled(BOLD, head));
    for entry in models.list() {
        let info = &entry.info;
        let price = match (info.input_microusd_per_mtok, info.output_microusd_per_mtok) {
            (Some(0), Some(0)) => "free".to_owned(),
            (Some(input), Some(output)) => format!("{} / {}", units::dollars(input), units::dollars(output)),
            _ => "not known".to_owned(),
        };
        let place = if info.local { "this machine" } else { "elsewhere" };
        let default =
            if entry.model.alias == models.default_alias() { styled(DIM, " (default)") } else { String::new() };
        table.push_str(&format!(
            "{:<16}  {:>9}  {:>9}  {price:>22}  {place}{default}\n",
            text::cut(&info.alias, 16),
            units::count(u64::from(info.context_tokens)),
            units::count(u64::from(info.max_output_tokens)),
        ));
        if let Some(trouble) = &entry.trouble {
            let mut lines = trouble.lines().map(text::line);
            table.push_str(&format!("  {} {}\n", styled(BAD, "✗"), lines.next().unwrap_or_default()));
            lines.for_each(|line| table.push_str(&format!("    {line}\n")));
        }
    }
    table
}

fn as_json(entry: &Entry, models: &Models) -> Value {
    let info = &entry.info;
    json!({
        "alias": info.alias,
        "default": entry.model.alias == models.default_alias(),
        "context_tokens": info.context_tokens,
        "max_output_tokens": info.max_output_tokens,
        "input_microusd_per_mtok": info.input_microusd_per_mtok,
        "output_microusd_per_mtok": info.output_microusd_per_mtok,
        "media": info.media,
        "tools": info.tools,
        "schema_output": info.schema_output,
        "local": info.local,
        "trouble": entry.trouble,
    })
}
