//! `agentry fork`: a new run with the past of another one, which does something else from a call on.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use agentry_kernel::call::CallId;
use agentry_runtime::host::{Fork, Options};
use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use super::asked_before;
use super::hosting::{self, HostingArgs};
use super::run::{finish, input, watched};
use crate::screen::about::AdminFiles;

/// Begins a run with the past of another one, which goes on from a call
#[derive(clap::Args)]
#[command(after_help = "\
Up to the call the new run is given the answers that the other one had: nothing of that is done or paid again. From the \
call on it lives, and its default model is the one of the other run. An input or a component that makes it do something \
else before the call is told, and it ends there.

Examples:
  agentry fork last@7 --model large               # what would another model have said?
  agentry fork 0gx3@12 --root documents=./docs
  agentry fork 0gx3@1 --input '{\"question\": \"Why?\"}'")]
pub struct Args {
    /// The run, or the beginning of its id, or `last`; and the first call that is the new run's own
    #[arg(value_name = "RUN@CALL")]
    place: String,
    /// Another input: JSON, a file of it, or standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    input: Option<String>,
    /// Another component, such as a newer version
    #[arg(long, value_name = "FILE.wasm")]
    component: Option<PathBuf>,
    #[command(flatten)]
    hosting: HostingArgs,
    /// Wait for people where policy asks them, also without a terminal: they answer by `agentry approve`
    #[arg(long)]
    wait: bool,
    /// Print one JSON object and nothing else on stdout
    #[arg(long)]
    json: bool,
}

/// Runs it to its end, or until a person stops it.
pub fn run(args: Args) -> Result<ExitCode> {
    let named = args.place.split_once('@').and_then(|(run, call)| Some((run, CallId(call.parse().ok()?))));
    let Some((run, call)) = named else {
        bail!("a place is named RUN@CALL, such as last@7\nhint: `agentry trace RUN` numbers the calls of a run");
    };
    let input = args.input.as_deref().map(input).transpose()?;
    let options = Options { one_run: true, ..args.hosting.asking(|home| asked_before::model(home, run))?.options()? };
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let ended = threads.block_on(async {
        let interrupts = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
        let (admin, host) = (AdminFiles::of(&options), hosting::open(options).await?);
        let host = Arc::new(if args.wait { host.attended() } else { host });
        let (forks, run) = (Arc::clone(&host), run.to_owned());
        let go = |observer, stop| async move {
            let fork = Fork { run: &run, call, input, component: args.component.as_deref() };
            forks.fork(fork, observer, stop).await
        };
        watched(&host, admin, interrupts, go).await
    })?;
    finish(&ended, args.json)
}
