//! `agentry serve`: the host that goes on. It begins what other commands order, many runs at once, and stops in good order.

mod notify;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use agentry_runtime::host::Options;
use agentry_runtime::run::events::{Event, Observer};
use anyhow::{Context, Result, anyhow};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::hosting::{self, HostingArgs};
use crate::exit::{Exit, With};
use crate::screen::{self, BAD, BOLD, inquiry, span, styled, text, units};

/// Runs agents for other commands until it is stopped
#[derive(clap::Args)]
#[command(after_help = "\
The first Ctrl-C or SIGTERM stops it in good order: nothing new begins, and runs get the time of --drain to \
end. A second one ends it at once.

Examples:
  agentry serve --root documents=./docs
  agentry serve --drain 5m
  agentry run --detach researcher --input @question.json     # elsewhere, while it serves")]
pub struct Args {
    #[command(flatten)]
    hosting: HostingArgs,
    /// How long runs may take to end once it is to stop
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = span::parse)]
    drain: Duration,
    /// Go on with a home that was set back to an earlier day, though the heads in the second place know more
    #[arg(long)]
    accept_older: bool,
}

/// Serves until a signal.
pub fn run(args: Args) -> Result<ExitCode> {
    raise_files();
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let served = threads.block_on(async {
        // Before anything is read, so that whenever it is stopped, it stops in good order.
        let mut signals = Signals::listen()?;
        let options = Options { accept_older: args.accept_older, ..args.hosting.options()? };
        let home = options.home.display().to_string();
        // Apart: what is read may lie on a disk that does not answer.
        let mut opening = tokio::spawn(hosting::open(options));
        let opened = tokio::select! {
            biased;
            opened = &mut opening => opened.context("the host broke down")??,
            () = signals.next() => {
                screen::tell("stopped before it served\n");
                return Ok(None);
            }
        };
        let host = Arc::new(opened.attended());
        match host.is_landlocked().await {
            Ok(Some(false)) => {
                screen::tell("this system has no Landlock: only their calls are kept from the processes of agents\n")
            }
            Ok(Some(true) | None) => {}
            Err(why) => return Err(no_worker(&why)),
        }
        host.services().drivers.gate.watch(Observer::new(|event| show(&event)));
        let stop = CancellationToken::new();
        let (begun, mut ready) = oneshot::channel();
        let mut served = tokio::spawn(host.serve(args.drain, stop.clone(), begun));
        tokio::select! {
            biased;
            Ok(()) = &mut ready => {}
            served = &mut served => {
                let error = served.context("the host broke down")?.err();
                let error = error.map_or_else(|| anyhow!("the host broke down"), anyhow::Error::from);
                return Err(With(Exit::Unavailable, error).into());
            }
        }
        let version = env!("CARGO_PKG_VERSION");
        let process = std::process::id();
        screen::print(&format!("agentry {version} serves {} (process {process})\n", text::line(&home)))?;
        notify::tell("READY=1");
        let served = loop {
            tokio::select! {
                biased;
                () = signals.next() => {
                    if stop.is_cancelled() {
                        return Err(at_once());
                    }
                    notify::tell("STOPPING=1");
                    let drain = units::duration(u64::try_from(args.drain.as_millis()).unwrap_or(u64::MAX));
                    screen::tell(&format!("stops: runs get {drain} to end; once more ends it at once\n"));
                    stop.cancel();
                }
                served = &mut served => break served.context("the host broke down")??,
            }
        };
        let ended = served.going.saturating_sub(served.left);
        screen::tell(&format!("stopped: {ended} ended, {} go on in the next host\n", served.left));
        anyhow::Ok(Some(ExitCode::from(Exit::Done)))
    })?;
    Ok(served.unwrap_or_else(|| {
        // Nobody waits for what does not answer.
        threads.shutdown_background();
        Exit::Done.into()
    }))
}

/// A crowd of commands, connections and runs takes more files than a shell gives a command.
fn raise_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // What may not be raised stays; `agentry doctor` says if it is little.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// What befalls the host itself.
fn show(event: &Event) {
    match event {
        Event::Notice(notice) => screen::tell(&format!("{}\n", styled(BOLD, text::ours(notice)))),
        Event::Inquired(asked) => screen::tell(&format!("{}\n", inquiry::page(asked))),
        Event::Said(notice) => screen::tell(&format!("{}\n", inquiry::notice(notice))),
        Event::Alarm(alarm) => screen::tell(&format!("{}: {}\n", styled(BAD, "alarm"), text::ours(alarm))),
        _ => {}
    }
}

fn no_worker(why: &str) -> anyhow::Error {
    let hint = "say `isolation = \"none\"` under [engine] in agentry.toml to run agents in this process";
    With(Exit::Unavailable, anyhow!("no process for agents starts: {}\nhint: {hint}", text::line(why))).into()
}

fn at_once() -> anyhow::Error {
    let error = anyhow!("stopped at once, in the middle\nhint: the next `agentry serve` in this home takes over");
    With(Exit::Failed, error).into()
}

/// What stops a host: a person at a terminal, or the system.
struct Signals {
    interrupts: Signal,
    terminations: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self {
            interrupts: signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?,
            terminations: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            Some(()) = self.interrupts.recv() => {}
            Some(()) = self.terminations.recv() => {}
            else => std::future::pending().await,
        }
    }
}
