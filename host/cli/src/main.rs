//! Shows: the `agentry` command. It holds no policy and does no effect: it reads arguments, asks the runtime and prints.
#![allow(unreachable_pub, reason = "nothing of a binary can be reached; `pub` marks what a file gives to the others")]

mod author;
mod commands;
mod exit;
mod home;
mod package;
mod screen;

use std::ffi::OsString;
use std::process::ExitCode;

use agentry_drivers::tools::sandbox;
use agentry_engine::prepare;
use agentry_kernel::text::nearest;
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

/// The same error, with what to do about it where clap alone says only what is wrong.
fn meant(mut error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let words: Vec<&str> = arguments.iter().skip(1).filter_map(|word| word.to_str()).collect();
    if error.kind() == ErrorKind::UnknownArgument && error.get(ContextKind::SuggestedArg).is_none() {
        // Of an option that no verb has, clap says how it is passed as a word: nobody means that.
        error.remove(ContextKind::Suggested);
    }
    let tip = match error.kind() {
        ErrorKind::InvalidSubcommand => elsewhere(&words),
        ErrorKind::UnknownArgument => below_zero(&words),
        ErrorKind::MissingRequiredArgument => example(&words),
        _ => None,
    };
    if let Some(tip) = tip {
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    } else if let Some(ContextValue::Strings(near)) = error.get(ContextKind::SuggestedSubcommand) {
        // The nearest is the last of them there.
        let nearest = near.last().cloned().unwrap_or_default();
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::String(nearest));
    }
    error
}

/// What a verb that other programs have is called here; and whose help is meant, of which clap says nothing.
fn elsewhere(words: &[&str]) -> Option<String> {
    let (helps, verb) = match words {
        ["help", verb, ..] => (true, verb),
        [verb, ..] => (false, verb),
        [] => return None,
    };
    if let Some((_, ours)) = OTHERS.iter().find(|(theirs, _)| theirs.contains(verb)) {
        return Some(format!("here that is called 'agentry {ours}'"));
    }
    let cli = Cli::command();
    let near = nearest(verb, cli.get_subcommands().map(clap::Command::get_name)).filter(|_| helps)?;
    Some(format!("did you mean 'agentry help {near}'?"))
}

/// That no option takes a number below zero, if one was given to an option.
fn below_zero(words: &[&str]) -> Option<String> {
    let is_below =
        |word: &str| word.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let given = words.windows(2).find(|pair| pair[0].starts_with("--") && is_below(pair[1]))?;
    Some(format!("no option takes less than zero: leave the `-` of {} out", given[1]))
}

/// The first example of the verb that these words name: it has all that the verb needs.
fn example(words: &[&str]) -> Option<String> {
    let mut verb = Cli::command();
    for word in words {
        match verb.find_subcommand(word) {
            Some(below) => verb = below.clone(),
            None => break,
        }
    }
    let help = verb.get_after_help()?.to_string();
    let line =
        help.lines().find_map(|line| Some(line.strip_prefix("  ")?).filter(|line| line.starts_with("agentry ")))?;
    let line = line.split(" #").next().unwrap_or(line).trim_end();
    Some(format!("for example: {line}"))
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
    let arguments: Vec<_> = commands::run::own::flags_apart(std::env::args_os().collect());
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(told) if matches!(told.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let of_run = told.kind() == ErrorKind::DisplayHelp && verb.is_some_and(|verb| verb == "run");
            let more = if of_run { commands::run::help(&arguments) } else { String::new() };
            let shown = screen::print(&format!("{}{more}", told.render().ansi()));
            return shown.map_or_else(|error| ended(&error), |()| ExitCode::SUCCESS);
        }
        Err(error) => {
            screen::tell(&meant(error, &arguments).render().ansi().to_string());
            return exit::Exit::Usage.into();
        }
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
