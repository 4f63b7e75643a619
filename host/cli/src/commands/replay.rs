//! `agentry replay`: one run, executed again without any effect and compared with its journal.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use agentry_abi::clock::Clock;
use agentry_journal::export;
use agentry_runtime::exec::errors::RunError;
use agentry_runtime::exec::replay::Replayed;
use agentry_runtime::host::Options;
use agentry_serve::error::OpError;
use agentry_serve::socket::Client;
use agentry_store::StoreError;
use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::hosting;
use crate::exit::Exit;
use crate::home::{Home, HomeArgs};
use crate::screen::{self, BAD, BOLD, GOOD, status, styled, text, units};

/// Executes a run again, without any effect, and proves that it does the same
#[derive(clap::Args)]
#[command(after_help = "\
Each call gets the answer that stands in the journal, in the order in which the agent saw it. Nothing is asked, \
sent, written or paid. The first call or output that is not as it was is named, and the exit code is 1.

Examples:
  agentry replay last
  agentry replay 0gx3 --component ./researcher.wasm")]
pub struct Args {
    /// The run, the beginning of its id, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// The component that it ran, if that is not kept in this home
    #[arg(long, value_name = "FILE.wasm")]
    component: Option<PathBuf>,
    #[command(flatten)]
    home: HomeArgs,
    /// The directory of policies [default: the home's policies]
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Executes it again and says what was found.
pub fn run(args: Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    // Nothing is decided anew, so a home without policies will do.
    let policies = args.policies.clone().unwrap_or_else(|| home.policies());
    let is_bare = args.policies.is_none() && !policies.exists();
    let none = is_bare.then(tempfile::tempdir).transpose().context("cannot make a directory for temporary files")?;
    let options = Options {
        policies: none.as_ref().map_or(policies, |none| none.path().to_path_buf()),
        home: home.path().to_path_buf(),
        roots: BTreeMap::new(),
        model: None,
        models: home.models(),
        preparer: crate::package::preparer()?,
        accept_older: false,
        one_run: true,
    };
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let replayed = threads.block_on(async {
        // Nothing of a replay is written, so a host that has the home need not be stopped for it, and nobody need be able to write there.
        let writable = rustix::fs::access(home.path(), rustix::fs::Access::WRITE_OK).is_ok();
        if !writable || Client::connect(home.path()).is_ok() {
            return in_a_copy(&home, options, &args).await;
        }
        let host = hosting::open(options).await?;
        anyhow::Ok(host.replay(&args.run, args.component.as_deref()).await.map_err(OpError::from)?)
    })?;
    if args.json {
        screen::print_json(&as_json(&replayed))?;
    } else {
        screen::page(&page(&replayed))?;
    }
    Ok(if replayed.difference.is_none() { Exit::Done } else { Exit::Failed }.into())
}

/// The same in a home of its own that holds a copy of the run: the home, or the host that has it, is asked for what it was, and for nothing else.
async fn in_a_copy(home: &Home, options: Options, args: &Args) -> Result<Replayed> {
    let history = home.history()?.context("nothing has run in this home yet")?;
    let record = history.whole_run(&args.run)?;
    let copy = tempfile::tempdir().context("cannot make a directory for a copy of the run")?;
    let exported = export::export(&history, &record, None)?;
    export::open(&exported, Clock::System.now())?.keep(copy.path()).await?;
    let host = hosting::open(Options { home: copy.path().to_path_buf(), ..options }).await?;
    let replayed = host.replay(&record.id.to_string(), args.component.as_deref()).await;
    Ok(replayed.map_err(|error| match error {
        // The file was the copy's own.
        RunError::File { why, .. } if record.imported.is_none() => RunError::Store(StoreError::Damaged { why }),
        error => error,
    })?)
}

fn as_json(replayed: &Replayed) -> Value {
    let difference = replayed
        .difference
        .as_ref()
        .map(|first| json!({ "call": first.call.map(|call| call.0), "recorded": first.recorded, "now": first.now }));
    json!({
        "run": replayed.run.to_string(),
        "agent": replayed.agent,
        "status": replayed.status,
        "same": replayed.difference.is_none(),
        "calls": replayed.calls,
        "cut": replayed.cut,
        "difference": difference,
    })
}

fn page(replayed: &Replayed) -> String {
    let run = styled(BOLD, format_args!("run {}", replayed.run));
    let agent = text::line(&replayed.agent);
    let calls = units::plural(u64::from(replayed.calls), "call");
    let (word, _) = status::shown(replayed.status);
    match &replayed.difference {
        Some(first) => format!(
            "{run} {agent}  {}\n{calls} alike, then: {}\n",
            styled(BAD, "not the same"),
            text::line(&first.to_string())
        ),
        None if replayed.cut => {
            format!("{run} {agent}  {}\n{calls} alike, as far as it came: it is {word}\n", styled(GOOD, "the same"))
        }
        None => format!("{run} {agent}  {}\n{calls} and the end alike: {word}\n", styled(GOOD, "the same")),
    }
}
