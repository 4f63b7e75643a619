//! `agentry run`: one agent, one input, once. It shows what happens and what it cost. Where a host serves the home, the run is that host's.

mod elsewhere;
pub mod own;
pub mod prompt;
pub mod words;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use agentry_journal::report::Report;
use agentry_kernel::manifest::Manifest;
use agentry_runtime::exec::errors::RunError;
use agentry_runtime::host::{Host, Options};
use agentry_runtime::run::events::{Event, Observer};
use agentry_serve::error::OpError;
use agentry_store::limits::INPUT_MAX_BYTES;
use anyhow::{Context, Result, anyhow, bail};
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::elsewhere::Ordered;
use self::prompt::{Hearer, Prompt};
use super::hosting::{self, HostingArgs};
use crate::exit::{self, Exit, With};
use crate::home::{self, HomeArgs};
use crate::package;
use crate::screen::about::AdminFiles;
use crate::screen::live::Live;
use crate::screen::{self, given, report, text};

/// What is read of an input: enough for the host to see that it is too long.
const INPUT_READ_MAX_BYTES: u64 = INPUT_MAX_BYTES as u64 + 1;

/// What lasts before a run has begun.
pub(super) const COMPILES: &str = "compiling the component; that is done once";

/// Events that may wait to be shown; more are dropped, the run never waits.
const EVENTS_MAX: usize = 4096;

/// Runs an agent under the policy and shows what happens and what it cost
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry run ./researcher.wasm --input '{\"question\": \"What is a whale?\"}' --root documents=./docs
  agentry run reminder \"buy milk tomorrow\"                     # as the agent's input_schema says
  agentry run researcher --input @question.json --model large
  echo '{}' | agentry run ./echo.wasm --input - --json
  agentry run ./echo.wasm --model scripted:answers.jsonl     # a model that reads its answers from a file
  agentry run --detach researcher --input @question.json     # on the host that `agentry serve` started")]
pub struct Args {
    /// A component's file, or the name of one in the home's agents
    #[arg(value_name = "AGENT|FILE.wasm")]
    agent: String,
    /// Instead of --input: text and flags that the agent's `input_schema` names; `run AGENT --help` lists them
    #[arg(value_name = "WORD|--FIELD VALUE", conflicts_with = "input")]
    words: Vec<String>,
    /// The input: JSON, a file of it, or standard input
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}")]
    input: String,
    #[command(flatten)]
    hosting: HostingArgs,
    /// Wait for people where policy asks them, also without a terminal: they answer by `agentry approve`
    #[arg(long)]
    wait: bool,
    /// Begin it on the host that serves this home, print its id and leave
    #[arg(long)]
    detach: bool,
    /// An order that can be made again: under the same key no second run begins on the host that serves
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Print one JSON object and nothing else on stdout
    #[arg(long)]
    json: bool,
    /// In a window of its own: ask for a line if the agent needs a text, and wait for Enter at the end
    #[arg(long, conflicts_with_all = ["words", "input", "json", "detach"])]
    window: bool,
}

/// Runs it to its end, or until a person stops it.
pub fn run(args: Args) -> Result<ExitCode> {
    if !args.window {
        return run_it(args);
    }
    let ended = run_it(args).unwrap_or_else(|error| {
        screen::complain(&error);
        exit::of(&error).into()
    });
    screen::tell("\n[Enter closes this window] ");
    io::stdin()
        .lock()
        .take(INPUT_READ_MAX_BYTES)
        .read_line(&mut String::new())
        .context("cannot read from the terminal")?;
    Ok(ended)
}

fn run_it(args: Args) -> Result<ExitCode> {
    let home = args.hosting.home()?;
    let component = home.component(&args.agent)?;
    home::is_there(&component)?;
    given::agent(&args.agent, &args.hosting.policies()?);
    let manifest = || Ok::<_, anyhow::Error>(package::of_file_in(home.path(), &component)?.manifest);
    let input = match args.words.as_slice() {
        [] if args.window => asked(&manifest()?)?,
        [] => input(&args.input)?,
        words => words::input(&manifest()?, words)?,
    };
    let alone = args.hosting.wants_its_own_host();
    if args.detach {
        if alone {
            bail!("--detach leaves models, roots and policies to the host\nhint: give them to agentry serve");
        }
        return elsewhere::detach(&home, &Ordered { component, input, key: args.key }, args.json);
    }
    let ordered = Ordered { component, input, key: args.key };
    if !alone && let Some(ended) = elsewhere::run(&home, &ordered)? {
        return finish(&ended, args.json);
    }
    if ordered.key.is_some() {
        bail!("--key is for runs on a host that serves\nhint: start one: agentry serve, or leave --key out");
    }
    args.hosting.unless_hosted(&home)?;
    let options = Options { one_run: true, ..args.hosting.options()? };
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let ended = threads.block_on(async {
        // Before the store is opened, so that from the first trace of a run a Ctrl-C ends it in good order.
        let interrupts = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
        let (admin, host) = (AdminFiles::of(&options), hosting::open_for(&ordered.component, options).await?);
        // Where nobody can be asked, what needs a person is refused at once.
        let host = Arc::new(if args.wait || Prompt::has_terminal() { host.attended() } else { host });
        let (runs, component, input) = (Arc::clone(&host), ordered.component.clone(), ordered.input.clone());
        let go = |observer, stop| async move { runs.run_until(stop, &component, input, observer).await };
        watched(&host, admin, interrupts, go).await
    });
    // A host that began at the same moment has the home, and takes orders.
    let ended = match ended {
        Err(error) if !alone && hosting::is_in_use(&error) => elsewhere::run(&home, &ordered)?.ok_or(error),
        ended => ended,
    };
    finish(&ended?, args.json)
}

