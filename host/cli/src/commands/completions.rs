//! `agentry completions`: what a shell needs to complete verbs, options, the agents of a home and their flags. It prints and changes nothing, and no
//! text of an agent stands in a script but names that mean nothing to a shell.

use std::process::ExitCode;

use agentry_kernel::manifest::Manifest;
use agentry_packages::lock::{Lock, component};
use anyhow::{Result, bail};
use clap::builder::PossibleValue;
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;

use super::run::{own, words};
use crate::exit::Exit;
use crate::home::{Home, HomeArgs};
use crate::package;
use crate::screen;

/// Prints completions for a shell
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry completions bash > ~/.local/share/bash-completion/completions/agentry
  agentry completions zsh > \"${fpath[1]}/_agentry\"
  agentry completions fish > ~/.config/fish/completions/agentry.fish
  agentry completions bash --agent reminder > ~/.local/share/bash-completion/completions/reminder

They know the agents that are installed now, and their flags behind `agentry run`.")]
pub struct Args {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
    /// Complete the command that `install --bin` made for this agent
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    #[command(flatten)]
    home: HomeArgs,
}

/// Names that a shell's own completions call: a script that defined one of these would break all others of the session.
const OF_COMPLETIONS: [&str; 26] = [
    "alternative",
    "arguments",
    "canonical",
    "combination",
    "command",
    "complete",
    "completion",
    "correct",
    "default",
    "describe",
    "description",
    "dispatch",
    "expand",
    "files",
    "guard",
    "list",
    "message",
    "normal",
    "options",
    "parameters",
    "regex",
    "setup",
    "store",
    "tags",
    "values",
    "wanted",
];

/// Prints them.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let (mut of, name) = match &args.agent {
        Some(agent) => {
            let manifest = package::of_file_in(home.path(), &home.component(agent)?)?.manifest;
            let name = manifest.agent().to_owned();
            if OF_COMPLETIONS.contains(&name.as_str()) {
                bail!(
                    "a shell's own completions are called like `{name}`\nhint: `agentry run {name}` is completed: agentry completions SHELL"
                );
            }
            (command(&manifest), name)
        }
        None => (crate::Cli::command().mut_subcommand("run", |run| with_agents(&run, &home)), "agentry".to_owned()),
    };
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut of, name, &mut script);
    screen::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done.into())
}

/// `agentry run` with each agent that is installed as a verb of its own. A home that cannot be read has none: whoever uses it is told.
fn with_agents(run: &Command, home: &Home) -> Command {
    let lock = Lock::load(home.path()).unwrap_or_default();
    let files = lock.agents.values().map(|installed| component(home.path(), installed.now.digest.0));
    let manifests = files.filter_map(|file| Some(package::of_file_in(home.path(), &file).ok()?.manifest));
    // Every verb has a `help` of clap's in these scripts, and there are no two of one name.
    let agents: Vec<Command> =
        manifests.filter(|manifest| manifest.agent() != "help").map(|one| command(&one)).collect();
    match agents.as_slice() {
        [] => run.clone(),
        // An agent stands where clap has a word: one of both can be completed.
        _ => Command::new("run").disable_help_subcommand(true).args(own::for_completion()).subcommands(agents),
    }
}

/// An agent with its flags, and those of `agentry run`.
fn command(manifest: &Manifest) -> Command {
    let flags = words::flags(manifest).into_iter().filter(|(key, _)| is_word(key) && key != "help");
    let flags = flags.map(|(key, values)| {
        let values: Vec<PossibleValue> =
            values.into_iter().filter(|value| is_word(value)).map(PossibleValue::new).collect();
        let flag = Arg::new(format!("agent-{key}")).long(key);
        if values.is_empty() { flag } else { flag.value_parser(values) }
    });
    Command::new(manifest.agent().to_owned()).args(own::for_completion()).args(flags)
}

/// Whether it is a word to every shell, and nothing else.
fn is_word(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.bytes().all(known)
}
