//! `agentry policy`: is what the admin wrote well formed, and does it say what was meant? Each further question has a file of its
//! own; the lock that stops all of it is the one thing that is changed here.

mod can;
mod check;
mod diff;
mod explain;
mod learn;
mod past;
mod scenario;
mod simulate;
mod test;

pub use self::diff::{as_json as diff_as_json, page as diff_page};
pub use self::scenario::{beside, locked, scenario, tools};

use std::process::ExitCode;

use agentry_kernel::limits::TEXT_MAX_BYTES;
use agentry_runtime::host::policy_watch;
use agentry_serve::offline;
use anyhow::{Context, Result, bail};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, BOLD, styled};

/// Checks what admins write, and answers questions about it
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Check(check::Check),
    Explain(explain::Explain),
    Can(can::Can),
    Diff(diff::Diff),
    Simulate(simulate::Simulate),
    Learn(learn::Learn),
    Test(test::Test),
    Lock(Lock),
    Unlock(Unlock),
}

/// Stops every new effect of every agent in this home, now and until it is unlocked
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry policy lock --because \"the mail server leaks\"
  agentry policy unlock")]
struct Lock {
    /// Why: whoever is denied for it is told
    #[arg(long, value_name = "TEXT", default_value = "")]
    because: String,
    #[command(flatten)]
    home: HomeArgs,
}

/// Lets effects go on
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry policy unlock")]
struct Unlock {
    #[command(flatten)]
    home: HomeArgs,
}

/// Does what the second verb says.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.verb {
        Verb::Check(args) => check::run(args),
        Verb::Explain(args) => explain::run(args),
        Verb::Can(args) => can::run(args),
        Verb::Diff(args) => diff::run(args),
        Verb::Simulate(args) => simulate::run(args),
        Verb::Learn(args) => learn::run(args),
        Verb::Test(args) => test::run(args),
        Verb::Lock(args) => lock(args),
        Verb::Unlock(args) => unlock(args),
    }
}

fn lock(args: &Lock) -> Result<ExitCode> {
    if args.because.len() > TEXT_MAX_BYTES {
        bail!("the reason has more than {TEXT_MAX_BYTES} bytes\nhint: say it in a sentence");
    }
    let home = args.home.existing()?;
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let changed = threads.block_on(offline::lock(home.path(), &args.because));
    if changed.is_err() && policy_watch::lock(home.path()).is_some() {
        screen::tell(&format!("{}\n", styled(BOLD, "locked, and the log of this home does not say so:")));
    }
    let changed = changed?;
    let told = if changed { "locked: no agent here begins anything new" } else { "it is locked already" };
    screen::tell(&format!("{}\n", styled(BOLD, told)));
    Ok(Exit::Done.into())
}

fn unlock(args: &Unlock) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let was_locked = policy_watch::lock(home.path()).is_some();
    let changed = threads.block_on(offline::unlock(home.path()));
    if changed.is_err() && was_locked && policy_watch::lock(home.path()).is_none() {
        screen::tell(&format!("{}\n", styled(BOLD, "unlocked, and the log of this home does not say so:")));
    }
    let changed = changed?;
    let told = if changed { "unlocked: agents go on under the policy" } else { "it is not locked" };
    screen::tell(&format!("{}\n", styled(BOLD, told)));
    Ok(Exit::Done.into())
}