/// What somebody in a window says to an agent, if it needs to be told a text; none is what it is without one.
fn asked(manifest: &Manifest) -> Result<Vec<u8>> {
    let mut line = String::new();
    let Some(text) = words::one_text(manifest) else { return Ok(b"{}".to_vec()) };
    screen::tell(&format!("{}: ", text::line(manifest.agent())));
    io::stdin().lock().take(INPUT_READ_MAX_BYTES).read_line(&mut line).context("cannot read from the terminal")?;
    Ok(text.of(line.trim_end_matches(['\n', '\r'])))
}

/// What the agent that these arguments name takes; empty if they name none, or it does not say.
pub fn help(arguments: &[OsString]) -> String {
    let words: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let home = words.iter().position(|word| *word == "--home").and_then(|place| words.get(place + 1));
    let home = HomeArgs::at(home.map(PathBuf::from)).resolve();
    let Ok(home) = home else { return String::new() };
    let agents = words.iter().skip(2).filter(|word| !word.starts_with('-'));
    let manifests = agents.filter_map(|agent| {
        let file = home.component(agent).ok()?;
        Some(package::of_file_in(home.path(), &file).ok()?.manifest)
    });
    manifests.map(|manifest| words::about(&manifest)).next().unwrap_or_default()
}

/// A run that is over, for whoever looks at its end.
pub struct Ended {
    /// How it ended.
    pub report: Report,
    /// Whether its output stands on the screen already.
    pub showed: bool,
}

impl From<Report> for Ended {
    fn from(report: Report) -> Self {
        Self { report, showed: false }
    }
}

/// Prints the output, if nobody has seen it yet, and the bill, and ends as the run did.
pub fn finish(ended: &Ended, as_json: bool) -> Result<ExitCode> {
    let Ended { report, showed } = ended;
    if as_json {
        screen::print_json(&report::as_json(report))?;
    } else if !showed {
        let shows = if matches!(report.output, Some(Value::String(_))) { screen::prose } else { screen::print };
        shows(&report::output(report))?;
    }
    screen::tell(&report::ending(report));
    Ok(Exit::from(report.status).into())
}

/// Runs while it shows what happens, in a task of its own: whoever reads the screen slowly holds up neither its time nor whoever stops it. The first Ctrl-C stops the run in good order; a second one ends the program at once.
pub(super) async fn watched<F>(
    host: &Host,
    admin: AdminFiles,
    mut interrupts: Signal,
    go: impl FnOnce(Observer, CancellationToken) -> F,
) -> Result<Ended>
where
    F: Future<Output = Result<Report, RunError>> + Send + 'static,
{
    let (sender, mut events) = mpsc::channel(EVENTS_MAX);
    let mut live = Live::on_stderr(admin);
    let mut prompt = Prompt::new();
    let hearer = Hearer::Here(host);
    let mut begun = false;
    let gate = &host.services().drivers.gate;
    // One of several, if it has called others: whatever takes long, takes long for it.
    let waits = || gate.live().first()?.waits.map(|wait| super::waits(Some(wait)).to_owned());
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let stop = CancellationToken::new();
    let mut run = tokio::spawn(go(Observer::channel(sender), stop.clone()));
    let report = loop {
        tokio::select! {
            biased;
            Some(()) = interrupts.recv() => {
                if stop.is_cancelled() {
                    live.end();
                    return Err(stopped("stopped at once, in the middle").into());
                }
                prompt.leave();
                stop.cancel();
            }
            Some(event) = events.recv() => {
                begun |= matches!(event, Event::Started { .. });
                live.show(&event);
                match &event {
                    Event::Asked(question) => prompt.ask(question),
                    Event::Inquired(inquiry) => prompt.inquire(inquiry),
                    _ => {}
                }
            }
            report = &mut run => break report.context("the run's own task broke down")?,
            line = prompt.line() => prompt.answer(&hearer, &line).await,
            _ = second.tick() => {
                prompt.forget_closed(&hearer);
                if prompt.is_idle() {
                    live.tick(|| if begun { waits() } else { Some(COMPILES.to_owned()) });
                }
            }
        }
    };
    while let Ok(event) = events.try_recv() {
        live.show(&event);
    }
    live.end();
    match report {
        Ok(report) => Ok(Ended { showed: live.showed(report.output.as_ref()), report }),
        // At a terminal the child that compiles gets the Ctrl-C as well, and there is no run yet.
        Err(RunError::Prepare(_)) if stop.is_cancelled() => Err(stopped("stopped before it began").into()),
        Err(error) => Err(OpError::from(error).into()),
    }
}

fn stopped(how: &'static str) -> With {
    With(Exit::Failed, anyhow!("{how}\nhint: `agentry trace last` shows how far the last run came"))
}

/// The input's bytes; whether they are JSON is the host's business.
pub(super) fn input(given: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if given == "-" {
        io::stdin().take(INPUT_READ_MAX_BYTES).read_to_end(&mut bytes).context("cannot read the input from stdin")?;
    } else if let Some(file) = given.strip_prefix('@') {
        let opened = File::open(file).and_then(|open| open.take(INPUT_READ_MAX_BYTES).read_to_end(&mut bytes));
        opened
            .with_context(|| format!("cannot read the input from {file}\nhint: --input @FILE names a file of JSON"))?;
    } else {
        let named = given.ends_with(".json") || Path::new(given).is_file();
        if named && serde_json::from_str::<IgnoredAny>(given).is_err() {
            bail!(
                "the input is not JSON: `{}` is the name of a file\nhint: a file of JSON is read by --input @{}",
                text::cut(given, 80),
                text::word(given)
            );
        }
        bytes = given.as_bytes().to_vec();
    }
    Ok(bytes)
}
