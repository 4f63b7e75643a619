//! `agentry policy`: is what the admin wrote well formed, and does it say what was meant? Each further question has a file of its
//! own; the lock that stops all of it is the one thing that is changed here.

mod can;
mod diff;
mod explain;
mod learn;
mod past;
mod simulate;
mod test;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use agentry_kernel::limits::TEXT_MAX_BYTES;
use agentry_kernel::policy::{Mistake, Policy};
use agentry_runtime::admin;
use agentry_runtime::control::Client;
use agentry_runtime::policies::{PolicyFiles, standing};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, BAD, BOLD, GOOD, HINT, styled, text, units};

/// Checks what admins write, and answers questions about it
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Check(Check),
    Explain(explain::Explain),
    Can(can::Can),
    Diff(diff::Diff),
    Simulate(simulate::Simulate),
    Learn(learn::Learn),
    Test(test::Test),
    Lock(Lock),
    Unlock(Unlock),
}

/// Reads a policy as a run would, and says what is wrong with it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry policy check
  agentry policy check policies/
  agentry policy check 50-researcher.toml --json")]
struct Check {
    /// A policy directory, or files of one [default: the home's policies]
    #[arg(value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
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
        Verb::Check(args) => check(args),
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
    let home = args.home.resolve()?;
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let changed = threads.block_on(admin::lock(home.path(), &args.because))?;
    let told = if changed { "locked: no agent here begins anything new" } else { "it is locked already" };
    screen::say(&format!("{}\n", styled(BOLD, told)));
    Ok(Exit::Done.into())
}

fn unlock(args: &Unlock) -> Result<ExitCode> {
    let home = args.home.resolve()?;
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let changed = threads.block_on(admin::unlock(home.path()))?;
    let told = if changed { "unlocked: agents go on under the policy" } else { "it is not locked" };
    screen::say(&format!("{}\n", styled(BOLD, told)));
    Ok(Exit::Done.into())
}

fn check(check: &Check) -> Result<ExitCode> {
    let files = match check.paths.as_slice() {
        [] => PolicyFiles::read(&check.home.resolve()?.policies())?,
        [directory] if directory.is_dir() => PolicyFiles::read(directory)?,
        paths => PolicyFiles::of(paths)?,
    };
    let (policy, mistakes) = match files.parse() {
        Ok(policy) => (policy, Vec::new()),
        Err(mistakes) => (Policy::default(), mistakes),
    };
    let place = check.home.resolve().ok().filter(|_| check.paths.is_empty());
    let locked = place.as_ref().and_then(|home| standing::lock(home.path()));
    if let Some(lock) = &locked {
        screen::say(&format!(
            "{}\n",
            styled(BAD, text::line(&format!("locked: no agent begins anything new. {}", lock.because)))
        ));
    }
    if !mistakes.is_empty() && place.is_some_and(|home| Client::connect(home.path()).is_ok()) {
        screen::say(&format!("{}\n", styled(BAD, "the host that runs here keeps the last good policy")));
    }
    if check.json {
        screen::print_json(&as_json(files.len(), &policy, &mistakes))?;
    } else {
        screen::print(&page(files.len(), &policy, &mistakes))?;
    }
    Ok(if mistakes.is_empty() { Exit::Done } else { Exit::Usage }.into())
}

fn page(files: usize, policy: &Policy, mistakes: &[Mistake]) -> String {
    let mut page = String::new();
    for mistake in mistakes {
        page.push_str(&format!("{}: {}\n\n", styled(BAD, "error"), text::block(&mistake.to_string())));
    }
    for warning in policy.warnings() {
        page.push_str(&format!("{}: {}\n\n", styled(HINT, "warning"), text::block(&warning.to_string())));
    }
    for grant in &policy.grants {
        let package = grant.package.as_ref().map_or_else(|| "any package of this name".to_owned(), ToString::to_string);
        let place = format!("{}:{}", grant.rule.file, grant.rule.line);
        let line = format!("{:<20} {package:<32} {place}", grant.agent);
        page.push_str(&format!("{}\n", text::line(&line)));
    }
    let read = units::plural(files as u64, "file");
    let verdict = match (mistakes.len() as u64, policy.warnings().len() as u64) {
        (0, 0) => styled(GOOD, format_args!("{read}: nothing is wrong")),
        (0, warnings) => styled(BOLD, format_args!("{read}: {}", units::plural(warnings, "warning"))),
        (mistakes, _) => {
            styled(BAD, format_args!("{read}: {}, so none of it is used", units::plural(mistakes, "mistake")))
        }
    };
    page.push_str(&format!("{verdict}\n"));
    page
}

fn as_json(files: usize, policy: &Policy, mistakes: &[Mistake]) -> Value {
    let told = |mistake: &Mistake| {
        let Mistake { file, line, column, message, hint, .. } = mistake;
        json!({"file": file, "line": line, "column": column, "message": message, "hint": hint})
    };
    let grants = policy.grants.iter().map(|grant| {
        let package = grant.package.as_ref().map(ToString::to_string);
        json!({"agent": grant.agent, "package": package, "file": grant.rule.file, "line": grant.rule.line})
    });
    json!({
        "files": files,
        "grants": grants.collect::<Vec<_>>(),
        "mistakes": mistakes.iter().map(told).collect::<Vec<_>>(),
        "warnings": policy.warnings().iter().map(told).collect::<Vec<_>>(),
    })
}
