//! `agentry run`: one agent, one input, once. It shows what happens and what it cost.

mod prompt;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use agentry_runtime::engine::compile::Compiler;
use agentry_runtime::host::{Host, OpenError, Options, RunError};
use agentry_runtime::limits::INPUT_MAX_BYTES;
use agentry_runtime::run::Report;
use agentry_runtime::run::context::{Event, Observer};
use anyhow::{Context, Result, anyhow, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::prompt::Prompt;
use crate::exit::{Exit, With};
use crate::home::HomeArgs;
use crate::screen::live::Live;
use crate::screen::{self, report};

/// What is read of an input: enough for the host to see that it is too long.
const INPUT_READ_MAX_BYTES: u64 = INPUT_MAX_BYTES as u64 + 1;

/// Events that may wait to be shown; more are dropped, the run never waits.
const EVENTS_MAX: usize = 4096;

/// Runs an agent under the policy and shows what happens and what it cost
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry run ./researcher.wasm --input '{\"question\": \"What is a whale?\"}' --root documents=./docs
  agentry run researcher --input @question.json --model large
  echo '{}' | agentry run ./echo.wasm --input - --json
  agentry run ./echo.wasm --model scripted:answers.jsonl     # a model that reads its answers from a file")]
pub struct Args {
    /// A component's file, or the name of one in the home's agents
    #[arg(value_name = "AGENT|FILE.wasm")]
    agent: String,
    /// The input: JSON, a file of it, or standard input
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}")]
    input: String,
    #[command(flatten)]
    home: HomeArgs,
    /// The directory of policies [default: the home's policies]
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// What the agent gets when it asks for its default model
    #[arg(long, value_name = "ALIAS|scripted:FILE")]
    model: Option<String>,
    /// What a root that the policy grants stands for; as often as there are roots
    #[arg(long = "root", value_name = "NAME=DIR", value_parser = root)]
    roots: Vec<(String, PathBuf)>,
    /// Wait for people where policy asks them, also without a terminal: they answer by `agentry approve`
    #[arg(long)]
    wait: bool,
    /// Print one JSON object and nothing else on stdout
    #[arg(long)]
    json: bool,
}

/// Runs it to its end, or until a person stops it.
pub fn run(args: Args) -> Result<ExitCode> {
    let input = input(&args.input)?;
    let home = args.home.resolve()?;
    let component = home.component(&args.agent)?;
    let options = Options {
        policies: args.policies.unwrap_or_else(|| home.policies()),
        home: home.path().to_path_buf(),
        roots: roots(args.roots)?,
        model: args.model,
        compiler: Compiler::Child(std::env::current_exe().context("cannot find this program, which also compiles")?),
    };
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let report = threads.block_on(async {
        // Before the store is opened, so that from the first trace of a run a Ctrl-C ends it in good order.
        let interrupts = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
        let host = Host::open(options).await.map_err(|error| match error {
            OpenError::Store(_) => With(Exit::Unavailable, error.into()).into(),
            error => anyhow::Error::from(error),
        })?;
        // Where nobody can be asked, what needs a person is refused at once.
        let host = if args.wait || Prompt::has_terminal() { host.attended() } else { host };
        watched(&host, &component, input, interrupts).await
    })?;
    if args.json {
        screen::print_json(&report::as_json(&report))?;
    } else {
        screen::print(&report::output(&report))?;
    }
    screen::say(&report::ending(&report));
    Ok(Exit::from(report.status).into())
}

/// Runs while it shows what happens. The first Ctrl-C stops the run in good order; a second one ends the program at once.
async fn watched(host: &Host, component: &Path, input: Vec<u8>, mut interrupts: Signal) -> Result<Report> {
    let (sender, mut events) = mpsc::channel(EVENTS_MAX);
    let mut live = Live::on_stderr();
    let mut prompt = Prompt::new();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let stop = CancellationToken::new();
    let mut run = std::pin::pin!(host.run_until(stop.clone(), component, input, Observer::channel(sender)));
    let report = loop {
        tokio::select! {
            biased;
            Some(()) = interrupts.recv() => {
                if stop.is_cancelled() {
                    live.end();
                    return Err(stopped("stopped at once, in the middle").into());
                }
                stop.cancel();
            }
            Some(event) = events.recv() => {
                live.show(&event);
                if let Event::Asked(question) = &event {
                    prompt.ask(question);
                }
            }
            report = &mut run => break report,
            line = prompt.line() => prompt.answer(host, &line).await,
            _ = second.tick() => {
                prompt.forget_closed(host);
                if prompt.is_idle() {
                    live.tick();
                }
            }
        }
    };
    while let Ok(event) = events.try_recv() {
        live.show(&event);
    }
    live.end();
    report.map_err(|error| match error {
        RunError::Store(_) => With(Exit::Unavailable, error.into()).into(),
        // At a terminal the child that compiles gets the Ctrl-C as well, and there is no run yet.
        RunError::Compile(_) if stop.is_cancelled() => stopped("stopped before it began").into(),
        error => error.into(),
    })
}

fn stopped(how: &'static str) -> With {
    With(Exit::Failed, anyhow!("{how}\nhint: `agentry trace last` shows how far the last run came"))
}

/// The input's bytes; whether they are JSON is the host's business.
fn input(given: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if given == "-" {
        io::stdin().take(INPUT_READ_MAX_BYTES).read_to_end(&mut bytes).context("cannot read the input from stdin")?;
    } else if let Some(file) = given.strip_prefix('@') {
        let opened = File::open(file).and_then(|open| open.take(INPUT_READ_MAX_BYTES).read_to_end(&mut bytes));
        opened
            .with_context(|| format!("cannot read the input from {file}\nhint: --input @FILE names a file of JSON"))?;
    } else {
        bytes = given.as_bytes().to_vec();
    }
    Ok(bytes)
}

fn root(given: &str) -> Result<(String, PathBuf), String> {
    match given.split_once('=') {
        Some((name, directory)) if !name.is_empty() && !directory.is_empty() => Ok((name.to_owned(), directory.into())),
        _ => Err("a root is NAME=DIR, such as documents=./docs".to_owned()),
    }
}

fn roots(given: Vec<(String, PathBuf)>) -> Result<BTreeMap<String, PathBuf>> {
    let mut roots = BTreeMap::new();
    for (name, directory) in given {
        if let Some(first) = roots.insert(name.clone(), directory) {
            bail!("root `{name}` is given twice\nhint: it is {} already; leave one of them out", first.display());
        }
    }
    Ok(roots)
}
