//! `agentry setup`: a home that works, after three questions. It writes only files that are not there yet, and grants nothing.

use std::fs;
use std::io::{self, BufRead, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use agentry_config::policies;
use agentry_config::reader::near_or_all;
use agentry_config::secret::Key;
use agentry_kernel::Digest;
use agentry_kernel::policy::{Policy, Source};
use agentry_llm::config::ModelsConfig;
use agentry_llm::nearby::{Noticed, known, lines_of, nearby};
use agentry_runtime::config::{CONFIG_FILE, Config};
use agentry_store::disk;
use anyhow::{Context, Result, bail};

use crate::exit::Exit;
use crate::home::{Home, HomeArgs, can_write, typed};
use crate::screen::{self, BAD, BOLD, DIM, GOOD, HINT, styled, text};

/// What all agents together may spend in a day, if nobody says otherwise.
const USD_DAY: &str = "5.00";

/// How often a question is put whose answer makes no sense: somebody who pipes answers in is not asked for ever.
const ASKED_MAX: u32 = 3;

/// Makes a home that works: asks where, which model, and how much money a day
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry setup
  agentry setup --yes                                        # the model in the process, 5 dollars a day
  agentry setup --model ollama=qwen3:8b                      # a server of this machine
  agentry setup --model http://127.0.0.1:8000/v1=qwen3       # the same, wherever it listens
  agentry setup --model openai=gpt-5.4-mini --usd-day 2.00   # with its key in OPENAI_API_KEY

A file that is there already stays as it is.")]
pub struct Args {
    #[command(flatten)]
    home: HomeArgs,
    /// Which model: `embedded`, `PROVIDER=MODEL` (such as `openai=MODEL`) or `URL=MODEL`
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
    let said = asks("Where does Agentry keep its things?", &named)?;
    // What is shown of a name need not be all of it.
    let home = if said == named { home } else { HomeArgs::at(Some(typed(&said))).resolve()? };
    let which = "Which model do agents ask? embedded, PROVIDER=MODEL or URL=MODEL";
    if args.model.is_none() && !args.yes {
        screen::tell(&at_hand()?);
    }
    let configured = answered(args.model.as_deref(), || asks(which, "embedded"), configuration)?;
    let (model, configuration) = configured;
    let much = "How many dollars may all agents together spend in a day?";
    let (_, site) = answered(args.usd_day.as_deref(), || asks(much, USD_DAY), site)?;
    let files = [
        ("policies/00-site.toml", site, 0o644, args.usd_day.as_ref().map(|_| "--usd-day")),
        (CONFIG_FILE, configuration, 0o600, args.model.as_ref().map(|_| "--model")),
    ];
    for directory in ["", "agents", "policies"] {
        let path = home.path().join(directory);
        fs::create_dir_all(&path)
            .with_context(|| format!("cannot make {}\nhint: choose another home: --home DIR", path.display()))?;
    }
    if let Err(error) = can_write(home.path()) {
        let mend = disk::mend(&error);
        bail!("this user cannot write {}: {error}\nhint: {mend}", text::line(&home.path().display().to_string()));
    }
    for (file, content, mode, option) in &files {
        write(&home.path().join(file), content, *mode, *option)?;
    }
    // What was written is read as a host would, before anybody relies on it.
    policies::load(&home.policies())?;
    let config = Config::load(home.path())?;
    // Commands to copy: a line break in one would be part of it.
    screen::print(&next(&home, &model, lacking(&config).as_deref()))?;
    screen::tell(&unpriced(&config));
    Ok(Exit::Done.into())
}

/// An answer and what is made of it: what was given, or what is asked for until it makes sense.
fn answered(
    given: Option<&str>,
    ask: impl Fn() -> Result<String>,
    make: impl Fn(&str) -> Result<String>,
) -> Result<(String, String)> {
    if let Some(given) = given {
        return Ok((given.to_owned(), make(given)?));
    }
    for _ in 1..ASKED_MAX {
        let answer = ask()?;
        match make(&answer) {
            Ok(made) => return Ok((answer, made)),
            Err(error) => screen::complain(&error),
        }
    }
    let answer = ask()?;
    let made = make(&answer)?;
    Ok((answer, made))
}

/// Asks one question; an empty line, or no line at all, is the default.
fn answer(question: &str, default: &str) -> Result<String> {
    screen::tell(&format!("{} {} ", styled(BOLD, question), styled(DIM, format_args!("[{}]", text::line(default)))));
    let _ = io::stderr().flush();
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line).context("cannot read the answer\nhint: --yes asks nothing")?;
    if read == 0 {
        screen::tell("\n");
        bail!("nobody answered\nhint: an empty line takes what stands in brackets; --yes asks nothing");
    }
    let line = line.trim();
    Ok(if line.is_empty() { default.to_owned() } else { line.to_owned() })
}

/// An amount as people write it, without its currency: `$5` and `5 USD` are `5`.
fn number(amount: &str) -> &str {
    let amount = amount.trim().trim_start_matches('$');
    amount.trim_end_matches('$').trim_end_matches("USD").trim()
}

