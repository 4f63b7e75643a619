//! `agentry man`: a manual page for each verb, made from its help. It writes into the directory that it is given and nowhere else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_mangen::Man;

use crate::exit::Exit;
use crate::screen::{self, units};

/// Writes the manual pages
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry man ~/.local/share/man/man1 && man agentry-run")]
pub struct Args {
    /// The directory that they go to; it is made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Writes them.
pub fn run(args: &Args) -> Result<ExitCode> {
    let shown = args.directory.display();
    fs::create_dir_all(&args.directory)
        .with_context(|| format!("cannot make {shown}\nhint: name a directory of yours"))?;
    let mut command = crate::Cli::command();
    command.build();
    let pages = write(&command, "agentry", &args.directory)?;
    screen::tell(&format!("{} in {shown}\n", units::plural(pages, "page")));
    Ok(Exit::Done.into())
}

/// The page of a verb and those of the verbs below it; gives their number.
fn write(command: &clap::Command, name: &str, directory: &Path) -> Result<u64> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page).context("cannot make a manual page")?;
    let file = directory.join(format!("{name}.1"));
    fs::write(&file, page)
        .with_context(|| format!("cannot write {}\nhint: name a directory of yours", file.display()))?;
    let below = command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
    below
        .map(|below| write(below, &format!("{name}-{}", below.get_name()), directory))
        .try_fold(1, |sum, pages| Ok(sum + pages?))
}
