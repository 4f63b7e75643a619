//! Shows: the `agentry` command. It holds no policy and does no effect: it reads arguments, asks the runtime and prints.
#![allow(unreachable_pub, reason = "nothing of a binary can be reached; `pub` marks what a file gives to the others")]

mod author;
mod commands;
mod exit;
mod home;
mod package;
mod screen;

use std::process::ExitCode;

use agentry_drivers::tools::sandbox;
use agentry_engine::prepare;
use agentry_runtime::{worker, workers};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser};

/// musl's own allocator has one lock for all threads.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs AI agents that you do not trust.
///
/// An agent is one WebAssembly component. It can do what a policy grants, spend what a budget holds, and nothing else.
#[derive(Parser)]
#[command(name = "agentry", version, arg_required_else_help = true, after_long_help = AFTER, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: commands::Command,
}

const AFTER: &str = "\
Exit codes:
  0  done
  1  the agent failed, or was stopped
  2  bad arguments, component, configuration or policy
  3  policy was in the way
  4  a budget was in the way
  5  something the agent needs was not to be had

Environment:
  AGENTRY_HOME  where agents, policies and journals live, if not in the user's data directory
  NO_COLOR      no colours, also on a terminal";

/// Verbs that other programs have for what this one calls otherwise.
const OTHERS: [(&[&str], &str); 10] = [
    (&["stop", "cancel", "abort"], "kill"),
    (&["ls", "history", "runs"], "ps"),
    (&["start", "exec", "call"], "run"),
    (&["init"], "setup"),
    (&["log", "tail"], "logs"),
    (&["show", "describe"], "trace"),
    (&["upgrade"], "update"),
    (&["remove", "delete", "rm"], "uninstall"),
    (&["version"], "--version"),
    (&["check", "health"], "doctor"),
];

/// The same error; of a verb that other programs have it says what it is called here.
fn meant(mut error: clap::Error, arguments: &[std::ffi::OsString]) -> clap::Error {
    let given = arguments.get(1).and_then(|verb| verb.to_str()).unwrap_or_default();
    let here = OTHERS.iter().find(|(theirs, _)| theirs.contains(&given)).map(|(_, ours)| *ours);
    if let (ErrorKind::InvalidSubcommand, Some(ours)) = (error.kind(), here) {
        let tip = format!("here that is called 'agentry {ours}'");
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

fn main() -> ExitCode {
    // The children that execute agents, prepare components and run tools are this program again; their verbs are not for people.
    let verb = std::env::args_os().nth(1);
    match verb.as_deref().and_then(|verb| verb.to_str()) {
        Some(workers::VERB) => return worker::child(std::env::args_os().skip(2)),
        Some(prepare::VERB) => return prepare::child(std::env::args_os().skip(2)),
        Some(sandbox::VERB) => return sandbox::child(),
        Some(sandbox::ENTER_VERB) => return sandbox::enter(),
        Some(sandbox::KEEP_VERB) => return sandbox::keep(),
        _ => {}
    }
    screen::given::verbs(Cli::command);
    let arguments: Vec<_> = commands::run::words::flags_apart(std::env::args_os().collect());
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(told) if matches!(told.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let of_run = told.kind() == ErrorKind::DisplayHelp && verb.is_some_and(|verb| verb == "run");
            let more = if of_run { commands::run::help(&arguments) } else { String::new() };
            let shown = screen::print(&format!("{}{more}", told.render().ansi()));
            return shown.map_or_else(|error| ended(&error), |()| ExitCode::SUCCESS);
        }
        Err(error) => meant(error, &arguments).exit(),
    };
    match cli.command.run() {
        Ok(code) => code,
        Err(error) => ended(&error),
    }
}

/// Says what is wrong, and ends as that does.
fn ended(error: &anyhow::Error) -> ExitCode {
    screen::complain(error);
    exit::of(error).into()
}
