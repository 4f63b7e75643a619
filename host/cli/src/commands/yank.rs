//! `agentry yank`: a publisher takes a version back, so that nobody installs it any more. Whoever has it keeps it.

use std::path::PathBuf;
use std::process::ExitCode;

use agentry_packages::Fault;
use agentry_packages::index::repository::Repository;
use agentry_packages::key;
use agentry_packages::name::Named;
use anyhow::Result;

use super::index::listed;
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, GOOD, styled, text, units};

/// The longest reason.
const BECAUSE_MAX_BYTES: usize = 1_024;

/// Takes a version back from an index: nobody installs it any more
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry yank acme:bookkeeper@1.2.0 --index ./packages --because \"it loses cents\"

Whoever runs the index signs it in: agentry index sign DIR. What is installed stays; a key that was stolen is revoked: agentry key revoke.")]
pub struct Args {
    /// publisher:name@version
    #[arg(value_name = "PACKAGE@VERSION")]
    package: String,
    /// The directory of the index
    #[arg(long, value_name = "DIR")]
    index: PathBuf,
    /// Why: whoever asks for it is told
    #[arg(long, value_name = "TEXT", default_value = "")]
    because: String,
    /// The key of this home to sign with [default: the publisher's]
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    #[command(flatten)]
    home: HomeArgs,
}

/// Takes it back.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.because.len() > BECAUSE_MAX_BYTES || args.because.chars().any(char::is_control) {
        let message = format!("the reason is longer than {BECAUSE_MAX_BYTES} bytes, or not on one line");
        return Err(Fault::usage(message, "say it in a sentence").into());
    }
    let named = Named::parse(&args.package)?;
    let version = args.package.split_once('@').map(|(_, version)| version);
    let version = version.ok_or_else(|| {
        let hint = format!("for example {}@1.2.0", named.name());
        Fault::usage("one version is taken back, and none is named", hint)
    })?;
    let home = args.home.existing()?;
    let key = key::open(home.path(), args.key.as_deref().unwrap_or(&named.publisher))?;
    let listing = Repository::at(&args.index, units::now()).yank(&named.name(), version, &args.because, &key)?;
    let directory = text::line(&args.index.display().to_string());
    let done = styled(GOOD, format!("{}@{} is taken back", named.name(), text::line(version)));
    screen::tell(&format!("{done}\n{}", listed(listing, "taken back", &directory)));
    Ok(Exit::Done.into())
}
