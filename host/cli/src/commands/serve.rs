//! `agentry serve`: the host that goes on. It begins what other commands order, many runs at once, and stops in good order.

mod log;
mod notify;

use std::process::ExitCode;
use std::sync::{Arc, Weak};
use std::time::Duration;

use agentry_runtime::host::Options;
use agentry_runtime::host::reload::{self, Reloaded};
use agentry_runtime::host::services::Services;
use agentry_runtime::run::events::Observer;
use anyhow::{Context, Result, anyhow};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Interval;
use tokio_util::sync::CancellationToken;

use self::log::LogFormat;
use super::hosting::{self, HostingArgs};
use super::starts;
use crate::exit::{Exit, With};
use crate::screen::{span, units};

/// Runs agents for other commands until it is stopped
#[derive(clap::Args)]
#[command(after_help = "\
The first Ctrl-C or SIGTERM stops it in good order: nothing new begins, and runs get the time of --drain to \
end. A second one ends it at once. SIGHUP has it read policies, tools, agents and what of agentry.toml may change \
anew.

Examples:
  agentry serve --root documents=./docs
  agentry serve --drain 5m --log-format json
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
    /// How it says what befalls it
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// Serves until a signal.
pub fn run(args: Args) -> Result<ExitCode> {
    raise_files();
    let log = args.log_format;
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let served = threads.block_on(async {
        // Before anything is read, so that whenever it is stopped, it stops in good order.
        let (mut signals, mut reloads) = (Signals::listen()?, Reloads::listen()?);
        let args_home = args.hosting.home()?;
        let options = Options { accept_older: args.accept_older, ..args.hosting.options()? };
        let home = options.home.display().to_string();
        // What is wrong with the files themselves, opening them says.
        let faults = starts::faults(&args_home).unwrap_or_default();
        // Apart: what is read may lie on a disk that does not answer.
        let mut opening = tokio::spawn(hosting::open_to_serve(options));
        let opened = tokio::select! {
            biased;
            opened = &mut opening => opened.context("the host broke down")??,
            () = signals.stop() => {
                log.say("info", "stopped", "stopped before it served", Value::Null);
                return Ok(None);
            }
        };
        let host = Arc::new(opened.attended());
        if !hosting::keeps_files(&host).await? {
            log.say("warn", "no-landlock", hosting::NO_LANDLOCK, Value::Null);
        }
        host.services().drivers.gate.watch(Observer::new(move |event| log.show(&event)));
        let services = Arc::downgrade(host.services());
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
        log.serves(&home)?;
        log.warns(&faults);
        notify::tell("READY=1");
        let mut beats = notify::watchdog().map(tokio::time::interval);
        let served = loop {
            tokio::select! {
                biased;
                () = reloads.next() => reload(&services, log),
                () = beat(&mut beats) => {
                    // Only while the loop that begins runs turns: it is that loop which is watched.
                    if services.upgrade().is_some_and(|services| services.pulse.is_alive()) {
                        notify::tell("WATCHDOG=1");
                    }
                }
                () = signals.stop() => {
                    if stop.is_cancelled() {
                        return Err(at_once());
                    }
                    notify::tell("STOPPING=1");
                    let drain = units::duration(u64::try_from(args.drain.as_millis()).unwrap_or(u64::MAX));
                    let words = format!("stops: runs get {drain} to end; once more ends it at once");
                    log.say("info", "stops", &words, Value::Null);
                    stop.cancel();
                }
                served = &mut served => break served.context("the host broke down")??,
            }
        };
        let ended = served.going.saturating_sub(served.left);
        let words = format!("stopped: {ended} ended, {} go on in the next host", served.left);
        log.say("info", "stopped", &words, json!({ "ended": ended, "left": served.left }));
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

/// A person wants everything read anew. What comes of it is told as it is taken; what is kept until the end is told here.
fn reload(services: &Weak<Services>, log: LogFormat) {
    let Some(services) = services.upgrade() else { return };
    notify::tell("RELOADING=1");
    let reloaded = reload::all(&services);
    notify::tell("READY=1");
    let words = "reads policies, tools, agents and agentry.toml anew";
    let Reloaded { taken, kept, refused, .. } = reloaded;
    log.say("info", "reload", words, json!({ "taken": taken, "kept": kept, "refused": refused }));
}

/// The next time at which systemd wants to hear of the host; never, if it does not ask.
async fn beat(beats: &mut Option<Interval>) {
    match beats {
        Some(beats) => drop(beats.tick().await),
        None => std::future::pending().await,
    }
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

/// That everything is to be read anew.
struct Reloads(Signal);

impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self {
            interrupts: signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?,
            terminations: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            Some(()) = self.interrupts.recv() => {}
            Some(()) = self.terminations.recv() => {}
            else => std::future::pending().await,
        }
    }
}

impl Reloads {
    fn listen() -> Result<Self> {
        Ok(Self(signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?))
    }

    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