fn site(usd_day: &str) -> Result<String> {
    let shown = text::line(usd_day);
    let usd_day = number(usd_day);
    let site = format!(
        "# What bounds every agent of this home. Each agent has a grant of its own beside it: agentry inspect FILE --grant\n\
         format = 1\nlayer = \"site\"\n\n\
         [ceiling]\nbudget = {{ usd_day = {usd_day:?} }}    # of all agents together\n\n\
         [[require]]\nid = \"site/irreversible\"\neffect = \"irreversible\"\napproval = {{ from = \"anyone\" }}\n\
         why = \"What cannot be undone, a person looks at first.\"\n"
    );
    // The amount is all of it that can be wrong.
    if Policy::parse(&[Source { file: "00-site.toml", text: &site }], Digest::default()).is_err() {
        bail!("`{shown}` is no amount of money in dollars\nhint: such as {USD_DAY}, with a point");
    }
    Ok(site)
}

/// Models that somebody has already: keys in the environment, servers of this machine.
fn at_hand() -> Result<String> {
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let noticed = threads.block_on(nearby(&ModelsConfig::default(), set));
    let line = |noticed: &Noticed| format!("  {}: {}\n", text::line(&noticed.what), text::line(&noticed.model));
    Ok(noticed.iter().map(line).collect())
}

fn configuration(model: &str) -> Result<String> {
    let head = "# The models of this home: `agentry models` lists them and says what they lack. Agents are executed by processes that have\n\
                # nothing of it, unless [engine] with isolation = \"none\" says otherwise.\nformat = 1\n";
    if model == "embedded" {
        return Ok(format!("{head}default = \"embedded\"\n"));
    }
    let Some((provider, name)) = model.rsplit_once('=').filter(|(_, name)| !name.is_empty()) else {
        let shown = text::line(model);
        bail!("`{shown}` is no model\nhint: embedded, PROVIDER=MODEL such as openai=MODEL, or URL=MODEL of a server");
    };
    // What Google calls its models, people call their provider.
    let provider = if provider == "gemini" { "google" } else { provider };
    let lines = match lines_of(provider, name) {
        Some(lines) => lines,
        None if provider.starts_with("http://") || provider.starts_with("https://") => format!(
            "[providers.server]\nkind = \"openai-compatible\"\nbase_url = {provider:?}\n\n\
             [models.server]\nprovider = \"server\"\nmodel = {name:?}\n"
        ),
        None => {
            let known: Vec<_> = known().collect();
            let near = near_or_all(provider, &known);
            let between = if near.ends_with('?') { " Else give" } else { "; or" };
            bail!("nobody knows the provider `{}`\nhint: {near}{between} the URL of a server", text::line(provider))
        }
    };
    let text = format!("{head}\n{lines}");
    // What runs on this machine costs nothing, so that a budget in money does not keep it from being asked.
    let models = Config::parse(CONFIG_FILE, &text)?.models.models;
    Ok(if models.iter().all(|model| model.provider.loopback && !model.local) {
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

/// Writes a file that is not there; one that is stays, and an option that would have been written into it says so.
fn write(path: &Path, content: &str, mode: u32, option: Option<&str>) -> Result<()> {
    let shown = path.display();
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    match file {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            screen::tell(&format!("{shown} is there already and stays as it is\n"));
            let same = || fs::read(path).is_ok_and(|kept| kept == content.as_bytes());
            if let Some(option) = option.filter(|_| !same()) {
                let file = text::line(&path.display().to_string());
                screen::tell(&format!(
                    "{}: {option} changes nothing\n{}: write it into {file}, or move that away and set up again\n",
                    styled(BAD, "warning"),
                    styled(HINT, "hint"),
                ));
            }
            Ok(())
        }
        opened => opened
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .with_context(|| format!("cannot write {shown}\nhint: choose another home: --home DIR")),
    }
}

/// The variable of a key that the default model wants and that is not set.
fn lacking(config: &Config) -> Option<String> {
    let default = config.models.models.iter().find(|model| model.alias == config.models.default)?;
    match default.provider.key.as_ref()? {
        Key::Env(name) if std::env::var_os(name).is_none_or(|value| value.is_empty()) => Some(name.clone()),
        Key::Env(_) | Key::File(_) => None,
    }
}

fn next(home: &Home, model: &str, key: Option<&str>) -> String {
    let (place, grant) =
        (text::word(home.path().display()), text::word(home.policies().join("50-greeter.toml").display()));
    let mut page = format!("{}\n", styled(GOOD, format_args!("{} is ready", home.path().display())));
    if HomeArgs::at(None).resolve().is_ok_and(|usual| usual.path() != home.path()) {
        let there = std::path::absolute(home.path()).unwrap_or_else(|_| home.path().to_path_buf());
        let shown = text::word(there.display());
        page.push_str(&format!("  # or --home with each command\n  export AGENTRY_HOME={shown}\n"));
    }
    if model == "embedded" {
        page.push_str(&format!("  # the model's weights, once\n  agentry models --fetch --home {place}\n"));
    }
    if let Some(key) = key {
        page.push_str(&format!("  # the key of its provider, where agents are run\n  export {key}=…\n"));
    }
    page.push_str(&format!(
        "  agentry new greeter && agentry build greeter\n  agentry inspect greeter/greeter.wasm --grant > {grant}\n  \
         agentry doctor --home {place}\n  agentry run greeter/greeter.wasm \"hello\" --home {place}\n"
    ));
    page
}
