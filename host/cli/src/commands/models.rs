//! `agentry models`: what this home can ask, and whether it could right now; what else is near; which prices hold. It looks whether their
//! servers answer, and asks no model but the one that is probed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use agentry_llm::nearby::{Noticed, nearby};
use agentry_llm::prices::{self, AGE_MAX_DAYS};
use agentry_llm::probe::probe;
use agentry_llm::silent::silent;
use agentry_llm::{Entry, Models};
use agentry_runtime::config::Config;
use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use crate::exit::{Exit, With};
use crate::home::{Home, HomeArgs};
use crate::screen::table::{Table, left, right};
use crate::screen::{self, DIM, HINT, styled, text, units};

/// Lists the models that agents can be granted
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry models
  agentry models --fetch          # the weights of the embedded model, once: no key, no server
  agentry models --probe large    # asks it, in two short calls, what it takes; remembers it
  agentry models --prices FILE    # LiteLLM's or models.dev's list of prices, instead of the shipped one

Others stand in agentry.toml of the home:
  format = 1
  [providers.near]
  kind = \"openai-compatible\"
  base_url = \"http://127.0.0.1:11434/v1\"
  [models.large]
  provider = \"near\"
  model = \"qwen3:8b\"

docs/models.md has the lines for each provider.")]
pub struct Args {
    #[command(flatten)]
    home: HomeArgs,
    /// Fetch the weights of the embedded model, if they are not there
    #[arg(long)]
    fetch: bool,
    /// Ask this model what it takes, and remember it
    #[arg(long, value_name = "ALIAS")]
    probe: Option<String>,
    /// Read prices from a list in the format of LiteLLM or models.dev
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub fn run(args: &Args) -> Result<ExitCode> {
    // Weights and prices may be what a home begins with.
    let begins = args.fetch || args.prices.is_some();
    let home = if begins { args.home.resolve() } else { args.home.existing() }?;
    if args.fetch {
        fetch(&home)?;
    }
    if let Some(file) = &args.prices {
        let read = prices::import(home.path(), file).map_err(|error| With(Exit::Usage, error.into()))?;
        let left_out =
            if read.left_out == 0 { String::new() } else { format!(", {} without one left out", read.left_out) };
        screen::tell(&format!(
            "prices of {} models read, as {} had them on {}{left_out}\n",
            read.models, read.source, read.date
        ));
    }
    let config = Config::load(home.path())?;
    let models = Models::open(&config.models, &home.models(), None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    if let Some(alias) = &args.probe {
        let entry = models.get(models.resolve(alias)).ok_or_else(|| {
            let known = models.list().map(|entry| &*entry.model.alias).collect::<Vec<_>>().join(", ");
            With(Exit::Usage, anyhow!("there is no model `{alias}`\nhint: there is: {known}"))
        })?;
        return runtime.block_on(probed(home.path(), entry, args.json));
    }
    let listed =
        Listed { silent: runtime.block_on(silent(&config.models, |alias| could_be_asked(&models, alias))), models };
    if args.json {
        let list: Vec<Value> = listed.models.list().map(|entry| as_json(entry, &listed)).collect();
        screen::print_json(&list)?;
    } else {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let noticed = runtime.block_on(nearby(&config.models, set));
        let noticed = noticed.iter().map(to_add).collect::<String>();
        screen::page(&format!("{}{}{noticed}", table(&listed), ages(&listed.models, SystemTime::now())))?;
    }
    // A name that nobody resolves is waited for by nobody.
    runtime.shutdown_background();
    Ok(Exit::Done.into())
}

/// The models, and whose server does not answer.
struct Listed {
    models: Models,
    silent: BTreeMap<String, String>,
}

impl Listed {
    fn trouble<'a>(&'a self, entry: &'a Entry) -> Option<&'a String> {
        entry.trouble.as_ref().or_else(|| self.silent.get(&entry.model.alias))
    }
}

/// Whether nothing is in the way but perhaps its server.
pub fn could_be_asked(models: &Models, alias: &str) -> bool {
    models.get(alias).is_some_and(|entry| entry.trouble.is_none())
}

async fn probed(home: &std::path::Path, entry: &Entry, as_json: bool) -> Result<ExitCode> {
    let found = probe(home, entry).await.map_err(|why| With(Exit::Usage, anyhow!(why)))?;
    let alias = &entry.model.alias;
    if let Err(why) = &found.answered {
        return Err(With(
            Exit::Unavailable,
            anyhow!("`{alias}` does not answer: {why}\nhint: `agentry models` says whether it could be asked"),
        )
        .into());
    }
    if as_json {
        screen::print_json(&json!({"alias": alias, "left_out": found.left_out, "cost_microusd": found.microusd}))?;
        return Ok(Exit::Done.into());
    }
    let cost = found
        .microusd
        .map_or_else(|| "its price is not known".to_owned(), |cost| format!("it cost {}", units::dollars(cost)));
    let taken = match &found.left_out[..] {
        [] => "takes all that a guest may hint at".to_owned(),
        left_out => format!("does not take {}: it is left out from now on", left_out.join(", ")),
    };
    screen::print(&format!("`{alias}` answers, and {}; {cost}\n", text::line(&taken)))?;
    Ok(Exit::Done.into())
}

/// Prices that are old, in a line each.
fn ages(models: &Models, now: SystemTime) -> String {
    let old = models.list().filter_map(|entry| {
        let (date, source) = entry.priced.as_ref()?;
        let age = prices::age_days(date, now).filter(|days| *days > AGE_MAX_DAYS)?;
        let alias = &entry.info.alias;
        Some(format!("the price of `{alias}` is {age} days old ({source}, {date})\n"))
    });
    let mut told: String = old.map(|line| styled(DIM, line)).collect();
    if !told.is_empty() {
        let hint = "`agentry models --prices FILE` reads newer ones; `price` in agentry.toml goes before both";
        told.push_str(&format!("{}: {}\n", styled(HINT, "hint"), screen::given::completed(hint)));
    }
    told
}

/// What is near, with the lines that make a model of it.
fn to_add(noticed: &Noticed) -> String {
    let lines: String = noticed.lines.lines().map(|line| format!("  {}\n", text::line(line))).collect();
    format!(
        "\n{}. To use it, add to agentry.toml (which begins with `format = 1`):\n{lines}",
        text::line(&noticed.what)
    )
}
#[cfg(feature = "embedded")]
fn fetch(home: &Home) -> Result<()> {
    let weights = agentry_llm_embedded::fetch::fetch_embedded(home.path(), |step| screen::tell(&format!("{step}\n")));
    weights.map(drop).map_err(|error| With(Exit::Unavailable, error.into()).into())
}

#[cfg(not(feature = "embedded"))]
fn fetch(_: &Home) -> Result<()> {
    anyhow::bail!("this agentry was built without the embedded model\nhint: name a model of a server in agentry.toml")
}

fn table(listed: &Listed) -> String {
    let columns =
        [left("model"), right("window").goes(2), right("answer").goes(3), right("1 M in / out").goes(1), left("where")];
    let mut table = Table::new(columns);
    for entry in listed.models.list() {
        let info = &entry.info;
        let price = match (info.input_microusd_per_mtok, info.output_microusd_per_mtok) {
            (Some(0), Some(0)) => "free".to_owned(),
            (Some(input), Some(output)) => format!("{} / {}", units::dollars(input), units::dollars(output)),
            _ => "not known".to_owned(),
        };
        let place = if info.local { "this machine" } else { "elsewhere" };
        let default = if entry.model.alias == listed.models.default_alias() { " (default)" } else { "" };
        let cells = [
            text::cut(&info.alias, 32).into(),
            units::count(u64::from(info.context_tokens)).into(),
            units::count(u64::from(info.max_output_tokens)).into(),
            price.into(),
            format!("{place}{default}").into(),
        ];
        table.row(cells, listed.trouble(entry).map(|trouble| screen::trouble(trouble)).unwrap_or_default());
    }
    table.show(screen::fold::columns())
}

fn as_json(entry: &Entry, listed: &Listed) -> Value {
    let info = &entry.info;
    json!({
        "alias": info.alias,
        "default": entry.model.alias == listed.models.default_alias(),
        "context_tokens": info.context_tokens,
        "max_output_tokens": info.max_output_tokens,
        "input_microusd_per_mtok": info.input_microusd_per_mtok,
        "output_microusd_per_mtok": info.output_microusd_per_mtok,
        "media": info.media,
        "tools": info.tools,
        "schema_output": info.schema_output,
        "local": info.local,
        "price_date": entry.priced.as_ref().map(|(date, _)| date),
        "price_source": entry.priced.as_ref().map(|(_, source)| source),
        "trouble": listed.trouble(entry),
    })
}
