//! `agentry import`: a run out of a file that `agentry export` wrote.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use agentry_journal::export::{self, ParcelError};
use agentry_kernel::journal::Status;
use agentry_store::limits::PARCEL_MAX_BYTES;
use anyhow::{Context, Result};

use crate::exit::{Exit, With};
use crate::home::HomeArgs;
use crate::screen::{self, GOOD, styled, text};

/// Takes a run that another home exported into this one
#[derive(clap::Args)]
#[command(after_help = "\
It can be looked at and replayed here. One that had not ended is suspended, and `agentry resume` goes on with it under the
policies of this home; let it go on in one place only.

Examples:
  agentry import run.agentry
  agentry import run.agentry --home ./elsewhere && agentry replay last --home ./elsewhere")]
pub struct Args {
    /// The file; `-` is standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    #[command(flatten)]
    home: HomeArgs,
}

/// Takes it in.
pub fn run(args: Args) -> Result<ExitCode> {
    let home = args.home.resolve()?;
    let most = PARCEL_MAX_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let read = match args.file.as_os_str() == "-" {
        true => io::stdin().take(most).read_to_end(&mut bytes),
        false => File::open(&args.file).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    };
    read.with_context(|| {
        format!("cannot read {}\nhint: `agentry export RUN --out FILE` writes one", args.file.display())
    })?;
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let record = threads.block_on(export::import(home.path(), &bytes)).map_err(|error| match error {
        ParcelError::Store(_) => With(Exit::Unavailable, error.into()).into(),
        error => anyhow::Error::from(error),
    })?;
    let next =
        if record.status == Status::Suspended { "it goes on by: agentry resume" } else { "agentry trace shows it" };
    screen::tell(&format!(
        "{}  run {} of {}; {next} {}\n",
        styled(GOOD, "imported"),
        record.id,
        text::line(&record.agent),
        record.id
    ));
    Ok(Exit::Done.into())
}
