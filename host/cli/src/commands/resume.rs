//! `agentry resume`: goes on with runs that their host lost, from where their journals end.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use agentry_journal::report::Report;
use agentry_runtime::exec::errors::RunError;
use agentry_runtime::host::Host;
use agentry_runtime::run::events::Observer;
use agentry_store::rows::{approval, question as own};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::asked_before;
use super::hosting::{self, HostingArgs};
use super::run::prompt::{Hearer, Prompt};
use super::run::{finish, watched};
use crate::exit::Exit;
use crate::screen::about::AdminFiles;
use crate::screen::{self, inquiry as asked, question, report, text, units};

/// Goes on with runs that have not ended, after their host stopped
#[derive(clap::Args)]
#[command(after_help = "\
A run is executed again from its journal up to where it was: nothing is done or paid twice. From there on it goes on. A \
call whose answer was lost is made again if it only reads or may be made twice; else the agent is told that nobody knows \
whether it happened, and a person can say so by `agentry resolve`.

Examples:
  agentry resume                                       # all that are suspended
  agentry resume 0gx3 --root documents=./docs
  agentry resume last --component ./researcher.wasm    # where the component is not kept in this home")]
pub struct Args {
    /// The run, the beginning of its id, or `last`; without it, all that are suspended
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// The component that it ran, if that is not kept in this home
    #[arg(long, value_name = "FILE.wasm", requires = "run")]
    component: Option<PathBuf>,
    #[command(flatten)]
    hosting: HostingArgs,
    /// Wait for people where policy asks them, also without a terminal: they answer by `agentry approve`
    #[arg(long)]
    wait: bool,
    /// Print one JSON value and nothing else on stdout: an object for one run, else a list
    #[arg(long)]
    json: bool,
}

/// Goes on with one, or with all.
pub fn run(args: Args) -> Result<ExitCode> {
    let hosting = match &args.run {
        Some(run) => args.hosting.asking(|home| asked_before::model_of_suspended(home, run))?,
        None => args.hosting,
    };
    let options = hosting.options()?;
    let (component, json, wait) = (args.component, args.json, args.wait);
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    threads.block_on(async {
        let interrupts = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
        let (admin, host) = (AdminFiles::of(&options), hosting::open(options).await?);
        let host = if wait || args.run.is_none() || Prompt::has_terminal() { host.attended() } else { host };
        let host = Arc::new(host);
        match args.run {
            Some(run) => {
                let resumes = Arc::clone(&host);
                let go =
                    |observer, stop| async move { resumes.resume(&run, component.as_deref(), observer, stop).await };
                finish(&watched(&host, admin, interrupts, go).await?, json)
            }
            None => all(&host, admin, json).await,
        }
    })
}

/// All at once. One that cannot go on stays as it is, and the others go on.
async fn all(host: &Host, admin: AdminFiles, json: bool) -> Result<ExitCode> {
    let suspended = host.suspended()?;
    if suspended.is_empty() && !json {
        screen::tell("nothing is suspended\n");
    }
    if !suspended.is_empty() {
        let runs = units::plural(suspended.len() as u64, "run");
        screen::tell(&format!("goes on with {runs}; Ctrl-C stops them for good, and `agentry serve` lets them wait\n"));
    }
    let stop = CancellationToken::new();
    let runs = suspended.iter().map(|record| {
        let stop = stop.clone();
        async move {
            let resumed = host.resume(&record.id.to_string(), None, Observer::nobody(), stop).await;
            match &resumed {
                Ok(report) => screen::tell(&report::ending(report)),
                Err(error) => screen::tell(&format!("run {}: {}\n", record.id, text::ours(&error.to_string()))),
            }
            resumed
        }
    });
    let mut going = std::pin::pin!(futures::future::join_all(runs));
    let (mut questions, mut second) = (Questions::of(host, admin), tokio::time::interval(Duration::from_secs(1)));
    let ended = loop {
        tokio::select! {
            ended = &mut going => break ended,
            _ = tokio::signal::ctrl_c() => stop.cancel(),
            line = questions.prompt.line() => questions.prompt.answer(&Hearer::Here(host), &line).await,
            _ = second.tick() => questions.look(),
        }
    };
    if json {
        screen::print_json(&Value::Array(ended.iter().map(as_json).collect()))?;
    }
    let all_done = ended.iter().all(|ended| ended.as_ref().is_ok_and(|report| Exit::from(report.status) as u8 == 0));
    Ok(if all_done { Exit::Done } else { Exit::Failed }.into())
}

/// What the runs of a host ask people: told once each, and answered here where somebody types.
struct Questions<'h> {
    host: &'h Host,
    admin: AdminFiles,
    prompt: Prompt,
    told: BTreeSet<String>,
}

impl<'h> Questions<'h> {
    fn of(host: &'h Host, admin: AdminFiles) -> Self {
        Self { host, admin, prompt: Prompt::new(), told: BTreeSet::new() }
    }

    fn look(&mut self) {
        for question in self.host.services().drivers.gate.questions() {
            if question.state == approval::State::Open && self.told.insert(question.id.to_string()) {
                screen::tell(&format!("{}\n", question::asks(&question, &self.admin.read())));
                self.prompt.ask(&question);
            }
        }
        // What cannot be read now is read at the next look.
        for inquiry in self.host.history().inquiries(units::now()).unwrap_or_default() {
            if inquiry.state == own::State::Open && self.told.insert(inquiry.id()) {
                screen::tell(&format!("{}\n", asked::page(&inquiry)));
                self.prompt.inquire(&inquiry);
            }
        }
        self.prompt.forget_closed(&Hearer::Here(self.host));
    }
}

fn as_json(ended: &Result<Report, RunError>) -> Value {
    match ended {
        Ok(report) => report::as_json(report),
        Err(error) => json!({ "error": error.to_string() }),
    }
}
