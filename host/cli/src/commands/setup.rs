//! `agentry setup`: a home that works, after three questions. It writes only files that are not there yet, and grants nothing.

use std::fs;
use std::io::{self, BufRead, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agentry_config::policies::{self, PoliciesError};
use agentry_kernel::Digest;
use agentry_kernel::policy::{Policy, Source};
use agentry_runtime::config::{CONFIG_FILE, Config};
use anyhow::{Context, Result, bail};

use crate::exit::Exit;
use crate::home::{Home, HomeArgs};
use crate::screen::{self, BAD, BOLD, DIM, GOOD, HINT, styled, text};

/// What all agents together may spend in a day, if nobody says otherwise.
const USD_DAY: &str = "5.00";

/// Makes a home that works: asks where, which model, and how much money a day
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry setup
  agentry setup --yes                                        # the model in the process, 5 dollars a day
  agentry setup --model http://127.0.0.1:11434/v1=qwen3:8b   # a server of this machine
  agentry setup --model openai=gpt-4o-mini --usd-day 2.00    # with its key in OPENAI_API_KEY

A file that is there already stays as it is.")]
pub struct Args {
    #[command(flatten)]
    home: HomeArgs,
    /// Which model: `embedded`, `openai=MODEL`, `anthropic=MODEL` or `URL=MODEL`
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// What all agents together may spend in a day, in US dollars
    #[arg(long, value_name = "AMOUNT")]
    usd_day: Option<String>,
    /// Ask nothing
    #[arg(long)]
    yes: bool,
}

/// Asks, and makes it.
pub fn run(args: Args) -> Result<ExitCode> {
    let home = args.home.resolve()?;
    let asks =
        |question: &str, default: &str| if args.yes { Ok(default.to_owned()) } else { answer(question, default) };
    let named = home.path().display().to_string();
    let place = PathBuf::from(asks("Where does Agentry keep its things?", &named)?);
    let home = HomeArgs::at(Some(place)).resolve()?;
    let which = "Which model do agents ask? embedded, openai=MODEL, anthropic=MODEL or URL=MODEL";
    let model = args.model.clone().map_or_else(|| asks(which, "embedded"), Ok)?;
    let much = "How many dollars may all agents together spend in a day?";
    let usd_day = args.usd_day.clone().map_or_else(|| asks(much, USD_DAY), Ok)?;
    let site = site(&usd_day);
    let sound = Policy::parse(&[Source { file: "00-site.toml", text: &site }], Digest::default());
    sound
        .map_err(PoliciesError::Mistakes)
        .with_context(|| format!("`{}` is no amount of money\nhint: --usd-day {USD_DAY}", text::line(&usd_day)))?;
    let files = [("policies/00-site.toml", site, 0o644), ("agentry.toml", configuration(&model)?, 0o600)];
    for directory in ["", "agents", "policies"] {
        let path = home.path().join(directory);
        fs::create_dir_all(&path)
            .with_context(|| format!("cannot make {}\nhint: choose another home: --home DIR", path.display()))?;
    }
    for (file, content, mode) in &files {
        write(&home.path().join(file), content, *mode)?;
    }
    // What was written is read as a host would, before anybody relies on it.
    policies::load(&home.policies())?;
    let config = Config::load(home.path())?;
    screen::page(&next(&home, &model))?;
    screen::tell(&unpriced(&config));
    Ok(Exit::Done.into())
}

/// Asks one question; an empty line, or no line at all, is the default.
fn answer(question: &str, default: &str) -> Result<String> {
    screen::tell(&format!("{} {} ", styled(BOLD, question), styled(DIM, format_args!("[{}]", text::line(default)))));
    let _ = io::stderr().flush();
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("cannot read the answer\nhint: --yes asks nothing")?;
    let line = line.trim();
    Ok(if line.is_empty() { default.to_owned() } else { line.to_owned() })
}

fn site(usd_day: &str) -> String {
    format!(
        "# What bounds every agent of this home. Each agent has a grant of its own beside it: agentry inspect FILE --grant\n\
         format = 1\nlayer = \"site\"\n\n\
         [ceiling]\nbudget = {{ usd_day = {usd_day:?} }}    # of all agents together\n\n\
         [[require]]\nid = \"site/irreversible\"\neffect = \"irreversible\"\napproval = {{ from = \"anyone\" }}\n\
         why = \"What cannot be undone, a person looks at first.\"\n"
    )
}

fn configuration(model: &str) -> Result<String> {
    let head = "# The models of this home: `agentry models` lists them and says what they lack. Agents are executed by processes that have\n\
                # nothing of it, unless [engine] with isolation = \"none\" says otherwise.\nformat = 1\n";
    if model == "embedded" {
        return Ok(format!("{head}default = \"embedded\"\n"));
    }
    let Some((provider, name)) = model.rsplit_once('=').filter(|(_, name)| !name.is_empty()) else {
        bail!(
            "`{}` is no model\nhint: embedded, openai=MODEL, anthropic=MODEL, or URL=MODEL of a server",
            text::line(model)
        );
    };
    let kind = match provider {
        "openai" => "kind = \"openai\"\nkey = { env = \"OPENAI_API_KEY\" }\n".to_owned(),
        "anthropic" => "kind = \"anthropic\"\nkey = { env = \"ANTHROPIC_API_KEY\" }\n".to_owned(),
        url if url.starts_with("http://") || url.starts_with("https://") => {
            format!("kind = \"openai-compatible\"\nbase_url = {url:?}\n")
        }
        other => {
            bail!("nobody knows the provider `{}`\nhint: openai, anthropic, or the URL of a server", text::line(other))
        }
    };
    let text = format!(
        "{head}default = \"default-model\"\n\n[providers.first]\n{kind}\n[models.default-model]\nprovider = \"first\"\nmodel = {name:?}\n"
    );
    // What runs on this machine costs nothing, so that a budget in money does not keep it from being asked.
    let local = Config::parse(CONFIG_FILE, &text)?.models.models.iter().all(|model| model.provider.loopback);
    Ok(if local {
        format!("{text}local = true    # no word leaves this machine; take it out if this server asks another one\n")
    } else {
        text
    })
}

/// What is said of a model that would never be asked, because the budget is in money and nobody knows its price.
fn unpriced(config: &Config) -> String {
    let unpriced = config.models.models.iter().find(|model| model.price.is_none());
    unpriced.map_or_else(String::new, |model| {
        let alias = &model.alias;
        format!(
            "{}: nobody knows the price of `{}`, and the budget is in money: it is not asked until you say it\n\
             {}: below [models.{alias}] in {CONFIG_FILE}: price = {{ input = 150_000, output = 600_000 }}, in micro-USD for a million tokens\n",
            styled(BAD, "warning"),
            text::line(&model.model),
            styled(HINT, "hint"),
        )
    })
}

/// Writes a file that is not there.
fn write(path: &Path, content: &str, mode: u32) -> Result<()> {
    let shown = path.display();
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    match file {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            screen::tell(&format!("{shown} is there already and stays as it is\n"));
            Ok(())
        }
        opened => opened
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .with_context(|| format!("cannot write {shown}\nhint: choose another home: --home DIR")),
    }
}

fn next(home: &Home, model: &str) -> String {
    let place = home.path().display();
    let mut page = format!("{}\n", styled(GOOD, format_args!("{place} is ready")));
    if model == "embedded" {
        page.push_str(&format!("  agentry models --fetch --home {place}      # the model's weights, once\n"));
    }
    page.push_str(&format!(
        "  agentry new greeter && agentry build greeter\n  agentry inspect greeter/greeter.wasm --grant > {place}/policies/50-greeter.toml\n  \
         agentry doctor --home {place}\n"
    ));
    page
}
