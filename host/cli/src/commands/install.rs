//! `agentry install`: a stranger's package, from its name to a safe run. All that it may do is shown first, in plain words and in money;
//! without somebody's yes nothing is written.

use std::path::PathBuf;
use std::process::ExitCode;

use agentry_packages::set::Set;
use anyhow::Result;

use super::hosting::root;
use super::packages::entry::Entry;
use super::packages::{Change, ConsentArgs, Looked, Outcome, Wanted, carry_out, command, look};
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen;

/// Installs a package: shows what it may do and cost, asks, and runs it by its name from then on
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry install acme:bookkeeper                                  # the newest of an index of packages.toml
  agentry install acme:bookkeeper@1.2.0 --root documents=./papers
  agentry install acme:bookkeeper --secret crm                     # which it may send where its page says
  agentry install acme:bookkeeper --bin                            # and run it by: bookkeeper
  agentry install ./bookkeeper.wasm                                # with bookkeeper.wasm.sig beside it
  agentry install ./bookkeeper.wasm --digest sha256:9c1f…          # unsigned, named by its digest
  agentry install acme:assistant --with blue:calendar              # of several that provide what it requires
  agentry info acme:bookkeeper                                     # shows the same and installs nothing

What it requires is installed with it, each after a yes of its own, all of them or none. Without a terminal a person looks at it first, and says \
yes by the codes that are shown: --consent CODE. --yes does only what policy allows \
already: a grant for this very package in the policy directory. Exit code 3 says that nobody said yes.")]
pub struct Args {
    #[command(flatten)]
    wanted: Wanted,
    /// A package that it requires, by its name or its file; as often as there are such
    #[arg(long, value_name = "PACKAGE|FILE.wasm")]
    with: Vec<String>,
    /// What a folder that it asks for is to be; as often as there are folders
    #[arg(long = "root", value_name = "NAME=DIR", value_parser = root)]
    roots: Vec<(String, PathBuf)>,
    /// Yes to a secret of this home that it asks for, by its name; as often as there are secrets
    #[arg(long = "secret", value_name = "HANDLE")]
    secrets: Vec<String>,
    /// Make a command of its name in ~/.local/bin that runs it, and an entry in the menu of the desktop
    #[arg(long)]
    bin: bool,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Installs it.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    // What a command left that did not come to its end is finished first.
    drop(Set::open(home.path())?);
    let Looked { team, lock, lacks } = look(&home, &args.wanted, &args.with)?;
    let mut command = command(&args.wanted, &args.with, &args.roots, &args.secrets);
    if args.bin {
        command.push_str(" --bin");
    }
    if let Some(error) = lacks {
        return Err(error);
    }
    let change = Change {
        home: &home,
        team: &team,
        consent: &args.consent,
        roots: &args.roots,
        secrets: &args.secrets,
        command: &command,
        json: args.json,
    };
    // Before anybody says yes: whether its name is free as a command.
    let entry = args.bin.then(|| Entry::at(&home, team.first().agent())).transpose()?;
    entry.as_ref().map_or(Ok(()), Entry::is_free)?;
    let (mut told, same) = match carry_out(&change, &lock)? {
        Outcome::Installed(told) => (told, false),
        Outcome::Same(told) => (told, true),
    };
    if same && !args.json {
        screen::tell(&format!("{} is installed already\n", team.first().story()));
    }
    let placed = entry.as_ref().map(Entry::place).transpose();
    if let Ok(Some(placed)) = &placed {
        told["entry"] = placed.clone();
    }
    if args.json {
        screen::print_json(&told)?;
    }
    // It is installed whether or not there is room for this.
    placed?;
    if let Some(entry) = entry.filter(|_| !args.json) {
        screen::tell(&entry.page());
    }
    Ok(Exit::Done.into())
}
